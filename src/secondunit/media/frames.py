"""The frames of a clip, exactly: each one once, in order, upright, in known colours."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, cast

import av
import av.filter
import numpy as np
from PIL import Image

from secondunit.durable import beside
from secondunit.media.facts import opened, picture_stream, reading
from secondunit.media.sniff import spoiled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

    from secondunit.media.facts import Facts

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""ffmpeg's own decoders of these leave the alpha behind."""

_TURNS = {90: ("transpose", "cclock"), 270: ("transpose", "clock"), 180: ("rotate", "PI")}


def shown(path: Path, facts: Facts, *, since: Fraction = Fraction(0)) -> Iterator[av.VideoFrame]:
    """Decode the displayed frames of a clip in order, strictly, by one reader that is then closed.

    With `since`, in seconds from the first frame, begins at some frame not later than that. Raises
    Spoiled at the first damaged frame.
    """
    frames = _decoded(path, facts, since)
    first = next(frames, None)
    if since > 0 and (first is None or when(first) > facts.start + since):
        frames = _decoded(path, facts, Fraction(0))  # a file without a usable index
    elif first is not None:
        yield first
    yield from frames


def _decoded(path: Path, facts: Facts, since: Fraction) -> Iterator[av.VideoFrame]:
    with opened(path) as clip:
        stream = picture_stream(clip, path)
        decoder = _decoder(stream, facts)
        with reading(path):
            if since > 0:
                clip.seek(int((facts.start + since) / _base(stream)), stream=stream)
            for packet in clip.demux(stream):
                for frame in decoder.decode(packet):
                    if frame.is_corrupt or frame.pts is None:
                        raise spoiled(path, "it is damaged: a frame is corrupt")
                    yield frame


def _base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 90_000)


def _decoder(stream: VideoStream, facts: Facts) -> VideoCodecContext | VideoStream:
    name = _ALPHA_DECODERS.get(facts.codec)
    if not (facts.alpha and name and name in av.codecs_available):
        return stream
    decoder = cast("VideoCodecContext", av.CodecContext.create(name, "r"))
    decoder.extradata = stream.codec_context.extradata
    return decoder


def when(frame: av.VideoFrame) -> Fraction:
    """Say when a frame appears, in seconds on its file's clock."""
    return (frame.pts or 0) * (frame.time_base or Fraction(0))


def nth(path: Path, facts: Facts, index: int) -> av.VideoFrame:
    """Decode up to the frame of that number, counted from 0 in the order of display."""
    return next(islice(shown(path, facts), index, None))


def paced(
    path: Path,
    facts: Facts,
    fps: Fraction,
    first: int,
    count: int,
    *,
    speed: Fraction = Fraction(1),
) -> Iterator[av.VideoFrame]:
    """Yield exactly `count` frames at `fps`, from frame `first` of the clip at that rate and speed.

    Each is the frame that the clip shows in the middle of its time: at the clip's own rate every
    frame comes once; otherwise frames are dropped or repeated, never blended. Raises Spoiled.
    """
    frames = _progressive(shown(path, facts, since=first * speed / fps), facts)
    current = following = next(frames, None)
    if current is None:
        raise spoiled(path, "not one frame can be decoded")
    for at in range(first, first + count):
        middle = facts.start + Fraction(2 * at + 1, 2) * speed / fps
        while following is not None and when(following) <= middle:
            current, following = following, next(frames, None)
        yield current


def ahead(frames: Iterator[av.VideoFrame], by: int = 3) -> Iterator[av.VideoFrame]:
    """Yield what `frames` yields, made in a thread of its own while the ones before are used."""
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, frames, None) for _ in range(by))
        while (frame := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, frames, None))
            yield frame


def _progressive(frames: Iterator[av.VideoFrame], facts: Facts) -> Iterator[av.VideoFrame]:
    if not facts.interlaced:
        yield from frames
        return
    graph: _Graph | None = None
    for frame in frames:
        graph = graph or _Graph(frame, facts, ["bwdif=mode=send_frame"])
        yield from graph.through(frame)
    if graph:
        yield from graph.through(None)


class _Graph:
    """A chain of ffmpeg filters for frames of one size and format."""

    def __init__(self, frame: av.VideoFrame, facts: Facts, chain: list[str]) -> None:
        self.takes = (frame.width, frame.height, frame.format.name)
        self.graph = av.filter.Graph()
        nodes = [self.graph.add("buffer", _source(frame, facts))]
        for step in [*chain, "buffersink"]:
            name, _, args = step.partition("=")
            nodes.append(self.graph.add(name, args or None))
        self.graph.link_nodes(*nodes).configure()

    def through(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        self.graph.vpush(frame)
        while True:
            try:
                yield self.graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def _source(frame: av.VideoFrame, facts: Facts) -> str:
    base, sar = frame.time_base or Fraction(1), facts.sar
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        f":time_base={base.numerator}/{base.denominator}"
        f":pixel_aspect={sar.numerator}/{sar.denominator}"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )


