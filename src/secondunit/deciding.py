"""Decisions about orders that a person makes: settle what is in doubt, cancel what is queued."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from secondunit import books
from secondunit import catalog as catalogue
from secondunit.crew import Settings, gateway_for, stored
from secondunit.errors import OverBudget, SecondUnitError, ShotError, UsageError
from secondunit.ledger import OPEN
from secondunit.plan import dollars
from secondunit.take.evidence import by_account
from secondunit.watch import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secondunit.crew import Project
    from secondunit.ledger import Ledger, Order
    from secondunit.ports import Gateway, Progress

Decision = Literal["attach", "resubmit", "abandon"]
DECIDABLE = {
    "attach": ("doubt", "lost"),
    "resubmit": ("doubt", "lost", "failed", "cancelled", "abandoned"),
    "abandon": ("doubt", "lost"),
}
DECIDED = {
    "attach": "{shot}: ticket {ticket} is attached. The next run goes on with it.",
    "resubmit": "{shot}: the next run orders it again. The old order counts as spent ({cost} credits).",
    "abandon": "{shot}: given up. It counts as spent ({cost} credits) and is not ordered again.",
}
QUEUED = ("PENDING", "THROTTLED")


@dataclass(frozen=True)
class Settle:
    """What a person decides: of which shot of which film, at which gateway (None: there is one)."""

    project: Project
    film: str
    shot: str
    decision: Decision
    ticket: str = ""
    gateway: str | None = None


def settle(call: Settle) -> str:
    """Carry out a person's decision about the latest order of a shot; return what was done.

    Raises UsageError when there is nothing to decide, Locked while a run is at work.
    """
    project, film, shot = call.project, call.film, call.shot
    decision, ticket, settings = call.decision, call.ticket, Settings.load()
    if not books.begun(project, settings):
        raise UsageError(f"Nothing was ever ordered in {project.root}.")
    ticket = ticket.strip()
    if decision == "attach" and not (ticket and ticket.isprintable()):
        raise UsageError("--attach needs the ticket, from the gateway's page. Nothing was changed.")
    store = stored(project, settings)
    with project.held(), books.opened(project, store, settings, film) as ledger:
        ledger.prepare()
        orders = [
            o for o in ledger.of_film(film)
            if o.shot == shot and call.gateway in {None, o.gateway}
        ]  # fmt: skip
        undecided = [o for o in orders if o.state in DECIDABLE[decision]]
        if not undecided:
            known = ", ".join(dict.fromkeys(o.shot for o in ledger.of_film(film))) or "none"
            now = (
                f"its last order is {orders[-1].state}" if orders else f"shots with orders: {known}"
            )
            raise UsageError(
                f"{shot}: there is nothing to {decision} ({now}). Nothing was changed."
            )
        _see_one_gateway(shot, undecided)
        if decision == "resubmit" and (open_ := _still_open(ledger, undecided)):
            raise UsageError(
                f"{shot}: ticket {open_.ticket} of it is still open; run again to bring it home."
                " Nothing was changed."
            )
        for order in undecided if decision == "resubmit" else undecided[-1:]:
            _decide(ledger, order, decision, ticket)
    cost = sum(o.cost for o in undecided) if decision == "resubmit" else undecided[-1].cost
    return DECIDED[decision].format(shot=shot, ticket=ticket, cost=cost)


def _see_one_gateway(shot: str, orders: Sequence[Order]) -> None:
    gateways = sorted({o.gateway for o in orders})
    if len(gateways) > 1:
        raise UsageError(
            f"{shot} has orders to decide at {' and '.join(gateways)}. Say which with --gateway."
            " Nothing was changed."
        )


def _still_open(ledger: Ledger, orders: Sequence[Order]) -> Order | None:
    standing = [ledger.blocking(key) for key in {o.key for o in orders}]
    return next((o for o in standing if o is not None and o.state in OPEN), None)


def _decide(ledger: Ledger, order: Order, decision: Decision, ticket: str) -> None:
    if decision == "attach":
        ledger.opened(order, ticket, None)
    elif decision == "resubmit":
        ledger.replaced(order)
    else:
        ledger.abandoned(order)


# --- cancelling -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cancel:
    """What the command line asks to cancel: all that is queued of a film, or some of its shots."""

    project: Project
    film: str
    gateway: str
    shots: Sequence[str] = ()
    yes: bool = False
    base_url: str | None = None


def cancel(call: Cancel) -> None:
    """Take back queued tickets, after asking; what rolls or is finished is left alone.

    Raises UsageError where nothing is on order or nobody is here to be asked, OverBudget where the
    person says no, Locked while a run is at work, Unreachable.
    """
    settings = Settings.load()
    if not books.begun(call.project, settings):
        raise UsageError(f"Nothing was ever ordered in {call.project.root}.")
    if not catalogue.load().gateways[call.gateway].cancel:
        raise UsageError(f"{call.gateway} takes no ticket back. Nothing was cancelled.")
    store = stored(call.project, settings)
    with call.project.held(), books.opened(call.project, store, settings, call.film) as ledger:
        ledger.prepare()
        orders = _open(call, ledger)
        with gateway_for(call.gateway, call.project, settings, base_url=call.base_url) as gateway:
            asyncio.run(_cancelled(call, gateway, ledger, orders))


def _open(call: Cancel, ledger: Ledger) -> list[Order]:
    on_order = [
        o for o in ledger.of_film(call.film) if o.state == "open" and o.gateway == call.gateway
    ]
    if unknown := set(call.shots) - {o.shot for o in on_order}:
        raise UsageError(
            f"{', '.join(sorted(unknown))}: nothing of it is on order at {call.gateway}."
            " Nothing was cancelled."
        )
    if not on_order:
        raise UsageError(f"Nothing is on order at {call.gateway}. Nothing was cancelled.")
    return [o for o in on_order if not call.shots or o.shot in call.shots]


async def _cancelled(
    call: Cancel, gateway: Gateway, ledger: Ledger, orders: Sequence[Order]
) -> None:
    try:
        queued = [o for o in orders if await _is_queued(gateway, o)]
        if not queued:
            return
        _ask(call, queued, free=gateway.free)
        for order in queued:
            with ledger.alone_at(gateway.name):  # what others order would change the account, too
                await _take_back(gateway, ledger, order)
    finally:
        await gateway.close()


async def _is_queued(gateway: Gateway, order: Order) -> bool:
    said = await gateway.poll(order.ticket or "")
    state = said.state if said else "unknown"
    if state in QUEUED:
        return True
    say(f"{order.shot}: {_LEFT.get(state, f'the gateway calls it {state}; it is left alone.')}")
    return False


_LEFT = {
    "RUNNING": "it is rolling; cancelling it now would give nothing back, so it is left to finish.",
    "SUCCEEDED": "it is finished and not cancelled; the next run brings it home.",
    "FAILED": "it has failed; the next run says why.",
    "CANCELLED": "it is cancelled at the gateway already; the next run notes it.",
    "unknown": "the gateway does not know its ticket now; it is left alone.",
}


def _ask(call: Cancel, queued: Sequence[Order], *, free: bool) -> None:
    cost = sum(o.cost for o in queued)
    names = ", ".join(o.shot for o in queued)
    money = "" if free else (
        f" They are reserved at {cost} credits (${dollars(cost)}); the gateway may keep them."
    )  # fmt: skip
    if call.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"Queued: {names}.{money} Nobody is here to be asked; add --yes. Nothing was cancelled."
        )
    say(f"Cancel {names}?{money} Type yes to go on: ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise OverBudget("Not agreed. Nothing was cancelled.")


async def _take_back(gateway: Gateway, ledger: Ledger, order: Order) -> None:
    before, after = await asyncio.to_thread(gateway.evidence), None
    # asked again at the very last moment: a finished ticket would lose its output
    if not await _is_queued(gateway, order):
        return
    trouble = "the gateway goes on with it"
    try:
        await gateway.cancel(order.ticket or "")
    except ShotError as error:
        trouble = str(error).rstrip(".")
    said = await gateway.poll(order.ticket or "")
    if said is not None and said.state != "CANCELLED":
        say(f"{order.shot}: not cancelled ({trouble}). Its ticket stays open.", error=True)
        return
    with suppress(SecondUnitError):  # it is cancelled, whatever comes of asking what it cost
        after = await asyncio.to_thread(gateway.evidence)
    charged = said.credits if said is not None else by_account(order, before, after)
    ended = ledger.ended(order, "cancelled", "cancelled by you", charged=charged)
    say(f"{order.shot}: cancelled. {_cost(ended, said, free=gateway.free)}")


def _cost(order: Order, said: Progress | None, *, free: bool) -> str:
    if free:
        return "It was free."
    if order.charged is None:
        return (
            f"The gateway does not say what it keeps; {order.cost} credits count as spent. Look at"
            " its own page."
        )
    source = "The gateway says" if said else "The account shows"
    return f"{source} that it cost {order.charged} credits."
