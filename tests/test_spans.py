"""Every frame of the film is copied or rendered, once, and shows what the cut says it shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from footage import BUNNY, TV709, counting, digests, ffmpeg, likeness, numbers, rgb, spelt
from hypothesis import given
from hypothesis import strategies as st

from secondunit.cut import Profile
from secondunit.cut.edit import CUT, OVERLAPPING, TRANSITIONS, Lettering, Look, Transition
from secondunit.cut.timeline import Item, Words, timeline
from secondunit.errors import CutError
from secondunit.media import Facts, probe
from secondunit.splice import Segment, splice
from secondunit.splice.mix import Source
from secondunit.splice.spans import Span, key, layout, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from secondunit.cut.timeline import Piece, Show, Timeline
    from secondunit.splice import Film
    from secondunit.splice.spans import Layer

FPS = Fraction(24)
FILM = Profile(320, 180, FPS)
TITLE = Lettering("title", ("Hello",))
X264 = ("-c:v", "libx264", "-preset", "veryfast")
PATH, KNOWN = BUNNY.parent, probe(BUNNY)


def transition(kind: str, frames: int = 10, **how: str) -> Transition:
    return CUT if kind == "cut" else Transition(kind, frames / FPS, **how)  # type: ignore[arg-type]  # texts, here


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Clips of 60 frames: often to be begun, seldom, and only from the start."""
    folder = tmp_path_factory.mktemp("sources")
    made = []
    for name, gop in (("often", 12), ("seldom", 30), ("once", 250)):
        path = counting(folder / f"{name}.mp4", *X264, "-g", gop, frames=60)
        made.append(Source(path, probe(path), name))
    return made


# What is copied and what is rendered


@st.composite
def films(draw: st.DrawFn) -> tuple[list[Item], list[Source]]:
    """Draw items with any transitions and words, and files in which any frames can be copied."""
    count = draw(st.integers(1, 6))
    kinds = [draw(st.sampled_from(TRANSITIONS)) for _ in range(count + 1)]
    ways = [transition(kind, draw(st.integers(1, 30))) for kind in kinds]
    items, sources = [], []
    for at in range(count):
        used = draw(st.integers(1, 60))
        first, behind = draw(st.integers(0, 12)), draw(st.integers(0, 12))
        total = first + used + behind
        begins = draw(st.integers(0, total - 1))
        words = (Words(TITLE, begins, draw(st.integers(1, total - begins))),)
        written = words if draw(st.booleans()) else ()
        items.append(Item(f"sh{at}", total, first, used, ways[at], ways[at + 1], written))
        ends = {total, *draw(st.sets(st.integers(1, total)))}
        starts = {0, *(end for end in ends if end < total and draw(st.booleans()))}
        sources.append(Source(PATH / str(at), file(total, starts, ends), str(at)))
    return items, sources


def file(total: int, starts: set[int], ends: set[int]) -> Facts:
    return replace(KNOWN, frames=total, starts=tuple(sorted(starts)), ends=tuple(sorted(ends)))


Seen = tuple[str, tuple[tuple[str, int, bool] | None, tuple[str, int, bool] | None]]


def wanted(pieces: Sequence[Piece], items: Sequence[Item]) -> Iterator[Seen]:
    """Say of every film frame, straight from the cut, what is seen in it."""
    for piece in pieces:
        for at in range(piece.frames):
            shows = [
                None
                if show is None
                else (str(show.item), show.first + at, lettered(items, show, at))
                for show in (piece.below, piece.above)
            ]
            yield piece.transition.kind, (shows[0], shows[1])


def lettered(items: Sequence[Item], show: Show, at: int) -> bool:
    frame = show.first + at
    return any(w.first <= frame < w.first + w.frames for w in items[show.item].words)


def given_by(parts: Sequence[Segment | Span]) -> Iterator[Seen]:
    """Say the same of what is copied and rendered."""

    def of(layer: Layer | None, at: int) -> tuple[str, int, bool] | None:
        if layer is None:
            return None
        frame = layer.first + at
        over = any(w.first <= frame < w.first + w.frames for w in layer.words)
        return layer.source.path.name, frame, over

    for part in parts:
        if isinstance(part, Segment):
            for at in range(part.count):
                yield "cut", ((part.path.name, part.first + at, False), None)
        else:
            for stretch in part.stretches:
                for at in range(stretch.frames):
                    shown = (of(stretch.below, at), of(stretch.above, at))
                    yield stretch.transition.kind, shown


