"""Reviews: nothing beyond what is to be judged is ordered before somebody said yes to it."""

from __future__ import annotations

import io
import json
import stat
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from secondunit import judging, keys, planning, reviews
from secondunit.errors import TurnedDown, Unjudged, UsageError
from secondunit.plan.planner import Circled
from secondunit.reviews import contactsheet
from secondunit.reviews.decisions import Verdict
from secondunit.store import Store

if TYPE_CHECKING:
    from onset import Production
    from strict import Strict

    from secondunit.plan import Plan
    from secondunit.reviews import Approvals, Review

FILM = """title: The lamp
defaults: {duration: 2, ratio: '16:9', seed: 7}
review: {stills: required, draft: required, within: 2d}
shots:
  one: {prompt: A door opens., first_frame: {prompt: A door.}}
  two: A lamp turns.
  three: {prompt: He turns., first_frame: {prompt: A man.}}
"""
YES = Verdict(approved=True, who="Ida")


def approvals(at: Production, plan: Plan, draft: Plan | None = None) -> Approvals:
    project = at.project
    return reviews.Approvals(plan, draft, Store(project.store), project.reviews, project.films)


def make(at: Production, plan: Plan, kind: str) -> None:
    """Take the steps of a kind, as a run would."""
    for step in plan.steps:
        if step.kind == kind:
            at.shoot(plan, step.shot) if kind == "take" else at.run(
                plan, lambda unit, step=step: unit.shoot(step)
            )


def asked(of: Approvals) -> Review:
    """Show the stills, as a run that waits does."""
    review = of.of_stills()
    assert review is not None
    of.decisions.ask(review, of.contact_sheet(review))
    return review


@pytest.fixture
def plan(at: Production) -> Plan:
    plan = at.plan(FILM)
    make(at, plan, "still")
    return plan


def test_the_stills_and_what_they_are_made_from_come_before_the_review(at: Production) -> None:
    plan = at.plan(FILM)
    assert [s.kind for s in reviews.before_review(plan)] == ["still", "still"]
    other = at.plan(FILM.replace("stills: required", "stills: skip"))
    assert reviews.before_review(other) == ()


def test_no_shot_is_ordered_before_the_stills_are_approved(at: Production, plan: Plan) -> None:
    gate = approvals(at, plan)
    shot = next(s for s in plan.steps if s.kind == "take")
    with pytest.raises(
        Unjudged, match="2 stills wait for your judgement; nothing more was ordered"
    ):
        gate.see(shot)
    gate.see(reviews.before_review(plan)[0])
    with pytest.raises(Unjudged):
        gate.see(shot)
    review = asked(gate)
    assert review.shots == ("one", "three")
    gate.decisions.answer(review.key, YES)
    gate.see(shot)
    assert gate.of_stills() is None
    assert approvals(at, plan).of_stills() is None


def test_what_is_unchanged_is_never_asked_about_again(at: Production, plan: Plan) -> None:
    """One of two stills is changed, moved and renamed: that one alone wants a new decision."""
    gate = approvals(at, plan)
    gate.decisions.answer(asked(gate).key, YES)
    changed = at.plan(FILM.replace("A man.", "A tall man.").replace("one:", "uno:"))
    unmade = approvals(at, changed).of_stills()
    assert unmade is not None
    assert not unmade.ready
    make(at, changed, "still")
    review = approvals(at, changed).of_stills()
    assert review is not None
    assert review.shots == ("three",)
    assert [p.shot for p in review.panels] == ["uno", "three"]


def test_a_rejected_still_ends_the_run_until_it_is_changed_or_taken_back(
    at: Production, plan: Plan
) -> None:
    gate = approvals(at, plan)
    review = asked(gate)
    gate.decisions.answer(review.key, Verdict(False, ("three",), "Ida", "coat too long"))
    with pytest.raises(TurnedDown, match=r"The still of three was rejected by Ida.*coat too long"):
        gate.of_stills()
    changed = at.plan(FILM.replace("A man.", "A tall man."))
    make(at, changed, "still")
    left = approvals(at, changed).of_stills()
    assert left is not None
    assert left.shots == ("three",)
    gate.decisions.answer(review.key, YES)
    assert gate.of_stills() is None


