"""The states of task runs in the words of a film set: what a shot waits for, and how it ended.

A task run's states travel as events. What a shot is doing is told as one more event of the same
form, which Prefect's engine need not know of: it goes on from the state that it set itself.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from prefect.context import TaskRunContext
from prefect.states import Completed, Failed, Pending, Running
from prefect.utilities.engine import emit_task_run_state_change_event

from secondunit.errors import (
    CutError,
    DiskTrouble,
    InDoubt,
    Lost,
    OverBudget,
    Refused,
    SecondUnitError,
    Stopped,
    TurnedDown,
    Unjudged,
)
from secondunit.plan import dollars
from secondunit.verdicts import is_moderated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from prefect.client.schemas.objects import State

    from secondunit.ledger import Order
    from secondunit.plan import Step
    from secondunit.ports import Stage
    from secondunit.production import Production
    from secondunit.splice import Film

LASTING = 1.0  # seconds that a stage has to last to be shown: each costs the server an event
WAITING = frozenset({"Waiting for a slot", "Waiting for the gateway", "Queued", "Throttled"})
STAGES: dict[Stage, str] = {
    "waiting": "Waiting for the gateway", "uploading": "Uploading", "ordering": "Ordering",
    "queued": "Queued", "throttled": "Throttled", "rolling": "Rolling", "fetching": "Fetching",
}  # fmt: skip
ENDINGS: tuple[tuple[type[SecondUnitError], str], ...] = (
    (InDoubt, "In doubt: decide"),
    (Lost, "Lost: decide"),
    (OverBudget, "Over budget"),
    (Stopped, "Not ordered"),
    (DiskTrouble, "Disk trouble"),
    (CutError, "Does not splice"),
    (Unjudged, "Waiting for review"),
    (TurnedDown, "Rejected"),
)


# --- how it ended -----------------------------------------------------------------------------


def ending(error: SecondUnitError, orders: Sequence[Order] = ()) -> str:
    """Return the name of the state in which an error leaves a step; `orders` are the step's."""
    if isinstance(error, Refused):
        if not error.ticket:
            return "Refused"
        return "Held: moderated" if orders and is_moderated(orders[-1]) else "Held"
    return next((name for kind, name in ENDINGS if isinstance(error, kind)), "Failed")


def failed(error: SecondUnitError, orders: Sequence[Order] = ()) -> State[Any]:
    """Return the state of a step that `error` ended; its message says what to do next."""
    return Failed(name=ending(error, orders), message=str(error), data=error)


def taken(production: Production, step: Step, *, cached: bool) -> State[Any]:
    """Return the state of a step that came back."""
    if cached:
        return Completed(name="Cached", message="In the store already; it costs nothing.")
    if step.own:
        return Completed(message="Your own clip, used as it is.")
    if production.plan.free:
        return Completed(message="Here; the backlot is free.")
    charged = (production.clips[step.key].slate or {}).get("credits_charged")
    cost = f"; it cost {charged} credits (${dollars(charged)})" if charged else ""
    return Completed(message=f"Here{cost}.")


def joined(film: Film) -> State[Any]:
    """Return the state of the film once it is made."""
    return Completed(message=f"{film.path} · {film.frames} frames · {float(film.seconds):.2f} s")


# --- what it is doing -------------------------------------------------------------------------


class Sign:
    """Shows in Prefect what a running task run is doing, for as long as the block lasts.

    Only what lasts is shown, and nothing after the block: an event that came later would hide how
    the run ended.
    """

    def __init__(self, also: Callable[[Stage], None]) -> None:
        """Show nothing yet; `also` is told of every stage, however short."""
        self._also = also
        self._context = TaskRunContext.get()
        self._state = self._context.task_run.state if self._context else None
        self._next: asyncio.TimerHandle | None = None
        self._over = False

    def __enter__(self) -> Sign:
        """Let what happens from here on be shown."""
        self._token = _sign.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show nothing any more."""
        self._over = True
        if self._next:
            self._next.cancel()
        _sign.reset(self._token)

    def saw(self, stage: Stage, detail: str) -> None:
        """Note that the step entered `stage`."""
        self._also(stage)
        if self._next:
            self._next.cancel()
        if not self._over and (name := _name(stage, detail)):
            self._next = asyncio.get_running_loop().call_later(LASTING, self._show, name, detail)

    def _show(self, name: str, detail: str) -> None:
        if self._over or self._context is None or self._state is None:
            return
        kind = Pending if name in WAITING else Running
        state: State[Any] = kind(name=name, message=detail or None)
        try:
            emit_task_run_state_change_event(self._context.task_run, self._state, state)
        except Exception as error:  # noqa: BLE001  Prefect's trouble is not the shot's
            logging.getLogger(__name__).debug("not shown: %r", error)
        self._state = state


_sign: ContextVar[Sign | None] = ContextVar("sign", default=None)


def saw(stage: Stage, detail: str) -> None:
    """Show what the task run that this happens in is doing."""
    sign = _sign.get()
    if sign is not None:
        sign.saw(stage, detail)


def _name(stage: Stage, detail: str) -> str:
    if stage == "waiting" and detail.startswith("for a free slot"):
        return "Waiting for a slot"
    return STAGES.get(stage, "")
