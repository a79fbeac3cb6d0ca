"""What an ending means: may it be ordered again, and what is said to the person who has to decide."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from secondunit.errors import InDoubt, Lost, OverBudget, Refused, ShotError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secondunit.ledger import Order
    from secondunit.plan import Step

PAID_ATTEMPTS = 3  # per take, whatever Prefect is set to do
# Failures that may be tried again as a new order, by the start of their code; see
# docs.dev.runwayml.com/errors/task-failures. No code at all means an error on the gateway's side.
RETRIABLE = ("INPUT_PREPROCESSING.INTERNAL", "THIRD_PARTY.UNAVAILABLE")
MODERATION = r"moderat|safety|policy|flagged|not allowed|prohibited"
DAY = timedelta(days=1)
MODERATED = ("SAFETY", "INPUT_PREPROCESSING.SAFETY")


def attempts(failed: Order) -> int:
    """Return how often a take may be ordered in all without asking a person, failing like this.

    Bad output may be tried once more, and only where the gateway charged nothing for it.
    """
    code = failed.failure_code
    if is_moderated(failed):
        return 1
    if code in {"", "INTERNAL"} or code.startswith(RETRIABLE):
        return PAID_ATTEMPTS
    return 2 if code.startswith("INTERNAL.BAD_OUTPUT") and failed.charged == 0 else 1


def is_held(orders: Sequence[Order]) -> bool:
    """Say whether a take whose `orders` (oldest first) all ended waits for a person to decide."""
    ended = [o for o in orders if o.state in {"failed", "cancelled", "abandoned"}]
    if not ended:
        return False
    last = ended[-1]
    return last.state != "failed" or len(ended) >= attempts(last)


def is_moderated(order: Order) -> bool:
    """Say whether an order failed because of what it asks for; such orders are billed in full.

    Where there is no code, the words of the reason decide.
    """
    if order.failure_code:
        return order.failure_code.startswith(MODERATED)
    return (
        order.state == "failed" and re.search(MODERATION, order.reason, re.IGNORECASE) is not None
    )


def come_back_at(orders: Sequence[Order], model: str) -> str:
    """Return when the day's number of a model may have room again: it counts 24 hours back."""
    since = datetime.now(UTC) - DAY
    ours = [
        at
        for o in orders
        if o.model == model and o.state not in {"unsent", "rejected"}
        and (at := datetime.fromisoformat(o.ordered_at)) > since
    ]  # fmt: skip
    if not ours:
        return "within 24 hours"
    return f"after {(min(ours) + DAY).astimezone():%H:%M on %d %B}"


def _settle(file: str, shot: str) -> str:
    return f"`secondunit settle {file} {shot!r}` with --attach TICKET, --resubmit or --abandon"


def in_doubt(order: Order, file: str) -> InDoubt:
    """Return the error for an order of which nobody knows whether it arrived."""
    return InDoubt(
        f"{order.shot} was ordered from {order.gateway} and no ticket came back"
        f" ({order.reason or 'the run ended meanwhile'}). It may have been charged"
        f" ({order.reserved} credits) and is not ordered again by itself. Look at your gateway's own"
        f" page, then run {_settle(file, order.shot)}.",
        shot=order.shot,
    )


def lost(order: Order, file: str) -> Lost:
    """Return the error for a paid ticket that the gateway forgot."""
    return Lost(
        f"{order.shot}: ticket {order.ticket} was paid for ({order.cost} credits) and the gateway"
        f" does not know it any more. It is not ordered again by itself. Run"
        f" {_settle(file, order.shot)}.",
        shot=order.shot, ticket=order.ticket or "",
    )  # fmt: skip


def unfetched(order: Order, why: str, kind: type[ShotError] = ShotError) -> ShotError:
    """Return the error for an order that was taken and could not be brought home in this run."""
    return kind(
        f"{order.shot}: {why} Its ticket {order.ticket} stays open and is not ordered again;"
        " run again to go on with it.",
        shot=order.shot, ticket=order.ticket or "",
    )  # fmt: skip


def sent(order: Order) -> str:
    """Return what an order asked for, as it was sent: the prompt, and its pictures and videos."""
    body = json.loads(order.request)
    given: list[str] = []
    _inputs(body, given)
    prompt = body.get("promptText") if isinstance(body, dict) else None
    parts = [f"“{prompt}”" if prompt else "no prompt", *dict.fromkeys(given)]
    return " with ".join([parts[0], ", ".join(parts[1:])]) if given else parts[0]


def _inputs(value: Any, found: list[str]) -> None:
    """Gather the names of what a body's inputs are; see `Request.told`."""
    if isinstance(value, list):
        for part in value:
            _inputs(part, found)
    elif isinstance(value, dict):
        for name in ("file", "url", "part"):
            if isinstance(value.get(name), str) and {"sha256", "url", "take"} & value.keys():
                found.append(_spoken_part(value[name]) if name == "part" else value[name])
                return
        for part in value.values():
            _inputs(part, found)


def _spoken_part(part: str) -> str:
    return {"clip": "another shot's clip", "still": "a still that was made for it"}.get(
        part, f"the {part} frame of another shot"
    )


def held(order: Order, file: str) -> Refused:
    """Return the error for a shot that is not sent again until a person changes or settles it."""
    cost = f"it cost {order.cost} credits" if order.cost else "it cost nothing"
    if is_moderated(order):
        why = (
            f"Held: moderated. It was sent as {sent(order)}. Sending it again would cost again and"
            " endangers the account"
        )
    else:
        why = "It is not sent again by itself"
    code = f" ({order.failure_code})" if order.failure_code else ""
    return Refused(
        f"{order.shot} did not come back from {order.gateway}: {order.reason.rstrip('.')}{code};"
        f" {cost}. {why}. Change its prompt, pictures or seed, or run"
        f" `secondunit settle {file} {order.shot!r} --resubmit`.",
        shot=order.shot, ticket=order.ticket or "",
    )  # fmt: skip


def tried_out(order: Order, times: int, file: str) -> Refused:
    """Return the error for a shot that failed as often as it may without asking a person."""
    reason = order.reason.rstrip(".")
    return Refused(
        f"{order.shot} failed {times} times at {order.gateway}, last with: {reason}. It is not"
        f" tried again by itself; change its prompt or seed, or run"
        f" `secondunit settle {file} {order.shot!r} --resubmit`.",
        shot=order.shot, ticket=order.ticket or "",
    )  # fmt: skip


def rejection(step: Step, reason: str, *, money: bool) -> OverBudget | Refused:
    """Return the error for an order that the gateway would not take."""
    if money:
        return OverBudget(
            f"{step.shot}: {reason}. It was not ordered. Buy credits, then run again."
        )
    return Refused(
        f"{step.shot} was refused: {reason}. Nothing was ordered and nothing charged for it.",
        shot=step.shot,
    )
