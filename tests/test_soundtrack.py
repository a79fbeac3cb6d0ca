"""The film's sound is encoded once, in step with the picture, and only what changed is made again."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import av
import numpy as np
import pytest
from browser import PROGRAM, browsing
from footage import counting, ffmpeg, samples, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from splicing import LOSSLESS, laid_out, sounding

from secondunit.cut import Profile, sample_at
from secondunit.cut.edit import CUT, Mix, Sound, Transition
from secondunit.cut.timeline import Item, Timeline, timeline
from secondunit.errors import DiskTrouble, Spoiled
from secondunit.media import probe
from secondunit.media.sound import CodedTrack
from secondunit.splice import Segment, splice
from secondunit.splice.mix import Score, Source, mixed
from secondunit.splice.soundtrack import Soundtrack, soundtrack

RATE = 48000
FILM = Profile(64, 36, Fraction(24))
CLIP = 120


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """Five seconds each."""
    folder = tmp_path_factory.mktemp("reel")
    heard = {
        "low": tone(300, 5),
        "high": tone(900, 5),
        "noise": "anoisesrc=a=0.1:c=pink:d=5:seed=3",
    }
    return sounding(folder, heard, CLIP)


film = partial(laid_out, frames=CLIP, fps=FILM.fps)


def written(track: Soundtrack, out: Path) -> np.ndarray:
    """Write a track into a file of its own; return what a player hears."""
    with av.open(str(out), "w", format="mp4") as file:
        coded = CodedTrack(file, track.packets(), track.samples, track.rate)
        coded.play(track.samples // 2)
        coded.close()
    return samples(out).T


def chunks(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.chunk")}


def test_the_track_is_the_mix_to_the_sample_also_where_chunks_meet(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    laid, clips = film(4), [reel[name] for name in ("low", "noise", "high", "low")]
    track = soundtrack(laid, clips, Mix(), FILM, tmp_path / "kept")
    got = written(track, tmp_path / "track.m4a")
    wanted = np.concatenate(list(mixed(laid, clips, Mix(), FILM.fps, RATE)), axis=1)
    assert got.shape == wanted.shape == (2, 20 * RATE)
    assert len(chunks(tmp_path / "kept")) == 4
    error = np.sqrt(((got - wanted) ** 2).mean(axis=0))
    for seam in range(255 * 1024, 20 * RATE, 256 * 1024):
        around = np.sqrt((error[seam - 1024 : seam + 2048] ** 2).mean())
        elsewhere = np.sqrt((error[seam - 40000 : seam - 8000] ** 2).mean())
        assert around < 2 * elsewhere + 1e-4, f"the seam at {seam} is heard"
    with av.open(str(tmp_path / "track.m4a")) as file:
        sound = file.streams.audio[0]
        lengths = [packet.duration for packet in file.demux(sound) if packet.size]
    assert sum(lengths) == 20 * RATE + 1024


def test_an_unchanged_track_is_copied_without_reading_a_clip(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    kept, clip = tmp_path / "kept", tmp_path / "clip.mp4"
    shutil.copy(reel["noise"].path, clip)
    clips = [replace(reel["noise"], path=clip)] * 2
    first = list(soundtrack(film(2), clips, Mix(), FILM, kept).packets())
    clip.unlink()
    assert list(soundtrack(film(2), clips, Mix(), FILM, kept).packets()) == first


def test_a_changed_shot_has_only_its_own_part_made_again(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    before = [reel["noise"]] * 6
    after = [*before[:3], reel["high"], *before[4:]]
    list(soundtrack(film(6), before, Mix(), FILM, tmp_path).packets())
    old = chunks(tmp_path)
    list(soundtrack(film(6), after, Mix(), FILM, tmp_path).packets())
    assert 1 <= len(chunks(tmp_path) - old) <= 2


def test_the_beginning_of_a_film_is_encoded_while_clips_are_missing(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    list(soundtrack(film(4), [reel["noise"]] * 4, Mix(), FILM, tmp_path).packets())
    early = chunks(tmp_path)
    list(soundtrack(film(6), [reel["noise"]] * 6, Mix(), FILM, tmp_path).packets())
    assert len(chunks(tmp_path) & early) == len(early)
    assert len(chunks(tmp_path) - early) <= 3


@pytest.mark.parametrize("which", ["*.chunk", "*.track"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-9] + bytes(9)])
def test_what_was_damaged_is_made_again(
    reel: dict[str, Source], tmp_path: Path, which: str, damage
) -> None:
    track = soundtrack(film(2), [reel["noise"]] * 2, Mix(), FILM, tmp_path)
    first = list(track.packets())
    for path in tmp_path.glob(which):
        path.write_bytes(damage(path.read_bytes()))
    assert list(track.packets()) == first
    assert list(track.packets()) == first


def test_a_track_is_named_by_what_is_heard(reel: dict[str, Source], tmp_path: Path) -> None:
    def name(laid: Timeline, *clips: Source, **mix: object) -> str:
        return soundtrack(laid, clips, Mix(**mix), FILM, tmp_path).name  # type: ignore[arg-type]  # any of its fields

    low, high = reel["low"], reel["high"]
    music = Sound("music", "/a/music.wav", "1234")
    wipe, slide = (film(2, Transition(kind, Fraction(1))) for kind in ("wipe", "slide"))
    known = {
        name(film(2), low, high),
        name(film(2), high, low),
        name(film(2), low, replace(high, gain=-3.0)),
        name(film(2), low, replace(high, gain=None)),
        name(wipe, low, high),
        name(film(2), low, high, loudness=-14.0),
        name(film(2), low, high, sounds=(music,)),
        name(film(2), low, high, sounds=(replace(music, sha256="5678"),)),
        name(film(2), low, high, sounds=(replace(music, shot="sh1"),)),
    }
    assert len(known) == 9
    assert name(wipe, low, high) == name(slide, low, high), "a wipe sounds like a slide"
    moved = name(film(2), low, high, sounds=(replace(music, path="/b/music.wav"),))
    assert moved in known, "a file may move"


def test_a_folder_that_cannot_be_made_is_disk_trouble(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskTrouble, match="Nothing that was paid for is lost"):
        list(soundtrack(film(1), [reel["low"]], Mix(), FILM, tmp_path / "file" / "kept").packets())


def test_a_track_that_fails_leaves_nothing_that_looks_whole(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    before, gone = threading.active_count(), replace(reel["high"], path=tmp_path / "gone.mp4")
    clips = [*[reel["noise"]] * 4, gone, reel["noise"]]
    with pytest.raises(Spoiled, match=r"gone\.mp4"):
        list(soundtrack(film(6), clips, Mix(), FILM, tmp_path).packets())
    assert threading.active_count() == before
    assert not list(tmp_path.glob(".part-*"))
    assert not list(tmp_path.glob("*.track"))


@settings(max_examples=15)
@given(cut=st.integers(1, 60), into=st.sampled_from(["cut", "fade", "dissolve"]), data=st.data())
def test_a_stretch_is_just_what_the_whole_film_has_there(
    reel: dict[str, Source], cut: int, into: str, data
) -> None:
    lead = Transition(into, Fraction(1, 3))
    edges = [(CUT, lead), (lead, CUT), (CUT, CUT)]
    laid = timeline([Item(f"s{n}", CLIP, 5, cut, *edge) for n, edge in enumerate(edges)], FILM.fps)
    score = Score(laid, [reel["high"], reel["low"], reel["noise"]], Mix(), FILM.fps, RATE)
    whole = np.concatenate(list(score.play()), axis=1)
    first = data.draw(st.integers(0, score.samples - 1))
    last = data.draw(st.integers(first + 1, score.samples))
    assert np.array_equal(score.stretch(first, last), whole[:, first:last])


def test_what_is_told_of_a_stretch_decides_how_it_sounds(reel: dict[str, Source]) -> None:
    """Or else a chunk of another film would be copied into this one."""
    leads = [CUT, *(Transition(kind, Fraction(1, 4)) for kind in ("fade", "dissolve"))]
    heard: dict[str, bytes] = {}
    met = 0
    for lead, first, count, gain in product(leads, (0, 7), (13, 24), (0.0, -6.0, None)):
        edges = [(CUT, lead), (lead, CUT)]
        items = [Item(f"s{n}", CLIP, first, count, *edge) for n, edge in enumerate(edges)]
        clips = [replace(reel["low"], gain=gain), reel["noise"]]
        score = Score(timeline(items, FILM.fps), clips, Mix(), FILM.fps, RATE)
        for begins, ends in ((0, 9600), (16000, 24000), (26000, 30000), (36000, 40000)):
            told = json.dumps(score.told(begins, ends))
            sound = score.stretch(begins, min(ends, score.samples)).tobytes()
            met += told in heard
            assert heard.setdefault(told, sound) == sound
    assert met > 20, "what is the same is known to be"


def test_two_loud_shots_that_cross_are_held_below_full_scale(tmp_path: Path) -> None:
    loud = "aevalsrc='0.98*sin(300*2*PI*t)|0.98*sin(300*2*PI*t)':s=48000:d=2"
    path = counting(tmp_path / "loud.mp4", *LOSSLESS, size="64x36", sound=loud)
    clips = [Source(path, probe(path), "loud")] * 2
    laid = film(2, Transition("dissolve", Fraction(1, 2)), frames=24)
    for blocks in (
        mixed(laid, clips, Mix(), FILM.fps, RATE),
        [written(soundtrack(laid, clips, Mix(), FILM, tmp_path), tmp_path / "track.m4a")],
    ):
        sound = np.concatenate(list(blocks), axis=1)
        assert 0.85 < np.abs(sound).max() < 0.95
    alone = np.concatenate(
        list(mixed(film(1, frames=24), clips[:1], Mix(), FILM.fps, RATE)), axis=1
    )
    assert np.abs(alone).max() > 0.97, "one alone is left as it is"


# Sound and picture


def clapped(folder: Path, fps: str, at: int, frames: int) -> Source:
    """Make a clip with a white frame, and a click that begins with it."""
    seconds = float(at / Fraction(fps))
    flash = (
        f"color=black:s=64x36:r={fps},format=yuv420p,geq=lum='if(eq(N,{at}),235,16)':cb=128:cr=128"
    )
    click = f"aevalsrc='if(between(t,{seconds},{seconds}+0.01),0.9,0)|0':s=48000:d=9"
    out = folder / "clap.mp4"
    inputs = ("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", click)
    ffmpeg(*inputs, "-frames:v", frames, "-shortest", *LOSSLESS, out)
    return Source(out, probe(out), "clap")


@pytest.mark.parametrize(
    ("fps", "count"),
    [("24", 4), ("30000/1001", 4), pytest.param("24000/1001", 120, marks=pytest.mark.long)],
)
def test_a_click_is_heard_with_its_flash_from_the_beginning_to_the_end(
    tmp_path: Path, fps: str, count: int
) -> None:
    """As ffmpeg's players see and hear it; the long film is one of ten minutes."""
    profile = replace(FILM, fps=Fraction(fps))
    clip = clapped(tmp_path, fps, 97, CLIP)
    laid = timeline([Item(f"sh{at}", CLIP, 0, CLIP) for at in range(count)], profile.fps)
    sound = soundtrack(laid, [clip] * count, Mix(), profile, tmp_path / "kept")
    out = tmp_path / "film.mp4"
    made = splice([Segment("sh", clip.path, clip.facts)] * count, profile, out, sound=sound)
    with av.open(str(out)) as file:
        lit = [
            frame.pts * frame.time_base
            for frame in file.decode(video=0)
            if np.frombuffer(memoryview(frame.planes[0]), np.uint8)[:64].mean() > 120
        ]
    heard = samples(out)[:, 0]
    loud = np.nonzero(heard > 0.3)[0]
    clicks = [loud[0], *(b for a, b in pairwise(loud) if b - a > RATE)]
    assert len(lit) == len(clicks) == count
    for flash, click in zip(lit, clicks, strict=True):
        assert abs(click / RATE - float(flash)) < 0.001
    assert len(heard) == sample_at(made.frames, profile.fps, RATE)


