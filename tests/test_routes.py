"""Which road each shot takes, what exactly is ordered for it, why, and at what price."""

from __future__ import annotations

from typing import Any

import pytest
from pages import CHOICES, LISTS, furnish, plan
from pydantic import TypeAdapter, ValidationError
from runwayml.types import (
    ImageToVideoCreateParams,
    TextToImageCreateParams,
    TextToVideoCreateParams,
    VideoToVideoCreateParams,
)

from secondunit import catalog
from secondunit.plan import File, Link, Made, fill

CATALOG = catalog.load()
CLIENT: dict[str, TypeAdapter[Any]] = {
    "text_to_video": TypeAdapter(TextToVideoCreateParams),
    "image_to_video": TypeAdapter(ImageToVideoCreateParams),
    "video_to_video": TypeAdapter(VideoToVideoCreateParams),
    "text_to_image": TypeAdapter(TextToImageCreateParams),
}
LOOK = "a still is built from its references first"
WORDS = "made from its words alone"
STILL = "animates that still"
TURBO = "gen4_turbo needs a picture to start from"

# What each list comes to: shot, endpoint (or clip), model, credits, reason; in the order it is made.
SHEETS: dict[str, list[tuple[str, str, str, int | None, str]]] = {
    "two lines": [
        ("sh010", "text_to_video", "gen4.5", 60, WORDS),
        ("sh020", "text_to_video", "gen4.5", 60, WORDS),
    ],
    "reference and source": [
        ("Shot 1", "text_to_image", "gen4_image", 5, LOOK),
        ("Shot 1", "image_to_video", "gen4.5", 60, STILL),
        ("Shot 2", "video_to_video", "aleph2", 168, "edits plates/meadow.mp4"),
    ],
    "named in a list": [
        ("sh010", "text_to_video", "gen4.5", 48, WORDS),
        ("sh020", "text_to_video", "gen4.5", 60, WORDS),
        ("7B", "image_to_video", "gen4.5", 60, "opens on the last frame of sh010"),
    ],
    "draft on the command line": [
        ("sh010", "text_to_image", "gen4_image", 5, TURBO),
        ("sh010", "image_to_video", "gen4_turbo", 25, STILL),
        ("sh020", "text_to_image", "gen4_image_turbo", 2, LOOK),
        ("sh020", "image_to_video", "gen4_turbo", 25, STILL),
    ],
    "a commercial": [
        ("pour", "text_to_video", "gen4.5", 48, WORDS),
        ("steam", "text_to_video", "gen4.5", 48, WORDS),
        ("hero", "text_to_image", "gen4_image", 5, LOOK),
        ("hero", "image_to_video", "gen4.5", 48, STILL),
        ("end", "clip", "-", 0, "your own clip, used as it is"),
    ],
    "scenes and cast": [
        ("1A", "text_to_image", "gen4_image", 5, LOOK),
        ("1A", "image_to_video", "gen4.5", 60, STILL),
        ("1B", "text_to_image", "gen4_image", 5, LOOK),
        ("1B", "image_to_video", "gen4.5", 60, STILL),
        ("2A", "text_to_image", "gen4_image", 5, LOOK),
        ("2A", "image_to_video", "gen4.5", 36, STILL),
    ],
    "first frames": [
        ("opening", "image_to_video", "gen4.5", 60, "opens on refs/cliff.jpg"),
        ("described", "text_to_image", "gen4_image", 5, "its first frame is described"),
        ("described", "image_to_video", "gen4.5", 60, STILL),
        ("matched", "image_to_video", "gen4.5", 60, "opens on the last frame of opening"),
        ("reverse", "image_to_video", "gen4.5", 60, "opens on the first frame of described"),
    ],
    "reference as first frame": [
        ("sh010", "image_to_video", "gen4.5", 60, "its reference is used as first frame"),
        ("sh020", "image_to_video", "gen4.5", 60, "its reference is used as first frame"),
    ],
    "out of order": [
        ("A", "text_to_video", "gen4.5", 60, WORDS),
        ("B", "video_to_video", "aleph2", 140, "edits A"),
        ("C", "image_to_video", "gen4.5", 60, "opens on the last frame of B"),
    ],
    "edits of edits": [
        ("plate", "clip", "-", 0, "your own clip, used as it is"),
        ("night", "video_to_video", "aleph2", 168, "edits plate"),
        ("rain", "video_to_video", "aleph2", 168, "edits night"),
        ("alternative", "video_to_video", "aleph2", 168, "edits plates/meadow.mp4"),
    ],
    "an omitted shot that others need": [
        ("setup", "text_to_video", "gen4.5", 60, WORDS),
        ("opens", "image_to_video", "gen4.5", 60, "opens on the last frame of setup"),
    ],
    "everything inherited": [
        ("a", "text_to_video", "gen4.5", 24, WORDS),
        ("b", "text_to_video", "gen4.5", 24, WORDS),
    ],
    "partners": [
        ("veo", "text_to_video", "veo3.1", 320, WORDS),
        ("fast", "text_to_video", "veo3.1_fast", 60, WORDS),
        ("dance", "image_to_video", "seedance2", 540, "opens on refs/boy.png"),
        ("mini", "text_to_video", "seedance2_mini", 80, WORDS),
        ("next", "text_to_video", "seedance2_5", 900, WORDS),
        ("sea", "text_to_video", "hailuo3", 90, WORDS),
        ("flash", "text_to_video", "gemini_omni_flash", 30, WORDS),
        ("grok", "text_to_video", "grok_imagine_1_5", 29, WORDS),
        ("grok still", "image_to_video", "grok_imagine_1_5", 146, "opens on refs/boy.png"),
    ],
    "edits by partners": [
        ("sh010", "video_to_video", "seedance2", 216, "edits plates/meadow.mp4"),
        ("sh020", "video_to_video", "seedance2_5", 270, "edits plates/meadow.mp4"),
        ("sh030", "video_to_video", "hailuo3", 90, "edits plates/meadow.mp4"),
        ("sh040", "video_to_video", "gemini_omni_flash", 60, "edits plates/meadow.mp4"),
    ],
    "a model for some": [
        ("sh010", "text_to_video", "veo3.1", 240, WORDS),
        ("sh020", "video_to_video", "aleph2", 168, "edits plates/meadow.mp4"),
        ("sh030", "clip", "-", 0, "your own clip, used as it is"),
        ("sh040", "text_to_video", "gen4.5", 120, WORDS),
    ],
    "own profiles": [
        ("sh010", "text_to_image", "gen4_image_turbo", 2, LOOK),
        ("sh010", "image_to_video", "gen4_turbo", 25, STILL),
        ("sh020", "video_to_video", "seedance2_fast", 174, "edits plates/meadow.mp4"),
    ],
    "cometapi": [
        ("sh010", "text_to_image", "gen4_image", 32, LOOK),
        ("sh010", "image_to_video", "gen4_turbo", None, STILL),
        ("sh020", "video_to_video", "gen4_aleph", None, "edits plates/meadow.mp4"),
        ("sh030", "image_to_video", "gen3a_turbo", None, "opens on refs/keeper.png"),
    ],
    "links": [
        ("sh010", "text_to_image", "gen4_image", 5, LOOK),
        ("sh010", "image_to_video", "gen4.5", 60, STILL),
        (
            "sh020",
            "image_to_video",
            "gen4.5",
            60,
            "opens on HTTPS://example.com/door.png?sig=a&b=c",
        ),
        ("sh030", "video_to_video", "aleph2", 840, "edits a linked video"),
    ],
    "equal shots": [
        ("first", "text_to_video", "gen4.5", 60, WORDS),
        ("other", "text_to_video", "gen4.5", 60, WORDS),
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("routes") / "set")


def bodies(text: str, folder, **choices: Any) -> list[dict[str, Any]]:
    """Return what is sent, with a word for each input."""

    def word(given: Any) -> str:
        if isinstance(given, File):
            return given.asset.path.name
        return given.url if isinstance(given, Link) else f"<{given.part}>"

    made = plan(text, folder, **choices)
    return [fill(step.request.body, word) for step in made.orders if step.request]


def body(shot: str, folder, **choices: Any) -> dict[str, Any]:
    """Return the last body of a film of one shot, written as a flow mapping."""
    return bodies(f"shots: [{{{shot}}}]", folder, **choices)[-1]


@pytest.mark.parametrize("name", SHEETS)
def test_the_road_the_model_the_price_and_the_reason(name, folder):
    made = plan(LISTS[name], folder, **CHOICES.get(name, {}))
    assert [
        (s.shot, s.request.endpoint if s.request else s.kind, s.model, s.credits, s.reason)
        for s in made.steps
    ] == SHEETS[name]


@pytest.mark.parametrize("name", LISTS)
def test_every_order_is_one_that_the_gateway_takes(name, folder):
    made = plan(LISTS[name], folder, **CHOICES.get(name, {}))

    def uri(given: Any) -> str:
        if isinstance(given, Link):
            return given.url
        if isinstance(given, File):
            return f"data:{given.asset.mime};base64,AAAA"
        kind = "video/mp4" if given.part == "clip" else "image/png"
        return f"data:{kind};base64,AAAA"

    for step in made.orders:
        sent = fill(step.request.body, uri)
        assert CATALOG.validate(step.request.endpoint, sent, made.gateway) == [], step.label
        if made.gateway != "cometapi":
            CLIENT[step.request.endpoint].validate_python(snaked(sent), strict=True)


def snaked(value: Any) -> Any:
    """Write a body as the official client takes it: its arguments are in snake case."""
    if isinstance(value, dict):
        return {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in k): snaked(v)
            for k, v in value.items()
        }
    return [snaked(v) for v in value] if isinstance(value, list) else value


