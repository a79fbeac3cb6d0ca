"""A clip brought to the film's size, rate, colours and sound, frame for frame."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import tee
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np
from PIL import Image, ImageFilter

from secondunit.cut import WHOLE, Profile, Trim, length, nearest, sample_at, trimmed
from secondunit.durable import beside
from secondunit.errors import CutError
from secondunit.media.facts import probe
from secondunit.media.frames import Upright, ahead, paced
from secondunit.media.h264 import QUICK
from secondunit.media.sound import Track, heard
from secondunit.splice.pictures import Reel
from secondunit.splice.strip import Strip, read_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import OutputContainer

    from secondunit.media.facts import Facts
    from secondunit.media.sound import Block

SAME_SHAPE = Fraction(1, 100)
"""Shapes that differ by less are stretched to fit: a hundredth cannot be seen, a thin bar can."""

Fit = Literal["pad", "crop", "blur"]
"""What becomes of a picture of another shape, see `conform`."""

Picture = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
"""Rows, columns, red green blue."""


def conform(
    source: Path,
    out: Path,
    profile: Profile,
    trim: Trim = WHOLE,
    *,
    speed: Fraction = Fraction(1),
    fit: Fit = "pad",
    opens: int = 0,
) -> Facts:
    """Write the used part of `source` to `out` as the film needs it, and return what it is now.

    The number of frames is exact. A picture of another shape is laid over black (`pad`) or over
    itself, large and blurred (`blur`), or loses what reaches beyond the film (`crop`). At another
    `speed` frames are dropped or repeated; `trim` is in seconds of the source. Sound keeps its pitch
    and becomes lossless stereo at the film's rate, of the picture's length to the sample. Copying
    may begin at the frame `opens`, besides at every 24th from there and from the first on. `out`
    appears whole, read back and strictly decoded, or not at all, so this may be killed at any time.
    Raises Spoiled, CutError (an impossible trim, or HDR), DiskTrouble.
    """
    facts = probe(source)
    _refuse_hdr(source, facts)
    end = None if trim.end is None else trim.end / speed
    frames = length(facts.seconds / speed, profile.fps)
    first, count = trimmed(frames, profile.fps, Trim(trim.start / speed, end))
    used = _Used(source, facts, first, count, speed)
    with beside(out) as part:
        with av.open(f"file:{part}", "w", format="mp4", options={"fflags": "+bitexact"}) as clip:
            strip = _write(clip, used, profile, fit, opens)
        return read_back(part, f"{source} was conformed", strip)


@dataclass(frozen=True)
class _Used:
    """What is used of a clip: film frames at its speed, from the first of the clip."""

    source: Path
    facts: Facts
    first: int
    count: int
    speed: Fraction


def _refuse_hdr(source: Path, facts: Facts) -> None:
    if facts.hdr:
        raise CutError(
            f"{source} is HDR ({facts.hdr}), and the film is not; its highlights would be lost by "
            "guesswork. Convert it to SDR (bt709) first; that costs nothing."
        )


def _write(clip: OutputContainer, used: _Used, profile: Profile, fit: Fit, opens: int) -> Strip:
    strip = Strip(clip, profile, QUICK)
    rate, fps = profile.sample_rate, profile.fps
    track = Track(clip, "flac", rate) if used.facts.sound else None
    blocks = _sound(used, profile)
    for at, frame in enumerate(ahead(_pictures(used, profile, fit))):
        strip.add(frame, opens=at == opens)
        if track:
            track.play(blocks, sample_at(at + 1, fps, rate))
    strip.close()
    if track:
        track.close()
    return strip


def _sound(used: _Used, profile: Profile) -> Iterator[Block]:
    # cut to the film's own grid, so that the clip's sound is as long as its picture
    samples = sample_at(used.count, profile.fps, profile.sample_rate)
    since = used.first * used.speed / profile.fps
    return heard(
        used.source, used.facts, profile.sample_rate,
        since=since, samples=samples, speed=used.speed,
    )  # fmt: skip


def _pictures(used: _Used, profile: Profile, fit: Fit) -> Iterator[av.VideoFrame]:
    facts = used.facts
    frames = paced(used.source, facts, profile.fps, used.first, used.count, speed=used.speed)
    inner = fitted(facts.width, facts.height, profile)
    if inner == (profile.width, profile.height):
        return map(Upright(facts, *inner), frames)
    if fit == "crop":
        whole = Upright(facts, *covering(facts.width, facts.height, profile), "rgb24")
        return (_coded(_middle(_pixels(whole(frame)), profile)) for frame in frames)
    upright = Upright(facts, *inner, "rgb24")
    if fit == "pad":
        black = np.zeros((profile.height, profile.width, 3), np.uint8)
        pairs = ((_pixels(upright(frame)), black) for frame in frames)
    else:
        blurred = _Blurred(facts, profile)
        pairs = ((_pixels(upright(frame)), blurred(frame)) for frame in frames)
    return _laid_over(pairs, profile, used.count)


def fitted(width: int, height: int, profile: Profile) -> tuple[int, int]:
    """Find the largest even size of a picture's shape that fits the film, or the film's own."""
    shape = Fraction(width, height) / Fraction(profile.width, profile.height)
    if abs(shape - 1) <= SAME_SHAPE:
        return profile.width, profile.height
    if shape > 1:
        return profile.width, _even(profile.height / shape)
    return _even(profile.width * shape), profile.height


def covering(width: int, height: int, profile: Profile) -> tuple[int, int]:
    """Find the smallest even size of a picture's shape that covers the film."""
    shape = Fraction(width, height) / Fraction(profile.width, profile.height)
    if shape > 1:
        return max(profile.width, _even(profile.width * shape)), profile.height
    return profile.width, max(profile.height, _even(profile.height / shape))


