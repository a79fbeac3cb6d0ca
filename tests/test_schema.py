"""The JSON Schema that editors use: fresh, valid, and of one mind with the language about form."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pages import LISTS, furnish

from secondunit.document import loads, read
from secondunit.errors import SpecError
from secondunit.shotlist import from_document
from secondunit.shotlist.audio import AudioSpec, SoundSpec
from secondunit.shotlist.cutting import (
    CardSpec,
    CutSpec,
    DeliverableSpec,
    LowerThirdSpec,
    SpokenSpec,
    TitleSpec,
    TransitionSpec,
)
from secondunit.shotlist.language import LATER, SceneSpec, ShotListSpec, ShotSpec, json_schema

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "specs/shotlist.schema.json"
EXAMPLES = sorted(ROOT.glob("examples/*/*.yaml")) + sorted(ROOT.glob("specs/*.yaml"))
EDITING = (
    CutSpec, CardSpec, TransitionSpec, TitleSpec, LowerThirdSpec, SpokenSpec, AudioSpec, SoundSpec,
    DeliverableSpec,
)  # fmt: skip
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def complaints(data: Any) -> list[str]:
    return [f"{e.json_path}: {e.message}" for e in VALIDATOR.iter_errors(data)]


def test_the_shipped_schema_is_fresh():
    assert json.loads(SHIPPED.read_text("utf-8")) == json.loads(json.dumps(json_schema())), (
        "specs/shotlist.schema.json is stale. Write it anew:"
        " secondunit schema > specs/shotlist.schema.json"
    )


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_it_describes_every_key():
    schema = json_schema()
    assert schema["properties"].keys() == {
        field.alias or name for name, field in ShotListSpec.model_fields.items()
    }
    text = json.dumps(schema)
    for spec in (ShotSpec, SceneSpec, *EDITING):
        assert all(f'"{field.alias or name}"' in text for name, field in spec.model_fields.items())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_example_validates(path):
    assert complaints(read(path).data) == []


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("name", LISTS)
def test_every_sound_list_validates(name):
    # variables stand as text until they are filled in, which a schema cannot know
    assert complaints(loads(LISTS[name]).data) == []


PAGE = re.findall(r"```yaml\n(.*?)```", (ROOT / "specs/README.md").read_text("utf-8"), re.DOTALL)
NAMED = "cast: {mara: a woman, boy: a boy}\nlocations: {pier: a pier}\nlooks: {fog: fog}\n"


@pytest.mark.parametrize("number", range(len(PAGE)))
def test_every_piece_of_the_format_page_is_sound(number):
    text = PAGE[number]
    text += "" if "shots:" in text else "shots: [x]\n"
    document = loads(NAMED + text if text.startswith("scenes:") else text)
    assert complaints(document.data) == []
    assert from_document(document).problems == ()


def test_the_format_page_names_every_key_and_what_is_not_built_yet():
    page = (ROOT / "specs/README.md").read_text("utf-8")
    for spec in (ShotListSpec, ShotSpec, SceneSpec, *EDITING):
        for name, field in spec.model_fields.items():
            assert f"`{field.alias or name}`" in page, name
    for keys in LATER.values():
        assert all(f"`{key}`" in page for key in keys)
    assert len(PAGE) > 8


WRONG_FORM = [
    "title: x",
    "shots: 5",
    "shots: [5]",
    "shots: [null]",
    "shots: ['']",
    "shots: [{promt: x}]",
    "shots: [{prompt: 5}]",
    "shots: [{seed: -1}]",
    "shots: [{seed: 1.5}]",
    "shots: [{ratio: 969}]",
    "shots: [{ratio: 16x9}]",
    "shots: [{ratio: '0:9'}]",
    "shots: [{duration: 0}]",
    "shots: [{duration: '5'}]",
    "shots: [{omit: 'yes'}]",
    "shots: [{moderation: high}]",
    "shots: [{trim: [1]}]",
    "shots: [{trim: [1, 2, 3]}]",
    "shots: [{trim: {start: 1}}]",
    "shots: [{references: a.png}]",
    "shots: [{references: [a, b, c, d]}]",
    "shots: [{reference: {tag: hat}}]",
    "shots: [{first_frame: {from: sh010}}]",
    "shots: [{first_frame: {fro: sh010.last}}]",
    "shots: [{last_frame: a.png}]",
    "shots: [{x-mine: 1, mine: 1}]",
    "shots: {a: 5}",
    "scenes: {a: {shots: [x]}}",
    "scenes: [{scene: 1}]",
    "scenes: [{scene: 1.5, shots: [x]}]",
    "version: 2\nshots: [x]",
    "gateway: comet\nshots: [x]",
    "fps: 0\nshots: [x]",
    "budget: 500\nshots: [x]",
    "budget: {cap: -1}\nshots: [x]",
    "budget: {cap: true}\nshots: [x]",
    "cut: {transition: melt}\nshots: [x]",
    "cut: {transition: {duration: 1}}\nshots: [x]",
    "cut: {order: []}\nshots: [x]",
    "cut: {cards: [{text: x, before: sh010, duration: 0}]}\nshots: [x]",
    "cut: {safe: 0.5}\nshots: [x]",
    "audio: {music: [{file: a.wav, gain: loud}]}\nshots: [x]",
    "audio: {clips: 25}\nshots: [x]",
    "audio: {loudness: -60}\nshots: [x]",
    "deliverables: [web]\nshots: [x]",
    "deliverables: {web: mp4}\nshots: [x]",
    "deliverables: {web: {height: 4000}}\nshots: [x]",
    "shots: [{prompt: x, speed: 8}]",
    "shots: [{prompt: x, sound: off}]",
    "shots: [{prompt: x, title: 5}]",
    "shots: [{prompt: x, dialogue: [5]}]",
    "shots: [{prompt: x, lower_third: {role: y}}]",
    "cast: [a]\nshots: [x]",
    "cast: {bob: {desc: x}}\nshots: [x]",
    "profiles: {draft: gen4.5}\nshots: [x]",
    "vars: {a: [1]}\nshots: [x]",
    "audio: x\nshots: [x]",
]


@pytest.mark.parametrize("text", WRONG_FORM)
def test_what_is_wrong_in_form_is_wrong_to_both(text):
    assert complaints(loads(text).data)
    assert from_document(loads(text)).problems


FORMS = [
    "shots: [{trim: [0.5, 4]}]",
    "shots: [{trim: {in: 1}}]",
    "shots: [{first_frame: a.png}]",
    "shots: [{seed: null, omit: null, reference: null}]",
    "shots: [{shot: 7, continues: 6}]",
    "shots: {a: x, x-note: [1]}",
    "cast: {bob: a man, x-note: 1}\nshots: [x]",
    "budget: {cap: 500, per_shot: 1.5}\nshots: [x]",
    "budget: {cap: $5}\nshots: [x]",
    "title: 1917\nscenes: [{scene: 3, shots: {a: x}}]",
    "vars: {a: 1, b: x, c: true, d: 1.5}\nshots: [x]",
    "cut: {transition: dissolve}\nshots: [x]",
    "cut: {order: [7, a..b], cards: [{text: x, after: 7}], slate: true}\nshots: [x]",
    "audio: {music: a.wav, voice_over: [b.wav, {file: c.wav, duck: false}], loudness: off}\nshots: [x]",
    "audio: {ambience: {file: a.wav, duck: 6}, clips: mute}\nshots: [x]",
    "deliverables: {web: h264, x-a: 1, low: {bit_rate: 500k}, big: {bit_rate: 9000000}}\nshots: [x]",
    "shots: [{prompt: x, title: X, lower_third: Y, dialogue: Z, sound: -6, transition: fade}]",
    "shots: [{prompt: x, dialogue: ['A: b', {MARA: hello}, {text: x, at: 1, for: 2}]}]",
]


@pytest.mark.parametrize("text", FORMS)
def test_every_short_form_is_right_to_both(text):
    assert complaints(loads(text).data) == []
    assert from_document(loads(text)).problems == ()


def test_whatever_the_schema_refuses_the_language_refuses_too(tmp_path):
    """Over all lists with one value changed: an editor never marks what would have been planned."""
    from test_fuzz_check import warped

    dice, agreed = random.Random(5), 0
    folder = furnish(tmp_path / "set")
    lists = [loads(text, folder=folder).data for text in LISTS.values()]
    for _ in range(400):
        text = json.dumps(warped(dice.choice(lists), dice))
        try:
            document = loads(text, folder=folder)
        except SpecError:
            continue
        if complaints(document.data) and "${" not in text:
            agreed += 1
            assert from_document(document).problems, text
    assert agreed > 100
