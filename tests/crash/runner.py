"""A process that has loaded everything once, and forks for each run of the real command.

Reads one JSON document a line, an order as `Scene.order` describes it; answers `{"pid"}` when the
run has been forked and `{"code", "seconds"}` when it has ended. Unless an order asks for `prefect`
the film is walked without it, as the flow itself does when its server is lost, and clips are
conformed in a thread, because a worker process costs more than all the rest. All else is the
command itself.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import av  # noqa: F401  loaded once, for all runs
import moviepy  # noqa: F401  loaded once, for all runs
import typer
from points import Points

from secondunit import cli, flow, media, planning, production, shooting, workers  # noqa: F401  loaded once, for all runs
from secondunit.backlot import server as _server  # noqa: F401  loaded once, for all runs
from secondunit.flow.monitor import Monitor
from secondunit.flow.steps import Steps
from secondunit.flow.walk import Walk
from secondunit.gateways import download
from secondunit.plan import planner  # noqa: F401  loaded once, for all runs
from secondunit.take.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds that a run may take before it counts as hung
PACE = {
    "poll": 0.005,
    "unknown": 0.5,
    "outage": 3.0,
    "retry": 0.01,
    "calm": 0.1,
    "settle": 0.1,
    "ripe": 0.05,
}
QUICK = Pace(**PACE, again=(0.01, 0.02))


class Thread(ThreadPoolExecutor):
    """One thread in place of worker processes."""

    _processes: ClassVar[dict[int, Any]] = {}  # none that could be ended


def shoot_plainly(film: production.Production, *, day: str) -> None:
    """Walk the plan as the flow does once Prefect's server is lost."""

    async def walk() -> None:
        monitor = Monitor()
        monitor.lose(None)
        try:
            await Walk(Steps(film, monitor)).shoot()
        finally:
            await film.unit.gateway.close()

    asyncio.run(walk())


def without_prefect() -> None:
    """Walk films plainly, in this process alone."""
    flow.shoot = shoot_plainly
    workers.ProcessPoolExecutor = lambda *_, **__: Thread(1)  # type: ignore[assignment,misc]  # a thread does their work


def _once(inner: Callable[..., Any]) -> Callable[..., Any]:
    plans: dict[str, Any] = {}

    def compiled(*choices: Any) -> Any:
        if str(choices) not in plans:
            plans[str(choices)] = inner(*choices)
        return plans[str(choices)]

    return compiled


def prepared() -> Points:
    """Make this process ready to fork runs."""
    Pace.to = staticmethod(lambda *, slow: QUICK)  # type: ignore[method-assign,assignment]  # patience is not tested here
    cli.app = typer.main.get_command(cli.app)  # type: ignore[assignment]  # built once: it takes 40 ms
    planning.compiled = _once(planning.compiled)
    download.certificates()
    points = Points()
    points.install()
    gc.freeze()
    return points


def run(points: Points, order: dict[str, Any]) -> None:
    """Be the run: this is the child, and it never returns."""
    _redirect(order)
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # whoever started the tests may ignore it
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for number in order.get("ignored", ()):
        signal.signal(number, signal.SIG_IGN)
    if order.get("prefect"):
        del sys.modules["__main__"].__file__  # a worker need not load what this process has
    else:
        without_prefect()
    if order.get("trail"):
        points.trail = os.open(order["trail"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    points.stop = order.get("stop", "")
    points.signals = tuple(order.get("signals") or (signal.SIGKILL,))
    if order.get("gate"):
        Path(order["gate"]).read_bytes()
    code = cli._run(order["argv"])
    with suppress(OSError):  # of a disk that takes no more
        sys.stdout.flush()
    os._exit(code)


def _redirect(order: dict[str, Any]) -> None:
    out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if order.get("unheard"):
        end, out = os.pipe()
        os.close(end)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate((nothing, out, out)):
        os.dup2(handle, number)


def ended(pid: int) -> int:
    """Wait for a run; its exit code, negative for a signal, 1000 where it hung."""
    deadline = time.monotonic() + PATIENCE
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 1000
        time.sleep(0.001)


def main() -> None:
    """Serve until standard input ends."""
    points = prepared()
    tell = os.fdopen(os.dup(1), "w")
    print(json.dumps({"names": sorted(points.names)}), file=tell, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if file := order.get("plan"):
            planning.compiled(file, "runway", None, None, None)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            try:
                run(points, order)
            finally:
                os._exit(70)
        print(json.dumps({"pid": pid}), file=tell, flush=True)
        answer = {"code": ended(pid), "seconds": time.monotonic() - began}
        print(json.dumps(answer), file=tell, flush=True)


if __name__ == "__main__":
    main()
