"""What a worker does for a deliverable: encode a film once as a whole, or draw pictures of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image

from secondunit.cut import length, nearest
from secondunit.durable import beside
from secondunit.errors import CutError
from secondunit.media.frames import Upright, paced
from secondunit.splice import sheet
from secondunit.splice.encoders import Reel, encode
from secondunit.splice.mix import Source
from secondunit.splice.spans import Layer, shown_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from fractions import Fraction
    from pathlib import Path

    import av

    from secondunit.cut import Placed, Profile
    from secondunit.cut.edit import Deliverable, Mix
    from secondunit.cuttingroom import Cut
    from secondunit.media.sound import Block
    from secondunit.splice import Segment
    from secondunit.splice.chapters import About

_METER = struct.Struct("<QQ")
_EVERY = 12  # frames between two notes of how far it is


@dataclass(frozen=True)
class Stock:
    """What a deliverable is made of: files whose frames, in order, are the film's at `profile`.

    `shots` tells where each is seen. `cut` and `mix` have the sound; None where none is wanted.
    """

    profile: Profile
    segments: tuple[Segment, ...]
    shots: tuple[Placed, ...]
    cut: Cut | None = None
    mix: Mix | None = None

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return sum(segment.count for segment in self.segments)

    def shown(self, first: int = 0) -> Iterator[av.VideoFrame]:
        """Yield the frames from `first` on: yuv420p, bt709, TV range. Raises Spoiled."""
        for segment in self.segments:
            if first < segment.count:
                source = Source(segment.path, segment.facts, "")
                layer = Layer(source, segment.first + first)
                yield from shown_in(layer, segment.count - first, self.profile)
            first = max(0, first - segment.count)


@dataclass(frozen=True)
class Job:
    """A deliverable to be made of a stock at `profile`, into `out`; it `says` what it is.

    How far it is can be read in the file `meter`, see `progress`.
    """

    stock: Stock
    profile: Profile
    wanted: Deliverable
    says: About
    out: Path
    meter: Path | None = None


def progress(meter: Path) -> tuple[int, int]:
    """Return how many frames are done, and of how many; 0 of 0 before it begins."""
    data = meter.read_bytes()
    return _METER.unpack(data) if len(data) == _METER.size else (0, 0)


def encode_film(job: Job) -> int:
    """Encode a film as a whole and return its number of frames; see `encode` for what is raised."""
    stock, profile = job.stock, job.profile
    count = stock.frames
    if profile.fps != stock.profile.fps:
        count = length(count / stock.profile.fps, profile.fps)
    reel = Reel(lambda: _frames(job, count), count, profile, _sound(job), stock.shots, job.says)
    encode(reel, job.wanted, job.out, progress=lambda *done: _note(job.meter, *done))
    return count


def _frames(job: Job, count: int) -> Iterator[av.VideoFrame]:
    stock, profile = job.stock, job.profile
    if stock.profile == profile:
        yield from stock.shown()
        return
    (film,) = stock.segments
    upright = Upright(film.facts, profile.width, profile.height)
    for frame in paced(film.path, film.facts, profile.fps, 0, count):
        yield upright(frame)


def _sound(job: Job) -> Callable[[], Iterator[Block]] | None:
    cut, mix = job.stock.cut, job.stock.mix
    if cut is None or mix is None or not cut.heard(job.profile, mix):
        return None
    return lambda: cut.sound(job.profile, mix) or iter(())


def _note(meter: Path | None, done: int, count: int) -> None:
    if meter and (done % _EVERY == 0 or done == count):
        with meter.open("r+b") as file:  # never cut short, or nothing might be read of it
            file.write(_METER.pack(done, count))


def draw_poster(job: Job) -> tuple[int, int]:
    """Save one frame of the film as a PNG, and return its size. Raises DiskTrouble, Spoiled."""
    stock, at = job.stock, job.wanted.at
    number = stock.frames // 2 if at is None else nearest(at * stock.profile.fps)
    size = (job.profile.width, job.profile.height)
    picture = _picture(stock, min(number, stock.frames - 1), size)
    with beside(job.out) as part:
        picture.save(part, "PNG")
    return picture.size


def draw_sheet(job: Job) -> tuple[int, int]:
    """Save a contact sheet as a PNG, the middle of every shot, and return its size.

    Raises DiskTrouble, Spoiled.
    """
    stock, shots = job.stock, job.stock.shots
    fps, columns = stock.profile.fps, sheet.columns_for(len(shots))
    wide = job.profile.width if job.wanted.width else sheet.WIDEST
    day = job.says.made.date().isoformat() if job.says.made else ""
    head = sheet.Head(job.says.title, _seconds(stock.frames / fps), day)
    ratio = (stock.profile.width, stock.profile.height)
    drawn = sheet.Sheet(head, len(shots), ratio, sheet.width_for(columns, wide), columns)
    for number, place in enumerate(shots):
        picture = _picture(stock, place.start + place.frames // 2, drawn.size)
        words = sheet.Words(place.shot, below=_seconds(place.frames / fps))
        drawn.put(number, picture, words)
    with beside(job.out) as part:
        drawn.picture.save(part, "PNG")
    return drawn.picture.size


def _picture(stock: Stock, number: int, size: tuple[int, int]) -> Image.Image:
    frame = next(stock.shown(number), None)
    if frame is None:
        raise CutError(f"The film has no frame {number}; it has {stock.frames}, counted from 0.")
    facts = replace(stock.segments[0].facts, matrix="bt709", range="tv", rotation=0)
    return Image.fromarray(Upright(facts, *size, "rgb24")(frame).to_ndarray())


def _seconds(value: Fraction) -> str:
    return f"{float(value):.1f} s".replace(".0 s", " s")
