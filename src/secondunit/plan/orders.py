"""The terms of one order: which model, which ratio, how long, which seed, at what price."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from secondunit import keys
from secondunit.document import suggest
from secondunit.plan import File, Link, Made, Request, Step, fill
from secondunit.shotlist import brief
from secondunit.shotlist.spec import RATIO_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secondunit.catalog import Catalog, Model, Variant
    from secondunit.document import Where
    from secondunit.errors import Problem
    from secondunit.plan import Input
    from secondunit.shotlist import Shot, ShotList

Work = Literal["still", "video", "edit"]

DEFAULT_SECONDS = 5
LARGEST_WORD = 64  # 21:9 is a shape in words; every side in pixels is larger
SOMEWHERE = "https://example.com/input"


class Unroutable(Exception):
    """This shot cannot be made as it is written; the problem is already noted."""


class OrderDesk:
    """Writes out orders for shots, and notes what is wrong or doubtful about them."""

    def __init__(
        self,
        shotlist: ShotList,
        catalog: Catalog,
        gateway: str,
        models: Mapping[str, str],
        prices: Mapping[str, int] | None = None,
    ) -> None:
        """Order from `gateway`; `models` names the model for each kind of work.

        `prices` are what a user states: credits for a call, by gateway and model.
        """
        self.shotlist = shotlist
        self.catalog = catalog
        self.gateway = gateway
        self.models = models
        self.prices = prices or {}
        self.unpriced: set[str] = set()
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []

    # --- noting -------------------------------------------------------------------------------

    def fail(self, where: Where, message: str) -> Unroutable:
        """Note a problem and return the error to raise, if there is nothing more to look at."""
        self.problems.append(self.shotlist.document.problem(where, message))
        return Unroutable()

    def remark(self, where: Where, code: str, message: str) -> None:
        """Note something doubtful, under its code."""
        self.doubts.append(self.shotlist.document.problem(where, message, code=code))

    # --- which model --------------------------------------------------------------------------

    def model_name(self, shot: Shot, work: Work) -> str:
        """Return the model for a kind of work: the shot's own, if it does that, or the profile's."""
        named = shot.spec.model
        if named and (shot.owns("model") or self._does(named, work)):
            return named
        return self.models[work]

    def _does(self, name: str, work: Work) -> bool:
        return self.catalog.obituary(name, self.gateway) is not None or name in self.catalog.names(
            self.gateway, work
        )

    def animates(self, model: str) -> bool:
        """Say whether a model makes video from a picture."""
        return self._offers(model, "image_to_video")

    def variant(self, shot: Shot, work: Work, endpoint: str) -> Variant:
        """Return the model for a kind of work on an endpoint. Raises Unroutable."""
        name = self.model_name(shot, work)
        variant = self.catalog.variant(name, endpoint, self.gateway)
        if variant is not None:
            return variant
        where = shot.at("model") if shot.spec.model == name else self._profile_place(work)
        raise self.fail(where, self._no_model(name, endpoint))

    def _profile_place(self, work: Work) -> Where:
        quality = self.shotlist.quality or ""
        return ("profiles", quality, work) if quality in self.shotlist.profiles else ("quality",)

    def _no_model(self, name: str, endpoint: str) -> str:
        offered = [n for n in self.catalog.names(self.gateway) if self._offers(n, endpoint)]
        these = f"These do: {', '.join(offered)}."
        if obituary := self.catalog.obituary(name, self.gateway):
            return f"{obituary}." if "; use" in obituary else f"{obituary}. {these}"
        if model := self.catalog.model(name, self.gateway):
            return f"{_inability(model, endpoint)} {these}"
        if reason := self.catalog.left_out.get(name):
            return f"{name} cannot be ordered yet: {reason}. {these}"
        guess = suggest(name, self.catalog.names(self.gateway))
        hint = f"Did you mean `{guess}`?" if guess else these.replace("do:", "can do it:")
        return f"{self.gateway} has no model called {name[:60]}. {hint}"

    def _offers(self, name: str, endpoint: str) -> bool:
        return self.catalog.variant(name, endpoint, self.gateway) is not None

    def still_variant(self, shot: Shot, pictures: int) -> Variant:
        """Return the profile's model for stills, or the first that takes so many references."""
        named = self.models["still"]
        for name in (named, *self.catalog.names(self.gateway, "still")):
            variant = self.catalog.variant(name, "text_to_image", self.gateway)
            if variant and variant.min_pictures <= pictures <= variant.max_pictures:
                return variant
            if name == named and variant is None:
                raise self.fail(self._profile_place("still"), self._no_model(name, "text_to_image"))
        what = f"{pictures} reference pictures" if pictures else "words alone"
        raise self.fail(
            shot.where,
            f"no model of {self.gateway} makes a still from {what}."
            f" Give {'fewer' if pictures else 'a `reference`, or a `first_frame`'}.",
        )

    # --- the order ----------------------------------------------------------------------------

    def order(
        self,
        shot: Shot,
        kind: Literal["still", "take"],
        variant: Variant,
        text: str,
        body: dict[str, Any],
        seconds: float | None = None,
        size: tuple[int, int] | None = None,
        *,
        reason: str,
        ratio: str | None = None,
    ) -> Step:
        """Write out one order as a step of the plan. Raises Unroutable."""
        body = {"model": variant.model, **body}
        if text and variant.takes("promptText"):
            body["promptText"] = text
        noted, length = len(self.problems), seconds
        take = shot.take if kind == "take" else None  # all takes open on one still
        with suppress(Unroutable):
            self._check_prompt(shot, variant, text)
        with suppress(Unroutable):
            if variant.ratios and ("videoUri" not in body or shot.owns("ratio")):
                body["ratio"] = ratio or self._pixels(shot, variant)
                size = pixels(body["ratio"]) or size
        with suppress(Unroutable):
            if variant.durations and kind == "take" and "videoUri" not in body:
                body["duration"] = length = self._seconds(shot, variant, seconds)
        body |= self._moderation(shot, variant)
        with suppress(Unroutable):
            seed = self._seed(shot, variant, body, take)
            body |= {} if seed is None else {"seed": seed}
        if len(self.problems) == noted:
            self._check_body(shot, variant, body)
        if len(self.problems) > noted:
            raise Unroutable
        if kind == "take" and (part := shortened(shot, body, length)):
            reason += f"; {length:.5g} s are ordered, and the first {part:g} used"
        request = Request(variant.endpoint, variant.model, body)
        free = self.catalog.gateways[self.gateway].free
        needs = tuple(i.key for i in request.inputs() if isinstance(i, Made))
        return Step(
            key=request.key(self.gateway, free=free),
            shot=shot.name if take else shot.id,
            kind=kind,
            reason=reason,
            needs=tuple(dict.fromkeys(needs)),
            request=request,
            seed=seed,
            seconds=None if kind == "still" else length,
            size=size,
            credits=self._credits(shot, variant, body, seconds),
            take=take,
        )

    def _credits(
        self, shot: Shot, variant: Variant, body: Mapping[str, Any], seconds: float | None
    ) -> int | None:
        """Return the most this order may cost: as the user states it, else by the catalogue."""
        name = f"{self.gateway}.{variant.model}"
        credits_ = self.prices.get(name, variant.credits(body, seconds))
        free = self.catalog.gateways[self.gateway].free
        if credits_ is None and not free and name not in self.unpriced:
            self.unpriced.add(name)
            self.remark(
                shot.at("model") if shot.spec.model == variant.model else shot.where,
                "unknown-price",
                f"no price is published for {variant.model} at {self.gateway}, and without one it"
                " is not ordered. State what a call costs you in settings.toml, under `[prices]`:"
                f' `"{name}" = "$…"`.',
            )
        return credits_

    def _moderation(self, shot: Shot, variant: Variant) -> dict[str, Any]:
        chosen = shot.spec.moderation
        if chosen and variant.takes("contentModeration"):
            return {"contentModeration": {"publicFigureThreshold": chosen}}
        if chosen and shot.owns("moderation"):
            self._unused(shot, "moderation", f"{variant.model} takes no moderation")
        return {}

    def _unused(self, shot: Shot, name: str, why: str) -> None:
        self.remark(shot.at(name), "unused", f"{why}; it is not sent.")

    def _check_body(self, shot: Shot, variant: Variant, body: Mapping[str, Any]) -> None:
        """Hold the body against the catalogue: what the gateway would refuse is never planned."""
        sent = fill(body, lambda given: given.url if isinstance(given, Link) else SOMEWHERE)
        for issue in self.catalog.validate(variant.endpoint, sent, self.gateway):
            field = ".".join(map(str, issue.path))
            self.fail(shot.where, f"{variant.model} would refuse `{field}`: {issue.message}")

    def _seed(
        self, shot: Shot, variant: Variant, body: Mapping[str, Any], take: int | None
    ) -> int | None:
        seed, limit, further = shot.spec.seed, variant.seed_limit, (take or 1) - 1
        if limit is None:
            if seed is not None and shot.owns("seed"):
                self._unused(shot, "seed", f"{variant.model} takes no seed")
            return None
        if take and shot.seed is not None and shot.seed <= limit:
            return shot.seed
        if seed is None:
            described = Request(variant.endpoint, variant.model, body).described()
            return keys.drawn_seed(described, limit, further + 1)
        if seed + further > limit:
            of = f", the seed of take {take}," if further else ""
            most = f"{limit}, the most {variant.model} takes at {self.gateway}"
            raise self.fail(shot.at("seed"), f"{seed + further}{of} is above {most}.")
        return seed + further

    def ratio(self, shot: Shot) -> str:
        """Return the shot's ratio, as written."""
        return shot.spec.ratio or self.shotlist.ratio

    def _ratio_place(self, shot: Shot) -> Where:
        return shot.at("ratio") if shot.spec.ratio else ("ratio",)

    def _pixels(self, shot: Shot, variant: Variant) -> str:
        ratio = self.ratio(shot)
        found = variant.pixels(ratio)
        if found is None:
            raise self.fail(
                self._ratio_place(shot),
                f"{variant.model} cannot make {ratio}. It makes {', '.join(variant.ratios)}.",
            )
        return found

    def word(self, shot: Shot, variant: Variant) -> str:
        """Return the shot's ratio as the word nearest to it, for outpainting an edit."""
        aspect = _aspect(self.ratio(shot))
        words = variant.choices.get("targetAspectRatio") or RATIO_WORDS
        return min(words, key=lambda word: abs(_aspect(word) / aspect - 1))

    def still_ratio(self, shot: Shot, variant: Variant, video: Variant) -> str:
        """Return the still's size: the video's own where it is offered, else the nearest shape.

        A shape that the video model takes no pictures of is left for it to crop.
        """
        wanted = self._pixels(shot, video) if video.ratios else self.ratio(shot)
        low, high = video.aspect or (0, math.inf)
        same = variant.pixels(wanted)
        if same and low <= _aspect(same) <= high:
            return same
        aspect, target = _aspect(wanted), math.prod(pixels(wanted) or (1280, 720))
        return min(
            (ratio for ratio in variant.ratios if low <= _aspect(ratio) <= high),
            key=lambda r: (
                round(abs(_aspect(r) / aspect - 1), 2),
                abs(math.prod(pixels(r) or (0,)) - target),
            ),
        )

    def _seconds(self, shot: Shot, variant: Variant, source: float | None) -> int:
        """Return how long a take is: as the shot says, else as its source, else five seconds."""
        durations = variant.durations
        if durations is None:
            raise Unroutable
        wanted = shot.spec.duration
        if wanted is None:
            meant = math.ceil(source or DEFAULT_SECONDS)
            allowed = [s for s in range(1, durations.longest + 1) if durations.allows(s)]
            return min(allowed, key=lambda s: (abs(s - meant), -s))
        covering = [s for s in range(math.ceil(wanted), 61) if durations.allows(s)]
        if not covering:
            what = f"{variant.model} makes {durations} seconds, not {wanted:g}."
            way = "Make it two shots, the second of which `continues` the first."
            raise self.fail(shot.at("duration"), f"{what} {way}")
        return covering[0]

    # --- checks -------------------------------------------------------------------------------

    def _check_prompt(self, shot: Shot, variant: Variant, text: str) -> None:
        if not text and "promptText" in variant.required:
            raise self.fail(shot.where, f"{variant.model} needs words. Write a `prompt`.")
        length = len(text.encode("utf-16-le")) // 2
        if variant.prompt_limit and length > variant.prompt_limit:
            where = shot.at("prompt") if shot.spec.prompt else shot.where
            raise self.fail(
                where,
                f"the prompt has {length} characters as {variant.model} counts them, with all that"
                f" is added to it; at most {variant.prompt_limit} are taken. Shorten it.",
            )

    def check_aspect(
        self, where: Where, variant: Variant, size: tuple[int, int] | None, way: str = "Crop it."
    ) -> None:
        """Refuse a picture of a shape that the model does not take. Raises Unroutable."""
        if size is None or variant.aspect is None:
            return
        low, high = variant.aspect
        if not low <= size[0] / size[1] <= high:
            raise self.fail(
                where,
                f"it is {size[0]}×{size[1]}, {size[0] / size[1]:.2f} times as wide as"
                f" high; {variant.model} takes {low:g} to {high:g}. {way}",
            )

    def check_source(
        self,
        shot: Shot,
        variant: Variant,
        what: Input,
        seconds: float | None,
        size: tuple[int, int] | None,
    ) -> None:
        """Refuse a source that the model does not take. Raises Unroutable."""
        where = shot.at("source")
        if variant.source_seconds and seconds is not None:
            low, high = variant.source_seconds
            if not low <= seconds <= high:
                raise self.fail(
                    where,
                    f"the source lasts {seconds:.1f} s; {variant.model} takes"
                    f" {low:g} to {high:g} s. Cut it to length first.",
                )
        self.check_aspect(where, variant, size, "Crop it, or choose another `model`.")
        fps = what.asset.fps if isinstance(what, File) else None
        if variant.source_fps and fps and fps > variant.source_fps + 0.01:
            raise self.fail(
                where,
                f"the source runs at {fps:g} frames a second; {variant.model}"
                f" takes {variant.source_fps:g} at most. Convert it first.",
            )

    def remarks(self, shot: Shot, text: str, *, edit: bool) -> None:
        """Note what models are known to do badly with these words."""
        where = shot.at("prompt") if shot.spec.prompt else shot.where
        named = brief.mentions(brief.compose(shot.spec))
        subjects = self.shotlist.subjects
        cast = sum(n in subjects and subjects[n].kind == "cast" for n in named)
        for code, message in brief.remarks(text, edit=edit, cast=0 if edit else cast):
            self.remark(where, code, message)


