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

The tables are in `tables`, the file in `database`, what machines share in `postgres`; `rescue` is where
a ticket goes when the ledger cannot be written, `daybook` what all projects of a user spend in a day.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secondunit.durable import make_folder
from secondunit.errors import DiskTrouble, SecondUnitError, UsageError
from secondunit.ledger import rows
from secondunit.ledger.database import Database
from secondunit.ledger.records import Allowance, Evidence, Intent, Order
from secondunit.ledger.refusals import Changed, misfit, refusal
from secondunit.ledger.rescue import Rescue, TicketLog, facts_of, found_ticket, from_slate, line_of
from secondunit.ledger.tables import FREE, REBUILT, VERSION, BrokenPromise, are_kept, begin

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from secondunit.ledger.daybook import Daybook
    from secondunit.ledger.rows import Books, Link

__all__ = ["BLOCKING", "OPEN", "Allowance", "Evidence", "Intent", "Ledger", "Order"]

BLOCKING = ("intent", "doubt", "open", "made", "kept", "lost")
OPEN = ("open", "made")
OF_TICKET = "WHERE gateway = ? AND ticket = ?"


class Ledger:
    """The orders of a project, or of all that share `books`. Safe to use from several threads."""

    def __init__(
        self, path: Path, daybook: Daybook | None = None, books: Books | None = None
    ) -> None:
        """Open the ledger at `path`, or begin it. Raises DiskTrouble, UsageError.

        With `books` that database is the ledger, and only the files beside it lie in that folder.
        """
        self.path = path
        self._file: Books = books or Database(path, VERSION, begin, are_kept)
        self._rescue = Rescue(path.with_name("rescue.jsonl"))
        self._tickets = TicketLog(path.with_name("tickets.jsonl"))
        self._daybook = daybook

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._rescue.close()

    def hold(self, film: str) -> None:
        """Hold a film until `close`; on books that are shared nothing of it is ordered otherwise.

        Raises Locked while another worker holds it.
        """
        self._file.hold(film)

    def alone_at(
        self, gateway: str, given_up: Callable[[], bool] = lambda: False
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Be the only one of all who share the books that orders at a gateway.

        What is lent says whether that holds; it does not where it was `given_up` before its turn
        came, or once the connection was lost.
        """
        return self._file.alone_at(gateway, given_up)

    def prepare(self) -> tuple[Order, ...]:
        """Make ready for a run, which holds the project: nothing of an earlier run is left hanging.

        Tickets that only the files beside it know are written down, intents of a dead run are put in
        doubt (and returned), a copy is kept, and room is made for tickets on a disk that fills up.
        """
        with self._file.mapped():
            make_folder(self.path.parent, private=True)
            self._take_tickets()
            left = self._orders("WHERE state = 'intent'")
            elsewhere = self._file.held_elsewhere()
            doubts, why = [], "the run ended while it was being ordered"
            for order in left:
                if order.film not in elsewhere:
                    with suppress(Changed):  # its run has ended it at the last moment
                        doubts.append(self.doubted(order, why))
            self._file.back_up(self._changes())
            self._file.warm()
            self._rescue.prepare()
        return tuple(doubts)

    # --- writing ------------------------------------------------------------------------------

    def intend(self, intent: Intent, allowance: Allowance) -> Order:
        """Write down an order before it is sent, its price reserved in the same commit.

        Raises OverBudget when the price does not fit, and SecondUnitError when the same thing is
        already on order; nothing is written then.
        """
        now = _now()
        evidence = json.dumps(asdict(intent.evidence)) if intent.evidence else None
        facts = {
            **asdict(intent), "request": json.dumps(intent.request), "state": "intent",
            "ordered_at": now, "changed_at": now, "evidence": evidence,
            "film_cap": allowance.film, "run_cap": allowance.run, "shot_cap": allowance.shot,
        }  # fmt: skip
        del facts["takes"]
        if self._file.shared:
            facts["day_cap"] = allowance.day
        try:
            with self._file.commit() as db:
                self._file.see_held(db, intent.film)
                if allowance.shot is not None:
                    facts["shot_cap"] = max(0, allowance.shot - rows.of_takes(db, intent))
                number = rows.insert(db, facts, now)
                if self._daybook is not None and intent.gateway != FREE:
                    self._daybook.reserve(self._name(number, now), intent, allowance.day)
                return rows.get(db, number)
        except BrokenPromise as promise:
            with self._file.reading() as db:
                raise refusal(db, intent, allowance, str(promise)) from None
        except DiskTrouble:
            self._withdraw(intent, now)
            raise

    def opened(self, order: Order, ticket: str, estimate: int | None) -> Order:
        """Record the ticket of an order, and the most that the gateway says it may charge.

        Where the ledger cannot be written the ticket goes to the rescue file, from which the next
        run takes it; DiskTrouble says so.
        """
        facts = line_of(order, ticket, estimate)
        try:
            opened = self._move(order, "open", ticket=ticket, estimate=estimate)
        except (DiskTrouble, UsageError, Changed) as error:
            opened = self._opened_late(order, facts, error)
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
        ticket = slate.get("ticket")
        if not isinstance(ticket, str):
            return False
        now = _now()
        with self._file.commit() as db:
            where = "WHERE key = ? OR (gateway = ? AND ticket = ?)"
            known = rows.find(db, where, str(slate.get("key")), str(slate.get("gateway")), ticket)
            if not known:
                rows.insert(db, from_slate(slate, now), now)
        return not known

    def adopted(self, order: Order) -> bool:
        """Write down an order of another ledger; say whether it was missing here.

        Where the same is on order here already, it counts as spent and stands for nothing.
        """
        now = _now()
        with self._file.commit() as db:
            same = "WHERE key = ? AND ordered_at = ? OR gateway = ? AND ticket = ?"
            known = rows.find(db, same, order.key, order.ordered_at, order.gateway, order.ticket)
            if not known:
                twice = order.state in BLOCKING and _standing(db, order.key) is not None
                state = "replaced" if twice else order.state
                rows.insert(db, {**facts_of(order), "state": state}, now)
        return not known

    # --- reading ------------------------------------------------------------------------------

    def blocking(self, key: str) -> Order | None:
        """Return the order that stands for `key`: while there is one, nothing new is ordered."""
        with self._file.reading() as db:
            return _standing(db, key)

    def of(self, key: str) -> tuple[Order, ...]:
        """Return every order for `key`, oldest first."""
        return self._orders("WHERE key = ?", key)

    def every(self) -> tuple[Order, ...]:
        """Return every order, oldest first."""
        return self._orders("")

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
            return rows.total(db, gateway, film=film, run=run)

    def evidence(self, gateway: str, model: str, *, without: Order | None = None) -> Evidence:
        """Return what is booked and placed by now, leaving out one order.

        What a rebuilt ledger took from slates was paid for long before, and is left out too.
        """
        left_out = without.id if without else 0
        with self._file.reading() as db:
            booked, placed = db.execute(
                "SELECT coalesce(sum(cost), 0),"
                " count(*) FILTER (WHERE model = ? AND state NOT IN ('unsent', 'rejected'))"
                " FROM orders WHERE gateway = ? AND id != ? AND run != ?",
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

    def _withdraw(self, intent: Intent, now: str) -> None:
        """Take back what may have been written when the connection was lost; nothing was sent yet."""
        if not self._file.shared:
            return
        with suppress(SecondUnitError):
            for order in self.of(intent.key):
                if (order.state, order.run, order.ordered_at) == ("intent", intent.run, now):
                    self.unsent(order, "the ledger was out of reach before anything was sent")

    def _opened_late(self, order: Order, facts: dict[str, Any], error: SecondUnitError) -> Order:
        """Write down a ticket whose order another took for a dead one, or again on a new connection."""
        if not (self._file.shared or isinstance(error, Changed)):
            raise self._rescued(facts, error) from error
        try:
            self._take_ticket(facts)
            (found,) = self._of_ticket(facts)
        except SecondUnitError:
            raise self._rescued(facts, error) from error
        if found.key != order.key or found.state != "open":
            cause = "move" if found.key == order.key else "ticket"
            raise misfit(order, cause, facts["ticket"]) from error
        return found

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
            told = {type(line.get(name)) for name in ("key", "gateway", "ticket")}
            if told == {str} and not self._of_ticket(line):
                self._take_ticket(line)
        if rescued:
            for line in rescued:
                self._tickets.add(line)
            self._rescue.clear()

    def _take_ticket(self, line: dict[str, Any]) -> None:
        """Write a ticket down with the order that waits for it, or else by itself."""
        now, moved = _now(), None
        facts = found_ticket(line, now)
        with self._file.commit() as db:
            if rows.find(db, OF_TICKET, line["gateway"], line["ticket"]):
                return
            standing = _standing(db, line["key"])
            if standing is not None and standing.state in {"intent", "doubt"}:
                told = _known({"ticket": facts["ticket"], "estimate": facts["estimate"]})
                moved = rows.change(db, standing, "open", told, now)
            else:
                state = "open" if standing is None else "abandoned"
                rows.insert(db, {**facts, "state": state}, now)
        self._count(moved)

    def _move(self, order: Order, state: str, **facts: Any) -> Order:
        try:
            with self._file.commit() as db:
                moved = rows.change(db, order, state, _known(facts), _now())
        except BrokenPromise as promise:
            if (told := self._told_by_another(order, state)) is not None:
                return told
            raise misfit(order, str(promise), facts.get("ticket")) from None
        self._count(moved)
        return moved

    def _told_by_another(self, order: Order, state: str) -> Order | None:
        """Return the order where a worker that waits for the same ticket told of its end before us."""
        if not self._file.shared or state == "open":
            return None
        with self._file.reading() as db:
            now = rows.get(db, order.id)
        return now if now.state == state or (state, now.state) == ("made", "kept") else None

    def _count(self, order: Order | None) -> None:
        if self._daybook is not None and order is not None:
            self._daybook.corrected(self._name(order.id, order.ordered_at), order.cost)

    def _name(self, number: int, ordered_at: str) -> str:
        """Name an order for the daybook; numbers begin anew where a ledger was lost."""
        return f"{self.path}#{number}@{ordered_at}"

    def _of_ticket(self, line: dict[str, Any]) -> tuple[Order, ...]:
        return self._orders(OF_TICKET, line["gateway"], line["ticket"])

    def _orders(self, where: str, *values: Any) -> tuple[Order, ...]:
        with self._file.reading() as db:
            return rows.find(db, where, *values)


def _standing(db: Link, key: str) -> Order | None:
    marks = ", ".join("?" * len(BLOCKING))
    found = rows.find(db, f"WHERE key = ? AND state IN ({marks})", key, *BLOCKING)
    return found[0] if found else None


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
