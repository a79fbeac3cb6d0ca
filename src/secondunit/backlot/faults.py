"""What goes wrong on the backlot, on demand: a small language of faults, and their plan.

A fault is written `METHOD PATH[@MODEL][#WHICH | %CHANCE]=KIND[:ARGUMENT]`:

    POST /v1/image_to_video#2=drop          the second order is taken, its answer never comes
    POST /v1/*@aleph2=fail:SAFETY.INPUT.TEXT   every edit is moderated, and billed in full
    GET /v1/tasks/*%0.3=503                 three polls in ten are shed
    GET /outputs/*#1-2=cut                  the first two downloads break off half-way
    POST /v1/text_to_video#3+=429:7         from the third order on: too many, wait 7 s

`PATH` may use `*`, `METHOD` may be `*`; `#2` is the second matching request, `#2-4` a range, `#2+`
from there on, nothing every one.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING

from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Moment(Enum):
    """When a fault acts."""

    BEFORE = "instead of doing anything"
    FATE = "on the task that a create request starts"
    AFTER = "on the answer, when all is done and charged"


@dataclass(frozen=True)
class Kind:
    """One way to go wrong: when it acts, which arguments it takes, and what it does in words."""

    moment: Moment
    argument: str
    does: str


_ANY, _NONE, _SECONDS = r".*", r"", r"\d+(\.\d+)?"
_POLLS = r"(\d+)?"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "hangup": Kind(Moment.BEFORE, _NONE, "the connection closes, nothing was done"),
        "broke": Kind(Moment.BEFORE, _NONE, "400, not enough credits"),
        "expired": Kind(Moment.BEFORE, _NONE, "403, the link is no longer valid"),
        "fail": Kind(Moment.FATE, r"[\w.]*(,\d+)?", "FAILED with CODE,CREDITS (billed in full)"),
        "cancelled": Kind(Moment.FATE, _NONE, "CANCELLED by somebody else, refunded"),
        "stuck": Kind(Moment.FATE, rf"({_SECONDS})?", "THROTTLED for SECONDS, or for ever"),
        "lost": Kind(Moment.FATE, _POLLS, "404 for the first N polls, or for all"),
        "odd": Kind(Moment.FATE, r"\w+(,\d+)?", "status WORD for the first N polls, or for all"),
        "hollow": Kind(Moment.FATE, _POLLS, "SUCCEEDED without output for N polls, or for all"),
        "many": Kind(Moment.FATE, r"[1-9]\d?", "SUCCEEDED with N outputs"),
        "price": Kind(Moment.FATE, r"\d+(\.\d+)?", "costs FACTOR times the price"),
        "after": Kind(Moment.AFTER, r"[45]\d\d", "done, but answered with this STATUS"),
        "drop": Kind(Moment.AFTER, _NONE, "done, the connection closes without an answer"),
        "reset": Kind(Moment.AFTER, _NONE, "done, the connection is reset without an answer"),
        "cut": Kind(Moment.AFTER, r"(unsized)?", "half of the body, then the connection closes"),
        "short": Kind(Moment.AFTER, _NONE, "half of the body, declared as if it were all"),
        "slow": Kind(Moment.AFTER, _SECONDS, "the answer comes SECONDS late"),
        "drip": Kind(Moment.AFTER, _SECONDS, "the body trickles over SECONDS"),
        "html": Kind(Moment.AFTER, _NONE, "200 and a web page"),
        "empty": Kind(Moment.AFTER, _NONE, "200 and no byte"),
        "other": Kind(Moment.AFTER, _NONE, "another file: a GIF"),
        "playlist": Kind(Moment.AFTER, r"(http://\S+)?", "another file: a playlist naming URL"),
        "flip": Kind(Moment.AFTER, r"(\d+)?", "N flipped bits (200), the length unchanged"),
    }
)
_STATUS = Kind(Moment.BEFORE, _ANY, "this status; :TEXT is Retry-After, or Location of a 3xx")

_FAULT = re.compile(
    r"(?P<method>[A-Z]+|\*) +(?P<path>/[^@#%=\s]*)"
    r"(?:@(?P<model>[\w.]+))?"
    r"(?:#(?P<first>[1-9]\d{0,8})(?P<range>\+|-(?P<last>\d{1,9}))?|%(?P<chance>\d*\.?\d+))?"
    r"=(?P<kind>[a-z]+|[345]\d\d)(?::(?P<argument>\S.*))?"
)


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: which requests it matches, which of those it hits, and how."""

    method: str
    path: str
    kind: str
    argument: str = ""
    model: str = ""
    first: int = 1
    last: int | None = None
    chance: float = 1.0

    @property
    def moment(self) -> Moment:
        """When it acts."""
        return KINDS.get(self.kind, _STATUS).moment

    def matches(self, method: str, path: str, model: str) -> bool:
        """Whether a request is of the sort this fault is about."""
        return (
            self.method in ("*", method)
            and fnmatchcase(path, self.path)
            and self.model in ("", model)
        )

    def __str__(self) -> str:
        model = f"@{self.model}" if self.model else ""
        argument = f":{self.argument}" if self.argument else ""
        return f"{self.method} {self.path}{model}{self._which()}={self.kind}{argument}"

    def _which(self) -> str:
        if self.chance < 1:
            return f"%{self.chance:f}".rstrip("0")
        if self.last is None:
            return "" if self.first == 1 else f"#{self.first}+"
        return f"#{self.first}" if self.first == self.last else f"#{self.first}-{self.last}"


