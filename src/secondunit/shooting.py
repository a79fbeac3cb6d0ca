"""One run, from the call to the exit code: hold the project, ask for leave, shoot, tell the money."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from secondunit import callsheet
from secondunit.crew import Settings, gateway_for
from secondunit.errors import (
    EXIT_DISK,
    EXIT_DOUBT,
    EXIT_FILM,
    EXIT_INTERRUPTED,
    EXIT_MONEY,
    EXIT_SHOTS,
    OverBudget,
    SecondUnitError,
    Unreachable,
    UsageError,
)
from secondunit.ledger import OPEN, Allowance, Ledger
from secondunit.plan import dollars
from secondunit.shotlist.language import money
from secondunit.store import Store
from secondunit.take.lane import Lane
from secondunit.watch import say, terminal, watching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secondunit.callsheet import Sheet
    from secondunit.crew import Project
    from secondunit.ledger import Order
    from secondunit.plan import Plan
    from secondunit.ports import Account
    from secondunit.production import Production

UNLIMITED = 10_000
Decision = Literal["attach", "resubmit", "abandon"]
# When several things went wrong, the one that most needs a person decides the exit code.
GRAVITY = (EXIT_DOUBT, EXIT_DISK, EXIT_MONEY, EXIT_SHOTS)


@dataclass(frozen=True)
class Call:
    """What the command line asks for; `budget` in credits."""

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
    value = money(text)
    if value is None:
        raise UsageError(
            f'--budget {text}: write credits (500) or dollars ("$5"). Nothing was ordered.'
        )
    return value


def shoot(call: Call) -> int:
    """Make the film and return the exit code. Raises SecondUnitError when it cannot even begin."""
    settings = Settings.load()
    with ExitStack() as stack:
        stack.enter_context(call.project.held())
        ledger = Ledger(call.project.ledger)
        stack.callback(ledger.close)
        ledger.warm()
        ledger.doubt_unfinished()
        store = Store(call.project.store)
        sheet = callsheet.sheet(call.plan, store, ledger)
        if not sheet.needs_gateway and _is_done(call):
            _tell_end(call, sheet, ledger, run="")
            return EXIT_FILM
        paid = sheet.needs_gateway and not call.plan.free
        account = _account(call, settings) if paid else None
        why = _too_little(sheet, account)
        if why and "open" not in sheet.standing.values():
            raise OverBudget(f"Nothing was ordered: {why}.")
        _ask_leave(call, sheet)
        return _run(call, sheet, ledger, store, settings, account)


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


def _is_done(call: Call) -> bool:
    from secondunit.production import film_is_current

    return film_is_current(call.plan, call.project)


def _ask_leave(call: Call, sheet: Sheet) -> None:
    """Make sure that somebody agreed to the price. Raises OverBudget, UsageError."""
    if not call.as_json:
        say(callsheet.total(sheet, call.budget) + ".")
    if call.plan.free or not sheet.to_shoot:
        return
    capped = call.plan.cap is not None or call.budget is not None
    if call.yes:
        if not capped:
            raise UsageError(
                "--yes needs a cap: add --budget, or `budget: {cap: …}` to the shot list."
                " Nothing was ordered."
            )
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{call.plan.gateway} costs money and nobody is here to be asked. Add --yes and a cap"
            " (--budget, or `budget: {cap: …}`). Nothing was ordered."
        )
    say(f"Order from {call.plan.gateway} for at most ${dollars(sheet.cost)}? Type yes to go on: ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise OverBudget("Not agreed. Nothing was ordered.")


def _run(
    call: Call,
    sheet: Sheet,
    ledger: Ledger,
    store: Store,
    settings: Settings,
    account: Account | None,
) -> int:
    plan, run = call.plan, uuid.uuid4().hex
    from secondunit import flow
    from secondunit.production import Production
    from secondunit.take import Unit

    interrupted = False
    with ExitStack() as stack:
        lane = Lane(ledger)
        stack.callback(lane.close)
        watcher = flow.Logged(stack.enter_context(watching(plan, terminal(), quiet=call.as_json)))
        gateway = stack.enter_context(
            gateway_for(
                plan.gateway,
                call.project,
                settings,
                base_url=call.base_url,
                needed=sheet.needs_gateway,
            )
        )
        unit = Unit(
            plan, gateway, ledger, store, lane, watcher, run=run, allowance=_allowance(call),
            stop=_too_little(sheet, account), slots=_slots(account),
        )  # fmt: skip
        production = Production(plan, unit, call.project, ledger, watcher)
        stack.callback(production.close)
        try:
            flow.shoot(production, day=datetime.now(UTC).date().isoformat())
        except SecondUnitError:
            raise
        except (Exception, SystemExit) as error:
            if not production.film:
                raise SecondUnitError(
                    f"Prefect's run broke off ({type(error).__name__}: {error}). Nothing that was"
                    " paid for is lost, tickets stay open: run the same command again."
                ) from error
        except BaseException:  # noqa: BLE001  Ctrl-C, or the signal that Prefect makes its own
            interrupted = True
    if interrupted:
        return _interrupted(ledger, plan)
    return _ending(call, sheet, ledger, production, run)


def _account(call: Call, settings: Settings) -> Account | None:
    """Ask the gateway for the account before anything else: it answers for free, or says why not."""

    async def ask() -> Account | None:
        with gateway_for(
            call.plan.gateway, call.project, settings, base_url=call.base_url
        ) as gateway:
            try:
                return await gateway.account()
            finally:
                await gateway.close()

    try:
        return asyncio.run(ask())
    except Unreachable as error:
        raise Unreachable(f"{error} Nothing was ordered.") from None


def _allowance(call: Call) -> Allowance:
    return Allowance() if call.plan.free else Allowance(film=call.plan.cap, run=call.budget)


def _too_little(sheet: Sheet, account: Account | None) -> str:
    """Return why nothing new may be ordered, where the account cannot pay for all of it."""
    if account is None or account.credits is None or account.credits >= sheet.cost:
        return ""
    return (
        f"the account holds {account.credits} credits (${dollars(account.credits)}) and this film"
        f" may need {sheet.cost} (${dollars(sheet.cost)}) more. Buy credits, or shoot less with --only"
    )


def _slots(account: Account | None) -> Callable[[str], asyncio.Semaphore]:
    """Return the semaphore of each model: as many at once as the account's tier allows."""
    limits = account.slots if account else {}
    made: dict[str, asyncio.Semaphore] = {}

    def slot(model: str) -> asyncio.Semaphore:
        if model not in made:
            made[model] = asyncio.Semaphore(limits.get(model, UNLIMITED))
        return made[model]

    return slot


