"""Whether Prefect's server still follows a run, whether somebody stopped it there, and what is on."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State

PULSE = 2.0  # seconds between two questions about the run
SILENT = 6.0  # seconds of refusals after which the server counts as lost
BUSY = 40.0  # seconds for one that does not refuse and is slow: it may have much to do
SLOW = 10.0  # seconds that one answer may take
STOPPED = "Stopped on its page. What is on order goes on, and the next run picks it up."
GRACE = 3.0  # seconds for Prefect to let go of what is left or stopped


class Monitor:
    """Watches one run on its server, and lets nothing wait for a server that is gone.

    Prefect's client tries again for a minute at each request and for as long as an answer tells it
    to (prefect 3.8.8, client/base.py), at the start and the end of every task.
    """

    def __init__(
        self,
        tell: Callable[[object], None] = lambda _: None,
        left: Callable[[], str] = lambda: STOPPED,
    ) -> None:
        """Watch nothing yet; `tell` is told once why the server is gone.

        `left` says what goes on when somebody stopped the run.
        """
        self._tell, self._left_open = tell, left
        self.stopped = self.over = False
        self._lost = asyncio.Event()
        self._left = asyncio.Event()
        self._under_way: dict[object, asyncio.Future[Any]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._run = ""

    @property
    def lost(self) -> bool:
        """Whether the server is gone."""
        return self._lost.is_set()

    def lose(self, error: object) -> None:
        """Note that the server is gone."""
        if not self.lost:
            self._lost.set()
            self._tell(error)
        if self.over:
            self._left.set()

    def begin(self, run: str) -> None:
        """Watch the flow run `run`, which begins to shoot, unless the server is gone already."""
        if self._watch is None and not self.lost:
            self._run = run
            self._watch = asyncio.create_task(self._watched(UUID(run)))

    def end(self) -> None:
        """Note that the run has shot what it could."""
        self.over = True
        if self.lost:
            self._left.set()

    async def once(self, name: object, begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do a step that is not under way, or join the one that is; it ends for nobody who leaves."""
        step = self._under_way.get(name)
        if step is None:
            step = self._under_way[name] = asyncio.ensure_future(begin())
            step.add_done_callback(lambda _: self._under_way.pop(name))
        return await asyncio.shield(step)

    async def shown(self, call: Awaitable[Any]) -> Any:
        """Await something of Prefect's for as long as its server is there; None once it is gone."""
        return await _until(self._lost, call)

    async def follow(self, run: Awaitable[Any]) -> Any:
        """Await a flow run until it ends, is stopped on its pages, or ends without its server."""
        return await _until(self._left, run)

    async def close(self) -> None:
        """Stop watching; what is still under way is left to the next run."""
        ending = [t for t in (self._watch, *self._under_way.values()) if t is not None]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=GRACE)
        if self.stopped:
            await self._tell_stopped()

    # --- watching -----------------------------------------------------------------------------

    async def _watched(self, run: UUID) -> None:
        heard = time.monotonic()
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            while not self.lost:
                try:
                    async with get_client() as client:
                        while not self.lost:
                            async with asyncio.timeout(SLOW):
                                await self._ask(client, run)
                            heard = time.monotonic()
                            await asyncio.sleep(PULSE)
                except Exception as error:  # noqa: BLE001  whatever Prefect raises, it is no answer
                    slow = "Timeout" in type(error).__name__
                    if time.monotonic() - heard > (BUSY if slow else SILENT):
                        self.lose(error)
                await asyncio.sleep(PULSE)

    async def _ask(self, client: PrefectClient, run: UUID) -> None:
        state = (await client.read_flow_run(run)).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()) and not self.over:
            self.stopped = True
            self._left.set()

    async def _tell_stopped(self) -> None:
        """Close the run on its server; left alone it would be shown as crashed."""
        with suppress(Exception):
            async with asyncio.timeout(GRACE), get_client() as client:
                said = await asyncio.to_thread(self._left_open)
                state: State[Any] = Cancelled(message=said)
                await client.set_flow_run_state(UUID(self._run), state, force=True)


async def _until(event: asyncio.Event, call: Awaitable[Any]) -> Any:
    """Await `call` until `event` is set, and give it up then."""
    task, set_ = asyncio.ensure_future(call), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, set_}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        set_.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE)
