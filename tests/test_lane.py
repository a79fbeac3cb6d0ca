"""The lane for orders: one at a time, the account first, and every outcome on the disk."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

import pytest

from secondunit.errors import Unreachable
from secondunit.ledger import Allowance, Evidence, Intent, Ledger
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Outcome, Rejected
from secondunit.take.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secondunit.ledger import Order

BODY = {"promptText": "A door."}


def intent(key: str = "k", price: int = 24) -> Intent:
    return Intent(
        key=key, film="f", run="r", shot=f"shot {key}", gateway="runway", endpoint="text_to_video",
        model="gen4.5", request=BODY, reserved=price,
    )  # fmt: skip


class House:
    """A gateway with one answer to orders and a list of accounts; it notes what it was asked."""

    name = "runway"
    slow = False
    account_name = "ours"

    def __init__(self, answer: Outcome, *accounts: Account | Unreachable | None) -> None:
        self.answer = answer
        self.accounts = list(accounts)
        self.asked: list[tuple[str, Any, str]] = []
        self.books: Ledger | None = None
        self.standing: list[Order] = []
        self.pause, self.slowly = threading.Event(), threading.Event()
        self.pause.set()
        self.slowly.set()
        self.looked, self.begun = threading.Event(), threading.Event()

    def evidence(self) -> Account | None:
        self.looked.set()
        assert self.pause.wait(30)
        account = self.accounts.pop(0) if len(self.accounts) > 1 else self.accounts[0]
        if isinstance(account, Unreachable):
            raise account
        return account

    def create(self, endpoint: str, body: Any, *, shot: str) -> Outcome:
        self.asked.append((endpoint, body, shot))
        self.begun.set()
        if self.books is not None:
            self.standing = list(self.books.of_film("f"))
        assert self.slowly.wait(30)
        return self.answer


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def placed(
    house: House, ledger: Ledger, wanted: Intent | None = None
) -> tuple[Order | None, Outcome]:
    """Place one order in a lane of its own."""
    lane, house.books = Lane(ledger), ledger
    try:
        return asyncio.run(
            lane.order(house, wanted or intent(), BODY, Allowance())  # type: ignore[arg-type]  # a gateway as far as the lane goes
        )
    finally:
        lane.close()


@pytest.mark.parametrize(
    ("answer", "stands"),
    [
        (Ordered("t", 30), ("open", "t", 30, "", 30)),
        (Ordered("t"), ("open", "t", None, "", 24)),
        (NotSent("the line went dead"), ("unsent", None, None, "the line went dead", 0)),
        (Rejected("no such ratio", 400), ("rejected", None, None, "no such ratio", 0)),
        (Doubtful("it answered 500"), ("doubt", None, None, "it answered 500", 24)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_comes_of_an_order_is_in_the_ledger_when_the_lane_says_it(
    ledger: Ledger, answer: Outcome, stands: tuple[Any, ...]
) -> None:
    house = House(answer, None)
    order, outcome = placed(house, ledger)
    assert outcome == answer
    assert ledger.of("k") == (order,)
    assert order is not None
    assert (order.state, order.ticket, order.estimate, order.reason, order.cost) == stands
    assert house.asked == [("text_to_video", BODY, "shot k")]


def test_the_intent_is_on_the_disk_with_its_evidence_before_anything_is_sent(
    ledger: Ledger,
) -> None:
    house = House(Ordered("t0"), Account(1000, made={"gen4.5": 7}))
    placed(house, ledger, intent("first", 10))
    house.answer = Ordered("t1")
    placed(house, ledger)
    (first, order) = house.standing
    assert (first.state, order.state, order.key) == ("open", "intent", "k")
    assert order.evidence == Evidence(credits=1000, made=7, booked=10, placed=1, account="ours")


def test_where_the_account_does_not_tell_only_the_books_are_evidence(ledger: Ledger) -> None:
    order, _ = placed(House(Ordered("t"), None), ledger)
    assert order is not None
    assert order.evidence == Evidence()


FORBIDDEN = [
    (
        Account(23), 24, "the account holds 23 credits ($0.23) and it may need 24", "money",
    ),
    (Account(0), 1, "the account holds 0 credits ($0.00) and it may need 1", "money"),
    (
        Account(None, made={"gen4.5": 3}, daily={"gen4.5": 3}), 24,
        "3 of 3 gen4.5 of the day are used up", "daily",
    ),
    (
        Account(99, made={"gen4.5": 4}, daily={"gen4.5": 3}), 24,
        "4 of 3 gen4.5 of the day are used up", "daily",
    ),
    (Account(99, daily={"gen4.5": 0}), 24, "0 of 0 gen4.5 of the day are used up", "daily"),
]  # fmt: skip


@pytest.mark.parametrize(("account", "price", "reason", "why"), FORBIDDEN)
def test_what_the_account_forbids_is_neither_sent_nor_written_down(
    ledger: Ledger, account: Account, price: int, reason: str, why: str
) -> None:
    house = House(Ordered("t"), account)
    order, outcome = placed(house, ledger, intent(price=price))
    assert order is None
    assert outcome == Rejected(reason, money=why == "money", daily=why == "daily")
    assert house.asked == []
    assert ledger.is_empty()


@pytest.mark.parametrize(
    "account",
    [
        Account(24), Account(None), Account(99, made={"gen4.5": 2}, daily={"gen4.5": 3}),
        Account(99, made={"gen4.5": 9}), Account(99, daily={"gen4.5": 1}),
        Account(99, made={"aleph2": 9}, daily={"gen4.5": 1, "aleph2": 3}),
    ],
)  # fmt: skip
def test_what_the_account_allows_is_ordered(ledger: Ledger, account: Account) -> None:
    order, _ = placed(House(Ordered("t"), account), ledger)
    assert order is not None
    assert order.state == "open"


def test_an_account_that_cannot_be_reached_ends_it_before_anything_is_written(
    ledger: Ledger,
) -> None:
    house = House(Ordered("t"), Unreachable("There is no way to runway."))
    assert placed(house, ledger) == (None, NotSent("There is no way to runway"))
    assert house.asked == []
    assert ledger.is_empty()


STEADY = Account(1000, made={"gen4.5": 7})


@pytest.mark.covers("C10")
def test_too_busy_is_believed_where_the_account_shows_no_order(ledger: Ledger) -> None:
    order, outcome = placed(House(Doubtful("it answered 503", shed=True), STEADY), ledger)
    reason = "it answered 503; the account shows no order"
    assert outcome == NotSent(reason, busy=True, shed=True)
    assert order is not None
    assert (order.state, order.reason) == ("unsent", reason)


@pytest.mark.covers("C10")
@pytest.mark.parametrize("after", [None, Account(976, made={"gen4.5": 8})])
@pytest.mark.parametrize("shed", [True, False])
def test_too_busy_is_a_doubt_like_any_other_where_the_account_does_not_prove_it(
    ledger: Ledger, after: Account | None, shed: bool
) -> None:
    answer = Doubtful("it answered 503", shed=shed)
    order, outcome = placed(House(answer, STEADY, after), ledger)
    assert outcome == answer
    assert order is not None
    assert (order.state, order.cost) == ("doubt", 24)


def test_a_doubt_is_a_doubt_whatever_the_account_shows(ledger: Ledger) -> None:
    """Only “too busy” is held against the account at once; the rest when a run begins."""
    order, _ = placed(House(Doubtful("it answered 500"), STEADY), ledger)
    assert order is not None
    assert order.state == "doubt"


def test_orders_are_placed_one_at_a_time_and_those_that_wait_are_not_begun_after_the_end(
    ledger: Ledger,
) -> None:
    house, lane = House(Ordered("t"), None), Lane(ledger)
    house.slowly.clear()

    async def three() -> list[Any]:
        orders = [
            asyncio.ensure_future(lane.order(house, intent(key), BODY, Allowance()))  # type: ignore[arg-type]  # as above
            for key in ("a", "b", "c")
        ]
        await asyncio.to_thread(house.begun.wait, 30)
        assert len(house.asked) == 1
        threading.Timer(0.1, house.slowly.set).start()
        await asyncio.to_thread(lane.close)
        return await asyncio.gather(*orders, return_exceptions=True)

    first, *others = asyncio.run(three())
    assert first[0].ticket == "t"
    assert [type(other) for other in others] == [asyncio.CancelledError] * 2
    assert len(house.asked) == 1
    assert [(o.key, o.state) for o in ledger.of_film("f")] == [("a", "open")]


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_an_order_under_way_is_waited_for_even_at_a_second_ctrl_c(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, presses: int
) -> None:
    """The first one ended the run; so many more come while the lane waits for its last ticket."""
    house, lane = House(Ordered("late"), None), Lane(ledger)
    house.slowly.clear()
    waited: list[int] = []

    def waiting(futures: Any) -> None:
        waited.append(1)
        if len(waited) < presses:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)  # the signal ends it
        house.slowly.set()
        wait(futures)

    async def order_and_leave() -> None:
        order = asyncio.ensure_future(lane.order(house, intent(), BODY, Allowance()))  # type: ignore[arg-type]  # as above
        await asyncio.to_thread(house.begun.wait, 30)
        order.cancel()

    asyncio.run(order_and_leave())
    monkeypatch.setattr("secondunit.take.lane.wait", waiting)
    if presses == 3:
        with pytest.raises(KeyboardInterrupt):
            lane.close()
        house.slowly.set()
    lane.close()
    assert [(o.state, o.ticket) for o in ledger.of("k")] == [("open", "late")]


def test_an_order_is_not_begun_when_the_run_ends_while_the_account_is_asked_for(
    ledger: Ledger,
) -> None:
    house, lane = House(Ordered("t"), None), Lane(ledger)
    house.pause.clear()

    async def stopped() -> Any:
        order = asyncio.ensure_future(lane.order(house, intent(), BODY, Allowance()))  # type: ignore[arg-type]  # as above
        await asyncio.to_thread(house.looked.wait, 30)
        threading.Timer(0.1, house.pause.set).start()
        await asyncio.to_thread(lane.close)
        return await order

    assert asyncio.run(stopped()) == (None, NotSent("the run was stopped"))
    assert house.asked == []
    assert ledger.is_empty()


def test_many_orders_pass_one_after_the_other(ledger: Ledger) -> None:
    house, lane = House(NotSent("never left"), None), Lane(ledger)

    async def many() -> None:
        for number in range(5):
            await lane.order(house, intent(f"k{number}"), BODY, Allowance())  # type: ignore[arg-type]  # as above

    asyncio.run(many())
    lane.close()
    assert [shot for _, _, shot in house.asked] == [f"shot k{n}" for n in range(5)]


def test_a_ticket_that_another_order_has_is_a_doubt_with_its_reason(ledger: Ledger) -> None:
    placed(House(Ordered("t"), None), ledger, intent("a"))
    order, outcome = placed(House(Ordered("t"), None), ledger, intent("b"))
    reason = (
        "The gateway gave shot b the ticket t, which another order already has. Look at both on the"
        " gateway's own page"
    )
    assert outcome == Doubtful(reason)
    assert order is not None
    assert (order.state, order.reason) == ("doubt", reason)