@given(films())
def test_every_frame_is_copied_or_rendered_once_and_in_order(
    film: tuple[list[Item], list[Source]],
) -> None:
    items, sources = film
    laid = timeline(items, FPS)
    parts = layout(laid.pieces, items, sources)
    assert list(given_by(parts)) == list(wanted(laid.pieces, items))


@given(films())
def test_copying_begins_and_ends_where_it_may_and_spans_need_two_shots_at_most(
    film: tuple[list[Item], list[Source]],
) -> None:
    items, sources = film
    for part in layout(timeline(items, FPS).pieces, items, sources):
        if isinstance(part, Segment):
            assert part.first in part.facts.starts
            assert part.first + part.count in part.facts.ends
        else:
            assert len(part.items) <= 2
            assert max(part.items) - min(part.items) <= 1


@given(films(), st.integers(0, 5))
def test_a_changed_clip_changes_only_the_spans_it_is_seen_in(
    film: tuple[list[Item], list[Source]], number: int
) -> None:
    items, sources = film
    number %= len(items)
    before = names(items, sources)
    sources = [replace(s, sha256="new") if at == number else s for at, s in enumerate(sources)]
    after = names(items, sources)
    for (seen, old), (_, new) in zip(before, after, strict=True):
        assert (old == new) == (number not in seen)


def names(items: list[Item], sources: list[Source]) -> list[tuple[frozenset[int], str]]:
    parts = layout(timeline(items, FPS).pieces, items, sources)
    spans = [part for part in parts if isinstance(part, Span)]
    return [(span.items, key(span, FILM, Look())) for span in spans]


def test_only_what_a_transition_touches_is_rendered(sources: list[Source]) -> None:
    """A dissolve of 10 frames: with up to 2 before it, and from it to the next key frame."""
    often = sources[0]
    way = transition("dissolve")
    items = [Item("a", 60, 0, 60, CUT, way), Item("b", 60, 0, 60, way, CUT)]
    parts = layout(timeline(items, FPS).pieces, items, [often, often])
    copied, span, rest = parts
    assert isinstance(span, Span)
    assert isinstance(copied, Segment)
    assert isinstance(rest, Segment)
    assert copied.first == 0
    assert 47 <= copied.count <= 50
    assert (rest.first, rest.count) == (12, 48)
    assert span.frames == 110 - copied.count - rest.count


# The clips' index


@pytest.mark.parametrize("how", ["plain", "no-b", "pyramid", "openh264", "open groups"])
def test_the_first_packets_up_to_an_end_show_the_first_frames(tmp_path: Path, how: str) -> None:
    """And from a start on, nothing before it is needed: checked by copying, and decoding strictly."""
    ways = {
        "plain": (*X264, "-g", "20"),
        "no-b": (*X264, "-bf", "0", "-g", "20"),
        "pyramid": (*X264, "-g", "20", "-bf", "5", "-x264-params", "b-pyramid=normal:b-adapt=0"),
        "openh264": ("-c:v", "libopenh264", "-g", "20"),
        "open groups": (*X264, "-x264-params", "open-gop=1:keyint=20:bframes=3"),
    }
    path = counting(tmp_path / "clip.mp4", *ways[how], frames=60)
    facts, whole = probe(path), digests(path)
    assert facts.starts[0] == 0
    assert facts.ends[-1] == 60
    assert len(facts.ends) >= 15
    if how != "open groups":
        assert facts.starts == (0, 20, 40)
    last = facts.starts[-1]
    for start, end in [(0, facts.ends[7]), (last, 60), (last, facts.ends[-2]), (0, facts.ends[-3])]:
        out = tmp_path / "part.mp4"
        splice([Segment("part", path, facts, start, end - start)], FILM, out)
        assert digests(out) == whole[start:end]


@pytest.mark.parametrize(("first", "frames"), [(5, 15), (0, 0), (0, 61), (-12, 12), (12, 49)])
def test_what_cannot_be_copied_alone_is_refused(
    sources: list[Source], tmp_path: Path, first: int, frames: int
) -> None:
    part = Segment("sh010", sources[0].path, sources[0].facts, first, frames)
    with pytest.raises(CutError, match=r"Shot sh010 cannot be spliced from frame"):
        splice([part], FILM, tmp_path / "film.mp4")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "fragments.mp4"])
def test_a_part_is_found_in_any_container(tmp_path: Path, name: str) -> None:
    more = ("-movflags", "frag_keyframe+empty_moov") if "fragments" in name else ()
    path = counting(tmp_path / name, *X264, "-g", "12", *more, frames=60)
    facts = probe(path)
    splice([Segment("part", path, facts, 36, 24)], FILM, tmp_path / "film.mp4")
    assert numbers(tmp_path / "film.mp4") == list(range(36, 60))


