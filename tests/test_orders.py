"""The terms of an order: its ratio in the model's own words, its length, its seed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pages import furnish, plan, said
from test_routes import body

from secondunit import catalog
from secondunit.cut import Trim

CATALOG = catalog.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("orders") / "set")


# --- ratios and lengths -----------------------------------------------------------------------

GEN4 = {
    "16:9": "1280:720", "9:16": "720:1280", "1:1": "960:960", "4:3": "1104:832",
    "3:4": "832:1104", "21:9": "1584:672",
}  # fmt: skip


@pytest.mark.parametrize(("word", "pixels"), GEN4.items())
@pytest.mark.parametrize("model", ["gen4.5", "gen4_turbo"])
def test_words_and_pixels_ask_for_the_same_size(model, word, pixels, folder):
    for ratio in (word, pixels):
        sent = body(f"prompt: A plain., model: {model}, ratio: '{ratio}'", folder)
        assert sent["ratio"] == pixels


@pytest.mark.parametrize("word", GEN4)
@pytest.mark.parametrize("model", ["gen4.5", "gen4_turbo"])
def test_a_still_has_a_shape_that_the_video_model_takes(model, word, folder):
    """gen4.5 takes no picture wider than 2:1, though it makes 21:9 (docs: assets/inputs)."""
    shot = f"prompt: A plain., model: {model}, ratio: '{word}', reference: refs/door.png"
    still, _ = plan(f"shots: [{{{shot}}}]", folder).steps
    low, high = CATALOG.variant(model, "image_to_video", "runway").aspect
    assert low <= still.size[0] / still.size[1] <= high
    if word != "21:9":
        w, h = map(int, word.split(":"))
        assert still.size[0] / still.size[1] == pytest.approx(w / h, rel=0.02)


def test_a_frame_that_is_too_wide_for_the_next_model_is_refused_before_it_is_bought(folder):
    text = """\
shots:
  wide: {prompt: A plain., model: gen4_turbo, ratio: '21:9'}
  next: {prompt: It rains., continues: wide, ratio: '16:9'}
