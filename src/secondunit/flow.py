"""The plan as a Prefect flow: one task run for each step, to be watched in Prefect's own pages.

Prefect shows the run and keeps the time; it decides nothing. Every task may be retried, repeated
or cut off at any moment, because what was bought stands in the ledger and what arrived stands in
the store. When its server is lost the steps go on without it.
"""

from __future__ import annotations

import asyncio
import html
import inspect
import logging
import os
import re
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from secondunit import orphans
from secondunit.errors import SecondUnitError, UsageError
from secondunit.plan import dollars

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from prefect.client.schemas.objects import State

    from secondunit.plan import CutEntry, Step
    from secondunit.production import Production

# Set before Prefect is imported, and only where the user has not: no telemetry, a server that
# starts on slow machines, and writes to SQLite in batches, which otherwise stall each other.
DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the terminal is ours; its pages have it all
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "0.5",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "2",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
}
for _name, _value in DEFAULTS.items():
    os.environ.setdefault(_name, _value)

import httpx  # noqa: E402  after the defaults, like everything that imports Prefect
from prefect import flow, task  # noqa: E402
from prefect.artifacts import (  # noqa: E402
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.runtime import flow_run as this_run  # noqa: E402
from prefect.settings import PREFECT_API_URL  # noqa: E402
from prefect.states import Completed, Failed  # noqa: E402

DRAIN = 30.0  # seconds given to a temporary server to write down what it was told
RETRIES = 2

_production: ContextVar[Production] = ContextVar("production")
_told: dict[str, _Run] = {}  # what Prefect has been told, by the id of its flow run


async def _is_transient(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Retry what the error itself calls transient; the ledger decides whether that may buy."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, SecondUnitError) and error.transient


@task(
    name="shot", cache_policy=NO_CACHE, persist_result=False, retries=RETRIES,
    retry_delay_seconds=[2, 10], retry_jitter_factor=0.5, retry_condition_fn=_is_transient,
)  # fmt: skip
async def take_shot(key: str) -> Any:
    """Take one step of the plan: a still, a take, or a clip of the author's own."""
    production = _production.get()
    step = production.plan.step(key)
    try:
        cached = await production.roll(step)
    except SecondUnitError as error:
        if error.transient:
            raise
        return Failed(message=str(error), data=error)
    if cached:
        return Completed(name="Cached", message="In the store already; it costs nothing.")
    return Completed(message=_arrival(production, step))


@task(name="conform", cache_policy=NO_CACHE, persist_result=False, retries=1)
async def conform_clip(place: int) -> Any:
    """Bring a clip to the film's size, frame rate and pixel format, and to its trim."""
    production = _production.get()
    changed = await production.prepare(production.plan.cut[place])
    return Completed(message="Conformed." if changed else "Fits the film as it is.")


@task(name="film", cache_policy=NO_CACHE, persist_result=False, retries=1)
async def join_film() -> Any:
    """Join the clips into the film."""
    film = await _production.get().join()
    return Completed(message=f"{film.path} · {film.frames} frames · {float(film.seconds):.2f} s")


@flow(name="film", persist_result=False, retries=0)
async def film(shot_list: str, gateway: str, quality: str) -> Any:  # noqa: ARG001  shown in Prefect
    """Shoot a plan that was compiled before; its parameters say which, for people to read."""
    production = _production.get()
    run = _Run(production)
    _told[str(this_run.id)] = run
    await run.shoot()
    missing = production.missing()
    if production.film is None:
        names = ", ".join(dict.fromkeys(step.shot for step in missing)) or "the film itself"
        return Failed(message=f"Did not come back: {names}.")
    return Completed(message=f"{production.film.path}")


class _Run:
    """Walks the plan: each step as soon as what it needs is there."""

    def __init__(self, production: Production) -> None:
        self.production = production
        self.alone = False
        self.states: dict[str, State[Any]] = {}
        self.conformed: list[State[Any]] = []
        self.progress: Any = None
        self.done = 0
        self.shown = 0

    async def shoot(self) -> None:
        plan = self.production.plan
        await self._publish(self._before())
        rolling = {step.key: asyncio.Event() for step in plan.steps}
        async with asyncio.TaskGroup() as group:
            for step in plan.steps:
                group.create_task(self._roll(step, rolling))
            for place, entry in enumerate(plan.cut):
                group.create_task(self._conform(place, entry, rolling))
        if not self.production.missing() and len(self.conformed) == len(plan.cut):
            await self._watched(join_film, "Film", self.conformed, self.production.join)
        await self._publish(self._after())

    async def _roll(self, step: Step, rolling: dict[str, asyncio.Event]) -> None:
        try:
            for key in step.needs:
                await rolling[key].wait()
            if all(key in self.production.clips for key in step.needs):
                upstream = [self.states[key] for key in step.needs if key in self.states]
                state = await self._watched(
                    take_shot,
                    step.label,
                    upstream,
                    lambda: self.production.roll(step),
                    key=step.key,
                )
                if state is not None:
                    self.states[step.key] = state
                self.done += 1
                await self._publish(self._advance())
        finally:
            rolling[step.key].set()

    async def _conform(
        self, place: int, entry: CutEntry, rolling: dict[str, asyncio.Event]
    ) -> None:
        await rolling[entry.key].wait()
        if entry.key not in self.production.clips:
            return
        upstream = [self.states[entry.key]] if entry.key in self.states else []
        if not self.production.fits(entry):
            state = await self._watched(
                conform_clip, f"{entry.shot} · conform", upstream,
                lambda: self.production.prepare(entry), place=place,
            )  # fmt: skip
            upstream = [state] if state is not None else []
        else:
            await self.production.prepare(entry)
        if entry.key not in self.production.failures:
            self.conformed.extend(upstream or [None])  # type: ignore[list-item]  # a place without a state still counts

    async def _watched(
        self,
        shown: Any,
        name: str,
        upstream: list[Any],
        plain: Callable[[], Awaitable[Any]],
        **arguments: Any,
    ) -> State[Any] | None:
        """Run a step as a Prefect task run; without Prefect once its server is lost."""
        if not self.alone:
            self.shown += 1
            try:
                state: State[Any] = await shown.with_options(task_run_name=name)(
                    **arguments, return_state=True, wait_for=[s for s in upstream if s is not None]
                )
            except Exception as error:  # noqa: BLE001  the steps map their own errors; this is Prefect's
                self._lose_server(error)
            else:
                if not await self._crashed(state):
                    return state
        try:
            await plain()
        except SecondUnitError:
            return None
        return None

    async def _crashed(self, state: State[Any]) -> bool:
        """Say whether Prefect, and not the step, failed."""
        if state.is_completed():
            return False
        error = await state.aresult(raise_on_failure=False)
        if isinstance(error, SecondUnitError):
            return False
        self._lose_server(error)
        return True

    def _lose_server(self, error: object) -> None:
        if not self.alone:
            self.production.watcher.saw(
                "Prefect",
                "failed",
                f"is not reachable any more ({type(error).__name__}); the shots go on without it",
            )
        self.alone = True

    async def _publish(self, artifact: Awaitable[Any]) -> None:
        """Show something in Prefect; what cannot be shown never stops a film."""
        try:
            await artifact
        except Exception as error:  # noqa: BLE001  see above
            logging.getLogger(__name__).debug("artifact not shown: %r", error)

    async def _before(self) -> None:
        plan = self.production.plan
        self.progress = await acreate_progress_artifact(
            progress=0.0, key=_slug(plan.name, "progress"), description=f"{plan.title}: shots taken"
        )
        rows = [
            {
                "shot": _text(s.shot), "made": s.kind, "model": s.model,
                "seconds": s.seconds or "", "credits": "free" if plan.free else s.credits,
                "why": _text(s.reason),
            }
            for s in plan.steps
        ]  # fmt: skip
        await acreate_table_artifact(
            rows, key=_slug(plan.name, "call-sheet"), description="Call sheet"
        )

    async def _advance(self) -> None:
        total = len(self.production.plan.steps)
        step = max(1, total // 10)
        if self.progress is not None and (self.done % step == 0 or self.done == total):
            await aupdate_progress_artifact(self.progress, progress=100.0 * self.done / total)

    async def _after(self) -> None:
        production = self.production
        rows = [_daily(production, step) for step in production.plan.steps]
        await acreate_table_artifact(
            rows, key=_slug(production.plan.name, "dailies"), description="Dailies"
        )
        if production.film:
            path = production.film.path
            await acreate_markdown_artifact(
                f"# {_text(production.plan.title)}\n\n`{path}`\n\n[{_text(path.name)}]({path.as_uri()})",
                key=_slug(production.plan.name, "film"),
                description="The film",
            )


def _daily(production: Production, step: Step) -> dict[str, Any]:
    clip, error = production.clips.get(step.key), production.failures.get(step.key)
    slate = (clip.slate if clip else None) or {}
    return {
        "shot": _text(step.shot), "model": step.model,
        "state": "here" if clip else "failed" if error else "not started",
        "credits": slate.get("credits_charged", ""), "seed": step.seed if step.seed is not None else "",
        "file": str(clip.path) if clip else "", "note": _text(str(error)) if error else "",
    }  # fmt: skip


def _arrival(production: Production, step: Step) -> str:
    slate = production.clips[step.key].slate or {}
    charged = slate.get("credits_charged")
    if production.plan.free:
        return "Here; the backlot is free."
    return f"Here; it cost {charged} credits (${dollars(charged)})." if charged else "Here."


def _text(text: str) -> str:
    """Return text that a page shows as text, whatever is in it."""
    return re.sub(r"([\\`*_\[\]()|#!])", r"\\\1", html.escape(text, quote=False))


def _slug(*parts: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-") or "film"


def shoot(production: Production, *, day: str) -> None:
    """Make the film as a run of the flow, on the user's Prefect server or a temporary one.

    What came of it stands in `production`, whatever Prefect says. Raises UsageError before
    anything is ordered when the server that the user named does not answer.
    """
    plan = production.plan
    with _server() as api:
        asyncio.run(_shoot(production, f"{plan.title} · {plan.quality} · {day}", api))


async def _shoot(production: Production, name: str, api: str) -> None:
    from prefect import tags

    plan = production.plan
    token = _production.set(production)
    marks = filter(None, (plan.gateway, plan.quality, plan.slate))
    try:
        run = film.with_options(
            name=plan.title, flow_run_name=name.replace("{", "(").replace("}", ")")
        )
        with tags(*marks):
            await run(plan.file, plan.gateway, plan.quality, return_state=True)
    except httpx.HTTPError:
        production.watcher.saw(
            "Prefect", "failed", "did not take the run's ending; the film stands"
        )
    finally:
        _production.reset(token)
        await production.unit.gateway.close()
    await _drain(api)


async def _drain(api: str) -> None:
    """Wait until the server has written down what it was told: it forgets what it has not."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    await APILogHandler.aflush()
    drained = EventsWorker.drain_all()
    if inspect.isawaitable(drained):
        await drained
    deadline = time.monotonic() + DRAIN
    async with httpx.AsyncClient(trust_env=False) as server:
        for number, run in _told.items():
            if run.alone:
                continue
            ended = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
            question = {
                "flow_runs": {"id": {"any_": [number]}},
                "task_runs": {"state": {"type": {"any_": ended}}},
            }
            while time.monotonic() < deadline:
                answer = await server.post(f"{api}/task_runs/count", json=question)
                if answer.is_success and answer.json() >= run.shown:
                    break
                await asyncio.sleep(0.2)
            else:
                run.production.watcher.saw(
                    "Prefect", "failed", "its history of this run is not whole"
                )


@contextmanager
def _server() -> Iterator[str]:
    """Use the server that is configured, or a temporary one that cannot outlive this process."""
    url = PREFECT_API_URL.value()
    if url:
        _ask(url)
        yield url.rstrip("/")
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    server.start()
    process = server.server_process
    guard = orphans.guard(process.pid) if process else None
    try:
        yield server.api_url
    finally:
        server.stop()
        if guard and guard.stdin:
            guard.stdin.close()
            guard.wait()


def _ask(url: str) -> None:
    try:
        healthy = httpx.get(f"{url.rstrip('/')}/health", timeout=10, trust_env=False).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        healthy = False
    if not healthy:
        raise UsageError(
            f"The Prefect server at {url} does not answer. Start it, or unset PREFECT_API_URL to use"
            " a temporary one. Nothing was ordered."
        )
