"""The reader says what is written and where, and refuses in sentences what it will not believe."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from secondunit import document
from secondunit.document import MAX_NODES, Document, Mark, builder, loads, read, spell, suggest
from secondunit.errors import SpecError


@pytest.fixture(params=["libyaml", "python"])
def scanner(request, monkeypatch):
    """Both scanners: libyaml's, and the one in Python where PyYAML was built without it."""
    if request.param == "python":
        monkeypatch.setattr(builder, "_LOADER", yaml.SafeLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    return request.param


def attempt(text: str) -> Document | SpecError:
    try:
        return loads(text, "shots.yaml")
    except SpecError as error:
        return error


def refusal(text: str) -> SpecError:
    outcome = attempt(text)
    assert isinstance(outcome, SpecError), outcome
    assert all(problem.code != document.READER_FAULT for problem in outcome.problems)
    return outcome


def only_problem(text: str):
    problems = refusal(text).problems
    assert len(problems) == 1, problems
    return problems[0]


# ── scalars ──────────────────────────────────────────────────────────────────────────────────────

SCALARS = [
    ("16:9", "16:9"),
    ("9:16", "9:16"),
    ("1:1", "1:1"),
    ("21:9", "21:9"),
    ("1280:720", "1280:720"),
    ("1:30", "1:30"),
    ("00:01:30.5", "00:01:30.5"),
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("Off", "Off"),
    ("y", "y"),
    ("NO", "NO"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("false", False),
    ("False", False),
    ("FALSE", False),
    ("tRUE", "tRUE"),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("~", None),
    ("", None),
    ("nULL", "nULL"),
    ("none", "none"),
    ("0", 0),
    ("7", 7),
    ("-4", -4),
    ("+7", 7),
    ("-0", 0),
    ("4294967295", 4294967295),
    ("999999999999999999", 999999999999999999),
    ("1000000000000000000", "1000000000000000000"),
    ("9" * 5000, "9" * 5000),
    ("010", "010"),
    ("-07", "-07"),
    ("1_000", "1_000"),
    ("0b11", "0b11"),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("0x_", "0x_"),
    ("1,000", "1,000"),
    ("0.5", 0.5),
    ("-1.25", -1.25),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e3", 1000.0),
    ("1.0e+3", 1000.0),
    ("2E-2", 0.02),
    ("1.2.3", "1.2.3"),
    ("1e", "1e"),
    ("e5", "e5"),
    (".", "."),
    ("+", "+"),
    ("-", "-"),
    ("010.5", "010.5"),
    ("٣", "٣"),
    ("2026-11-21", "2026-11-21"),
    ("2026-02-30", "2026-02-30"),
    ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
    ("=", "="),
    ("<<", "<<"),
    ("inf", "inf"),
    ("nan", "nan"),
    ("'7'", "7"),
    ('"true"', "true"),
    ("'~'", "~"),
    ('""', ""),
    ('".inf"', ".inf"),
    ("'it''s'", "it's"),
    ('"a\\u2014b\\n"', "a—b\n"),
    ("5 seconds", "5 seconds"),
    ("50% off", "50% off"),
    ("http://x.test/a#b", "http://x.test/a#b"),
]


@pytest.mark.covers("S1", "G6")
@pytest.mark.parametrize(("written", "meant"), [case for case in SCALARS if case[0] != "-"])
def test_scalars_are_those_of_yaml_1_2(written, meant, scanner):
    value = loads(f"x: {written}\n").data["x"]
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.covers("S1")
@pytest.mark.parametrize(
    ("written", "meant"),
    [("|\n  7\n", "7\n"), ("|-\n  a: b\n  # c\n", "a: b\n# c"), (">\n  a\n  b\n", "a b\n")],
)
def test_block_scalars_are_always_text(written, meant, scanner):
    assert loads(f"x: {written}").data["x"] == meant


@pytest.mark.covers("S6")
@pytest.mark.parametrize(
    "written", [".inf", "-.inf", "+.INF", ".Inf", ".nan", ".NaN", ".NAN", "1e999", "-1.0e999"]
)
def test_numbers_that_are_not_finite_are_refused(written, scanner):
    problem = only_problem(f"budget:\n  cap: {written}\n")
    assert (problem.line, problem.column, problem.width) == (2, 8, len(written))
    assert problem.where == "budget.cap"
    assert "not a finite number" in problem.message


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.covers("S1")
def test_keys_are_the_text_that_is_written(scanner):
    data = loads(
        "shots:\n  1: a\n  010: b\n  on: c\n  true: d\n  1.50: e\n  2026-01-02: f\n  =: g\n"
    ).data
    assert data == {
        "shots": {
            "1": "a",
            "010": "b",
            "on": "c",
            "true": "d",
            "1.50": "e",
            "2026-01-02": "f",
            "=": "g",
        }
    }


@pytest.mark.covers("S2")
def test_every_key_written_twice_is_named_with_both_lines(scanner):
    text = (
        "budget: {cap: 5, cap: 5000}\n"
        "shots:\n"
        "  Shot 1:\n"
        "    seed: 1\n"
        "    prompt: a\n"
        "    seed: 2\n"
        "  'Shot 1': again\n"
        "budget: 6\n"
        "budget: 7\n"
    )
    found = [(p.line, p.column, p.where, p.message) for p in refusal(text).problems]
    say = "Written twice: it is already on line {}. Keep one.".format
    assert found == [
        (1, 18, "budget.cap", say(1)),
        (6, 5, 'shots."Shot 1".seed', say(4)),
        (7, 3, 'shots."Shot 1"', say(3)),
        (8, 1, "budget", say(1)),
        (9, 1, "budget", say(1)),
    ]


@pytest.mark.covers("S2", "S3")
@pytest.mark.parametrize(
    ("text", "line", "column", "fragment"),
    [
        ("a: 1\n~: 2\n", 2, 1, "write a key"),
        ("null: 2\n", 1, 1, "write a key"),
        ("a: {: 2}\n", 1, 5, "cannot begin"),
        ("? [a]\n: b\n", 1, 3, "A key is one word"),
        ("{a: b}: c\n", 1, 1, "A key is one word"),
        ("prompt: {{vars.name}}\n", 1, 10, "in quotes"),
        ("a: &x y\n*x : b\n", 2, 1, "A key is one word"),
        ("base: &b {a: 1}\nshot:\n  <<: *b\n", 3, 3, "Merge keys"),
        ("a: 1\n\xa0\xa0seed: 2\n", 2, 1, "special space"),
    ],
)
def test_a_key_that_is_not_text_is_refused(text, line, column, fragment, scanner):
    problem = only_problem(text)
    assert (problem.line, problem.column) == (line, column)
    assert fragment in problem.message


# ── what a hostile or careless file does ─────────────────────────────────────────────────────────

TAGS = [
    "!x",
    "!!int",
    "!!bool",
    "!!timestamp",
    "!!python/object:os.system",
    "!",
    "!!set",
    "!<tag:x>",
]


@pytest.mark.covers("S5")
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    "text", ["a: b\nx: {} y\n", "a: b\nx: &n {} y\n", "a: b\nx: {} [y]\n", "a: b\n{} x: y\n"]
)
def test_tags_are_refused_by_name(tag, text, scanner):
    problem = only_problem(text.format(tag) if text.count("{}") == 1 else text)
    assert problem.line == 2
    assert problem.column == text.split("\n")[1].index("{}") + 1
    assert f"`{tag}`" in problem.message


@pytest.mark.covers("S5")
def test_tags_on_a_line_of_their_own_are_refused_too(scanner):
    assert "tag" in only_problem("a: b\nx: &n # why\n  !y\n  z\n").message


def bomb(levels: int, merge: str = "") -> str:
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels):
        inside = ", ".join(
            f"{merge}k{n}: *a{level - 1}" if not merge else f"{merge}*a{level - 1}"
            for n in range(9)
        )
        lines.append(f"a{level}: &a{level} {{{inside}}}")
    return "\n".join(lines) + "\n"


