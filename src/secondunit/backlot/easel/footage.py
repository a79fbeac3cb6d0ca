"""A source clip for an edit: its frames at the sketch's rate, and its sound."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from secondunit.backlot.easel.plate import frame_planes
from secondunit.errors import Spoiled
from secondunit.media.facts import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import OutputContainer
    from av.video.frame import VideoFrame

    from secondunit.backlot.easel.plate import Canvas

_RATE = 48_000
_BIT_RATE = 160_000
_UNTAGGED = 2  # ITU-T H.273: nobody said which matrix
_HD = 720  # from this height on, an untagged picture is bt709


def play(source: Path, canvas: Canvas, frames: int, fps: Fraction) -> Iterator[None]:
    """Draw `frames` frames of a clip on `canvas`, scaled to fit it, one for each step.

    A clip of another rate gives up or repeats frames; one that ends early holds its last. Raises
    Spoiled if it has none.
    """
    with opened(source) as container:
        shown = container.decode(video=0) if container.streams.video else iter(())
        decoded = _slotted(shown, fps)
        ahead = next(decoded, None)
        if ahead is None:
            raise Spoiled(f"{source.name} holds no pictures. Nothing was charged; give it a clip.")
        frame = ahead[1]
        for number in range(frames):
            fresh = None
            while ahead is not None and ahead[0] <= number:
                fresh, ahead = ahead[1], next(decoded, None)
            # Drawn anew each time: what is on the canvas has been graded and written upon.
            frame = fresh or frame
            _draw(frame, canvas)
            yield


def _slotted(decoded: Iterator[VideoFrame], fps: Fraction) -> Iterator[tuple[int, VideoFrame]]:
    """Pair every frame with the number of the frame it is at `fps`; the first is 0."""
    start = None
    for count, frame in enumerate(decoded):
        if frame.pts is None or frame.time_base is None:
            yield count, frame
            continue
        start = frame.pts if start is None else start
        yield round((frame.pts - start) * frame.time_base * fps), frame


def _draw(frame: VideoFrame, canvas: Canvas) -> None:
    width, height = canvas.pictures[0].size
    matrix = None
    if int(frame.colorspace) == _UNTAGGED:
        matrix = "ITU709" if frame.height >= _HD else "ITU601"
    fitted = frame.reformat(
        width, height, "yuv420p", src_colorspace=matrix, dst_colorspace="ITU709",
        dst_color_range="MPEG",
    )  # fmt: skip
    for plane, seen in zip(canvas.planes, frame_planes(fitted), strict=True):
        plane[...] = seen


class Sound:
    """The sound of a source, encoded anew and laid beside the picture as that grows."""

    def __init__(self, source: Path, container: OutputContainer, seconds: Fraction) -> None:
        """Open the first sound of `source`, for the first `seconds` of it."""
        self._open = ExitStack()
        self._input = self._open.enter_context(opened(source))
        self._container = container
        self._stream = container.add_stream("aac", rate=_RATE, layout="stereo")
        self._stream.bit_rate = _BIT_RATE
        self._left = round(seconds * _RATE)
        self._at = 0
        self._frames = self._resampled()

    def until(self, time: Fraction) -> None:
        """Write the sound up to `time` in seconds."""
        while self._left > 0 and self._at < time * _RATE:
            frame = next(self._frames, None)
            if frame is None:
                self._left = 0
                return
            if frame.samples > self._left:
                frame = _cut(frame, self._left)
            frame.pts, frame.time_base = self._at, Fraction(1, _RATE)
            self._at += frame.samples
            self._left -= frame.samples
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))
        self._open.close()

    def _resampled(self) -> Iterator[AudioFrame]:
        resampler = AudioResampler("fltp", "stereo", _RATE)
        for frame in self._input.decode(audio=0):
            yield from resampler.resample(frame)
        yield from resampler.resample(None)


def has_sound(source: Path) -> bool:
    """Whether a clip has a sound stream."""
    with opened(source) as container:
        return bool(container.streams.audio)


def _cut(frame: AudioFrame, samples: int) -> AudioFrame:
    part = AudioFrame.from_ndarray(frame.to_ndarray()[:, :samples].copy(), "fltp", "stereo")
    part.sample_rate = _RATE
    return part
