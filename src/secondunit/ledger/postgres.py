"""The ledger on PostgreSQL: one database for the workers of many machines.

Whoever writes waits for the turn and then writes alone, as in a file. A film is held by a lock that
belongs to the one connection of its worker and dies with it; orders of the film are written on that
connection only. A worker that lost it connects anew and goes on where nobody else has held the film
meanwhile; where somebody has, it orders nothing more, and still writes down what it is owed: tickets,
and what came of them.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import contextmanager, suppress
from socket import gethostname
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from secondunit.errors import DiskTrouble, Locked, UsageError
from secondunit.ledger.tables import BrokenPromise
from secondunit.ledger.tables_postgres import (
    FILM,
    GATEWAY,
    ONE_BY_ONE,
    SCHEMA,
    VERSION,
    are_kept,
    begin,
    version_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from secondunit.ledger.rows import Link

PATIENCE = 30.0  # seconds that the server may be away in mid-run, as when it is restarted
FAREWELL = 3.0  # seconds; the server hears of a worker's death only when it has ended its statement
# A peer that has vanished is noticed within a minute, on either side; what a setting of the user's
# own in the address says comes first.
OURS: dict[str, Any] = {
    "connect_timeout": 10, "client_encoding": "utf8", "keepalives": 1, "keepalives_idle": 20,
    "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000,
}  # fmt: skip
SESSION = (
    f"SET search_path = {SCHEMA}",
    "SET default_transaction_isolation = 'read committed'",
    "SET lock_timeout = '30s'",
    "SET statement_timeout = '60s'",
    "SET idle_in_transaction_session_timeout = '30s'",
    "SET tcp_keepalives_idle = 20",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 4",
    "SET tcp_user_timeout = 30000",
)
HOLDERS = f"""
FROM holds h JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.classid::bigint = {FILM} AND l.objid::bigint = h.id
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""  # noqa: S608  numbers of our own, as below


class LedgerAway(DiskTrouble):
    """The connection to the ledger was lost, or its server is busy; the step may be tried again."""

    transient = True


class _StillHeld(Exception):
    """The server has not noticed yet that our last connection is gone, and keeps its locks."""


