"""A plan written out as a Prefect flow of its own: a file that a person reads, runs and grows.

What stands in the file is which steps there are and what waits for what. Prompts, seeds, prices and
the order of the film stay in the shot list, what was bought stays in the ledger, and what a step
does stays in `secondunit.flow.day`; so whoever changes the file can get nothing wrong about money.
"""

from __future__ import annotations

import keyword
import os
import re
import shlex
import textwrap
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from secondunit import __version__
from secondunit.durable import beside, disk_trouble
from secondunit.errors import UsageError
from secondunit.names import flow_name
from secondunit.take.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from secondunit.plan import Plan, Step

WIDTH = 88  # of a line, where nobody tells ruff or black otherwise
LONGEST_NAME = 40  # columns of a variable
MARK = "Written by `secondunit compile"  # begins a line of every file that was, and of no other
OWN_NAMES = (
    "Any NO_CACHE Path budget clips conform day film flow gateway join main name quality"
    " shooting_day shot shot_list still str task today transient"
)
# What no variable may be called: Python's words, and the names that the file itself uses.
TAKEN = frozenset({*keyword.kwlist, *keyword.softkwlist, *OWN_NAMES.split()})
FILE = Template('''\
"""$title: a film of $count.

$about

    $by_hand
    $as_deployment

$rules

    @task
    async def look_over(name: str) -> None:
        clip = today().clip(name)  # its path; whatever is raised here stops what waits

    seen = day.begin(look_over, "…", after=[…])  # between two shots
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Before Prefect, whose settings it completes.
from secondunit.flow.day import main, shooting_day, today, transient

from prefect import flow, task  # isort: skip
from prefect.cache_policies import NO_CACHE  # isort: skip


$tasks


@flow(
    name=$flow_name,
    flow_run_name=$run_name,
    retries=0,
    persist_result=False,
)
async def film(
    shot_list: str = $shot_list,
    gateway: str = $gateway,
    quality: str = $quality,
    budget: str | None = None,
) -> Any:
    """Make the film. What costs money needs a cap, here or in the shot list."""
    async with shooting_day(
        Path(__file__).resolve().parent / shot_list,
        gateway=gateway,
        quality=quality,
$more        budget=budget,
    ) as day:
        # Every step begins as soon as those it comes after are done.

$shots

        # Each clip is fitted to the film as it arrives.
        clips = [
$clips
        ]

        day.begin(join, after=clips)
    return day.outcome()


if __name__ == "__main__":
    raise SystemExit(main(film))
''')
SHOOTING = Template('''\
@task(
    name="$name",
    retries=$retries,
    retry_delay_seconds=$pauses,
    retry_jitter_factor=0.5,
    retry_condition_fn=transient,
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def $name(name: str) -> Any:
    """$what"""
    return await today().$name(name)''')
FITTING = '''\
@task(name="conform", retries=0, cache_policy=NO_CACHE, persist_result=False)
async def conform(name: str) -> Any:
    """Bring a clip to the film's size, frame rate and pixel format, and to its trim."""
    return await today().conform(name)


@task(name="join", retries=0, cache_policy=NO_CACHE, persist_result=False)
async def join() -> Any:
    """Join the film in the shot list's order, and write its manifest."""
    return await today().join()'''
STILL = "Make the picture that a shot opens on, or find it in the store."
SHOT = "Take a shot: from the store, from a ticket that is open, or by a new order."
RULES = """\
Keys come from the environment, never from a parameter. What was bought stands in the ledger beside
the shot list: a retry, a second run or a crash never orders twice. The shot list is read at each
run, so prompts, seeds, trims and the order of the film are changed there, without compiling again.
Where it has other shots than this file, or makes one from another, the run says so and orders
nothing: compile again then. The file is yours to grow; your own tasks go between the steps like
this:"""


@dataclass(frozen=True)
class Given:
    """What the command said beside the shot list: `--only`, `--out` and every `--root`."""

    only: str | None = None
    out: str | None = None
    roots: tuple[str, ...] = ()

    def options(self) -> list[tuple[str, str]]:
        """Return each option that was given, with its word."""
        named = [("only", self.only), ("out", self.out), *(("root", root) for root in self.roots)]
        return [(name, word) for name, word in named if word is not None]


def source(
    plan: Plan, given: Given | None = None, *, into: Path | None = None, name: str | None = None
) -> str:
    """Return a Python file that shoots `plan`, compiled as it was `given`, as a flow called `film`.

    It finds the shot list from `into`, the folder where it will lie (by default beside the shot
    list), under `name`.
    """
    given = given or Given()
    folder = Path(plan.folder).resolve()
    shots = os.path.relpath(folder / Path(plan.file).name, into.resolve() if into else folder)
    name = name or f"{plan.name}_flow.py"
    variables = _variables(plan)
    return FILE.substitute(
        title=_told(plan.title) or "Untitled",
        count=f"{len(plan.cut)} shot{'' if len(plan.cut) == 1 else 's'}",
        about=_filled(_about(given, shots)),
        by_hand=_told(f"python {shlex.quote(name)}"),
        as_deployment=_told(f"prefect deploy {shlex.quote(name)}:film"),
        rules=_filled(RULES),
        tasks="\n\n\n".join(_tasks(plan)),
        flow_name=_literal(flow_name(plan.title)),
        run_name=_literal(f"{flow_name(plan.title)} · {{quality}}"),
        shot_list=_literal(shots),
        gateway=_literal(plan.gateway),
        quality=_literal(plan.quality),
        more="".join(f"{line}\n" for line in _more(given, folder)),
        shots="\n".join(line for step in plan.steps for line in _begun(step, variables)),
        clips="\n".join(_clips(plan, variables)),
    )


