"""The command `deliver`: what is made of a film beside it, without ordering anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondunit.errors import (
    EXIT_FILM,
    EXIT_INTERRUPTED,
    CutError,
    DiskTrouble,
    SecondUnitError,
    UsageError,
)
from secondunit.options import (
    File,
    Format,
    FormatOption,
    GatewayOption,
    Out,
    Quality,
    Root,
)
from secondunit.watch import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secondunit.crew import Project
    from secondunit.cut.edit import Deliverable
    from secondunit.lab import Lab, Print
    from secondunit.plan import Plan
    from secondunit.ports import Watcher


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(deliver)


def deliver(
    file: File,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Only these; all if none.")
    ] = None,
    gateway: GatewayOption = None,
    quality: Quality = None,
    out: Out = None,
    root: Root = None,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Make the deliverables of a film that was shot. Nothing is ordered; what is there stays."""
    import asyncio

    from secondunit.crew import Settings, project_beside, stored
    from secondunit.planning import compiled
    from secondunit.watch import terminal, watching

    settings = Settings.load()
    plan = compiled(file, gateway, quality, root, out)
    project = project_beside(file, out)
    wanted = _chosen(plan, names or [])
    as_json = format_ is Format.JSON
    with project.held():
        _see_film(plan, project)
        from secondunit.lab import Lab
        from secondunit.production import publish

        store = stored(project, settings)
        with watching(plan, terminal(), quiet=as_json, live=False) as watcher:
            lab = Lab(plan, project, store, watcher)
            try:
                made, failed = asyncio.run(_made(lab, wanted, watcher))
            except KeyboardInterrupt:
                say("Interrupted. What was made stays; run the same command again.", error=True)
                raise typer.Exit(EXIT_INTERRUPTED) from None
            finally:
                lab.close()
        if said := publish(plan, project, store):
            say(said, error=True)
    raise typer.Exit(_told(made, failed, as_json=as_json))


def _chosen(plan: Plan, names: Sequence[str]) -> tuple[Deliverable, ...]:
    """Return the deliverables that are asked for. Raises UsageError."""
    from secondunit.document import suggest

    known = {wanted.name: wanted for wanted in plan.deliverables}
    if not known:
        raise UsageError(
            f"{plan.file} names no `deliverables`. Add some, such as `deliverables: {{web: hevc}}`."
            " Nothing was made."
        )
    for name in names:
        if name not in known:
            guess = suggest(name, known)
            hint = f"Did you mean `{guess}`?" if guess else f"There are {', '.join(known)}."
            raise UsageError(f"There is no deliverable called `{name}`. {hint} Nothing was made.")
    return tuple(known[name] for name in dict.fromkeys(names)) or plan.deliverables


def _see_film(plan: Plan, project: Project) -> None:
    """See that the film is there as the shot list has it now. Raises CutError."""
    from secondunit.production import film_is_current

    if not film_is_current(plan, project):
        film = project.films / f"{plan.film_name}.mp4"
        what = "is not as the shot list has it now" if film.exists() else "is not made yet"
        raise CutError(
            f"{film} {what}. Shoot first: secondunit shoot {plan.file}. `deliver` orders nothing,"
            " and nothing was ordered."
        )


async def _made(
    lab: Lab, wanted: Sequence[Deliverable], watcher: Watcher
) -> tuple[list[Print], dict[str, SecondUnitError]]:
    """Make one after the other; what fails leaves the others alone, unless the disk is at fault."""
    import asyncio

    made: list[Print] = []
    failed: dict[str, SecondUnitError] = {}
    for one in wanted:
        if there := await asyncio.to_thread(lab.made, one):
            made.append(there)
            continue
        try:
            made.append(await lab.make(one))
            watcher.saw(one.name, "done", made[-1].entry["how"])
        except SecondUnitError as error:
            failed[one.name] = error
            watcher.saw(one.name, "failed", str(error))
            if isinstance(error, DiskTrouble):
                break
    return made, failed


def _told(made: list[Print], failed: dict[str, SecondUnitError], *, as_json: bool) -> int:
    """Tell what was made, and return the exit code."""
    code = max((error.exit_code for error in failed.values()), default=EXIT_FILM)
    if as_json:
        page = {
            "deliverables": [
                {**one.entry, "path": str(one.path), "made": one.fresh} for one in made
            ],
            "failures": [{"name": name, "message": str(e)} for name, e in failed.items()],
            "exit_code": code, "credits_spent": 0,
        }  # fmt: skip
        say(json.dumps(page, indent=2, ensure_ascii=False))
        return code
    for error in failed.values():
        say(str(error), error=True)
    fresh = [one for one in made if one.fresh]
    if made and not fresh and not failed:
        say("Nothing changed; every deliverable is there.")
    for one in made:
        say(f"{one.entry['name']} is {one.path} ({_facts(one.entry)})")
    return code


def _facts(entry: dict[str, Any]) -> str:
    parts = [entry["kind"].replace("_", " "), f"{entry['width']}×{entry['height']}"]
    if "duration" in entry:
        parts.append(f"{entry['duration']:.1f} s")
    return ", ".join([*parts, _bytes(entry["size"]), entry["how"]])


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
