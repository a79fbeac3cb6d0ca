"""The contact sheet of a review: every picture to judge, with its shot and its prompt."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from secondunit.durable import beside
from secondunit.splice import sheet

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from secondunit.reviews import Panel, Review

SMALL = 760  # pixels of the sheet in a form, which is not wider
QUALITIES = (80, 65, 50, 35)


def save(review: Review, out: Path) -> None:
    """Write the contact sheet as a JPEG. Raises DiskTrouble."""
    columns = sheet.columns_for(len(review.panels))
    picture = _drawn(review, sheet.width_for(columns), columns)
    with beside(out) as part:
        picture.save(part, "JPEG", quality=88)


def uri(review: Review, limit: int) -> str:
    """Return the contact sheet as a data URI of at most `limit` bytes; nothing where none fits."""
    columns = min(3, sheet.columns_for(len(review.panels)))
    for width in (SMALL, SMALL * 2 // 3, SMALL // 2):
        picture = _drawn(review, width, columns)
        for quality in QUALITIES:
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() * 4 // 3 + 40 <= limit:
                data = base64.b64encode(out.getvalue()).decode("ascii")
                return f"data:image/jpeg;base64,{data}"
    return ""


def _drawn(review: Review, width: int, columns: int) -> Image.Image:
    what = "draft to judge" if review.film else "stills to judge"
    head = sheet.Head(review.title, what, datetime.now(UTC).date().isoformat())
    drawn = sheet.Sheet(head, len(review.panels), review.ratio, width, columns)
    for number, panel in enumerate(review.panels):
        shown = sheet.shown_by(panel.path, drawn.size[0])
        drawn.put(number, shown, _words(panel, fresh=panel.key in review.fresh))
    return drawn.picture


def _words(panel: Panel, *, fresh: bool) -> sheet.Words:
    if fresh:
        return sheet.Words(panel.shot, below=panel.prompt)
    return sheet.Words(panel.shot, "approved", panel.prompt, sheet.GOOD)