DEEP_BLOCK = "".join(" " * level + "a:\n" for level in range(1000))
HOSTILE = {
    "alias bomb": (bomb(10), "values"),
    "alias bomb of sixty levels": (bomb(60), "values"),
    "merge bomb": (bomb(9, "<<: "), "Merge keys"),
    "alias chain": (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200)),
        "levels deep",
    ),
    "brackets": ("x: " + "[" * 100_000, "levels deep"),
    "braces": ("{a: " * 100_000, "levels deep"),
    "dashes": ("- " * 100_000, "levels deep"),
    "questions": ("? " * 100_000, ""),
    "block": (DEEP_BLOCK, "levels deep"),
    "anchors": ("&a " * 100_000, ""),
    "digits": ("seed: " + "9" * 99_999 + "x", None),
    "scalar": ("prompt: " + "x" * 100_001, "longer than 100,000 characters"),
    "quoted scalar": ('prompt: "' + "\\n" * 100_001 + '"', "longer than 100,000 characters"),
    "duplicates": ("a: 1\n" * 100_000, "Too much is wrong"),
    "control characters": ("\x00" * 1_000_000, "Too much is wrong"),
    "spaces": (" " * 500_000, "empty"),
    "newlines": ("\n" * 100_000, "empty"),
}


@pytest.mark.covers("S3", "S4")
@pytest.mark.parametrize("name", HOSTILE)
def test_bombs_are_refused_at_once(name):
    """In under 50 ms of processor time; the second and third try are there for a busy machine."""
    text, fragment = HOSTILE[name]
    seconds = []
    for _ in range(3):
        start = time.process_time()
        outcome = loads(text) if fragment is None else refusal(text)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05
    if fragment is not None:
        assert any(fragment in problem.message for problem in outcome.problems)