def test_the_official_client_refuses_what_is_not_an_order():
    """Otherwise the test above could not fail."""
    for wrong in ({"ratio": "16:9"}, {"duration": "5"}, {"model": "gen4.6"}):
        right = {"model": "gen4.5", "prompt_text": "x", "ratio": "1280:720", "duration": 5}
        CLIENT["text_to_video"].validate_python(right, strict=True)
        with pytest.raises(ValidationError):
            CLIENT["text_to_video"].validate_python(right | wrong, strict=True)


@pytest.mark.parametrize("name", LISTS)
def test_each_step_comes_after_what_it_needs(name, folder):
    made = plan(LISTS[name], folder, **CHOICES.get(name, {}))
    ready: set[str] = set()
    for step in made.steps:
        assert ready.issuperset(step.needs)
        inputs = step.request.inputs() if step.request else ()
        assert set(step.needs) == {given.key for given in inputs if isinstance(given, Made)}
        ready.add(step.key)
    assert {entry.key for entry in made.cut} <= ready


# --- what is sent -----------------------------------------------------------------------------


def test_a_shot_from_words():
    assert body(
        "prompt: 'A plain.', seed: 7, duration: 4, ratio: '9:16', moderation: low", "."
    ) == {
        "model": "gen4.5",
        "promptText": "A plain.",
        "ratio": "720:1280",
        "duration": 4,
        "seed": 7,
        "contentModeration": {"publicFigureThreshold": "low"},
    }


