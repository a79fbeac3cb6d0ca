"""The format: what each kind of value may be, and what is said of one that may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import said
from pydantic import ValidationError

from secondunit.shotlist import language
from secondunit.shotlist.language import (
    LATER,
    FirstFrameSpec,
    ReferenceSpec,
    ShotListSpec,
    ShotSpec,
    TrimSpec,
)
from secondunit.shotlist.spec import RATIO_WORDS, money

AMOUNTS = [
    (500, 500),
    (12.9, 12),
    (0, 0),
    ("500", 500),
    ("500 credits", 500),
    ("1 credit", 1),
    ("$5", 500),
    ("$ 5.25", 525),
    ("5 USD", 500),
    ("5usd", 500),
    ("$0.29", 29),
    ("$1.1", 110),
    ("0.019 usd", 1),
    ("$5 USD", 500),
]
NO_AMOUNTS = ["", "five", "$", "-5", "$-5", "5 EUR", "€5", "5,000", "1e3", "$5 credits", "٥", "5 5"]


@pytest.mark.parametrize(("written", "credits_"), AMOUNTS)
def test_money_is_credits_or_dollars(written, credits_):
    assert money(written) == credits_


@pytest.mark.parametrize("written", NO_AMOUNTS)
def test_what_is_no_amount_is_not_guessed(written):
    assert money(written) is None


@given(st.integers(0, 10**8))
def test_cents_are_exact(cents):
    assert money(f"${cents // 100}.{cents % 100:02}") == cents


@pytest.mark.parametrize("ratio", [*RATIO_WORDS, "1280:720", "3:2", "65535:1"])
def test_ratios(ratio):
    assert ShotSpec(ratio=ratio).ratio == ratio


@pytest.mark.parametrize(
    "ratio",
    ["", "16x9", "16/9", "16:9 ", "0:9", "16:0", "016:9", "16:9:1", "-16:9", "１６:９", "a:b"],
)
def test_what_is_no_ratio_is_refused(ratio):
    with pytest.raises(ValidationError, match="is not a ratio"):
        ShotSpec(ratio=ratio)


SHOT_NAMES = [
    "sh010",
    "Shot 1",
    "7",
    "1A (alt)",
    "O'Brien & son",
    "日本の灯台",
    "Été",
    "हिन्दी",
    "a" * 64,
]
NO_SHOT_NAMES = [
    "",
    " ",
    "-y.mp4",
    "../x",
    "a/b",
    "a\\b",
    "$(x)",
    "a\nb",
    "_x",
    ".x",
    "a" * 65,
    " a",
]


@pytest.mark.parametrize("name", SHOT_NAMES)
def test_names_of_shots(name):
    assert ShotListSpec.model_validate({"shots": {name: "x"}}).shots.keys() == {name}


@pytest.mark.parametrize("name", NO_SHOT_NAMES)
def test_names_that_would_hurt_somewhere_are_refused(name):
    with pytest.raises(ValidationError, match="cannot be a shot's name"):
        ShotListSpec.model_validate({"shots": {name: "x"}})


def test_names_may_be_numbers_and_nothing_else_may():
    spec = ShotListSpec.model_validate(
        {"title": 1917, "scenes": [{"scene": 1, "shots": [{"shot": 12, "continues": 11}]}]}
    )
    assert (spec.title, spec.scenes[0].scene, spec.scenes[0].shots[0].shot) == ("1917", "1", "12")
    assert spec.scenes[0].shots[0].continues == "11"
    for wrong in ({"title": True}, {"title": 1.5}, {"quality": 3}, {"shots": [{"prompt": 5}]}):
        with pytest.raises(ValidationError):
            ShotListSpec.model_validate(wrong)


def test_a_string_is_as_good_as_a_mapping():
    assert ShotSpec.model_validate("x") == ShotSpec(prompt="x")
    assert ReferenceSpec.model_validate("a.png") == ReferenceSpec(file="a.png")
    assert FirstFrameSpec.model_validate("a.png") == FirstFrameSpec(file="a.png")
    assert TrimSpec.model_validate([1, 2.5]) == TrimSpec.model_validate({"in": 1, "out": 2.5})


def test_notes_of_the_users_own_may_stand_anywhere():
    mine = {"x-mine": [1, {"a": None}]}
    spec = ShotListSpec.model_validate(
        {
            "cast": {"bob": {"description": "b", **mine}, **mine},
            "profiles": {"p": mine, **mine},
            "budget": mine,
            "cut": mine,
            "scenes": [
                {"shots": {"a": {"reference": {"file": "f", **mine}, **mine}, **mine}, **mine}
            ],
            **mine,
        }
    )
    assert spec.scenes[0].shots.keys() == {"a"}
    assert spec.cast.keys() == {"bob"}


@pytest.mark.parametrize("spec", LATER)
def test_every_key_that_is_not_built_yet_is_refused_by_name(spec, tmp_path):
    homes = {
        "ShotListSpec": "{key}: x\nshots: [x]",
        "ShotSpec": "shots: [{{prompt: x, {key}: 3}}]",
        "ProfileSpec": "profiles: {{draft: {{{key}: x}}}}\nshots: [x]",
    }
    for key in LATER[spec]:
        page = said(homes[spec].format(key=key), tmp_path)
        assert f"`{key}` belongs to the format but is not built yet. Take it out for now." in page
        assert key not in getattr(language, spec).model_fields


GUESSES = [
    ("aspect_ratio", "`ratio`"), ("aspectRatio", "`ratio`"), ("image", "`reference`"),
    ("image", "`first_frame`"), ("promptImage", "`first_frame`"), ("images", "`references`"),
    ("video", "`source`"), ("video", "`clip`"), ("videoUri", "`source`"), ("promptText", "`prompt`"),
    ("text", "`prompt`"), ("length", "`duration`"), ("seconds", "`duration`"), ("id", "`shot`"),
    ("name", "`shot`"), ("type", "There is no type"), ("depends_on", "it follows from"),
    ("negative_prompt", "Say in `prompt`"), ("camera_motion", "`camera`"), ("sede", "`seed`"),
    ("refrence", "`reference`"), ("promt", "`prompt`"), ("first-frame", "`first_frame`"),
    ("Prompt", "`prompt`"), ("fps", "at the top of the file"), ("crossfade", "`transition`"),
    ("subtitles", "`dialogue`"), ("volume", "`sound`"), ("music", "under `audio`"),
    ("lowerthird", "`lower_third`"), ("slowmo", "`speed`"), ("deliverables", "at the top of the file"),
    ("end_frame", "`last_frame`, which is not built yet"), ("character", "`cast`"),
]  # fmt: skip


@pytest.mark.parametrize(("guess", "hint"), GUESSES)
def test_common_wrong_guesses_in_a_shot_get_a_hint(guess, hint, tmp_path):
    page = said(f"shots: [{{prompt: x, {guess}: y}}]", tmp_path)
    assert page.startswith(f"1:21: shots[0].{guess}: unknown")
    assert hint in page


TOP_GUESSES = [
    ("aspect_ratio", "`ratio`"), ("prompt", "belongs in a shot, or in `defaults`"),
    ("scene", "`scenes`"), ("characters", "`cast`"), ("provider", "`gateway`"),
    ("music", "under `audio`"), ("transition", "under `cut`"), ("name", "`title`"),
    ("shotts", "`shots`"), ("output", "`--out`"),
    ("models", "`profiles`"), ("variables", "`vars`"), ("zzzz", "Known here: audio, budget, cast, cut"),
]  # fmt: skip


@pytest.mark.parametrize(("guess", "hint"), TOP_GUESSES)
def test_common_wrong_guesses_at_the_top_get_a_hint(guess, hint, tmp_path):
    page = said(f"{guess}: y\nshots: [x]", tmp_path)
    assert page.startswith(f"1:1: {guess}: unknown field.")
    assert hint in page


WRONG_VALUES = [
    ("version: 2", "version: 2 is not a version that this Second Unit reads."),
    ("version: '1'", "write `version: 1`, without quotes."),
    ("fps: 0", "0 is below 1, the least there is."),
    ("fps: 24fps", "`24fps` is not a number."),
    ("budget: 500", "write the amount under `cap`: `budget: {cap: 500}`."),
    ("budget: {cap: lots}", "'lots' is not an amount. Write credits (500) or dollars"),
    ("budget: {cap: -1}", "-1 is below 0"),
    ("gateway: comet", "Did you mean `cometapi`?"),
    ("gateway: true", "true is not known here. Write `backlot`, `runway` or `cometapi`."),
    ("quality: hd", "there is no quality called `hd`. There are draft, final."),
    ("cut: fade", "write the transition under it: `cut: {transition: fade}`."),
    ("cut: abrupt", "write the transition under it: `cut: {transition: cut}`."),
    ("vars: {a: [1]}", "a variable is a text, a number, true or false."),
    ("cast: [a]", "a list is not a mapping (`key: value`)."),
    ("cast: {ab: x}", "'ab' cannot be a tag. A tag has 3 to 16 letters"),
    ("tags: opening", "`opening` is not a list (`- item`)."),
    ("notes: [a]", "a list is not text."),
    ("ratio: 969", 'what some YAML readers make of a ratio such as 16:9. Write it in quotes: "16:9".'),
    ("ratio: true", "true is not text here. Put it in quotes."),
]  # fmt: skip
WRONG_SHOT_VALUES = [
    ("prompt: 5", "5 is not text here. Put it in quotes."),
    ("prompt: true", "true is not text here. Put it in quotes."),
    ("prompt: '  '", "it is empty. Write something, or leave the key out."),
    ("seed: 1.5", "1.5 is not a whole number."),
    ("seed: -1", "-1 is below 0, the least there is."),
    ("seed: 4294967296", "4294967296 is above 4294967295, the most there is."),
    ("seed: '7'", "7 is in quotes, which make it text. Take them off."),
    ("seed: true", "true is not a whole number."),
    ("omit: yes", "`yes` is not `true` or `false`."),
    ("duration: 0", "0 is not above 0."),
    ("duration: 5s", "`5s` is not a number."),
    ("duration: '5'", "Take them off."),
    ("duration: 700", "700 is above 600, the most there is."),
    ("moderation: high", "Write `auto` or `low`."),
    ("trim: 3", "3 is no trim. Write `[1.5, 4]`, or `{in: 1.5, out: 4}`, in seconds."),
    ("trim: [3]", "a list is no trim."),
    ("trim: [3, 2]", "a trim ends after it begins; 3 to 2 does not."),
    ("trim: {start: 1}", "Write `in`."),
    ("first_frame: {}", "a first frame has one of `file`, `prompt` or `from`."),
    ("first_frame: {file: a, prompt: b}", "a first frame has one of `file`, `prompt` or `from`."),
    ("first_frame: {from: sh010}", "`sh010` names no frame. Write `sh010.last` or `sh010.first`"),
    ("references: a.png", "`a.png` is not a list (`- item`)."),
    ("references: [a, b, c, d]", "there are 4; at most 3 are taken."),
    ("reference: {tag: hat}", "`file` is missing."),
    ("reference: {file: a, tag: h}", "'h' cannot be a tag."),
    ("tags: [[1]]", "a list is not text."),
]


@pytest.mark.parametrize(("line", "message"), WRONG_VALUES)
def test_what_is_said_of_a_wrong_value(line, message, tmp_path):
    assert message in said(f"{line}\nshots: [x]", tmp_path)


@pytest.mark.parametrize(("field", "message"), WRONG_SHOT_VALUES)
def test_what_is_said_of_a_wrong_value_in_a_shot(field, message, tmp_path):
    page = said(f"shots:\n  sh010:\n    {field}\n    notes: x", tmp_path)
    assert message in page
    assert page.startswith("3:")


@pytest.mark.parametrize(
    "name", ["cut", "list", "mapping", "reference", "defaults", "shots", "trim"]
)
def test_a_shot_may_be_called_like_a_key(name, tmp_path):
    text = f"shots:\n  other: x\n  {name}: {{prompt: x, promt: y}}\n  mapping2: x"
    assert said(text, tmp_path).startswith(
        f"3:{len(name) + 17}: shots.{name}.promt: unknown field. Did you mean `prompt`?"
    )


def test_a_comma_that_ended_a_text_is_told(tmp_path):
    page = said("shots: [{prompt: Close-up, the sea}]", tmp_path)
    assert page == (
        '1:28: shots[0]."the sea": unknown field. Is it text? Inside of `{ }` a comma ends it:'
        " put all of it in quotes."
    )