@pytest.mark.covers("S4")
def test_nesting_may_be_32_deep_and_no_deeper(scanner):
    assert loads("x: " + "[" * 31 + "]" * 31).data
    assert "32 levels" in only_problem("x: " + "[" * 32 + "]" * 32).message


@pytest.mark.covers("S3", "S4")
def test_aliases_deepen_what_they_stand_in(scanner):
    deep = "[" * 30 + "]" * 30
    assert loads(f"a: &a {deep}\nb: [*a]\n").data
    assert "32 levels" in only_problem(f"a: &a {deep}\nb: [[*a]]\n").message


@pytest.mark.covers("S3")
def test_values_are_counted_with_aliases_unfolded():
    hundred = "[" + ", ".join("x" * 99) + "]"
    lists = MAX_NODES // 100 - 1
    text = f"a: &a {hundred}\nb: [" + ", ".join(["*a"] * (lists - 1)) + "]\n"
    assert len(loads(text).data["b"]) == lists - 1
    assert "200,000 values" in only_problem(text + "c: [*a, *a]\n").message


def test_an_alias_is_the_same_value_again(scanner):
    data = loads("a: &a {seed: 7}\nb: *a\nc: [*a, &t 16:9, *t, &n 3, *n]\n").data
    assert data == {"a": {"seed": 7}, "b": {"seed": 7}, "c": [{"seed": 7}, "16:9", "16:9", 3, 3]}


@pytest.mark.parametrize(
    ("text", "line", "column", "fragment"),
    [
        ("a: &a [1, *a]\n", 1, 11, "inside `&a` itself"),
        ("a: *b\n", 1, 4, "nothing above is named so"),
        ("a: &x 1\nb: &x 2\n", 2, 4, "already used on line 1"),
    ],
)
def test_aliases_that_mean_nothing_are_refused(text, line, column, fragment, scanner):
    problem = only_problem(text)
    assert (problem.line, problem.column) == (line, column)
    assert fragment in problem.message


@pytest.mark.covers("S16")
@pytest.mark.parametrize(
    "character",
    ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\ufffe", "\ud800"],
)
def test_invisible_characters_are_refused_where_they_stand(character, scanner):
    problem = only_problem(f"a: b\nprompt: sto{character}rm\n")
    assert (problem.line, problem.column) == (2, 12)
    assert f"U+{ord(character):04X}" in problem.message
    assert character not in str(problem)


