"""What moves on a sketch besides the lens: rain, snow, embers, dust, lightning, a turning lamp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from secondunit.backlot.easel.camera import Pose
    from secondunit.backlot.easel.plate import Planes

    Luma = NDArray[np.uint8]

_WHITE = 235  # the brightest TV-range luma


@dataclass(frozen=True)
class _Fall:
    """A kind of weather: how many drops, of what length and brightness, and how they move.

    Lengths are in frame heights, speeds in frame heights a second, `sway` in frame heights.
    """

    count: int
    size: float
    streak: tuple[float, float]
    speed: tuple[float, float]
    sway: float
    bright: int
    blur: float


# Each is a far and thick layer, then a near and thin one.
_KINDS: dict[str, tuple[_Fall, _Fall]] = {
    "rain": (
        _Fall(520, 0.0014, (0.012, 0.060), (0.30, 1.55), 0.0, 34, 0.0),
        _Fall(110, 0.0022, (0.028, 0.150), (0.55, 2.90), 0.0, 62, 0.0012),
    ),
    "snow": (
        _Fall(420, 0.0032, (0, 0), (0.015, 0.10), 0.010, 70, 0.0012),
        _Fall(90, 0.0075, (0, 0), (0.03, 0.19), 0.022, 95, 0.0035),
    ),
    "embers": (
        _Fall(70, 0.0022, (0, 0), (0.03, -0.10), 0.020, 120, 0.0008),
        _Fall(26, 0.0040, (0, 0), (0.05, -0.19), 0.035, 150, 0.0016),
    ),
    "dust": (
        _Fall(110, 0.0022, (0, 0), (0.012, -0.012), 0.012, 40, 0.0012),
        _Fall(36, 0.0050, (0, 0), (0.020, 0.018), 0.020, 44, 0.0040),
    ),
}


class Falling:
    """Rain, snow, embers or dust: two sheets of drops, drawn once and then slid over the frame."""

    def __init__(self, kind: str, size: tuple[int, int], fps: float, seed: int) -> None:
        """Take a `kind` of WEATHER and the frame's size in pixels."""
        rng = np.random.Generator(np.random.PCG64(seed))
        self._size, self._fps = size, fps
        self._sheets = [(fall, _sheet(fall, size, rng)) for fall in _KINDS[kind]]

    def burn(self, luma: Luma, frame: int, level: float) -> None:
        """Add the drops to a frame's luma, `level` 0 (none) to 1."""
        width, height = self._size
        time = frame / self._fps
        for n, (fall, sheet) in enumerate(self._sheets):
            drift = fall.speed[0] * time + fall.sway * math.sin(time * (1.1 + 0.4 * n))
            x = round(-drift * height) % width
            y = round(-fall.speed[1] * time * height) % height
            _add(luma, sheet[y : y + height, x : x + width], level)


def _sheet(fall: _Fall, size: tuple[int, int], rng: np.random.Generator) -> Luma:
    """Draw drops on a sheet that can be slid over a frame for ever: it repeats."""
    width, height = size
    picture = Image.new("L", size, 0)
    draw = ImageDraw.Draw(picture)
    radius = fall.size * height
    long_x, long_y = (s * height for s in fall.streak)
    for x, y, depth in (rng.random((fall.count, 3)) * (width, height, 1)).tolist():
        bright = round(fall.bright * (0.35 + 0.65 * depth))
        grown = radius * (0.6 + 0.6 * depth)
        for left in (x - width, x):
            for top in (y - height, y):
                if long_y:
                    draw.line(
                        (left, top, left + long_x, top + long_y), bright, max(1, round(grown))
                    )
                else:
                    draw.ellipse((left - grown, top - grown, left + grown, top + grown), bright)
    blurred = picture.filter(ImageFilter.BoxBlur(max(0.35, fall.blur * height)))
    return np.tile(np.asarray(blurred), (2, 2))


def _add(luma: Luma, light: Luma, level: float = 1.0) -> None:
    """Add light to luma and stop at white."""
    if level < 1:
        light = (light * np.uint16(round(level * 256)) >> 8).astype(np.uint8)
    np.minimum(luma, _WHITE - light, out=luma)
    luma += light


