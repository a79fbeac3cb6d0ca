"""The ledger's file: SQLite, opened so that a commit that returned is on the disk, and kept so."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from secondunit.durable import is_remote, make_folder, sync
from secondunit.errors import DiskTrouble, UsageError
from secondunit.ledger.tables import BrokenPromise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secondunit.ledger.rows import Link

BACKUPS = 5
PATIENCE = 10.0  # seconds that others may be busy
# A row that does not fit grows the journal; it is grown once and then overwritten in place.
WARM = """
BEGIN; CREATE TABLE warm (b BLOB); INSERT INTO warm VALUES (zeroblob(200000)); DROP TABLE warm;
COMMIT; PRAGMA wal_checkpoint(RESTART);
"""


class Database:
    """One SQLite file. Safe to use from several threads; every trouble is a sentence."""

    shared = False  # who writes here during a run holds the project

    def __init__(
        self,
        path: Path,
        version: int,
        begin: Callable[[sqlite3.Connection, int], None],
        sound: Callable[[sqlite3.Connection], bool] = lambda _: True,
    ) -> None:
        """Open the file at `path`, or begin it.

        `begin` brings the tables from the version it is given (0: a new file) to `version`, and
        `sound` says whether they are as it leaves them. Raises DiskTrouble, UsageError.
        """
        self.path = path
        self._lock = threading.RLock()
        with self.mapped(), ExitStack() as undo:
            _private(path)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            undo.callback(self._db.close)
            self._prepare(version, begin)
            if not sound(self._db):
                raise self._damaged()
            undo.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def warm(self) -> None:
        """Grow the journal before a run, so that a ticket still fits on a disk that has filled up."""
        with self._lock, self.mapped():
            self._db.executescript(WARM)

    def back_up(self, mark: int) -> None:
        """Keep a copy named after `mark`, which grows with the content, and the newest `BACKUPS`.

        Where the disk is full there is none.
        """
        copy = self.path.with_name(f"{self.path.stem}.bak-{mark}")
        if copy.exists():
            return
        part = self.path.with_name(f"{self.path.stem}.copying")
        with self._lock, suppress(sqlite3.Error, OSError):
            try:
                part.unlink(missing_ok=True)
                _private(part)
                self._db.execute("VACUUM INTO ?", (str(part),))
                sync(part)
                part.replace(copy)
                sync(copy.parent)
            finally:  # half a copy would be taken for a whole one
                part.unlink(missing_ok=True)
            for old in copies_of(self.path)[:-BACKUPS]:
                old.unlink()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for reading."""
        with self._lock, self.mapped():
            yield self._db

    @contextmanager
    def commit(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for one transaction; it is on the disk when the block has ended."""
        with self._lock, self.mapped():
            try:
                self._db.execute("BEGIN IMMEDIATE")  # a signal may raise as soon as it has begun
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """Turn what SQLite says into BrokenPromise, DiskTrouble, or UsageError for a damaged file."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise BrokenPromise(str(error)) from None
        except sqlite3.DatabaseError as error:
            cause = getattr(error, "sqlite_errorname", "")  # only errors of SQLite itself have one
            if cause.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise self._damaged() from error
            raise DiskTrouble(
                f"The ledger {self.path} cannot be written ({error}). Make room or repair the disk,"
                " then run again; nothing is ordered without it."
            ) from error
        except OSError as error:
            raise DiskTrouble(
                f"The folder {self.path.parent} cannot be used ({error.strerror}). Nothing was ordered."
            ) from error

    def hold(self, film: str) -> None:
        """Hold a film: nothing to do, the project is held."""

    def see_held(self, db: Link, film: str) -> None:
        """See that a film is held: the project is."""

    def held_elsewhere(self) -> frozenset[str]:
        """Return the films that others hold: there are no others."""
        return frozenset()

    @contextmanager
    def alone_at(self, *_: object) -> Iterator[Callable[[], bool]]:
        """Be the only one who orders: the project is held."""
        yield lambda: True

    def _prepare(self, version: int, begin: Callable[[sqlite3.Connection, int], None]) -> None:
        db = self._db
        remote = is_remote(self.path)  # WAL needs memory that all who write share
        journal = ("journal_mode=DELETE", "synchronous=EXTRA") if remote else (
            "journal_mode=WAL", "synchronous=FULL")  # fmt: skip
        for pragma in ("busy_timeout=10000", *journal, "foreign_keys=ON", "trusted_schema=OFF",
                       "fullfsync=1", "checkpoint_fullfsync=1"):  # fmt: skip
            self._patiently(f"PRAGMA {pragma}")
        found = self._version()
        if found > version:
            raise UsageError(
                f"{self.path} was written by a newer Second Unit (ledger version {found}, this"
                f" one reads {version}). Update Second Unit. Nothing was ordered."
            )
        if found and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise self._damaged()
        if found < version:
            with self.commit():
                begin(db, self._version())  # another process may have been quicker
                db.execute(f"PRAGMA user_version={version}")

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _patiently(self, statement: str) -> None:
        """Try for as long as others are busy: turning a new file to WAL, SQLite itself does not wait."""
        last = time.monotonic() + PATIENCE
        while True:
            try:
                self._db.execute(statement)
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > last:
                    raise
                time.sleep(0.01)
            else:
                return

    def _damaged(self) -> UsageError:
        return UsageError(
            f"{self.path} is damaged and is the only record of what was bought. Put a copy in its"
            " place, without the -wal and -shm files beside it, or move all of them away and run"
            f" `secondunit rebuild FILE`.{newest_copy(self.path)} Nothing was ordered."
        )


def copies_of(path: Path) -> list[Path]:
    """Return the copies that were kept of the file at `path`, oldest first."""
    found = path.parent.glob(f"{path.stem}.bak-*")
    return sorted(found, key=lambda copy: copy.stat().st_mtime_ns)


def newest_copy(path: Path) -> str:
    """Return a sentence that names the newest copy of the file at `path`, if there is one."""
    copies = copies_of(path)
    return f" The newest copy of it is {copies[-1]}." if copies else ""


def _private(path: Path) -> None:
    """Have a file that only its owner may read; SQLite gives its journals the same rights."""
    make_folder(path.parent, private=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