@pytest.mark.covers("S16")
@pytest.mark.parametrize("escape", ["\\0", "\\e[31m", "\\x07", "\\u202\x38"])
def test_escapes_do_not_smuggle_them_in(escape, scanner):
    assert "invisible character" in only_problem(f'prompt: "a{escape}"\n').message


@pytest.mark.parametrize(
    ("text", "line", "column", "fragment"),
    [
        ("", 1, 1, "The file is empty"),
        ("\n\n# only words\n", 1, 1, "The file is empty"),
        ("---\n", 1, 1, "The file is empty"),
        ("~\n", 1, 1, "The file is empty"),
        ("- a\n- b\n", 1, 1, "Put a line `shots:` above"),
        ("A lighthouse at night\n", 1, 1, "Begin with a line `shots:`"),
        ("7\n", 1, 1, "Begin with a line `shots:`"),
        ("a: b\n---\nc: d\n", 2, 1, "second document"),
        ("a: b\n...\nc: d\n", 3, 1, "follows a `...`"),
        ("a: b\n...\n---\nc: d\n", 3, 1, "second document"),
    ],
)
def test_a_file_is_one_mapping(text, line, column, fragment, scanner):
    problem = only_problem(text)
    assert problem.line == line or "empty" in fragment
    assert problem.column == column
    assert fragment in problem.message


def test_everything_wrong_is_said_at_once_up_to_where_the_file_breaks(scanner):
    problems = refusal(
        "a: 1\na: 2\nb: !x y\nc: .inf\nd: *no\nprompt: one: two: three\nz: 1\nz: 2\n"
    ).problems
    assert [problem.line for problem in problems] == [2, 3, 4, 5, 6]


@pytest.mark.covers("S4")
def test_a_flood_of_problems_is_cut_off():
    problems = refusal("a: 1\n" * 500).problems
    assert len(problems) == document.MAX_PROBLEMS + 1


