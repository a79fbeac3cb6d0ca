"""The cut as arithmetic: what the film is, which frames of each clip it uses, and where."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from secondunit.errors import CutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True)
class Profile:
    """What every frame of the film is: size in pixels, frames a second, sound in samples a second.

    `sound` asks for a sound track even when no clip brings one. Width and height are even and
    positive, because the film's pixel format shares one colour sample between four pixels.
    """

    width: int
    height: int
    fps: Fraction
    sample_rate: int = 48000
    sound: bool = False

    def __post_init__(self) -> None:
        if self.width < 2 or self.height < 2 or self.width % 2 or self.height % 2:
            raise CutError(
                f"A film of {self.width}×{self.height} pixels cannot be made: "
                "width and height must be even and at least 2. Change the film's ratio."
            )
        if self.fps <= 0 or self.sample_rate <= 0:
            raise CutError(
                f"A film of {self.fps} frames and {self.sample_rate} samples a second cannot be "
                "made: both must be above 0. Change the film's fps."
            )


@dataclass(frozen=True)
class Trim:
    """The part of a clip that is used, in seconds from its first frame; no `end`: to its last."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None


WHOLE = Trim()
"""No trim: all of a clip is used."""


@dataclass(frozen=True)
class Entry:
    """One line of the cut: a shot and how many frames of its conformed clip are used."""

    shot: str
    frames: int


@dataclass(frozen=True)
class Placed:
    """A shot in the film: its first film frame, counted from 0, and its length in frames."""

    shot: str
    start: int
    frames: int


def lay(entries: Iterable[Entry]) -> tuple[Placed, ...]:
    """Lay the clips end to end; each begins on the frame after the one before it ends.

    Raises CutError for a clip without a frame.
    """
    placed = []
    start = 0
    for entry in entries:
        if entry.frames < 1:
            raise CutError(f"Shot {entry.shot} has no frames to cut in; look at its `trim`.")
        placed.append(Placed(entry.shot, start, entry.frames))
        start += entry.frames
    return tuple(placed)


def total(entries: Iterable[Entry]) -> int:
    """Count the film's frames."""
    return sum(entry.frames for entry in entries)


def nearest(value: Fraction) -> int:
    """Round to the nearest whole number, halves upwards."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def length(seconds: Fraction, fps: Fraction) -> int:
    """Count the frames that so many seconds fill at `fps`: the nearest number, at least one."""
    return max(1, nearest(seconds * fps))


def sample_at(frame: int, fps: Fraction, sample_rate: int) -> int:
    """Find the sample that sounds as a film frame appears.

    Every join is placed by this from the start of the film, so rounding never adds up.
    """
    return nearest(Fraction(frame * sample_rate) / fps)


def frame_counter(tick: Fraction, start: Fraction, fps: Fraction) -> Callable[[int], int]:
    """Make the function that tells which frame is shown at a time given in whole ticks.

    `tick` and `start`, the time of frame 0, are in seconds; times are moved to the nearest frame.
    Whole numbers only, because a film asks it thousands of times.
    """
    step, offset = tick * fps, start * fps
    scale = 2 * step.denominator * offset.denominator
    slope = 2 * step.numerator * offset.denominator
    shift = scale // 2 - 2 * offset.numerator * step.denominator
    return lambda ticks: (ticks * slope + shift) // scale


def trimmed(frames: int, fps: Fraction, trim: Trim) -> tuple[int, int]:
    """Turn a trim into (first frame, how many frames) of a clip of `frames` at `fps`.

    Points in time are moved to the nearest frame. Raises CutError when nothing is left, or when
    the trim asks for more than one frame beyond the end of the clip.
    """
    seconds = Fraction(frames) / fps
    first = nearest(trim.start * fps)
    last = frames if trim.end is None else nearest(trim.end * fps)
    if first < 0 or last > frames + 1 or first >= frames:
        asked = f"{float(trim.start):g}–{'end' if trim.end is None else f'{float(trim.end):g}'} s"
        raise CutError(
            f"The trim {asked} reaches outside the clip, which is {float(seconds):g} s long. "
            "Change `trim`; it costs nothing."
        )
    last = min(last, frames)
    if last <= first:
        raise CutError(
            f"The trim {float(trim.start):g}–{float(trim.end or seconds):g} s leaves no frame "
            f"at {float(fps):g} frames a second. Change `trim`; it costs nothing."
        )
    return first, last - first
