"""Compiles a shot list into a plan: dependency order, routes, prices, the cut; no network, no clock."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from secondunit import catalog as catalogue
from secondunit.assets import LINK, Library
from secondunit.cut import Profile, Trim
from secondunit.document import suggest
from secondunit.errors import SpecError, UsageError
from secondunit.orders import OrderDesk, Unroutable
from secondunit.plan import CutEntry, Plan
from secondunit.routes import Router

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from secondunit.catalog import Catalog
    from secondunit.errors import Problem
    from secondunit.plan import Step
    from secondunit.shotlist import Shot, ShotList

DEFAULT_GATEWAY = "backlot"
DEFAULT_QUALITY = "final"
PRICES_AGE = 120  # days after which the price table is called old
# Width and height of the film for a ratio in words: what Gen-4 makes of it.
FILM_SIZES = {
    "16:9": (1280, 720), "9:16": (720, 1280), "1:1": (960, 960),
    "4:3": (1104, 832), "3:4": (832, 1104), "21:9": (1584, 672),
}  # fmt: skip
# The models that the built-in qualities use, by family of gateways.
QUALITIES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "runway": {
        "draft": {"still": "gen4_image_turbo", "video": "gen4_turbo", "edit": "aleph2"},
        "final": {"still": "gen4_image", "video": "gen4.5", "edit": "aleph2"},
    },
    "cometapi": {
        "draft": {"still": "gen4_image", "video": "gen4_turbo", "edit": "gen4_aleph"},
        "final": {"still": "gen4_image", "video": "gen4_turbo", "edit": "gen4_aleph"},
    },
}


@dataclass(frozen=True)
class Choices:
    """What the command line may say of a plan; None leaves it to the shot list."""

    gateway: str | None = None
    quality: str | None = None
    roots: Sequence[Path] = ()
    today: date | None = None


def compile_plan(shotlist: ShotList, choices: Choices | None = None) -> Plan:
    """Return everything that `shotlist` asks for.

    Raises SpecError with every problem of the shot list, its own included, in line order.
    """
    return _Planner(shotlist, choices or Choices()).plan()


class _Planner:
    def __init__(self, shotlist: ShotList, choices: Choices) -> None:
        self.shotlist = shotlist
        self.problems: list[Problem] = list(shotlist.problems)
        self.catalog: Catalog = catalogue.load()
        self.gateway = choices.gateway or shotlist.gateway or DEFAULT_GATEWAY
        self.quality = choices.quality or shotlist.quality or DEFAULT_QUALITY
        self.today = choices.today
        library = Library(shotlist.document.folder, choices.roots)
        self.desk = OrderDesk(shotlist, self.catalog, self.gateway, self._models(choices))
        self.router = Router(self.desk, library)

    def plan(self) -> Plan:
        ordered = self._in_order()
        steps: dict[str, Step] = {}
        for shot in ordered:
            if shot.broken:
                continue
            try:
                for step in self.router.route(shot):
                    steps.setdefault(step.key, step)
            except Unroutable:
                continue
        self._check_lost_comments()
        self._check_prices_age()
        self.problems += self.desk.problems
        profile = self._profile()
        if self.problems or profile is None:
            raise SpecError(dict.fromkeys(self.problems))
        return Plan(
            title=self.shotlist.title, name=self.shotlist.name,
            file=self.shotlist.document.file, folder=str(self.shotlist.document.folder),
            slate=self.shotlist.slate, gateway=self.gateway,
            free=self.catalog.gateways[self.gateway].free, quality=self.quality,
            profile=profile, steps=tuple(steps.values()), cut=self._cut(),
            remarks=tuple(sorted(dict.fromkeys(self.desk.doubts))),
            cap=self.shotlist.cap, per_shot=self.shotlist.per_shot,
        )  # fmt: skip

    def _complain(self, where: tuple[str | int, ...], message: str) -> None:
        self.problems.append(self.shotlist.document.problem(where, message))

    def _models(self, choices: Choices) -> Mapping[str, str]:
        built_in = QUALITIES[self.catalog.gateways[self.gateway].family]
        known = [*built_in, *(p for p in self.shotlist.profiles if p not in built_in)]
        if self.quality not in known:
            guess = suggest(self.quality, known)
            hint = f"Did you mean `{guess}`?" if guess else f"There are {', '.join(known)}."
            message = f"there is no quality called `{self.quality}`. {hint}"
            if choices.quality:
                raise UsageError(f"--quality: {message} Nothing was ordered.")
            self._complain(("quality",), message)
        models = dict(built_in.get(self.quality, built_in[DEFAULT_QUALITY]))
        own = self.shotlist.profiles.get(self.quality)
        return models | (own.model_dump(exclude_none=True) if own else {})

    def _in_order(self) -> list[Shot]:
        """Return the shots so that each comes after those it depends on; name every cycle."""
        by_name = {shot.id: shot for shot in self.shotlist.shots}
        ordered: dict[str, Shot] = {}
        for first in self.shotlist.shots:
            path: dict[str, None] = {}
            todo = [first.id]
            while todo:
                name = todo[-1]
                waiting = [] if name in ordered else [
                    up for up in _upstream(by_name[name], by_name) if up not in ordered
                ]  # fmt: skip
                if not waiting:
                    ordered.setdefault(name, by_name[name])
                    path.pop(name, None)
                    todo.pop()
                    continue
                path[name] = None
                if waiting[0] in path:
                    self._report_cycle(by_name, [*path], waiting[0])
                    return []
                todo.append(waiting[0])
        return list(ordered.values())

    def _report_cycle(self, by_name: Mapping[str, Shot], path: list[str], back_to: str) -> None:
        ring = [*path[path.index(back_to) :], back_to]
        shot = by_name[path[-1]]
        field = next(f for f in ("continues", "source", "first_frame") if f in shot.origins)
        self._complain(
            shot.at(field),
            f"these shots wait for each other: {' → '.join(ring)}. Let one of them begin on its own.",
        )

    def _profile(self) -> Profile | None:
        ratio = self.shotlist.ratio
        size = FILM_SIZES.get(ratio)
        if size is None:
            width, _, height = ratio.partition(":")
            size = int(width), int(height)
        if not 16 <= min(size) <= max(size) <= 4096 or size[0] % 2 or size[1] % 2:
            self._complain(
                ("ratio",),
                f"a film of {size[0]}×{size[1]} pixels cannot be made. Width"
                " and height have to be even, from 16 to 4096.",
            )
            return None
        return Profile(*size, fps=self.shotlist.fps)

    def _cut(self) -> tuple[CutEntry, ...]:
        kept = [shot for shot in self.shotlist.shots if not shot.spec.omit]
        return tuple(CutEntry(shot.id, self.router.made[shot.id].key, _trim(shot)) for shot in kept)

    def _check_lost_comments(self) -> None:
        document = self.shotlist.document
        for shot in self.shotlist.shots:
            where = shot.at("prompt")
            lost = document.lost_comment(where) if shot.spec.prompt else None
            if lost:
                self.desk.remark(
                    where,
                    "lost-comment",
                    f"{lost[:40]!r} is a comment to YAML and is"
                    " not part of the prompt. If it should be, put the prompt in quotes.",
                )

    def _check_prices_age(self) -> None:
        if self.today and (self.today - self.catalog.date).days > PRICES_AGE:
            self.desk.remark(
                (),
                "old-prices",
                f"the price table is of {self.catalog.date}. What the"
                " gateway answers decides; update Second Unit.",
            )


def _upstream(shot: Shot, known: Mapping[str, Shot]) -> list[str]:
    """Return the shots that `shot` is made from, as far as they exist."""
    spec = shot.spec
    frame = spec.first_frame.from_ if spec.first_frame else None
    source = spec.source if spec.source and not LINK.match(spec.source) else None
    names = (spec.continues, source, frame.rpartition(".")[0] if frame else None)
    return [name for name in names if name is not None and name in known]


def _trim(shot: Shot) -> Trim:
    trim = shot.spec.trim
    if trim is None:
        return Trim()
    end = None if trim.out is None else Fraction(trim.out).limit_denominator(100_000)
    return Trim(Fraction(trim.in_).limit_denominator(100_000), end)


def select(plan: Plan, selection: str) -> frozenset[str]:
    """Return the keys that `--only` means, and all they need.

    `selection` holds names of shots, separated by commas; `*` and `?` stand for any characters,
    and `a..b` for all from a to b in film order. Raises UsageError where a part names no shot.
    """
    names = [entry.shot for entry in plan.cut]
    chosen = [name for part in selection.split(",") for name in _matching(part.strip(), names)]
    wanted = {entry.key for entry in plan.cut if entry.shot in chosen}
    for step in reversed(plan.steps):
        if step.key in wanted:
            wanted.update(step.needs)
    return frozenset(wanted)


def _matching(part: str, names: Sequence[str]) -> Iterable[str]:
    first, dots, last = (piece.strip() for piece in part.partition(".."))
    if dots and first in names and last in names:
        return names[names.index(first) : names.index(last) + 1]
    found = [name for name in names if fnmatch.fnmatchcase(name, part)]
    if not found:
        guess = suggest(part, names)
        hint = f" Did you mean `{guess}`?" if guess else f" The shots are {', '.join(names)}."
        raise UsageError(f"--only: no shot is called `{part}`.{hint} Nothing was ordered.")
    return found
