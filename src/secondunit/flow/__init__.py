"""The plan as a Prefect flow: one task run for each step, to be watched in Prefect's own pages.

Prefect shows the run and keeps the time; it decides nothing. Every task may be retried, repeated
or cut off at any moment, because what was bought stands in the ledger and what arrived stands in
the store. When its server is lost the steps go on without it; when somebody cancels the run there,
it stops as by Ctrl-C: tickets go on, and nothing is deleted.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from secondunit import shotlist
from secondunit.errors import Locked, SecondUnitError, TurnedDown, Unjudged
from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.flow import following, late, server, stopping
from secondunit.flow.approval import WAITING, hand_in, rejected, suspend
from secondunit.flow.following import followed, outcome
from secondunit.flow.steps import Steps
from secondunit.flow.tasks import Logged, conform_clip, join_film, take_shot, transient
from secondunit.flow.unattended import Silent, called, opened, rolling
from secondunit.flow.walk import Walk
from secondunit.names import flow_name, run_name
from secondunit.standby import approvals_of, call_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from prefect.client.schemas.objects import State

    from secondunit.flow.monitor import Monitor
    from secondunit.plan import Plan
    from secondunit.production import Production
    from secondunit.standby import Call

from prefect import flow, tags
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Completed, Failed

__all__ = [
    "Logged", "conform_clip", "film", "join_film", "on_set", "shoot", "take_shot", "transient",
]  # fmt: skip


@dataclass(frozen=True)
class Handed:
    """A film handed to the flow beside Prefect, which stores and shows the parameters of a flow.

    `shown` counts the task runs of each run that Prefect was told of.
    """

    production: Production
    monitor: Monitor
    shown: dict[str, int] = field(default_factory=dict)


_handed: ContextVar[Handed] = ContextVar("handed")


def _run_name() -> str:
    """Name a run that Prefect began by itself: the film's title, quality and date."""
    given = this_run.parameters or {}
    title = Path(str(given.get("shot_list", ""))).stem.replace("_", " ")
    with suppress(SecondUnitError, OSError):
        title = shotlist.read(str(given["shot_list"])).title
    when = this_run.scheduled_start_time or datetime.now(UTC)
    words = (title, given.get("quality") or "", when.astimezone().strftime("%Y-%m-%d %H:%M"))
    return run_name(" · ".join(filter(None, words)))


@flow(
    name="film", flow_run_name=_run_name, persist_result=False, result_serializer="json", retries=0
)
async def film(
    shot_list: str,
    gateway: Literal["backlot", "runway", "cometapi"] | None = None,
    quality: str | None = None,
    only: str | None = None,
    budget: str | int | None = None,
    out: str | None = None,
    catch_up: Literal["latest", "skip", "all"] = "latest",
) -> Any:
    """Make the film of a shot list.

    Nobody is asked before money is spent, so a gateway that costs money needs a cap: `budget`, or
    `budget: {cap: …}` in the shot list. The key comes from the machine that runs this, never from
    a parameter. What was bought before is never bought again, however often this runs.

    Args:
        shot_list: The whole path of the shot list, a YAML file.
        gateway: Who takes the orders; empty: as the shot list says.
        quality: draft, final, or a profile of the shot list's own.
        only: Only these shots and what they need: names, * and a..b.
        budget: The most that this run may spend: credits (500) or dollars ("$5").
        out: The folder of films/ and .secondunit/; empty: beside the shot list.
        catch_up: What becomes of a scheduled run that begins late.
    """
    handed = _handed.get(None)
    if handed is not None:
        return await _handed_over(handed)
    try:
        await hand_in(shot_list, out)
        asked = partial(called, shot_list, gateway, quality, only, budget, out)
        return await _unattended(asked, catch_up)
    except TurnedDown as error:
        return rejected(error)
    except Locked as error:
        return await late.put_off(error)
    except SecondUnitError as error:
        return Failed(message=str(error))


async def _filmed(production: Production, monitor: Monitor) -> Steps:
    steps = Steps(production, monitor)
    async with followed(steps):
        await Walk(steps).shoot()
    return steps


# --- a run that Prefect begins by itself ----------------------------------------------------------


async def _unattended(asked: Callable[[], Call], catch_up: str) -> State[Any]:
    call = await asyncio.to_thread(asked)
    approvals = await asyncio.to_thread(approvals_of, call)
    if (away := await late.turned_away(catch_up)) is not None:
        return away
    await asyncio.to_thread(approvals.of_stills)  # what was rejected ends it before it costs
    if await asyncio.to_thread(approvals.of_draft):
        state = await _shot(call.of_draft)
        if not state.is_completed():
            return state
        if review := await asyncio.to_thread(approvals.of_draft):
            waits = await asyncio.to_thread(call_for, review, approvals)
            return await suspend(review, waits)
        call = await asyncio.to_thread(asked)  # with what was circled meanwhile
    state = await _shot(call)
    if state.name == WAITING and (review := await asyncio.to_thread(approvals.of_stills)):
        return await suspend(review, Unjudged(str(state.message)))
    return state