# The pictures


def filmed(items: Sequence[Item], sources: Sequence[Source], folder: Path) -> tuple[Timeline, Film]:
    laid = timeline(items, FPS)
    segments = []
    for at, part in enumerate(layout(laid.pieces, items, sources)):
        if isinstance(part, Segment):
            segments.append(part)
            continue
        out = folder / f"span{at}.mp4"
        segments.append(Segment("span", out, render(part, out, FILM, Look())))
    return laid, splice(segments, FILM, folder / "film.mp4", placed=laid.placed)


def test_frames_outside_transitions_are_the_clips_own(
    sources: list[Source], tmp_path: Path
) -> None:
    """Every one, by its number, through all transitions, with handles and without."""
    ways = [CUT, *(transition(kind, 8) for kind in TRANSITIONS), transition("fade", 6)]
    items = [
        Item(f"sh{at}", 60, 6 * (at % 2), 60 - 10 * (at % 2), into, onto)
        for at, (into, onto) in enumerate(pairwise(ways))
    ]
    laid, film = filmed(items, [sources[at % 3] for at in range(len(items))], tmp_path)
    assert film.frames == laid.frames == len(digests(film.path))
    found = numbers(film.path)
    for piece in laid.pieces:
        if piece.transition.kind == "cut":
            assert piece.below
            here = found[piece.start : piece.start + piece.frames]
            assert here == list(range(piece.below.first, piece.below.first + piece.frames))


@pytest.mark.parametrize("kind", [*OVERLAPPING, "fade"])
def test_a_join_is_frame_by_frame_what_a_plain_render_shows(
    photographed: list[Source], tmp_path: Path, kind: str
) -> None:
    """Reckoned anew, in RGB, from all frames of both clips."""
    way = transition(kind, 9, colour="#b02040", towards="right")
    items = [Item("a", 40, 2, 34, CUT, way), Item("b", 40, 3, 33, way, CUT)]
    laid, film = filmed(items, photographed, tmp_path)
    clips = [rgb(source.path).astype(float) for source in photographed]
    shown = rgb(film.path)
    assert len(shown) == laid.frames
    for piece in laid.pieces:
        for at in range(piece.frames):
            below, above = (
                show and clips[show.item][show.first + at] for show in (piece.below, piece.above)
            )
            plain = reckoned(kind, below, above, at, piece.frames)
            assert likeness(plain, shown[piece.start + at]) > 30, (piece.start + at, kind)


def reckoned(
    kind: str, below: np.ndarray | None, above: np.ndarray | None, at: int, frames: int
) -> np.ndarray:
    """What an editor would show, by the definition of each transition."""
    colour = np.full((144, 256, 3), (0xB0, 0x20, 0x40), float)
    if below is None:
        assert above is not None
        return colour + (above - colour) * at / frames
    if above is None:
        return (
            below if kind != "fade" or frames > 9 else below + (colour - below) * (at + 1) / frames
        )
    part = (at + 1) / (frames + 1)
    if kind == "dissolve":
        return below + (above - below) * part
    if kind == "dip":
        first, second, share = (
            (below, colour, 2 * part) if part < 0.5 else (colour, above, 2 * part - 1)
        )
        return first + (second - first) * share
    if kind == "slide":
        gone = round(part * 160) * 256 // 160
        return np.concatenate([above[:, 256 - gone :], below[:, : 256 - gone]], 1)
    way = (np.arange(256) + 0.5) / 256
    share = np.clip((part * 1.06 - way) / 0.06, 0, 1)[None, :, None]
    return below + (above - below) * share


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """Two clips of soft, colourful, moving pictures."""
    folder = tmp_path_factory.mktemp("photographed")
    made = []
    looks = {
        "one": "c0=#20304a:c1=#d08040:c2=#40a060:c3=#e0d0b0:x0=0:y0=0:x1=320:y1=180",
        "two": "c0=#c03050:c1=#304080:c2=#90c0e0:c3=#302010:x0=320:y0=0:x1=40:y1=170",
    }
    for name, look in looks.items():  # what is not named is drawn by lot
        path = folder / f"{name}.mp4"
        soft = (
            f"gradients=s=320x180:r=24:n=4:seed=3:{look}:speed=0.05,format=yuv420p,setsar=1,{TV709}"
        )
        ffmpeg("-f", "lavfi", "-i", soft, "-frames:v", 40, *X264, "-crf", 12, "-g", 12, path)
        made.append(Source(path, probe(path), name))
    return made


