"""A clip brought to the film's size, rate, colours and sound, frame for frame."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from secondunit.cut import WHOLE, length, nearest, sample_at, trimmed
from secondunit.durable import beside
from secondunit.errors import CutError, Spoiled
from secondunit.media.facts import probe
from secondunit.media.frames import Upright, paced, shown
from secondunit.media.h264 import open_stream
from secondunit.media.sound import Track, decoded, heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import OutputContainer

    from secondunit.cut import Profile, Trim
    from secondunit.media.facts import Facts

SAME_SHAPE = Fraction(1, 100)
"""Shapes that differ by less are stretched to fit: a hundredth cannot be seen, a thin bar can."""

Picture = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""Rows, columns, red green blue."""

_HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}


def conform(source: Path, out: Path, profile: Profile, trim: Trim = WHOLE) -> Facts:
    """Write the used part of `source` to `out` as the film needs it, and return what it is now.

    The number of frames is exact. A picture of another shape is laid over black. Sound becomes
    lossless stereo at the film's rate, of the picture's length to the sample. `out` appears whole,
    read back and strictly decoded, or not at all, so this may be killed at any time. Raises Spoiled,
    CutError (an impossible trim, or HDR), DiskTrouble.
    """
    facts = probe(source)
    _refuse_hdr(source, facts)
    first, count = trimmed(length(facts.seconds, profile.fps), profile.fps, trim)
    with beside(out) as part:
        with av.open(f"file:{part}", "w", format="mp4", options={"fflags": "+bitexact"}) as clip:
            _write(clip, source, facts, profile, first, count)
        return _read_back(part, source, count)


def _read_back(part: Path, source: Path, count: int) -> Facts:
    """Decode strictly what was just written: from here on it is only copied, packet by packet."""
    try:
        made = probe(part, least=1)
        frames = sum(1 for _ in shown(part, made))
        for _ in decoded(part):
            pass
    except Spoiled:
        frames = -1
    if frames != count:
        raise CutError(
            f"{source} was conformed, and what is on the disk is not what was written. Nothing was "
            "paid for this; run the same command again, and look at the disk if it happens twice."
        )
    return made


def _refuse_hdr(source: Path, facts: Facts) -> None:
    if facts.transfer in _HDR:
        raise CutError(
            f"{source} is HDR ({_HDR[facts.transfer]}), and the film is not; its highlights would "
            "be lost by guesswork. Convert it to SDR (bt709) first; that costs nothing."
        )


def _write(
    clip: OutputContainer, source: Path, facts: Facts, profile: Profile, first: int, count: int
) -> None:
    stream = open_stream(clip, profile.width, profile.height, profile.fps)
    rate, fps = profile.sample_rate, profile.fps
    track = Track(clip, "flac", rate) if facts.sound else None
    # cut to the film's own grid, so that the clip's sound is as long as its picture
    samples = sample_at(count, fps, rate)
    blocks = heard(source, facts, rate, since=first / fps, samples=samples)
    for at, frame in enumerate(_pictures(source, facts, profile, first, count)):
        frame.pts, frame.time_base = at, 1 / fps
        frame.pict_type = 0  # the encoder would repeat the source's key frames
        clip.mux(stream.encode(frame))
        if track:
            track.play(blocks, sample_at(at + 1, fps, rate))
    clip.mux(stream.encode(None))
    if track:
        track.close()


def _pictures(
    source: Path, facts: Facts, profile: Profile, first: int, count: int
) -> Iterator[av.VideoFrame]:
    frames = paced(source, facts, profile.fps, first, count)
    width, height = fit(facts.width, facts.height, profile)
    if (width, height) == (profile.width, profile.height):
        upright = Upright(facts, width, height)
        return (upright(frame) for frame in frames)
    upright = Upright(facts, width, height, "rgb24")
    return _over_black((upright(frame) for frame in frames), profile, count)


def fit(width: int, height: int, profile: Profile) -> tuple[int, int]:
    """Find the largest even size of a picture's shape that fits the film, or the film's own."""
    shape = Fraction(width, height) / Fraction(profile.width, profile.height)
    if abs(shape - 1) <= SAME_SHAPE:
        return profile.width, profile.height
    if shape > 1:
        return profile.width, _even(profile.height / shape)
    return _even(profile.width * shape), profile.height


def _even(value: Fraction) -> int:
    return max(2, 2 * nearest(value / 2))


def _over_black(
    frames: Iterator[av.VideoFrame], profile: Profile, count: int
) -> Iterator[av.VideoFrame]:
    from moviepy import ColorClip, CompositeVideoClip, VideoClip

    fps, size = profile.fps, (profile.width, profile.height)
    reel = _Reel(frames, fps)
    picture = VideoClip(reel.at, duration=float(count / fps)).with_position("center")
    canvas = ColorClip(size, (0, 0, 0), duration=picture.duration)
    composed = CompositeVideoClip([canvas, picture], size=size, use_bgclip=True)
    for at in range(count):
        whole = np.ascontiguousarray(composed.get_frame(float(at / fps)))
        frame = av.VideoFrame.from_ndarray(whole, "rgb24")
        yield frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


class _Reel:
    """Frames in order, handed to moviepy by the time it asks for."""

    def __init__(self, frames: Iterator[av.VideoFrame], fps: Fraction) -> None:
        self._frames = frames
        self._fps = float(fps)
        self._at = -1
        self._picture = np.zeros((0, 0, 3), np.uint8)

    def at(self, seconds: float) -> Picture:
        # moviepy asks for the first one when the clip is made, and then again
        wanted = round(seconds * self._fps)
        while self._at < wanted:
            self._picture = cast("Picture", next(self._frames).to_ndarray())
            self._at += 1
        return self._picture
