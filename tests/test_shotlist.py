"""Variables, defaults, scenes and names, as the rest of the unit gets to see them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import read, refusal, said

from secondunit.shotlist import frame_rate


def first(text: str, folder="."):
    return read(text, folder).shots[0]


# --- names ------------------------------------------------------------------------------------


def test_shots_without_a_name_are_numbered_in_film_order_across_scenes():
    text = """\
scenes:
  - shots: [a, {shot: X, prompt: b}, c]
  - shots: {named: d}
  - shots: [e]
"""
    shots = read(text, ".").shots
    assert [shot.id for shot in shots] == ["sh010", "X", "sh030", "named", "sh050"]
    assert [shot.scene for shot in shots] == ["scene 1"] * 3 + ["scene 2", "scene 3"]


SAME = [
    ("sh010", "sh010"),
    ("Shot A", "shot a"),
    ("Caf\\u00e9", "Cafe\\u0301"),
    ("STRASSE", "straße"),
    ("1", "1"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
@pytest.mark.covers("E14")
def test_two_shots_of_one_name_are_refused_however_it_is_written(one, other, tmp_path):
    page = said(
        f'shots:\n  - {{shot: "{one}", prompt: x}}\n  - {{shot: "{other}", prompt: y}}', tmp_path
    )
    assert page.startswith("3:12: shots[1].shot: two shots are called ")
    assert "the other is on line 2. Give each its own name." in page


def test_a_number_that_is_taken_is_told_where_it_is(tmp_path):
    page = said("shots:\n  - {shot: sh020, prompt: x}\n  - y", tmp_path)
    assert "3:5: shots[1]: two shots are called `sh020`; the other is on line 2." in page


def test_names_are_composed_however_the_editor_wrote_them(tmp_path):
    text = 'shots:\n  "E\\u0301te\\u0301": x\n  b: {continues: "\\u00c9t\\u00e9", prompt: y}'
    assert read(text, tmp_path).shots[0].id == "Été"
    assert read(text, tmp_path).problems == ()


def test_a_shot_in_a_mapping_has_its_name_already(tmp_path):
    assert "this shot is already named `a`. Take `shot` out." in said(
        "shots: {a: {shot: b, prompt: x}}", tmp_path
    )
    assert read("shots: {7: {shot: 7, prompt: x}}", tmp_path).problems == ()


# --- defaults ---------------------------------------------------------------------------------


def test_defaults_flow_from_the_top_through_the_scene_to_the_shot():
    text = """\
defaults: {style: top, lighting: top, lens: top, camera: top}
scenes:
  - mood: scene
    defaults: {lighting: scene, lens: scene, camera: scene}
    shots:
      - {prompt: x, lens: shot, camera: null}
"""
    spec = first(text).spec
    assert (spec.style, spec.lighting, spec.lens, spec.mood) == ("top", "scene", "shot", "scene")
    assert spec.camera is None


def test_maps_merge_lists_replace_and_null_removes():
    text = """\
defaults: {trim: {in: 1, out: 4}, tags: [a, b], references: [r.png], seed: 3}
shots: [{prompt: x, trim: {out: 3}, tags: [c], seed: null}]
"""
    shot = first(text)
    assert (shot.spec.trim.in_, shot.spec.trim.out) == (1, 3)
    assert shot.spec.tags == ["c"]
    assert shot.spec.seed is None
    assert "seed" not in shot.origins
    assert shot.spec.references[0].file == "r.png"


def test_null_inside_a_merged_map_removes_too():
    text = "defaults: {trim: {in: 1, out: 4}}\nshots: [{prompt: x, trim: {out: null}}]"
    assert first(text).spec.trim.out is None


def test_one_kind_of_reference_replaces_the_other():
    text = "defaults: {references: [a.png, b.png]}\nshots: [{prompt: x, reference: c.png}]"
    spec = first(text).spec
    assert spec.references is None
    assert spec.reference.file == "c.png"


def test_a_first_frame_replaces_the_one_it_would_inherit():
    text = "defaults: {first_frame: {prompt: A door.}}\nshots: [{prompt: x, first_frame: {file: a.png}}]"
    frame = first(text).spec.first_frame
    assert (frame.file, frame.prompt) == ("a.png", None)


def test_a_default_may_be_a_plain_prompt():
    shots = read("defaults: The sea.\nshots: [{seed: 1}, The cliff.]", ".").shots
    assert [shot.spec.prompt for shot in shots] == ["The sea.", "The cliff."]


def test_a_scene_hands_down_its_place_and_an_own_null_takes_it_off():
    text = """\
locations: {pier: a pier}
looks: {fog: cold fog}
scenes: [{location: pier, look: fog, shots: [x, {prompt: y, location: null}]}]
"""
    one, other = read(text, ".").shots
    assert (one.spec.location, one.spec.look) == ("pier", "fog")
    assert (other.spec.location, other.spec.look) == (None, "fog")


def test_a_problem_of_an_inherited_value_is_told_where_it_is_written(tmp_path):
    text = "defaults:\n  duration: 99\nshots:\n  - x\n  - y"
    problems = refusal(text, tmp_path).problems
    assert [(p.line, p.where) for p in problems] == [(2, "defaults.duration")]


def test_a_shot_knows_what_it_sets_itself():
    shot = first("defaults: {seed: 1, ratio: '1:1'}\nshots: [{prompt: x, ratio: '16:9'}]")
    assert shot.owns("ratio")
    assert shot.owns("prompt")
    assert not shot.owns("seed")
    assert shot.at("seed") == ("defaults", "seed")
    assert shot.at("model") == ("shots", 0)
    assert first("shots: [x]").owns("prompt")


# --- variables --------------------------------------------------------------------------------


def test_variables_are_filled_into_every_string_and_keep_their_kind():
    text = """\
