"""Says in a film-maker's words what the YAML parser stumbled over, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secondunit.document.source import BREAK, Source, Span, quoted

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class _Stumble:
    """Where the parser gave up, where what it was reading began, and the last value before."""

    source: Source
    at: int
    since: int
    last: Span

    @property
    def before(self) -> str:
        """What stands on the line before the place."""
        return self.source.text[self.at - self.source.position(self.at)[1] + 1 : self.at]

    def line(self) -> str:
        """Return the whole line."""
        return self.source.line(self.source.position(self.at)[0])

    def line_above(self) -> tuple[int, str]:
        """Return the offset and the text of the last line above that is not blank."""
        start = self.at - len(self.before)
        above = self.source.text[:start].rstrip()
        line, column = self.source.position(len(above))
        return len(above) - column + 1, self.source.line(line)


Explained = tuple[int, str]
_ODD_SPACE = "A tab or a special space stands here. Use ordinary spaces."
_QUOTE_IT = "Put the text in quotes, or on its own lines after `|` or `>`."


def _unquoted(stumble: _Stumble) -> Explained:
    character = stumble.source.text[stumble.since : stumble.since + 1]
    if not character:
        return stumble.since, "The file ends in the middle of a value."
    if character == "\t":
        return stumble.since, _ODD_SPACE
    return stumble.since, f"`{character}` cannot begin unquoted text. {_QUOTE_IT}"


def _second_colon(stumble: _Stumble) -> Explained:
    key = re.fullmatch(r"(\s*(?:- +)*)([^\s:][^:]*)", stumble.before)
    if not key:
        return stumble.at, f"A second `: ` in unquoted text. {_QUOTE_IT}"
    offset, above = stumble.line_above()
    tight = re.match(r"\s*(?:- +)*([\w-]+):(?=[^ \t/])", above)
    if tight:
        return offset + tight.start(1), f"A space is missing after `{tight[1]}:`."
    message = f"`{quoted(key[2])}:` is indented deeper than the line above and so became part of "
    message += f"its text. Line the two up. Is this text? {_QUOTE_IT}"
    return stumble.at - len(key[2]), message


def _no_colon(stumble: _Stumble) -> Explained:
    text = stumble.source.text
    tight = re.compile(r"([\w-]+):(?=[^ \t\r\n])").match(text, stumble.since)
    if tight:
        return stumble.since, f"A space is missing after `{tight[1]}:`."
    if re.compile(r"-(?=\w)").match(text, stumble.since):
        return stumble.since, "A space is missing after the `-`."
    message = "A `key: value` is expected here. If this goes on with the text above, indent it "
    return stumble.since, message + "further than the key of that text."


def _unclosed(stumble: _Stumble) -> Explained:
    opening = stumble.source.text[stumble.since]
    line, column = stumble.source.position(stumble.at)
    message = f"`{opening}` opens here, and a `,` or `{']' if opening == '[' else '}'}` is missing "
    message += f"before line {line}, column {column}. If this is text, put all of it in quotes."
    return stumble.since, message


def _escape(stumble: _Stumble) -> Explained:
    at = stumble.source.text.rfind("\\", stumble.since, stumble.at + 1)
    message = "In double quotes `\\` begins an escape. Use single quotes, or `/` in a path."
    return max(at, stumble.since), message


def _misplaced(stumble: _Stumble) -> Explained:
    """Something stands where the next key or list item should."""
    character = stumble.source.text[stumble.at : stumble.at + 1]
    if character in ("]", "}"):
        return stumble.at, f"`{character}` closes nothing here: it is one too many."
    return _tail(stumble) if stumble.before.strip() else _crooked(stumble)


def _tail(stumble: _Stumble) -> Explained:
    """Something follows a complete value on its line."""
    source, last = stumble.source, stumble.last
    written = source.text[last.start : last.end]
    if not written.startswith(("'", '"')):
        return stumble.at, f"The text goes on after the closing bracket. {_QUOTE_IT}"
    if BREAK.search(written):
        line, _ = source.position(last.end)
        return last.start, f"This quote is closed only on line {line}: is one missing before?"
    message = f"The text goes on after the closing {written[0]}. "
    return stumble.at, message + 'Put all of it in quotes, a `\'` in it in "double" ones.'


def _crooked(stumble: _Stumble) -> Explained:
    """Return why a line begins where it should not."""
    source, last = stumble.source, stumble.last
    offset, above = stumble.line_above()
    comment = re.search(r"(?<=\s)#", above)
    if last.plain and comment and offset <= last.end <= offset + comment.start():
        message = "The text above ends at this ` #`, which begins a comment. Put it in quotes."
        return offset + comment.start(), message
    _, column = source.position(stumble.since)
    kind = "`- ` items" if source.text.startswith("-", stumble.since) else "keys"
    message = f"This line does not fit: the {kind} above it begin at column {column}, "
    return stumble.at, message + "and items and keys do not mix. Correct its indentation."


def _say(sentence: str, *, since: bool = False) -> Callable[[_Stumble], Explained]:
    return lambda stumble: (stumble.since if since else stumble.at, sentence)


_STUMBLES: tuple[tuple[str, Callable[[_Stumble], Explained]], ...] = (
    (r"cannot start any token", _unquoted),
    (r"quoted scalar: found unexpected", _say("This quote is never closed.", since=True)),
    (r"quoted scalar", _escape),
    (r"could not find expected ':'", _no_colon),
    (r"mapping values are not allowed", _second_colon),
    (
        r"sequence entries are not allowed",
        _say(f"A list begins on the line below its key. Is this text? {_QUOTE_IT}"),
    ),
    (r"scanning an (alias|anchor)|mapping keys are|scanning a tag|node content", _unquoted),
    (r"scanning a directive", _unquoted),
    (
        r"expected '?<document start>",
        _say("The file ended above: this line is left of its first key, or follows a `...`."),
    ),
    (r"block scalar", _say("After `|` or `>` the text begins on the next line, indented.")),
    (r"flow (sequence|mapping)", _unclosed),
    (r"block (collection|mapping)", _misplaced),
)


def explain(source: Source, complaint: str, at: int, since: int, last: Span) -> tuple[Span, str]:
    """Return what was most likely meant, and at which character.

    `complaint` is the parser's own, at character `at`, of something that began at `since` after
    the value `last`. Its wording differs between libyaml and the scanner in Python: the patterns
    fit both.
    """
    stumble = _Stumble(source, at, since, last)
    odd = re.match(r" *[^\S ]", stumble.line())
    if odd:
        at = at - len(stumble.before) + odd.end() - 1
        return Span(at, at), _ODD_SPACE
    for pattern, explanation in _STUMBLES:
        if re.search(pattern, complaint):
            at, message = explanation(stumble)
            return Span(at, at), message
    return Span(at, at), f"This cannot be read as YAML: {complaint}."
