"""The kinds of file that a film is delivered as, and the one way in which each is written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from secondunit.cut import sample_at
from secondunit.durable import beside
from secondunit.errors import CutError, Spoiled
from secondunit.media import h264
from secondunit.media.facts import probe
from secondunit.media.frames import shown
from secondunit.media.sound import Track, decoded
from secondunit.splice.chapters import UNTOLD, movie_clock, tell
from secondunit.splice.palette import write_gif

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from secondunit.cut import Placed, Profile
    from secondunit.cut.edit import Deliverable
    from secondunit.media.sound import Block
    from secondunit.splice.chapters import About

    Frames = Callable[[], Iterator[av.VideoFrame]]
    Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Kind:
    """How a kind of moving file is written: `ending`, ffmpeg's muxer and encoders, and quality.

    `crf` is the quality where neither quality nor bit rate was asked for; None: it knows neither.
    """

    ending: str
    container: str
    codec: str
    pix_fmt: str
    sound: str
    crf: int | None
    options: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""


KINDS: Mapping[str, Kind] = {
    "h264": Kind("mp4", "mp4", "libx264", "yuv420p", "aac", 18),
    "hevc": Kind(
        "mp4", "mp4", "libx265", "yuv420p", "aac", 22,
        {"preset": "fast", "x265-params": "log-level=error:open-gop=0"},
        tag="hvc1",  # Apple's players show no other
    ),
    "vp9": Kind(
        "webm", "webm", "libvpx-vp9", "yuv420p", "libopus", 31,
        {"deadline": "good", "cpu-used": "5", "row-mt": "1", "auto-alt-ref": "1", "g": "240"},
    ),
    "av1": Kind("mp4", "mp4", "libsvtav1", "yuv420p", "aac", 30, {"preset": "8", "g": "240"}),
    "prores": Kind(
        "mov", "mov", "prores_ks", "yuv422p10le", "pcm_s24le", None,
        {"profile": "hq", "vendor": "apl0"},
    ),
}  # fmt: skip
"""All kinds with picture and sound."""

ENDINGS: Mapping[str, str] = {
    **{name: kind.ending for name, kind in KINDS.items()},
    "gif": "gif",
    "poster": "png",
    "contact_sheet": "png",
}
"""How the files of every kind of deliverable end."""

_BT709, _TV_RANGE = 1, 1  # ITU-T H.273, and libavutil's AVCOL_RANGE_MPEG
_PACKET = 4096
"""Samples that a codec may add to the sound, or keep, at its two ends."""


@dataclass(frozen=True)
class Reel:
    """What is to be written: `count` pictures at the profile's rate, and the sound beside them.

    `frames` begins again from the first picture whenever it is called: yuv420p in bt709 and TV
    range, of the profile's size. `blocks` is None where there is no sound, else as long as the
    pictures.
    """

    frames: Frames
    count: int
    profile: Profile
    blocks: Callable[[], Iterator[Block]] | None = None
    placed: Sequence[Placed] = ()
    about: About = UNTOLD


def encode(
    reel: Reel, wanted: Deliverable, out: Path, *, progress: Progress = lambda _done, _all: None
) -> None:
    """Write all of `reel` to `out` as a deliverable of a moving kind.

    `progress` is called with the number of pictures done, and of all. One picture at a time is
    held, beside what the encoder holds. The file is read back, and every picture strictly decoded
    and counted, before it takes the name `out`; until then whatever stood there stays. Raises
    CutError, DiskTrouble, Spoiled (of what is read).
    """
    with beside(out) as part:
        if wanted.kind == "gif":
            write_gif(reel.frames, reel.count, reel.profile, part, progress)
            return
        _write(part, reel, wanted, progress)
        _read_back(part, reel)


def _write(part: Path, reel: Reel, wanted: Deliverable, progress: Progress) -> None:
    kind, profile = KINDS[wanted.kind], reel.profile
    options = {"fflags": "+bitexact"}
    if kind.container != "webm":
        options |= {"movflags": "faststart", **movie_clock(h264.timescale(profile.fps))}
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it would write a page to the terminal
    with av.open(f"file:{part}", "w", format=kind.container, options=options) as film:
        tell(film, reel.about, reel.placed, profile.fps)
        stream = _stream(film, kind, wanted, profile)
        track = Track(film, kind.sound, profile.sample_rate) if reel.blocks else None
        blocks = reel.blocks() if reel.blocks else iter(())
        for done, frame in enumerate(reel.frames(), start=1):
            film.mux(stream.encode(_as(frame, kind, done - 1, profile.fps)))
            if track:
                track.play(blocks, sample_at(done, profile.fps, profile.sample_rate))
            progress(done, reel.count)
        film.mux(stream.encode(None))
        if track:
            track.close()


def _stream(
    film: OutputContainer, kind: Kind, wanted: Deliverable, profile: Profile
) -> VideoStream:
    quality = {} if wanted.bit_rate or kind.crf is None else {"crf": str(_crf(wanted, kind.crf))}
    if kind.codec == "libx264":
        kept = {name: value for name, value in h264.OPTIONS.items() if name != "crf"}
        size = (profile.width, profile.height, profile.fps)
        stream = h264.open_stream(film, *size, {**kept, **quality}, threads=0)
    else:
        stream = film.add_stream(kind.codec, rate=profile.fps)  # type: ignore[assignment]
        stream.width, stream.height, stream.pix_fmt = profile.width, profile.height, kind.pix_fmt
        stream.time_base = 1 / h264.timescale(profile.fps)
        stream.options = {**kind.options, **quality}
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(1)
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _TV_RANGE
        if kind.tag:
            context.codec_tag = kind.tag
    if wanted.bit_rate:
        stream.bit_rate = wanted.bit_rate
    return stream


def _crf(wanted: Deliverable, usual: int) -> int:
    return usual if wanted.crf is None else wanted.crf


def _as(frame: av.VideoFrame, kind: Kind, at: int, fps: Fraction) -> av.VideoFrame:
    if frame.format.name != kind.pix_fmt:
        frame = frame.reformat(
            format=kind.pix_fmt, src_colorspace="ITU709", dst_colorspace="ITU709",
            src_color_range="MPEG", dst_color_range="MPEG",
        )  # fmt: skip
    # ProRes goes by what its frames say, and those of an untagged clip say nothing
    frame.colorspace, frame.color_range = _BT709, _TV_RANGE
    frame.color_primaries = frame.color_trc = _BT709
    frame.pts, frame.time_base = at, 1 / fps
    frame.pict_type = 0  # the encoder would repeat the film's key frames
    return frame


def _read_back(part: Path, reel: Reel) -> None:
    """Hold what is on the disk against what was to be written. Raises CutError."""
    profile = reel.profile
    heard = sample_at(reel.count, profile.fps, profile.sample_rate) if reel.blocks else 0
    try:
        made = probe(part, least=1)
        frames = sum(1 for _ in shown(part, made))
        samples = sum(block.samples for block in decoded(part))
    except Spoiled:
        frames = samples = -1
    else:
        if (made.width, made.height) != (profile.width, profile.height):
            frames = -1
    if frames != reel.count or abs(samples - heard) > _PACKET:
        raise CutError(
            "What was encoded is not what is on the disk. Nothing was paid for this; run the same "
            "command again, and look at the disk if it happens twice."
        )
