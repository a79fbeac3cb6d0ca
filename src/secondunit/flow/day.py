"""A shooting day: the steps of a film, begun one by one by a flow that somebody wrote out.

`secondunit compile` writes such flows, and people change them. What they cannot change is here: a
step is begun only where the plan knows it, and only after all that the plan makes it from, so that
a flow which no longer fits its shot list says so before it orders anything.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from secondunit import standby
from secondunit.errors import Locked, Unjudged, UsageError
from secondunit.flow import following, late, stopping
from secondunit.flow.approval import hand_in, suspend
from secondunit.flow.byhand import by_hand, main
from secondunit.flow.steps import Steps
from secondunit.flow.tasks import Logged, conform_clip, join_film, take_shot, transient
from secondunit.flow.unattended import Silent, called, on_order, opened, rolling
from secondunit.flow.wiring import Wiring
from secondunit.plan import dollars
from secondunit.production import FILM
from secondunit.reviews import waits
from secondunit.watch import say, terminal, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from pathlib import Path

    from prefect import Task
    from prefect.client.schemas.objects import State

    from secondunit.flow.monitor import Monitor
    from secondunit.flow.wiring import Seen
    from secondunit.plan import Plan
    from secondunit.ports import Watcher
    from secondunit.production import Production
    from secondunit.reviews import Approvals
    from secondunit.standby import Books

from prefect.runtime import flow_run as this_run
from prefect.states import Cancelled, Failed, Pending

__all__ = ["Day", "main", "shooting_day", "today", "transient"]


_today: ContextVar[Day] = ContextVar("today")


def today() -> Day:
    """Return the day that the running task belongs to. Raises UsageError where there is none."""
    day = _today.get(None)
    if day is None:
        raise UsageError("This task belongs to a flow: begin it with `day.begin`.")
    return day


class Day:
    """Begins the steps of a production, each as a task run of Prefect's, and sees them end.

    What a step of the plan is follows from the name of its task: `still`, `shot`, `conform` and
    `join` are the plan's, every other task is the author's own.
    """

    def __init__(self, production: Production, monitor: Monitor) -> None:
        """Make the film of `production`, shown on a server as long as `monitor` has one."""
        self.production = production
        self.plan = production.plan
        self.wiring = Wiring(production.plan)
        self.steps = Steps(production, monitor)
        self.run = str(this_run.id)
        self.stopped = ""  # what goes on where somebody stopped the run on its page
        self.troubles: list[str] = []  # what failed of the author's own
        self._begun: dict[asyncio.Task[State[Any]], frozenset[str]] = {}

    # --- for the flow -------------------------------------------------------------------------

    def begin(
        self,
        work: Task[Any, Any],
        *arguments: Any,
        after: Iterable[asyncio.Task[State[Any]]] = (),
    ) -> asyncio.Task[State[Any]]:
        """Begin `work` as soon as those in `after` are done; it is not begun where one of them failed.

        Returns what a later step may come `after`; awaited, it gives Prefect's state of the work.
        Raises UsageError where the plan has no such step, or makes it from what is not waited for.
        """
        upstream = tuple(after)
        done = frozenset[str]().union(*(self._begun.get(one, ()) for one in upstream))
        seen = self.wiring.seen(work.name, arguments, done)
        begun = asyncio.create_task(self._after(upstream, work, seen, arguments))
        self._begun[begun] = done | seen.makes
        return begun

    def outcome(self) -> State[Any]:
        """Return the state that the flow's run ends in."""
        if self.stopped:
            return Cancelled(message=self.stopped)
        if self.troubles:
            return Failed(message=" ".join(self.troubles))
        return following.outcome(self.production)

    # --- for the tasks ------------------------------------------------------------------------

    async def still(self, shot: str) -> Any:
        """Make the picture that `shot` opens on, or find it in the store."""
        return await take_shot.fn(self.wiring.step("still", shot).key)

    async def shot(self, shot: str) -> Any:
        """Take `shot`: from the store, from a ticket that is open, or by a new order."""
        return await take_shot.fn(self.wiring.step("shot", shot).key)

    async def conform(self, shot: str) -> Any:
        """Bring the clip of `shot` to the film's size, frame rate and pixel format, and trim it."""
        return await conform_clip.fn(self.plan.cut.index(self.wiring.entry(shot)))

    async def join(self) -> Any:
        """Join the clips into the film, in the order of the shot list, and write its manifest."""
        return await join_film.fn()

    def clip(self, shot: str) -> Path:
        """Return the file of the clip that came back for `shot`."""
        return self.production.clips[self.wiring.entry(shot).key].path

    async def end(self) -> None:
        """See all that was begun end."""
        while under_way := [one for one in self._begun if not one.done()]:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_EXCEPTION)
            for one in self._begun:
                if one.done():
                    one.result()

    async def break_off(self) -> None:
        """Leave what was begun as it is; orders go on and are picked up by the next run."""
        for one in self._begun:
            one.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)

    # --- inside -------------------------------------------------------------------------------

    async def _after(
        self,
        upstream: tuple[asyncio.Task[State[Any]], ...],
        work: Task[Any, Any],
        seen: Seen,
        arguments: tuple[Any, ...],
    ) -> State[Any]:
        states = [await one for one in upstream]
        if not all(state.is_completed() for state in states):
            return Pending(name="NotReady", message="What it waits for did not come back.")
        self.wiring.under_way = True
        state = await self.steps.run(work, seen.label, states, *arguments, own=True)
        if seen.step:
            self.steps.ended(seen.step)
            await self.steps.show_end(seen.step)
        elif seen.own and not state.is_completed():
            self.troubles.append(f"{seen.label}: {state.message}")
        return state


