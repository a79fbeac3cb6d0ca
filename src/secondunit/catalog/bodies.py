"""Checks a request body, field by field, against what one model takes on one endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from secondunit.catalog.shapes import (
    Issue,
    Path,
    Shape,
    boolean,
    integer,
    is_integer,
    is_list,
    list_of,
    media,
    number,
    one_of,
    record,
    shown,
    tag,
    task_id,
    text,
    uri,
)
from secondunit.catalog.variants import spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from secondunit.catalog.variants import Durations, Variant

_PRORES = ("422", "4444", "422 Proxy", "422 LT", "422 HQ", "4444 XQ")
_HDR_PRORES = ("422", "422 HQ", "4444")


def check(variant: Variant, body: Mapping[str, object], *, loopback: bool = False) -> list[Issue]:
    """Return every problem of a body; `loopback` also allows inputs from this machine.

    How fields go together is only looked at once each of them is fine alone.
    """
    shapes = _shapes(variant, loopback=loopback)
    required = {name: shapes[name] for name in ("model", *sorted(variant.required))}
    optional = {name: shapes[name] for name in sorted(variant.optional)}
    issues = list(record(required, optional)((), body))
    return issues or list(_together(variant, body))


def _shapes(variant: Variant, *, loopback: bool) -> dict[str, Shape]:
    """Return the form of every field that any endpoint knows, with this variant's limits."""
    picture, video, sound = (uri(kind, loopback=loopback) for kind in ("image", "video", "audio"))
    least, most, counts = max(1, variant.min_pictures), variant.max_pictures, variant.counts
    tagged = list_of(record({"uri": picture}, {"tag": tag}), most, least)
    shapes: dict[str, Shape] = {
        "model": text(),
        "promptText": text(variant.prompt_limit),
        "negativePrompt": text(1000),
        "promptImage": _prompt_image(picture, variant),
        "videoUri": video,
        "promptVideo": video,
        "referenceImages": _then(tagged, _distinct_tags),
        "references": list_of(record({"uri": picture}), most, least),
        "keyframes": _then(list_of(_keyframe(picture), most, least), _windows),
        "referenceVideos": list_of(media({"video": video}), counts.get("referenceVideos", 0)),
        "referenceAudio": list_of(media({"audio": sound}), counts.get("referenceAudio", 0)),
        "character": media({"image": picture, "video": video}),
        "reference": media({"video": video}),
        "duration": _duration(variant.durations),
        "ratio": one_of(variant.ratios) if variant.ratios else text(),
        "seed": integer(0, variant.seed_limit),
        "expressionIntensity": integer(1, 5),
        "proresProfile": one_of(_PRORES),
        "draftTaskId": task_id,
        "contentModeration": record({}, {"publicFigureThreshold": one_of(("auto", "low"))}),
        "audio": boolean,
        "bodyControl": boolean,
        "draft": boolean,
        "watermark": boolean,
    }
    special = {"typed_pictures": list_of(media({"image": picture}), most, least)}
    shapes |= {name: one_of(words) for name, words in variant.choices.items()}
    return shapes | {name: special[shape] for name, shape in variant.shapes.items()}


def _then(
    shape: Shape, more: Callable[[Path, Sequence[Mapping[str, Any]]], Iterator[Issue]]
) -> Shape:
    """Look at a list as a whole once all its entries are fine."""

    def both(path: Path, value: object) -> Iterator[Issue]:
        issues = list(shape(path, value))
        yield from issues
        if not issues and is_list(value):
            yield from more(path, cast("Sequence[Mapping[str, Any]]", value))

    return both


def _prompt_image(picture: Shape, variant: Variant) -> Shape:
    position = {"position": one_of(variant.frames)}
    entry = (
        record({"uri": picture}, position)
        if variant.loose
        else record({"uri": picture, **position})
    )
    several = _then(list_of(entry, max(len(variant.frames), variant.loose)), _positions)

    def shape(path: Path, value: object) -> Iterator[Issue]:
        yield from (several if is_list(value) and variant.frames else picture)(path, value)

    return shape


