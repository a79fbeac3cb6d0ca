"""The sound of clips, placed to the sample, and the one track that is made of it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import av.filter
import numpy as np

from secondunit.cut import frame_counter
from secondunit.media.facts import opened, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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
    path: Path,
    facts: Facts,
    rate: int,
    *,
    since: Fraction = Fraction(0),
    samples: int,
    speed: Fraction = Fraction(1),
) -> Iterator[Block]:
    """Yield exactly `samples` stereo samples of a clip, from `since` seconds into its picture.

    At another `speed` the pitch is kept: sample n is what the clip sounds like n × `speed` samples
    after `since`, which is in the clip's own seconds. Slowed down, sudden sounds are smeared, by
    30 ms ÷ `speed` at the most. What the clip does not fill is silence; mono is spread, more
    channels are mixed down. Blocks are short and come as they are decoded. Raises Spoiled.
    """
    frames = decoded(path) if facts.sound else iter(())
    placed = placed_from(frames, rate, facts.start + since)
    if speed == 1:
        return exactly(filled(placed), samples)
    return exactly(_at_speed(filled(placed), rate, speed), samples)


def placed_from(
    frames: Iterator[av.AudioFrame], rate: int, start: Fraction | None = None
) -> Iterator[tuple[int, Block]]:
    """Resample frames to stereo; yield blocks, each with the sample at which it begins.

    Samples are counted from `start`, in seconds on the file's clock, or from the first one.
    """
    following: int | None = None
    clocks: dict[Fraction, Callable[[int], int]] = {}
    jitter = int(_JITTER * rate)
    for frame in _stereo(frames, rate):
        tick = frame.time_base or Fraction(1, rate)
        if tick not in clocks:
            start = (frame.pts or 0) * tick if start is None else start
            clocks[tick] = frame_counter(tick, start, Fraction(rate))
        at = clocks[tick](frame.pts or 0)
        # a container with a clock of milliseconds must not tear neighbours apart
        if following is not None and abs(at - following) <= jitter:
            at = following
        yield at, _block(frame)
        following = at + frame.samples


def _stereo(frames: Iterator[av.AudioFrame], rate: int) -> Iterator[av.AudioFrame]:
    """Resample what is not planar stereo at `rate` already; a file may change half-way."""
    form: tuple[str, str, int] | None = None
    resampler: av.AudioResampler | None = None
    for frame in frames:
        here = (frame.format.name, frame.layout.name, frame.sample_rate)
        if here != form:
            yield from resampler.resample(None) if resampler else ()
            form, same = here, here == ("fltp", "stereo", rate)
            resampler = None if same else av.AudioResampler("fltp", "stereo", rate)
        yield from resampler.resample(frame) if resampler else (frame,)
    yield from resampler.resample(None) if resampler else ()


def _block(frame: av.AudioFrame) -> Block:
    block = np.empty((2, frame.samples), np.float32)
    for row, plane in zip(block, frame.planes, strict=True):
        row[:] = np.frombuffer(memoryview(plane), np.float32, frame.samples)
    return block


def filled(placed: Iterator[tuple[int, Block]]) -> Iterator[Block]:
    """Yield the samples from the first on, once each, with silence where there are none."""
    at = 0
    for begins, block in placed:
        fresh = block[:, max(0, at - begins) :]
        if fresh.shape[1]:
            yield from silence(begins - at)
            yield fresh
            at = max(at, begins) + fresh.shape[1]


def exactly(blocks: Iterator[Block], samples: int) -> Iterator[Block]:
    """Yield so many samples: what is too much is left off, what is missing is silence."""
    left = samples
    while left > 0 and (block := next(blocks, None)) is not None:
        yield block[:, :left]
        left -= block.shape[1]
    yield from silence(left)


def _at_speed(blocks: Iterator[Block], rate: int, speed: Fraction) -> Iterator[Block]:
    graph = _tempo(rate, speed)
    pushed = 0
    for block in blocks:
        graph.push(frame_of(block, rate, pushed))
        pushed += block.shape[1]
        yield from pulled(graph)
    graph.push(None)
    yield from pulled(graph)


def _tempo(rate: int, speed: Fraction) -> av.filter.Graph:
    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(format="fltp", sample_rate=rate, layout="stereo")]
    # one filter goes down to a half; several together go further
    steps = 1
    while speed < Fraction(1, 2) ** steps:
        steps += 1
    nodes += [graph.add("atempo", f"{float(speed) ** (1 / steps):.12f}") for _ in range(steps)]
    nodes.append(graph.add("aformat", "sample_fmts=fltp"))  # atempo gives packed samples
    graph.link_nodes(*nodes, graph.add("abuffersink")).configure()
    return graph


def pulled(graph: av.filter.Graph) -> Iterator[Block]:
    """Yield what a graph of filters has ready."""
    while True:
        try:
            yield cast("Block", cast("av.AudioFrame", graph.pull()).to_ndarray())
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def frame_of(block: Block, rate: int, at: int) -> av.AudioFrame:
    """Make a frame for ffmpeg of samples that begin at sample `at`."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), "fltp", "stereo")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), at
    return frame


