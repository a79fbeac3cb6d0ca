"""The catalogue says what the official client says, and its entries hold together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runwayml.types import (
    CharacterPerformanceCreateParams,
    ImageToVideoCreateParams,
    TextToImageCreateParams,
    TextToVideoCreateParams,
    VideoToVideoCreateParams,
)
from typing_extensions import is_typeddict

from secondunit import catalog
from secondunit.catalog import ENDPOINTS, INLINE_LIMIT, Work, fits_inline

CATALOG = catalog.load()
PICTURE = "https://example.com/door.png"
PLATE = "https://example.com/plate.mp4"
TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"
CLIENT: dict[str, Any] = {
    "text_to_video": TextToVideoCreateParams,
    "image_to_video": ImageToVideoCreateParams,
    "video_to_video": VideoToVideoCreateParams,
    "text_to_image": TextToImageCreateParams,
    "character_performance": CharacterPerformanceCreateParams,
}

# --- What the official client knows ----------------------------------------------------------


class Field(NamedTuple):
    """One field of a request type: its alias on the wire, whether it must be there, its type."""

    alias: str
    required: bool
    type: Any


def peel(hint: Any) -> Field:
    alias, required = "", False
    while get_origin(hint) in (Required, Annotated):
        required = required or get_origin(hint) is Required
        notes = [getattr(note, "alias", None) for note in getattr(hint, "__metadata__", ())]
        alias = next(filter(None, notes), alias)
        hint = get_args(hint)[0]
    return Field(alias, required, hint)


def fields(request: Any) -> dict[str, Field]:
    peeled = {n: peel(h) for n, h in get_type_hints(request, include_extras=True).items()}
    return {field.alias or name: field for name, field in peeled.items()}


def members(hint: Any) -> list[Any]:
    return list(get_args(hint)) if get_origin(hint) is Union else [hint]


def words(hint: Any) -> set[Any]:
    return {w for part in members(hint) if get_origin(part) is Literal for w in get_args(part)}


def client_bodies() -> dict[tuple[str, str], dict[str, Field]]:
    found = {}
    for endpoint, union in CLIENT.items():
        for request in members(union):
            known = fields(request)
            (model,) = words(known.pop("model").type)
            found[endpoint, model] = known
    return found


BODIES = client_bodies()
OFFERED = {
    (endpoint, name): variant
    for name in CATALOG.names("runway")
    for endpoint, variant in CATALOG.families["runway"][name].variants.items()
}
PAIRS = sorted(OFFERED)
each_pair = pytest.mark.parametrize(("endpoint", "model"), PAIRS)
each_field = pytest.mark.parametrize(
    ("endpoint", "model", "name"), [(*pair, name) for pair in PAIRS for name in BODIES[pair]]
)


def test_every_model_of_the_client_is_in_the_catalogue_or_left_out_by_name() -> None:
    left_out = {pair for pair in BODIES if pair[1] in CATALOG.left_out}
    assert BODIES.keys() - left_out == OFFERED.keys()
    assert {model for _, model in left_out} == CATALOG.left_out.keys()
    assert not CATALOG.left_out.keys() & CATALOG.families["runway"].keys()


@each_pair
def test_a_body_has_the_fields_of_the_client(endpoint: str, model: str) -> None:
    variant, known = OFFERED[endpoint, model], BODIES[endpoint, model]
    assert variant.required == {name for name, field in known.items() if field.required}
    assert variant.optional == {name for name, field in known.items() if not field.required}


@each_pair
def test_ratios_are_those_of_the_client(endpoint: str, model: str) -> None:
    variant, known = OFFERED[endpoint, model], BODIES[endpoint, model]
    offered = words(known["ratio"].type) if "ratio" in known else set()
    assert sorted(variant.ratios) == sorted(offered)


@each_pair
def test_durations_are_those_of_the_client(endpoint: str, model: str) -> None:
    durations, known = OFFERED[endpoint, model].durations, BODIES[endpoint, model]
    if "duration" not in known:
        assert durations is None
        return
    hint = known["duration"].type
    assert durations is not None
    assert durations.auto == ("auto" in words(hint))
    assert set(durations.choices) == words(hint) - {"auto"}
    assert bool(durations.maximum) == (int in members(hint))


PLAIN = {
    "duration": 6,
    "end_seconds": 1,
    "expressionIntensity": 5,
    "promptText": "Rain.",
    "negativePrompt": "fog",
    "ratio": "1280:720",
    "tag": "keeper",
    "draftTaskId": TASK,
    "promptVideo": PLATE,
    "videoUri": PLATE,
}


def samples(hint: Any, name: str) -> list[Any]:
    """Return a value for every form that a type of the client allows."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if get_origin(hint) is Union:
        return [value for part in members(hint) for value in samples(part, name)]
    if get_origin(hint) is Iterable:
        return [listed(value) for value in samples(get_args(hint)[0], name)]
    if is_typeddict(hint):
        return records(hint)
    if hint is object:  # an entry that the client does not describe
        return [{"uri": PICTURE, "position": "first"}, {"uri": PICTURE}]
    return [PLAIN.get(name, {bool: True, float: 0.5, int: 0, str: PICTURE}[hint])]


