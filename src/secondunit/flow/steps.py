"""Steps of a film as task runs of Prefect's, which go on without it once its server is lost."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from secondunit.errors import EXIT_DOUBT, Refused, SecondUnitError
from secondunit.flow import pages
from secondunit.flow.events import Events
from secondunit.names import run_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Sequence

    from prefect import Task

    from secondunit.flow.monitor import Monitor
    from secondunit.plan import Step
    from secondunit.ports import Stage
    from secondunit.production import Production

# What the tasks of a run work on. It is handed over beside Prefect, because parameters of tasks are
# stored and shown, and a gateway with its key is neither to be stored nor shown.
at_work: ContextVar[Steps] = ContextVar("at_work")


class Steps:
    """Runs the steps of a production, and counts those that Prefect was told of."""

    def __init__(self, production: Production, monitor: Monitor) -> None:
        """Run steps of `production`, shown for as long as `monitor` has a server."""
        self.production = production
        self.monitor = monitor
        self.board = pages.Board(production)
        self.events = Events(production, lambda: not monitor.lost)
        self.shown = 0

    @asynccontextmanager
    async def film(self) -> AsyncIterator[None]:
        """Show and tell how the film begins and ends that is made within the block."""
        await self._show(self.board.before())
        yield
        self.events.film_ended()
        await self._show(self.board.after())

    async def run(
        self,
        work: Task[Any, Any],
        name: str,
        upstream: Sequence[State[Any]],
        *arguments: Any,
        own: bool = False,
    ) -> State[Any]:
        """Run `work` as a task run, or by itself once the server is lost, and return how it ended.

        What Prefect itself breaks off is done again, so `work` has to be safe to repeat. Only `own`
        work, which somebody wrote, may fail of anything but a SecondUnitError.
        """
        at_work.set(self)
        if not self.monitor.lost:
            self.shown += 1
            try:
                state = await self.monitor.shown(_called(work, name, upstream, arguments))
            except Exception as error:  # noqa: BLE001  the work's own errors are states; this is Prefect's
                self.monitor.lose(error)
            else:
                trouble = await _trouble(state, own=own)
                if isinstance(state, State) and trouble is None:
                    return state
                self.monitor.lose(trouble)
        return await self._alone(work, arguments)

    def ended(self, step: Step) -> None:
        """Tell whoever watches or listens what became of a step."""
        error = self.production.failures.get(step.key)
        if error is not None:
            held = isinstance(error, Refused) and error.ticket
            doubtful = error.exit_code == EXIT_DOUBT
            stage: Stage = "in doubt" if doubtful else "held" if held else "failed"
            detail = str(error).removeprefix(f"{step.shot} ").removeprefix(f"{step.shot}: ")
            self.production.watcher.saw(step.shot, stage, detail)
        self.events.ended(step)

    async def show_end(self, step: Step) -> None:
        """Show in Prefect that a step ended."""
        await self._show(self.board.advance(step))

    # --- inside -------------------------------------------------------------------------------

    async def _show(self, page: Coroutine[Any, Any, None]) -> None:
        """Show a page in Prefect, as long as somebody could see it."""
        if self.monitor.lost:
            page.close()
        else:
            await self.monitor.shown(page)

    async def _alone(self, work: Task[Any, Any], arguments: Sequence[Any]) -> State[Any]:
        """Do what Prefect would do, without it: try again what may pass, and say how it ended."""
        call = work.fn if work.isasync else partial(asyncio.to_thread, work.fn)
        for pause in (*self.production.unit.pace.again, None):
            try:
                done = await call(*arguments)
            except Exception as error:  # noqa: BLE001  as with Prefect: it is how the work ended
                done = Failed(message=str(error), data=error)
            state: State[Any] = done if isinstance(done, State) else Completed(data=done)
            why = state.data
            if pause is None or not (isinstance(why, SecondUnitError) and why.transient):
                break
            await asyncio.sleep(pause)
        return state


def _called(
    work: Task[Any, Any], name: str, upstream: Sequence[State[Any]], arguments: Sequence[Any]
) -> Awaitable[Any]:
    """Call a task for its state; one that is not async runs in a thread and holds up no other."""
    named: Any = copy(work)  # with_options would read the task's source again, in 2 ms a run
    named.task_run_name = run_name(name)
    call = partial(named, *arguments, return_state=True, wait_for=list(upstream))
    return call() if work.isasync else asyncio.to_thread(call)


async def _trouble(state: State[Any] | None, *, own: bool) -> BaseException | None:
    """Return what Prefect stumbled over; None where it was the work that ended so."""
    if state is None or state.is_completed() or (own and not state.is_crashed()):
        return None
    error = await state.aresult(raise_on_failure=False)
    return None if isinstance(error, SecondUnitError) else error
