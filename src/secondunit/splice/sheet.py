"""A contact sheet: many pictures on one, in rows, each with its words below."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from secondunit.cut.edit import Look
from secondunit.errors import Spoiled
from secondunit.media import thumbnails
from secondunit.splice.typeface import Typeface
from secondunit.splice.typesetting import clean, shortened

if TYPE_CHECKING:
    from pathlib import Path

    Colour = tuple[int, int, int]

PAPER, CARD, INK, DIM = (18, 19, 22), (30, 32, 37), (240, 236, 228), (150, 150, 152)
ACCENT, GOOD = (255, 176, 64), (110, 190, 120)
COLUMNS = ((1, 1), (4, 2), (9, 3), (24, 4), (60, 5))  # up to so many pictures: so many in a row
MOST_COLUMNS = 6
WIDEST = 480  # pixels of a picture on a sheet that lies beside the film
TALLEST = 60_000  # pixels; a JPEG ends at 65,535
_STILL = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Head:
    """What stands over a sheet: a title, what the sheet is of, and on the right a `note`."""

    title: str
    what: str
    note: str = ""


@dataclass(frozen=True)
class Words:
    """What stands below a picture: its name, something beside it, and a line below."""

    name: str
    beside: str = ""
    below: str = ""
    colour: Colour = ACCENT


def columns_for(count: int) -> int:
    """Say how many of `count` pictures stand in a row."""
    return next((columns for most, columns in COLUMNS if count <= most), MOST_COLUMNS)


def width_for(columns: int, wide: int = WIDEST) -> int:
    """Return the width in pixels of a sheet that has so many pictures of that width in a row."""
    return columns * wide + (columns + 1) * 16


class Sheet:
    """A sheet of `count` pictures of one `ratio`; `picture` is what is drawn of it so far."""

    def __init__(
        self, head: Head, count: int, ratio: tuple[int, int], width: int, columns: int
    ) -> None:
        """Lay it out, `width` pixels wide. Raises Spoiled where that would be too tall."""
        self._columns = columns
        self._gap = max(6, width // 80)
        cell = (width - self._gap * (columns + 1)) // columns
        self.size = (cell, round(cell * ratio[1] / ratio[0]))
        self._letter = max(11, min(20, cell // 18))
        self._caption = round(self._letter * 3.4)
        self._head = round(self._letter * 3)
        rows = -(-count // columns)
        height = self._head + rows * (self.size[1] + self._caption + self._gap) + self._gap
        if height > TALLEST:
            raise Spoiled(f"{count} pictures are too many for one sheet.")
        self.picture = Image.new("RGB", (width, height), PAPER)
        self._pen = ImageDraw.Draw(self.picture)
        self._look = Look()
        self._title(head, width)

    def _title(self, head: Head, width: int) -> None:
        baseline = self._head * 2 // 3
        left = self._words(self._gap, baseline, head.title, INK, round(width * 0.5), 1.25)
        self._words(left + self._letter, baseline, head.what, ACCENT, width // 3)
        note = Typeface(self._look, head.note).length(head.note, self._letter)
        self._words(width - self._gap - note, baseline, head.note, DIM, width // 4)

    def put(self, number: int, shown: Image.Image | None, words: Words) -> None:
        """Lay a picture in the place of that number, counted from 0; None leaves it empty."""
        (width, height), gap = self.size, self._gap
        left = gap + number % self._columns * (width + gap)
        top = self._head + number // self._columns * (height + self._caption + gap)
        box = (left, top, left + width - 1, top + height + self._caption - 1)
        self._pen.rectangle(box, fill=CARD)
        if shown is not None:
            shown.thumbnail((width, height), Image.Resampling.LANCZOS)
            at = (left + (width - shown.width) // 2, top + (height - shown.height) // 2)
            self.picture.paste(shown, at)
        inner, most = left + self._letter // 2, width - self._letter
        baseline = top + height + round(self._letter * 1.35)
        after = self._words(inner, baseline, words.name, words.colour, most)
        if words.beside:
            room = most - (after - inner)
            self._words(after + self._letter, baseline, words.beside, DIM, room)
        self._words(inner, baseline + round(self._letter * 1.45), words.below, DIM, most, 0.85)

    def _words(
        self, left: float, baseline: int, text: str, colour: Colour, most: float,
        scale: float = 1.0,
    ) -> float:  # fmt: skip
        """Write `text`, cut where it would be wider than `most`; return where it ends."""
        face, size = Typeface(self._look, text), round(self._letter * scale)
        words = " ".join(clean(text))
        kept = shortened(words, most, lambda part: face.length(part, size))
        width = face.length(kept, size)
        if kept:
            ink = Image.new("RGBA", (ceil(width) + 2 * size, 3 * size), (*colour, 0))
            face.write(ink, size, 2 * size, kept, size, colour)
            self.picture.paste(ink, (round(left) - size, baseline - 2 * size), ink)
        return left + width


def shown_by(path: Path, width: int) -> Image.Image | None:
    """Return what a still or a clip shows, so many pixels wide, if it can be shown."""
    make = thumbnails.of_still if path.suffix.lower() in _STILL else thumbnails.of_clip
    try:
        return make(path, width)
    except Spoiled:
        return None
