"""Opens a backlot: its rooms, its routes and its socket, inside a run or on its own."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from secondunit import catalog
from secondunit.backlot.book import Book
from secondunit.backlot.desk import Desk
from secondunit.backlot.faults import Plan
from secondunit.backlot.floor import Floor
from secondunit.backlot.gate import Gate, error
from secondunit.backlot.links import Links
from secondunit.backlot.props import PropRoom
from secondunit.backlot.stage import Stage
from secondunit.durable import disk_trouble
from secondunit.errors import Locked, UsageError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from secondunit.backlot.rules import Rules

HOST = "127.0.0.1"
_PATIENCE = 30.0  # seconds for the thread to come up
_BACKLOG = 2048
_QUIET = logging.getLogger("secondunit.backlot.wire")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


def create_app(home: Path, rules: Rules) -> Starlette:
    """Return the server as an ASGI application over the records in `home`.

    Raises DiskTrouble where `home` cannot be used, Locked where another backlot uses it.
    """
    home = home.absolute()
    with disk_trouble(home):
        home.mkdir(parents=True, exist_ok=True)
        lock = _locked(home)
    try:
        return _assembled(home, rules, lock)
    except BaseException:
        os.close(lock)
        raise


def _assembled(home: Path, rules: Rules, lock: int) -> Starlette:
    book = Book(home / "book.sqlite")
    plan, stage = Plan(rules.faults, rules.seed), Stage(home, tiny=rules.render == "tiny")
    floor = Floor(home, book, stage, rules, catalog.load())
    links = Links(book.secret(), rules.url_seconds)
    props = PropRoom(home, book)
    desk = Desk(home, rules, catalog.load(), book, floor, props, plan, links)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        floor.resume()
        yield
        await floor.close()
        stage.close()
        book.close()
        os.close(lock)

    return Starlette(
        routes=_routes(desk),
        middleware=[Middleware(Gate, book=book, plan=plan)],
        exception_handlers={HTTPException: _as_json, Exception: _as_json},
        lifespan=lifespan,
    )


def _routes(desk: Desk) -> list[Route]:
    inside = desk.inside
    creates = [
        Route(f"/v1/{name}", inside(desk.create), methods=["POST"]) for name in catalog.ENDPOINTS
    ]
    return [
        *creates,
        Route("/v1/tasks/{id}", inside(desk.task), methods=["GET", "DELETE"]),
        Route("/v1/uploads", inside(desk.lend), methods=["POST"]),
        Route("/v1/organization", inside(desk.organization), methods=["GET"]),
        Route("/v1/organization/usage", inside(desk.usage), methods=["POST"]),
        Route("/uploads", desk.upload, methods=["POST"]),
        Route("/outputs/{task}/{file}", desk.output, methods=["GET"]),
        Route("/backlot/ledger", desk.ledger, methods=["GET"]),
        Route("/backlot/faults", desk.faults, methods=["GET", "POST", "DELETE"]),
    ]


async def _as_json(_: Request, problem: Exception) -> Response:
    if isinstance(problem, HTTPException):
        return error(problem.status_code, problem.detail, headers=problem.headers)
    return error(500, "The backlot has a fault of its own; the request is in its books.")


def _locked(home: Path) -> int:
    handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as busy:
        os.close(handle)
        raise Locked(
            f"Another backlot is using {home}. No money is involved. "
            "End that one, or give this one a folder of its own."
        ) from busy
    return handle


class _Line(H11Protocol):
    """Hands every request its connection, so that a fault can break it for real."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = _QUIET  # a broken connection is an error to uvicorn; here it was asked for

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=_Line,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )


def _bound(port: int) -> socket.socket:
    # With the protocol named, asyncio turns Nagle's algorithm off; else every answer takes 40 ms.
    wire = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        wire.bind((HOST, port))
        wire.listen(_BACKLOG)  # whoever hears of the address may call at once
    except (OSError, OverflowError) as problem:
        wire.close()
        raise UsageError(
            f"The backlot cannot listen on port {port}: {problem}. Nothing was ordered. "
            "Choose another port, or 0 for any that is free."
        ) from problem
    return wire


@contextmanager
def _opened(home: Path, rules: Rules, port: int) -> Iterator[tuple[uvicorn.Server, socket.socket]]:
    with _bound(port) as wire:
        yield _server(create_app(home, rules)), wire


@contextmanager
def running(home: Path, rules: Rules, port: int) -> Iterator[str]:
    """Serve in a thread of this process; yields the base URL. See `secondunit.backlot.running`."""
    with _opened(home, rules, port) as (server, wire):
        url = f"http://{HOST}:{wire.getsockname()[1]}"
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [wire]}, name="backlot", daemon=True
        )
        thread.start()
        try:
            _await_start(server, thread)
            yield url
        finally:
            server.should_exit = True
            thread.join()


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise UsageError("The backlot did not start. Nothing was ordered. Run it again.")
        time.sleep(0.002)


def serve(home: Path, rules: Rules, port: int, ready: Callable[[str], None]) -> None:
    """Serve in the foreground until Ctrl-C. See `secondunit.backlot.serve`."""
    with _opened(home, rules, port) as (server, wire), suppress(KeyboardInterrupt):
        ready(f"http://{HOST}:{wire.getsockname()[1]}")
        server.run(sockets=[wire])
