"""The shooting floor: which order is rolling, which one waits, and how each one ends."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
import uuid
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from secondunit.backlot.book import OPEN, Task
from secondunit.backlot.rules import DAY, TIERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from secondunit.backlot.book import Book
    from secondunit.backlot.rules import Rules
    from secondunit.backlot.stage import Job, Stage
    from secondunit.catalog import Catalog

_PENDING = 0.1  # of a task's time is spent before it rolls
_NEARLY = 0.99  # progress of a task whose time is up while its pictures are still being drawn


class Floor:
    """Takes orders, keeps to the tier's concurrency for each model, and ends every task."""

    def __init__(
        self, home: Path, book: Book, stage: Stage, rules: Rules, catalog: Catalog
    ) -> None:
        self._outputs = home / "outputs"
        self._outputs.mkdir(exist_ok=True)
        self._book, self._stage, self._rules = book, stage, rules
        self._catalog, self._tier = catalog, TIERS[rules.tier]
        self._dice = random.Random(rules.seed)  # noqa: S311  latencies are repeatable on purpose
        self._crews: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, asyncio.TimerHandle | None] = {}
        self._busy: Counter[str] = Counter()
        self._open = True

    # what the tier allows

    def limits(self, model: str) -> tuple[int, int]:
        """Return how many tasks of a model may roll at once, and how many a day may be ordered."""
        known = self._catalog.model(model, "backlot")
        return self._tier.limits(known.work if known else "video")

    def over_the_day(self, model: str) -> bool:
        """Whether the model's allowance for the last 24 hours is used up."""
        return self._book.generations(model, time.time() - DAY) >= self.limits(model)[1]

    # orders

    def resume(self) -> None:
        """Go on with every task that was open when the last process ended."""
        rolling = self._book.tasks("RUNNING", "PENDING")
        for task in rolling:
            self._roll(task)
        for task in self._book.tasks("THROTTLED"):
            self._hold(task)
        for model in {task.model for task in self._book.tasks("THROTTLED")}:
            self._fill(model)

    def order(
        self, endpoint: str, body: Mapping[str, Any], job: Job, estimate: int, fates: dict[str, str]
    ) -> Task:
        """Write down an accepted order with its charge, and start it where there is a place."""
        free = self._busy[job.model] < self.limits(job.model)[0] and "stuck" not in fates
        task = Task(
            id=str(uuid.uuid4()),
            endpoint=endpoint,
            model=job.model,
            shot=job.shot,
            body=body,
            job=asdict(job),
            fates=fates,
            estimate=estimate,
            wait=self._dice.uniform(*self._rules.latency),
            status="PENDING" if free else "THROTTLED",
            created=time.time(),
        )
        self._book.add(task)
        if free:
            self._roll(task)
        else:
            self._hold(task)
        return task

    def cancel(self, task: Task) -> None:
        """Delete a task: refunded while it waits, not once it rolls; a finished one is gone."""
        crew = self._crews.get(task.id)
        if crew is not None:
            crew.cancel()
        if task.status in OPEN:
            cost = self._book.cost(task.id) if task.status == "RUNNING" else 0
            self._book.finish(task.id, "CANCELLED", cost=cost, deleted=True)
        else:
            self._book.delete(task.id)
        self._release(task.id)
        shutil.rmtree(self._outputs / task.id, ignore_errors=True)

    @property
    def monthly(self) -> int:
        """The credits that the tier allows to be spent in a month."""
        return self._tier.monthly

    async def close(self) -> None:
        """Send every crew home; the book keeps their tasks open."""
        self._open = False
        for id_ in tuple(self._held):
            self._release(id_)
        crews = tuple(self._crews.values())
        for crew in crews:
            crew.cancel()
        await asyncio.gather(*crews, return_exceptions=True)

    def progress(self, task: Task) -> float:
        """Return how far a rolling task is, 0 to 1."""
        span = task.wait * (1 - _PENDING)
        done = (time.time() - (task.started or task.created)) / span if span else _NEARLY
        return round(min(_NEARLY, max(0.0, done)), 4)

    # waiting

    def _hold(self, task: Task) -> None:
        """Keep a stuck task off the floor for its time."""
        seconds = task.fates.get("stuck")
        if seconds is None:
            return
        timer = None
        if seconds:
            left = max(0.0, task.created + float(seconds) - time.time())
            timer = asyncio.get_running_loop().call_later(left, self._unhold, task)
        self._held[task.id] = timer

    def _unhold(self, task: Task) -> None:
        self._held.pop(task.id, None)
        self._fill(task.model)

    def _release(self, id_: str) -> None:
        timer = self._held.pop(id_, None)
        if timer is not None:
            timer.cancel()

    def _fill(self, model: str) -> None:
        """Start the oldest waiting tasks of a model while there are free places."""
        free = self.limits(model)[0] - self._busy[model]
        if free <= 0 or not self._open:
            return
        waiting = (id_ for id_ in self._book.throttled(model) if id_ not in self._held)
        for id_, _ in zip(waiting, range(free), strict=False):
            self._book.move(id_, "PENDING")
            task = self._book.task(id_)
            if task is not None:
                self._roll(task)

    # rolling

    def _roll(self, task: Task) -> None:
        self._busy[task.model] += 1
        crew = asyncio.get_running_loop().create_task(self._shoot(task))
        self._crews[task.id] = crew
        crew.add_done_callback(lambda _: self._wrap(task))

    def _wrap(self, task: Task) -> None:
        del self._crews[task.id]
        self._busy[task.model] -= 1
        self._fill(task.model)

    async def _shoot(self, task: Task) -> None:
        if task.started is None:
            await asyncio.sleep(task.wait * _PENDING)
            self._book.move(task.id, "RUNNING")
        started = task.started or time.time()
        ends = started + task.wait * (1 - _PENDING)
        trouble = await self._drawn(task)
        await asyncio.sleep(max(0.0, ends - time.time()))
        self._end(task, trouble)

    async def _drawn(self, task: Task) -> str:
        """Draw what was ordered; returns what went wrong."""
        if task.fates.keys() & {"invalid", "fail", "cancelled"}:
            return ""
        folder = self._outputs / task.id
        folder.mkdir(exist_ok=True)
        try:
            await self._stage.shoot(task.job, folder / _output(task))
        except Exception as error:  # noqa: BLE001  whatever the renderer raises ends this task only
            return f"The backlot could not draw this: {type(error).__name__}: {error}"
        return ""

    def _end(self, task: Task, trouble: str) -> None:
        cost = self._book.cost(task.id)
        if "invalid" in task.fates:
            self._fail(task, task.fates["invalid"], "ASSET.INVALID", 0)
        elif "fail" in task.fates:
            code, _, charged = task.fates["fail"].partition(",")
            self._fail(task, _failure(code), code, int(charged) if charged else cost)
        elif "cancelled" in task.fates:
            self._book.finish(task.id, "CANCELLED", cost=0)
        elif trouble:
            self._fail(task, trouble, "INTERNAL", 0)
        else:
            self._book.finish(task.id, "SUCCEEDED", cost=cost, outputs=[_output(task)])

    def _fail(self, task: Task, failure: str, code: str, cost: int) -> None:
        self._book.finish(task.id, "FAILED", cost=cost, failure=failure, failure_code=code or None)


def _output(task: Task) -> str:
    return "0.mp4" if task.job["seconds"] else "0.png"


def _failure(code: str) -> str:
    if code.startswith(("SAFETY", "INPUT_PREPROCESSING.SAFETY")):
        return "The content was moderated."
    if code in ("", "INTERNAL"):
        return "An unexpected error occurred."
    return f"The generation failed: {code}."
