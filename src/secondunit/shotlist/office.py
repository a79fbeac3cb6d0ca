"""What surrounds the shoot, as models: when it is done by itself, who judges it, who is told."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from secondunit.shotlist.spec import Amount, Line, Spec, fail

SPAN = re.compile(r"(?:(\d{1,4})w)?(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")
UNITS = (604_800, 86_400, 3_600, 60, 1)
LEAST = 60
"""Seconds between two runs of a schedule, at least; one that is quicker is a slip of the pen."""

LONGEST = 366 * 86_400
Happening = Literal[
    "shot finished",
    "held",
    "in doubt",
    "over budget",
    "review wanted",
    "film failed",
    "film finished",
]
QUIET: tuple[Happening, ...] = (
    "held", "in doubt", "over budget", "review wanted", "film failed", "film finished",
)  # fmt: skip


def seconds(text: str) -> int | None:
    """Return the seconds of a span such as `90m`, `2h`, `1d12h`; None if it is not one."""
    match = SPAN.fullmatch(text.replace(" ", ""))
    if not match or not any(match.groups()):
        return None
    return sum(int(n or 0) * unit for n, unit in zip(match.groups(), UNITS, strict=True))


def _span(value: str) -> str:
    found = seconds(value)
    if found is None or not LEAST <= found <= LONGEST:
        raise fail("span", f"{value[:40]!r} is not a time from 1m to 366d. Write 90m, 2h or 1d12h.")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError):
        raise fail(
            "zone", f"{value[:60]!r} is not a time zone. Write one such as Europe/Berlin or UTC."
        ) from None
    return value


def _cron(value: str) -> str:
    from cronsim import CronSim, CronSimError

    wrong = "" if len(value.split()) == 5 else "it has not five fields"
    try:
        next(CronSim(value, datetime(2026, 1, 1)))  # noqa: DTZ001  the pattern alone is looked at
    except CronSimError as error:
        wrong = wrong or str(error)
    except StopIteration:
        wrong = "it never comes round"
    if wrong:
        raise fail(
            "cron",
            f"{value[:60]!r} is not a schedule ({wrong}). Write five fields: minute, hour, day,"
            ' month, weekday; "0 6 * * 1-5" is six on weekdays.',
        )
    return value


def _rrule(value: str) -> str:
    from dateutil.rrule import rrulestr

    wrong = "once a minute is the most" if "SECONDLY" in value.upper() else ""
    try:
        rrulestr(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wrong = str(error)[:60]
    if wrong:
        raise fail(
            "rrule",
            f"{value[:60]!r} is not a recurrence rule ({wrong}). One such as"
            " FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=6 is.",
        )
    return value


def _day(value: Any) -> Any:
    """Take a date as YAML 1.2 gives it, a text, and as other readers do."""
    if isinstance(value, date):
        return value.isoformat()
    return value


def _moment(value: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise fail(
            "date", f"{value[:40]!r} is not a date. Write 2026-12-01 or 2026-12-01T06:00."
        ) from None
    return value


_SPAN = {"type": "string", "description": "A time such as 90m, 2h or 1d12h"}
Span = Annotated[str, AfterValidator(_span), WithJsonSchema(_SPAN)]


class ScheduleSpec(Spec):
    """When the film is shot by itself: one of `cron`, `every` or `rrule`; a bare text is `cron`.

    `budget` is the most that one run may spend. `catch_up` says what becomes of runs that are late
    because nothing was there to begin them.
    """

    text_means: ClassVar[str] = "cron"
    cron: Annotated[Line, AfterValidator(_cron)] | None = None
    every: Span | None = None
    rrule: Annotated[Line, AfterValidator(_rrule)] | None = None
    starts: (
        Annotated[
            Line,
            BeforeValidator(_day),
            AfterValidator(_moment),
            Field(description="The day or moment from which `every` counts"),
        ]
        | None
    ) = None
    timezone: Annotated[Line, AfterValidator(_zone)] = "UTC"
    gateway: Literal["backlot", "runway", "cometapi"] | None = None
    quality: Line | None = None
    only: Line | None = None
    budget: Amount | None = None
    catch_up: Literal["latest", "skip", "all"] = "latest"
    paused: bool = False

    @model_validator(mode="after")
    def _one_clock(self) -> ScheduleSpec:
        given = [n for n in ("cron", "every", "rrule") if getattr(self, n) is not None]
        if len(given) != 1:
            raise fail("schedule", "a schedule has one of `cron`, `every` or `rrule`.")
        if self.starts is not None and self.every is None:
            raise fail("schedule", "`starts` goes with `every`; the others name their own times.")
        return self


class ReviewSpec(Spec):
    """What a person judges before the shoot goes on; the run waits for it and costs nothing.

    `stills`: before the shots that begin with them are ordered; `draft`: a film in quality `draft`
    before this one. `within` is how long a run waits.
    """

    stills: Literal["required", "skip"] = "skip"
    draft: Literal["required", "skip"] = "skip"
    within: Span = "30d"


class NoticeSpec(Spec):
    """Who is told what: `to` is a mail address, or a name from the user's settings (`[notify]`)."""

    text_means: ClassVar[str] = "to"
    to: Line
    on: Annotated[list[Happening], Field(min_length=1)] | None = None

    @property
    def told(self) -> tuple[Happening, ...]:
        """What is told: what was asked for, or else all but each single shot."""
        return tuple(self.on) if self.on else QUIET
