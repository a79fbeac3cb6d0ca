"""How words and money stand on a page in Prefect, whoever wrote them."""

from __future__ import annotations

import html
import re

from secondunit.plan import dollars


def text(words: str) -> str:
    """Return words that a page shows as they are, whatever markup they hold, in one line.

    No character that is not printable stays: not those that steer a terminal, nor those that turn
    the direction of writing.
    """
    plain = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    marked = re.sub(r"([\\`*_\[\]()|#!~$])", r"\\\1", html.escape(plain, quote=False))
    # what opens a list, a heading's underline or a rule, and what makes a link of a bare address
    marked = re.sub(
        r"^([-+=]|\d+(?=[.)]))", lambda sign: f"&#{ord(sign[0][0])};{sign[0][1:]}", marked
    )
    return re.sub(r":(?=//)|(?<=www)\.|@", lambda sign: f"&#{ord(sign[0])};", marked)


def block(words: str) -> str:
    """Return lines as a block that a page shows as it is; nothing in them ends it."""
    lines = ["".join(c if c.isprintable() else "?" for c in line) for line in words.split("\n")]
    return "\n".join(f"    {line}" for line in lines)


def money(amount: int) -> str:
    """Return an amount of credits in credits and dollars."""
    return f"{amount} credits (${dollars(amount)})"