def write(plan: Plan, path: Path, given: Given | None = None) -> None:
    """Write `source` to `path`, over a file of its own making only.

    Raises UsageError where another file stands there, DiskTrouble.
    """
    path = path.absolute()
    with disk_trouble(path):
        if path.exists() and MARK not in path.read_text("utf-8", "replace"):
            raise UsageError(
                f"{path} is already there and was not compiled from a shot list; it was not touched."
            )
    text = source(plan, given, into=path.parent, name=path.name)
    with beside(path) as part:
        part.write_text(text, "utf-8")


# --- the parts of the file ---------------------------------------------------------------------


def _about(given: Given, shots: str) -> str:
    words = [f"--{name} {shlex.quote(word)}" for name, word in given.options()]
    return (
        f"{MARK} {' '.join([shlex.quote(shots), *words])}`, secondunit {__version__}; the notes on"
        " the shots say what the shot list said then. Make the film, or give it to Prefect to run:"
    )


def _more(given: Given, folder: Path) -> Iterator[str]:
    """Write what was given beside the shot list, with paths from the shot list's folder."""
    if given.only is not None:
        yield f"        only={_literal(given.only)},"
    if given.out is not None:
        yield f"        out={_literal(_from(folder, given.out))},"
    if given.roots:
        yield "        roots=["
        yield from (f"            {_literal(_from(folder, root))}," for root in given.roots)
        yield "        ],"


def _from(folder: Path, path: str) -> str:
    whole = Path(path).expanduser()
    return str(whole) if whole.is_absolute() else os.path.relpath(whole, folder)


def _tasks(plan: Plan) -> Iterator[str]:
    again = Pace().again
    pauses = [round(pause) for pause in again]
    for name, what in (("still", STILL), ("shot", SHOT)):
        if name == "shot" or any(step.kind == "still" for step in plan.steps):
            yield SHOOTING.substitute(name=name, what=what, retries=len(again), pauses=pauses)
    yield FITTING


def _variables(plan: Plan) -> dict[str, str]:
    """Return a variable for each step, by its key."""
    named: dict[str, str] = {}
    used = set(TAKEN)
    for number, step in enumerate(plan.steps, 1):
        stem = _identifier(step.shot) or f"shot_{number}"
        stem += "_still" if step.kind == "still" else ""
        name, other = stem, 1
        while name in used:
            other += 1
            name = f"{stem}_{other}"
        used.add(name)
        named[step.key] = name
    return named


def _identifier(text: str) -> str:
    """Return `text` as a variable, as Python itself would compare it; empty where none is in it."""
    words = "".join(c if f"_{c}".isidentifier() else "_" for c in _composed(text).lower())
    name = re.sub("_+", "_", _composed(words)).strip("_")
    while _columns(name) > LONGEST_NAME:
        name = name[:-1].rstrip("_")
    if name and not name.isidentifier():
        name = f"shot_{name}"
    return name if name.isidentifier() else ""


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _begun(step: Step, variables: Mapping[str, str]) -> Iterator[str]:
    yield f"        # {_told(step.reason)}"
    work = "still" if step.kind == "still" else "shot"
    upstream = [variables[key] for key in step.needs]
    yield from _call(f"{variables[step.key]} = day.begin", work, step.shot, upstream, 8, "")


def _clips(plan: Plan, variables: Mapping[str, str]) -> Iterator[str]:
    for entry in plan.cut:
        yield from _call("day.begin", "conform", entry.shot, [variables[entry.key]], 12, ",")


def _call(
    begin: str, work: str, shot: str, upstream: Iterable[str], indent: int, end: str
) -> Iterator[str]:
    """Write a call as formatters leave it: in one line, or with every argument on its own."""
    names = tuple(upstream)
    after = [f"after=[{', '.join(names)}]"] if names else []
    margin = " " * indent
    line = f"{margin}{begin}({', '.join([work, _literal(shot), *after])}){end}"
    if _columns(line) <= WIDTH:
        yield line
        return
    yield from (f"{margin}{begin}(", f"{margin}    {work},", f"{margin}    {_literal(shot)},")
    if names:
        yield from (f"{margin}    after=[", *(f"{margin}        {name}," for name in names))
        yield f"{margin}    ],"
    yield f"{margin}){end}"


def _columns(line: str) -> int:
    """Return how wide a line is at most; whatever is not ASCII may take two columns."""
    return sum(1 if c.isascii() else 2 for c in line)


def _literal(text: str) -> str:
    """Return `text` as Python writes it, in the quotes that formatters leave as they are."""
    inside = repr(text + "'\"")[1:-4].replace("\\'", "'")
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + inside.replace(quote, f"\\{quote}") + quote


def _filled(text: str) -> str:
    return "\n".join(textwrap.wrap(_told(text), WIDTH, break_on_hyphens=False))


def _told(text: str) -> str:
    """Return text for a comment or a docstring, which nothing in it can end."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain.replace("\\", "∖").replace('"', "'")
