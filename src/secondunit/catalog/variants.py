"""One model on one endpoint: what it takes, in which shapes and lengths, and what it costs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHAPE = re.compile(r"(\d+):(\d+)")
_WORD = 64  # neither side of a shape given in words (21:9) is larger; every side in pixels is
_TOLERANCE = 0.03  # 1584:672 stands for 21:9 and is 1 % off; the nearest wrong shape is 6 % off
_TARGET = 1280 * 720


@dataclass(frozen=True)
class Durations:
    """The lengths a model makes, in whole seconds: a range, or a few choices.

    `auto` lets the model choose; `default` is what it makes when the body says nothing, or None
    where that is not published.
    """

    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[int, ...] = ()
    auto: bool = False
    default: int | None = None

    def allows(self, seconds: int) -> bool:
        """Tell whether a clip of so many whole seconds can be ordered."""
        if self.choices:
            return seconds in self.choices
        return (self.minimum or 0) <= seconds <= self.longest

    @property
    def longest(self) -> int:
        """The greatest length that can be ordered, in seconds."""
        return max(self.choices) if self.choices else self.maximum or 0

    def __str__(self) -> str:
        if not self.choices:
            return f"{self.minimum} to {self.maximum}"
        return spoken([str(seconds) for seconds in self.choices])


@dataclass(frozen=True)
class Price:
    """Credits for an order whose body has, for each field of `when`, one of the named values.

    `per_source_second` counts the video that is put in, `per_picture` every picture that is sent.
    """

    when: Mapping[str, tuple[object, ...]] = field(default_factory=dict, hash=False)
    per_call: int = 0
    per_second: int = 0
    per_source_second: int = 0
    per_picture: int = 0
    minimum: int = 0

    def fits(self, body: Mapping[str, object]) -> bool:
        """Tell whether the body meets every condition of this price."""
        return all(body.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True)
class Variant:
    """One model on one endpoint at one family of gateways.

    Fields have their names on the wire. `ratios` are the values of `ratio`, in pixels (`1280:720`)
    or, with some partners, in words; empty where the field does not exist or is free. Lengths are
    in seconds, `prompt_limit` in UTF-16 code units, `aspect` is width / height of the picture or
    source. `min_pictures` and `max_pictures` bound `referenceImages`, `references` or `keyframes`;
    `frames` and `loose` bound `promptImage` as a list: positions, and pictures without one. Of a
    source, `source_used` seconds from its beginning are used; None means all of it.
    """

    model: str
    endpoint: str
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    ratios: tuple[str, ...] = ()
    durations: Durations | None = None
    prompt_limit: int | None = None
    min_pictures: int = 0
    max_pictures: int = 0
    frames: tuple[str, ...] = ()
    loose: int = 0
    aspect: tuple[float, float] | None = None
    source_seconds: tuple[float, float] | None = None
    source_fps: float | None = None
    source_used: float | None = None
    seed_limit: int | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)
    needs: Mapping[str, str] = field(default_factory=dict, hash=False)
    shapes: Mapping[str, str] = field(default_factory=dict, hash=False)
    prices: tuple[Price, ...] = ()
    surcharges: tuple[Price, ...] = ()

    def takes(self, name: str) -> bool:
        """Tell whether the body may have this field."""
        return name in self.required or name in self.optional

    def pixels(self, ratio: str) -> str | None:
        """Return this model's own value for a shape in words or pixels; None if it has none.

        A value on offer stands for itself. Words find the nearest shape within 3 %, and among
        equals the size nearest to that of 1280:720. Pixels that are not on offer are not replaced
        by other pixels; a model that only knows words takes the word for them.
        """
        if ratio in self.ratios:
            return ratio
        wanted = _sides(ratio)
        if wanted is None:
            return None
        aspect = wanted[0] / wanted[1]
        return min(
            (name for name in self.ratios if self._stands_for(name, wanted)),
            key=lambda name: (_distance(name, aspect), _offset(name)),
            default=None,
        )

    def _stands_for(self, name: str, wanted: tuple[int, int]) -> bool:
        sides = _sides(name)
        if sides is None or (max(wanted) > _WORD and max(sides) > _WORD):
            return False
        return _distance(name, wanted[0] / wanted[1]) <= _TOLERANCE

    def credits(self, body: Mapping[str, object], seconds: float | None = None) -> int | None:
        """Return the most credits an order may cost; None where no price is published.

        `seconds` is the length of the source or performance; without it the longest one that the
        model takes is assumed, as the longest clip is where a length is left to the gateway.
        Seconds are rounded up.
        """
        price = next((price for price in self.prices if price.fits(body)), None)
        if price is None:
            return None
        length = self._length(body, seconds)
        total = (
            price.per_call
            + price.per_second * length
            + price.per_source_second * self._footage(body, seconds)
            + price.per_picture * _pictures(body)
        )
        extra = sum(more.per_second for more in self.surcharges if more.fits(body))
        return max(price.minimum, total) + extra * length

    def _length(self, body: Mapping[str, object], seconds: float | None) -> int:
        if self.durations is None:
            return self._source(seconds)
        asked = body.get("duration", self.durations.default)
        if "draftTaskId" in body:  # as long as the draft was, and nothing says how long
            return self.durations.longest
        if isinstance(asked, int | float) and math.isfinite(asked):
            return math.ceil(asked)
        return self.durations.longest

    def _footage(self, body: Mapping[str, object], seconds: float | None) -> int:
        if body.get("referenceVideos") or "draftTaskId" in body:
            return self._source(None)
        return self._source(seconds) if body.get("promptVideo") else 0

    def _source(self, seconds: float | None) -> int:
        longest = self.source_seconds[1] if self.source_seconds else 0.0
        return math.ceil(longest if seconds is None else seconds)


def spoken(words: Sequence[str]) -> str:
    """Join words as a person lists them: `4, 6 or 8`."""
    if len(words) < 2:
        return words[0] if words else "nothing"
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _sides(ratio: str) -> tuple[int, int] | None:
    found = _SHAPE.fullmatch(ratio)
    if not found or not int(found[1]) or not int(found[2]):
        return None
    return int(found[1]), int(found[2])


def _distance(name: str, aspect: float) -> float:
    width, height = _sides(name) or (1, 1)
    return abs(width / height / aspect - 1)


def _offset(name: str) -> int:
    width, height = _sides(name) or (1, 1)
    return abs(width * height - _TARGET)


def _pictures(body: Mapping[str, object]) -> int:
    given = (body.get(name) for name in ("promptImage", "references", "referenceImages"))
    return sum(len(value) if isinstance(value, list | tuple) else bool(value) for value in given)
