"""Clips that match the film, joined by copying their packets, beside one continuous sound track."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av

from secondunit.cut import Entry, Placed, frame_counter, lay, sample_at
from secondunit.durable import beside
from secondunit.errors import CutError, Spoiled
from secondunit.media.avc import fingerprint, in_band
from secondunit.media.facts import Facts, opened, picture_stream, reading
from secondunit.media.h264 import timescale
from secondunit.media.sound import Track, heard, silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.buffer import Buffer
    from av.container import OutputContainer
    from av.packet import Packet as AnyPacket
    from av.stream import Stream
    from av.video.stream import VideoStream

    from secondunit.cut import Profile
    from secondunit.media.sound import Block

    Packet = AnyPacket[Stream] | AnyPacket[VideoStream]


# libavutil's words for "the packets know", of range and of primaries, transfer and matrix
_UNKNOWN_RANGE, _UNKNOWN = 0, 2

_PACKET = 4096
"""Samples that the film's first and last packets of sound may hold beyond what was played."""


@dataclass(frozen=True)
class Segment:
    """A clip that is used whole, already as the film needs it: conformed, or `matches`."""

    shot: str
    path: Path
    facts: Facts


@dataclass(frozen=True)
class Film:
    """What was made: where it lies, what it holds, and where each shot begins in it.

    `size` is in bytes, `seconds` exact; `placed` counts film frames from 0.
    """

    path: Path
    sha256: str
    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: Fraction
    sound: bool
    size: int
    placed: tuple[Placed, ...]


def matches(facts: Facts, profile: Profile) -> bool:
    """Say whether a clip can be joined untouched; where not, it must be conformed.

    A clip with no colour tags may: it is shown in the film as it would be alone.
    """
    return (
        bool(facts.headers)
        and facts.codec == "h264"
        and facts.pix_fmt == "yuv420p"
        and (facts.coded_width, facts.coded_height) == (profile.width, profile.height)
        and facts.fps == profile.fps
        and not (facts.variable or facts.interlaced or facts.alpha or facts.rotation)
        and facts.sar == 1
        and facts.range in ("", "tv")
        and all(tag in ("", "bt709") for tag in (facts.matrix, facts.primaries, facts.transfer))
    )


def splice(segments: Sequence[Segment], profile: Profile, out: Path, *, title: str = "") -> Film:
    """Join the segments in order into `out`; their pictures are copied, never encoded again.

    One segment is open at a time, so memory does not grow with the film. There is one sound track
    if the profile asks for it or any segment has sound. The film is read back and compared packet
    by packet before it takes the name `out`: until then whatever stood there stays. As every clip
    was strictly decoded when it was verified or conformed, that proves as much as decoding the
    whole film again, which would take minutes; pictures are decoded where headers change. Raises
    CutError for segments that do not fit, Spoiled, DiskTrouble.
    """
    if not segments:
        raise CutError("There are no clips to splice: every shot is omitted or failed.")
    for segment in segments:
        if not matches(segment.facts, profile):
            raise CutError(
                f"Shot {segment.shot} cannot be spliced as it is: {segment.path} does not match "
                "the film. Conform it first; that costs nothing."
            )
    with beside(out) as part:
        written = _write(part, segments, profile, title)
        _compare(part, written, profile)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = part.stat().st_size
    return Film(
        path=out,
        sha256=digest,
        width=profile.width,
        height=profile.height,
        fps=profile.fps,
        frames=written.frames,
        seconds=written.frames / profile.fps,
        sound=written.samples > 0,
        size=size,
        placed=written.placed,
    )


@dataclass
class _Written:
    """What went into the file, to be found in it again."""

    placed: tuple[Placed, ...]
    openings: frozenset[int]
    """Frames at which a decoder meets a first picture or new headers."""
    frames: int = 0
    samples: int = 0
    pictures: int = 0
    """Running checksum of the packets and of the frames that they show."""
    decoded: int = 0
    """Pictures that came out at the openings, read back."""

    def note(self, payload: Buffer, frame: int) -> None:
        self.frames += 1
        self.pictures = zlib.crc32(payload, zlib.crc32(b"%d " % frame, self.pictures))


def _write(part: Path, segments: Sequence[Segment], profile: Profile, title: str) -> _Written:
    placed = lay(Entry(segment.shot, segment.facts.frames) for segment in segments)
    joins = pairwise(zip(segments, placed, strict=True))
    changes = [p.start for (a, _), (b, p) in joins if a.facts.headers != b.facts.headers]
    written = _Written(placed, frozenset([0, *changes, placed[-1].start]))
    options = {"movflags": "faststart", "fflags": "+bitexact"}
    with av.open(f"file:{part}", "w", format="mp4", options=options) as film:
        if title:
            film.metadata["title"] = title
        splicer = _Splicer(film, segments, profile, written)
        for segment, place in zip(segments, placed, strict=True):
            splicer.join(segment, place)
        splicer.close()
    return written


