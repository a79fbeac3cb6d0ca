"""A person decides: what is in doubt is settled, what is queued taken back, and no output dies."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from onset import Production, doors, in_turn
from strict import DROP, RESET, Life, Reply, Strict, listening

from secondunit import cli, deciding
from secondunit.errors import (
    InDoubt,
    Locked,
    Lost,
    OverBudget,
    Refused,
    SecondUnitError,
    ShotError,
    Unreachable,
    UsageError,
)
from secondunit.ledger import Allowance, Intent, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secondunit.deciding import Decision

QUEUED = ("PENDING", Reply(401))  # the run is locked out, so that the ticket stays where it is


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        yield strict
        strict.deleted.clear()


@dataclass
class Desk:
    """Somebody at a terminal who is asked, and what is said to them."""

    at: Production
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def cancel(self, *shots: str, says: str | None = "yes\n", yes: bool = False) -> str:
        answers = io.StringIO(says or "")
        answers.isatty = lambda: says is not None  # type: ignore[method-assign]  # a terminal, or none
        self.monkeypatch.setattr("sys.stdin", answers)
        self.monkeypatch.setenv("RUNWAYML_API_SECRET", "test")
        self.capsys.readouterr()
        deciding.cancel(
            deciding.Cancel(self.at.project, "film", "runway", shots, yes, self.at.strict.url)
        )
        return self.said

    def command(self, *words: object) -> int:
        self.monkeypatch.setenv("RUNWAYML_API_SECRET", "test")
        return cli._run(list(map(str, words)))

    @property
    def said(self) -> str:
        out = self.capsys.readouterr()
        return out.out + out.err

    def order(self, *lives: Life) -> None:
        """Leave a ticket open for each life, in shots s0 and on; they are where it says first."""
        for number, life in enumerate(lives):
            self.at.strict.living(f"number {number} ", life)
        for number in range(len(lives)):
            with pytest.raises(UsageError, match="key"):
                self.at.shoot(self.at.plan(doors(len(lives))), f"s{number}")
        assert self.at.states == ["open"] * len(lives)
        self.at.strict.requests.clear()


@pytest.fixture
def desk(
    tmp_path: Path, strict: Strict, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    return Desk(Production(tmp_path, strict), monkeypatch, capsys)


def queued(*then: str | Reply, **facts: Any) -> Life:
    return Life(states=(*QUEUED, *(then or ("PENDING",))), **facts)


# --- cancelling -------------------------------------------------------------------------------------


@pytest.mark.covers("B6")
@pytest.mark.parametrize("word", ["PENDING", "THROTTLED"])
def test_what_is_queued_is_taken_back_after_a_yes(desk: Desk, strict: Strict, word: str) -> None:
    desk.order(queued(word, told=True))
    said = desk.cancel()
    assert said.splitlines() == [
        "Cancel s0? They are reserved at 24 credits ($0.24); the gateway may keep them. Type yes to"
        " go on: ",
        "s0: cancelled. The gateway says that it cost 0 credits.",
    ]
    assert [(o.state, o.cost, o.reason) for o in desk.at.orders] == [
        ("cancelled", 0, "cancelled by you")
    ]
    assert strict.statement()["creditBalance"] == 10_000
    with pytest.raises(Refused, match="cancelled by you; it cost nothing"):
        desk.at.shoot(desk.at.plan(doors(1)))
    assert len(strict.orders) == 1


def test_what_was_cancelled_is_ordered_again_once_a_person_says_so(desk: Desk) -> None:
    desk.order(queued(told=True))
    desk.cancel()
    settle(desk.at, "resubmit")
    desk.at.shoot(desk.at.plan(doors(1)))
    assert desk.at.states == ["replaced", "kept"]


@pytest.mark.covers("B6")
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("RUNNING", "it is rolling; cancelling it now would give nothing back"),
        ("SUCCEEDED", "it is finished and not cancelled; the next run brings it home"),
        ("FAILED", "it has failed; the next run says why"),
        ("CANCELLED", "it is cancelled at the gateway already"),
        (Reply(404), "the gateway does not know its ticket now; it is left alone"),
        ("DREAMING", "the gateway calls it DREAMING; it is left alone"),
    ],
)
def test_what_is_not_queued_is_left_alone(
    desk: Desk, strict: Strict, state: str | Reply, words: str
) -> None:
    desk.order(queued(state))
    assert words in desk.cancel(yes=True)
    assert strict.deleted == []
    assert desk.at.states == ["open"]


@pytest.mark.covers("B6")
def test_what_finishes_while_somebody_is_asked_is_not_deleted(desk: Desk, strict: Strict) -> None:
    desk.order(queued("PENDING", "SUCCEEDED"))
    assert "s0: it is finished and not cancelled" in desk.cancel()
    assert strict.deleted == []
    desk.at.shoot(desk.at.plan(doors(1)))
    assert desk.at.states == ["kept"]


def test_of_several_only_the_queued_ones_and_of_those_only_the_named_are_taken_back(
    desk: Desk, strict: Strict
) -> None:
    desk.order(queued(told=True), queued("RUNNING"), queued(told=True), queued(told=True))
    said = desk.cancel("s1", "s2")
    assert "Cancel s2?" in said
    assert "s1: it is rolling" in said
    assert desk.at.states == ["open", "open", "cancelled", "open"]
    said = desk.cancel()
    assert "Cancel s0, s3? They are reserved at 48 credits ($0.48)" in said
    assert desk.at.states == ["cancelled", "open", "cancelled", "cancelled"]
    assert len(strict.deleted) == 3


@pytest.mark.parametrize("says", ["no\n", "\n", "", "yep\n"])
def test_without_a_yes_nothing_is_cancelled(desk: Desk, strict: Strict, says: str) -> None:
    desk.order(queued())
    with pytest.raises(OverBudget, match=r"Not agreed\. Nothing was cancelled"):
        desk.cancel(says=says)
    assert strict.deleted == []
    assert desk.at.states == ["open"]


@pytest.mark.parametrize("says", ["y\n", " YES \n"])
def test_a_yes_may_be_short_or_loud(desk: Desk, says: str) -> None:
    desk.order(queued(told=True))
    assert "s0: cancelled" in desk.cancel(says=says)


def test_without_a_terminal_it_has_to_be_said_beforehand(desk: Desk, strict: Strict) -> None:
    desk.order(queued(told=True))
    with pytest.raises(
        UsageError,
        match=r"^Queued: s0\. They are reserved at 24 credits .* add --yes\. Nothing was cancelled",
    ):
        desk.cancel(says=None)
    assert strict.deleted == []
    assert "Cancel s0?" not in desk.cancel(says=None, yes=True)
    assert desk.at.states == ["cancelled"]


@pytest.mark.parametrize(
    ("facts", "cost", "words"),
    [
        ({"told": True}, 0, "The gateway says that it cost 0 credits."),
        ({"told": True, "refund": False}, 24, "The gateway says that it cost 24 credits."),
        ({}, 0, "The account shows that it cost 0 credits."),
        (
            {"refund": False},
            24,
            "The gateway does not say what it keeps; 24 credits count as spent",
        ),
    ],
)
def test_what_a_cancelled_order_cost_is_told_and_by_whom(
    desk: Desk, strict: Strict, facts: dict[str, Any], cost: int, words: str
) -> None:
    desk.order(queued(**facts))
    assert words in desk.cancel()
    assert [(o.state, o.cost) for o in desk.at.orders] == [("cancelled", cost)]
    assert 10_000 - strict.statement()["creditBalance"] == cost


@pytest.mark.parametrize("lost", [DROP, RESET, Reply(503), Reply(429)])
def test_a_cancelling_without_an_answer_is_asked_about(
    desk: Desk, strict: Strict, lost: Reply
) -> None:
    desk.order(queued(told=True))
    strict.script("tasks", *[Reply(200, _page("PENDING"))] * 2, lost)
    said = desk.cancel(yes=True)
    assert "s0: not cancelled (" in said
    assert said.rstrip().endswith("Its ticket stays open.")
    assert desk.at.states == ["open"]


@pytest.mark.parametrize(("then", "state"), [("CANCELLED", "cancelled"), (None, "cancelled")])
def test_a_cancelling_without_an_answer_that_was_done_is_written_down(
    desk: Desk, strict: Strict, then: str | None, state: str
) -> None:
    desk.order(queued())
    after = Reply(200, _page(then)) if then else Reply(404)
    strict.script("tasks", *[Reply(200, _page("PENDING"))] * 2, DROP, after)
    assert "s0: cancelled." in desk.cancel(yes=True)
    assert desk.at.states == [state]


def test_what_is_cancelled_is_written_down_whatever_comes_of_asking_what_it_cost(
    desk: Desk, strict: Strict
) -> None:
    desk.order(queued())
    strict.script("organization", Reply(200, b'{"creditBalance":9976}'), Reply(401))
    assert "s0: cancelled. The gateway does not say what it keeps; 24 credits" in desk.cancel()
    assert desk.at.states == ["cancelled"]


@pytest.mark.parametrize("trouble", [Reply(503), Reply(401)])
def test_what_may_be_cancelled_and_cannot_be_asked_about_stays_open(
    desk: Desk, strict: Strict, trouble: Reply
) -> None:
    desk.order(queued())
    still = Reply(200, _page("PENDING"))
    strict.script("tasks", still, still, Reply(204, b""), trouble)
    with pytest.raises((Unreachable, UsageError)):
        desk.cancel()
    assert desk.at.states == ["open"]


def test_a_gateway_that_says_yes_and_goes_on_is_believed_by_its_deeds(
    desk: Desk, strict: Strict
) -> None:
    desk.order(queued())
    still = Reply(200, _page("PENDING"))
    strict.script("tasks", still, still, Reply(204, b""), Reply(200, _page("RUNNING")))
    assert (
        "s0: not cancelled (the gateway goes on with it). Its ticket stays open." in desk.cancel()
    )
    assert desk.at.states == ["open"]


def _page(state: str) -> bytes:
    return (
        b'{"id":"{ticket}","createdAt":"2026-11-21T12:00:00.000Z","status":"%s"}' % state.encode()
    )


def test_there_is_nothing_to_cancel(desk: Desk) -> None:
    with pytest.raises(UsageError, match="Nothing was ever ordered"):
        desk.cancel()
    desk.at.shoot(desk.at.plan(doors(1)))
    with pytest.raises(UsageError, match=r"Nothing is on order at runway\. Nothing was cancelled"):
        desk.cancel()
    with pytest.raises(UsageError, match=r"^s0, s9: nothing of it is on order at runway"):
        desk.cancel("s9", "s0")


def test_nothing_is_cancelled_while_a_run_is_at_work(desk: Desk, strict: Strict) -> None:
    desk.order(queued())
    with desk.at.project.held(), pytest.raises(Locked):
        desk.cancel(yes=True)
    assert strict.requests == []


def test_play_money_is_not_spoken_of(desk: Desk, strict: Strict) -> None:
    """On the backlot cancelling is asked about all the same, and costs nothing."""
    strict.key = "backlot"
    with desk.at.books() as ledger:
        life = Life(states=("PENDING",), told=True)
        strict.living("A", life)
        ticket = strict.take("text_to_video", {"model": "gen4.5", "promptText": "A", "ratio": ""})
        intent = Intent("k", "film", "r", "one", "backlot", "e", "gen4.5", {}, 24)
        ledger.opened(ledger.intend(intent, Allowance()), ticket.id, None)
    answers = io.StringIO("yes\n")
    answers.isatty = lambda: True  # type: ignore[method-assign]  # a terminal
    desk.monkeypatch.setattr("sys.stdin", answers)
    deciding.cancel(deciding.Cancel(desk.at.project, "film", "backlot", base_url=strict.url))
    assert desk.said.splitlines() == [
        "Cancel one? Type yes to go on: ", "one: cancelled. It was free."
    ]  # fmt: skip


@pytest.mark.covers("B6")
def test_the_real_command_cancels(desk: Desk, strict: Strict) -> None:
    desk.order(queued(told=True), queued("RUNNING"))
    file = desk.at.folder / "film.yaml"
    common = ("--gateway", "runway", "--base-url", strict.url)
    desk.monkeypatch.setattr("sys.stdin", io.StringIO())
    assert desk.command("cancel", file, *common) == 2
    assert "add --yes" in desk.said
    assert desk.command("cancel", file, "s0", "s1", *common, "--yes") == 0
    said = desk.said
    assert "s0: cancelled." in said
    assert "s1: it is rolling" in said
    assert desk.command("cancel", file, "s0", *common, "--yes") == 2


# --- settling ---------------------------------------------------------------------------------------


def settle(at: Production, decision: Decision, shot: str = "s0", ticket: str = "") -> str:
    return deciding.settle(deciding.Settle(at.project, "film", shot, decision, ticket))


def doubt(desk: Desk, count: int = 1) -> None:
    desk.at.strict.script("text_to_video", *[DROP] * count)
    results = desk.at.run(desk.at.plan(doors(count)), in_turn)
    assert all(isinstance(r, InDoubt) for r in results)


def test_a_doubt_is_settled_in_one_of_three_ways(desk: Desk) -> None:
    doubt(desk, 3)
    assert settle(desk.at, "attach", "s0", " t1 ") == (
        "s0: ticket t1 is attached. The next run goes on with it."
    )
    assert desk.at.orders[0].ticket == "t1"
    assert settle(desk.at, "resubmit", "s1") == (
        "s1: the next run orders it again. The old order counts as spent (24 credits)."
    )
    assert settle(desk.at, "abandon", "s2") == (
        "s2: given up. It counts as spent (24 credits) and is not ordered again."
    )
    assert desk.at.states == ["open", "replaced", "abandoned"]
    assert sum(o.cost for o in desk.at.orders) == 72


@pytest.mark.parametrize("ticket", ["", "  ", "a\nb", "\x1b[31m"])
def test_a_ticket_has_to_look_like_one(desk: Desk, ticket: str) -> None:
    doubt(desk)
    with pytest.raises(UsageError, match="--attach needs the ticket"):
        settle(desk.at, "attach", ticket=ticket)
    assert desk.at.states == ["doubt"]


@pytest.mark.covers("D21")
def test_a_ticket_that_another_order_has_is_not_attached(desk: Desk, strict: Strict) -> None:
    doubt(desk)
    desk.at.shoot(desk.at.plan("shots:\n  b: A window opens.\n"))
    (ticket,) = strict.tickets
    with pytest.raises(SecondUnitError, match="which another order already has"):
        settle(desk.at, "attach", ticket=ticket)
    assert desk.at.states == ["doubt", "kept"]


@pytest.mark.parametrize(
    ("state", "decisions"),
    [
        ("doubt", {"attach", "resubmit", "abandon"}), ("lost", {"attach", "resubmit", "abandon"}),
        ("failed", {"resubmit"}), ("cancelled", {"resubmit"}), ("abandoned", {"resubmit"}),
        ("open", set()), ("kept", set()), ("unsent", set()), ("rejected", set()),
        ("replaced", set()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("decision", ["attach", "resubmit", "abandon"])
def test_only_what_waits_for_a_decision_is_decided(
    desk: Desk, state: str, decision: Decision, decisions: set[str]
) -> None:
    with desk.at.books() as ledger:
        order = ledger.intend(
            Intent("k", "film", "r", "s0", "runway", "e", "m", {}, 24), Allowance()
        )
        if state in {"open", "kept", "lost", "failed", "cancelled"}:
            order = ledger.opened(order, "t", None)
            if state == "kept":
                ledger.kept(ledger.made(order, 24))
            elif state != "open":
                ledger.ended(order, state, "?")
        elif state in {"unsent", "rejected"}:
            getattr(ledger, state)(order, "?")
        else:
            order = ledger.doubted(order, "?")
            if state != "doubt":
                getattr(ledger, state)(order)
    if decision in decisions:
        settle(desk.at, decision, ticket="t9")
        expected = {"attach": "open", "resubmit": "replaced", "abandon": "abandoned"}[decision]
        assert desk.at.states == [expected]
    else:
        with pytest.raises(UsageError, match=rf"nothing to {decision} \(its last order is {state}"):
            settle(desk.at, decision, ticket="t9")
        assert desk.at.states == [state]


def test_a_shot_that_was_never_ordered_is_told_from_those_that_were(desk: Desk) -> None:
    with pytest.raises(UsageError, match="Nothing was ever ordered"):
        settle(desk.at, "abandon")
    doubt(desk, 2)
    with pytest.raises(UsageError, match=r"\(shots with orders: s0, s1\)"):
        settle(desk.at, "abandon", "s9")
    with pytest.raises(UsageError, match=r"\(shots with orders: none\)"):
        deciding.settle(deciding.Settle(desk.at.project, "another", "s0", "abandon"))


def test_a_take_that_failed_several_times_is_ordered_again_as_if_it_never_was(desk: Desk) -> None:
    """Every ending is replaced, because each of them would hold the shot."""
    desk.at.strict.living("A door", *[Life(states=("FAILED",), credits=5)] * 3)
    assert isinstance(desk.at.persist(desk.at.plan()), Refused)
    said = settle(desk.at, "resubmit", "one")
    cost = sum(order.cost for order in desk.at.orders)
    assert cost == 15
    assert f"counts as spent ({cost} credits)" in said
    desk.at.shoot(desk.at.plan())
    assert desk.at.states == ["replaced"] * 3 + ["kept"]


@pytest.mark.covers("E9")
def test_nothing_is_decided_by_an_empty_ledger_beside_a_full_store(desk: Desk) -> None:
    desk.at.shoot(desk.at.plan())
    for left in desk.at.project.ledger.parent.glob("ledger.sqlite*"):
        left.unlink()
    Ledger(desk.at.project.ledger).close()
    with pytest.raises(UsageError, match="is missing or empty"):
        settle(desk.at, "abandon", "one")
    with pytest.raises(UsageError, match="is missing or empty"):
        desk.cancel("one")


def test_nothing_is_settled_while_a_run_is_at_work(desk: Desk) -> None:
    doubt(desk)
    with desk.at.project.held(), pytest.raises(Locked):
        settle(desk.at, "abandon")
    assert desk.at.states == ["doubt"]


@pytest.mark.covers("D9")
def test_a_lost_ticket_is_ordered_again_or_given_up_by_a_person_only(
    desk: Desk, strict: Strict
) -> None:
    strict.living("Door", *[Life(states=("RUNNING", Reply(404)))] * 2)
    results = desk.at.run(desk.at.plan(doors(2)), in_turn)
    assert [type(r) for r in results] == [Lost] * 2
    settle(desk.at, "resubmit", "s0")
    settle(desk.at, "abandon", "s1")
    with suppress(ShotError):
        desk.at.shoot(desk.at.plan(doors(2)), "s1")
    desk.at.shoot(desk.at.plan(doors(2)), "s0")
    assert desk.at.states == ["replaced", "abandoned", "kept"]
    assert len(strict.orders) == 3


def test_where_two_gateways_have_orders_of_a_shot_it_is_said_which(desk: Desk) -> None:
    with desk.at.books() as ledger:
        for gateway in ("runway", "cometapi"):
            intent = Intent(gateway, "film", "r", "s0", gateway, "e", "m", {}, 24)
            ledger.doubted(ledger.intend(intent, Allowance()), "?")
    with pytest.raises(UsageError, match=r"at cometapi and runway\. Say which with --gateway"):
        settle(desk.at, "abandon")
    deciding.settle(deciding.Settle(desk.at.project, "film", "s0", "abandon", gateway="cometapi"))
    assert [(o.gateway, o.state) for o in desk.at.orders] == [
        ("runway", "doubt"), ("cometapi", "abandoned"),
    ]  # fmt: skip


def test_what_is_on_order_again_is_not_ordered_once_more(desk: Desk) -> None:
    desk.at.strict.living("A door", Life(states=("FAILED",)), Life(states=("PENDING", Reply(401))))
    for _ in range(2):
        with suppress(SecondUnitError):
            desk.at.shoot(desk.at.plan())
    assert desk.at.states == ["failed", "open"]
    with pytest.raises(UsageError, match=r"is still open; run again to bring it home"):
        settle(desk.at, "resubmit", "one")
    assert desk.at.states == ["failed", "open"]


def test_a_gateway_that_takes_nothing_back_is_not_asked(desk: Desk, strict: Strict) -> None:
    with desk.at.books() as ledger:
        intent = Intent("k", "film", "r", "s0", "cometapi", "e", "m", {}, 24)
        ledger.opened(ledger.intend(intent, Allowance()), "t", None)
    with pytest.raises(UsageError, match=r"cometapi takes no ticket back\. Nothing was cancelled"):
        deciding.cancel(deciding.Cancel(desk.at.project, "film", "cometapi", base_url=strict.url))
    assert strict.requests == []
