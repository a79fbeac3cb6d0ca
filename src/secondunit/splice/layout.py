"""Where words go in a frame and how large they are, by what they are: rows with size and place."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple

from secondunit.splice.typesetting import leftward, pieces, shortened, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secondunit.splice.typeface import Typeface

INSET = 0.7
"""What lies between a slate's edge and its words, as a share of their size."""

_SMALLEST = 10  # pixels: letters below this cannot be read
_STEP = 0.93  # from one size to the next smaller one that is tried
_CAP, _BELOW = 0.72, 0.24  # how far letters reach above and below their line, as a share of size


class Page:
    """The frame that words are set on and its safe area, in pixels."""

    def __init__(self, width: int, height: int, safe: float) -> None:
        """`safe` is the share of width and height, on every side, that words keep clear of."""
        safe = min(max(safe, 0.0), 0.45)
        self.width, self.height = width, height
        self.left, self.top = ceil(width * safe), ceil(height * safe)
        self.right, self.bottom = width - self.left, height - self.top
        self.room = self.right - self.left
        self.unit = min(width, height)

    def size(self, share: float) -> int:
        """Turn a share of the shorter side into a size of letters that can be read."""
        return max(_SMALLEST, round(share * self.unit))


class Row(NamedTuple):
    """A line that was set: how large, where it begins and where its baseline runs, in pixels."""

    text: str
    size: int
    x: float
    y: float


@dataclass(frozen=True)
class _Style:
    """How something is set: sizes as shares of the frame's shorter side, `high` of its height.

    Text that is too long is set smaller down to `least`. `leading` is from line to line, as a
    share of the size.
    """

    size: float
    least: float
    leading: float
    high: float


_TITLE = _Style(0.088, 0.042, 1.3, 0.5)
_CARD = _Style(0.064, 0.028, 1.5, 0.72)
_NAME = _Style(0.052, 0.036, 1.2, 0.2)
_ROLE = _Style(0.034, 0.026, 1.3, 0.2)
_CAPTION = _Style(0.05, 0.034, 1.26, 0.4)
_SLATE = _Style(0.024, 0.024, 1.5, 0.5)


class _Block(NamedTuple):
    size: int
    lines: list[str]
    pitch: float


def title(face: Typeface, page: Page, lines: Sequence[str]) -> list[Row]:
    """Set lines in the middle of the frame."""
    return _centred(face, page, lines, _TITLE)


def card(face: Typeface, page: Page, lines: Sequence[str]) -> list[Row]:
    """Set lines in the middle of a frame that holds nothing else."""
    return _centred(face, page, lines, _CARD)


def caption(face: Typeface, page: Page, lines: Sequence[str]) -> list[Row]:
    """Set lines at the bottom, divided as they are if they fit, else anew."""
    lines = [line for line in lines if line]
    size = page.size(_CAPTION.size)
    wide = max(face.length(line, size) for line in lines)
    smaller = floor(size * min(1.0, page.room / max(wide, 1.0)))
    if smaller >= max(_SMALLEST, 0.8 * size) and len(lines) <= 3:
        block = _Block(smaller, list(lines), smaller * _CAPTION.leading)
    else:
        block = _fitted(face, [" ".join(lines)], _CAPTION, page, page.room)
    last = page.bottom - block.size * _BELOW
    return _stacked(face, page, block, last - (len(block.lines) - 1) * block.pitch)


def lower_third(face: Typeface, page: Page, lines: Sequence[str]) -> list[Row]:
    """Set a name, and what stands below it, where reading begins and clear of two captions."""
    room = min(page.room, max(0.6 * page.width, 0.86 * page.unit))
    lines = [line for line in lines if line]
    blocks = [_fitted(face, lines[:1], _NAME, page, room)]
    if lines[1:]:
        blocks.append(_fitted(face, lines[1:], _ROLE, page, room))
    y = page.bottom - (_CAPTION.leading + 2.1) * page.size(_CAPTION.size)
    rows: list[Row] = []
    for block in reversed(blocks):
        for line in reversed(block.lines):
            x = page.right - face.length(line, block.size) if leftward(lines[0]) else page.left
            rows.insert(0, Row(line, block.size, x, y))
            y -= block.pitch
        y -= block.size * 0.25
    return rows


def slate(face: Typeface, page: Page, lines: Sequence[str]) -> list[Row]:
    """Set short facts in the upper left corner, each on a line of its own."""
    size = page.size(_SLATE.size)
    inset, pitch = size * INSET, size * _SLATE.leading
    room = min(page.room - 2 * inset, max(0.4 * page.width, 0.7 * page.unit))
    most = max(1, floor(_SLATE.high * page.height / pitch))
    x, y = page.left + inset, page.top + inset + size * _CAP
    return [
        Row(line, size, x, y + at * pitch)
        for at, line in enumerate(
            _kept([line for line in lines if line], room, most, _ruler(face, size))
        )
    ]


LAYOUTS = {"title": title, "lower_third": lower_third, "caption": caption, "slate": slate}
"""How each kind of lettering is set."""


def _centred(face: Typeface, page: Page, lines: Sequence[str], style: _Style) -> list[Row]:
    block = _fitted(face, lines, style, page, min(page.room, 0.84 * page.width))
    cap = block.size * _CAP
    rows = _stacked(face, page, block, cap)
    down = (page.height - rows[-1].y) / 2 if rows else 0
    return [row._replace(y=row.y + down) for row in rows]


def _stacked(face: Typeface, page: Page, block: _Block, first: float) -> list[Row]:
    """Centre lines one below the other, from the baseline `first` on; empty ones are half as high."""
    rows, y = [], first
    for line in block.lines:
        if line:
            x = (page.width - face.length(line, block.size)) / 2
            rows.append(Row(line, block.size, x, y))
        y += block.pitch if line else block.pitch / 2
    return rows


def _fitted(face: Typeface, texts: Sequence[str], style: _Style, page: Page, room: float) -> _Block:
    """Find the largest size in which everything fits without a broken word, or the smallest."""
    size, least = page.size(style.size), page.size(style.least)
    most = style.high * page.height
    words = {piece.rstrip() for text in texts for piece in pieces(text)}
    while True:
        width = _ruler(face, size)
        lines = [line for text in texts for line in wrap(text, room, width) or [""]]
        fits = size * style.leading * len(lines) <= most
        if size <= least or (fits and max(map(width, {*lines, *words})) <= room):
            break
        size = max(least, min(size - 1, floor(size * _STEP)))
    pitch = size * style.leading
    return _Block(size, _kept(lines, room, max(1, floor(most / pitch)), width), pitch)


def _ruler(face: Typeface, size: int) -> Callable[[str], float]:
    """Measure each text once: a word is asked for its width over and over."""
    known: dict[str, float] = {}

    def width(text: str) -> float:
        if text not in known:
            known[text] = face.length(text, size)
        return known[text]

    return width


def _kept(lines: list[str], room: float, most: int, width: Callable[[str], float]) -> list[str]:
    kept = lines[:most]
    if len(lines) > most:
        kept[-1] += " …"
    return [shortened(line, room, width) for line in kept]
