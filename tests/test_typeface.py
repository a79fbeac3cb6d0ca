"""The fonts of a film: its own, those that help it out, and files that are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from test_lettering import KINDS, drawn, inside, letters, touched

from secondunit.cut.edit import Look
from secondunit.errors import CutError
from secondunit.splice.typeface import RAQM, typeface

Box = tuple[int, int, int, int]


def font(
    out: Path, chars: str, *, advance: int = 600, em: int = 1000, kern: int = 0,
    square: Box = (50, 0, 550, 700),
) -> str:  # fmt: skip
    """Make a font in which every one of `chars` is a square, and the box is a low bar."""
    glyphs = {".notdef": (0, 0, 400, 100), "space": None, "square": square}
    builder = FontBuilder(em, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({32: "space", **dict.fromkeys(map(ord, chars), "square")})
    pens = {}
    for name, box in glyphs.items():
        pen = TTGlyphPen(None)
        if box:
            left, low, right, high = box
            pen.moveTo((left, low))
            for point in ((left, high), (right, high), (right, low)):
                pen.lineTo(point)
            pen.closePath()
        pens[name] = pen.glyph()
    builder.setupGlyf(pens)
    builder.setupHorizontalMetrics(
        {name: (advance, box[0] if box else 0) for name, box in glyphs.items()}
    )
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    if kern:
        rule = f"languagesystem DFLT dflt; feature kern {{ pos square square {kern}; }} kern;"
        builder.addOpenTypeFeatures(rule)
    builder.save(out)
    return str(out)


def test_words_are_set_in_the_font_that_the_film_names(tmp_path: Path) -> None:
    look = Look(font=font(tmp_path / "squares.ttf", "ab"))
    ink = letters(drawn("title", ("ab",), look=look))
    ys, xs = np.nonzero(ink)
    square = ink[ys.min() : ys.max(), xs.min() : (xs.min() + xs.max()) // 2 - 3]
    assert square.mean() > 0.9


def test_a_font_in_which_a_character_is_missing_gives_way_to_another(tmp_path: Path) -> None:
    look = Look(font=font(tmp_path / "squares.ttf", "ab"))
    mixed, box = drawn("title", ("ab LT",), look=look), drawn("title", ("ab \ue123",), look=look)
    assert typeface(look, ["ab"]).remarks == typeface(look, ["ab"]).borrowed == ()
    (said,) = typeface(look, ["ab \ue123", "and \ue123"]).remarks
    assert "\ue123" in said
    assert said.count("\ue123") == 1
    assert letters(mixed).sum() > letters(box).sum()


@pytest.mark.parametrize("box", [(-900, 0, 550, 700), (0, 0, 1500, 700), (0, -400, 500, 900)])
def test_a_font_that_draws_beside_its_letters_keeps_inside_as_well(
    tmp_path: Path, box: Box
) -> None:
    look = Look(font=font(tmp_path / "wild.ttf", "ab", square=box), safe=0.1)
    for kind in KINDS:
        left, top, right, bottom = touched(drawn(kind, ("ab ab", "ab ab ab"), look=look))
        assert (left, top) >= (64, 36)
        assert right <= 576
        assert bottom <= 324
    _, top, _, bottom = touched(drawn("caption", ("ab",), look=look))
    assert bottom - top > (box[3] - box[1]) / 1000 * 17  # it is moved, not cut off


@pytest.mark.skipif(not RAQM, reason="this Pillow cannot turn text")
def test_text_from_right_to_left_is_turned(tmp_path: Path) -> None:
    look = Look(font=font(tmp_path / "squares.ttf", "אב"))
    ink = letters(drawn("title", ("אב \ue123",), look=look))
    ys, xs = np.nonzero(ink)
    high = xs[ys < ys.max() - 12]
    assert high.min() > xs.min() + 10  # the bar, written last, lies on the left


def spoil(tmp_path: Path, how: str) -> str:
    path = tmp_path / "font.ttf"
    good = Path(font(tmp_path / "good.ttf", "abc")).read_bytes()
    if how == "a pipe":
        os.mkfifo(path)
    elif how == "huge":
        with path.open("wb") as file:
            file.write(good)
            file.truncate(100_000_000)
    elif how == "a folder":
        path.mkdir()
    elif how == "absurd":
        font(path, "abc", advance=32_000, em=16)
    elif how == "absurd gaps":
        font(path, "abc", kern=32_000, em=16, square=(0, 0, 8, 8), advance=8)
    elif how != "missing":
        data = {"empty": b"", "a page": b"<html>", "cut short": good[:300], "a web font": b"wOF2"}
        path.write_bytes(data[how])
    return str(path)


@pytest.mark.parametrize(
    "how",
    ["missing", "empty", "a page", "cut short", "a web font", "a pipe", "huge", "a folder", "absurd",
     pytest.param("absurd gaps", marks=pytest.mark.skipif(not RAQM, reason="nothing is shaped"))],
)  # fmt: skip
def test_a_font_that_cannot_be_used_is_named_in_one_sentence(tmp_path: Path, how: str) -> None:
    look = Look(font=spoil(tmp_path, how))
    with pytest.raises(CutError, match=r"font\.ttf cannot be used as the film's font") as caught:
        drawn("title", ("abc",), size=(160, 90), look=look)
    assert "\n" not in str(caught.value)
    with pytest.raises(CutError):
        typeface(look, [])


def test_a_font_that_changed_since_it_was_checked_is_not_used(tmp_path: Path) -> None:
    look = Look(font=font(tmp_path / "squares.ttf", "ab"), sha256="0" * 64)
    with pytest.raises(CutError, match="checked"):
        drawn("title", ("ab",), look=look)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_font_is_an_error_or_draws_inside_the_frame(tmp_path: Path, seed: int) -> None:
    data = bytearray(Path(font(tmp_path / "good.ttf", "abc")).read_bytes())
    chance = np.random.default_rng(seed)
    for at in chance.integers(4, len(data), 6):
        data[at] = chance.integers(256)
    path = tmp_path / "damaged.ttf"
    path.write_bytes(data)
    try:
        overlay = drawn("title", ("abc",), size=(160, 90), look=Look(font=str(path)))
    except CutError:
        return
    inside(overlay, (160, 90))
