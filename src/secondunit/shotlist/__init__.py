"""The shot list as the rest of the unit reads it: variables filled in, defaults applied, frozen."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from secondunit import document
from secondunit.shotlist.audio import AudioSpec
from secondunit.shotlist.complaints import explain
from secondunit.shotlist.cutting import CutSpec
from secondunit.shotlist.language import ShotListSpec, ShotSpec, SubjectSpec
from secondunit.shotlist.spec import money, without_notes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from secondunit.document import Document, Where
    from secondunit.errors import Problem
    from secondunit.shotlist.cutting import DeliverableSpec
    from secondunit.shotlist.language import ProfileSpec
    from secondunit.shotlist.office import NoticeSpec, ReviewSpec, ScheduleSpec

DEFAULT_RATIO = "16:9"
WHOLE = ("first_frame", "transition")  # mappings that never merge
NTSC = {Fraction(n * 1000, 1001).limit_denominator(1001) for n in (24, 30, 48, 60, 120)}


@dataclass(frozen=True)
class Subject:
    """A member of the cast, a location or a look; `references` are files with their places."""

    name: str
    kind: str
    description: str
    references: tuple[tuple[str, Where], ...]


@dataclass(frozen=True)
class Shot:
    """One shot with all that it inherits. `broken` shots already have a problem reported."""

    id: str
    where: Where
    spec: ShotSpec
    origins: Mapping[str, Where]
    scene: str = ""
    broken: bool = False
    take: int | None = None
    """Which of several takes of it is meant; None where there is one."""
    seed: int | None = None
    """The seed that this take had when it was judged, where a review chose it."""

    @property
    def name(self) -> str:
        """What is ordered for it is called so: `sh010`, or `sh010 take 2` where there are several."""
        return self.id if self.take is None else f"{self.id} take {self.take}"

    def at(self, name: str, *inner: str | int) -> Where:
        """Return the place in the document that set field `name`, be it a default."""
        origin = self.origins.get(name)
        return self.where if origin is None else (*origin, *inner)

    def owns(self, name: str) -> bool:
        """Say whether the shot itself sets `name`, rather than inheriting it."""
        return self.origins.get(name, ())[: len(self.where)] == self.where


@dataclass(frozen=True)
class ShotList:
    """A whole shot list. `cap` and `per_shot` are in credits; `problems` is what is wrong so far."""

    document: Document
    title: str
    slate: str
    gateway: str | None
    quality: str | None
    fps: Fraction
    ratio: str
    profiles: Mapping[str, ProfileSpec]
    subjects: Mapping[str, Subject]
    cap: int | None
    per_shot: int | None
    shots: tuple[Shot, ...]
    problems: tuple[Problem, ...] = ()
    schedule: ScheduleSpec | None = None
    review: ReviewSpec | None = None
    notices: tuple[NoticeSpec, ...] = ()
    cut: CutSpec = field(default_factory=CutSpec)
    audio: AudioSpec = field(default_factory=AudioSpec)
    deliverables: Mapping[str, DeliverableSpec] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The film's file name, without its ending: that of the shot list."""
        return PurePath(self.document.file).stem


def read(path: str | os.PathLike[str]) -> ShotList:
    """Read the shot list at `path`.

    Raises SpecError when it cannot be read at all; what is wrong beyond that is collected in
    `problems`, so that a plan can add its own and all are told at once.
    """
    return from_document(document.read(path))


def from_document(doc: Document) -> ShotList:
    """Return the shot list that `doc` says, see `read`."""
    return _Reader(doc).shot_list()