def test_words_lie_over_the_frames_that_are_named_and_no_others(
    photographed: list[Source], tmp_path: Path
) -> None:
    words = Words(replace(TITLE, lines=("HELLO",)), 15, 8)
    items = [Item("a", 40, 0, 40, words=(words,))]
    _, film = filmed(items, photographed[:1], tmp_path)
    before, after = rgb(photographed[0].path), rgb(film.path)
    alike = [likeness(one, other) for one, other in zip(before, after, strict=True)]
    bare = [found for at, found in enumerate(alike) if not 15 <= at < 23]
    assert max(alike[17:21]) < 34 < 36 < min(bare)


def test_words_go_with_their_picture_when_it_slides_away(
    photographed: list[Source], tmp_path: Path
) -> None:
    way = transition("slide", 9)
    plain = [Item("a", 40, 0, 40, CUT, way), Item("b", 40, 0, 40, way, CUT)]
    written = [replace(plain[0], words=(Words(TITLE, 0, 40),)), plain[1]]
    folders = [tmp_path / "plain", tmp_path / "written"]
    for folder in folders:
        folder.mkdir()
    films = [
        rgb(filmed(items, photographed, f)[1].path)
        for items, f in zip((plain, written), folders, strict=True)
    ]
    changed = [np.abs(a.astype(int) - b).max(2).max(0) > 60 for a, b in zip(*films, strict=True)]
    middles = [np.flatnonzero(row).mean() for row in changed[30:36]]
    assert all(a - b > 10 for a, b in pairwise(middles)), middles


@pytest.mark.parametrize("size", ["320x180", "1280x720"])
def test_an_untagged_clip_keeps_its_colours_where_it_is_rendered(tmp_path: Path, size: str) -> None:
    """Players show untagged pictures below HD as bt601; the span is bt709, and has to look alike."""
    bars = f"smptehdbars=s={size}:r=24,format=yuv420p,setparams=colorspace=unknown:range=unknown"
    path = tmp_path / "bars.mp4"
    ffmpeg("-f", "lavfi", "-i", bars, "-frames:v", 30, *X264, "-crf", 10, path)
    source = Source(path, probe(path), "bars")
    profile = Profile(*map(int, size.split("x")), FPS)
    items = [Item("a", 30, 5, 20)]
    (span, *_) = layout(timeline(items, FPS).pieces, items, [source])
    assert isinstance(span, Span)
    render(span, tmp_path / "span.mp4", profile, Look())
    matrix = "bt601" if size == "320x180" else "bt709"
    before = rgb(path, f"scale=in_color_matrix={matrix}:flags=bicubic+accurate_rnd")[0]
    after = rgb(tmp_path / "span.mp4", "scale=in_color_matrix=bt709:flags=bicubic+accurate_rnd")[0]
    assert np.median(np.abs(before.astype(int) - after)) <= 2
    assert likeness(before, after) > 30


def test_what_is_rendered_has_the_headers_of_what_was_conformed(
    sources: list[Source], tmp_path: Path
) -> None:
    """So that a film of conformed clips carries no headers in its packets."""
    from secondunit.splice.conform import conform

    way = transition("dissolve")
    conformed = conform(sources[0].path, tmp_path / "conformed.mp4", FILM)
    source = Source(tmp_path / "conformed.mp4", conformed, "c")
    items = [Item("a", 60, 0, 60, CUT, way), Item("b", 60, 0, 60, way, CUT)]
    span = layout(timeline(items, FPS).pieces, items, [source, source])[1]
    assert isinstance(span, Span)
    assert render(span, tmp_path / "span.mp4", FILM, Look()).headers == conformed.headers


def test_any_frame_of_the_film_can_be_sought(sources: list[Source], tmp_path: Path) -> None:
    way = transition("wipe", 8)
    items = [Item(f"sh{at}", 60, 0, 60, way, way) for at in range(3)]
    laid, film = filmed(items, sources, tmp_path)
    plain = [
        at for p in laid.pieces if p.transition == CUT for at in range(p.start, p.start + p.frames)
    ]
    want = numbers(film.path)
    with av.open(str(film.path)) as clip:
        stream = clip.streams.video[0]
        for target in [*plain[::-7], *plain[3::11]]:
            clip.seek(int(Fraction(target, 24) / stream.time_base), stream=stream)
            frame = next(
                f for f in clip.decode(stream) if round(f.pts * stream.time_base * 24) >= target
            )
            luma = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
            assert spelt(luma[:180, :320]) == want[target]
