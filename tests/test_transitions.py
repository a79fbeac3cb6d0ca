"""Every transition shows what its name says, in the film's own pictures as in RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondunit.cut.edit import OVERLAPPING, TRANSITIONS
from secondunit.splice.pictures import Canvas, Stencil, mixed, stored
from secondunit.splice.transitions import CHANGES, Moment, share

if TYPE_CHECKING:
    from secondunit.cut.edit import Towards

CANVAS = Canvas(64, 36)
DARK, LIGHT, RED = (CANVAS.plain(colour) for colour in ("#202020", "#e0e0e0", "#ff0000"))
TOWARDS: tuple[Towards, ...] = ("left", "right", "up", "down")


class Stretch(NamedTuple):
    frames: int
    below: object | None = 1
    above: object | None = 1


def changed(kind: str, part: float, towards: Towards = "left") -> np.ndarray:
    """Show a transition from dark to light through red, as a picture."""
    both = np.empty_like(DARK)
    planes = zip(*map(CANVAS.planes, (both, DARK, LIGHT, RED)), strict=True)
    for fine, (plane, *three) in zip((2, 1, 1), planes, strict=True):
        plane[:] = CHANGES[kind](Moment(*three, part, towards, fine))
    return both


def rgb(picture: np.ndarray) -> np.ndarray:
    frame = CANVAS.frame(picture)
    frame.colorspace, frame.color_range = 1, 1
    return frame.to_ndarray(format="rgb24").astype(int)


def test_every_transition_that_can_be_written_can_be_shown() -> None:
    assert set(CHANGES) == set(TRANSITIONS) - {"cut"}


@pytest.mark.parametrize("kind", sorted(CHANGES))
@pytest.mark.parametrize("towards", TOWARDS)
def test_a_transition_begins_with_the_one_and_ends_with_the_other(
    kind: str, towards: Towards
) -> None:
    assert (changed(kind, 0.0, towards) == DARK).all()
    assert (changed(kind, 1.0, towards) == LIGHT).all()
    assert not (changed(kind, 0.5, towards) == DARK).all()


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_dissolve_is_the_share_of_both_in_rgb(part: float) -> None:
    one, other = rgb(RED), rgb(LIGHT)
    both = np.empty_like(RED)
    for plane, a, b in zip(*map(CANVAS.planes, (both, RED, LIGHT)), strict=True):
        plane[:] = mixed(a, b, part)
    assert np.abs(rgb(both) - (one + (other - one) * part)).max() <= 2


@pytest.mark.parametrize("kind", ["fade", "dip"])
def test_half_way_through_a_colour_is_that_colour(kind: str) -> None:
    assert np.abs(changed(kind, 0.5).astype(int) - RED).max() <= 1


@pytest.mark.parametrize(
    ("towards", "comes", "goes"),
    [
        ("left", np.s_[:, -8:], np.s_[:, :8]),
        ("right", np.s_[:, :8], np.s_[:, -8:]),
        ("up", np.s_[-8:, :], np.s_[:8, :]),
        ("down", np.s_[:8, :], np.s_[-8:, :]),
    ],
)
@pytest.mark.parametrize("kind", ["wipe", "slide"])
def test_what_moves_comes_in_behind_where_it_goes(
    kind: str, towards: Towards, comes: tuple[slice, slice], goes: tuple[slice, slice]
) -> None:
    picture = rgb(changed(kind, 0.5, towards))
    assert (picture[comes] > 200).all()
    assert (picture[goes] < 60).all()


@pytest.mark.parametrize(("kind", "least", "most"), [("wipe", 2, 6), ("slide", 0, 1)])
def test_the_edge_of_a_wipe_is_soft_and_of_a_slide_is_sharp(
    kind: str, least: int, most: int
) -> None:
    row = rgb(changed(kind, 0.5))[5, :, 0]
    assert least <= np.sum((row > 45) & (row < 215)) <= most


def test_a_slide_pushes_pixel_for_pixel_and_colours_with_it() -> None:
    chance = np.random.default_rng(1)
    one, other = (chance.integers(16, 235, DARK.shape).astype(np.uint8) for _ in range(2))
    for fine, (a, b) in zip(
        (2, 1, 1), zip(*map(CANVAS.planes, (one, other)), strict=True), strict=True
    ):
        moved = CHANGES["slide"](Moment(a, b, a, 0.3, "left", fine))
        gone = round(0.3 * 32) * fine
        assert (moved == np.concatenate([a[:, gone:], b[:, :gone]], 1)).all()


@given(st.integers(1, 500), st.sampled_from(["whole", "first", "second"]))
def test_a_transition_goes_forwards_by_equal_steps(frames: int, half: str) -> None:
    stretch = Stretch(
        frames,
        None if half == "second" else 1,
        None if half == "first" else 1,
    )
    shares = [share(stretch, at) for at in range(frames)]
    assert shares == sorted(shares)
    if half == "whole":
        assert 0 < shares[0] < shares[-1] + 1e-9 < 1, "no frame shows one alone"
        assert shares[0] == pytest.approx(1 - shares[-1])
    elif half == "first":
        assert shares[-1] == 0.5, "the last frame is the bare colour"
        assert shares[0] > 0
    else:
        assert shares[0] == 0.5
        assert shares[-1] < 1


def test_overlapping_ones_are_among_them() -> None:
    assert set(OVERLAPPING) < set(CHANGES)


# Pictures


@pytest.mark.parametrize("colour", ["#ffffff", "#000000", "#ff0000", "#336699", "#00ff7f"])
def test_a_colour_is_shown_as_it_was_written(colour: str) -> None:
    shown = rgb(CANVAS.plain(colour))
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    assert np.abs(shown - wanted).max() <= 2


@pytest.mark.parametrize("size", [(64, 36), (62, 34), (2, 2), (18, 50)])
def test_planes_are_where_ffmpeg_has_them(size: tuple[int, int]) -> None:
    """Also where the colour planes do not fill whole rows."""
    canvas, chance = Canvas(*size), np.random.default_rng(2)
    picture = chance.integers(0, 255, (size[1] * 3 // 2, size[0])).astype(np.uint8)
    frame = canvas.frame(picture)
    assert (stored(frame) == picture).all()
    for plane, seen in zip(canvas.planes(picture), frame.planes, strict=True):
        lines = np.frombuffer(seen, np.uint8).reshape(-1, seen.line_size)[:, : plane.shape[1]]
        assert (lines[: plane.shape[0]] == plane).all()


@given(
    st.integers(0, 40), st.integers(0, 20), st.integers(1, 20), st.integers(1, 14),
    st.sampled_from([0.0, 0.3, 1.0]),
)  # fmt: skip
def test_a_stencil_is_laid_over_as_in_rgb(
    x: int, y: int, width: int, height: int, opacity: float
) -> None:
    """Away from its edge, where colours are shared between pixels; and nothing else is touched."""
    rgba = np.full((height, width, 4), (250, 120, 30, 200), np.uint8)
    laid = rgb(Stencil(CANVAS, rgba, x, y).over(DARK, opacity))
    alpha = opacity * 200 / 255
    wanted = np.array([250, 120, 30]) * alpha + rgb(DARK)[0, 0] * (1 - alpha)
    inside = laid[y + 1 : y + height - 1, x + 1 : x + width - 1]
    assert inside.size == 0 or np.abs(inside - wanted).max() <= 3
    away = np.ones(laid.shape[:2], bool)
    away[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2] = False
    assert (laid[away] == rgb(DARK)[0, 0]).all()
