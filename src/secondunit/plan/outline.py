"""The film before it is made: how long it will be, and what its transitions take of its shots."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from secondunit.cut.edit import OVERLAPPING
from secondunit.cut.sequence import Used, of_card, of_clip, slots
from secondunit.cut.timeline import Item, join, lasts, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from secondunit.cut.sequence import Slot
    from secondunit.plan import CutEntry, Plan


@dataclass(frozen=True)
class Outline:
    """What a film comes to, in frames; `kinds` counts its transitions, cuts left out.

    Lengths are those that were ordered; `frames`, `shot_frames` and `cost` are None where the length
    of some clip is known only once it is there.
    """

    shots: int
    cards: int
    card_frames: int
    kinds: Mapping[str, int]
    frames: int | None = None
    shot_frames: int | None = None
    cost: int | None = None
    """By how many frames overlaps make the film shorter than its shots and cards, see `cost`."""


def exact(seconds: float) -> Fraction:
    """Return seconds as they were written, rather than as a binary number comes near to them."""
    return Fraction(seconds).limit_denominator(100_000)


def expected(
    entries: Sequence[CutEntry], seconds: Mapping[str, float | None], fps: Fraction
) -> tuple[tuple[Slot, ...], tuple[Item, ...]] | None:
    """Lay out a film of clips that last so many `seconds`, by key; None where one is not known.

    Raises CutError where a shot has no frame left.
    """
    line = slots([(entry.shot, entry.edit) for entry in entries])
    items = []
    for slot in line:
        entry = entries[slot.entry]
        used = _used(slot, entry, seconds.get(entry.key), fps)
        if used is None:
            return None
        items.append(slot.item(used, (), fps))
    return line, tuple(items)


def _used(slot: Slot, entry: CutEntry, seconds: float | None, fps: Fraction) -> Used | None:
    if slot.card:
        return of_card(slot.card, fps)
    if seconds is None:
        return None
    return of_clip(entry.shot, exact(seconds), fps, entry.trim, entry.edit)


def lacking(ahead: Item | None, behind: Item | None, fps: Fraction) -> tuple[int, int] | None:
    """Return (frames wanted, frames there are) of a transition that is cut short, else None."""
    transition = behind.into if behind else ahead.onto if ahead else None
    if transition is None:
        return None
    wanted, found = lasts(transition, fps), join(ahead, behind, fps)
    if transition.kind in OVERLAPPING:
        there = found.frames
    else:
        there = min([found.out] * bool(ahead) + [found.into] * bool(behind))
    return (wanted, there) if there < wanted else None


def costs(items: Sequence[Item], fps: Fraction) -> tuple[int, ...]:
    """Return by how many frames each transition between two items makes the film shorter.

    One frame is none: it is the odd one of handles that were rounded.
    """
    found = (join(ahead, behind, fps).cost for ahead, behind in pairwise(items))
    return tuple(cost if cost > 1 else 0 for cost in found)


def outline(plan: Plan) -> Outline:
    """Return what the film of a plan comes to."""
    fps = plan.profile.fps
    line = slots([(entry.shot, entry.edit) for entry in plan.cut])
    cards = [of_card(slot.card, fps).count for slot in line if slot.card]
    ways = [*(slot.into for slot in line), line[-1].onto] if line else []
    kinds = Counter(way.kind for way in ways if way.kind != "cut")
    known = Outline(len(plan.cut), len(cards), sum(cards), kinds)
    laid = expected(plan.cut, {step.key: step.seconds for step in plan.steps}, fps)
    if laid is None or not laid[1]:
        return known
    items = laid[1]
    return Outline(
        known.shots, known.cards, known.card_frames, kinds,
        frames=timeline(items, fps).frames,
        shot_frames=sum(item.count for item in items) - known.card_frames,
        cost=sum(costs(items, fps)),
    )  # fmt: skip