def test_a_no_without_names_rejects_all_that_was_shown(at: Production, plan: Plan) -> None:
    gate = approvals(at, plan)
    gate.decisions.answer(asked(gate).key, Verdict(approved=False))
    with pytest.raises(TurnedDown, match="The stills of one, three were rejected by somebody"):
        gate.of_stills()


def test_the_draft_is_judged_as_a_whole_and_again_when_its_cut_changes(at: Production) -> None:
    text = FILM.replace("stills: required", "stills: skip")
    plan, first = at.plan(text), reviews.as_draft(at.plan(text, "draft"))
    assert reviews.wants_draft(plan)
    assert not reviews.wants_draft(first)
    assert first.film_name == "film.draft"
    gate = approvals(at, plan, first)
    with pytest.raises(Unjudged, match="The draft, which is judged first, lacks one, two"):
        gate.see(plan.steps[-1])
    at.shoot(first)
    review = gate.of_draft()
    assert review is not None
    assert review.ready
    assert review.film == at.project.films / "film.draft.mp4"
    gate.decisions.ask(review, at.folder)
    gate.decisions.answer(review.key, Verdict(False, ("two",), "Ida", "too slow"))
    with pytest.raises(TurnedDown, match=r"The draft was rejected for two by Ida.*too slow"):
        gate.of_draft()
    gate.decisions.answer(review.key, YES)
    gate.see(plan.steps[-1])
    cut = text.replace("two: A lamp turns.", "two: {prompt: A lamp turns., trim: {out: 1}}")
    again = approvals(at, at.plan(cut), reviews.as_draft(at.plan(cut, "draft"))).of_draft()
    assert again is not None
    assert again.ready


def test_other_bytes_under_the_same_name_want_a_new_decision(at: Production, plan: Plan) -> None:
    """A take that the gateway delivered anew is not the one that was approved."""
    gate = approvals(at, plan)
    gate.decisions.answer(asked(gate).key, YES)
    step = reviews.stills_of(plan)[0]
    store = Store(at.project.store)
    folder = store.folder(step.key)
    kept = store.get(step.key)
    assert kept is not None
    for file in folder.iterdir():
        file.unlink()
    other = store.incoming(step.key, "still.png")
    Image.new("RGB", (64, 36), "red").save(other)
    store.keep(
        step.key, [other], {k: v for k, v in kept.slate.items() if k not in {"files", "seal"}}
    )
    review = gate.of_stills()
    assert review is not None
    assert review.shots == ("one",)


# --- on the disk -----------------------------------------------------------------------------


def test_an_answer_is_to_what_was_shown_whatever_the_shot_list_says_since(
    at: Production, plan: Plan
) -> None:
    review = asked(approvals(at, plan))
    changed = at.plan(FILM.replace("A man.", "A tall man."))
    approvals(at, changed).decisions.answer(review.key, YES)
    make(at, changed, "still")
    left = approvals(at, changed).of_stills()
    assert left is not None
    assert left.shots == ("three",)


def test_the_same_answer_is_one_decision_and_a_later_word_wins(at: Production, plan: Plan) -> None:
    decisions = approvals(at, plan).decisions
    review = asked(approvals(at, plan))
    form = Verdict(approved=True, who="Ida", source="run 1")
    first = decisions.answer(review.key, form)
    decisions.answer(review.key, Verdict(approved=False, who="Jon"))
    assert decisions.answer(review.key, form) == first
    assert len(decisions.all()) == 2
    with pytest.raises(TurnedDown, match="Jon"):
        approvals(at, plan).of_stills()
    assert decisions.answer("0" * 64, YES) is None


def test_decisions_are_private_and_a_damaged_one_stops_the_run(at: Production, plan: Plan) -> None:
    gate = approvals(at, plan)
    gate.decisions.answer(asked(gate).key, YES)
    folder = gate.decisions.folder
    (decided,) = folder.glob("decided-*.json")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(decided.stat().st_mode) == 0o600
    page = json.loads(decided.read_text())
    for damaged in ("", "{", "[]", json.dumps(page | {"schema": 2}), json.dumps(page | {"x": "y"})):
        decided.write_text(damaged)
        with pytest.raises(
            UsageError, match=r"decided-.* is not a decision .* Nothing was ordered"
        ):
            gate.of_stills()


