"""Sounds that play at their time, added up as they go; those that are not heard are not open."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from secondunit.media.loudness import Steps, energy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from secondunit.media.loudness import Row
    from secondunit.media.sound import Block

Span = tuple[int, int]
"""The film's samples from the first to just before the second."""

_NOTHING: Block = np.zeros((2, 0), np.float32)
_CHUNK = 48_000  # samples
_HOPS = 100  # steps in a second at which it is looked whether somebody speaks
_FAINT = 1e-3  # of the square root of a hop's power: −60 dBFS, below which nobody speaks
_UNDER = 1e-2  # of the loudest hop: −40 dB, below which it is the room
_CLOSES, _STAYS, _OPENS = 0.2, 0.3, 0.6  # seconds: before speech, after it, and back to full


@dataclass(frozen=True)
class Voice:
    """One sound in the film: from sample `start` to just before `stop`, by what `opened` yields.

    Of one that starts before the film, that much is not heard. `gain` is a factor. It comes in over
    `rise` samples and goes over `fall`; where `crossed`, so that the power of two such voices adds
    up to that of one. `ducked` is in dB.
    """

    start: int
    stop: int
    opened: Callable[[], Iterator[Block]]
    gain: float = 1.0
    rise: int = 0
    fall: int = 0
    rise_crossed: bool = False
    fall_crossed: bool = False
    ducked: float = 0.0

    def level(self, at: int, stop: int) -> Any:
        """Return the factor of each of the film's samples `at` … `stop`, or one for all of them."""
        level = np.float32(self.gain)
        if at < self.start + self.rise:
            level = level * _ramp(at - self.start, stop - self.start, self.rise, self.rise_crossed)
        if stop > self.stop - self.fall:
            away = _ramp(self.stop - stop, self.stop - at, self.fall, self.fall_crossed)
            level = level * away[::-1]
        return level


def _ramp(at: int, stop: int, length: int, crossed: bool) -> Any:
    share = np.clip((np.arange(at, stop) + 0.5) / length, 0, 1) * (np.pi / 2)
    return (np.sin(share) if crossed else np.sin(share) ** 2).astype(np.float32)


def bus(
    voices: Sequence[Voice], spans: Sequence[Span], speech: Speech | None = None
) -> Iterator[Block]:
    """Yield the sum of all voices, a block for each of consecutive spans; some give way to speech."""
    first = spans[0][0] if spans else 0
    later = [voice for voice in voices if voice.stop > first]
    waiting = deque(sorted(later, key=lambda voice: voice.start))
    playing: list[_Playing] = []
    for at, stop in spans:
        while waiting and waiting[0].start < stop:
            playing.append(_Playing(waiting.popleft(), at))
        block = np.zeros((2, stop - at), np.float32)
        for one in playing:
            one.add_to(block, at, stop, speech)
        playing = [one for one in playing if one.voice.stop > stop]
        yield block


class _Playing:
    """A voice that is being heard, and read in step with the film."""

    def __init__(self, voice: Voice, at: int) -> None:
        self.voice = voice
        self._reader = Reader(voice.opened())
        for begins in range(voice.start, at, _CHUNK):
            self._reader.read(min(_CHUNK, at - begins))

    def add_to(self, block: Block, at: int, stop: int, speech: Speech | None) -> None:
        first, last = max(at, self.voice.start), min(stop, self.voice.stop)
        if last <= first:
            return
        level = self.voice.level(first, last)
        if speech and self.voice.ducked:
            level = level * speech.yielding(first, last, self.voice.ducked)
        heard = self._reader.read(last - first)
        if np.ndim(level):
            level = level[: heard.shape[1]]
        block[:, first - at : first - at + heard.shape[1]] += heard * level


