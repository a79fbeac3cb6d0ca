"""What every place on a panel is made of: sky, skylines, mist, shafts of light, close ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from secondunit.backlot.easel.brush import Outline, Sheet, ellipse, noise
from secondunit.backlot.easel.palette import Colour, Palette, blend

if TYPE_CHECKING:
    from random import Random

    from numpy.typing import NDArray

    from secondunit.backlot.easel.brush import Wash
    from secondunit.backlot.easel.staging import Staging

    Line = NDArray[np.float64]

_STEPS = 500  # places along a skyline


@dataclass(frozen=True)
class Stage:
    """All that the painters of a panel share.

    `far` is the backdrop, `near` the layer before it. `horizon` is how far down the frame the
    eye's level lies, `ground` where people's feet are; `sun` is where the light comes from.
    """

    palette: Palette
    staging: Staging
    random: Random
    rng: np.random.Generator
    far: Sheet
    near: Sheet
    horizon: float
    ground: float
    sun: tuple[float, float]

    @property
    def side(self) -> int:
        """Which side the light is on: +1 right, -1 left."""
        return 1 if self.sun[0] > 0.5 else -1

    @property
    def aspect(self) -> float:
        """The frame's width in heights."""
        return self.far.aspect

    @property
    def fit(self) -> float:
        """How much smaller wide things are drawn in an upright frame: 1 in a lying one."""
        return min(1.0, 0.3 + 0.7 * self.aspect)

    @property
    def dark(self) -> bool:
        """Whether the light is a moon's or a lamp's, not a sun's."""
        return sum(self.palette.top) < 150

    def hazy(self, distance: float) -> Colour:
        """Return the colour of something dark at a distance of 0 (here) to 1 (on the horizon)."""
        air = blend(self.palette.horizon, self.palette.middle, 0.45)
        return blend(self.palette.near, air, distance)

    def shade(self, top: float, bottom: float, dark: float = 0.05) -> Wash:
        """Return the paint of something close, from `top` down to where it meets the dark."""
        return [(top, self.hazy(dark + 0.12)), (bottom, self.hazy(dark)), (1.1, self.palette.near)]


def sky(stage: Stage) -> None:
    """Paint a sky down to the horizon, with what hangs in it."""
    palette, far, horizon = stage.palette, stage.far, stage.horizon
    height = horizon - far.top
    far.flood(
        [(far.top, palette.top), (far.top + height * 0.55, palette.middle),
         (horizon - 0.01, palette.horizon)]
    )  # fmt: skip
    wet = stage.staging.weather in ("rain", "snow")
    if stage.staging.has("stars") or (stage.dark and not wet):
        stars(stage, 260 if stage.staging.has("stars") else 120, horizon - 0.05)
    _light_of_the_sky(stage, veiled=wet)
    _clouds(stage, heavy=wet or stage.staging.has("clouds"))


def stars(stage: Stage, count: int, lowest: float) -> None:
    """Scatter stars over the backdrop, fewer towards the lowest."""
    rng, far = stage.rng, stage.far
    size = 0.0009 * rng.uniform(0.7, 2.2, count)
    down = lowest - rng.power(1.6, count) * (lowest - far.top)
    across = rng.uniform(-far.room.x, 1 + far.room.x, count)
    far.light(far.strokes(np.stack([across, down, size / far.aspect, size], 1)),
              stage.palette.light, 0.8)  # fmt: skip


def _light_of_the_sky(stage: Stage, *, veiled: bool) -> None:
    (x, y), palette, far = stage.sun, stage.palette, stage.far
    far.glow(x, y, 0.95, palette.light, 0.34 if stage.dark else 0.46)
    far.glow(x, stage.horizon, 0.7, palette.horizon, 0.3)
    seen = stage.dark or stage.staging.has("sun") or stage.staging.has("moon")
    if veiled or not seen:
        return
    size = 0.042 if stage.dark else 0.055
    across = size / far.aspect
    far.glow(x, y, size * 5, palette.light, 0.6)
    far.light([ellipse(x, y, across, size)], palette.light, 0.95, 0.0015)
    if stage.dark:
        seas = [ellipse(x + a * across, y + b * size, r * across, r * size)
                for a, b, r in ((-0.3, -0.2, 0.3), (0.25, 0.15, 0.22), (-0.1, 0.4, 0.2))]  # fmt: skip
        far.fill(seas, palette.middle, 0.2, 0.006)


