"""What every mapping of a shot list has in common: its base, plain kinds of words, and money."""

from __future__ import annotations

import re
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


def fail(kind: str, message: str) -> PydanticCustomError:
    """Return the error that says `message`, to be raised by a validator."""
    return PydanticCustomError(kind, message.replace("{", "{{").replace("}", "}}"))


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
