"""The ledger: the durable record of orders and money, and the only authority on what was bought.

An order is written down before its first byte is sent, together with what the account held, and
its ticket as soon as one comes back. What stands between the two when a run dies is in doubt: it
may have been charged, so it counts as spent and is never sent again until the account proves that
it was not charged, or a person decides.

    intent ──► open ──► made ──► kept          the gateway's ticket, its success, the file in the store
       │         │        └────► lost          the gateway forgot what it made
       │         └──► failed | cancelled | lost
       ├──► unsent | rejected                  certainly not ordered, costs nothing
       └──► doubt ──► unsent                   the account shows that it was not charged
              └─────► open | abandoned | replaced        decided by a person, with `settle`

The tables are in `tables`, the file in `database`; `rescue` is where a ticket goes when the ledger
itself cannot be written, `daybook` what all projects of a user spend in a day.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secondunit.errors import DiskTrouble, OverBudget, SecondUnitError, UsageError
from secondunit.ledger.database import Database
from secondunit.ledger.records import Allowance, Evidence, Intent, Order
from secondunit.ledger.rescue import Rescue, TicketLog
from secondunit.ledger.tables import FREE, VERSION, are_kept, begin

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.ledger.daybook import Daybook

__all__ = ["BLOCKING", "OPEN", "Allowance", "Evidence", "Intent", "Ledger", "Order"]

BLOCKING = ("intent", "doubt", "open", "made", "kept", "lost")
OPEN = ("open", "made")
TOLD = ("key", "film", "run", "shot", "gateway", "endpoint", "model", "request")
REBUILT = "rebuilt"  # the run of orders that were taken from slates


class Ledger:
    """The orders of a project. Safe to use from several threads."""

    def __init__(self, path: Path, daybook: Daybook | None = None) -> None:
        """Open the ledger at `path`, or begin it. Raises DiskTrouble, UsageError."""
        self.path = path
        self._file = Database(path, VERSION, begin, are_kept)
        self._rescue = Rescue(path.with_name("rescue.jsonl"))
        self._tickets = TicketLog(path.with_name("tickets.jsonl"))
        self._daybook = daybook

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._rescue.close()

    def prepare(self) -> tuple[Order, ...]:
        """Make ready for a run, which holds the project: nothing of an earlier run is left hanging.

        Tickets that only the files beside it know are written down, intents of a dead run are put in
        doubt (and returned), a copy is kept, and room is made for tickets on a disk that fills up.
        """
        with self._file.mapped():
            self._take_tickets()
            left = self._orders("WHERE state = 'intent'")
            doubts = tuple(
                self.doubted(o, "the run ended while it was being ordered") for o in left
            )
            self._file.back_up(self._changes())
            self._file.warm()
            self._rescue.prepare()
        return doubts

    # --- writing ------------------------------------------------------------------------------

    def intend(self, intent: Intent, allowance: Allowance) -> Order:
        """Write down an order before it is sent, its price reserved in the same commit.

        Raises OverBudget when the price does not fit, and SecondUnitError when the same thing is
        already on order; nothing is written then.
        """
        with self._file.commit() as db:
            now = _now()
            evidence = json.dumps(asdict(intent.evidence)) if intent.evidence else None
            facts = {
                **asdict(intent), "request": json.dumps(intent.request), "state": "intent",
                "ordered_at": now, "changed_at": now, "evidence": evidence,
                "film_cap": allowance.film, "run_cap": allowance.run, "shot_cap": allowance.shot,
            }  # fmt: skip
            try:
                number = _insert(db, facts)
            except sqlite3.IntegrityError as error:
                raise self._refusal(db, intent, allowance, str(error)) from None
            if self._daybook is not None and intent.gateway != FREE:
                self._daybook.reserve(self._name(number, now), intent, allowance.day)
            return self._get(db, number)

    def opened(self, order: Order, ticket: str, estimate: int | None) -> Order:
        """Record the ticket of an order, and the most that the gateway says it may charge.

        Where the ledger cannot be written the ticket goes to the rescue file, from which the next
        run takes it; DiskTrouble says so.
        """
        facts = _facts(order, ticket, estimate)
        try:
            opened = self._move(order, "open", ticket=ticket, estimate=estimate)
        except (DiskTrouble, UsageError) as error:
            raise self._rescued(facts, error) from error
        self._tickets.add(facts)
        return opened

    def found(self, order: Order) -> Order:
        """Record that the gateway knows a lost ticket again."""
        return self._move(order, "open")

    def unsent(self, order: Order, reason: str) -> Order:
        """Record that nothing left for the gateway, or that the account proves it was not taken."""
        return self._move(order, "unsent", reason=reason)

    def rejected(self, order: Order, reason: str) -> Order:
        """Record that the gateway refused the order."""
        return self._move(order, "rejected", reason=reason)

    def doubted(self, order: Order, reason: str) -> Order:
        """Record that the order may have arrived and that no ticket came back, or why it is so."""
        return self._move(order, "doubt", reason=reason)

    def made(self, order: Order, charged: int | None) -> Order:
        """Record that the gateway finished it, and what it charged."""
        return self._move(order, "made", charged=charged)

    def kept(self, order: Order) -> Order:
        """Record that its file is in the store."""
        return self._move(order, "kept")

    def ended(
        self, order: Order, state: str, reason: str, *, charged: int | None = None, code: str = ""
    ) -> Order:
        """Record that an order came to nothing: `state` is failed, cancelled or lost."""
        return self._move(order, state, reason=reason, charged=charged, failure_code=code)

    def abandoned(self, order: Order) -> Order:
        """Record a person's decision to give an order up; it still counts as spent."""
        return self._move(order, "abandoned", reason="given up")

    def replaced(self, order: Order) -> Order:
        """Record a person's decision to order the same again; the old order still counts as spent."""
        return self._move(order, "replaced")

    def restored(self, slate: dict[str, Any]) -> bool:
        """Write down a take that the store has and a lost ledger had; say whether it was missing."""
        known = self._orders(
            "WHERE key = ? OR (gateway = ? AND ticket = ?)",
            str(slate.get("key")), str(slate.get("gateway")), str(slate.get("ticket")),
        )  # fmt: skip
        if known or not isinstance(slate.get("ticket"), str):
            return False
        facts = {name: str(slate.get(name) or "") for name in TOLD} | {
            "run": REBUILT, "request": json.dumps(slate.get("request")), "state": "kept",
            "ticket": slate["ticket"], "reserved": _whole(slate.get("credits_estimated")) or 0,
            "charged": _whole(slate.get("credits_charged")), "reason": "rebuilt from its slate",
            "ordered_at": _time(slate.get("ordered_at")), "changed_at": _now(),
        }  # fmt: skip
        with self._file.commit() as db:
            _insert(db, facts)
        return True

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

    def of_gateway(self, gateway: str) -> tuple[Order, ...]:
        """Return every order at a gateway, of all films, oldest first."""
        return self._orders("WHERE gateway = ?", gateway)

    def on_order(self) -> tuple[Order, ...]:
        """Return the orders whose tickets are open, of all films and gateways."""
        return self._orders("WHERE state IN ('open', 'made')")

    def spent(self, gateway: str, *, film: str | None = None, run: str | None = None) -> int:
        """Return the credits that count as spent at a gateway, those in flight and in doubt too."""
        with self._file.reading() as db:
            return _sum(db, gateway, film=film, run=run)

    def evidence(self, gateway: str, model: str, *, without: Order | None = None) -> Evidence:
        """Return what is booked and placed by now, leaving out one order.

        What a rebuilt ledger took from slates was paid for long before, and is left out too.
        """
        left_out = without.id if without else None
        with self._file.reading() as db:
            booked, placed = db.execute(
                "SELECT coalesce(sum(cost), 0),"
                " count(*) FILTER (WHERE model = ? AND state NOT IN ('unsent', 'rejected'))"
                " FROM orders WHERE gateway = ? AND id IS NOT ? AND run != ?",
                (model, gateway, left_out, REBUILT),
            ).fetchone()
        return Evidence(booked=int(booked), placed=int(placed))

    def changed_since(self, order: Order) -> tuple[Order, ...]:
        """Return the other orders at a gateway of which anything was written after `order` was."""
        return self._orders(
            "WHERE gateway = ? AND id != ? AND id IN (SELECT order_id FROM history WHERE id >"
            " (SELECT min(id) FROM history WHERE order_id = ?))",
            order.gateway, order.id, order.id,
        )  # fmt: skip

    def is_empty(self) -> bool:
        """Say whether nothing was ever written here."""
        return not self._changes()

    # --- inside -------------------------------------------------------------------------------

    def _changes(self) -> int:
        with self._file.reading() as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM history").fetchone()[0])

    def _refusal(
        self, db: sqlite3.Connection, intent: Intent, allowance: Allowance, cause: str
    ) -> SecondUnitError:
        where: dict[str, tuple[int | None, dict[str, str], str]] = {
            "cap of film": (allowance.film, {"film": intent.film}, "this film may cost"),
            "cap of run": (allowance.run, {"run": intent.run}, "this run may spend"),
            "cap of shot": (
                allowance.shot, {"film": intent.film, "shot": intent.shot},
                "`budget.per_shot` allows",
            ),
        }  # fmt: skip
        if cause not in where:
            return SecondUnitError(
                f"{intent.shot} is already on order; it is not ordered twice. Run again."
            )
        limit, scope, words = where[cause]
        spent = _sum(db, None, **scope)
        return OverBudget(
            f"{intent.shot} may cost {intent.reserved} credits, {spent} are spent or"
            f" reserved, and {words} {limit}. It was not ordered. Raise the cap, or shoot less."
        )

    def _rescued(self, facts: dict[str, Any], error: SecondUnitError) -> DiskTrouble:
        shot, ticket = facts["shot"], facts["ticket"]
        try:
            self._rescue.write(facts)
        except OSError:
            return DiskTrouble(
                f"RESCUE shot={shot!r} ticket={ticket}: it was ordered and its ticket could"
                f" not be written down anywhere. Note it, make room, then run `secondunit settle"
                f" FILE {shot!r} --attach {ticket}`. {error}"
            )
        return DiskTrouble(
            f"{shot} was ordered; its ticket {ticket} is in {self._rescue.path}, because the"
            f" ledger could not be written. It is taken from there by the next run. {error}"
        )

    def _take_tickets(self) -> None:
        """Take over the tickets that only the files beside the ledger know: none is ever dropped."""
        rescued = self._rescue.lines()
        # the newest first: where a take was ordered twice, the first order had failed
        for line in reversed((*self._tickets.lines(), *rescued)):
            if {type(line.get(name)) for name in ("key", "gateway", "ticket")} == {str}:
                self._take_ticket(line)
        if rescued:
            for line in rescued:
                self._tickets.add(line)
            self._rescue.clear()

    def _take_ticket(self, line: dict[str, Any]) -> None:
        ticket = line["ticket"]
        if self._orders("WHERE gateway = ? AND ticket = ?", line["gateway"], ticket):
            return
        standing = self.blocking(line["key"])
        if standing is not None and standing.state in {"intent", "doubt"}:
            self._move(standing, "open", ticket=ticket, estimate=_whole(line.get("estimate")))
            return
        now = _now()
        facts = {name: str(line.get(name) or "") for name in TOLD} | {
            "ticket": ticket, "reserved": _whole(line.get("reserved")) or 0,
            "estimate": _whole(line.get("estimate")), "ordered_at": _time(line.get("ordered_at")),
            "changed_at": now, "state": "open" if standing is None else "abandoned",
            "reason": "its ticket was found beside the ledger",
        }  # fmt: skip
        with self._file.commit() as db:
            _insert(db, facts)

    def _move(self, order: Order, state: str, **facts: Any) -> Order:
        facts = {k: v for k, v in facts.items() if v is not None}
        columns = "".join(f", {name} = ?" for name in facts)
        with self._file.commit() as db:
            try:
                row = db.execute(
                    f"UPDATE orders SET state = ?, changed_at = ?{columns}"  # noqa: S608  our own names
                    " WHERE id = ? AND state = ?",
                    (state, _now(), *facts.values(), order.id, order.state),
                )
            except sqlite3.IntegrityError as error:
                raise _misfit(order, str(error), facts.get("ticket")) from None
            if row.rowcount != 1:
                raise _misfit(order, "move", None)
            _note(db, order.id, state, str(facts.get("reason", "")))
            moved = self._get(db, order.id)
        if self._daybook is not None:
            self._daybook.corrected(self._name(order.id, order.ordered_at), moved.cost)
        return moved

    def _name(self, number: int, ordered_at: str) -> str:
        """Name an order for the daybook; numbers begin anew where a ledger was lost."""
        return f"{self.path}#{number}@{ordered_at}"

    def _get(self, db: sqlite3.Connection, number: int) -> Order:
        return _order(db.execute("SELECT * FROM orders WHERE id = ?", (number,)).fetchone())

    def _orders(self, where: str, *values: Any) -> tuple[Order, ...]:
        with self._file.reading() as db:
            rows = db.execute(f"SELECT * FROM orders {where} ORDER BY id", values)  # noqa: S608  our own words
            return tuple(map(_order, rows))


