"""The Prefect server of a run: the user's own, or a temporary one that cannot outlive the run."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from secondunit import orphans
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Set before Prefect is imported, and only where the user has not: no telemetry, no log on a
# terminal that is ours, a server that may start slowly, and writes to SQLite in batches, which
# otherwise stall each other.
DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "0.5",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
}
for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)

from prefect.client.orchestration import get_client  # noqa: E402  after the defaults
from prefect.settings import PREFECT_API_URL  # noqa: E402

DRAIN = 30.0  # seconds given to a temporary server to write down what it was told
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


@contextmanager
def running() -> Iterator[bool]:
    """Have a server for the time of a run; say whether it is a temporary one."""
    if PREFECT_API_URL.value():
        yield False
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    try:
        server.start()
    except RuntimeError as error:
        raise UsageError(
            f"Prefect's temporary server did not start ({error}). Nothing was ordered."
        ) from None
    process = server.server_process
    guard = orphans.guard(process.pid) if process else None
    try:
        yield True
    finally:
        server.stop()
        if guard and guard.stdin:
            guard.stdin.close()
            guard.wait()


async def ask() -> None:
    """Make sure that the user's server answers. Raises UsageError."""
    try:
        async with get_client() as client:
            trouble = await client.api_healthcheck()
    except Exception as error:  # noqa: BLE001  whatever Prefect raises, it means no server
        trouble = error
    if trouble is not None:
        raise UsageError(
            f"The Prefect server at {PREFECT_API_URL.value()} does not answer"
            f" ({type(trouble).__name__}). Start it, or unset PREFECT_API_URL to use a temporary one."
            " Nothing was ordered."
        )


async def drain(shown: Mapping[str, int], *, wait: bool) -> bool:
    """Hand over what is still to be told; with `wait`, until the server has written it down.

    A temporary server forgets what it has not written when it is stopped. `shown` counts the task
    runs of each flow run. Returns whether all of it arrived.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    await APILogHandler.aflush()
    drained = EventsWorker.drain_all()
    if inspect.isawaitable(drained):
        await drained
    if not wait:
        return True
    deadline = time.monotonic() + DRAIN
    while not await _all_written(shown):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.2)
    return True


async def _all_written(shown: Mapping[str, int]) -> bool:
    try:
        async with get_client() as client:
            for run, count in shown.items():
                question = {
                    "flow_runs": {"id": {"any_": [run]}},
                    "task_runs": {"state": {"type": {"any_": ENDED}}},
                }
                answer = await client.request("POST", "/task_runs/count", json=question)
                if answer.json() < count:
                    return False
    except Exception:  # noqa: BLE001  a server that is gone has written all it will ever write
        return False
    return True
