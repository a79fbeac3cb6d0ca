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
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from secondunit import shotlist
from secondunit.errors import EXIT_DOUBT, Locked, Refused, SecondUnitError, TurnedDown, Unjudged
from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.flow import late, pages, server, states, stopping
from secondunit.flow.approval import WAITING, hand_in, rejected, suspend, waiting
from secondunit.flow.events import Events
from secondunit.flow.limits import Limits
from secondunit.flow.monitor import Monitor
from secondunit.flow.unattended import Silent, called, on_order, opened, rolling
from secondunit.production import FILM
from secondunit.reviews import before_review
from secondunit.standby import approvals_of, call_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from prefect.client.schemas.objects import State

    from secondunit.plan import CutEntry, Plan, Step
    from secondunit.ports import Stage, Watcher
    from secondunit.production import Production
    from secondunit.standby import Call

from prefect import flow, get_run_logger, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Completed, Failed

REASONS = 3  # of what went wrong, said in the state of a run; its tasks say each

# The film that the flow is to make. It is handed over beside Prefect, because parameters of a flow
# are stored and shown, and a gateway with its key is neither to be stored nor shown.
_production: ContextVar[Production] = ContextVar("production")
_shown: ContextVar[dict[str, int]] = ContextVar("shown")
_monitor: ContextVar[Monitor] = ContextVar("monitor")
_board: ContextVar[pages.Board] = ContextVar("board")


