"""The format itself: what a shot list may say, as models; the JSON Schema is generated from here."""

from __future__ import annotations

import re
import unicodedata
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

VERSION = 1
SEED_LIMIT = 4294967295
MAX_REFERENCES = 3
RATIO_WORDS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
SHOT_ID = re.compile(r"[^\W_][\w .'()#&+-]{0,63}")
TAG = re.compile(r"[a-z][a-z0-9_]{2,15}")
RATIO = r"[1-9][0-9]{0,4}:[1-9][0-9]{0,4}"

# Keys that belong to the format and that this version cannot carry out yet, by model.
LATER: dict[str, frozenset[str]] = {
    spec: frozenset(keys.split())
    for spec, keys in {
        "ShotListSpec": "audio deliverables schedule review notify",
        "ShotSpec": "last_frame restyle_first_frame performance takes handles chain chunk circled"
        " speed dialogue",
        "ProfileSpec": "performance takes upscale",
        "CutSpec": "order titles handles cards duration",
    }.items()
}
LATER_TRANSITIONS = frozenset({"dissolve", "fade", "wipe", "slide", "dip"})


def _fail(kind: str, message: str) -> PydanticCustomError:
    return PydanticCustomError(kind, message.replace("{", "{{").replace("}", "}}"))


def _ratio(value: str) -> str:
    if not re.fullmatch(RATIO, value):
        raise _fail(
            "ratio",
            f"{value[:40]!r} is not a ratio. Write one of {', '.join(RATIO_WORDS)},"
            " or pixels such as 1280:720.",
        )
    return value


def _shot_id(value: str) -> str:
    value = unicodedata.normalize("NFC", value)
    # marks over and under letters are no letters to `\w`, and Hindi or Thai cannot do without
    bare = "".join(c for c in value if not unicodedata.category(c).startswith("M"))
    if not SHOT_ID.fullmatch(bare) or value != value.strip() or len(value) > 64:
        raise _fail(
            "shot_id",
            f"{value[:70]!r} cannot be a shot's name. Begin with a letter or digit; use letters,"
            " digits, spaces and _ - . # ' ( ) & +, at most 64 in all.",
        )
    return value


def _tag(value: str) -> str:
    if not TAG.fullmatch(value.lower()):
        raise _fail(
            "tag",
            f"{value[:40]!r} cannot be a tag. A tag has 3 to 16 letters, digits or _, and begins"
            " with a letter.",
        )
    return value.lower()


def _label(value: Any) -> Any:
    """Take a number for the name it is meant as: `scene: 1`, `title: 1917`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


def without_notes(mapping: Any) -> Any:
    """Return a mapping without the user's own keys, which begin with `x-`."""
    if not isinstance(mapping, dict):
        return mapping
    return {k: v for k, v in mapping.items() if not str(k).startswith("x-")}


