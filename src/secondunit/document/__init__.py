"""Reads a YAML file into plain data, with the line and column of every key and value.

PyYAML is used for its parser events alone. Its composer and constructor would read `16:9` as 969,
keep the last of two equal keys, expand alias bombs, and raise eight kinds of error. Here scalars
are those of YAML 1.2's core schema in decimal, sizes are bounded before they are built, and
whatever is wrong becomes a `Problem` with its place. libyaml's scanner is taken where PyYAML has
it: it is twenty times faster than the one in Python and stands at the same marks.

Aliases are allowed, because a look or a lens is worth naming once; merge keys (`<<`) are not,
because `defaults`, scenes and casts say the same and can be explained. Paths inside an aliased
value have the mark of the alias.
"""

from __future__ import annotations

import codecs
import hashlib
import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import yaml

from secondunit.document.misprints import explain
from secondunit.document.source import MAX_SHOWN, Mark, Source, Span, Where, quoted, showable, spell
from secondunit.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_PROBLEMS",
    "MAX_SHOWN",
    "MAX_TEXT",
    "READER_FAULT",
    "Document",
    "Mark",
    "Where",
    "loads",
    "read",
    "showable",
    "spell",
    "suggest",
]

MAX_BYTES = 2_000_000
MAX_NODES = 200_000  # values, each alias counted as large as what it stands for
MAX_DEPTH = 32
MAX_TEXT = 100_000  # characters in one scalar
MAX_PROBLEMS = 50
READER_FAULT = "reader"  # the code of a problem that is ours and not the author's

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


@dataclass(frozen=True, eq=False)
class Document:
    """A YAML file as plain data: dict, list, str, int, float, bool, None, nothing else.

    `file` is the file as the person named it, `folder` is where its relative paths start, and
    `sha256` is of the file's bytes. Aliased values are one shared object: read it, never write.
    """

    file: str
    folder: Path
    data: dict[str, Any] = field(repr=False)
    sha256: str
    _source: Source = field(repr=False)
    _values: Mapping[Where, Span] = field(repr=False)
    _keys: Mapping[Where, Span] = field(repr=False)

    def mark(self, where: Where, *, key: bool = False) -> Mark:
        """Where the value at `where` is written, or its key; else the nearest thing around it."""
        return self._source.mark(self._span(where, key=key))

    def problem(self, where: Where, message: str, *, key: bool = False, code: str = "") -> Problem:
        """Say something about the value (or the key) at `where`, with its place and its line."""
        return self._source.problem(self._span(where, key=key), message, where, code)

    def lost_comment(self, where: Where) -> str | None:
        """Return the comment, `#` included, that ends the line of the unquoted value at `where`.

        A candidate for text that was meant: `prompt: Harbour, take #2 at dawn` says only
        "Harbour, take", and `#2 at dawn` is returned. None where there is no such comment.
        """
        span = self._values.get(where)
        if span is None or not span.plain:
            return None
        found = re.compile(r"[ \t]+(#[^\r\n]*)").match(self._source.text, span.end)
        return found[1].rstrip() if found else None

    def _span(self, where: Where, *, key: bool) -> Span:
        for length in range(len(where), 0, -1):
            around = where[:length]
            span = (self._keys.get(around) if key else None) or self._values.get(around)
            if span:
                return span
        return self._values[()]


def read(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file of at most 2 MB; raises `SpecError` with everything that is wrong."""
    file = showable(os.fspath(path))
    try:
        data = _bytes(path)
        folder = Path(path).parent.resolve()
    except (OSError, ValueError) as error:
        _refuse(file, _unopened(path, error))
    if len(data) > MAX_BYTES:
        _refuse(file, f"The file is larger than {MAX_BYTES // 10**6} MB. It is no shot list.")
    return _document(_decode(data, file), file, folder, hashlib.sha256(data).hexdigest())


def loads(text: str, file: str = "<text>", folder: str | os.PathLike[str] = ".") -> Document:
    """Read YAML from `text`, under the name `file`, with paths relative to `folder`."""
    data = text.encode("utf-8", "surrogatepass")
    text = text.removeprefix("\ufeff")
    if len(data) > MAX_BYTES:
        _refuse(file, f"The text is larger than {MAX_BYTES // 10**6} MB. It is no shot list.")
    return _document(text, file, Path(folder).resolve(), hashlib.sha256(data).hexdigest())


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` was most likely meant to be, None if none is near."""
    from difflib import get_close_matches

    plain = {re.sub(r"[-_\s]", "", name).lower(): name for name in known}
    wanted = re.sub(r"[-_\s]", "", word[:100]).lower()
    swapped = [name for name in plain if sorted(name) == sorted(wanted)]
    found = swapped or get_close_matches(wanted, plain, n=1, cutoff=0.7)
    return plain[found[0]] if found else None


def _bytes(path: str | os.PathLike[str]) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not hang us
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise ValueError("This is a pipe or a device, not a file.")
        with open(handle, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(handle)


def _unopened(path: str | os.PathLike[str], error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            return "There is no such file. Check the name and the folder."
        case IsADirectoryError():
            inside = sorted(Path(path).glob("*.y*ml"))
            hint = f", such as {showable(str(inside[0]))}" if inside else ""
            return f"This is a folder. Name the shot list inside it{hint}."
        case PermissionError():
            return "You may not read this file. Change its permissions."
        case OSError():
            return f"The file cannot be read: {error.strerror or error}."
    return f"The file cannot be read: {error}"


def _decode(data: bytes, file: str) -> str:
    body = data.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        at = len(body[: error.start].decode(errors="replace"))
        byte = len(data) - len(body) + error.start
        message = f"Byte {byte + 1} of the file (0x{data[byte]:02x}) is not UTF-8 text."
        message += " Save the file as UTF-8 in your editor."
        source = Source(file, body.decode(errors="replace"))
        raise SpecError([source.problem(Span(at, at), message)]) from None


def _refuse(file: str, message: str) -> NoReturn:
    raise SpecError([Problem(file, 1, 1, "", message)]) from None


def _document(text: str, file: str, folder: Path, sha256: str) -> Document:
    source = Source(showable(file), text)
    builder = _Builder(source)
    try:
        builder.build()
    except Exception as error:  # noqa: BLE001  the door: whatever the bytes, never a traceback
        message = f"The reader stumbled here ({type(error).__name__}). Please report this file."
        builder.note(builder.last, message, code=READER_FAULT)
    if builder.problems:
        raise SpecError(builder.problems)
    return Document(file, folder, builder.data, sha256, source, builder.values, builder.keys)


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


class _Builder:
    """Turns parser events into data and spans, without recursion, and notes what is wrong."""

    def __init__(self, source: Source) -> None:
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
