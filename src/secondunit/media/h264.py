"""The one set of H.264 parameters for every picture of a film, so that clips join by copy."""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.container import OutputContainer
    from av.video.stream import VideoStream

GOP = 24
"""Frames from one IDR to the next; no frame refers across one, so a splice can start at any."""

_HEADERS = {
    # Everything that is written into SPS and PPS is pinned, or a preset would move it.
    "stitchable": "1",
    "ref": "1",
    "bframes": "2",
    "b-pyramid": "none",
    "weightp": "0",
    "weightb": "0",
    "cabac": "1",
    "8x8dct": "1",
    "chroma-qp-offset": "0",
    "psy": "0",  # psychovisual tuning shifts the chroma offset in the PPS from preset `fast` on
    "interlaced": "0",
    "bluray-compat": "0",
    "nal-hrd": "none",
    "aud": "0",
    # Groups of pictures of a fixed length that stand alone.
    "keyint": str(GOP),
    "min-keyint": str(GOP),
    "scenecut": "0",
    "open-gop": "0",
    "b-adapt": "0",
}

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "preset": "veryfast",
        "crf": "18",
        "profile": "high",
        "x264-params": ":".join(f"{name}={value}" for name, value in _HEADERS.items()),
    }
)
"""libx264's options by PyAV's names. `preset` and `crf` may be overridden: the headers stay."""

QUICK: Mapping[str, str] = MappingProxyType({**OPTIONS, "preset": "superfast", "forced-idr": "1"})
"""For what a person waits for: half the time for the same quality, in a third more bytes.

Frames whose `pict_type` is I begin a group of pictures of their own.
"""

# H.264 Annex A, table A-1: level, macroblocks in a frame, macroblocks in a second.
_LEVELS = (("4.1", 8192, 245_760), ("4.2", 8704, 522_240), ("5.1", 36_864, 983_040))
_TOP_LEVEL = "5.2"

_BT709 = 1  # ITU-T H.273: the same number for primaries, transfer and matrix
_TV_RANGE = 1  # libavutil's AVCOL_RANGE_MPEG


def open_stream(
    container: OutputContainer,
    width: int,
    height: int,
    fps: Fraction,
    options: Mapping[str, str] = OPTIONS,
    *,
    threads: int = 1,
) -> VideoStream:
    """Add a libx264 stream of `width` × `height` pixels (both even) at `fps` to `container`.

    Frames must be yuv420p, bt709, TV range, with pts counting frames from 0. Two streams of one
    size and rate have byte-identical extradata, whatever they show. The same frames give the same
    bytes as long as `threads` is the same.
    """
    # A stray SAR, an untagged matrix or a rounded time scale would show only at a join.
    stream = container.add_stream("libx264", rate=fps)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = 1 / timescale(fps)
    stream.options = {**options, "level": _level(width, height, fps)}
    context = stream.codec_context
    context.sample_aspect_ratio = Fraction(1)
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _TV_RANGE
    context.thread_count = threads
    return stream


def timescale(fps: Fraction) -> Fraction:
    """Ticks in a second for a film of `fps`: a whole number of them to every frame."""
    return fps * fps.denominator * (1000 if fps.denominator == 1 else 1)


def _level(width: int, height: int, fps: Fraction) -> str:
    blocks = -(-width // 16) * -(-height // 16)
    fitting = (name for name, most, rate in _LEVELS if blocks <= most and blocks * fps <= rate)
    return next(fitting, _TOP_LEVEL)
