"""Everything that stands ready before the first shot: project, books, money agreed, gateway, unit.

Nothing here knows of Prefect or of a terminal. `shooting` calls it for a command, `flow` for a run
that Prefect begins by itself.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from secondunit import books, callsheet, reviews
from secondunit.crew import Settings, gateway_for, stored
from secondunit.errors import (
    EXIT_DISK,
    EXIT_DOUBT,
    EXIT_FILM,
    EXIT_LOCKED,
    EXIT_MONEY,
    EXIT_SHOTS,
    OverBudget,
    SecondUnitError,
    Unjudged,
    Unreachable,
    UsageError,
)
from secondunit.ledger import OPEN, Allowance
from secondunit.notices import Notices
from secondunit.plan import dollars
from secondunit.reviews import Approvals
from secondunit.take.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secondunit.callsheet import Sheet
    from secondunit.crew import Project
    from secondunit.ledger import Ledger
    from secondunit.plan import Plan
    from secondunit.ports import Account, Gateway, Watcher
    from secondunit.production import Production
    from secondunit.reviews import Review
    from secondunit.store import Store

# When several things went wrong, the one that most needs a person decides the exit code.
GRAVITY = (EXIT_DOUBT, EXIT_DISK, EXIT_MONEY, EXIT_LOCKED, EXIT_SHOTS)


@dataclass(frozen=True)
class Call:
    """What is asked for; `budget` in credits. `yes`: nobody is asked, the caps alone decide.

    `draft` is the same film in quality draft, where a review wants it made and judged first; `run`
    names all that is spent for this call, and so what a cap of a run counts.
    """

    plan: Plan
    project: Project
    only: str | None = None
    budget: int | None = None
    yes: bool = False
    base_url: str | None = None
    as_json: bool = False
    draft: Plan | None = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def of_draft(self) -> Call:
        """The call for the draft alone."""
        return self if self.draft is None else replace(self, plan=self.draft, draft=None)


def amount(text: str | None) -> int | None:
    """Return the credits that `--budget` says. Raises UsageError."""
    if text is None:
        return None
    from secondunit.shotlist.spec import money

    value = money(text)
    if value is None:
        raise UsageError(
            f'--budget {text}: write credits (500) or dollars ("$5"). Nothing was ordered.'
        )
    return value


def selected(call: Call) -> Call:
    """Narrow the plan to what `--only` names; a film of a selection has a name of its own."""
    if call.only is None:
        return call
    return replace(call, plan=_narrowed(call.plan, call.only))


def drafted(call: Call, compile_draft: Callable[[], Plan]) -> Call:
    """Add the draft to a call, selected as it is, where a review wants one made and judged first."""
    if not reviews.wants_draft(call.plan):
        return call
    plan = compile_draft()
    if call.only is not None:
        plan = _narrowed(plan, call.only)
    return replace(call, draft=reviews.as_draft(plan))


def _narrowed(plan: Plan, only: str) -> Plan:
    from secondunit.plan.cutting import narrowed
    from secondunit.plan.naming import file_word
    from secondunit.plan.planner import select

    some = narrowed(plan, select(plan, only))
    if len(some.cut) == len(plan.cut):
        return plan
    selection = "+".join(file_word(e.shot) for e in some.cut)[:60]
    return replace(some, selection=selection)


@dataclass
class Books:
    """A project that is held, with its books open: what there is, and what there is to do."""

    call: Call
    settings: Settings
    store: Store
    ledger: Ledger
    sheet: Sheet
    allowed: Allowance
    account: Account | None = None

    @property
    def plan(self) -> Plan:
        """What is shot."""
        return self.call.plan

    @property
    def run(self) -> str:
        """What names the orders of this call in the ledger."""
        return self.call.run

    @property
    def done(self) -> bool:
        """Whether the film is there already, exactly as the plan wants it."""
        from secondunit.production import film_is_current

        return not self.sheet.needs_gateway and film_is_current(self.plan, self.call.project)

    def publish(self) -> str:
        """Copy a film that is done to where others find it; return what a person should know."""
        from secondunit.production import publish

        return publish(self.plan, self.call.project, self.store)

    @property
    def spent(self) -> int:
        """Credits that count as spent in this run; what the backlot takes is none."""
        return 0 if self.plan.free else self.ledger.spent(self.plan.gateway, run=self.run)


def on_order(plan: Plan, ledger: Ledger) -> tuple[list[str], list[str]]:
    """Return the shots of a plan whose tickets are open, and those in doubt."""
    here = [o for o in ledger.of_film(plan.name) if o.gateway == plan.gateway]
    waiting = [o.shot for o in here if o.state in OPEN]
    return waiting, [o.shot for o in here if o.state in {"intent", "doubt"}]


@contextmanager
def opened(call: Call) -> Iterator[Books]:
    """Hold the project and open its books. Raises Locked, UsageError, DiskTrouble."""
    settings = Settings.load()
    with ExitStack() as stack:
        stack.enter_context(call.project.held())
        store = stored(call.project, settings)
        ledger = stack.enter_context(books.opened(call.project, store, settings, call.plan.name))
        ledger.prepare()
        sheet = callsheet.sheet(call.plan, store, ledger)
        allowed = books.allowance(call.plan, settings, call.budget)
        yield Books(call, settings, store, ledger, sheet, allowed)


def see_cap(opened: Books, how: str) -> None:
    """See that what nobody is asked about has a cap; `how` it gets one. Raises UsageError."""
    if opened.plan.free or not opened.sheet.to_shoot or opened.allowed != Allowance():
        return
    raise UsageError(f"{how}, or `budget: {{cap: …}}` to the shot list. Nothing was ordered.")


def ask_account(opened: Books, say: Callable[[str], None]) -> None:
    """Ask the gateway for the account before anything else: it answers for free, or says why not.

    Orders in doubt are held against it; what was provably not charged may be ordered again. Raises
    Unreachable, UsageError, and OverBudget where the account cannot pay and nothing is on order.
    """
    if not opened.sheet.needs_gateway:
        return
    opened.account = _account(opened, say)
    opened.sheet = callsheet.sheet(opened.plan, opened.store, opened.ledger)
    why = too_little(opened)
    if why and "open" not in opened.sheet.standing.values():
        raise OverBudget(f"Nothing was ordered: {why}.")


def too_little(opened: Books) -> str:
    """Return why nothing new may be ordered, where the account cannot pay for all of it."""
    account, sheet = opened.account, opened.sheet
    if opened.plan.free or account is None or account.credits is None:
        return ""
    if account.credits >= sheet.cost:
        return ""
    return (
        f"the account holds {account.credits} credits (${dollars(account.credits)}) and this film"
        f" may need {sheet.cost} (${dollars(sheet.cost)}) more. Buy credits, or shoot less with --only"
    )


def cap_by_consent(opened: Books) -> None:
    """Allow no more than was agreed to, and nothing where nobody was asked."""
    if not (opened.plan.free or opened.call.yes) and opened.allowed.run is None:
        opened.allowed = replace(opened.allowed, run=opened.spent + opened.sheet.cost)


@contextmanager
def rolling(
    opened: Books, watcher: Watcher, *, left: Callable[[list[str]], None] = lambda _: None
) -> Iterator[Production]:
    """Have gateway and unit ready, and lend the production of the film.

    At the end the order under way is let end; `left` is told which shots are in the middle of one
    when even that is broken off (a third Ctrl-C).
    """
    from secondunit.production import Production
    from secondunit.take import Unit

    call, plan = opened.call, opened.plan
    with ExitStack() as stack:
        lane = Lane(opened.ledger)
        stack.callback(_let_end, lane, opened, left)
        gateway = stack.enter_context(
            gateway_for(
                plan.gateway,
                call.project,
                opened.settings,
                base_url=call.base_url,
                needed=opened.sheet.needs_gateway,
            )
        )
        account = opened.account
        if plan.free and opened.sheet.needs_gateway:
            account = gateway.evidence()
        unit = Unit(
            plan, gateway, opened.ledger, opened.store, lane, watcher, run=opened.run,
            allowance=opened.allowed, stop=too_little(opened), account=account,
        )  # fmt: skip
        approvals = approvals_of(call, opened.store)
        production = Production(plan, unit, call.project, opened.ledger, watcher, approvals)
        stack.callback(production.close)
        if plan.notices:
            production.notices = notices = Notices.of(plan, opened.settings)
            notices.on_trouble(lambda said: watcher.saw("Notices", "failed", said))
            stack.callback(notices.close)
        yield production


def approvals_of(call: Call, store: Store | None = None) -> Approvals:
    """Return what has to be approved before what is called for is shot."""
    project = call.project
    store = store or stored(project, Settings.load())
    return Approvals(call.plan, call.draft, store, project.reviews, project.films)


def call_for(review: Review, approvals: Approvals) -> Unjudged:
    """Lay out what is to be judged, note that it was asked, and return what to tell about it.

    Whatever waits for a review passes through here. Raises DiskTrouble.
    """
    sheet = approvals.contact_sheet(review)
    approvals.decisions.ask(review, sheet)
    waits = Unjudged(f"{reviews.waits(review)} Look at {sheet}{_film_of(review)}.")
    if approvals.plan.notices:
        notices = Notices.of(approvals.plan, Settings.load())
        notices.tell("review wanted", "", str(waits))
        notices.close()
    return waits


def _film_of(review: Review) -> str:
    return f" and {review.film}" if review.film else ""


def exit_code(production: Production) -> int:
    """Return how a run ended, as the command's exit code."""
    if production.film is not None:
        return EXIT_FILM
    codes = {error.exit_code for error in production.failures.values()} or {EXIT_SHOTS}
    return next((c for c in GRAVITY if c in codes), EXIT_SHOTS)


