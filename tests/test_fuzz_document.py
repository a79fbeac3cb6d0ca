"""Ten thousand damaged shot lists: each is read or refused in sentences, quickly, with a place."""

from __future__ import annotations

import random
import re
import time

import pytest
from mutate import INJURIES, SHOT_LISTS, mutations

from secondunit import document
from secondunit.document import READER_FAULT, Document
from secondunit.errors import SpecError

CASES = 10_000
SLOW = 0.1  # seconds of processor time


def judge(read) -> tuple[Document | SpecError, float]:
    """Read, and return what came of it with the processor seconds that it took."""
    start = time.process_time()
    try:
        outcome: Document | SpecError = read()
    except SpecError as error:
        outcome = error
    return outcome, time.process_time() - start


def quickest(read) -> tuple[Document | SpecError, float]:
    """Judge again what seemed slow: a pause of the collector is not the reader's."""
    outcome, seconds = judge(read)
    for _ in range(3):
        if seconds < SLOW:
            break
        seconds = min(seconds, judge(read)[1])
    return outcome, seconds


def assert_places_are_in_the_file(error: SpecError, data: bytes) -> None:
    lines = re.split(r"\r\n|\r|\n", data.decode("utf-8", "replace").removeprefix("\ufeff"))
    assert error.problems
    for problem in error.problems:
        assert 1 <= problem.line <= len(lines), problem
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
        line = lines[problem.line - 1]
        assert problem.source in ("", document.showable(line[: document.MAX_SHOWN])), problem
        assert 1 <= problem.width <= max(1, len(line) - problem.column + 1), problem
        assert problem.code != READER_FAULT, problem
        assert problem.message
        assert "\x1b" not in str(problem)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.covers("G6", "S5")
def test_damaged_shot_lists_are_read_or_refused_in_sentences(part, tmp_path):
    file = tmp_path / "hurt.yaml"
    outcomes = {Document: 0, SpecError: 0}
    for data in mutations(SHOT_LISTS, CASES // 4, seed=part):
        file.write_bytes(data)
        outcome, seconds = quickest(lambda: document.read(file))
        assert seconds < SLOW, data
        outcomes[type(outcome)] += 1
        if isinstance(outcome, SpecError):
            assert_places_are_in_the_file(outcome, data)
        else:
            assert plain(outcome.data)
    assert min(outcomes.values()) > CASES // 40, "a fuzzer that only breaks, or never, finds little"


def plain(value: object) -> bool:
    """Tell whether nothing but plain data is inside."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_bytes_of_no_kind_are_refused_too(tmp_path):
    dice = random.Random(7)
    file = tmp_path / "noise.yaml"
    for _ in range(500):
        data = dice.randbytes(dice.randint(0, 400))
        file.write_bytes(data)
        outcome, seconds = quickest(lambda: document.read(file))
        assert seconds < SLOW
        if isinstance(outcome, SpecError):
            assert_places_are_in_the_file(outcome, data)


@pytest.mark.parametrize("injury", INJURIES, ids=lambda injury: injury.__name__)
def test_every_injury_hurts(injury):
    dice = random.Random(1)
    assert any(injury(text, dice) != text for text in SHOT_LISTS for _ in range(5))


@pytest.mark.parametrize("text", SHOT_LISTS)
def test_the_shot_lists_are_sound_before_they_are_hurt(text):
    assert document.loads(text).data