"""
    assert (
        "shots.next.continues: it is 1584×672, 2.36 times as wide as high; gen4.5 takes"
        " 0.5 to 2. Give that shot another `ratio`, or this one another `model`."
    ) in said(text, folder)


PARTNER_SIZES = [
    ("veo3.1", "9:16", "720:1280"),
    ("veo3.1", "1920:1080", "1920:1080"),
    ("seedance2", "1:1", "960:960"),
    ("seedance2", "864:496", "864:496"),
    ("hailuo3", "21:9", "21:9"),
    ("hailuo3", "1280:720", "16:9"),
    ("grok_imagine_1_5", "3:2", "3:2"),
]


@pytest.mark.parametrize(("model", "ratio", "sent"), PARTNER_SIZES)
def test_partners_get_the_ratio_in_their_own_words(model, ratio, sent, folder):
    assert body(f"prompt: A plain., model: {model}, ratio: '{ratio}'", folder)["ratio"] == sent


def test_a_size_in_words_is_no_size_in_pixels(folder):
    made = plan("shots: [{prompt: A plain., model: hailuo3}]", folder)
    assert made.steps[0].size is None


@pytest.mark.parametrize(
    ("model", "seconds"),
    [("gen4.5", 5), ("veo3.1", 6), ("seedance2", 5), ("hailuo3", 5), ("gemini_omni_flash", 5)],
)
def test_without_a_duration_a_shot_is_as_near_to_five_seconds_as_its_model_can(
    model, seconds, folder
):
    assert body(f"prompt: A plain., model: {model}", folder)["duration"] == seconds


# --- seeds ------------------------------------------------------------------------------------


def test_a_seed_is_drawn_from_the_request_and_stays(folder):
    one, other = body("prompt: A.", folder), body("prompt: B.", folder)
    assert one["seed"] == body("prompt: A.", folder)["seed"] != other["seed"]
    assert 0 <= one["seed"] <= 4294967295


def test_a_model_without_seeds_gets_none_and_says_so(folder):
    made = plan("shots: [{prompt: A., model: hailuo3, seed: 3}]", folder)
    assert "seed" not in made.steps[0].request.body
    assert [r.code for r in made.remarks] == ["unused"]


def test_a_drawn_seed_keeps_to_the_limit_of_its_gateway(folder):
    for n in range(40):
        made = plan(
            f"shots: [{{prompt: 'A {n}.', reference: refs/door.png}}]", folder, gateway="cometapi"
        )
        assert made.steps[1].seed <= 999999999


# --- what cannot be ordered -------------------------------------------------------------------

REFUSED = [
    ("shots: [{clip: plates/meadow.mp4, duration: 6}]", "a clip lasts as long as it does, 5.28 s."),
    ("shots: [{source: plates/meadow.mp4}]", "an edit needs a `prompt` that says what to change."),
    ("shots: [{reference: refs/door.png}]", "this shot says nothing to make. Write a `prompt`"),
    (
        "profiles: {final: {still: gen4.5}}\nshots: [{prompt: x, reference: refs/door.png}]",
        "gen4.5 makes no stills. These do: gen4_image, gen4_image_turbo.",
    ),
    (
        "shots: [{prompt: x, source: plates/meadow.mp4, duration: 6}]",
        "an edit lasts as long as its source, 5.28 s. Shorten it with `trim`",
    ),
    ("shots: [{prompt: x, duration: 11}]", "makes 2 to 10 seconds, not 11. Make it two shots"),
    (
        "shots: [{prompt: x, model: veo3.1, duration: 8.1}]",
        "4, 6 or 8 seconds, not 8.1. Make it two",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_cannot_be_ordered_is_said_with_the_way_out(text, sentence, folder):
    assert sentence in said(text, folder)


# --- durations that no model makes ------------------------------------------------------------

SHORTENED = [
    ("prompt: x, duration: 3.5", 4, "3.5"),
    ("prompt: x, duration: 3.2", 4, "3.2"),
    ("prompt: x, duration: 1", 2, "1"),
    ("prompt: x, model: veo3.1, duration: 5", 6, "5"),
    ("prompt: x, source: plates/meadow.mp4, model: seedance2, duration: 0.5", 4, "0.5"),
]


@pytest.mark.parametrize(("shot", "ordered", "used"), SHORTENED)
def test_the_shortest_that_covers_a_duration_is_ordered_and_cut_to_it(shot, ordered, used, folder):
    made = plan(f"shots: [{{{shot}}}]", folder)
    assert made.steps[0].request.body["duration"] == made.steps[0].seconds == ordered
    assert made.cut[0].trim == Trim(end=Fraction(used))
    assert made.steps[0].reason.endswith(f"; {ordered} s are ordered, and the first {used} used")


@pytest.mark.parametrize(
    "shot", ["clip: plates/meadow.mp4", "prompt: x, source: plates/meadow.mp4"]
)
def test_a_duration_shortens_footage_that_is_there(shot, folder):
    made = plan(f"shots: [{{{shot}, duration: 3}}]", folder)
    assert made.cut[0].trim == Trim(end=Fraction(3))
    assert made.steps[0].key == plan(f"shots: [{{{shot}}}]", folder).steps[0].key


def test_an_inherited_duration_leaves_footage_as_it_is(folder):
    text = "defaults: {duration: 3.5}\nshots: [{clip: plates/meadow.mp4}, {prompt: x}]"
    assert [e.trim.end for e in plan(text, folder).cut] == [None, Fraction(7, 2)]


def test_shrinking_within_what_is_ordered_orders_nothing_new(folder):
    keys = {
        plan(f"shots: [{{prompt: x, duration: {s}}}]", folder).cut[0].key for s in (4, 3.5, 3.01)
    }
    assert len(keys) == 1


def test_a_trim_lies_inside_of_a_duration(folder):
    made = plan("shots: [{prompt: x, duration: 3.5, trim: {in: 1}}]", folder)
    assert made.cut[0].trim == Trim(Fraction(1), Fraction(7, 2))
    page = said("shots: [{prompt: x, duration: 3.5, trim: [1, 4]}]", folder)
    assert "the trim 1–4 s reaches outside the clip, which is 3.5 s long." in page


# --- prices -----------------------------------------------------------------------------------


def test_a_stated_price_is_credits_for_one_call_whatever_its_length(folder):
    text = "shots: [{prompt: A., duration: 2}, {prompt: A., duration: 10}]"
    assert [s.credits for s in plan(text, folder).orders] == [24, 120]
    stated = plan(text, folder, gateway="runway", prices={"runway.gen4.5": 99})
    assert [s.credits for s in stated.orders] == [99, 99]


def test_a_price_stated_for_another_gateway_or_model_changes_nothing(folder):
    prices = {"cometapi.gen4.5": 1, "runway.gen4_turbo": 1, "gen4.5": 1}
    made = plan("shots: [A.]", folder, gateway="runway", prices=prices)
    assert made.orders[0].credits == 60


def test_a_stated_price_is_no_part_of_the_take_key(folder):
    """What a call costs changes; what was bought stays bought."""
    text = "shots: [A.]"
    one = plan(text, folder, gateway="runway")
    other = plan(text, folder, gateway="runway", prices={"runway.gen4.5": 1})
    assert one.steps[0].key == other.steps[0].key
