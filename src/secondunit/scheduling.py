"""Which shot lists of a folder are shot by themselves, and when; nothing here knows of Prefect."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from secondunit import shotlist
from secondunit.crew import compiled
from secondunit.errors import SecondUnitError, SpecError, UsageError
from secondunit.plan import dollars
from secondunit.plan.planner import select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secondunit.plan import Plan
    from secondunit.shotlist import ShotList
    from secondunit.shotlist.office import ScheduleSpec

ENDINGS = {".yaml", ".yml"}
# What a shot list has and other YAML files have not, be it written as JSON.
SHOTS = re.compile(rb"""^(?:\{.*)?["']?(?:shots|scenes)["']?[ \t]*:""", re.MULTILINE)
SEEN = 2_000_000  # bytes that are looked through for it


@dataclass(frozen=True)
class Office:
    """A folder of shot lists, as a Prefect server knows it: by `name`, or else by where it lies.

    Whoever deploys under a name, from whatever machine, means the same deployments. `on_workers`
    is where the folder lies on the machines that shoot, if elsewhere.
    """

    folder: Path
    name: str = ""
    on_workers: str = ""

    @property
    def identity(self) -> str:
        """What tells this office from every other one on a server."""
        return self.name or f"{gethostname()}:{self.folder.resolve()}"

    def there(self, file: str) -> str:
        """Return the whole path of a shot list where runs find it."""
        root = Path(self.on_workers) if self.on_workers else self.folder.resolve()
        return str(root / file)


@dataclass(frozen=True)
class Booking:
    """A shot list that is shot by itself. `file` is its path within the office."""

    file: str
    title: str
    schedule: ScheduleSpec
    plan: Plan
    digest: str

    @property
    def most(self) -> str:
        """What one run may cost, in words."""
        plan = self.plan
        if plan.free:
            return "free"
        cost = sum(step.credits or 0 for step in plan.steps)
        caps = [cost, plan.cap if plan.cap is not None else cost, self.budget or cost]
        return f"at most ${dollars(min(caps))} a run"

    @property
    def budget(self) -> int | None:
        """The most that one run may spend by its schedule, in credits."""
        from secondunit.shotlist.spec import money

        given = self.schedule.budget
        return None if given is None else money(given)

    @property
    def when(self) -> str:
        """The times of its runs, in words."""
        schedule = self.schedule
        zone = f" {schedule.timezone}"
        if schedule.cron is not None:
            return schedule.cron + zone
        if schedule.every is not None:
            start = f" from {schedule.starts}" if schedule.starts else ""
            return f"every {schedule.every}{start}{zone}"
        return f"{schedule.rrule}{zone}"


@dataclass(frozen=True)
class Spoiled:
    """A shot list that is wrong: whatever was scheduled of it rests until it is put right."""

    file: str
    error: SecondUnitError


@dataclass(frozen=True)
class Board:
    """What an office has: what is scheduled, what is wrong, and how many shot lists are neither."""

    bookings: tuple[Booking, ...] = ()
    spoiled: tuple[Spoiled, ...] = ()
    others: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is no shot list at all, as on a disk that is not mounted."""
        return not (self.bookings or self.spoiled or self.others)


def office(folder: str, name: str = "", on_workers: str = "") -> Office:
    """Return the office in `folder`. Raises UsageError where there is none."""
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise UsageError(f"{folder} is no folder. Nothing was changed.")
    if on_workers and not on_workers.startswith("/"):
        raise UsageError("--path-on-workers: write the whole path. Nothing was changed.")
    return Office(path, name, on_workers)


def look(place: Office) -> Board:
    """Read every shot list of an office, in subfolders too."""
    bookings: list[Booking] = []
    spoiled: list[Spoiled] = []
    others = 0
    for path in _shot_lists(place.folder):
        file = path.relative_to(place.folder).as_posix()
        try:
            booking = _booking(path, file)
        except SecondUnitError as error:
            spoiled.append(Spoiled(file, error))
        else:
            others += booking is None
            bookings += [booking] if booking else []
    return Board(tuple(bookings), tuple(spoiled), others)


def stamp(place: Office) -> frozenset[tuple[str, int, int]]:
    """Return what changes when a shot list is added, changed or removed: names, times and sizes."""
    found = set()
    for path in _yaml(place.folder):
        try:
            facts = path.stat()
        except OSError:
            continue
        found.add((str(path), facts.st_mtime_ns, facts.st_size))
    return frozenset(found)


def _booking(path: Path, file: str) -> Booking | None:
    read = shotlist.read(path)
    schedule = read.schedule
    if schedule is None:
        if read.problems:  # one of them may be the schedule
            raise SpecError(read.problems)
        return None
    plan = compiled(str(path), schedule.gateway, _quality(read))
    if schedule.only is not None:
        _see_selection(read, plan, schedule.only)
    return Booking(file, plan.title, schedule, plan, read.document.sha256)


def _quality(read: ShotList) -> str | None:
    """Return the schedule's quality; a wrong one is a problem of the file, not of the command."""
    quality = read.schedule.quality if read.schedule else None
    if quality and quality not in {"draft", "final", *read.profiles}:
        message = f"there is no quality called `{quality}`."
        raise SpecError([read.document.problem(("schedule", "quality"), message)])
    return quality


def _see_selection(read: ShotList, plan: Plan, only: str) -> None:
    try:
        select(plan, only)
    except UsageError as error:
        message = str(error).removeprefix("--only: ").removesuffix(" Nothing was ordered.")
        raise SpecError([read.document.problem(("schedule", "only"), message)]) from None


def _shot_lists(folder: Path) -> Iterator[Path]:
    for path in _yaml(folder):
        try:
            with path.open("rb") as file:
                begins = file.read(SEEN)
        except OSError:  # why it cannot be read is told by the one that reads it
            yield path
        else:
            if SHOTS.search(begins):
                yield path


def _yaml(folder: Path) -> Iterator[Path]:
    """Yield the YAML files of a folder in order; what is hidden stays so."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix in ENDINGS and not name.startswith("."):
                yield Path(root, name)
