"""What of a film is copied and what is rendered: spans are the frames that a transition or words change.

A span also takes in what lies between such frames and the next place at which copying may begin or
end. It depends only on the items that are seen in it, so it is made as soon as these are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from secondunit import keys
from secondunit.cut.edit import CUT, Transition
from secondunit.durable import beside
from secondunit.media.frames import Upright, ahead, hd, paced
from secondunit.media.h264 import QUICK
from secondunit.splice import Segment
from secondunit.splice.lettering import overlays
from secondunit.splice.pictures import Canvas, Picture, Reel, Stencil, stored
from secondunit.splice.strip import Strip, read_back
from secondunit.splice.transitions import CHANGES, Moment, share
from secondunit.splice.typeface import typeface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from fractions import Fraction
    from pathlib import Path

    from moviepy import VideoClip

    from secondunit.cut import Profile
    from secondunit.cut.edit import Look
    from secondunit.cut.timeline import Item, Piece, Show, Words
    from secondunit.media.facts import Facts
    from secondunit.splice.mix import Source

    Frames = Callable[[float], Picture]


@dataclass(frozen=True)
class Layer:
    """Frames of a file from `first` on, and the words that lie over some of them."""

    source: Source
    first: int
    words: tuple[Words, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """Film frames that are rendered in one way: `below` alone, or both in a transition.

    Of a fade, there is only the one or the other.
    """

    frames: int
    below: Layer | None
    above: Layer | None = None
    transition: Transition = CUT
    items: frozenset[int] = frozenset()
    """The numbers of the items that are seen in it."""


@dataclass(frozen=True)
class Span:
    """Consecutive film frames that are rendered into a file of their own."""

    stretches: tuple[Stretch, ...]

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return sum(stretch.frames for stretch in self.stretches)

    @property
    def items(self) -> frozenset[int]:
        """The numbers of the items that are seen in it."""
        return frozenset().union(*(stretch.items for stretch in self.stretches))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files that it is made from."""
        layers = (layer for s in self.stretches for layer in (s.below, s.above) if layer)
        return tuple(dict.fromkeys(layer.source for layer in layers))


def layout(
    pieces: Sequence[Piece], items: Sequence[Item], sources: Sequence[Source]
) -> tuple[Segment | Span, ...]:
    """Divide a film into what is copied and what is rendered, in order, frame for frame."""
    made: list[Segment | Span] = []
    whole = True  # the part before may be rendered in one with the next
    for piece in pieces:
        for part in _parts(piece, items, sources):
            if not isinstance(part, Stretch):
                made += [part] if part else []
                whole = False
                continue
            before = made[-1] if made else None
            if whole and isinstance(before, Span) and _leads(before.stretches[-1], part):
                made[-1] = Span((*before.stretches, part))
            else:
                made.append(Span((part,)))
            whole = True
    return tuple(made)


def _leads(before: Stretch, stretch: Stretch) -> bool:
    """Say whether two are rendered in one: not over a hard cut, and not from change to change."""
    changing = before.transition.kind != "cut" != stretch.transition.kind
    return bool(before.items & stretch.items) and not changing


def _parts(
    piece: Piece, items: Sequence[Item], sources: Sequence[Source]
) -> Iterator[Segment | Stretch | None]:
    def layer(show: Show | None) -> Layer | None:
        if show is None:
            return None
        words = _over(items[show.item].words, show.first, piece.frames)
        return Layer(sources[show.item], show.first, words)

    if piece.transition.kind == "cut" and piece.below:
        yield from _plain(piece.below, piece.frames, items, sources)
        return
    seen = frozenset(show.item for show in (piece.below, piece.above) if show)
    yield Stretch(piece.frames, layer(piece.below), layer(piece.above), piece.transition, seen)


