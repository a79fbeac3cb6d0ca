"""A still made of reference pictures: reframed by shot size, laid out together, graded as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from secondunit.backlot.easel.grade import read_grade
from secondunit.backlot.easel.palette import blend, read_palette, rgb
from secondunit.backlot.easel.plate import Canvas, frame_planes, to_frame
from secondunit.backlot.easel.staging import artist, read_staging

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIGHT = {"extreme": 0.42, "close": 0.6, "medium": 0.78, "over": 0.8, "full": 0.92}
_GRADE = 0.34  # a reference stays itself

# Where each picture goes, by their number: left, top, right, bottom of the frame.
_LAYOUTS: dict[int, tuple[tuple[float, float, float, float], ...]] = {
    1: ((0, 0, 1, 1),),
    2: ((0, 0, 0.6, 1), (0.6, 0, 1, 1)),
    3: ((0, 0, 0.6, 1), (0.6, 0, 1, 0.5), (0.6, 0.5, 1, 1)),
}


def collage(
    pictures: Sequence[Image.Image], prompt: str, seed: int, frame: tuple[int, int]
) -> Image.Image:
    """Compose one still of RGB pictures, the first of them the largest, for a frame in pixels.

    More than three are one too many: the rest are left out.
    """
    random = artist(prompt, seed)
    palette, staging = read_palette(prompt, random), read_staging(prompt, random)
    pictures = pictures[: max(_LAYOUTS)]
    page = Image.new("RGB", frame, rgb(blend(palette.near, palette.top, 0.3)))
    gap = max(1, round(min(frame) * 0.006)) if len(pictures) > 1 else 0
    for n, (picture, place) in enumerate(zip(pictures, _LAYOUTS[len(pictures)], strict=True)):
        box = _box(place, frame, gap)
        size = (box[2] - box[0], box[3] - box[1])
        tight = _TIGHT.get(staging.size, 1.0) if n == 0 else 1.0
        page.paste(_cropped(picture, size, tight), box)
    return _graded(page, prompt, seed)


def _box(
    place: tuple[float, float, float, float], frame: tuple[int, int], gap: int
) -> tuple[int, int, int, int]:
    """Turn a place into pixels, upright frames stacked, with half a gutter on inner edges."""
    if frame[0] < frame[1]:
        place = (place[1], place[0], place[3], place[2])
    left, top, right, bottom = place
    return (
        round(left * frame[0]) + (gap if left else 0),
        round(top * frame[1]) + (gap if top else 0),
        round(right * frame[0]) - (gap if right < 1 else 0),
        round(bottom * frame[1]) - (gap if bottom < 1 else 0),
    )


def _cropped(picture: Image.Image, size: tuple[int, int], tight: float) -> Image.Image:
    """Fill `size` with a part of a picture, in from the sides and above the middle: faces are."""
    scale = tight * min(whole / part for whole, part in zip(picture.size, size, strict=True))
    wide, high = size[0] * scale, size[1] * scale
    left, top = (picture.width - wide) / 2, (picture.height - high) * 0.22
    box = (left, top, left + wide, top + high)
    return picture.resize(size, Image.Resampling.LANCZOS, box=box)


def _graded(page: Image.Image, prompt: str, seed: int) -> Image.Image:
    canvas = Canvas(*page.size)
    for plane, new in zip(canvas.planes, frame_planes(to_frame(page, *page.size)), strict=True):
        plane[...] = new
    read_grade(prompt, seed, _GRADE).apply(canvas)
    return canvas.picture()
