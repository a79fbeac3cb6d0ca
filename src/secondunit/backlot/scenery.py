"""Places as a storyboard artist paints them: sky, sea, mountains, woods, city, street, a room."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from secondunit.backlot.brush import Easel, Outline, Sheet, ellipse, limb, smooth
from secondunit.backlot.palette import Colour, Palette, blend

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from numpy.typing import NDArray

    from secondunit.backlot.staging import Staging


@dataclass(frozen=True)
class Stage:
    """All that the painters of a panel share.

    `horizon` is how far down the frame the eye's level lies, `ground` where people's feet are;
    `sun` is the place the light comes from, and `side` +1 if that is on the right.
    """

    easel: Easel
    palette: Palette
    staging: Staging
    random: Random
    far: Sheet
    near: Sheet
    horizon: float
    ground: float
    sun: tuple[float, float]

    @property
    def side(self) -> int:
        """Which side the light is on: +1 right, -1 left."""
        return 1 if self.sun[0] > 0.5 else -1

    def hazy(self, distance: float) -> Colour:
        """Return the colour of something dark at a distance of 0 (here) to 1 (on the horizon)."""
        return blend(self.palette.near, blend(self.palette.horizon, self.palette.middle, 0.45), distance)


def paint_place(stage: Stage) -> None:
    """Paint the staging's place on the backdrop, and what stands close on the near sheet."""
    PAINTERS[stage.staging.place](stage)


def sky(stage: Stage) -> None:
    """Paint a sky down to the horizon, with what hangs in it."""
    palette, far, easel = stage.palette, stage.far, stage.easel
    top = -easel.room.y
    height = stage.horizon - top
    wash = easel.wash(
        [(top, palette.top), (top + height * 0.55, palette.middle),
         (stage.horizon - 0.01, palette.horizon), (1.2, palette.horizon)]
    )  # fmt: skip
    far.picture.paste(wash)
    dark = sum(palette.top) < 150
    if stage.staging.has("stars") or (dark and stage.staging.weather not in ("rain", "snow")):
        _stars(stage, 260 if stage.staging.has("stars") else 120)
    _sun_or_moon(stage, dark=dark)
    _clouds(stage)


def _stars(stage: Stage, count: int) -> None:
    easel, rng = stage.easel, stage.easel.rng
    small = 0.0009
    dots = [
        ellipse(x, y, small * size / easel.aspect, small * size)
        for x, y, size in zip(
            rng.uniform(-easel.room.x, 1 + easel.room.x, count),
            stage.horizon - 0.05 - rng.power(1.6, count) * (stage.horizon + easel.room.y),
            rng.uniform(0.7, 2.2, count),
            strict=True,
        )
    ]
    stage.far.light(easel.mask(dots), stage.palette.light, 0.8)


def _sun_or_moon(stage: Stage, *, dark: bool) -> None:
    (x, y), palette, far = stage.sun, stage.palette, stage.far
    grey = stage.staging.weather in ("rain", "snow") or not stage.staging.marks & {"sun", "moon"}
    far.glow(x, y, 0.95, palette.light, 0.30 if dark else 0.42)
    far.glow(x, stage.horizon, 0.7, palette.horizon, 0.25)
    if grey and not dark:
        return
    size = 0.045 if dark else 0.06
    if stage.staging.weather in ("rain", "snow"):
        return
    disc = [ellipse(x, y, size / stage.easel.aspect, size)]
    far.glow(x, y, size * 5, palette.light, 0.5)
    far.light(stage.easel.mask(disc, 0.0015), palette.light, 0.95)
    if dark:
        seas = [ellipse(x + dx * size / stage.easel.aspect, y + dy * size,
                        size * r / stage.easel.aspect, size * r)
                for dx, dy, r in ((-0.3, -0.2, 0.3), (0.25, 0.15, 0.22), (-0.1, 0.4, 0.2))]  # fmt: skip
        far.fill(stage.easel.mask(seas, 0.006), palette.middle, 0.22)


