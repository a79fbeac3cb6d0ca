"""The call sheet as people read it: a table, a graph, a page of JSON; and where every shot stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from secondunit.plan import dollars
from secondunit.plan.longer import longer
from secondunit.plan.outline import outline
from secondunit.store import Store
from secondunit.verdicts import is_held, sent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from fractions import Fraction

    from rich.console import RenderableType

    from secondunit.ledger import Ledger, Order
    from secondunit.plan import Plan, Step
    from secondunit.plan.outline import Outline

Standing = Literal["own clip", "cached", "open", "in doubt", "lost", "held", "to shoot"]


@dataclass(frozen=True)
class Sheet:
    """A plan beside what the ledger and the store know: where each step stands, by key."""

    plan: Plan
    standing: dict[str, Standing]
    longer: dict[str, int] = field(default_factory=dict)
    """Seconds of a take that is here and would be that of a step to shoot, were it not longer."""

    @property
    def to_shoot(self) -> tuple[Step, ...]:
        """The steps that would be ordered now."""
        return tuple(s for s in self.plan.steps if self.standing[s.key] == "to shoot")

    @property
    def needs_gateway(self) -> bool:
        """Whether anything is to be ordered, or asked for."""
        return any(s not in {"cached", "own clip"} for s in self.standing.values())

    @property
    def cost(self) -> int:
        """The most that the orders to be placed may cost, in credits; unknown prices count as 0."""
        return sum(step.credits or 0 for step in self.to_shoot)

    @property
    def saved(self) -> int:
        """What the takes already in the store would cost again, in credits."""
        return sum(s.credits or 0 for s in self.plan.orders if self.standing[s.key] == "cached")

    def describe(self) -> dict[str, Any]:
        """Return plan, standing and totals as JSON-like data."""
        page = self.plan.describe()
        for entry in page["steps"]:
            entry["standing"] = self.standing[entry["key"]]
        page["totals"] = {
            "credits_to_shoot": self.cost,
            "usd_to_shoot": float(dollars(self.cost)),
            "credits_cached": self.saved,
            "free": self.plan.free,
            "cap": self.plan.cap,
        }
        return page


def sheet(plan: Plan, store: Store, ledger: Ledger | None) -> Sheet:
    """Compare a plan with what is here already; `ledger` is None where nothing was ever ordered."""
    here = store.found(step.key for step in plan.steps if not step.own)
    standing = {step.key: _standing(step, here, ledger) for step in plan.steps}
    return Sheet(plan, standing, _longer(plan, standing, store))


def _longer(plan: Plan, standing: Mapping[str, Standing], store: Store) -> dict[str, int]:
    """Look for longer takes on this machine alone: a hint is not worth asking a shared place."""
    wanted = [step for step in plan.steps if standing[step.key] == "to shoot"]
    others = {step.key: list(longer(plan, step)) for step in wanted}
    here = Store.found(store, (key for found in others.values() for _, key in found))
    first = {
        step: next((seconds for seconds, key in found if key in here), None)
        for step, found in others.items()
    }
    return {step: seconds for step, seconds in first.items() if seconds is not None}


def _standing(step: Step, here: Collection[str], ledger: Ledger | None) -> Standing:
    if step.own:
        return "own clip"
    if step.key in here:
        return "cached"
    order = ledger.blocking(step.key) if ledger else None
    if order is None:
        return "held" if ledger and is_held(ledger.of(step.key)) else "to shoot"
    return (
        "in doubt"
        if order.state in {"doubt", "intent"}
        else "lost"
        if order.state == "lost"
        else "open"
    )


def total(of: Sheet, budget: int | None = None) -> str:
    """Return the money in one line: what the run may cost, and under which cap.

    `budget` is what this run may spend, in credits, where it was said.
    """
    plan = of.plan
    cap_credits = min((c for c in (plan.cap, budget) if c is not None), default=None)
    count = len(of.to_shoot)
    things = f"{count} order{'' if count == 1 else 's'} to place"
    amount = f"{of.cost} credits (${dollars(of.cost)})"
    if plan.free:
        money = f"free on the backlot; on Runway at most {amount}"
    else:
        cap = (
            "no cap"
            if cap_credits is None
            else f"cap {cap_credits} credits (${dollars(cap_credits)})"
        )
        money = f"at most {amount}, {cap}"
    saved = f"; {of.saved} credits saved, already shot" if of.saved else ""
    unknown = [s.shot for s in of.to_shoot if s.credits is None]
    return f"{things}: {money}{saved}" + (
        f"; price unknown: {', '.join(unknown)}" if unknown else ""
    )


def film_line(plan: Plan) -> str:
    """Return the cut in one line: how long the film is and what of; empty where shots just follow."""
    film = outline(plan)
    besides = [*_heard(plan), *_delivered(plan)]
    if not (film.cards or film.kinds or besides):
        return ""
    return " · ".join([f"film{_made_of(film, plan.profile.fps)}", *besides])


def _made_of(film: Outline, fps: Fraction) -> str:
    def length(frames: int | None) -> str:
        return "" if frames is None else f" {_rounded(frames / fps)} s"

    if not film.cards and not film.kinds:
        return length(film.frames)
    parts = [f"{_count(film.shots, 'shot')}{length(film.shot_frames)}"]
    if film.cards:
        parts.append(f"{_count(film.cards, 'card')}{length(film.card_frames)}")
    ways = ", ".join(_count(many, kind) for kind, many in film.kinds.items())
    if film.cost:
        ways += f" −{_rounded(film.cost / fps)} s"
    return f"{length(film.frames)}: {', '.join([*parts, *([ways] if ways else [])])}"


def _heard(plan: Plan) -> Iterable[str]:
    kinds = dict.fromkeys(sound.kind.replace("_", "-") for sound in plan.mix.sounds)
    said = any(entry.edit.dialogue for entry in plan.cut) and plan.look.captions != "none"
    loud = [] if plan.mix.loudness is None else [f"{_rounded(plan.mix.loudness)} LUFS"]
    if kinds or loud:
        yield f"sound: {', '.join([*kinds, *loud])}"
    if said:
        yield "captions"


def _delivered(plan: Plan) -> Iterable[str]:
    if plan.deliverables:
        yield f"deliverables: {', '.join(made.name for made in plan.deliverables)}"


def _count(many: int, what: str) -> str:
    return f"{many} {what}{'' if many == 1 else 's'}"


def _rounded(value: Any) -> str:
    return f"{float(value):.1f}".removesuffix(".0").replace("-", "−")


def table(of: Sheet) -> RenderableType:
    """Return the call sheet as a table for a terminal."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    plan, film = of.plan, of.plan.profile
    head = Text.assemble(
        (plan.title, "bold"),
        f"  {len(plan.cut)} shots · {film.width}×{film.height} ·"
        f" {_number(float(film.fps))} fps · {plan.quality} · {plan.gateway}",
    )
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("shot", overflow="fold", max_width=24)
    for name in ("order", "model", "s", "credits", "now"):
        grid.add_column(name, justify="right" if name in {"s", "credits"} else "left", no_wrap=True)
    grid.add_column("why", overflow="fold")
    above = ""
    for step in plan.steps:
        standing = of.standing[step.key]
        grid.add_row(
            Text("" if step.shot == above else step.shot),
            step.kind,
            step.model,
            _number(step.seconds),
            _credits(step),
            Text(standing, style=_STYLES.get(standing, "")),
            Text(step.reason),
        )
        above = step.shot
    leaving: list[RenderableType] = [
        Text(f"leaves this machine: {_where(a.path, plan.folder)} ({_size(a.size)})", style="dim")
        for a in plan.leaving
        if not plan.free
    ]
    cut = film_line(plan)
    hints = [Text(line, style="yellow") for line in _hints(of)]
    return Group(head, grid, *([Text(cut)] if cut else []), *hints, *leaving, Text(total(of) + "."))