async def _is_transient(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Retry what the error itself calls transient; the ledger decides whether that may buy."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, SecondUnitError) and error.transient


@task(
    name="shot",
    cache_policy=NO_CACHE,
    persist_result=False,
    result_serializer="json",
    retry_jitter_factor=0.5,
    retry_condition_fn=_is_transient,
)
async def take_shot(key: str) -> Any:
    """Take one step of the plan: a still, a take, or a clip of the author's own."""
    production = _production.get()
    step = production.plan.step(key)
    with states.Sign(partial(_board.get().saw, key)):
        try:
            cached = await _monitor.get().once(step.key, lambda: production.roll(step))
        except SecondUnitError as error:
            return states.failed(error, production.ledger.of(key))
    return states.taken(production, step, cached=cached)


@task(
    name="conform",
    cache_policy=NO_CACHE,
    persist_result=False,
    result_serializer="json",
    retries=0,
)
async def conform_clip(place: int) -> Any:
    """Bring a clip to the film's size, frame rate and pixel format, and to its trim."""
    production = _production.get()
    entry = production.plan.cut[place]
    try:
        await _monitor.get().once(place, lambda: production.prepare(entry))
    except SecondUnitError as error:
        return states.failed(error)
    return Completed(message="Conformed.")


@task(name="film", cache_policy=NO_CACHE, persist_result=False, result_serializer="json", retries=0)
async def join_film() -> Any:
    """Join the clips into the film."""
    try:
        film = await _monitor.get().once("film", _production.get().join)
    except SecondUnitError as error:
        return states.failed(error)
    return states.joined(film)


def _run_name() -> str:
    """Name a run that Prefect began by itself: the film's title, quality and date."""
    given = this_run.parameters or {}
    title = Path(str(given.get("shot_list", ""))).stem.replace("_", " ")
    with suppress(SecondUnitError, OSError):
        title = shotlist.read(str(given["shot_list"])).title
    when = this_run.scheduled_start_time or datetime.now(UTC)
    words = (title, given.get("quality") or "", when.astimezone().strftime("%Y-%m-%d %H:%M"))
    return _name(" · ".join(filter(None, words)))


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
    production = _production.get(None)
    if production is not None:
        return await _filmed(production)
    try:
        return await _unattended(called(shot_list, gateway, quality, only, budget, out), catch_up)
    except TurnedDown as error:
        return rejected(error)
    except Locked as error:
        return await late.put_off(error)
    except SecondUnitError as error:
        return Failed(message=str(error))


async def _unattended(call: Call, catch_up: str) -> State[Any]:
    approvals = await asyncio.to_thread(approvals_of, call)
    await hand_in(approvals)
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
            monitor = Monitor(lambda error: _tell_lost(production, error))
            lent = _production.set(production)
            _monitor.set(monitor)
            _shown.set({})
            monitor.begin(str(this_run.id))
            await _share_slots(production, monitor)
            await _call_in(production)
            try:
                state = await monitor.follow(_filmed(production))
            finally:
                _production.reset(lent)  # a flow may run again in the same process
                await monitor.close()
        if monitor.stopped:
            return Cancelled(message=f"Stopped on its page. {on_order(books)}")
        return state if state is not None else _outcome(production)


async def _filmed(production: Production) -> State[Any]:
    run, monitor = _Run(production), _monitor.get()
    monitor.begin(str(this_run.id))
    marker = production.project.work / "prefect-run"
    await monitor.shown(server.relieve(marker, str(this_run.id), str(this_run.name)))
    await run.shoot()
    monitor.end()
    if not monitor.lost:  # else the next run closes this one, where the server comes back
        marker.unlink(missing_ok=True)
    _shown.get()[str(this_run.id)] = 0 if monitor.lost else run.shown
    return _outcome(production)


def _outcome(production: Production) -> State[Any]:
    error = production.failures.get(FILM)
    if isinstance(error, Unjudged):
        return waiting(error)
    if isinstance(error, TurnedDown):
        return rejected(error)
    if production.film is None:
        missing = dict.fromkeys(step.shot for step in production.missing())
        said = dict.fromkeys(str(error) for error in production.failures.values())
        return Failed(
            message=f"Did not come back: {', '.join(missing) or 'the film itself'}."
            f" {' '.join(list(said)[:REASONS])}"
        )
    return Completed(message=f"{production.film.path}")


@asynccontextmanager
async def on_set(
    shot_list: str,
    *,
    gateway: str | None = None,
    quality: str | None = None,
    only: str | None = None,
    budget: str | int | None = None,
    out: str | None = None,
) -> AsyncIterator[Production]:
    """Lend the production of a film, for flows of your own: `roll`, `prepare`, `join` its parts.

    Project and books are held for as long as the block lasts. Nobody is asked, so what costs money
    needs a cap. Each step may be repeated at any time; the ledger decides what is bought. Raises
    SecondUnitError when it cannot begin.
    """
    path = await asyncio.to_thread(Path(shot_list).absolute)
    call = called(str(path), gateway, quality, only, budget, out)
    async with opened(call) as books, rolling(books, Logged(Silent())) as production:
        yield production


class _Run:
    """Walks the plan: each step as soon as what it needs is there."""

    def __init__(self, production: Production) -> None:
        self.production = production
        self.monitor = _monitor.get(Monitor())
        self.alone = self.monitor.lost
        self.shown = 0
        self.states: dict[str, State[Any]] = {}
        self.fitted: dict[int, State[Any] | None] = {}
        again = production.unit.pace.again
        self.take_shot = take_shot.with_options(retries=len(again), retry_delay_seconds=list(again))
        self.board = pages.Board(production)
        self.events = Events(production, lambda: not (self.alone or self.monitor.lost))
        _board.set(self.board)

    async def shoot(self) -> None:
        plan = self.production.plan
        await self._show(self.board.before())
        rolled = {step.key: asyncio.Event() for step in plan.steps}
        if await self._approved(rolled):
            async with asyncio.TaskGroup() as group:
                for step in plan.steps:
                    if not rolled[step.key].is_set():
                        group.create_task(self._roll(step, rolled))
                for place, entry in enumerate(plan.cut):
                    group.create_task(self._fit(place, entry, rolled))
        if len(self.fitted) == len(plan.cut):
            upstream = [state for _, state in sorted(self.fitted.items())]
            await self._watched(
                join_film,
                "Film",
                upstream,
                lambda: self.monitor.once("film", self.production.join),
            )
        self.events.film_ended()
        await self._show(self.board.after())

    async def _approved(self, rolled: dict[str, asyncio.Event]) -> bool:
        """Make what is to be judged, if anything is; say whether the rest may be ordered."""
        production, first = self.production, before_review(self.production.plan)
        approvals = production.approvals
        if not first or approvals is None:
            return True
        try:
            async with asyncio.TaskGroup() as group:
                for step in first:
                    group.create_task(self._roll(step, rolled))
            production.waiting = review = await asyncio.to_thread(approvals.of_stills)
            if review is not None and review.ready:
                production.failures[FILM] = await asyncio.to_thread(call_for, review, approvals)
        except SecondUnitError as error:
            production.failures[FILM] = error
        return production.waiting is None and FILM not in production.failures

    async def _roll(self, step: Step, rolled: dict[str, asyncio.Event]) -> None:
        try:
            for key in step.needs:
                await rolled[key].wait()
            if any(key not in self.production.clips for key in step.needs):
                return
            state = await self._watched(
                self.take_shot,
                step.label,
                [self.states.get(key) for key in step.needs],
                lambda: self.monitor.once(step.key, lambda: self.production.roll(step)),
                key=step.key,
            )
            if state is not None:
                self.states[step.key] = state
            self._tell_failure(step)
            self.events.ended(step)
        finally:
            rolled[step.key].set()
        await self._show(self.board.advance(step))

    def _tell_failure(self, step: Step) -> None:
        error = self.production.failures.get(step.key)
        if error is None:
            return
        held = isinstance(error, Refused) and error.ticket
        stage: Stage = "in doubt" if error.exit_code == EXIT_DOUBT else "held" if held else "failed"
        detail = str(error).removeprefix(f"{step.shot} ").removeprefix(f"{step.shot}: ")
        self.production.watcher.saw(step.shot, stage, detail)

    async def _fit(self, place: int, entry: CutEntry, rolled: dict[str, asyncio.Event]) -> None:
        """Conform a clip while other shots are still rolling; one that fits is left as it is."""
        await rolled[entry.key].wait()
        if entry.key not in self.production.clips:
            return
        state = self.states.get(entry.key)
        if self.production.fits(entry):
            await self.production.prepare(entry)
        else:
            state = await self._watched(
                conform_clip,
                f"{entry.shot} · conform",
                [state],
                lambda: self.monitor.once(place, lambda: self.production.prepare(entry)),
                place=place,
            )
        if entry.key not in self.production.failures:
            self.fitted[place] = state

    async def _watched(
        self,
        shown: Any,
        name: str,
        upstream: list[State[Any] | None],
        plain: Callable[[], Awaitable[Any]],
        **arguments: Any,
    ) -> State[Any] | None:
        """Run a step as a Prefect task run; without Prefect once its server is lost."""
        if not (self.alone or self.monitor.lost):
            self.shown += 1
            run = shown.with_options(task_run_name=_name(name))
            needed = [s for s in upstream if s is not None]
            try:
                state: State[Any] | None = await self.monitor.shown(
                    run(**arguments, return_state=True, wait_for=needed)
                )
            except Exception as error:  # noqa: BLE001  the steps map their own errors; this is Prefect's
                self.monitor.lose(error)
            else:
                if state is not None and not await self._lost(state):
                    return state
        await self._plainly(plain)
        return None

    async def _show(self, page: Coroutine[Any, Any, None]) -> None:
        """Show a page in Prefect, as long as somebody could see it."""
        if self.alone or self.monitor.lost:
            page.close()
        else:
            await self.monitor.shown(page)

    async def _plainly(self, plain: Callable[[], Awaitable[Any]]) -> None:
        """Do what Prefect would do, without it: try transient failures again, keep the others."""
        for pause in (*self.production.unit.pace.again, None):
            try:
                await plain()
            except SecondUnitError as error:
                if pause is None or not error.transient:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def _lost(self, state: State[Any]) -> bool:
        """Say whether Prefect failed, and not the step."""
        if state.is_completed():
            return False
        error = await state.aresult(raise_on_failure=False)
        if isinstance(error, SecondUnitError):
            return False
        self.monitor.lose(error)
        return True


def _tell_lost(production: Production, error: object) -> None:
    server.forsake()
    production.watcher.saw(
        "Prefect",
        "failed",
        f"cannot be reached any more ({type(error).__name__}); the shots go on without it",
    )


def _flow_name(title: str) -> str:
    """Return a title with look-alikes of the five characters that Prefect takes in no flow's name."""
    return _name(title).translate(str.maketrans("/%&<>", "∕％＆‹›"))


def _name(name: str) -> str:
    """Return a run's name with nothing in it that Prefect would fill in."""
    return name.replace("{", "(").replace("}", ")")


class Logged:
    """A watcher that also writes what it sees to the log of the task run it happens in."""

    def __init__(self, watcher: Watcher) -> None:
        """Pass everything on to `watcher`."""
        self._watcher = watcher

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Note that `shot` entered `stage`, on the terminal and in Prefect."""
        self._watcher.saw(shot, stage, detail)
        if _monitor.get(Monitor()).lost:
            return
        states.saw(stage, detail)
        with suppress(MissingContextError):
            get_run_logger().info("%s: %s %s", shot, stage, detail)


def shoot(production: Production, *, day: str) -> None:
    """Make the film as a run of the flow, on the user's Prefect server or a temporary one.

    What came of it stands in `production`, whatever Prefect says. Raises UsageError before
    anything is ordered when the server that the user named does not answer.
    """
    shown: dict[str, int] = {}
    monitor = Monitor(lambda error: _tell_lost(production, error))
    production.watcher.saw("Prefect", "waiting", "for its server")
    with server.running() as temporary:
        production.watcher.saw("Prefect", "done", "")
        whole = False
        try:
            asyncio.run(_shoot(production, monitor, day, shown, temporary=temporary))
            whole = True
        finally:
            if monitor.lost:
                server.forsake()
            else:
                told = asyncio.run(server.drain(shown, wait=temporary and whole))
    if not monitor.lost and not told:
        production.watcher.saw("Prefect", "failed", "its history of this run is not whole")


async def _shoot(
    production: Production, monitor: Monitor, day: str, shown: dict[str, int], *, temporary: bool
) -> None:
    plan = production.plan
    _production.set(production)
    _shown.set(shown)
    _monitor.set(monitor)
    run = film.with_options(
        name=_flow_name(plan.title), flow_run_name=_name(f"{plan.title} · {plan.quality} · {day}")
    )
    try:
        if not temporary:
            await server.ask()
            await _share_slots(production, monitor)
        await _call_in(production)
        with tags(*filter(None, (plan.gateway, plan.quality, plan.slate))):
            await _followed(
                production,
                monitor,
                run(_whole_path(plan), plan.gateway, plan.quality, return_state=True),
            )
    finally:
        await monitor.close()
        await production.unit.gateway.close()


async def _share_slots(production: Production, monitor: Monitor) -> None:
    """Have all runs on a server keep to the account's slots together; the backlot has its own."""
    slots, plan = production.unit.slots, production.plan
    if not plan.free:
        asked = {step.model for step in plan.orders}
        limits = {model: count for model, count in slots.limits.items() if model in asked}
        slots.elsewhere = Limits(plan.gateway, limits, monitor)
        await slots.elsewhere.fill()


async def _call_in(production: Production) -> None:
    """Have those at hand whose addresses Prefect keeps."""
    if production.notices and production.notices.blocks:
        from secondunit.flow import blocks

        await blocks.connect(production.notices)


def _whole_path(plan: Plan) -> str:
    return str(Path(plan.folder, Path(plan.file).name).absolute())


async def _followed(production: Production, monitor: Monitor, run: Awaitable[Any]) -> None:
    """See the flow's run to its end; where Prefect breaks it off, go on without Prefect."""
    try:
        await monitor.follow(run)
    except Exception as error:  # noqa: BLE001  the steps keep their own errors; this is Prefect's
        monitor.lose(error)
    if monitor.stopped:
        production.watcher.saw("Prefect", "failed", "the run was cancelled on its pages")
        raise asyncio.CancelledError
    if not monitor.over:
        monitor.lose(RuntimeError())
        await _Run(production).shoot()
