"""Tickets outside of the ledger: for when it cannot be written, and for when it is lost."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

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
