"""Reading what a gateway says: whatever is not understood is doubt, never a second order."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from secondunit.errors import Unreachable
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Outcome, Progress, Rejected
from secondunit.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422})
PAYMENT_REQUIRED = 402
TOO_MANY = 429
SHED = frozenset({502, 503})  # “shedding load”: docs.dev.runwayml.com/errors/errors
ANSWER = 100_000  # characters of a text that are looked at
LONGEST_TICKET = 200  # characters; Runway's have 36
LONGEST_WAIT = 900.0  # seconds of a Retry-After that are believed
ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
# CometAPI may answer with the task inside an envelope of new-api, the program it is built like
# (github.com/QuantumNous/new-api, model/task.go). These are the envelope's words; its UNKNOWN is
# left as it is, and asked about again like every word that is new.
ENVELOPE_WORDS = {
    "NOT_START": "PENDING", "SUBMITTED": "PENDING", "QUEUED": "PENDING",
    "IN_PROGRESS": "RUNNING", "SUCCESS": "SUCCEEDED", "FAILURE": "FAILED",
}  # fmt: skip
# The envelope gives no failure code. None at all would mean an error of Runway's own, which may be
# tried again for money; what only the envelope calls a failure is left to a person.
UNTOLD = "GATEWAY"
NO_TASK = "task_not_exist"
LINK = re.compile(r"https?://", re.IGNORECASE)
# How too little money is said: by Runway (github.com/runwayml/sdk-node, issue 28), and by new-api
# (types/error.go and what users of such gateways report). Never judged by status alone but for 402:
# new-api answers 403, others 400 or 429.
BROKE = re.compile(
    r"enough credits|pre_consume_token_quota_failed|额度不足|余额不足"
    r"|insufficient[_ ](?:user[_ ])?(?:quota|balance|credits?|funds)"
    r"|(?:quota|balance|credits?|credit limit)[_ ](?:is |are )?(?:not[_ ]enough|insufficient)",
    re.IGNORECASE,
)
# The number of generations in 24 hours ends with 429 too, and is told apart by its words only.
DAILY = re.compile(r"daily|\bper day\b|\b24 hours\b", re.IGNORECASE)


def outcome(status: int, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """Judge the answer to an order. Whatever is not understood is doubt, never a second order."""
    if 200 <= status < 300:
        return _ticket(body)
    reason = said(body)
    broke = status == PAYMENT_REQUIRED or BROKE.search(reason) is not None
    daily = status == TOO_MANY and DAILY.search(reason) is not None
    if status in REFUSALS or (status == TOO_MANY and (broke or daily)):
        return Rejected(reason, status, money=broke, daily=daily and not broke)
    if status == TOO_MANY:
        return NotSent(f"too many at once: {reason}", busy=True, wait=retry_after(headers))
    return Doubtful(f"the gateway answered {status}: {reason}", shed=status in SHED)


def _ticket(body: bytes) -> Outcome:
    """Read the receipt. Any text `id` will do, whatever else the answer holds."""
    receipt = _read(body)
    if not isinstance(receipt, dict):
        return Doubtful("the gateway accepted it and its answer cannot be read")
    ticket = receipt.get("id")
    if not isinstance(ticket, str) or not ticket.strip():
        return Doubtful("the gateway accepted it and its answer names no ticket")
    if not ticket.isprintable() or len(ticket) > LONGEST_TICKET:
        return Doubtful(f"the gateway accepted it and names an odd ticket, {ascii(ticket)[:200]}")
    return Ordered(ticket, _credits(receipt.get("estimatedCost")))


def unknown(body: bytes) -> bool:
    """Tell whether an answer, of whatever status, says that there is no such ticket.

    CometAPI says so for some seconds of a ticket that it has just given (apidoc.cometapi.com,
    “Get a Runway task”).
    """
    answer = _read(body)
    if not isinstance(answer, dict) or any(map(_state, _opened(answer))):
        return False
    return any(NO_TASK in words for words in _complaint(answer))


def progress(answer: Any) -> Progress:
    """Read a task, bare or in an envelope. Raises Unreachable when it is none: it is asked again.

    The task itself is believed before its envelope, unless only the envelope says that it ended:
    the gateway gave up then, whatever the task said last.
    """
    task, envelope = _opened(answer)
    inner, outer = _state(task), _state(envelope)
    state = outer if outer in ENDED and inner not in ENDED else inner or outer
    if not state:
        raise Unreachable("The gateway's answer about a ticket cannot be read.")
    given_up = state == "FAILED" != inner
    done = _share(task.get("progress"))
    return Progress(
        state=state,
        progress=_share(envelope.get("progress")) if done is None else done,
        outputs=_links(task.get("output")) or (_link(envelope) if state == "SUCCEEDED" else ()),
        credits=_credits(task.get("cost")),
        failure=_plain(envelope.get("fail_reason") if given_up else task.get("failure")),
        failure_code=UNTOLD if given_up else _code(task),
    )


def _opened(answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the task and the envelope around it; each is empty where it is not there."""
    for _ in range(2):
        if not isinstance(answer, dict):
            break
        inside = answer.get("data")
        if "task_id" in answer or (_state(answer) and isinstance(inside, dict)):
            return (inside if isinstance(inside, dict) else {}), answer
        if _state(answer):
            return answer, {}
        answer = inside
    return {}, {}