@pytest.mark.covers("S5")
def test_a_fault_of_the_reader_is_a_problem_with_a_code_and_never_a_traceback(monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(yaml, "parse", broken)
    with pytest.raises(SpecError) as caught:
        loads("a: b\n")
    assert [problem.code for problem in caught.value.problems] == [document.READER_FAULT]


# ── misprints ────────────────────────────────────────────────────────────────────────────────────

SHOT = "shots:\n  a:\n    prompt: x\n"
MISPRINTS = [
    ('shots:\n  - prompt: "Close\n    seed: 7\n', 2, 13, "never closed"),
    ("prompt: 'Close\nseed: 7\n", 1, 9, "never closed"),
    ('prompt: "foo\n---\nbar"\n', 1, 9, "never closed"),
    ('a: "Close\nseed: 7\nratio: "16:9"\n', 1, 4, "closed only on line 3"),
    ("prompt: 'It's raining'\nseed: 7\n", 1, 13, "after the closing '"),
    ('prompt: "Wait!" he says\nseed: 7\n', 1, 17, 'after the closing "'),
    ("prompt: [wide] lighthouse\nseed: 7\n", 1, 16, "after the closing bracket"),
    ("references: [a.png]]\nseed: 7\n", 1, 20, "one too many"),
    ("a: b\n}\n", 2, 1, "one too many"),
    ("references: [a.png, b.png\nseed: 7\n", 1, 13, "`]` is missing before line 2"),
    ("first_frame: {from: sh010.last\nseed: 7\n", 1, 14, "`}` is missing before line 2"),
    ("references: [a.png, b.png", 1, 13, "`]` is missing"),
    ("shots:\n\t- prompt: a\n", 2, 1, "A tab"),
    (SHOT + "\tseed: 7\n", 4, 1, "A tab"),
    (SHOT + "  \tseed: 7\n", 4, 3, "A tab"),
    ("prompt: |\n\tfoo\n", 2, 1, "A tab"),
    (SHOT + "    seed:7\n    fps: 2\n", 4, 5, "space is missing after `seed:`"),
    (SHOT + "    seed:7\n", 4, 5, "space is missing after `seed:`"),
    ("shots:\n  a:\n    seed:7\n    prompt: x\n", 3, 5, "space is missing after `seed:`"),
    (SHOT + "    seed:\xa07\n", 4, 5, "space is missing after `seed:`"),
    ("shots:\n  - a\n  -b\n", 3, 3, "space is missing after the `-`"),
    (SHOT + "    stands at the cliff\n    seed: 7\n", 4, 5, "indent it further"),
    ("prompt: >\nsome text\nseed: 7\n", 2, 1, "indent it further"),
    (SHOT + "      seed: 7\n", 4, 7, "`seed:` is indented deeper"),
    ("shots:\n  - prompt: x\n   seed: 7\n", 3, 4, "`- ` items above it begin at column 3"),
    (SHOT + "   seed: 7\n", 4, 4, "keys above it begin at column 3"),
    ("shots:\n  a: x\n  - b\n", 3, 3, "do not mix"),
    ("shots:\n  - a\n  b: c\n", 3, 3, "do not mix"),
    ("  shots:\n    - a\nfps: 24\n", 3, 1, "left of its first key"),
    ("prompt: @keeper walks\n", 1, 9, "`@` cannot begin"),
    ("prompt: `x`\n", 1, 9, "cannot begin"),
    ("prompt: %x\n", 1, 9, "`%` cannot begin"),
    ("prompt: *Close-up* of\n", 1, 9, "`*` cannot begin"),
    ("prompt: **Wide** shot\n", 1, 9, "`*` cannot begin"),
    ("prompt: & then\n", 1, 9, "`&` cannot begin"),
    ("prompt: ? foo\n", 1, 9, "`?` cannot begin"),
    ("prompt: , foo\n", 1, 9, "`,` cannot begin"),
    ("prompt: - foo\n", 1, 9, "line below its key"),
    ("prompt: A keeper: he waits\n", 1, 17, "second `: `"),
    ("shots:\n  - Close-up: wind: he narrows\n", 2, 19, "second `: `"),
    ("prompt: | some text\n", 1, 11, "next line"),
    ("prompt: > some text\n", 1, 11, "next line"),
    ('source: "C:\\films\\x"\n', 1, 18, "single quotes"),
    ('source: "C:\\plates\\"\n', 1, 12, "single quotes"),
    ("prompt: foo # bar\n  baz qux\nseed: 7\n", 1, 13, "begins a comment"),
    ("%YAML 2.0\n---\na: b\n", 1, 1, "incompatible"),
]


@pytest.mark.parametrize(("text", "line", "column", "fragment"), MISPRINTS)
def test_misprints_are_explained_where_they_were_made(text, line, column, fragment, scanner):
    problem = only_problem(text)
    assert fragment in problem.message
    assert (problem.line, problem.column) == (line, column)


@pytest.mark.parametrize(("text", "line", "column", "fragment"), MISPRINTS)
def test_windows_line_ends_change_nothing(text, line, column, fragment):
    problem = only_problem(text.replace("\n", "\r\n"))
    assert fragment in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_a_problem_shows_its_line_with_the_place_underlined():
    text = "shots:\n  - prompt: x\n    seed: .inf\n"
    assert str(refusal(text)).splitlines() == [
        "shots.yaml:3:11: shots[0].seed: `.inf` is not a finite number. "
        "If it is text, put it in quotes.",
        "    3 │     seed: .inf",
        "      │           ^^^^",
        "1 problem. Nothing was ordered.",
    ]


def test_a_very_long_line_is_not_poured_over_the_terminal():
    problem = only_problem("a: {x: .inf, y: " + "z" * 50_000 + "}\n")
    assert len(problem.source) <= document.MAX_SHOWN
    far = only_problem("a: {y: " + "z" * 50_000 + ", x: .inf}\n")
    assert (far.column, far.source) == (50_013, "")


# ── marks ────────────────────────────────────────────────────────────────────────────────────────

MARKED = """\
title: 'The Keeper'
vars: {hero: keeper, "the sea": [grey, {deep: 7}]}
looks:
  storm: &storm
    mood: tense
shots:
  Shot 1:
    prompt: A keeper stands
      at the cliff
    look: *storm
    seed:
  "日本 🎬": {ratio: 16:9, "e\u0301": [👩‍🎨, cafe\u0301, 5]}
  notes: |
    one
    two
  tags:
  - a
  - b: c
"""


@pytest.mark.parametrize(
    ("where", "value", "key"),
    [
        ((), (1, 1, 19), (1, 1, 19)),
        (("title",), (1, 8, 12), (1, 1, 5)),
        (("vars",), (2, 7, 44), (2, 1, 4)),
        (("vars", "hero"), (2, 14, 6), (2, 8, 4)),
        (("vars", "the sea"), (2, 33, 17), (2, 22, 9)),
        (("vars", "the sea", 0), (2, 34, 4), (2, 34, 4)),
        (("vars", "the sea", 1, "deep"), (2, 47, 1), (2, 41, 4)),
        (("looks", "storm", "mood"), (5, 11, 5), (5, 5, 4)),
        (("shots", "Shot 1"), (8, 5, 23), (7, 3, 6)),
        (("shots", "Shot 1", "prompt"), (8, 13, 15), (8, 5, 6)),
        (("shots", "Shot 1", "look"), (10, 11, 6), (10, 5, 4)),
        (("shots", "Shot 1", "look", "mood"), (10, 11, 6), (10, 5, 4)),
        (("shots", "Shot 1", "seed"), (11, 10, 1), (11, 5, 4)),
        (("shots", "日本 🎬"), (12, 11, 36), (12, 3, 6)),
        (("shots", "日本 🎬", "ratio"), (12, 19, 4), (12, 12, 5)),
        (("shots", "日本 🎬", "e\u0301", 0), (12, 32, 3), (12, 32, 3)),
        (("shots", "日本 🎬", "e\u0301", 1), (12, 37, 5), (12, 37, 5)),
        (("shots", "日本 🎬", "e\u0301", 2), (12, 44, 1), (12, 44, 1)),
        (("shots", "notes"), (13, 10, 1), (13, 3, 5)),
        (("shots", "tags"), (17, 3, 3), (16, 3, 4)),
        (("shots", "tags", 1, "b"), (18, 8, 1), (18, 5, 1)),
        (("shots", "Shot 1", "duration"), (8, 5, 23), (7, 3, 6)),
        (("nowhere", 3, "x"), (1, 1, 19), (1, 1, 19)),
    ],
)
def test_marks_are_where_a_person_would_point(where, value, key, scanner):
    marked = loads(MARKED)
    assert marked.mark(where) == Mark(*value), "the value"
    assert marked.mark(where, key=True) == Mark(*key), "the key"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_an_editor_counts_them(ends, scanner):
    assert loads(f"a: b{ends}{ends}# c{ends}d: e{ends}").mark(("d",)) == Mark(4, 4, 1)


def test_problems_carry_path_place_and_source():
    marked = loads(MARKED, "films/keeper.yaml")
    problem = marked.problem(("shots", "Shot 1", "seed"), "is missing", key=True, code="odd")
    assert (problem.file, problem.line, problem.column, problem.width) == (
        "films/keeper.yaml",
        11,
        5,
        4,
    )
    assert (problem.where, problem.code, problem.source) == (
        'shots."Shot 1".seed',
        "odd",
        "    seed:",
    )


@pytest.mark.parametrize(
    ("where", "spelled"),
    [
        ((), ""),
        (("shots", 0, "seed"), "shots[0].seed"),
        (("shots", "Shot 1", "seed"), 'shots."Shot 1".seed'),
        (("shots", "sh010"), "shots.sh010"),
        (("shots", "1"), 'shots."1"'),
        (("x-notes", "日本"), "x-notes.日本"),
        (("shots", ""), 'shots.""'),
        (("shots", "a\x1b[31m\n"), 'shots."a�[31m�"'),
    ],
)
def test_paths_are_spelled_as_a_person_would(where, spelled):
    assert spell(where) == spelled


COMMENTED = """\
shots:
  - Harbour, take #2 at dawn
  - prompt: Shot #3 of the harbour, shot#4
  - prompt: "quoted #5"   # a note
  - prompt: over two
      lines\t#6 lost  \r
  - {prompt: flow #7, lost}
    }
  - prompt: |
      block #8
  - seed: 7 # lucky
  - prompt: none
"""


def test_text_lost_after_a_hash_can_be_asked_for(scanner):
    text = COMMENTED.replace("\t", " ").replace(" #7, lost}\n    }", ", seed: 7}")
    shots = loads(text)
    lost = [shots.lost_comment(("shots", 0))]
    lost += [shots.lost_comment(("shots", at, "prompt")) for at in (1, 2, 3, 4, 5, 7)]
    assert lost == ["#2 at dawn", "#3 of the harbour, shot#4", None, "#6 lost", None, None, None]
    assert shots.lost_comment(("shots", 6, "seed")) == "# lucky"
    assert shots.lost_comment(("shots", 99)) is None
    assert shots.data["shots"][0] == "Harbour, take"


# ── any data there and back ──────────────────────────────────────────────────────────────────────


class Dumper(yaml.SafeDumper):
    """PyYAML's, which is of YAML 1.1, taught to quote text that YAML 1.2 takes for a number."""


Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)

