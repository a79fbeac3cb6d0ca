"""The director's brief becomes one prompt in a fixed order; mentions, and what is remarked upon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondunit.shotlist import Subject, brief
from secondunit.shotlist.language import ShotSpec

SUBJECTS = {
    "mara": Subject("mara", "cast", "a woman of sixty.", ()),
    "red_boat": Subject("red_boat", "cast", "", ()),
}


def test_the_order_is_framing_words_subject_place_move_light_mood_style():
    spec = ShotSpec(
        style="35 mm", mood="dread", lighting="storm light", camera="slow push in",
        environment="on a cliff", action="lifts a lantern", subject="An old keeper",
        prompt="Night.", lens="85 mm", angle="low angle", size="medium shot",
    )  # fmt: skip
    assert brief.compose(spec) == (
        "Medium shot, low angle, 85 mm. Night. An old keeper lifts a lantern. On a cliff."
        " Slow push in. Storm light. Dread. 35 mm."
    )
    assert "push in" not in brief.compose(spec, camera=False)


@pytest.mark.parametrize("prompt", ["a plain", "  no full stop", "wait…", "多", "“quoted”"])
def test_a_prompt_alone_is_kept_to_the_letter(prompt):
    assert brief.compose(ShotSpec(prompt=prompt)) == prompt.strip()


def test_parts_become_sentences():
    assert brief.compose(ShotSpec(prompt="a plain", mood="calm!")) == "A plain. Calm!"


def test_text_is_composed_as_it_counts_on_the_wire():
    assert brief.compose(ShotSpec(prompt="Cafe\u0301")) == "Café"


def test_place_and_look_are_mentioned_once():
    assert (
        brief.compose(ShotSpec(prompt="Rain.", location="pier", look="fog")) == "Rain. @pier. @fog."
    )
    assert brief.compose(ShotSpec(prompt="Rain on @Pier.", location="pier")) == "Rain on @Pier."
    spec = ShotSpec(prompt="Rain.", location="pier", environment="at night")
    assert brief.compose(spec) == "Rain. At night, @pier."


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@mara and @Boy_2, @mara again", ("mara", "boy_2")),
        ("mail me@example.com or @@twice", ()),
        ("@ab @a-b (@abc) '@def'", ("abc", "def")),
        ("@toolongforatagatall", ()),
        ("@mara's coat, @mara.", ("mara",)),
    ],
)
def test_mentions(text, names):
    assert brief.mentions(text) == names


def test_models_without_tags_get_the_description():
    said = brief.spelled_out("@mara waits. @mara smiles at @mara and @Red_Boat, @nobody.", SUBJECTS)
    assert said == (
        "A woman of sixty waits. A woman of sixty smiles at a woman of sixty and red boat, nobody."
    )


def test_tagged_mentions_are_kept_and_introduced_once():
    text = "@Mara waits by @red_boat. Again @mara."
    assert brief.introduced(text, SUBJECTS, frozenset({"mara"})) == (
        "@mara waits by red boat. Again @mara. @mara: A woman of sixty."
    )


@given(st.text(max_size=60))
def test_no_text_makes_it_stumble(text):
    brief.introduced(text, SUBJECTS, frozenset({"mara"}))
    list(brief.remarks(text, edit=True))
    if text.strip():
        assert brief.compose(ShotSpec(prompt=text, mood=text))


REMARKS = [
    ("Slow push in, then pan left.", False, "camera-moves"),
    ("She pulls back as it dollies in", False, "camera-moves"),
    ("Make it night and add rain.", True, "many-changes"),
    ('A sign says "Open".', False, "quoted-text"),
    ("Ein Schild: „Hafen“ und «Bar».", False, "quoted-text"),
    ("Five people run.", False, "many-people"),
    ("A crowd gathers.", False, "many-people"),
]
QUIET = [
    ("Slow push in.", False),
    ("Make it night.", True),
    ("Make it night and add rain.", False),
    ("Slow push in, then pan left.", True),
    ("Two people talk, it's 5 o'clock.", False),
    ("Panama hats in a panel.", False),
]


@pytest.mark.parametrize(("text", "edit", "code"), REMARKS)
def test_what_models_do_badly_is_remarked_upon(text, edit, code):
    found = list(brief.remarks(text, edit=edit))
    assert [c for c, _ in found] == [code]
    assert all(sentence.endswith(".") for _, sentence in found)


@pytest.mark.parametrize(("text", "edit"), QUIET)
def test_what_is_fine_is_not(text, edit):
    assert list(brief.remarks(text, edit=edit)) == []


def test_three_of_the_cast_are_many():
    assert [code for code, _ in brief.remarks("x", edit=False, cast=3)] == ["many-people"]
    assert not list(brief.remarks("x", edit=False, cast=2))
