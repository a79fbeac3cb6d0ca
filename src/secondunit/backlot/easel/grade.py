"""Grades: a picture's colours drawn towards a palette, by tables on its luma and chroma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops

from secondunit.backlot.easel.palette import Colour, Palette, blend, read_palette
from secondunit.backlot.easel.staging import artist

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from secondunit.backlot.easel.plate import Canvas

    Table = list[int]

_LUMA = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
_BLACK, _REACH = 16, 219  # TV range luma


@dataclass(frozen=True)
class Grade:
    """Tables that turn a frame's luma into its new luma, and a part of its new chroma.

    `keep` are tables for the chroma that was there, `tint` for what the luma adds to it.
    """

    luma: Table
    keep: Table
    tint_u: Table
    tint_v: Table

    def apply(self, canvas: Canvas) -> None:
        """Grade what is drawn on a canvas."""
        luma, *chromas = canvas.pictures
        small = Image.fromarray(np.ascontiguousarray(canvas.planes[0][::2, ::2]))
        for chroma, tint in zip(chromas, (self.tint_u, self.tint_v), strict=True):
            added = ImageChops.add(chroma.point(self.keep), small.point(tint), offset=-128)
            chroma.paste(added)
        luma.paste(luma.point(self.luma))


def read_grade(prompt: str, seed: int, strength: float = 0.62) -> Grade:
    """Return the grade the words of `prompt` call for; where they are silent, `seed` chooses.

    `strength` 0 to 1 is how far the picture goes over to the palette.
    """
    return towards(read_palette(prompt, artist(prompt, seed)), strength)


def towards(palette: Palette, strength: float) -> Grade:
    """Return the grade that draws a picture towards `palette` by `strength`, 0 to 1."""
    ramp = _ramp(palette)
    light = ramp @ _LUMA
    blue, red = (ramp[:, 2] - light) / 1.8556, (ramp[:, 0] - light) / 1.5748
    level = np.clip((np.arange(256) - _BLACK) / _REACH, 0, 1)
    at = np.linspace(0, 1, len(ramp))
    new = level * (1 - strength) + np.interp(level, at, light) / 255 * strength
    tint = [np.interp(level, at, chroma) * 224 / 255 * strength for chroma in (blue, red)]
    left = (1 - strength) * min(1.0, 12 * float(np.abs(blue).mean() + np.abs(red).mean()) / 255)
    keep = 128 + (np.arange(256) - 128) * left
    return Grade(
        _table(_BLACK + new * _REACH), _table(keep), _table(tint[0] + 128), _table(tint[1] + 128)
    )


def _table(values: NDArray[np.floating]) -> Table:
    return [int(v) for v in np.clip(np.round(values), 0, 255)]


def _ramp(palette: Palette) -> NDArray[np.float64]:
    """Lay a palette's colours out from its darkest to its lightest."""
    colours = sorted((palette.top, palette.middle, palette.horizon), key=_luma)
    # By night nothing is white: the brightest of the picture stops short of the lamp itself.
    bright = blend(palette.horizon, palette.light, 0.4 if _luma(palette.horizon) < 110 else 1.0)
    shadow = blend(palette.near, colours[0], 0.15)
    return np.array([shadow, blend(palette.near, colours[0], 0.8), colours[1], colours[2],
                     bright])  # fmt: skip


def _luma(colour: Colour) -> float:
    return float(np.dot(colour, _LUMA))
