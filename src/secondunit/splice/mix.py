"""The film's sound as one stream: what each shot is heard with, and what is laid under and over it.

Everything is placed by film frames, turned into samples from the start of the film, so that no
length of it drifts. Only what is heard at the moment is open, so memory does not grow with the film.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secondunit.cut import nearest, sample_at
from secondunit.errors import CutError
from secondunit.media.loudness import levels, measured
from secondunit.media.recordings import probe_sound, recorded
from secondunit.media.sound import heard
from secondunit.splice.voices import Speech, Voice, bus, eased, looped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from secondunit.cut.edit import Mix, Sound
    from secondunit.cut.timeline import Piece, Timeline
    from secondunit.media.facts import Facts
    from secondunit.media.sound import Block
    from secondunit.splice.voices import Span

_EDGE = Fraction(3, 1000)
"""Seconds over which a sound that is cut off in its middle comes and goes."""

_CROSS = Fraction(1, 20)
"""Seconds in which a sound that is repeated goes over into itself."""


@dataclass(frozen=True)
class Source:
    """The file that an item of the timeline shows, and the `gain` in dB of its sound; None: muted.

    Frame n of the item is frame n of the file. `sha256` names its bytes.
    """

    path: Path
    facts: Facts
    sha256: str
    gain: float | None = 0.0

    @property
    def sounds(self) -> bool:
        """Say whether anything is heard of it."""
        return self.facts.sound and self.gain is not None


@dataclass(frozen=True)
class Part:
    """What is heard of an item: film frames `start` … `stop`, from frame `first` of its file.

    It comes in over `rise` frames and goes over `fall`; where `crossed`, another item goes or comes
    in the same frames.
    """

    item: int
    first: int
    start: int
    stop: int
    rise: int = 0
    fall: int = 0
    rise_crossed: bool = False
    fall_crossed: bool = False


def sounds(sources: Sequence[Source], mix: Mix) -> bool:
    """Say whether there is anything to hear; a film of silence needs no track."""
    return bool(mix.sounds) or any(source.sounds for source in sources)


def mixed(
    timeline: Timeline, sources: Sequence[Source], mix: Mix, fps: Fraction, rate: int
) -> Iterator[Block]:
    """Yield the film's sound: stereo blocks of at most a tenth of a second, all its samples.

    `sources` are the files of the timeline's items. A film whose `mix` says nothing sounds as its
    clips do; where sounds are added or raised it keeps to the mix's peak, and to its loudness where
    one is asked for: then the sources are read twice. A sound that belongs to a shot which is not in
    the film is left out. Raises Spoiled, and CutError for a sound that begins behind its file's end.
    """
    score = Score(timeline, sources, mix, fps, rate)
    crossed = any(join.overlaps and join.frames for join in timeline.joins)
    if score.plain and not (crossed and any(map(too_loud, score.play()))):
        return score.play()
    return score.levelled()


def too_loud(block: Block) -> bool:
    """Say whether samples are beyond what a player can play, as where two loud shots cross."""
    return float(max(block.max(initial=0), -block.min(initial=0))) > 1


def parts(timeline: Timeline) -> tuple[Part, ...]:
    """Find what is heard of every item, in the order of the film."""
    found: dict[int, Part] = {}
    for piece in timeline.pieces:
        if piece.below:
            found[piece.below.item] = _below(found.get(piece.below.item), piece)
        if piece.above:
            found[piece.above.item] = _above(piece)
    return tuple(found[item] for item in sorted(found))


def _below(part: Part | None, piece: Piece) -> Part:
    assert piece.below  # noqa: S101  for the type checker
    stop = piece.start + piece.frames
    part = part or Part(piece.below.item, piece.below.first, piece.start, stop)
    ends = piece.transition.kind != "cut"
    return Part(
        part.item, part.first, part.start, stop, part.rise, piece.frames if ends else 0,
        part.rise_crossed, ends and piece.above is not None,
    )  # fmt: skip


def _above(piece: Piece) -> Part:
    assert piece.above  # noqa: S101  for the type checker
    stop = piece.start + piece.frames
    crossed = piece.below is not None
    return Part(
        piece.above.item, piece.above.first, piece.start, stop, piece.frames, rise_crossed=crossed
    )


class Score:
    """All voices of a film, laid out, to be played as often as needed; see `mixed`."""

    def __init__(
        self, timeline: Timeline, sources: Sequence[Source], mix: Mix, fps: Fraction, rate: int
    ) -> None:
        self._timeline, self._sources, self._fps, self._rate = timeline, sources, fps, rate
        self._mix = mix
        self.samples = self._sample(timeline.frames)
        self._edge = nearest(_EDGE * rate)
        self._parts = parts(timeline)
        self._clips = [self._clip(part) for part in self._parts]
        cuts = {self._sample(part.start) for part in self._parts if not part.rise}
        self._spans, self._cuts = self._grid(cuts)
        laid = [(sound.kind, self._laid(sound)) for sound in mix.sounds]
        self._speech = [voice for kind, voice in laid if voice and kind == "voice_over"]
        self._under = [voice for kind, voice in laid if voice and kind != "voice_over"]

    @property
    def plain(self) -> bool:
        """Say whether the film sounds as its clips do: nothing is added, raised or levelled."""
        raised = any((source.gain or 0) > 0 for source in self._sources)
        return not (self._mix.sounds or raised or self._mix.loudness is not None)

    def play(self) -> Iterator[Block]:
        """Yield the sum of all voices."""
        speech = None
        if self._speech and any(voice.ducked for voice in self._under):
            speech = Speech(bus(self._speech, self._spans), self._rate)
        clips = self._shots(self._spans, self._cuts)
        if not (self._speech or self._under):
            return clips
        sounds = bus([*self._speech, *self._under], self._spans, speech)
        return (clip + sound for clip, sound in zip(clips, sounds, strict=True))

    def levelled(self) -> Iterator[Block]:
        """Yield the same, at the loudness that is asked for, and nowhere above the peak."""
        programme = measured(self.play(), self._rate)
        return levels(programme, self._mix.loudness, self._mix.peak).applied(self.play())

    def stretch(self, first: int, last: int) -> Block:
        """Return what `play` yields of the samples `first` … `last` of a `plain` film."""
        near = first - 2 * self._edge  # what is before a cut is heard for a moment after it
        spans = [n for n, (at, stop) in enumerate(self._spans) if at < last and stop > near]
        here = slice(max(0, spans[0] - 1), spans[-1] + 1)
        begins = self._spans[here][0][0]
        blocks = list(self._shots(self._spans[here], self._cuts[here]))
        return np.concatenate(blocks, axis=1)[:, first - begins : last - begins]

    def told(self, first: int, last: int) -> list[Any]:
        """Say by what a `stretch` is given, JSON-like: the same is told of no other sound."""
        near = first - 2 * self._edge
        said: list[Any] = [str(self._fps), self._rate]
        for part, voice in zip(self._parts, self._clips, strict=True):
            if voice.start < last and voice.stop > near:
                source = self._sources[part.item]
                edges = _edges(voice, near, first, last)
                said += [source.sha256, source.gain, part.first, voice.start - first, *edges]
        return said

    def _shots(self, spans: Sequence[Span], cuts: Sequence[bool]) -> Iterator[Block]:
        pairs = zip(self._parts, self._clips, strict=True)
        voices = [voice for part, voice in pairs if self._sources[part.item].sounds]
        return eased(bus(voices, spans), cuts, self._edge)

    def _sample(self, frame: int) -> int:
        return sample_at(frame, self._fps, self._rate)

    def _grid(self, cuts: set[int]) -> tuple[list[Span], list[bool]]:
        """Divide the film into blocks, so that one begins on every hard cut."""
        borders = sorted({0, *cuts, self.samples})
        longest = self._rate // 10
        spans = [
            (at, min(at + longest, stop))
            for begins, stop in pairwise(borders)
            for at in range(begins, stop, longest)
        ]
        return spans, [at in cuts for at, _ in spans]

    def _clip(self, part: Part) -> Voice:
        source = self._sources[part.item]
        start, stop = self._sample(part.start), self._sample(part.stop)
        fall = stop - self._sample(part.stop - part.fall)
        if stop == self.samples:
            fall = max(fall, min(self._edge, stop - start))
        opened = partial(
            heard, source.path, source.facts, self._rate,
            since=part.first / self._fps, samples=stop - start,
        )  # fmt: skip
        return Voice(
            start, stop, opened, _factor(source.gain or 0),
            self._sample(part.start + part.rise) - start, fall,
            part.rise_crossed, part.fall_crossed,
        )  # fmt: skip

    def _laid(self, sound: Sound) -> Voice | None:
        """Place a sound; None where nothing of it is in the film."""
        shots = {placed.shot: placed.start for placed in self._timeline.placed}
        if sound.shot and sound.shot not in shots:
            return None
        start = self._sample(shots[sound.shot] if sound.shot else 0)
        start += nearest(sound.start * self._rate)
        ends = start + self._length(sound)
        stop = min(ends, self.samples)
        if sound.seconds is not None:
            stop = min(stop, start + nearest(sound.seconds * self._rate))
        if stop <= max(start, 0):
            return None
        opened = partial(recorded, Path(sound.path), self._rate, sound.since)
        if sound.loop:
            opened = partial(looped, opened, nearest(_CROSS * self._rate))
        rise = nearest(sound.fade_in * self._rate)
        fall = nearest(sound.fade_out * self._rate)
        return Voice(
            start, stop, opened, _factor(sound.gain),
            max(rise, self._edge if sound.since else 0),
            max(fall, self._edge if stop < ends else 0),
            ducked=sound.ducked,
        )  # fmt: skip

    def _length(self, sound: Sound) -> int:
        """Count the samples that a sound has to give: without end where it is repeated."""
        lasts = probe_sound(Path(sound.path)).seconds - sound.since
        if lasts <= 0:
            raise CutError(
                f"{sound.path} is {float(lasts + sound.since):.3g} s long, and is to be heard from "
                f"{float(sound.since):g} s on. Begin earlier in it; that costs nothing."
            )
        return sys.maxsize // 2 if sound.loop else nearest(lasts * self._rate)


def _edges(voice: Voice, near: int, first: int, last: int) -> list[int | None]:
    """Say how a voice comes in and goes, as far as that is heard between two samples."""
    said: list[int | None] = [None] * 5
    if voice.start + voice.rise > near:
        said[:2] = voice.rise, voice.rise_crossed
    if voice.stop - voice.fall < last:
        said[2:] = voice.stop - first, voice.fall, voice.fall_crossed
    return said


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))
