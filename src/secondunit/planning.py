"""A shot list compiled beside what its project already has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secondunit import crew, reviews
from secondunit.crew import Settings, prices, project_of
from secondunit.plan.longer import shortened
from secondunit.reviews.decisions import Decisions
from secondunit.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secondunit.plan import Plan


def compiled(
    file: str,
    gateway: str | None = None,
    quality: str | None = None,
    roots: Sequence[str] | None = None,
    out: str | None = None,
) -> Plan:
    """Compile a shot list, with the takes that were circled as its draft was judged.

    A shot that was made shorter since is cut from the take that is here. `roots` and `out` as on the
    command line. Raises SpecError, UsageError.
    """
    plan, settings = crew.compiled(file, gateway, quality, roots), Settings.load()
    project = project_of(plan.folder, out, settings)
    if reviews.wants_draft(plan) and (decisions := Decisions(project.reviews).all()):
        circled = reviews.circled(compiled(file, gateway, reviews.DRAFT, roots, out), decisions)
        plan = crew.compiled(file, gateway, quality, roots, circled) if circled else plan

    def ordered(key: str) -> bool:
        from secondunit import books

        with books.look(project, settings) as ledger:
            return ledger is not None and bool(ledger.of(key))

    return shortened(plan, Store(project.store).found, ordered, prices(settings))
