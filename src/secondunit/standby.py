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

from secondunit import books, callsheet
from secondunit.crew import Settings, gateway_for
from secondunit.errors import (
    EXIT_DISK,
    EXIT_DOUBT,
    EXIT_FILM,
    EXIT_MONEY,
    EXIT_SHOTS,
    OverBudget,
    SecondUnitError,
    Unreachable,
    UsageError,
)
from secondunit.ledger import OPEN, Allowance
from secondunit.plan import dollars
from secondunit.store import Store
from secondunit.take.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secondunit.callsheet import Sheet
    from secondunit.crew import Project
    from secondunit.ledger import Ledger
    from secondunit.plan import Plan
    from secondunit.ports import Account, Gateway, Watcher
    from secondunit.production import Production

# When several things went wrong, the one that most needs a person decides the exit code.
GRAVITY = (EXIT_DOUBT, EXIT_DISK, EXIT_MONEY, EXIT_SHOTS)


@dataclass(frozen=True)
class Call:
    """What is asked for; `budget` in credits. `yes`: nobody is asked, the caps alone decide."""

    plan: Plan
    project: Project
    only: str | None = None
    budget: int | None = None
    yes: bool = False
    base_url: str | None = None
    as_json: bool = False


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
    from secondunit.plan.planner import select

    wanted = select(call.plan, call.only)
    cut = tuple(e for e in call.plan.cut if e.key in wanted)
    if len(cut) == len(call.plan.cut):
        return call
    steps = tuple(s for s in call.plan.steps if s.key in wanted)
    selection = "+".join(_file_word(e.shot) for e in cut)[:60]
    return replace(call, plan=replace(call.plan, steps=steps, cut=cut, selection=selection))


def _file_word(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)


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
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def plan(self) -> Plan:
        """What is shot."""
        return self.call.plan

    @property
    def done(self) -> bool:
        """Whether the film is there already, exactly as the plan wants it."""
        from secondunit.production import film_is_current

        return not self.sheet.needs_gateway and film_is_current(self.plan, self.call.project)

    @property
    def spent(self) -> int:
        """Credits that count as spent in this run; what the backlot takes is none."""
        return 0 if self.plan.free else self.ledger.spent(self.plan.gateway, run=self.run)

    def on_order(self) -> tuple[list[str], list[str]]:
        """Return the shots whose tickets are open, and those in doubt."""
        here = [o for o in self.ledger.of_film(self.plan.name) if o.gateway == self.plan.gateway]
        waiting = [o.shot for o in here if o.state in OPEN]
        return waiting, [o.shot for o in here if o.state in {"intent", "doubt"}]


@contextmanager
def opened(call: Call) -> Iterator[Books]:
    """Hold the project and open its books. Raises Locked, UsageError, DiskTrouble."""
    settings = Settings.load()
    with ExitStack() as stack:
        stack.enter_context(call.project.held())
        store = Store(call.project.store)
        ledger = stack.enter_context(books.opened(call.project, store, settings))
        ledger.prepare()
        sheet = callsheet.sheet(call.plan, store, ledger)
        allowed = books.allowance(call.plan, settings, call.budget)
        yield Books(call, settings, store, ledger, sheet, allowed)


def see_cap(opened: Books) -> None:
    """See that what nobody is asked about has a cap. Raises UsageError."""
    if opened.plan.free or not opened.sheet.to_shoot or opened.allowed != Allowance():
        return
    raise UsageError(
        "--yes needs a cap: add --budget, or `budget: {cap: …}` to the shot list. Nothing was ordered."
    )


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
        opened.allowed = replace(opened.allowed, run=opened.sheet.cost)


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
        production = Production(plan, unit, call.project, opened.ledger, watcher)
        stack.callback(production.close)
        yield production


def exit_code(production: Production) -> int:
    """Return how a run ended, as the command's exit code."""
    if production.film is not None:
        return EXIT_FILM
    codes = {error.exit_code for error in production.failures.values()} or {EXIT_SHOTS}
    return next((c for c in GRAVITY if c in codes), EXIT_SHOTS)


def unexplained(opened: Books, gateway: Gateway) -> int:
    """Return the credits that the account lost in this run and its orders do not explain."""
    before = opened.account
    if before is None or opened.plan.free or opened.settings.shared_key:
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