def test_chromium_hears_the_clicks_where_it_shows_the_flashes(tmp_path: Path) -> None:
    """Its own decoder, and its own reading of the silence that an encoder puts first."""
    if not Path(PROGRAM).exists():
        pytest.skip("there is no Chromium here")
    clip = clapped(tmp_path, "24", 97, CLIP)
    laid = film(2)
    sound = soundtrack(laid, [clip] * 2, Mix(), FILM, tmp_path / "kept")
    out = tmp_path / "film.mp4"
    splice([Segment("sh", clip.path, clip.facts)] * 2, FILM, out, sound=sound)
    data = base64.b64encode(out.read_bytes()).decode()
    page_file = tmp_path / "page.html"
    page_file.write_text(
        "<script>(async () => {"
        f"  const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt(0));"
        "  const heard = await new OfflineAudioContext(2, 1, 48000).decodeAudioData(bytes.buffer);"
        "  const wave = heard.getChannelData(0), clicks = [];"
        "  for (let at = 0; at < wave.length; at++)"
        "    if (wave[at] > 0.3) { clicks.push(at); at += 48000; }"
        "  window.found = {clicks, samples: wave.length};"
        "})().catch(error => window.found = {failed: String(error)});</script>"
    )
    with browsing(tmp_path / "profile") as page:
        page.open(page_file.as_uri())
        found = page.until("window.found")
    assert [
        abs(at - RATE * frame / 24) < 48
        for at, frame in zip(found["clicks"], (97, CLIP + 97), strict=True)
    ] == [True, True]
    assert abs(found["samples"] - 10 * RATE) <= 1024
