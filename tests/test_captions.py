"""What is said, as captions: every word, readable, in time, and in files that others understand."""

from __future__ import annotations

import unicodedata
from fractions import Fraction
from typing import TYPE_CHECKING

import pysubs2
import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as some

from secondunit.cut.edit import Line
from secondunit.splice.captions import (
    LINES,
    READ,
    SHORTEST,
    WIDEST,
    Cue,
    in_order,
    srt,
    timed,
    vtt,
    write,
)
from secondunit.splice.typesetting import blank, cells

if TYPE_CHECKING:
    from pathlib import Path

SHOT = Fraction(10)
LONG = (
    "The glass is cracked, the oil is low, and there's a ship out there that doesn't know what it"
    " is sailing towards. Somebody has to stay awake until the dawn. I will."
)

times = some.fractions(0, 12, max_denominator=24)
texts = some.text(max_size=200) | some.sampled_from(
    [LONG, "Yes.", "字幕" * 40, "1984", "-->", "a <b>bold</b> {\\an8}move"]
)
lines = some.builds(
    Line, texts, some.sampled_from(["", "Ann", "Old Man"]), some.none() | times,
    some.none() | some.fractions(Fraction(1, 24), 12, max_denominator=24),
)  # fmt: skip
dialogues = some.lists(lines, max_size=6)
lengths = some.fractions(Fraction(1, 24), 60, max_denominator=24)


def words(text: str) -> str:
    """Boil a text down to what can be seen of it."""
    return "".join(char for char in unicodedata.normalize("NFC", text) if not blank(char))


@settings(max_examples=40)
@given(dialogues, lengths)
def test_captions_lie_in_the_shot_one_after_the_other(
    dialogue: list[Line], seconds: Fraction
) -> None:
    at = Fraction(0)
    for cue in timed(dialogue, seconds):
        assert cue.start >= at
        assert cue.seconds > 0
        at = cue.end
    assert at <= seconds


@settings(max_examples=40)
@given(dialogues, lengths)
def test_a_caption_has_at_most_two_lines_of_42_characters(
    dialogue: list[Line], seconds: Fraction
) -> None:
    for cue in timed(dialogue, seconds):
        assert 1 <= len(cue.lines) <= LINES
        assert all(0 < cells(line) <= WIDEST for line in cue.lines)


@settings(max_examples=40)
@given(some.lists(texts.filter(lambda text: "\u0300" not in text), max_size=5), lengths)
def test_every_word_is_shown_and_in_order(said: list[str], seconds: Fraction) -> None:
    cues = timed([Line(text) for text in said], seconds)
    shown = words("".join("".join(cue.lines) for cue in cues))
    if not any(unicodedata.category(char)[0] == "M" for char in "".join(said)):
        assert shown == words("".join(said))


@given(some.lists(some.sampled_from(["Yes.", "I will.", LONG]), min_size=1, max_size=6), lengths)
def test_lines_without_times_share_the_whole_shot(said: list[str], seconds: Fraction) -> None:
    cues = timed([Line(text) for text in said], seconds)
    assert cues[0].start == 0
    assert sum((cue.seconds for cue in cues), Fraction(0)) == seconds
    least = [max(SHORTEST, Fraction(sum(map(cells, cue.lines)), READ)) for cue in cues]
    if sum(least) <= seconds:
        assert all(cue.seconds >= time for cue, time in zip(cues, least, strict=True))


def test_the_time_is_shared_in_proportion_to_length() -> None:
    one, two = timed([Line("a" * 10), Line("b" * 30)], SHOT)
    assert (one.seconds, two.seconds) == (Fraction(10, 4), Fraction(30, 4))


def test_a_line_is_shown_when_it_is_said() -> None:
    cues = timed(
        [
            Line("First."),
            Line("Second.", start=Fraction(3), seconds=Fraction(2)),
            Line("Third.", start=Fraction(7)),
        ],
        SHOT,
    )
    assert [(cue.start, cue.end) for cue in cues] == [(0, 3), (3, 5), (7, 10)]


def test_a_line_is_gone_when_the_next_one_begins() -> None:
    long, short = timed([Line("One.", start=Fraction(1), seconds=Fraction(8)),
                         Line("Two.", start=Fraction(4))], SHOT)  # fmt: skip
    assert (long.start, long.end) == (1, 4)
    assert (short.start, short.end) == (4, 10)


def test_two_lines_for_one_moment_follow_each_other() -> None:
    one, two = timed([Line("Who?", start=Fraction(4)), Line("Me.", start=Fraction(4))], SHOT)
    assert one.start == 4
    assert one.end == two.start
    assert two.end == 10