class Postgres:
    """One PostgreSQL database. Safe to use from several threads; every trouble is a sentence."""

    shared = True

    def __init__(self, url: str) -> None:
        """Open the ledger at `url`, or begin it. Raises DiskTrouble, UsageError.

        What the address leaves out is taken from where libpq finds it: PGPASSWORD, PGSERVICE,
        `~/.pgpass` and so on. A password in the address itself is for the caller to refuse.
        """
        self.name = url.partition("?")[0]
        self._lock = threading.RLock()
        self._within = False  # a transaction
        self._number = 0  # of the connection
        self._ours: int | None = None  # the number of the connection that is alone at a gateway
        self._films: dict[str, int] = {}
        self._taken: dict[str, str] = {}
        self._away_since: float | None = None
        with self.mapped():
            name = f"secondunit {gethostname()} {os.getpid()}"
            self._where = {"application_name": name, **OURS, **conninfo_to_dict(url)}
            self._link = self._connected()
            try:
                self._prepare()
            except BaseException:
                self._link.close()
                raise

    def close(self) -> None:
        """Close the connection; films that were held through it are free."""
        with self._lock:
            with suppress(psycopg.Error):  # else the server lets go a moment after the connection
                self._link.execute("SELECT pg_advisory_unlock_all()")
            self._link.close()

    def warm(self) -> None:
        """Make room before a run: that is the server's own business."""

    def back_up(self, mark: int) -> None:
        """Keep a copy: that is for whoever runs the server."""

    # --- reading and writing ------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Link]:
        """Lend the connection for reading."""
        with self._lock, self.mapped():
            self._wake("SELECT 1")
            yield self._link

    @contextmanager
    def commit(self) -> Iterator[Link]:
        """Lend the connection for one transaction, alone; the server has it on its disk afterwards."""
        with self._lock, self.mapped(), self._transaction(self._wake):
            yield self._link

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """Turn what PostgreSQL says into BrokenPromise or DiskTrouble."""
        try:
            yield
        except psycopg.IntegrityError as error:
            raise BrokenPromise(error.diag.message_primary or str(error)) from None
        except (psycopg.Error, _StillHeld) as error:
            away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | _StillHeld)
            why = " ".join(str(error).split()).rstrip(".")
            raise (LedgerAway if away else DiskTrouble)(
                f"The ledger {self.name} cannot be used ({why}). Nothing is ordered without it; look at"
                " its server, then run again."
            ) from error
        except OSError as error:
            raise DiskTrouble(
                f"{error.filename} cannot be used ({error.strerror}). Nothing was ordered."
            ) from error

    @contextmanager
    def _transaction(self, begin: Callable[[str], None]) -> Iterator[None]:
        try:
            begin("BEGIN")  # a signal may raise as soon as it has begun
            self._within = True
            self._link.execute(ONE_BY_ONE)
            yield
            self._link.execute("COMMIT")
        except BaseException:
            with suppress(psycopg.Error):  # a connection that is gone has ended it already
                self._link.execute("ROLLBACK")
            raise
        finally:
            self._within = False

    # --- who may order ------------------------------------------------------------------------

    def hold(self, film: str) -> None:
        """Hold a film until `close`. Raises Locked while another worker holds it."""
        if film in self._films:
            return
        until = time.monotonic() + FAREWELL
        while (holder := self._held_by_other(film)) is not None:
            if time.monotonic() > until:
                raise Locked(
                    f"{holder} is at work on {film}. Wait for it, or look at it with `secondunit"
                    " status`. Nothing was ordered."
                )
            time.sleep(0.2)

    def _held_by_other(self, film: str) -> str | None:
        """Hold a film and return None, or return who holds it."""
        with self.commit() as db:
            db.execute("INSERT INTO holds (film) VALUES (?) ON CONFLICT DO NOTHING", (film,))
            _, holder, free = self._try(film)
            if not free:
                return holder
            number = db.execute(
                "UPDATE holds SET number = number + 1, holder = ?, since = clock_timestamp()"
                " WHERE film = ? RETURNING number",
                (f"Process {os.getpid()} on {gethostname()}", film),
            ).fetchone()[0]
        self._films[film] = number
        return None

    def see_held(self, db: Link, film: str) -> None:
        """See that the film is still held through this very connection. Raises Locked."""
        mine = db.execute(
            f"SELECT count(*) {HOLDERS} WHERE l.pid = pg_backend_pid() AND film = ? AND number = ?",
            (film, self._films.get(film, -1)),
        )
        if mine.fetchone()[0] != 1:
            if film not in self._taken:
                raise Locked(f"This run does not hold {film} in {self.name}. Nothing was ordered.")
            raise Locked(
                f"The connection to the ledger was lost, and {self._taken[film]} has taken {film} over"
                " since. This run orders nothing more; its tickets stay open."
            )
        if self._ours not in {None, self._number}:
            raise LedgerAway(
                f"The connection to the ledger {self.name} was lost just before an order. Nothing was"
                " ordered; run again."
            )

    def held_elsewhere(self) -> frozenset[str]:
        """Return the films that other workers hold now."""
        with self.reading() as db:
            found = db.execute(f"SELECT film {HOLDERS} WHERE l.pid != pg_backend_pid()")
            return frozenset(row[0] for row in found)

    @contextmanager
    def alone_at(self, gateway: str, given_up: Callable[[], bool]) -> Iterator[Callable[[], bool]]:
        """Be the only one who orders at a gateway; what is lent says whether that still holds.

        Waits for its turn, and lets the connection be used meanwhile.
        """
        place = f"({GATEWAY}, hashtext(?))"
        while not self._says(f"SELECT pg_try_advisory_lock{place}", gateway):
            if given_up():
                yield lambda: False
                return
            time.sleep(random.uniform(0.02, 0.1))  # noqa: S311  spreads who comes next
        ours = self._ours = self._number
        try:
            yield lambda: ours == self._number
        finally:
            self._ours = None
            with suppress(DiskTrouble):  # what is lost is free
                if ours == self._number:
                    self._says(f"SELECT pg_advisory_unlock{place}", gateway)

    def _says(self, statement: str, value: str) -> bool:
        with self.reading() as db:
            return bool(db.execute(statement, (value,)).fetchone()[0])

    def _try(self, film: str) -> tuple[int, str, bool]:
        """Try to lock a film; return the number and name of who held it last, and the success."""
        row = self._link.execute(
            "SELECT number, holder || ' (since ' || to_char(since AT TIME ZONE 'UTC',"  # noqa: S608
            f" 'YYYY-MM-DD HH24:MI') || ' UTC)', pg_try_advisory_lock({FILM}, id)"
            " FROM holds WHERE film = ?",
            (film,),
        ).fetchone()
        return int(row[0]), row[1] or "Another worker", bool(row[2])

    # --- the connection -----------------------------------------------------------------------

    def _connected(self) -> _Link:
        db = psycopg.connect(**self._where, autocommit=True)
        link = _Link(db)
        for statement in SESSION:
            link.execute(statement)
        if link.execute("SHOW synchronous_commit").fetchone()[0] == "off":
            link.execute("SET synchronous_commit = on")
        return link

    def _prepare(self) -> None:
        """See that the server keeps what it confirms and the tables what they promise."""
        for name in ("fsync", "full_page_writes"):
            if self._link.execute(f"SHOW {name}").fetchone()[0] == "off":
                raise UsageError(
                    f"The server of {self.name} runs with `{name} = off`: an order that it has"
                    " confirmed may be gone after a power cut. Turn it on. Nothing was ordered."
                )
        if not (found := version_of(self._link)):
            with self._transaction(self._link.execute):
                begin(self._link)
            found = version_of(self._link)
        if found > VERSION:
            raise UsageError(
                f"{self.name} was written by a newer Second Unit (ledger version {found}, this one"
                f" reads {VERSION}). Update Second Unit. Nothing was ordered."
            )
        if not are_kept(self._link):
            raise UsageError(
                f"The tables of {self.name} are not as Second Unit made them (schema {SCHEMA}): a rule"
                " that keeps caps or orders is missing or changed. Put a copy of the database in its"
                " place. Nothing was ordered."
            )

    def _wake(self, first: str) -> None:
        """Carry out a first statement; where the connection proves to be lost, on a new one."""
        try:
            self._link.execute(first)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if self._within or not self._link.is_lost:
                raise
            self._reconnect()
            self._link.execute(first)

    def _reconnect(self) -> None:
        """Connect anew, and hold again what nobody else has held meanwhile."""
        self._number += 1
        self._away_since = self._away_since or time.monotonic()
        while True:
            self._link.close()
            try:
                self._link = self._connected()
                self._retake()
            except (psycopg.OperationalError, _StillHeld):
                if time.monotonic() > self._away_since + PATIENCE:
                    raise
                time.sleep(0.2)
            else:
                self._away_since = None
                return

    def _retake(self) -> None:
        with self._transaction(self._link.execute):
            for film, number in tuple(self._films.items()):
                found, holder, free = self._try(film)
                if found != number:
                    del self._films[film]
                    self._taken[film] = holder
                    if free:  # whoever came between has ended, and others may come
                        unlock = f"SELECT pg_advisory_unlock({FILM}, id) FROM holds WHERE film = ?"  # noqa: S608
                        self._link.execute(unlock, (film,))
                elif not free:
                    raise _StillHeld(f"the last connection still holds {film} there")


class _Link:
    """A connection that takes `?` for a value, as SQLite does."""

    def __init__(self, db: psycopg.Connection) -> None:
        self._db = db

    @property
    def is_lost(self) -> bool:
        return self._db.closed

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Any:
        """Carry out one statement. Text that PostgreSQL cannot hold is written without it."""
        kept = [v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in values]
        return self._db.execute(sql.replace("?", "%s").encode(), kept or None)

    def close(self) -> None:
        self._db.close()
