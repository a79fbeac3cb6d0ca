"""Reads a YAML file into plain data, with the line and column of every key and value.

Scalars are those of YAML 1.2's core schema in decimal, sizes are bounded before they are built, and
whatever is wrong becomes a `Problem` with its place.

Aliases are allowed, because a look or a lens is worth naming once; merge keys (`<<`) are not,
because `defaults`, scenes and casts say the same and can be explained. Paths inside an aliased
value have the mark of the alias.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from secondunit.document.builder import MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, MAX_TEXT, Builder
from secondunit.document.source import MAX_SHOWN, Mark, Source, Span, Where, showable, spell
from secondunit.errors import Problem, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
READER_FAULT = "reader"  # the code of a problem that is ours and not the author's


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
    builder = Builder(source)
    try:
        builder.build()
    except Exception as error:  # noqa: BLE001  the door: whatever the bytes, never a traceback
        message = f"The reader stumbled here ({type(error).__name__}). Please report this file."
        builder.note(builder.last, message, code=READER_FAULT)
    if builder.problems:
        raise SpecError(builder.problems)
    return Document(file, folder, builder.data, sha256, source, builder.values, builder.keys)
