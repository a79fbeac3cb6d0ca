"""The contact sheet of a review: every picture to judge, with its shot and its prompt."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from secondunit.durable import beside
from secondunit.errors import Spoiled
from secondunit.media import thumbnails

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.reviews import Panel, Review

PAPER, CARD, INK, DIM = (18, 19, 22), (30, 32, 37), (240, 236, 228), (150, 150, 152)
ACCENT, GOOD = (255, 176, 64), (110, 190, 120)
COLUMNS = ((1, 1), (4, 2), (9, 3), (24, 4), (60, 5))  # up to so many pictures: so many in a row
MOST_COLUMNS = 6
WIDEST = 480  # pixels of a picture on the sheet that lies beside the film
TALLEST = 60_000  # pixels; a JPEG ends at 65,535
SMALL = 760  # pixels of the sheet in a form, which is not wider
QUALITIES = (80, 65, 50, 35)
STILL = (".png", ".jpg", ".jpeg", ".webp")


def save(review: Review, out: Path) -> None:
    """Write the contact sheet as a JPEG. Raises DiskTrouble."""
    columns = _columns(len(review.panels))
    picture = _drawn(review, columns * WIDEST + (columns + 1) * 16, columns)
    with beside(out) as part:
        picture.save(part, "JPEG", quality=88)


def uri(review: Review, limit: int) -> str:
    """Return the contact sheet as a data URI of at most `limit` bytes; nothing where none fits."""
    columns = min(3, _columns(len(review.panels)))
    for width in (SMALL, SMALL * 2 // 3, SMALL // 2):
        picture = _drawn(review, width, columns)
        for quality in QUALITIES:
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() * 4 // 3 + 40 <= limit:
                data = base64.b64encode(out.getvalue()).decode("ascii")
                return f"data:image/jpeg;base64,{data}"
    return ""


def _columns(count: int) -> int:
    return next((columns for most, columns in COLUMNS if count <= most), MOST_COLUMNS)


def _drawn(review: Review, width: int, columns: int) -> Image.Image:
    sheet = _Sheet(review, width, columns)
    for number, panel in enumerate(review.panels):
        sheet.put(number, panel, fresh=panel.key in review.fresh)
    return sheet.picture


class _Sheet:
    def __init__(self, review: Review, width: int, columns: int) -> None:
        self._columns = columns
        self._gap = max(6, width // 80)
        cell = (width - self._gap * (columns + 1)) // columns
        self._size = (cell, round(cell * review.ratio[1] / review.ratio[0]))
        self._letter = max(11, min(20, cell // 18))
        self._caption = round(self._letter * 3.4)
        self._head = round(self._letter * 3)
        rows = -(-len(review.panels) // columns)
        height = self._head + rows * (self._size[1] + self._caption + self._gap) + self._gap
        if height > TALLEST:
            raise Spoiled(f"{len(review.panels)} pictures are too many for one sheet.")
        self.picture = Image.new("RGB", (width, height), PAPER)
        self._pen = ImageDraw.Draw(self.picture)
        self._title(review, width)

    def _title(self, review: Review, width: int) -> None:
        baseline = self._head * 2 // 3
        left = self._words(self._gap, baseline, review.title, INK, round(width * 0.5), 1.25)
        what = "draft to judge" if review.film else "stills to judge"
        self._words(left + self._letter, baseline, what, ACCENT, width // 3)
        today = datetime.now(UTC).date().isoformat()
        font = ImageFont.load_default(self._letter)
        self._words(width - self._gap - font.getlength(today), baseline, today, DIM, width // 4)

    def put(self, number: int, panel: Panel, *, fresh: bool) -> None:
        """Lay a panel in its place."""
        (width, height), gap = self._size, self._gap
        left = gap + number % self._columns * (width + gap)
        top = self._head + number // self._columns * (height + self._caption + gap)
        box = (left, top, left + width - 1, top + height + self._caption - 1)
        self._pen.rectangle(box, fill=CARD)
        shown = _shown(panel.path, width)
        if shown is not None:
            shown.thumbnail((width, height), Image.Resampling.LANCZOS)
            at = (left + (width - shown.width) // 2, top + (height - shown.height) // 2)
            self.picture.paste(shown, at)
        inner, most = left + self._letter // 2, width - self._letter
        baseline = top + height + round(self._letter * 1.35)
        after = self._words(inner, baseline, panel.shot, ACCENT if fresh else GOOD, most)
        if not fresh:
            self._words(after + self._letter, baseline, "approved", DIM, most - (after - inner))
        self._words(inner, baseline + round(self._letter * 1.45), panel.prompt, DIM, most, 0.85)

    def _words(
        self, left: float, baseline: int, text: str, colour: tuple[int, int, int], most: float,
        scale: float = 1.0,
    ) -> float:  # fmt: skip
        """Write `text`, cut where it would be wider than `most`; return where it ends."""
        font = ImageFont.load_default(round(self._letter * scale))
        words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        kept = words
        while kept and font.getlength(kept + ("" if kept == words else "…")) > most:
            kept = kept[:-1] if len(kept) < 200 else kept[:200]
        kept += "" if kept == words else "…"
        self._pen.text((left, baseline), kept, fill=colour, font=font, anchor="ls")
        return left + font.getlength(kept)


def _shown(path: Path, width: int) -> Image.Image | None:
    """Return what a file shows, if it can be shown."""
    make = thumbnails.of_still if path.suffix.lower() in STILL else thumbnails.of_clip
    try:
        return make(path, width)
    except Spoiled:
        return None
