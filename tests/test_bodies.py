"""Bodies that are wrong in one way get one issue, at the place, with a sentence; none raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondunit import catalog
from secondunit.catalog import ENDPOINTS, Issue

CATALOG = catalog.load()
PICTURE = "https://example.com/door.png"
PLATE = "https://example.com/plate.mp4"
SOUND = "https://example.com/wind.mp3"
TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"

Order = tuple[str, dict[str, Any]]

GEN45: Order = (
    "image_to_video",
    {
        "model": "gen4.5",
        "promptText": "Slow push-in.",
        "promptImage": PICTURE,
        "ratio": "1280:720",
        "duration": 5,
    },
)
VEO: Order = ("image_to_video", {"model": "veo3.1", "promptImage": PICTURE, "ratio": "1280:720"})
SEEDANCE: Order = ("image_to_video", {"model": "seedance2", "promptImage": PICTURE})
ALEPH: Order = ("video_to_video", {"model": "aleph2", "videoUri": PLATE})
EXTEND: Order = ("video_to_video", {"model": "seedance2_5", "promptVideo": PLATE})
DRAFT: Order = ("text_to_video", {"model": "seedance2_5", "promptText": "Rain."})
HAILUO: Order = ("text_to_video", {"model": "hailuo3", "promptText": "Rain."})
GROK: Order = ("text_to_video", {"model": "grok_imagine_1_5", "promptText": "Rain."})
STILL: Order = (
    "text_to_image",
    {"model": "gen4_image", "promptText": "@keeper", "ratio": "1280:720"},
)
ACT: Order = (
    "character_performance",
    {
        "model": "act_two",
        "character": {"type": "image", "uri": PICTURE},
        "reference": {"type": "video", "uri": PLATE},
    },
)
RIGHT = [GEN45, VEO, SEEDANCE, ALEPH, EXTEND, DRAFT, HAILUO, GROK, STILL, ACT]

WINDOW = {"start_seconds": 2, "end_seconds": 4}
CAMEL_WINDOW = {"startSeconds": 2, "end_seconds": 4, "start_seconds": 2}
FIRST = {"uri": PICTURE, "position": "first"}
LAST = {"uri": PICTURE, "position": "last"}
LOOSE = {"uri": PICTURE}


def at(moment: float, **more: Any) -> dict[str, Any]:
    return {"uri": PICTURE, "seconds": moment, **more}


def tagged(*tags: str) -> list[dict[str, str]]:
    return [{"uri": PICTURE, "tag": tag} for tag in tags]


WRONG: list[tuple[Order, dict[str, Any], str, str]] = [
    (GEN45, {"duration": 11}, "duration", "too_big"),
    (GEN45, {"duration": 1}, "duration", "too_small"),
    (GEN45, {"duration": 5.0}, "duration", "invalid_type"),
    (GEN45, {"duration": True}, "duration", "invalid_type"),
    (GEN45, {"duration": "auto"}, "duration", "invalid_type"),
    (GEN45, {"ratio": "16:9"}, "ratio", "invalid_value"),
    (GEN45, {"ratio": 969}, "ratio", "invalid_type"),
    (GEN45, {"promptText": ""}, "promptText", "too_small"),
    (GEN45, {"promptText": "x" * 1001}, "promptText", "too_big"),
    (GEN45, {"seed": -1}, "seed", "too_small"),
    (GEN45, {"seed": 2**32}, "seed", "too_big"),
    (GEN45, {"seed": False}, "seed", "invalid_type"),
    (GEN45, {"prompt_text": "x"}, "prompt_text", "unrecognized_keys"),
    (GEN45, {"negativePrompt": "fog"}, "negativePrompt", "unrecognized_keys"),
    (GEN45, {"promptImage": []}, "promptImage", "too_small"),
    (GEN45, {"promptImage": [LOOSE]}, "promptImage.0.position", "invalid_type"),
    (GEN45, {"promptImage": [LAST]}, "promptImage.0.position", "invalid_value"),
    (GEN45, {"promptImage": [FIRST, FIRST]}, "promptImage", "too_big"),
    (GEN45, {"promptImage": [FIRST | {"tag": "x"}]}, "promptImage.0.tag", "unrecognized_keys"),
    (GEN45, {"promptImage": FIRST}, "promptImage", "invalid_type"),
    (GEN45, {"contentModeration": "low"}, "contentModeration", "invalid_type"),
    (GEN45, {"outputFormat": "gif"}, "outputFormat", "invalid_value"),
    (GEN45, {"proresProfile": "422"}, "proresProfile", "custom"),
    (GEN45, {"outputFormat": "hlg", "proresProfile": "422"}, "proresProfile", "custom"),
    (
        GEN45,
        {"outputFormat": "hdr_prores", "proresProfile": "422 LT"},
        "proresProfile",
        "invalid_value",
    ),
    (VEO, {"duration": 5}, "duration", "invalid_value"),
    (VEO, {"promptImage": [LAST]}, "promptImage", "custom"),
    (VEO, {"promptImage": [FIRST, FIRST]}, "promptImage", "custom"),
    (VEO, {"promptImage": [FIRST, LAST, LAST]}, "promptImage", "too_big"),
    (SEEDANCE, {"promptImage": [FIRST, LOOSE]}, "promptImage", "custom"),
    (SEEDANCE, {"promptImage": [LOOSE] * 10}, "promptImage", "too_big"),
    (SEEDANCE, {"duration": "long"}, "duration", "invalid_type"),
    (ALEPH, {"keyframes": [LOOSE]}, "keyframes.0", "custom"),
    (ALEPH, {"keyframes": [at(0, at=0)]}, "keyframes.0", "custom"),
    (ALEPH, {"keyframes": [{"uri": PICTURE, "at": 1.5}]}, "keyframes.0.at", "too_big"),
    (ALEPH, {"keyframes": [at(30.5)]}, "keyframes.0.seconds", "too_big"),
    (ALEPH, {"keyframes": [at(float("nan"))]}, "keyframes.0.seconds", "invalid_type"),
    (ALEPH, {"keyframes": [at(1)] * 6}, "keyframes", "too_big"),
    (ALEPH, {"keyframes": [at(2, range=WINDOW), at(3)]}, "keyframes", "custom"),
    (ALEPH, {"keyframes": [at(4, range=WINDOW)]}, "keyframes.0.range", "custom"),
    (
        ALEPH,
        {"keyframes": [at(2, range=CAMEL_WINDOW)]},
        "keyframes.0.range.startSeconds",
        "unrecognized_keys",
    ),
    (ALEPH, {"duration": 5}, "duration", "unrecognized_keys"),
    (ALEPH, {"references": [LOOSE]}, "references", "unrecognized_keys"),
    (ALEPH, {"targetAspectRatio": "5:4"}, "targetAspectRatio", "invalid_value"),
    (EXTEND, {"mode": "extend"}, "promptText", "invalid_type"),
    (EXTEND, {"mode": "edit", "promptText": "x", "duration": 5}, "duration", "invalid_value"),
    (EXTEND, {"mode": "extend", "promptText": "x", "ratio": "1280:720"}, "ratio", "custom"),
    (DRAFT, {"draft": True, "outputFormat": "mov"}, "outputFormat", "custom"),
    (DRAFT, {"draftTaskId": TASK}, "draftTaskId", "custom"),
    (HAILUO, {"ratio": "adaptive"}, "ratio", "custom"),
    (HAILUO, {"references": [LOOSE] * 10}, "references", "too_big"),
    (HAILUO, {"seed": 7}, "seed", "unrecognized_keys"),
    (GROK, {"referenceAudio": [{"type": "audio", "uri": SOUND}]}, "referenceAudio", "custom"),
    (STILL, {"referenceImages": []}, "referenceImages", "too_small"),
    (STILL, {"referenceImages": [LOOSE] * 4}, "referenceImages", "too_big"),
    (STILL, {"referenceImages": tagged("Keeper")}, "referenceImages.0.tag", "invalid_value"),
    (STILL, {"referenceImages": tagged("ab")}, "referenceImages.0.tag", "invalid_value"),
    (STILL, {"referenceImages": tagged("a" * 17)}, "referenceImages.0.tag", "invalid_value"),
    (STILL, {"referenceImages": tagged("keeper", "keeper")}, "referenceImages", "custom"),
    (ACT, {"expressionIntensity": 6}, "expressionIntensity", "too_big"),
    (ACT, {"reference": {"type": "image", "uri": PICTURE}}, "reference.type", "invalid_value"),
    (ACT, {"reference": PLATE}, "reference", "invalid_type"),
]


def dotted(issue: Issue) -> str:
    return ".".join(map(str, issue.path))


@pytest.mark.parametrize("order", RIGHT, ids=lambda order: order[1]["model"])
def test_what_is_right_has_no_issue(order: Order) -> None:
    assert CATALOG.validate(*order) == []


@pytest.mark.parametrize(("order", "change", "place", "code"), WRONG)
def test_what_is_wrong_in_one_way_has_one_issue(
    order: Order, change: dict[str, Any], place: str, code: str
) -> None:
    endpoint, body = order
    (issue,) = CATALOG.validate(endpoint, body | change)
    assert (dotted(issue), issue.code) == (place, code)
    assert issue.message[0].isupper() or issue.message[0] in "`0123456789-"
    assert issue.message.endswith((".", "?"))


def test_what_goes_together_is_accepted() -> None:
    for (endpoint, body), change in [
        (GEN45, {"promptImage": [FIRST], "outputFormat": "hdr_prores", "proresProfile": "422 HQ"}),
        (VEO, {"promptImage": [FIRST, LAST]}),
        (SEEDANCE, {"promptImage": [LOOSE] * 9, "duration": "auto"}),
        (ALEPH, {"keyframes": [at(2, range=WINDOW), at(3.9, range=WINDOW)], "ratio": "any"}),
        (EXTEND, {"mode": "edit", "promptText": "Night.", "duration": "auto"}),
        (HAILUO, {"ratio": "adaptive", "references": [LOOSE]}),
        (STILL, {"referenceImages": [*tagged("keeper", "door_2"), LOOSE]}),
    ]:
        assert CATALOG.validate(endpoint, body | change) == []


def test_every_problem_is_reported_at_once() -> None:
    endpoint, body = GEN45
    wrong = body | {"ratio": "4:3", "duration": 99, "promptText": "", "sede": 7}
    places = {dotted(issue) for issue in CATALOG.validate(endpoint, wrong)}
    assert places == {"duration", "promptText", "ratio", "sede"}


def test_an_unknown_field_is_met_with_the_one_that_was_meant() -> None:
    (issue,) = CATALOG.validate("image_to_video", GEN45[1] | {"content_moderation": {}})
    assert issue.message == "Unknown field. Did you mean `contentModeration`?"


def test_astral_characters_count_twice() -> None:
    endpoint, body = GEN45
    assert CATALOG.validate(endpoint, body | {"promptText": "🎬" * 500}) == []
    (issue,) = CATALOG.validate(endpoint, body | {"promptText": "🎬" * 501})
    assert issue.message == "1002 UTF-16 code units; at most 1000 are allowed."


DATA = "data:image/png;base64,"
URIS = [
    ("https://a.bc/", None),
    ("https://a.bc", "too_small"),
    ("https://cdn.example.com:8443/a.png?sig=%20x", None),
    ("https://example.com/" + "a" * 2028, None),
    ("https://example.com/" + "a" * 2029, "too_big"),
    ("https://93.184.216.34/a.png", "invalid_value"),
    ("https://localhost/a.png", "invalid_value"),
    ("https://example.com/a b.png", "invalid_value"),
    ("http://example.com/a.png", "invalid_value"),
    ("http://127.0.0.1:8000/a.png", "invalid_value"),
    ("refs/keeper.png", "invalid_value"),
    ("runway://abcd", None),
    ("runway://abc", "too_small"),
    ("runway://" + "a" * 4991, None),
    ("runway://" + "a" * 4992, "too_big"),
    (DATA + "AAAA", None),
    (DATA + "A" * (5_242_880 - len(DATA)), None),
    (DATA + "A" * (5_242_881 - len(DATA)), "too_big"),
    ("data:image/png,AAAA", "invalid_value"),
    (DATA, "invalid_value"),
    ("data:video/mp4;base64,AAAA", "invalid_value"),
]


@pytest.mark.parametrize(("uri", "code"), URIS, ids=[f"{u[:40]} {len(u)}" for u, _ in URIS])
def test_the_address_of_a_picture(uri: str, code: str | None) -> None:
    endpoint, body = GEN45
    issues = CATALOG.validate(endpoint, body | {"promptImage": uri})
    assert [issue.code for issue in issues] == ([code] if code else [])
    assert all(len(issue.message) < 200 for issue in issues)


def test_only_the_free_gateway_takes_inputs_from_this_machine() -> None:
    endpoint, body = GEN45
    local = body | {"promptImage": "http://127.0.0.1:8000/outputs/a.png?_jwt=x"}
    assert CATALOG.validate(endpoint, local, "backlot") == []
    assert CATALOG.validate(endpoint, local, "runway")
    near = body | {"promptImage": "http://10.0.0.1:8000/a.png"}
    assert CATALOG.validate(endpoint, near, "backlot")


MODELS = [
    ("image_to_video", [], "backlot", "", "The body has to be a JSON object."),
    ("image_to_video", {}, "runway", "model", "A model has to be named."),
    ("image_to_video", {"model": 7}, "runway", "model", "A model has to be named."),
    ("slow_motion", {"model": "gen4.5"}, "runway", "", "There is no endpoint `slow_motion`."),
    (
        "video_to_video",
        {"model": "gen4_aleph"},
        "runway",
        "model",
        "gen4_aleph was retired on 2026-07-30; use aleph2.",
    ),
    (
        "text_to_video",
        {"model": "gen4_turbo"},
        "runway",
        "model",
        "gen4_turbo is not offered on text_to_video, only on image_to_video.",
    ),
    (
        "text_to_video",
        {"model": "kling_4"},
        "runway",
        "model",
        "kling_4 is not in the catalogue of 2026-11-21: no price for it is published.",
    ),
    (
        "video_to_video",
        {"model": "aleph2"},
        "cometapi",
        "model",
        "aleph2 is not a model of cometapi; video_to_video has gen4_aleph.",
    ),
]


@pytest.mark.parametrize(("endpoint", "body", "gateway", "place", "message"), MODELS)
def test_without_a_model_to_check_by_there_is_one_issue(
    endpoint: str, body: object, gateway: str, place: str, message: str
) -> None:
    (issue,) = CATALOG.validate(endpoint, body, gateway)
    assert (dotted(issue), issue.message) == (place, message)


def test_cometapi_has_limits_of_its_own() -> None:
    shot = {"model": "gen3a_turbo", "promptImage": PICTURE}
    assert CATALOG.validate("image_to_video", shot, "cometapi") == []
    wrong = shot | {"duration": 7, "seed": 10**9, "promptText": "x" * 513, "ratio": "1920:1080"}
    issues = CATALOG.validate("image_to_video", wrong, "cometapi")
    assert {dotted(issue) for issue in issues} == {"duration", "seed", "promptText", "ratio"}


def test_cometapi_still_edits_with_the_old_aleph_and_its_typed_references() -> None:
    edit = {"model": "gen4_aleph", "videoUri": PLATE, "promptText": "Night."}
    typed = edit | {"references": [{"type": "image", "uri": PICTURE}]}
    assert CATALOG.validate("video_to_video", typed, "cometapi") == []
    assert CATALOG.validate("video_to_video", edit | {"references": [LOOSE]}, "cometapi")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda part: (
        st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=12), part, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    sorted(
        {"uri", "type", "position", "range", "at", "seconds", "tag", "x"}.union(
            *(v.required | v.optional for m in CATALOG.families["runway"].values()
              for v in m.variants.values())
        )
    )
)  # fmt: skip
NEAR = st.dictionaries(NAMES, JSON | st.lists(st.dictionaries(NAMES, JSON, max_size=3), max_size=3))


@given(st.sampled_from([*ENDPOINTS, "nowhere"]), JSON, st.sampled_from(["runway", "pixio"]))
def test_arbitrary_json_is_judged_and_never_raises(endpoint: str, body: Any, gateway: str) -> None:
    assert CATALOG.validate(endpoint, body, gateway)


@given(st.sampled_from(RIGHT), NEAR)
def test_a_body_near_the_mark_is_judged_and_priced_without_raising(
    order: Order, change: dict[str, Any]
) -> None:
    endpoint, body = order
    for issue in CATALOG.validate(endpoint, body | change):
        assert issue.path
        assert issue.message
    variant = CATALOG.variant(body["model"], endpoint, "runway")
    assert variant is not None
    assert isinstance(variant.credits(body | change), int)
