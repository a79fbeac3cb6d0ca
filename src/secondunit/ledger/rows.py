"""Orders as rows: SQL that every database of ours understands, on a connection that it lends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from secondunit.ledger.records import Evidence, Order
from secondunit.ledger.tables import FREE, BrokenPromise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from secondunit.ledger.records import Intent

FIELDS = tuple(Order.__dataclass_fields__)


class Link(Protocol):
    """A connection that a database lends; `?` marks a value."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Any:
        """Carry out one statement; the answer has `fetchone`, `rowcount`, and can be walked."""


class Books(Protocol):
    """A database that keeps the ledger's tables and their promises.

    `shared`: workers on other machines write to it at the same time.
    """

    @property
    def shared(self) -> bool:
        """Whether others may write to it during a run."""

    def close(self) -> None:
        """Let go of it, and of what is held there."""

    def warm(self) -> None:
        """Make room before a run."""

    def back_up(self, mark: int) -> None:
        """Keep a copy named after `mark`."""

    def reading(self) -> AbstractContextManager[Link]:
        """Lend the connection for reading."""

    def commit(self) -> AbstractContextManager[Link]:
        """Lend the connection for one transaction; who writes here writes alone until it ends."""

    def mapped(self) -> AbstractContextManager[None]:
        """Turn what the database says into BrokenPromise, DiskTrouble or UsageError."""

    def hold(self, film: str) -> None:
        """Hold a film until `close`. Raises Locked while another worker holds it."""

    def see_held(self, db: Link, film: str) -> None:
        """See, inside a transaction, that the film is still held from here. Raises Locked."""

    def held_elsewhere(self) -> frozenset[str]:
        """Return the films that other workers hold now."""

    def alone_at(
        self, gateway: str, given_up: Callable[[], bool]
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Be the only one who orders at a gateway; what is lent says whether that still holds."""


def find(db: Link, where: str, *values: Any) -> tuple[Order, ...]:
    """Return the orders that a condition of ours finds, oldest first."""
    rows = db.execute(f"SELECT {', '.join(FIELDS)} FROM orders {where} ORDER BY id", values)  # noqa: S608  our own words
    return tuple(map(_order, rows))


def get(db: Link, number: int) -> Order:
    """Return one order."""
    return find(db, "WHERE id = ?", number)[0]


def insert(db: Link, facts: dict[str, Any], now: str) -> int:
    """Write an order down with the first line of its history, and return its number."""
    names, marks = ", ".join(facts), ", ".join("?" * len(facts))
    row = db.execute(
        f"INSERT INTO orders ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608  our own names
        tuple(facts.values()),
    )
    number = int(row.fetchone()[0])
    _note(db, number, facts["state"], facts.get("reason", ""), now)
    return number


def change(db: Link, order: Order, state: str, facts: dict[str, Any], now: str) -> Order:
    """Move an order on, and note it. Raises BrokenPromise: it is not what it was, or may not move."""
    columns = "".join(f", {name} = ?" for name in facts)
    row = db.execute(
        f"UPDATE orders SET state = ?, changed_at = ?{columns} WHERE id = ? AND state = ?",  # noqa: S608  as above
        (state, now, *facts.values(), order.id, order.state),
    )
    if row.rowcount != 1:
        raise BrokenPromise("move")
    _note(db, order.id, state, str(facts.get("reason", "")), now)
    return get(db, order.id)


def total(db: Link, gateway: str | None, **scope: str | None) -> int:
    """Add up what counts as spent; without a `gateway`, at all that cost money."""
    wanted = {name: value for name, value in scope.items() if value is not None}
    also = "".join(f" AND {name} = ?" for name in wanted)
    which = "gateway != ?" if gateway is None else "gateway = ?"
    row = db.execute(
        f"SELECT coalesce(sum(cost), 0) FROM orders WHERE {which}{also}",  # noqa: S608  as above
        (gateway or FREE, *wanted.values()),
    )
    return int(row.fetchone()[0])


def of_takes(db: Link, intent: Intent) -> int:
    """Add up what counts as spent on the other takes of the shot that an intent is for."""
    return sum(total(db, None, film=intent.film, shot=take) for take in intent.takes)


def _note(db: Link, order: int, state: str, reason: str, now: str) -> None:
    db.execute(
        "INSERT INTO history (order_id, state, reason, at) VALUES (?, ?, ?, ?)",
        (order, state, reason, now),
    )


def _order(row: Sequence[Any]) -> Order:
    facts = dict(zip(FIELDS, row, strict=True))
    evidence = facts.pop("evidence")
    return Order(**facts, evidence=Evidence(**json.loads(evidence)) if evidence else None)
