"""Words in the picture: titles, names, captions and slates, each drawn once; and cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageOps

from secondunit.cut import length
from secondunit.durable import beside
from secondunit.splice import layout
from secondunit.splice.layout import INSET, LAYOUTS, Page
from secondunit.splice.strip import Strip, read_back
from secondunit.splice.typeface import typeface
from secondunit.splice.typesetting import clean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction
    from pathlib import Path

    from secondunit.cut import Profile
    from secondunit.cut.edit import Card, Lettering, Look
    from secondunit.media.facts import Facts
    from secondunit.splice.layout import Row
    from secondunit.splice.typeface import Typeface

    Colour = tuple[int, int, int]

_WHITE = (250, 250, 248)
_PLATE = (10, 11, 14, 190)
_FADING = ("title", "lower_third")
_FADE = 4  # they come and go within one part in so many of a second


Letters = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""Rows, columns, red green blue and, where something lies below, alpha."""


@dataclass(frozen=True)
class Overlay:
    """A picture of words and where it lies over another, drawn once for all frames it is over.

    The colours of `picture` are not multiplied by its alpha. `x` and `y` are its left and upper
    edge; it lies wholly inside the frame. `opacity`, 0 to 1, is that of each frame.
    """

    picture: Letters
    x: int
    y: int
    opacity: tuple[float, ...]


def overlays(
    lettering: Lettering, look: Look, width: int, height: int, frames: int, fps: Fraction
) -> Overlay:
    """Draw lettering for a picture of `width` × `height` pixels that it is over for `frames`.

    Letters are white, with a shadow by which they can be read on anything. Long text is set
    smaller, then broken, and what still does not fit is left out with `…`. Raises CutError for a
    font that cannot be used.
    """
    lines = _lines_of(lettering)
    opacity = _fades(frames, fps) if lettering.kind in _FADING else (1.0,) * frames
    page, face = Page(width, height, look.safe), typeface(look, (*lines, "…"))
    rows = LAYOUTS[lettering.kind](face, page, lines) if lines else []
    if not rows:
        return Overlay(np.zeros((2, 2, 4), np.uint8), 0, 0, opacity)
    words = _written(face, page, rows, _WHITE)
    size = max(row.size for row in rows)
    picture, x, y = (_on_plate if lettering.kind == "slate" else _shadowed)(words, page, size)
    return Overlay(np.asarray(picture), x, y, opacity)


def card_picture(card: Card, look: Look, width: int, height: int) -> Letters:
    """Draw a card: rows, columns, red green blue. Raises CutError for a font that cannot be used."""
    picture = Image.new("RGB", (width, height), card.background)
    lines = _lines_of(card)
    if lines:
        page, face = Page(width, height, look.safe), typeface(look, (*lines, "…"))
        red, green, blue = ImageColor.getrgb(card.colour)[:3]
        words = _written(face, page, layout.card(face, page, lines), (red, green, blue))
        picture.paste(words.ink, (words.x, words.y), words.ink)
    return np.asarray(picture)


def make_card(card: Card, look: Look, profile: Profile, out: Path) -> Facts:
    """Write a card to `out` as a clip that needs no conforming, silent, and return what it is.

    `out` appears whole, read back and strictly decoded, or not at all. Raises CutError, DiskTrouble.
    """
    picture = card_picture(card, look, profile.width, profile.height)
    frames = length(card.seconds, profile.fps)
    with beside(out) as part:
        with av.open(f"file:{part}", "w", format="mp4", options={"fflags": "+bitexact"}) as clip:
            whole = av.VideoFrame.from_ndarray(picture, "rgb24")
            still = whole.reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            strip = Strip(clip, profile)
            for _ in range(frames):
                strip.add(still)
            strip.close()
        return read_back(part, "A card was made", strip)


def _lines_of(text: Card | Lettering) -> tuple[str, ...]:
    """Give what can be shown of the lines; an empty one between two others stays, as a space."""
    lines: list[str] = []
    for line in text.lines:
        cleaned = clean(line)
        if cleaned or (lines and lines[-1]):
            lines += cleaned or [""]
    return tuple(lines if not lines or lines[-1] else lines[:-1])


def _fades(frames: int, fps: Fraction) -> tuple[float, ...]:
    """Say how much is seen of words in each frame: they come and go softly."""
    ramp = min(round(fps / _FADE), (frames - 1) // 2)
    steps = [(at + 1) / (ramp + 1) for at in range(ramp)]
    soft = [step * step * (3 - 2 * step) for step in steps]
    return (*soft, *[1.0] * (frames - 2 * len(soft)), *reversed(soft))


class _Words(NamedTuple):
    """Letters cut out, without anything around them, and where they lie on the page."""

    ink: Image.Image
    x: int
    y: int

    def over(self, behind: Image.Image, margin: int, page: Page) -> _Words:
        """Lay the letters over what reaches `margin` further on every side, within the page."""
        behind.alpha_composite(self.ink, (margin, margin))
        x, y = self.x - margin, self.y - margin
        left, top = max(0, x), max(0, y)
        right, bottom = min(page.width, x + behind.width), min(page.height, y + behind.height)
        return _Words(behind.crop((left - x, top - y, right - x, bottom - y)), left, top)


def _written(face: Typeface, page: Page, rows: Sequence[Row], colour: Colour) -> _Words:
    """Write on an empty page; whatever a font does, nothing leaves the safe area."""
    whole = Image.new("RGBA", (page.width, page.height), (*colour, 0))
    for row in rows:
        face.write(whole, row.x, row.y, row.text, row.size, colour)
    left, top, right, bottom = whole.getbbox() or (0, 0, 2, 2)
    x = max(page.left, min(left, page.right - (right - left)))
    y = max(page.top, min(top, page.bottom - (bottom - top)))
    right, bottom = min(right, left + page.right - x), min(bottom, top + page.bottom - y)
    return _Words(whole.crop((left, top, right, bottom)), x, y)


def _shadowed(words: _Words, page: Page, size: int) -> _Words:
    """Lay letters over the dark that lets them be read: close and dense, and a wide soft one."""
    ink = ImageOps.expand(words.ink.getchannel("A"), size)
    close = _blurred(ink, 0.06 * size, 4.0, 0.8)
    wide = _blurred(ink, 0.24 * size, 1.6, 0.5)
    dark = Image.new("RGBA", ink.size)
    dark.putalpha(ImageChops.screen(close, wide))
    return words.over(dark, size, page)


def _blurred(ink: Image.Image, radius: float, gain: float, most: float) -> Image.Image:
    soft = ink.filter(ImageFilter.GaussianBlur(radius))
    return soft.point([round(min(1.0, level * gain / 255) * most * 255) for level in range(256)])


def _on_plate(words: _Words, page: Page, size: int) -> _Words:
    inset = round(size * INSET)
    wide, high = words.ink.width + 2 * inset, words.ink.height + 2 * inset
    matte = Image.new("L", (4 * wide, 4 * high))  # drawn larger, for corners that are round
    corners = (0, 0, matte.width - 1, matte.height - 1)
    ImageDraw.Draw(matte).rounded_rectangle(corners, 2 * inset, _PLATE[3])
    plate = Image.new("RGB", (wide, high), _PLATE[:3])
    plate.putalpha(matte.reduce(4))
    return words.over(plate, inset, page)