def _clouds(stage: Stage) -> None:
    heavy = stage.staging.has("clouds") or stage.staging.weather in ("rain", "snow")
    easel, palette = stage.easel, stage.palette
    field = easel.noise((3.2 * easel.aspect / 1.8, 9.0), 5)
    low, high = (0.36, 0.72) if heavy else (0.50, 0.85)
    cover = np.clip((field - low) / (high - low), 0, 1)
    cover = cover * cover * (3 - 2 * cover)
    rows = np.linspace(-easel.room.y, 1 + easel.room.y, len(cover), dtype=np.float32)
    depth = np.clip((stage.horizon - rows) / max(0.1, stage.horizon), 0, 1)
    cover *= np.minimum(1, depth * 4)[:, None]
    body = easel.wash(
        [(-0.1, blend(palette.top, palette.middle, 0.35)),
         (stage.horizon, blend(palette.middle, palette.horizon, 0.75))]
    )  # fmt: skip
    if not heavy:
        body = easel.wash([(0, blend(palette.middle, palette.light, 0.35)),
                           (stage.horizon, blend(palette.horizon, palette.light, 0.5))])  # fmt: skip
    stage.far.fill(easel.blow_up(cover), body, 0.9 if heavy else 0.55)
    # Where a cloud thins out towards the light, its rim burns.
    shift = max(2, len(cover) // 70)
    lit = np.clip(cover - np.roll(cover, (shift, -stage.side * shift), (0, 1)), 0, 1)
    across = np.linspace(-easel.room.x, 1 + easel.room.x, cover.shape[1], dtype=np.float32)
    close = np.exp(-(((across[None, :] - stage.sun[0]) / 0.55) ** 2))
    stage.far.light(easel.blow_up(lit * close * 1.6), palette.light, 0.5 if heavy else 0.4)


def ridge(stage: Stage, base: float, height: float, rough: float, cells: float) -> NDArray[np.float64]:
    """Return a skyline: places down the frame at 600 steps across, `height` above `base` at most."""
    count, rng = 600, stage.easel.rng
    line, weight = np.zeros(count), 1.0
    for octave in range(7):
        knots = rng.random(max(3, int(cells * 2**octave) + 3))
        at = np.linspace(0, len(knots) - 1.001, count)
        bend = at % 1 if octave > 2 and rough > 0.45 else (at % 1) ** 2 * (3 - 2 * (at % 1))
        low = at.astype(int)
        line += weight * (knots[low] * (1 - bend) + knots[low + 1] * bend)
        weight *= rough
    line = (line - line.min()) / max(1e-6, line.max() - line.min())
    return base - height * line


def under(stage: Stage, line: NDArray[np.float64]) -> Outline:
    """Return the outline of everything below a skyline."""
    places = stage.easel.across(len(line))
    corners = [(places[-1], 2.0), (places[0], 2.0)]
    return [*zip(places.tolist(), line.tolist(), strict=True), *corners]


def haze(stage: Stage, at: float, reach: float, strength: float) -> None:
    """Lay mist over what is painted on the backdrop so far, thickest at `at`."""
    colour = blend(stage.palette.horizon, stage.palette.light, 0.15)
    stage.far.fill(stage.easel.fade(at - reach, at), colour, strength)


def ground_line(stage: Stage, height: float = 0.05, cells: float = 1.6) -> NDArray[np.float64]:
    """Return the close ground: a soft line through the place where people stand."""
    line = ridge(stage, stage.ground + height / 2, height, 0.32, cells)
    here = line[len(line) // 2]
    return np.asarray(line + (stage.ground - here) * 0.6)


def near_ground(stage: Stage, line: NDArray[np.float64], tufts: int = 0) -> None:
    """Paint the close ground on the near sheet, with blades of grass along it."""
    outlines = [under(stage, line)]
    places, rng = stage.easel.across(len(line)), stage.easel.rng
    for index in rng.integers(0, len(line), tufts):
        x, y, tall = places[index], line[index] + 0.006, rng.uniform(0.008, 0.032)
        lean = rng.normal(0.004, 0.006)
        outlines.append([(x - 0.0012, y), (x + lean, y - tall), (x + 0.0012, y)])
    near = stage.hazy(0.07)
    wash = stage.easel.wash([(stage.ground - 0.04, stage.hazy(0.2)), (stage.ground + 0.10, near),
                             (1.0, stage.palette.near)])  # fmt: skip
    stage.near.fill(stage.easel.mask(outlines), wash)


def mountains(stage: Stage) -> None:
    """Ranges one behind the other, each paler, with mist in the valleys."""
    sky(stage)
    count = 4
    for n in range(count):
        part = n / (count - 1)
        base = stage.horizon + 0.02 + 0.10 * part
        line = ridge(stage, base, 0.34 - 0.22 * part, 0.52, 1.1 + 1.6 * part)
        colour = stage.hazy(0.80 - 0.52 * part)
        mask = stage.easel.mask([under(stage, line)])
        wash = stage.easel.wash([(base - 0.34, blend(colour, stage.palette.near, 0.12)),
                                 (base + 0.04, blend(colour, stage.palette.horizon, 0.30))])  # fmt: skip
        stage.far.fill(mask, wash)
        if n < 2:
            _lit_slopes(stage, line, snow=stage.staging.weather == "snow")
    haze(stage, stage.horizon + 0.14, 0.14, 0.35)
    near_ground(stage, ground_line(stage), 260)


def _lit_slopes(stage: Stage, line: NDArray[np.float64], *, snow: bool) -> None:
    """Catch light on the slopes that face the sun."""
    falling = np.gradient(line) * stage.side
    places, outlines = stage.easel.across(len(line)), []
    for i in range(0, len(line) - 6, 6):
        if falling[i : i + 6].mean() < 0.0002:
            continue
        deep = 0.02 + 0.05 * float(stage.easel.rng.random())
        outlines.append([(places[i], line[i]), (places[i + 6], line[i + 6]),
                         (places[i + 6] - 0.012 * stage.side, line[i + 6] + deep)])  # fmt: skip
    stage.far.fill(stage.easel.mask(outlines, 0.002), stage.palette.light, 0.55 if snow else 0.22)


def field(stage: Stage) -> None:
    """Rolling land under a large sky, with grass close by."""
    sky(stage)
    for n in range(3):
        line = ridge(stage, stage.horizon + 0.015 + 0.05 * n, 0.05, 0.35, 1.4 + n)
        stage.far.fill(stage.easel.mask([under(stage, line)]), _land(stage, 0.62 - 0.2 * n))
    _far_trees(stage, stage.horizon + 0.05, 9)
    haze(stage, stage.horizon + 0.12, 0.12, 0.22)
    near_ground(stage, ground_line(stage), 900)


def _land(stage: Stage, distance: float):  # type: ignore[no-untyped-def]
    colour = stage.hazy(distance)
    lit = blend(colour, stage.palette.light, 0.16)
    return stage.easel.wash([(stage.horizon - 0.03, lit), (stage.horizon + 0.2, colour)])


def _far_trees(stage: Stage, y: float, count: int) -> None:
    rng, outlines = stage.easel.rng, []
    for x in rng.uniform(-0.14, 1.14, count):
        for _ in range(4):
            dx, dy, r = rng.normal(0, 0.008), rng.uniform(-0.025, -0.004), rng.uniform(0.008, 0.02)
            outlines.append(ellipse(x + dx, y + dy, r * 1.1 / stage.easel.aspect, r))
    stage.far.fill(stage.easel.mask(outlines, 0.001), stage.hazy(0.34))


def road(stage: Stage) -> None:
    """A road that runs from under the lens to the horizon."""
    field(replace(stage, near=Sheet(stage.easel, stage.palette.near)))
    meet = 0.5 + stage.random.uniform(-0.08, 0.08)
    far, easel = stage.far, stage.easel
    bed = [(meet - 0.004, stage.horizon + 0.02), (meet + 0.004, stage.horizon + 0.02),
           (1.10, 1.35), (-0.10, 1.35)]  # fmt: skip
    asphalt = blend(stage.hazy(0.25), stage.palette.middle, 0.15)
    far.fill(easel.mask([[(-1, stage.horizon + 0.1), (2, stage.horizon + 0.1), (2, 2), (-1, 2)]], 0.02),
             easel.wash([(stage.horizon + 0.05, stage.hazy(0.3)), (1.1, stage.palette.near)]))  # fmt: skip
    far.fill(easel.mask([bed]), easel.wash([(stage.horizon, blend(asphalt, stage.palette.light, 0.35)),
                                             (0.9, asphalt)]))  # fmt: skip
    dashes = []
    for n in range(9):
        t0, t1 = (1 / (1 + 0.85 * (n + s)) for s in (0.0, 0.42))
        y0, y1 = (stage.horizon + 0.02 + (1.33 - stage.horizon) * t for t in (t0, t1))
        w0, w1 = 0.010 * t0, 0.010 * t1
        x0, x1 = (meet + (0.5 - meet) * t for t in (t0, t1))
        dashes.append([(x0 - w0, y0), (x0 + w0, y0), (x1 + w1, y1), (x1 - w1, y1)])
    far.fill(easel.mask(dashes, 0.001), blend(stage.palette.light, stage.palette.accent, 0.4), 0.65)
    _poles(stage, meet)


def _poles(stage: Stage, meet: float) -> None:
    side, outlines, tops = -stage.side, [], []
    for n in range(6):
        near = 1 / (1 + 0.8 * n)
        x, base = meet + side * 0.62 * near, stage.horizon + 0.02 + 0.36 * near
        top = base - 0.78 * near
        wide = 0.006 * near
        outlines.append([(x - wide, base), (x - wide * 0.7, top), (x + wide * 0.7, top), (x + wide, base)])
        arm = 0.05 * near
        outlines.append(limb([(x - arm, top + 0.04 * near), (x + arm, top + 0.04 * near)],
                             [0.008 * near] * 2))  # fmt: skip
        tops.append((x, top + 0.04 * near))
    for (x0, y0), (x1, y1) in zip(tops, tops[1:], strict=False):
        sag = [(x0, y0), ((x0 + x1) / 2, (y0 + y1) / 2 + 0.03 * abs(x1 - x0) * 3), (x1, y1)]
        outlines.append(limb(sag, [0.002, 0.0015, 0.001]))
    stage.far.fill(stage.easel.mask(outlines), stage.hazy(0.12))


def forest(stage: Stage) -> None:
    """Trunks and firs in three depths, mist and shafts of light between them."""
    sky(stage)
    easel, rng = stage.easel, stage.easel.rng
    for n, (distance, tall, count) in enumerate(((0.72, 0.26, 46), (0.5, 0.42, 30), (0.3, 0.66, 17))):
        base = stage.horizon + 0.03 + 0.07 * n
        outlines = [under(stage, ridge(stage, base, 0.03, 0.4, 3))]
        for x in rng.uniform(-0.18, 1.18, count):
            outlines += fir(x, base + 0.02, tall * rng.uniform(0.6, 1.1), easel.aspect, rng)
        stage.far.fill(easel.mask(outlines, 0.0006 * (3 - n)), stage.hazy(distance))
        haze(stage, base + 0.03, 0.22, 0.34)
    shafts(stage, (stage.sun[0], -0.25), 0.26)
    line = ground_line(stage)
    near_ground(stage, line, 700)
    trunks = []
    for x in (-0.04, 0.16, 0.9, 1.07):
        x += rng.uniform(-0.05, 0.05)
        thick = rng.uniform(0.018, 0.04)
        lean = rng.uniform(-0.02, 0.02)
        trunks.append(limb([(x, 1.2), (x + lean * 0.4, 0.5), (x + lean, -0.3)], [thick * 1.3, thick, thick * 0.8]))
    stage.near.fill(easel.mask(trunks), stage.hazy(0.08))


def fir(x: float, y: float, tall: float, aspect: float, rng: np.random.Generator) -> list[Outline]:
    """Return a fir tree `tall` frame heights high, on a place."""
    left: Outline = []
    right: Outline = []
    steps = 7
    for n in range(steps):
        t = n / steps
        wide = tall * 0.21 * (0.12 + 0.88 * t) / aspect * rng.uniform(0.85, 1.15)
        left += [(x - wide, y - tall * (1 - t) + tall * 0.10), (x - wide * 0.45, y - tall * (1 - t) + tall * 0.085)]
        right += [(x + wide, y - tall * (1 - t) + tall * 0.10), (x + wide * 0.45, y - tall * (1 - t) + tall * 0.085)]
    trunk = [(x - 0.004 / aspect, y), (x + 0.004 / aspect, y), (x + 0.003 / aspect, y - tall), (x - 0.003 / aspect, y - tall)]
    return [[(x, y - tall), *right, *reversed(left)], trunk]


def shafts(stage: Stage, source: tuple[float, float], strength: float) -> None:
    """Let light fall in shafts from a place off the top."""
    rng, outlines = stage.easel.rng, []
    for _ in range(7):
        aim, wide = rng.uniform(-0.5, 0.7) * -stage.side, rng.uniform(0.02, 0.07)
        x, y = source
        outlines.append([(x - 0.01, y), (x + 0.01, y), (x + aim + wide, 1.3), (x + aim - wide, 1.3)])
    mask = stage.easel.mask(outlines, 0.018)
    fade = stage.easel.fade(1.05, 0.1)
    mask.paste(0, (0, 0), fade.point(lambda level: 255 - level))
    stage.far.light(mask, stage.palette.light, strength)


def desert(stage: Stage) -> None:
    """Dunes with a lit and a shaded side."""
    sky(stage)
    sand = blend(stage.palette.horizon, stage.palette.accent, 0.35)
    for n in range(4):
        part = n / 3
        base = stage.horizon + 0.03 + 0.16 * part
        line = ridge(stage, base, 0.09 + 0.05 * part, 0.22, 0.9 + 0.5 * (3 - n))
        lit = blend(blend(sand, stage.palette.near, 0.18 + 0.30 * part), stage.palette.horizon, 0.4 * (1 - part))
        shade = blend(lit, stage.palette.near, 0.45)
        mask = stage.easel.mask([under(stage, line)])
        stage.far.fill(mask, stage.easel.wash([(base - 0.12, lit), (base + 0.14, blend(lit, shade, 0.5))]))
        _dune_shade(stage, line, shade)
    near_ground(stage, ground_line(stage, 0.09, 0.8), 0)


def _dune_shade(stage: Stage, line: NDArray[np.float64], shade: Colour) -> None:
    """Darken from each crest down the side away from the sun."""
    places = stage.easel.across(len(line))
    falling = np.gradient(line) * stage.side < 0
    lee = np.where(falling, 0.16, 0.0)
    lee = np.convolve(lee, np.hanning(41) / np.hanning(41).sum(), "same")
    band = [*zip(places.tolist(), line.tolist(), strict=True),
            *zip(places[::-1].tolist(), (line + lee)[::-1].tolist(), strict=True)]  # fmt: skip
    stage.far.fill(stage.easel.mask([band], 0.006), shade, 0.75)


def space(stage: Stage) -> None:
    """Stars, a nebula and the lit limb of a world."""
    easel, palette = stage.easel, stage.palette
    stage.far.picture.paste(easel.wash([(0, palette.top), (1, palette.middle)]))
    cloud = np.clip((easel.noise((2.5, 2.0), 6) - 0.42) * 2.2, 0, 1) ** 1.6
    stage.far.light(easel.blow_up(cloud), blend(palette.horizon, palette.accent, 0.5), 0.5)
    _stars(replace(stage, horizon=1.1), 420)
    size = stage.random.uniform(0.5, 0.9)
    x, y = 0.5 - stage.side * 0.22, 1.0 + size * 0.35
    world = easel.mask([ellipse(x, y, size / easel.aspect, size)])
    stage.far.glow(x + stage.side * size * 0.5 / easel.aspect, y - size * 0.86, size * 0.8, palette.accent, 0.55)
    stage.far.fill(world, palette.near)
    bite = easel.mask([ellipse(x - stage.side * 0.025, y + 0.035, size / easel.aspect, size)], 0.02)
    world.paste(0, (0, 0), bite)
    stage.far.light(world, palette.light, 0.95)


def underwater(stage: Stage) -> None:
    """Light from above, going down into the blue; rocks and weed."""
    easel, palette = stage.easel, stage.palette
    stage.far.picture.paste(easel.wash([(-0.15, palette.top), (0.35, palette.middle), (1.0, palette.horizon)]))
    stage.far.glow(stage.sun[0], -0.15, 1.0, palette.light, 0.75)
    for n in range(2):
        line = ridge(stage, 0.86 + 0.06 * n, 0.24, 0.5, 1.5 + n)
        stage.far.fill(easel.mask([under(stage, line)], 0.004), blend(palette.horizon, palette.near, 0.35 + 0.3 * n))
    shafts(stage, (stage.sun[0], -0.4), 0.34)
    rng, weed = easel.rng, []
    for x in (*rng.uniform(-0.1, 0.28, 7), *rng.uniform(0.74, 1.1, 7)):
        tall, bend = rng.uniform(0.14, 0.46), rng.uniform(0.008, 0.03)
        line = [(x + bend * math.sin(3.2 * t + x * 9), 1.1 - (tall + 0.1) * t) for t in (0, 0.25, 0.5, 0.75, 1)]
        weed.append(limb(line, [0.012, 0.014, 0.009, 0.002]))
    near_ground(stage, ground_line(stage))
    stage.near.fill(easel.mask(weed), palette.near)


def place_cloud_of_birds(stage: Stage, birds: list[Outline]) -> None:
    """Put birds in the sky."""
    stage.far.fill(stage.easel.mask(birds), stage.hazy(0.15), 0.9)


PAINTERS: dict[str, Callable[[Stage], None]] = {
    "mountain": mountains,
    "field": field,
    "road": road,
    "forest": forest,
    "desert": desert,
    "space": space,
    "underwater": underwater,
}
_ = smooth
