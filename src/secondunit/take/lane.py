"""The one lane in which orders are placed: intent on disk, one request, ticket on disk.

It is a thread of its own, because signals are delivered to the main thread: once an order has
begun, nothing interrupts it before its outcome is written down.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from secondunit.errors import DiskTrouble, SecondUnitError
from secondunit.ports import Doubtful, NotSent, Ordered, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from secondunit.ledger import Allowance, Intent, Ledger, Order
    from secondunit.ports import Gateway, Outcome


class Lane:
    """Places orders one at a time, so that a crash can leave at most one in doubt."""

    def __init__(self, ledger: Ledger) -> None:
        """Write to `ledger`; the thread starts with the first order."""
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="orders")
        self._placed: list[Future[tuple[Order, Outcome]]] = []

    async def order(
        self, gateway: Gateway, intent: Intent, body: Mapping[str, Any], allowance: Allowance
    ) -> tuple[Order, Outcome]:
        """Place one order and return it with what became of it; both are on the disk by then.

        Cancelling the caller does not stop an order that has begun. Raises OverBudget, DiskTrouble.
        """
        placed = self._thread.submit(self._place, gateway, intent, body, allowance)
        self._placed = [f for f in self._placed if not f.done()] + [placed]
        return await asyncio.wrap_future(placed)

    def close(self) -> None:
        """Let the order under way end; those that wait are never begun.

        A second Ctrl-C waits as well, for the ticket's sake; a third does not.
        """
        self._thread.shutdown(wait=False, cancel_futures=True)
        begun = [f for f in self._placed if not f.cancelled()]
        try:
            wait(begun)
        except KeyboardInterrupt:
            wait(begun)

    def _place(
        self, gateway: Gateway, intent: Intent, body: Mapping[str, Any], allowance: Allowance
    ) -> tuple[Order, Outcome]:
        order = self._ledger.intend(intent, allowance)
        outcome = gateway.create(intent.endpoint, body, shot=intent.shot)
        try:
            return self._written(order, outcome), outcome
        except DiskTrouble:
            raise
        except SecondUnitError as error:  # a ticket that another order has already
            doubt = Doubtful(str(error).rstrip("."))
            return self._written(order, doubt), doubt

    def _written(self, order: Order, outcome: Outcome) -> Order:
        match outcome:
            case Ordered(ticket, estimate):
                try:
                    return self._ledger.opened(order, ticket, estimate)
                except DiskTrouble as error:
                    raise DiskTrouble(
                        f"{order.shot} was ordered and its ticket {ticket} could not be written"
                        f" down. Note it, make room, then run"
                        f" `secondunit settle FILE {order.shot!r} --attach {ticket}`. {error}"
                    ) from error
            case NotSent(reason):
                return self._ledger.unsent(order, reason)
            case Rejected(reason):
                return self._ledger.rejected(order, reason)
            case Doubtful(reason):
                return self._ledger.doubted(order, reason)