@dataclass
class _Reader:
    doc: Document
    problems: list[Problem] = field(default_factory=list)
    broken: set[Where] = field(default_factory=set)  # what is wrong already and not built upon

    def shot_list(self) -> ShotList:
        data = _Variables(self).fill(self.doc.data)
        top = self._validated(data)
        if not data.get("shots") and not data.get("scenes"):
            self._complain(
                ("shots",) if "shots" in data else (),
                "there are no shots. Write at least one under `shots:`.",
            )
        if data.get("shots") and data.get("scenes"):
            self._complain(("scenes",), "both `shots` and `scenes` are given. Keep one.", key=True)
        self._check_scenes(data)
        shots = tuple(self._shots(data))
        return ShotList(
            document=self.doc,
            title=top.title or PurePath(self.doc.file).stem.replace("_", " "),
            slate=top.slate or "",
            gateway=top.gateway,
            quality=top.quality,
            fps=frame_rate(top.fps or 24),
            ratio=top.ratio or DEFAULT_RATIO,
            profiles=top.profiles or {},
            subjects=self._subjects(top),
            cap=_amount(top, "cap"),
            per_shot=_amount(top, "per_shot"),
            shots=shots,
            problems=tuple(dict.fromkeys(self.problems)),
            schedule=top.schedule,
            review=top.review,
            notices=tuple(top.notify or ()),
            cut=top.cut or CutSpec(),
            audio=top.audio or AudioSpec(),
            deliverables=top.deliverables or {},
        )

    def _check_scenes(self, data: dict[str, Any]) -> None:
        scenes = data.get("scenes")
        for number, scene in enumerate(scenes if isinstance(scenes, list) else []):
            if isinstance(scene, dict) and scene.get("shots", ()) in ([], {}):
                self._complain(
                    ("scenes", number, "shots"),
                    "this scene has no shots. Write at least one, or take the scene out.",
                )

    def _complain(self, where: Where, message: str, *, key: bool = False) -> None:
        self.problems.append(self.doc.problem(where, message, key=key))

    def _validated(self, data: dict[str, Any]) -> ShotListSpec:
        """Validate all levels; on errors, go on with what is left once the wrong parts are out."""
        try:
            return ShotListSpec.model_validate(data)
        except ValidationError as error:
            for where, message, key in explain(error, data):
                self._complain(where, message, key=key)
                self.broken.add(where)
        # without its broken items a list would have the others at other places
        torn = {where[0] for where in self.broken if where and isinstance(where[-1], int)}
        left = {"shots", "scenes", "defaults", *(torn & {"cut", "audio"})}
        rest = {k: v for k, v in data.items() if k not in left}
        try:
            return ShotListSpec.model_validate(_without(rest, self.broken))
        except ValidationError:
            wrong = {where[:1] for where in self.broken}
            return ShotListSpec.model_validate({k: v for k, v in rest.items() if (k,) not in wrong})

    def _shots(self, data: dict[str, Any]) -> Iterator[Shot]:
        base = _layer(data.get("defaults"), ("defaults",))
        seen: dict[str, Where] = {}
        around = {where[:n] for where in self.broken for n in range(1, len(where) + 1)}
        for number, (where, raw, inherited, scene) in enumerate(_each_shot(data), 1):
            name = self._name(where, raw, number, seen)
            above = _over(base, inherited)
            handed = {k: v for k, v in above.items() if v[1] not in around}
            layer = _over(handed, _layer(raw, where))
            spoiled = {k for k, (_, origin) in layer.items() if origin in around}
            lost = any(where[:n] in self.broken for n in range(1, len(where) + 1))
            sound = {} if lost else {k: v for k, v in layer.items() if k not in spoiled}
            yield self._shot(name, where, sound, scene, broken=lost or bool(spoiled))

    def _name(self, where: Where, raw: Any, number: int, seen: dict[str, Where]) -> str:
        named = raw.get("shot") if isinstance(raw, dict) else None
        from_key = where[-1] if isinstance(where[-1], str) else None
        if from_key is not None and named is not None and str(named) != from_key:
            self._complain(
                (*where, "shot"), f"this shot is already named `{from_key}`. Take `shot` out."
            )
        name = unicodedata.normalize("NFC", str(from_key or named or f"sh{number * 10:03}"))
        folded = name.casefold()
        if folded in seen:
            at = (*where, "shot") if named is not None else where
            line = self.doc.mark(seen[folded], key=True).line
            self._complain(
                at,
                f"two shots are called `{name}`; the other is on line {line}."
                " Give each its own name.",
                key=from_key is not None,
            )
        seen.setdefault(folded, where)
        return name

    def _shot(self, name: str, where: Where, layer: Layer, scene: str, *, broken: bool) -> Shot:
        values = {k: v for k, (v, _) in layer.items() if v is not None and k != "shot"}
        origins = {k: origin for k, (v, origin) in layer.items() if v is not None}
        try:
            return Shot(name, where, ShotSpec.model_validate(values), origins, scene, broken)
        except ValidationError as error:
            for inner, message, key in () if broken else explain(error, values, "ShotSpec"):
                origin = origins.get(str(inner[0]), where) if inner else where
                self._complain((*origin, *inner[1:]), message, key=key)
        return Shot(name, where, ShotSpec(), {}, scene, broken=True)

    def _subjects(self, top: ShotListSpec) -> dict[str, Subject]:
        subjects: dict[str, Subject] = {}
        for kind in ("cast", "locations", "looks"):
            group: Mapping[str, SubjectSpec] = getattr(top, kind) or {}
            for written in self.doc.data.get(kind) or () if group else ():
                name, place = str(written).lower(), (kind, written)
                if name in subjects:
                    self._complain(
                        place,
                        f"`{name}` is named twice. Tags are shared by cast,"
                        " locations and looks; give each its own.",
                        key=True,
                    )
                elif spec := group.get(name):
                    subjects[name] = Subject(
                        name, kind, spec.description or "", _pictures(spec, place)
                    )
        return subjects


Layer = dict[str, tuple[Any, "Where"]]


def _layer(data: Any, where: Where) -> Layer:
    if isinstance(data, str):
        return {"prompt": (data, where)}
    mapping = without_notes(data) if isinstance(data, dict) else {}
    return {k: (v, (*where, k)) for k, v in mapping.items()}


