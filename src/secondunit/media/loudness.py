"""How loud a programme is, by ITU-R BS.1770-4, and the gain that makes it as loud as it should be.

A programme is measured once, as it streams by; what is kept of it are its loudness in steps of
10 ms and its true peak in steps of 1 ms. The gain, with all that a limiter does, follows from these
alone, so that a second pass only has to apply it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import av.filter
import numpy as np

from secondunit.cut import nearest
from secondunit.media.sound import frame_of, pulled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secondunit.media.sound import Block

Row = np.ndarray[tuple[int], np.dtype[np.float64]]
"""One number for each step of time."""

MOST_GAIN = 30.0
"""dB by which a programme is raised at the most, so that a quiet room does not become a storm."""

MOST_LIMITED = 15.0
"""dB that the limiter takes off the highest peak at the most; beyond, the programme stays softer."""

_NODES = 1000  # steps of true peak in a second
_INSIDE = 10  # of these in a step of loudness
_FINER = 4  # times the samples between which peaks may hide, BS.1770-4 annex 2
_AHEAD = 5  # ms in which the limiter closes before a peak
_OPENS = 20.0  # dB in a second
_NEAR = 0.02  # dB at which the search for a gain ends
_SAFE = 0.1  # dB between what is promised and what is aimed at


@dataclass(frozen=True)
class Measured:
    """A programme of `samples`, measured; `energies` are K-weighted, of both channels together."""

    rate: int
    samples: int
    energies: Row
    peaks: Row

    @property
    def loudness(self) -> float | None:
        """Integrated loudness in LUFS; None for silence and for less than 0.4 s."""
        return integrated(self.energies)

    @property
    def peak(self) -> float:
        """True peak in dBTP; minus infinity for silence."""
        return _decibels(float(self.peaks.max(initial=0.0)))


@dataclass(frozen=True)
class Levels:
    """The gain for every sample of a programme: `gain` in dB, less what the limiter takes away.

    `nodes` are the limiter's factors, one for every step of `step` samples, or empty.
    """

    gain: float = 0.0
    step: int = 1
    nodes: Row = field(default_factory=lambda: np.zeros(0))

    def applied(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield a programme at these levels."""
        factor = np.float32(10 ** (self.gain / 20))
        at = 0
        for block in blocks:
            yield block * factor * self._limited(at, block.shape[1])
            at += block.shape[1]

    def _limited(self, at: int, count: int) -> Any:
        first, last = at // self.step, (at + count) // self.step + 2
        if not len(self.nodes) or self.nodes[first:last].min(initial=1.0) == 1.0:
            return np.float32(1)
        where = np.arange(at, at + count) / self.step
        near = np.arange(first, min(last, len(self.nodes)))
        return np.interp(where, near, self.nodes[first:last]).astype(np.float32)


