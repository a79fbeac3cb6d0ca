"""The dailies as a page in Prefect: what needs a person first, then every shot with its still."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from secondunit.flow.states import ending
from secondunit.flow.words import block, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from secondunit.flow.stills import Stills
    from secondunit.ledger import Order
    from secondunit.plan import Plan, Step
    from secondunit.production import Production
    from secondunit.splice import Film

STILLS = 600_000  # bytes that all stills of a page may take
WIDTHS = ((60, 192), (120, 160), (400, 128))  # up to so many shots: pixels of a still
POSTER = (480, 120_000)  # pixels, bytes
TOGETHER = 25  # shots of a table; more are hard to find one's way in
ALIKE = 5  # shots whose trouble of one kind is told in full
EMPTY = "–"
NOT_STARTED = "Not started"
HEAD = (
    "| shot | still | clip | state | seed | credits | tries |\n"
    "| --- | --- | --- | --- | ---: | ---: | ---: |"
)


def pictured(plan: Plan) -> frozenset[str]:
    """Return the keys of the steps whose stills the dailies show; of more, the page is too large."""
    return frozenset(step.key for step in plan.steps[: WIDTHS[-1][0]])


def page(production: Production, stills: Stills) -> str:
    """Return the dailies of a run as Markdown."""
    sheet = _Dailies(production, stills)
    return "\n\n".join([*sheet.head(), *sheet.trouble(), *sheet.tables(), *sheet.places()])


def premiere(production: Production, film: Film, stills: Stills) -> str:
    """Return the film's own page as Markdown."""
    poster = stills.uri(film.sha256, *POSTER)
    sound = "with sound" if film.sound else "silent"
    return "\n\n".join([
        f"# {text(production.plan.title)}",
        *([f"![{text(production.plan.title)}]({poster})"] if poster else []),
        f"**{float(film.seconds):.2f} s** · {film.frames} frames · {film.width}×{film.height} ·"
        f" {float(film.fps):g} fps · {film.size / 1e6:.1f} MB · {sound}",
        f"[{text(film.path.name)}]({film.path.as_uri()}) is here:",
        block(str(film.path)),
    ])  # fmt: skip


class _Dailies:
    def __init__(self, production: Production, stills: Stills) -> None:
        self.production = production
        self.stills = stills
        self.plan = production.plan
        steps = self.plan.steps
        self._width = next((width for most, width in WIDTHS if len(steps) <= most), WIDTHS[-1][1])
        self._limit = STILLS // max(1, min(len(steps), WIDTHS[-1][0]))
        self._shown = pictured(self.plan)

    def head(self) -> Iterator[str]:
        clips = self.production.clips
        takes = self.plan.rolled
        here = sum(step.key in clips for step in takes)
        cached = sum(step.key in clips and clips[step.key].cached for step in takes)
        found = f", {cached} of them from the store" if cached else ""
        yield f"# {text(self.plan.title)}: dailies"
        yield f"**{here} of {len(takes)} {self.plan.counted_in} are here**{found}."

    def trouble(self) -> Iterator[str]:
        """Tell what did not come back and what to do about it, alike beside alike."""
        kinds: defaultdict[str, list[Step]] = defaultdict(list)
        for step in self.production.missing():
            kinds[self._state(step)].append(step)
        for kind, steps in kinds.items():
            told = [s for s in steps if s.key in self.production.failures][:ALIKE]
            yield f"### {text(kind)}{f' · {len(steps)} shots' if len(steps) > 1 else ''}"
            lines = [f"- {text(str(self.production.failures[s.key]))}" for s in told]
            rest = ", ".join(dict.fromkeys(text(s.shot) for s in steps if s not in told))
            if kind == NOT_STARTED:
                rest += ": what it is made from did not come back"
            yield "\n".join([*lines, *([f"- {rest}."] if rest else [])])

    def tables(self) -> Iterator[str]:
        every = self.plan.steps
        for first in range(0, len(every), TOGETHER):
            steps = every[first : first + TOGETHER]
            if len(every) > TOGETHER:
                yield f"## {text(steps[0].shot)} to {text(steps[-1].shot)}"
            yield "\n".join([HEAD, *map(self._row, steps)])
        if len(self._shown) < len(every):
            yield f"Stills are shown of the first {len(self._shown)}; more would be too large a page."

    def places(self) -> Iterator[str]:
        """Give every clip's path to copy: no browser opens a file from a page on the network."""
        clips = self.production.clips
        here = [step for step in self.plan.steps if step.key in clips]
        if here:
            yield "## Where they are"
            yield block("\n".join(f"{step.shot}  {clips[step.key].path}" for step in here))

    def _row(self, step: Step) -> str:
        clip = self.production.clips.get(step.key)
        orders = self.production.ledger.of(step.key)
        uri = ""
        if clip and step.key in self._shown:
            uri = self.stills.uri(clip.sha256, self._width, self._limit)
        cells = [
            text(step.shot),
            f"![{text(step.shot)}]({uri})" if uri else EMPTY,
            f"[{text(clip.path.suffix[1:])}]({clip.path.absolute().as_uri()})" if clip else EMPTY,
            text(self._state(step)),
            EMPTY if step.seed is None else str(step.seed),
            _cost(orders, free=self.plan.free),
            str(len(orders)) if orders else EMPTY,
        ]
        return f"| {' | '.join(cells)} |"

    def _state(self, step: Step) -> str:
        clip = self.production.clips.get(step.key)
        if clip:
            return "own clip" if step.own else "Cached" if clip.cached else "here"
        error = self.production.failures.get(step.key)
        return ending(error, self.production.ledger.of(step.key)) if error else NOT_STARTED


def _cost(orders: Sequence[Order], *, free: bool) -> str:
    if not orders:
        return EMPTY
    return "free" if free else str(sum(order.cost for order in orders))
