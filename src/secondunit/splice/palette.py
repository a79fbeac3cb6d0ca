"""Films as GIF: one palette for all of it, chosen by its own colours, and dithered."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import av.filter
from PIL import Image

from secondunit.errors import CutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from av.container import OutputContainer
    from av.filter.context import FilterContext
    from av.video.stream import VideoStream

    from secondunit.cut import Profile

    Frames = Callable[[], Iterator[av.VideoFrame]]

_RGB = ("scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=bicubic+accurate_rnd",
        "format=bgra")  # fmt: skip
_CHOOSE = (*_RGB, "palettegen=stats_mode=full:reserve_transparent=0")
# a fixed pattern stays where it is from frame to frame, which takes half the bytes of a diffused one
_USE = "paletteuse=dither=bayer:bayer_scale=3:diff_mode=rectangle"
_HUNDREDTH = 10  # milliseconds: the clock of a GIF


def write_gif(
    frames: Frames, count: int, profile: Profile, part: Path, progress: Callable[[int, int], None]
) -> None:
    """Write pictures to `part` as a GIF that repeats for ever, and see that all are there.

    `frames` is gone through twice, the first time for the palette; of more than 50 a second no player
    shows what it is told. Raises CutError, OSError.
    """
    painted = _painted(frames, profile, _palette(frames, profile))
    with av.open(f"file:{part}", "w", format="gif", options={"loop": "0"}) as film:
        stream = film.add_stream("gif", rate=profile.fps)
        stream.width, stream.height, stream.pix_fmt = profile.width, profile.height, "pal8"
        _encode(film, stream, painted, lambda done: progress(done, count))
    _read_back(part, count, profile)


def _encode(
    film: OutputContainer,
    stream: VideoStream,
    painted: Iterator[av.VideoFrame],
    done: Callable[[int], None],
) -> None:
    for at, frame in enumerate(painted):
        film.mux(stream.encode(frame))
        done(at + 1)
    film.mux(stream.encode(None))


def _palette(frames: Frames, profile: Profile) -> av.VideoFrame:
    """Choose the 255 colours that serve all of the pictures best."""
    graph = av.filter.Graph()
    head = tail = graph.add("buffer", _pictures(profile))
    for step in (*_CHOOSE, "buffersink"):
        tail, before = _added(graph, step), tail
        before.link_to(tail)
    graph.configure()
    for frame in _timed(frames, profile):
        head.push(frame)
    head.push(None)
    return cast("av.VideoFrame", tail.pull())


def _painted(frames: Frames, profile: Profile, palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    """Yield the pictures in the colours of the palette."""
    graph = av.filter.Graph()
    head, sink = graph.add("buffer", _pictures(profile)), graph.add("buffersink")
    colours = graph.add("buffer", "video_size=16x16:pix_fmt=bgra:time_base=1/1:pixel_aspect=1/1")
    paint, tail = _added(graph, _USE), head
    for step in _RGB:
        tail, before = _added(graph, step), tail
        before.link_to(tail)
    tail.link_to(paint, 0, 0)
    colours.link_to(paint, 0, 1)
    paint.link_to(sink)
    graph.configure()
    palette.pts, palette.time_base = 0, Fraction(1)
    colours.push(palette)
    colours.push(None)
    for frame in _timed(frames, profile):
        head.push(frame)
        yield from _pulled(sink)
    head.push(None)
    yield from _pulled(sink)


def _pulled(sink: FilterContext) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield cast("av.VideoFrame", sink.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _added(graph: av.filter.Graph, step: str) -> FilterContext:
    name, _, args = step.partition("=")
    return graph.add(name, args or None)


def _timed(frames: Frames, profile: Profile) -> Iterator[av.VideoFrame]:
    for at, frame in enumerate(frames()):
        frame.pts, frame.time_base = at, 1 / profile.fps
        yield frame


def _pictures(profile: Profile) -> str:
    base = 1 / profile.fps
    return (
        f"video_size={profile.width}x{profile.height}:pix_fmt=yuv420p"
        f":time_base={base.numerator}/{base.denominator}:pixel_aspect=1/1:colorspace=1:range=1"
    )


def _read_back(part: Path, count: int, profile: Profile) -> None:
    """See that every picture can be decoded, and is shown for its time. Raises CutError."""
    frames = lasts = 0
    with Image.open(part, formats=("GIF",)) as film:
        right = film.size == (profile.width, profile.height)
        try:
            while True:
                film.seek(frames)
                film.load()
                lasts += film.info["duration"]
                frames += 1
        except EOFError:
            pass
    late = abs(lasts - 1000 * count / profile.fps)
    if not right or frames != count or late > _HUNDREDTH:
        raise CutError(
            "The GIF that was written is not what is on the disk. Nothing was paid for this; run "
            "the same command again, and look at the disk if it happens twice."
        )
