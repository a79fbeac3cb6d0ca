"""One model on one endpoint: its shapes, its lengths and what an order costs at most."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondunit import catalog
from secondunit.catalog import Durations, Variant

CATALOG = catalog.load()
PICTURE = "https://example.com/door.png"
PLATE = "https://example.com/plate.mp4"
TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"
PAIRS = sorted(
    (endpoint, name)
    for name in CATALOG.names("runway")
    for endpoint in CATALOG.families["runway"][name].variants
)


def offered(endpoint: str, model: str) -> Variant:
    variant = CATALOG.variant(model, endpoint, "runway")
    assert variant is not None
    return variant


# --- Limits ----------------------------------------------------------------------------------

PICTURES = [
    ("gen4_image", "text_to_image", 0, 3),
    ("gen4_image_turbo", "text_to_image", 1, 3),
    ("aleph2", "video_to_video", 0, 5),
    ("seedance2", "text_to_video", 0, 9),
    ("seedance2_mini", "video_to_video", 0, 9),
    ("seedance2_5", "text_to_video", 0, 30),
    ("hailuo3", "video_to_video", 0, 9),
    ("gemini_omni_flash", "video_to_video", 0, 5),
    ("gen4.5", "image_to_video", 0, 0),
]


@pytest.mark.parametrize(("model", "endpoint", "least", "most"), PICTURES)
def test_how_many_pictures_guide_a_model(model: str, endpoint: str, least: int, most: int) -> None:
    variant = offered(endpoint, model)
    assert (variant.min_pictures, variant.max_pictures) == (least, most)


def test_what_a_picture_or_a_source_may_be() -> None:
    assert offered("image_to_video", "gen4.5").aspect == (0.5, 2.0)
    assert offered("image_to_video", "gen4_turbo").aspect == (0.5, 2.358)
    aleph = offered("video_to_video", "aleph2")
    assert (aleph.aspect, aleph.source_seconds, aleph.source_fps) == ((0.5, 2.0), (2.0, 30.0), 30)
    assert offered("character_performance", "act_two").source_seconds == (3.0, 30.0)


# --- Shapes ----------------------------------------------------------------------------------

SHAPES = [
    ("gen4.5", "image_to_video", "16:9", "1280:720"),
    ("gen4.5", "image_to_video", "21:9", "1584:672"),
    ("gen4.5", "image_to_video", "1:1", "960:960"),
    ("gen4.5", "image_to_video", "4:3", "1104:832"),
    ("gen4.5", "image_to_video", "1584:672", "1584:672"),
    ("gen4.5", "image_to_video", "1920:1080", None),
    ("gen4.5", "image_to_video", "3:2", None),
    ("gen4.5", "text_to_video", "1:1", None),
    ("gen4_image", "text_to_image", "16:9", "1280:720"),
    ("gen4_image", "text_to_image", "1:1", "1024:1024"),
    ("gen4_image", "text_to_image", "3:4", "720:960"),
    ("seedance2", "text_to_video", "9:16", "720:1280"),
    ("veo3.1", "text_to_video", "16:9", "1280:720"),
    ("hailuo3", "text_to_video", "16:9", "16:9"),
    ("hailuo3", "text_to_video", "1920:1080", "16:9"),
    ("hailuo3", "text_to_video", "3:2", None),
    ("gen4.5", "image_to_video", "0:9", None),
    ("gen4.5", "image_to_video", "wide", None),
    ("aleph2", "video_to_video", "16:9", None),
]


@pytest.mark.parametrize(("model", "endpoint", "ratio", "pixels"), SHAPES)
def test_words_find_their_pixels(model: str, endpoint: str, ratio: str, pixels: str | None) -> None:
    assert offered(endpoint, model).pixels(ratio) == pixels


@given(st.sampled_from(PAIRS), st.integers(1, 4000), st.integers(1, 4000))
def test_what_stands_for_a_shape_is_on_offer_and_looks_like_it(
    pair: tuple[str, str], width: int, height: int
) -> None:
    found = offered(*pair).pixels(f"{width}:{height}")
    if found is not None:
        assert found in offered(*pair).ratios
        across, down = map(int, found.split(":"))
        assert across / down == pytest.approx(width / height, rel=0.04)


def test_lengths_read_as_a_person_says_them() -> None:
    assert str(Durations(minimum=2, maximum=10)) == "2 to 10"
    assert str(Durations(choices=(4, 6, 8))) == "4, 6 or 8"
    assert str(Durations(choices=(5, 10))) == "5 or 10"
    assert [s for s in range(12) if Durations(minimum=2, maximum=10).allows(s)] == [*range(2, 11)]
    assert [s for s in range(12) if Durations(choices=(4, 6, 8)).allows(s)] == [4, 6, 8]


# --- Prices ----------------------------------------------------------------------------------

COSTS = [
    ("gen4.5", "image_to_video", {"duration": 5}, None, 60),
    ("gen4.5", "text_to_video", {"duration": 10}, None, 120),
    ("gen4.5", "text_to_video", {"duration": 5, "outputFormat": "prores"}, None, 85),
    ("gen4.5", "text_to_video", {"duration": 5, "outputFormat": "hdr10"}, None, 160),
    ("gen4_turbo", "image_to_video", {"duration": 5}, None, 25),
    ("gen4_turbo", "image_to_video", {}, None, 50),
    ("aleph2", "video_to_video", {}, 5, 140),
    ("aleph2", "video_to_video", {}, 1.2, 56),
    ("aleph2", "video_to_video", {}, 0.9, 56),
    ("aleph2", "video_to_video", {}, 5.01, 168),
    ("aleph2", "video_to_video", {}, None, 840),
    ("aleph2", "video_to_video", {"outputFormat": "sdr_rec709_10bit"}, 5, 340),
    ("act_two", "character_performance", {}, 3, 15),
    ("act_two", "character_performance", {}, 2, 15),
    ("act_two", "character_performance", {}, 7.5, 40),
    ("gen4_image", "text_to_image", {"ratio": "1280:720"}, None, 5),
    ("gen4_image", "text_to_image", {"ratio": "1680:720"}, None, 5),
    ("gen4_image", "text_to_image", {"ratio": "1920:1080"}, None, 8),
    ("gen4_image", "text_to_image", {"ratio": "1024:1024"}, None, 8),
    ("gen4_image_turbo", "text_to_image", {"ratio": "1920:1080"}, None, 2),
    ("veo3.1", "text_to_video", {"duration": 8, "audio": False}, None, 160),
    ("veo3.1", "text_to_video", {"duration": 8}, None, 320),
    ("veo3.1", "image_to_video", {}, None, 320),
    ("veo3.1_fast", "image_to_video", {"duration": 4, "audio": False}, None, 40),
    ("veo3.1_fast", "image_to_video", {"duration": 4, "audio": True}, None, 60),
    ("seedance2", "text_to_video", {"duration": 5, "ratio": "640:640"}, None, 180),
    ("seedance2", "text_to_video", {"duration": 5, "ratio": "1920:1080"}, None, 200),
    ("seedance2", "text_to_video", {"duration": 5, "ratio": "3840:2160"}, None, 750),
    ("seedance2", "text_to_video", {"duration": "auto", "ratio": "1280:720"}, None, 540),
    ("seedance2_fast", "text_to_video", {"duration": 5}, None, 145),
    ("seedance2_mini", "text_to_video", {"duration": 4}, None, 64),
    ("seedance2_mini", "text_to_video", {"duration": 10}, None, 160),
    ("seedance2_5", "text_to_video", {"ratio": "854:480", "duration": 4}, None, 80),
    ("seedance2_5", "text_to_video", {"ratio": "1280:720"}, None, 150),
    ("seedance2_5", "text_to_video", {"draftTaskId": TASK}, None, 3060),
    (
        "seedance2_5",
        "video_to_video",
        {"ratio": "1280:720", "duration": 5, "promptVideo": PLATE},
        4.2,
        225,
    ),
    ("hailuo3", "text_to_video", {"resolution": "768P", "duration": 5}, None, 50),
    ("hailuo3", "text_to_video", {"references": [{"uri": PICTURE}] * 3, "duration": 5}, None, 81),
    ("gemini_omni_flash", "video_to_video", {}, 6.1, 70),
    ("gemini_omni_flash", "text_to_video", {"duration": 3}, None, 30),
    ("grok_imagine_1_5", "image_to_video", {"promptImage": PICTURE, "duration": 6}, None, 175),
    ("grok_imagine_1_5", "text_to_video", {"resolution": "480p", "duration": 6}, None, 60),
]


@pytest.mark.parametrize(("model", "endpoint", "body", "seconds", "cost"), COSTS)
def test_what_an_order_costs_at_most(
    model: str, endpoint: str, body: dict[str, Any], seconds: float | None, cost: int
) -> None:
    assert offered(endpoint, model).credits(body, seconds) == cost


@given(st.data())
def test_saying_nothing_is_never_budgeted_cheaper_than_saying_something(
    data: st.DataObject,
) -> None:
    pair = data.draw(st.sampled_from(PAIRS))
    variant = offered(*pair)
    body: dict[str, Any] = {}
    if variant.takes("resolution"):
        body["resolution"] = data.draw(st.sampled_from(variant.choices["resolution"]))
    if variant.ratios:
        body["ratio"] = data.draw(st.sampled_from(variant.ratios))
    if variant.takes("audio"):
        body["audio"] = data.draw(st.booleans())
    unsaid, said = variant.credits({}, 5), variant.credits(body, 5)
    assert unsaid is not None
    assert said is not None
    assert 0 < said <= unsaid


def test_a_price_that_is_not_published_is_unknown() -> None:
    variant = CATALOG.variant("gen4_aleph", "video_to_video", "cometapi")
    assert variant is not None
    assert variant.credits({}, 5) is None
    still = CATALOG.variant("gen4_image", "text_to_image", "cometapi")
    assert still is not None
    assert still.credits({"ratio": "1280:720"}) == 32
