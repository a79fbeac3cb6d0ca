"""The tasks that a film is made of, as Prefect sees them, and the log of their runs.

Each may be retried, repeated or cut off at any moment: what was bought stands in the ledger, and
what arrived stands in the store.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from secondunit.errors import SecondUnitError
from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.flow import states
from secondunit.flow.steps import at_work

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from secondunit.ports import Stage, Watcher

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.states import Completed


async def transient(_task: Any, _run: Any, state: State[Any]) -> bool:
    """Retry what the error itself calls transient; the ledger decides whether that may buy."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, SecondUnitError) and error.transient


@task(
    name="shot",
    cache_policy=NO_CACHE,
    persist_result=False,
    result_serializer="json",
    retry_jitter_factor=0.5,
    retry_condition_fn=transient,
)
async def take_shot(key: str) -> Any:
    """Take one step of the plan: a still, a take, or a clip of the author's own."""
    steps = at_work.get()
    production = steps.production
    step = production.plan.step(key)
    with states.Sign(partial(steps.board.saw, key)):
        try:
            cached = await steps.monitor.once(step.key, lambda: production.roll(step))
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
    steps = at_work.get()
    entry = steps.production.plan.cut[place]
    try:
        await steps.monitor.once(place, lambda: steps.production.prepare(entry))
    except SecondUnitError as error:
        return states.failed(error)
    return Completed(message="Conformed.")


@task(name="film", cache_policy=NO_CACHE, persist_result=False, result_serializer="json", retries=0)
async def join_film() -> Any:
    """Join the clips into the film."""
    steps = at_work.get()
    try:
        film = await steps.monitor.once("film", steps.production.join)
    except SecondUnitError as error:
        return states.failed(error)
    return states.joined(film)


class Logged:
    """A watcher that also shows what it sees in the task run it happens in: its state, and its log.

    A stage of which there is nothing to say is no line in the log; if it lasts, it is a state.
    """

    def __init__(self, watcher: Watcher) -> None:
        """Pass everything on to `watcher`."""
        self._watcher = watcher

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Note that `shot` entered `stage`, on the terminal and in Prefect."""
        self._watcher.saw(shot, stage, detail)
        steps = at_work.get(None)
        if steps is not None and steps.monitor.lost:
            return
        states.saw(stage, detail)
        if detail:
            with suppress(MissingContextError):
                get_run_logger().info("%s: %s %s", shot, stage, detail)
