"""Brushes of the storyboard artist: washes, silhouettes, glows, noise; all on Pillow and numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from secondunit.backlot.palette import Colour, rgb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from secondunit.backlot.camera import Room

Point = tuple[float, float]
Outline = list[Point]
Paint = Colour | Image.Image


class Easel:
    """The size of a picture and where the frame lies in it.

    Places are in frame sizes: (0, 0) is the frame's upper left, (1, 1) its lower right, and the
    room around goes beyond both. `unit` is the height of the frame in pixels; `aspect` its width
    in heights. `rng` is the artist's hand, the same for the same seed.
    """

    def __init__(self, frame: tuple[int, int], room: Room, seed: int) -> None:
        self.frame, self.room = frame, room
        width, height = frame
        self.size = (round(width * (1 + 2 * room.x)), round(height * (1 + 2 * room.y)))
        self.unit, self.aspect = height, width / height
        self.rng = np.random.Generator(np.random.PCG64(seed))

    def at(self, x: float, y: float) -> Point:
        """Turn a place in frame sizes into pixels."""
        width, height = self.frame
        return (x + self.room.x) * width, (y + self.room.y) * height

    def across(self, count: int) -> NDArray[np.float64]:
        """Return `count` places from the left edge of the picture to its right."""
        return np.linspace(-self.room.x, 1 + self.room.x, count)

    def mask(self, outlines: Iterable[Outline], blur: float = 0.0, level: int = 255) -> Image.Image:
        """Fill outlines (in frame sizes) smoothly; `blur` is in frame heights."""
        width, height = self.size
        big = Image.new("L", (width * 2, height * 2), 0)
        draw = ImageDraw.Draw(big)
        for outline in outlines:
            points = [(2 * x, 2 * y) for x, y in (self.at(*p) for p in outline)]
            draw.polygon(points, fill=level)
        return self.soften(big.reduce(2), blur)

    def soften(self, mask: Image.Image, blur: float) -> Image.Image:
        """Blur by `blur` frame heights; large blurs are made small and blown up again."""
        radius = blur * self.unit
        if radius < 0.3:
            return mask
        step = max(1, int(radius / 4))
        small = mask.reduce(step) if step > 1 else mask
        small = small.filter(ImageFilter.GaussianBlur(radius / step))
        return small.resize(mask.size, Image.Resampling.BICUBIC) if step > 1 else small

    def wash(self, stops: Sequence[tuple[float, Colour]]) -> Image.Image:
        """Paint the picture with a gradient from top to bottom; stops are (place, colour)."""
        height = self.size[1]
        rows = (np.arange(height) + 0.5) / self.frame[1] - self.room.y
        places = [place for place, _ in stops]
        column = np.stack(
            [np.interp(rows, places, [c[i] for _, c in stops]) for i in range(3)], axis=1
        )
        strip = Image.fromarray(np.uint8(np.clip(column + 0.5, 0, 255))[:, None, :])
        return strip.resize(self.size, Image.Resampling.NEAREST)

    def fade(self, top: float, bottom: float, level: float = 1.0) -> Image.Image:
        """Return a mask that goes from nothing at `top` to `level` at `bottom`, and stays."""
        full = 255 * level
        clear, solid = (0.0, 0.0, 0.0), (full, full, full)
        stops = [(top, clear), (bottom, solid)]
        if top > bottom:
            stops = [(bottom, solid), (top, clear)]
        return self.wash(stops).getchannel("R")

    def noise(
        self, cells: tuple[float, float], octaves: int = 4, scale: int = 2
    ) -> NDArray[np.float32]:
        """Return smooth noise 0 to 1 at 1/`scale` of the picture; `cells` fit across and down."""
        width, height = (max(2, n // scale) for n in self.size)
        total = np.zeros((height, width), np.float32)
        weight, reach = 1.0, 0.0
        for octave in range(octaves):
            grid = [min(n, max(2, round(c * 2**octave) + 1))
                    for n, c in zip((width, height), cells, strict=True)]  # fmt: skip
            values = Image.fromarray(self.rng.random((grid[1], grid[0]), np.float32))
            total += weight * np.asarray(values.resize((width, height), Image.Resampling.BICUBIC))
            reach += weight
            weight *= 0.5
        return np.clip(total / reach, 0, 1)

    def blow_up(self, small: NDArray[np.float32]) -> Image.Image:
        """Turn a small field of 0 to 1 into a mask of the picture's size."""
        mask = Image.fromarray(np.uint8(np.clip(small, 0, 1) * 255))
        return mask.resize(self.size, Image.Resampling.BICUBIC)