class Upright:
    """Makes frames upright, of one size and pixel format; alpha is laid over black.

    YUV comes out as bt709 in TV range, RGB in full range. Untagged pictures are read as players
    read them: bt709 from HD on (1280 wide or more than 576 high), below it bt601.
    """

    def __init__(self, facts: Facts, width: int, height: int, pix_fmt: str = "yuv420p") -> None:
        self._facts = facts
        self._size = (width, height)
        self._pix_fmt = pix_fmt
        self._graph: _Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the picture of a decoded frame; its time is kept."""
        takes = (frame.width, frame.height, frame.format.name)
        if self._graph is None or self._graph.takes != takes:
            self._graph = _Graph(frame, self._facts, self._chain(frame))
        return next(self._graph.through(frame))

    def _chain(self, frame: av.VideoFrame) -> list[str]:
        facts, (width, height) = self._facts, self._size
        rgb = "in_range=auto" if frame.format.is_rgb else f"in_range={_range(facts)}"
        scale = f"scale=w={width}:h={height}:flags=bicubic+accurate_rnd+full_chroma_int"
        colours = f"{rgb}:in_color_matrix={_matrix(facts)}:out_color_matrix=bt709"
        out = "tv" if self._pix_fmt.startswith("yuv") else "pc"
        chain = ["=".join(_TURNS[facts.rotation])] if facts.rotation in _TURNS else []
        if any(part.is_alpha for part in frame.format.components):
            chain += [f"scale={colours}:out_range=pc", "format=gbrap", "premultiply=inplace=1"]
            chain += ["format=gbrp"]
            colours = "in_range=pc:out_color_matrix=bt709"
        return [
            *chain,
            f"{scale}:{colours}:out_range={out}",
            f"format={self._pix_fmt}",
            "setsar=1",
        ]


def _range(facts: Facts) -> str:
    return "pc" if facts.range == "pc" else "tv"


def _matrix(facts: Facts) -> str:
    if facts.matrix in ("bt709", "smpte170m", "smpte240m"):
        return facts.matrix
    if facts.matrix == "bt2020nc":
        return "bt2020"
    if facts.matrix == "bt470bg":
        return "bt601"
    return "bt709" if hd(facts) else "bt601"


def hd(facts: Facts) -> bool:
    """Say whether players take untagged pictures of this size for bt709; mpv and libplacebo do."""
    return facts.coded_width >= 1280 or facts.coded_height > 576


def save_png(frame: av.VideoFrame, facts: Facts, out: Path) -> None:
    """Save a frame as it is displayed. Raises DiskTrouble."""
    picture = Upright(facts, facts.width, facts.height, "rgb24")(frame)
    with beside(out) as part:
        Image.fromarray(picture.to_ndarray()).save(part, "PNG")


class Look:
    """Watches frames go by for what no decoder complains of: black, frozen and garbled pictures.

    A picture counts as noise when it is strong (25 levels of luma or more from its mean) and hangs
    together in no way: its neighbouring pixels, across and down, or else its thumbnail of 64×36
    and the one before, correlate by less than a limit. Measured at H.264 crf 18–45, medians:

                                                    neighbours     thumbnails in time
    random pixels, colours, bytes, Gaussian, still  0.00 to 0.08   not needed
    random blocks of 2, 4, 8 and 16 pixels          0.98 to 1.00   −0.01 to 0.01
    real footage, also under the heaviest grain     0.71 to 1.00   0.97 to 1.00
    dense rain, gravel, grass, bricks, game of life 0.77 to 1.00   0.75 to 0.97
    confetti over the whole picture                 0.83           0.31

    Stars, snow and grain on a dark or plain picture can be as loose as 0.01, but are weak: 9 to 21
    levels.
    """

    _BLACK = 3.0  # mean luma of 255
    _STILL = 1  # levels of luma between two frames that only coding can make
    _STRONG = 25.0  # standard deviation of luma
    _NEIGHBOURS, _THUMBNAILS = 0.15, 0.12
    _EVERY = 4  # pictures are measured at full size only so often: that takes a millisecond

    def __init__(self) -> None:
        self.frames = self._black = self._frozen = self._noise = 0
        self._before: np.ndarray | None = None
        self._strong = self._loose = False

    def see(self, frame: av.VideoFrame) -> None:
        """Take note of the next frame."""
        small = frame.reformat(64, 36, "gray8", interpolation="AREA").to_ndarray().astype(np.int16)
        if self.frames % self._EVERY == 0:
            self._measure(_luma(frame))
        self.frames += 1
        self._black += bool(small.mean() < self._BLACK)
        self._noise += self._strong and (self._loose or self._is_unlike(small))
        if self._before is not None:
            self._frozen += bool(np.abs(small - self._before).max() <= self._STILL)
        self._before = small

    def _measure(self, luma: np.ndarray) -> None:
        rows, below = luma[:-1:8].astype(np.float32), luma[1::8].astype(np.float32)
        across = _correlation(rows[:, 1:], rows[:, :-1])
        down = _correlation(rows, below[: len(rows)])
        self._strong = bool(rows.std() >= self._STRONG)
        self._loose = max(across, down) < self._NEIGHBOURS

    def _is_unlike(self, small: np.ndarray) -> bool:
        if self._before is None or small.std() < self._BLACK or self._before.std() < self._BLACK:
            return False
        return _correlation(small, self._before) < self._THUMBNAILS

    def doubts(self, fps: Fraction) -> Iterator[str]:
        """Give a sentence for what lasts at least half of the clip."""
        for count, what in (
            (self._black, "is black"),
            (self._noise, "is noise, as if it were damaged,"),
            (self._frozen, "does not move"),
        ):
            if 2 * count >= self.frames:
                lasts = f"{float(count / fps):.1f} of {float(self.frames / fps):.1f} s"
                yield f"The picture {what} for {lasts}. {_ADVICE}"
                return


_PLANAR = {"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gray"}


def _luma(frame: av.VideoFrame) -> np.ndarray:
    if frame.format.name not in _PLANAR:
        return frame.to_ndarray(format="gray8")
    plane = frame.planes[0]  # as it lies in memory: a conversion takes ten times as long
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:, : frame.width]


_ADVICE = "Look at it; it is kept, and another seed or prompt would be a new take."


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Say how alike two pictures are, from −1 to 1, whatever their brightness; 0 for flat ones."""
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(1e-9, np.sqrt((a * a).sum() * (b * b).sum())))