vars: {hero: the keeper, seconds: 4, wide: true}
title: ${vars.hero}
defaults: {duration: '${vars.seconds}', omit: '${ vars.wide }'}
shots: ['${vars.hero} and ${vars.hero}, ${vars.seconds} times, ${vars.wide}']
"""
    read_ = read(text, ".")
    assert read_.title == "the keeper"
    spec = read_.shots[0].spec
    assert (spec.duration, spec.omit) == (4, True)
    assert spec.prompt == "the keeper and the keeper, 4 times, True"


def test_two_dollars_are_one():
    assert (
        first("shots: ['$${vars.x} costs $5 {here} $$']").spec.prompt
        == "${vars.x} costs $5 {here} $$"
    )


def test_values_are_not_filled_in_twice():
    text = "vars: {a: '${vars.b}', b: x}\nshots: ['${vars.a}']"
    assert first(text).spec.prompt == "${vars.b}"


def test_unknown_variables_are_all_named_with_the_nearest(tmp_path):
    text = "vars: {hero: x}\nshots:\n  - ${vars.hro} and ${env.HOME}\n  - {prompt: '${hero}'}"
    page = said(text, tmp_path)
    assert "3:5: shots[0]: `${vars.hro}` names no variable. Did you mean `${vars.hero}`?" in page
    assert (
        "3:5: shots[0]: `${env.HOME}` names no variable. Only `${vars.name}` is filled in" in page
    )
    assert (
        "4:14: shots[1].prompt: `${hero}` names no variable. Did you mean `${vars.hero}`?" in page
    )


def test_an_unknown_variable_in_a_file_name_is_one_problem(tmp_path):
    page = said("shots: [{prompt: x, reference: '${vars.ref}'}]", tmp_path)
    assert page.count("\n") == 0


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_no_text_makes_the_templating_stumble(text):
    from secondunit.document import loads
    from secondunit.shotlist import from_document

    doc = loads("vars: {a: x}\nshots: [{prompt: x}]")
    doc.data["shots"][0]["prompt"] = f"a{text}b"
    shot = from_document(doc).shots[0]
    assert shot.broken or shot.spec.prompt


# --- what is in the film ----------------------------------------------------------------------

EMPTY = [
    ("shots: []", "1:8: shots: there are no shots. Write at least one under `shots:`."),
    ("title: x", "1:1: : there are no shots."),
    ("shots:", "there are no shots."),
    ("shots: {}", "there are no shots."),
    ("shots:\n  -\n", "this shot is empty. Write what is seen, or take it out."),
    ("shots:\n  a:\n", "this shot is empty."),
    ("shots:\n  a: {}\n", "this shot says nothing to make. Write a `prompt`, or name a `clip`"),
    ("shots: A lighthouse.", "write the shots as a list, each on a line of its own"),
    ("shots: 5", "5 is not a mapping"),
    ("scenes: [{shots: []}]", "scenes[0].shots: this scene has no shots."),
    ("scenes: [{scene: 1}]", "`shots` is missing."),
    ("shots: [x]\nscenes: [{shots: [y]}]", "2:1: scenes: both `shots` and `scenes` are given."),
]


@pytest.mark.parametrize(("text", "message"), EMPTY)
def test_a_list_without_shots_is_told_so(text, message, tmp_path):
    assert message in said(text, tmp_path)


def test_problems_of_several_shots_are_all_told_in_line_order(tmp_path):
    text = """\
title: [x]
cast: {hero: {desc: x}}
shots:
  - {prompt: x, refrence: y, reference: nowhere.png}
  - {promt: x, source: gone.mp4}
  - {prompt: x, duration: 99}
  - {prompt: x, continues: sh0100}
"""
    places = [(p.line, p.where) for p in refusal(text, tmp_path).problems]
    assert places == [
        (1, "title"),
        (2, "cast.hero.desc"),
        (4, "shots[0].refrence"),
        (4, "shots[0].reference"),
        (5, "shots[1].promt"),
        (5, "shots[1].source"),
        (6, "shots[2].duration"),
        (7, "shots[3].continues"),
    ]


def test_what_is_wrong_in_the_defaults_is_told_once_and_the_shots_are_still_looked_at(tmp_path):
    text = "defaults: {duraton: 5, ratio: 969}\nshots:\n  - x\n  - {prompt: y, duration: 99}"
    assert [p.where for p in refusal(text, tmp_path).problems] == [
        "defaults.duraton",
        "defaults.ratio",
        "shots[1].duration",
    ]


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        (24, Fraction(24)),
        (25.0, Fraction(25)),
        (23.976, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_frame_rates_are_exact(written, exact):
    assert frame_rate(written) == exact