def silence(samples: int) -> Iterator[Block]:
    """Yield so many samples of nothing, in blocks of at most a second."""
    for at in range(0, samples, _LONGEST):
        yield np.zeros((2, min(_LONGEST, samples - at)), np.float32)


AAC_PACKET = 1024
"""Samples in a packet of AAC; the first one sounds before the film begins, and is not heard."""

# ffmpeg's default search takes twice as long and is no nearer to the original at this rate
_AAC = {"aac_coder": "fast"}


def aac_packets(blocks: Iterator[Block], rate: int) -> Iterator[bytes]:
    """Encode samples as the film's AAC; the first packet is of the silence before them."""
    encoder = av.AudioCodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "stereo", "fltp"
    encoder.time_base, encoder.bit_rate, encoder.options = Fraction(1, rate), BIT_RATE, _AAC
    at = 0
    for block in blocks:
        yield from map(bytes, encoder.encode(frame_of(block, rate, at)))
        at += block.shape[1]
    yield from map(bytes, encoder.encode(None))


class Track:
    """One continuous sound track being written beside a picture."""

    def __init__(self, film: OutputContainer, codec: str, rate: int) -> None:
        self._film = film
        self._rate = rate
        self._stream = _sound_stream(film, codec, rate)
        self.samples = 0

    def play(self, blocks: Iterator[Block], until: int) -> None:
        """Write blocks until the track is `until` samples long, or they end."""
        while self.samples < until:
            block = next(blocks, None)
            if block is None:
                return
            self._write(block)

    def _write(self, block: Block) -> None:
        frame = frame_of(block, self._rate, self.samples)
        self.samples += block.shape[1]
        self._film.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds."""
        self._film.mux(self._stream.encode(None))


class CodedTrack:
    """A sound track of `samples` whose packets of AAC are there already, beside a picture."""

    def __init__(
        self, film: OutputContainer, packets: Iterator[bytes], samples: int, rate: int
    ) -> None:
        self._film, self._packets, self._rate = film, packets, rate
        self._stream = _sound_stream(film, "aac", rate)
        self._at = -AAC_PACKET
        self.samples = samples

    def play(self, until: int) -> None:
        """Write packets until the next one begins at sample `until`, or they end."""
        while self._at < until and (data := next(self._packets, None)) is not None:
            self._write(data)

    def _write(self, data: bytes) -> None:
        packet = av.Packet(data)
        packet.stream, packet.time_base = self._stream, Fraction(1, self._rate)
        packet.pts = packet.dts = self._at
        packet.duration = min(AAC_PACKET, self.samples - self._at)
        self._at += AAC_PACKET
        self._film.mux_one(packet)

    def close(self) -> None:
        """Write the rest."""
        for data in self._packets:
            self._write(data)


def _sound_stream(film: OutputContainer, codec: str, rate: int) -> AudioStream:
    options = _AAC if codec == "aac" else {}
    stream = cast("AudioStream", film.add_stream(codec, rate=rate, options=options))
    stream.layout = "stereo"
    stream.bit_rate = BIT_RATE
    return stream