def test_the_command_shows_what_waits_and_writes_a_verdict_down(
    at: Production, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    file, project = str(at.folder / "film.yaml"), at.project
    with pytest.raises(UsageError, match=r"Nothing of .* waits for a review"):
        judging.review(project, file, None)
    asked(approvals(at, plan))
    assert judging.review(project, file, None) == 3
    said = capsys.readouterr().out
    assert "still.png" in said
    assert "film.stills.jpg" in said
    with pytest.raises(UsageError, match="two is not among what is judged: one, three"):
        judging.review(project, file, Verdict(approved=False, again=("two",)))
    assert judging.review(project, file, Verdict(True, who="Ida\x1b[2J", notes="fine")) == 0
    assert judging.review(project, file, None) == 0
    said = capsys.readouterr().out
    assert said.count("Approved by Ida [2J") == 2
    assert approvals(at, plan).told()[0]["notes"] == "fine"


@pytest.mark.parametrize(
    ("typed", "agreed", "said"),
    [("yes\n", True, None), ("no three\n", False, "still of three"), ("No\n", False, "stills of one, "
     "three"), ("\n", False, ""), ("", False, ""), ("perhaps\n", False, "")],
)  # fmt: skip
def test_on_a_terminal_a_yes_a_no_and_silence_are_three_things(
    at: Production, plan: Plan, monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool,
    said: str | None,
) -> None:  # fmt: skip
    gate = approvals(at, plan)
    review = asked(gate)
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert judging.agreed(Unjudged("It waits."), review, gate) is agreed
    if said:
        with pytest.raises(TurnedDown, match=said):
            gate.of_stills()
    else:
        assert (gate.of_stills() is None) is agreed


# --- the contact sheet -----------------------------------------------------------------------


def test_the_contact_sheet_shows_every_picture_and_bounds_what_a_form_carries(
    at: Production, plan: Plan
) -> None:
    review = approvals(at, plan).of_stills()
    assert review is not None
    uri = contactsheet.uri(review, 20_000)
    assert uri.startswith("data:image/jpeg;base64,")
    assert len(uri) <= 20_000
    Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))).verify()
    assert contactsheet.uri(review, 500) == ""
    many = [reviews.Panel(f"夜 {n}", keys.key("x", n), review.panels[0].path) for n in range(130)]
    large = reviews.Review(
        "stills", "Many", "many", "many.yaml", (16, 9), tuple(many), frozenset(), (), None, 60
    )
    assert 100_000 < len(contactsheet.uri(large, 300_000)) <= 300_000


def test_a_file_that_cannot_be_shown_leaves_its_place_empty(at: Production, plan: Plan) -> None:
    gate = approvals(at, plan)
    review = gate.of_stills()
    assert review is not None
    review.panels[0].path.chmod(0o600)
    review.panels[0].path.write_bytes(b"no picture")
    out = gate.contact_sheet(review)
    with Image.open(out) as sheet:
        assert sheet.width > 900


def test_nothing_is_asked_where_nothing_is_to_be_judged(at: Production, strict: Strict) -> None:
    plan = at.plan("review: {stills: required}\nshots: [A door opens.]\n")
    gate = approvals(at, plan)
    assert gate.of_stills() is None
    gate.see(plan.steps[0])
    assert strict.orders == []


# --- circled takes --------------------------------------------------------------------------------

TAKES = FILM.replace("review", "profiles: {draft: {takes: 2}}\nreview")


@pytest.fixture
def shown(at: Production) -> Approvals:
    """A draft of which every take is made, shown for judgement."""
    plan, draft = at.plan(TAKES), reviews.as_draft(at.plan(TAKES, quality="draft"))
    make(at, draft, "still")
    make(at, draft, "take")
    return approvals(at, plan, draft)


def question(of: Approvals) -> Review:
    review = of.of_draft()
    assert review is not None
    of.decisions.ask(review, of.contact_sheet(review))
    return review


