"""What the ledger is told and what it tells; all money in credits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Evidence:
    """What is known of an account at one moment, to compare with another.

    `credits` it held and `made`, how often the model was ordered within 24 hours, as the gateway
    says them (None: it does not); `booked` and `placed`, the credits and orders of the model in
    this ledger until then; `account` is a name for the account that was asked.
    """

    credits: int | None = None
    made: int | None = None
    booked: int = 0
    placed: int = 0
    account: str = ""


@dataclass(frozen=True)
class Order:
    """One order as the ledger knows it; money in credits, `cost` is what it counts for now."""

    id: int
    key: str
    film: str
    run: str
    shot: str
    gateway: str
    endpoint: str
    model: str
    request: str
    state: str
    ticket: str | None
    reserved: int
    estimate: int | None
    charged: int | None
    reason: str
    failure_code: str
    ordered_at: str
    changed_at: str
    cost: int
    evidence: Evidence | None = None


@dataclass(frozen=True)
class Allowance:
    """What may be spent, in credits, in flight and in doubt included; None: no limit.

    `film` on the film in all its runs, `run` in this run, `shot` on any one shot of the film, `day`
    within 24 hours by all projects of the user.
    """

    film: int | None = None
    run: int | None = None
    shot: int | None = None
    day: int | None = None


@dataclass(frozen=True)
class Intent:
    """What is about to be ordered: everything that is known before the first byte is sent.

    `evidence` is how things stood a moment before. `takes` are what the other takes of the same shot
    are called, with which it shares what may be spent on that.
    """

    key: str
    film: str
    run: str
    shot: str
    gateway: str
    endpoint: str
    model: str
    request: Any
    reserved: int
    evidence: Evidence | None = None
    takes: tuple[str, ...] = ()
