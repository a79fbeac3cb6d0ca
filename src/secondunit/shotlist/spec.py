"""What every mapping of a shot list has in common: its base, plain kinds of words, and money."""

from __future__ import annotations

import re
import unicodedata
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

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


RATIO_WORDS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
SHOT_ID = re.compile(r"[^\W_][\w .'()#&+-]{0,63}")
RATIO = r"[1-9][0-9]{0,4}:[1-9][0-9]{0,4}"


def fail(kind: str, message: str) -> PydanticCustomError:
    """Return the error that says `message`, to be raised by a validator."""
    return PydanticCustomError(kind, message.replace("{", "{{").replace("}", "}}"))


def told(value: Any) -> str:
    """Return a value as a message names it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict) or value is None:
        return "nothing" if value is None else "a list" if isinstance(value, list) else "a mapping"
    return f"{str(value)[:40]!r}" if isinstance(value, str) else f"{value:g}"


def label(value: Any) -> Any:
    """Take a number for the name it is meant as: `scene: 1`, `title: 1917`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole else value


def without_notes(mapping: Any) -> Any:
    """Return a mapping without the user's own keys, which begin with `x-`."""
    if not isinstance(mapping, dict):
        return mapping
    return {k: v for k, v in mapping.items() if not str(k).startswith("x-")}


class ByName:
    """Marks a mapping whose keys are names that the author gives; `x-…` keys are none of them."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core), "patternProperties": {"^x-": {}}}


class OneOrMany:
    """Marks a list of which a single item may stand alone, as `as_list` takes it."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        return {"anyOf": [schema, schema["items"]]}


def as_list(value: Any) -> Any:
    """Return what stands alone as a list of one; nothing stays nothing."""
    return value if isinstance(value, list) or value is None else [value]


def _ratio(value: str) -> str:
    if not re.fullmatch(RATIO, value):
        raise fail(
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
        raise fail(
            "shot_id",
            f"{value[:70]!r} cannot be a shot's name. Begin with a letter or digit; use letters,"
            " digits, spaces and _ - . # ' ( ) & +, at most 64 in all.",
        )
    return value


def _credits(value: str) -> str:
    if money(value) is None:
        raise fail(
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
Label = Annotated[Line, BeforeValidator(label), WithJsonSchema({"type": ["string", "integer"]})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True)]
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
    BeforeValidator(label),
    WithJsonSchema({"type": ["string", "integer"], "description": "A shot's name"}),
]
Seconds = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]
Instant = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)]


class Spec(BaseModel):
    """Base of every mapping in a shot list: unknown keys are errors, `x-…` keys are the user's."""

    # built at first use, so that commands which read no shot list do not wait for it
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

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
        whole = handler.resolve_ref_schema(schema)
        whole["patternProperties"] = {"^x-": {}}
        means = whole["properties"].get(cls.text_means, {})
        text = {"enum": means["enum"]} if "enum" in means else {"type": "string", "minLength": 1}
        short = [text] if cls.text_means else []
        return {"anyOf": [*short, *cls.also, schema]} if short or cls.also else schema
