"""What pydantic found wrong, said in the author's words, at the author's line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from secondunit.document import suggest
from secondunit.shotlist import language

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from secondunit.document import Where

# Common wrong guesses, from other tools and from the wire format: what to do about them, by model.
# Words stand in lower case and without `_` or `-`.
_SOUND = "Sound belongs under `audio`, which is not built yet. Take it out for now."
_MEANT: Mapping[str, Mapping[str, str]] = {
    "ShotSpec": {
        "Write `prompt`.": "prompttext text description desc",
        "Write `reference` for what it should look like, or `first_frame` to open on it.": (
            "image picture photo imageurl promptimage file"
        ),
        "Write `reference`.": "ref stylereference referenceimage",
        "Write `references`.": "refs images referenceimages keyframes",
        "Write `first_frame`.": "startframe startimage initimage",
        "That is `last_frame`, which is not built yet. Take it out for now.": (
            "endframe endimage lastimage"
        ),
        "Write `source` to edit it, or `clip` to use it as it is.": (
            "video videourl videouri promptvideo input footage"
        ),
        "Write `ratio`, such as 16:9.": "aspectratio aspect format",
        "Write `ratio`, such as 1280:720.": "width height resolution",
        "Write `duration`, in seconds.": "length seconds secs frames",
        "Write `camera`.": "cameramotion cameramove movement motion",
        "Write `size`.": "shotsize framing",
        "Write `moderation`.": "contentmoderation publicfigurethreshold",
        "Write `omit`.": "skip disabled",
        "Write `shot`, or make `shots` a mapping from name to shot.": "id name slug title",
        "Name who it is under `cast`, at the top of the file, and write @name in the prompt.": (
            "character characters person"
        ),
        "Write it under `cut`, at the top of the file.": "transition",
        "Say in `prompt` what should be seen instead.": "negativeprompt",
        "There is no type: what is made follows from what is given.": "type",
        "There is none: it follows from `continues`, `source` and `first_frame`.": (
            "dependson waitfor after needs"
        ),
        _SOUND: "audio voice sound music",
    },
    "ShotListSpec": {
        "Write `title`.": "name film project",
        "Write `shots`, or `scenes` that hold them.": "shot scene clips sequence steps",
        "Write `ratio`, such as 16:9.": "aspectratio aspect resolution",
        "Write `fps`.": "framerate",
        "Write `cast`.": "characters actors people",
        "Write `vars`.": "variables params",
        "Write `gateway`.": "provider api service backend",
        "Write them under `profiles`, or `model` under `defaults`.": "model models",
        "Write it under `notes`.": "description author comment",
        "Write it under `cut`.": "transition",
        "The film goes to films/ beside the shot list; `--out` moves it.": "output out outputdir",
        _SOUND: "music sound soundtrack voiceover",
    },
    "SceneSpec": {"Write `scene`.": "name title id", "Write `slugline`.": "heading description"},
    "SubjectSpec": {
        "Write `description`.": "prompt desc text",
        "Write `reference`.": "image images file picture",
    },
    "ReferenceSpec": {"Write `file`.": "image uri path url"},
    "FirstFrameSpec": {"Write `file`.": "image uri path url"},
    "TrimSpec": {"Write `in`.": "start begin", "Write `out`.": "end"},
    "BudgetSpec": {"Write `cap`.": "limit max total"},
    "ProfileSpec": {"Write `still`.": "image"},
    "ScheduleSpec": {
        "Write `every`.": "interval period repeat",
        "Write `timezone`.": "tz zone",
        "Write `cron`.": "at time when",
        "Write `starts`.": "anchor start begin",
        "Write `budget`.": "cap limit max",
        "Write `paused: true`.": "enabled active disabled",
    },
    "NoticeSpec": {
        "Write `to`, with a name from your settings.": "slack webhook email mail url channel",
        "Write `on`.": "events event when",
    },
}
GUESSES: Mapping[str, Mapping[str, str]] = {
    spec: {word: hint for hint, words in hints.items() for word in words.split()}
    for spec, hints in _MEANT.items()
}

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
        elif not steps and isinstance(here, dict):
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
}


def _sentence(detail: ErrorDetails, spec: str) -> str:
    kind, ctx, value = detail["type"], detail.get("ctx", {}), detail["input"]
    name = next((str(s) for s in reversed(detail["loc"]) if isinstance(s, str)), "")
    if kind == "extra_forbidden":
        return _unknown(str(detail["loc"][-1]), spec, value)
    if kind == "literal_error":
        return _not_among(value, name, str(ctx["expected"]).replace("'", "`"))
    if kind == "string_type":
        return _not_text(value, name)
    if kind in _WRONG_FORM:
        return _not_in_form(value, name, spec) or f"{_shown(value)} is not {_WRONG_FORM[kind]}."
    if kind in _KINDS:
        shown = {k: f"{v:g}" if isinstance(v, float) else v for k, v in ctx.items()}
        return _KINDS[kind].format(name=name, value=_shown(value), **shown)
    return detail["msg"]


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
    if hint := GUESSES.get(spec, {}).get(re.sub(r"[-_ ]", "", key).lower()):
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
    model = getattr(language, spec)
    return [field.alias or name for name, field in model.model_fields.items()]


def _not_among(value: Any, name: str, expected: str) -> str:
    if name == "version" and str(value) == str(language.VERSION):
        return f"write `version: {value}`, without quotes."
    if name == "version":
        return (
            f"{_shown(value)} is not a version that this Second Unit reads. It reads version"
            f" {language.VERSION}; write that, or update Second Unit."
        )
    if name == "transition" and value in language.LATER_TRANSITIONS:
        return f"the transition `{value}` is not built yet. Use `cut` for now."
    guess = suggest(value, re.findall(r"`(\w+)`", expected)) if isinstance(value, str) else None
    hint = f"Did you mean `{guess}`?" if guess else f"Write {expected}."
    return f"{_shown(value)} is not known here. {hint}"


def _not_in_form(value: Any, name: str, spec: str) -> str | None:
    """Say what was likely meant by a value of the wrong form, where that can be told."""
    if name == "budget" and not isinstance(value, list):
        return f"write the amount under `cap`: `budget: {{cap: {_shown(value)}}}`."
    if name == "cut" and isinstance(value, str):
        return "write the transition under it: `cut: {transition: cut}`."
    if spec == "TrimSpec":
        return (
            f"{_shown(value)} is no trim. Write `[1.5, 4]`, or `{{in: 1.5, out: 4}}`, in seconds."
        )
    if spec == "Shots" and isinstance(value, str):
        return "write the shots as a list, each on a line of its own that begins with `- `."
    if spec == "ShotSpec" and value is None and name not in _fields("ShotSpec"):
        return "this shot is empty. Write what is seen, or take it out."
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return f"{value} is in quotes, which make it text. Take them off."
    return None


def _not_text(value: Any, name: str) -> str:
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
