"""The forms a value on the wire may have: texts, words, numbers, URIs, lists and records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from secondunit.catalog.variants import spoken

Path = tuple[str | int, ...]
Shape = Callable[[Path, object], "Iterator[Issue]"]

# Lengths of URIs are those of openapi.json in github.com/runwayml/openapi.
INLINE_LIMIT = 5_242_880
"""Characters of a data URI at most, of whatever kind."""
_UPLOAD_LIMIT = 5000
_ADDRESS_LIMIT = 2048
_URI_LEAST = 13

_TAG = re.compile(r"[a-z][a-z0-9_]{2,15}")
_TASK = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HTTPS = re.compile(r"https://(?:[\w-]+\.)+[a-z][\w-]*(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\]):\d+(?:[/?#]\S*)?")


def fits_inline(size: int, limit: int = INLINE_LIMIT) -> bool:
    """Tell whether a file of `size` bytes can travel inside an order: base64 adds a third."""
    return size * 4 // 3 + 64 <= limit


@dataclass(frozen=True)
class Issue:
    """One problem of a body: where it is, a code in the manner of Zod, and a sentence."""

    path: Path
    code: str
    message: str


def record(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Accept an object with exactly these fields."""
    known = {**required, **(optional or {})}

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if not isinstance(value, Mapping):
            yield Issue(path, "invalid_type", f"Expected an object, got {shown(value)}.")
            return
        strangers = [name for name in value if name not in known]
        for count, name in enumerate(strangers):
            # A body of a hundred thousand strange keys is still answered at once.
            guesses = known if count < 20 else {}
            yield Issue((*path, name), "unrecognized_keys", _unknown(name, guesses))
        for name, form in known.items():
            if name in value:
                yield from form((*path, name), value[name])
            elif name in required:
                yield Issue((*path, name), "invalid_type", "Required, but missing.")

    return shape


def list_of(item: Shape, most: int, least: int = 1) -> Shape:
    """Accept a list of `least` to `most` entries of one form."""

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if not is_list(value):
            yield Issue(path, "invalid_type", f"Expected a list, got {shown(value)}.")
        elif len(value) > most:
            yield Issue(path, "too_big", f"{len(value)} entries; at most {most} are taken.")
        elif len(value) < least:
            yield Issue(path, "too_small", "An empty list is refused; leave the field out.")
        else:
            for index, part in enumerate(value):
                yield from item((*path, index), part)

    return shape


def media(kinds: Mapping[str, Shape]) -> Shape:
    """Accept a record of `type`, one of the kinds, and a `uri` of that kind."""

    def shape(path: Path, value: object) -> Iterator[Issue]:
        kind = value.get("type") if isinstance(value, Mapping) else None
        place = kinds.get(kind) if isinstance(kind, str) else None
        yield from record({"type": one_of(tuple(kinds)), "uri": place or text()})(path, value)

    return shape


def uri(kind: str, *, loopback: bool = False) -> Shape:
    """Accept an image, video or audio: an https address, an upload or a data URI of that kind.

    `loopback` also allows http addresses on this machine.
    """

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if not isinstance(value, str):
            yield Issue(path, "invalid_type", f"Expected a URI, got {shown(value)}.")
        elif value.startswith("data:"):
            yield from _data(path, value, kind)
        elif value.startswith("runway://"):
            yield from _length(path, value, _UPLOAD_LIMIT)
        elif value.startswith("https://") or (loopback and value.startswith("http://")):
            yield from _address(path, value, _LOOPBACK if value.startswith("http:") else _HTTPS)
        else:
            expected = f"Expected https://, runway:// or data:{kind}/, got {shown(value)}."
            yield Issue(path, "invalid_value", expected)

    return shape


def _data(path: Path, value: str, kind: str) -> Iterator[Issue]:
    head, comma, content = value[:256].partition(",")
    if not head.startswith(f"data:{kind}/"):
        yield Issue(path, "invalid_value", f"Expected data:{kind}/, got {shown(head)}.")
    elif not comma or not head.endswith(";base64") or not content:
        yield Issue(path, "invalid_value", "A data URI has to be data:<type>;base64,<content>.")
    elif len(value) > INLINE_LIMIT:
        size = f"{len(value)} characters; a data URI has at most {INLINE_LIMIT}. Upload the file."
        yield Issue(path, "too_big", size)


