"""A plan walked through: each step begins as soon as what it needs is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from secondunit.errors import SecondUnitError
from secondunit.flow.tasks import conform_clip, join_film, take_shot
from secondunit.production import FILM
from secondunit.reviews import before_review
from secondunit.standby import call_for

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from secondunit.flow.steps import Steps
    from secondunit.plan import CutEntry, Step


class Walk:
    """Takes every shot of a plan, conforms clips as they arrive, and joins the film."""

    def __init__(self, steps: Steps) -> None:
        """Walk through the plan of the production that `steps` are of."""
        self.production = steps.production
        self._steps = steps
        self._plan = steps.production.plan
        again = steps.production.unit.pace.again
        self._take_shot = take_shot.with_options(
            retries=len(again), retry_delay_seconds=list(again)
        )
        self._over = {step.key: asyncio.Event() for step in self._plan.steps}
        self._states: dict[str, State[Any]] = {}
        self._fitted: dict[int, State[Any]] = {}

    async def shoot(self) -> None:
        """Make the film as far as shots come back and are approved; `production` says how far."""
        async with self._steps.film():
            if await self._approved():
                async with asyncio.TaskGroup() as group:
                    for step in self._plan.steps:
                        if not self._over[step.key].is_set():
                            group.create_task(self.roll(step))
                    for place, entry in enumerate(self._plan.cut):
                        group.create_task(self._fit(place, entry))
            if len(self._fitted) == len(self._plan.cut):
                upstream = [state for _, state in sorted(self._fitted.items())]
                await self._steps.run(join_film, "Film", upstream)

    async def roll(self, step: Step) -> None:
        """Take one step once those that it needs are over, where all of them came back."""
        try:
            for key in step.needs:
                await self._over[key].wait()
            if any(key not in self.production.clips for key in step.needs):
                return
            upstream = [self._states[key] for key in step.needs if key in self._states]
            state = await self._steps.run(self._take_shot, step.label, upstream, step.key)
            self._states[step.key] = state
            self._steps.ended(step)
        finally:
            self._over[step.key].set()
        await self._steps.show_end(step)

    # --- inside -------------------------------------------------------------------------------

    async def _approved(self) -> bool:
        """Make what is to be judged, if anything is; say whether the rest may be ordered."""
        production, first = self.production, before_review(self._plan)
        approvals = production.approvals
        if not first or approvals is None:
            return True
        try:
            async with asyncio.TaskGroup() as group:
                for step in first:
                    group.create_task(self.roll(step))
            production.waiting = review = await asyncio.to_thread(approvals.of_stills)
            if review is not None and review.ready:
                production.failures[FILM] = await asyncio.to_thread(call_for, review, approvals)
        except SecondUnitError as error:
            production.failures[FILM] = error
        return production.waiting is None and FILM not in production.failures

    async def _fit(self, place: int, entry: CutEntry) -> None:
        """Conform a clip while other shots are still rolling; one that fits is left as it is."""
        await self._over[entry.key].wait()
        if entry.key not in self.production.clips:
            return
        state = self._states[entry.key]
        if self.production.fits(entry):
            await self.production.prepare(entry)
        else:
            name = f"{entry.shot} · conform"
            state = await self._steps.run(conform_clip, name, [state], place)
        if entry.key not in self.production.failures:
            self._fitted[place] = state
