"""A picture made ready to be filmed: kept finer than the frame, so that a move is a cheap lookup."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image, ImageFilter, ImageOps

from secondunit.backlot.easel.camera import Pose, Room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

    Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

FINE = 5
"""A plate has this many texels to a frame pixel, each way.

The nearest texel is then never more than a tenth of a pixel off, and reading it takes a twelfth of
the time of interpolating. An odd number keeps the middle of a pixel on the middle of a texel, so an
unmoved plate is the picture itself.
"""

_MOST_ROOM = 0.3  # of a picture wider or higher than the frame, what is kept on each side
_MIRROR = 0.13  # what a pull back may need beyond a picture's own edge


def to_frame(picture: Image.Image, width: int, height: int) -> av.VideoFrame:
    """Convert an RGB picture to bt709, TV range 4:2:0, scaled to `width` × `height` (both even)."""
    frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
    return frame.reformat(
        width, height, "yuv420p", interpolation="BICUBIC", dst_colorspace="ITU709",
        dst_color_range="MPEG",
    )  # fmt: skip


class Canvas:
    """One yuv420p frame in memory, to be drawn on again and again; width and height are even.

    `planes` (numpy) and `pictures` (Pillow) are writable views of the memory of `frame`, and so
    nothing is copied between drawing and encoding.
    """

    def __init__(self, width: int, height: int) -> None:
        self.frame = av.VideoFrame(width, height, "yuv420p")
        self.planes = frame_planes(self.frame)
        self.pictures = tuple(map(_picture, self.frame.planes))

    def picture(self) -> Image.Image:
        """Return what is drawn, in RGB."""
        return Image.fromarray(self.frame.to_ndarray(format="rgb24", src_colorspace="ITU709"))


def frame_planes(frame: av.VideoFrame) -> Planes:
    """Return writable views of the three planes of a yuv420p frame, without their padding."""
    views = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    return next(views), next(views), next(views)


def _picture(plane: VideoPlane) -> Image.Image:
    size, layout = (plane.width, plane.height), ("L", plane.line_size, 1)
    memory = np.frombuffer(memoryview(plane), np.uint8)
    picture = Image.frombuffer("L", size, memory, "raw", *layout)
    picture.readonly = 0  # or Pillow would draw on a copy
    return picture


@dataclass(frozen=True)
class Plate:
    """A picture in its place before the lens: over the frame, beyond it, or in a part of it.

    `place` is where its left, top, right and bottom lie, in frame sizes from the frame's upper
    left. `planes` are Y, U and V, `matte` is how opaque it is (None: wholly); all have FINE texels
    to a pixel of the frame's own plane. `depth` is how far a pose moves it: 1 as the pose says,
    less for what is far away, below 0 for what swings round the other way.
    """

    planes: tuple[Image.Image, Image.Image, Image.Image]
    place: tuple[float, float, float, float]
    matte: Image.Image | None = None
    depth: float = 1.0

    @classmethod
    def of(
        cls,
        picture: Image.Image,
        frame: tuple[int, int],
        place: tuple[float, float, float, float],
        depth: float = 1.0,
    ) -> Plate:
        """Make a plate of an RGB or RGBA picture that is to lie in `place` of a `frame`."""
        across, down = place[2] - place[0], place[3] - place[1]
        width, height = (
            2 * round(n * s * FINE / 2) for n, s in zip(frame, (across, down), strict=True)
        )
        y, u, v = map(_picture, to_frame(picture.convert("RGB"), width, height).planes)
        matte = None
        if picture.mode == "RGBA":
            grey = av.VideoFrame.from_ndarray(np.asarray(picture.getchannel("A")), format="gray")
            # swscale does this five times faster than Pillow.
            matte = _picture(grey.reformat(width, height, interpolation="BILINEAR").planes[0])
        return cls((y, u, v), place, matte, depth)

    def expose(self, canvas: Canvas, pose: Pose) -> None:
        """Draw the plate on `canvas` as it is seen from `pose`."""
        span = pose.span ** max(0.2, self.depth)
        left, top = (0.5 + v * self.depth - span / 2 for v in (pose.x, pose.y))
        seen = self._seen(canvas, left, top, span)
        if seen is None:
            return
        window, half = (left, top, span), (seen[0] // 2, seen[1] // 2, seen[2] // 2, seen[3] // 2)
        luma, *chromas = canvas.pictures
        self._lay(self.planes[:1], [luma], seen, window)
        self._lay(self.planes[1:], chromas, half, window)

    def _lay(
        self,
        planes: Sequence[Image.Image],
        unders: Sequence[Image.Image],
        box: tuple[int, int, int, int],
        window: tuple[float, float, float],
    ) -> None:
        """Draw planes of one size on their canvas planes, through the matte they share."""
        matte = self.matte and self._look(self.matte, unders[0], box, window)
        for plane, under in zip(planes, unders, strict=True):
            under.paste(self._look(plane, under, box, window), box[:2], matte)

    def _seen(
        self, canvas: Canvas, left: float, top: float, span: float
    ) -> tuple[int, int, int, int] | None:
        """Return the part of the canvas the plate covers, in even pixels."""
        width, height = canvas.pictures[0].size
        edges = [
            ((edge - start) / span) * size / 2
            for edge, start, size in zip(
                self.place, (left, top) * 2, (width, height) * 2, strict=True
            )
        ]
        x, y = (2 * max(0, math.floor(edge)) for edge in edges[:2])
        right, bottom = (
            2 * min(n // 2, math.ceil(e)) for n, e in zip((width, height), edges[2:], strict=True)
        )
        return (x, y, right, bottom) if x < right and y < bottom else None

    def _look(
        self,
        plane: Image.Image,
        under: Image.Image,
        box: tuple[int, int, int, int],
        window: tuple[float, float, float],
    ) -> Image.Image:
        """Read the texels of `plane` that lie behind `box` of the canvas plane `under`."""
        left, top, span = window
        texels_x = plane.width / (self.place[2] - self.place[0])
        texels_y = plane.height / (self.place[3] - self.place[1])
        step_x, step_y = span / under.width, span / under.height
        look = (
            step_x * texels_x, 0.0, (left + box[0] * step_x - self.place[0]) * texels_x,
            0.0, step_y * texels_y, (top + box[1] * step_y - self.place[1]) * texels_y,
        )  # fmt: skip
        size = (box[2] - box[0], box[3] - box[1])
        return plane.transform(size, Image.Transform.AFFINE, look, Image.Resampling.NEAREST)


def over_all(room: Room) -> tuple[float, float, float, float]:
    """Return the place of a picture that covers the frame and `room` on each side of it."""
    return -room.x, -room.y, 1 + room.x, 1 + room.y


def upright(picture: Image.Image) -> Image.Image:
    """Return `picture` as it is meant to be seen, in RGB: turned, 8 bits deep, on dark grey."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        deep = np.asarray(picture, np.float32)
        top = 65535.0 if deep.max(initial=0.0) > 255 else 255.0
        picture = Image.fromarray(np.uint8(np.clip(deep / top, 0, 1) * 255))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    clear = picture.convert("RGBA")
    ground = Image.new("RGBA", clear.size, (18, 18, 20, 255))
    return Image.alpha_composite(ground, clear).convert("RGB")


