"""Builds plain data from the parser events of PyYAML, and notes what is wrong where.

PyYAML is used for these events alone. Its composer and constructor would read `16:9` as 969, keep
the last of two equal keys, expand alias bombs, and raise eight kinds of error. libyaml's scanner is
taken where PyYAML has it: it is twenty times faster than the one in Python and stands at the same
marks.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import yaml

from secondunit.document.misprints import explain
from secondunit.document.source import Source, Span, Where, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from secondunit.errors import Problem

MAX_NODES = 200_000  # values, each alias counted as large as what it stands for
MAX_DEPTH = 32
MAX_TEXT = 100_000  # characters in one scalar
MAX_PROBLEMS = 50

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
)
_WORDS = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_REAL = re.compile(
    r"(?=.*[.eE])[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class _GaveUp(Exception):
    """The rest of the file is not worth reading."""


class _Anchored(NamedTuple):
    """What `&name` stands for, how many values that is, and how many levels deep."""

    value: Any
    nodes: int
    height: int
    span: Span


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    value: list[Any] | dict[str, Any]
    where: Where
    span: Span
    anchor: str | None
    nodes_before: int
    height: int = 0
    key: str | None = None


class Builder:
    """Turns parser events into data and spans, without recursion, and notes what is wrong."""

    def __init__(self, source: Source) -> None:
        """Read `source`; nothing is read before `build`."""
        self.source = source
        self.problems: list[Problem] = []
        self.data: Any = None
        self.values: dict[Where, Span] = {}
        self.keys: dict[Where, Span] = {}
        self.last = Span(0, 0)
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._documents = 0

    def build(self) -> None:
        """Read to the end, or to where it is not worth reading on."""
        try:
            for found in _FORBIDDEN.finditer(self.source.text):
                self._complain(Span(*found.span()), _invisible(found[0]))
            if not self.problems:
                self._follow()
        except _GaveUp:
            return
        except yaml.MarkedYAMLError as error:
            self.note(*self._explained(error))
        if not self.problems and not isinstance(self.data, dict):
            self.note(self.values.get((), self.last), _top(self.data))

    def _explained(self, error: yaml.MarkedYAMLError) -> tuple[Span, str]:
        place = error.problem_mark or error.context_mark
        at = place.index if place else self.last.end
        since = error.context_mark.index if error.context_mark else at
        complaint = f"{error.context or 'the file'}: {error.problem}"
        return explain(self.source, complaint, at, since, self.last)

    def note(self, span: Span, message: str, where: Where = (), code: str = "") -> None:
        """Add a problem."""
        self.problems.append(self.source.problem(span, message, where, code))

    def _complain(self, span: Span, message: str, where: Where = ()) -> None:
        self.note(span, message, where)
        if len(self.problems) == MAX_PROBLEMS:
            self._give_up(span, "Too much is wrong to read on. Correct what is listed first.")

    def _give_up(self, span: Span, message: str) -> NoReturn:
        self.note(span, message)
        raise _GaveUp

    def _follow(self) -> None:
        steps: dict[type, Callable[[Any, Span], None]] = {
            yaml.DocumentStartEvent: self._begin,
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.SequenceStartEvent: self._enter,
            yaml.MappingStartEvent: self._enter,
            yaml.SequenceEndEvent: self._leave,
            yaml.MappingEndEvent: self._leave,
        }
        for event in yaml.parse(self.source.text, Loader=_LOADER):
            step = steps.get(type(event))
            if step and event.start_mark and event.end_mark:
                step(event, Span(event.start_mark.index, event.end_mark.index))

    def _begin(self, _event: Any, span: Span) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "A second document begins here. One file is one shot list: delete this line."
            self._give_up(span, message)

    def _scalar(self, event: Any, span: Span) -> None:
        self.last = span = span._replace(plain=not event.style)
        if len(event.value) > MAX_TEXT:
            self._give_up(span, f"This text is longer than {MAX_TEXT:,} characters.")
        if event.style and (found := _FORBIDDEN.search(event.value)):
            self._complain(span, _invisible(found[0]), self._here())
        if self._key_is_next():
            self._key(event, span)
        else:
            self._count(1, span)
            value = self._meaning(event, span)
            self._remember(event.anchor, _Anchored(value, 1, 0, span))
            self._place(value, span)

    def _key(self, event: Any, span: Span) -> None:
        parent = self._open[-1]
        parent.key = event.value
        here = self._here()
        self._refuse_tag(event, span)
        self._remember(event.anchor, _Anchored(event.value, 1, 0, span))
        if span.plain and _WORDS.get(event.value, "") is None:
            self._complain(span, "Nothing names this value: write a key before the `:`.", here[:-1])
        elif span.plain and event.value == "<<":
            message = "Merge keys (`<<`) are not used here. Put what is shared into `defaults`."
            self._complain(span, message, here[:-1])
        elif span.plain and event.value != event.value.strip():
            message = "A special space stands around this key. Use ordinary spaces, or none."
            self._complain(span, message, here[:-1])
        elif here in self.keys:
            first, _ = self.source.position(self.keys[here].start)
            self._complain(span, f"Written twice: it is already on line {first}. Keep one.", here)
        self.keys.setdefault(here, span)

    def _meaning(self, event: Any, span: Span) -> Any:
        text = event.value
        self._refuse_tag(event, span)
        if not span.plain:
            return text
        if text in _WORDS:
            return _WORDS[text]
        return self._number(text, span) if text[0] in "+-.0123456789" else text

    def _number(self, text: str, span: Span) -> Any:
        if _INTEGER.fullmatch(text):
            return int(text)
        real = float(text) if _REAL.fullmatch(text) else None
        if _NOT_FINITE.fullmatch(text) or (real is not None and math.isinf(real)):
            message = f"`{quoted(text)}` is not a finite number. If it is text, put it in quotes."
            self._complain(span, message, self._here())
        return text if real is None else real

    def _alias(self, event: Any, span: Span) -> None:
        self.last = span
        if self._key_is_next():
            self._give_up(span, _ODD_KEY)
        if any(held.anchor == event.anchor for held in self._open):
            self._give_up(span, f"`*{event.anchor}` stands inside `&{event.anchor}` itself.")
        known = self._anchors.get(event.anchor)
        if known is None:
            message = f"`*{event.anchor}` repeats what `&{event.anchor}` names, and nothing above "
            message += "is named so. If this is text, put it in quotes."
            self._complain(span, message, self._here())
            known = _Anchored(None, 1, 0, span)
        self._count(known.nodes, span)
        self._bound_depth(known.height, span)
        self._place(known.value, span, known.height)

    def _enter(self, event: Any, span: Span) -> None:
        if self._key_is_next():
            self._give_up(span, _ODD_KEY)
        self._bound_depth(1, span)
        self._refuse_tag(event, span)
        empty: list[Any] | dict[str, Any] = {}
        if isinstance(event, yaml.SequenceStartEvent):
            empty = []
        self._open.append(_Open(empty, self._here(), span, event.anchor, self._nodes))
        self._count(1, span)

    def _leave(self, _event: Any, span: Span) -> None:
        done = self._open.pop()
        whole = Span(done.span.start, span.end)
        nodes = self._nodes - done.nodes_before
        self._remember(done.anchor, _Anchored(done.value, nodes, done.height + 1, whole))
        self._place(done.value, whole, done.height + 1)

    def _place(self, value: Any, span: Span, height: int = 0) -> None:
        self.values[self._here()] = span
        if not self._open:
            self.data = value
            return
        parent = self._open[-1]
        parent.height = max(parent.height, height)
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is not None:
            parent.value[parent.key] = value
            parent.key = None

    def _here(self) -> Where:
        """Return the path of the value that comes next."""
        if not self._open:
            return ()
        parent = self._open[-1]
        step = len(parent.value) if isinstance(parent.value, list) else parent.key
        return parent.where if step is None else (*parent.where, step)

    def _key_is_next(self) -> bool:
        return (
            bool(self._open)
            and isinstance(self._open[-1].value, dict)
            and self._open[-1].key is None
        )

    def _remember(self, name: str | None, value: _Anchored) -> None:
        if name is None:
            return
        if name in self._anchors:
            first, _ = self.source.position(self._anchors[name].span.start)
            self._complain(value.span, f"`&{name}` is already used on line {first}.", self._here())
        self._anchors[name] = value

    def _refuse_tag(self, event: Any, span: Span) -> None:
        if event.tag is None:
            return
        tag = _TAG.match(self.source.text, span.start)
        name = quoted(tag[1] if tag else event.tag)
        message = (
            f"`{name}` is a YAML tag, and none are used here. If it is text, put it in quotes."
        )
        self._complain(Span(*tag.span(1)) if tag else span, message, self._here())

    def _count(self, nodes: int, span: Span) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._give_up(span, f"The file holds more than {MAX_NODES:,} values, aliases unfolded.")

    def _bound_depth(self, levels: int, span: Span) -> None:
        if len(self._open) + levels > MAX_DEPTH:
            self._give_up(span, f"This is nested more than {MAX_DEPTH} levels deep.")


_ODD_KEY = "A key is one word or text, and this is a list, a mapping or an alias. If a text begins "
_ODD_KEY += "here with `{`, `[` or `*`, put all of it in quotes."
_TAG = re.compile(r"(?:&\S+\s+)?(!\S*)")


def _top(data: Any) -> str:
    if data is None:
        return "The file is empty. A shot list is at least `shots:` with one line of text below it."
    if isinstance(data, list):
        return "This is a bare list. Put a line `shots:` above it."
    return (
        "This is a bare text. Begin with a line `shots:`, and write each shot on a line below it."
    )


def _invisible(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"An invisible character ({code}) stands here, perhaps from copying. Delete it."
