"""How far a film is, and about how long it will still take: counted, with nothing of Prefect."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secondunit.plan import Step
    from secondunit.ports import Stage

AT_WORK: frozenset[Stage] = frozenset(
    {"uploading", "ordering", "queued", "throttled", "rolling", "fetching"}
)


class Forecast:
    """Counts the steps of a film as they begin and end.

    What a step will take is the median of its model's steps that came back in this run. As many
    run side by side as were seen to; what waits for another step is added to that.
    """

    def __init__(self, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        """Count `steps`, in an order in which each can be made."""
        self.steps = steps
        self._clock = clock
        self._began: dict[str, float] = {}
        self._model = {step.key: step.model for step in steps}
        self._stage: dict[str, str] = {}
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self._most: Counter[str] = Counter()
        self.over: set[str] = set()
        """The keys of the steps that have ended, well or badly."""

    def saw(self, key: str, stage: Stage) -> None:
        """Note that a step entered a stage."""
        if key in self.over or key not in self._model:
            return
        self._stage[key] = stage
        if stage in AT_WORK and key not in self._began:
            self._began[key] = self._clock()
            model = self._model[key]
            busy = sum(self._model[k] == model for k in self._began if k not in self.over)
            self._most[model] = max(self._most[model], busy)

    def ended(self, key: str, *, came_back: bool) -> None:
        """Note that a step ended; only one that came back tells how long such steps take."""
        self.over.add(key)
        if came_back and key in self._began:
            self._took[self._model[key]].append(self._clock() - self._began[key])

    @property
    def progress(self) -> float:
        """How many of all steps have ended, in percent."""
        return 100.0 * len(self.over) / max(1, len(self.steps))

    def counted(self, *stages: str) -> int:
        """Return how many steps are in one of these stages now."""
        return sum(s in stages for k, s in self._stage.items() if k not in self.over)

    @property
    def left(self) -> float | None:
        """Return about how many seconds are left; None while nothing has come back to judge by."""
        waiting = [step for step in self.steps if step.key not in self.over]
        if any(self._usual(step.model) is None for step in waiting):
            return None
        work: defaultdict[str, float] = defaultdict(float)
        ready: dict[str, float] = {}
        for step in waiting:
            seconds = self._remaining(step)
            work[step.model] += seconds
            ready[step.key] = seconds + max(
                (ready.get(need, 0.0) for need in step.needs), default=0
            )
        shared = [seconds / max(1, self._most[model]) for model, seconds in work.items()]
        return max([*shared, *ready.values()], default=0.0)

    def _usual(self, model: str) -> float | None:
        """Return what a step of a model takes; the author's own clips take no time."""
        if model == "-":
            return 0.0
        known = self._took.get(model) or [s for took in self._took.values() for s in took]
        return median(known) if known else None

    def _remaining(self, step: Step) -> float:
        began = self._began.get(step.key)
        spent = 0.0 if began is None else self._clock() - began
        return max(0.0, (self._usual(step.model) or 0.0) - spent)


def spoken(seconds: float) -> str:
    """Return a time that is left as people say it: `about 3 min left`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute left"
    if minutes < 90:
        return f"about {minutes} min left"
    return f"about {minutes // 60} h {minutes % 60 // 10 * 10:02} min left"
