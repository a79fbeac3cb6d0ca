"""The one lane in which orders are placed: a look at the account, intent on disk, one request, ticket.

It is a thread of its own, because signals are delivered to the main thread: once an order has
begun, nothing interrupts it before its outcome is written down.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING

from secondunit.errors import DiskTrouble, SecondUnitError, Unreachable
from secondunit.plan import dollars
from secondunit.ports import Doubtful, NotSent, Ordered, Rejected
from secondunit.take import evidence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from secondunit.ledger import Allowance, Intent, Ledger, Order
    from secondunit.ports import Account, Gateway, Outcome


class Lane:
    """Places orders one at a time, so that a crash can leave at most one in doubt."""

    def __init__(self, ledger: Ledger) -> None:
        """Write to `ledger`; the thread starts with the first order."""
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orders")
        self._placed: list[Future[tuple[Order | None, Outcome]]] = []
        self._closing = False

    async def order(
        self, gateway: Gateway, intent: Intent, body: Mapping[str, Any], allowance: Allowance
    ) -> tuple[Order | None, Outcome]:
        """Place one order and return it with what became of it; both are on the disk by then.

        There is no order where the account forbade it or could not be reached. Cancelling the
        caller does not stop an order that has begun. Raises OverBudget, UsageError, DiskTrouble.
        """
        placed = self._thread.submit(self._place, gateway, intent, body, allowance)
        self._placed = [f for f in self._placed if not f.done()] + [placed]
        return await asyncio.wrap_future(placed)

    def close(self) -> None:
        """Let the order under way end; those that wait are never begun.

        A second Ctrl-C waits as well, for the ticket's sake; a third raises KeyboardInterrupt.
        """
        self._closing = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        begun = [f for f in self._placed if not f.cancelled()]
        try:
            wait(begun)
        except KeyboardInterrupt:
            wait(begun)

    def _place(
        self, gateway: Gateway, intent: Intent, body: Mapping[str, Any], allowance: Allowance
    ) -> tuple[Order | None, Outcome]:
        with self._ledger.alone_at(gateway.name, lambda: self._closing) as alone:
            if not alone():
                return None, NotSent("the run was stopped")
            return self._place_alone(gateway, intent, body, allowance)

    def _place_alone(
        self, gateway: Gateway, intent: Intent, body: Mapping[str, Any], allowance: Allowance
    ) -> tuple[Order | None, Outcome]:
        books = self._ledger.evidence(gateway.name, intent.model)  # first: see `judge`
        try:
            account = gateway.evidence()
        except Unreachable as error:
            return None, NotSent(str(error).rstrip("."))
        if account is not None:
            if refusal := _forbidden(account, intent):
                return None, refusal
            books = evidence.told(books, gateway, account, intent.model)
        if self._closing:
            return None, NotSent("the run was stopped")
        order = self._ledger.intend(replace(intent, evidence=books), allowance)
        outcome = gateway.create(intent.endpoint, body, shot=intent.shot)
        if isinstance(outcome, Doubtful) and outcome.shed:
            outcome = self._shed(gateway, order, outcome)
        try:
            return self._written(order, outcome), outcome
        except DiskTrouble:
            raise
        except SecondUnitError as error:  # a ticket that another order has already
            doubt = Doubtful(str(error).rstrip("."))
            return self._written(order, doubt), doubt

    def _shed(self, gateway: Gateway, order: Order, outcome: Doubtful) -> Outcome:
        """Believe “too busy” only where the account shows no trace of the order."""
        if not evidence.shed(gateway, self._ledger, order):
            return outcome
        return NotSent(f"{outcome.reason}; the account shows no order", busy=True, shed=True)

    def _written(self, order: Order, outcome: Outcome) -> Order:
        match outcome:
            case Ordered(ticket, estimate):
                return self._ledger.opened(order, ticket, estimate)
            case NotSent(reason):
                return self._ledger.unsent(order, reason)
            case Rejected(reason):
                return self._ledger.rejected(order, reason)
        return self._ledger.doubted(order, outcome.reason)


def _forbidden(account: Account, intent: Intent) -> Rejected | None:
    """Return why the account allows no order of this, so that none is tried."""
    if account.credits is not None and account.credits < intent.reserved:
        return Rejected(
            f"the account holds {account.credits} credits (${dollars(account.credits)}) and it may"
            f" need {intent.reserved}",
            money=True,
        )
    made, most = (account.made or {}).get(intent.model, 0), account.daily.get(intent.model)
    if most is not None and made >= most:
        return Rejected(f"{made} of {most} {intent.model} of the day are used up", daily=True)
    return None
