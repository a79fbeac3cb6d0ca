"""What pydantic found wrong, said in the author's words, at the author's line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from secondunit.cut.edit import TRANSITIONS
from secondunit.document import suggest
from secondunit.shotlist import audio, cutting, language
from secondunit.shotlist.guesses import ALSO_CALLED, GUESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from secondunit.document import Where

Said = tuple["Where", str, bool]  # where, the sentence, whether it is about the key itself


def explain(error: ValidationError, data: Any, spec: str = "ShotListSpec") -> Iterator[Said]:
    """Yield every problem of `error` as (path in `data`, sentence, is it about the key).

    `spec` names the model that `data` was held against.
    """
    for detail in error.errors(include_url=False):
        where, inner = locate(detail["loc"], data, spec)
        on_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
        yield where, _sentence(detail, inner), on_key


def locate(loc: tuple[str | int, ...], data: Any, spec: str = "ShotListSpec") -> tuple[Where, str]:
    """Return the path within `data` that pydantic's `loc` means, and the model it ended in.

    Pydantic puts the names of union branches into its paths; whatever `data` does not hold is
    such a name, except at the end, where it is a key that is missing.
    """
    where: list[str | int] = []
    here, steps = data, list(loc)
    while steps:
        step = steps.pop(0)
        if step == "[key]":
            break
        if _holds(here, step):
            here = here[step]
            where.append(step)
            spec = "ShotSpec" if spec == "Shots" else _SPECS.get((spec, step), spec)
            if step == "shots" and steps[:1] in (["list"], ["mapping"]):
                del steps[0]
        elif not steps and isinstance(here, dict) and isinstance(step, str):
            where.append(step)
    return tuple(where), spec


def _holds(here: Any, step: str | int) -> bool:
    if isinstance(here, dict):
        return step in here
    return isinstance(here, list) and isinstance(step, int) and step < len(here)


_SPECS: Mapping[tuple[str, str | int], str] = {
    **{("ShotListSpec", kind): "SubjectSpec" for kind in ("cast", "locations", "looks")},
    ("ShotListSpec", "profiles"): "ProfileSpec",
    ("ShotListSpec", "cut"): "CutSpec",
    ("ShotListSpec", "budget"): "BudgetSpec",
    ("ShotListSpec", "scenes"): "SceneSpec",
    ("ShotListSpec", "schedule"): "ScheduleSpec",
    ("ShotListSpec", "review"): "ReviewSpec",
    ("ShotListSpec", "notify"): "NoticeSpec",
    **{(level, "shots"): "Shots" for level in ("ShotListSpec", "SceneSpec")},
    **{(level, "defaults"): "ShotSpec" for level in ("ShotListSpec", "SceneSpec")},
    ("ShotSpec", "first_frame"): "FirstFrameSpec",
    ("ShotSpec", "reference"): "ReferenceSpec",
    ("ShotSpec", "references"): "ReferenceSpec",
    ("ShotSpec", "trim"): "TrimSpec",
    ("ShotSpec", "title"): "TitleSpec",
    ("ShotSpec", "lower_third"): "LowerThirdSpec",
    ("ShotSpec", "dialogue"): "SpokenSpec",
    ("CutSpec", "cards"): "CardSpec",
    ("CutSpec", "ending"): "TransitionSpec",
    **{(level, "transition"): "TransitionSpec" for level in ("ShotSpec", "CutSpec", "CardSpec")},
    **{("AudioSpec", kind): "SoundSpec" for kind in ("music", "ambience", "voice_over")},
    ("ShotListSpec", "audio"): "AudioSpec",
    ("ShotListSpec", "deliverables"): "DeliverableSpec",
}


def _sentence(detail: ErrorDetails, spec: str) -> str:
    kind, ctx, value = detail["type"], detail.get("ctx", {}), detail["input"]
    name = next((str(s) for s in reversed(detail["loc"]) if isinstance(s, str)), "")
    if kind == "extra_forbidden":
        return _unknown(str(detail["loc"][-1]), spec, value)
    if kind == "literal_error":
        return _not_among(value, name, spec, str(ctx["expected"]).replace("'", "`"))
    if kind == "string_type":
        return _not_text(value, name)
    if kind in _WRONG_FORM:
        return _not_in_form(value, name, spec) or f"{_shown(value)} is not {_WRONG_FORM[kind]}."
    if kind in _KINDS:
        shown = {k: f"{v:g}" if isinstance(v, float) else v for k, v in ctx.items()}
        return _KINDS[kind].format(name=name, value=_shown(value), **shown)
    return detail["msg"]


_WORDS = ("TitleSpec", "LowerThirdSpec", "SpokenSpec")
_WRONG_FORM = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "list_type": "a list (`- item`)",
}

_KINDS = {
    "finite_number": "{value} is not a finite number.",
    "greater_than_equal": "{value} is below {ge}, the least there is.",
    "greater_than": "{value} is not above {gt}.",
    "less_than_equal": "{value} is above {le}, the most there is.",
    "string_too_short": "it is empty. Write something, or leave the key out.",
    "string_too_long": "it is longer than {max_length} characters.",
    "too_long": "there are {actual_length}; at most {max_length} are taken.",
    "string_pattern_mismatch": "{value} names no frame. Write `sh010.last` or `sh010.first`, with"
    " the name of a shot.",
    "missing": "`{name}` is missing.",
}


def _unknown(key: str, spec: str, value: Any) -> str:
    if key in language.LATER.get(spec, ()):
        return f"`{key}` belongs to the format but is not built yet. Take it out for now."
    if hint := GUESSES.get(spec, {}).get(_plain(key)):
        return f"unknown field. {hint}"
    known = _fields(spec)
    if spec in {"ShotListSpec", "SceneSpec"} and key in _fields("ShotSpec"):
        return f"unknown field. `{key}` belongs in a shot, or in `defaults` for all of them."
    if spec != "ShotListSpec" and key in _fields("ShotListSpec"):
        return f"unknown field. `{key}` belongs at the top of the file."
    guess = suggest(key, known)
    if guess:
        return f"unknown field. Did you mean `{guess}`?"
    if value is None:
        return (
            "unknown field. Is it text? Inside of `{ }` a comma ends it: put all of it in quotes."
        )
    return f"unknown field. Known here: {', '.join(sorted(known))}."


def _fields(spec: str) -> list[str]:
    model = next(getattr(room, spec) for room in (language, cutting, audio) if hasattr(room, spec))
    return [field.alias or name for name, field in model.model_fields.items()]


def _plain(word: str) -> str:
    return re.sub(r"[-_ ]", "", word).lower()


def _not_among(value: Any, name: str, spec: str, expected: str) -> str:
    if name == "version" and str(value) == str(language.VERSION):
        return f"write `version: {value}`, without quotes."
    if name == "version":
        return (
            f"{_shown(value)} is not a version that this Second Unit reads. It reads version"
            f" {language.VERSION}; write that, or update Second Unit."
        )
    known = re.findall(r"`(\w+)`", expected)
    guess = suggest(value, known) if isinstance(value, str) else None
    other = ALSO_CALLED.get(spec, {}).get(_plain(str(value)))
    guess = guess or (other if other in known else None)
    hint = f"Did you mean `{guess}`?" if guess else f"Write {expected}."
    return f"{_shown(value)} is not known here. {hint}"


def _not_in_form(value: Any, name: str, spec: str) -> str | None:
    """Say what was likely meant by a value of the wrong form, where that can be told."""
    if name == "budget" and not isinstance(value, list):
        return f"write the amount under `cap`: `budget: {{cap: {_shown(value)}}}`."
    if name == "cut" and isinstance(value, str):
        kind = value if value in TRANSITIONS else "cut"
        return f"write the transition under it: `cut: {{transition: {kind}}}`."
    if name == "audio" and spec == "AudioSpec":
        return "say what it is: `audio: {music: sound/theme.wav}`."
    if name == "deliverables":
        return "give each a name: `deliverables: {web: h264}`."
    if spec == "TrimSpec":
        return (
            f"{_shown(value)} is no trim. Write `[1.5, 4]`, or `{{in: 1.5, out: 4}}`, in seconds."
        )
    if spec == "Shots" and isinstance(value, str):
        return "write the shots as a list, each on a line of its own that begins with `- `."
    if spec == "ShotSpec" and value is None and name not in _fields("ShotSpec"):
        return "this shot is empty. Write what is seen, or take it out."
    if spec in _WORDS and isinstance(value, int | float):
        return _not_text(value, name)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return f"{value} is in quotes, which make it text. Take them off."
    return None


def _not_text(value: Any, name: str) -> str:
    if value is None and name in ("colour", "background"):
        return "nothing is left of it: `#` begins a comment. Put it in quotes, such as '#ff8800'."
    if name == "ratio" and isinstance(value, int) and not isinstance(value, bool):
        return (
            f"{value} is what some YAML readers make of a ratio such as 16:9."
            ' Write it in quotes: "16:9".'
        )
    if isinstance(value, dict | list) or value is None:
        return f"{_shown(value)} is not text."
    return f"{_shown(value)} is not text here. Put it in quotes."


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    short = f"{text[:60]}…" if len(text) > 60 else text
    return f"`{short}`" if isinstance(value, str) else short
