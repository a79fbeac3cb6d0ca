"""The film's sound: each shot's at its frames, music and voices where they belong, nothing over."""

from __future__ import annotations

import resource
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from footage import ffmpeg, tone
from hypothesis import given, settings
from hypothesis import strategies as st
from splicing import laid_out, sounding

from secondunit.cut import sample_at
from secondunit.cut.edit import CUT, Mix, Sound, Transition
from secondunit.cut.timeline import Item, Timeline, timeline
from secondunit.errors import CutError, Spoiled
from secondunit.splice.mix import Source, mixed, parts, sounds

if TYPE_CHECKING:
    from collections.abc import Sequence

FPS = Fraction(24)
RATE = 48000
FRAMES = 48
SECOND = Fraction(1)


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """Two seconds each: tones of two pitches, noise, and no sound at all."""
    folder = tmp_path_factory.mktemp("reel")
    heard = {
        "low": tone(300, 2),
        "high": tone(900, 2),
        "noise": "aevalsrc='2*random(0)-1|2*random(1)-1':s=48000:d=2",
        "mute": "",
    }
    return sounding(folder, heard, FRAMES)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sound files: music of 2 s, a voice of 1 s."""
    folder = tmp_path_factory.mktemp("shelf")
    ffmpeg("-f", "lavfi", "-i", tone(1000, 2), folder / "music.wav")
    ffmpeg("-f", "lavfi", "-i", tone(200, 1), folder / "voice.wav")
    return {name: folder / f"{name}.wav" for name in ("music", "voice")}


film = partial(laid_out, frames=FRAMES, fps=FPS)


def play(
    laid: Timeline, sources: Sequence[Source], *laid_under: Sound, fps: Fraction = FPS, **mix: float
) -> np.ndarray:
    """Mix a film: (2, samples)."""
    blocks = list(mixed(laid, sources, Mix(tuple(laid_under), **mix), fps, RATE))
    assert all(0 < block.shape[1] <= RATE // 10 for block in blocks)
    assert all(block.dtype == np.float32 for block in blocks)
    return np.concatenate(blocks, axis=1)


def under(path: Path, kind: str = "music", **how: object) -> Sound:
    return Sound(kind, str(path), path.name, **how)  # type: ignore[arg-type]  # any of its fields


def level(sound: np.ndarray, hertz: float) -> float:
    """Find how strong a tone is in a piece of sound: its amplitude."""
    turn = np.exp(-2j * np.pi * hertz * np.arange(sound.shape[1]) / RATE)
    return float(2 * np.abs((sound[0] * turn).mean()))


def during(sound: np.ndarray, start: float, stop: float) -> np.ndarray:
    return sound[:, round(start * RATE) : round(stop * RATE)]


def decibels(factor: float) -> float:
    return float(20 * np.log10(factor))


# Shots


SHOT = st.tuples(st.integers(0, 30), st.integers(1, 60), st.integers(0, 30))
KINDS = st.sampled_from(["cut", "fade", "dissolve", "wipe", "slide", "dip"])
Drawn = tuple[tuple[int, int, int], str]
RATES = st.sampled_from([FPS, Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25)])


def items_of(shots: Sequence[Drawn]) -> list[Item]:
    """Return what is drawn as items: frames before, of and after each, and what leads to it."""
    leads = [Transition(kind, Fraction(1, 2)) for _, kind in shots[1:]]
    edges = zip([CUT, *leads], [*leads, CUT], strict=True)
    return [
        Item(f"s{at}", before + count + after, before, count, *edge)
        for at, (((before, count, after), _), edge) in enumerate(zip(shots, edges, strict=True))
    ]


@settings(max_examples=15)
@given(shots=st.lists(st.tuples(SHOT, KINDS), min_size=1, max_size=6), fps=RATES, data=st.data())
def test_the_sound_is_as_long_as_the_film_to_the_sample(
    reel: dict[str, Source], shots: list[Drawn], fps: Fraction, data
) -> None:
    laid = timeline(items := items_of(shots), fps)
    sources = [reel[data.draw(st.sampled_from(["low", "mute"]))] for _ in items]
    assert play(laid, sources, fps=fps).shape == (2, sample_at(laid.frames, fps, RATE))


@settings(max_examples=100)
@given(st.lists(st.tuples(SHOT, KINDS), min_size=1, max_size=8))
def test_every_item_is_heard_in_just_the_frames_in_which_it_is_seen(
    shots: list[Drawn],
) -> None:
    laid = timeline(items_of(shots), FPS)
    seen: dict[int, dict[int, int]] = {}
    for piece in laid.pieces:
        for show in filter(None, (piece.below, piece.above)):
            frames = seen.setdefault(show.item, {})
            frames |= {piece.start + k: show.first + k for k in range(piece.frames)}
    found = {
        part.item: {part.start + k: part.first + k for k in range(part.stop - part.start)}
        for part in parts(laid)
    }
    assert found == seen


def test_each_shot_is_heard_from_its_first_sample_to_its_last(reel: dict[str, Source]) -> None:
    sound = play(film(3), [reel["low"], reel["mute"], reel["high"]])
    assert level(during(sound, 0.1, 1.9), 300) == pytest.approx(0.25, abs=0.002)
    assert not during(sound, 2.01, 4).any()
    assert level(during(sound, 4.1, 5.9), 900) == pytest.approx(0.25, abs=0.002)


def test_a_film_of_hard_cuts_sounds_as_its_clips_do(reel: dict[str, Source]) -> None:
    sound = play(film(1), [reel["noise"]])
    alone = play(film(2), [reel["noise"], reel["mute"]])
    assert np.array_equal(during(sound, 0.01, 1.9), during(alone, 0.01, 1.9))
    assert np.abs(sound).max() > 0.95, "nothing was levelled"


def test_a_cut_through_one_continuous_sound_is_not_heard(reel: dict[str, Source]) -> None:
    whole = play(film(1), [reel["low"]])
    items = [Item("a", FRAMES, 0, 19), Item("b", FRAMES, 19, FRAMES - 19)]
    assert np.array_equal(play(timeline(items, FPS), [reel["low"]] * 2), whole)


@pytest.mark.parametrize("other", ["mute", "low"])
def test_a_hard_cut_does_not_click(reel: dict[str, Source], other: str) -> None:
    """A tone that is cut off at its crest, by silence or by its own beginning."""
    fps = Fraction(2000, 83)  # five frames are 62 turns and a quarter
    laid = timeline([Item("a", FRAMES, 0, 5), Item("b", FRAMES, 0, 10)], fps)
    sound = play(laid, [reel["low"], reel[other]], fps=fps)
    around = sound[0, 9000:12000]
    sharp = np.abs(np.diff(around, n=2)).max()
    own = (2 * np.pi * 300 / RATE) ** 2 * 0.25
    assert sharp < 40 * own, "a step of 0.25 would be 650 times as sharp as the tone itself"


def test_gains_and_muting(reel: dict[str, Source]) -> None:
    softer, muted = replace(reel["low"], gain=-6.0), replace(reel["low"], gain=None)
    sound = play(film(2), [softer, muted])
    assert decibels(level(during(sound, 0.1, 1.9), 300) / 0.25) == pytest.approx(-6, abs=0.05)
    assert not during(sound, 2.01, 4).any()
    assert sounds([softer], Mix())
    assert not sounds([muted, reel["mute"]], Mix())


def test_what_is_raised_stays_below_the_peak(reel: dict[str, Source]) -> None:
    sound = play(film(1), [replace(reel["low"], gain=20.0)], peak=-1.0)
    assert 0.8 < np.abs(sound).max() <= 10 ** (-1 / 20)


@pytest.mark.parametrize("kind", ["dissolve", "wipe", "slide", "dip"])
@pytest.mark.parametrize("handle", [0, 12])
def test_two_shots_cross_with_equal_power(reel: dict[str, Source], kind: str, handle: int) -> None:
    laid = film(2, Transition(kind, SECOND), handle=handle)
    sound = play(laid, [reel["low"], reel["high"]])
    power = [float((b**2).mean()) for b in np.array_split(sound, laid.frames, axis=1)]
    assert np.allclose(power[1:-1], 0.25**2 / 2, rtol=0.08)
    middle = laid.frames / 2 / 24
    both = during(sound, middle - 0.05, middle + 0.05)
    for hertz in (300, 900):
        assert decibels(level(both, hertz) / 0.25) == pytest.approx(-3, abs=0.3)
    assert level(during(sound, 0.1, 0.4), 900) < 0.001
    assert level(during(sound, laid.frames / 24 - 0.4, laid.frames / 24 - 0.1), 300) < 0.001


def test_a_fade_is_silent_in_its_middle(reel: dict[str, Source]) -> None:
    sound = play(film(2, Transition("fade", SECOND)), [reel["low"], reel["high"]])
    assert np.abs(during(sound, 1.99, 2.01)).max() < 0.001
    assert level(during(sound, 1.45, 1.55), 300) == pytest.approx(0.125, abs=0.01)
    assert level(during(sound, 2.45, 2.55), 900) == pytest.approx(0.125, abs=0.01)
    assert level(during(sound, 0.1, 0.9), 300) == pytest.approx(0.25, abs=0.002)


# Music and voices


def test_two_sounds_together_are_the_sum_of_both(
    reel: dict[str, Source], shelf: dict[str, Path]
) -> None:
    music = under(shelf["music"], gain=-12.0, start=Fraction(1, 3))
    voice = under(shelf["voice"], "voice_over", gain=-12.0, start=SECOND)
    laid, mute = film(2), [reel["mute"]] * 2
    both = play(laid, mute, music, voice)
    assert np.allclose(both, play(laid, mute, music) + play(laid, mute, voice), atol=1e-6)
    over = play(laid, [reel["low"], reel["high"]], music)
    clips = play(laid, [reel["low"], reel["high"]])
    assert np.allclose(over, clips + play(laid, mute, music), atol=1e-6)


def test_a_sound_begins_and_ends_where_it_is_put(
    reel: dict[str, Source], shelf: dict[str, Path]
) -> None:
    sound = play(
        film(3), [reel["mute"]] * 3,
        under(shelf["music"], shot="sh1", start=Fraction(1, 2), seconds=SECOND),
    )  # fmt: skip
    heard = np.nonzero(np.abs(sound[0]) > 1e-4)[0]
    assert abs(int(heard[0]) - 2.5 * RATE) < 48
    assert abs(int(heard[-1]) - 3.5 * RATE) < 48
    assert level(during(sound, 2.6, 3.4), 1000) == pytest.approx(0.25, abs=0.002)


def test_a_sound_may_begin_before_the_film_and_in_its_own_middle(
    reel: dict[str, Source], tmp_path: Path
) -> None:
    rising = tmp_path / "rising.wav"
    ffmpeg("-f", "lavfi", "-i", "aevalsrc=t/10:s=48000:d=2", "-c:a", "pcm_f32le", rising)
    laid, mute = film(1), [reel["mute"]]
    ahead = play(laid, mute, under(rising, start=Fraction(-1, 2)))
    since = play(laid, mute, under(rising, since=Fraction(1, 2)))
    mono = np.sqrt(0.5)  # one channel spread over two keeps its loudness
    assert ahead[0, 4800] == pytest.approx(0.06 * mono, abs=1e-4)
    assert np.allclose(ahead[:, 480:], since[:, 480:], atol=1e-4)


def test_a_sound_comes_in_and_goes_as_slowly_as_asked(
    reel: dict[str, Source], shelf: dict[str, Path]
) -> None:
    slow = under(shelf["music"], fade_in=SECOND, fade_out=Fraction(1, 2))
    sound = play(film(1), [reel["mute"]], slow)
    halves = [level(during(sound, at - 0.01, at + 0.01), 1000) for at in (0.5, 1.2, 1.75)]
    assert halves == pytest.approx([0.125, 0.25, 0.125], abs=0.01)
    assert np.abs(sound[:, :10]).max() < 0.001
    assert np.abs(sound[:, -10:]).max() < 0.001


def test_a_loop_goes_on_to_the_end_without_a_gap(
    reel: dict[str, Source], shelf: dict[str, Path]
) -> None:
    sound = play(film(4), [reel["mute"]] * 4, under(shelf["voice"], loop=True))
    power = [float((b**2).mean()) for b in np.array_split(sound[:, : 7 * RATE], 70, axis=1)]
    assert min(power) > 0.7 * max(power) > 0
    once = play(film(4), [reel["mute"]] * 4, under(shelf["voice"]))
    assert not during(once, 1.01, 8).any()


def test_a_sound_of_a_shot_that_is_not_in_the_film_is_left_out(
    reel: dict[str, Source], shelf: dict[str, Path]
) -> None:
    assert not play(film(1), [reel["mute"]], under(shelf["music"], shot="sh9")).any()


def test_music_gives_way_to_a_voice(reel: dict[str, Source], shelf: dict[str, Path]) -> None:
    music = under(shelf["music"], loop=True, ducked=12.0)
    voice = under(shelf["voice"], "voice_over", start=Fraction(3))
    sound = play(film(4), [reel["mute"]] * 4, music, voice)
    full = level(during(sound, 2.2, 2.6), 1000)
    assert full == pytest.approx(0.25, abs=0.002), "nothing is taken long before"
    spoken = level(during(sound, 3.05, 3.75), 1000)
    assert decibels(spoken / full) == pytest.approx(-12, abs=0.2)
    coming = [level(during(sound, at, at + 0.02), 1000) for at in (2.82, 2.88, 2.94, 3.0)]
    assert coming == sorted(coming, reverse=True)
    assert coming[-2] < 0.4 * full, "it has given way as the voice begins"
    back = [level(during(sound, at, at + 0.02), 1000) for at in (4.25, 4.5, 4.75, 5.0)]
    assert back == sorted(back)
    assert back[-1] == pytest.approx(full, abs=0.01)
    assert level(during(sound, 3.1, 3.7), 200) == pytest.approx(0.25, abs=0.002)


def test_without_a_voice_nothing_gives_way(reel: dict[str, Source], shelf: dict[str, Path]) -> None:
    music = under(shelf["music"], gain=-6.0)
    laid, mute = film(1), [reel["mute"]]
    assert np.array_equal(play(laid, mute, replace(music, ducked=20.0)), play(laid, mute, music))


def test_a_film_is_as_loud_as_asked(reel: dict[str, Source], shelf: dict[str, Path]) -> None:
    from secondunit.media.loudness import measured

    laid, clips = film(2), [reel["low"], reel["noise"]]
    for target in (-23.0, -14.0):
        sound = play(laid, clips, under(shelf["music"]), loudness=target)
        found = measured(iter([sound]), RATE)
        assert found.loudness == pytest.approx(target, abs=0.5)
        assert found.peak <= -1.0


# What cannot be


def test_a_sound_that_begins_behind_its_end_is_one_sentence(
    reel: dict[str, Source], shelf: dict[str, Path]
) -> None:
    with pytest.raises(CutError, match=r"music\.wav is 2 s long, .* from 3 s on"):
        play(film(1), [reel["mute"]], under(shelf["music"], since=Fraction(3)))


def test_a_sound_file_that_is_none_is_one_sentence(reel: dict[str, Source], tmp_path: Path) -> None:
    page = tmp_path / "music.mp3"
    page.write_text("<!doctype html><p>404")
    with pytest.raises(Spoiled, match="is not a playable sound file: it is a web page"):
        play(film(1), [reel["mute"]], under(page))


# Size


def test_only_what_is_heard_is_open(reel: dict[str, Source], shelf: dict[str, Path]) -> None:
    laid = film(8, Transition("dissolve", Fraction(1, 4)))
    before = _open_files()
    most = 0
    music = under(shelf["music"], loop=True)
    for _ in mixed(laid, [reel["low"]] * 8, Mix((music,)), FPS, RATE):
        most = max(most, _open_files() - before)
    assert most <= 3
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.long
def test_ten_minutes_take_little_memory(reel: dict[str, Source], shelf: dict[str, Path]) -> None:
    laid = film(300)
    mix = Mix((under(shelf["music"], loop=True),), loudness=-14.0)
    for _ in mixed(film(3), [reel["low"]] * 3, mix, FPS, RATE):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(b.shape[1] for b in mixed(laid, [reel["low"]] * 300, mix, FPS, RATE))
    assert count == 600 * RATE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 40
