"""What a clip is, read from its packets and its first frame, behind one guarded door."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from secondunit.cut import nearest
from secondunit.media.avc import fingerprint, opens_on_idr
from secondunit.media.sniff import CALLED, cut_short, sniff_file, spoiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from secondunit.media.sniff import Kind

MAX_PIXELS = 40_000_000
"""Larger pictures and frames are refused before they are decoded; 8K video has 33 million."""

_DEMUXERS: Mapping[Kind, str] = MappingProxyType(
    {"mp4": "mov", "mov": "mov", "webm": "matroska", "mkv": "matroska"}
)
_SOUND_DEMUXERS: Mapping[Kind, str] = MappingProxyType(
    {**_DEMUXERS, "wav": "wav", "flac": "flac", "mp3": "mp3", "ogg": "ogg", "aiff": "aiff"}
)
_CAREFUL = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,wav,flac,mp3,ogg,aiff",
    "enable_drefs": "0",  # an MP4 may name other files that hold its samples
    # ffmpeg would decode a frame to guess what our first one will tell: a tenth of a second a minute
    "skip_frame": "all",
}
_HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}

SOUND_FILE = "sound file"
"""What messages call a file that is opened for its sound."""

_JITTER = Fraction(1, 900)  # seconds
_RATES = {Fraction(n) for n in (24, 25, 30, 48, 50, 60)} | {
    Fraction(n * 1000, 1001) for n in (24, 30, 48, 60)
}


@dataclass(frozen=True)
class Facts:
    """What is known of a clip.

    `width` and `height` are as displayed, after rotation and sample aspect; `coded_width` and
    `coded_height` as stored. `rotation` is in degrees counter-clockwise, as the player must turn
    it. `fps` is exact, or the mean where `variable`. `frames` counts displayed frames, `seconds`
    is how long they are shown, `start` when the first appears on the file's own clock. Colour
    words are ffmpeg's, empty where the file says nothing. `headers` is a fingerprint of the H.264
    parameters, empty where the packets cannot be joined to others as they are; `reorder` is how
    many frames decoding runs ahead of display. Packets may be copied from the frames `starts` on,
    which need nothing before them, up to the frames `ends`, which nothing before them needs. `size`
    is in bytes, `sample_rate` in samples a second.
    """

    container: str
    codec: str
    profile: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    fps: Fraction
    frames: int
    seconds: Fraction
    start: Fraction
    pix_fmt: str
    sar: Fraction
    rotation: int
    range: str
    matrix: str
    primaries: str
    transfer: str
    variable: bool
    interlaced: bool
    alpha: bool
    headers: str
    reorder: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    sound: bool
    sample_rate: int
    channels: int
    size: int

    @property
    def hdr(self) -> str:
        """What a film in bt709 cannot show: `PQ` or `HLG`; nothing where it can."""
        return _HDR.get(self.transfer, "")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a clip for reading, but only a vetted container by its own demuxer from local disk.

    A text that names other files (DASH, HLS, concat, SDP) never reaches ffmpeg, so nothing is
    fetched in its name; nor is a file that an MP4 says its samples lie in. Raises Spoiled.
    """
    with _vetted(path, _DEMUXERS, "video") as clip:
        yield clip


@contextmanager
def opened_sound(path: Path) -> Iterator[InputContainer]:
    """Open a sound file, or a clip for the sake of its sound, as carefully as `opened`."""
    with _vetted(path, _SOUND_DEMUXERS, SOUND_FILE) as clip:
        yield clip


@contextmanager
def _vetted(path: Path, demuxers: Mapping[Kind, str], thing: str) -> Iterator[InputContainer]:
    import av

    kind = sniff_file(path, thing)
    if kind not in demuxers:
        raise spoiled(path, f"it is {CALLED[kind]}", thing)
    if cut_short(path, kind):
        reason = "it is cut short: it ends before the last part that it announces"
        raise spoiled(path, reason, thing)
    with reading(path, thing):
        clip = av.open(
            f"file:{path}",
            "r",
            format=demuxers[kind],
            options=_CAREFUL,
            metadata_errors="replace",
        )
    with clip:
        yield clip


