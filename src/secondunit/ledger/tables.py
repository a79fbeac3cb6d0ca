"""The ledger's tables, and the promises that the database itself keeps whatever program writes.

No key has two standing orders, no ticket two owners; no order is accepted beyond the caps it was
placed under; no order changes into a state that its own does not lead to.
"""

from __future__ import annotations

import sqlite3

VERSION = 2
REBUILT = "rebuilt"  # the run of orders that were taken from slates
MOVES = {
    "intent": ("open", "unsent", "rejected", "doubt"),
    "doubt": ("open", "unsent", "doubt", "abandoned", "replaced"),
    "open": ("made", "failed", "cancelled", "lost"),
    "made": ("made", "kept", "failed", "cancelled", "lost"),
    "kept": ("made", "failed", "cancelled", "lost"),
    "lost": ("open", "abandoned", "replaced"),
    "failed": ("replaced",),
    "cancelled": ("replaced",),
    "abandoned": ("replaced",),
    "unsent": (),
    "rejected": (),
    "replaced": (),
}
STATES = ", ".join(f"'{state}'" for state in MOVES)
FIRST = f"""
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
    state TEXT NOT NULL CHECK (state IN ({STATES})),
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
# Until the gateway says what it took, an order counts as the dearer of what was expected and what
# was announced. FREE orders cost nothing and count for no cap.
FREE = "backlot"
SECOND = f"""
ALTER TABLE orders DROP COLUMN cost;
ALTER TABLE orders ADD COLUMN cost INTEGER GENERATED ALWAYS AS (
    CASE WHEN state IN ('unsent', 'rejected') THEN 0
         ELSE max(0, coalesce(charged, max(coalesce(estimate, 0), reserved))) END) VIRTUAL;
ALTER TABLE orders ADD COLUMN evidence TEXT;
ALTER TABLE orders ADD COLUMN film_cap INTEGER;
ALTER TABLE orders ADD COLUMN run_cap INTEGER;
ALTER TABLE orders ADD COLUMN shot_cap INTEGER;
CREATE INDEX by_film ON orders (film);
CREATE INDEX by_run ON orders (run);
CREATE TABLE moves (before TEXT, after TEXT, PRIMARY KEY (before, after)) STRICT, WITHOUT ROWID;
CREATE TRIGGER only_moves BEFORE UPDATE OF state ON orders
WHEN NOT EXISTS (SELECT 1 FROM moves WHERE before = OLD.state AND after = NEW.state)
BEGIN SELECT RAISE(ABORT, 'move'); END;
CREATE TRIGGER within_film_cap BEFORE INSERT ON orders
WHEN NEW.film_cap < NEW.reserved + (SELECT coalesce(sum(cost), 0) FROM orders
    WHERE gateway != '{FREE}' AND film = NEW.film)
BEGIN SELECT RAISE(ABORT, 'cap of film'); END;
CREATE TRIGGER within_run_cap BEFORE INSERT ON orders
WHEN NEW.run_cap < NEW.reserved + (SELECT coalesce(sum(cost), 0) FROM orders
    WHERE gateway != '{FREE}' AND run = NEW.run)
BEGIN SELECT RAISE(ABORT, 'cap of run'); END;
CREATE TRIGGER within_shot_cap BEFORE INSERT ON orders
WHEN NEW.shot_cap < NEW.reserved + (SELECT coalesce(sum(cost), 0) FROM orders
    WHERE gateway != '{FREE}' AND film = NEW.film AND shot = NEW.shot)
BEGIN SELECT RAISE(ABORT, 'cap of shot'); END;
"""  # noqa: S608  names of our own


class BrokenPromise(Exception):
    """A write that would break a promise of the tables; the text names which."""


def begin(db: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version` (0: none) to `VERSION`, inside a transaction."""
    if version < 1:
        _run(db, FIRST)
    if version < 2:
        _run(db, SECOND)
        moves = [(before, after) for before, all_ in MOVES.items() for after in all_]
        db.executemany("INSERT INTO moves VALUES (?, ?)", moves)


def are_kept(db: sqlite3.Connection) -> bool:
    """Say whether the file has every promise of ours: a project from elsewhere may have dropped one."""
    fresh = sqlite3.connect(":memory:")
    try:
        begin(fresh, 0)
        return _promises(fresh) == _promises(db)
    finally:
        fresh.close()


def _promises(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    rules = (
        "SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql NOT NULL"
    )
    found = [tuple(row) for row in db.execute(rules)]
    return sorted(found + [tuple(row) for row in db.execute("SELECT before, after FROM moves")])


def _run(db: sqlite3.Connection, script: str) -> None:
    """Run statements one by one: `executescript` would end the transaction."""
    statement = ""
    for part in script.split(";"):
        statement += part
        if "BEGIN SELECT" in statement and not part.strip().endswith("END"):
            statement += ";"
            continue
        db.execute(statement)
        statement = ""
