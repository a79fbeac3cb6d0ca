"""Compiles a shot list into a plan: dependency order, routes, prices, the cut; no network, no clock."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from secondunit import catalog as catalogue
from secondunit.cut import Profile
from secondunit.document import suggest
from secondunit.errors import SpecError, UsageError
from secondunit.plan import Plan
from secondunit.plan.assets import Library
from secondunit.plan.cutting import CuttingDesk
from secondunit.plan.finishing import FinishingDesk
from secondunit.plan.orders import OrderDesk, Unroutable, pixels
from secondunit.plan.routes import Router, openings, waits_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from secondunit.catalog import Catalog
    from secondunit.document import Where
    from secondunit.errors import Problem
    from secondunit.plan import Step
    from secondunit.shotlist import Shot, ShotList

DEFAULT_GATEWAY = "backlot"
DEFAULT_QUALITY = "final"
WRITTEN = ("prompt", "title", "lower_third", "dialogue")  # texts that YAML may cut short
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
class Circled:
    """The take of a shot that a review approved: its number, and the seed that it was judged with.

    It is `chosen` where somebody circled it, and not where it merely was in the film.
    """

    take: int
    seed: int | None
    chosen: bool = True


@dataclass(frozen=True)
class Choices:
    """What the user may say of a plan beside the shot list; None leaves it to the shot list.

    `prices` are credits for one call, by gateway and model (`cometapi.gen4_aleph`); they win over
    the catalogue's. `circled` are takes that a review chose, by shot; the shot list's own word wins.
    """

    gateway: str | None = None
    quality: str | None = None
    roots: Sequence[Path] = ()
    today: date | None = None
    prices: Mapping[str, int] = field(default_factory=dict)
    circled: Mapping[str, Circled] = field(default_factory=dict)


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
        self.circled = choices.circled
        profile = self.shotlist.profiles.get(self.quality)
        self.takes = (profile and profile.takes) or 1
        library = Library(shotlist.document.folder, choices.roots)
        models = self._models(choices)
        self.desk = OrderDesk(shotlist, self.catalog, self.gateway, models, choices.prices)
        self.router = Router(self.desk, library)
        self.finishing = FinishingDesk(self.desk, library)
        self.stuck: set[str] = set()

    def plan(self) -> Plan:
        steps: dict[str, Step] = {}
        for shot in self._in_order():
            try:
                for step in self._routed(shot):
                    steps.setdefault(step.key, step)
            except Unroutable:
                self.router.look_over(shot)
        self._check_lost_comments()
        self._check_prices_age()
        self._check_schedule()
        profile = self._profile()
        cut = CuttingDesk(self.desk).entries(self.router.made)
        look, mix = self.finishing.look(), self.finishing.mix()
        deliverables = self.finishing.deliverables(profile, look) if profile else ()
        self.problems += self.desk.problems
        remarks = tuple(sorted(dict.fromkeys(self.desk.doubts)))
        if self.problems or profile is None:
            raise SpecError(dict.fromkeys(self.problems), remarks)
        return Plan(
            title=self.shotlist.title, name=self.shotlist.name,
            file=self.shotlist.document.file, folder=str(self.shotlist.document.folder),
            slate=self.shotlist.slate, gateway=self.gateway,
            free=self.catalog.gateways[self.gateway].free, quality=self.quality,
            profile=profile, steps=tuple(steps.values()), cut=cut, look=look, mix=mix,
            deliverables=deliverables, remarks=remarks,
            cap=self.shotlist.cap, per_shot=self.shotlist.per_shot,
            review=self.shotlist.review, notices=self.shotlist.notices,
        )  # fmt: skip

    def _complain(self, where: tuple[str | int, ...], message: str) -> None:
        self.problems.append(self.shotlist.document.problem(where, message))

    def _check_schedule(self) -> None:
        """See that what shoots by itself has a cap where it costs money: nobody is there to ask."""
        schedule = self.shotlist.schedule
        if schedule is None or schedule.budget is not None or self.shotlist.cap is not None:
            return
        gateway = schedule.gateway or self.shotlist.gateway or DEFAULT_GATEWAY
        if not self.catalog.gateways[gateway].free:
            self._complain(
                ("schedule",),
                f"nobody is asked before a scheduled run, and {gateway} costs money. Add `budget`"
                " to the schedule, or `budget: {cap: …}` to the shot list.",
            )

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
        return models | (own.model_dump(exclude_none=True, exclude={"takes"}) if own else {})

    def _routed(self, shot: Shot) -> list[Step]:
        """Return the steps of a shot, the take that goes into the film last. Raises Unroutable."""
        if shot.broken or shot.id in self.stuck:
            raise Unroutable
        wanted = self._takes(shot)
        steps = [step for take in wanted for step in self.router.route(take)]
        takes = [step for step in steps if step.take]
        if len(takes) > len({step.key for step in takes}):
            raise self.desk.fail(
                shot.at("takes"),
                f"{takes[0].model} takes no seed, so all takes of {shot.id} would be the same order."
                " Write `takes: 1` in the shot.",
            )
        return steps

    def _takes(self, shot: Shot) -> list[Shot]:
        """Return a shot once for each take that is wanted: the circled one, or all of them.

        Of a shot that others need and the film leaves out only one is made.
        """
        takes, circled = shot.spec.takes, shot.spec.circled
        if takes and circled and circled > takes:
            raise self.desk.fail(
                shot.at("circled"),
                f"take {circled} is circled, and `takes` is {takes}. Circle one of them.",
            )
        takes, judged = takes or self.takes, self.circled.get(shot.id)
        if circled is None and judged and (judged.chosen or takes == 1):
            found = [replace(shot, take=judged.take, seed=judged.seed)]
        elif circled is None and takes == 1:
            return [shot]
        elif circled is None and not shot.spec.omit:
            found = [replace(shot, take=take) for take in range(1, takes + 1)]
        else:
            found = [replace(shot, take=circled or takes)]
        for name in {take.name for take in found} & {other.id for other in self.shotlist.shots}:
            raise self.desk.fail(
                shot.at("takes"), f"a take of {shot.id} is called `{name}`, and so is another shot."
            )
        return found

    def _in_order(self) -> list[Shot]:
        """Return the shots of the film and all they need, each after the one it depends on.

        A shot waits for one other at most, so following that leads to a beginning or round a ring.
        Shots of a ring are noted as stuck.
        """
        by_name = {shot.id: shot for shot in self.shotlist.shots}
        ordered: dict[str, Shot] = {}
        for first in self.shotlist.shots:
            chain: dict[str, Shot] = {}
            name = None if first.spec.omit else first.id
            while name and name not in ordered and name not in chain:
                chain[name] = by_name[name]
                name = waits_for(by_name[name], by_name)
            if name in chain:
                self._report_ring(list(chain.values()), name)
            ordered |= dict(reversed(chain.items()))
        if self.shotlist.shots and not ordered:
            self._complain((), "every shot is omitted, so there is no film. Take one `omit` out.")
        return list(ordered.values())

    def _report_ring(self, chain: list[Shot], back_to: str) -> None:
        ring = chain[[shot.id for shot in chain].index(back_to) :]
        place = {shot.id: at for at, shot in enumerate(self.shotlist.shots)}
        first = min(range(len(ring)), key=lambda at: place[ring[at].id])
        ring = ring[first:] + ring[:first]
        self.stuck |= {shot.id for shot in ring}
        what = "this shot waits for itself. Let it begin on its own, or on another shot."
        if len(ring) > 1:
            names = " → ".join(shot.id for shot in (*ring, ring[0]))
            what = f"these shots wait for each other: {names}. Let one of them begin on its own."
        self._complain(ring[0].at(openings(ring[0])[0]), what)

    def _profile(self) -> Profile | None:
        ratio = self.shotlist.ratio
        size = FILM_SIZES.get(ratio) or pixels(ratio)
        if size is None:
            self._complain(
                ("ratio",),
                f"{ratio} is no shape that a film has here. Write {', '.join(FILM_SIZES)}, or the"
                " film's pixels, such as 1280:720.",
            )
            return None
        if not 16 <= min(size) <= max(size) <= 4096 or size[0] % 2 or size[1] % 2:
            self._complain(
                ("ratio",),
                f"a film of {size[0]}×{size[1]} pixels cannot be made. Width"
                " and height have to be even, from 16 to 4096.",
            )
            return None
        return Profile(*size, fps=self.shotlist.fps)

    def _check_lost_comments(self) -> None:
        document = self.shotlist.document
        for shot in self.shotlist.shots:
            for name in WRITTEN:
                where = shot.at(name)
                lost = document.lost_comment(where) if getattr(shot.spec, name) else None
                if lost and not self._meant_as_comment(where, lost):
                    self.desk.remark(
                        where,
                        "lost-comment",
                        f"`{lost[:40]}` is a comment to YAML and is not part of the"
                        f" {name.replace('_', ' ')}. If it should be, put the text in quotes.",
                    )

    def _meant_as_comment(self, where: Where, lost: str) -> bool:
        """Tell `text   # an aside`, set off as people set off comments, from `take #2 at dawn`."""
        line = self.shotlist.document.problem(where, "").source
        return lost.startswith("# ") and line.partition(lost)[0].endswith("  ")

    def _check_prices_age(self) -> None:
        if self.today and (self.today - self.catalog.date).days > PRICES_AGE:
            self.desk.remark(
                (),
                "old-prices",
                f"the price table is of {self.catalog.date}. What the"
                " gateway answers decides; update Second Unit.",
            )


def select(plan: Plan, selection: str) -> frozenset[str]:
    """Return the keys that `--only` means, and all they need.

    `selection` holds names of shots, separated by commas; `*` and `?` stand for any characters,
    and `a..b` for all from a to b in film order. Raises UsageError where a part names no shot.
    """
    names = [entry.shot for entry in plan.cut]
    chosen = [name for part in selection.split(",") for name in _matching(part.strip(), names)]
    wanted = {entry.key for entry in plan.cut if entry.shot in chosen}
    made_for = {plan.step(key).of for key in wanted}  # two shots may share their takes
    wanted |= {step.key for step in plan.steps if step.take and step.of in made_for}
    for step in reversed(plan.steps):
        if step.key in wanted:
            wanted.update(step.needs)
    return frozenset(wanted)


def _matching(part: str, names: Sequence[str]) -> Iterable[str]:
    first, dots, last = (piece.strip() for piece in part.partition(".."))
    if dots and first in names and last in names:
        begin, end = names.index(first), names.index(last)
        if begin > end:
            raise UsageError(
                f"--only: `{part}` runs backwards. Write `{last}..{first}`. Nothing was ordered."
            )
        return names[begin : end + 1]
    found = [name for name in names if fnmatch.fnmatchcase(name, part)]
    if not found:
        guess = suggest(part, names)
        hint = f" Did you mean `{guess}`?" if guess else f" The shots are {', '.join(names)}."
        raise UsageError(f"--only: no shot is called `{part}`.{hint} Nothing was ordered.")
    return found
