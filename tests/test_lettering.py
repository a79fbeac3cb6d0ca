"""Words in the picture: legible on anything, inside the safe area, whatever is written."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from footage import likeness, lumas, photograph, rgb
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image, ImageFilter

from secondunit.cut import Profile
from secondunit.cut.edit import Card, Lettering, Look
from secondunit.errors import CutError
from secondunit.splice import matches
from secondunit.splice.lettering import card_picture, make_card, overlays

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.splice.lettering import Overlay

FPS = Fraction(24)
PLAIN = Look()
KINDS = ("title", "lower_third", "caption", "slate")
WORDS = {
    "title": ("The Lighthouse Keeper",),
    "lower_third": ("Margaret Okonkwo", "Keeper of the north light"),
    "caption": ("I told you not to come up here.", "Not with the sea like this."),
    "slate": ("sh010 · take 2", "gen4_turbo · seed 7"),
}
SHAPES = [(640, 360), (360, 640), (400, 400)]


def drawn(
    kind: str, lines: tuple[str, ...] = (), size: tuple[int, int] = (640, 360), look: Look = PLAIN
) -> Overlay:
    return overlays(Lettering(kind, lines or WORDS[kind]), look, *size, 24, FPS)


def backdrop(name: str, size: tuple[int, int]) -> np.ndarray:
    if name in ("black", "white"):
        return np.full((size[1], size[0], 3), 255 * (name == "white"), np.uint8)
    return np.asarray(Image.open(photograph(name)).convert("RGB").resize(size))


def laid(overlay: Overlay, over: np.ndarray) -> np.ndarray:
    whole = over.astype(float)
    rows, columns = overlay.picture.shape[:2]
    part = whole[overlay.y : overlay.y + rows, overlay.x : overlay.x + columns]
    part += (overlay.picture[..., :3] - part) * (overlay.picture[..., 3:] / 255)
    return np.rint(whole).astype(np.uint8)


def letters(overlay: Overlay) -> np.ndarray:
    """Find the pixels of an overlay that letters cover wholly."""
    return np.asarray((overlay.picture[..., 3] > 250) & (overlay.picture[..., :3].min(2) > 225))


def touched(overlay: Overlay) -> tuple[int, int, int, int]:
    """Find the box of what letters draw, even faintly: left, top, right, bottom."""
    light = overlay.picture[..., :3].max(2) * (overlay.picture[..., 3] / 255)
    ys, xs = np.nonzero(light > 60)
    return (
        overlay.x + xs.min(), overlay.y + ys.min(), overlay.x + xs.max() + 1,
        overlay.y + ys.max() + 1,
    )  # fmt: skip


def luminance(picture: np.ndarray) -> np.ndarray:
    share = picture / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * by + 1)))


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920)])
@pytest.mark.parametrize("kind", KINDS)
def test_letters_stand_out_from_what_lies_beside_them(kind: str, size: tuple[int, int]) -> None:
    overlay = drawn(kind, size=size)
    rows, columns = overlay.picture.shape[:2]
    ink = letters(overlay)
    beside = (grown(ink, 3) > 0) & (grown(ink, 1) == 0)
    assert ink.sum() > 500
    for behind in ("black", "white", "coffee.png"):
        shown = laid(overlay, backdrop(behind, size))
        light = luminance(shown[overlay.y : overlay.y + rows, overlay.x : overlay.x + columns])
        brightest = np.percentile(light[beside], 75)
        assert (np.median(light[ink]) + 0.05) / (brightest + 0.05) >= 4.5


@pytest.mark.parametrize("size", [*SHAPES, (320, 180), (96, 54)])
@pytest.mark.parametrize("kind", KINDS)
def test_words_keep_inside_the_safe_area(kind: str, size: tuple[int, int]) -> None:
    look = Look(safe=0.08)
    left, top, right, bottom = touched(drawn(kind, size=size, look=look))
    assert left >= 0.08 * size[0]
    assert top >= 0.08 * size[1]
    assert right <= 0.92 * size[0]
    assert bottom <= 0.92 * size[1]


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_as_large_as_the_picture(kind: str) -> None:
    small = np.array(touched(drawn(kind, size=(960, 540))))
    large = np.array(touched(drawn(kind, size=(1920, 1080))))
    assert np.abs(large - 2 * small).max() <= 15


@pytest.mark.parametrize("kind", KINDS)
def test_words_can_be_read_in_the_smallest_picture(kind: str) -> None:
    overlay = drawn(kind, ("H",), size=(320, 180))
    _, top, _, bottom = touched(overlay)
    assert bottom - top >= 7


def test_each_kind_has_its_place() -> None:
    boxes = {kind: touched(drawn(kind)) for kind in KINDS}
    left, top, right, bottom = boxes["title"]
    assert abs(left + right - 640) < 12
    assert abs(top + bottom - 360) < 30
    left, top, right, bottom = boxes["caption"]
    assert abs(left + right - 640) < 12
    assert top > 360 * 0.75
    assert boxes["lower_third"][0] < 64
    assert boxes["lower_third"][3] < top  # a name is read while somebody speaks
    assert boxes["slate"][2] < 320
    assert boxes["slate"][3] < 120


def test_names_written_from_right_to_left_stand_on_the_right() -> None:
    left, _, right, _ = touched(drawn("lower_third", ("מרים", "מהנדסת")))
    assert right > 640 * 0.93
    assert left > 320


def test_titles_come_and_go_softly_and_captions_do_not() -> None:
    title, caption = drawn("title").opacity, drawn("caption").opacity
    assert caption == (1.0,) * 24
    assert len(title) == 24
    assert all(0 < level <= 1 for level in title)
    assert list(title[:7]) == sorted(set(title[:7]))
    assert title == title[::-1]
    assert title[6:18] == (1.0,) * 12


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_title_of_few_frames_is_seen(frames: int) -> None:
    shown = overlays(Lettering("title", ("Now",)), Look(), 160, 90, frames, FPS)
    assert len(shown.opacity) == frames
    assert max(shown.opacity) == 1


def test_lines_that_are_too_long_are_set_smaller_then_broken_then_cut_off() -> None:
    def height(words: int) -> int:
        _, top, _, bottom = touched(drawn("title", ("lighthouse " * words,)))
        return int(bottom - top)

    assert height(1) < height(4) < height(12)
    assert height(12) * 0.7 < height(150) < 360 * 0.55


def test_a_caption_keeps_its_division_as_long_as_it_fits() -> None:
    kept = drawn("caption", ("A short one.", "And one that is quite a bit longer."))
    told = drawn("caption", ("A short one. And one that is quite a bit longer.",))
    assert touched(kept)[3] - touched(kept)[1] > 1.5 * (touched(told)[3] - touched(told)[1])


def test_nothing_to_see_is_drawn_as_nothing() -> None:
    for lines in ((), ("",), ("\n \t",), ("\u200b\u202e",)):
        assert not overlays(Lettering("title", lines), Look(), 160, 90, 5, FPS).picture.any()


AWFUL = (
    "\x00\x07\x1b[31m\r\n\ttabs",
    "\u202egnp.exe\u202c \u2066\u2067left open",
    "e" + "\u0301" * 10_000,
    "word " * 2000,
    "x" * 10_000,
    "字" * 3000,
    "👩🏽‍🚀🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿☃️" * 20,
    "\ud800 lone \udfff",
    "מה" * 500 + "abc",
    "\u2028\u2029\x85\x0b\x0c",
    "ก็ำ" * 60,
    "﷽ 𒐫 ꧅",
)


@pytest.mark.parametrize("text", AWFUL, ids=range(len(AWFUL)))
def test_no_text_is_too_awful(text: str) -> None:
    for kind in KINDS:
        overlay = drawn(kind, (text, text), size=(160, 90))
        inside(overlay, (160, 90))
    assert card_picture(Card((text,), Fraction(1)), Look(), 160, 90).shape == (90, 160, 3)


def inside(overlay: Overlay, size: tuple[int, int]) -> None:
    rows, columns, _ = overlay.picture.shape
    assert overlay.x >= 0
    assert overlay.y >= 0
    assert overlay.x + columns <= size[0]
    assert overlay.y + rows <= size[1]


@settings(max_examples=40)
@given(
    kind=some.sampled_from(KINDS),
    lines=some.lists(some.text(max_size=60), max_size=4),
    width=some.integers(8, 120),
    height=some.integers(8, 120),
    safe=some.floats(0, 0.4),
)
def test_whatever_is_written_lies_inside_the_frame(
    kind: str, lines: list[str], width: int, height: int, safe: float
) -> None:
    path, os.environ["PATH"] = os.environ["PATH"], ""  # fontconfig would be asked a thousand times
    try:
        look = Look(safe=safe)
        overlay = overlays(Lettering(kind, tuple(lines)), look, width, height, 5, FPS)
    finally:
        os.environ["PATH"] = path
    inside(overlay, (width, height))
    if letters(overlay).any():
        left, top, right, bottom = touched(overlay)
        assert left >= width * safe - 1
        assert top >= height * safe - 1
        assert right <= width * (1 - safe) + 1
        assert bottom <= height * (1 - safe) + 1


# cards


def test_a_card_is_a_clip_that_needs_no_conforming(tmp_path: Path) -> None:
    profile = Profile(320, 180, Fraction(24000, 1001))
    card = Card(("Three years earlier",), Fraction(3, 2), "#e8dcc0", "#102030")
    facts = make_card(card, Look(), profile, tmp_path / "card.mp4")
    assert matches(facts, profile)
    assert not facts.sound
    assert len(list(lumas(tmp_path / "card.mp4"))) == facts.frames == 36
    shown = rgb(tmp_path / "card.mp4")
    meant = card_picture(card, Look(), 320, 180)
    small = np.asarray(Image.fromarray(meant).resize((256, 144), Image.Resampling.BICUBIC))
    assert min(likeness(frame, small) for frame in shown) > 33
    assert np.abs(shown[0][5, 5].astype(int) - [16, 32, 48]).max() <= 3
    assert facts.size < 20_000
    again = make_card(card, Look(), profile, tmp_path / "again.mp4")
    assert again == facts
    assert (tmp_path / "again.mp4").read_bytes() == (tmp_path / "card.mp4").read_bytes()


def test_the_words_of_a_card_lie_in_the_middle_in_its_colour() -> None:
    card = Card(("Written by", "", "Ines Almeida"), Fraction(1), "#ff0000", "#0000ff")
    picture = card_picture(card, Look(), 640, 360)
    assert set(map(tuple, picture[:40].reshape(-1, 3))) == {(0, 0, 255)}
    ys, xs = np.nonzero(picture[..., 0] > 200)
    assert (picture[ys, xs] == [255, 0, 0]).all(1).mean() > 0.5
    assert abs(int(xs.min() + xs.max()) - 640) < 8
    assert abs(int(ys.min() + ys.max()) - 360) < 30
    close = card_picture(Card(("Written by", "Ines Almeida"), Fraction(1)), Look(), 640, 360)
    assert np.ptp(ys) > np.ptp(np.nonzero(close[..., 0] > 200)[0]) + 5  # the empty line is a space


def test_a_card_that_fails_leaves_what_stood_there(tmp_path: Path) -> None:
    out = tmp_path / "card.mp4"
    out.write_bytes(b"before")
    with pytest.raises(CutError):
        make_card(Card(("x",), Fraction(1)), Look(font="/nowhere.ttf"), Profile(64, 64, FPS), out)
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]
