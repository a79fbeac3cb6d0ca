"""The plan: everything that will be asked for, in order, with keys, routes, reasons and prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from secondunit import keys
from secondunit.cut.edit import PLAIN, Look, Mix
from secondunit.shotlist.language import MAX_TAKES

if TYPE_CHECKING:
    from secondunit.cut import Profile, Trim
    from secondunit.cut.edit import Deliverable, Edit
    from secondunit.errors import Problem
    from secondunit.plan.assets import Asset
    from secondunit.shotlist.office import NoticeSpec, ReviewSpec

PLAN_SCHEMA = 1

Part = Literal["clip", "first", "last", "still"]


@dataclass(frozen=True)
class File:
    """A file of the author's that goes into an order."""

    asset: Asset

    @property
    def described(self) -> dict[str, Any]:
        """What names it in a key: its bytes."""
        return {"sha256": self.asset.sha256}


@dataclass(frozen=True)
class Made:
    """Something another step makes: its clip, a frame of it, or its still."""

    key: str
    part: Part

    @property
    def described(self) -> dict[str, Any]:
        """What names it in a key: the take it comes from, which is never made twice."""
        return {"take": self.key, "part": self.part}


@dataclass(frozen=True)
class Link:
    """An https address that the gateway fetches itself; this program never does."""

    url: str

    @property
    def described(self) -> dict[str, Any]:
        """What names it in a key: the address."""
        return {"url": self.url}


Input = File | Made | Link


@dataclass(frozen=True)
class Request:
    """One order: `body` is what is sent, with an Input wherever a URI will stand."""

    endpoint: str
    model: str
    body: Mapping[str, Any]

    def described(self) -> Any:
        """Return the request with every input by its content: what the take's key is made of."""
        return {"endpoint": self.endpoint, "body": fill(self.body, lambda given: given.described)}

    def key(self, gateway: str, *, free: bool) -> str:
        """Return the key of the take that this orders; where it is free it is that of the backlot."""
        return keys.key("take", {"gateway": "backlot" if free else gateway, **self.described()})

    def told(self) -> Any:
        """Return the body for people to read: inputs by content, and files by their name as well."""

        def name(given: Input) -> dict[str, Any]:
            file = {"file": given.asset.path.name} if isinstance(given, File) else {}
            return {**given.described, **file}

        return fill(self.body, name)

    def inputs(self) -> tuple[Input, ...]:
        """Return every input of the body, in order."""
        found: list[Input] = []
        fill(self.body, found.append)
        return tuple(found)


