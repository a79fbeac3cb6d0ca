"""People and animals as silhouettes: outlines in heights, feet (or chin) at 0, y upwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from secondunit.backlot.easel.brush import ellipse, limb, smooth

if TYPE_CHECKING:
    from random import Random

    from secondunit.backlot.easel.brush import Outline, Point
    from secondunit.backlot.easel.staging import Staging


@dataclass(frozen=True)
class Look:
    """Who stands there: what changes an outline."""

    dress: bool = False
    coat: bool = True
    hat: bool = False
    hood: bool = False
    child: bool = False
    walk: bool = False
    sit: bool = False


def cast(staging: Staging, random: Random) -> list[Look]:
    """Dress as many people as the staging has; the first is the one the prompt describes."""
    first = Look(
        dress=staging.has("dress"),
        coat=random.random() < 0.65,
        hat=staging.has("hat"),
        hood=staging.has("hood"),
        child=staging.has("child"),
        walk=staging.has("walk"),
        sit=staging.has("sit"),
    )
    # A couple is two kinds of people; any other company is dressed like the first of it.
    others = [
        replace(
            first,
            dress=not first.dress if staging.has("couple") else first.dress,
            coat=random.random() < 0.6,
            sit=first.sit and n == 0,
        )
        for n in range(staging.people - 1)
    ]
    return [first, *others]


def standing(look: Look, random: Random) -> list[Outline]:
    """Return the outlines of a whole figure, one high, looking to the right."""
    if look.sit:
        return _seated(look)
    sway = random.uniform(-0.012, 0.012)
    parts = _legs(look, random)
    parts += _body(look, sway)
    parts += _arms(look, sway, random)
    parts += _head(look, sway, 0.935)
    return _grown(parts, look)


def _legs(look: Look, random: Random) -> list[Outline]:
    hip = 0.5
    if look.walk:
        stride = random.uniform(0.9, 1.15)
        return [
            limb([(0.0, hip), (0.075 * stride, 0.28), (0.105 * stride, 0.02)], [0.11, 0.075, 0.04]),
            limb([(0.0, hip), (-0.02, 0.27), (-0.125 * stride, 0.07)], [0.11, 0.075, 0.04]),
            limb([(0.1 * stride, 0.012), (0.155 * stride, 0.012)], [0.035, 0.022]),
            limb([(-0.13 * stride, 0.065), (-0.1 * stride, 0.012)], [0.04, 0.024]),
        ]
    slim = 0.8 if look.dress else 1.0
    return [
        part
        for side in (-1, 1)
        for part in (
            limb([(0.045 * side, hip), (0.052 * side * slim, 0.26), (0.052 * side * slim, 0.03)],
                 [0.105 * slim, 0.078 * slim, 0.045 * slim]),
            limb([(0.045 * side * slim, 0.012), (0.045 * side * slim + 0.045, 0.01)], [0.04, 0.024]),
        )
    ]  # fmt: skip


def _body(look: Look, sway: float) -> list[Outline]:
    if look.dress:
        half = [(0.022, 0.875), (0.05, 0.85), (0.086, 0.825), (0.08, 0.75), (0.056, 0.655),
                (0.075, 0.56), (0.102, 0.40), (0.135, 0.22), (0.142, 0.18), (0.14, 0.17)]  # fmt: skip
    elif look.coat or look.hood:
        half = [(0.03, 0.875), (0.06, 0.855), (0.112, 0.825), (0.122, 0.74), (0.098, 0.62),
                (0.106, 0.48), (0.122, 0.34), (0.130, 0.262), (0.130, 0.25)]  # fmt: skip
    else:
        half = [(0.028, 0.875), (0.055, 0.853), (0.112, 0.828), (0.115, 0.75), (0.09, 0.6),
                (0.092, 0.5), (0.095, 0.44)]  # fmt: skip
    left = [(-x + sway * (1 - y) * 2, y) for x, y in half]
    flare = 0.028 if look.coat or look.dress else 0.0
    right = [(x + (flare if y < 0.4 else 0) + sway * (1 - y) * 2, y) for x, y in reversed(half)]
    neck = limb([(sway, 0.84), (sway * 0.5 + 0.004, 0.91)], [0.062, 0.05])
    return [smooth([*left, *right]), neck]


def _arms(look: Look, sway: float, random: Random) -> list[Outline]:
    thick = 0.042 if look.dress else 0.056
    out = 0.078 if look.dress else 0.102
    swing = 0.07 if look.walk else random.uniform(-0.01, 0.02)
    bend = random.choice((0.0, 0.0, 0.05))
    return [
        limb(
            [(out * side + sway, 0.815), (out * 1.22 * side + swing * side * 0.4, 0.64),
             (out * 1.12 * side + swing * side + bend * side * 0.5, 0.47 + bend)],
            [thick * 1.15, thick * 0.95, thick * 0.62],
        )
        for side in (-1, 1)
    ]  # fmt: skip


def _head(look: Look, sway: float, y: float) -> list[Outline]:
    x = sway * 0.4 + 0.006
    parts = [ellipse(x, y, 0.047, 0.062), ellipse(x + 0.012, y - 0.02, 0.034, 0.044)]
    if look.hood:
        parts.append(smooth([(x - 0.08, y - 0.1), (x - 0.072, y), (x - 0.03, y + 0.075),
                             (x + 0.03, y + 0.07), (x + 0.062, y), (x + 0.075, y - 0.1)]))  # fmt: skip
    elif look.hat:
        parts.append(limb([(x - 0.085, y + 0.028), (x, y + 0.036), (x + 0.09, y + 0.026)],
                          [0.008, 0.022, 0.008]))  # fmt: skip
        parts.append(smooth([(x - 0.05, y + 0.03), (x - 0.044, y + 0.085), (x, y + 0.08),
                             (x + 0.044, y + 0.085), (x + 0.05, y + 0.03)], 4))  # fmt: skip
    elif look.dress:
        parts.append(smooth([(x - 0.058, y - 0.1), (x - 0.064, y), (x - 0.03, y + 0.068),
                             (x + 0.03, y + 0.066), (x + 0.05, y + 0.01), (x, y - 0.03)]))  # fmt: skip
    return parts


def _seated(look: Look) -> list[Outline]:
    parts = [
        smooth([(-0.1, 0.42), (-0.1, 0.6), (-0.09, 0.78), (-0.03, 0.83), (0.04, 0.8), (0.07, 0.68),
                (0.06, 0.5), (0.05, 0.4)]),
        limb([(-0.03, 0.42), (0.12, 0.43), (0.2, 0.41)], [0.13, 0.11, 0.085]),
        limb([(0.19, 0.41), (0.195, 0.22), (0.18, 0.03)], [0.085, 0.07, 0.045]),
        limb([(0.18, 0.015), (0.245, 0.012)], [0.04, 0.025]),
        limb([(0.0, 0.76), (0.06, 0.6), (0.15, 0.5)], [0.06, 0.05, 0.035]),
        limb([(0.0, 0.8), (0.01, 0.87)], [0.06, 0.05]),
        smooth([(-0.24, 0.0), (-0.22, 0.3), (-0.1, 0.41), (0.06, 0.39), (0.12, 0.2), (0.13, 0.0)]),
    ]  # fmt: skip
    return _grown(parts + _head(look, 0.0, 0.905), look)


def _grown(parts: list[Outline], look: Look) -> list[Outline]:
    size = 0.68 if look.child else 1.0
    return [[(x * size * 0.87, y * size) for x, y in part] for part in parts]


# A face from the side, looking right: chin at 0, crown at 1.
_PROFILE: list[Point] = [
    (0.07, -0.26), (0.10, -0.10), (0.17, -0.015), (0.28, 0.005), (0.345, 0.022), (0.372, 0.075),
    (0.348, 0.122), (0.378, 0.158), (0.364, 0.188), (0.394, 0.222), (0.372, 0.268), (0.408, 0.285),
    (0.462, 0.312), (0.448, 0.345), (0.392, 0.44), (0.362, 0.502), (0.385, 0.555), (0.380, 0.66),
    (0.342, 0.80), (0.22, 0.935), (0.02, 1.0), (-0.22, 0.955), (-0.39, 0.80), (-0.435, 0.58),
    (-0.385, 0.38), (-0.30, 0.22), (-0.275, 0.06), (-0.30, -0.10),
]  # fmt: skip
_SHOULDERS_ASIDE: list[Point] = [
    (-0.48, -0.24), (-0.86, -0.42), (-1.06, -0.78), (-1.16, -2.4), (0.86, -2.4), (0.78, -0.9),
    (0.58, -0.52), (0.24, -0.34),
]  # fmt: skip
_SHOULDERS: list[Point] = [
    (0.22, 0.06), (0.23, -0.12), (0.42, -0.25), (0.82, -0.40), (1.02, -0.68), (1.16, -2.4),
    (-1.16, -2.4), (-1.02, -0.68), (-0.82, -0.40), (-0.42, -0.25), (-0.23, -0.12), (-0.22, 0.06),
]  # fmt: skip


_COLLAR_ASIDE: list[Point] = [
    (-0.56, -0.40), (-0.47, 0.06), (-0.40, 0.20), (-0.27, 0.15), (-0.10, -0.08), (0.12, -0.13),
    (0.22, -0.06), (0.30, -0.16), (0.34, -0.50), (-0.1, -0.6),
]  # fmt: skip
_COLLAR: list[Point] = [
    (-0.52, -0.34), (-0.42, 0.06), (-0.33, 0.12), (-0.22, -0.06), (0.0, -0.24), (0.22, -0.06),
    (0.33, 0.12), (0.42, 0.06), (0.52, -0.34), (0.0, -0.6),
]  # fmt: skip


def bust(look: Look, *, aside: bool) -> list[Outline]:
    """Return a head and shoulders, the head one high above a chin at 0.

    `aside` looks to the right; otherwise towards the lens or away from it.
    """
    parts = [smooth(_PROFILE + _SHOULDERS_ASIDE)] if aside else _facing()
    if look.coat and not look.hood:
        parts.append(smooth(_COLLAR_ASIDE if aside else _COLLAR, 6))
    return parts + _hair(look, aside=aside)


def afloat(outlines: list[Outline], turn: float) -> list[Outline]:
    """Return a figure turned by `turn` radians about its middle, which comes to lie at 0."""
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        [(x * cos - (y - 0.5) * sin, x * sin + (y - 0.5) * cos) for x, y in part]
        for part in outlines
    ]


def back() -> list[Outline]:
    """Return a head and shoulders from behind, the head one high above its nape at 0."""
    skull = [(0.0, -0.3), (0.27, -0.2), (0.26, 0.02), (0.33, 0.18), (0.385, 0.45), (0.36, 0.75),
             (0.22, 0.96), (0.0, 1.02), (-0.22, 0.96), (-0.36, 0.75), (-0.385, 0.45), (-0.33, 0.18),
             (-0.26, 0.02), (-0.27, -0.2)]  # fmt: skip
    return [smooth(skull), smooth(_SHOULDERS)]


def _facing() -> list[Outline]:
    skull = [(0.0, -0.01), (0.17, 0.04), (0.295, 0.2), (0.345, 0.42), (0.37, 0.64), (0.30, 0.88),
             (0.0, 1.0), (-0.30, 0.88), (-0.37, 0.64), (-0.345, 0.42), (-0.295, 0.2),
             (-0.17, 0.04)]  # fmt: skip
    ears = [ellipse(side * 0.372, 0.46, 0.042, 0.095) for side in (-1, 1)]
    return [smooth(skull), *ears, smooth(_SHOULDERS)]


def _hair(look: Look, *, aside: bool) -> list[Outline]:
    if look.hood:
        return [smooth([(-0.75, -0.45), (-0.62, 0.2), (-0.55, 0.75), (-0.2, 1.14), (0.2, 1.12),
                        (0.44, 0.84), (0.36, 0.6), (0.2, 0.2), (0.3, -0.45)])] if aside else [
                smooth([(-0.78, -0.4), (-0.56, 0.2), (-0.52, 0.72), (-0.2, 1.12), (0.2, 1.12),
                        (0.52, 0.72), (0.56, 0.2), (0.78, -0.4)])]  # fmt: skip
    if look.hat:
        brim = limb([(-0.64, 0.76), (-0.05, 0.80), (0.66, 0.73)], [0.03, 0.10, 0.03])
        crown = smooth([(-0.43, 0.78), (-0.39, 0.96), (-0.3, 1.1), (-0.1, 1.13), (0.03, 1.09),
                        (0.16, 1.12), (0.32, 1.05), (0.37, 0.92), (0.39, 0.78)])  # fmt: skip
        return [brim, crown]
    if look.dress and aside:
        return [smooth([(0.24, 0.92), (0.0, 1.05), (-0.28, 1.02), (-0.5, 0.82), (-0.56, 0.5),
                        (-0.52, 0.1), (-0.5, -0.3), (-0.26, -0.38), (-0.16, 0.0), (-0.1, 0.5),
                        (0.1, 0.8)])]  # fmt: skip
    if look.dress:
        return [smooth([(-0.46, -0.34), (-0.5, 0.2), (-0.46, 0.72), (-0.25, 1.0), (0.0, 1.06),
                        (0.25, 1.0), (0.46, 0.72), (0.5, 0.2), (0.46, -0.34), (0.2, -0.1),
                        (-0.2, -0.1)])]  # fmt: skip
    top = [(0.33, 0.84), (0.2, 1.0), (-0.05, 1.05), (-0.3, 0.99), (-0.46, 0.78), (-0.46, 0.52),
           (-0.36, 0.36), (-0.2, 0.6), (0.1, 0.82)]  # fmt: skip
    if aside:
        return [smooth(top)]
    return [smooth([(-0.39, 0.5), (-0.41, 0.78), (-0.26, 1.0), (0.05, 1.06), (0.3, 0.98),
                    (0.41, 0.76), (0.39, 0.5), (0.0, 0.7)])]  # fmt: skip


def horse(random: Random) -> list[Outline]:
    """Return a horse looking right, about one high at the ears."""
    step = random.uniform(-0.05, 0.05)
    return [
        smooth([(-0.42, 0.62), (-0.4, 0.42), (-0.2, 0.4), (0.1, 0.38), (0.3, 0.44), (0.34, 0.6),
                (0.2, 0.68), (-0.05, 0.63), (-0.28, 0.68)]),
        limb([(0.24, 0.56), (0.4, 0.78), (0.46, 0.9)], [0.28, 0.17, 0.12]),
        limb([(0.44, 0.92), (0.56, 0.8), (0.64, 0.72)], [0.12, 0.1, 0.07]),
        limb([(0.44, 0.93), (0.45, 1.0)], [0.05, 0.01]),
        limb([(-0.4, 0.62), (-0.52, 0.5), (-0.53, 0.28)], [0.05, 0.09, 0.02]),
        *[limb([(x, 0.45), (x + bend, 0.24), (x + step * side, 0.01)], [0.13, 0.055, 0.04])
          for x, bend, side in ((0.26, 0.02, 1), (0.16, -0.01, -1), (-0.3, -0.05, 1),
                                (-0.22, -0.03, -1))],
    ]  # fmt: skip


def hound(random: Random) -> list[Outline]:
    """Return a dog, wolf or fox looking right, about one high at the ears."""
    tail = random.uniform(-0.1, 0.25)
    return [
        smooth([(-0.55, 0.62), (-0.5, 0.4), (-0.1, 0.42), (0.25, 0.34), (0.42, 0.5), (0.38, 0.7),
                (0.1, 0.68), (-0.3, 0.68)]),
        limb([(0.32, 0.6), (0.46, 0.8)], [0.26, 0.2]),
        limb([(0.44, 0.83), (0.58, 0.8), (0.72, 0.75)], [0.21, 0.15, 0.08]),
        limb([(0.4, 0.88), (0.38, 1.0)], [0.09, 0.01]),
        limb([(0.48, 0.89), (0.49, 0.99)], [0.08, 0.01]),
        limb([(-0.52, 0.6), (-0.75, 0.55 + tail), (-0.9, 0.6 + tail)], [0.08, 0.1, 0.02]),
        *[limb([(x, 0.48), (x + 0.02, 0.22), (x - 0.01, 0.02)], [0.15, 0.07, 0.06])
          for x in (0.3, 0.2, -0.45, -0.36)],
    ]  # fmt: skip


def stag(random: Random) -> list[Outline]:
    """Return a deer with antlers looking right, about one high at the brow."""
    antlers = [
        limb([(0.4, 0.98), (0.4 + side * 0.05 + dx, 1.16), (0.42 + side * 0.16 + dx, 1.32 + dy)],
             [0.03, 0.026, 0.008])
        for side in (-1, 1)
        for dx, dy in ((0.0, 0.0), (side * 0.03, -0.14), (side * -0.02, 0.06))
    ]  # fmt: skip
    return [*horse(random), *antlers]


def rider() -> list[Outline]:
    """Return somebody on the horse's back, in the horse's heights."""
    return [
        smooth([(-0.12, 0.62), (-0.13, 0.82), (-0.1, 1.0), (-0.02, 1.05), (0.06, 1.0), (0.07, 0.82),
                (0.08, 0.62)]),
        limb([(0.0, 0.68), (0.12, 0.52), (0.08, 0.32)], [0.13, 0.1, 0.05]),
        limb([(0.06, 0.31), (0.15, 0.30)], [0.05, 0.03]),
        limb([(0.0, 0.98), (0.12, 0.84), (0.28, 0.8)], [0.08, 0.06, 0.04]),
        ellipse(0.0, 1.13, 0.062, 0.08),
        limb([(-0.11, 1.16), (0.0, 1.18), (0.12, 1.15)], [0.012, 0.03, 0.012]),
    ]  # fmt: skip


GULL: Outline = [
    (-1.0, 0.34), (-0.45, 0.42), (0.0, 0.0), (0.45, 0.42), (1.0, 0.30), (0.42, 0.24), (0.0, -0.13),
    (-0.42, 0.24),
]  # fmt: skip
"""A bird far off, in lengths of its wing."""
