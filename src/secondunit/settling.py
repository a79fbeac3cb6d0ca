"""The commands by which a person decides what is open: `review`, `settle`, `cancel`, `rebuild`."""

from pathlib import Path
from typing import Annotated

import typer

from secondunit.errors import UsageError
from secondunit.options import BaseUrl, File, GatewayOption, Out, Root
from secondunit.watch import say


def add_to(app: typer.Typer) -> None:
    """Add the four commands to `app`."""
    for command in (review, settle, cancel, rebuild):
        app.command()(command)


def review(
    file: File,
    approve: Annotated[bool, typer.Option("--approve", help="Go on with what is shown.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="It is not good enough.")] = False,
    again: Annotated[
        list[str] | None,
        typer.Option(metavar="SHOT", help="With --reject: only this one is bad. Repeatable."),
    ] = None,
    circle: Annotated[
        list[str] | None,
        typer.Option(metavar="TAKE", help="Approve with this take of its shot. Repeatable."),
    ] = None,
    notes: Annotated[str, typer.Option(help="Why; it is told with the decision.")] = "",
    out: Out = None,
) -> None:
    """Show what waits for your judgement, or decide it."""
    from secondunit import judging
    from secondunit.crew import project_beside
    from secondunit.reviews.decisions import Verdict

    if approve and (reject or again):
        raise UsageError("Say one of --approve or --reject. Nothing was changed.")
    verdict = None
    if approve or reject or again or circle:
        verdict = Verdict(
            approve or not (reject or again), tuple(again or ()), judging.whoever(), notes,
            circled=tuple(circle or ()),
        )  # fmt: skip
    raise typer.Exit(judging.review(project_beside(file, out), file, verdict))


def settle(
    file: File,
    shots: Annotated[list[str], typer.Argument(metavar="SHOT…", help="The shots to decide.")],
    attach: Annotated[
        str | None, typer.Option(help="It arrived: this is its ticket, from the gateway's page.")
    ] = None,
    resubmit: Annotated[
        bool,
        typer.Option("--resubmit", help="Order it again next time; the old one counts as spent."),
    ] = False,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Give it up; it counts as spent and is not ordered again."),
    ] = False,
    gateway: GatewayOption = None,
    out: Out = None,
) -> None:
    """Decide orders that are in doubt, lost, held or given up."""
    from secondunit import deciding
    from secondunit.crew import project_beside

    if sum((attach is not None, resubmit, abandon)) != 1:
        raise UsageError(
            "Say one of --attach TICKET, --resubmit or --abandon. Nothing was changed."
        )
    if attach is not None and len(shots) > 1:
        raise UsageError("A ticket belongs to one shot. Name one. Nothing was changed.")
    project = project_beside(file, out)
    decision: deciding.Decision = (
        "attach" if attach is not None else "resubmit" if resubmit else "abandon"
    )
    for shot in shots:
        call = deciding.Settle(project, Path(file).stem, shot, decision, attach or "", gateway)
        say(deciding.settle(call))


def cancel(
    file: File,
    shots: Annotated[
        list[str] | None, typer.Argument(metavar="[SHOT…]", help="Only these; all if none.")
    ] = None,
    gateway: GatewayOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Cancel without asking.")] = False,
    out: Out = None,
    root: Root = None,
    base_url: BaseUrl = None,
) -> None:
    """Cancel queued tickets. What rolls or is finished is left alone."""
    from secondunit import deciding
    from secondunit.crew import project_beside
    from secondunit.planning import compiled

    plan = compiled(file, gateway, None, root, out)
    deciding.cancel(
        deciding.Cancel(
            project=project_beside(file, out), film=plan.name, gateway=plan.gateway,
            shots=tuple(shots or ()), yes=yes, base_url=base_url,
        )
    )  # fmt: skip


def rebuild(file: File, out: Out = None) -> None:
    """Write a lost ledger anew from the takes in the store."""
    from secondunit import books
    from secondunit.crew import Settings, project_beside, stored
    from secondunit.plan import dollars

    project, settings = project_beside(file, out), Settings.load()
    with project.held():
        found = books.rebuild(project, stored(project, settings), settings, Path(file).stem)
    say(
        f"{found.takes} take{'' if found.takes == 1 else 's'} written back ({found.credits} credits,"
        f" ${dollars(found.credits)}), {found.open} ticket{'' if found.open == 1 else 's'} open."
        " Orders that were in doubt when the ledger was lost are not known: look at your gateway's"
        " own page before you shoot."
    )