def circled(of: Approvals) -> dict[str, Circled]:
    assert of.draft is not None
    return reviews.circled(of.draft, of.decisions.all())


def test_all_takes_of_a_draft_are_shown_and_may_be_circled(shown: Approvals) -> None:
    review = question(shown)
    names = [f"{shot} take {n}" for shot in ("one", "two", "three") for n in (1, 2)]
    assert list(review.takes) == [panel.shot for panel in review.panels] == names
    verdict = Verdict(approved=True, circled=("one take 2", "three take 1"))
    shown.decisions.answer(review.key, verdict)
    assert circled(shown) == {"one": Circled(2, 8), "three": Circled(1, 7)}
    later = Verdict(approved=True, circled=("one take 1",), source="another")
    shown.decisions.answer(review.key, later)
    assert circled(shown) == {"one": Circled(1, 7), "three": Circled(1, 7)}


def test_an_approval_without_circles_is_of_the_takes_in_the_film(shown: Approvals) -> None:
    review = question(shown)
    shown.decisions.answer(review.key, Verdict(approved=True, circled=("one take 1",)))
    shown.decisions.answer(review.key, Verdict(approved=False, source="no"))
    assert circled(shown) == {"one": Circled(1, 7)}
    shown.decisions.answer(review.key, Verdict(approved=True, source="then"))
    last = Circled(2, 8, chosen=False)
    assert circled(shown) == {"one": last, "two": last, "three": last}


def test_the_film_is_compiled_with_what_was_judged(at: Production) -> None:
    """A draft that was shortened since is cut from its longer takes, and judged as that."""
    longer = reviews.as_draft(at.plan(TAKES.replace("duration: 2", "duration: 10"), "draft"))
    make(at, longer, "still")
    make(at, longer, "take")
    plan, file = at.plan(TAKES), str(at.folder / "film.yaml")
    draft = reviews.as_draft(planning.compiled(file, at.house, "draft"))
    assert {step.key for step in draft.rolled} == {step.key for step in longer.rolled}
    gate = approvals(at, plan, draft)
    gate.decisions.answer(question(gate).key, Verdict(approved=True, circled=("one take 1",)))
    film = planning.compiled(file, at.house)
    assert [(step.shot, step.seed) for step in film.rolled] == [
        ("one take 1", 7), ("two", 7), ("three", 7),
    ]  # fmt: skip


def test_a_shot_with_several_takes_is_made_again_by_its_name(shown: Approvals) -> None:
    review = question(shown)
    decision = shown.decisions.answer(review.key, Verdict(approved=False, again=("one",)))
    assert decision is not None
    assert decision.again == ("one take 1", "one take 2")


def test_what_was_circled_before_a_shot_was_changed_counts_no_more(
    at: Production, shown: Approvals
) -> None:
    review = question(shown)
    shown.decisions.answer(review.key, Verdict(approved=True, circled=("one take 2", "two take 1")))
    changed = at.plan(TAKES.replace("A lamp turns.", "A lamp swings."), quality="draft")
    assert reviews.circled(changed, shown.decisions.all()) == {"one": Circled(2, 8)}


def test_a_take_that_is_missing_and_not_in_the_film_holds_no_review_up(
    at: Production, shown: Approvals
) -> None:
    assert shown.draft is not None
    first = next(step.key for step in shown.draft.steps if step.take == 1)
    key = question(shown).key
    folder = Store(at.project.store).get(first)
    assert folder is not None
    folder.path.unlink()
    review = question(shown)
    assert review.ready
    assert "one take 1" not in review.takes
    assert review.key == key


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (
            Verdict(approved=True, circled=("one",)),
            "one is no take that may be circled. Those that",
        ),
        (Verdict(approved=False, circled=("one take 1",)), "Circled, and rejected"),
        (Verdict(approved=True, circled=("one take 1", "one take 2")), "Two takes of one shot"),
    ],
)
def test_what_cannot_be_circled_changes_nothing(
    shown: Approvals, verdict: Verdict, message: str
) -> None:
    review = question(shown)
    with pytest.raises(UsageError, match=message):
        shown.decisions.answer(review.key, verdict)
    assert shown.decisions.all() == ()
