"""Small pictures for the pages in Prefect, made once for each clip and kept beside the project."""

from __future__ import annotations

import base64
import io
import logging
import os
from typing import TYPE_CHECKING

from PIL import Image

from secondunit.durable import make_folder
from secondunit.media import thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
        shown = thumbnails.of_clip if clip.facts else thumbnails.of_still
        self._kept(clip.sha256, lambda: shown(clip.path, WIDTH))

    def film(self, film: Film) -> None:
        """Make the poster of a film."""
        self._kept(film.sha256, lambda: thumbnails.of_clip(film.path, WIDTH))

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
