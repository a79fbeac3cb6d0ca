"""Reviews on a run's page in Prefect: the run is suspended, a form takes the decision, it goes on.

A suspended run has no process and holds nothing: not the project, not the books, no gateway. When
it is resumed it begins from the top; what was answered is written down first, and everything that
was made is found again. Prefect keeps the form and the answer; what the answer is worth is decided
by the keys of what was shown (`secondunit.reviews`).
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.input import RunInput, keyset_from_paused_state
from prefect.input.actions import afilter_flow_run_input, aread_flow_run_input
from prefect.runtime import flow_run as this_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Failed, Scheduled, Suspended
from prefect.utilities.engine import propose_state
from pydantic import Field, create_model

from secondunit.crew import project_beside
from secondunit.flow.words import text
from secondunit.reviews.contactsheet import uri
from secondunit.reviews.decisions import Decisions, Verdict

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun, FlowRunInput, State

    from secondunit.errors import SecondUnitError, Unjudged
    from secondunit.reviews import Review

WAITING, REJECTED = "Waiting", "Rejected"
ASKED = "suspended-"  # how Prefect begins the keys of what belongs to a suspension
OURS = "review-"
PICTURES = 300_000  # bytes of the form's contact sheet
PROMPT = 160  # characters of a prompt in the form
MOST_TOLD = 80  # shots whose prompts the form tells
ANSWERS = 200  # inputs of a run, and suspended runs, that are looked through
SLOW = 20.0  # seconds for Prefect to have the others go on


class Judgement(RunInput):
    """The form: what a person says of what is shown."""

    decision: Literal["approve", "reject"] = Field(title="Decision")
    make_again: list[str] = Field(
        default=[], title="Shots to make again", description="None named and rejected: all of them."
    )
    notes: str = Field(default="", title="Notes", description="Why; it is told with the decision.")
    who: str = Field(default="", title="Who decides")


class Circling(Judgement):
    """The form where shots have several takes."""

    circled: list[str] = Field(
        default=[], title="Circled takes", description="One a shot; none: as the shot list says."
    )


async def hand_in(shot_list: str, out: str | None) -> None:
    """Write down what was answered on the page of this run, each answer once.

    Do so before `shot_list` is compiled: its plan depends on what was circled.
    """
    run = _deployed()
    if run is None:
        return
    decisions = Decisions(project_beside(shot_list, out).reviews)
    found: list[FlowRunInput] = await afilter_flow_run_input(key_prefix=ASKED + OURS, limit=ANSWERS)
    for given in found:
        if given.key.endswith("-response"):
            review = given.key.removeprefix(ASKED + OURS).partition("-")[0]
            await asyncio.to_thread(_write_down, decisions, review, given)
            await resume(review, f"Judged on the page of “{run.name}”.")


def _deployed() -> FlowRun | None:
    """Return this run where Prefect could begin it again by itself, and so suspend it."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None or run.parent_task_run_id is not None:
        return None
    return run


async def resume(review: str, why: str) -> list[str]:
    """Have the runs go on that are suspended for a review which is decided, and return their names.

    They find the decision where it is written down. Where Prefect does not answer they stay
    suspended, and are resumed on their pages.
    """
    asked = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Suspended"])))
    resumed: list[str] = []
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            async with asyncio.timeout(SLOW), get_client() as client:
                for run in await client.read_flow_runs(flow_run_filter=asked, limit=ANSWERS):
                    key = run.state.state_details.pause_key if run.state else None
                    if key and key.startswith(f"{OURS}{review}-"):
                        state: State[Any] = Scheduled(name="Resuming", message=why)
                        await client.set_flow_run_state(run.id, state, force=True)
                        resumed.append(run.name)
    except Exception as error:  # noqa: BLE001  whatever Prefect raises, it is no answer
        logging.getLogger(__name__).debug("not resumed: %r", error)
    return resumed


