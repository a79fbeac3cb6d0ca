"""The commands `deploy` and `serve`: shot lists with a schedule become Prefect deployments."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondunit.errors import EXIT_SPEC, SecondUnitError, UsageError
from secondunit.options import Format, FormatOption
from secondunit.watch import say

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

    from secondunit.flow.deployments import Change
    from secondunit.scheduling import Office

SIGNS = {
    "create": "+", "update": "~", "retitle": "~", "rest": "!", "remove": "-", "same": "=",
    "taken": "!",
}  # fmt: skip

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The folder of shot lists.")]
Name = Annotated[
    str | None,
    typer.Option(help="Call the folder so, whatever machine it lies on. Else it is its path here."),
]
OutOption = Annotated[
    str | None, typer.Option(help="Put films/ and .secondunit/ of all of them into this folder.")
]


def add_to(app: typer.Typer) -> None:
    """Add the two commands to `app`."""
    app.command()(deploy)
    app.command()(serve)


def deploy(
    folder: Folder,
    pool: Annotated[str | None, typer.Option(help="The work pool; the only one if none.")] = None,
    name: Name = None,
    path_on_workers: Annotated[
        str | None, typer.Option(help="Where DIR lies on the workers, if elsewhere.")
    ] = None,
    out: OutOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Make a Prefect deployment of every shot list with a `schedule`, for workers. Nothing is shot."""
    place, out = _place(folder, name, path_on_workers or ""), _whole(out)
    with _prefect() as url:
        from secondunit.flow import serving

        work_pool = _wait(serving.pool_named(pool))
        changes = _wait(serving.surveyed(place, work_pool, out or ""))
        if format_ is Format.TEXT:
            say(f"{place.folder} on {url}, work pool {work_pool}:")
            _tell(changes)
        if not dry_run:
            _see_removals(changes, yes=yes, ask=format_ is Format.TEXT)
            _, made = _wait(serving.applied(place, changes))
            _tell_made(made if format_ is Format.TEXT else [])
        elif format_ is Format.TEXT:
            say("Nothing was changed.")
    if format_ is Format.JSON:
        page = {"folder": str(place.folder), "changes": [_described(c) for c in changes]}
        say(json.dumps(page, indent=2, ensure_ascii=False))
    raise typer.Exit(_code(changes))


def serve(
    folder: Folder,
    name: Name = None,
    out: OutOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Films that are shot at once.")] = 3,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
) -> None:
    """Shoot what is scheduled on this machine, until Ctrl-C. Changed shot lists are followed."""
    place, out = _place(folder, name, ""), _whole(out)
    with _prefect() as url:
        from secondunit.flow import serving

        service = serving.Service(place, out or "", limit, _tell, say)
        changes = _wait(serving.surveyed(place, None, out or ""))
        say(f"{place.folder} on {url}, shot on this machine:")
        _tell(changes)
        _see_removals(changes, yes=yes, ask=True)
        ids, made = _wait(serving.applied(place, changes))
        _tell_made(made)
        say("Ctrl-C ends it; what is on order then goes on.")
        _wait(service.serve(ids))


def _wait(work: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    return asyncio.run(work)


@contextmanager
def _prefect() -> Iterator[str]:
    """Have Prefect loaded and its server there; what it refuses is a sentence. Raises UsageError."""
    from secondunit.crew import apart

    with apart():
        from secondunit.flow import serving

        url = _wait(serving.see_server())
        try:
            yield url
        except (SecondUnitError, typer.Exit):
            raise
        except Exception as error:
            raise UsageError(
                f"The Prefect server at {url} did not take it ({type(error).__name__}:"
                f" {_detail(error)}). Run the same command again; what is done already stays."
            ) from error


def _detail(error: Exception) -> str:
    """Return what a server says of a refusal, without the page around it."""
    response = getattr(error, "response", None)
    return str(response.text if response is not None else error)[:300]


def _place(folder: str, name: str | None, on_workers: str) -> Office:
    from secondunit.scheduling import office

    return office(folder, name or "", on_workers)


def _whole(out: str | None) -> str | None:
    return str(Path(out).expanduser().absolute()) if out else None


def _see_removals(changes: Sequence[Change], *, yes: bool, ask: bool) -> None:
    """Ask before deployments go; all of them at once need `--yes`. Raises UsageError."""
    gone = [change for change in changes if change.kind == "remove"]
    if not gone or yes:
        return
    count = f"{len(gone)} deployment{'' if len(gone) == 1 else 's'}"
    if ask and sys.stdin.isatty():
        say(f"Remove {count}? Type yes to go on: ")
        if sys.stdin.readline().strip().lower() in {"y", "yes"}:
            return
        raise UsageError("Not agreed. Nothing was changed.")
    if len(gone) == len(changes):
        raise UsageError(
            f"That would remove {count}, and leave none: no shot list is left in the folder. Add --yes"
            " if it is meant. Nothing was changed."
        )


def _tell(changes: Sequence[Change]) -> None:
    """Tell what is done, one line for each shot list; those that stay as they are in one."""
    same = [change for change in changes if change.kind == "same" and not change.words]
    wide = max((len(change.file) for change in changes if change not in same), default=0)
    for change in changes:
        if change in same:
            continue
        say(f"  {SIGNS[change.kind]} {change.file:<{wide}}  {change.words}")
        if change.error:
            say(str(change.error).removesuffix(" Nothing was ordered."), error=True)
    if same:
        say(f"  = {len(same)} unchanged")
    if not changes:
        say("  No shot list here has a `schedule`.")


def _tell_made(made: Sequence[str]) -> None:
    for one in made:
        say(f"  + automation “{one}”")


def _described(change: Change) -> dict[str, Any]:
    return {
        "shot_list": change.file, "change": change.kind, "words": change.words,
        "problems": str(change.error) if change.error else None,
    }  # fmt: skip


def _code(changes: Sequence[Change]) -> int:
    return EXIT_SPEC if any(change.kind in {"rest", "taken"} for change in changes) else 0
