"""What the tests of the animatic share: a small sketch, its frames, and marks to follow in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from PIL import Image, ImageDraw

from secondunit.backlot.animatic import Sketch, render_clip

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Sketch("gen4.5", "A man on a cliff", 7, 320, 180, seconds=1.0, shot="sh010")
MOVES = (
    "static", "push in", "pull back", "pan left", "pan right", "tilt up", "tilt down", "truck left",
    "orbit", "crane up", "handheld", "zoom in", "zoom out", "whip pan", "slow dolly in", "",
)  # fmt: skip


def film(path: Path) -> list[np.ndarray]:
    """Decode every frame of a clip, as RGB in floats."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [f.to_ndarray(format="rgb24", src_colorspace="ITU709").astype(float) for f in frames]


def rendered(sketch: Sketch, folder: Path) -> list[np.ndarray]:
    out = folder / "clip.mp4"
    render_clip(sketch, out)
    return film(out)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one - other) ** 2))))


class Marks(NamedTuple):
    """Where a red and a blue mark are in a frame: their middle, and how far they are apart."""

    x: float
    y: float
    apart: float


def marked(folder: Path, size: tuple[int, int] = (640, 360)) -> Path:
    """Make a picture with a red mark left of its middle and a blue one right of it."""
    picture = Image.new("RGB", size, (70, 70, 70))
    draw = ImageDraw.Draw(picture)
    for x, colour in ((0.42, (255, 0, 0)), (0.58, (0, 0, 255))):
        middle, radius = (x * size[0], 0.5 * size[1]), 0.04 * size[1]
        draw.circle(middle, radius, colour)
    path = folder / "marked.png"
    picture.save(path)
    return path


def find_marks(frame: np.ndarray) -> Marks:
    def centre(channel: int, other: int) -> tuple[float, float]:
        weight = np.clip(frame[..., channel] - frame[..., other] - 60, 0, None)
        rows, columns = np.indices(weight.shape)
        total = weight.sum()
        assert total > 0
        return float((columns * weight).sum() / total), float((rows * weight).sum() / total)

    (x0, y0), (x1, y1) = centre(0, 2), centre(2, 0)
    return Marks((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0)
