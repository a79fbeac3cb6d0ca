"""The sound of clips, placed to the sample, and the one track that is made of it."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from secondunit.cut import nearest
from secondunit.media.facts import opened, reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import OutputContainer

    from secondunit.media.facts import Facts

Block = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""Stereo samples, (2, n), −1 to 1."""

BIT_RATE = 192_000
"""Of the film's AAC, in bits a second; lossless codecs take no notice."""

_JITTER = Fraction(1, 50)
"""Seconds by which a container's clock may wander before a gap is believed."""

_LONGEST = 48_000


def decoded(path: Path) -> Iterator[av.AudioFrame]:
    """Decode all of a clip's sound, strictly; nothing where it has none. Raises Spoiled."""
    with opened(path) as clip:
        stream = next(iter(clip.streams.audio), None)
        if stream is None:
            return
        with reading(path):
            stream.codec_context.options = {"err_detect": "explode"}
            for packet in clip.demux(stream):
                yield from stream.decode(packet)


def heard(
    path: Path, facts: Facts, rate: int, *, since: Fraction = Fraction(0), samples: int
) -> Iterator[Block]:
    """Yield exactly `samples` stereo samples of a clip, from `since` seconds into its picture.

    What the clip does not fill is silence; mono is spread, more channels are mixed down. Blocks
    are short and come as they are decoded. Raises Spoiled.
    """
    at = 0
    for begins, block in _placed(path, rate, facts.start + since) if facts.sound else ():
        fresh = block[:, max(0, at - begins) : max(0, samples - begins)]
        if fresh.shape[1]:
            yield from silence(begins - at)
            yield fresh
            at = max(at, begins) + fresh.shape[1]
    yield from silence(samples - at)


def _placed(path: Path, rate: int, start: Fraction) -> Iterator[tuple[int, Block]]:
    """Resampled blocks with the sample, counted from `start`, at which each begins."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
    following: int | None = None
    for frame in chain(decoded(path), [None]):
        for piece in resampler.resample(frame):
            seconds = (piece.pts or 0) * (piece.time_base or Fraction(1, rate))
            at = nearest((seconds - start) * rate)
            # a container with a clock of milliseconds must not tear neighbours apart
            if following is not None and abs(at - following) <= _JITTER * rate:
                at = following
            yield at, cast("Block", piece.to_ndarray())
            following = at + piece.samples


def silence(samples: int) -> Iterator[Block]:
    """Yield so many samples of nothing, in blocks of at most a second."""
    for at in range(0, samples, _LONGEST):
        yield np.zeros((2, min(_LONGEST, samples - at)), np.float32)


class Track:
    """One continuous sound track being written beside a picture."""

    def __init__(self, film: OutputContainer, codec: str, rate: int) -> None:
        self._film = film
        self._rate = rate
        # ffmpeg's default search takes twice as long and is no nearer to the original at this rate
        options = {"aac_coder": "fast"} if codec == "aac" else {}
        self._stream = cast("AudioStream", film.add_stream(codec, rate=rate, options=options))
        self._stream.layout = "stereo"
        self._stream.bit_rate = BIT_RATE
        self.samples = 0

    def play(self, blocks: Iterator[Block], until: int) -> None:
        """Write blocks until the track is `until` samples long, or they end."""
        while self.samples < until:
            block = next(blocks, None)
            if block is None:
                return
            self._write(block)

    def _write(self, block: Block) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self.samples
        self.samples += block.shape[1]
        self._film.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._film.mux(self._stream.encode(None))