def shortened(shot: Shot, body: Mapping[str, Any], seconds: float | None) -> float | None:
    """Return the seconds that a shot wants of its clip, where it is longer; None for all of it.

    A duration that is inherited is about what is ordered by the second, not about other footage.
    """
    wanted = shot.spec.duration if "duration" in body or shot.owns("duration") else None
    return wanted if wanted and seconds and wanted < seconds else None


def _inability(model: Model, endpoint: str) -> str:
    """Say what a model cannot do, and what it is for."""
    if endpoint == "video_to_video":
        return f"{model.name} edits no video."
    if endpoint == "text_to_image":
        return f"{model.name} makes no stills."
    return {
        "edit": f"{model.name} only edits. Give this shot a `source`, or choose another model.",
        "still": f"{model.name} makes stills, not video; it belongs under `profiles`, as `still`.",
        "performance": f"{model.name} needs a `performance`, which is not built yet.",
    }.get(model.work, f"{model.name} makes no video from a picture.")


def _sides(ratio: str) -> tuple[int, int]:
    left, _, right = ratio.partition(":")
    return (int(left), int(right)) if left.isdigit() and right.isdigit() else (16, 9)


def pixels(ratio: str) -> tuple[int, int] | None:
    """Return width and height of a ratio in pixels; None for one in words, such as 16:9."""
    sides = _sides(ratio)
    return sides if max(sides) > LARGEST_WORD else None


def _aspect(ratio: str) -> float:
    width, height = _sides(ratio)
    return width / height