@contextmanager
def reading(path: Path, thing: str = "video") -> Iterator[None]:
    """Turn whatever ffmpeg raises while a clip is read into Spoiled."""
    import av

    try:
        yield
    except (av.FFmpegError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no reason given"
        raise spoiled(path, f"it is damaged or cut short ({reason})", thing) from error


def picture_stream(clip: InputContainer, path: Path) -> VideoStream:
    """Find the moving picture of a clip, set to be decoded strictly. Raises Spoiled."""
    from av.stream import Disposition

    cover = Disposition.attached_pic
    moving = (stream for stream in clip.streams.video if not stream.disposition & cover)
    stream = next(moving, None)
    if stream is None:
        only = "only sound" if clip.streams.audio else "no picture"
        raise spoiled(path, f"it has {only} in it")
    if stream.width * stream.height > MAX_PIXELS or stream.width < 1:
        raise spoiled(path, f"its frames are {stream.width}×{stream.height} pixels")
    stream.codec_context.options = {"err_detect": "explode", "max_pixels": str(MAX_PIXELS)}
    return stream


def probe(path: Path, *, least: int = 2) -> Facts:
    """Read a clip's packets and its first frame: 15–20 ms for five seconds of 720p.

    Raises Spoiled, in one sentence, for whatever is not a video of at least `least` frames.
    """
    with opened(path) as clip:
        stream = picture_stream(clip, path)
        stream.thread_type = "NONE"  # with frame threads the first frame comes out late
        # only what the frame says of itself is wanted, not its pixels
        stream.codec_context.options |= {"skip_loop_filter": "all", "skip_idct": "all"}
        with reading(path):
            scan = _scan(clip, stream)
        if scan.frame is None:
            raise spoiled(path, "not one frame can be decoded")
        if scan.timeless:
            reason = f"{scan.timeless} of its frames do not say when they are shown"
            raise spoiled(path, reason)
        if len(scan.shown) < least:
            raise spoiled(path, f"it has {len(scan.shown)} frame, too few for a clip")
        return _facts(path, clip, stream, scan)


class _Scan(NamedTuple):
    """What one pass over the packets of the picture tells."""

    shown: list[int]  # when each frame appears, in ticks, in the order of decoding
    last: int  # for how many ticks the last one stays, or 0
    tick: Fraction  # seconds
    clean: bool  # it opens on an IDR picture, and no packet is hidden
    timeless: int  # packets that do not say when their frame is shown
    alone: list[int]  # packets that hold an IDR picture, in the order of decoding
    frame: av.VideoFrame | None

    @property
    def times(self) -> list[int]:
        return sorted(self.shown)


def _scan(clip: InputContainer, stream: VideoStream) -> _Scan:
    shown: list[int] = []
    alone: list[int] = []
    latest, last, clean, frame, timeless = -1, 0, True, None, 0
    for packet in clip.demux(stream):
        if frame is None:
            frame = next(iter(packet.decode()), None)
        if packet.pts is None or packet.is_discard:
            clean = clean and not packet.size  # the last one is empty, to flush the decoder
            timeless += bool(packet.size and packet.pts is None)
            continue
        if packet.is_keyframe and opens_on_idr(bytes(packet)):
            alone.append(len(shown))
        shown.append(packet.pts)
        if len(shown) == 1 or packet.pts > latest:
            latest, last = packet.pts, packet.duration or 0
    clean = clean and alone[:1] == [0]
    tick = stream.time_base or Fraction(1, 90_000)
    return _Scan(shown, last, tick, clean, timeless, alone, frame)


def _rate(scan: _Scan, stream: VideoStream) -> tuple[Fraction, bool]:
    """Find the frame rate that explains every frame's time, else the mean and True for variable."""
    times = scan.times
    span = (times[-1] - times[0]) * scan.tick
    last = scan.last * scan.tick
    mean = (len(times) - 1) / span if span else 1 / (last or Fraction(1, 24))
    stated = [rate for rate in (stream.average_rate, stream.guessed_rate) if rate]
    usual = sorted(_RATES, key=lambda rate: abs(rate - mean))
    # what the file states is often a mean, so only the usual rates are taken at their word
    for rate in [*_RATES.intersection(stated), *usual, *stated]:
        if _steady(times, scan.tick * rate, rate):
            return rate, False
    return (len(times) / (span + last)).limit_denominator(1001), True


def _steady(times: Sequence[int], step: Fraction, rate: Fraction) -> bool:
    """Say whether frame k appears at k / rate; some clocks count milliseconds, so to within one.

    `step` is the number of frames in a tick.
    """
    first, up, down = times[0], step.numerator, step.denominator
    most = rate * _JITTER * down
    return all(abs((t - first) * up - k * down) <= most for k, t in enumerate(times))


def _facts(path: Path, clip: InputContainer, stream: VideoStream, scan: _Scan) -> Facts:
    assert scan.frame is not None  # noqa: S101  probe has just refused that
    frame, context, times = scan.frame, stream.codec_context, scan.times
    fps, variable = _rate(scan, stream)
    held = scan.last * scan.tick or 1 / fps
    sar = Fraction(stream.sample_aspect_ratio or 1)
    width, height = _displayed(frame, sar)
    sound = next(iter(clip.streams.audio), None)
    joinable = _joinable(stream, scan)
    ranks = _ranks(scan)
    ends = _ends(ranks) if joinable else ()
    return Facts(
        container=sniff_file(path),
        codec=context.name,
        profile=context.profile or "",
        width=width,
        height=height,
        coded_width=frame.width,
        coded_height=frame.height,
        fps=fps,
        frames=len(times),
        seconds=(times[-1] - times[0]) * scan.tick + held if variable else len(times) / fps,
        start=times[0] * scan.tick,
        pix_fmt=frame.format.name,
        sar=sar,
        rotation=frame.rotation % 360,
        **_colour(frame),
        variable=variable,
        interlaced=bool(frame.interlaced_frame),
        alpha=_alpha(stream, frame),
        headers=fingerprint(context.extradata) if joinable else "",
        reorder=max(at - rank for at, rank in enumerate(ranks)),
        starts=tuple(sorted({0, *ends}.intersection(scan.alone))) if joinable else (),
        ends=ends,
        sound=sound is not None,
        sample_rate=sound.sample_rate if sound else 0,
        channels=sound.channels if sound else 0,
        size=path.stat().st_size,
    )


def _joinable(stream: VideoStream, scan: _Scan) -> bool:
    opens = scan.clean and scan.shown[0] == min(scan.shown)
    return opens and stream.codec_context.name == "h264" and len(set(scan.shown)) == len(scan.shown)


def _ranks(scan: _Scan) -> list[int]:
    """Number the frame that each packet shows, in the order of decoding."""
    rank = {time: at for at, time in enumerate(scan.times)}
    return [rank[time] for time in scan.shown]


def _ends(ranks: Sequence[int]) -> tuple[int, ...]:
    """Find every n for which the first n packets show exactly the first n frames."""
    latest = accumulate(ranks, max)
    return tuple(at + 1 for at, rank in enumerate(latest) if rank == at)


def _displayed(frame: av.VideoFrame, sar: Fraction) -> tuple[int, int]:
    wide, high = max(sar, Fraction(1)), max(1 / sar, Fraction(1))
    width, height = nearest(frame.width * wide), nearest(frame.height * high)
    return (height, width) if frame.rotation % 180 == 90 else (width, height)


def _alpha(stream: VideoStream, frame: av.VideoFrame) -> bool:
    # VP8 and VP9 keep alpha beside the picture, where only a word in the container tells of it
    beside_it = stream.metadata.get("alpha_mode") == "1"
    return beside_it or any(part.is_alpha for part in frame.format.components)


# ITU-T H.273; the words are ffmpeg's
_MATRICES = {
    0: "gbr", 1: "bt709", 2: "", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc",
}  # fmt: skip
_TRANSFERS = {
    1: "bt709", 2: "", 6: "smpte170m", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
    16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES = {1: "bt709", 2: "", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 12: "smpte432"}
_RANGES = {0: "", 1: "tv", 2: "pc"}


def _colour(frame: av.VideoFrame) -> dict[str, str]:
    full = frame.format.name.startswith("yuvj")
    return {
        "range": "pc" if full else _RANGES.get(int(frame.color_range), ""),
        "matrix": _word(_MATRICES, frame.colorspace),
        "primaries": _word(_PRIMARIES, frame.color_primaries),
        "transfer": _word(_TRANSFERS, frame.color_trc),
    }


def _word(words: dict[int, str], number: int) -> str:
    return words.get(int(number), str(int(number)))