def parse_fault(text: str) -> Fault:
    """Read one fault; UsageError with a sentence where it is not one."""
    found = _FAULT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"`{text}` is not a fault. Write it like `POST /v1/image_to_video#2=drop`: "
            "METHOD PATH, then @MODEL, #WHICH or %CHANCE where wanted, then =KIND. "
            f"Kinds: a status such as 503, {', '.join(KINDS)}."
        )
    fault = Fault(
        method=found["method"],
        path=found["path"],
        kind=found["kind"],
        argument=found["argument"] or "",
        model=found["model"] or "",
        first=int(found["first"] or 1),
        last=_last(found),
        chance=float(found["chance"] or 1),
    )
    _vet(fault, text)
    return fault


def _last(found: re.Match[str]) -> int | None:
    if found["first"] is None or found["range"] == "+":
        return None
    return int(found["last"] or found["first"])


def _vet(fault: Fault, text: str) -> None:
    if fault.kind not in KINDS and not fault.kind.isdigit():
        raise UsageError(
            f"`{text}`: there is no fault `{fault.kind}`. "
            f"Kinds: a status such as 503, {', '.join(KINDS)}."
        )
    kind = KINDS.get(fault.kind, _STATUS)
    if re.fullmatch(kind.argument, fault.argument) is None:
        raise UsageError(
            f"`{text}`: `{fault.kind}` does not take `{fault.argument}`. It means: {kind.does}."
        )
    if fault.last is not None and fault.last < fault.first:
        raise UsageError(f"`{text}`: the range ends before it begins.")
    if not 0 < fault.chance <= 1:
        raise UsageError(f"`{text}`: a chance lies above 0 and up to 1.")


class Plan:
    """The faults still to come; counts requests for each, so that `#2` is the second."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._seed = seed
        self._armed: list[_Armed] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Arm one more fault; it counts requests from now on."""
        self._armed.append(_Armed(fault, random.Random(f"{self._seed}/{len(self._armed)}")))  # noqa: S311  repeatable on purpose

    def clear(self) -> None:
        """Disarm every fault."""
        self._armed.clear()

    def faults(self) -> tuple[Fault, ...]:
        """Return the armed faults, in order."""
        return tuple(armed.fault for armed in self._armed)

    def strike(self, method: str, path: str, model: str = "") -> tuple[Fault, ...]:
        """Count one request and return the faults that hit it, in the order they were armed."""
        return tuple(
            armed.fault
            for armed in self._armed
            if armed.fault.matches(method, path, model) and armed.fires()
        )


@dataclass
class _Armed:
    fault: Fault
    dice: random.Random
    count: int = 0

    def fires(self) -> bool:
        self.count += 1
        if self.fault.chance < 1:
            return self.dice.random() < self.fault.chance
        last = self.fault.last
        return self.fault.first <= self.count and (last is None or self.count <= last)