def test_a_shot_from_a_reference_is_a_still_and_its_animation(folder):
    still, take = bodies(LISTS["reference and source"], folder)[:2]
    words = "A lighthouse keeper stands at the cliff edge above a stormy sea. Slow push-in."
    assert still == {
        "model": "gen4_image",
        "promptText": words,
        "ratio": "1280:720",
        "referenceImages": [{"uri": "keeper.png"}],
        "seed": 7,
    }
    assert take == {
        "model": "gen4.5",
        "promptImage": "<still>",
        "promptText": words,
        "ratio": "1280:720",
        "duration": 5,
        "seed": 7,
    }


def test_an_edit_has_neither_ratio_nor_duration(folder):
    edit = body("prompt: Make it night., source: plates/meadow.mp4, seed: 7", folder)
    assert edit == {
        "model": "aleph2",
        "videoUri": "meadow.mp4",
        "promptText": "Make it night.",
        "seed": 7,
    }


def test_references_of_an_edit_are_spread_over_it_as_keyframes(folder):
    three = "references: [refs/cliff.jpg, refs/door.png, refs/boy.png]"
    edit = body(f"prompt: Night., source: plates/meadow.mp4, {three}", folder)
    assert [(k["uri"], k["at"]) for k in edit["keyframes"]] == [
        ("cliff.jpg", 0.0),
        ("door.png", 0.5),
        ("boy.png", 1.0),
    ]
    one = body("prompt: Night., source: plates/meadow.mp4, reference: refs/door.png", folder)
    assert one["keyframes"] == [{"uri": "door.png", "at": 0.0}]


