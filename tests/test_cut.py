"""The cut's arithmetic: whole frames, nothing lost, nothing twice."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondunit.cut import (
    Entry,
    Profile,
    Trim,
    frame_counter,
    lay,
    length,
    nearest,
    sample_at,
    total,
    trimmed,
)
from secondunit.errors import CutError

RATES = st.sampled_from(
    [Fraction(24), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
)
ENTRIES = st.lists(st.builds(Entry, st.text(min_size=1), st.integers(1, 10_000)), max_size=80)


@given(ENTRIES)
def test_clips_lie_end_to_end_and_the_film_is_their_sum(entries: list[Entry]) -> None:
    placed = lay(entries)
    assert [p.shot for p in placed] == [e.shot for e in entries]
    frames = [frame for p in placed for frame in range(p.start, p.start + p.frames)]
    assert frames == list(range(total(entries)))


def test_a_clip_without_frames_names_its_shot() -> None:
    with pytest.raises(CutError, match="sh020"):
        lay([Entry("sh010", 5), Entry("sh020", 0)])


@given(st.fractions(-1000, 1000))
def test_nearest_is_never_more_than_half_away(value: Fraction) -> None:
    assert abs(nearest(value) - value) <= Fraction(1, 2)
    assert nearest(value + 1) == nearest(value) + 1


@given(st.integers(1, 100_000), RATES)
def test_length_undoes_duration(frames: int, fps: Fraction) -> None:
    assert length(frames / fps, fps) == frames


@given(ENTRIES, RATES, st.sampled_from([22050, 44100, 48000]))
def test_sound_never_drifts_from_the_picture(
    entries: list[Entry], fps: Fraction, rate: int
) -> None:
    """After any number of joins the sound is within half a sample of the frame."""
    for placed in lay(entries):
        exact = placed.start / fps * rate
        assert abs(sample_at(placed.start, fps, rate) - exact) <= Fraction(1, 2)


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.fractions(-9, 9), RATES)
def test_frames_are_counted_as_if_by_fractions(
    ticks: int, second: int, start: Fraction, fps: Fraction
) -> None:
    count = frame_counter(Fraction(1, second), start, fps)
    assert count(ticks) == nearest((Fraction(ticks, second) - start) * fps)


@given(
    st.integers(1, 5000),
    RATES,
    st.fractions(0, 200, max_denominator=1000),
    st.none() | st.fractions(0, 200, max_denominator=1000),
)
def test_a_trim_stays_inside_the_clip_or_says_why(
    frames: int, fps: Fraction, start: Fraction, end: Fraction | None
) -> None:
    try:
        first, count = trimmed(frames, fps, Trim(start, end))
    except CutError:
        beyond = start * fps + Fraction(1, 2) >= frames or (
            end is not None and end * fps - Fraction(1, 2) > frames
        )
        empty = end is not None and end - start < 1 / fps
        assert beyond or empty
    else:
        assert 0 <= first < first + count <= frames
        assert abs(first / fps - start) <= 1 / (2 * fps)


@given(st.integers(1, 5000), RATES)
def test_no_trim_is_the_whole_clip(frames: int, fps: Fraction) -> None:
    assert trimmed(frames, fps, Trim()) == (0, frames)
    assert trimmed(frames, fps, Trim(Fraction(0), frames / fps)) == (0, frames)


@given(st.integers(2, 2000), RATES, st.data())
def test_a_clip_cut_in_two_gives_all_its_frames(frames: int, fps: Fraction, data) -> None:
    at = data.draw(st.integers(1, frames - 1)) / fps
    first = trimmed(frames, fps, Trim(end=at))
    second = trimmed(frames, fps, Trim(start=at))
    assert first[0] + first[1] == second[0]
    assert second[0] + second[1] == frames


@pytest.mark.parametrize(
    ("trim", "says"),
    [
        (Trim(Fraction(6)), "reaches outside the clip, which is 5 s long"),
        (Trim(end=Fraction(9)), "0–9 s reaches outside"),
        (Trim(Fraction(-1)), "reaches outside"),
        (Trim(Fraction(2), Fraction(2)), "leaves no frame"),
        (Trim(Fraction(3), Fraction(2)), "leaves no frame"),
    ],
)
def test_an_impossible_trim_is_one_sentence_with_the_way_out(trim: Trim, says: str) -> None:
    with pytest.raises(CutError, match=says) as caught:
        trimmed(120, Fraction(24), trim)
    assert "Change `trim`" in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(0, 720), (1281, 720), (1280, 719), (-2, 2)])
def test_a_film_of_impossible_size_is_refused(width: int, height: int) -> None:
    with pytest.raises(CutError, match="even"):
        Profile(width, height, Fraction(24))


def test_a_film_without_speed_is_refused() -> None:
    with pytest.raises(CutError, match="above 0"):
        Profile(1280, 720, Fraction(0))
