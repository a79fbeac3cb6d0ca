"""The picture of a clip being written, and found again on the disk as it was encoded."""

from __future__ import annotations

import zlib
from fractions import Fraction
from typing import TYPE_CHECKING

from av.video.frame import PictureType

from secondunit.cut import frame_counter
from secondunit.errors import CutError, Spoiled
from secondunit.media.avc import units, units_of_stream
from secondunit.media.facts import opened, picture_stream, probe, reading
from secondunit.media.h264 import OPTIONS, open_stream
from secondunit.media.sound import decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import av
    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from secondunit.cut import Profile
    from secondunit.media.facts import Facts


class Strip:
    """Encodes frames into a clip, one after the other, and keeps a checksum of what came of them."""

    def __init__(
        self, clip: OutputContainer, profile: Profile, options: Mapping[str, str] = OPTIONS
    ) -> None:
        """Add a picture of the film's size and rate to `clip`."""
        self._clip = clip
        self._fps = profile.fps
        self._stream = open_stream(clip, profile.width, profile.height, profile.fps, options)
        self.frames = 0
        self.checksum = 0

    def add(self, frame: av.VideoFrame, *, opens: bool = False) -> None:
        """Encode the next frame; one that `opens` something is made a key frame."""
        frame.pts, frame.time_base = self.frames, 1 / self._fps
        # the encoder would repeat the source's key frames
        frame.pict_type = PictureType.I if opens else PictureType.NONE
        self.frames += 1
        self._write(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._write(self._stream.encode(None))

    def _write(self, packets: Iterable[av.Packet[VideoStream]]) -> None:
        for packet in packets:
            for unit in units_of_stream(bytes(packet)):
                self.checksum = zlib.crc32(unit, self.checksum)
            self._clip.mux(packet)


def read_back(part: Path, done: str, strip: Strip) -> Facts:
    """See that a clip is on the disk as it was written: from here on it is only copied.

    Its pictures are what the encoder gave, to the byte, and its sound can be decoded. Raises
    CutError, which begins with what was `done`.
    """
    try:
        made = probe(part, least=1)
        same = _checksum(part, made) == strip.checksum and made.frames == strip.frames
        for _ in decoded(part):
            pass
    except Spoiled:
        same = False
    if not same:
        raise CutError(
            f"{done}, and what is on the disk is not what was written. Nothing was "
            "paid for this; run the same command again, and look at the disk if it happens twice."
        )
    return made


def _checksum(part: Path, facts: Facts) -> int:
    checksum = 0
    with opened(part) as clip, reading(part):
        stream = picture_stream(clip, part)
        frame = frame_counter(stream.time_base or Fraction(1), facts.start, facts.fps)
        shown = set()
        for packet in clip.demux(stream):
            for unit in units(bytes(packet)):
                checksum = zlib.crc32(unit, checksum)
            if packet.pts is not None:
                shown.add(frame(packet.pts))
    return checksum if shown == set(range(facts.frames)) else -1
