"""Words brought into lines: nothing lost, nothing torn, as even as can be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from secondunit.splice.typesetting import (
    cells,
    clean,
    clusters,
    leftward,
    pieces,
    shortened,
    wrap,
)

words = some.text("abcdefgh -–/", max_size=120) | some.text(
    "漢字、。「」 é👩🏽\u200d🚀🇩🇪", max_size=60
)


@given(words, some.integers(2, 60))
def test_a_wrapped_text_fits_and_is_whole(text: str, room: int) -> None:
    lines = wrap(text, room, cells)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(0 < cells(line) <= room or len(clusters(line)) == 1 for line in lines)


@given(some.lists(some.text("abcdef", min_size=1, max_size=9), min_size=1, max_size=30))
def test_a_text_is_wrapped_into_as_few_lines_as_can_be_and_those_are_even(said: list[str]) -> None:
    lines, greedy = wrap(" ".join(said), 20, cells), [""]
    for word in said:
        if greedy[-1] and len(greedy[-1]) + 1 + len(word) > 20:
            greedy.append("")
        greedy[-1] = f"{greedy[-1]} {word}".strip()
    assert len(lines) == len(greedy)
    assert max(map(len, lines)) <= max(map(len, greedy))


def test_lines_are_even() -> None:
    assert wrap("one two three four", 15, cells) == ["one two", "three four"]


def test_a_first_line_leaves_room_for_a_name() -> None:
    assert wrap("seventeen letters", 17, cells) == ["seventeen letters"]
    assert wrap("seventeen letters", 17, cells, indent=2) == ["seventeen", "letters"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one two", ["one ", "two"]),
        ("well-known 5-3", ["well-", "known ", "5-3"]),
        ("où\u00a0? là", ["où\u00a0? ", "là"]),
        ("これは。", ["こ", "れ", "は。"]),
        ("「ああ」", ["「あ", "あ」"]),
    ],
)
def test_a_line_breaks_where_readers_expect_it(text: str, parts: list[str]) -> None:
    assert pieces(text) == parts


@pytest.mark.parametrize("one", ["é", "e\u0301", "👩🏽\u200d🚀", "🇩🇪", "☃\ufe0f", "ก็"])
def test_what_is_seen_as_one_is_not_torn(one: str) -> None:
    assert clusters(one * 3) == [one] * 3


def test_what_cannot_be_seen_is_left_out() -> None:
    assert clean("a\x00b\x1b[0m\tc\u202ed\u2066") == ("a b [0m cd",)
    assert clean("one\r\n\n \u200b\ntwo\u2028three") == ("one", "two", "three")
    assert clean("e" + "\u0301" * 50) == ("é" + "\u0301" * 4,)
    assert clean("\ud800a") == ("?a",)


def test_a_text_beyond_all_measure_is_shortened() -> None:
    (line,) = clean("x" * 1_000_000)
    assert len(line) == 2000
    assert line.endswith("x…")


@given(words, some.integers(1, 30))
def test_a_shortened_text_fits(text: str, room: int) -> None:
    short = shortened(text, room, cells)
    assert cells(short) <= room
    assert short == text or not short or short.endswith("…")


def test_the_first_letter_tells_the_direction() -> None:
    assert leftward("123 – שלום hello")
    assert leftward("مرحبا")
    assert not leftward("hello שלום")
    assert not leftward("123")
