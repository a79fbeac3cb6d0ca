"""The command `check`: every problem of shot lists, told as text or as one document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondunit.errors import EXIT_SPEC, SpecError
from secondunit.options import Format, FormatOption, GatewayOption, Quality, Root
from secondunit.watch import say

if TYPE_CHECKING:
    from secondunit.errors import Problem


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(check)


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="The shot lists.")],
    strict: Annotated[bool, typer.Option("--strict", help="Make remarks errors.")] = False,
    gateway: GatewayOption = None,
    quality: Quality = None,
    root: Root = None,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Tell every problem of shot lists, and do nothing else."""
    from secondunit.crew import compiled

    pages = []
    failed = False
    for file in files:
        problems: tuple[Problem, ...] = ()
        remarks: tuple[Problem, ...] = ()
        try:
            plan = compiled(file, gateway, quality, root)
            remarks = plan.remarks
        except SpecError as error:
            problems, remarks = error.problems, error.remarks
        bad = bool(problems) or (strict and bool(remarks))
        failed = failed or bad
        pages.append(page(file, problems, remarks, ok=not bad))
        if format_ is Format.TEXT:
            _tell_check(file, problems, remarks, strict=strict)
    if format_ is Format.JSON:
        say(json.dumps({"files": pages}, indent=2, ensure_ascii=False))
    raise typer.Exit(EXIT_SPEC if failed else 0)


def _tell_check(
    file: str, problems: tuple[Problem, ...], remarks: tuple[Problem, ...], *, strict: bool
) -> None:
    for remark in remarks:
        say(str(remark), error=strict or bool(problems))
    if problems:
        say(str(SpecError(problems)), error=True)
        return
    count = len(remarks)
    tally = f"{count} remark{'' if count == 1 else 's'}" if count else "nothing wrong"
    say(f"{file}: {tally}." + (" Nothing was ordered." if strict and count else ""))


def page(
    file: str, problems: tuple[Problem, ...], remarks: tuple[Problem, ...], *, ok: bool
) -> dict[str, Any]:
    """Describe what was found in a shot list, for a JSON document."""
    return {
        "file": file,
        "ok": ok,
        "problems": [_described(p) for p in problems],
        "remarks": [_described(r) for r in remarks],
    }


def _described(problem: Problem) -> dict[str, Any]:
    return {
        "line": problem.line, "column": problem.column, "where": problem.where,
        "message": problem.message, "code": problem.code or None,
    }  # fmt: skip
