"""Reading what a gateway says: whatever is not understood is doubt, never a second order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from secondunit.errors import Unreachable
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Outcome, Progress, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422})
TOO_MANY = 429
SHED = frozenset({502, 503})  # “shedding load”: docs.dev.runwayml.com/errors/errors
LONGEST_TICKET = 200  # characters; Runway's have 36
LONGEST_WAIT = 900.0  # seconds of a Retry-After that are believed


def outcome(status: int, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """Judge the answer to an order. Whatever is not understood is doubt, never a second order."""
    if 200 <= status < 300:
        return _ticket(body)
    reason = said(body)
    if status == TOO_MANY:
        return NotSent(f"too many at once: {reason}", busy=True, wait=retry_after(headers))
    if status in REFUSALS:
        return Rejected(reason, status, money="enough credits" in reason.lower() or status == 402)
    return Doubtful(f"the gateway answered {status}: {reason}", shed=status in SHED)


def _ticket(body: bytes) -> Outcome:
    """Read the receipt. Any text `id` will do, whatever else the answer holds."""
    try:
        receipt = json.loads(body)
        ticket = receipt["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Doubtful("the gateway accepted it and its answer cannot be read")
    if not isinstance(ticket, str) or not ticket.strip():
        return Doubtful("the gateway accepted it and its answer names no ticket")
    if not ticket.isprintable() or len(ticket) > LONGEST_TICKET:
        return Doubtful(f"the gateway accepted it and names an odd ticket, {ascii(ticket)[:200]}")
    return Ordered(ticket, _credits(receipt.get("estimatedCost")))


def progress(answer: Any) -> Progress:
    """Read a task. Raises Unreachable when it is no task at all: it is asked for again later."""
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        raise Unreachable("The gateway's answer about a ticket cannot be read.")
    raw, code = answer.get("output"), answer.get("failureCode")
    outputs = tuple(u for u in raw if isinstance(u, str) and u) if isinstance(raw, list) else ()
    done = answer.get("progress")
    return Progress(
        state=answer["status"],
        progress=float(done) if isinstance(done, int | float) and 0 <= done <= 1 else None,
        outputs=outputs,
        credits=_credits(answer.get("cost")),
        failure=_plain(answer.get("failure")),
        # no code may be tried again; one that is no text is unknown, and is not
        failure_code=_plain(code if isinstance(code, str | None) else f"ODD.{code}"),
    )


def account(answer: Any) -> Account | None:
    """Read the organization: credits left, limits of each model, and what was made in 24 hours."""
    if not isinstance(answer, dict):
        return None
    limits = _models(answer.get("tier")) or {}
    made = _models(answer.get("usage"))
    balance = answer.get("creditBalance")
    whole = isinstance(balance, int) and not isinstance(balance, bool)
    return Account(
        credits=balance if whole else None,
        slots=_numbers(limits, "maxConcurrentGenerations", least=1),
        made=None if made is None else _numbers(made, "dailyGenerations"),
        daily=_numbers(limits, "maxDailyGenerations"),
    )


def _models(part: Any) -> dict[str, Any] | None:
    models = part.get("models") if isinstance(part, dict) else None
    return models if isinstance(models, dict) else None


def _numbers(models: dict[str, Any], name: str, *, least: int = 0) -> dict[str, int]:
    found = {str(m): facts.get(name) for m, facts in models.items() if isinstance(facts, dict)}
    return {m: n for m, n in found.items() if type(n) is int and n >= least}


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds of a `Retry-After` header, 0 to 15 minutes; None if it says nothing.

    It may be a number of seconds or a date (RFC 9110, section 10.2.3).
    """
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, now or datetime.now(UTC))
    return min(seconds, LONGEST_WAIT) if 0 <= seconds < float("inf") else None


def _until(text: str, now: datetime) -> float:
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return -1.0


def _credits(cost: Any) -> int | None:
    amount = cost.get("credits") if isinstance(cost, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < 10**9:
        return None
    return -int(-amount // 1)


def said(body: bytes) -> str:
    """Return what an error body says, as one line without control characters."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return "it gives no reason that can be read"
    if not isinstance(answer, dict):
        return "it gives no reason that can be read"
    issues = answer.get("issues")
    details = [
        f"{_path(i.get('path'))}: {i.get('message')}"
        for i in (issues[:9] if isinstance(issues, list) else [])
        if isinstance(i, dict)
    ]
    return _plain("; ".join([str(answer.get("error") or "no reason given"), *details])).rstrip(".")


def _path(given: Any) -> str:
    return ".".join(map(str, given)) if isinstance(given, list) else str(given or "")


def _plain(text: Any) -> str:
    shown = text if isinstance(text, str) else ""
    return "".join(c if c.isprintable() else " " for c in shown)[:600].strip()
