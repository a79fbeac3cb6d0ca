"""The cut in frames: whatever is asked of the items, every film frame is accounted for."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondunit.cut import Placed
from secondunit.cut.edit import CUT, OVERLAPPING, TRANSITIONS, Transition
from secondunit.cut.timeline import Item, Piece, Show, Timeline, join, timeline
from secondunit.errors import CutError

FPS = Fraction(24)


def transition(kind: str, frames: int) -> Transition:
    return CUT if kind == "cut" else Transition(kind, frames / FPS)


def transitions(*kinds: str) -> st.SearchStrategy[Transition]:
    return st.builds(transition, st.sampled_from(kinds), st.integers(1, 80))


@st.composite
def films(draw: st.DrawFn) -> list[Item]:
    """Items of any length and handles, with any transitions between them."""
    count = draw(st.integers(1, 6))
    ends = transitions("cut", "fade")
    between = [draw(transitions(*TRANSITIONS)) for _ in range(count - 1)]
    leads = [draw(ends), *between, draw(ends)]
    items = []
    for number, (into, onto) in enumerate(pairwise(leads)):
        used = draw(st.integers(1, 60))
        first, spare = draw(st.integers(0, 20)), draw(st.integers(0, 20))
        items.append(Item(f"sh{number}", first + used + spare, first, used, into, onto))
    return items


def shows(film: Timeline, item: int) -> list[int]:
    """Every frame of an item's file that is seen, in the film's order."""
    return [s for p in film.pieces for s in _frames(p.below, p, item) + _frames(p.above, p, item)]


def _frames(show: Show | None, piece: Piece, item: int) -> list[int]:
    if show is None or show.item != item:
        return []
    return list(range(show.first, show.first + piece.frames))


@given(films())
def test_pieces_lie_end_to_end_and_show_frames_that_are_there(items: list[Item]) -> None:
    film = timeline(items, FPS)
    start = 0
    for piece in film.pieces:
        assert piece.start == start
        assert piece.frames > 0
        assert piece.below or piece.above
        assert piece.at + piece.frames <= max(piece.of, piece.frames)
        start += piece.frames
    assert film.frames == start
    for number, item in enumerate(items):
        assert all(0 <= frame < item.total for frame in shows(film, number))


@given(films())
def test_every_used_frame_is_seen_once_in_its_order(items: list[Item]) -> None:
    film = timeline(items, FPS)
    for number, item in enumerate(items):
        seen = shows(film, number)
        assert seen == list(range(seen[0], seen[0] + len(seen)))
        assert set(range(item.first, item.first + item.count)) <= set(seen)
        assert film.placed[number].frames == len(seen)


@given(films())
def test_the_film_is_as_long_as_its_items_less_what_overlaps(items: list[Item]) -> None:
    film = timeline(items, FPS)
    assert film.frames == sum(i.count for i in items) - sum(j.cost for j in film.joins)
    assert all(join.cost >= 0 for join in film.joins)
    assert [place.shot for place in film.placed] == [item.name for item in items]
    assert all(a.start <= b.start for a, b in pairwise(film.placed))
    assert film.placed[-1].start + film.placed[-1].frames == film.frames


@given(films())
def test_a_join_follows_from_its_two_items_alone(items: list[Item]) -> None:
    """So a span can be made before the rest of the film is there."""
    film = timeline(items, FPS)
    for number, found in enumerate(film.joins):
        assert found == join(items[number], items[number + 1], FPS)
        assert found.frames <= 2 * 80


@given(films())
def test_no_transition_is_longer_than_asked(items: list[Item]) -> None:
    for (_, after), found in zip(pairwise(items), timeline(items, FPS).joins, strict=True):
        asked = round(after.into.seconds * FPS)
        overlaps = after.into.kind in OVERLAPPING
        assert found.frames <= (asked if overlaps else 2 * asked)


def test_hard_cuts_lay_clips_end_to_end() -> None:
    film = timeline([Item("one", 10, 0, 10), Item("two", 12, 2, 8)], FPS)
    assert film.pieces == (Piece(0, 10, Show(0, 0)), Piece(10, 8, Show(1, 2)))
    assert film.placed == (Placed("one", 0, 10), Placed("two", 10, 8))


def test_a_dissolve_without_handles_shortens_the_film() -> None:
    dissolve = transition("dissolve", 6)
    film = timeline([Item("a", 24, 0, 24, CUT, dissolve), Item("b", 24, 0, 24, dissolve)], FPS)
    assert film.frames == 42
    assert film.joins[0].cost == 6
    blend = film.pieces[1]
    assert (blend.start, blend.frames, blend.of) == (18, 6, 6)
    assert (blend.below, blend.above) == (Show(0, 18), Show(1, 0))


def test_a_dissolve_with_handles_costs_nothing() -> None:
    dissolve = transition("dissolve", 6)
    a, b = Item("a", 30, 0, 24, CUT, dissolve), Item("b", 30, 6, 24, dissolve)
    film = timeline([a, b], FPS)
    assert film.frames == 48
    assert film.joins[0].cost == 0
    assert film.pieces[1] == Piece(21, 6, Show(0, 21), Show(1, 3), dissolve, 0, 6)


def test_a_fade_shows_one_shot_after_the_other_through_its_colour() -> None:
    fade = transition("fade", 6)
    film = timeline([Item("a", 24, 0, 24, CUT, fade), Item("b", 24, 0, 24, fade)], FPS)
    assert film.frames == 48
    down, up = film.pieces[1:3]
    assert (down.below, down.above, down.at, down.of) == (Show(0, 18), None, 0, 12)
    assert (up.below, up.above, up.at, up.of) == (None, Show(1, 0), 6, 12)


def test_a_film_may_open_from_and_end_in_a_colour() -> None:
    fade = transition("fade", 6)
    film = timeline([Item("a", 24, 0, 24, fade, fade)], FPS)
    assert [piece.frames for piece in film.pieces] == [6, 12, 6]
    assert film.pieces[0].below is None
    assert film.pieces[-1].above is None


def test_a_short_shot_is_shared_by_its_two_transitions() -> None:
    long = transition("dissolve", 20)
    items = [
        Item("a", 40, 0, 40, CUT, long), Item("b", 20, 0, 20, long, long), Item("c", 40, 0, 40, long),
    ]  # fmt: skip
    film = timeline(items, FPS)
    assert [found.frames for found in film.joins] == [10, 10]


@pytest.mark.parametrize(("total", "first", "count"), [(10, 0, 0), (10, 5, 6), (10, -1, 5)])
def test_an_item_has_the_frames_that_are_used(total: int, first: int, count: int) -> None:
    with pytest.raises(CutError, match="no frames to cut in"):
        Item("one", total, first, count)


def test_a_film_of_nothing_is_refused() -> None:
    with pytest.raises(CutError, match="no clips"):
        timeline([], FPS)