def _order(row: sqlite3.Row) -> Order:
    facts = {name: row[name] for name in Order.__dataclass_fields__}
    evidence = facts.pop("evidence")
    return Order(**facts, evidence=Evidence(**json.loads(evidence)) if evidence else None)


def _insert(db: sqlite3.Connection, facts: dict[str, Any]) -> int:
    names, marks = ", ".join(facts), ", ".join("?" * len(facts))
    row = db.execute(f"INSERT INTO orders ({names}) VALUES ({marks})", tuple(facts.values()))  # noqa: S608  our own names
    number = row.lastrowid or 0
    _note(db, number, facts["state"], facts.get("reason", ""))
    return number


def _note(db: sqlite3.Connection, order: int, state: str, reason: str) -> None:
    db.execute(
        "INSERT INTO history (order_id, state, reason, at) VALUES (?, ?, ?, ?)",
        (order, state, reason, _now()),
    )


def _sum(db: sqlite3.Connection, gateway: str | None, **scope: str | None) -> int:
    """Add up what counts as spent; without a `gateway`, at all that cost money."""
    wanted = {name: value for name, value in scope.items() if value is not None}
    also = "".join(f" AND {name} = ?" for name in wanted)
    which = "gateway != ?" if gateway is None else "gateway = ?"
    total = db.execute(
        f"SELECT coalesce(sum(cost), 0) FROM orders WHERE {which}{also}",  # noqa: S608  our own names
        (gateway or FREE, *wanted.values()),
    ).fetchone()[0]
    return int(total)


def _facts(order: Order, ticket: str, estimate: int | None) -> dict[str, Any]:
    """Return what has to be known of an order that has a ticket, as a line outside of the ledger."""
    names = (*TOLD, "reserved", "ordered_at")
    return {name: getattr(order, name) for name in names} | {"ticket": ticket, "estimate": estimate}


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _time(value: Any) -> str:
    try:
        return datetime.fromisoformat(value).astimezone(UTC).isoformat(timespec="milliseconds")
    except (TypeError, ValueError):
        return _now()


def _misfit(order: Order, cause: str, ticket: str | None) -> SecondUnitError:
    if cause == "move":
        return SecondUnitError(
            f"The order of {order.shot} changed under this run; nothing more was done with it. Run"
            " again."
        )
    return SecondUnitError(
        f"The gateway gave {order.shot} the ticket {ticket}, which another order already has. Look"
        " at both on the gateway's own page."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
