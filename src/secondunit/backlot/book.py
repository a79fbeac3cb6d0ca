"""The backlot's own books: every task, charge, upload, download and request, on SQLite.

Shares no code with the program's ledger on purpose: tests hold the one against the other.
A process killed at any moment loses nothing that was answered (WAL; only a power cut could).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secondunit.errors import DiskTrouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

OPEN = ("PENDING", "THROTTLED", "RUNNING")
TERMINAL = ("SUCCEEDED", "FAILED", "CANCELLED")

_KEPT = 7 * 86400.0  # seconds that single requests are remembered; all else is for good

_TABLES = """
CREATE TABLE IF NOT EXISTS tasks (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,
  endpoint TEXT NOT NULL, model TEXT NOT NULL, shot TEXT NOT NULL,
  body TEXT NOT NULL, job TEXT NOT NULL, fates TEXT NOT NULL,
  estimate INTEGER NOT NULL, wait REAL NOT NULL, status TEXT NOT NULL,
  created REAL NOT NULL, started REAL, ended REAL,
  failure TEXT, failure_code TEXT, outputs TEXT NOT NULL DEFAULT '[]',
  deleted INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS tasks_by_model ON tasks (model, status, number);
CREATE INDEX IF NOT EXISTS tasks_by_day ON tasks (model, created);
CREATE TABLE IF NOT EXISTS charges (
  number INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL,
  credits INTEGER NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS charges_by_task ON charges (task);
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, filename TEXT NOT NULL, created REAL NOT NULL, stored REAL, bytes INTEGER
);
CREATE TABLE IF NOT EXISTS downloads (
  number INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, file TEXT NOT NULL,
  method TEXT NOT NULL, bearer INTEGER NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (
  number INTEGER PRIMARY KEY AUTOINCREMENT, method TEXT NOT NULL, path TEXT NOT NULL,
  status INTEGER NOT NULL, task TEXT NOT NULL, fault TEXT NOT NULL, headers TEXT NOT NULL,
  at REAL NOT NULL, seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Task:
    """One order as the books have it; times are seconds since the epoch, prices are credits."""

    id: str
    endpoint: str
    model: str
    shot: str
    body: Mapping[str, Any]
    job: Mapping[str, Any]
    fates: Mapping[str, str]
    estimate: int
    wait: float
    status: str
    created: float
    started: float | None = None
    ended: float | None = None
    failure: str | None = None
    failure_code: str | None = None
    outputs: tuple[str, ...] = ()
    deleted: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it came in: header names only, so that no key is ever written down."""

    method: str
    path: str
    status: int
    task: str = ""
    fault: str = ""
    headers: tuple[str, ...] = ()
    at: float = field(default_factory=time.time)
    seconds: float = 0.0


_JSON = ("body", "job", "fates", "outputs")
_COLUMNS = tuple(Task.__dataclass_fields__)


def _task(row: sqlite3.Row) -> Task:
    values = {name: row[name] for name in _COLUMNS}
    values |= {name: json.loads(values[name]) for name in _JSON}
    values |= {"outputs": tuple(values["outputs"]), "deleted": bool(values["deleted"])}
    return Task(**values)


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_TABLES)
        db.execute("DELETE FROM requests WHERE at < ?", (time.time() - _KEPT,))
    except sqlite3.Error:
        db.close()
        raise
    return db


class Book:
    """The records of one home. Every call is one short transaction; one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or begin the books; DiskTrouble where that cannot be done."""
        try:
            self._db = _opened(path)
        except sqlite3.Error as error:
            raise DiskTrouble(
                f"The backlot cannot keep its books in {path}: {error}. No money is involved. "
                "Choose another folder, or remove that file to start afresh."
            ) from error

    def close(self) -> None:
        """Close the books."""
        self._db.close()

    def secret(self) -> bytes:
        """Return the key that signs output links: drawn once, the same after a restart."""
        self._db.execute(
            "INSERT OR IGNORE INTO secrets VALUES ('links', ?)", (secrets.token_hex(32),)
        )
        row = self._db.execute("SELECT value FROM secrets WHERE name='links'").fetchone()
        return bytes.fromhex(row["value"])

    # tasks

    def add(self, task: Task) -> None:
        """Write down a new task and its charge, both or neither."""
        values = [getattr(task, name) for name in _COLUMNS]
        values = [json.dumps(v) if n in _JSON else v for n, v in zip(_COLUMNS, values, strict=True)]
        marks = ", ".join("?" * len(_COLUMNS))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                f"INSERT INTO tasks ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608  our own column names
                values,
            )
            self._charge(task.id, task.estimate, "order")

    def _charge(self, task: str, credits_: int, reason: str) -> None:
        self._db.execute(
            "INSERT INTO charges (task, credits, reason, at) VALUES (?, ?, ?, ?)",
            (task, credits_, reason, time.time()),
        )

    def task(self, id_: str) -> Task | None:
        """Return a task, deleted ones included."""
        row = self._db.execute("SELECT * FROM tasks WHERE id=?", (id_,)).fetchone()
        return None if row is None else _task(row)

    def tasks(self, *statuses: str) -> tuple[Task, ...]:
        """Return every task in one of these states (all where none is named), oldest first."""
        wanted = statuses or (*OPEN, *TERMINAL)
        marks = ", ".join("?" * len(wanted))
        rows = self._db.execute(
            f"SELECT * FROM tasks WHERE status IN ({marks}) ORDER BY number",  # noqa: S608  only marks
            wanted,
        )
        return tuple(map(_task, rows))

    def throttled(self, model: str) -> tuple[str, ...]:
        """Return the ids of the tasks of `model` that wait for a free place, oldest first."""
        rows = self._db.execute(
            "SELECT id FROM tasks WHERE model=? AND status='THROTTLED' ORDER BY number", (model,)
        )
        return tuple(row["id"] for row in rows)

    def move(self, id_: str, status: str) -> None:
        """Note that an open task is now in another open state; RUNNING starts its clock once."""
        started = time.time() if status == "RUNNING" else None
        self._db.execute(
            "UPDATE tasks SET status=?, started=coalesce(started, ?) WHERE id=? AND ended IS NULL",
            (status, started, id_),
        )

    def finish(
        self,
        id_: str,
        status: str,
        *,
        cost: int,
        outputs: Iterable[str] = (),
        failure: str | None = None,
        failure_code: str | None = None,
        deleted: bool = False,
    ) -> None:
        """End an open task and settle its bill at `cost`; an ended one stays as it is."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            changed = self._db.execute(
                "UPDATE tasks SET status=?, ended=?, outputs=?, failure=?, failure_code=?,"
                " deleted=? WHERE id=? AND ended IS NULL",
                (
                    status,
                    time.time(),
                    json.dumps(list(outputs)),
                    failure,
                    failure_code,
                    deleted,
                    id_,
                ),
            ).rowcount
            if changed and (owed := cost - self.cost(id_)):
                self._charge(id_, owed, "refund" if owed < 0 else "extra")

    def delete(self, id_: str) -> None:
        """Note that a finished task was deleted; its bill stays."""
        self._db.execute("UPDATE tasks SET deleted=1 WHERE id=?", (id_,))

    # money

    def cost(self, id_: str) -> int:
        """Return what a task has cost so far, in credits."""
        return self._number("SELECT sum(credits) FROM charges WHERE task=?", id_)

    def spent(self) -> int:
        """Return the credits spent in this home."""
        return self._number("SELECT sum(credits) FROM charges")

    def generations(self, model: str, since: float) -> int:
        """Return how many tasks of `model` were created after `since`."""
        return self._number("SELECT count(*) FROM tasks WHERE model=? AND created>?", model, since)

    def _number(self, query: str, *values: object) -> int:
        return int(self._db.execute(query, values).fetchone()[0] or 0)

    def usage(self) -> tuple[tuple[str, str, int], ...]:
        """Return (UTC day, model, net credits) for every day and model with charges."""
        rows = self._db.execute(
            "SELECT date(at, 'unixepoch') AS day, model, sum(credits) AS credits"
            " FROM charges JOIN tasks ON tasks.id = charges.task"
            " GROUP BY day, model ORDER BY day, model"
        )
        return tuple((row["day"], row["model"], row["credits"]) for row in rows)

    # uploads, downloads, requests

    def lend(self, id_: str, filename: str) -> None:
        """Open a slot for an upload."""
        self._db.execute(
            "INSERT INTO uploads (id, filename, created) VALUES (?, ?, ?)",
            (id_, filename, time.time()),
        )

    def store(self, id_: str, size: int) -> bool:
        """Note that the file of a slot arrived; False where the slot is unknown or used."""
        changed = self._db.execute(
            "UPDATE uploads SET stored=?, bytes=? WHERE id=? AND stored IS NULL",
            (time.time(), size, id_),
        )
        return changed.rowcount == 1

    def upload(self, id_: str) -> tuple[str, float, float | None] | None:
        """Return (filename, created, stored) of a slot, or None where there is none."""
        row = self._db.execute("SELECT * FROM uploads WHERE id=?", (id_,)).fetchone()
        return None if row is None else (row["filename"], row["created"], row["stored"])

    def download(self, task: str, file: str, method: str, *, bearer: bool) -> None:
        """Note that an output was handed out, and whether a key was sent along."""
        self._db.execute(
            "INSERT INTO downloads (task, file, method, bearer, at) VALUES (?, ?, ?, ?, ?)",
            (task, file, method, bearer, time.time()),
        )

    def note(self, request: Request) -> None:
        """Write down one request."""
        self._db.execute(
            "INSERT INTO requests (method, path, status, task, fault, headers, at, seconds)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request.method,
                request.path,
                request.status,
                request.task,
                request.fault,
                json.dumps(request.headers),
                request.at,
                request.seconds,
            ),
        )

    def ledger(self) -> dict[str, Any]:
        """Return all that is written down, as JSON: what tests hold a run against."""
        return {
            "spent": self.spent(),
            "charges": self._rows("SELECT task, credits, reason, at FROM charges ORDER BY number"),
            "tasks": [self._public(task) for task in self.tasks()],
            "uploads": self._rows("SELECT id, filename, created, stored, bytes FROM uploads"),
            "downloads": self._rows(
                "SELECT task, file, method, bearer, at FROM downloads ORDER BY number"
            ),
            "requests": self._rows(
                "SELECT method, path, status, fault, count(*) AS count FROM requests"
                " GROUP BY method, path, status, fault ORDER BY min(number)"
            ),
        }

    def requests(self) -> list[dict[str, Any]]:
        """Return every request, in the order of arrival."""
        return self._rows("SELECT * FROM requests ORDER BY number")

    def _rows(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._db.execute(query)]

    def _public(self, task: Task) -> dict[str, Any]:
        names = ("id", "endpoint", "model", "shot", "status", "created", "started", "ended")
        facts = {name: getattr(task, name) for name in (*names, "estimate", "deleted", "body")}
        return facts | {"cost": self.cost(task.id)}