def listed(value: Any) -> list[Any]:
    last = isinstance(value, dict) and value.get("position") == "last"
    return [*([value | {"position": "first"}] if last else []), value]


def records(hint: Any) -> list[dict[str, Any]]:
    """Return the least record, varied by every value of every one of its fields."""
    known = {name: (field, samples(field.type, name)) for name, field in fields(hint).items()}
    least = {name: values[0] for name, (field, values) in known.items() if field.required}
    return [least | {name: value} for name, (_, values) in known.items() for value in values]


def least_body(endpoint: str, model: str) -> dict[str, Any]:
    known = BODIES[endpoint, model].items()
    return {"model": model} | {n: samples(f.type, n)[0] for n, f in known if f.required}


def body_with(endpoint: str, model: str, name: str, value: Any) -> dict[str, Any]:
    """Return the least body that has this field, with what the field is bound to."""
    if name == "draftTaskId":
        return {"model": model, name: value}
    bound: dict[str, Any] = {
        "proresProfile": {"outputFormat": "prores"},
        "mode": {"promptText": "Rain.", "duration": "auto"},
        "referenceAudio": {"references": [{"uri": PICTURE}]} if "grok" in model else {},
        "ratio": {"references": [{"uri": PICTURE}]} if endpoint == "text_to_video" else {},
    }
    more = bound.get(name, {}) if value == "adaptive" or name != "ratio" else {}
    return least_body(endpoint, model) | more | {name: value}


@each_field
def test_every_form_that_the_client_allows_is_accepted(
    endpoint: str, model: str, name: str
) -> None:
    for value in samples(BODIES[endpoint, model][name].type, name):
        body = body_with(endpoint, model, name, value)
        assert CATALOG.validate(endpoint, body) == [], value


@each_field
def test_a_value_of_another_form_is_refused_by_name(endpoint: str, model: str, name: str) -> None:
    others = [None, {"x": 1}, [], [None], 3.25, -1, 10**30, ""]
    for value in others:
        issues = CATALOG.validate(endpoint, least_body(endpoint, model) | {name: value})
        assert {issue.path[0] for issue in issues} == {name}, value


@each_field
def test_a_word_that_the_client_does_not_know_is_refused(
    endpoint: str, model: str, name: str
) -> None:
    if words(BODIES[endpoint, model][name].type):
        (issue,) = CATALOG.validate(endpoint, body_with(endpoint, model, name, "—"))
        assert issue.path == (name,)


@each_pair
def test_missing_fields_and_an_unknown_one_are_all_named(endpoint: str, model: str) -> None:
    issues = CATALOG.validate(endpoint, {"model": model, "prompt": "x"})
    assert {(issue.path, issue.code) for issue in issues} == {
        (("prompt",), "unrecognized_keys"),
        *(((name,), "invalid_type") for name in OFFERED[endpoint, model].required),
    }


# --- The catalogue itself --------------------------------------------------------------------


@pytest.mark.covers("D19")
def test_the_retired_are_remembered_with_their_successors() -> None:
    assert (
        CATALOG.obituary("gen4_aleph", "runway")
        == "gen4_aleph was retired on 2026-07-30; use aleph2"
    )
    assert CATALOG.obituary("gen3a_turbo", "backlot") == (
        "gen3a_turbo was retired on 2026-07-30; use gen4_turbo"
    )
    assert CATALOG.obituary("upscale_v1", "runway") == "upscale_v1 was retired on 2026-01-17"
    assert CATALOG.obituary("gen4_aleph", "cometapi") is None
    assert CATALOG.obituary("aleph2", "runway") is None
    assert CATALOG.obituary("gen5", "runway") is None
    assert not {"gen4_aleph", "gen3a_turbo", "veo3", "upscale_v1"} & set(CATALOG.names("runway"))


