"""What stands in the film one after the other, shots and cards, and which frames of each are used."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from secondunit.cut import Trim, length, nearest, trimmed
from secondunit.cut.edit import CUT, OVERLAPPING, PLAIN
from secondunit.cut.timeline import Item, Words, lasts
from secondunit.errors import CutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction

    from secondunit.cut.edit import Card, Edit, Lettering, Transition


@dataclass(frozen=True)
class Used:
    """Of a clip that has `total` film frames at its speed, `count` from `first` on are used."""

    total: int
    first: int
    count: int


@dataclass(frozen=True)
class Slot:
    """A place in the film: that of the shot in the entry number `entry`, or of one of its `card`s.

    `into` leads to it from what stands before, `onto` from it to what comes next.
    """

    name: str
    entry: int
    card: Card | None
    edit: Edit
    into: Transition
    onto: Transition

    def item(self, used: Used, letterings: Iterable[Lettering], fps: Fraction) -> Item:
        """Return the item that it holds; `letterings` lie over it, none of them beyond its frames."""
        words = tuple(_words(used, lettering, fps) for lettering in letterings)
        shown = tuple(one for one in words if one.frames > 0)
        return Item(self.name, used.total, used.first, used.count, self.into, self.onto, shown)

    def handles(self, used: Used, fps: Fraction) -> tuple[int, int]:
        """Count the frames before and after the used ones that its transitions may take."""
        spare = used.total - used.first - used.count
        into, onto = (
            lasts(way, fps) if way.kind in OVERLAPPING else 0 for way in (self.into, self.onto)
        )
        return min(used.first, into // 2), min(spare, onto - onto // 2)


def slots(shots: Sequence[tuple[str, Edit]]) -> tuple[Slot, ...]:
    """Line up the shots, by name and edit in film order, each between its cards."""
    parts = list(chain.from_iterable(_parts(at, *shot) for at, shot in enumerate(shots)))
    out = shots[-1][1].out if shots else CUT
    ways = [*(part.into for part in parts), out]
    return tuple(
        Slot(part.name, part.entry, part.card, part.edit, into, onto)
        for part, (into, onto) in zip(parts, pairwise(ways), strict=True)
    )


def _parts(at: int, shot: str, edit: Edit) -> Iterator[Slot]:
    for card in edit.before:
        yield Slot(called(card), at, card, PLAIN, card.into, CUT)
    yield Slot(shot, at, None, edit, edit.into, CUT)
    for card in edit.after:
        yield Slot(called(card), at, card, PLAIN, card.into, CUT)


def called(card: Card) -> str:
    """Return what a card goes by: its words, in marks that tell it from a shot of that name."""
    words = " ".join(" ".join(card.lines).split())
    return f"“{words[:60]}”" if words else "A card"


def of_clip(shot: str, seconds: Fraction, fps: Fraction, trim: Trim, edit: Edit) -> Used:
    """Find the frames of a clip of so many `seconds` that a shot uses, at its speed.

    Trims and handles are in seconds of the clip. Raises CutError when no frame is left.
    """
    trimmed(length(seconds, fps), fps, trim)
    end = seconds if trim.end is None else min(trim.end, seconds)
    start, end = trim.start + edit.handles, end - edit.handles
    total = length(seconds / edit.speed, fps)
    first = min(nearest(start / edit.speed * fps), total - 1)
    count = min(nearest(end / edit.speed * fps), total) - first
    if count < 1 and edit.handles:
        raise CutError(
            f"Shot {shot} has {float(seconds):g} s, of which its `trim` and its `handles` of"
            f" {float(edit.handles):g} s at both ends leave no frame. Change them; it costs nothing."
        )
    return Used(total, first, max(1, count))


def of_card(card: Card, fps: Fraction) -> Used:
    """Count the frames of a card; all are used."""
    frames = length(card.seconds, fps)
    return Used(frames, 0, frames)


def _words(used: Used, lettering: Lettering, fps: Fraction) -> Words:
    """Find the frames of an item's file that words lie over.

    What is there from the first frame, or to the last, is there on the handles too: a transition
    shows them.
    """
    first = used.first + nearest(lettering.start * fps) if lettering.start else 0
    end = used.total
    if lettering.seconds is not None:
        after = nearest((lettering.start + lettering.seconds) * fps)
        end = min(used.first + after, used.first + used.count)
    return Words(lettering, first, end - first)
