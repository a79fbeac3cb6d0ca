"""Words brought into lines: what of a text can be shown, where it may break, and how it breaks best.

Nothing here knows a font: how wide a text is, is asked of whoever wants the lines.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST = 2000
"""Characters of a text that are read at most: more than a picture could ever hold legibly."""

_MARKS = 4  # on one letter: no language has more, and a heap of them covers the line above
_UNSEEN = ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")
_ZWJ, _ZWNJ = "\u200d", "\u200c"
_NO_BREAK = "\u00a0\u202f"
_BREAK = re.compile(rf"[^\S{_NO_BREAK}]+")
_HYPHENS = "-‐–—/"
_OPENING, _CLOSING = "（「『【〈《〔［｛“‘", "、。，．）」』】〉》〕］｝！？：；ー”’々…"
_BLANK = str.maketrans(dict.fromkeys(_NO_BREAK, " "))


def clean(text: str, most: int = MOST) -> tuple[str, ...]:
    """Give the lines of a text that can be drawn, of `most` characters together, shortened by `…`.

    Control characters and what overrides the direction of writing are left out, also marks that
    are heaped on one letter, and lines without anything to see.
    """
    whole = text[: 2 * most].encode("utf-8", "replace").decode("utf-8")
    if len(text) > most:
        whole = whole[: most - 1].rstrip() + "…"
    whole = unicodedata.normalize("NFC", whole)
    lines = ("".join(_bare(line)) for line in whole.splitlines())
    spaced = (_BREAK.sub(" ", line).strip() for line in lines)
    return tuple(line for line in spaced if not blank(line))


def _bare(line: str) -> list[str]:
    kept: list[str] = []
    marks = 0
    for char in line:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in ("Zs", "Cc"):
            kept.append(char if char in _NO_BREAK else " ")
        elif (category not in _UNSEEN or char in (_ZWJ, _ZWNJ)) and marks <= _MARKS:
            kept.append(char)
    return kept


def blank(text: str) -> bool:
    """Say whether there is nothing to see in a text."""
    return all(unicodedata.category(char) in _UNSEEN for char in text)


def plain(text: str) -> str:
    """Give a text with ordinary blanks in place of those at which no line may break."""
    return text.translate(_BLANK)


def clusters(text: str) -> list[str]:
    """Split a text into what is seen as one character: letters with marks, joined emoji, flags."""
    found: list[str] = []
    for char in text:
        if found and _clings(char, found[-1]):
            found[-1] += char
        else:
            found.append(char)
    return found


def _clings(char: str, before: str) -> bool:
    if char in (_ZWJ, _ZWNJ) or unicodedata.category(char)[0] == "M":
        return True
    if before[-1] == _ZWJ and ord(char) > 0x2000:
        return True
    if "\U0001f3fb" <= char <= "\U0001f3ff":  # the colour of somebody's skin
        return ord(before[0]) > 0x2000
    return _is_flag(char) and len(before) == 1 and _is_flag(before)


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def leftward(text: str) -> bool:
    """Say whether a text is written from right to left, as its first letter tells."""
    kinds = (unicodedata.bidirectional(char) for char in text)
    return next((kind != "L" for kind in kinds if kind in ("L", "R", "AL")), False)


def cells(text: str) -> int:
    """Count a text as subtitlers do: a character is one, and two where it is written square."""
    if text.isascii():
        return len(text)
    return sum(2 if _is_square(cluster) else 1 for cluster in clusters(text))


def _is_square(cluster: str) -> bool:
    return unicodedata.east_asian_width(cluster[0]) in "WF"


def pieces(text: str) -> list[str]:
    """Split a line after every place where it may break; blanks stay at the end of their piece."""
    if text.isascii() and "-" not in text and "/" not in text:
        return re.findall(r"\S+\s*", text)
    found = [""]
    seen = clusters(text)
    for here, after in zip(seen, [*seen[1:], " "], strict=True):
        found[-1] += here
        if _breaks(here, after) and found[-1].strip():
            found.append("")
    return found if found[-1] else found[:-1]


def _breaks(here: str, after: str) -> bool:
    if after == " ":
        return False
    if here == " ":
        return True
    if here in _HYPHENS:
        return after[0].isalpha()
    if not (_is_square(here) or _is_square(after)):
        return False
    return after not in _CLOSING and here not in _OPENING and after[0] not in _NO_BREAK


def wrap(text: str, room: float, width: Callable[[str], float], indent: float = 0) -> list[str]:
    """Break a line into as few as fit into `room`, and these as even as can be.

    The first has `indent` less. A piece that is wider than `room` is broken wherever it must be.
    """
    parts = [bit for piece in pieces(text) for bit in _chopped(piece, room, width)]
    if not parts:
        return []
    spans = [(width(part), width(part.rstrip())) for part in parts]
    count = len(_ends(spans, room, indent))
    low, high = max(bare for _, bare in spans), max(room, 1.0)
    for _ in range(12 if count > 1 else 0):
        middle = (low + high) / 2
        fits = len(_ends(spans, middle, indent)) <= count
        low, high = (low, middle) if fits else (middle, high)
    ends = _ends(spans, high, indent)
    lines = ("".join(parts[a:b]).rstrip() for a, b in pairwise([0, *ends]))
    return [line for line in lines if line]


def _ends(spans: Sequence[tuple[float, float]], room: float, indent: float) -> list[int]:
    """Fill lines one after the other; the number of pieces up to the end of each comes back."""
    ends: list[int] = []
    used = indent
    for at, (whole, bare) in enumerate(spans):
        if used and used + bare > room:
            ends.append(at)
            used = 0.0
        used += whole
    return [*ends, len(spans)]


def _chopped(piece: str, room: float, width: Callable[[str], float]) -> list[str]:
    if width(piece.rstrip()) <= room:
        return [piece]
    seen = clusters(piece)
    reach = list(accumulate(width(cluster) for cluster in seen))
    bits, start, before = [], 0, 0.0
    for at, end in enumerate(reach):
        if at > start and end - before > room:
            bits.append("".join(seen[start:at]))
            start, before = at, reach[at - 1]
    return [*bits, "".join(seen[start:])]


def shortened(text: str, room: float, width: Callable[[str], float]) -> str:
    """Shorten a text with `…` until it is no wider than `room`, to nothing if need be."""
    if width(text) <= room:
        return text
    seen = clusters(text)
    low, high = 0, len(seen)
    while low < high:
        middle = (low + high + 1) // 2
        fits = width(_cut(seen, middle)) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return _cut(seen, low) if low else ""


def _cut(seen: list[str], count: int) -> str:
    return "".join(seen[:count]).rstrip(" ,.;:") + "…"