class _Splicer:
    """Copies clips into a film, one after the other, and writes its sound beside them."""

    def __init__(
        self,
        film: OutputContainer,
        segments: Sequence[Segment],
        profile: Profile,
        written: _Written,
    ) -> None:
        everyone = [segment.facts for segment in segments]
        self.film, self.profile, self.written = film, profile, written
        self.delay = max(facts.reorder for facts in everyone)
        self.in_band = len({facts.headers for facts in everyone}) > 1
        self.picture = self._picture(segments)
        sound = profile.sound or any(facts.sound for facts in everyone)
        self.track = Track(film, "aac", profile.sample_rate) if sound else None

    def _picture(self, segments: Sequence[Segment]) -> VideoStream:
        first = segments[0].path
        with opened(first) as clip:
            stream = self.film.add_stream_from_template(picture_stream(clip, first))
        stream.time_base = 1 / timescale(self.profile.fps)
        if len({_colours(segment.facts) for segment in segments}) > 1:
            # the container's colours would overrule those that each clip brings in its packets
            context = stream.codec_context
            context.color_range = _UNKNOWN_RANGE
            context.colorspace = context.color_primaries = context.color_trc = _UNKNOWN
        return stream

    def join(self, segment: Segment, place: Placed) -> None:
        blocks = self._sound(segment, place)
        for at, packet in enumerate(self._packets(segment, place)):
            self.film.mux_one(packet)
            self._play(blocks, place.start + at)
        self._play(blocks, place.start + place.frames)

    def _packets(self, segment: Segment, place: Placed) -> Iterator[Packet]:
        """Copy the pictures of one segment, each with the film's own time."""
        before = self.written.frames
        base = 1 / timescale(self.profile.fps)
        tick = int(1 / (self.profile.fps * base))
        for at, (packet, shows) in enumerate(self._read(segment)):
            if shows + self.delay < at or at >= place.frames:
                raise _changed(segment)
            packet.stream, packet.time_base = self.picture, base
            packet.pts = (place.start + shows) * tick
            packet.dts = (place.start + at - self.delay) * tick
            packet.duration = tick
            self.written.note(packet, place.start + shows)
            yield packet
        if self.written.frames != before + place.frames:
            raise _changed(segment)

    def _read(self, segment: Segment) -> Iterator[tuple[Packet, int]]:
        """Read a segment's packets with the number of the frame that each shows."""
        with opened(segment.path) as clip:
            stream = picture_stream(clip, segment.path)
            header = stream.codec_context.extradata
            if fingerprint(header) != segment.facts.headers:
                raise _changed(segment)
            sets = in_band(header or b"") if self.in_band else b""
            tick = stream.time_base or Fraction(1)
            shows = frame_counter(tick, segment.facts.start, segment.facts.fps)
            with reading(segment.path):
                for packet in clip.demux(stream):
                    if packet.size:
                        yield _with(sets, packet), shows(packet.pts or 0)

    def _sound(self, segment: Segment, place: Placed) -> Iterator[Block]:
        samples = self._sample(place.start + place.frames) - self._sample(place.start)
        if not segment.facts.sound:
            return silence(samples)
        return heard(segment.path, segment.facts, self.profile.sample_rate, samples=samples)

    def _sample(self, frame: int) -> int:
        return sample_at(frame, self.profile.fps, self.profile.sample_rate)

    def _play(self, blocks: Iterator[Block], frame: int) -> None:
        """Write the sound up to a film frame, so that it lies in the file beside its picture."""
        if self.track:
            self.track.play(blocks, self._sample(frame))

    def close(self) -> None:
        if self.track:
            self.track.close()
            self.written.samples = self.track.samples


def _colours(facts: Facts) -> tuple[str, ...]:
    return (facts.range, facts.matrix, facts.primaries, facts.transfer)


def _with(sets: bytes, packet: Packet) -> Packet:
    if not (sets and packet.is_keyframe):
        return packet
    whole = av.Packet(sets + bytes(packet))
    whole.is_keyframe = True
    return whole


def _changed(segment: Segment) -> CutError:
    return CutError(
        f"Shot {segment.shot} cannot be spliced: {segment.path} is not the clip that was checked. "
        "Nothing paid for is lost; run the same command again."
    )


def _compare(part: Path, written: _Written, profile: Profile) -> None:
    try:
        whole = _same(_found(part, written, profile), written)
    except Spoiled:
        whole = False
    if not whole:
        raise CutError(
            "The film read back from the disk is not what was written. Nothing paid for is lost; "
            "run the same command again, and look at the disk if it happens twice."
        )


def _found(part: Path, written: _Written, profile: Profile) -> _Written:
    """Read the film back: every packet and its frame, and pictures where headers change."""
    found = _Written(written.placed, written.openings)
    with opened(part) as film, reading(part):
        stream = picture_stream(film, part)
        shows = frame_counter(stream.time_base or Fraction(1), Fraction(0), profile.fps)
        for packet in film.demux():
            if packet.stream.type == "audio":
                found.samples += packet.duration or 0
            elif packet.size:
                if found.frames in written.openings:
                    found.decoded += _decoded(stream, packet)
                found.note(packet, shows(packet.pts or 0))
        found.decoded += _decoded(stream, None)
    return found


def _decoded(stream: VideoStream, packet: Packet | None) -> int:
    return sum(not frame.is_corrupt for frame in stream.decode(packet))


def _same(found: _Written, written: _Written) -> bool:
    # an encoder of sound may pad its last packet
    padding = found.samples - written.samples
    pictures = (found.frames, found.pictures) == (written.frames, written.pictures)
    return pictures and found.decoded == len(written.openings) and 0 <= padding <= _PACKET
