"""Things a prompt names, as silhouettes on the stage: a lighthouse, a boat, a horse, a cup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageChops

from secondunit.backlot.easel import figures
from secondunit.backlot.easel.brush import Shape, block, ellipse, limb, smooth
from secondunit.backlot.easel.palette import blend

if TYPE_CHECKING:
    from collections.abc import Callable

    from secondunit.backlot.easel.brush import Outline, Point
    from secondunit.backlot.easel.scenery import Stage

Lamp = tuple[float, float] | None
"""Where a lamp turns, in frame sizes."""


def stand(
    stage: Stage, outlines: list[Outline], x: float, y: float, tall: float, *, flip: bool = False
) -> None:
    """Put a silhouette on the near sheet with a rim of light on the sunny side.

    The outlines are in heights, y upwards, looking to the right; (0, 0) comes to lie on (x, y) and
    one height is `tall` frame heights. `flip` makes it look to the left.
    """
    near = stage.near
    wide = (-tall if flip else tall) / near.aspect
    shape = near.shape([[(x + a * wide, y - b * tall) for a, b in part] for part in outlines])
    if shape is None:
        return
    near.fill(shape, stage.shade(y - tall, y, 0.03))
    # A thin bright edge, and round it a broad faint one, as if the light wrapped around.
    for reach, strength in ((0.006, 0.9), (0.030, 0.22)):
        pixels = max(1.0, reach * min(1.0, 0.25 + tall) * near.size[1])
        moved = ImageChops.offset(shape.mask, round(-stage.side * pixels), round(pixels * 0.45))
        rim = ImageChops.subtract(shape.mask, moved)
        rim = ImageChops.multiply(near.softened(rim, pixels * 0.4), shape.mask)
        near.light(Shape(rim, shape.left, shape.top), stage.palette.light, strength)


def _placed(stage: Stage, x: float, y: float, size: float) -> Callable[[float, float], Point]:
    """Return what turns a thing's own places (in its sizes, y upwards) into the frame's."""
    return lambda a, b: (x + a * size / stage.aspect, y - b * size)


def _lighthouse(stage: Stage) -> Lamp:
    near, palette = stage.near, stage.palette
    x, y, tall = 0.5 - 0.30 * stage.side, stage.ground + 0.02, 0.60
    at = _placed(stage, x, y, tall)
    body = [at(-0.10, 0), at(-0.060, 0.84), at(0.060, 0.84), at(0.10, 0)]
    gallery = [at(-0.085, 0.84), at(-0.085, 0.865), at(0.085, 0.865), at(0.085, 0.84)]
    room = [at(-0.045, 0.86), at(-0.045, 0.945), at(0.045, 0.945), at(0.045, 0.86)]
    dome = [at(-0.055, 0.94), at(-0.03, 0.98), at(0, 1.0), at(0.03, 0.98), at(0.055, 0.94)]
    near.fill([body, gallery, room, dome, limb([at(0, 0.99), at(0, 1.06)], [0.003, 0.001])],
              stage.shade(y - tall, y))  # fmt: skip
    bands = []
    for low, high in ((0.16, 0.36), (0.56, 0.76)):
        low_wide, high_wide = (0.10 - 0.04 * b / 0.84 for b in (low, high))
        bands.append(
            [at(-low_wide, low), at(-high_wide, high), at(high_wide, high), at(low_wide, low)]
        )
    near.fill(bands, blend(palette.light, palette.near, 0.66), 0.85, 0.001)
    near.light([room], palette.accent, 1.0, 0.001)
    lamp = at(0, 0.905)
    stage.far.glow(*lamp, 0.5, palette.accent, 0.9)
    near.glow(*lamp, 0.09, palette.light, 0.9)
    return lamp


def _boat(stage: Stage) -> Lamp:
    at = _placed(stage, 0.5 + 0.14 * stage.side, stage.horizon + 0.05, 0.115)
    hull = smooth([at(-0.75, 0.16), at(-0.55, -0.06), at(0.5, -0.06), at(0.85, 0.22), at(0.4, 0.14),
                   at(-0.4, 0.12)])  # fmt: skip
    mast = limb([at(0.0, 0.1), at(0.03, 1.55)], [0.003, 0.0015])
    main, jib = (
        [at(0.06, 0.25), at(0.06, 1.45), at(0.62, 0.3)],
        [at(-0.03, 0.25), at(0.0, 1.3), at(-0.5, 0.28)],
    )
    stage.far.fill([hull, mast], stage.hazy(0.1))
    stage.far.fill([main, jib], blend(stage.hazy(0.3), stage.palette.light, 0.18))
    return None


def _house(stage: Stage) -> Lamp:
    palette, near, size = stage.palette, stage.near, 0.26 * stage.fit
    x, y = 0.5 + 0.24 * stage.side, stage.ground + 0.015
    at = _placed(stage, x, y, size)
    body = [at(-0.5, -0.1), at(-0.5, 0.5), at(0.5, 0.5), at(0.5, -0.1)]
    roof = [at(-0.62, 0.47), at(-0.34, 0.95), at(0.34, 0.95), at(0.62, 0.47)]
    chimney = [at(0.16, 0.8), at(0.16, 1.12), at(0.28, 1.12), at(0.28, 0.8)]
    near.fill([body, chimney], stage.shade(y - size, y))
    snowy = stage.staging.weather == "snow"
    near.fill([roof], blend(stage.hazy(0.14), palette.light, 0.6 if snowy else 0.06))
    panes = [
        [at(a, 0.16), at(a, 0.38), at(a + 0.15, 0.38), at(a + 0.15, 0.16)]
        for a in (-0.34, -0.08, 0.2)
    ]
    near.light(panes, palette.accent, 0.95, 0.001)
    near.glow(*at(0, 0.28), 0.2, palette.accent, 0.45)
    stage.far.glow(*at(0, 0.28), 0.3, palette.accent, 0.3)
    return None


def _tree(stage: Stage) -> Lamp:
    rng, tall = stage.rng, 0.58 * stage.fit
    x, y = 0.5 + 0.27 * stage.side, stage.ground + 0.02
    at = _placed(stage, x, y, tall)
    wood = [limb([at(0, 0), at(0.02, 0.3), at(-0.01, 0.65)], [0.034, 0.02, 0.008])]
    wood += [limb([at(0.01, 0.32), at(a * 0.5, 0.5), at(a, 0.7)], [0.012, 0.008, 0.002])
             for a in (-0.3, -0.14, 0.16, 0.32)]  # fmt: skip
    turn, reach = rng.uniform(0, 2 * np.pi, 190), rng.random(190) ** 0.5
    size = rng.uniform(0.010, 0.034, 190)
    leaves = np.stack([x + np.cos(turn) * reach * tall * 0.42 / stage.aspect,
                       y - tall * 0.72 + np.sin(turn) * reach * tall * 0.25,
                       size * 1.2 / stage.aspect, size * 0.8], 1)  # fmt: skip
    paint = stage.shade(y - tall, y)
    stage.near.fill(wood, paint)
    stage.near.fill(stage.near.strokes(leaves), paint)
    return None


def _car(stage: Stage) -> Lamp:
    size, y = 0.19 * stage.fit, stage.ground + 0.03
    x = 0.5 - 0.06 * stage.side
    body = smooth([(-1.05, 0.12), (-1.08, 0.36), (-0.7, 0.46), (-0.42, 0.72), (0.3, 0.74), (0.62, 0.48),
                   (1.05, 0.38), (1.12, 0.14)], 6)  # fmt: skip
    stand(stage, [body, ellipse(-0.62, 0.13, 0.17, 0.17), ellipse(0.64, 0.13, 0.17, 0.17)], x, y, size,
          flip=stage.side < 0)  # fmt: skip
    at = _placed(stage, x, y, size)
    glass = [
        at(a * stage.side, b) for a, b in ((-0.38, 0.66), (0.27, 0.68), (0.50, 0.48), (-0.58, 0.47))
    ]
    stage.near.fill([glass], blend(stage.palette.horizon, stage.palette.near, 0.45), 0.8, 0.001)
    nose = at(1.1 * stage.side, 0.3)
    stage.near.glow(*nose, 0.10, stage.palette.light, 0.9)
    stage.far.glow(*nose, 0.34, stage.palette.light, 0.5)
    return None


def _horse(stage: Stage) -> Lamp:
    outlines = figures.horse(stage.random)
    if stage.staging.people:
        outlines += figures.rider()
    _beast(stage, outlines, 0.27)
    return None


def _hound(stage: Stage) -> Lamp:
    _beast(stage, figures.hound(stage.random), 0.15)
    return None


def _stag(stage: Stage) -> Lamp:
    _beast(stage, figures.stag(stage.random), 0.25)
    return None


def _beast(stage: Stage, outlines: list[Outline], tall: float) -> None:
    close = stage.staging.size in ("close", "medium", "extreme", "full")
    tall *= stage.fit * {"establishing": 0.55, "aerial": 0.4}.get(
        stage.staging.size, 2.4 if close else 1.0
    )
    for n in range(max(1, min(3, stage.staging.people))):
        x = 0.5 + (0.05 - n * 1.35 * tall / stage.aspect) * stage.side
        size = tall * (1 - 0.06 * n)
        stand(stage, outlines, x, stage.ground + 0.015, size, flip=stage.side < 0)


def _birds(stage: Stage) -> Lamp:
    rng, flock = stage.rng, []
    for _ in range(13):
        x, y = rng.normal(0.5 + 0.1 * stage.side, 0.11), rng.normal(stage.horizon * 0.5, 0.06)
        wing = rng.uniform(0.008, 0.02)
        flock.append([(x + a * wing / stage.aspect * 1.4, y - b * wing) for a, b in figures.GULL])
    stage.far.fill(flock, stage.hazy(0.15), 0.9)
    return None


def _fire(stage: Stage) -> Lamp:
    near, palette, rng = stage.near, stage.palette, stage.rng
    x, y = 0.5 + 0.08 * stage.side, stage.ground + 0.02
    stage.far.glow(x, y - 0.06, 0.8, palette.accent, 0.8)
    wood = [limb([(x + a, y + 0.008), (x - a, y - 0.018)], [0.014, 0.010]) for a in (-0.026, 0.026)]
    for size, colour in ((1.0, palette.accent), (0.62, palette.light)):
        flames = []
        for _ in range(9):
            a, tall = rng.normal(0, 0.012) * size, rng.uniform(0.05, 0.14) * size
            flames.append(limb([(x + a, y), (x + a * 1.3, y - tall * 0.45), (x + a * 0.3, y - tall)],
                               [0.020 * size, 0.017 * size, 0.001]))  # fmt: skip
        near.fill(flames, colour, 0.92, 0.002)
    near.fill(wood, palette.near)
    near.glow(x, y - 0.04, 0.34, palette.accent, 0.8)
    return None


def _rocket(stage: Stage) -> Lamp:
    afloat = stage.staging.place == "space"
    x, y = (0.5 + 0.12 * stage.side, 0.46) if afloat else (0.5 + 0.1 * stage.side, stage.ground)
    if afloat:
        hull = smooth(
            [
                (-0.9, -0.1),
                (-0.9, 0.12),
                (-0.2, 0.2),
                (0.5, 0.12),
                (1.0, 0.0),
                (0.5, -0.1),
                (-0.2, -0.16),
            ]
        )
        fins = [
            [(-0.85, 0.1), (-1.1, 0.42), (-0.5, 0.16)],
            [(-0.85, -0.08), (-1.1, -0.36), (-0.5, -0.13)],
        ]
        stand(stage, [hull, *fins], x, y, 0.16, flip=stage.side > 0)
        stage.far.glow(x + 0.16 * stage.side / stage.aspect, y, 0.22, stage.palette.accent, 0.8)
        return None
    body = smooth(
        [
            (-0.06, 0.0),
            (-0.065, 0.7),
            (-0.04, 0.9),
            (0, 1.0),
            (0.04, 0.9),
            (0.065, 0.7),
            (0.06, 0.0),
        ]
    )
    tower = [
        block(-0.26, -0.9, -0.2, 0.0),
        *[limb([(-0.2, b), (-0.05, b)], [0.02, 0.02]) for b in (0.3, 0.55, 0.8)],
    ]
    tower[0] = [(a, -b) for a, b in tower[0]]
    stand(stage, [body, *tower], x, y, 0.55)
    stage.far.glow(x, y - 0.05, 0.4, stage.palette.accent, 0.6)
    return None


def _train(stage: Stage) -> Lamp:
    y, tall = stage.ground + 0.02, 0.16
    size, x, sign = tall / stage.aspect, 0.5 + 0.1 * stage.side, stage.side
    cars = [
        block(
            x - sign * (n * 2.3 + 2.2) * size, y - tall, x - sign * (n * 2.3 + 0.1) * size, y - 0.02
        )
        for n in range(4)
    ]
    engine = [
        block(x, y - tall * 0.8, x + sign * 1.6 * size, y - 0.02),
        block(x, y - tall * 1.1, x + sign * 0.6 * size, y - 0.02),
        limb(
            [(x + sign * 1.3 * size, y - tall * 0.7), (x + sign * 1.3 * size, y - tall * 1.25)],
            [0.012, 0.016],
        ),
    ]
    stage.near.fill([*cars, *engine, block(-1, y - 0.012, 2, y + 0.01)], stage.shade(y - tall, y))
    panes = [
        block(
            x - sign * (n * 2.3 + 0.35 + k * 0.5) * size,
            y - tall * 0.8,
            x - sign * (n * 2.3 + 0.65 + k * 0.5) * size,
            y - tall * 0.5,
        )
        for n in range(4)
        for k in range(4)
    ]
    stage.near.light(panes, stage.palette.accent, 0.9, 0.001)
    stage.far.glow(x + sign * 1.7 * size, y - tall * 0.5, 0.3, stage.palette.light, 0.7)
    return None


CANOPY: list[Outline] = [
    smooth([(-0.25, -0.03), (-0.16, 0.09), (0.0, 0.135), (0.16, 0.09), (0.25, -0.03), (0.17, -0.005),
            (0.085, -0.02), (0.0, 0.0), (-0.085, -0.02), (-0.17, -0.005)], 5),
    limb([(0.0, 0.1), (0.025, -0.42)], [0.010, 0.010]),
]  # fmt: skip

PROPS: dict[str, Callable[[Stage], Lamp]] = {
    "lighthouse": _lighthouse,
    "boat": _boat,
    "house": _house,
    "tree": _tree,
    "car": _car,
    "horse": _horse,
    "dog": _hound,
    "deer": _stag,
    "bird": _birds,
    "fire": _fire,
    "rocket": _rocket,
    "train": _train,
}


def insert(stage: Stage) -> None:
    """Draw the one thing that a close shot without people is about, large, on a dark table."""
    near, palette = stage.near, stage.palette
    name = next((n for n in stage.staging.things if n in INSERTS), "")
    table = 0.80
    near.fill(
        [block(-1, table, 2, 2)],
        [(table, stage.hazy(0.22)), (table + 0.05, stage.hazy(0.08)), (1.1, palette.near)],
    )
    x = 0.5 - 0.08 * stage.side
    stage.far.glow(x, table - 0.2, 0.6, palette.light, 0.4)
    outlines, tall = INSERTS.get(name, INSERTS["bottle"])
    stand(stage, outlines, x, table + 0.05, tall * stage.fit, flip=stage.side < 0)
    shadow = [ellipse(x - 0.10 * stage.side, table + 0.055, 0.2, 0.018)]
    near.fill(shadow, palette.near, 0.5, 0.012)


INSERTS: dict[str, tuple[list[Outline], float]] = {
    "cup": (
        [smooth([(-0.5, 0.98), (-0.47, 0.5), (-0.33, 0.12), (-0.2, 0.06), (0.2, 0.06), (0.33, 0.12),
                 (0.47, 0.5), (0.5, 0.98), (0.3, 1.02), (-0.3, 1.02)]),
         limb([(0.46, 0.82), (0.72, 0.78), (0.70, 0.45), (0.42, 0.36)], [0.09, 0.08, 0.08, 0.07]),
         ellipse(0.0, 0.05, 0.8, 0.055)],
        0.36,
    ),
    "bottle": (
        [smooth([(-0.2, 0.0), (-0.21, 0.48), (-0.16, 0.6), (-0.07, 0.7), (-0.065, 0.92),
                 (-0.075, 0.97), (0.075, 0.97), (0.065, 0.92), (0.07, 0.7), (0.16, 0.6),
                 (0.21, 0.48), (0.2, 0.0)], 6)],
        0.62,
    ),
    "flower": (
        [limb([(0.0, 0.0), (0.03, 0.3), (-0.02, 0.62)], [0.03, 0.025, 0.02]),
         *[smooth([(-0.02, 0.66), (a * 0.8 - b * 0.35, 0.66 + b * 0.8 + a * 0.2),
                   (a * 1.1, 0.68 + b * 1.1), (a * 0.7 + b * 0.35, 0.66 + b * 0.7 - a * 0.2)], 5)
           for a, b in ((0.0, 0.26), (0.2, 0.2), (-0.2, 0.2), (0.26, 0.04), (-0.26, 0.04))],
         smooth([(0.02, 0.3), (0.2, 0.42), (0.3, 0.4), (0.16, 0.3)], 5)],
        0.66,
    ),
    "lamp": (
        [limb([(0.0, 0.0), (0.0, 0.55)], [0.05, 0.04]), ellipse(0.0, 0.02, 0.2, 0.03),
         [(-0.3, 0.5), (-0.17, 0.95), (0.17, 0.95), (0.3, 0.5)]],
        0.58,
    ),
}  # fmt: skip
