"""Brushes of the storyboard artist: shapes, washes, light and noise, laid on sheets of paint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from secondunit.backlot.easel.palette import Colour, rgb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from secondunit.backlot.easel.camera import Room

Point = tuple[float, float]
Outline = list[Point]
Wash = list[tuple[float, Colour]]
"""Colours from top to bottom: (how far down the frame, colour), in that order."""
Paint = Colour | Wash
Place = tuple[float, float, float, float]
"""Left, top, right and bottom in frame sizes."""


@dataclass(frozen=True)
class Shape:
    """A mask, and the pixel of its sheet that its upper left corner lies on."""

    mask: Image.Image
    left: int
    top: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom on the sheet."""
        return self.left, self.top, self.left + self.mask.width, self.top + self.mask.height

    def dimmed(self, strength: float) -> Shape:
        """Return the shape at `strength`, 0 to 1."""
        if strength >= 1:
            return self
        return Shape(
            self.mask.point([round(n * strength) for n in range(256)]), self.left, self.top
        )


class Sheet:
    """One layer of paint over the frame and the room around it.

    Places are in frame sizes: (0, 0) is the frame's upper left, (1, 1) its lower right; a blur or
    a radius is in frame heights. `aspect` is the frame's width in heights, `fineness` how many
    pixels the paint has to one of the frame's, each way. A layer begins empty and is there where
    paint was laid; a backdrop is wholly there.
    """

    def __init__(
        self, frame: tuple[int, int], room: Room, ground: Colour, *, fineness: float = 1.0,
        backdrop: bool = False,
    ) -> None:  # fmt: skip
        self.room, self.aspect = room, frame[0] / frame[1]
        self._scale = (frame[0] * fineness, frame[1] * fineness)
        size = [round(s * (1 + 2 * r)) for s, r in zip(self._scale, (room.x, room.y), strict=True)]
        self.size = (size[0], size[1])
        self.picture = Image.new("RGB", self.size, rgb(ground))
        self.matte = None if backdrop else Image.new("L", self.size, 0)

    @property
    def top(self) -> float:
        """The uppermost place of the sheet, in frame heights."""
        return -self.room.y

    def across(self, count: int) -> NDArray[np.float64]:
        """Return `count` places from the sheet's left edge to its right."""
        return np.linspace(-self.room.x, 1 + self.room.x, count)

    def shape(self, outlines: Iterable[Outline], blur: float = 0.0) -> Shape | None:
        """Fill outlines smoothly; None if they lie off the sheet."""
        placed = [self._pixels(outline) for outline in outlines]
        if not placed:
            return None
        corners = np.concatenate(placed)
        box = self._box(corners.min(axis=0), corners.max(axis=0), blur)
        if box is None:
            return None
        big = Image.new("L", ((box[2] - box[0]) * 2, (box[3] - box[1]) * 2), 0)
        draw = ImageDraw.Draw(big)
        for points in placed:
            draw.polygon(((points - box[:2]) * 2).ravel().tolist(), fill=255)
        return Shape(self.softened(big.reduce(2), blur * self._scale[1]), box[0], box[1])

    def strokes(self, dots: NDArray[np.float64], blur: float = 0.0) -> Shape | None:
        """Fill flat ellipses, many at once; each row is x, y and the half axes, in frame sizes."""
        scale = np.array(self._scale)
        middle = (dots[:, :2] + (self.room.x, self.room.y)) * scale
        half = np.maximum(dots[:, 2:] * scale, 0.3)
        box = self._box((middle - half).min(axis=0), (middle + half).max(axis=0), blur)
        if box is None:
            return None
        big = Image.new("L", ((box[2] - box[0]) * 2, (box[3] - box[1]) * 2), 0)
        draw = ImageDraw.Draw(big)
        ends = np.concatenate([middle - half - box[:2], middle + half - box[:2]], axis=1) * 2
        for end in ends.tolist():
            draw.ellipse(end, fill=255)
        return Shape(self.softened(big.reduce(2), blur * self._scale[1]), box[0], box[1])

    def field(self, small: NDArray[np.float32]) -> Shape:
        """Blow a small field of 0 to 1 up to a shape as large as the sheet."""
        mask = Image.fromarray((np.clip(small, 0, 1) * 255).astype(np.uint8))
        return Shape(mask.resize(self.size, Image.Resampling.BILINEAR), 0, 0)

    def mist(self, top: float, bottom: float) -> Shape:
        """Return a shape that is nothing at `top` and above, and grows to all at `bottom`."""
        rows = (np.arange(self.size[1]) + 0.5) / self._scale[1] - self.room.y
        column = np.clip((rows - top) / (bottom - top), 0, 1)
        mask = Image.fromarray((column * 255).astype(np.uint8)[:, None])
        return Shape(mask.resize(self.size, Image.Resampling.NEAREST), 0, 0)

    def flood(self, paint: Paint) -> None:
        """Paint the whole sheet, without making a layer of it."""
        self.picture.paste(self._paint(paint, (0, 0, *self.size)), (0, 0, *self.size))

    def fill(
        self, what: Shape | Iterable[Outline] | None, paint: Paint, strength: float = 1.0,
        blur: float = 0.0,
    ) -> None:  # fmt: skip
        """Lay `paint` on a shape; a layer grows by it."""
        shape = what if isinstance(what, Shape) else self.shape(what or (), blur)
        if shape is None:
            return
        shape = shape.dimmed(strength)
        self.picture.paste(self._paint(paint, shape.box), shape.box, shape.mask)
        if self.matte is not None:
            under = self.matte.crop(shape.box)
            self.matte.paste(ImageChops.lighter(under, shape.mask), shape.box)

    def light(
        self, what: Shape | Iterable[Outline] | None, colour: Colour, strength: float = 1.0,
        blur: float = 0.0,
    ) -> None:  # fmt: skip
        """Add light of `colour` on a shape; on a layer, only where there is something."""
        shape = what if isinstance(what, Shape) else self.shape(what or (), blur)
        if shape is None:
            return
        mask = shape.mask
        if self.matte is not None:
            mask = ImageChops.multiply(mask, self.matte.crop(shape.box))
        tables = [[round(n * c / 255 * strength) for n in range(256)] for c in rgb(colour)]
        light = Image.merge("RGB", [mask.point(table) for table in tables])
        self.picture.paste(ImageChops.screen(self.picture.crop(shape.box), light), shape.box)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Add a soft light around a place, brightest in its middle."""
        reach = radius * self._scale[1]
        middle = self._pixels([(x, y)])[0]
        box = self._box(middle - reach, middle + reach, 0)
        if box is None:
            return
        step = max(1, int(reach / 40))
        wide, high = (max(2, (box[i + 2] - box[i]) // step) for i in (0, 1))
        across = (np.linspace(box[0], box[2], wide, dtype=np.float32) - middle[0]) / reach
        down = (np.linspace(box[1], box[3], high, dtype=np.float32) - middle[1]) / reach
        near = 1 - np.minimum(1, np.hypot(across[None, :], down[:, None]))
        level = near**2 * (1 + 1.4 * near**6) / 2.4
        mask = Image.fromarray(np.uint8(np.clip(level * 255, 0, 255)))
        size = (box[2] - box[0], box[3] - box[1])
        self.light(Shape(mask.resize(size, Image.Resampling.BICUBIC), *box[:2]), colour, strength)

    def soft(self, blur: float) -> None:
        """Throw all that is painted so far out of focus."""
        bands = [self.softened(band, blur * self._scale[1]) for band in self.picture.split()]
        self.picture = Image.merge("RGB", bands)

    @staticmethod
    def softened(mask: Image.Image, radius: float) -> Image.Image:
        """Blur by a radius in pixels; a wide blur is made small and blown up again."""
        if radius < 0.3:
            return mask
        if radius < 3:
            return mask.filter(ImageFilter.BoxBlur(radius))
        step = int(radius / 1.5)
        small = mask.reduce(step).filter(ImageFilter.GaussianBlur(radius / step))
        # What `reduce` rounds up at the edge must not stretch the rest.
        whole = (0, 0, mask.width / step, mask.height / step)
        return small.resize(mask.size, Image.Resampling.BICUBIC, box=whole)

    def grain(self, tooth: NDArray[np.float32], amount: float, rng: np.random.Generator) -> None:
        """Give the paint a tooth: 0 to 1 over the sheet, `amount` levels up and down, and grain."""
        levels = self.field(tooth).mask
        levels = levels.point([round((n - 128) * amount / 128) + 128 for n in range(256)])
        grain = rng.integers(0, 5, (self.size[1], self.size[0]), np.uint8)
        grain += np.asarray(levels)
        rough = Image.merge("RGB", [Image.fromarray(grain)] * 3)
        self.picture = ImageChops.add(self.picture, rough, offset=-130)

    def cut_out(self) -> tuple[Image.Image, Place] | None:
        """Return what was painted on a layer as RGBA, trimmed, and its place; None if nothing."""
        box = None if self.matte is None else self.matte.getbbox()
        if self.matte is None or box is None:
            return None
        picture = self.picture.crop(box)
        picture.putalpha(self.matte.crop(box))
        rooms = (self.room.x, self.room.y) * 2
        edges = [e / scale - r for e, scale, r in zip(box, self._scale * 2, rooms, strict=True)]
        return picture, (edges[0], edges[1], edges[2], edges[3])

    def _pixels(self, outline: Outline) -> NDArray[np.float64]:
        return np.add(outline, (self.room.x, self.room.y)) * self._scale

    def _box(
        self, low: NDArray[np.float64], high: NDArray[np.float64], blur: float
    ) -> tuple[int, int, int, int] | None:
        margin = 1 + 3 * blur * self._scale[1]
        left, top = (max(0, math.floor(v - margin)) for v in low)
        right, bottom = (
            min(n, math.ceil(v + margin)) for n, v in zip(self.size, high, strict=True)
        )
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _paint(self, paint: Paint, box: tuple[int, int, int, int]) -> Image.Image | tuple[int, ...]:
        if isinstance(paint, tuple):
            return rgb(paint)
        rows = (np.arange(box[1], box[3]) + 0.5) / self._scale[1] - self.room.y
        places = [place for place, _ in paint]
        column = [np.interp(rows, places, [colour[i] for _, colour in paint]) for i in range(3)]
        strip = Image.fromarray((np.stack(column, axis=1) + 0.5).astype(np.uint8)[:, None])
        return strip.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.NEAREST)


def noise(
    rng: np.random.Generator, size: tuple[int, int], cells: tuple[float, float], octaves: int
) -> NDArray[np.float32]:
    """Return smooth noise 0 to 1, `size` wide and high; `cells` bumps fit across and down."""
    total = np.zeros((size[1], size[0]), np.float32)
    reach = 0.0
    for octave in range(octaves):
        grid = [min(n, max(2, round(c * 2**octave) + 1)) for n, c in zip(size, cells, strict=True)]
        values = Image.fromarray(rng.random((grid[1], grid[0]), np.float32))
        total += 0.5**octave * np.asarray(values.resize(size, Image.Resampling.BICUBIC))
        reach += 0.5**octave
    total /= reach
    return total.clip(0, 1)


def smooth(points: Sequence[Point], steps: int = 8, *, closed: bool = True) -> Outline:
    """Run a soft line through `points` (Catmull-Rom), `steps` places to a stretch."""
    knots = np.asarray(points, np.float64)
    ends = (knots[[-1]], knots[:2]) if closed else (knots[[0]], knots[[-1, -1]])
    padded = np.concatenate([ends[0], knots, ends[1]])
    count = len(knots) if closed else len(knots) - 1
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (padded[i : i + count][:, None, :] for i in range(4))
    line = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * b - a - 3 * c + d)))
    flat = line.reshape(-1, 2).tolist()
    return [(x, y) for x, y in flat]


def ellipse(x: float, y: float, across: float, down: float) -> Outline:
    """Return an ellipse around a place, with half axes `across` and `down`."""
    angles = np.linspace(0, math.tau, 40, endpoint=False)
    return list(zip((x + across * np.cos(angles)).tolist(), (y + down * np.sin(angles)).tolist(),
                    strict=True))  # fmt: skip


def limb(points: Sequence[Point], widths: Sequence[float]) -> Outline:
    """Return a tapered stroke through `points`, `widths` wide from end to end, round at both."""
    line = np.asarray([*smooth(points, 6, closed=False), points[-1]])
    half = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths) / 2
    way = np.gradient(line, axis=0)
    way /= np.maximum(1e-9, np.hypot(way[:, 0], way[:, 1]))[:, None]
    side = np.stack([-way[:, 1], way[:, 0]], axis=1) * half[:, None]
    head, tail = line[-1] + way[-1] * half[-1] * 0.8, line[0] - way[0] * half[0] * 0.8
    outline = np.concatenate([line + side, [head], (line - side)[::-1], [tail]]).tolist()
    return [(x, y) for x, y in outline]


def block(left: float, top: float, right: float, bottom: float) -> Outline:
    """Return an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
