"""What a run shows on the terminal: a live table for people, one line a change for everything else."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.table import Table

    from secondunit.plan import Plan
    from secondunit.ports import Stage, Watcher

STYLES = {
    "done": "green", "cached": "green", "failed": "red", "held": "yellow", "in doubt": "bold red",
    "rolling": "cyan", "fetching": "cyan", "ordering": "yellow", "retrying": "yellow",
    "throttled": "yellow", "waiting": "dim", "conforming": "cyan", "encoding": "cyan",
}  # fmt: skip


class Lines:
    """Prints one line for each change of stage."""

    def __init__(self, console: Console) -> None:
        """Print to `console`; a closed pipe ends the printing, never the run."""
        self._console = console
        self._began = time.monotonic()
        self._last: dict[str, tuple[str, str]] = {}

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Print the change, unless it is the one printed before."""
        if self._last.get(shot) == (stage, detail):
            return
        self._last[shot] = (stage, detail)
        line = f"{time.monotonic() - self._began:7.1f}  {shot}  {stage}  {shown(detail)}".rstrip()
        try:
            print(line, file=self._console.file, flush=True)
        except BrokenPipeError:
            self._console.on_broken_pipe()
        except (OSError, ValueError):
            return


@dataclass
class _Row:
    stage: str = "waiting"
    detail: str = ""
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None


class LiveTable:
    """Keeps a table of all shots on the terminal up to date."""

    def __init__(self, plan: Plan) -> None:
        """Show the shots of `plan`."""
        self._models: dict[str, str] = {}
        self._credits: dict[str, int] = {}
        for step in plan.steps:
            self._models[step.shot] = step.model
            self._credits[step.shot] = self._credits.get(step.shot, 0) + (step.credits or 0)
        self._free = plan.free
        self._rows: dict[str, _Row] = {name: _Row() for name in self._models}
        self._notes: dict[str, str] = {}

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Note the change; the screen follows by itself."""
        if shot not in self._rows:
            self._notes.pop(shot, None)
            if stage != "done":
                self._notes[shot] = f"{shot} {stage} {shown(detail)}".replace("failed ", "")
            return
        row = self._rows[shot]
        row.stage, row.detail = stage, shown(detail)
        row.ended = (
            time.monotonic() if stage in {"done", "cached", "failed", "held", "in doubt"} else None
        )

    def __rich__(self) -> Table:
        """Draw the table as it stands now."""
        from rich import box
        from rich.cells import cell_len
        from rich.table import Table
        from rich.text import Text

        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        widest = max(map(cell_len, self._rows), default=4)
        grid.add_column("shot", overflow="ellipsis", width=min(28, widest), no_wrap=True)
        grid.add_column("model", no_wrap=True, min_width=max(map(len, self._models.values())))
        grid.add_column("stage", no_wrap=True, min_width=10)
        grid.add_column("time", justify="right", no_wrap=True, min_width=5)
        grid.add_column("credits", justify="right", no_wrap=True, min_width=7)
        grid.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
        for name, row in self._rows.items():
            spent = (row.ended or time.monotonic()) - row.began
            grid.add_row(
                Text(name),
                self._models[name],
                Text(row.stage, style=STYLES.get(row.stage, "")),
                f"{int(spent // 60)}:{int(spent % 60):02}",
                "free" if self._free else str(self._credits[name]),
                Text(row.detail, style="dim"),
            )
        for note in self._notes.values():
            grid.add_row("", "", "", "", "", Text(note, style="yellow"))
        return grid


@contextmanager
def watching(
    plan: Plan, console: Console, *, quiet: bool = False, live: bool = True
) -> Iterator[Watcher]:
    """Show a run on `console`: `live` where it is a terminal, line by line where it is not."""
    if quiet or not (live and console.is_terminal):
        yield Silent() if quiet else Lines(console)
        return
    from rich.live import Live

    table = LiveTable(plan)
    with Live(table, console=console, refresh_per_second=4, redirect_stderr=False):
        yield table


class Silent:
    """Shows nothing, where standard output is for one JSON document."""

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Look away."""


def shown(text: Any) -> str:
    """Return text without the characters that could steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text))


class Steady:
    """A page of rich, printed without the characters that could steer a terminal."""

    def __init__(self, page: Any) -> None:
        """Print `page`."""
        self._page = page

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Give the parts of the page; only its own line ends and styles are left in them."""
        from rich.segment import Segment

        for part in console.render(self._page, options):
            lines = (shown(line) for line in part.text.split("\n"))
            yield part if part.control else Segment("\n".join(lines), part.style)


def say(text: str, *, error: bool = False) -> None:
    """Print a sentence; a closed pipe is nobody's loss."""
    stream = sys.stderr if error else sys.stdout
    lines = [shown(line) for line in text.split("\n")]
    if stream is None:  # closed before the program began
        return
    try:
        stream.write("\n".join(lines) + "\n")
        stream.flush()
    except BrokenPipeError:
        _forsake(stream)
    except (OSError, ValueError):
        return


def terminal() -> Console:
    """Return a console on standard output; when nobody reads it any more, the run goes on."""
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            self.quiet = True
            _forsake(sys.stdout)

    return Terminal(highlight=False)


def _forsake(stream: TextIO) -> None:
    """Let what is still to be printed go nowhere, so that no later flush fails either."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
