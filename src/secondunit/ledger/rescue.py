"""Tickets outside of the ledger: for when it cannot be written, and for when it is lost."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secondunit.ledger.tables import REBUILT

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.ledger.records import Order

TOLD = ("key", "film", "run", "shot", "gateway", "endpoint", "model", "request")
ROOM = 65_536  # bytes; a line has some 400


class Rescue:
    """Room set aside beforehand, where a ticket still fits when the ledger fails."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`; nothing is touched before `prepare`."""
        self.path = path
        self._handle: int | None = None
        self._end = 0

    def prepare(self) -> None:
        """Set the room aside and hold the file open. Raises OSError."""
        self.close()
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, ROOM)
            self._end = len(os.pread(handle, ROOM, 0).rstrip(b"\0"))
            os.fsync(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle

    def write(self, facts: dict[str, Any]) -> None:
        """Write one line and have it reach the disk. Raises OSError."""
        if self._handle is None:
            self.prepare()
        assert self._handle is not None  # noqa: S101  prepared above, or it raised
        line = b"\n%b\n" % json.dumps(facts).encode()  # apart from half a line before it
        if self._end + len(line) > ROOM:
            raise OSError("the rescue file is full")
        if os.pwrite(self._handle, line, self._end) != len(line):
            raise OSError("the line was not written whole")
        os.fdatasync(self._handle)
        self._end += len(line)

    def lines(self) -> list[dict[str, Any]]:
        """Return what was written and not yet cleared."""
        return _lines(self.path)

    def clear(self) -> None:
        """Forget all lines, once the ledger has them. Raises OSError."""
        with self.path.open("r+b") as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
        self._end = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class TicketLog:
    """Every ticket once more, a line each: what a lost ledger had on order is known from here."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`."""
        self.path = path

    def add(self, facts: dict[str, Any]) -> None:
        """Write one line; it is a second copy, so nothing is raised where that fails."""
        with suppress(OSError):
            handle = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
            try:
                os.write(handle, b"%b\n" % json.dumps(facts).encode())
            finally:
                os.close(handle)

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines, oldest first."""
        return _lines(self.path)


def _lines(path: Path) -> list[dict[str, Any]]:
    """Read lines of JSON; half a line, left by a crash, is skipped. Raises OSError."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return [line for line in found if isinstance(line, dict)]


# --- orders from outside ------------------------------------------------------------------------


def line_of(order: Order, ticket: str, estimate: int | None) -> dict[str, Any]:
    """Return what has to be known of an order that has a ticket, as a line outside of the ledger."""
    names = (*TOLD, "reserved", "ordered_at")
    return {name: getattr(order, name) for name in names} | {"ticket": ticket, "estimate": estimate}


def found_ticket(line: dict[str, Any], now: str) -> dict[str, Any]:
    """Return the facts of an order that only such a line tells of; its state is not among them."""
    return {name: str(line.get(name) or "") for name in TOLD} | {
        "ticket": line["ticket"], "reserved": _whole(line.get("reserved")) or 0,
        "estimate": _whole(line.get("estimate")), "changed_at": now,
        "ordered_at": _time(line.get("ordered_at"), now),
        "reason": "its ticket was found beside the ledger",
    }  # fmt: skip


def from_slate(slate: dict[str, Any], now: str) -> dict[str, Any]:
    """Return the facts of an order that only the slate of its take tells of."""
    return {name: str(slate.get(name) or "") for name in TOLD} | {
        "run": REBUILT, "request": json.dumps(slate.get("request")), "state": "kept",
        "ticket": slate["ticket"], "reserved": _whole(slate.get("credits_estimated")) or 0,
        "charged": _whole(slate.get("credits_charged")), "reason": "rebuilt from its slate",
        "ordered_at": _time(slate.get("ordered_at"), now), "changed_at": now,
    }  # fmt: skip


def facts_of(order: Order) -> dict[str, Any]:
    """Return the facts of an order that another ledger knows, to be written down as they are."""
    facts = asdict(order)
    del facts["id"], facts["cost"]  # given by the ledger that it comes to
    return facts | {"evidence": json.dumps(facts["evidence"]) if order.evidence else None}


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _time(value: Any, now: str) -> str:
    try:
        return datetime.fromisoformat(value).astimezone(UTC).isoformat(timespec="milliseconds")
    except (TypeError, ValueError):
        return now