def measured(blocks: Iterator[Block], rate: int) -> Measured:
    """Measure a programme; a minute takes a processor half a second, and memory stays small."""
    node = _node(rate)
    step = node * _INSIDE
    heard, finer = _weighting(rate), av.AudioResampler("fltp", "stereo", rate * _FINER)
    energies, peaks, between = Steps(step, energy), Steps(node, _peak), Steps(node * _FINER, _peak)
    samples = 0
    for block in blocks:
        frame = frame_of(block, rate, samples)
        samples += block.shape[1]
        peaks.take(block)
        heard.push(frame)
        for weighted in pulled(heard):
            energies.take(weighted)
        for piece in finer.resample(frame):
            between.take(piece.to_ndarray())
    heard.push(None)
    for weighted in pulled(heard):
        energies.take(weighted)
    for piece in finer.resample(None):
        between.take(piece.to_ndarray())
    nodes = -(-samples // node)
    highest = np.maximum(peaks.row(nodes), between.row(nodes))
    return Measured(rate, samples, energies.row(-(-samples // step)) / step, highest)


def integrated(energies: Row) -> float | None:
    """Find the gated loudness in LUFS of K-weighted energies in steps of 10 ms; None: too little."""
    tenths = energies[: len(energies) // 10 * 10].reshape(-1, 10).mean(axis=1)
    if len(tenths) < 4:
        return None
    blocks = np.lib.stride_tricks.sliding_window_view(tenths, 4).mean(axis=1)
    loud = blocks[blocks > _power(-70)]
    if not len(loud):
        return None
    gated = loud[loud > loud.mean() * 10 ** (-10 / 10)]
    return -0.691 + 10 * math.log10(float(gated.mean()))


def levels(programme: Measured, target: float | None, peak: float) -> Levels:
    """Find the gain that brings a programme to `target` LUFS with its true peak at most `peak` dBTP.

    Silence, and what is too short to be measured, is only limited, as everything is where `target`
    is None. What is limited loses loudness, which is made up for until both are right.
    """
    now = programme.loudness
    step = _node(programme.rate)
    if target is None or now is None:
        return Levels(0.0, step, _limiter(programme, 0.0, peak))
    most = min(MOST_GAIN, peak - programme.peak + MOST_LIMITED)
    gain = min(target - now, most)
    for _ in range(20):
        nodes = _limiter(programme, gain, peak)
        reached = integrated(programme.energies * _squared(nodes, programme)) if len(nodes) else now
        missing = min(target - gain - (now if reached is None else reached), most - gain)
        if abs(missing) < _NEAR:
            break
        gain += missing
    return Levels(gain, step, _limiter(programme, gain, peak))


def _limiter(programme: Measured, gain: float, peak: float) -> Row:
    """Find the limiter's factors at the borders of all steps; empty where it has nothing to do.

    In dB, from what each step needs: it opens slowly, closes ahead of time, and is rounded off by a
    mean over what it looks ahead, which never lets it open further than a step can bear.
    """
    excess = gain - peak + _SAFE
    if programme.peak + excess <= 0:
        return np.zeros(0)
    needs = np.maximum(0.0, 20 * np.log10(np.maximum(programme.peaks, 1e-9)) + excess)
    # a peak between samples is made of those around it, which have to be held down with it
    nodes = _greatest(np.concatenate([np.zeros(2), needs, np.zeros(1)]), 3)[: len(needs) + 1]
    slope = np.arange(len(nodes)) * (_OPENS / _NODES)
    held = np.maximum(0.0, np.maximum.accumulate(nodes + slope) - slope)
    ahead = _greatest(held, _AHEAD)
    window = np.ones(_AHEAD + 1) / (_AHEAD + 1)
    past = np.concatenate([np.repeat(ahead[:1], _AHEAD), ahead])
    return cast("Row", 10 ** (-np.convolve(past, window, "valid") / 20))


def _greatest(row: Row, ahead: int) -> Row:
    """Return for each step the greatest of it and of so many that follow."""
    padded = np.append(row, np.zeros(ahead))
    return cast("Row", np.lib.stride_tricks.sliding_window_view(padded, ahead + 1).max(axis=1))


def _squared(nodes: Row, programme: Measured) -> Row:
    """Return the mean power factor of the limiter in each step of loudness."""
    power = (nodes[:-1] ** 2 + nodes[1:] ** 2) / 2
    count = len(programme.energies) * _INSIDE
    padded = np.append(power, np.ones(max(0, count - len(power))))
    return cast("Row", padded[:count].reshape(-1, _INSIDE).mean(axis=1))


def _node(rate: int) -> int:
    """Count the samples in a step of true peak."""
    return nearest(Fraction(rate, _NODES))


class Steps:
    """A stream of samples turned into one number for each step of so many."""

    def __init__(self, size: int, number: Any) -> None:
        self._size, self._number = size, number
        self._rest: Any = np.zeros((2, 0), np.float32)
        self._rows: list[Any] = []

    def take(self, block: Any) -> None:
        """Take the samples that follow."""
        whole = np.concatenate([self._rest, block], axis=1) if self._rest.shape[1] else block
        steps = whole.shape[1] // self._size
        used = whole[:, : steps * self._size]
        if steps:
            self._rows.append(self._number(used.reshape(2, steps, self._size)))
        self._rest = whole[:, steps * self._size :]

    def row(self, steps: int | None = None) -> Row:
        """Return the numbers so far, of exactly so many steps; the last one may be short."""
        if self._rest.shape[1]:
            self._rows.append(self._number(self._rest.reshape(2, 1, -1)))
        found = np.concatenate([*self._rows, np.zeros(steps or 0)])
        return cast("Row", found[:steps].astype(np.float64))


def energy(steps: Any) -> Any:
    """Add up the squares of both channels in each step."""
    return np.einsum("cks,cks->k", steps, steps)


def _peak(steps: Any) -> Any:
    return np.maximum(steps.max(axis=(0, 2)), -steps.min(axis=(0, 2)))


def _weighting(rate: int) -> av.filter.Graph:
    """Make the K-weighting: a shelf for the head, and a high pass."""
    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(format="fltp", sample_rate=rate, layout="stereo")]
    nodes.append(graph.add("aformat", "sample_fmts=dblp"))
    nodes += [graph.add("biquad", terms) for terms in (_shelf(rate), _high_pass(rate))]
    graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
    return graph


def _shelf(rate: int) -> str:
    # BS.1770-4 gives coefficients for 48 kHz alone; these are of the analogue filter behind them
    corner, quality = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    damped, square = corner / quality, corner * corner
    return _terms(
        (high + band * damped + square, 2 * (square - high), high - band * damped + square),
        (1 + damped + square, 2 * (square - 1), 1 - damped + square),
    )


def _high_pass(rate: int) -> str:
    corner, quality = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    damped, square = corner / quality, corner * corner
    scale = 1 + damped + square  # its numerator is 1, −2, 1 as it stands
    return _terms((scale, -2 * scale, scale), (scale, 2 * (square - 1), 1 - damped + square))


def _terms(above: tuple[float, ...], below: tuple[float, ...]) -> str:
    named = [f"b{n}={term!r}" for n, term in enumerate(above)]
    return ":".join([*named, *(f"a{n}={term!r}" for n, term in enumerate(below))])


def _power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude else -math.inf
