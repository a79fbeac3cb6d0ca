"""The commands."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondunit import __version__, checking, delivering, dispatching, settling
from secondunit.errors import (
    EXIT_INTERRUPTED,
    EXIT_SHOTS,
    Bug,
    SecondUnitError,
    SpecError,
    UsageError,
)
from secondunit.options import (
    BaseUrl,
    File,
    Format,
    FormatOption,
    GatewayOption,
    Only,
    Out,
    Quality,
    Root,
)
from secondunit.watch import Steady, say

if TYPE_CHECKING:
    from secondunit.callsheet import Sheet
    from secondunit.crew import Project
    from secondunit.plan import Plan

app = typer.Typer(
    name="secondunit",
    help="Hand it a shot list; it comes back with a film.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"secondunit {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    folder: Annotated[str, typer.Argument(metavar="[DIR]", help="Where; made if missing.")] = ".",
) -> None:
    """Begin a new project that runs at once."""
    from secondunit import starter

    path = starter.write(Path(folder))
    say(f"Wrote {path}. Shoot it for free: secondunit shoot {path}")


@app.command(name="plan")
def plan_(
    file: File,
    gateway: GatewayOption = None,
    quality: Quality = None,
    graph: Annotated[bool, typer.Option("--graph", help="Print a Mermaid graph.")] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="Also write the JSON to this file.")
    ] = None,
    out: Out = None,
    root: Root = None,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Print the call sheet: what would be ordered, why, and what it costs."""
    from secondunit.crew import project_beside
    from secondunit.planning import compiled

    plan = compiled(file, gateway, quality, root, out)
    sheet = _sheet(plan, project_beside(file, out))
    page = json.dumps(sheet.describe(), indent=2, ensure_ascii=False)
    if output:
        from secondunit.durable import beside

        with beside(Path(output).absolute()) as part:
            part.write_text(page + "\n", "utf-8")
    if format_ is Format.JSON:
        say(page)
    elif graph:
        from secondunit.callsheet import mermaid

        say(mermaid(plan))
    else:
        from secondunit.callsheet import table

        _print(table(sheet))
        _tell_remarks(plan)


@app.command(name="compile")
def compile_(
    file: File,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", help="Write a flow of Prefect's to this file."),
    ] = None,
    only: Only = None,
    gateway: GatewayOption = None,
    quality: Quality = None,
    out: Out = None,
    root: Root = None,
) -> None:
    """Print what a shot list compiles to as a Mermaid graph, or write it as a flow of its own."""
    from secondunit import compiling, standby
    from secondunit.callsheet import mermaid
    from secondunit.crew import project_beside
    from secondunit.planning import compiled

    plan = compiled(file, gateway, quality, root, out)
    plan = standby.selected(standby.Call(plan, project_beside(file, out), only)).plan
    if output is None:
        say(mermaid(plan))
        return
    path = Path(output)
    compiling.write(plan, path, compiling.Given(only, out, tuple(root or ())))
    say(f"Wrote {path}. Run it: python {path}. Deploy it: prefect deploy {path}:film")


