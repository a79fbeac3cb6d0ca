"""The terms of one order: which model, which ratio, how long, which seed, at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from secondunit import brief, keys
from secondunit.document import suggest
from secondunit.language import RATIO_WORDS
from secondunit.plan import File, Made, Request, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secondunit.catalog import Catalog, Variant
    from secondunit.document import Where
    from secondunit.errors import Problem
    from secondunit.plan import Input
    from secondunit.shotlist import Shot, ShotList

Work = Literal["still", "video", "edit"]

DEFAULT_SECONDS = 5


class Unroutable(Exception):
    """This shot cannot be made as it is written; the problem is already noted."""


class OrderDesk:
    """Writes out orders for shots, and notes what is wrong or doubtful about them."""

    def __init__(
        self, shotlist: ShotList, catalog: Catalog, gateway: str, models: Mapping[str, str]
    ) -> None:
        """Order from `gateway`; `models` names the model for each kind of work."""
        self.shotlist = shotlist
        self.catalog = catalog
        self.gateway = gateway
        self.models = models
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []

    # --- noting -------------------------------------------------------------------------------

    def fail(self, where: Where, message: str) -> Unroutable:
        """Note a problem and return the error to raise."""
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

    def animates(self, model: str, shot: Shot) -> bool:
        """Say whether a model makes the shot's ratio from a picture."""
        variant = self.catalog.variant(model, "image_to_video", self.gateway)
        return variant is not None and variant.pixels(self.ratio(shot)) is not None

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
        if obituary := self.catalog.obituary(name, self.gateway):
            return f"{obituary}."
        offered = [
            n
            for n in self.catalog.names(self.gateway)
            if self.catalog.variant(n, endpoint, self.gateway)
        ]
        if self.catalog.model(name, self.gateway):
            what = {
                "image_to_video": "makes no video from a picture",
                "video_to_video": "edits no video",
                "text_to_image": "makes no stills",
            }.get(endpoint, f"is not offered on {endpoint}")
            return f"{name} {what}. These do: {', '.join(offered)}."
        guess = suggest(name, self.catalog.names(self.gateway))
        hint = f"Did you mean `{guess}`?" if guess else f"These can do it: {', '.join(offered)}."
        return f"{self.gateway} has no model called {name}. {hint}"

    def still_variant(self, shot: Shot, pictures: int) -> Variant:
        """Return the profile's model for stills, or the first that takes so many references."""
        named = self.models["still"]
        for name in (named, *self.catalog.names(self.gateway, "still")):
            variant = self.catalog.variant(name, "text_to_image", self.gateway)
            if variant and variant.min_pictures <= pictures <= variant.max_pictures:
                return variant
            if name == named and variant is None:
                raise self.fail(self._profile_place("still"), self._no_model(name, "text_to_image"))
        raise self.fail(
            shot.where,
            f"no model of {self.gateway} makes a still from {pictures} reference pictures.",
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
        self._check_prompt(shot, variant, text)
        if variant.ratios and "videoUri" not in body:
            body["ratio"] = ratio or self._pixels(shot, variant)
            size = _size(body["ratio"]) or size
        if variant.durations and kind == "take" and "videoUri" not in body:
            body["duration"] = seconds = self._seconds(shot, variant)
        if variant.takes("contentModeration") and shot.spec.moderation:
            body["contentModeration"] = {"publicFigureThreshold": shot.spec.moderation}
        seed = self._seed(shot, variant, body)
        if seed is not None:
            body["seed"] = seed
        request = Request(variant.endpoint, variant.model, body)
        home = "backlot" if self.catalog.gateways[self.gateway].free else self.gateway
        needs = tuple(i.key for i in request.inputs() if isinstance(i, Made))
        return Step(
            key=keys.key("take", {"gateway": home, **request.described()}),
            shot=shot.id,
            kind=kind,
            reason=reason,
            needs=tuple(dict.fromkeys(needs)),
            request=request,
            seed=seed,
            seconds=None if kind == "still" else seconds,
            size=size,
            credits=variant.credits(body, seconds),
        )

    def _seed(self, shot: Shot, variant: Variant, body: Mapping[str, Any]) -> int | None:
        seed, limit = shot.spec.seed, variant.seed_limit
        if limit is None:
            if seed is not None and shot.owns("seed"):
                self.remark(
                    shot.at("seed"),
                    "unused-seed",
                    f"{variant.model} takes no seed; it is not sent.",
                )
            return None
        if seed is None:
            described = Request(variant.endpoint, variant.model, body).described()
            return keys.drawn_seed(described, limit)
        if seed > limit:
            raise self.fail(
                shot.at("seed"),
                f"{seed} is above {limit}, the most {variant.model} takes at {self.gateway}.",
            )
        return seed

    def ratio(self, shot: Shot) -> str:
        """Return the shot's ratio, as written."""
        return shot.spec.ratio or self.shotlist.ratio

    def _ratio_place(self, shot: Shot) -> Where:
        return shot.at("ratio") if shot.spec.ratio else ("ratio",)

    def _pixels(self, shot: Shot, variant: Variant) -> str:
        ratio = self.ratio(shot)
        pixels = variant.pixels(ratio)
        if pixels is None:
            raise self.fail(
                self._ratio_place(shot),
                f"{variant.model} cannot make {ratio} here. It makes {', '.join(variant.ratios)}.",
            )
        return pixels

    def word(self, shot: Shot, variant: Variant) -> str:
        """Return the shot's ratio as the word nearest to it, for outpainting an edit."""
        wanted = _size(self.ratio(shot)) or (16, 9)
        words = variant.choices.get("targetAspectRatio") or RATIO_WORDS
        return min(words, key=lambda word: abs(_aspect(word) / (wanted[0] / wanted[1]) - 1))

    def still_ratio(self, shot: Shot, variant: Variant, video: Variant) -> str:
        """Return the still's size: the video's own where it is offered, else the nearest shape."""
        wanted = self._pixels(shot, video) if video.ratios else self.ratio(shot)
        aspect = _aspect(wanted)
        target = _size(wanted) or (1280, 720)
        return variant.pixels(wanted) or min(
            (ratio for ratio in variant.ratios if _size(ratio)),
            key=lambda r: (
                round(abs(_aspect(r) / aspect - 1), 2),
                abs(_area(r) - target[0] * target[1]),
            ),
        )

    def _seconds(self, shot: Shot, variant: Variant) -> int:
        durations = variant.durations
        if durations is None:
            raise Unroutable
        wanted = shot.spec.duration
        if wanted is None:
            if durations.allows(DEFAULT_SECONDS):
                return DEFAULT_SECONDS
            allowed = durations.choices or (durations.minimum or 1,)
            return min(allowed, key=lambda s: (abs(s - DEFAULT_SECONDS), -s))
        if wanted != int(wanted) or not durations.allows(int(wanted)):
            longer = [s for s in range(int(wanted), 61) if s >= wanted and durations.allows(s)]
            way = f" Order {longer[0]} and shorten it with `trim`." if longer else ""
            raise self.fail(
                shot.at("duration"),
                f"{variant.model} makes {durations} seconds, not {wanted:g}.{way}",
            )
        return int(wanted)

    # --- checks -------------------------------------------------------------------------------

    def _check_prompt(self, shot: Shot, variant: Variant, text: str) -> None:
        if not text and "promptText" in variant.required:
            raise self.fail(shot.where, f"{variant.model} needs a `prompt`.")
        length = len(text.encode("utf-16-le")) // 2
        if variant.prompt_limit and length > variant.prompt_limit:
            where = shot.at("prompt") if shot.spec.prompt else shot.where
            raise self.fail(
                where,
                f"the prompt has {length} characters as {variant.model} counts"
                f" them; it takes {variant.prompt_limit}. Shorten it.",
            )

    def check_aspect(self, where: Where, variant: Variant, aspect: float) -> None:
        """Refuse a picture of a shape that the model does not take. Raises Unroutable."""
        low, high = variant.aspect or (0, 1e9)
        if not low <= aspect <= high:
            raise self.fail(
                where,
                f"the picture is {aspect:.2f} times as wide as high;"
                f" {variant.model} takes {low:g} to {high:g}. Crop it.",
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
        if variant.aspect and size:
            self.check_aspect(where, variant, size[0] / size[1])
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


def _size(ratio: str) -> tuple[int, int] | None:
    left, _, right = ratio.partition(":")
    return (int(left), int(right)) if left.isdigit() and right.isdigit() else None


def _aspect(ratio: str) -> float:
    width, height = _size(ratio) or (16, 9)
    return width / height


def _area(ratio: str) -> int:
    width, height = _size(ratio) or (0, 0)
    return width * height
