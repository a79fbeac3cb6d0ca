"""A programme is measured as the standard says, and levelled without going over its peak."""

from __future__ import annotations

import math
import re
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe

from secondunit.media.loudness import MOST_GAIN, Levels, levels, measured

RATE = 48000


def sine(decibels: float, seconds: float, hertz: float = 1000, rate: int = RATE) -> np.ndarray:
    """Play a tone whose peaks are so many dB below full scale, on both channels."""
    wave = 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def programme(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Make something like a scene: noise that swells, and a tone, different on both sides."""
    time = np.arange(int(seconds * rate)) / rate
    swell = 0.02 + np.abs(np.sin(time / 2)) ** 3
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return np.stack([swell * 0.2 * noise, swell * np.sin(2090 * time)]).astype(np.float32) * 0.7


def blocks(sound: np.ndarray, longest: int = 4800):
    return (sound[:, at : at + longest] for at in range(0, sound.shape[1], longest))


def levelled(sound: np.ndarray, found: Levels) -> np.ndarray:
    return np.concatenate(list(found.applied(blocks(sound))), axis=1)


def by_ffmpeg(sound: np.ndarray, rate: int = RATE) -> tuple[float, float]:
    """Ask ffmpeg's own meter for LUFS and dBTP."""
    command = [get_ffmpeg_exe(), "-nostdin", "-f", "f32le", "-ar", str(rate), "-ac", "2", "-i", "-"]
    command += ["-af", "ebur128=peak=true", "-f", "null", "-"]
    data = sound.T.astype(np.float32).tobytes()
    said = subprocess.run(command, input=data, capture_output=True, check=True).stderr.decode()
    summary = said[said.rindex("Summary") :]
    found = [re.search(rf"{name}:\s+(\S+) ", summary) for name in ("I", "Peak")]
    assert all(found)
    return float(found[0][1]), float(found[1][1])


# Measuring


@pytest.mark.parametrize("rate", [22050, 44100, 48000, 96000])
def test_the_measure_is_that_of_another_meter(rate: int) -> None:
    sound = programme(8, rate)
    found = measured(blocks(sound), rate)
    loudness, peak = by_ffmpeg(sound, rate)
    assert found.loudness == pytest.approx(loudness, abs=0.15)
    assert found.peak == pytest.approx(peak, abs=0.3)
    assert found.samples == sound.shape[1]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        # EBU Tech 3341, table 1, cases 1 to 5, shortened
        (((-23, 5),), -23.0),
        (((-33, 5),), -33.0),
        (((-36, 3), (-23, 15), (-36, 3)), -23.0),
        (((-72, 3), (-36, 3), (-23, 15), (-36, 3), (-72, 3)), -23.0),
        (((-26, 20), (-20, 20.1), (-26, 20)), -23.0),
    ],
)
def test_tones_are_as_loud_as_the_standard_says(
    steps: tuple[tuple[float, float], ...], says: float
) -> None:
    sound = np.concatenate([sine(*step) for step in steps], axis=1)
    assert measured(blocks(sound, 48000), RATE).loudness == pytest.approx(says, abs=0.1)


def test_a_peak_between_samples_is_found() -> None:
    """A quarter of the sample rate, an eighth of a turn late: every sample is 3 dB below the peak."""
    time = np.arange(RATE)
    wave = (np.sin(np.pi / 2 * time + np.pi / 4) * np.hanning(RATE)).astype(np.float32)
    found = measured(blocks(np.stack([wave, wave])), RATE)
    assert np.abs(wave).max() < 0.7072
    assert found.peak == pytest.approx(0.0, abs=0.1)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 20000), max_size=8))
def test_it_does_not_matter_how_a_programme_is_cut_into_blocks(cuts: list[int]) -> None:
    sound = programme(1.37)
    borders = sorted({0, *(cut for cut in cuts if cut < sound.shape[1]), sound.shape[1]})
    pieces = (sound[:, a:b] for a, b in pairwise(borders))
    one, other = measured(pieces, RATE), measured(blocks(sound), RATE)
    assert np.allclose(one.energies, other.energies, rtol=1e-6, atol=1e-12)
    assert np.allclose(one.peaks, other.peaks, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 3])
def test_silence_and_what_is_too_short_have_no_loudness(seconds: float) -> None:
    assert measured(blocks(sine(-200, seconds)), RATE).loudness is None
    assert measured(blocks(sine(-20, min(seconds, 0.3))), RATE).loudness is None


# Levelling


@pytest.mark.parametrize("target", [-23.0, -14.0])
@pytest.mark.parametrize("gain", [-30, 0, 10])
def test_a_programme_becomes_as_loud_as_asked_and_its_peak_stays_below(
    target: float, gain: float
) -> None:
    sound = programme(8) * np.float32(10 ** (gain / 20))
    found = levels(measured(blocks(sound), RATE), target, -1.0)
    loudness, peak = by_ffmpeg(levelled(sound, found))
    assert loudness == pytest.approx(target, abs=0.5)
    assert peak <= -0.9, "the other meter rounds to tenths"


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    bursts=st.lists(st.tuples(st.integers(0, 45000), st.floats(0.1, 8)), min_size=1, max_size=9),
    peak=st.floats(-9, 0),
)
def test_whatever_is_added_up_the_peak_is_kept(
    seed: int, bursts: list[tuple[int, float]], peak: float
) -> None:
    sound = 0.05 * np.random.default_rng(seed).standard_normal((2, RATE)).astype(np.float32)
    for at, factor in bursts:
        sound[:, at : at + 700] *= np.float32(factor)
    found = levels(measured(blocks(sound), RATE), None, peak)
    again = measured(blocks(levelled(sound, found)), RATE)
    assert again.peak <= peak + 0.02


def test_what_needs_no_limit_is_left_as_it_is() -> None:
    sound = programme(2)
    found = levels(measured(blocks(sound), RATE), None, 0.0)
    assert np.array_equal(levelled(sound, found), sound)


def test_the_limiter_holds_only_what_is_around_a_peak() -> None:
    sound = sine(-20, 4)
    sound[:, 96000:96100] *= 20
    after = levelled(sound, levels(measured(blocks(sound), RATE), None, -1.0))
    assert np.abs(after).max() <= 10 ** (-1 / 20)
    assert np.array_equal(after[:, :95000], sound[:, :95000])
    assert np.array_equal(after[:, -48000:], sound[:, -48000:]), "it has opened again"


def test_silence_stays_silence() -> None:
    sound = np.zeros((2, 2 * RATE), np.float32)
    found = levels(measured(blocks(sound), RATE), -14.0, -1.0)
    assert not levelled(sound, found).any()


def test_what_is_too_short_to_be_measured_comes_as_it_is() -> None:
    sound = sine(-20, 0.35)
    found = levels(measured(blocks(sound), RATE), -14.0, -1.0)
    assert np.array_equal(levelled(sound, found), sound)


def test_a_quiet_room_does_not_become_a_storm() -> None:
    sound = sine(-60, 3)
    found = levels(measured(blocks(sound), RATE), -14.0, -1.0)
    assert found.gain == MOST_GAIN
    assert math.isclose(np.abs(levelled(sound, found)).max(), 10 ** (-30 / 20), rel_tol=1e-3)
