"""A run that is broken off from outside ends in order, and says which tickets go on."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import MissingContextError, Pause
from prefect.states import Cancelled

from secondunit.flow.unattended import on_order
from secondunit.interrupts import interrupt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from prefect.client.schemas.objects import State

    from secondunit.standby import Books

GRACE = 5.0  # seconds for the server to take it in; the process is about to end


@contextmanager
def as_interrupt() -> Iterator[None]:
    """Have SIGTERM end what a person runs as Ctrl-C does, while the block lasts.

    Prefect's own handler raises wherever the main thread is, where a transaction has just begun or
    in a callback of asyncio's, which loses it. A worker's runs keep it: with it they tell their
    worker that they were cancelled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@asynccontextmanager
async def told(books: Books) -> AsyncIterator[None]:
    """Say what goes on where the block is broken off by whoever runs the process.

    A worker of Prefect's stops a run that is cancelled on its page before that looks there itself;
    it then writes its own words into the state, and these stand in the log alone.
    """
    try:
        yield
    except (Exception, Pause):
        raise
    except BaseException:
        said = on_order(books.plan, books.ledger)
        with suppress(MissingContextError):
            get_run_logger().warning("Stopped from outside. %s", said)
        with suppress(Exception):
            await asyncio.wait_for(_close_cancelled(f"Stopped on its page. {said}"), GRACE)
        raise


async def _close_cancelled(said: str) -> None:
    """Write into the state of a cancelled run what goes on, before Prefect calls it crashed."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        return
    async with get_client() as client:
        state = (await client.read_flow_run(run.id)).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            left: State[Any] = Cancelled(message=said)
            await client.set_flow_run_state(run.id, left, force=True)
            run.state = left  # Prefect's engine leaves a run alone that it knows to have ended
