"""What happens to a film, as events in Prefect that automations can act upon.

    secondunit.shot.finished     a shot was made in this run; what lay in the store already is not told
    secondunit.shot.held         it is not sent again until a person changes or settles it
    secondunit.shot.in-doubt     it may have been paid for: only a person may decide
    secondunit.shot.failed       it did not come back for another reason
    secondunit.film.over-budget  no more is ordered, for want of money or under a cap; once a run
    secondunit.film.finished     the film is made
    secondunit.film.failed       it is not, in this run
    secondunit.review.wanted     somebody is to look at it, before it goes on

The resource is the shot or the film; its labels say the rest, and `secondunit.message` says it in a
sentence. Prefect adds the flow run that it happened in.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from prefect.events import emit_event

from secondunit.errors import EXIT_DOUBT, OverBudget, Refused, Unjudged
from secondunit.flow.states import ending
from secondunit.production import FILM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from secondunit.errors import SecondUnitError
    from secondunit.plan import Step
    from secondunit.production import Production
    from secondunit.shotlist.office import Happening

LONGEST = 2000  # characters of a message


HAPPENINGS: Mapping[str, Happening] = {
    "shot.finished": "shot finished", "shot.held": "held", "shot.in-doubt": "in doubt",
    "film.over-budget": "over budget", "film.finished": "film finished",
    "film.failed": "film failed",
}  # fmt: skip


class Events:
    """Tells Prefect, and those whom the shot list names, what happens to one film in one run.

    It never waits, and nothing waits for it. Once the server is lost, people are told all the same.
    """

    def __init__(self, production: Production, heard: Callable[[], bool]) -> None:
        """Tell of `production`; `heard` says whether Prefect still listens."""
        self.production = production
        self._heard = heard
        self.plan = production.plan
        self._over_budget = False

    def ended(self, step: Step) -> None:
        """Tell that a step ended, unless nothing had to be made for it."""
        clip = self.production.clips.get(step.key)
        error = self.production.failures.get(step.key)
        if error is not None:
            self._shot(step, _happening(error), str(error))
            if isinstance(error, OverBudget) and not self._over_budget:
                self._over_budget = True
                self._film("film.over-budget", str(error))
        elif clip and not clip.cached and not step.own and step.kind != "still":
            self._shot(step, "finished", f"{step.shot} is here.")

    def film_ended(self) -> None:
        """Tell that the film is made, or why it is not."""
        film = self.production.film
        if film:
            said = f"{self.plan.title} is made: {float(film.seconds):.2f} s, {film.path}"
            self._film("film.finished", said, {"path": str(film.path)})
            return
        missing = list(dict.fromkeys(step.shot for step in self.production.missing()))
        error = self.production.failures.get(FILM)
        if isinstance(error, Unjudged):
            self._film("review.wanted", str(error))
            return
        said = str(error) if error else f"Did not come back: {', '.join(missing)}."
        self._film("film.failed", said, {"missing": str(len(missing))})

    # --- inside -------------------------------------------------------------------------------

    def _shot(self, step: Step, happening: str, message: str) -> None:
        orders = self.production.ledger.of(step.key)
        name = f"{self.plan.film_name}.{step.shot}"
        error = self.production.failures.get(step.key)
        self._tell(f"shot.{happening}", message, shot=step.shot)
        self._emit(f"shot.{happening}", f"shot.{_slug(name)}", step.shot, message, {
            "shot": step.shot, "model": step.model, "take": step.key,
            "seed": "" if step.seed is None else str(step.seed),
            "credits": str(sum(order.cost for order in orders)), "attempts": str(len(orders)),
            "state": ending(error, orders) if error else "here",
            "ticket": (orders[-1].ticket if orders else None) or "",
        })  # fmt: skip

    def _film(self, happening: str, message: str, labels: dict[str, str] | None = None) -> None:
        spent = self.production.ledger.spent(self.plan.gateway, run=self.production.unit.run)
        resource = f"film.{_slug(self.plan.film_name)}"
        more = {"credits": str(0 if self.plan.free else spent), **(labels or {})}
        self._tell(happening, message, credits_spent=None if self.plan.free else spent)
        self._emit(happening, resource, self.plan.title, message, more)

    def _tell(
        self, event: str, message: str, *, shot: str = "", credits_spent: int | None = None
    ) -> None:
        happening = HAPPENINGS.get(event)
        if happening is not None and self.production.notices is not None:
            facts = {} if credits_spent is None else {"credits_spent": credits_spent}
            self.production.notices.tell(happening, "", message, shot=shot, facts=facts)

    def _emit(
        self, happening: str, resource: str, name: str, message: str, labels: dict[str, str]
    ) -> None:
        if not self._heard():
            return
        plan = self.plan
        labels = {
            "film": plan.title, "shot-list": plan.file, "gateway": plan.gateway,
            "quality": plan.quality, "slate": plan.slate, "message": message[:LONGEST], **labels,
        }  # fmt: skip
        try:
            emit_event(
                event=f"secondunit.{happening}",
                resource={
                    "prefect.resource.id": f"secondunit.{resource}",
                    "prefect.resource.name": name,
                    **{f"secondunit.{k}": v for k, v in labels.items() if v},
                },
            )
        except Exception as error:  # noqa: BLE001  Prefect's trouble is not the film's
            logging.getLogger(__name__).debug("not told: %r", error)


def _happening(error: SecondUnitError) -> str:
    if error.exit_code == EXIT_DOUBT:
        return "in-doubt"
    return "held" if isinstance(error, Refused) else "failed"


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name).strip("-")