def _address(path: Path, value: str, form: re.Pattern[str]) -> Iterator[Issue]:
    issues = list(_length(path, value, _ADDRESS_LIMIT))
    yield from issues
    if not issues and not form.fullmatch(value):
        yield Issue(path, "invalid_value", "An address needs a domain name and has no spaces.")


def _length(path: Path, value: str, most: int) -> Iterator[Issue]:
    if len(value) < _URI_LEAST:
        size = f"{len(value)} characters; at least {_URI_LEAST} are needed."
        yield Issue(path, "too_small", size)
    elif len(value) > most:
        yield Issue(path, "too_big", f"{len(value)} characters; at most {most} are allowed.")


def text(limit: int | None = None) -> Shape:
    """Accept a text that is not empty, of at most so many UTF-16 code units."""

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if not isinstance(value, str):
            yield Issue(path, "invalid_type", f"Expected a text, got {shown(value)}.")
        elif not value:
            yield Issue(path, "too_small", "Is empty; write something or leave the field out.")
        elif limit is not None and (units := utf16_units(value)) > limit:
            size = f"{units} UTF-16 code units; at most {limit} are allowed."
            yield Issue(path, "too_big", size)

    return shape


def one_of(words: tuple[str, ...]) -> Shape:
    """Accept one of a few words."""

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if not isinstance(value, str):
            yield Issue(path, "invalid_type", f"Expected a text, got {shown(value)}.")
        elif value not in words:
            choice = f"{shown(value)} is not offered; choose {spoken(words)}."
            yield Issue(path, "invalid_value", choice)

    return shape


def integer(least: int, most: int | None = None) -> Shape:
    """Accept a whole number within bounds, both included."""

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if is_integer(value):
            yield from _within(path, value, least, most)
        else:
            yield Issue(path, "invalid_type", f"Expected a whole number, got {shown(value)}.")

    return shape


def number(least: int, most: int) -> Shape:
    """Accept a number within bounds, both included."""

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if is_integer(value) or (isinstance(value, float) and not math.isnan(value)):
            yield from _within(path, value, least, most)
        else:
            yield Issue(path, "invalid_type", f"Expected a number, got {shown(value)}.")

    return shape


def _within(path: Path, value: float, least: int, most: int | None) -> Iterator[Issue]:
    if value < least:
        yield Issue(path, "too_small", f"{shown(value)} is below {least}.")
    elif most is not None and value > most:
        yield Issue(path, "too_big", f"{shown(value)} is above {most}.")


def boolean(path: Path, value: object) -> Iterator[Issue]:
    """Accept true or false."""
    if not isinstance(value, bool):
        yield Issue(path, "invalid_type", f"Expected true or false, got {shown(value)}.")


def tag(path: Path, value: object) -> Iterator[Issue]:
    """Accept a name by which a prompt mentions a picture."""
    if not isinstance(value, str):
        yield Issue(path, "invalid_type", f"Expected a text, got {shown(value)}.")
    elif not _TAG.fullmatch(value):
        rule = "A tag is 3 to 16 lower-case letters, digits and underscores, a letter first."
        yield Issue(path, "invalid_value", rule)


def task_id(path: Path, value: object) -> Iterator[Issue]:
    """Accept the id of a task."""
    if not isinstance(value, str) or not _TASK.fullmatch(value):
        yield Issue(path, "invalid_value", f"Expected the id of a task, got {shown(value)}.")


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Tell a JSON list from everything else; a tuple is sent as one."""
    return isinstance(value, list | tuple)


def is_integer(value: object) -> TypeGuard[int]:
    """Tell a whole number from everything else; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def utf16_units(value: str) -> int:
    """Return the length of a text as the gateways count it: a character beyond U+FFFF is two."""
    return len(value) + sum(character > "\uffff" for character in value)


def shown(value: object) -> str:
    """Return a value for an error message: one short line, never a whole data URI."""
    if isinstance(value, str):
        line = "".join(c if c.isprintable() else "·" for c in value[:40])
        return f"`{line}…`" if len(value) > 40 else f"`{line}`"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        # str() itself refuses a number of thousands of digits.
        return str(value) if value.bit_length() < 100 else "a huge number"
    return "a list" if is_list(value) else "an object"


def _unknown(name: object, known: Mapping[str, Shape]) -> str:
    if not known:
        return "Unknown field."
    from difflib import get_close_matches

    near = get_close_matches(str(name)[:40], known, n=1)
    return "Unknown field." + (f" Did you mean `{near[0]}`?" if near else "")
