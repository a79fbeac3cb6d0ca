"""Whether a flow that somebody wrote out fits the plan of its shot list, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from secondunit.plan import CutEntry, Plan, Step

MOST_NAMED = 6  # shots that a message lists
ROLLED = frozenset({"still", "shot"})


@dataclass(frozen=True)
class Seen:
    """What a piece of work is to the plan: its name in Prefect and the marks of what it makes.

    `step` is set where it is one to roll, `own` where it is none of the plan's.
    """

    label: str
    makes: frozenset[str] = frozenset()
    step: Step | None = None
    own: bool = False


class Wiring:
    """Holds what a flow begins against the plan. Every method raises UsageError where it is amiss."""

    def __init__(self, plan: Plan) -> None:
        """Hold a flow against `plan`, before anything of it is `under_way`."""
        self.plan = plan
        self.under_way = False

    def seen(self, work: str, arguments: tuple[Any, ...], done: frozenset[str]) -> Seen:
        """Return what `work` is to the plan, where it comes after all that the plan makes it from."""
        if work in ROLLED:
            step = self.step(work, *arguments)
            self._see_upstream(work, step.shot, step.needs, done)
            return Seen(step.label, frozenset({step.key}), step)
        if work == "conform":
            entry = self.entry(*arguments)
            self._see_upstream(work, entry.shot, (entry.key,), done)
            return Seen(f"{entry.shot} · conform", frozenset({_fitted(entry)}))
        if work == "join":
            left = [entry.shot for entry in self.plan.cut if _fitted(entry) not in done]
            if left:
                raise self._unfit(f"the film has {_listed(left)}, and the flow joins it without.")
            return Seen("Film")
        return Seen(" · ".join([*map(str, arguments[:1]), work]), own=True)

    def step(self, work: str, shot: str) -> Step:
        """Return what `work` makes for `shot`; two shots that ask for the same have one step."""
        placed = [self.plan.step(e.key) for e in self.plan.cut if e.shot == shot]
        for step in (*placed, *(s for s in self.plan.steps if s.shot == shot)):
            if (step.kind == "still") == (work == "still"):
                return step
        known, take, _ = shot.rpartition(" take ")
        if take and any(e.shot == known for e in self.plan.cut):  # another take was circled since
            return self.step(work, known)
        raise self._unfit(f"it asks for no {work} of {shot}, and the flow makes one.")

    def entry(self, shot: str) -> CutEntry:
        """Return the place of `shot` in the film."""
        for entry in self.plan.cut:
            if entry.shot == shot:
                return entry
        raise self._unfit(f"{shot} is not in the film, and the flow has it there.")

    def _see_upstream(
        self, work: str, shot: str, needs: Iterable[str], done: frozenset[str]
    ) -> None:
        missing = [_made(self.plan.step(key)) for key in needs if key not in done]
        if missing:
            raise self._unfit(
                f"{_listed(missing)} is needed for the {work} of {shot}, and the flow does not wait"
                " for that."
            )

    def _unfit(self, why: str) -> UsageError:
        ordered = "Nothing was ordered for it" if self.under_way else "Nothing was ordered"
        return UsageError(
            f"The flow no longer fits {self.plan.file}: {why} Compile it again with `secondunit"
            f" compile`, or change it. {ordered}."
        )


def _fitted(entry: CutEntry) -> str:
    return f"fitted {entry.shot}"


def _made(step: Step) -> str:
    return f"the still of {step.shot}" if step.kind == "still" else step.shot


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