def _over(base: Layer, top: Layer) -> Layer:
    """Lay `top` over `base`: maps merge, lists and values replace, null removes.

    A first frame has one origin and a transition one kind, so another replaces it as a whole.
    """
    merged = dict(base)
    for name, (value, where) in top.items():
        below = base.get(name, (None, where))[0]
        if isinstance(value, dict) and isinstance(below, dict) and name not in WHOLE:
            value = {k: v for k, v in {**below, **value}.items() if v is not None}  # noqa: PLW2901  merged in place
        merged[name] = (value, where)
    if "reference" in top and "references" not in top:
        merged.pop("references", None)
    if "references" in top and "reference" not in top:
        merged.pop("reference", None)
    return merged


def _items(shots: Any, where: Where) -> Iterator[tuple[Where, Any]]:
    pairs: Iterable[tuple[str | int, Any]] = ()
    if isinstance(shots, list):
        pairs = enumerate(shots)
    elif isinstance(shots, dict):
        pairs = without_notes(shots).items()
    for step, raw in pairs:
        yield (*where, step), raw


def _each_shot(data: dict[str, Any]) -> Iterator[tuple[Where, Any, Layer, str]]:
    """Yield (place, as written, what its scene hands down, the scene's name) in film order."""
    for where, raw in _items(data.get("shots"), ("shots",)):
        yield where, raw, {}, ""
    scenes = data.get("scenes")
    for number, scene in enumerate(scenes if isinstance(scenes, list) else []):
        if not isinstance(scene, dict):
            continue
        at: Where = ("scenes", number)
        own = {k: scene[k] for k in ("location", "look", "mood") if k in scene}
        handed = _over(_layer(scene.get("defaults"), (*at, "defaults")), _layer(own, at))
        name = str(scene.get("scene") or scene.get("slugline") or f"scene {number + 1}")
        for where, raw in _items(scene.get("shots"), (*at, "shots")):
            yield where, raw, handed, name


def _without(data: Any, broken: set[Where], at: Where = ()) -> Any:
    """Return `data` without the values at the places in `broken`."""
    if isinstance(data, dict):
        return {k: _without(v, broken, (*at, k)) for k, v in data.items() if (*at, k) not in broken}
    if isinstance(data, list):
        kept = [(i, v) for i, v in enumerate(data) if (*at, i) not in broken]
        return [_without(v, broken, (*at, i)) for i, v in kept]
    return data


def _pictures(spec: SubjectSpec, place: Where) -> tuple[tuple[str, Where], ...]:
    one = [(spec.reference, (*place, "reference"))] if spec.reference else []
    many = [(f, (*place, "references", i)) for i, f in enumerate(spec.references or [])]
    return (*one, *many)


def _amount(top: ShotListSpec, name: str) -> int | None:
    value = getattr(top.budget, name) if top.budget else None
    return None if value is None else money(value)


def frame_rate(fps: float) -> Fraction:
    """Return `fps` exactly: 23.976, 29.97 and their like mean the NTSC rates n·1000/1001."""
    for rate in NTSC:
        if abs(float(rate) - fps) < 0.005:
            return rate
    return Fraction(fps).limit_denominator(1001)


class _Variables:
    """Fills `${vars.name}` in every string of a document."""

    PATTERN = re.compile(r"\$(\$?)\{([^{}]*)\}")

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        given = reader.doc.data.get("vars")
        self.values: dict[str, Any] = given if isinstance(given, dict) else {}

    def fill(self, data: dict[str, Any]) -> dict[str, Any]:
        return {k: v if k == "vars" else self._walk(v, (k,)) for k, v in data.items()}

    def _walk(self, value: Any, where: Where) -> Any:
        if isinstance(value, dict):
            return {k: self._walk(v, (*where, k)) for k, v in value.items()}
        if isinstance(value, list):
            return [self._walk(v, (*where, i)) for i, v in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = self.PATTERN.fullmatch(value)
        if whole and not whole[1]:
            return self._value(whole[2], where)
        return self.PATTERN.sub(
            lambda m: m[0][1:] if m[1] else str(self._value(m[2], where)), value
        )

    def _value(self, inside: str, where: Where) -> Any:
        prefix, _, name = inside.strip().partition(".")
        if prefix == "vars" and name in self.values:
            value = self.values[name]
            return value if isinstance(value, str | int | float | bool) else ""
        guess = document.suggest(name or prefix, self.values)
        hint = f" Did you mean `${{vars.{guess}}}`?" if guess else ""
        self.reader.broken.add(where)
        self.reader._complain(  # noqa: SLF001  two halves of one reader
            where,
            f"`${{{inside}}}` names no variable.{hint} Only `${{vars.name}}` is filled in;"
            " write `$${` for the characters themselves.",
        )
        return inside or "-"
