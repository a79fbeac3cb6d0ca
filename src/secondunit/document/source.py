"""Places in a text file, as an editor counts them, and how a problem shows them."""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from secondunit.errors import Problem

Where = tuple[str | int, ...]
"""The way to a value: keys and list positions from the top, as in `("shots", 0, "seed")`."""

MAX_SHOWN = 160  # characters of a line that a problem quotes
BREAK = re.compile(r"\r\n|\r|\n")
_UNSHOWABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_BARE_KEY = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a file: `line` and `column` count characters from 1, `width` is on that line."""

    line: int
    column: int
    width: int


class Span(NamedTuple):
    """From where to where in the text something is written, in characters."""

    start: int
    end: int
    plain: bool = False


@dataclass(frozen=True, eq=False)
class Source:
    """The text of a file, and positions in it as an editor counts them."""

    file: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        lines = io.StringIO(self.text, newline="")  # splits at \r\n, \r and \n, and at nothing else
        starts = list(accumulate(map(len, lines), initial=0))
        return starts if self.text.endswith(("\n", "\r")) else starts[:-1] or [0]

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column, from 1, of a character."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return a line without its end."""
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")

    def mark(self, span: Span) -> Mark:
        """Return where a span begins, and how much of it is on that line."""
        line, column = self.position(span.start)
        width = len(
            self.line(line)[column - 1 : column - 1 + span.end - span.start].rstrip(" \t\r")
        )
        return Mark(line, column, max(1, width))

    def problem(self, span: Span, message: str, where: Where = (), code: str = "") -> Problem:
        """Say something about a span, with its place and its line."""
        mark = self.mark(span)
        source = showable(self.line(mark.line)[:MAX_SHOWN]) if mark.column < MAX_SHOWN else ""
        width = min(mark.width, max(1, len(source) - mark.column + 1))
        return Problem(
            self.file, mark.line, mark.column, spell(where), message, source, width, code
        )


def spell(where: Where) -> str:
    """Write a path as a person would: `shots[0].seed`, `shots."Shot 1".seed`."""
    text = ""
    for step in where:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += "." * bool(text) + (step if _BARE_KEY.fullmatch(step) else f'"{quoted(step)}"')
    return text


def showable(text: str) -> str:
    """Replace, one for one, the characters that would move the cursor or break the terminal."""
    return _UNSHOWABLE.sub(lambda found: " " if found[0] == "\t" else "�", text)


def quoted(text: str) -> str:
    """Shorten and clean a piece of the file for a message."""
    return showable(text if len(text) <= 60 else text[:59] + "…")
