"""The ledger: the durable record of orders and money, and the only authority on what was bought.

An order is written down before its first byte is sent, and its ticket as soon as one comes back.
What stands between the two when a run dies is in doubt: it may have been charged, so it counts as
spent and is never sent again until a person decides.

    intent ──► open ──► made ──► kept          the gateway's ticket, its success, the file in the store
       │         │        └────► lost          the gateway forgot what it made
       │         └──► failed | cancelled | lost
       ├──► unsent | rejected                  certainly not ordered, costs nothing
       └──► doubt ──► open | abandoned | replaced        decided by a person, with `settle`

SQLite in WAL mode with `synchronous=FULL`: a commit that returned is on the disk.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secondunit.errors import DiskTrouble, OverBudget, SecondUnitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = 1
BLOCKING = ("intent", "doubt", "open", "made", "kept", "lost")
OPEN = ("open", "made")
WARM_BYTES = (
    200_000  # the journal is grown once, so that a ticket fits on a disk that has filled up
)

SCHEMA = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    film TEXT NOT NULL,
    run TEXT NOT NULL,
    shot TEXT NOT NULL,
    gateway TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intent', 'unsent', 'rejected', 'doubt', 'open', 'made',
        'kept', 'failed', 'cancelled', 'lost', 'abandoned', 'replaced')),
    ticket TEXT,
    reserved INTEGER NOT NULL CHECK (reserved >= 0),
    estimate INTEGER,
    charged INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    failure_code TEXT NOT NULL DEFAULT '',
    ordered_at TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    cost INTEGER GENERATED ALWAYS AS (
        CASE WHEN state IN ('unsent', 'rejected') THEN 0
             ELSE coalesce(charged, estimate, reserved) END) VIRTUAL,
    CHECK (state NOT IN ('open', 'made', 'kept') OR ticket IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX one_order ON orders (key)
    WHERE state IN ('intent', 'doubt', 'open', 'made', 'kept', 'lost');
CREATE UNIQUE INDEX one_ticket ON orders (gateway, ticket) WHERE ticket IS NOT NULL;
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
"""


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


@dataclass(frozen=True)
class Allowance:
    """What may be spent, in credits: `film` on this film in all, `run` in this run; None: no limit."""

    film: int | None = None
    run: int | None = None


@dataclass(frozen=True)
class Intent:
    """What is about to be ordered: everything that is known before the first byte is sent."""

    key: str
    film: str
    run: str
    shot: str
    gateway: str
    endpoint: str
    model: str
    request: Any
    reserved: int