def unexplained(opened: Books, gateway: Gateway) -> int:
    """Return the credits that the account lost in this run and its orders do not explain.

    Where workers share a ledger the others' orders lower the account, too, and nothing is told.
    """
    before, settings = opened.account, opened.settings
    if before is None or opened.plan.free or settings.shared_key or settings.ledger:
        return 0
    try:
        after = gateway.evidence()
    except SecondUnitError:
        return 0
    if after is None or after.credits is None or before.credits is None:
        return 0
    return max(0, before.credits - after.credits - opened.spent)


def _account(opened: Books, say: Callable[[str], None]) -> Account | None:
    plan, call = opened.plan, opened.call
    doubts = any(o.state == "doubt" for o in opened.ledger.of_gateway(plan.gateway))
    if plan.free and not doubts and call.base_url is None:
        return None

    async def ask() -> Account | None:
        with gateway_for(
            plan.gateway, call.project, opened.settings, base_url=call.base_url
        ) as gateway:
            try:
                return await _reconciled(opened, gateway, say)
            finally:
                await gateway.close()

    try:
        return asyncio.run(ask())
    except Unreachable as error:
        raise Unreachable(f"{error} Nothing was ordered.") from None


async def _reconciled(
    opened: Books, gateway: Gateway, say: Callable[[str], None]
) -> Account | None:
    from secondunit.take.evidence import reconcile
    from secondunit.take.pace import Pace

    found = await reconcile(
        gateway, opened.ledger, Pace.to(slow=gateway.slow), shared=opened.settings.shared_key
    )
    for order, verdict in found:
        if verdict == "not charged":
            say(
                f"{order.shot}: the account shows that its order never arrived; it is placed again."
            )
    return await gateway.account()


def _let_end(lane: Lane, opened: Books, left: Callable[[list[str]], None]) -> None:
    try:
        lane.close()
    except KeyboardInterrupt:
        here = opened.ledger.of_film(opened.plan.name)
        left([o.shot for o in here if o.state == "intent"])
        raise