class Sheet:
    """One layer of paint: RGB and, unless it is a backdrop, a matte that grows as shapes go on."""

    def __init__(self, easel: Easel, ground: Paint, *, backdrop: bool = False) -> None:
        self.easel = easel
        self.picture = _paint(ground, easel.size).copy()
        self.matte = None if backdrop else Image.new("L", easel.size, 0)

    def fill(self, mask: Image.Image, paint: Paint, strength: float = 1.0) -> None:
        """Lay `paint` on where `mask` is; a layer's matte grows by it."""
        if strength < 1:
            mask = mask.point(lambda level: round(level * strength))
        self.picture.paste(_paint(paint, self.easel.size), (0, 0), mask)
        if self.matte is not None:
            self.matte = ImageChops.lighter(self.matte, mask)

    def light(self, mask: Image.Image, colour: Colour, strength: float = 1.0) -> None:
        """Add light of `colour` where `mask` is; on a layer, only where there is something."""
        mask = mask.point(lambda level: round(level * strength))
        if self.matte is not None:
            mask = ImageChops.multiply(mask, self.matte)
        bands = [mask.point(lambda level, c=c: round(level * c / 255)) for c in rgb(colour)]
        self.picture = ImageChops.screen(self.picture, Image.merge("RGB", bands))

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Add a soft light around a place; `radius` in frame heights."""
        easel = self.easel
        reach = radius * easel.unit
        left, top = easel.at(x, y)
        box = [round(left - reach), round(top - reach), round(left + reach), round(top + reach)]
        inside = (max(0, box[0]), max(0, box[1]), min(easel.size[0], box[2]),
                  min(easel.size[1], box[3]))  # fmt: skip
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            return
        step = max(1, int(reach / 48))
        width, height = (max(1, (inside[i + 2] - inside[i]) // step) for i in (0, 1))
        across = (np.linspace(inside[0], inside[2], width, dtype=np.float32) - left) / reach
        down = (np.linspace(inside[1], inside[3], height, dtype=np.float32) - top) / reach
        far = np.minimum(1, np.hypot(across[None, :], down[:, None]))
        field = (1 - far) ** 2 * (1 + 1.4 * (1 - far) ** 6) / 2.4 * strength
        lit = np.clip(field[..., None] * np.array(colour, np.float32), 0, 255).astype(np.uint8)
        size = (inside[2] - inside[0], inside[3] - inside[1])
        light = Image.fromarray(lit).resize(size, Image.Resampling.BICUBIC)
        if self.matte is not None:
            light.paste((0, 0, 0), (0, 0), ImageChops.invert(self.matte.crop(inside)))
        self.picture.paste(ImageChops.screen(self.picture.crop(inside), light), inside[:2])

    def grain(self, mottle: NDArray[np.float32], amount: float) -> None:
        """Give the paint a tooth: `mottle` is 0 to 1 over the picture, `amount` in levels."""
        tooth = np.asarray(self.easel.blow_up(mottle), np.int16) - 128
        tooth = (tooth * round(amount * 2)) >> 8
        fine = self.easel.rng.integers(-2, 3, tooth.shape, np.int16)
        pixels = np.asarray(self.picture, np.int16) + (tooth + fine)[..., None]
        self.picture = Image.fromarray(np.uint8(np.clip(pixels, 0, 255)))


def _paint(paint: Paint, size: tuple[int, int]) -> Image.Image:
    return paint if isinstance(paint, Image.Image) else Image.new("RGB", size, rgb(paint))


def smooth(points: Sequence[Point], steps: int = 8, *, closed: bool = True) -> Outline:
    """Run a soft line through `points` (Catmull-Rom), `steps` places to a stretch."""
    knots = np.asarray(points, np.float64)
    ends = knots[[-1]], knots[:2]
    if not closed:
        ends = knots[[0]], knots[[-1, -1]]
    a = np.concatenate([ends[0], knots, ends[1]])
    count = len(knots) if closed else len(knots) - 1
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (a[i : i + count][:, None, :] for i in range(4))
    line = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )  # fmt: skip
    return [(float(x), float(y)) for x, y in line.reshape(-1, 2)]


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> Outline:
    """Return an ellipse around a place, with half axes `across` and `down`, turned in radians."""
    angles = np.linspace(0, math.tau, 48, endpoint=False)
    u, v = across * np.cos(angles), down * np.sin(angles)
    c, s = math.cos(turn), math.sin(turn)
    return [(float(x + i * c - j * s), float(y + i * s + j * c)) for i, j in zip(u, v, strict=True)]


def limb(points: Sequence[Point], widths: Sequence[float]) -> Outline:
    """Return a tapered stroke through `points`, `widths` wide at each, round at both ends."""
    line = np.asarray(smooth(points, 6, closed=False) + [points[-1]])
    stops = np.linspace(0, 1, len(widths))
    half = np.interp(np.linspace(0, 1, len(line)), stops, widths) / 2
    way = np.gradient(line, axis=0)
    way /= np.maximum(1e-9, np.hypot(way[:, 0], way[:, 1]))[:, None]
    side = np.stack([-way[:, 1], way[:, 0]], axis=1) * half[:, None]
    caps = [line[-1] + way[-1] * half[-1] * 0.8], [line[0] - way[0] * half[0] * 0.8]
    outline = np.concatenate([line + side, caps[0], (line - side)[::-1], caps[1]])
    return [(float(x), float(y)) for x, y in outline]
