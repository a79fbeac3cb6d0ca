"""A flow that somebody wrote out, run by hand: `python film_flow.py`, and the exit code it ends with."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from secondunit import standby
from secondunit.errors import EXIT_INTERRUPTED, EXIT_SHOTS, SecondUnitError
from secondunit.flow import following, server, stopping
from secondunit.flow.monitor import Monitor
from secondunit.watch import say

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State

    from secondunit.flow.day import Day

from prefect.exceptions import FailedRun, TerminationSignal


class ByHand:
    """A run on this terminal, and the days that its flow has had."""

    def __init__(self) -> None:
        """Begin nothing yet."""
        self.monitor = Monitor(self._tell_lost)
        self.days: list[Day] = []

    async def shoot(self, flow: Flow[[], Any], *, temporary: bool) -> int:
        """Run `flow` to its end and return the exit code. Raises what its own work raises."""
        if not temporary:
            await server.ask()
        state: State[Any] | None = None
        try:
            state = await self._followed(flow)
        finally:
            if self.monitor.lost:
                server.forsake()
            else:
                shown = {day.run: day.steps.shown for day in self.days}
                await server.drain(shown, wait=temporary and state is not None)
        if self.monitor.stopped:
            return EXIT_INTERRUPTED
        why = await state.aresult(raise_on_failure=False) if state else None
        if isinstance(why, Exception) and not isinstance(why, FailedRun):
            raise why
        if not self.days or self.days[-1].troubles:
            return EXIT_SHOTS
        return standby.exit_code(self.days[-1].production)

    async def _followed(self, flow: Flow[[], Any]) -> State[Any] | None:
        """See the run to its end; where Prefect breaks it off, go on without Prefect.

        Returns None where Prefect did not say how it ended.
        """
        run: Any = flow(return_state=True)
        try:
            state: State[Any] | None = await self.monitor.follow(run)
            if state is None or not state.is_crashed():
                return state
            trouble: object = await state.aresult(raise_on_failure=False)
        except Exception as error:  # noqa: BLE001  the flow's own errors are in its state; this is Prefect's
            trouble = error
        self.monitor.lose(trouble)
        if not (self.monitor.over or self.monitor.stopped):
            await flow.fn()
        return None

    def _tell_lost(self, error: object) -> None:
        if self.days:
            following.tell_lost(self.days[-1].production, error)
        else:
            server.forsake()
            say(f"Prefect {following.lost(error)}.", error=True)


by_hand: ContextVar[ByHand] = ContextVar("by_hand")


def main(flow: Flow[[], Any]) -> int:
    """Run a flow that was written out, as `python` does, and return the exit code."""
    run = ByHand()
    by_hand.set(run)
    try:
        with stopping.as_interrupt(), server.running() as temporary:
            return asyncio.run(run.shoot(flow, temporary=temporary))
    except SecondUnitError as error:
        say(str(error), error=True)
        return error.exit_code
    except (KeyboardInterrupt, TerminationSignal, asyncio.CancelledError):
        say("Interrupted. Nothing on order is lost: run it again to go on.", error=True)
        return EXIT_INTERRUPTED
