"""Places people made: city, street and room; and the sea they look out on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from secondunit.backlot.brush import ellipse, limb
from secondunit.backlot.palette import blend
from secondunit.backlot.scenery import ground_line, haze, near_ground, ridge, sky, under

if TYPE_CHECKING:
    from secondunit.backlot.brush import Outline
    from secondunit.backlot.scenery import Stage


def sea(stage: Stage) -> None:
    """Open water under the sky, a path of light on it, and a shore or cliff to stand on."""
    sky(stage)
    if stage.random.random() < 0.6:
        line = ridge(stage, stage.horizon + 0.004, 0.05, 0.5, 1.3)
        line = line + np.linspace(0, 0.05, len(line))[:: stage.side]
        stage.far.fill(stage.easel.mask([under(stage, line)]), stage.hazy(0.78))
    haze(stage, stage.horizon, 0.10, 0.25)
    _water(stage)
    if stage.staging.weather == "rain":
        _breakers(stage)
    if stage.staging.has("cliff") or "lighthouse" in stage.staging.things:
        _cliff(stage)
    else:
        near_ground(stage, ground_line(stage, 0.06, 1.1), 160)


def _water(stage: Stage) -> None:
    palette, easel, rng = stage.palette, stage.easel, stage.easel.rng
    deep = blend(palette.top, palette.near, 0.4)
    wash = easel.wash([(stage.horizon, blend(palette.horizon, palette.middle, 0.5)),
                       (stage.horizon + 0.14, blend(palette.middle, deep, 0.45)), (1.05, deep)])  # fmt: skip
    surface = easel.mask([[(-1, stage.horizon), (2, stage.horizon), (2, 2), (-1, 2)]])
    stage.far.fill(surface, wash)
    for bright in (False, True):
        strokes: list[Outline] = []
        for _ in range(420):
            depth = rng.random() ** 1.7
            y = stage.horizon + 0.004 + depth * (1.1 - stage.horizon)
            spread = 0.035 + 0.24 * depth
            x = rng.normal(stage.sun[0], spread) if bright else rng.uniform(-0.16, 1.16)
            strokes.append(ellipse(x, y, (0.006 + 0.05 * depth) * rng.uniform(0.5, 1.5),
                                   (0.0007 + 0.0035 * depth) * rng.uniform(0.5, 1.3)))  # fmt: skip
        mask = easel.mask(strokes, 0.0006)
        if bright:
            stage.far.light(mask, blend(palette.light, palette.horizon, 0.35), 0.62)
        else:
            stage.far.fill(mask, blend(palette.near, palette.top, 0.4), 0.35)
    stage.far.glow(stage.sun[0], stage.horizon + 0.02, 0.55, palette.light, 0.22)


def _breakers(stage: Stage) -> None:
    """Heavy seas: crests one before the other, with torn white tops."""
    palette, easel, rng = stage.palette, stage.easel, stage.easel.rng
    for n in range(4):
        base = stage.horizon + 0.05 + 0.085 * n
        line = ridge(stage, base + 0.02, 0.025 + 0.028 * n, 0.42, 3.2 - 0.5 * n)
        colour = blend(palette.middle, palette.near, 0.30 + 0.15 * n)
        stage.far.fill(easel.mask([under(stage, line)]),
                       easel.wash([(base - 0.06, blend(colour, palette.horizon, 0.35)), (base + 0.06, colour)]))  # fmt: skip
        places, foam = easel.across(len(line)), []
        for index in np.flatnonzero(line < np.quantile(line, 0.34)):
            if rng.random() < 0.75:
                reach = 0.003 + 0.0045 * n
                foam.append(ellipse(places[index] + rng.normal(0, 0.004), line[index] + abs(rng.normal(0, reach)),
                                    reach * rng.uniform(0.5, 2.2), reach * 0.3))  # fmt: skip
        stage.far.fill(easel.mask(foam, 0.0012), blend(palette.light, palette.horizon, 0.35), 0.6)


def _cliff(stage: Stage) -> None:
    """A headland from one side, high enough to stand on, with the sea below it."""
    easel, rng = stage.easel, stage.easel.rng
    left = stage.side > 0
    edge = 0.60 if left else 0.40
    sign = 1 if left else -1
    top = [(-sign * 0.5 + (0 if left else 1), stage.ground - 0.03)]
    for n in range(1, 30):
        x = (-0.2 if left else 1.2) + (edge - (-0.2 if left else 1.2)) * n / 29
        top.append((x, stage.ground + rng.normal(0, 0.003) - 0.015 * math.sin(n / 5)))
    fall = []
    for n in range(24):
        fall.append((edge + sign * (0.015 + 0.10 * (n / 23) ** 1.5 + rng.normal(0, 0.010)), stage.ground + 0.02 + 0.6 * n / 23))
    outline = [*top, *fall, (-sign * 0.5 + (0 if left else 1), 2.0)]
    tufts = []
    for _ in range(240):
        x = rng.uniform(-0.15, edge) if left else rng.uniform(edge, 1.15)
        tall = rng.uniform(0.006, 0.024)
        y = stage.ground + 0.004
        tufts.append([(x - 0.0012, y), (x + rng.normal(0.004, 0.005), y - tall - 0.006), (x + 0.0012, y)])
    wash = easel.wash([(stage.ground - 0.05, stage.hazy(0.22)), (stage.ground + 0.14, stage.hazy(0.07)),
                       (1.1, stage.palette.near)])  # fmt: skip
    stage.near.fill(easel.mask([outline, *tufts]), wash)
    cracks = []
    for _ in range(26):
        x, y = edge + sign * rng.uniform(-0.10, 0.06), stage.ground + rng.uniform(0.04, 0.4)
        cracks.append(limb([(x, y), (x + rng.normal(0.01, 0.01), y + 0.05), (x, y + rng.uniform(0.08, 0.16))], [0.001, 0.004, 0.001]))
    stage.near.light(easel.mask(cracks, 0.001), stage.palette.light, 0.10)


def city(stage: Stage) -> None:
    """Towers in three depths with lit windows, over roofs close by."""
    sky(stage)
    stage.far.glow(0.5, stage.horizon, 0.9, stage.palette.horizon, 0.35)
    for n, (distance, tall, count) in enumerate(((0.74, 0.36, 26), (0.5, 0.44, 18), (0.26, 0.34, 13))):
        towers = _skyline(stage, stage.horizon + 0.06 + 0.07 * n, tall, count)
        stage.far.fill(stage.easel.mask(towers), stage.easel.wash(
            [(stage.horizon - tall, stage.hazy(distance * 0.9)), (stage.horizon + 0.12, stage.hazy(min(1, distance * 1.1)))]))
        windows = [w for tower in towers[: count] for w in _windows(stage, tower, 0.35 if n else 0.18)]
        stage.far.light(stage.easel.mask(windows), stage.palette.accent, (0.35, 0.6, 0.8)[n])
        if n < 2:
            haze(stage, stage.horizon + 0.10 + 0.06 * n, 0.2, 0.26)
    _roof(stage)


def _skyline(stage: Stage, base: float, tall: float, count: int) -> list[Outline]:
    rng, towers, spires = stage.easel.rng, [], []
    for x in np.linspace(-0.16, 1.16, count):
        wide = 1.25 / count * rng.uniform(0.35, 0.62)
        peak = 1 - 0.5 * abs(x - 0.5 + 0.15 * stage.side)
        top = base - tall * peak * rng.uniform(0.3, 1.0)
        x += rng.normal(0, 0.01)
        towers.append([(x - wide, base + 1), (x - wide, top), (x + wide, top), (x + wide, base + 1)])
        if rng.random() < 0.45:
            step, rise = wide * rng.uniform(0.3, 0.7), rng.uniform(0.01, 0.05)
            spires.append([(x - step, top + 0.01), (x - step, top - rise), (x + step, top - rise), (x + step, top + 0.01)])
        if rng.random() < 0.3:
            spires.append([(x - 0.001, top), (x, top - rng.uniform(0.05, 0.11)), (x + 0.001, top)])
    return towers + spires


def _windows(stage: Stage, tower: Outline, lit: float) -> list[Outline]:
    (left, _), (_, top), (right, _), _ = tower
    rng, panes = stage.easel.rng, []
    step_x, step_y = 0.0085, 0.0165
    for x in np.arange(left + step_x * 0.7, right - step_x * 0.9, step_x):
        for y in np.arange(top + step_y * 0.8, min(1.0, top + 0.42), step_y):
            if rng.random() < lit * 0.6:
                panes.append([(x, y), (x + 0.004, y), (x + 0.004, y + 0.008), (x, y + 0.008)])
    return panes


def _roof(stage: Stage) -> None:
    """A parapet to stand on, with the clutter of a roof."""
    y, rng = stage.ground, stage.easel.rng
    shapes: list[Outline] = [[(-1, y), (2, y), (2, 2), (-1, 2)]]
    for x in (rng.uniform(-0.06, 0.12), rng.uniform(0.82, 1.0)):
        wide, tall = rng.uniform(0.04, 0.07), rng.uniform(0.10, 0.2)
        shapes.append([(x - wide, y), (x - wide, y - tall), (x + wide, y - tall), (x + wide, y)])
        shapes.append(limb([(x, y - tall), (x, y - tall - 0.16)], [0.003, 0.0015]))
        shapes.append(limb([(x - 0.02, y - tall - 0.12), (x + 0.02, y - tall - 0.12)], [0.002, 0.002]))
    wash = stage.easel.wash([(y - 0.2, stage.hazy(0.16)), (y + 0.05, stage.hazy(0.06)), (1, stage.palette.near)])
    stage.near.fill(stage.easel.mask(shapes), wash)


def street(stage: Stage) -> None:
    """Fronts on both sides running to a bright gap, signs and lamps, and a wet road below."""
    sky(stage)
    easel, palette, rng = stage.easel, stage.palette, stage.easel.rng
    meet = 0.5 - 0.06 * stage.side
    eye = stage.horizon
    stage.far.glow(meet, eye - 0.02, 0.8, palette.horizon, 0.8)
    signs: list[tuple[list[Outline], bool]] = []
    for n in range(6):
        near = (n + 1) / 6
        for side in (-1, 1):
            inner = meet + side * (0.05 + 0.36 * near**1.6)
            tall = (0.22 + 0.85 * near**1.3) * rng.uniform(0.85, 1.15)
            front = [(inner, eye + 0.02 + 0.30 * near**1.6), (inner, eye - tall), (inner + side * 2, eye - tall * 1.35),
                     (inner + side * 2, 2.0), (inner, 2.0)]
            colour = stage.hazy(0.72 * (1 - near) + 0.05)
            stage.far.fill(easel.mask([front]), easel.wash([(eye - tall, colour), (eye + 0.2, blend(colour, palette.horizon, 0.22 * (1 - near)))]))
            panes = []
            for _ in range(int(6 + 10 * near)):
                x = inner + side * rng.uniform(0.008, 0.10) * (0.4 + near)
                y = eye - tall * rng.uniform(0.12, 0.92)
                w, h = 0.006 + 0.012 * near, 0.012 + 0.03 * near
                panes.append([(x, y), (x + side * w, y - h * 0.08), (x + side * w, y + h), (x, y + h)])
            stage.far.light(easel.mask(panes, 0.001), palette.accent, 0.55)
            if rng.random() < 0.75:
                x, y = inner - side * 0.008, eye - tall * rng.uniform(0.2, 0.5)
                w, h = 0.012 + 0.022 * near, 0.03 + 0.11 * near
                sign = [(x, y), (x - side * w, y), (x - side * w, y + h), (x, y + h)]
                colour2 = palette.light if rng.random() < 0.5 else palette.accent
                stage.far.fill(easel.mask([sign]), blend(colour2, palette.near, 0.25))
                stage.far.glow(x - side * w / 2, y + h / 2, 0.10 + 0.22 * near, colour2, 0.45)
    _wet_floor(stage, eye + 0.035, 0.62 if stage.staging.has("wet") else 0.34)
    _pavement(stage)


def _wet_floor(stage: Stage, line: float, shine: float) -> None:
    """Mirror what is above a line in the ground below it, smeared downwards as wet ground does."""
    easel = stage.easel
    row = round(easel.at(0, line)[1])
    width, height = easel.size
    deep = height - row
    if row <= 2 or deep <= 2:
        return
    above = stage.far.picture.crop((0, max(0, row - deep), width, row))
    above = above.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    above = above.resize((width, max(1, deep // 24))).resize((width, deep), Image.Resampling.BICUBIC)
    above = above.filter(ImageFilter.BoxBlur(max(1, easel.unit // 240)))
    ground = easel.wash([(line, stage.hazy(0.35)), (1.1, stage.palette.near)]).crop((0, row, width, height))
    lit = Image.blend(ground, ImageChops.screen(ground, above), shine)
    edge = easel.soften(easel.mask([[(-1, line), (2, line), (2, 2), (-1, 2)]]), 0.004)
    stage.far.picture.paste(lit, (0, row), edge.crop((0, row, width, height)))


def _pavement(stage: Stage) -> None:
    """A lamp post on the near kerb: the close thing that slides past."""
    easel, palette = stage.easel, stage.palette
    x = 0.5 + 0.40 * -stage.side
    post = [limb([(x, 1.3), (x, 0.16)], [0.014, 0.009]),
            limb([(x, 0.18), (x + 0.02 * stage.side, 0.10), (x + 0.07 * stage.side, 0.10)], [0.008, 0.007, 0.006]),
            ellipse(x + 0.08 * stage.side, 0.106, 0.024, 0.014)]
    stage.near.fill(easel.mask(post), palette.near)
    stage.near.light(easel.mask([ellipse(x + 0.08 * stage.side, 0.112, 0.018, 0.007)], 0.002), palette.accent, 1.0)
    stage.far.glow(x + 0.08 * stage.side, 0.12, 0.34, palette.accent, 0.55)


def interior(stage: Stage) -> None:
    """A room: back wall, window and its light across the floor, and furniture."""
    easel, palette = stage.easel, stage.palette
    left, right, top, foot = 0.14, 0.86, 0.06, 0.70
    wall = blend(palette.middle, palette.near, 0.52)
    stage.far.picture.paste(easel.wash([(-0.1, blend(wall, palette.near, 0.55)), (0.7, wall), (1.1, blend(wall, palette.near, 0.6))]))
    stage.far.fill(easel.mask([[(left, top), (right, top), (right, foot), (left, foot)]]),
                   easel.wash([(top, blend(wall, palette.near, 0.25)), (foot, blend(wall, palette.horizon, 0.16))]))
    floor = [(left, foot), (right, foot), (1.5, 1.35), (-0.5, 1.35)]
    stage.far.fill(easel.mask([floor]), easel.wash([(foot, blend(palette.near, palette.middle, 0.34)), (1.1, blend(palette.near, palette.middle, 0.12))]))
    boards = [limb([(left + (right - left) * t, foot), (-0.5 + 2.0 * t, 1.35)], [0.001, 0.004]) for t in np.linspace(0.04, 0.96, 13)]
    stage.far.fill(easel.mask(boards), palette.near, 0.4)
    corners = [limb([(left, top), (left, foot)], [0.003] * 2), limb([(right, top), (right, foot)], [0.003] * 2),
               limb([(left, foot), (right, foot)], [0.004] * 2), limb([(left, foot), (-0.5, 1.35)], [0.004] * 2),
               limb([(right, foot), (1.5, 1.35)], [0.004] * 2), limb([(left, top), (-0.4, -0.5)], [0.003] * 2),
               limb([(right, top), (1.4, -0.5)], [0.003] * 2)]
    stage.far.fill(easel.mask(corners, 0.001), palette.near, 0.5)
    _window(stage, 0.5 + 0.20 * stage.side, foot)
    if "door" in stage.staging.things:
        _door(stage, 0.5 - 0.24 * stage.side, foot)
    _furniture(stage)


def _window(stage: Stage, x: float, foot: float) -> None:
    easel, palette = stage.easel, stage.palette
    wide, top, sill = 0.085 if easel.aspect > 1 else 0.13, 0.17, 0.50
    glass = [(x - wide, top), (x + wide, top), (x + wide, sill), (x - wide, sill)]
    stage.far.fill(easel.mask([glass]), easel.wash([(top, blend(palette.light, palette.middle, 0.25)), (sill, blend(palette.horizon, palette.light, 0.5))]))
    bars = [limb([(x, top), (x, sill)], [0.006] * 2), *[limb([(x - wide, y), (x + wide, y)], [0.008] * 2) for y in (top, (top + sill) / 2, sill)],
            *[limb([(x + s * wide, top - 0.005), (x + s * wide, sill + 0.005)], [0.008] * 2) for s in (-1, 1)]]
    stage.far.fill(easel.mask(bars), blend(palette.near, palette.middle, 0.2))
    stage.far.glow(x, 0.34, 0.75, palette.light, 0.55)
    reach = -0.42 * stage.side
    panes = []
    for s in (-1, 1):
        a, b = x + s * wide * 0.08, x + s * wide * 0.95
        panes.append([(a + reach * 0.75, foot + 0.06), (b + reach * 0.75, foot + 0.06), (b + reach * 1.35 + s * 0.02, 0.95), (a + reach * 1.35, 0.95)])
    stage.far.light(easel.mask(panes, 0.006), palette.light, 0.42)
    beam = [(x - wide, top), (x + wide, sill), (x + wide + reach * 1.3, 0.95), (x - wide + reach * 0.9, foot)]
    stage.far.light(easel.mask([beam], 0.03), palette.light, 0.16)


def _door(stage: Stage, x: float, foot: float) -> None:
    easel, palette = stage.easel, stage.palette
    wide, top = 0.062 if easel.aspect > 1 else 0.10, 0.20
    frame = [(x - wide - 0.012, foot), (x - wide - 0.012, top - 0.02), (x + wide + 0.012, top - 0.02), (x + wide + 0.012, foot)]
    stage.far.fill(easel.mask([frame]), blend(palette.near, palette.middle, 0.22))
    stage.far.fill(easel.mask([[(x - wide, foot), (x - wide, top), (x + wide, top), (x + wide, foot)]]),
                   easel.wash([(top, palette.horizon), (foot, palette.light)]))
    leaf = [(x - wide, foot), (x - wide, top), (x + wide * 0.1, top + 0.02), (x + wide * 0.1, foot + 0.03)]
    stage.far.fill(easel.mask([leaf]), blend(palette.near, palette.middle, 0.12))
    stage.far.light(easel.mask([[(x + wide * 0.1, foot), (x + wide, foot), (x + wide * 2.6, 1.0), (x + wide * 0.6, 1.0)]], 0.01), palette.light, 0.35)
    stage.far.glow(x + wide / 2, 0.5, 0.4, palette.light, 0.35)


def _furniture(stage: Stage) -> None:
    """A table, a chair and a lamp in the dark of the foreground."""
    easel, palette = stage.easel, stage.palette
    x, y = 0.5 + 0.27 * stage.side, 0.80
    shapes = [limb([(x - 0.14, y), (x + 0.14, y)], [0.022] * 2)]
    shapes += [limb([(x + d, y), (x + d * 1.05, 1.2)], [0.012, 0.009]) for d in (-0.12, 0.12)]
    chair = x - 0.19 * stage.side
    shapes += [limb([(chair - 0.03 * stage.side, 0.66), (chair - 0.02 * stage.side, 0.90)], [0.012] * 2),
               limb([(chair - 0.02 * stage.side, 0.89), (chair + 0.05 * stage.side, 0.89)], [0.016] * 2),
               *[limb([(chair + d * stage.side, 0.89), (chair + d * 1.2 * stage.side, 1.15)], [0.010] * 2) for d in (-0.02, 0.05)]]
    stage.near.fill(easel.mask(shapes), easel.wash([(0.6, stage.hazy(0.16)), (0.95, palette.near)]))
    lamp = x + 0.07 * stage.side
    stand = [limb([(lamp, y), (lamp, y - 0.12)], [0.008, 0.006]), ellipse(lamp, y - 0.012, 0.022, 0.008),
             [(lamp - 0.035, y - 0.10), (lamp - 0.02, y - 0.17), (lamp + 0.02, y - 0.17), (lamp + 0.035, y - 0.10)]]
    stage.near.fill(easel.mask(stand), stage.hazy(0.1))
    stage.near.fill(easel.mask([stand[2]]), blend(palette.accent, palette.light, 0.3), 0.9)
    stage.far.glow(lamp, y - 0.13, 0.5, palette.accent, 0.55)
    stage.near.glow(lamp, y - 0.12, 0.22, palette.accent, 0.5)