def _plain(
    show: Show, frames: int, items: Sequence[Item], sources: Sequence[Source]
) -> Iterator[Segment | Stretch | None]:
    """Divide frames of one item: copied where nothing lies over them and copying may begin and end.

    Where nothing can be copied, None divides it in the middle, or spans would grow together over
    many items, and nothing could be made before all had come.
    """
    item, source = items[show.item], sources[show.item]
    at, last = show.first, show.first + frames
    edges = {at, last}
    for words in item.words:
        edges |= {min(max(edge, at), last) for edge in (words.first, words.first + words.frames)}
    bare = [(a, b) for a, b in pairwise(sorted(edges)) if not _over(item.words, a, b - a)]
    copies = [found for a, b in bare if (found := _copyable(source.facts, a, b))]
    for first, after in copies:
        yield from _rendered(show.item, item, source, at, first)
        yield Segment(item.name, source.path, source.facts, first, after - first)
        at = after
    if not copies:
        middle = min(max(item.first + item.count // 2, at), last)
        yield from _rendered(show.item, item, source, at, middle)
        yield None
        at = middle
    yield from _rendered(show.item, item, source, at, last)


def _rendered(number: int, item: Item, source: Source, first: int, last: int) -> Iterator[Stretch]:
    if last > first:
        layer = Layer(source, first, _over(item.words, first, last - first))
        yield Stretch(last - first, layer, items=frozenset([number]))


def _copyable(facts: Facts, first: int, last: int) -> tuple[int, int] | None:
    """Find the longest run of frames between two that can be copied, as (first, one after last)."""
    start = next((at for at in facts.starts if at >= first), last)
    end = next((at for at in reversed(facts.ends) if at <= last), first)
    return (start, end) if start < end else None


def _over(words: Sequence[Words], first: int, frames: int) -> tuple[Words, ...]:
    return tuple(w for w in words if w.first < first + frames and first < w.first + w.frames)


def key(span: Span, profile: Profile, look: Look) -> str:
    """Name what a span shows by its content: the same frames of the same bytes in the same way."""

    def told(layer: Layer | None) -> object:
        return layer and [layer.source.sha256, layer.first, [str(w) for w in layer.words]]

    shown = [[s.frames, told(s.below), told(s.above), str(s.transition)] for s in span.stretches]
    layers = [layer for s in span.stretches for layer in (s.below, s.above) if layer]
    lines = [line for layer in layers for w in layer.words for line in w.lettering.lines]
    # fonts of this machine, which help out, change a picture as well
    fonts = typeface(look, lines).borrowed if lines else ()
    return keys.key("span", [str(profile), str(look), dict(QUICK), shown, list(fonts)])


def render(span: Span, out: Path, profile: Profile, look: Look) -> Facts:
    """Write the frames of a span to `out`, to be copied into the film, and return what it is.

    Only the files that are seen at the moment are open. `out` appears whole, read back and strictly
    decoded, or not at all. Raises Spoiled, CutError, DiskTrouble.
    """
    with beside(out) as part:
        with av.open(f"file:{part}", "w", format="mp4", options={"fflags": "+bitexact"}) as clip:
            strip = Strip(clip, profile, QUICK)
            for frame in ahead(pictures(span, profile, look)):
                strip.add(frame)
            strip.close()
        return read_back(part, "A part of the film was rendered", strip)


def pictures(span: Span, profile: Profile, look: Look) -> Iterator[av.VideoFrame]:
    """Yield every frame of a span as the film shows it: yuv420p, bt709, TV range. Raises Spoiled."""
    for stretch in span.stretches:
        layer = stretch.below
        if stretch.transition.kind == "cut" and layer and not layer.words:
            yield from shown_in(layer, stretch.frames, profile)
        else:
            yield from _composed(stretch, profile, look)


def shown_in(layer: Layer, count: int, profile: Profile) -> Iterator[av.VideoFrame]:
    """Yield `count` frames of a file as the film shows them, without their words. Raises Spoiled."""
    facts = layer.source.facts
    frames = paced(layer.source.path, facts, profile.fps, layer.first, count)
    if facts.matrix or hd(facts):
        return frames
    upright = Upright(facts, profile.width, profile.height)  # it was shown as bt601
    return (upright(frame) for frame in frames)


def _composed(stretch: Stretch, profile: Profile, look: Look) -> Iterator[av.VideoFrame]:
    canvas = Canvas(profile.width, profile.height)
    clip = _clip(stretch, canvas, profile, look)
    for at in range(stretch.frames):
        yield canvas.frame(cast("Picture", clip.get_frame(float(at / profile.fps))))


def _clip(stretch: Stretch, canvas: Canvas, profile: Profile, look: Look) -> VideoClip:
    """Compose a stretch, as a clip whose frames are pictures as the film stores them."""
    from moviepy import VideoClip

    fps, seconds = profile.fps, float(stretch.frames / profile.fps)
    colour = canvas.plain(stretch.transition.colour)

    def clip(layer: Layer | None) -> VideoClip:
        if layer is None:
            return VideoClip(lambda _seconds: colour, duration=seconds)
        frames = shown_in(layer, stretch.frames, profile)
        reel = Reel(map(stored, frames), fps)
        shown = VideoClip(reel.at, duration=seconds)
        for words in layer.words:
            shown = shown.transform(_lettered(words, layer.first, canvas, fps, look))
        return shown

    below, above = clip(stretch.below), clip(stretch.above)
    if stretch.transition.kind == "cut":
        return below
    change, towards = CHANGES[stretch.transition.kind], stretch.transition.towards

    def changed(get_frame: Frames, seconds: float) -> Picture:
        both = np.empty_like(colour)
        pictures = (get_frame(seconds), above.get_frame(seconds), colour)
        planes = zip(*map(canvas.planes, (both, *pictures)), strict=True)
        part = share(stretch, round(seconds * float(fps)))
        for fine, (plane, go, come, colours) in zip((2, 1, 1), planes, strict=True):
            plane[:] = change(Moment(go, come, colours, part, towards, fine))
        return both

    return below.transform(changed)


def _lettered(
    words: Words, first: int, canvas: Canvas, fps: Fraction, look: Look
) -> Callable[[Frames, float], Picture]:
    """Return what lays words over the pictures of a clip that begins at frame `first` of its item."""
    drawn = overlays(words.lettering, look, *canvas, words.frames, fps)
    stencil = Stencil(canvas, drawn.picture, drawn.x, drawn.y)

    def over(get_frame: Frames, seconds: float) -> Picture:
        at = first + round(seconds * float(fps)) - words.first
        picture = get_frame(seconds)
        return stencil.over(picture, drawn.opacity[at]) if 0 <= at < words.frames else picture

    return over
