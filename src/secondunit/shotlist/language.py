"""The format itself: what a shot list may say, as models; the JSON Schema is generated from here."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from secondunit.shotlist.audio import AudioSpec, Level
from secondunit.shotlist.cutting import (
    CutSpec,
    Deliverables,
    Dialogue,
    Handles,
    LowerThirdSpec,
    Speed,
    TitleSpec,
    TransitionSpec,
)
from secondunit.shotlist.office import NoticeSpec, ReviewSpec, ScheduleSpec
from secondunit.shotlist.spec import (
    Amount,
    ByName,
    File,
    Instant,
    Label,
    Line,
    Ratio,
    Seconds,
    ShotId,
    ShotLabel,
    Spec,
    Text,
    fail,
    without_notes,
)

VERSION = 1
SEED_LIMIT = 4294967295
MAX_REFERENCES = 3
MAX_TAKES = 10
TAG = re.compile(r"[a-z][a-z0-9_]{2,15}")

# Keys that belong to the format and that this version cannot carry out yet, by model.
LATER: dict[str, frozenset[str]] = {
    spec: frozenset(keys.split())
    for spec, keys in {
        "ShotSpec": "last_frame restyle_first_frame performance chain chunk",
        "ProfileSpec": "performance upscale",
    }.items()
}


def _tag(value: str) -> str:
    if not TAG.fullmatch(value.lower()):
        raise fail(
            "tag",
            f"{value[:40]!r} cannot be a tag. A tag has 3 to 16 letters, digits or _, and begins"
            " with a letter.",
        )
    return value.lower()


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise fail("scalar", "a variable is a text, a number, true or false.")
    return value


VarValue = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
TagName = Annotated[str, AfterValidator(_tag)]
Seed = Annotated[int, Field(ge=0, le=SEED_LIMIT)]
TakeNumber = Annotated[int, Field(ge=1, le=MAX_TAKES)]


class ReferenceSpec(Spec):
    """A picture that says what a shot should look like; `tag` names it in the prompt as @tag."""

    text_means = "file"
    file: File
    tag: TagName | None = None


class FirstFrameSpec(Spec):
    """The exact opening picture: a file, a prompt for a still, or a frame of another shot."""

    text_means = "file"
    file: File | None = None
    prompt: Text | None = None
    from_: Annotated[
        str | None,
        Field(
            alias="from", description="`sh010.last` or `sh010.first`", pattern=r".+\.(last|first)$"
        ),
    ] = None

    @model_validator(mode="after")
    def _one_origin(self) -> FirstFrameSpec:
        given = [n for n in ("file", "prompt", "from_") if getattr(self, n) is not None]
        if len(given) != 1:
            raise fail("first_frame", "a first frame has one of `file`, `prompt` or `from`.")
        return self


class TrimSpec(Spec):
    """The part of the clip that is used: `in` and `out` in seconds, or a list of the two."""

    also = (
        {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2},
    )
    in_: Annotated[Instant, Field(alias="in")] = 0.0
    out: Seconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, data: Any) -> Any:
        if isinstance(data, list) and len(data) == 2:
            return {"in": data[0], "out": data[1]}
        return data

    @model_validator(mode="after")
    def _forward(self) -> TrimSpec:
        if self.out is not None and self.out <= self.in_:
            raise fail(
                "trim", f"a trim ends after it begins; {self.in_:g} to {self.out:g} does not."
            )
        return self


class ShotSpec(Spec):
    """One shot; a string is a shot with that prompt. `null` removes what `defaults` would set."""

    text_means = "prompt"

    shot: ShotLabel | None = None
    prompt: Text | None = None
    subject: Text | None = None
    action: Text | None = None
    size: Line | None = None
    angle: Line | None = None
    lens: Line | None = None
    camera: Text | None = None
    environment: Text | None = None
    lighting: Text | None = None
    mood: Text | None = None
    style: Text | None = None
    location: TagName | None = None
    look: TagName | None = None
    first_frame: FirstFrameSpec | None = None
    reference: ReferenceSpec | None = None
    references: Annotated[list[ReferenceSpec], Field(max_length=MAX_REFERENCES)] | None = None
    reference_as: Literal["look", "first_frame"] | None = None
    source: (
        Annotated[File, Field(description="The video to edit: a file or another shot")] | None
    ) = None
    continues: ShotLabel | None = None
    clip: Annotated[File, Field(description="Use this file as it is; costs nothing")] | None = None
    seed: Seed | None = None
    takes: Annotated[TakeNumber, Field(description="How often it is shot, seed by seed")] | None = (
        None
    )
    circled: Annotated[TakeNumber, Field(description="The one take that is wanted")] | None = None
    ratio: Ratio | None = None
    duration: Seconds | None = None
    model: Line | None = None
    moderation: Literal["auto", "low"] | None = None
    trim: TrimSpec | None = None
    speed: Speed | None = None
    handles: Handles | None = None
    transition: TransitionSpec | None = None
    sound: Level | None = None
    title: TitleSpec | None = None
    lower_third: LowerThirdSpec | None = None
    dialogue: Dialogue | None = None
    omit: bool | None = None
    notes: Text | None = None
    tags: list[Label] | None = None


class SubjectSpec(Spec):
    """A member of the cast, a location or a look: what it is, and pictures of it."""

    text_means = "description"
    description: Text | None = None
    reference: File | None = None
    references: Annotated[list[File], Field(max_length=MAX_REFERENCES)] | None = None


Subjects = Annotated[dict[TagName, SubjectSpec], BeforeValidator(without_notes), ByName]


class ProfileSpec(Spec):
    """Which model does which kind of work, and how often each shot is shot."""

    still: Line | None = None
    video: Line | None = None
    edit: Line | None = None
    takes: TakeNumber | None = None


Profiles = Annotated[dict[Line, ProfileSpec], BeforeValidator(without_notes), ByName]


class BudgetSpec(Spec):
    """What may be spent: `cap` on this film in all, `per_shot` on any one shot."""

    cap: Amount | None = None
    per_shot: Amount | None = None


Notices = Annotated[
    list[NoticeSpec],
    BeforeValidator(lambda v: v if isinstance(v, list) else [v]),
    WithJsonSchema(
        {"anyOf": [{"type": "array"}, {"type": "string"}, {"type": "object"}]},
    ),
]


def _list_or_mapping(value: Any) -> str:
    return "list" if isinstance(value, list) else "mapping"


Shots = Annotated[
    Annotated[list[ShotSpec], Tag("list")]
    | Annotated[dict[ShotId, ShotSpec], BeforeValidator(without_notes), ByName, Tag("mapping")],
    Discriminator(_list_or_mapping),
    Field(description="The shots in film order: a list, or a mapping from name to shot"),
]


class SceneSpec(Spec):
    """Shots that share a place and a mood."""

    scene: Label | None = None
    slugline: Line | None = None
    location: TagName | None = None
    look: TagName | None = None
    mood: Text | None = None
    defaults: ShotSpec | None = None
    notes: Text | None = None
    shots: Shots


class ShotListSpec(Spec):
    """A Second Unit shot list."""

    version: Literal[1] = 1
    title: Label | None = None
    slate: Label | None = None
    gateway: Literal["backlot", "runway", "cometapi"] | None = None
    fps: Annotated[float, Field(ge=1, le=120, allow_inf_nan=False)] | None = None
    ratio: Ratio | None = None
    vars: dict[str, VarValue] | None = None
    defaults: ShotSpec | None = None
    cast: Subjects | None = None
    locations: Subjects | None = None
    looks: Subjects | None = None
    profiles: Annotated[dict[Line, ProfileSpec], BeforeValidator(without_notes), ByName] | None = (
        None
    )
    quality: Line | None = None
    budget: BudgetSpec | None = None
    cut: CutSpec | None = None
    audio: AudioSpec | None = None
    deliverables: Deliverables | None = None
    schedule: ScheduleSpec | None = None
    review: ReviewSpec | None = None
    notify: Notices | None = None
    notes: Text | None = None
    tags: list[Label] | None = None
    shots: Shots | None = None
    scenes: list[SceneSpec] | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a shot list, draft 2020-12."""
    schema = ShotListSpec.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Second Unit shot list",
        "anyOf": [{"required": ["shots"]}, {"required": ["scenes"]}],
    }
