"""What was spent, by day and model: the arithmetic behind POST /v1/organization/usage."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_USUAL, _MOST = timedelta(days=30), timedelta(days=90)
_Issue = tuple[tuple[str, ...], str, str]


def span(body: Mapping[str, Any], today: date) -> tuple[date, date, list[_Issue]]:
    """Return the first day asked for, the day after the last, and what is wrong with the asking.

    Without a start the last 30 days and today are meant.
    """
    issues: list[_Issue] = [
        ((name,), "unrecognized_keys", "Unknown field.")
        for name in body.keys() - {"startDate", "beforeDate"}
    ]
    start, end = (_day(body, name, issues) for name in ("startDate", "beforeDate"))
    first = start or min(today, end or today) - _USUAL
    before = end or (first + _USUAL if start else today + timedelta(days=1))
    if not timedelta() < before - first <= _MOST:
        message = "Has to lie 1 to 90 days after startDate."
        issues.append((("beforeDate",), "invalid_value", message))
    return first, before, issues


def _day(body: Mapping[str, Any], name: str, issues: list[_Issue]) -> date | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        issues.append(((name,), "invalid_value", "Expected a day, YYYY-MM-DD."))
        return None


def by_day(charges: Iterable[tuple[str, str, int]], first: date, end: date) -> dict[str, Any]:
    """Return the answer for the days from `first` up to, not with, `end`.

    `charges` are (day, model, net credits).
    """
    days = [(first + timedelta(days=n)).isoformat() for n in range((end - first).days)]
    inside = [charge for charge in charges if charge[0] in days]
    results = [
        {
            "date": day,
            "usedCredits": [{"model": m, "amount": n} for d, m, n in inside if d == day],
        }
        for day in days
    ]
    return {"models": sorted({model for _, model, _ in inside}), "results": results}
