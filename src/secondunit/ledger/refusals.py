"""What the ledger says when it does not write: each promise of its tables as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secondunit.errors import OverBudget, SecondUnitError
from secondunit.ledger import rows
from secondunit.ledger.daybook import over_day

if TYPE_CHECKING:
    from secondunit.ledger.records import Allowance, Intent, Order
    from secondunit.ledger.rows import Link

DAY_CAP = "cap of day "  # what counts in the day stands after it


class OnOrder(SecondUnitError):
    """Another task or worker was quicker to order the same; asked again, its ticket is gone on with."""

    transient = True


class Changed(SecondUnitError):
    """An order is not any more what this run knows of it."""


def refusal(db: Link, intent: Intent, allowance: Allowance, cause: str) -> SecondUnitError:
    """Return why an order was not accepted: `cause` is the promise that it would have broken."""
    where: dict[str, tuple[int | None, dict[str, Any], str]] = {
        "cap of film": (allowance.film, {"film": intent.film}, "this film may cost"),
        "cap of run": (allowance.run, {"run": intent.run}, "this run may spend"),
        "cap of shot": (
            allowance.shot, {"film": intent.film, "shot": intent.shot}, "`budget.per_shot` allows",
        ),
    }  # fmt: skip
    if cause.startswith(DAY_CAP):
        return over_day(intent, int(cause.removeprefix(DAY_CAP)), allowance.day)
    if cause not in where:
        return OnOrder(f"{intent.shot} is already on order; it is not ordered twice. Run again.")
    limit, scope, words = where[cause]
    spent = rows.total(db, None, **scope) + (rows.of_takes(db, intent) if "shot" in scope else 0)
    return OverBudget(
        f"{intent.shot} may cost {intent.reserved} credits, {spent} are spent or"
        f" reserved, and {words} {limit}. It was not ordered. Raise the cap, or shoot less."
    )


def misfit(order: Order, cause: str, ticket: str | None) -> SecondUnitError:
    """Return why an order could not be moved on, or not with this ticket."""
    if cause == "move":
        return Changed(
            f"The order of {order.shot} changed under this run; nothing more was done with it. Run"
            " again."
        )
    return SecondUnitError(
        f"The gateway gave {order.shot} the ticket {ticket}, which another order already has. Look"
        " at both on the gateway's own page."
    )