def _state(task: dict[str, Any]) -> str:
    word = _plain(task.get("status"))
    return ENVELOPE_WORDS.get(word, word)


def _share(done: Any) -> float | None:
    """Read 0.42 or `42%`."""
    if isinstance(done, str) and (found := re.fullmatch(r"(\d{1,3})(?:\.\d+)?%", done, re.ASCII)):
        done = int(found[1]) / 100
    number = isinstance(done, int | float) and not isinstance(done, bool)
    return float(done) if number and 0 <= done <= 1 else None


def _links(given: Any) -> tuple[str, ...]:
    return tuple(u for u in given if isinstance(u, str) and u) if isinstance(given, list) else ()


def _link(envelope: dict[str, Any]) -> tuple[str, ...]:
    """Return where the output lies by the envelope alone; older ones name it as `fail_reason`."""
    named = [envelope.get(name) for name in ("result_url", "video_url", "fail_reason")]
    return _links([u for u in named if isinstance(u, str) and LINK.match(u)])[:1]


def _code(task: dict[str, Any]) -> str:
    """Return the failure code. None may be tried again; one that is no text is unknown, and is not."""
    code = task.get("failureCode")
    return _plain(code) if isinstance(code, str | None) else f"ODD.{type(code).__name__}"


def account(answer: Any) -> Account | None:
    """Read the organization: credits left, limits of each model, and what was made in 24 hours."""
    if not isinstance(answer, dict):
        return None
    limits = _models(answer.get("tier")) or {}
    usage = _models(answer.get("usage"))
    made = None if usage is None else _numbers(usage, "dailyGenerations")
    balance = answer.get("creditBalance")
    whole = isinstance(balance, int) and not isinstance(balance, bool)
    return Account(
        credits=balance if whole else None,
        slots=_numbers(limits, "maxConcurrentGenerations", least=1),
        made=made if usage is not None and made is not None and len(made) == len(usage) else None,
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
    answer = _read(body)
    if not isinstance(answer, dict):
        return "it gives no reason that can be read"
    issues = answer.get("issues")
    details = [_issue(i) for i in (issues[:9] if isinstance(issues, list) else [])]
    words = [*(_complaint(answer) or ["no reason given"]), *filter(None, details)]
    return _plain("; ".join(words)).rstrip(".")


def _complaint(answer: dict[str, Any]) -> list[str]:
    """Return the code and the words of a complaint.

    Runway has `error`, CometAPI an `error` with `code` and `message`, new-api's tasks those two bare.
    """
    error = answer.get("error")
    if isinstance(error, str) and error:
        return [error]
    facts = error if isinstance(error, dict) else answer
    words = [_text(facts.get(name)) for name in ("code", "message")]
    return list(dict.fromkeys(filter(None, words)))


def _issue(issue: Any) -> str:
    if not isinstance(issue, dict):
        return ""
    path = issue.get("path")
    place = ".".join(map(_text, path)) if isinstance(path, list) else _text(path)
    return ": ".join(filter(None, [place, _text(issue.get("message"))]))


def _text(value: Any) -> str:
    """Return a text or a number; nothing for what may be nested without end."""
    return str(value) if isinstance(value, str | int | float) else ""


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _plain(text: Any) -> str:
    shown = scrub(text[:ANSWER]) if isinstance(text, str) else ""
    return "".join(c if c.isprintable() else " " for c in shown[:600]).strip()
