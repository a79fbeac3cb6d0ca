"""The plan as a Prefect flow: one task run for each step, to be watched in Prefect's own pages.

Prefect shows the run and keeps the time; it decides nothing. Every task may be retried, repeated
or cut off at any moment, because what was bought stands in the ledger and what arrived stands in
the store. When its server is lost the steps go on without it; when somebody cancels the run there,
it stops as by Ctrl-C: tickets go on, and nothing is deleted.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from secondunit.errors import EXIT_DOUBT, Refused, SecondUnitError
from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.flow import pages, server
from secondunit.flow.monitor import Monitor
from secondunit.plan import dollars

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from prefect.client.schemas.objects import State

    from secondunit.plan import CutEntry, Step
    from secondunit.ports import Stage, Watcher
    from secondunit.production import Production

from prefect import flow, get_run_logger, tags, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run as this_run
from prefect.states import Completed, Failed

# The film that the flow is to make. It is handed over beside Prefect, because parameters of a flow
# are stored and shown, and a gateway with its key is neither to be stored nor shown.
_production: ContextVar[Production] = ContextVar("production")
_shown: ContextVar[dict[str, int]] = ContextVar("shown")
_monitor: ContextVar[Monitor] = ContextVar("monitor")


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
    try:
        cached = await _monitor.get().once(step.key, lambda: production.roll(step))
    except SecondUnitError as error:
        if error.transient:
            raise
        return Failed(message=str(error), data=error)
    if cached:
        return Completed(name="Cached", message="In the store already; it costs nothing.")
    return Completed(message=_arrival(production, step))


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
        return Failed(message=str(error), data=error)
    return Completed(message="Conformed.")


@task(name="film", cache_policy=NO_CACHE, persist_result=False, result_serializer="json", retries=0)
async def join_film() -> Any:
    """Join the clips into the film."""
    try:
        film = await _monitor.get().once("film", _production.get().join)
    except SecondUnitError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{film.path} · {film.frames} frames · {float(film.seconds):.2f} s")


@flow(name="film", persist_result=False, result_serializer="json", retries=0)
async def film(shot_list: str, gateway: str, quality: str) -> Any:  # noqa: ARG001  for people to read
    """Shoot the plan that was handed over; the parameters say which."""
    production = _production.get(None)
    if production is None:
        return Failed(message=f"Only `secondunit shoot {shot_list}` can run this again.")
    run, monitor = _Run(production), _monitor.get()
    monitor.begin(str(this_run.id))
    marker = production.project.work / "prefect-run"
    await monitor.shown(server.relieve(marker, str(this_run.id), str(this_run.name)))
    await run.shoot()
    monitor.end()
    if not monitor.lost:  # else the next run closes this one, where the server comes back
        marker.unlink(missing_ok=True)
    _shown.get()[str(this_run.id)] = 0 if monitor.lost else run.shown
    if production.film is None:
        missing = dict.fromkeys(step.shot for step in production.missing())
        return Failed(message=f"Did not come back: {', '.join(missing) or 'the film itself'}.")
    return Completed(message=f"{production.film.path}")


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

    async def shoot(self) -> None:
        plan = self.production.plan
        await self._show(self.board.before())
        rolled = {step.key: asyncio.Event() for step in plan.steps}
        async with asyncio.TaskGroup() as group:
            for step in plan.steps:
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
        await self._show(self.board.after())

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
        finally:
            rolled[step.key].set()
        await self._show(self.board.advance())

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


def _arrival(production: Production, step: Step) -> str:
    if step.own:
        return "Your own clip, used as it is."
    if production.plan.free:
        return "Here; the backlot is free."
    charged = (production.clips[step.key].slate or {}).get("credits_charged")
    return f"Here; it cost {charged} credits (${dollars(charged)})." if charged else "Here."


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
        with tags(*filter(None, (plan.gateway, plan.quality, plan.slate))):
            await _followed(
                production, monitor, run(plan.file, plan.gateway, plan.quality, return_state=True)
            )
    finally:
        await monitor.close()
        await production.unit.gateway.close()


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
