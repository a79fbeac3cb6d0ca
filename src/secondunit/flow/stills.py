"""Small pictures for the pages in Prefect, made once for each clip and kept beside the project."""

from __future__ import annotations

import base64
import io
import logging
import os
from typing import TYPE_CHECKING

from PIL import Image

from secondunit import media
from secondunit.durable import make_folder
from secondunit.media import frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from secondunit.media import Facts
    from secondunit.production import Clip
    from secondunit.splice import Film

WIDTH = 480  # pixels of the pictures that are kept; none is shown larger
QUALITIES = (65, 45, 30)


class Stills:
    """The stills of a project, by the hash of what they show. What cannot be shown is left out."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder`, from which they may be deleted at any time."""
        self.folder = folder

    def make(self, clip: Clip) -> None:
        """Make the still of a clip, or of a picture that was generated."""
        self._kept(clip.sha256, lambda: _shown(clip.path, clip.facts))

    def film(self, film: Film) -> None:
        """Make the poster of a film."""
        self._kept(film.sha256, lambda: _frame(film.path, media.probe(film.path, least=1)))

    def uri(self, sha256: str, width: int, limit: int) -> str:
        """Return a still as a data URI, so many pixels wide, of at most `limit` bytes; or nothing."""
        kept = self.folder / f"{sha256}.jpg"
        try:
            with Image.open(kept) as large:
                size = (width, max(1, round(large.height * width / large.width)))
                picture = large.resize(size, Image.Resampling.LANCZOS)
        except (OSError, ValueError):
            kept.unlink(missing_ok=True)
            return ""
        for quality in QUALITIES:
            out = io.BytesIO()
            picture.save(out, "WEBP", quality=quality)
            uri = f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
            if len(uri) <= limit:
                return uri
        return ""

    def _kept(self, sha256: str, make: Callable[[], Image.Image]) -> None:
        kept = self.folder / f"{sha256}.jpg"
        if kept.exists():
            return
        try:
            picture = make()
            make_folder(self.folder, private=True)
            part = kept.with_name(f".{kept.name}.{os.getpid()}")
            picture.save(part, "JPEG", quality=85)
            part.replace(kept)  # not synced: what a power cut takes is made again
        except Exception as error:  # noqa: BLE001  no film ends for want of a thumbnail
            logging.getLogger(__name__).debug("no still of %s: %r", sha256, error)


def _shown(path: Path, facts: Facts | None) -> Image.Image:
    return _frame(path, facts) if facts else _picture(path)


def _frame(path: Path, facts: Facts) -> Image.Image:
    """Return the frame about the middle that can be had by decoding no other."""
    frame = next(frames.shown(path, facts, since=facts.seconds / 2))
    height = max(2, round(WIDTH * facts.height / facts.width))
    return Image.fromarray(frames.Upright(facts, WIDTH, height, "rgb24")(frame).to_ndarray())


def _picture(path: Path) -> Image.Image:
    media.picture_facts(path)
    with Image.open(path) as picture:
        picture.draft("RGB", (WIDTH, WIDTH))
        height = max(2, round(WIDTH * picture.height / picture.width))
        small: Image.Image = picture.convert("RGB").resize(
            (WIDTH, height), Image.Resampling.LANCZOS
        )
    return small