class _ByName:
    """Marks a mapping whose keys are names that the author gives; `x-…` keys are none of them."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "patternProperties": {"^x-": {}}}


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise _fail("scalar", "a variable is a text, a number, true or false.")
    return value


def _credits(value: str) -> str:
    if money(value) is None:
        raise _fail(
            "money",
            f'{value[:40]!r} is not an amount. Write credits (500) or dollars ("$5", "5 USD").',
        )
    return value


def money(value: float | str, *, up: bool = False) -> int | None:
    """Return an amount in whole credits ($0.01 each); None if it is not an amount.

    What may be spent is rounded down, a price `up`. A bare number means credits, the smaller of the
    two readings, so that a misunderstanding stops a run instead of paying for it.
    """
    whole = ceil if up else int
    if isinstance(value, int | float):
        return whole(value) if value >= 0 else None
    match = re.fullmatch(
        r"\s*(?P<sign>\$)?\s*(?P<number>[0-9]{1,9}(?:\.[0-9]{1,4})?)\s*(?P<unit>usd|credits?)?\s*",
        value,
        re.IGNORECASE,
    )
    if not match or (match["sign"] and (match["unit"] or "").startswith("credit")):
        return None
    dollars = match["sign"] or (match["unit"] or "").lower() == "usd"
    return whole(round(float(match["number"]) * (100 if dollars else 1), 6))


Line = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Label = Annotated[Line, BeforeValidator(_label), WithJsonSchema({"type": ["string", "integer"]})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True)]
File = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
_RATIO_SCHEMA = {
    "type": "string",
    "pattern": f"^{RATIO}$",
    "description": f"{', '.join(RATIO_WORDS)}, or pixels such as 1280:720",
    "examples": [*RATIO_WORDS],
}
Ratio = Annotated[str, AfterValidator(_ratio), WithJsonSchema(_RATIO_SCHEMA)]
ShotId = Annotated[str, AfterValidator(_shot_id)]
ShotLabel = Annotated[
    ShotId,
    BeforeValidator(_label),
    WithJsonSchema({"type": ["string", "integer"], "description": "A shot's name"}),
]
VarValue = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
TagName = Annotated[str, AfterValidator(_tag)]
Seed = Annotated[int, Field(ge=0, le=SEED_LIMIT)]
Seconds = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
Instant = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)]
Amount = Annotated[
    Annotated[int, Field(ge=0), Tag("number")]
    | Annotated[float, Field(ge=0, allow_inf_nan=False), Tag("fraction")]
    | Annotated[str, AfterValidator(_credits), Tag("text")],
    Discriminator(
        lambda v: "text" if isinstance(v, str) else "fraction" if isinstance(v, float) else "number"
    ),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
            "description": 'Credits (500), or dollars ("$5")',
        }
    ),
]


class Spec(BaseModel):
    """Base of every mapping in a shot list: unknown keys are errors, `x-…` keys are the user's."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # The field that a bare string fills, where a string is as good as a mapping.
    text_means: ClassVar[str] = ""
    # JSON Schemas of other short forms.
    also: ClassVar[tuple[dict[str, Any], ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, str) and cls.text_means:
            return {cls.text_means: data}
        return without_notes(data)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let the schema admit what `_read` admits: the short form, and `x-…` keys."""
        schema = handler(core)
        handler.resolve_ref_schema(schema)["patternProperties"] = {"^x-": {}}
        short = [{"type": "string", "minLength": 1}] if cls.text_means else []
        return {"anyOf": [*short, *cls.also, schema]} if short or cls.also else schema


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
            raise _fail("first_frame", "a first frame has one of `file`, `prompt` or `from`.")
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
            raise _fail(
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
    ratio: Ratio | None = None
    duration: Seconds | None = None
    model: Line | None = None
    moderation: Literal["auto", "low"] | None = None
    trim: TrimSpec | None = None
    omit: bool | None = None
    notes: Text | None = None
    tags: list[Label] | None = None


class SubjectSpec(Spec):
    """A member of the cast, a location or a look: what it is, and pictures of it."""

    text_means = "description"
    description: Text | None = None
    reference: File | None = None
    references: Annotated[list[File], Field(max_length=MAX_REFERENCES)] | None = None


Subjects = Annotated[dict[TagName, SubjectSpec], BeforeValidator(without_notes), _ByName]


class ProfileSpec(Spec):
    """Which model does which kind of work."""

    still: Line | None = None
    video: Line | None = None
    edit: Line | None = None


Profiles = Annotated[dict[Line, ProfileSpec], BeforeValidator(without_notes), _ByName]


class CutSpec(Spec):
    """How the shots are joined."""

    transition: Literal["cut"] = "cut"


class BudgetSpec(Spec):
    """What may be spent: `cap` on this film in all, `per_shot` on any one shot."""

    cap: Amount | None = None
    per_shot: Amount | None = None


def _list_or_mapping(value: Any) -> str:
    return "list" if isinstance(value, list) else "mapping"


Shots = Annotated[
    Annotated[list[ShotSpec], Tag("list")]
    | Annotated[dict[ShotId, ShotSpec], BeforeValidator(without_notes), _ByName, Tag("mapping")],
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
    profiles: Annotated[dict[Line, ProfileSpec], BeforeValidator(without_notes), _ByName] | None = (
        None
    )
    quality: Line | None = None
    budget: BudgetSpec | None = None
    cut: CutSpec | None = None
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