characters = st.characters(
    exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"
) | st.sampled_from("\n\t")
tricky = st.sampled_from(
    [str(written) for written, _ in SCALARS] + ["#", " a", "a ", "- a", "? a", ": ", "a #b", "\n"]
)
texts = (
    st.text(characters, max_size=30)
    | tricky
    | st.from_regex(r"[-+]?[0-9_:.eE]{1,6}", fullmatch=True)
)
names = texts.map(str.strip)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
files = st.dictionaries(names, trees, max_size=5)
layouts = st.fixed_dictionaries(
    {
        "default_flow_style": st.sampled_from([True, False, None]),
        "allow_unicode": st.booleans(),
        "width": st.sampled_from([20, 80, 4000]),
        "indent": st.integers(2, 6),
    }
)


def leaves(value: object, where: document.Where = ()):
    """Every scalar with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*where, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, (*where, at))
    else:
        yield where, value


@given(files, layouts)
def test_whatever_is_dumped_reads_back_equal(data, layout):
    text = yaml.dump(data, Dumper=Dumper, sort_keys=False, **layout)
    back = loads(text).data
    assert back == data
    assert [type(value) for _, value in leaves(back)] == [type(value) for _, value in leaves(data)]


@given(files, layouts)
def test_marks_point_at_the_scalar(data, layout):
    """What stands at the mark, read by itself, is the value."""
    text = yaml.dump(data, Dumper=Dumper, sort_keys=False, **layout)
    marked = loads(text)
    lines = text.split("\n")
    for where, value in leaves(marked.data):
        mark = marked.mark(where)
        written = lines[mark.line - 1][mark.column - 1 :][: mark.width]
        whole = marked._values[where]
        if "\n" in text[whole.start : whole.end] or written.startswith(("?", "*", "&")):
            continue
        again = loads(f"x: {written}").data["x"]
        assert again == value
        assert type(again) is type(value)


@given(st.text(max_size=200))
@pytest.mark.covers("S5", "G6")
def test_any_text_is_read_or_refused(text):
    outcome = attempt(text)
    if isinstance(outcome, SpecError):
        assert all(problem.code != document.READER_FAULT for problem in outcome.problems)


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def refused_file(path) -> str:
    with pytest.raises(SpecError) as caught:
        read(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (1, 1)
    assert "\x1b" not in str(caught.value)
    return problem.message


def test_a_file_is_read_with_its_hash_and_its_folder(tmp_path, monkeypatch):
    (tmp_path / "films").mkdir()
    data = "\ufeffshots:\r\n  - Nacht, Stürme\r\n".encode()
    (tmp_path / "films" / "a.yaml").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    shots = read("films/a.yaml")
    assert shots.data == {"shots": ["Nacht, Stürme"]}
    assert shots.file == "films/a.yaml"
    assert shots.folder == tmp_path / "films"
    assert shots.sha256 == hashlib.sha256(data).hexdigest()
    assert shots.mark(("shots",), key=True) == Mark(1, 1, 5)


def test_a_missing_file_is_said(tmp_path):
    assert "no such file" in refused_file(tmp_path / "none.yaml")
    assert "no such file" in refused_file("")


def test_a_folder_is_said_with_what_is_in_it(tmp_path):
    assert refused_file(tmp_path) == "This is a folder. Name the shot list inside it."
    (tmp_path / "teaser.yaml").touch()
    assert refused_file(tmp_path).endswith(f"such as {tmp_path / 'teaser.yaml'}.")


@pytest.mark.covers("S7")
def test_pipes_devices_and_sockets_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe or a device" in refused_file(tmp_path / "pipe")
    assert "a pipe or a device" in refused_file("/dev/zero")
    with socket.socket(socket.AF_UNIX) as door:
        name = os.path.relpath(tmp_path / "door")
        door.bind(name)
        assert "cannot be read" in refused_file(name)


def test_names_that_cannot_be_are_refused(tmp_path):
    assert "cannot be read" in refused_file("a\0b")
    assert "cannot be read" in refused_file("x" * 5000)
    (tmp_path / "file").touch()
    assert "cannot be read" in refused_file(tmp_path / "file" / "inside.yaml")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be read" in refused_file(tmp_path / "loop")
    assert "no such file" in refused_file("\x1b[31m\udcff.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read_is_said(tmp_path):
    (tmp_path / "secret.yaml").touch(mode=0)
    assert "may not read" in refused_file(tmp_path / "secret.yaml")


@pytest.mark.covers("S4")
def test_a_file_over_two_megabytes_is_refused_without_reading_it_all(tmp_path):
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(40 * 10**9)
    assert "larger than 2 MB" in refused_file(tmp_path / "big.yaml")
    with pytest.raises(SpecError, match="larger than 2 MB"):
        loads("é" * 1_000_001)


@pytest.mark.covers("S5")
@pytest.mark.parametrize(
    ("data", "line", "column", "byte"),
    [
        (b"a: b\nprompt: caf\xe9\n", 2, 12, 17),
        (b"\xef\xbb\xbfa: caf\xe9\n", 1, 7, 10),
        ("a: 🎬日本".encode() + b"\xff", 1, 7, 14),
        ("a: b\n".encode("utf-16"), 1, 1, 1),
        (b"a: b\r\nc: \xe2\x82", 2, 4, 10),
    ],
)
def test_bytes_that_are_not_utf_8_are_shown(data, line, column, byte, tmp_path):
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(SpecError) as caught:
        read(tmp_path / "a.yaml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (line, column)
    assert f"Byte {byte} of the file" in problem.message
    assert "Save the file as UTF-8" in problem.message


# ── did you mean ─────────────────────────────────────────────────────────────────────────────────

FIELDS = [
    "prompt",
    "subject",
    "action",
    "size",
    "angle",
    "lens",
    "camera",
    "environment",
    "lighting",
    "mood",
    "style",
    "first_frame",
    "last_frame",
    "reference",
    "references",
    "source",
    "continues",
    "performance",
    "clip",
    "seed",
    "takes",
    "ratio",
    "duration",
    "model",
    "moderation",
    "trim",
    "omit",
    "notes",
    "tags",
    "fps",
]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("refrence", "reference"),
        ("refernece", "reference"),
        ("promt", "prompt"),
        ("promtp", "prompt"),
        ("promptText", "prompt"),
        ("sede", "seed"),
        ("fsp", "fps"),
        ("SEED", "seed"),
        ("first-frame", "first_frame"),
        ("firstFrame", "first_frame"),
        ("First Frame", "first_frame"),
        ("durtion", "duration"),
        ("contineus", "continues"),
        ("modell", "model"),
        ("tag", "tags"),
        ("lense", "lens"),
        ("xyz", None),
        ("id", None),
        ("", None),
        ("q" * 100_000, None),
    ],
)
def test_a_typo_is_met_with_what_was_meant(word, meant):
    assert suggest(word, FIELDS) == meant


def test_nothing_is_suggested_where_nothing_is_known():
    assert suggest("seed", []) is None