def _write_down(decisions: Decisions, review: str, given: FlowRunInput) -> None:
    said = Circling(**given.decoded_value)
    approved = said.decision == "approve" and not said.make_again
    verdict = Verdict(
        approved, again=tuple(said.make_again), who=said.who or "somebody on Prefect's page",
        notes=said.notes, source=f"{this_run.id} {given.key}",
        circled=_one_a_shot(said.circled) if approved else (),
    )  # fmt: skip
    decisions.answer(review, verdict)


def _one_a_shot(takes: list[str]) -> tuple[str, ...]:
    """Return the takes that were circled; of two of one shot, which a form cannot refuse, the last."""
    return tuple({take.rpartition(" take ")[0]: take for take in takes}.values())


async def suspend(review: Review, waits: Unjudged) -> State[Any]:
    """End this process and leave the run suspended until somebody judges `review`.

    Call it with nothing held. Returns a state only where Prefect cannot begin the run again by
    itself, as with one that no deployment began; else it does not return (prefect.Pause).
    """
    run = _deployed()
    if run is None:
        return waiting(waits)
    form = await asyncio.to_thread(_form, review, waits)
    for attempt in count(1):
        # A suspension that was passed before does not hold the run again. Its answer was handed in
        # when this process began; it had none where the run was begun again in another way.
        key = f"{OURS}{review.key}-{attempt}"
        state: State[Any] = Suspended(
            timeout_seconds=review.within, pause_key=key, message=str(waits)
        )
        await _suspended(run.id, form, state)
    raise AssertionError  # pragma: no cover  the count has no end


async def _suspended(run: UUID, form: type[Judgement], state: State[Any]) -> None:
    """Leave the run suspended with a form (prefect.Pause); return where `state` was passed before.

    Not `asuspend_flow_run` (prefect 3.8.8, flow_runs.py): it stores the form after the state, and a
    run that is resumed or cut off in between could never be resumed.
    """
    keyset = keyset_from_paused_state(state)
    state.state_details.run_input_keyset = {str(name): key for name, key in keyset.items()}
    if await aread_flow_run_input(keyset["schema"]) is None:
        await form.asave(keyset)
    async with get_client() as client:
        state = await propose_state(client, state, flow_run_id=run)
    if not state.is_running():
        raise Pause(state=state)


def waiting(waits: SecondUnitError) -> State[Any]:
    """Return the state of a run that ended because it waits for a review."""
    return Cancelled(name=WAITING, message=str(waits))


def rejected(error: SecondUnitError) -> State[Any]:
    """Return the state of a run whose stills or draft were rejected."""
    return Failed(name=REJECTED, message=str(error))


def _form(review: Review, waits: Unjudged) -> type[Judgement]:
    choices = {"make_again": review.shots, "circled": review.takes}
    base = Circling if review.takes else Judgement
    fields = {name: _some(base, name, of) for name, of in choices.items() if of}
    make: Any = create_model  # which knows the types of fields that are written out
    form: type[Judgement] = make("Judgement", __base__=base, **fields)
    form._description = page(review, waits)  # noqa: SLF001  as with_initial_data does
    return form


def _some(base: type[Judgement], name: str, known: tuple[str, ...]) -> Any:
    """Return a field of the form in which any of the `known` names may be chosen."""
    field = base.model_fields[name]
    chosen: Any = list[Literal.__getitem__(known)]  # type: ignore[misc]  # made at run time
    return (chosen, Field([], title=field.title, description=field.description))


def page(review: Review, waits: Unjudged) -> str:
    """Return what the form shows above its fields, as Markdown."""
    pictures = uri(review, PICTURES)
    head = f"![{text(review.title)}]({pictures})" if pictures else f"## {text(review.title)}"
    told = [f"- **{text(p.shot)}** {text(_short(p.prompt))}" for p in review.wanting[:MOST_TOLD]]
    left = len(review.wanting) - MOST_TOLD
    more = [f"- and {left} more"] if left > 0 else []
    return "\n\n".join([head, "\n".join([*told, *more]), text(str(waits))])


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= PROMPT else f"{prompt[:PROMPT]}…"
