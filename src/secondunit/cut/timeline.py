"""The cut in frames: what is seen in every frame of the film, and from which frames of which clip.

An item is a shot's clip or a card, as a file of the film's own size and rate. Every item can be
looked at alone: what a transition takes of it follows from it and its two neighbours, so that a
span can be made as soon as these are there, wherever in the film it comes to lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from secondunit.cut import Placed, nearest
from secondunit.cut.edit import CUT, OVERLAPPING, Transition
from secondunit.errors import CutError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from secondunit.cut.edit import Lettering


@dataclass(frozen=True)
class Words:
    """Lettering over the frames `first` … `first + frames` of an item's file."""

    lettering: Lettering
    first: int
    frames: int


@dataclass(frozen=True)
class Item:
    """A shot's clip or a card: `total` frames in its file, of which `count` from `first` are used.

    Frames before and after the used ones are handles. `into` leads to it from the item before,
    `onto` from it to the next; at the film's two ends both are CUT or a fade.
    """

    name: str
    total: int
    first: int
    count: int
    into: Transition = CUT
    onto: Transition = CUT
    words: tuple[Words, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 1 or self.first < 0 or self.first + self.count > self.total:
            raise CutError(f"Shot {self.name} has no frames to cut in; look at its `trim`.")


@dataclass(frozen=True)
class Join:
    """How one item gives way to the next: `frames` of both at once, or one after the other.

    `out` and `into` are taken from the used frames of the first and the second, `tail` and `head`
    from their handles. Of an overlap `frames == out + tail == head + into`; of a fade
    `frames == out + into`, and there are no handles in it.
    """

    transition: Transition
    out: int = 0
    tail: int = 0
    head: int = 0
    into: int = 0

    @property
    def overlaps(self) -> bool:
        """Say whether both items are seen at once."""
        return self.transition.kind in OVERLAPPING

    @property
    def frames(self) -> int:
        """For how many film frames it lasts."""
        return self.out + self.tail if self.overlaps else self.out + self.into

    @property
    def cost(self) -> int:
        """By how many frames the film is shorter for it."""
        return self.frames - self.tail - self.head if self.overlaps else 0


@dataclass(frozen=True)
class Show:
    """Frames of an item's file in order: which item, and the first of them."""

    item: int
    first: int


@dataclass(frozen=True)
class Piece:
    """Consecutive film frames that are made in one way.

    `below` alone: that item's frames. With `above`, frame k of the piece shows both in the state
    `at + k` of `of` of the `transition`. A fade has one item: its half to the colour (`below`) or
    from it (`above`).
    """

    start: int
    frames: int
    below: Show | None
    above: Show | None = None
    transition: Transition = CUT
    at: int = 0
    of: int = 0


@dataclass(frozen=True)
class Timeline:
    """A film: its pieces in order, without a gap, and where every item is first seen."""

    pieces: tuple[Piece, ...]
    placed: tuple[Placed, ...]
    joins: tuple[Join, ...]

    @property
    def frames(self) -> int:
        """How long the film is."""
        return self.pieces[-1].start + self.pieces[-1].frames


def lasts(transition: Transition, fps: Fraction) -> int:
    """Count the frames of a transition: none for a cut, else at least one."""
    return 0 if transition.kind == "cut" else max(1, nearest(transition.seconds * fps))


def join(before: Item | None, after: Item | None, fps: Fraction) -> Join:
    """Find what a transition takes of its two items; None stands for the film's beginning or end.

    It has as many frames as was asked for, or as the items can give: two transitions share a shot
    that is too short for both in proportion to what they want of it.
    """
    transition = after.into if after else before.onto if before else CUT
    wanted = lasts(transition, fps)
    if not wanted:
        return Join(transition)
    if transition.kind not in OVERLAPPING:
        out = _room(before, fps)[1] if before else 0
        into = _room(after, fps)[0] if after else 0
        return Join(transition, out=out, into=into)
    if before is None or after is None:
        return Join(CUT)
    most = _room(before, fps)[1], _room(after, fps)[0]
    shares = (_shared(frames, before, after) for frames in range(wanted, 0, -1))
    fitting = (s for s in shares if s.out <= most[0] and s.into <= most[1])
    return next(fitting, Join(CUT))


def _shared(frames: int, before: Item, after: Item) -> Join:
    """Take half of an overlap from the handles of either item, as far as there are any."""
    tail = min(frames - frames // 2, before.total - before.first - before.count)
    head = min(frames // 2, after.first)
    return Join(after.into, out=frames - tail, tail=tail, head=head, into=frames - head)


def _room(item: Item, fps: Fraction) -> tuple[int, int]:
    """Share an item's used frames between the transitions at its beginning and its end."""
    into, out = lasts(item.into, fps), lasts(item.onto, fps)
    if item.into.kind in OVERLAPPING:
        into -= min(into // 2, item.first)
    if item.onto.kind in OVERLAPPING:
        out -= min(out - out // 2, item.total - item.first - item.count)
    if into + out <= item.count:
        return into, out
    into = item.count * into // (into + out)
    return into, item.count - into


def timeline(items: Sequence[Item], fps: Fraction) -> Timeline:
    """Lay out the film. Raises CutError when there is nothing to lay out."""
    if not items:
        raise CutError("There are no clips to splice: every shot is omitted or failed.")
    opening, ending = join(None, items[0], fps), join(items[-1], None, fps)
    between = [join(a, b, fps) for a, b in pairwise(items)]
    laid: list[Piece] = []
    placed: list[Placed] = []
    start = 0
    for at, (ahead, behind) in enumerate(pairwise([opening, *between, ending])):
        begins = start
        for piece in _pieces(items, at, ahead, behind, start):
            laid.append(piece)
            start = piece.start + piece.frames
        # an overlap was laid with the item before, where this one is first seen
        shown = ahead.frames if ahead.overlaps else 0
        placed.append(Placed(items[at].name, begins - shown, start - begins + shown))
    return Timeline(tuple(laid), tuple(placed), tuple(between))


def _pieces(
    items: Sequence[Item], at: int, ahead: Join, behind: Join, start: int
) -> Iterator[Piece]:
    """Yield an item's pieces: what it fades from, itself, and what leads from it to the next."""
    item = items[at]
    last = item.first + item.count
    if ahead.into and not ahead.overlaps:
        yield Piece(
            start, ahead.into, None, Show(at, item.first), ahead.transition,
            ahead.out, ahead.frames,
        )  # fmt: skip
        start += ahead.into
    body = item.count - ahead.into - behind.out
    if body:
        yield Piece(start, body, Show(at, item.first + ahead.into))
        start += body
    if behind.overlaps and behind.frames:
        above = Show(at + 1, items[at + 1].first - behind.head)
        yield Piece(
            start, behind.frames, Show(at, last - behind.out), above, behind.transition,
            0, behind.frames,
        )  # fmt: skip
    elif behind.out:
        yield Piece(
            start, behind.out, Show(at, last - behind.out), None, behind.transition,
            0, behind.frames,
        )  # fmt: skip