@asynccontextmanager
async def shooting_day(
    shot_list: Path,
    *,
    gateway: str | None = None,
    quality: str | None = None,
    only: str | None = None,
    budget: str | None = None,
    out: str | None = None,
    roots: Sequence[str] = (),
) -> AsyncIterator[Day]:
    """Have everything ready to shoot; at the end, see to it that all that was begun is done.

    The shot list is read, checked and priced, and its project is held. Nobody is asked: a gateway
    that costs money needs a cap. `out`, the folder of films/ and .secondunit/, and `roots`, from
    which files may come, too, are found from the shot list's folder. Where something is to be
    judged first, a run that a deployment began is suspended; where another run holds the project, it
    begins again later. Raises SecondUnitError before anything is ordered.
    """
    folder = shot_list.parent
    where = None if out is None else str(folder / out)
    allowed = [str(folder / root) for root in roots]
    await hand_in(str(shot_list), where)
    call = await asyncio.to_thread(
        called, str(shot_list), gateway, quality, only, budget, where, allowed
    )
    approvals = await asyncio.to_thread(standby.approvals_of, call)
    await _see_reviews(approvals)
    try:
        async with opened(call) as books, stopping.told(books):
            with _watcher(call.plan) as watcher:
                async with (
                    rolling(books, Logged(watcher)) as production,
                    _followed(production) as day,
                ):
                    yield day
            day.stopped = on_order(books.plan, books.ledger) if day.steps.monitor.stopped else ""
            _tell_end(books, day)
    except Locked as error:
        await late.put_off(error)
        raise
    unjudged = day.production.failures.get(FILM)
    if isinstance(unjudged, Unjudged) and not day.stopped:
        review = await asyncio.to_thread(approvals.of_stills)
        if review:
            await suspend(review, unjudged)


@asynccontextmanager
async def _followed(production: Production) -> AsyncIterator[Day]:
    """Have a day whose run is followed on its server."""
    hand = by_hand.get(None)
    monitor = hand.monitor if hand else following.monitor_of(production)
    day = Day(production, monitor)
    _today.set(day)
    if hand:
        hand.days.append(day)
    monitor.begin(str(this_run.id))
    try:
        await following.connect(production, monitor)
        async with following.followed(day.steps), day.steps.film():
            yield day
            await monitor.follow(day.end())
            await asyncio.to_thread(_ask_for_review, production)
    finally:
        await day.break_off()
        await monitor.close()


async def _see_reviews(approvals: Approvals) -> None:
    """See that nothing was rejected, and that a draft which is wanted first is there and approved."""
    await asyncio.to_thread(approvals.of_stills)
    review = await asyncio.to_thread(approvals.of_draft)
    if review is None:
        return
    if not review.ready:
        raise UsageError(
            f"{waits(review)} `secondunit shoot {approvals.plan.file}` makes it. Nothing was ordered."
        )
    unjudged = await asyncio.to_thread(standby.call_for, review, approvals)
    await suspend(review, unjudged)
    raise unjudged


def _ask_for_review(production: Production) -> None:
    """Ask for a decision on the stills once all are there; until then no shot was ordered."""
    approvals = production.approvals
    review = approvals.of_stills() if approvals and production.film is None else None
    if approvals and review and review.ready:
        production.failures[FILM] = standby.call_for(review, approvals)


@contextmanager
def _watcher(plan: Plan) -> Iterator[Watcher]:
    """Show the day on the terminal where it was begun there, and have it end as things do there.

    A worker has its log, and its own way to end a run.
    """
    if by_hand.get(None) is None:
        yield Silent()
        return
    with stopping.as_interrupt(), watching(plan, terminal()) as watcher:
        yield watcher


def _tell_end(books: Books, day: Day) -> None:
    for trouble in (*day.production.failures.values(), *day.troubles):
        say(str(trouble), error=True)
    film = day.production.film
    say(f"The film is {film.path}" if film else day.stopped or "The film was not made.")
    say(f"Spent {books.spent} credits (${dollars(books.spent)}).")
