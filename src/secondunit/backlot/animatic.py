"""The animatic: a moving sketch of a shot, made on this machine from its picture, move and text."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from PIL import Image

from secondunit import h264
from secondunit.backlot.easel import camera, panel, plate, slate

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        for number, _ in enumerate(_shots(sketch, canvas)):
            if board is not None:
                board.burn(canvas.planes, _lift(number, sketch.frames))
            canvas.frame.pts = number
            container.mux(stream.encode(canvas.frame))
        container.mux(stream.encode(None))


def render_still(sketch: Sketch, out: Path) -> None:
    """Write the sketch as one picture, PNG or JPEG by the suffix of `out`."""
    chosen = sketch.picture or next(iter(sketch.references), None)
    if chosen is None:
        picture = panel.draw(sketch.prompt, sketch.seed, sketch.size).still()
    else:
        with Image.open(chosen) as opened:
            picture, _ = plate.covering(plate.upright(opened), sketch.size, most=0.0)
    picture.save(out)


def _shots(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    """Draw frame after frame on `canvas`."""
    if sketch.source is not None:
        yield from _edited(sketch, canvas)
    elif sketch.picture or sketch.references:
        yield from _move_over_picture(sketch, canvas)
    else:
        yield from _move_over_panel(sketch, canvas)


def _edited(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    with av.open(str(sketch.source)) as source:
        frames = source.decode(video=0)
        frame = None
        for _ in range(sketch.frames):
            frame = next(frames, frame)
            if frame is None:
                return
            seen = frame.reformat(sketch.width, sketch.height, "yuv420p")
            for plane, view in zip(canvas.planes, plate.frame_planes(seen), strict=True):
                plane[...] = view
            canvas.planes[0][...] = canvas.planes[0] // 2 + 8
            yield


def _move_over_picture(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    with Image.open(sketch.picture or sketch.references[0]) as opened:
        picture, room = plate.covering(plate.upright(opened), sketch.size)
    move = camera.read_move(sketch.prompt)
    if move.push < 0:
        picture, room = plate.widened(picture, sketch.size, room)
    ready = plate.Plate.of(picture, sketch.size, room)
    for pose in camera.poses(move, sketch.frames, room, sketch.seed):
        ready.expose(canvas, pose)
        yield


def _move_over_panel(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    move = camera.read_move(sketch.prompt)
    plates = panel.draw(sketch.prompt, sketch.seed, sketch.size).plates(move.parallax)
    for pose in camera.poses(move, sketch.frames, panel.ROOM, sketch.seed, centred=True):
        for layer in plates:
            layer.expose(canvas, pose)
        yield


def _lift(number: int, frames: int) -> float:
    """How strongly the slate shows: not on the first frame and the last, which others join to."""
    ramp = max(1, min(12, frames // 4))
    return camera.ease(max(0.0, min(1.0, number / ramp, (frames - 1 - number) / ramp)))
