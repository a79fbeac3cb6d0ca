"""Places people made: city, street, road and room."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from secondunit.backlot.easel.brush import block, ellipse, limb
from secondunit.backlot.easel.nature import rolling
from secondunit.backlot.easel.palette import blend
from secondunit.backlot.easel.scenery import haze, sky

if TYPE_CHECKING:
    from secondunit.backlot.easel.brush import Outline
    from secondunit.backlot.easel.scenery import Stage


def city(stage: Stage) -> None:
    """Towers in three depths with lit windows, over a roof close by."""
    sky(stage)
    far = stage.far
    far.glow(0.5, stage.horizon, 0.9, stage.palette.horizon, 0.35)
    for n, (distance, tall, count) in enumerate(
        ((0.74, 0.36, 26), (0.5, 0.44, 18), (0.26, 0.34, 13))
    ):
        towers = _towers(stage, stage.horizon + 0.06 + 0.07 * n, tall, count)
        far.fill(
            [*towers, *_roofs(stage, towers)],
            [
                (stage.horizon - tall, stage.hazy(distance * 0.9)),
                (stage.horizon + 0.12, stage.hazy(distance)),
            ],
        )
        panes = [
            pane for tower in towers for pane in _panes(stage, tower, 0.12 if n == 0 else 0.22)
        ]
        far.light(panes, stage.palette.accent, (0.4, 0.65, 0.9)[n])
        if n < 2:
            haze(stage, stage.horizon + 0.10 + 0.06 * n, 0.2, 0.26)
    _parapet(stage)


def _towers(stage: Stage, base: float, tall: float, count: int) -> list[Outline]:
    rng, towers = stage.rng, []
    for x in np.linspace(-0.16, 1.16, count) + rng.normal(0, 0.01, count):
        wide = 1.25 / count * rng.uniform(0.35, 0.62)
        rise = tall * (1 - 0.5 * abs(x - 0.5 + 0.15 * stage.side)) * rng.uniform(0.3, 1.0)
        towers.append(block(float(x - wide), base - rise, float(x + wide), 1.2))
    return towers


def _roofs(stage: Stage, towers: list[Outline]) -> list[Outline]:
    rng, tops = stage.rng, []
    for (left, top), (right, _), *_ in towers:
        middle, wide = (left + right) / 2, (right - left) / 2
        if rng.random() < 0.45:
            step = wide * rng.uniform(0.3, 0.7)
            tops.append(
                block(middle - step, top - rng.uniform(0.01, 0.05), middle + step, top + 0.01)
            )
        if rng.random() < 0.3:
            tops.append(
                [
                    (middle - 0.001, top),
                    (middle, top - rng.uniform(0.05, 0.11)),
                    (middle + 0.001, top),
                ]
            )
    return tops


def _panes(stage: Stage, tower: Outline, lit: float) -> list[Outline]:
    (left, top), (right, _), *_ = tower
    across = np.arange(left + 0.006, right - 0.008, 0.0085)
    down = np.arange(top + 0.014, min(1.0, top + 0.4), 0.0165)
    on = stage.rng.random((len(across), len(down))) < lit
    columns, rows = on.nonzero()
    places = zip(across[columns].tolist(), down[rows].tolist(), strict=True)
    return [block(x, y, x + 0.004, y + 0.008) for x, y in places]


def _parapet(stage: Stage) -> None:
    """A roof to stand on, with its clutter."""
    y, rng = stage.ground, stage.rng
    shapes = [block(-1, y, 2, 2)]
    for x in (rng.uniform(-0.06, 0.12), rng.uniform(0.82, 1.0)):
        wide, tall = rng.uniform(0.04, 0.07), rng.uniform(0.10, 0.2)
        shapes.append(block(x - wide, y - tall, x + wide, y + 0.01))
        shapes.append(limb([(x, y - tall), (x, y - tall - 0.16)], [0.003, 0.0015]))
        shapes.append(
            limb([(x - 0.02, y - tall - 0.12), (x + 0.02, y - tall - 0.12)], [0.003, 0.003])
        )
    stage.near.fill(shapes, stage.shade(y - 0.2, y + 0.05))


def street(stage: Stage) -> None:
    """Fronts on both sides running to a bright gap, signs and lamps, and a wet road below."""
    sky(stage)
    meet, eye = 0.5 - 0.06 * stage.side, stage.horizon
    stage.far.glow(meet, eye - 0.02, 0.8, stage.palette.horizon, 0.9)
    edges = [0.045 + 0.40 * (n / 6) ** 1.7 for n in range(8)]
    for n in range(7):
        for side in (-1, 1):
            _front(stage, meet, side, edges[n], edges[n + 1], n / 6)
    dry = 0.30 if stage.dark else 0.08
    _wet_ground(stage, eye + 0.04, 0.62 if stage.staging.has("wet") else dry)
    _lamp_post(stage)


def _front(stage: Stage, meet: float, side: int, inner: float, outer: float, near: float) -> None:
    """One house of a street: its front runs from `inner` out to `outer`, towards the lens."""
    far, palette, rng, eye = stage.far, stage.palette, stage.rng, stage.horizon
    rise = rng.uniform(1.3, 2.3)  # its height for each frame width from the vanishing point
    a, b = meet + side * inner, meet + side * outer
    colour = stage.hazy(0.66 * (1 - near) ** 1.2 + 0.05)
    roof = rise * (0.35 + 0.65 * 0.22 / max(inner, 0.1))
    front = [
        (a, 2.0),
        (a, eye - roof * inner),
        (b, eye - roof * outer),
        (b + side, eye - roof * outer),
        (b + side, 2.0),
    ]
    far.fill(
        [front],
        [
            (eye - roof * outer, blend(colour, palette.near, 0.3)),
            (eye + 0.1, blend(colour, palette.horizon, 0.2 - 0.15 * near)),
        ],
    )
    panes = []
    for row in np.arange(0.12, 0.92, 0.11):
        for column in (0.2, 0.55):
            if rng.random() < 0.42:
                x0, x1 = (inner + (outer - inner) * c for c in (column, column + 0.22))
                panes.append(
                    [
                        (meet + side * x, eye - roof * x * (row + d))
                        for x, d in ((x0, 0.0), (x1, 0.0), (x1, 0.055), (x0, 0.055))
                    ]
                )
    far.light(panes, palette.accent, 0.7, 0.0008)
    if rng.random() < 0.5:
        x, y = meet + side * inner, eye - roof * inner * rng.uniform(0.2, 0.75)
        wide, tall = 0.010 + 0.03 * near, 0.035 + 0.13 * near
        colour = palette.light if rng.random() < 0.5 else palette.accent
        far.fill(
            [block(min(x, x - side * wide), y, max(x, x - side * wide), y + tall)],
            blend(colour, palette.light, 0.2),
        )
        far.glow(x - side * wide / 2, y + tall / 2, 0.10 + 0.25 * near, colour, 0.5)


def _wet_ground(stage: Stage, line: float, shine: float) -> None:
    """Mirror what is above a line in the ground below it, smeared downwards as wet ground does."""
    far = stage.far
    width, height = far.size
    row = round((line + far.room.y) / (1 + 2 * far.room.y) * height)
    deep = height - row
    above = far.picture.crop((0, max(0, row - deep), width, row)).transpose(
        Image.Transpose.FLIP_TOP_BOTTOM
    )
    above = above.resize((width, max(1, deep // 24)), Image.Resampling.BOX).resize(
        (width, deep), Image.Resampling.BICUBIC
    )
    above = above.filter(ImageFilter.BoxBlur(max(1, height // 260)))
    before = far.picture.copy()
    far.fill([block(-1, line, 2, 2)], [(line, stage.hazy(0.35)), (1.1, stage.palette.near)])
    lit = ImageChops.screen(far.picture.crop((0, row, width, height)), above)
    far.picture.paste(Image.blend(far.picture.crop((0, row, width, height)), lit, shine), (0, row))
    edge = far.mist(line - 0.006, line + 0.006).mask
    far.picture = Image.composite(far.picture, before, edge)


def _lamp_post(stage: Stage) -> None:
    """A lamp on the near kerb: the close thing that slides past."""
    near, palette, sign = stage.near, stage.palette, stage.side
    x = 0.5 - 0.40 * sign
    post = [
        limb([(x, 1.3), (x, 0.16)], [0.014, 0.009]),
        limb([(x, 0.18), (x + 0.02 * sign, 0.10), (x + 0.07 * sign, 0.10)], [0.008, 0.007, 0.006]),
        ellipse(x + 0.08 * sign, 0.106, 0.024, 0.014),
    ]
    near.fill(post, palette.near)
    near.light([ellipse(x + 0.08 * sign, 0.112, 0.018, 0.007)], palette.accent, 1.0, 0.002)
    stage.far.glow(x + 0.08 * sign, 0.12, 0.34, palette.accent, 0.55)


def road(stage: Stage) -> None:
    """A road that runs from under the lens to the horizon, with poles along it."""
    rolling(stage)
    far, palette, top = stage.far, stage.palette, stage.horizon + 0.02
    meet = 0.5 + stage.random.uniform(-0.08, 0.08)
    asphalt = blend(stage.hazy(0.25), palette.middle, 0.15)
    far.fill(
        [block(-1, top + 0.08, 2, 2)],
        [(top + 0.03, stage.hazy(0.3)), (1.1, palette.near)],
        1.0,
        0.02,
    )
    far.fill(
        [[(meet - 0.004, top), (meet + 0.004, top), (1.10, 1.35), (-0.10, 1.35)]],
        [(top, blend(asphalt, palette.light, 0.35)), (0.9, asphalt)],
    )
    dashes = []
    for n in range(9):
        near, back = 1 / (1 + 0.85 * n), 1 / (1 + 0.85 * (n + 0.42))
        corners = [
            (meet + (0.5 - meet) * t, top + (1.35 - top) * t, 0.010 * t) for t in (near, back)
        ]
        (x0, y0, w0), (x1, y1, w1) = corners
        dashes.append([(x0 - w0, y0), (x0 + w0, y0), (x1 + w1, y1), (x1 - w1, y1)])
    far.fill(dashes, blend(palette.light, palette.accent, 0.4), 0.65, 0.001)
    _poles(stage, meet)


def _poles(stage: Stage, meet: float) -> None:
    side, shapes, tops = -stage.side, [], []
    for n in range(6):
        near = 1 / (1 + 0.8 * n)
        x, base = meet + side * 0.62 * near, stage.horizon + 0.02 + 0.36 * near
        top = base - 0.78 * near
        shapes.append(limb([(x, base), (x, top)], [0.012 * near, 0.008 * near]))
        shapes.append(
            limb(
                [(x - 0.05 * near, top + 0.04 * near), (x + 0.05 * near, top + 0.04 * near)],
                [0.010 * near] * 2,
            )
        )
        tops.append((x, top + 0.04 * near))
    for (x0, y0), (x1, y1) in pairwise(tops):
        sag = (y0 + y1) / 2 + 0.09 * abs(x1 - x0)
        shapes.append(limb([(x0, y0), ((x0 + x1) / 2, sag), (x1, y1)], [0.002, 0.0015, 0.001]))
    stage.far.fill(shapes, stage.hazy(0.12))


_LEFT, _RIGHT, _TOP, _FOOT = 0.14, 0.86, 0.06, 0.70  # a room's back wall


def interior(stage: Stage) -> None:
    """A room: back wall, window and its light across the floor, and furniture."""
    far, palette = stage.far, stage.palette
    wall = blend(palette.middle, palette.near, 0.52)
    dim = blend(wall, palette.near, 0.55)
    far.flood([(-0.1, dim), (0.7, wall), (1.1, dim)])
    far.fill(
        [block(_LEFT, _TOP, _RIGHT, _FOOT)],
        [(_TOP, blend(wall, palette.near, 0.25)), (_FOOT, blend(wall, palette.horizon, 0.16))],
    )
    floor = blend(palette.near, palette.middle, 0.34)
    far.fill(
        [[(_LEFT, _FOOT), (_RIGHT, _FOOT), (1.5, 1.35), (-0.5, 1.35)]],
        [(_FOOT, floor), (1.1, blend(palette.near, palette.middle, 0.12))],
    )
    boards = [
        limb([(_LEFT + (_RIGHT - _LEFT) * t, _FOOT), (2 * t - 0.5, 1.35)], [0.001, 0.004])
        for t in np.linspace(0.04, 0.96, 13).tolist()
    ]
    far.fill(boards, palette.near, 0.4)
    seams = [
        ((_LEFT, _TOP), (_LEFT, _FOOT)),
        ((_RIGHT, _TOP), (_RIGHT, _FOOT)),
        ((_LEFT, _FOOT), (_RIGHT, _FOOT)),
        ((_LEFT, _FOOT), (-0.5, 1.35)),
        ((_RIGHT, _FOOT), (1.5, 1.35)),
        ((_LEFT, _TOP), (-0.4, -0.5)),
        ((_RIGHT, _TOP), (1.4, -0.5)),
    ]
    far.fill([limb(seam, [0.003, 0.003]) for seam in seams], palette.near, 0.5, 0.001)
    _window(stage, 0.5 + 0.20 * stage.side)
    if "door" in stage.staging.things:
        _door(stage, 0.5 - 0.24 * stage.side)
    _furniture(stage)


def _window(stage: Stage, x: float) -> None:
    far, palette = stage.far, stage.palette
    wide, top, sill = 0.085 if stage.aspect > 1 else 0.13, 0.17, 0.50
    far.fill(
        [block(x - wide, top, x + wide, sill)],
        [
            (top, blend(palette.light, palette.middle, 0.25)),
            (sill, blend(palette.horizon, palette.light, 0.5)),
        ],
    )
    bars = [
        limb([(x + s * wide, top - 0.005), (x + s * wide, sill + 0.005)], [0.007] * 2)
        for s in (-1, 0, 1)
    ]
    bars += [
        limb([(x - wide, y), (x + wide, y)], [0.009] * 2) for y in (top, (top + sill) / 2, sill)
    ]
    far.fill(bars, blend(palette.near, palette.middle, 0.2))
    far.glow(x, 0.34, 0.75, palette.light, 0.6)
    reach, low = -0.42 * stage.side, _FOOT + 0.06
    panes = []
    for s in (-1, 1):
        a, b = x + s * wide * 0.08, x + s * wide * 0.95
        panes.append([(a + reach * 0.75, low), (b + reach * 0.75, low),
                      (b + reach * 1.35 + s * 0.02, 0.95), (a + reach * 1.35, 0.95)])  # fmt: skip
    far.light(panes, palette.light, 0.42, 0.006)
    beam = [
        (x - wide, top),
        (x + wide, sill),
        (x + wide + reach * 1.3, 0.95),
        (x - wide + reach * 0.9, _FOOT),
    ]
    far.light([beam], palette.light, 0.18, 0.03)


def _door(stage: Stage, x: float) -> None:
    far, palette = stage.far, stage.palette
    wide, top = 0.062 if stage.aspect > 1 else 0.10, 0.20
    far.fill(
        [block(x - wide - 0.012, top - 0.02, x + wide + 0.012, _FOOT)],
        blend(palette.near, palette.middle, 0.22),
    )
    far.fill(
        [block(x - wide, top, x + wide, _FOOT)], [(top, palette.horizon), (_FOOT, palette.light)]
    )
    ajar = x + wide * 0.1
    far.fill(
        [[(x - wide, _FOOT), (x - wide, top), (ajar, top + 0.02), (ajar, _FOOT + 0.03)]],
        blend(palette.near, palette.middle, 0.12),
    )
    far.light(
        [[(ajar, _FOOT), (x + wide, _FOOT), (x + wide * 2.6, 1.0), (x + wide * 0.6, 1.0)]],
        palette.light,
        0.35,
        0.01,
    )
    far.glow(x + wide / 2, 0.5, 0.4, palette.light, 0.35)


def _furniture(stage: Stage) -> None:
    """A table with a lamp and a chair, in the dark of the foreground."""
    near, palette, sign = stage.near, stage.palette, stage.side
    x, y = 0.5 + 0.27 * sign, 0.80
    chair = x - 0.19 * sign
    seat = chair + 0.05 * sign
    near.fill(
        [limb([(x - 0.14, y), (x + 0.14, y)], [0.022] * 2),
         *[limb([(x + d, y), (x + d * 1.05, 1.2)], [0.012, 0.009]) for d in (-0.12, 0.12)],
         limb([(chair - 0.03 * sign, 0.66), (chair - 0.02 * sign, 0.90)], [0.012] * 2),
         limb([(chair - 0.02 * sign, 0.89), (seat, 0.89)], [0.016] * 2),
         *[limb([(foot, 0.89), (foot + d * sign, 1.15)], [0.010] * 2)
           for foot, d in ((chair - 0.02 * sign, -0.004), (seat, 0.01))]],
        stage.shade(0.6, 0.95),
    )  # fmt: skip
    lamp = x + 0.07 * sign
    hood = [
        (lamp - 0.035, y - 0.10),
        (lamp - 0.02, y - 0.17),
        (lamp + 0.02, y - 0.17),
        (lamp + 0.035, y - 0.10),
    ]
    near.fill(
        [
            limb([(lamp, y), (lamp, y - 0.12)], [0.008, 0.006]),
            ellipse(lamp, y - 0.012, 0.022, 0.008),
        ],
        stage.hazy(0.1),
    )
    near.fill([hood], blend(palette.accent, palette.light, 0.3), 0.9)
    stage.far.glow(lamp, y - 0.13, 0.5, palette.accent, 0.55)
    near.glow(lamp, y - 0.12, 0.22, palette.accent, 0.5)