def _even(value: Fraction) -> int:
    return max(2, 2 * nearest(value / 2))


def _pixels(frame: av.VideoFrame) -> Picture:
    return cast("Picture", frame.to_ndarray())


def _coded(picture: Picture) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _middle(picture: Picture, profile: Profile) -> Picture:
    top, left = (picture.shape[0] - profile.height) // 2, (picture.shape[1] - profile.width) // 2
    return picture[top : top + profile.height, left : left + profile.width]


class _Blurred:
    """Makes what lies behind a picture of another shape: the picture itself, large, dim and soft."""

    _SMALLER = 8  # what is blurred needs no detail, and this takes a sixtieth of the time

    def __init__(self, facts: Facts, profile: Profile) -> None:
        self._size = (profile.width, profile.height)
        width, height = (_even(Fraction(pixels, self._SMALLER)) for pixels in self._size)
        self._small = Profile(width, height, profile.fps)
        size = covering(facts.width, facts.height, self._small)
        self._upright = Upright(facts, *size, "rgb24")

    def __call__(self, frame: av.VideoFrame) -> Picture:
        small = Image.fromarray(_middle(_pixels(self._upright(frame)), self._small))
        soft = small.filter(ImageFilter.GaussianBlur(self._small.height / 24))
        dim = soft.point([round(level * 0.6) for level in range(256)] * 3)
        return np.asarray(dim.resize(self._size, Image.Resampling.BICUBIC))


def _laid_over(
    pairs: Iterator[tuple[Picture, Picture]], profile: Profile, count: int
) -> Iterator[av.VideoFrame]:
    """Compose frames of pictures in the middle of others."""
    from moviepy import CompositeVideoClip, VideoClip

    fps, size = profile.fps, (profile.width, profile.height)
    reels = [Reel(map(itemgetter(at), one), fps) for at, one in enumerate(tee(pairs))]
    picture, canvas = (VideoClip(reel.at, duration=float(count / fps)) for reel in reels)
    clips = [canvas, picture.with_position("center")]
    composed = CompositeVideoClip(clips, size=size, use_bgclip=True)
    for at in range(count):
        yield _coded(composed.get_frame(float(at / fps)))
