"""The backlot: a free stand-in for Runway's API on this machine, in its wire format, key-less.

It takes the same requests as the real thing, refuses what that would refuse, draws animatics
instead of generating, keeps books of what it would have charged, and breaks on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from secondunit.backlot.faults import Fault, parse_fault
from secondunit.backlot.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from starlette.applications import Starlette

__all__ = ["Fault", "Rules", "create_app", "parse_fault", "running", "serve"]

# The server's libraries are loaded when one is opened, so that `check` and `plan` stay instant.


def create_app(home: Path, rules: Rules | None = None) -> Starlette:
    """Return the server as an ASGI application whose records are in `home`.

    Raises DiskTrouble where `home` cannot be used, Locked where another backlot uses it.
    """
    from secondunit.backlot import server

    return server.create_app(home, rules or Rules())


def running(home: Path, rules: Rules | None = None, port: int = 0) -> AbstractContextManager[str]:
    """Serve in a thread of this process and give the base URL, `http://127.0.0.1:PORT`.

    Port 0 takes one that is free. On leaving, the server and its workers are gone; tasks that
    were open go on when the same `home` is opened again. Raises DiskTrouble, Locked, and
    UsageError where the port cannot be had.
    """
    from secondunit.backlot import server

    return server.running(home, rules or Rules(), port)


def serve(
    home: Path,
    rules: Rules | None = None,
    port: int = 0,
    ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve in the foreground until Ctrl-C or SIGTERM; `ready` is told the base URL first.

    Raises as `running` does.
    """
    from secondunit.backlot import server

    server.serve(home, rules or Rules(), port, ready)
