"""What the account shows of an order in doubt: proved harmless, charged, or left to a person."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from onset import HEAD, PACE, Production, doors, in_turn
from strict import DROP, Life, Reply, Strict

from secondunit.errors import InDoubt, ShotError, UsageError
from secondunit.ledger import Allowance, Evidence, Intent, Order
from secondunit.ports import Account
from secondunit.take import evidence
from secondunit.take.evidence import by_account, judge

# --- the verdict ----------------------------------------------------------------------------------

THEN = Evidence(credits=1000, made=5, booked=100, placed=4)
VERDICTS = [  # an order's price, the account before it and now, and what that proves
    (24, THEN, (1000, 5, 100, 4), "not charged", "nothing moved"),
    (24, THEN, (976, 6, 100, 4), "charged", "its price is gone and it was counted"),
    (24, THEN, (976, 5, 100, 4), "charged", "its price is gone; the count may lag"),
    (24, THEN, (1000, 6, 100, 4), "charged", "it was counted; the charge may lag or be refunded"),
    (24, THEN, (970, 5, 100, 4), "charged", "more than its price is gone"),
    (24, THEN, (977, 5, 100, 4), "unknown", "less than its price is gone: somebody else's"),
    (24, THEN, (1001, 5, 100, 4), "unknown", "the account grew by a top-up, which hides a charge"),
    (24, THEN, (2000, 5, 100, 4), "unknown", "the same, by more"),
    (24, THEN, (952, 7, 148, 6), "not charged", "all of it is other orders of ours"),
    (24, THEN, (928, 8, 148, 6), "charged", "other orders of ours, and this one"),
    (24, THEN, (952, 8, 148, 6), "charged", "one more was counted than we placed"),
    (24, THEN, (1000, 3, 100, 4), "unknown", "older ones left the window of 24 hours"),
    (24, THEN, (1024, 5, 76, 4), "not charged", "a refund of another order explains the growth"),
    (24, THEN, (1000, 5, 76, 4), "charged", "a refund is booked and the account does not show it"),
    (24, THEN, (1000, 6, 100, 5), "not charged", "another of ours is counted and still free"),
    (24, None, (1000, 5, 100, 4), "unknown", "nobody looked before it"),
    (24, THEN, (1000, 5, 100, 4, "other"), "unknown", "it is another account that is asked now"),
    (24, THEN, (976, 6, 100, 4, "other"), "unknown", "the same"),
    (24, replace(THEN, credits=None), (1000, 5, 100, 4), "unknown", "credits were not told"),
    (24, replace(THEN, made=None), (1000, 5, 100, 4), "unknown", "no count was told"),
    (24, THEN, (None, 5, 100, 4), "unknown", "credits are not told now"),
    (24, THEN, (1000, None, 100, 4), "unknown", "no count is told now"),
    (0, THEN, (1000, 5, 100, 4), "unknown", "what costs nothing leaves no trace in the credits"),
    (0, THEN, (1000, 6, 100, 4), "charged", "and yet it was counted"),
    (1, THEN, (999, 5, 100, 4), "charged", "a single credit"),
    (1, replace(THEN, credits=0), (0, 5, 100, 4), "not charged", "an empty account"),
    (24, replace(THEN, made=0), (1000, 1, 100, 4), "charged", "the first of the day"),
]  # fmt: skip


@pytest.mark.parametrize(("price", "then", "now", "verdict", "why"), VERDICTS)
@pytest.mark.covers("A2", "A3", "A4")
def test_the_account_is_believed_only_where_credits_and_count_agree(
    price: int, then: Evidence | None, now: tuple[int | None, ...], verdict: str, why: str
) -> None:
    assert judge(price, then, Evidence(*now)) == verdict, why  # type: ignore[arg-type]  # whole numbers where it counts


ORDER = Order(
    id=1, key="k", film="f", run="r", shot="s", gateway="runway", endpoint="e", model="m",
    request="{}", state="open", ticket="t", reserved=24, estimate=None, charged=None, reason="",
    failure_code="", ordered_at="", changed_at="", cost=24,
)  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "cost", "charged"),
    [
        (100, 124, 24, 0), (100, 123, 24, None), (100, 125, 24, None), (100, 100, 24, None),
        (100, 76, 24, None), (100, 100, 0, None), (None, 124, 24, None), (100, None, 24, None),
        ("?", 124, 24, None), (100, "?", 24, None),
    ],
)  # fmt: skip
def test_a_cancelled_order_was_free_only_where_all_of_its_price_came_back(
    before: int | str | None, after: int | str | None, cost: int, charged: int | None
) -> None:
    def account(credits_: int | str | None) -> Account | None:
        return None if credits_ == "?" else Account(credits_)  # type: ignore[arg-type]  # a number, then

    assert by_account(replace(ORDER, cost=cost), account(before), account(after)) == charged


# --- what is written before an order ----------------------------------------------------------------


def test_what_the_account_holds_is_on_the_disk_before_an_order_leaves(
    at: Production, strict: Strict
) -> None:
    strict.account["creditBalance"] = 500
    strict.account["usage"]["models"] = {"gen4.5": {"dailyGenerations": 3}}
    strict.script(" Door number 2", replace(DROP, taken=True))
    at.at_once(at.plan(doors(2)))
    with pytest.raises(InDoubt):
        at.shoot(at.plan(HEAD + "  s2: Door number 2 opens.\n"))
    name = at.gateway().account_name
    assert [o.evidence for o in at.orders] == [
        Evidence(500, 3, 0, 0, name), Evidence(476, 4, 24, 1, name), Evidence(452, 5, 48, 2, name),
    ]  # fmt: skip
    first = strict.requests.index("POST text_to_video")
    assert strict.requests[first - 1] == "GET organization"


def test_each_model_is_counted_apart_and_what_never_arrived_is_not_counted(at: Production) -> None:
    with at.books() as ledger:
        for number, (model, end) in enumerate(
            [("a", "opened"), ("b", "opened"), ("a", "unsent"), ("a", "rejected"), ("a", "doubted")]
        ):
            intent = Intent(f"k{number}", "f", "r", "s", "runway", "e", model, {}, 10)
            order = ledger.intend(intent, Allowance())
            ledger.opened(order, f"t{number}", None) if end == "opened" else getattr(ledger, end)(
                order, "?"
            )
        last = ledger.intend(replace(intent, key="last"), Allowance())
        assert ledger.evidence("runway", "a", without=last) == Evidence(booked=30, placed=2)
        assert ledger.evidence("runway", "a") == Evidence(booked=40, placed=3)
        assert ledger.evidence("runway", "b") == Evidence(booked=40, placed=1)
        assert ledger.evidence("runway", "c", without=ledger.of("k2")[0]).booked == 40
        assert ledger.evidence("cometapi", "a") == Evidence()


@pytest.mark.parametrize(
    "silence",
    [Reply(500), Reply(404), Reply(200, b"<html>"), Reply(200, b"[]"), DROP, Reply(200, b"[" * 10**5)],
    ids=["broken", "none", "page", "list", "drop", "deep"],
)  # fmt: skip
def test_where_the_account_does_not_tell_the_order_is_placed_without_evidence(
    at: Production, strict: Strict, silence: Reply
) -> None:
    strict.script("organization", silence)
    at.shoot(at.plan())
    assert at.orders[0].evidence == Evidence()


# --- orders in doubt --------------------------------------------------------------------------------

NEVER_TAKEN = DROP
TAKEN = replace(DROP, taken=True)


def doubt(at: Production, *replies: Reply) -> None:
    """Leave a doubt for each reply, in shots s0 and on."""
    for number, reply in enumerate(replies):
        at.strict.script(f" Door number {number} ", reply)
    results = at.run(at.plan(doors(len(replies))), in_turn)
    assert all(isinstance(result, InDoubt) for result in results)


@pytest.mark.covers("A2", "A3", "C2")
def test_what_provably_never_arrived_is_ordered_again_without_asking(
    at: Production, strict: Strict
) -> None:
    doubt(at, NEVER_TAKEN)
    assert at.reconcile() == [("s0", "not charged")]
    assert [(o.state, o.cost, o.reason) for o in at.orders] == [
        ("unsent", 0, "the account shows that it was not charged")
    ]
    at.shoot(at.plan(doors(1)))
    assert at.states == ["unsent", "kept"]
    assert len(strict.tickets) == 1
    assert at.reconcile() == []


@pytest.mark.covers("A2", "A4", "A5")
@pytest.mark.parametrize(("arrived", "verdict"), [(False, "not charged"), (True, "charged")])
def test_an_order_of_a_run_that_died_is_held_against_the_account(
    at: Production, strict: Strict, arrived: bool, verdict: str
) -> None:
    plan = at.plan()
    (step,) = plan.orders
    with at.books() as ledger:
        request = step.request
        assert request is not None
        ledger.intend(
            Intent(step.key, plan.name, "dead", step.shot, "runway", request.endpoint,
                   request.model, request.told(), 24,
                   Evidence(10_000, 0, 0, 0, at.gateway().account_name)),
            Allowance(),
        )  # fmt: skip
    if arrived:
        strict.take("text_to_video", {"model": "gen4.5", "promptText": "A", "ratio": "1280:720",
                                      "duration": 2})  # fmt: skip
    assert at.reconcile() == [("one", verdict)]
    if arrived:
        with pytest.raises(InDoubt):
            at.shoot(plan)
        assert strict.orders == []
    else:
        at.shoot(plan)
        assert len(strict.tickets) == 1


@pytest.mark.covers("A4", "C2", "C4")
def test_what_was_charged_waits_for_a_person_with_both_numbers(
    at: Production, strict: Strict
) -> None:
    doubt(at, TAKEN)
    assert at.reconcile() == [("s0", "charged")]
    (order,) = at.orders
    assert (order.state, order.cost) == ("doubt", 24)
    assert order.reason.endswith(
        "; the account held 10000 credits before it and 9976 now. This one was charged"
    )
    before = order.reason
    assert at.reconcile() == [("s0", "charged")]
    assert at.orders[0].reason == before  # said once, however often one looks
    with pytest.raises(InDoubt, match="9976 now"):
        at.shoot(at.plan(doors(1)))
    assert len(strict.orders) == 1


def test_others_on_the_same_key_make_the_account_prove_nothing(
    at: Production, strict: Strict
) -> None:
    doubt(at, NEVER_TAKEN)
    strict.requests.clear()
    assert at.reconcile(shared=True) == [("s0", "unknown")]
    assert strict.requests == []
    assert at.states == ["doubt"]


def test_a_count_that_differs_is_a_charge_even_where_a_top_up_hides_the_money(
    at: Production, strict: Strict
) -> None:
    doubt(at, TAKEN)
    strict.account["creditBalance"] += 24
    assert at.reconcile() == [("s0", "charged")]


def test_an_account_that_was_topped_up_is_left_to_a_person(at: Production, strict: Strict) -> None:
    doubt(at, NEVER_TAKEN)
    strict.account["creditBalance"] += 1000
    assert at.reconcile() == [("s0", "unknown")]
    assert at.orders[0].reason.endswith("the account held 10000 credits before it and 11000 now")


@pytest.mark.parametrize(
    "moving", ["credits", "count", "silent", "gone", "broken"]
)  # fmt: skip
def test_an_account_that_moves_while_it_is_looked_at_proves_nothing(
    at: Production, strict: Strict, moving: str
) -> None:
    doubt(at, NEVER_TAKEN)
    steady, page = strict.statement(), strict.statement()
    if moving == "credits":
        page["creditBalance"] += 1
    elif moving == "count":
        page["usage"]["models"]["gen4.5"] = {"dailyGenerations": 9}
    looks = {
        "silent": [Reply(404)], "gone": [said(steady), Reply(404)],
        "broken": [said(steady), *[Reply(500)] * 4],
    }.get(moving, [said(steady), said(steady), said(page)])  # fmt: skip
    strict.script("organization", *looks)
    assert at.reconcile() == [("s0", "unknown")]
    assert at.states == ["doubt"]
    assert at.reconcile() == [("s0", "not charged")]


def said(page: object) -> Reply:
    return Reply(200, json.dumps(page).encode())


def test_the_account_is_looked_at_three_times_with_time_between(
    at: Production, strict: Strict
) -> None:
    doubt(at, NEVER_TAKEN)
    strict.requests.clear()
    at.pace = replace(PACE, settle=0.05, ripe=0.0)
    at.reconcile()
    assert strict.requests == ["GET organization"] * 3


def test_a_key_that_is_refused_is_said_and_decides_nothing(at: Production, strict: Strict) -> None:
    doubt(at, NEVER_TAKEN)
    strict.key = "another"
    with pytest.raises(UsageError, match="does not accept the key"):
        at.reconcile()
    assert at.states == ["doubt"]


@pytest.mark.parametrize(
    ("replies", "verdicts"),
    [
        ((NEVER_TAKEN, NEVER_TAKEN), ["not charged", "not charged"]),
        ((TAKEN, NEVER_TAKEN), ["not charged", "charged"]),
        ((NEVER_TAKEN, TAKEN), ["charged", "unknown"]),
        ((TAKEN, TAKEN), ["charged", "unknown"]),
    ],
)
def test_the_newest_doubt_is_judged_first_and_what_is_open_clouds_the_older_ones(
    at: Production, replies: tuple[Reply, ...], verdicts: list[str]
) -> None:
    doubt(at, *replies)
    assert at.reconcile() == [("s1", verdicts[0]), ("s0", verdicts[1])]


def test_other_orders_since_are_told_apart_from_the_doubt(at: Production, strict: Strict) -> None:
    doubt(at, NEVER_TAKEN, TAKEN)
    at.shoot(at.plan(HEAD + "  three: A window opens.\n"))
    found = dict(at.reconcile())
    assert found == {"s1": "charged", "s0": "unknown"}
    reasons = {o.shot: o.reason for o in at.orders}
    assert "10000 credits before it and 9952 now, 24 of it for other orders" in reasons["s1"]
    assert strict.charged == 48


def open_ticket(at: Production, life: Life) -> None:
    """Leave a ticket open after a doubt that never arrived."""
    doubt(at, NEVER_TAKEN)
    at.strict.living("A window", life)
    at.pace = replace(PACE, outage=0.01)
    at.strict.script("tasks", *[Reply(503)] * 9)
    with pytest.raises(ShotError, match="stays open"):
        at.shoot(at.plan(HEAD + "  two: A window opens.\n"))
    at.pace = PACE
    at.strict.replies.clear()
    assert at.states == ["doubt", "open"]


@pytest.mark.parametrize(
    ("life", "state", "cost", "verdict"),
    [
        (Life(states=("FAILED",), code="INTERNAL", credits=0), "failed", 0, "charged"),
        (Life(states=("CANCELLED",), credits=24), "cancelled", 24, "not charged"),
        (Life(states=("SUCCEEDED",)), "made", 24, "not charged"),
        (Life(states=("SUCCEEDED",), empty=9), "open", 24, "not charged"),
        (Life(states=("RUNNING",)), "open", 24, "not charged"),
        (Life(states=(Reply(404),)), "open", 24, "not charged"),
        (Life(states=(Reply(400),)), "open", 24, "unknown"),
    ],
)
def test_open_tickets_are_asked_about_because_their_refunds_explain_the_account(
    at: Production, life: Life, state: str, cost: int, verdict: str
) -> None:
    """A refund between the two questions makes the account look charged, never the reverse."""
    open_ticket(at, life)
    assert at.reconcile() == [("s0", verdict)]
    two = next(o for o in at.orders if o.shot == "two")
    assert (two.state, two.cost) == (state, cost)
    if state == "failed":
        assert (two.reason, two.failure_code) == ("Something went wrong.", "INTERNAL")
        assert at.reconcile() == [("s0", "not charged")]


@pytest.mark.parametrize("end", ["failed", "cancelled", "lost", "made", "kept"])
def test_an_ending_whose_cost_nobody_told_makes_the_account_prove_nothing(
    at: Production, end: str
) -> None:
    doubt(at, NEVER_TAKEN)
    with at.books() as ledger:
        intent = Intent("other", "g", "r", "s", "runway", "e", "another model", {}, 24)
        order = ledger.opened(ledger.intend(intent, Allowance()), "t", None)
        if end in {"made", "kept"}:
            order = ledger.made(order, None)
            order = ledger.kept(order) if end == "kept" else order
        else:
            order = ledger.ended(order, end, "?")
    at.strict.account["creditBalance"] -= 24
    assert at.reconcile() == [("s0", "unknown")]


def test_an_ending_before_the_doubt_does_not_matter(at: Production) -> None:
    with at.books() as ledger:
        intent = Intent("other", "g", "r", "s", "runway", "e", "another model", {}, 24)
        ledger.ended(ledger.opened(ledger.intend(intent, Allowance()), "t", None), "lost", "?")
    doubt(at, NEVER_TAKEN)
    assert at.reconcile() == [("s0", "not charged")]


# --- too busy -----------------------------------------------------------------------------------


@pytest.mark.covers("C10")
@pytest.mark.parametrize("status", [502, 503])
def test_an_order_that_was_shed_and_not_charged_is_tried_once_more(
    at: Production, strict: Strict, status: int
) -> None:
    strict.script("text_to_video", Reply(status, b'{"error":"Load shed."}'))
    at.shoot(at.plan())
    assert at.states == ["unsent", "kept"]
    assert "the account shows no order" in at.orders[0].reason
    assert (len(strict.orders), len(strict.tickets)) == (2, 1)


@pytest.mark.covers("C10")
def test_an_order_that_is_shed_again_is_given_up_for_now(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", *[Reply(503)] * 3)
    with pytest.raises(ShotError, match="Nothing was ordered") as raised:
        at.shoot(at.plan())
    assert raised.value.transient
    assert at.states == ["unsent", "unsent"]
    assert len(strict.orders) == 2


@pytest.mark.covers("C10")
def test_an_order_that_was_shed_and_charged_is_in_doubt(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", Reply(503, taken=True))
    with pytest.raises(InDoubt, match="the gateway answered 503"):
        at.shoot(at.plan())
    assert len(strict.orders) == 1


@pytest.mark.covers("C10")
@pytest.mark.parametrize("late", [2, 3])
def test_a_charge_that_the_account_shows_late_costs_one_order_at_most(
    at: Production, strict: Strict, late: int
) -> None:
    """`late`: so many looks, the one before the order included, show the account as it was.

    Where both looks after it are too early, one order more than wanted is placed, and no second.
    """
    before = said(strict.statement())
    strict.script("organization", *[before] * late)
    strict.script("text_to_video", Reply(503, taken=True), Reply(503, taken=True))
    with pytest.raises(InDoubt):
        at.shoot(at.plan())
    assert len(strict.orders) == late - 1
    assert sum(o.cost for o in at.orders) >= 24
    if late == 2:
        assert at.states == ["doubt"]


@pytest.mark.parametrize("second", [Reply(500), Reply(404), DROP, Reply(200, b"[]")])
def test_too_busy_is_not_believed_where_the_account_does_not_say_it_twice(
    at: Production, strict: Strict, second: Reply
) -> None:
    before = said(strict.statement())
    strict.script("organization", before, before, second)
    strict.script("text_to_video", Reply(503))
    with pytest.raises(InDoubt):
        at.shoot(at.plan())


def test_too_busy_is_not_believed_where_the_account_can_no_longer_be_asked(
    at: Production, strict: Strict
) -> None:
    strict.script("organization", said(strict.statement()), Reply(401, b'{"error":"no"}'))
    strict.script("text_to_video", Reply(503))
    with pytest.raises(InDoubt):
        at.shoot(at.plan())


@pytest.mark.covers("C11")
@pytest.mark.parametrize("status", [300, 307, 409, 418, 500, 501, 504, 520, 529])
def test_any_other_answer_is_a_doubt_and_is_not_tried_again(
    at: Production, strict: Strict, status: int
) -> None:
    strict.script("text_to_video", Reply(status))
    with pytest.raises(InDoubt, match=f"answered {status}"):
        at.shoot(at.plan())
    assert len(strict.orders) == 1


def test_the_count_of_a_model_is_none_only_where_nothing_is_counted(at: Production) -> None:
    books, gateway = Evidence(booked=9, placed=2), at.gateway()
    name = gateway.account_name
    for made, count in ((None, None), ({}, 0), ({"m": 3, "n": 4}, 3)):
        told = evidence.told(books, gateway, Account(1, made=made), "m")
        assert told == Evidence(1, count, 9, 2, name)


def test_a_young_order_is_given_time_to_show_before_it_is_called_not_charged(
    at: Production, strict: Strict
) -> None:
    """An order may still be under way while the account is asked for the first time."""
    doubt(at, NEVER_TAKEN)
    at.pace = replace(PACE, ripe=0.6)
    began = time.monotonic()
    assert at.reconcile() == [("s0", "not charged")]
    assert time.monotonic() - began >= 0.3
    doubt(at, TAKEN)
    at.pace = replace(PACE, ripe=60.0)
    began = time.monotonic()
    assert at.reconcile() == [("s0", "charged")]  # nothing is gained by waiting
    assert time.monotonic() - began < 30


def test_after_a_day_the_count_says_nothing_any_more(at: Production, strict: Strict) -> None:
    doubt(at, NEVER_TAKEN)
    with at.books() as ledger:
        for hours, verdict in ((25, "unknown"), (23, "not charged")):
            then = datetime.now(UTC) - timedelta(hours=hours)
            ledger._file._db.execute("UPDATE orders SET ordered_at = ?", (then.isoformat(),))
            assert at.reconcile() == [("s0", verdict)]


def test_an_account_under_another_key_proves_nothing(at: Production, strict: Strict) -> None:
    doubt(at, NEVER_TAKEN)
    name = at.gateway().account_name
    assert "test" not in name
    with at.books() as ledger:
        ledger._file._db.execute("UPDATE orders SET evidence = replace(evidence, ?, 'x')", (name,))
    assert at.reconcile() == [("s0", "unknown")]