def test_at_cometapi_the_reference_of_an_edit_is_a_typed_picture(folder):
    edit = bodies(LISTS["cometapi"], folder, gateway="cometapi")[2]
    assert edit == {
        "model": "gen4_aleph",
        "videoUri": "meadow.mp4",
        "promptText": "Night.",
        "references": [{"type": "image", "uri": "cliff.jpg"}],
        "seed": 3,
    }


def test_a_ratio_of_its_own_lets_an_edit_paint_around_the_picture(folder):
    edit = body("prompt: Night., source: plates/meadow.mp4, ratio: '720:1280'", folder)
    assert edit["targetAspectRatio"] == "9:16"
    assert "ratio" not in edit
    film = f"ratio: 9:16\n{LISTS['reference and source']}"
    assert "targetAspectRatio" not in bodies(film, folder)[-1]


def test_an_edit_without_a_length_of_its_own_lasts_as_long_as_its_source(folder):
    text = "prompt: Night., source: plates/meadow.mp4, model: seedance2"
    assert body(text, folder)["duration"] == 6  # 5.28 s, in whole seconds
    assert body(text + ", duration: 4", folder)["duration"] == 4


def test_an_own_clip_is_edited_by_its_bytes_whatever_it_is_called(folder):
    by_name = plan("shots: [{clip: plates/meadow.mp4}, {source: sh010, prompt: Night.}]", folder)
    by_file = plan("shots: [{source: plates/meadow.mp4, prompt: Night.}]", folder)
    assert by_name.steps[1].key == by_file.steps[0].key
    assert by_name.steps[1].needs == ()


def test_mentions_travel_as_tags_to_stills_and_as_words_to_video(folder):
    still, take, second, *_ = bodies(LISTS["scenes and cast"], folder)
    assert still["referenceImages"] == [
        {"uri": "keeper.png", "tag": "mara"},
        {"uri": "cliff.jpg", "tag": "pier"},
    ]
    assert still["promptText"] == (
        "Wide shot. @mara stands under a lamp. @pier. Waiting. Cold fog, muted greens."
        " @mara: A woman of sixty in a grey raincoat. @pier: An empty ferry pier."
    )
    assert take["promptText"] == (
        "Wide shot. A woman of sixty in a grey raincoat stands under a lamp."
        " An empty ferry pier. Waiting. Cold fog, muted greens."
    )
    assert second["promptText"].startswith("Close-up. A boy of nine with a red scarf looks up.")


def test_a_picture_of_the_shots_own_stands_for_a_cast_member(folder):
    stills = [
        b["referenceImages"]
        for b in bodies(LISTS["mentions with pictures of their own"], folder)
        if "referenceImages" in b
    ]
    assert stills == [
        [{"uri": "keeper.png", "tag": "keeper"}, {"uri": "boy.png"}],
        [{"uri": "door.png", "tag": "keeper"}],
        [{"uri": "keeper.png", "tag": "keeper"}, {"uri": "boy.png"}],
    ]


def test_a_camera_move_is_told_to_the_video_and_not_to_the_still(folder):
    shot = "prompt: A door., reference: refs/door.png, camera: slow push in"
    still, take = bodies(f"shots: [{{{shot}}}]", folder)
    assert "push in" not in still["promptText"]
    assert take["promptText"] == "A door. Slow push in."