class Beam:
    """A lamp that turns like a lighthouse's: its beam sweeps round, and flares as it passes."""

    _TURN = 4.0  # seconds
    _BRIGHT = 120

    def __init__(self, lamp: tuple[float, float], size: tuple[int, int], fps: float) -> None:
        """Take the lamp's place in frame sizes, and the frame's in pixels."""
        self._lamp, self._size, self._fps = lamp, size, fps
        width, height = size
        across = np.linspace(0, 1, width, dtype=np.float32)[None, :]
        down = np.linspace(-1, 1, max(2, height // 2), dtype=np.float32)[:, None]
        spread = 0.05 + 0.75 * across
        cone = np.exp(-((down / spread) ** 2) * 2.2) * (1 - across) ** 1.3
        self._cone = Image.fromarray(np.uint8(cone * self._BRIGHT))

    def burn(self, luma: Luma, pose: Pose, frame: int, level: float) -> None:
        """Add the beam to a frame's luma, seen from `pose`."""
        width, height = self._size
        angle = math.tau * (frame / self._fps / self._TURN + 0.06)
        reach, towards = math.cos(angle), max(0.0, math.sin(angle))
        x, y = ((at - 0.5 - off) / pose.span + 0.5
                for at, off in zip(self._lamp, (pose.x, pose.y), strict=True))  # fmt: skip
        long, high = width * 1.1 / pose.span, height * (0.42 + 0.5 * towards)
        wide = max(0.03, abs(reach)) * long
        left, top = x * width - (wide if reach < 0 else 0), y * height - high / 2
        box = (max(0, round(left)), max(0, round(top)),
               min(width, round(left + wide)), min(height, round(top + high)))  # fmt: skip
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        step = self._cone.width / wide, self._cone.height / high
        window = (step[0], 0.0, (box[0] - left) * step[0], 0.0, step[1], (box[1] - top) * step[1])
        if reach < 0:
            window = (-step[0], 0.0, (left + wide - box[0]) * step[0], *window[3:])
        seen = self._cone.transform((box[2] - box[0], box[3] - box[1]), Image.Transform.AFFINE,
                                    window, Image.Resampling.NEAREST)  # fmt: skip
        lit = luma[box[1] : box[3], box[0] : box[2]]
        _add(lit, np.asarray(seen), level * (0.55 + 0.45 * towards))


class Lightning:
    """A double flash in the clouds, once or twice in a clip."""

    _SHAPE = (0.55, 1.0, 0.45, 0.2, 0.7, 0.5, 0.3, 0.16, 0.07)

    def __init__(self, frames: int, fps: float, seed: int) -> None:
        rng = np.random.Generator(np.random.PCG64(seed))
        count = 1 + int(frames / fps > 4)
        starts = np.linspace(0.25, 0.7, count) + rng.uniform(-0.08, 0.08, count)
        self._starts = [round(s * frames) for s in starts]

    def burn(self, luma: Luma, frame: int) -> None:
        """Brighten a frame if a flash falls on it."""
        for start in self._starts:
            if 0 <= frame - start < len(self._SHAPE):
                strength = round(self._SHAPE[frame - start] * 90)
                lift = np.arange(256) + (_WHITE - np.arange(256)).clip(0) * strength // 256
                luma[...] = lift.astype(np.uint8)[luma]


@dataclass(frozen=True)
class Weather:
    """All that falls and flashes on one clip."""

    falling: Falling | None = None
    beam: Beam | None = None
    lightning: Lightning | None = None

    def burn(self, planes: Planes, pose: Pose, frame: int, level: float) -> None:
        """Draw it on a frame seen from `pose`, `level` 0 (none) to 1."""
        if self.beam is not None:
            self.beam.burn(planes[0], pose, frame, level)
        if self.lightning is not None:
            self.lightning.burn(planes[0], frame)
        if self.falling is not None:
            self.falling.burn(planes[0], frame, level)


def brew(
    kind: str, marks: Sequence[str] | frozenset[str], size: tuple[int, int], frames: int,
    fps: float, seed: int, lamp: tuple[float, float] | None = None,
) -> Weather:  # fmt: skip
    """Make the weather of a clip: a `kind` that falls (or ""), what the marks call for, a lamp."""
    return Weather(
        Falling(kind, size, fps, seed) if kind in _KINDS else None,
        Beam(lamp, size, fps) if lamp else None,
        Lightning(frames, fps, seed) if "lightning" in marks else None,
    )