def _interrupted(ledger: Ledger, plan: Plan) -> int:
    waiting = [o for o in ledger.of_film(plan.name) if o.state in OPEN]
    count = len(waiting)
    if count:
        goes_on = "goes on and is" if count == 1 else "go on and are"
        billed = "free" if plan.free else "billed"
        say(
            f"Interrupted. {count} ticket{'' if count == 1 else 's'} {goes_on} {billed}:"
            f" {', '.join(o.shot for o in waiting)}. Run the same command again to pick up.",
            error=True,
        )
    else:
        say("Interrupted. Nothing is on order. Run the same command again to go on.", error=True)
    return EXIT_INTERRUPTED


# --- the end ----------------------------------------------------------------------------------


def _ending(call: Call, sheet: Sheet, ledger: Ledger, production: Production, run: str) -> int:
    failures = list(production.failures.items())
    code = EXIT_FILM
    if production.film is None:
        codes = {error.exit_code for _, error in failures} or {EXIT_SHOTS}
        code = next((c for c in GRAVITY if c in codes), EXIT_SHOTS)
    if not call.as_json:
        for _, error in failures:
            say(str(error), error=True)
        for step in production.missing():
            if step.key not in production.failures:
                say(
                    f"{step.shot} was not started: it waits for a shot that did not come back.",
                    error=True,
                )
    _tell_end(call, sheet, ledger, run=run, failures=failures, code=code)
    return code