@app.command()
def shoot(
    file: File,
    gateway: GatewayOption = None,
    quality: Quality = None,
    only: Only = None,
    budget: Annotated[
        str | None, typer.Option(help='Most this run may spend: credits (500) or dollars ("$5").')
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Order without asking; needs a cap.")
    ] = False,
    out: Out = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the film when it is done.")] = False,
    root: Root = None,
    base_url: BaseUrl = None,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Shoot the whole list and join the film. Run it again at any time; nothing is bought twice."""
    from secondunit import shooting, standby
    from secondunit.crew import project_beside
    from secondunit.planning import compiled

    def called() -> standby.Call:
        plan = compiled(file, gateway, quality, root, out)
        call = standby.Call(
            plan=plan, project=project_beside(file, out), only=only, budget=standby.amount(budget),
            yes=yes, base_url=base_url, as_json=format_ is Format.JSON,
        )  # fmt: skip
        draft = partial(compiled, file, gateway, "draft", root, out)
        return standby.drafted(standby.selected(call), draft)

    call = called()
    code = shooting.shoot(call, called)
    if open_ and code == 0:
        typer.launch(str(call.project.films / f"{call.plan.film_name}.mp4"))
    raise typer.Exit(code)


@app.command()
def status(
    file: File,
    gateway: GatewayOption = None,
    quality: Quality = None,
    out: Out = None,
    root: Root = None,
    format_: FormatOption = Format.TEXT,
) -> None:
    """Show where every shot stands, every order, and what was spent."""
    from secondunit import books
    from secondunit.callsheet import status as page
    from secondunit.crew import Settings, project_beside
    from secondunit.plan import dollars
    from secondunit.planning import compiled

    plan = compiled(file, gateway, quality, root, out)
    project = project_beside(file, out)
    sheet = _sheet(plan, project)
    with books.look(project, Settings.load()) as ledger:
        orders = ledger.of_film(plan.name) if ledger else ()
    paid = sum(o.cost for o in orders if o.gateway != "backlot")
    if format_ is Format.JSON:
        listed = [{**asdict(o), "request": json.loads(o.request)} for o in orders]
        steps = [
            {"shot": s.shot, "key": s.key, "standing": sheet.standing[s.key]} for s in plan.steps
        ]
        say(json.dumps({"steps": steps, "orders": listed, "credits_spent": paid}, indent=2))
        return
    _print(page(sheet, orders))
    say(f"Spent on this film so far: {paid} credits (${dollars(paid)}), doubtful orders included.")


@app.command()
def backlot(
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8765,
    home: Annotated[str, typer.Option(help="Where it keeps its books and files.")] = ".backlot",
    tier: Annotated[int, typer.Option(min=1, max=5, help="The account's tier.")] = 5,
    credits_: Annotated[
        int, typer.Option("--credits", min=0, help="Credits to begin with.")
    ] = 100_000,
    latency: Annotated[str, typer.Option(help="Seconds a task runs: 2, or 1-3.")] = "1-3",
    fault: Annotated[
        list[str] | None, typer.Option(help="'POST /v1/image_to_video#2=drop'. Repeatable.")
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="Accept this key. Repeatable.")] = None,
    any_key: Annotated[
        bool, typer.Option("--any-key", help="Accept keys that look real, for clients that insist.")
    ] = False,
) -> None:
    """Serve the free stand-in for Runway's API on this machine, with faults on demand."""
    from secondunit import backlot as lot

    rules = lot.Rules(
        tier=tier, credits=credits_, latency=_span(latency),
        faults=tuple(lot.parse_fault(text) for text in fault or ()),
        keys=tuple(key) if key else None, accept_any_key=any_key,
    )  # fmt: skip
    lot.serve(Path(home), rules, port, lambda url: say(f"The backlot is at {url}. Ctrl-C ends it."))


def _span(text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    try:
        low, high = float(first), float(last or first)
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high < 86_400:
        raise UsageError(f"--latency {text}: write seconds, such as 2 or 1-3.")
    return low, high


@app.command()
def schema() -> None:
    """Print the JSON Schema of a shot list."""
    from secondunit.shotlist.language import json_schema

    say(json.dumps(json_schema(), indent=2))


for room in (checking, settling, delivering, dispatching):
    room.add_to(app)


# --- shared by the commands -----------------------------------------------------------------


def _sheet(plan: Plan, project: Project) -> Sheet:
    from secondunit import callsheet
    from secondunit.crew import Settings, stored

    settings = Settings.load()
    store = stored(project, settings)
    if settings.ledger is None and not project.has_ledger:  # and no database is loaded for it
        return callsheet.sheet(plan, store, None)
    from secondunit import books

    with books.look(project, settings) as ledger:
        return callsheet.sheet(plan, store, ledger)


def _print(page: Any) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=False).print(Steady(page))


def _tell_remarks(plan: Plan) -> None:
    for remark in plan.remarks:
        say(str(remark))


def main() -> None:
    """Run the command line; every way it can fail is a sentence and an exit code."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    _open_missing_streams()
    try:
        with ExitStack() as stack:
            stack.callback(_flush)
            app(arguments, standalone_mode=True)
    except SystemExit as done:
        return int(done.code or 0)
    except SecondUnitError as error:
        _tell_error(error, as_json=_asks_json(arguments))
        return error.exit_code
    except KeyboardInterrupt:
        say("Interrupted. Run the same command again to go on.", error=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_SHOTS
    except Exception as error:  # noqa: BLE001  the last door: a sentence, never a traceback
        _tell_error(Bug("secondunit", error), as_json=_asks_json(arguments))
        return EXIT_SHOTS
    return 0


def _flush() -> None:
    """Print what is left; a disk that takes no more of it changes nothing of how the run ended."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  so that no later flush fails


def _open_missing_streams() -> None:
    """Print into nothing where the caller closed standard output or error."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123  the same


def _asks_json(arguments: list[str]) -> bool:
    asked = [*arguments, "--format=json"]
    return any(
        one == "--format=json" or (one, other) == ("--format", "json")
        for one, other in pairwise(asked)
    )


def _tell_error(error: SecondUnitError, *, as_json: bool) -> None:
    """Say what went wrong: where JSON was asked for, one document, and nothing else on stdout."""
    if not as_json:
        say(str(error), error=True)
    elif isinstance(error, SpecError):
        file = error.problems[0].file if error.problems else ""
        page = checking.page(file, error.problems, error.remarks, ok=False)
        say(json.dumps({"files": [page]}, indent=2, ensure_ascii=False))
    else:
        page = {"error": str(error), "exit_code": error.exit_code}
        say(json.dumps(page, indent=2, ensure_ascii=False))