def test_a_line_after_the_end_is_shown_at_the_end() -> None:
    (late,) = timed([Line("Too late.", start=Fraction(30))], SHOT)
    assert (late.start, late.end) == (10 - SHORTEST, 10)


def test_a_long_line_is_divided_between_its_sentences() -> None:
    cues = timed([Line(LONG, "Ann")], Fraction(20))
    assert [cue.lines[-1][-1] for cue in cues] == [",", ".", "."]
    assert [cue.continued for cue in cues] == [False, True, True]
    assert {cue.speaker for cue in cues} == {"Ann"}


@pytest.mark.parametrize(
    "text", ["word " * 2000, "x" * 10_000, "字" * 10_000, "e" + "\u0301" * 10_000, "\x00\x1b\n\n"]
)
def test_no_text_is_too_long(text: str) -> None:
    cues = timed([Line(text, text)], SHOT)
    assert srt(cues).count(" --> ") == vtt(cues).count(" --> ") == len(cues)


def test_nothing_said_is_no_caption() -> None:
    assert (
        timed([], SHOT) == timed([Line(" \n\u200b")], SHOT) == timed([Line("a")], Fraction(0)) == ()
    )


def test_a_caption_burnt_in_lasts_as_long() -> None:
    (cue,) = timed([Line("Yes.", start=Fraction(2), seconds=Fraction(3))], SHOT)
    lettering = cue.lettering
    assert (lettering.kind, lettering.lines) == ("caption", ("Yes.",))
    assert (lettering.start, lettering.seconds) == (2, 3)


def test_shots_that_overlap_do_not_make_captions_overlap() -> None:
    first = Cue(Fraction(8), Fraction(2), ("One.",))
    second = Cue(Fraction(0), Fraction(3), ("Two.",)).later(Fraction(9))
    assert [(cue.start, cue.end) for cue in in_order([second, first])] == [(8, 9), (9, 12)]


def test_subrip_names_who_begins_to_speak() -> None:
    text = srt([
        Cue(Fraction(1), Fraction(2), ("I will.",), "Ann"),
        Cue(Fraction(3661), Fraction(5, 3), ("And I", "will, too."), "Ann", continued=True),
    ])  # fmt: skip
    assert text == (
        "1\n00:00:01,000 --> 00:00:03,000\nANN: I will.\n\n"
        "2\n01:01:01,000 --> 01:01:02,667\nAnd I\nwill, too.\n"
    )


def test_webvtt_gives_everyone_a_voice() -> None:
    text = vtt([Cue(Fraction(1), Fraction(2), ("I <will> & --> do.",), "Ann & <Bob>")])
    assert text == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n"
        "<v Ann &amp; &lt;Bob&gt;>I &lt;will&gt; &amp; --&gt; do.\n"
    )


@settings(max_examples=40)
@given(dialogues, lengths)
def test_other_programs_read_the_same_captions(dialogue: list[Line], seconds: Fraction) -> None:
    cues = timed(dialogue, seconds)
    subrip = pysubs2.SSAFile.from_string(srt(cues), "srt") if cues else []
    web = webvtt.from_string(vtt(cues))
    assert len(subrip) == len(web) == len(cues)
    for cue, theirs, webs in zip(cues, subrip, web, strict=True):
        assert abs(theirs.start - cue.start * 1000) <= 1
        assert abs(webs.start_in_seconds - cue.start) <= 1
        assert webs.voice == (cue.speaker or None)
        name = f"{cue.speaker.upper()}: " if cue.speaker else ""
        said = theirs.plaintext.removeprefix(name)
        same = str.maketrans("<>‹›{}()→-", " " * 10)
        assert words(said.translate(same)) == words("".join(cue.lines).translate(same))
        assert len(webs.text.splitlines()) == len(cue.lines)


def test_captions_lie_beside_the_film(tmp_path: Path) -> None:
    film = tmp_path / "teaser.mp4"
    cues = timed([Line("Où es-tu ?", "Ann")], SHOT)
    assert write(film, cues) == (tmp_path / "teaser.srt", tmp_path / "teaser.vtt")
    assert (tmp_path / "teaser.srt").read_bytes().decode("utf-8") == srt(cues)
    assert (tmp_path / "teaser.vtt").read_bytes().decode("utf-8") == vtt(cues)
    assert write(film, ()) == ()
    assert len(list(tmp_path.iterdir())) == 2