def _tell_end(
    call: Call,
    sheet: Sheet,
    ledger: Ledger,
    *,
    run: str,
    failures: Sequence[tuple[str, SecondUnitError]] = (),
    code: int = EXIT_FILM,
) -> None:
    from secondunit.production import FILM

    plan = call.plan
    film = call.project.films / f"{plan.film_name}.mp4"
    spent = ledger.spent(plan.gateway, run=run) if not plan.free else 0
    if call.as_json:
        page = {
            "film": str(film) if code == EXIT_FILM else None,
            "manifest": str(film.with_suffix(".manifest.json")) if code == EXIT_FILM else None,
            "exit_code": code, "gateway": plan.gateway, "credits_spent": spent,
            "credits_saved": sheet.saved,
            "failures": [
                {"shot": None if k == FILM else plan.step(k).shot, "message": str(e)}
                for k, e in failures
            ],
        }  # fmt: skip
        say(json.dumps(page, indent=2, ensure_ascii=False))
        return
    if code == EXIT_FILM:
        say(f"{'The film' if run else 'Nothing changed; the film'} is {film}")
    else:
        say("The film was not made. Nothing that came back is lost; run the same command again.")
    saved = f", saved {sheet.saved} credits (${dollars(sheet.saved)})" if sheet.saved else ""
    say(f"Spent {spent} credits (${dollars(spent)}){saved}.")


# --- deciding ---------------------------------------------------------------------------------


def settle(project: Project, film: str, shot: str, decision: Decision, ticket: str) -> str:
    """Carry out a person's decision about the latest order of a shot; return what was done.

    Raises UsageError when there is nothing to decide, Locked while a run is at work.
    """
    if not project.ledger.exists():
        raise UsageError(f"Nothing was ever ordered in {project.root}.")
    if decision == "attach" and not (ticket.strip() and ticket.isprintable()):
        raise UsageError("--attach needs the ticket, from the gateway's page. Nothing was changed.")
    with project.held(), closing(Ledger(project.ledger)) as ledger:
        ledger.doubt_unfinished()
        orders = [o for o in ledger.of_film(film) if o.shot == shot]
        undecided = [o for o in orders if o.state in _DECIDABLE[decision]]
        if not undecided:
            known = ", ".join(dict.fromkeys(o.shot for o in ledger.of_film(film))) or "none"
            now = (
                f"its last order is {orders[-1].state}" if orders else f"shots with orders: {known}"
            )
            raise UsageError(
                f"{shot}: there is nothing to {decision} ({now}). Nothing was changed."
            )
        for order in undecided if decision == "resubmit" else undecided[-1:]:
            _decide(ledger, order, decision, ticket)
    return _DECIDED[decision].format(shot=shot, ticket=ticket, cost=undecided[-1].cost)


def _decide(ledger: Ledger, order: Order, decision: Decision, ticket: str) -> None:
    if decision == "attach":
        ledger.opened(order, ticket.strip(), None)
    elif decision == "resubmit":
        ledger.replaced(order)
    else:
        ledger.abandoned(order)


_DECIDABLE = {
    "attach": ("doubt",),
    "resubmit": ("doubt", "lost", "failed", "cancelled", "abandoned"),
    "abandon": ("doubt", "lost"),
}
_DECIDED = {
    "attach": "{shot}: ticket {ticket} is attached. The next run goes on with it.",
    "resubmit": "{shot}: the next run orders it again. The old order counts as spent ({cost} credits).",
    "abandon": "{shot}: given up. It counts as spent ({cost} credits) and is not ordered again.",
}
