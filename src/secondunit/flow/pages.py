"""What a run shows on its page in Prefect: progress, the call sheet before, the dailies after."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

from secondunit import callsheet
from secondunit.flow import dailies
from secondunit.flow.forecast import Forecast, spoken
from secondunit.flow.stills import Stills
from secondunit.flow.words import money, text

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from secondunit.plan import Step
    from secondunit.ports import Stage
    from secondunit.production import Production

PULSE = 5.0  # seconds between two looks at whether the progress is to be written again


class Board:
    """The artifacts of one run. What cannot be shown never stops a film."""

    def __init__(self, production: Production) -> None:
        """Show `production`."""
        self.production = production
        self.plan = production.plan
        self.forecast = Forecast(self.plan.steps)
        self.stills = Stills(production.project.work / "stills")
        self.sheet = callsheet.sheet(self.plan, production.unit.store, production.ledger)
        self._pictured = dailies.pictured(self.plan)
        self._progress: Any = None
        self._written = ""
        self._over = False
        self._pulse: asyncio.Task[None] | None = None

    async def before(self) -> None:
        """Publish the call sheet, and the progress at nothing."""
        await _shown(self._before())

    async def advance(self, step: Step) -> None:
        """Note that a step has ended, well or badly."""
        await _shown(self._advance(step))

    async def after(self) -> None:
        """Publish the dailies, and the film with its poster."""
        self._over = True
        if self._pulse:
            self._pulse.cancel()
        for show in (self._write, self._dailies, self._premiere):
            await _shown(show())

    def saw(self, key: str, stage: Stage) -> None:
        """Note the stage that a step is in."""
        self.forecast.saw(key, stage)

    def line(self) -> str:
        """Return how far the film is, in a line."""
        clips, forecast = self.production.clips, self.forecast
        takes = [step.key for step in self.plan.rolled]
        here = sum(key in clips for key in takes)
        missing = sum(key in forecast.over and key not in clips for key in takes)
        rolling = forecast.counted("rolling", "queued", "throttled", "fetching")
        waiting = forecast.counted("waiting", "retrying")
        left = None if self._over else forecast.left
        return " · ".join(filter(None, [
            f"**{here} of {len(takes)} {self.plan.counted_in}**",
            f"{rolling} on order" if rolling else "",
            f"{waiting} waiting" if waiting else "",
            f"{missing} did not come back" if missing else "",
            spoken(left) if left else "",
            self._purse(),
        ]))  # fmt: skip

    # --- inside -------------------------------------------------------------------------------

    async def _before(self) -> None:
        await acreate_table_artifact(
            [self._total(), *map(self._row, self.plan.steps)],
            key=self._key("call-sheet"),
            description=f"Call sheet. {text(callsheet.total(self.sheet, self._cap()))}.",
        )
        self._written = self.line()
        self._progress = await acreate_progress_artifact(
            progress=0.0, key=self._key("progress"), description=self._written
        )
        self._pulse = asyncio.create_task(self._beat())

    async def _advance(self, step: Step) -> None:
        clip = self.production.clips.get(step.key)
        self.forecast.ended(step.key, came_back=clip is not None)
        if clip is not None and step.key in self._pictured:
            await asyncio.to_thread(self.stills.make, clip)

    async def _dailies(self) -> None:
        page = await asyncio.to_thread(dailies.page, self.production, self.stills)
        key, said = self._key("dailies"), f"Dailies. {self._spent_and_saved()}"
        await acreate_markdown_artifact(page, key=key, description=said)

    async def _premiere(self) -> None:
        film = self.production.film
        if film is None:
            return
        await asyncio.to_thread(self.stills.film, film)
        page = dailies.premiere(self.production, film, self.stills)
        key, said = self._key("film"), f"The film. {self._spent_and_saved()}"
        await acreate_markdown_artifact(page, key=key, description=said)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PULSE)
            await _shown(self._write())

    async def _write(self) -> None:
        """Write the progress where it is not what stands there."""
        line = self.line()
        if self._progress is None or line == self._written:
            return
        self._written = line
        await aupdate_progress_artifact(
            self._progress, progress=self.forecast.progress, description=line
        )

    def _spent(self) -> int:
        unit = self.production.unit
        return self.production.ledger.spent(self.plan.gateway, run=unit.run)

    def _cap(self) -> int | None:
        allowed = self.production.unit.allowance
        return min((c for c in (allowed.run, allowed.film) if c is not None), default=None)

    def _purse(self) -> str:
        if self.plan.free:
            return "free on the backlot"
        cap = self._cap()
        return f"{self._spent()}{'' if cap is None else f' of {cap}'} credits"

    def _spent_and_saved(self) -> str:
        if self.plan.free:
            return "Shot on the backlot, which is free."
        saved = f", saved {money(self.sheet.saved)} by what was here already"
        return f"Spent {money(self._spent())} in this run{saved if self.sheet.saved else ''}."

    def _key(self, page: str) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.plan.name}-{page}".lower()).strip("-")

    def _row(self, step: Step) -> dict[str, Any]:
        return {
            "shot": text(step.shot),
            "order": step.kind,
            "model": text(step.model),
            "seconds": step.seconds or "",
            "credits": _price(step, free=self.plan.free),
            "now": self.sheet.standing[step.key],
            "why": text(step.reason),
        }

    def _total(self) -> dict[str, Any]:
        """Return the first line of the call sheet, because only ten are shown at once: the sum."""
        steps, cap = self.sheet.to_shoot, self._cap()
        return {
            "shot": "ALL", "order": f"{len(steps)} orders", "model": "",
            "seconds": sum(step.seconds or 0 for step in steps if step.kind != "still"),
            "credits": "free" if self.plan.free else money(self.sheet.cost), "now": "to shoot",
            "why": "" if cap is None or self.plan.free else f"cap {money(cap)}",
        }  # fmt: skip


def _price(step: Step, *, free: bool) -> Any:
    if free or step.request is None:
        return "free" if step.request else ""
    return "?" if step.credits is None else step.credits


async def _shown(page: Awaitable[None]) -> None:
    try:
        await page
    except Exception as error:  # noqa: BLE001  Prefect's trouble is not the film's
        logging.getLogger(__name__).debug("not shown: %r", error)