class Reader:
    """Blocks of any length, read in others."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest = _NOTHING

    def read(self, count: int) -> Block:
        """Return so many samples, or what there still is."""
        found, missing = [self._rest], count - self._rest.shape[1]
        while missing > 0 and (block := next(self._blocks, None)) is not None:
            found.append(block)
            missing -= block.shape[1]
        whole = np.concatenate(found, axis=1) if len(found) > 1 else found[0]
        self._rest = whole[:, count:]
        return whole[:, :count]

    def __iter__(self) -> Iterator[Block]:
        """Yield what has not been read."""
        rest, self._rest = self._rest, _NOTHING
        yield rest
        yield from self._blocks


def eased(blocks: Iterator[Block], cuts: Sequence[bool], longest: int) -> Iterator[Block]:
    """Yield blocks without the clicks of hard cuts; `cuts` says of each whether it begins on one.

    Where the sound jumps further than it does of itself on either side, what was heard last is heard
    backwards and fades away over `longest` samples, while what comes next fades in. A cut through
    one continuous sound is left as it is.
    """
    tail = np.zeros((2, longest), np.float32)
    for block, cut in zip(blocks, cuts, strict=True):
        width = min(longest, block.shape[1])
        if cut and _jumps(tail, block[:, :width]):
            ramp = _ramp(0, width, width, crossed=False)
            block[:, :width] *= ramp
            block[:, :width] += tail[:, : -width - 1 : -1] * (1 - ramp)
        tail = np.concatenate([tail, block[:, -longest:]], axis=1)[:, -longest:]
        yield block


def _jumps(tail: Block, head: Block) -> bool:
    step = np.abs(head[:, 0] - tail[:, -1])
    own = np.minimum(_steepest(tail), _steepest(head))
    return bool((step > 2 * own + 1e-4).any())


def _steepest(block: Block) -> Any:
    return np.abs(np.diff(block, axis=1)).max(axis=1, initial=0.0)


def looped(opened: Callable[[], Iterator[Block]], cross: int) -> Iterator[Block]:
    """Repeat a sound for ever; its end goes over into its beginning within `cross` samples.

    One that is too short for this is repeated as it is, an empty one not at all.
    """
    tail = _NOTHING
    while True:
        reader = Reader(opened())
        head = reader.read(cross)
        if not head.shape[1]:
            return
        width = min(tail.shape[1], head.shape[1])
        ramp = _ramp(0, width, width, crossed=True)
        yield head[:, :width] * ramp + tail[:, :width] * ramp[::-1]
        yield head[:, width:]
        tail = _NOTHING
        for block in reader:
            tail = np.concatenate([tail, block], axis=1)
            if tail.shape[1] > cross:
                yield tail[:, :-cross]
                tail = tail[:, -cross:]


class Speech:
    """When somebody speaks in a film, and how everything else gives way to it.

    It has given way as the speech begins, and comes back when nothing was said for a while.
    """

    def __init__(self, blocks: Iterator[Block], rate: int) -> None:
        """Listen to the voices alone, of the whole film."""
        self._hop = max(1, rate // _HOPS)
        powers = Steps(self._hop, energy)
        for block in blocks:
            powers.take(block)
        self._shares = _shares(powers.row() / self._hop)

    def yielding(self, at: int, stop: int, ducked: float) -> Any:
        """Return the factors of the film's samples `at` … `stop`, or one for all of them."""
        first, last = at // self._hop, stop // self._hop + 2
        shares = self._shares[first:last]
        if not shares.any():
            return np.float32(1)
        where = np.arange(at, stop) / self._hop
        exact = np.interp(where, np.arange(first, first + len(shares)), shares)
        return (10 ** (-ducked / 20 * exact)).astype(np.float32)


def _shares(powers: Row) -> Row:
    """Return for every hop by which share to give way: 0 … 1, as slow as ears like it."""
    loud = powers > max(_FAINT**2, float(powers.max(initial=0.0)) * _UNDER**2)
    hops = np.arange(len(powers), dtype=float)
    since = hops - np.maximum.accumulate(np.where(loud, hops, -np.inf))
    until = np.minimum.accumulate(np.where(loud, hops, np.inf)[::-1])[::-1] - hops
    before = 1 - (until - 1) / (_CLOSES * _HOPS)
    after = 1 - (since - 1 - _STAYS * _HOPS) / (_OPENS * _HOPS)
    share = np.clip(np.maximum(before, after), 0, 1)
    return cast("Row", share * share * (3 - 2 * share))  # smooth at both ends