def _clouds(stage: Stage, *, heavy: bool) -> None:
    palette, far = stage.palette, stage.far
    size = (far.size[0] // 3, far.size[1] // 3)
    field = noise(stage.rng, size, (1.8 * stage.aspect, 9.0), 5)
    low, high = (0.36, 0.72) if heavy else (0.50, 0.85)
    cover = np.clip((field - low) / (high - low), 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    rows = np.linspace(far.top, 1 + far.room.y, size[1], dtype=np.float32)
    cover *= np.clip((stage.horizon - rows) / stage.horizon * 4, 0, 1)[:, None]
    high_cloud, low_cloud = (
        (blend(palette.top, palette.middle, 0.35), blend(palette.middle, palette.horizon, 0.75))
        if heavy
        else (
            blend(palette.middle, palette.light, 0.35),
            blend(palette.horizon, palette.light, 0.5),
        )
    )
    far.fill(
        far.field(cover), [(0.0, high_cloud), (stage.horizon, low_cloud)], 0.9 if heavy else 0.5
    )
    # Where a cloud thins out towards the light, its rim burns.
    shift = max(2, size[1] // 70)
    rim = np.clip(cover - np.roll(cover, (shift, -stage.side * shift), (0, 1)), 0, 1)
    places = far.across(size[0]).astype(np.float32)
    rim *= 1.6 * np.exp(-(((places - stage.sun[0]) / 0.55) ** 2))[None, :]
    far.light(far.field(rim), palette.light, 0.5)


def ridge(stage: Stage, base: float, height: float, rough: float, cells: float) -> Line:
    """Return a skyline as places down the frame, from the sheet's left edge to its right.

    It rises from `base` to `height` above it; `rough` 0 to 1 is how broken it is, and `cells` how
    many hills fit across.
    """
    line, weight = np.zeros(_STEPS), 1.0
    for octave in range(7):
        knots = stage.rng.random(max(3, int(cells * 2**octave) + 3))
        at = np.linspace(0, len(knots) - 1.001, _STEPS)
        low, part = at.astype(int), at % 1
        if octave < 3 or rough < 0.45:
            part = part * part * (3 - 2 * part)
        line += weight * (knots[low] * (1 - part) + knots[low + 1] * part)
        weight *= rough
    line -= line.min()
    return np.asarray(base - height * line / max(1e-6, line.max()))


def under(stage: Stage, line: Line) -> Outline:
    """Return the outline of everything below a skyline."""
    places = stage.far.across(len(line)).tolist()
    return [*zip(places, line.tolist(), strict=True), (places[-1], 1.3), (places[0], 1.3)]


def haze(stage: Stage, at: float, reach: float, strength: float) -> None:
    """Lay mist over what is painted on the backdrop so far, thickest at `at` and below."""
    colour = blend(stage.palette.horizon, stage.palette.light, 0.15)
    stage.far.fill(stage.far.mist(at - reach, at), colour, strength)


def shafts(stage: Stage, x: float, y: float, strength: float) -> None:
    """Let light fall in shafts from a place above the frame."""
    rng, beams = stage.rng, []
    for _ in range(7):
        aim, wide = -stage.side * rng.uniform(-0.5, 0.7), rng.uniform(0.02, 0.07)
        beams.append([(x - 0.01, y), (x + 0.01, y), (x + aim + wide, 1.1), (x + aim - wide, 1.1)])
    shape = stage.far.shape(beams, 0.018)
    if shape is not None:
        rows = np.linspace(1, 0.1, shape.mask.height)[:, None]
        faded = np.asarray(shape.mask) * rows
        shape.mask.frombytes(np.uint8(faded).tobytes())
        stage.far.light(shape, stage.palette.light, strength)


def close_ground(stage: Stage, height: float = 0.05, cells: float = 1.6, tufts: int = 0) -> None:
    """Paint the ground people stand on, on the near sheet, with blades of grass along it."""
    line = ridge(stage, stage.ground + height / 2, height, 0.32, cells)
    line += (stage.ground - line[len(line) // 2]) * 0.6
    places = stage.near.across(len(line))
    index = stage.rng.integers(0, len(line), tufts)
    blades = tuft(stage, places[index], line[index])
    stage.near.fill(
        [under(stage, line), *blades], stage.shade(stage.ground - 0.05, stage.ground + 0.1)
    )


def tuft(stage: Stage, across: Line, down: Line) -> list[Outline]:
    """Return a blade of grass at each of many places."""
    rng = stage.rng
    tall = rng.uniform(0.008, 0.032, len(across))
    lean = rng.normal(0.004, 0.006, len(across))
    return [
        [(x - 0.0012, y + 0.006), (x + a, y - t), (x + 0.0012, y + 0.006)]
        for x, y, a, t in zip(
            across.tolist(), down.tolist(), lean.tolist(), tall.tolist(), strict=True
        )
    ]
