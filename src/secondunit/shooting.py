"""One run, from the call to the exit code: hold the project, ask for leave, shoot, tell the money."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from secondunit import books, callsheet
from secondunit.crew import Settings, apart, gateway_for
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
from secondunit.ledger import OPEN, Allowance
from secondunit.plan import dollars
from secondunit.shotlist.spec import money
from secondunit.store import Store
from secondunit.take.lane import Lane
from secondunit.watch import say, terminal, watching

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from secondunit.callsheet import Sheet
    from secondunit.crew import Project
    from secondunit.ledger import Ledger
    from secondunit.plan import Plan
    from secondunit.ports import Account, Gateway
    from secondunit.production import Production

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
        stack.enter_context(_stoppable())
        stack.enter_context(call.project.held())
        store = Store(call.project.store)
        ledger = stack.enter_context(books.opened(call.project, store, settings))
        ledger.prepare()
        sheet = callsheet.sheet(call.plan, store, ledger)
        if not sheet.needs_gateway and _is_done(call):
            _tell_end(call, sheet, ledger, run="")
            return EXIT_FILM
        allowed = books.allowance(call.plan, settings, call.budget)
        _see_who_agrees(call, sheet, capped=allowed != Allowance())
        account = None
        if sheet.needs_gateway:
            account = _account(call, settings, ledger)
            sheet = callsheet.sheet(call.plan, store, ledger)
            _see_who_agrees(call, sheet, capped=allowed != Allowance())
        why = "" if call.plan.free else _too_little(sheet, account)
        if why and "open" not in sheet.standing.values():
            raise OverBudget(f"Nothing was ordered: {why}.")
        _ask_leave(call, sheet)
        if not (call.plan.free or call.yes) and allowed.run is None:
            # no more than was agreed to, and nothing where nobody was asked
            allowed = replace(allowed, run=sheet.cost)
        return _run(call, sheet, ledger, store, settings, account, allowed)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a run as Ctrl-C does; what the caller ignores stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


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


def _see_who_agrees(call: Call, sheet: Sheet, *, capped: bool) -> None:
    """Make sure, before the gateway is asked anything, that somebody can agree. Raises UsageError."""
    if call.plan.free or not sheet.to_shoot:
        return
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


def _ask_leave(call: Call, sheet: Sheet) -> None:
    """Tell the price, and ask whoever is at the terminal. Raises OverBudget."""
    if not call.as_json:
        say(callsheet.total(sheet, call.budget) + ".")
    if call.plan.free or call.yes or not sheet.to_shoot:
        return
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
    allowed: Allowance,
) -> int:
    plan, run = call.plan, uuid.uuid4().hex
    interrupted = False
    with ExitStack() as stack:
        stack.enter_context(apart())
        from secondunit import flow
        from secondunit.production import Production
        from secondunit.take import Unit

        lane = Lane(ledger)
        stack.callback(_let_end, lane, ledger, plan)
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
        if plan.free and sheet.needs_gateway:
            account = gateway.evidence()
        unit = Unit(
            plan, gateway, ledger, store, lane, watcher, run=run, allowance=allowed,
            stop="" if plan.free else _too_little(sheet, account), account=account,
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
    missing = 0
    if account is not None and not plan.free and not settings.shared_key:
        missing = _unexplained(gateway, account, ledger.spent(plan.gateway, run=run))
    return _ending(call, sheet, ledger, production, run, missing)


def _unexplained(gateway: Gateway, before: Account, booked: int) -> int:
    """Return the credits that the account lost in this run and its orders do not explain."""
    try:
        after = gateway.evidence()
    except SecondUnitError:
        return 0
    if after is None or after.credits is None or before.credits is None:
        return 0
    return max(0, before.credits - after.credits - booked)


def _account(call: Call, settings: Settings, ledger: Ledger) -> Account | None:
    """Ask the gateway for the account before anything else: it answers for free, or says why not.

    Orders in doubt are held against it; what was provably not charged may be ordered again.
    """
    plan = call.plan
    doubts = any(o.state == "doubt" for o in ledger.of_gateway(plan.gateway))
    if plan.free and not doubts and call.base_url is None:
        return None

    async def ask() -> Account | None:
        with gateway_for(plan.gateway, call.project, settings, base_url=call.base_url) as gateway:
            try:
                return await _reconciled(call, gateway, ledger, shared=settings.shared_key)
            finally:
                await gateway.close()

    try:
        return asyncio.run(ask())
    except Unreachable as error:
        raise Unreachable(f"{error} Nothing was ordered.") from None


async def _reconciled(
    call: Call, gateway: Gateway, ledger: Ledger, *, shared: bool
) -> Account | None:
    from secondunit.take.evidence import reconcile
    from secondunit.take.pace import Pace

    found = await reconcile(gateway, ledger, Pace.to(slow=gateway.slow), shared=shared)
    for order, verdict in found:
        if verdict == "not charged" and not call.as_json:
            say(
                f"{order.shot}: the account shows that its order never arrived; it is placed again."
            )
    return await gateway.account()


def _let_end(lane: Lane, ledger: Ledger, plan: Plan) -> None:
    """Let the order under way end; at a third Ctrl-C leave at once and say what is in doubt."""
    try:
        lane.close()
    except KeyboardInterrupt:
        under_way = [o.shot for o in ledger.of_film(plan.name) if o.state == "intent"]
        say(
            f"Stopped in the middle of an order: {', '.join(under_way)}. It may be charged and is"
            " in doubt. Run the same command again: the account may show what became of it.",
            error=True,
        )
        os._exit(EXIT_INTERRUPTED)


def _too_little(sheet: Sheet, account: Account | None) -> str:
    """Return why nothing new may be ordered, where the account cannot pay for all of it."""
    if account is None or account.credits is None or account.credits >= sheet.cost:
        return ""
    return (
        f"the account holds {account.credits} credits (${dollars(account.credits)}) and this film"
        f" may need {sheet.cost} (${dollars(sheet.cost)}) more. Buy credits, or shoot less with --only"
    )


def _interrupted(ledger: Ledger, plan: Plan) -> int:
    here = [o for o in ledger.of_film(plan.name) if o.gateway == plan.gateway]
    waiting = [o for o in here if o.state in OPEN]
    doubtful = [o for o in here if o.state in {"intent", "doubt"}]
    said = ["Interrupted."]
    if waiting:
        count = len(waiting)
        goes_on = "goes on and is" if count == 1 else "go on and are"
        billed = "free" if plan.free else "billed"
        said.append(
            f"{count} ticket{'' if count == 1 else 's'} {goes_on} {billed}:"
            f" {', '.join(o.shot for o in waiting)}."
        )
    if doubtful:
        said.append(f"In doubt, and counted as spent: {', '.join(o.shot for o in doubtful)}.")
    if not (waiting or doubtful):
        said.append("Nothing is on order.")
    say(" ".join([*said, "Run the same command again to go on."]), error=True)
    return EXIT_INTERRUPTED


# --- the end ----------------------------------------------------------------------------------


def _ending(
    call: Call, sheet: Sheet, ledger: Ledger, production: Production, run: str, missing: int
) -> int:
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
    _tell_end(call, sheet, ledger, run=run, failures=failures, code=code, missing=missing)
    return code


def _tell_end(
    call: Call,
    sheet: Sheet,
    ledger: Ledger,
    *,
    run: str,
    failures: Sequence[tuple[str, SecondUnitError]] = (),
    code: int = EXIT_FILM,
    missing: int = 0,
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
            "credits_saved": sheet.saved, "credits_unexplained": missing,
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
    unsure = _in_doubt(ledger, plan, run)
    doubt = f", {unsure} of them on orders in doubt" if unsure else ""
    say(f"Spent {spent} credits (${dollars(spent)}){doubt}{saved}.")
    if missing:
        say(
            f"The account went down by {missing} credits (${dollars(missing)}) more than these orders"
            " explain. If nobody else uses the key, look at the gateway's own page.",
            error=True,
        )


def _in_doubt(ledger: Ledger, plan: Plan, run: str) -> int:
    here = [o for o in ledger.of_film(plan.name) if o.run == run and o.gateway == plan.gateway]
    return 0 if plan.free else sum(o.cost for o in here if o.state == "doubt")
