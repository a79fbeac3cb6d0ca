"""The daybook: what all of a user's projects may spend at paid gateways within 24 hours.

It belongs to the user and not to a project, so that no shot list from elsewhere can raise it. It
knows of the orders that were placed while a day's cap was set.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from secondunit.errors import DiskTrouble, OverBudget
from secondunit.ledger.database import Database
from secondunit.ledger.tables import BrokenPromise

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from secondunit.ledger.records import Intent

DAY = 86_400
TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    name TEXT PRIMARY KEY, gateway TEXT NOT NULL, credits INTEGER NOT NULL, at INTEGER NOT NULL,
    cap INTEGER
) STRICT
"""
GUARD = f"""
CREATE TRIGGER IF NOT EXISTS within_day_cap BEFORE INSERT ON orders
WHEN NEW.cap < NEW.credits + (SELECT coalesce(sum(credits), 0) FROM orders
    WHERE at > NEW.at - {DAY})
BEGIN SELECT RAISE(ABORT, 'cap of day'); END
"""  # noqa: S608  a number of our own


class Daybook:
    """The orders of a user's day, by a name that is theirs alone."""

    def __init__(self, path: Path) -> None:
        """Open the daybook at `path`, or begin it. Raises DiskTrouble."""
        self._file = Database(path, 1, _begin)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def reserve(self, name: str, intent: Intent, cap: int | None) -> None:
        """Count an order before it is placed. Raises OverBudget, and counts nothing then."""
        now = int(time.time())
        try:
            with self._file.commit() as db:
                db.execute(
                    "INSERT INTO orders VALUES (?, ?, ?, ?, ?)",
                    (name, intent.gateway, intent.reserved, now, cap),
                )
        except BrokenPromise:
            with self._file.reading() as db:
                row = db.execute(
                    "SELECT coalesce(sum(credits), 0) FROM orders WHERE at > ?", (now - DAY,)
                )
                spent = row.fetchone()[0]
            raise over_day(intent, spent, cap) from None

    def corrected(self, name: str, credits_: int) -> None:
        """Take over what an order counts for by now; where that fails the reservation stands."""
        with suppress(DiskTrouble), self._file.commit() as db:
            db.execute("UPDATE orders SET credits = ? WHERE name = ?", (credits_, name))


def over_day(intent: Intent, spent: int, cap: int | None) -> OverBudget:
    """Return the error for an order that the day's cap does not allow."""
    return OverBudget(
        f"{intent.shot} may cost {intent.reserved} credits, {spent} were spent or reserved in the last"
        f" 24 hours, and your `day_cap` is {cap}. It was not ordered. Raise it in your settings, or"
        " come back tomorrow."
    )


def _begin(db: sqlite3.Connection, _version: int) -> None:
    db.execute(TABLES)
    db.execute(GUARD)
