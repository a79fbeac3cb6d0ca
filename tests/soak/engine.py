"""The engine as the soak runs it: the real command in a process to be killed, on a clock that jumps.

A forked process each time, from one that has loaded everything. Waits take no time: when nothing
is under way but waiting, the loop's clock jumps to the next thing to do. Nothing else is changed
but that no film is joined, since 500 clips would be encoded for nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import time
from typing import TYPE_CHECKING, Any

import av  # noqa: F401  loaded once, for all runs

from secondunit import cli, deciding, flow, media, production, shooting, take  # noqa: F401  the same
from secondunit.flow.monitor import Monitor
from secondunit.flow.steps import Steps
from secondunit.flow.walk import Walk
from secondunit.gateways import download, wire
from secondunit.plan import planner  # noqa: F401  the same
from secondunit.take import lane

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEFT = "left.json"
MOMENT = 0.002  # seconds given to sockets and threads before nothing counts as under way
PACE = take.Pace(
    settle=0.02, again=(20.0, 60.0)
)  # but for `settle`, which a thread sleeps, as it is


class Jumping(selectors.DefaultSelector):
    """Waits for sockets only as long as something is under way."""

    jumped = 0.0
    under_way = 0

    def select(self, timeout: float | None = None) -> Any:
        """Wait for events; when there can be none before `timeout`, be there at once."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(min(timeout, MOMENT))
        if not found and not self.under_way:
            Jumping.jumped += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps."""

    def __init__(self) -> None:
        """Select with jumps."""
        super().__init__(Jumping())

    def time(self) -> float:
        """Return the seconds that would have passed."""
        return time.monotonic() + Jumping.jumped

    def run_in_executor(self, *arguments: Any) -> Any:
        """Count what a thread does as under way."""
        future = super().run_in_executor(*arguments)
        Jumping.under_way += 1
        future.add_done_callback(_landed)
        return future


def _landed(_: object) -> None:
    Jumping.under_way -= 1


class Policy(asyncio.DefaultEventLoopPolicy):
    """Makes such loops."""

    def new_event_loop(self) -> Loop:
        """Make one."""
        return Loop()


def _counted(owner: type, name: str) -> None:
    """Count each call of a coroutine method as under way."""
    inner: Callable[..., Any] = getattr(owner, name)

    async def method(*arguments: Any, **named: Any) -> Any:
        Jumping.under_way += 1
        try:
            return await inner(*arguments, **named)
        finally:
            Jumping.under_way -= 1

    setattr(owner, name, method)


def shoot(film: production.Production, *, day: str) -> None:
    """Take every shot, as the flow does once Prefect's server is lost."""

    async def walk() -> None:
        monitor = Monitor()
        monitor.lose(None)
        walk = Walk(Steps(film, monitor))
        try:
            async with asyncio.TaskGroup() as group:
                for step in film.plan.steps:
                    group.create_task(walk.roll(step))
        finally:
            await film.unit.gateway.close()

    asyncio.run(walk())
    failures = [f"{type(e).__name__}: {e}" for e in film.failures.values()]
    page = {"left": len(film.missing()), "failures": failures, "virtual": Jumping.jumped}
    (film.project.root / LEFT).write_text(json.dumps(page))


def prepare() -> None:
    """Make this process one that soaks."""
    asyncio.set_event_loop_policy(Policy())
    for name in ("_asked", "fetch"):
        _counted(wire.WireGateway, name)
    _counted(lane.Lane, "order")
    take.Pace.to = staticmethod(lambda *, slow: PACE)  # type: ignore[method-assign,assignment]  # across the network, whatever the address
    flow.shoot = shoot
    download.certificates()


def run(argv: list[str], environment: dict[str, str], said: Path) -> None:
    """Be the command; what it prints goes to `said`."""
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, handle in enumerate((os.open(os.devnull, os.O_RDONLY), out, out)):
        os.dup2(handle, number)
    os.environ.update(environment)
    prepare()
    os._exit(cli._run(argv))
