"""Names of shots as they are written elsewhere: compared as people mean them, guessed when misspelt."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from secondunit.document import suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_NAMED = 12  # shots that a message lists


def composed(name: str) -> str:
    """Return a name as shots are called: é is one character, however the editor wrote it."""
    return unicodedata.normalize("NFC", name)


def file_word(name: str) -> str:
    """Return a shot's name as it stands in the names of files."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the hint to a name that is not known: the nearest one, or those there are."""
    if guess := suggest(name, known):
        return f" Did you mean `{guess}`?"
    more = " and more" if len(known) > MOST_NAMED else ""
    return f" There are {', '.join(known[:MOST_NAMED])}{more}." if known else ""
