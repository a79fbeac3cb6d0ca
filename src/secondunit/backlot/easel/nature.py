"""Places nobody built: mountains, fields, woods, desert, sea, the deep, and the sky beyond."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from secondunit.backlot.easel.brush import ellipse, limb, noise
from secondunit.backlot.easel.palette import blend
from secondunit.backlot.easel.scenery import (
    close_ground,
    haze,
    ridge,
    shafts,
    sky,
    stars,
    tuft,
    under,
)  # fmt: skip

if TYPE_CHECKING:
    from secondunit.backlot.easel.brush import Outline
    from secondunit.backlot.easel.palette import Colour
    from secondunit.backlot.easel.scenery import Line, Stage


def mountains(stage: Stage) -> None:
    """Ranges one behind the other, each paler, with mist in the valleys."""
    sky(stage)
    snow = stage.staging.weather == "snow"
    for n in range(4):
        part = n / 3
        base = stage.horizon + 0.02 + 0.10 * part
        line = ridge(stage, base, 0.34 - 0.22 * part, 0.52, 1.1 + 1.6 * part)
        colour = stage.hazy(0.80 - 0.52 * part)
        foot = blend(colour, stage.palette.horizon, 0.30)
        peak = blend(colour, stage.palette.near, 0.12)
        stage.far.fill([under(stage, line)], [(base - 0.34, peak), (base + 0.04, foot)])
        if n < 2:
            _lit_slopes(stage, line, 0.55 if snow else 0.24)
    _lay_of_the_land(stage)
    haze(stage, stage.horizon + 0.14, 0.14, 0.3)
    close_ground(stage, tufts=260)


def _lit_slopes(stage: Stage, line: Line, strength: float) -> None:
    """Catch light on the slopes that face the sun, torn at its lower edge by gullies."""
    facing = (np.gradient(line) * stage.side > 0).astype(np.float64)
    soft = np.convolve(facing, np.hanning(9) / np.hanning(9).sum(), "same")
    torn = 0.012 + 0.05 * _jagged(stage, len(line))
    _band(stage, line, line + soft * torn, stage.palette.light, strength, 0.0016)


def _jagged(stage: Stage, count: int) -> Line:
    """Return a torn edge, 0 to 1, at `count` places."""
    edge = np.zeros(count)
    for step, weight in ((40, 0.5), (14, 0.32), (5, 0.18)):
        knots = stage.rng.random(count // step + 2)
        edge += weight * np.interp(np.arange(count) / step, np.arange(len(knots)), knots)
    return edge


def _band(
    stage: Stage, top: Line, foot: Line, colour: Colour, strength: float, blur: float
) -> None:
    """Fill what lies between two skylines."""
    places = stage.far.across(len(top))
    rim = [*zip(places, top, strict=True), *zip(places[::-1], foot[::-1], strict=True)]
    stage.far.fill([[(float(x), float(y)) for x, y in rim]], colour, strength, blur)


def _lay_of_the_land(stage: Stage) -> None:
    """Seen from high up, ground is not empty: a river winds over it, between woods."""
    deep = 1.0 - stage.horizon
    if deep < 0.55:
        return
    top, rng = stage.horizon + 0.1, stage.rng
    ground = stage.hazy(0.42)
    stage.far.fill([[(-1, top), (2, top), (2, 2), (-1, 2)]],
                   [(top, stage.hazy(0.66)), (1.1, stage.hazy(0.2))], 0.85, 0.03)  # fmt: skip
    depth = rng.random(700) ** 0.6
    wood = np.stack([
        rng.uniform(-0.15, 1.15, 700) + 0.05 * np.sin(depth * 12), top + depth * (1.12 - top),
        0.004 + 0.02 * depth * rng.random(700), 0.002 + 0.010 * depth * rng.random(700)], 1)  # fmt: skip
    wood = wood[np.abs(wood[:, 0] - _river(wood[:, 1], top, stage.side)) > 0.03 + 0.08 * depth]
    stage.far.fill(stage.far.strokes(wood), blend(ground, stage.palette.near, 0.5), 0.8)
    down = np.linspace(top, 1.15, 40)
    middle, wide = (
        _river(down, top, stage.side),
        0.004 + 0.055 * ((down - top) / (1.15 - top)) ** 1.6,
    )
    banks = [
        *zip(middle - wide, down, strict=True),
        *zip((middle + wide)[::-1], down[::-1], strict=True),
    ]
    stage.far.fill(
        [[(float(x), float(y)) for x, y in banks]],
        blend(stage.palette.horizon, stage.palette.light, 0.3),
        0.85,
    )


def _river(down: Line, top: float, side: int) -> Line:
    part = (down - top) / (1.15 - top)
    return np.asarray(0.5 + side * (0.10 + 0.22 * np.sin(part * 6.0) * part**0.7 - 0.15 * part))


def field(stage: Stage) -> None:
    """Rolling land under a large sky, with trees far off and grass close by."""
    rolling(stage)
    _lay_of_the_land(stage)
    close_ground(stage, tufts=700)


def rolling(stage: Stage) -> None:
    """Paint the sky and the far part of open land."""
    sky(stage)
    for n in range(3):
        line = ridge(stage, stage.horizon + 0.015 + 0.05 * n, 0.05, 0.35, 1.4 + n)
        colour = stage.hazy(0.62 - 0.2 * n)
        lit = blend(colour, stage.palette.light, 0.16)
        stage.far.fill(
            [under(stage, line)], [(stage.horizon - 0.03, lit), (stage.horizon + 0.2, colour)]
        )
    rng = stage.rng
    clumps = rng.uniform(-0.14, 1.14, 9).repeat(5)
    size = rng.uniform(0.007, 0.018, 45)
    trees = np.stack([
        clumps + rng.normal(0, 0.008, 45), stage.horizon + 0.05 - rng.uniform(0.002, 0.022, 45),
        1.1 * size / stage.aspect, size], 1)  # fmt: skip
    stage.far.fill(stage.far.strokes(trees), stage.hazy(0.36))
    haze(stage, stage.horizon + 0.12, 0.12, 0.22)


def forest(stage: Stage) -> None:
    """Firs in three depths, mist and shafts of light between them, trunks close by."""
    sky(stage)
    rng = stage.rng
    for n, (distance, tall, count) in enumerate(
        ((0.72, 0.26, 46), (0.5, 0.42, 30), (0.3, 0.66, 17))
    ):
        base = stage.horizon + 0.03 + 0.07 * n
        trees = [under(stage, ridge(stage, base, 0.03, 0.4, 3))]
        for x in rng.uniform(-0.18, 1.18, count):
            trees += fir(stage, x, base + 0.02, tall * rng.uniform(0.6, 1.1))
        stage.far.fill(trees, stage.hazy(distance))
        haze(stage, base + 0.03, 0.22, 0.34)
    shafts(stage, stage.sun[0], -0.25, 0.3)
    close_ground(stage, tufts=600)
    trunks = []
    for x in np.array([-0.05, 0.10, 0.92, 1.06]) + rng.uniform(-0.03, 0.03, 4):
        thick = rng.uniform(0.028, 0.055)
        lean = rng.uniform(-0.03, 0.03)
        trunks.append(limb([(x - lean * 0.2, 1.2), (x, 0.9), (x + lean * 0.5, 0.4), (x + lean, -0.3)],
                           [thick * 1.9, thick, thick * 0.85, thick * 0.7]))  # fmt: skip
        for y in rng.uniform(-0.1, 0.45, 3):
            reach = rng.choice((-1, 1)) * rng.uniform(0.05, 0.11)
            trunks.append(
                limb(
                    [(x, y), (x + reach * 0.6, y - 0.02), (x + reach, y - 0.09)],
                    [0.010, 0.006, 0.001],
                )
            )
    stage.near.fill(trunks, stage.shade(0.0, 0.8, 0.06))


def fir(stage: Stage, x: float, y: float, tall: float) -> list[Outline]:
    """Return a fir tree standing on a place, `tall` frame heights high."""
    left: Outline = []
    right: Outline = []
    for t in np.arange(7) / 7:
        wide = tall * 0.21 * (0.12 + 0.88 * t) / stage.aspect * stage.rng.uniform(0.85, 1.15)
        tip, notch = y - tall * (0.90 - t), y - tall * (0.915 - t)
        left += [(x - wide, tip), (x - wide * 0.45, notch)]
        right += [(x + wide, tip), (x + wide * 0.45, notch)]
    thick = 0.004 / stage.aspect
    return [
        [(x, y - tall), *right, *reversed(left)],
        limb([(x, y), (x, y - tall)], [thick * 2, thick]),
    ]


def desert(stage: Stage) -> None:
    """Dunes with a lit and a shaded side."""
    sky(stage)
    palette = stage.palette
    sand = blend(palette.horizon, palette.accent, 0.35)
    for n in range(4):
        part = n / 3
        base = stage.horizon + 0.03 + 0.16 * part
        line = ridge(stage, base, 0.09 + 0.05 * part, 0.22, 0.9 + 0.5 * (3 - n))
        lit = blend(
            blend(sand, palette.near, 0.18 + 0.30 * part), palette.horizon, 0.4 - 0.4 * part
        )
        shade = blend(lit, palette.near, 0.45)
        stage.far.fill(
            [under(stage, line)], [(base - 0.12, lit), (base + 0.14, blend(lit, shade, 0.5))]
        )
        _lee(stage, line, shade)
    close_ground(stage, 0.09, 0.8)


def _lee(stage: Stage, line: Line, shade: Colour) -> None:
    """Darken from each crest down the side away from the sun."""
    window = np.hanning(41)
    deep = np.where(np.gradient(line) * stage.side < 0, 0.16, 0.0)
    foot = line + np.convolve(deep, window / window.sum(), "same")
    _band(stage, line, foot, shade, 0.75, 0.006)


def sea(stage: Stage) -> None:
    """Open water under the sky, a path of light on it, and a shore or a cliff to stand on."""
    sky(stage)
    if stage.random.random() < 0.6:
        line = ridge(stage, stage.horizon + 0.004, 0.05, 0.5, 1.3)
        line += np.linspace(0, 0.05, len(line))[:: stage.side]
        stage.far.fill([under(stage, line)], stage.hazy(0.78))
    haze(stage, stage.horizon, 0.10, 0.25)
    _water(stage)
    if stage.staging.weather == "rain":
        _breakers(stage)
    if stage.staging.has("cliff") or "lighthouse" in stage.staging.things:
        _cliff(stage)
    else:
        close_ground(stage, 0.06, 1.1, 160)


def _water(stage: Stage) -> None:
    palette, far, horizon = stage.palette, stage.far, stage.horizon
    deep = blend(palette.top, palette.near, 0.35)
    far.fill(
        [[(-1, horizon), (2, horizon), (2, 2), (-1, 2)]],
        [(horizon, blend(palette.horizon, palette.middle, 0.45)),
         (horizon + 0.16, blend(palette.middle, deep, 0.4)), (1.05, deep)],
    )  # fmt: skip
    far.fill(
        far.strokes(_ripples(stage, 420, bright=False), 0.0008),
        blend(palette.near, palette.top, 0.4),
        0.35,
    )
    glint = blend(palette.light, palette.horizon, 0.35)
    far.light(far.strokes(_ripples(stage, 420, bright=True), 0.0008), glint, 0.65)
    far.glow(stage.sun[0], horizon + 0.02, 0.55, palette.light, 0.25)


def _ripples(stage: Stage, count: int, *, bright: bool) -> Line:
    """Return strokes on the water, small far off; the bright ones lie under the sun."""
    rng = stage.rng
    depth = rng.random(count) ** 1.7
    across = (
        rng.normal(stage.sun[0], 0.035 + 0.22 * depth)
        if bright
        else rng.uniform(-0.16, 1.16, count)
    )
    return np.stack([
        across, stage.horizon + 0.004 + depth * (1.1 - stage.horizon),
        (0.006 + 0.05 * depth) * rng.uniform(0.5, 1.5, count),
        (0.0007 + 0.0035 * depth) * rng.uniform(0.5, 1.3, count)], 1)  # fmt: skip


def _breakers(stage: Stage) -> None:
    """Heavy seas: crests one before the other, with torn white tops."""
    palette, rng, far = stage.palette, stage.rng, stage.far
    for n in range(4):
        base = stage.horizon + 0.05 + 0.085 * n
        line = ridge(stage, base + 0.02, 0.03 + 0.03 * n, 0.42, 3.2 - 0.5 * n)
        colour = blend(palette.middle, palette.near, 0.22 + 0.13 * n)
        far.fill(
            [under(stage, line)],
            [(base - 0.06, blend(colour, palette.horizon, 0.4)), (base + 0.06, colour)],
        )
        crest = np.flatnonzero(
            (line < np.quantile(line, 0.4)) & (rng.random(len(line)) < 0.16)
        ).repeat(3)
        reach, count = 0.003 + 0.0045 * n, len(crest)
        foam = np.stack([
            far.across(len(line))[crest] + rng.normal(0, 0.004, count),
            line[crest] + np.abs(rng.normal(0, reach, count)),
            reach * rng.uniform(0.3, 1.3, count), np.full(count, reach * 0.22)], 1)  # fmt: skip
        far.fill(far.strokes(foam, 0.0012), blend(palette.light, palette.horizon, 0.3), 0.6)


def _cliff(stage: Stage) -> None:
    """A headland from the dark side, high enough to stand on, with the sea below it."""
    rng, sign = stage.rng, stage.side
    inland, edge = 0.5 - 0.75 * sign, 0.5 + 0.10 * sign
    top = np.linspace(inland, edge, 30)
    height = stage.ground - 0.015 * np.sin(np.arange(30) / 5) + rng.normal(0, 0.003, 30)
    drop = np.linspace(0, 1, 24)
    face = edge + sign * (0.015 + 0.10 * drop**1.5 + rng.normal(0, 0.010, 24))
    outline = [*zip(top, height, strict=True), *zip(face, stage.ground + 0.02 + 0.6 * drop, strict=True),
               (inland, 1.5)]  # fmt: skip
    where = rng.uniform(min(inland, edge), max(inland, edge), 240)
    grass = tuft(stage, where, np.full(240, stage.ground))
    stage.near.fill([[(float(x), float(y)) for x, y in outline], *grass],
                    stage.shade(stage.ground - 0.06, stage.ground + 0.14))  # fmt: skip
    cracks = []
    for _ in range(26):
        x, y = edge + sign * rng.uniform(-0.10, 0.08), stage.ground + rng.uniform(0.03, 0.3)
        cracks.append(limb([(x, y), (x + sign * 0.01, y + 0.05), (x, y + rng.uniform(0.08, 0.16))],
                           [0.001, 0.004, 0.001]))  # fmt: skip
    stage.near.light(cracks, stage.palette.light, 0.14, 0.001)


def space(stage: Stage) -> None:
    """Stars, a nebula and the lit limb of a world."""
    far, palette, sign = stage.far, stage.palette, stage.side
    far.flood([(0.0, palette.top), (1.0, palette.middle)])
    cloud = noise(stage.rng, (far.size[0] // 3, far.size[1] // 3), (2.5, 2.0), 6)
    cloud = np.clip((cloud - 0.42) * 2.2, 0, 1) ** 1.6
    far.light(far.field(cloud), blend(palette.horizon, palette.accent, 0.5), 0.5)
    stars(stage, 420, 1.1)
    size = stage.random.uniform(0.5, 0.9)
    x, y, wide = 0.5 - sign * 0.22, 1.0 + size * 0.35, size / far.aspect
    far.glow(x + sign * wide * 0.5, y - size * 0.86, size * 0.8, palette.accent, 0.55)
    far.light([ellipse(x, y, wide, size)], palette.light, 0.95)
    far.fill([ellipse(x - sign * 0.02, y + 0.03, wide, size)], palette.near, 1.0, 0.014)


def underwater(stage: Stage) -> None:
    """Light from above, going down into the blue; rocks and weed."""
    far, palette, rng = stage.far, stage.palette, stage.rng
    far.flood([(-0.15, palette.top), (0.35, palette.middle), (1.0, palette.horizon)])
    far.glow(stage.sun[0], -0.15, 1.0, palette.light, 0.75)
    for n in range(2):
        line = ridge(stage, 0.86 + 0.06 * n, 0.24, 0.5, 1.5 + n)
        far.fill(
            [under(stage, line)], blend(palette.horizon, palette.near, 0.35 + 0.3 * n), 1.0, 0.004
        )
    shafts(stage, stage.sun[0], -0.4, 0.34)
    weed = []
    for x in (*rng.uniform(-0.1, 0.28, 7), *rng.uniform(0.74, 1.1, 7)):
        tall, bend = rng.uniform(0.24, 0.56), rng.uniform(0.008, 0.03)
        stem = [
            (x + bend * math.sin(3.2 * t + x * 9), 1.1 - tall * t) for t in (0, 0.25, 0.5, 0.75, 1)
        ]
        weed.append(limb(stem, [0.012, 0.014, 0.009, 0.002]))
    close_ground(stage)
    stage.near.fill(weed, palette.near)
