"""Steps of a film as task runs of Prefect's, which go on without it once its server is lost."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from secondunit.errors import EXIT_DOUBT, Refused, SecondUnitError
from secondunit.flow import pages
from secondunit.flow.events import Events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Sequence

    from prefect import Task

    from secondunit.flow.monitor import Monitor
    from secondunit.plan import Step
    from secondunit.ports import Stage
    from secondunit.production import Production


class Steps:
    """Runs the steps of a production, and counts those that Prefect was told of."""

    def __init__(self, production: Production, monitor: Monitor) -> None:
        """Run steps of `production`, shown for as long as `monitor` has a server."""
        self.production = production
        self.monitor = monitor
        self.board = pages.Board(production)
        self.events = Events(production, lambda: not monitor.lost)
        self.shown = 0

    async def run(
        self, work: Task[Any, Any], name: str, upstream: Sequence[State[Any]], *arguments: Any
    ) -> State[Any]:
        """Run `work` as a task run, or by itself once the server is lost, and return how it ended.

        What Prefect itself breaks off is done again, so `work` has to be safe to repeat.
        """
        if not self.monitor.lost:
            self.shown += 1
            try:
                state = await self.monitor.shown(_called(work, name, upstream, arguments))
            except Exception as error:  # noqa: BLE001  the work's own errors are states; this is Prefect's
                self.monitor.lose(error)
            else:
                if isinstance(state, State) and not state.is_crashed():
                    return state
                self.monitor.lose(state)
        return await self._alone(work, arguments)

    async def show(self, page: Coroutine[Any, Any, None]) -> None:
        """Show a page in Prefect, as long as somebody could see it."""
        if self.monitor.lost:
            page.close()
        else:
            await self.monitor.shown(page)

    def tell_failure(self, step: Step) -> None:
        """Tell whoever watches what became of a step that failed."""
        error = self.production.failures.get(step.key)
        if error is None:
            return
        held = isinstance(error, Refused) and error.ticket
        stage: Stage = "in doubt" if error.exit_code == EXIT_DOUBT else "held" if held else "failed"
        detail = str(error).removeprefix(f"{step.shot} ").removeprefix(f"{step.shot}: ")
        self.production.watcher.saw(step.shot, stage, detail)

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
    run: Any = work.with_options(task_run_name=name.replace("{", "(").replace("}", ")"))
    call = partial(run, *arguments, return_state=True, wait_for=list(upstream))
    return call() if work.isasync else asyncio.to_thread(call)
