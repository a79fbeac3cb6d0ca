"""The plan as a whole: order, cycles, keys that name content, the cut, and everything that is wrong."""

from __future__ import annotations

import shutil
from fractions import Fraction

import pytest
from footage import photograph
from hypothesis import given
from hypothesis import strategies as st
from pages import CHOICES, LISTS, furnish, plan, refusal, said

from secondunit.errors import UsageError
from secondunit.plan import planner
from secondunit.plan.planner import Circled


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("planner") / "set")


def keys(text: str, folder, **choices) -> dict[str, str]:
    """Return the key of each shot's clip."""
    return {entry.shot: entry.key for entry in plan(text, folder, **choices).cut}


# --- order and cycles -------------------------------------------------------------------------


def test_steps_are_in_film_order_save_for_what_has_to_wait(folder):
    made = plan(LISTS["names of all kinds"], folder)
    assert [entry.shot for entry in made.cut][-2:] == ["Été", "7"]
    assert [step.shot for step in made.steps][-2:] == ["7", "Été"]


RINGS = """\
shots:
  alone: {prompt: x, continues: alone}
  b1: {prompt: x, continues: b2}
  b2: {prompt: x, source: b1}
  tail: {prompt: x, continues: c2, reference: refs/none.png}
  c1: {prompt: x, continues: c2}
  c2: {prompt: x, first_frame: {from: c3.last}}
  c3: {prompt: x, continues: c1}
  wrong: {prompt: x, duration: 99}
"""


def test_every_ring_is_named_in_full_and_the_other_shots_are_still_looked_at(folder):
    problems = refusal(RINGS, folder).problems
    assert [(p.line, p.where) for p in problems] == [
        (2, "shots.alone.continues"),
        (3, "shots.b1.continues"),
        (5, "shots.tail.reference"),
        (6, "shots.c1.continues"),
        (9, "shots.wrong.duration"),
    ]
    assert problems[0].message.startswith("this shot waits for itself.")
    assert problems[1].message == (
        "these shots wait for each other: b1 → b2 → b1. Let one of them begin on its own."
    )
    assert "c1 → c2 → c3 → c1" in problems[3].message


def test_a_ring_through_a_thousand_shots_is_named_in_full(folder):
    following = [f"sh{(n + 1) % 1000 * 10 + 10:03}" for n in range(1000)]
    shots = "".join(f"  - {{prompt: x, continues: {name}}}\n" for name in following)
    page = said(f"shots:\n{shots}", folder)
    assert page.count("\n") == 0
    assert page.count(" → ") == 1000


def test_what_a_shot_overrules_is_not_waited_for(folder):
    text = """\
defaults: {continues: a}
shots:
  a: {prompt: x, first_frame: refs/door.png}
  b: {prompt: y}
"""
    assert [step.shot for step in plan(text, folder).steps] == ["a", "b"]


def test_a_shot_that_waits_for_a_broken_one_adds_nothing(folder):
    text = """\
shots:
  a: {prompt: x, duration: 99}
  b: {prompt: y, continues: a}
  c: {prompt: z, source: b}
"""
    assert [p.where for p in refusal(text, folder).problems] == ["shots.a.duration"]


def test_a_file_may_be_called_like_nothing_else_and_a_shot_comes_first(folder):
    text = "shots: {plates/meadow.mp4x: x}"
    assert "cannot be a shot's name" in said(text, folder)
    text = "shots: {meadow.mp4: {prompt: x}, b: {source: meadow.mp4, prompt: y}}"
    assert plan(text, folder).steps[1].reason == "edits meadow.mp4"


# --- omitting ---------------------------------------------------------------------------------


def test_an_omitted_shot_is_made_only_where_another_needs_it(folder):
    made = plan(LISTS["an omitted shot that others need"], folder)
    assert [step.shot for step in made.steps] == ["setup", "opens"]
    assert [entry.shot for entry in made.cut] == ["opens"]


def test_a_film_of_nothing_is_refused(folder):
    assert "every shot is omitted" in said("shots: [{prompt: x, omit: true}]", folder)


# --- keys -------------------------------------------------------------------------------------