def fill(value: Any, put: Callable[[Input], Any]) -> Any:
    """Return `value` with every Input in it replaced by what `put` makes of it."""
    if isinstance(value, File | Made | Link):
        return put(value)
    if isinstance(value, Mapping):
        return {k: fill(v, put) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [fill(v, put) for v in value]
    return value


@dataclass(frozen=True)
class Step:
    """One thing to make, or to take as it is: a still, a take, or a clip of the author's own.

    `shot` is what it is called, `take` which of several takes of a shot it is. `seconds` and `size`
    (width, height in pixels) are what is expected to come back; `credits` is the most it may cost,
    None where no price is known; `needs` are the keys it waits for.
    """

    key: str
    shot: str
    kind: Literal["still", "take", "clip"]
    reason: str
    needs: tuple[str, ...] = ()
    request: Request | None = None
    own: Asset | None = None
    seed: int | None = None
    seconds: float | None = None
    size: tuple[int, int] | None = None
    credits: int | None = 0
    take: int | None = None

    @property
    def of(self) -> str:
        """The shot that it is made for, which may have several takes."""
        return self.shot if self.take is None else self.shot.removesuffix(f" take {self.take}")

    @property
    def other_takes(self) -> tuple[str, ...]:
        """What other takes of the shot are called, and the shot itself, where orders are told."""
        if self.kind != "take":
            return ()
        names = [self.of, *(f"{self.of} take {take}" for take in range(1, MAX_TAKES + 1))]
        return tuple(name for name in names if name != self.shot)

    @property
    def model(self) -> str:
        """The model's name, or `-` where none is asked."""
        return self.request.model if self.request else "-"

    @property
    def label(self) -> str:
        """The name of the step as it stands in Prefect: `Shot 2 · aleph2 · take 1`."""
        if self.request is None:
            return f"{self.shot} · own clip"
        what = "still" if self.kind == "still" else f"take {self.take or 1}"
        return f"{self.of} · {self.model} · {what}"


@dataclass(frozen=True)
class CutEntry:
    """One shot's place in the film: which take, which part of it, and what is done with it."""

    shot: str
    key: str
    trim: Trim
    edit: Edit = PLAIN


@dataclass(frozen=True)
class Plan:
    """A whole film, ready to shoot. `steps` are in an order in which each can be made.

    Two shots that ask for the same thing share one step. `name` is the shot list's file name without
    its ending; `cap` and `per_shot` are in credits; `selection` is set when only some shots are made.
    """

    title: str
    name: str
    file: str
    folder: str
    slate: str
    gateway: str
    free: bool
    quality: str
    profile: Profile
    steps: tuple[Step, ...]
    cut: tuple[CutEntry, ...]
    look: Look = field(default_factory=Look)
    mix: Mix = field(default_factory=Mix)
    deliverables: tuple[Deliverable, ...] = ()
    remarks: tuple[Problem, ...] = ()
    cap: int | None = None
    per_shot: int | None = None
    selection: str = ""
    review: ReviewSpec | None = None
    notices: tuple[NoticeSpec, ...] = ()

    @property
    def film_name(self) -> str:
        """The film's file name without its ending; a film of some shots is named after them."""
        return f"{self.name}.{self.selection}" if self.selection else self.name

    def step(self, key: str) -> Step:
        """Return the step called `key`."""
        return next(step for step in self.steps if step.key == key)

    @property
    def orders(self) -> tuple[Step, ...]:
        """The steps that are ordered from a gateway."""
        return tuple(step for step in self.steps if step.request)

    @property
    def rolled(self) -> tuple[Step, ...]:
        """The steps that a clip comes of: all but the stills."""
        return tuple(step for step in self.steps if step.kind != "still")

    @property
    def counted_in(self) -> str:
        """What those are called in numbers: takes, where some shot has several, else shots."""
        takes = Counter(step.of for step in self.steps if step.take)
        return "takes" if takes and max(takes.values()) > 1 else "shots"

    @property
    def leaving(self) -> tuple[Asset, ...]:
        """The files that an order would send away, each once."""
        files = (
            i.asset
            for s in self.orders
            if s.request
            for i in s.request.inputs()
            if isinstance(i, File)
        )
        return tuple({asset.sha256: asset for asset in files}.values())

    @property
    def key(self) -> str:
        """The name of this plan as a whole: two plans with one key shoot and cut the same."""
        cut = [[e.shot, e.key, str(e.trim), str(e.edit)] for e in self.cut]
        film = [str(self.profile), str(self.look), str(self.mix), self.title]
        return keys.key("plan", [[s.key for s in self.steps], cut, *film])

    def describe(self) -> dict[str, Any]:
        """Return the plan as JSON-like data, the form of `plan --format json`."""
        return {
            "schema": PLAN_SCHEMA,
            "title": self.title,
            "file": self.file,
            "gateway": self.gateway,
            "quality": self.quality,
            "film": {
                "width": self.profile.width,
                "height": self.profile.height,
                "fps": str(self.profile.fps),
                "shots": [e.shot for e in self.cut],
            },
            "steps": [_described(step) for step in self.steps],
            "cut": [
                {
                    "shot": e.shot,
                    "key": e.key,
                    "in": float(e.trim.start),
                    "out": None if e.trim.end is None else float(e.trim.end),
                    "edit": _plain(e.edit),
                }
                for e in self.cut
            ],
            "look": _plain(self.look),
            "mix": _plain(self.mix),
            "deliverables": [_plain(made) for made in self.deliverables],
            "leaving": [
                {"path": str(a.path), "sha256": a.sha256, "size": a.size} for a in self.leaving
            ],
            "remarks": [
                {
                    "line": r.line,
                    "column": r.column,
                    "code": r.code,
                    "where": r.where,
                    "message": r.message,
                }
                for r in self.remarks
            ],
        }


def dollars(credits_: int) -> Decimal:
    """Return the price of `credits_` in US dollars: a credit costs a cent."""
    return (Decimal(credits_) / 100).quantize(Decimal("0.01"))


def _plain(value: Edit | Look | Mix | Deliverable) -> dict[str, Any]:
    """Return a value as JSON-like data, with seconds as numbers."""

    def number(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: number(inner) for name, inner in item.items()}
        if isinstance(item, list | tuple):
            return [number(inner) for inner in item]
        return float(item) if isinstance(item, Fraction) else item

    told: dict[str, Any] = number(asdict(value))
    return told


def _described(step: Step) -> dict[str, Any]:
    request = step.request
    return {
        "key": step.key,
        "shot": step.of,
        "take": step.take,
        "kind": step.kind,
        "endpoint": request.endpoint if request else None,
        "model": request.model if request else None,
        "request": request.described()["body"] if request else None,
        "file": str(step.own.path) if step.own else None,
        "seed": step.seed,
        "seconds": step.seconds,
        "size": list(step.size) if step.size else None,
        "credits": step.credits,
        "reason": step.reason,
        "needs": list(step.needs),
    }
