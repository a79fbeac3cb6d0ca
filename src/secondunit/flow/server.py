"""The Prefect server of a run: the user's own, or a temporary one that cannot outlive the run."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


DRAIN = 30.0  # seconds given to a temporary server to write down what it was told
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


@contextmanager
def running() -> Iterator[bool]:
    """Have a server for the time of a run; say whether it is a temporary one. Raises UsageError."""
    logging.raiseExceptions = (
        False  # what cannot be logged in Prefect is no matter for the terminal
    )
    if PREFECT_API_URL.value():
        yield False
        return
    with _temporary() as api, temporary_settings({PREFECT_API_URL: api}):
        yield True


@contextmanager
def _temporary() -> Iterator[str]:
    keeper = subprocess.Popen(  # noqa: S603  our own program
        [sys.executable, str(Path(__file__).with_name("temporary.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    with keeper:
        told = keeper.stdout.readline().strip() if keeper.stdout else ""
        if not told.startswith("http://"):
            raise UsageError(
                f"Prefect's temporary server did not start ({told or 'it gives no reason'})."
                " Nothing was ordered."
            )
        yield told


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


async def relieve(marker: Path, run: str, name: str) -> None:
    """Note in `marker` that `run` is at work, and close the run that was killed before it could.

    Without this a killed run would be shown as running for ever.
    """
    try:
        left = _swapped(marker, run)
        if not left or left == run:
            return
        async with get_client() as client:
            state = (await client.read_flow_run(UUID(left))).state
            if state is not None and not (state.is_final() or state.is_paused()):
                message = f"It ended without a word; “{name}” goes on with its shots."
                await client.set_flow_run_state(UUID(left), Crashed(message=message), force=True)
    except Exception as error:  # noqa: BLE001  what Prefect shows of an old run never stops a new one
        logging.getLogger(__name__).debug("old run not closed: %r", error)


def _swapped(marker: Path, run: str) -> str:
    left = marker.read_text("utf-8").strip() if marker.exists() else ""
    marker.write_text(run, "utf-8")
    return left


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


def forsake() -> None:
    """Let Prefect's workers drop what they still had to tell a server that is gone.

    Left alone they try each event eleven times, a second apart, and hold the program's end for it
    (prefect 3.8.8, events/clients.py, _internal/concurrency/services.py).
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    services: tuple[Any, ...] = (EventsWorker, APILogWorker)
    for service in services:
        for worker in tuple(service._instances.values()):  # noqa: SLF001  there is no other door
            task, loop = worker._task, worker._loop  # noqa: SLF001  as above
            worker._stop(at_exit=True)  # noqa: SLF001  as above
            if task is not None and loop is not None:
                loop.call_soon_threadsafe(task.cancel)