FILM = """\
title: A film
shots:
  a: {prompt: One., seed: 1}
  b: {prompt: Two., reference: refs/door.png}
  c: {continues: b, prompt: Three.}
"""
SAME = {
    "renamed": ("b:", "beta:", "continues: b", "continues: beta"),
    "noted": ("seed: 1", "seed: 1, notes: n, tags: [t], x-a: 1"),
    "retitled": (
        "title: A film",
        "title: Another\nslate: S\nfps: 25\nratio: 9:16\ndefaults: {ratio: '16:9'}",
    ),
    "trimmed": ("prompt: One.", "prompt: One., trim: [1, 2]"),
    "cut": ("title: A film", "cut: {transition: cut}\nbudget: {cap: 5}"),
    "said the same otherwise": ("prompt: One.", "prompt: 'One.', duration: 5, ratio: '1280:720'"),
    "by another way to the same file": ("refs/door.png", "./refs/../refs/door.png"),
    "commented": ("seed: 1}", "seed: 1} # a comment"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
@pytest.mark.covers("G5")
def test_what_is_not_sent_is_not_in_the_key(change, folder):
    text = FILM
    for old, new in zip(change[::2], change[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    assert list(keys(text, folder).values()) == list(keys(FILM, folder).values())


@pytest.mark.covers("G5")
def test_reordering_changes_no_key(folder):
    head, a, b, c = FILM.partition("  a:")[0], *FILM.splitlines()[2:]
    assert keys("\n".join([head.rstrip(), c, a, b]), folder) == keys(FILM, folder)


def test_a_take_has_one_key_on_the_backlot_and_another_where_it_costs_money(folder):
    free = keys(FILM, folder)
    assert keys(FILM, folder, gateway="backlot") == free
    assert not set(keys(FILM, folder, gateway="runway").values()) & set(free.values())


DIFFERENT = [
    ("seed: 1", "seed: 2", "a"),
    ("prompt: One.", "prompt: One!", "a"),
    ("prompt: One.", "prompt: One., ratio: '9:16'", "a"),
    ("prompt: One.", "prompt: One., duration: 4", "a"),
    ("prompt: One.", "prompt: One., model: veo3.1", "a"),
    ("prompt: One.", "prompt: One., moderation: low", "a"),
    ("refs/door.png", "refs/boy.png", "bc"),
    ("refs/door.png", "{file: refs/door.png, tag: hat}", "bc"),
    ("prompt: Three.", "prompt: Four.", "c"),
]


@pytest.mark.parametrize(("old", "new", "changed"), DIFFERENT)
def test_what_is_sent_makes_a_new_take_of_only_the_shots_that_use_it(old, new, changed, folder):
    before, after = keys(FILM, folder), keys(FILM.replace(old, new), folder)
    assert {shot for shot in "abc" if before[shot] != after[shot]} == set(changed)


def test_other_bytes_under_the_same_name_make_a_new_take(tmp_path):
    furnish(tmp_path / "set")
    before = keys(FILM, tmp_path / "set")
    shutil.copy(photograph("color.png"), tmp_path / "set/refs/door.png")
    after = keys(FILM, tmp_path / "set")
    assert [shot for shot in "abc" if before[shot] != after[shot]] == ["b", "c"]


@pytest.mark.covers("F4")
def test_two_shots_that_ask_for_the_same_share_one_take(folder):
    made = plan(LISTS["equal shots"], folder)
    assert len(made.steps) == 2
    assert [entry.key for entry in made.cut] == [made.steps[0].key] * 2 + [made.steps[1].key]
    assert [str(entry.trim.start) for entry in made.cut] == ["0", "1", "0"]


@given(st.permutations(range(5)), st.integers(0, 2**32 - 1))
def test_keys_do_not_depend_on_the_order_of_anything(order, seed):
    fields = [
        "prompt: A plain.", f"seed: {seed}", "duration: 4", "ratio: '1:1'", "moderation: auto",
    ]  # fmt: skip
    shuffled = ", ".join(fields[n] for n in order)
    assert keys(f"shots: {{a: {{{shuffled}}}}}", ".") == keys(
        f"shots: {{a: {{{', '.join(fields)}}}}}", "."
    )


def test_a_plan_is_the_same_every_time(folder):
    for name, text in LISTS.items():
        choices = CHOICES.get(name, {})
        one, other = plan(text, folder, **choices), plan(text, folder, **choices)
        assert one.describe() == other.describe()
        assert one.key == other.key


# --- the film and the cut ---------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "size"), planner.FILM_SIZES.items())
def test_the_film_has_the_size_that_gen4_makes_of_its_ratio(ratio, size, folder):
    made = plan(f"ratio: {ratio}\nshots: [{{clip: plates/meadow.mp4}}]", folder)
    assert (made.profile.width, made.profile.height) == size


def test_the_film_may_be_given_in_pixels(folder):
    made = plan("ratio: 1920:1080\nfps: 23.976\nshots: [{clip: plates/meadow.mp4}]", folder)
    assert (made.profile.width, made.profile.height) == (1920, 1080)
    assert made.profile.fps == Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("ratio", "message"),
    [
        ("3:2", "3:2 is no shape that a film has here. Write 16:9, 9:16"),
        ("1281:721", "a film of 1281×721 pixels cannot be made. Width and height have to be even"),
        ("99998:2", "from 16 to 4096"),
    ],
)
def test_a_film_that_cannot_be_made_is_refused(ratio, message, folder):
    page = said(f"ratio: '{ratio}'\nshots: [{{clip: plates/meadow.mp4}}]", folder)
    assert page.startswith("1:8: ratio: ")
    assert message in page


TRIMS = [
    ("prompt: x, trim: [4, 9]", "the trim 4–9 s reaches outside the clip, which is 5 s long."),
    ("prompt: x, trim: {in: 5}", "reaches outside"),
    ("prompt: x, trim: [1, 1.0001]", "leaves no frame at 24 frames a second."),
    ("clip: plates/meadow.mp4, trim: [1, 9]", "which is 5.29167 s long"),
]


@pytest.mark.parametrize(("shot", "message"), TRIMS)
def test_a_trim_outside_of_its_clip_is_refused_before_anything_is_bought(shot, message, folder):
    page = said(f"shots: [{{{shot}}}]", folder)
    assert "shots[0].trim: " in page
    assert message in page


def test_trims_are_kept_exactly(folder):
    made = plan(LISTS["trims"], folder)
    assert [(e.trim.start, e.trim.end) for e in made.cut] == [
        (1, None),
        (0, Fraction(5, 2)),
        (Fraction(1, 2), 5),
        (5, None),
    ]


# --- --only -----------------------------------------------------------------------------------

SERIES = "shots: {a1: x, a2: {continues: a1, prompt: y}, b1: {source: a2, prompt: z}, c: w}"
CHOSEN = [
    ("a1", "a1"), ("b1", "a1 a2 b1"), ("a*", "a1 a2"), ("a2..c", "a1 a2 b1 c"), ("a1, c", "a1 c"),
    ("?1", "a1 a2 b1"), ("*", "a1 a2 b1 c"), ("c..c", "c"),
]  # fmt: skip


@pytest.mark.parametrize(("selection", "shots"), CHOSEN)
def test_a_selection_is_made_with_all_it_needs(selection, shots, folder):
    made = plan(SERIES, folder)
    chosen = planner.select(made, selection)
    assert {step.shot for step in made.steps if step.key in chosen} == set(shots.split())


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("a10", "no shot is called `a10`. Did you mean `a1`?"),
        ("zzz", "The shots are a1, a2, b1, c."),
        ("", "no shot is called ``"),
        ("c..a1", "`c..a1` runs backwards. Write `a1..c`."),
    ],
)
def test_a_selection_of_nothing_is_a_usage_error(selection, message, folder):
    with pytest.raises(UsageError) as caught:
        planner.select(plan(SERIES, folder), selection)
    assert message in str(caught.value)
    assert str(caught.value).endswith("Nothing was ordered.")


@pytest.mark.covers("G8")
def test_a_thousand_shots_are_one_plan():
    text = "cast: {man: an old man}\nshots:\n" + "".join(
        f"  s{n}: {{prompt: '@man {n}.', {f'continues: s{n - 1}' if n % 3 else 'seed: 4'}}}\n"
        for n in range(1000)
    )
    made = plan(text, ".")
    assert [step.shot for step in made.steps] == [f"s{n}" for n in range(1000)]


# --- takes ------------------------------------------------------------------------------------

TAKEN = """\
profiles: {draft: {takes: 3}}
defaults: {seed: 7, duration: 5}
shots:
  a: {prompt: A door opens., takes: 3}
  b: {prompt: A lamp turns., continues: a}
  c: {prompt: A car passes., first_frame: {prompt: A street.}, takes: 2}
  d: {prompt: A bell., seed: null, takes: 2}
"""


def takes(made) -> list[tuple[str, int]]:
    return [(step.shot, step.seed) for step in made.steps if step.kind == "take"]


def test_takes_are_shot_seed_by_seed_and_the_last_is_in_the_film(folder):
    made = plan(TAKEN, folder, gateway="runway")
    d = next(step.seed for step in made.steps if step.shot == "d take 1")
    assert takes(made) == [
        ("a take 1", 7), ("a take 2", 8), ("a take 3", 9), ("b", 7), ("c take 1", 7), ("c take 2", 8),
        ("d take 1", d), ("d take 2", d + 1),
    ]  # fmt: skip
    assert [made.step(entry.key).take for entry in made.cut] == [3, None, 2, 2]
    assert [made.step(entry.key).of for entry in made.cut] == [entry.shot for entry in made.cut]
    assert made.steps[3].needs == (made.steps[2].key,), "b opens on the take that is in the film"
    assert [step.shot for step in made.steps if step.kind == "still"] == ["c"], "takes share it"
    assert "a · gen4.5 · take 2" in [step.label for step in made.steps]
    assert (len(made.rolled), made.counted_in) == (8, "takes")


def test_more_takes_of_a_shot_leave_its_first_one_as_it_was(folder):
    once = plan(TAKEN.replace(", takes: 3}\n  b", "}\n  b").replace(", takes: 2", ""), folder)
    first = {step.of: step.key for step in plan(TAKEN, folder).steps if step.take == 1}
    assert {entry.shot: entry.key for entry in once.cut if entry.shot in first} == first


def test_a_circled_take_alone_is_wanted(folder):
    every = {step.shot: step.key for step in plan(TAKEN, folder).steps}
    made = plan(TAKEN.replace("takes: 3}\n  b", "takes: 3, circled: 2}\n  b"), folder)
    assert takes(made)[:2] == [("a take 2", 8), ("b", 7)]
    assert made.cut[0].key == every["a take 2"]
    judged = {"a": Circled(1, 7), "b": Circled(3, 99), "d": Circled(2, None)}
    reviewed = takes(plan(TAKEN, folder, circled=judged))
    assert reviewed[:2] == [("a take 1", 7), ("b take 3", 99)], "with the seed that was judged"
    assert [name for name, _ in reviewed[2:]] == ["c take 1", "c take 2", "d take 2"]
    assert takes(plan(TAKEN, folder, quality="draft"))[3:6] == [
        (f"b take {n}", n + 6) for n in (1, 2, 3)
    ]


def test_a_take_that_was_in_a_judged_film_is_taken_where_one_is_wanted(folder):
    """Nobody circled anything: what was approved is what was seen."""
    judged = {shot: Circled(2, 50, chosen=False) for shot in "ab"}
    reviewed = takes(plan(TAKEN, folder, circled=judged))
    assert reviewed[:4] == [("a take 1", 7), ("a take 2", 8), ("a take 3", 9), ("b take 2", 50)]


def test_of_a_shot_that_is_left_out_of_the_film_one_take_is_made(folder):
    made = plan(TAKEN.replace("takes: 3}\n  b", "takes: 3, omit: true}\n  b"), folder)
    assert takes(made)[:2] == [("a take 3", 9), ("b", 7)]


def test_two_shots_that_ask_for_the_same_share_their_takes(folder):
    text = "defaults: {seed: 7, takes: 2}\nshots: {a: A door., b: A door.}"
    made = plan(text, folder)
    assert takes(made) == [("a take 1", 7), ("a take 2", 8)]
    assert planner.select(made, "b") == planner.select(made, "a") == {s.key for s in made.steps}


def test_a_take_of_a_model_without_seeds_may_be_judged(folder):
    text = "shots: [{prompt: x, model: hailuo3, duration: 5}]"
    (step,) = plan(text, folder, circled={"sh010": Circled(2, 8)}).steps
    assert (step.shot, step.seed) == ("sh010 take 2", None)
    assert step.key == plan(text, folder).steps[0].key


def test_a_selection_has_all_takes_of_its_shots(folder):
    made = plan(TAKEN, folder)
    wanted = planner.select(made, "c")
    assert [s.shot for s in made.steps if s.key in wanted] == ["c", "c take 1", "c take 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shots: [{prompt: x, takes: 2, circled: 3}]",
         "1:40: shots[0].circled: take 3 is circled, and `takes` is 2."),
        ("shots: [{prompt: x, takes: 11}]", "1:28: shots[0].takes"),
        ("shots: [{prompt: x, circled: 0}]", "1:30: shots[0].circled"),
        ("shots:\n  a: {prompt: x, takes: 2}\n  a take 2: x",
         "2:25: shots.a.takes: a take of a is called `a take 2`, and so is another shot."),
        ("shots: [{prompt: x, takes: 2, seed: 4294967295}]",
         "4294967296, the seed of take 2, is above 4294967295"),
        ("shots: [{prompt: x, takes: 2, model: hailuo3}]",
         "1:28: shots[0].takes: hailuo3 takes no seed, so all takes of sh010 would be the same order."),
    ],
)  # fmt: skip
def test_takes_that_cannot_be_are_told(text, message, folder):
    assert message in said(text, folder)