def _positions(path: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[Issue]:
    placed = [entry["position"] for entry in entries if "position" in entry]
    if placed and len(placed) < len(entries):
        yield Issue(path, "custom", "Either every picture has a position or none has.")
    if len(placed) > len(set(placed)):
        yield Issue(path, "custom", "Each position can be taken once.")
    if placed and "first" not in placed:
        yield Issue(path, "custom", "A last picture needs a first one.")


def _distinct_tags(path: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[Issue]:
    tags = [entry["tag"] for entry in entries if "tag" in entry]
    for name in sorted({name for name in tags if tags.count(name) > 1}):
        yield Issue(path, "custom", f"The tag `{name}` is given to more than one picture.")


def _keyframe(picture: Shape) -> Shape:
    window = record({"start_seconds": integer(0), "end_seconds": integer(1)})
    forms = {
        moment: record({"uri": picture, moment: number(0, last)}, {"range": window})
        for moment, last in (("seconds", 30), ("at", 1))
    }

    def shape(path: Path, value: object) -> Iterator[Issue]:
        given = [moment for moment in forms if isinstance(value, Mapping) and moment in value]
        if isinstance(value, Mapping) and len(given) != 1:
            yield Issue(path, "custom", "Give either `seconds` or `at`.")
        else:
            yield from forms[given[0] if given else "at"](path, value)

    return shape


def _windows(path: Path, keyframes: Sequence[Mapping[str, Any]]) -> Iterator[Issue]:
    ranged = ["range" in keyframe for keyframe in keyframes]
    if any(ranged) and not all(ranged):
        yield Issue(path, "custom", "Either every keyframe has a `range` or none has.")
    for index, keyframe in enumerate(keyframes):
        if "range" not in keyframe:
            continue
        start, end = keyframe["range"]["start_seconds"], keyframe["range"]["end_seconds"]
        if not start <= keyframe.get("seconds", start) < end:
            message = f"Is empty or misses its keyframe: from {start} s until before {end} s."
            yield Issue((*path, index, "range"), "custom", message)


def _duration(durations: Durations | None) -> Shape:
    offered = f"{durations} or auto" if durations and durations.auto else str(durations)

    def shape(path: Path, value: object) -> Iterator[Issue]:
        if durations is None or (durations.auto and value == "auto"):
            return
        if not is_integer(value):
            message = f"Expected whole seconds, {offered}, got {shown(value)}."
            yield Issue(path, "invalid_type", message)
        elif not durations.allows(value):
            code = "too_big" if value > durations.longest else "too_small"
            code = "invalid_value" if durations.choices else code
            yield Issue(path, code, f"{shown(value)} seconds are not offered, only {offered}.")

    return shape


def _together(variant: Variant, body: Mapping[str, object]) -> Iterator[Issue]:
    """Yield what is wrong between fields that are each fine alone."""
    for name, other in variant.needs.items():
        if name in body and other not in body:
            yield Issue((name,), "custom", f"Only goes together with `{other}`.")
    yield from _prores(body)
    yield from _draft(body)
    yield from _mode(body)
    guides = {"references", "referenceVideos", "promptImage", "promptVideo"}
    if body.get("ratio") == "adaptive" and not guides & body.keys():
        yield Issue(("ratio",), "custom", "`adaptive` needs a picture or a video to adapt to.")


def _prores(body: Mapping[str, object]) -> Iterator[Issue]:
    profile, chosen = body.get("proresProfile"), body.get("outputFormat")
    if profile and chosen not in (None, "prores", "hdr_prores"):
        yield Issue(("proresProfile",), "custom", "Only goes together with a ProRes outputFormat.")
    if profile and chosen == "hdr_prores" and profile not in _HDR_PRORES:
        message = f"With hdr_prores choose {spoken(_HDR_PRORES)}."
        yield Issue(("proresProfile",), "invalid_value", message)


def _draft(body: Mapping[str, object]) -> Iterator[Issue]:
    if "draftTaskId" in body and body.keys() - {"model", "draftTaskId"}:
        message = "A draft is finished as it was ordered: leave every other field out."
        yield Issue(("draftTaskId",), "custom", message)
    if body.get("draft") is True and body.get("outputFormat") == "mov":
        yield Issue(("outputFormat",), "custom", "A draft is always mp4.")


def _mode(body: Mapping[str, object]) -> Iterator[Issue]:
    mode = body.get("mode")
    if mode not in ("extend", "edit"):
        return
    if "promptText" not in body:
        yield Issue(("promptText",), "invalid_type", f"Required with mode {mode}.")
    if "ratio" in body:
        message = f"Mode {mode} keeps the ratio of the video: leave it out."
        yield Issue(("ratio",), "custom", message)
    if mode == "edit" and body.get("duration") != "auto":
        yield Issue(("duration",), "invalid_value", "Mode edit requires `auto`.")
