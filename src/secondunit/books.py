"""The books of a project: its ledger, with the user's daybook behind it, or the one that all share.

Never begun anew by mistake. A shared ledger knows a film by the name of its shot list's file: two
workers who are given `teaser.yaml` make the same film, wherever it lies, and one of them waits.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secondunit.crew import Settings
from secondunit.durable import disk_trouble, sync
from secondunit.errors import UsageError
from secondunit.ledger import Allowance, Ledger
from secondunit.ledger.database import newest_copy
from secondunit.ledger.daybook import Daybook
from secondunit.ledger.tables import FREE
from secondunit.shotlist.spec import money

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secondunit.crew import Project
    from secondunit.ledger.rows import Books
    from secondunit.plan import Plan
    from secondunit.store import Store, Take


@contextmanager
def opened(
    project: Project, store: Store, settings: Settings, film: str | None = None
) -> Iterator[Ledger]:
    """Open the ledger of a project to write in it; on a shared one `film` is held until the end.

    Raises UsageError where it is missing beside a full store, or where the project's own was not
    taken over into the shared one, Locked while another worker holds the film, DiskTrouble.
    """
    if settings.ledger is None:
        if not project.has_ledger and not store.is_empty():
            raise _missing(project.ledger)
    elif project.has_ledger:
        raise UsageError(
            f"{project.ledger} has orders of its own, and your settings name a shared ledger. Run"
            " `secondunit rebuild FILE` to take them over into it. Nothing was ordered."
        )
    with _open(project, settings) as ledger:
        if ledger.is_empty() and not store.is_empty():
            raise _missing(project.ledger if settings.ledger is None else settings.ledger)
        if film is not None:
            ledger.hold(film)
        yield ledger


@contextmanager
def look(project: Project, settings: Settings) -> Iterator[Ledger | None]:
    """Open the ledger of a project only to read it; None where nothing was ever ordered."""
    if settings.ledger is None and not project.has_ledger:
        yield None
        return
    with _open(project, settings) as ledger:
        yield ledger


def begun(project: Project, settings: Settings) -> bool:
    """Say whether anything was ever ordered here; a ledger that is empty by now tells of it, too."""
    return settings.ledger is not None or project.ledger.exists()


@contextmanager
def _open(project: Project, settings: Settings) -> Iterator[Ledger]:
    with ExitStack() as stack:
        if settings.ledger is not None:
            ledger = Ledger(project.ledger, books=_shared(settings.ledger))
        else:
            daybook = None
            if settings.day_cap is not None:
                daybook = Daybook(_state_folder() / "daybook.sqlite")
                stack.callback(daybook.close)
            ledger = Ledger(project.ledger, daybook)
        stack.callback(ledger.close)
        yield ledger


def _shared(url: str) -> Books:
    try:
        from secondunit.ledger.postgres import Postgres
    except ImportError as error:
        raise UsageError(
            f"A ledger on PostgreSQL needs its driver ({error}). Run `pip install 'secondunit[farm]'`."
            " Nothing was ordered."
        ) from None
    return Postgres(url)


def _missing(place: Path | str) -> UsageError:
    copy = newest_copy(place) if isinstance(place, Path) else ""
    return UsageError(
        f"{place} is missing or empty, and it is the only record of what was bought; the store beside"
        f" it has takes.{copy} Put it back, or run `secondunit rebuild FILE` to write it"
        " anew from the takes' slates. Nothing was ordered."
    )


@dataclass(frozen=True)
class Rebuilt:
    """What a lost ledger knows again: takes and the credits they cost, tickets that are open."""

    takes: int
    credits: int
    open: int


def rebuild(
    project: Project, store: Store, settings: Settings | None = None, film: str | None = None
) -> Rebuilt:
    """Write a lost ledger anew, from the slates in the store and the tickets in the file beside it.

    What is in the ledger already stays as it is. With a shared ledger, the one that the project had
    of its own is taken over first, and put aside. Raises UsageError, Locked, DiskTrouble.
    """
    settings = settings or Settings()
    with ExitStack() as stack:
        if settings.ledger is None:
            ledger = Ledger(project.ledger)
            stack.callback(ledger.close)
        else:
            ledger = stack.enter_context(_open(project, settings))
        if film is not None:
            ledger.hold(film)
        if settings.ledger is not None and project.has_ledger:
            _take_over(project, ledger)
        written = [take for take in store.slates() if ledger.restored(dict(take.slate))]
        ledger.prepare()
        open_ = len(ledger.on_order())
    return Rebuilt(len(written), sum(map(_charge, written)), open_)


def _take_over(project: Project, ledger: Ledger) -> None:
    """Write the orders of a project's own ledger into the shared one, then put its file aside."""
    own = Ledger(project.ledger)
    try:
        own.prepare()
        for order in own.every():
            ledger.adopted(order)
    finally:
        own.close()
    aside = project.ledger.with_name("ledger.moved")
    with disk_trouble(aside):
        project.ledger.rename(aside)
        sync(aside.parent)


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
