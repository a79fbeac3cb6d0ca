"""A film that Prefect begins by itself: no terminal, nobody to ask, and so never without a cap."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from prefect.runtime import flow_run as this_run

from secondunit import reviews, standby
from secondunit.crew import Settings, project_of
from secondunit.errors import UsageError
from secondunit.planning import compiled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from secondunit.ledger import Ledger
    from secondunit.plan import Plan
    from secondunit.ports import Stage, Watcher
    from secondunit.production import Production
    from secondunit.standby import Books

NO_CAP = "Nobody is asked before this run spends money, so it needs a cap: add `budget` on its form"


class Silent:
    """A watcher that shows nothing; what happens stands in the log of the run."""

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Show nothing."""


def called(
    shot_list: str,
    gateway: str | None = None,
    quality: str | None = None,
    only: str | None = None,
    budget: str | int | None = None,
    out: str | None = None,
    roots: Sequence[str] = (),
) -> standby.Call:
    """Read a shot list and return what is asked for; nobody will be asked about money.

    Raises SpecError, UsageError.
    """
    path = Path(shot_list).expanduser()
    if not path.is_absolute():
        raise UsageError(
            f"{shot_list}: a run of its own needs the whole path. Nothing was ordered."
        )
    plan = compiled(str(path), gateway, quality, roots, out)
    call = standby.Call(
        plan=plan, project=project_of(path.parent, out, Settings.load()), only=only,
        budget=standby.amount(None if budget is None else str(budget)), yes=True,
        # a run that is resumed goes on with what is left of its budget
        run=str(this_run.id or uuid.uuid4()),
    )  # fmt: skip
    return standby.drafted(
        standby.selected(call), lambda: compiled(str(path), gateway, reviews.DRAFT, roots, out)
    )


@asynccontextmanager
async def opened(call: standby.Call) -> AsyncIterator[Books]:
    """Hold the project and open its books, with the account asked and every cap in place.

    Raises SecondUnitError when there is no cap, when another run holds it, when the key is missing.
    """
    with ExitStack() as stack:
        books: Books = await asyncio.to_thread(_entered, stack, call)
        try:
            yield books
        finally:
            await asyncio.shield(asyncio.to_thread(stack.close))


def _entered(stack: ExitStack, call: standby.Call) -> Books:
    books = stack.enter_context(standby.opened(call))
    if not books.done:
        standby.see_cap(books, NO_CAP)
        standby.ask_account(books, _log)
        standby.see_cap(books, NO_CAP)
    return books


@asynccontextmanager
async def rolling(books: Books, watcher: Watcher) -> AsyncIterator[Production]:
    """Have the gateway and the unit ready; what is under way when the block is left is let end."""
    with ExitStack() as stack:
        production = await asyncio.to_thread(stack.enter_context, standby.rolling(books, watcher))
        try:
            yield production
        finally:
            await asyncio.shield(production.unit.gateway.close())
            await asyncio.shield(asyncio.to_thread(stack.close))


def on_order(plan: Plan, ledger: Ledger) -> str:
    """Return a sentence on what goes on at the gateway when a run stops here."""
    waiting, doubtful = standby.on_order(plan, ledger)
    said = []
    if waiting:
        billed = "free" if plan.free else "billed"
        said.append(f"On order, going on and {billed}: {', '.join(waiting)}.")
    if doubtful:
        said.append(f"In doubt, and counted as spent: {', '.join(doubtful)}.")
    return " ".join([*(said or ["Nothing is on order."]), "The next run picks everything up."])


def _log(message: str) -> None:
    try:
        get_run_logger().info("%s", message)
    except MissingContextError:  # a thread of its own, without the run's context
        return