async def _shot(call: Call) -> State[Any]:
    """Make one film, with the project and its books held for as long as that takes."""
    async with opened(call) as books, stopping.told(books):
        if books.done:
            said = await asyncio.to_thread(books.publish)
            film_file = call.project.films / f"{call.plan.film_name}.mp4"
            message = f"Nothing changed; the film is {film_file} {said}".strip()
            return Completed(name="Cached", message=message)
        async with rolling(books, Logged(Silent())) as production:
            monitor = following.monitor_of(production)
            monitor.begin(str(this_run.id))
            await following.connect(production, monitor)
            try:
                await monitor.follow(_filmed(production, monitor))
            finally:
                await monitor.close()
        if monitor.stopped:
            return Cancelled(message=following.stopped(production))
        return outcome(production)


@asynccontextmanager
async def on_set(
    shot_list: str,
    *,
    gateway: str | None = None,
    quality: str | None = None,
    only: str | None = None,
    budget: str | int | None = None,
    out: str | None = None,
    roots: Sequence[str] = (),
) -> AsyncIterator[Production]:
    """Lend the production of a film, for flows of your own: `roll`, `prepare`, `join` its parts.

    Project and books are held for as long as the block lasts. Nobody is asked, so what costs money
    needs a cap. Each step may be repeated at any time; the ledger decides what is bought. Raises
    SecondUnitError when it cannot begin.
    """
    path = await asyncio.to_thread(Path(shot_list).absolute)
    call = called(str(path), gateway, quality, only, budget, out, roots)
    async with opened(call) as books, rolling(books, Logged(Silent())) as production:
        yield production


# --- a run of the command's ------------------------------------------------------------------------


def shoot(production: Production, *, day: str) -> None:
    """Make the film as a run of the flow, on the user's Prefect server or a temporary one.

    What came of it stands in `production`, whatever Prefect says. Raises UsageError before
    anything is ordered when the server that the user named does not answer.
    """
    handed = Handed(production, following.monitor_of(production))
    monitor = handed.monitor
    production.watcher.saw("Prefect", "waiting", "for its server")
    with server.running() as temporary:
        production.watcher.saw("Prefect", "done", "")
        whole = False
        try:
            asyncio.run(_shoot(handed, day, temporary=temporary))
            whole = True
        finally:
            if monitor.lost:
                server.forsake()
            else:
                told = asyncio.run(server.drain(handed.shown, wait=temporary and whole))
    if not monitor.lost and not told:
        production.watcher.saw("Prefect", "failed", "its history of this run is not whole")


async def _shoot(handed: Handed, day: str, *, temporary: bool) -> None:
    production, plan = handed.production, handed.production.plan
    _handed.set(handed)
    run = film.with_options(
        name=flow_name(plan.title), flow_run_name=run_name(f"{plan.title} · {plan.quality} · {day}")
    )
    try:
        if not temporary:
            await server.ask()
            await following.share_slots(production, handed.monitor)
        await following.call_in(production)
        with tags(*filter(None, (plan.gateway, plan.quality, plan.slate))):
            await _followed(
                handed, run(_whole_path(plan), plan.gateway, plan.quality, return_state=True)
            )
    finally:
        await handed.monitor.close()
        await production.unit.gateway.close()


async def _handed_over(handed: Handed) -> State[Any]:
    """Make the film that was handed over, in the flow's run."""
    with stopping.as_interrupt():
        steps = await _filmed(handed.production, handed.monitor)
    handed.shown[str(this_run.id)] = 0 if handed.monitor.lost else steps.shown
    return outcome(handed.production)


async def _followed(handed: Handed, run: Awaitable[Any]) -> None:
    """See the flow's run to its end; where Prefect breaks it off, go on without Prefect."""
    production, monitor = handed.production, handed.monitor
    try:
        await monitor.follow(run)
    except Exception as error:  # noqa: BLE001  the steps keep their own errors; this is Prefect's
        monitor.lose(error)
    if monitor.stopped:
        production.watcher.saw("Prefect", "failed", "the run was cancelled on its pages")
        raise asyncio.CancelledError
    if not monitor.over:
        monitor.lose(RuntimeError())
        await Walk(Steps(production, monitor)).shoot()


def _whole_path(plan: Plan) -> str:
    return str(Path(plan.folder, Path(plan.file).name).absolute())
