"""The cut and the deliverables, as models: what is done with clips once they are there.

None of it is sent to anybody and none of it costs a credit.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from secondunit.shotlist.audio import Moment
from secondunit.shotlist.spec import (
    ByName,
    File,
    Instant,
    Line,
    OneOrMany,
    Ratio,
    Seconds,
    ShotLabel,
    Spec,
    Text,
    as_list,
    fail,
    label,
    told,
    without_notes,
)

COLOURS = {
    "black": "#000000", "white": "#ffffff", "grey": "#808080", "gray": "#808080",
    "silver": "#c0c0c0", "red": "#ff0000", "orange": "#ffa500", "yellow": "#ffff00",
    "green": "#008000", "teal": "#008080", "blue": "#0000ff", "navy": "#000080",
    "purple": "#800080", "maroon": "#800000", "brown": "#a52a2a",
}  # fmt: skip
BIT_RATES = (10_000, 400_000_000)  # bits a second
RESERVED = ("draft", "stills", "manifest")
"""What no deliverable is called, because files of a film are."""

PICTURES = ("poster", "contact_sheet")
GRADED = ("h264", "hevc", "vp9", "av1")
"""Formats that are told how well or how large they are to be."""

_SPEAKER = re.compile(r"(?P<speaker>[^\W\d_][^:\n]{0,39}):\s+(?P<text>\S.*)", re.DOTALL)
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kM]?)")


def _colour(value: str) -> str:
    short = re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])", value.lower())
    if short:
        return "#" + "".join(digit * 2 for digit in short.groups())
    if re.fullmatch(r"#[0-9a-f]{6}", value.lower()):
        return value.lower()
    if value.lower() not in COLOURS:
        raise fail(
            "colour",
            f"{value[:40]!r} is no colour here. Write '#rrggbb' in quotes, or one of"
            f" {', '.join(name for name in COLOURS if name != 'gray')}.",
        )
    return COLOURS[value.lower()]


def bits(value: float | str) -> int | None:
    """Return a bit rate in bits a second: a number of them, or `500k`, `8M`; None if it is none."""
    if isinstance(value, bool):
        return None
    match = _RATE.fullmatch(str(value))
    if not match:
        return None
    return round(float(match[1]) * {"": 1, "k": 1000, "M": 1_000_000}[match[2]])


def _bits(value: Any) -> Any:
    rate = bits(value) if isinstance(value, int | float | str) else None
    if rate is None or not BIT_RATES[0] <= rate <= BIT_RATES[1]:
        raise fail(
            "bit_rate",
            f"{told(value)} is no bit rate. Write bits a second from 10k to 400M, such as 8M.",
        )
    return rate


def _file_word(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", value):
        raise fail(
            "deliverable",
            f"{value[:50]!r} cannot name a file. Use letters, digits, _ and -, at most 40.",
        )
    if value.lower() in RESERVED:
        raise fail("deliverable", f"a film has a file called `{value}` already. Choose another.")
    return value


Colour = Annotated[
    str,
    AfterValidator(_colour),
    WithJsonSchema(
        {
            "type": "string",
            "description": "'#rrggbb' in quotes, or a name such as black or white",
            "examples": [*COLOURS],
        }
    ),
]
BitRate = Annotated[
    Any,
    AfterValidator(_bits),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": BIT_RATES[0], "maximum": BIT_RATES[1]},
                {"type": "string"},
            ],
            "description": "Bits a second: 8M, 500k, 8000000",
        }
    ),
]
Handles = Annotated[
    float,
    Field(ge=0, le=60, description="Seconds kept out at both ends, for transitions to use"),
]
Speed = Annotated[float, Field(ge=0.25, le=4, description="2 is twice as fast")]
Safe = Annotated[
    float, Field(ge=0, le=0.3, description="Share of every side that words keep clear of")
]
Fit = Literal["pad", "crop", "blur"]
Captions = Literal["file", "burn", "both", "none"]
DeliverableName = Annotated[str, AfterValidator(_file_word)]
CardLine = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
ShotRange = Annotated[
    Line,
    BeforeValidator(label),
    WithJsonSchema(
        {"type": ["string", "integer"], "description": "A shot's name, or `sh010..sh050`"}
    ),
]


class TransitionSpec(Spec):
    """How one shot gives way to the next; `duration` in seconds, of a fade on either side of it."""

    text_means = "type"
    type: Literal["cut", "fade", "dissolve", "wipe", "slide", "dip"]
    duration: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] | None = None
    colour: Colour = "#000000"
    towards: Literal["left", "right", "up", "down"] = "left"

    @model_validator(mode="after")
    def _sensible(self) -> TransitionSpec:
        kind, given = self.type, self.model_fields_set
        if kind == "cut" and self.duration:
            raise fail("transition", "a cut takes no time. Take `duration` out, or use another.")
        if kind != "cut" and self.duration == 0:
            raise fail(
                "transition", f"a {kind} of 0 s shows nothing. Give it a `duration`, or use `cut`."
            )
        if "colour" in given and kind not in ("fade", "dip"):
            raise fail("transition", f"a {kind} has no colour; `fade` and `dip` go through one.")
        if "towards" in given and kind not in ("wipe", "slide"):
            raise fail("transition", f"a {kind} moves nowhere; `wipe` and `slide` do.")
        return self


def _closing(ending: TransitionSpec) -> TransitionSpec:
    if ending.type not in ("fade", "cut"):
        raise fail("ending", f"a film ends by `fade` or `cut`; a {ending.type} leads on.")
    return ending


class CardSpec(Spec):
    """Words on a plain ground, `before` or `after` a shot; `transition` leads to the card."""

    text: Text | None = None
    lines: Annotated[list[CardLine], Field(min_length=1, max_length=40)] | None = None
    before: ShotLabel | None = None
    after: ShotLabel | None = None
    duration: Seconds = 3.0
    colour: Colour = "#ffffff"
    background: Colour = "#000000"
    transition: TransitionSpec | None = None

    @model_validator(mode="after")
    def _placed(self) -> CardSpec:
        if (self.text is None) == (self.lines is None):
            raise fail("card", "a card has `text`, or `lines`: one of the two.")
        if (self.before is None) == (self.after is None):
            raise fail("card", "a card stands `before` a shot or `after` one: say which.")
        return self


class CutSpec(Spec):
    """How the shots become a film. `transition` leads from each shot to the next."""

    transition: TransitionSpec | None = None
    order: Annotated[list[ShotRange], Field(min_length=1)] | None = None
    handles: Handles | None = None
    cards: list[CardSpec] | None = None
    captions: Captions = "file"
    slate: Annotated[bool, Field(description="Shot, take, model and seed in a corner")] = False
    font: File | None = None
    fit: Fit = "pad"
    safe: Safe = 0.05
    ending: Annotated[TransitionSpec, AfterValidator(_closing)] | None = None


class TitleSpec(Spec):
    """Words over the picture of a shot: from `at` on, `for` so many seconds, or to its end."""

    text_means = "text"
    text: Text
    at: Instant = 0.0
    for_: Annotated[Seconds | None, Field(alias="for")] = None


class LowerThirdSpec(Spec):
    """Who is seen, and below it what they are; `at` and `for` in seconds."""

    text_means = "name"
    name: Line
    role: Line | None = None
    at: Instant = 0.0
    for_: Annotated[Seconds | None, Field(alias="for")] = None


class SpokenSpec(Spec):
    """A line that is spoken: a text, `NAME: text`, or with its times in seconds."""

    text_means = "text"
    also: ClassVar[tuple[dict[str, Any], ...]] = (
        {
            "type": "object",
            "patternProperties": {"^[^a-z]+$": {"type": "string", "minLength": 1}},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    )
    text: Text
    speaker: Line | None = None
    at: Instant | None = None
    for_: Annotated[Seconds | None, Field(alias="for")] = None

    @model_validator(mode="before")
    @classmethod
    def _who(cls, data: Any) -> Any:
        """Take `NAME: text`, as a text and as what YAML makes of it, for who says what."""
        said = {"text": data} if isinstance(data, str) else without_notes(data)
        if not isinstance(said, dict):
            return data
        if len(said) == 1 and str(next(iter(said))).isupper():
            speaker, text = next(iter(said.items()))
            return {"text": text, "speaker": speaker}
        match = _SPEAKER.fullmatch(text) if isinstance(text := said.get("text"), str) else None
        if match and match["speaker"].isupper() and "speaker" not in said:
            return {**said, "text": match["text"], "speaker": match["speaker"]}
        return said


Dialogue = Annotated[
    list[SpokenSpec], BeforeValidator(as_list), OneOrMany, Field(max_length=200)
]  # fmt: skip


class DeliverableSpec(Spec):
    """A file made of the film beside the film itself; what is left out is as the film has it."""

    text_means = "format"
    format: Literal[
        "h264", "hevc", "vp9", "av1", "prores", "gif", "poster", "contact_sheet"
    ] = "h264"  # fmt: skip
    ratio: Ratio | None = None
    height: Annotated[int, Field(ge=16, le=2160)] | None = None
    fps: Annotated[float, Field(ge=1, le=120, allow_inf_nan=False)] | None = None
    fit: Fit | None = None
    crf: Annotated[int, Field(ge=0, le=63, description="Quality: less is better")] | None = None
    bit_rate: BitRate | None = None
    captions: Captions | None = None
    safe: Safe | None = None
    at: Annotated[Moment | None, Field(description="The moment of a poster, in seconds")] = None

    @model_validator(mode="after")
    def _sensible(self) -> DeliverableSpec:
        if self.crf is not None and self.bit_rate is not None:
            raise fail("deliverable", "`crf` and `bit_rate` contradict each other. Keep one.")
        name = "crf" if self.crf is not None else "bit_rate" if self.bit_rate is not None else ""
        if name and self.format not in GRADED:
            raise fail("deliverable", f"{self.format} knows no `{name}`. Take it out.")
        if self.crf is not None and self.crf > 51 and self.format in ("h264", "hevc"):
            raise fail("deliverable", f"{self.format} knows a `crf` from 0 to 51.")
        if self.at is not None and self.format != "poster":
            raise fail("deliverable", "`at` is the moment of a poster; this is none.")
        if self.fps is not None and self.format in PICTURES:
            raise fail("deliverable", f"a {self.format} stands still. Take `fps` out.")
        if self.height is not None and self.height % 2:
            raise fail("deliverable", f"a height has to be even; {self.height} is not.")
        return self


Deliverables = Annotated[
    dict[DeliverableName, DeliverableSpec], BeforeValidator(without_notes), ByName
]
