"""The schedule of a shot list as Prefect keeps it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.shotlist.office import seconds

if TYPE_CHECKING:
    from secondunit.shotlist.office import ScheduleSpec

from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

Clock = CronSchedule | IntervalSchedule | RRuleSchedule
# `every` counts from this midnight unless it says otherwise, so that making a deployment anew does
# not move its runs.
EPOCH = datetime(2024, 1, 1)  # noqa: DTZ001  local time in the schedule's own zone; a Monday
STEPS = ((86_400, "DAILY"), (3_600, "HOURLY"), (60, "MINUTELY"), (1, "SECONDLY"))


def clock(schedule: ScheduleSpec) -> Clock:
    """Return the times of a schedule in Prefect's terms."""
    if schedule.cron is not None:
        return CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    if schedule.rrule is not None:
        return RRuleSchedule(rrule=schedule.rrule, timezone=schedule.timezone)
    zone = ZoneInfo(schedule.timezone)
    span = seconds(schedule.every or "") or 0
    if schedule.starts is not None:
        return RRuleSchedule(rrule=_from(schedule.starts, span, zone), timezone=schedule.timezone)
    return IntervalSchedule(
        interval=timedelta(seconds=span),
        anchor_date=EPOCH.replace(tzinfo=zone),
        timezone=schedule.timezone,
    )


def _from(starts: str, span: int, zone: ZoneInfo) -> str:
    """Write a recurrence rule; Prefect's own intervals also run before what they count from."""
    begin = datetime.fromisoformat(starts)
    local = begin.astimezone(zone) if begin.tzinfo else begin
    step, word = next((size, word) for size, word in STEPS if span % size == 0)
    return f"DTSTART:{local:%Y%m%dT%H%M%S}\nRRULE:FREQ={word};INTERVAL={span // step}"
