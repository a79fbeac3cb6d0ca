"""Two breakers: one waits while the gateway fails for all, one stops when shots come to nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from onset import PACE, Production, doors, everything, in_turn
from strict import DROP, Life, Reply, Strict

from secondunit.errors import OverBudget, Refused, ShotError, Stopped, Unreachable, UsageError
from secondunit.ledger import Order
from secondunit.ports import Account
from secondunit.take.breaker import EARNED, TOKENS, Line, Tally

if TYPE_CHECKING:
    from secondunit.take import Unit


# --- the line -----------------------------------------------------------------------------------


@dataclass
class Exchange:
    """Somebody to ring up: silent for so many calls, then there."""

    silent: int = 0
    calls: int = 0
    talking: int = 0
    at_once: int = 0
    pause: float = 0.0
    trouble: Exception | None = None
    waited: list[float] = field(default_factory=list)

    async def __call__(self) -> None:
        self.calls += 1
        self.talking += 1
        self.at_once = max(self.at_once, self.talking)
        self.waited.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.pause)
        self.talking -= 1
        if self.trouble:
            raise self.trouble
        if self.calls <= self.silent:
            raise Unreachable("No answer.")


def line(exchange: Exchange | None = None, shots: int = 9, **pace: float) -> Line:
    return Line(exchange or Exchange(), replace(PACE, **pace), shots)


def fail(it: Line, *shots: str) -> None:
    for shot in shots:
        it.failed(shot, "No answer.")


@pytest.mark.covers("C21")
@pytest.mark.parametrize(
    ("failures", "shots", "down"),
    [
        ("aaaaaaaaa", 9, False), ("ababababa", 9, False), ("abab", 9, False), ("abcab", 9, True),
        ("aaabc", 9, True), ("aaab", 2, False), ("aaaab", 2, True), ("ababa", 2, True),
        ("aaaa", 1, False), ("aaaaa", 1, True), ("aaaaa", 0, True), ("aabbcc", 3, True),
    ],
)  # fmt: skip
def test_five_failures_in_a_row_of_three_shots_take_the_line_down(
    failures: str, shots: int, down: bool
) -> None:
    """Where the run has fewer shots, all of them must have failed."""
    it = line(shots=shots)
    fail(it, *failures)
    assert it.down is down


def test_a_good_answer_ends_a_row_of_failures() -> None:
    it = line()
    fail(it, *"abca")
    it.worked()
    fail(it, *"bcab")
    assert not it.down
    fail(it, "c")
    assert it.down


def test_half_of_the_last_twenty_answers_take_the_line_down() -> None:
    it = line()
    for _ in range(30):
        it.worked()
    for _ in range(9):
        fail(it, "a")
        it.worked()
    assert not it.down
    fail(it, "a")
    assert it.down


def test_half_of_a_few_answers_says_nothing() -> None:
    it = line()
    for _ in range(9):
        fail(it, "a")
        it.worked()
    assert not it.down
    fail(it, "a")
    assert not it.down
    fail(it, "a")
    assert it.down


def test_a_line_that_is_down_stays_down_until_it_was_asked() -> None:
    it = line()
    fail(it, *"abcab")
    it.worked()
    assert it.down


def test_nobody_asks_on_a_line_that_is_up() -> None:
    exchange = Exchange()
    it = line(exchange)
    asyncio.run(it.up(0))
    asyncio.run(it.up(-3))
    assert exchange.calls == 0


@pytest.mark.covers("C21")
def test_while_the_line_is_down_one_asks_for_all() -> None:
    exchange = Exchange(silent=3, pause=0.005)
    it = line(exchange)
    fail(it, *"abcab")

    async def all_wait() -> None:
        await asyncio.gather(*[it.up(5) for _ in range(20)])

    asyncio.run(all_wait())
    assert (exchange.calls, exchange.at_once) == (4, 1)
    assert not it.down


def test_a_line_that_came_up_again_begins_with_a_clean_sheet() -> None:
    it = line()
    fail(it, *"abcab" * 4)
    asyncio.run(it.up(1))
    fail(it, *"abca")
    assert not it.down
    fail(it, "b")
    assert it.down


def test_one_asks_less_and_less_often_but_never_rests_longer_than_calm() -> None:
    exchange = Exchange(silent=8)
    it = line(exchange, retry=0.01, calm=0.05)
    fail(it, *"abcab")
    asyncio.run(it.up(9))
    gaps = [b - a for a, b in zip(exchange.waited, exchange.waited[1:], strict=False)]
    assert 0.009 <= gaps[0] <= 0.03
    assert min(gaps[4:]) >= 0.049
    assert sum(gaps[4:]) / len(gaps[4:]) < 0.09


def test_a_line_that_stays_down_is_left_with_what_was_said_last() -> None:
    it = line(Exchange(silent=10**6))
    fail(it, *"abca")
    it.failed("b", "It answers 503: busy.")
    with pytest.raises(
        Unreachable, match=r"failing for a long time, last with: It answers 503: busy\.$"
    ):
        asyncio.run(it.up(0.05))
    assert it.down


@pytest.mark.covers("D17")
def test_a_key_that_is_refused_meanwhile_is_said_at_once() -> None:
    it = line(Exchange(trouble=UsageError("The key is not accepted.")))
    fail(it, *"abcab")
    with pytest.raises(UsageError, match="not accepted"):
        asyncio.run(it.up(5))


def test_tries_are_paid_from_a_purse_that_good_answers_fill() -> None:
    it = line()
    assert (TOKENS, EARNED) == (10, 0.2)
    assert [it.may_retry() for _ in range(12)] == [True] * 10 + [False] * 2
    for _ in range(4):
        it.worked()
    assert not it.may_retry()
    it.worked()
    it.worked()
    assert it.may_retry()
    assert not it.may_retry()


# --- the line under a run ------------------------------------------------------------------------


@pytest.mark.covers("C21")
def test_an_outage_marks_nothing_failed_and_the_run_goes_on_behind_it(
    at: Production, strict: Strict
) -> None:
    rolling = Life(states=("RUNNING", *[Reply(503)] * 3, "RUNNING", "SUCCEEDED"))
    strict.living("Door", *[rolling] * 6)
    asked: list[int] = []

    async def through(unit: Unit) -> Any:
        results = await everything(unit)
        asked.append(sum(seen[1] == "waiting" for seen in at.seen.stages))
        return results

    results = at.run(at.plan(doors(6)), through)
    assert not [r for r in results if isinstance(r, BaseException)]
    assert at.states == ["kept"] * 6
    assert len(strict.orders) == 6


@pytest.mark.covers("C21", "C12")
def test_an_outage_that_does_not_end_leaves_every_ticket_open(
    at: Production, strict: Strict
) -> None:
    strict.living("Door", *[Life(states=("RUNNING", Reply(503)))] * 4)
    at.pace = replace(PACE, outage=0.25)

    async def then_silent(unit: Unit) -> Any:
        shooting = asyncio.ensure_future(everything(unit))
        while sum(seen[1] == "rolling" for seen in at.seen.stages) < 4:  # noqa: ASYNC110  a watcher is told, and tells nobody
            await asyncio.sleep(0.005)
        strict.script("organization", *[Reply(503)] * 500)
        strict.requests.clear()
        return await shooting

    results = at.run(at.plan(doors(4)), then_silent)
    assert all(isinstance(r, ShotError) and not r.transient for r in results)
    assert all("stays open" in str(r) for r in results)
    assert at.states == ["open"] * 4
    polls = sum(r.startswith("GET tasks") for r in strict.requests)
    assert polls < 20  # until the line was down; afterwards one asked for the account
    assert "GET organization" in strict.requests
    strict.replies.clear()
    for ticket in strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))
    at.pace = PACE
    at.at_once(at.plan(doors(4)))
    assert at.states == ["kept"] * 4
    assert len(strict.orders) == 4


@pytest.mark.covers("C1", "C21")
def test_nothing_is_ordered_while_the_line_is_down(at: Production, strict: Strict) -> None:
    at.url = "http://127.0.0.1:9"
    at.pace = replace(PACE, outage=0.2)
    results = at.at_once(at.plan(doors(6)))
    assert all(isinstance(r, Unreachable) for r in results)
    assert all("Nothing was ordered" in str(r) for r in results)
    assert any("for a long time" in str(r) for r in results)
    assert at.states == []


@pytest.mark.covers("C9")
def test_when_most_is_refused_the_purse_ends_the_trying_and_not_the_polling(
    at: Production, strict: Strict
) -> None:
    """Five shots with six tries each would be thirty; the purse has ten beyond the first."""
    strict.script("text_to_video", *[Reply(429)] * 60)

    async def sparing(unit: Unit) -> Any:
        unit._line.failed = lambda *_: None  # type: ignore[method-assign]  # the line stays up: only the purse counts
        return await everything(unit)

    at.run(at.plan(doors(5)), sparing)
    assert len(strict.orders) == 5 + 10
    assert set(at.states) == {"unsent"}


# --- shots that come to nothing -------------------------------------------------------------------

ORDER = Order(
    id=1, key="k", film="f", run="r", shot="s", gateway="runway", endpoint="e", model="m",
    request="{}", state="failed", ticket="t", reserved=24, estimate=None, charged=None,
    reason="it broke", failure_code="", ordered_at="", changed_at="", cost=24,
)  # fmt: skip


def tallied(shots: int, course: str) -> list[str]:
    """Tell a tally how shots came out: `.` came back, `x` failed, `m` was moderated."""
    tally = Tally(shots)
    found = []
    for end in course:
        if end == ".":
            tally.came_back()
        else:
            found.append(tally.came_to_nothing(ORDER, moderated=end == "m"))
    return found


@pytest.mark.covers("D2")
@pytest.mark.parametrize(
    ("shots", "course", "why"),
    [
        (99, "m.m.m", "3 shots of this run were moderated, which endangers the account"),
        (99, "m.m.x", ""), (99, "m.x.m", ""),
        (99, "xxx", "3 shots in a row failed, the last with: it broke"),
        (99, "xx.xx", ""), (99, "xm.xx", ""),
        (99, "x.x.x", ""), (3, "x.x", ""), (5, "x.x", ""),
        (10, "x.x.x", "3 of 10 shots failed"), (11, "x.x.x", ""),
        (11, "x.x.x.x", "4 of 11 shots failed"), (6, "x.x.x", "3 of 6 shots failed"),
        (1, "x", ""),
    ],
)  # fmt: skip
def test_when_too_many_shots_come_to_nothing_it_is_said_why_no_more_are_ordered(
    shots: int, course: str, why: str
) -> None:
    *before, last = tallied(shots, course)
    assert not any(before)
    assert last == why


FAILS = {
    "moderated": Life(states=("FAILED",), code="SAFETY.OUTPUT.VIDEO", failure="Not allowed."),
    "broken": Life(states=("FAILED",), code="ASSET.INVALID", failure="Not a picture.", credits=0),
}


@pytest.mark.covers("D2")
@pytest.mark.parametrize(
    ("kind", "why"), [("moderated", "3 shots of this run were moderated"),
                      ("broken", "3 shots in a row failed, the last with: Not a picture")],
)  # fmt: skip
def test_ordering_stops_when_shots_come_to_nothing_and_open_tickets_come_home(
    at: Production, strict: Strict, kind: str, why: str
) -> None:
    strict.living("number 0", Life(states=("RUNNING",)))
    strict.living("Door", *[FAILS[kind]] * 9)
    at.account = Account(10_000, {"gen4.5": 2})

    async def one_rolls_meanwhile(unit: Unit) -> Any:
        first = asyncio.ensure_future(unit.shoot(unit.plan.steps[0]))
        while not strict.tickets:  # noqa: ASYNC110  it is in another thread
            await asyncio.sleep(0.005)
        others = await asyncio.gather(*map(unit.shoot, unit.plan.steps[1:]), return_exceptions=True)
        next(iter(strict.tickets.values())).life = Life(states=("SUCCEEDED",))
        return await first, others

    _, others = at.run(at.plan(doors(8)), one_rolls_meanwhile)
    assert [o.state for o in at.orders] == ["kept", "failed", "failed", "failed"]
    assert sorted(type(r).__name__ for r in others) == ["Refused"] * 3 + ["Stopped"] * 4
    stopped = [r for r in others if isinstance(r, Stopped)]
    assert all(f"was not ordered: {why}" in str(r) for r in stopped)
    assert all(str(r).endswith("Look at them, then run again.") for r in stopped)
    assert len(strict.orders) == 4


def test_what_failed_in_an_earlier_run_does_not_stop_this_one(
    at: Production, strict: Strict
) -> None:
    for number in range(3):
        strict.living(f"number {number} ", FAILS["broken"])
    at.run(at.plan(doors(2)), in_turn)
    at.run_name = "the next run"
    results = at.run(at.plan(doors(6)), in_turn)
    assert [isinstance(r, Refused) for r in results] == [True] * 3 + [False] * 3
    assert at.states == ["failed"] * 3 + ["kept"] * 3


def test_what_the_gateway_would_not_take_costs_nothing_and_stops_nothing(
    at: Production, strict: Strict
) -> None:
    strict.script("text_to_video", *[Reply(400, b'{"error":"Bad ratio."}')] * 4)
    results = at.run(at.plan(doors(5)), in_turn)
    assert [isinstance(r, Refused) for r in results] == [True] * 4 + [False]
    assert at.states == ["rejected"] * 4 + ["kept"]
    assert sum(o.cost for o in at.orders) == strict.charged == 24


def test_a_shot_in_doubt_is_no_shot_that_came_to_nothing(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", *[DROP] * 4)
    at.run(at.plan(doors(6)), in_turn)
    assert at.states == ["doubt"] * 4 + ["kept"] * 2


def test_a_run_that_was_told_to_order_nothing_still_brings_its_tickets_home(
    at: Production, strict: Strict
) -> None:
    strict.living("number 0", Life(states=("RUNNING", Reply(401), "SUCCEEDED")))
    with pytest.raises(UsageError):
        at.shoot(at.plan(doors(1)))
    at.stop = "the account holds nothing"
    results = at.run(at.plan(doors(2)), in_turn)
    assert at.states == ["kept"]
    assert isinstance(results[1], OverBudget)
    assert str(results[1]) == "s1 was not ordered: the account holds nothing."
