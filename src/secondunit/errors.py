"""Everything that can go wrong, drawn once, with the cure and the exit code.

SecondUnitError
├─ SpecError      the shot list is wrong            fix the YAML             .problems
├─ UsageError     the command, key or set-up is     fix the command or the setting
├─ OverBudget     it costs more than is allowed     raise the cap, or shoot less
├─ Locked         another run holds the project     wait for it
├─ Unjudged       a person has to judge it first    secondunit review
├─ TurnedDown     a person judged it and said no    change the shots
├─ DiskTrouble    the disk is full or read-only     make room
├─ ShotError      one shot did not come back        .shot .ticket
│  ├─ Stopped     not ordered, others failed   see why, then run again
│  ├─ Refused     the model will not make it        change the prompt or the picture
│  ├─ Throttled   too many at once                  transient
│  ├─ Unreachable no answer, nothing was ordered    transient
│  ├─ Broken      the gateway failed on its side    transient (a new attempt, counted)
│  ├─ InDoubt     ordered, but no ticket came back  decide before ordering again
│  ├─ Lost        the gateway forgot the ticket     decide before ordering again
│  └─ Spoiled     the file is not a playable clip   fetched again, never re-ordered
├─ CutError       the clips do not splice
└─ Bug            this program failed               report it

Foreign exceptions are mapped to this tree at the door they come in by.
"""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from secondunit.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_FILM = 0
EXIT_SHOTS = 1
EXIT_SPEC = 2
EXIT_DOUBT = 3
EXIT_MONEY = 4
EXIT_DISK = 74
EXIT_LOCKED = 75
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong (or, with a `code`, doubtful) in a shot list.

    `line` and `column` count from 1; `width` is how many characters to underline in `source`,
    the text of that line; `where` is the path as a person would write it (`shots[0].seed`).
    """

    file: str
    line: int
    column: int
    where: str
    message: str
    source: str = field(default="", compare=False)
    width: int = field(default=1, compare=False)
    code: str = ""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        code = f" [{self.code}]" if self.code else ""
        head = f"{self.file}:{self.line}:{self.column}: {where}{self.message}{code}"
        if not self.source.strip():
            return head
        gutter = f"{self.line:>5} │ "
        before = _cells(self.source[: self.column - 1])
        carets = _cells(self.source[self.column - 1 : self.column - 1 + self.width])
        under = " " * (len(gutter) - 2) + "│ " + " " * before + "^" * max(1, carets)
        return f"{head}\n{gutter}{self.source}\n{under}"


def _cells(text: str) -> int:
    """Count the columns that `text` takes on a terminal: two for 夜 or 🎬, none for an accent."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    none = sum(unicodedata.category(c) in {"Mn", "Me"} for c in text)
    return len(text) + wide - none


class SecondUnitError(Exception):
    """Root of every error this program raises on purpose; the text is a sentence for a person."""

    exit_code: ClassVar[int] = EXIT_SHOTS
    transient: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(scrub(message))


class SpecError(SecondUnitError):
    """The shot list is wrong; `problems` holds all that was found, in line order.

    `remarks` is what is doubtful besides; the text leaves it out.
    """

    exit_code = EXIT_SPEC

    def __init__(self, problems: Iterable[Problem], remarks: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(problems))
        self.remarks = tuple(remarks)
        count = len(self.problems)
        tally = f"{count} problem{'' if count == 1 else 's'}. Nothing was ordered."
        super().__init__("\n".join([*map(str, self.problems), tally]))


class UsageError(SecondUnitError):
    """The command line, a key or the set-up is wrong."""

    exit_code = EXIT_SPEC


class OverBudget(SecondUnitError):
    """The next order would cost more than is allowed, or more than the account holds."""

    exit_code = EXIT_MONEY


class Locked(SecondUnitError):
    """Another run holds the project."""

    exit_code = EXIT_LOCKED


class Unjudged(SecondUnitError):
    """A person has to judge what is there before the shoot goes on."""

    exit_code = EXIT_DOUBT


class TurnedDown(SecondUnitError):
    """A person judged what is there and rejected it."""


class DiskTrouble(SecondUnitError):
    """The disk is full, read-only or failing."""

    exit_code = EXIT_DISK


class Bug(SecondUnitError):
    """Second Unit itself failed."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(
            f"{where}: Second Unit itself failed ({type(error).__name__}: {error}). That is a bug;"
            " nothing that was paid for is lost. Run the same command again; if it stays, report it"
            " with what SECONDUNIT_DEBUG=1 prints."
        )
        if os.environ.get("SECONDUNIT_DEBUG"):
            sys.stderr.write(scrub("".join(traceback.format_exception(error))))


class CutError(SecondUnitError):
    """The clips do not splice into a film."""


class ShotError(SecondUnitError):
    """One shot did not come back; `shot` is its id, `ticket` the gateway's receipt if any."""

    def __init__(self, message: str, *, shot: str = "", ticket: str = "") -> None:
        super().__init__(message)
        self.shot = shot
        self.ticket = ticket


class Stopped(ShotError):
    """It was not ordered, because too many before it came to nothing."""


class Refused(ShotError):
    """The gateway or the model will not make this shot as it is written."""


class Throttled(ShotError):
    """Too many requests at once; nothing was ordered."""

    transient = True


class Unreachable(ShotError):
    """No answer, and certainly nothing was ordered by this call."""

    transient = True


class Broken(ShotError):
    """The gateway took the order and failed on its own side."""

    transient = True


class InDoubt(ShotError):
    """The order may have reached the gateway, and no ticket came back: only a person may decide."""

    exit_code = EXIT_DOUBT


class Lost(ShotError):
    """The gateway no longer knows a ticket that was paid for."""

    exit_code = EXIT_DOUBT


class Spoiled(ShotError):
    """What arrived is not a playable file; it is fetched again, never ordered again."""