def _hints(of: Sheet) -> Iterable[str]:
    """Tell of takes that are here and longer: to shorten what was shot costs nothing."""
    for step in of.plan.steps:
        if step.key in of.longer:
            ends = (e.trim.end for e in of.plan.cut if e.key == step.key)
            out = _number(float(next(ends, None) or step.seconds or 0))
            yield (
                f"{step.shot} is here already, {of.longer[step.key]} s long. To use it for nothing,"
                f" leave that `duration` and write `trim: {{out: {out}}}`."
            )


_STYLES = {
    "cached": "green",
    "open": "cyan",
    "in doubt": "bold red",
    "lost": "bold red",
    "held": "yellow",
}


def mermaid(plan: Plan) -> str:
    """Return the plan as a Mermaid graph: steps as boxes, what needs what as arrows."""
    names = {step.key: f"s{number}" for number, step in enumerate(plan.steps, 1)}
    lines = ["graph LR"]
    for step in plan.steps:
        lines.append(f'  {names[step.key]}["{_escaped(step.label)}"]')
        lines += [f"  {names[need]} --> {names[step.key]}" for need in step.needs]
    lines.append(f'  film(["{_escaped(plan.title)}"])')
    for number, entry in enumerate(plan.cut, 1):
        lines.append(f"  {names[entry.key]} -- {number} --> film")
    return "\n".join(lines)


def status(of: Sheet, orders: Iterable[Order]) -> RenderableType:
    """Return where every shot stands and every order with its money, for a terminal."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("shot", "model", "order", "ticket", "credits"):
        grid.add_column(name, justify="right" if name == "credits" else "left", overflow="fold")
    listed = tuple(orders)
    notes = []
    for order in listed:
        word = "in doubt" if order.state in {"doubt", "intent"} else order.state
        row = (Text(order.shot), order.model, Text(word, style=_STYLES.get(word, "")))
        grid.add_row(*row, order.ticket or "", str(order.cost))
        if order.reason:
            notes.append(Text(f"{order.shot}, {word}: {order.reason}", style="dim"))
    stands = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    stands.add_column("shot", overflow="fold")
    stands.add_column("made by")
    stands.add_column("stands")
    for step in of.plan.steps:
        standing = of.standing[step.key]
        stands.add_row(Text(step.shot), step.model, Text(standing, style=_STYLES.get(standing, "")))
    waiting = [
        Text(f"{o.shot} was sent as {sent(o)}", style="yellow")
        for o in _deciding(of, listed)
    ]  # fmt: skip
    return Group(
        stands,
        Text("Orders" if listed else "", style="bold"),
        grid if listed else "",
        *notes,
        *waiting,
    )


def _deciding(of: Sheet, orders: Iterable[Order]) -> Iterable[Order]:
    """Return the newest order of every step that waits for a person: what was sent is to be judged."""
    keys = {
        key for key, standing in of.standing.items() if standing in {"held", "in doubt", "lost"}
    }
    return {o.key: o for o in orders if o.key in keys}.values()


def _credits(step: Step) -> str:
    if step.request is None:
        return ""
    return "?" if step.credits is None else str(step.credits)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"


def _where(path: Any, folder: str) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
    )
