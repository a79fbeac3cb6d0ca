"""Small pictures of stills and clips, upright and in the colours that a player shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from secondunit import media
from secondunit.media import frames

if TYPE_CHECKING:
    from pathlib import Path


def of_still(path: Path, width: int) -> Image.Image:
    """Return a picture so many pixels wide. Raises Spoiled where the file is none."""
    media.picture_facts(path)
    with Image.open(path) as picture:
        picture.draft("RGB", (width, width))
        height = max(2, round(width * picture.height / picture.width))
        small: Image.Image = picture.convert("RGB").resize(
            (width, height), Image.Resampling.LANCZOS
        )
        return small


def of_clip(path: Path, width: int) -> Image.Image:
    """Return the frame in the middle of a clip, so many pixels wide. Raises Spoiled."""
    facts = media.probe(path, least=1)
    for frame in frames.shown(path, facts, since=facts.seconds / 2):
        if frames.when(frame) >= facts.start + facts.seconds / 2:
            break
    height = max(2, round(width * facts.height / facts.width))
    return Image.fromarray(frames.Upright(facts, width, height, "rgb24")(frame).to_ndarray())
