"""A run from the command line, from the call to the exit code: ask for leave, shoot, tell the money."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from secondunit import callsheet, judging, standby
from secondunit.crew import apart
from secondunit.errors import (
    EXIT_FILM,
    EXIT_INTERRUPTED,
    OverBudget,
    SecondUnitError,
    TurnedDown,
    Unjudged,
    UsageError,
)
from secondunit.interrupts import interrupt
from secondunit.plan import dollars
from secondunit.watch import say, terminal, watching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from secondunit.plan import Plan
    from secondunit.production import Production
    from secondunit.reviews import Approvals, Review
    from secondunit.standby import Books, Call


def shoot(call: Call, anew: Callable[[], Call]) -> int:
    """Make the film and return the exit code. Raises SecondUnitError when it cannot even begin.

    A draft that is to be judged first is made first; both count for the caps of this run. `anew`
    compiles the call once more, because what was circled as the draft was judged changes its plan.
    """
    with _stoppable():
        if call.plan.review and (code := _judged(call)) != EXIT_FILM:
            return code
        return _made(replace(anew(), run=call.run) if call.draft else call)


def _judged(call: Call) -> int:
    """Make the draft, if one is to be judged; return the film's code once nothing is in the way.

    Raises TurnedDown where something was rejected, Unjudged where nobody is here to judge.
    """
    approvals = standby.approvals_of(call)
    approvals.of_stills()
    if approvals.of_draft() is None:
        return EXIT_FILM
    code = _made(call.of_draft, then=call.plan)
    if code == EXIT_FILM and (review := approvals.of_draft()):
        waits = standby.call_for(review, approvals)
        if not _approved(call, waits, review, approvals):
            approvals.of_draft()  # which raises where it was rejected
            raise waits
    return code


def _approved(call: Call, waits: SecondUnitError, review: Review, approvals: Approvals) -> bool:
    at_terminal = sys.stdin.isatty() and not call.as_json
    return at_terminal and judging.agreed(waits, review, approvals)


def _made(call: Call, *, then: Plan | None = None) -> int:
    """Make one film; what comes of a draft is no document of its own where JSON was asked for."""
    with standby.opened(call) as opened:
        if then and not call.as_json:
            price = callsheet.total(callsheet.sheet(then, opened.store, opened.ledger), call.budget)
            say(f"A draft comes first. The film, once you have approved it: {price}. The draft:")
        if opened.done:
            if said := opened.publish():
                say(said, error=True)
            if not (then and call.as_json):
                _tell_end(opened, EXIT_FILM, None)
            return EXIT_FILM
        _see_who_agrees(opened)
        standby.ask_account(opened, (lambda _: None) if call.as_json else say)
        _see_who_agrees(opened)
        _ask_leave(opened)
        standby.cap_by_consent(opened)
        production = _run(opened)
        while production and production.waiting and _goes_on(opened, production):
            production = _run(opened)
        if production is None:
            return _interrupted(opened)
        return _ending(opened, production, silent=bool(then) and call.as_json)


def _goes_on(opened: Books, production: Production) -> bool:
    """Ask whoever is at the terminal about what is to be judged; say whether it was approved."""
    from secondunit.production import FILM

    review, approvals = production.waiting, production.approvals
    if review is None or approvals is None:
        return False
    if _approved(opened.call, production.failures[FILM], review, approvals):
        return True
    try:
        approvals.of_stills()
    except TurnedDown as error:
        production.failures[FILM] = error
    return False


@contextmanager
def _stoppable() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a run as Ctrl-C does; what the caller ignores stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _see_who_agrees(opened: Books) -> None:
    """Make sure, before the gateway is asked anything, that somebody can agree. Raises UsageError."""
    plan = opened.plan
    if opened.call.yes:
        standby.see_cap(opened, "--yes needs a cap: add --budget")
    elif not plan.free and opened.sheet.to_shoot and not sys.stdin.isatty():
        raise UsageError(
            f"{plan.gateway} costs money and nobody is here to be asked. Add --yes and a cap"
            " (--budget, or `budget: {cap: …}`). Nothing was ordered."
        )


def _ask_leave(opened: Books) -> None:
    """Tell the price, and ask whoever is at the terminal. Raises OverBudget."""
    call, sheet = opened.call, opened.sheet
    if not call.as_json:
        say(callsheet.total(sheet, call.budget) + ".")
        if told := dict.fromkeys(notice.to for notice in call.plan.notices):
            say(f"Told of what happens, as far as your settings know them: {', '.join(told)}.")
    if call.plan.free or call.yes or not sheet.to_shoot:
        return
    say(f"Order from {call.plan.gateway} for at most ${dollars(sheet.cost)}? Type yes to go on: ")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise OverBudget("Not agreed. Nothing was ordered.")


def _run(opened: Books) -> Production | None:
    """Have Prefect run the film; return what came of it, or None where it was interrupted."""
    interrupted = False
    with ExitStack() as stack:
        stack.enter_context(apart())
        from secondunit import flow

        quiet = opened.call.as_json
        watcher = flow.Logged(stack.enter_context(watching(opened.plan, terminal(), quiet=quiet)))
        production = stack.enter_context(standby.rolling(opened, watcher, left=_leave))
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
    return None if interrupted else production


def _leave(under_way: list[str]) -> None:
    """Leave at once, at the third Ctrl-C, and say what is in doubt."""
    say(
        f"Stopped in the middle of an order: {', '.join(under_way)}. It may be charged and is"
        " in doubt. Run the same command again: the account may show what became of it.",
        error=True,
    )
    os._exit(EXIT_INTERRUPTED)


def _interrupted(opened: Books) -> int:
    waiting, doubtful = standby.on_order(opened.plan, opened.ledger)
    said = ["Interrupted."]
    if waiting:
        count = len(waiting)
        goes_on = "goes on and is" if count == 1 else "go on and are"
        billed = "free" if opened.plan.free else "billed"
        said.append(
            f"{count} ticket{'' if count == 1 else 's'} {goes_on} {billed}: {', '.join(waiting)}."
        )
    if doubtful:
        said.append(f"In doubt, and counted as spent: {', '.join(doubtful)}.")
    if not (waiting or doubtful):
        said.append("Nothing is on order.")
    say(" ".join([*said, "Run the same command again to go on."]), error=True)
    return EXIT_INTERRUPTED


# --- the end ----------------------------------------------------------------------------------


def _ending(opened: Books, production: Production, *, silent: bool) -> int:
    from secondunit.production import FILM

    code = standby.exit_code(production)
    if silent and code == EXIT_FILM:
        return code
    if not opened.call.as_json:
        for error in production.failures.values():
            say(str(error), error=True)
        unjudged = isinstance(production.failures.get(FILM), Unjudged | TurnedDown)
        for step in () if unjudged else production.missing():
            if step.key not in production.failures:
                say(
                    f"{step.shot} was not started: it waits for a shot that did not come back.",
                    error=True,
                )
    _tell_end(opened, code, production)
    return code


def _tell_end(opened: Books, code: int, production: Production | None) -> None:
    """Tell what came of it and what it cost; without a `production` nothing was to be done."""
    from secondunit.production import FILM

    plan, sheet, spent = opened.plan, opened.sheet, opened.spent
    film = opened.call.project.films / f"{plan.film_name}.mp4"
    missing = standby.unexplained(opened, production.unit.gateway) if production else 0
    failures = production.failures.items() if production else ()
    if opened.call.as_json:
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
        say(f"{'The film' if production else 'Nothing changed; the film'} is {film}")
    elif not (production and production.waiting):
        say("The film was not made. Nothing that came back is lost; run the same command again.")
    saved = f", saved {sheet.saved} credits (${dollars(sheet.saved)})" if sheet.saved else ""
    unsure = _in_doubt(opened)
    doubt = f", {unsure} of them on orders in doubt" if unsure else ""
    say(f"Spent {spent} credits (${dollars(spent)}){doubt}{saved}.")
    if code == EXIT_FILM and plan.deliverables:
        names = ", ".join(wanted.name for wanted in plan.deliverables)
        say(f"To make of it, at no cost: {names}. Then: secondunit deliver {plan.file}")
    if missing:
        say(
            f"The account went down by {missing} credits (${dollars(missing)}) more than these orders"
            " explain. If nobody else uses the key, look at the gateway's own page.",
            error=True,
        )


def _in_doubt(opened: Books) -> int:
    plan = opened.plan
    here = [o for o in opened.ledger.of_film(plan.name) if o.run == opened.run]
    doubts = [o for o in here if o.state == "doubt" and o.gateway == plan.gateway]
    return 0 if plan.free else sum(o.cost for o in doubts)
