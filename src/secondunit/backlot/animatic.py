"""The animatic: a moving sketch of a shot, made on this machine from its picture, move and text."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image

from secondunit import h264
from secondunit.backlot import camera, plate, slate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secondunit.backlot.plate import Planes

FASTER = {**h264.OPTIONS, "preset": "ultrafast", "crf": "-1", "qp": "24"}
"""A sketch is looked at once: the film's headers, at the encoder's quickest."""


@dataclass(frozen=True)
class Sketch:
    """What to draw; the same Sketch always gives the same bytes."""

    model: str
    prompt: str
    seed: int
    width: int
    height: int
    seconds: float = 5.0
    fps: int = 24
    shot: str = ""
    picture: Path | None = None
    references: tuple[Path, ...] = ()
    source: Path | None = None

    @property
    def frames(self) -> int:
        """How many frames the clip has, at least one."""
        return max(1, round(self.seconds * self.fps))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame, pixels."""
        return self.width, self.height


def render_clip(sketch: Sketch, out: Path) -> None:
    """Write the sketch as an H.264 mp4 to `out`."""
    board = slate.slate(sketch.shot, sketch.model, sketch.seed, sketch.prompt, sketch.size)
    with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = h264.open_stream(
            container, sketch.width, sketch.height, Fraction(sketch.fps), FASTER
        )
        # One canvas serves for all: the encoder copies what it is handed.
        canvas = plate.Canvas(sketch.width, sketch.height)
        for number, _ in enumerate(_move_over_picture(sketch, canvas)):
            if board is not None:
                board.burn(canvas.planes, _lift(number, sketch.frames))
            canvas.frame.pts = number
            container.mux(stream.encode(canvas.frame))
        container.mux(stream.encode(None))


def _move_over_picture(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    assert sketch.picture
    with Image.open(sketch.picture) as opened:
        picture, room = plate.covering(plate.upright(opened), sketch.size)
    move = camera.read_move(sketch.prompt)
    if move.push < 0:
        picture, room = plate.widened(picture, sketch.size, room)
    ready = plate.Plate.of(picture, sketch.size, room)
    for pose in camera.poses(move, sketch.frames, room, sketch.seed):
        ready.expose(canvas, pose)
        yield


def _lift(number: int, frames: int) -> float:
    """How strongly the slate shows: not on the first frame and the last, which others join to."""
    ramp = max(1, min(12, frames // 4))
    return camera.ease(max(0.0, min(1.0, number / ramp, (frames - 1 - number) / ramp)))
