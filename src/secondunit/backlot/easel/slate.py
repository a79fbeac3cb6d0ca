"""The slate strip: shot, model, seed and prompt on a slim band, drawn once and burnt into frames."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from secondunit.backlot.easel.plate import frame_planes, to_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secondunit.backlot.easel.plate import Planes

_PAPER, _DIM, _ACCENT = (244, 240, 232), (172, 170, 166), (255, 176, 64)
_BAND = (10, 11, 14, 158)
_SMALLEST = 9  # a letter below this height is noise


class Overlay:
    """A translucent picture in one place, ready to be burnt into the planes of many frames."""

    def __init__(self, picture: Image.Image, left: int, top: int) -> None:
        """Take an RGBA picture; its size and its place must be even, as chroma is halved."""
        width, height = picture.size
        matte = picture.getchannel("A")
        mattes = (matte, *[matte.resize((width // 2, height // 2), Image.Resampling.BOX)] * 2)
        colours = frame_planes(to_frame(picture.convert("RGB"), width, height))
        self._place = (left, top)
        self._parts = [
            (np.asarray(m, np.uint16), c.astype(np.uint16))
            for m, c in zip(mattes, colours, strict=True)
        ]
        self._ready: dict[int, list[tuple[NDArray[np.uint16], NDArray[np.uint16]]]] = {}

    def burn(self, planes: Planes, level: float = 1.0) -> None:
        """Blend it into `planes` in place, `level` 0 (not at all) to 1."""
        strength = round(level * 256)
        if not strength:
            return
        if strength not in self._ready:
            self._ready = {strength: [_weights(m, c, strength) for m, c in self._parts]}
        for halved, (plane, (keep, add)) in enumerate(
            zip(planes, self._ready[strength], strict=True)
        ):
            left, top = (n // 2 if halved else n for n in self._place)
            under = plane[top : top + keep.shape[0], left : left + keep.shape[1]]
            under[...] = (under * keep + add) >> 8


def _weights(
    matte: NDArray[np.uint16], colour: NDArray[np.uint16], strength: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Fold a matte and a colour into what is kept of a pixel (of 256) and what is added."""
    alpha = matte.astype(np.uint32) * strength // 255
    return (256 - alpha).astype(np.uint16), (alpha * colour).astype(np.uint16)


def slate(shot: str, model: str, seed: int, prompt: str, size: tuple[int, int]) -> Overlay | None:
    """Draw the strip for a frame of `size` (even), or return None if no letter would be legible."""
    width, height = size
    letter = round(min(width, height) * 0.0235)
    if letter < _SMALLEST and min(width, height) < 200:
        return None
    letter = max(letter, _SMALLEST)
    rows = 2 if width < height * 1.2 else 1
    pitch = round(letter * 1.55)
    band = 2 * round((pitch * rows + letter * 1.1) / 2)
    strip = Image.new("RGBA", (width, band), _BAND)
    pen = _Pen(strip, letter, margin=round(width * 0.028))
    baseline = (band - pitch * (rows - 1)) / 2
    facts = f"{clean(model)}  ·  seed {seed}"
    pen.mark(baseline)
    pen.left(clean(shot), baseline, _ACCENT, most=0.3)
    pen.right(facts, baseline, _DIM)
    if rows == 2:
        pen.new_row()
    pen.left(clean(prompt), baseline + pitch * (rows - 1), _PAPER)
    return Overlay(strip, 0, height - band)


def caption(text: str, size: tuple[int, int]) -> Overlay | None:
    """Draw an instruction for the upper left of a frame, small, on a soft shade."""
    width, height = size
    text, letter = clean(text), max(_SMALLEST, round(min(width, height) * 0.026))
    if not text or min(width, height) < 120:
        return None
    margin = round(width * 0.028)
    font = ImageFont.load_default(letter)
    text = _fit(text, font, width * 0.7)
    wide = 2 * round((font.getlength(text) + letter * 2.2) / 2)
    high = 2 * round(letter * 2.1 / 2)
    label = Image.new("RGBA", (wide, high), (0, 0, 0, 0))
    draw = ImageDraw.Draw(label)
    draw.rounded_rectangle((0, 0, wide - 1, high - 1), high * 0.22, _BAND)
    draw.rectangle((letter * 0.7, high * 0.28, letter * 0.7 + max(1, letter // 8), high * 0.72),
                   _ACCENT)  # fmt: skip
    draw.text((letter * 1.2, high / 2), text, _PAPER, font, anchor="lm")
    return Overlay(label, margin - margin % 2, margin - margin % 2)


class _Pen:
    """Writes along a strip from both ends, and never over what it wrote."""

    def __init__(self, strip: Image.Image, letter: int, margin: int) -> None:
        self._draw = ImageDraw.Draw(strip)
        self._font = ImageFont.load_default(letter)
        self._letter = letter
        self._ends = (margin, strip.width - margin)
        self.new_row()

    def new_row(self) -> None:
        self._at, self._end = self._ends

    def mark(self, y: float) -> None:
        """A short upright bar: where the eye starts."""
        bar, high = max(2, self._letter // 6), self._letter * 0.55
        self._draw.rectangle((self._at, y - high, self._at + bar - 1, y + high), _ACCENT)
        self._at += bar + round(self._letter * 0.7)

    def left(self, text: str, y: float, colour: tuple[int, int, int], most: float = 1.0) -> None:
        text = _fit(text, self._font, (self._end - self._at) * most)
        if text:
            self._draw.text((self._at, y), text, colour, self._font, anchor="lm")
            self._at += round(self._font.getlength(text) + self._letter)

    def right(self, text: str, y: float, colour: tuple[int, int, int]) -> None:
        text = _fit(text, self._font, (self._end - self._at) * 0.6)
        if text:
            self._draw.text((self._end, y), text, colour, self._font, anchor="rm")
            self._end -= round(self._font.getlength(text) + self._letter)


def clean(text: str) -> str:
    """Make one line of `text` that can be drawn: no control characters, no broken surrogates."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    spaced = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in whole[:2000])
    return " ".join(spaced.split())


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    """Shorten `text` with an ellipsis until it is no longer than `room` pixels."""
    if font.getlength(text) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = font.getlength(text[:middle].rstrip() + "…") <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip(" ,.;:") + "…" if low else ""
