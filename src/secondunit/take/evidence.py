"""What the account shows of an order of which nobody knows whether it arrived.

Neither how soon the account shows an order nor who else uses the key is known, so the verdict is
“not charged” only where the credits and the count of orders both say so, nothing else of ours is
unexplained, and several looks agree. Runway speaks of refunds (docs.dev.runwayml.com, usage), so
an order is taken to be charged when it is accepted; if it were charged at its end instead, the
count would still show it. Whatever is not proved waits for a person.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from secondunit.errors import SecondUnitError, ShotError
from secondunit.take.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secondunit.ledger import Evidence, Ledger, Order
    from secondunit.ports import Account, Gateway

Verdict = Literal["not charged", "charged", "unknown"]
LOOKS = 3
DAY = 86_400.0


def judge(price: int, then: Evidence | None, now: Evidence) -> Verdict:
    """Compare the account before an order of `price` credits with the account now.

    `booked` and `placed` of both leave the order itself out: what they differ by is explained.
    """
    if then is None or then.account != now.account:
        return "unknown"
    if None in (then.credits, then.made, now.credits, now.made):
        return "unknown"
    missing = _less(then.credits, now.credits) - (now.booked - then.booked)
    more = _less(now.made, then.made) - (now.placed - then.placed)
    if missing == 0 and more == 0 and price > 0:
        return "not charged"
    if more >= 1 or (price > 0 and missing >= price):
        return "charged"
    return "unknown"


def _less(one: int | None, other: int | None) -> int:
    return (one or 0) - (other or 0)


async def reconcile(
    gateway: Gateway, ledger: Ledger, pace: Pace, *, shared: bool
) -> tuple[tuple[Order, Verdict], ...]:
    """Look at the account for every order in doubt, newest first, and write down what it shows.

    What was provably not charged is free to be ordered again. `shared`: others use the same key,
    and the account proves nothing. Raises UsageError when the key is refused, DiskTrouble.
    """
    doubts = _unheard(gateway, ledger, "doubt")
    if not doubts or shared:
        return tuple((order, "unknown") for order in doubts)
    try:
        await _ripen(gateway, ledger, doubts, pace)
    except ShotError:
        return _judged(gateway, ledger, doubts, None)
    # what another worker has under way would be booked already and not yet be charged
    with ledger.alone_at(gateway.name) as alone:
        try:
            # first the account, then the tickets: a refund in between makes the account look charged
            account = await _steady(gateway, pace)
            await _tell_ended(gateway, ledger)
        except ShotError:
            account = None
        now = _unheard(gateway, ledger, "doubt", "intent")
        new = {o.id for o in now} - {o.id for o in doubts}
        left = [o for o in now if o.id not in new]
        return _judged(gateway, ledger, left, None if new else account, alone)


def _unheard(gateway: Gateway, ledger: Ledger, *states: str) -> list[Order]:
    """Return the orders in these states, newest first."""
    return [o for o in ledger.of_gateway(gateway.name) if o.state in states][::-1]


def _judged(
    gateway: Gateway,
    ledger: Ledger,
    doubts: Sequence[Order],
    account: Account | None,
    alone: Callable[[], bool] = lambda: True,
) -> tuple[tuple[Order, Verdict], ...]:
    found: list[tuple[Order, Verdict]] = []
    for order in doubts:
        proved = all(verdict == "not charged" for _, verdict in found)
        verdict = _verdict(order, gateway, ledger, account) if proved else "unknown"
        verdict = verdict if alone() else "unknown"
        found.append((order, verdict))
        if verdict == "not charged":
            ledger.unsent(order, "the account shows that it was not charged")
        else:
            now = now_of(order, gateway, ledger, account) if account else None
            ledger.doubted(order, _told(order, verdict, now))
    return tuple(found)


async def _ripen(gateway: Gateway, ledger: Ledger, doubts: Sequence[Order], pace: Pace) -> None:
    """Wait until an order that the account does not show yet could not be under way any more."""
    wait = max(pace.ripe - _age(order) for order in doubts)
    if wait <= 0:
        return
    account = await gateway.account()
    if any(_verdict(order, gateway, ledger, account) == "not charged" for order in doubts):
        await asyncio.sleep(min(wait, pace.ripe))


def _age(order: Order) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(order.ordered_at)).total_seconds()


def _verdict(order: Order, gateway: Gateway, ledger: Ledger, account: Account | None) -> Verdict:
    """Judge one order; what the gateway counted has run out of its window after a day."""
    if account is None or _unexplained(ledger.changed_since(order)) or _age(order) > DAY:
        return "unknown"
    return judge(order.reserved, order.evidence, now_of(order, gateway, ledger, account))


def now_of(order: Order, gateway: Gateway, ledger: Ledger, account: Account) -> Evidence:
    """Return what is known of the account now, to be held against the evidence of `order`."""
    books = ledger.evidence(order.gateway, order.model, without=order)
    return told(books, gateway, account, order.model)


def told(books: Evidence, gateway: Gateway, account: Account, model: str) -> Evidence:
    """Return the books with what the account says beside them."""
    made = None if account.made is None else account.made.get(model, 0)
    return replace(books, credits=account.credits, made=made, account=gateway.account_name)


def _unexplained(others: Sequence[Order]) -> bool:
    """Say whether another order ended since, and the gateway did not say what it cost."""
    ended = {"failed", "cancelled", "lost", "abandoned", "replaced", "made", "kept"}
    return any(o.charged is None and o.state in ended for o in others)


async def _steady(gateway: Gateway, pace: Pace) -> Account | None:
    """Look at the account several times; None where it changes meanwhile, or does not tell."""
    first = await gateway.account()
    for _ in range(LOOKS - 1):
        if first is None:
            return None
        await asyncio.sleep(pace.settle)
        again = await gateway.account()
        if again is None or (again.credits, again.made) != (first.credits, first.made):
            return None
    return first


async def _tell_ended(gateway: Gateway, ledger: Ledger) -> None:
    """Write down what open tickets have come to, so that their refunds are known."""
    for order in ledger.of_gateway(gateway.name):
        if order.state != "open":
            continue
        said = await gateway.poll(order.ticket or "")
        if said is None:
            continue
        if said.state in {"FAILED", "CANCELLED"}:
            ledger.ended(
                order, said.state.lower(), said.failure or "no reason given",
                charged=said.credits, code=said.failure_code,
            )  # fmt: skip
        elif said.state == "SUCCEEDED" and said.outputs:
            ledger.made(order, said.credits)


def _told(order: Order, verdict: Verdict, now: Evidence | None) -> str:
    """Return the reason of a doubt with what the account shows beside it."""
    reason, then = order.reason.partition("; the account held")[0], order.evidence
    if then is None or now is None or None in (then.credits, now.credits):
        return reason
    others = now.booked - then.booked
    explained = f", {others} of it for other orders" if others else ""
    charged = " This one was charged" if verdict == "charged" else ""
    return (
        f"{reason}; the account held {then.credits} credits before it and {now.credits}"
        f" now{explained}.{charged}"
    ).rstrip(".")


def by_account(order: Order, before: Account | None, after: Account | None) -> int | None:
    """Return 0 where the account got the whole price of a cancelled order back, else None."""
    if before is None or after is None or None in (before.credits, after.credits):
        return None
    return 0 if _less(after.credits, before.credits) == order.cost > 0 else None


def shed(gateway: Gateway, ledger: Ledger, order: Order) -> bool:
    """Say whether an order answered with “too busy” provably left no trace. Blocks."""
    for wait in (0.0, Pace.to(slow=gateway.slow).settle):
        time.sleep(wait)
        try:
            account = gateway.evidence()
        except SecondUnitError:
            return False
        if _verdict(order, gateway, ledger, account) != "not charged":
            return False
    return True
