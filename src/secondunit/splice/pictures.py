"""A film's pictures as it stores them: luma and colour planes, which blend as gamma-coded RGB does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from numpy.typing import NDArray

Picture = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
"""A yuv420p picture in one piece, as PyAV packs it: a row for every line of luma, then the colours.

Turning RGB into this is linear, so a share of two of these is the same share of the two in RGB.
"""

Plane = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
"""Rows and columns of luma, or of one of the two colour differences at half the size."""

Level = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""A plane on its way, in floats."""

FULL = 256
"""A whole share, where shares are counted in whole numbers."""


class Canvas(NamedTuple):
    """The size of a film's pictures, in pixels; both are even."""

    width: int
    height: int

    def planes(self, picture: Picture) -> tuple[Plane, Plane, Plane]:
        """Look into a picture: luma, blue and red difference, without copying."""
        luma, colour = self.width * self.height, self.width * self.height // 4
        half = (self.height // 2, self.width // 2)
        flat = picture.reshape(-1)
        return (
            flat[:luma].reshape(self.height, self.width),
            flat[luma : luma + colour].reshape(half),
            flat[luma + colour :].reshape(half),
        )

    def plain(self, colour: str) -> Picture:
        """Paint a picture of one colour, `#rrggbb`."""
        picture: Picture = np.empty((self.height * 3 // 2, self.width), np.uint8)
        rgb = np.array([[[int(colour[at : at + 2], 16) for at in (1, 3, 5)]]], np.uint8)
        for plane, level in zip(self.planes(picture), studio(rgb), strict=True):
            plane[:] = np.rint(level[0, 0])
        return picture

    def frame(self, picture: Picture) -> av.VideoFrame:
        """Turn a picture into a frame to encode."""
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "yuv420p")


# ITU-R BT.709 §3, and its 8-bit TV range
_RED, _BLUE = 0.2126, 0.0722


def stored(frame: av.VideoFrame) -> Picture:
    """Return the picture of a yuv420p frame."""
    return cast("Picture", frame.to_ndarray(format="yuv420p"))


def studio(rgb: NDArray[np.uint8]) -> Sequence[Level]:
    """Convert full-range RGB, channels last, to bt709 in TV range: luma, blue and red difference."""
    red, green, blue = (rgb[..., at].astype(np.float32) / 255 for at in range(3))
    luma = _RED * red + (1 - _RED - _BLUE) * green + _BLUE * blue
    levels = [
        16 + 219 * luma,
        128 + 112 * (blue - luma) / (1 - _BLUE),
        128 + 112 * (red - luma) / (1 - _RED),
    ]
    return [cast("Level", level.astype(np.float32)) for level in levels]


def mixed(below: Plane, above: Plane, share: float | NDArray[np.uint16]) -> Plane:
    """Blend two planes: `share` of `above`, 0 to 1, or as many 256ths of it at every place."""
    part = np.uint16(round(share * FULL)) if isinstance(share, float) else share
    both = below * (np.uint16(FULL) - part)
    both += above * part
    both += np.uint16(FULL // 2)
    both >>= np.uint16(8)
    blended: Plane = both.astype(np.uint8)
    return blended


class Reel:
    """Pictures in order, handed to moviepy by the time it asks for."""

    def __init__(self, pictures: Iterator[NDArray[np.uint8]], fps: Fraction) -> None:
        self._pictures = pictures
        self._fps = float(fps)
        self._at = -1
        self._picture = np.zeros((0, 0), np.uint8)

    def at(self, seconds: float) -> NDArray[np.uint8]:
        """Return the picture that is shown at a time, which never runs backwards."""
        # moviepy asks for the first one when the clip is made, and then again
        wanted = round(seconds * self._fps)
        while self._at < wanted:
            self._picture = next(self._pictures)
            self._at += 1
        return self._picture


class Stencil:
    """A picture with transparency that is laid over a part of others, at any opacity.

    `rgba` is not multiplied by its alpha and lies wholly inside the canvas, from `x`, `y` on.
    """

    def __init__(self, canvas: Canvas, rgba: NDArray[np.uint8], x: int, y: int) -> None:
        self._canvas = canvas
        rows, columns = rgba.shape[:2]
        # out to the grid of the colour planes
        padding = ((y % 2, -(y + rows) % 2), (x % 2, -(x + columns) % 2))
        alpha = cast("Level", np.pad(rgba[..., 3].astype(np.float32) / 255, padding))
        luma, *colours = (np.pad(plane, padding) * alpha for plane in studio(rgba[..., :3]))
        top, left = y // 2, x // 2
        bottom, right = (y + rows + 1) // 2, (x + columns + 1) // 2
        half = (slice(top, bottom), slice(left, right))
        full = (slice(2 * top, 2 * bottom), slice(2 * left, 2 * right))
        self._layers = [(full, luma, alpha), *((half, _halved(p), _halved(alpha)) for p in colours)]

    def over(self, picture: Picture, opacity: float) -> Picture:
        """Return `picture` with the other laid over it."""
        whole = picture.copy()
        for plane, layer in zip(self._canvas.planes(whole), self._layers, strict=True):
            place, level, alpha = layer
            part = plane[place]
            part[:] = np.rint(part + opacity * (level - alpha * part))
        return whole


def _halved(plane: NDArray[Any]) -> Level:
    rows, columns = plane.shape
    return cast("Level", plane.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3)))