def covering(picture: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, Room]:
    """Scale `picture` to cover the frame `size`, centred; what overlaps is kept as room."""
    width, height = size
    scale = max(width / picture.width, height / picture.height)
    # Spare pixels come in pairs, or the centre crop would sit half a pixel off.
    spare = [
        min(int((whole * scale - frame) / 2), int(frame * _MOST_ROOM))
        for whole, frame in zip(picture.size, size, strict=True)
    ]
    target = (width + 2 * spare[0], height + 2 * spare[1])
    left, top = (
        max(0.0, (whole - part / scale) / 2)
        for whole, part in zip(picture.size, target, strict=True)
    )
    box = (left, top, picture.width - left, picture.height - top)
    scaled = picture.resize(target, Image.Resampling.LANCZOS, box=box)
    return scaled, Room(spare[0] / width, spare[1] / height)


def widened(picture: Image.Image, size: tuple[int, int], room: Room) -> tuple[Image.Image, Room]:
    """Carry a picture on beyond its edges, mirrored and ever softer, for a lens that pulls back."""
    width, height = size
    pad = [max(0, round((_MIRROR - r) * n)) for r, n in ((room.x, width), (room.y, height))]
    across, down = (min(p, n - 1) for p, n in zip(pad, picture.size, strict=True))
    pixels = np.pad(np.asarray(picture), ((down, down), (across, across), (0, 0)), "symmetric")
    wide = Image.fromarray(pixels)
    kept = Image.new("L", wide.size, 0)
    soft = max(2.0, min(width, height) * 0.02)
    kept.paste(255, (across, down, across + picture.width, down + picture.height))
    # The softness starts outside the edge: the opening frame is the picture to the last pixel.
    fade = kept.filter(ImageFilter.BoxBlur(soft)).point(lambda level: min(255, level * 2))
    kept = Image.composite(Image.new("L", wide.size, 255), fade, kept)
    wide = Image.composite(wide, wide.filter(ImageFilter.GaussianBlur(soft)), kept)
    return wide, Room(room.x + across / width, room.y + down / height)