def test_the_backlot_serves_what_runway_serves() -> None:
    assert CATALOG.names("backlot") == CATALOG.names("runway")
    model = CATALOG.model("gen4.5", "backlot")
    assert model is not None
    assert model.gateways == ("runway", "backlot")
    assert [gateway.name for gateway in CATALOG.gateways.values() if gateway.free] == ["backlot"]


def test_what_a_gateway_does_not_offer_is_in_its_entry() -> None:
    offers = {g.name: (g.account, g.uploads, g.cancel) for g in CATALOG.gateways.values()}
    assert offers == {
        "runway": (True, True, True),
        "cometapi": (False, False, False),
        "backlot": (True, True, True),
    }


@given(st.integers(0, 6_000_000), st.sampled_from(["image/png", "video/x-matroska"]))
@example(3_932_111, "video/x-matroska")
@example(3_932_112, "image/png")
def test_a_file_fits_into_an_order_when_its_data_uri_does(size: int, mime: str) -> None:
    uri = len(f"data:{mime};base64,") + 4 * -(-size // 3)
    if fits_inline(size):
        assert uri <= INLINE_LIMIT
    else:
        assert uri > INLINE_LIMIT - 64


COMET: dict[str, tuple[str, Work]] = {
    "gen4_aleph": ("video_to_video", "edit"),
    "gen4_turbo": ("image_to_video", "video"),
    "gen3a_turbo": ("image_to_video", "video"),
    "gen4_image": ("text_to_image", "still"),
}


def test_cometapi_offers_what_its_pages_list() -> None:
    """apidoc.cometapi.com, Runway, official format."""
    models = CATALOG.families["cometapi"]
    assert {n: (next(iter(m.variants)), m.work) for n, m in models.items()} == COMET
    for name in ("gen4_turbo", "gen3a_turbo"):
        variant = models[name].variants["image_to_video"]
        assert variant.durations is not None
        assert (variant.durations.choices, variant.prompt_limit) == ((5, 10), 512)
        assert variant.seed_limit == 999_999_999
    assert CATALOG.variant("gen4_image", "text_to_image", "cometapi").min_pictures == 1  # type: ignore[union-attr]  # it is there, see above


def test_cometapi_is_priced_by_the_call_or_not_at_all() -> None:
    for model in CATALOG.families["cometapi"].values():
        for variant in model.variants.values():
            assert all(price.per_call and not price.per_second for price in variant.prices)
    still = CATALOG.variant("gen4_image", "text_to_image", "cometapi")
    assert still is not None
    assert still.credits({"ratio": "1920:1080"}) == still.credits({"ratio": "1280:720"}) == 32
    edit = CATALOG.variant("gen4_aleph", "video_to_video", "cometapi")
    assert edit is not None
    assert edit.credits({}, 5.0) is None


def test_each_kind_of_work_has_its_models() -> None:
    assert CATALOG.names("runway", "still") == ("gen4_image", "gen4_image_turbo")
    assert CATALOG.names("runway", "performance") == ("act_two",)
    assert CATALOG.names("runway", "edit")[0] == "aleph2"
    assert CATALOG.names("runway", "video")[:2] == ("gen4.5", "gen4_turbo")
    assert CATALOG.names("pixio") == ()
    assert CATALOG.model("gen4.5", "pixio") is None


@pytest.mark.parametrize("family", sorted(CATALOG.families))
def test_the_entries_of_a_family_hold_together(family: str) -> None:
    models = CATALOG.families[family]
    for model in models.values():
        assert model.alive == bool(model.variants)
        assert model.alive or model.successor is None or models[model.successor].alive
        assert not model.alive or model.work in {ENDPOINTS[e] for e in model.variants}
        taken = set().union(*(v.required | v.optional for v in model.variants.values()))
        for variant in model.variants.values():
            assert {*variant.choices, *variant.counts, *variant.needs, *variant.shapes} <= taken
            assert bool(variant.ratios) == variant.takes("ratio") or model.name == "aleph2"
            assert bool(variant.durations) == variant.takes("duration")
            assert bool(variant.seed_limit) >= variant.takes("seed")
            timed = any(price.per_second for price in variant.prices)
            assert not timed or variant.durations or variant.source_seconds
            assert not variant.prices or not variant.prices[-1].when


def test_reading_the_catalogue_loads_nothing_heavy() -> None:
    program = "import sys, secondunit.catalog as c; c.load(); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"pydantic", "httpx", "prefect", "numpy", "av", "moviepy", "PIL", "yaml"}
    assert not heavy & set(run.stdout.split())