class Ledger:
    """The orders of a project. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path`, or begin it. Raises DiskTrouble, UsageError."""
        self.path = path
        self._lock = threading.RLock()
        with self._mapped(), ExitStack() as undo:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            undo.callback(self._db.close)
            self._db.row_factory = sqlite3.Row
            self._prepare()
            undo.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def warm(self) -> None:
        """Grow the journal file before a run: a commit then overwrites it, and fits on a full disk.

        200 kB hold a ticket many times over.
        """
        with self._lock, self._mapped():
            self._db.executescript(
                "BEGIN; CREATE TABLE warm (b BLOB); INSERT INTO warm VALUES (zeroblob(200000));"
                " DROP TABLE warm; COMMIT; PRAGMA wal_checkpoint(RESTART);"
            )

    # --- writing ------------------------------------------------------------------------------

    def intend(self, intent: Intent, allowance: Allowance) -> Order:
        """Write down an order before it is sent, its price reserved in the same commit.

        Raises OverBudget when the price does not fit, and SecondUnitError when the same thing is
        already on order; nothing is written then.
        """
        with self._commit() as db:
            self._check_allowance(db, intent, allowance)
            now = _now()
            try:
                row = db.execute(
                    "INSERT INTO orders (key, film, run, shot, gateway, endpoint, model, request,"
                    " reserved, state, ordered_at, changed_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'intent', ?, ?)",
                    (intent.key, intent.film, intent.run, intent.shot, intent.gateway,
                     intent.endpoint, intent.model, json.dumps(intent.request), intent.reserved,
                     now, now),
                )  # fmt: skip
            except sqlite3.IntegrityError:
                raise SecondUnitError(
                    f"{intent.shot} is already on order; it is not ordered twice. Run again."
                ) from None
            self._note(db, row.lastrowid or 0, "intent", "")
            return self._get(db, row.lastrowid or 0)

    def opened(self, order: Order, ticket: str, estimate: int | None) -> Order:
        """Record the ticket of an order, and the most that the gateway says it may charge."""
        return self._move(order, ("intent", "doubt"), "open", ticket=ticket, estimate=estimate)

    def unsent(self, order: Order, reason: str) -> Order:
        """Record that nothing left for the gateway."""
        return self._move(order, ("intent",), "unsent", reason=reason)

    def rejected(self, order: Order, reason: str) -> Order:
        """Record that the gateway refused the order."""
        return self._move(order, ("intent",), "rejected", reason=reason)

    def doubted(self, order: Order, reason: str) -> Order:
        """Record that the order may have arrived, and that no ticket came back."""
        return self._move(order, ("intent",), "doubt", reason=reason)

    def made(self, order: Order, charged: int | None) -> Order:
        """Record that the gateway finished it, and what it charged."""
        return self._move(order, ("open", "made", "kept"), "made", charged=charged)

    def kept(self, order: Order) -> Order:
        """Record that its file is in the store."""
        return self._move(order, ("made",), "kept")

    def ended(
        self, order: Order, state: str, reason: str, *, charged: int | None = None, code: str = ""
    ) -> Order:
        """Record that an order came to nothing: `state` is failed, cancelled or lost."""
        before = ("open", "made", "kept")
        return self._move(order, before, state, reason=reason, charged=charged, failure_code=code)

    def abandoned(self, order: Order) -> Order:
        """Record a person's decision to give an order up; it still counts as spent."""
        return self._move(order, ("doubt", "lost"), "abandoned", reason="given up")

    def replaced(self, order: Order) -> Order:
        """Record a person's decision to order the same again; the old order still counts as spent."""
        before = ("doubt", "lost", "failed", "cancelled", "abandoned")
        return self._move(order, before, "replaced")

    def doubt_unfinished(self) -> tuple[Order, ...]:
        """Put in doubt every intent that a dead run left. To be called while holding the project."""
        left = self._orders("WHERE state = 'intent'")
        return tuple(self.doubted(o, "the run ended while it was being ordered") for o in left)

    # --- reading ------------------------------------------------------------------------------

    def blocking(self, key: str) -> Order | None:
        """Return the order that stands for `key`: while there is one, nothing new is ordered."""
        marks = ", ".join("?" * len(BLOCKING))
        found = self._orders(f"WHERE key = ? AND state IN ({marks})", key, *BLOCKING)
        return found[0] if found else None

    def of(self, key: str) -> tuple[Order, ...]:
        """Return every order for `key`, oldest first."""
        return self._orders("WHERE key = ?", key)

    def of_film(self, film: str) -> tuple[Order, ...]:
        """Return every order of a film, oldest first."""
        return self._orders("WHERE film = ?", film)

    def spent(self, gateway: str, *, film: str | None = None, run: str | None = None) -> int:
        """Return the credits that count as spent at a gateway, those in flight and in doubt too."""
        with self._lock, self._mapped():
            return self._spent(self._db, gateway, film, run)

    # --- inside -------------------------------------------------------------------------------

    def _prepare(self) -> None:
        db = self._db
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL",
                       "foreign_keys=ON", "trusted_schema=OFF", "fullfsync=1"):  # fmt: skip
            self._patiently(f"PRAGMA {pragma}")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            self._begin()
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise UsageError(
                f"{self.path} was written by a newer Second Unit (ledger version {version}, this"
                f" one reads {VERSION}). Update Second Unit. Nothing was ordered."
            )
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _damaged(self.path)

    def _patiently(self, statement: str) -> None:
        """Try for as long as others are busy: turning a new file to WAL, SQLite itself does not wait."""
        last = time.monotonic() + 10
        while True:
            try:
                self._db.execute(statement)
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > last:
                    raise
                time.sleep(0.01)
            else:
                return

    def _begin(self) -> None:
        with self._commit() as db:
            if db.execute("PRAGMA user_version").fetchone()[0]:
                return  # another process was quicker
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")

    def _check_allowance(
        self, db: sqlite3.Connection, intent: Intent, allowance: Allowance
    ) -> None:
        for limit, spent, of in (
            (allowance.film, {"film": intent.film}, "this film may cost"),
            (allowance.run, {"run": intent.run}, "this run may spend"),
        ):
            if limit is None:
                continue
            already = self._spent(db, intent.gateway, spent.get("film"), spent.get("run"))
            if already + intent.reserved > limit:
                raise OverBudget(
                    f"{intent.shot} may cost {intent.reserved} credits, {already} are spent or"
                    f" reserved, and {of} {limit}. It was not ordered. Raise the cap, or shoot less."
                )

    def _spent(
        self, db: sqlite3.Connection, gateway: str, film: str | None, run: str | None
    ) -> int:
        total = db.execute(
            "SELECT coalesce(sum(cost), 0) FROM orders WHERE gateway = ?"
            " AND film = coalesce(?, film) AND run = coalesce(?, run)",
            (gateway, film, run),
        ).fetchone()[0]
        return int(total)

    def _move(self, order: Order, before: tuple[str, ...], state: str, **facts: Any) -> Order:
        facts = {k: v for k, v in facts.items() if v is not None}
        columns = "".join(f", {name} = ?" for name in facts)
        marks = ", ".join("?" * len(before))
        with self._commit() as db:
            try:
                row = db.execute(
                    f"UPDATE orders SET state = ?, changed_at = ?{columns}"  # noqa: S608  our own names
                    f" WHERE id = ? AND state IN ({marks})",
                    (state, _now(), *facts.values(), order.id, *before),
                )
            except sqlite3.IntegrityError:
                raise SecondUnitError(
                    f"The gateway gave {order.shot} the ticket {facts.get('ticket')}, which another"
                    " order already has. Look at both on the gateway's own page."
                ) from None
            if row.rowcount != 1:
                raise SecondUnitError(
                    f"The order of {order.shot} changed under this run; nothing more was done with"
                    " it. Run again."
                )
            self._note(db, order.id, state, str(facts.get("reason", "")))
            return self._get(db, order.id)

    def _note(self, db: sqlite3.Connection, order: int, state: str, reason: str) -> None:
        db.execute(
            "INSERT INTO history (order_id, state, reason, at) VALUES (?, ?, ?, ?)",
            (order, state, reason, _now()),
        )

    def _get(self, db: sqlite3.Connection, number: int) -> Order:
        return Order(**db.execute("SELECT * FROM orders WHERE id = ?", (number,)).fetchone())

    def _orders(self, where: str, *values: Any) -> tuple[Order, ...]:
        with self._lock, self._mapped():
            rows = self._db.execute(f"SELECT * FROM orders {where} ORDER BY id", values)  # noqa: S608  our own words
            return tuple(Order(**row) for row in rows)

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._mapped():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            cause = getattr(error, "sqlite_errorname", "")  # only errors of SQLite itself have one
            if cause.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise _damaged(self.path) from error
            raise DiskTrouble(
                f"The ledger {self.path} cannot be written ({error}). Make room or repair the disk,"
                " then run again; nothing is ordered without it."
            ) from error
        except OSError as error:
            raise DiskTrouble(
                f"The folder {self.path.parent} cannot be used ({error.strerror}). Nothing was ordered."
            ) from error


def _damaged(path: Path) -> UsageError:
    return UsageError(
        f"{path} is damaged and is the only record of what was bought. Restore it from a backup;"
        " the slates in the store beside it hold every finished take's ticket. Nothing was ordered."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
