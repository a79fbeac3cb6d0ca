"""What pydantic found wrong, said in the author's words, at the author's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secondunit import language
from secondunit.document import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from secondunit.document import Where

# Common wrong guesses, from other tools and from the wire format.
GUESSES = {
    "aspect_ratio": "Write `ratio`, such as 16:9.",
    "aspectratio": "Write `ratio`, such as 16:9.",
    "image": "Write `reference` for what it should look like, or `first_frame` to open on it.",
    "images": "Write `references`.",
    "ref": "Write `reference`.",
    "refs": "Write `references`.",
    "promptimage": "Write `first_frame` to open on it, or `reference` for what it should look like.",
    "video": "Write `source` to edit it, or `clip` to use it as it is.",
    "videouri": "Write `source`.",
    "prompttext": "Write `prompt`.",
    "text": "Write `prompt`.",
    "description": "Write `prompt`.",
    "length": "Write `duration`, in seconds.",
    "seconds": "Write `duration`.",
    "type": "There is no type: what is made follows from what is given.",
    "depends_on": "There is none: it follows from `continues`, `source` and `first_frame`.",
    "wait_for": "There is none: it follows from `continues`, `source` and `first_frame`.",
    "negative_prompt": "Say in `prompt` what should be seen instead.",
    "id": "Write `shot`, or make `shots` a mapping from name to shot.",
    "name": "Write `shot`, or make `shots` a mapping from name to shot.",
    "resolution": "Write `ratio`, in pixels such as 1280:720.",
    "output": "The film goes to films/ beside the shot list; `--out` moves it.",
    "style_reference": "Write `reference`.",
    "transition": "Write it under `cut`.",
    "provider": "Write `gateway`.",
}

Said = tuple["Where", str, bool]  # where, the sentence, whether it is about the key itself


def explain(error: ValidationError, data: Any) -> Iterator[Said]:
    """Yield every problem of `error` as (path in `data`, sentence, is it about the key)."""
    for detail in error.errors(include_url=False):
        where, spec = locate(detail["loc"], data)
        on_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
        yield where, _sentence(detail, spec), on_key


def locate(loc: tuple[str | int, ...], data: Any) -> tuple[Where, str]:
    """Return the path within `data` that pydantic's `loc` means, and the model it ended in.

    Pydantic puts the names of union branches into its paths; whatever `data` does not hold is
    such a name, except at the end, where it is a key that is missing.
    """
    where: list[str | int] = []
    spec = "ShotListSpec"
    here = data
    for position, step in enumerate(loc):
        if step == "[key]":
            break
        held = step in here if isinstance(here, dict) else isinstance(here, list) and step != "list"
        if held and not (isinstance(here, list) and not isinstance(step, int)):
            here = here[step]
            where.append(step)
            spec = _SPECS.get(step, spec) if isinstance(step, str) else spec
            if step == "shots":
                spec = "ShotSpec"
        elif position == len(loc) - 1 and isinstance(here, dict):
            where.append(step)
    return tuple(where), spec


_SPECS: Mapping[str, str] = {
    "defaults": "ShotSpec",
    "scenes": "SceneSpec",
    "cut": "CutSpec",
    "budget": "BudgetSpec",
    "profiles": "ProfileSpec",
    "first_frame": "FirstFrameSpec",
    "reference": "ReferenceSpec",
    "references": "ReferenceSpec",
    "trim": "TrimSpec",
    "cast": "SubjectSpec",
    "locations": "SubjectSpec",
    "looks": "SubjectSpec",
}


def _sentence(detail: ErrorDetails, spec: str) -> str:
    kind, ctx = detail["type"], detail.get("ctx", {})
    name = next((str(s) for s in reversed(detail["loc"]) if isinstance(s, str)), "")
    if kind == "extra_forbidden":
        return _unknown(str(detail["loc"][-1]), spec)
    if kind in _KINDS:
        return _KINDS[kind].format(name=name, value=_shown(detail["input"]), **ctx)
    if kind == "string_type":
        return _not_text(detail["input"], name)
    return detail["msg"]


_KINDS = {
    "int_type": "{value} is not a whole number.",
    "int_from_float": "{value} is not a whole number.",
    "float_type": "{value} is not a number.",
    "finite_number": "{value} is not a finite number.",
    "bool_type": "{value} is not true or false.",
    "literal_error": "{value} is not one of {expected}.",
    "greater_than_equal": "{value} is below {ge}.",
    "greater_than": "{value} is not above {gt}.",
    "less_than_equal": "{value} is above {le}, the most there is.",
    "string_too_short": "it is empty. Write something, or leave the key out.",
    "string_too_long": "it is longer than {max_length} characters.",
    "too_long": "there are {actual_length}; at most {max_length} are taken.",
    "dict_type": "{value} is not a mapping (`key: value`).",
    "list_type": "{value} is not a list (`- item`).",
    "model_type": "{value} is not a mapping (`key: value`).",
    "model_attributes_type": "{value} is not a mapping (`key: value`).",
    "string_pattern_mismatch": "{value} does not name a frame. Write `sh010.last` or `sh010.first`.",
    "missing": "`{name}` is missing.",
}


def _unknown(key: str, spec: str) -> str:
    if key in language.LATER.get(spec, ()):
        return f"`{key}` belongs to the format but is not built yet. Take it out for now."
    model = getattr(language, spec)
    known = [field.alias or name for name, field in model.model_fields.items()]
    if spec != "ShotSpec" and key in language.ShotSpec.model_fields and key != "shot":
        return f"unknown field. `{key}` belongs in a shot, or in `defaults` for all of them."
    if spec == "ShotSpec" and key in language.ShotListSpec.model_fields:
        return f"unknown field. `{key}` belongs at the top of the file."
    guess = suggest(key, known)
    if guess:
        return f"unknown field. Did you mean `{guess}`?"
    hint = GUESSES.get(key.lower()) if spec in {"ShotSpec", "ShotListSpec", "SceneSpec"} else None
    return f"unknown field. {hint or 'Known here: ' + ', '.join(sorted(known)) + '.'}"


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
    return repr(text[:60] + "…") if len(text) > 60 else text
