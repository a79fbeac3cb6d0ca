"""Clips that match the film, joined by copying their packets, beside one continuous sound track."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import av

from secondunit.cut import Entry, Placed, frame_counter, lay, sample_at
from secondunit.durable import beside
from secondunit.errors import CutError, Spoiled
from secondunit.media.avc import fingerprint, in_band
from secondunit.media.facts import Facts, opened, picture_stream, reading
from secondunit.media.h264 import timescale
from secondunit.media.sound import CodedTrack
from secondunit.splice.chapters import UNTOLD, movie_clock, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.buffer import Buffer
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet as AnyPacket
    from av.stream import Stream
    from av.video.stream import VideoStream

    from secondunit.cut import Profile
    from secondunit.splice.chapters import About
    from secondunit.splice.soundtrack import Soundtrack

    Packet = AnyPacket[Stream] | AnyPacket[VideoStream]


# libavutil's words for "the packets know", of range and of primaries, transfer and matrix
_UNKNOWN_RANGE, _UNKNOWN = 0, 2

_PACKET = 4096
"""Samples that the film's first and last packets of sound may hold beyond what was played."""


@dataclass(frozen=True)
class Segment:
    """Frames of a clip that is already as the film needs it: conformed, or `matches`.

    They are `frames` from `first` on, None: to its end. Copying may begin only at one of the clip's
    `facts.starts`, and end only at one of its `facts.ends`.
    """

    shot: str
    path: Path
    facts: Facts
    first: int = 0
    frames: int | None = None

    @property
    def count(self) -> int:
        """How many frames it has."""
        return self.facts.frames - self.first if self.frames is None else self.frames


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


def splice(
    segments: Sequence[Segment],
    profile: Profile,
    out: Path,
    *,
    about: About = UNTOLD,
    placed: Sequence[Placed] = (),
    sound: Soundtrack | None = None,
) -> Film:
    """Join the segments in order into `out`; their pictures are copied, never encoded again.

    One segment is open at a time, so memory does not grow with the film. `sound` is as long as the
    pictures; without it the film has no sound track. Shots that are `placed` become chapters; left
    out, a shot is a segment. The film is read back and compared packet by packet before it takes the
    name `out`: until then whatever stood there stays. As every clip was strictly decoded when it was
    verified or conformed, that proves as much as decoding the whole film again, which would take
    minutes; a picture is decoded for every way in which headers change. Raises CutError for segments
    that do not fit, Spoiled, DiskTrouble.
    """
    if not segments:
        raise CutError("There are no clips to splice: every shot is omitted or failed.")
    for segment in segments:
        _refuse_misfit(segment, profile)
    with beside(out) as part:
        written = _write(part, segments, profile, _Extras(about, tuple(placed), sound))
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
        placed=tuple(placed) or written.placed,
    )


def _refuse_misfit(segment: Segment, profile: Profile) -> None:
    facts, last = segment.facts, segment.first + segment.count
    if not matches(facts, profile):
        raise CutError(
            f"Shot {segment.shot} cannot be spliced as it is: {segment.path} does not match "
            "the film. Conform it first; that costs nothing."
        )
    if segment.first not in facts.starts or last not in facts.ends or last <= segment.first:
        raise CutError(
            f"Shot {segment.shot} cannot be spliced from frame {segment.first} to {last} of "
            f"{segment.path}: other frames need to be decoded with them. Conform it first; that "
            "costs nothing."
        )


class _Extras(NamedTuple):
    """What comes into the film beside its pictures."""

    about: About
    chapters: tuple[Placed, ...]
    sound: Soundtrack | None


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


def _write(part: Path, segments: Sequence[Segment], profile: Profile, extras: _Extras) -> _Written:
    placed = lay(Entry(segment.shot, segment.count) for segment in segments)
    written = _Written(placed, _openings(segments, placed))
    options = {"movflags": "faststart", "fflags": "+bitexact"}
    options |= movie_clock(timescale(profile.fps))
    with av.open(f"file:{part}", "w", format="mp4", options=options) as film:
        tell(film, extras.about, extras.chapters, profile.fps)
        splicer = _Splicer(film, segments, profile, written, extras.sound)
        for segment, place in zip(segments, placed, strict=True):
            splicer.join(segment, place)
        splicer.close()
    return written


def _openings(segments: Sequence[Segment], placed: Sequence[Placed]) -> frozenset[int]:
    """Choose frames to decode: one for every way in which headers change, and at both ends."""
    joins = pairwise(zip(segments, placed, strict=True))
    changes = {(a.facts.headers, b.facts.headers): at.start for (a, _), (b, at) in joins}
    once = {start for (before, after), start in changes.items() if before != after}
    return frozenset({0, *once, placed[-1].start})


class _Splicer:
    """Copies clips into a film, one after the other, and writes its sound beside them."""

    def __init__(
        self,
        film: OutputContainer,
        segments: Sequence[Segment],
        profile: Profile,
        written: _Written,
        sound: Soundtrack | None,
    ) -> None:
        everyone = [segment.facts for segment in segments]
        self.film, self.profile, self.written = film, profile, written
        self.delay = max(facts.reorder for facts in everyone)
        self.in_band = len({facts.headers for facts in everyone}) > 1
        self.picture = self._picture(segments)
        self.track = CodedTrack(film, sound.packets(), sound.samples, sound.rate) if sound else None

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
        for at, packet in enumerate(self._packets(segment, place)):
            self.film.mux_one(packet)
            self._play(place.start + at + 1)

    def _packets(self, segment: Segment, place: Placed) -> Iterator[Packet]:
        """Copy the pictures of one segment, each with the film's own time."""
        before = self.written.frames
        base = 1 / timescale(self.profile.fps)
        tick = int(1 / (self.profile.fps * base))
        for at, (packet, shows) in enumerate(islice(self._read(segment), segment.frames)):
            if shows + self.delay < at or not 0 <= shows < place.frames > at:
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
        """Read a segment's packets with the number of the frame that each shows, from its first."""
        with opened(segment.path) as clip:
            stream = picture_stream(clip, segment.path)
            header = stream.codec_context.extradata
            if fingerprint(header) != segment.facts.headers:
                raise _changed(segment)
            sets = in_band(header or b"") if self.in_band else b""
            tick = stream.time_base or Fraction(1)
            shows = frame_counter(tick, segment.facts.start, segment.facts.fps)
            with reading(segment.path):
                _wind(clip, stream, segment)
                for packet in clip.demux(stream):
                    at = shows(packet.pts or 0) - segment.first
                    # what opens alone is decoded after all that is seen before it
                    if packet.size and at >= 0:
                        yield _with(sets, packet), at

    def _play(self, frame: int) -> None:
        """Write the sound up to a film frame, so that it lies in the file beside its picture."""
        if self.track:
            self.track.play(sample_at(frame, self.profile.fps, self.profile.sample_rate))

    def close(self) -> None:
        if self.track:
            self.track.close()
            self.written.samples = self.track.samples


def _wind(clip: InputContainer, stream: VideoStream, segment: Segment) -> None:
    """Go to a packet before the segment's first, and near it where the file has an index."""
    before = segment.first - segment.facts.reorder
    if before > 0 and segment.facts.container in ("mp4", "mov"):
        tick = stream.time_base or Fraction(1)
        clip.seek(int((segment.facts.start + before / segment.facts.fps) / tick), stream=stream)


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
    """Read the film back: every packet and its frame, and the pictures at the openings."""
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
