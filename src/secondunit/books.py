"""The books of a project: its ledger with the user's daybook behind it, never begun anew by mistake."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secondunit.errors import UsageError
from secondunit.ledger import Allowance, Ledger
from secondunit.ledger.database import newest_copy
from secondunit.ledger.daybook import Daybook
from secondunit.ledger.tables import FREE
from secondunit.shotlist.spec import money

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secondunit.crew import Project, Settings
    from secondunit.plan import Plan
    from secondunit.store import Store, Take


@contextmanager
def opened(project: Project, store: Store, settings: Settings) -> Iterator[Ledger]:
    """Open the ledger of a project. Raises UsageError where it is missing beside a full store."""
    path = project.ledger
    if not project.has_ledger and not store.is_empty():
        raise _missing(path)
    with ExitStack() as stack:
        daybook = None
        if settings.day_cap is not None:
            daybook = Daybook(_state_folder() / "daybook.sqlite")
            stack.callback(daybook.close)
        ledger = Ledger(path, daybook)
        stack.callback(ledger.close)
        if ledger.is_empty() and not store.is_empty():
            raise _missing(path)
        yield ledger


def _missing(path: Path) -> UsageError:
    return UsageError(
        f"{path} is missing or empty, and it is the only record of what was bought; the store beside"
        f" it has takes.{newest_copy(path)} Put it back, or run `secondunit rebuild FILE` to write it"
        " anew from the takes' slates. Nothing was ordered."
    )


@dataclass(frozen=True)
class Rebuilt:
    """What a lost ledger knows again: takes and the credits they cost, tickets that are open."""

    takes: int
    credits: int
    open: int


def rebuild(project: Project, store: Store) -> Rebuilt:
    """Write a lost ledger anew, from the slates in the store and the tickets in the file beside it.

    What is in the ledger already stays as it is. Raises UsageError, DiskTrouble.
    """
    ledger = Ledger(project.ledger)
    try:
        written = [take for take in store.slates() if ledger.restored(dict(take.slate))]
        ledger.prepare()
        open_ = len(ledger.on_order())
    finally:
        ledger.close()
    return Rebuilt(len(written), sum(map(_charge, written)), open_)


def _charge(take: Take) -> int:
    charged = take.slate.get("credits_charged")
    return charged if type(charged) is int and take.slate.get("gateway") != FREE else 0


def allowance(plan: Plan, settings: Settings, budget: int | None) -> Allowance:
    """Return what may be spent: the shot list's caps, the command line's and the user's own."""
    if plan.free:
        return Allowance()
    runs = [c for c in (budget, _credits(settings.run_cap)) if c is not None]
    return Allowance(
        film=plan.cap, run=min(runs, default=None), shot=plan.per_shot,
        day=_credits(settings.day_cap),
    )  # fmt: skip


def _credits(amount: str | int | None) -> int | None:
    return None if amount is None else money(amount)


def _state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    home = environ.get("XDG_STATE_HOME")
    return Path(home or Path(environ.get("HOME", "~")).expanduser() / ".local/state") / "secondunit"
