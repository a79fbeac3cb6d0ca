"""What becomes of a run that Prefect begins late, too early, or again and again."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import Completed, Failed, Scheduled

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State

    from secondunit.errors import Locked

LATE = timedelta(minutes=5)  # what a scheduled run may be late and is still in time
WAITING = "Waiting for its project"  # the state of a run whose project another run holds
TAKEN_UP = "Taken up again"  # the state of a run that was killed, from the automation
TAKEN_UP_MOST = 3  # times, without a person in between
PATIENCE = timedelta(hours=24)  # for which a run waits for its project
PAUSES = (15, 30, 60)  # seconds between two looks at it; the last one stays
BY_CLOCK = {"Scheduled", "Late", "AwaitingConcurrencySlot", WAITING}  # states nobody asked for


async def turned_away(catch_up: str) -> State[Any] | None:
    """Return the state in which this run is to end before it begins, None where it is to begin.

    A run by the clock that is overtaken or too late is Skipped; one that was killed time and again
    has Failed. What Prefect does not answer stops no run: the ledger sees to the money.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return None
    try:
        async with get_client() as client:
            states = await client.read_flow_run_states(run.id)
            history = _turns(states)
            if _taken_up(history) > TAKEN_UP_MOST:
                return Failed(
                    message=f"Killed {TAKEN_UP_MOST + 1} times over; its log and its machine may say"
                    " why. Nothing is lost: retry it here, or run `secondunit shoot`."
                )
            by_clock = not history or history[-1] in BY_CLOCK
            claimed = [state.timestamp for state in states if state.type == StateType.PENDING]
            begun = max(claimed, default=datetime.now(UTC))
            why = await overtaken(client, run, catch_up, begun) if by_clock else ""
    except Exception as error:  # noqa: BLE001  whatever Prefect raises, it is no answer
        logging.getLogger(__name__).debug("not known whether late: %r", error)
        return None
    return skipped(why) if why else None


def skipped(why: str) -> State[Any]:
    """Return the state of a run that is not needed any more."""
    return Completed(name="Skipped", message=f"{why} Nothing was ordered.")


async def overtaken(client: PrefectClient, run: FlowRun, catch_up: str, begun: datetime) -> str:
    """Return why `run` is not needed any more, by its shot list's `catch_up`; empty where it is.

    `begun` is when it was taken from the queue; how long its process took to start does not count,
    or a busy machine might never get to a film of every minute.
    """
    due = run.expected_start_time
    if not run.auto_scheduled or due is None or run.deployment_id is None or catch_up == "all":
        return ""
    newer = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
            expected_start_time=FlowRunFilterExpectedStartTime(after_=due, before_=begun),
        ),
        limit=50,
    )
    later = [
        one.expected_start_time
        for one in newer
        if one.auto_scheduled and one.expected_start_time and one.expected_start_time > due
    ]
    if later:
        return f"Due {_said(due)}, and overtaken by the run of {_said(max(later))}."
    if catch_up == "skip" and begun - due > LATE:
        return f"Due {_said(due)}, and nothing was there to begin it before {_said(begun)}."
    return ""


async def put_off(error: Locked) -> State[Any]:
    """Have this run begin again in a while, because another run holds its project.

    Until then it has no process. Without a deployment nothing could begin it again, and after a
    day it gives up: Failed.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    now = datetime.now(UTC)
    if run is None or run.deployment_id is None or run.id is None:
        return Failed(message=str(error))
    async with get_client() as client:
        states = await client.read_flow_run_states(run.id)
        waits = [state.timestamp for state in states if state.name == WAITING]
        if waits and now - min(waits) > PATIENCE:
            return Failed(message=str(error))
        pause = PAUSES[min(len(waits), len(PAUSES) - 1)]
        message = str(error).removesuffix(" Nothing was ordered.")
        state: State[Any] = Scheduled(
            name=WAITING, message=message, scheduled_time=now + timedelta(seconds=pause)
        )
        await client.set_flow_run_state(run.id, state, force=True)
    raise Pause(state=state)


def _turns(states: list[State[Any]]) -> list[str]:
    """Return what a run was scheduled as, from the first time to the last."""
    ordered = sorted(states, key=lambda state: state.timestamp)
    return [state.name or "" for state in ordered if state.type == StateType.SCHEDULED]


def _taken_up(turns: list[str]) -> int:
    """Count how often a run was taken up since a person or the clock last began it."""
    count = 0
    for name in reversed(turns):
        if name == TAKEN_UP:
            count += 1
        elif name != WAITING:
            break
    return count


def _said(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
