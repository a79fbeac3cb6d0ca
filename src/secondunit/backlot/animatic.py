"""The animatic: a moving sketch of a shot, made on this machine from its picture, move and text."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from PIL import Image

from secondunit.backlot.easel import camera, collage, footage, grade, panel, plate, slate, weather
from secondunit.backlot.easel.staging import artist, read_staging
from secondunit.errors import DiskTrouble, Spoiled
from secondunit.media import h264

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

QUICK = {**h264.OPTIONS, "preset": "ultrafast", "crf": "-1", "qp": "22"}
"""A sketch is looked at once: the film's headers, at libx264's quickest."""

_FADE = 12  # frames in which the slate comes and goes


@dataclass(frozen=True)
class Sketch:
    """What to draw; the same Sketch always gives the same bytes.

    `width` and `height` are even, in pixels. `shot` is the label on the slate. `picture` is the
    first frame, `references` what it should look like, `source` a clip to edit, whose size and
    length the others then are. A sketch that names no `model` is a plate and carries no slate.
    """

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
    """Write the sketch to `out` as an mp4: H.264 by `secondunit.media.h264`, and an edited clip's sound.

    Raises Spoiled if a picture or clip it builds on cannot be read, DiskTrouble if `out` cannot be
    written.
    """
    with _door(sketch, out), av.open(
        str(out), "w", format="mp4", options={"movflags": "+faststart"}
    ) as container:  # fmt: skip
        rate = Fraction(sketch.fps)
        stream = h264.open_stream(container, *sketch.size, rate, QUICK)
        sound = None
        if sketch.source is not None and footage.has_sound(sketch.source):
            sound = footage.Sound(sketch.source, container, sketch.frames / rate)
        # One canvas serves for all frames: the encoder copies what it is handed.
        canvas = plate.Canvas(*sketch.size)
        for number, _ in enumerate(_roll(sketch, canvas)):
            canvas.frame.pts = number
            container.mux(stream.encode(canvas.frame))
            if sound is not None:
                sound.until((number + 1) / rate)
        container.mux(stream.encode(None))
        if sound is not None:
            sound.close()


def render_still(sketch: Sketch, out: Path) -> None:
    """Write the sketch to `out` as one picture without a slate, PNG or JPEG by its suffix.

    Raises as `render_clip` does.
    """
    with _door(sketch, out):
        chosen = (sketch.picture,) if sketch.picture else sketch.references
        if chosen:
            pictures = [_opened(path) for path in chosen]
            picture = collage.collage(pictures, sketch.prompt, sketch.seed, sketch.size)
        else:
            picture = panel.draw(sketch.prompt, sketch.seed, sketch.size).still()
        picture.save(out, quality=93, compress_level=4)


def _roll(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    """Draw the clip's frames on `canvas` one after the other, slate and all."""
    burnt = _slates(sketch)
    for number, _ in enumerate(_shots(sketch, canvas)):
        for overlay in burnt:
            overlay.burn(canvas.planes, _shown(number, sketch.frames))
        yield


def _shots(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    if sketch.source is not None:
        return _edit(sketch, sketch.source, canvas)
    if sketch.picture is not None:
        return _over_picture(sketch, _opened(sketch.picture), canvas)
    if sketch.references:
        pictures = [_opened(path) for path in sketch.references]
        page = collage.collage(pictures, sketch.prompt, sketch.seed, sketch.size)
        return _over_picture(sketch, page, canvas)
    return _over_panel(sketch, canvas)


def _over_picture(sketch: Sketch, picture: Image.Image, canvas: plate.Canvas) -> Iterator[None]:
    """Move the lens over a picture that is the first frame."""
    move = camera.read_move(sketch.prompt)
    picture, room = plate.covering(picture, sketch.size)
    if move.push < 0:
        picture, room = plate.widened(picture, sketch.size, room)
    ready = plate.Plate.of(picture, sketch.size, plate.over_all(room))
    for pose in camera.poses(move, sketch.frames, room, sketch.seed):
        ready.expose(canvas, pose)
        yield


def _over_panel(sketch: Sketch, canvas: plate.Canvas) -> Iterator[None]:
    """Draw what the words say, and move the lens over it."""
    move = camera.read_move(sketch.prompt)
    drawn = panel.draw(sketch.prompt, sketch.seed, sketch.size)
    air = _weather(sketch, drawn.staging.weather, drawn.staging.marks, drawn.lamp)
    plates = drawn.plates(move.parallax)
    path = camera.poses(move, sketch.frames, panel.ROOM, sketch.seed, centred=True)
    for number, pose in enumerate(path):
        for layer in plates:
            layer.expose(canvas, pose)
        air.burn(canvas.planes, pose, number, _lasting(number, sketch.frames))
        yield


def _edit(sketch: Sketch, source: Path, canvas: plate.Canvas) -> Iterator[None]:
    """Play a clip in the light that the words ask for."""
    look = grade.read_grade(sketch.prompt, sketch.seed)
    asked = read_staging(sketch.prompt, artist(sketch.prompt, sketch.seed))
    air = _weather(sketch, asked.weather, asked.marks, None)
    for number, _ in enumerate(footage.play(source, canvas, sketch.frames, Fraction(sketch.fps))):
        look.apply(canvas)
        air.burn(canvas.planes, camera.Pose(), number, _lasting(number, sketch.frames))
        yield


def _weather(
    sketch: Sketch, kind: str, marks: frozenset[str], lamp: tuple[float, float] | None
) -> weather.Weather:
    return weather.brew(kind, marks, sketch.size, sketch.frames, sketch.fps, sketch.seed, lamp)


def _slates(sketch: Sketch) -> Sequence[slate.Overlay]:
    """Draw the strip, and for an edit the instruction as a caption instead of on the strip."""
    words, note = sketch.prompt, None
    if not sketch.model:
        return []
    if sketch.source is not None:
        words, note = "edit of the source clip", slate.caption(sketch.prompt, sketch.size)
    strip = slate.slate(sketch.shot, sketch.model, sketch.seed, words, sketch.size)
    return [overlay for overlay in (strip, note) if overlay is not None]


def _shown(number: int, frames: int) -> float:
    """How strongly the slate shows: not on the first frame nor the last, which others join to."""
    ramp = max(1, min(_FADE, frames // 4))
    return camera.ease(max(0.0, min(1.0, number / ramp, (frames - 1 - number) / ramp)))


def _lasting(number: int, frames: int) -> float:
    """How strongly weather shows: it is over at the last frame, from which a shot may go on."""
    return min(1.0, (frames - 1 - number) / max(1, min(_FADE, frames // 4)))


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP", "TIFF")) as picture:
            return plate.upright(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Spoiled(
            f"The backlot cannot read {path.name} as a picture: {error}. "
            "Nothing was charged; give it a PNG, JPEG or WebP file."
        ) from error


@contextmanager
def _door(sketch: Sketch, out: Path) -> Iterator[None]:
    """Turn what the picture libraries raise into sentences."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.filename != str(sketch.source):
            raise _no_room(out, error) from error
        if sketch.source is None:
            raise
        raise Spoiled(
            f"The backlot cannot play {sketch.source.name}: {error.strerror}. "
            "Nothing was charged; give it an mp4, mov or webm clip that plays."
        ) from error
    except OSError as error:
        raise _no_room(out, error) from error


def _no_room(out: Path, error: Exception) -> DiskTrouble:
    return DiskTrouble(
        f"The backlot cannot write {out}: {error}. Nothing was charged; make room and run again."
    )
