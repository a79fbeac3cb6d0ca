"""The film's sound, as models: what lies under the picture, and how loud all of it is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from secondunit.shotlist.spec import File, OneOrMany, ShotLabel, Spec, as_list, fail, told

LEVELS = (-60.0, 24.0)  # dB


def _level(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("keep", "mute") or (number and LEVELS[0] <= value <= LEVELS[1]):
        return value
    raise fail(
        "level",
        f"{told(value)} is no level. Write `keep`, `mute`, or decibels from {LEVELS[0]:g} to"
        f" {LEVELS[1]:g}, such as -6.",
    )


def _duck(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, bool) or (number and 0 <= value <= 60):
        return value
    raise fail(
        "duck",
        f"{told(value)} is not by how much. Write decibels from 0 to 60, or `false` for not.",
    )


def _loudness(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "off" or (number and -40 <= value <= -5):
        return value
    raise fail(
        "loudness",
        f"{told(value)} is no loudness. Write LUFS from -40 to -5 (-14 for the web, -23 for"
        " broadcast), or `off`.",
    )


Level = Annotated[
    Any,
    AfterValidator(_level),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["keep", "mute"]},
                {"type": "number", "minimum": LEVELS[0], "maximum": LEVELS[1]},
            ],
            "description": "keep, mute, or decibels such as -6",
        }
    ),
]
Duck = Annotated[
    Any,
    AfterValidator(_duck),
    WithJsonSchema(
        {
            "anyOf": [{"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 60}],
            "description": "By how many dB it gives way while somebody speaks",
        }
    ),
]
Loudness = Annotated[
    Any,
    AfterValidator(_loudness),
    WithJsonSchema(
        {
            "anyOf": [{"const": "off"}, {"type": "number", "minimum": -40, "maximum": -5}],
            "description": "Of the whole film, in LUFS: -14 for the web, -23 for broadcast",
        }
    ),
]
Gain = Annotated[float, Field(ge=LEVELS[0], le=LEVELS[1], allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class SoundSpec(Spec):
    """A file laid under the film: `at` seconds into it, or into `shot`, `from` a place in the file.

    `for` says how long, `gain` in dB how loud, `duck` by how many dB it gives way to voices.
    """

    text_means = "file"
    file: File
    at: Annotated[float, Field(ge=-600, le=86_400, allow_inf_nan=False)] = 0.0
    shot: ShotLabel | None = None
    from_: Annotated[Moment, Field(alias="from")] = 0.0
    for_: Annotated[Length | None, Field(alias="for")] = None
    gain: Gain = 0.0
    fade_in: Moment = 0.0
    fade_out: Moment = 0.0
    loop: bool = False
    duck: Duck | None = None

    @model_validator(mode="after")
    def _inside(self) -> SoundSpec:
        if self.at < 0 and self.shot is None:
            raise fail("sound", "the film begins at 0 s. Only before a `shot` there is room.")
        return self


Sounds = Annotated[
    list[SoundSpec], BeforeValidator(as_list), OneOrMany, Field(max_length=200)
]  # fmt: skip


class AudioSpec(Spec):
    """The film's sound: what lies under it, and how loud the shots and the whole are."""

    music: Sounds | None = None
    ambience: Sounds | None = None
    voice_over: Sounds | None = None
    clips: Level | None = None
    loudness: Loudness | None = None
    peak: Annotated[float, Field(ge=-20, le=0, description="True peak at most, in dBTP")] = -1.0
