"""From one shot to what has to be ordered for it: the road follows from the inputs that exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from secondunit import brief, keys
from secondunit.assets import LINK, Asset, BadAsset
from secondunit.document import suggest
from secondunit.language import RATIO_WORDS
from secondunit.plan import File, Link, Made, Request, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secondunit.assets import Kind, Library
    from secondunit.catalog import Catalog, Variant
    from secondunit.document import Where
    from secondunit.errors import Problem
    from secondunit.plan import Input
    from secondunit.shotlist import Shot, ShotList

Work = Literal["still", "video", "edit"]

DEFAULT_SECONDS = 5
SMALL_SIDE = 640  # pixels; guidance for pictures, docs.dev.runwayml.com/assets/inputs
BLURRED = 4.0  # spread of edges below which a photograph looks out of focus; measured on samples
# The exclusive ways a shot can begin, and what keeping each one means.
OPENINGS = {
    "clip": "use that file as it is",
    "source": "edit that video",
    "continues": "open on the last frame of that shot",
    "first_frame": "open on that picture",
}


class Unroutable(Exception):
    """This shot cannot be made as it is written; the problem is already noted."""


@dataclass(frozen=True)
class Sent:
    """A picture that goes into an order, its tag if it has one, and where it is named."""

    what: Input
    tag: str | None
    where: Where
    asset: Asset | None = None


class Router:
    """Turns shots into steps, one after another; upstream shots have to be routed first."""

    def __init__(
        self,
        shotlist: ShotList,
        catalog: Catalog,
        gateway: str,
        models: Mapping[str, str],
        library: Library,
    ) -> None:
        """`models` names the model for each kind of work: still, video and edit."""
        self.shotlist = shotlist
        self.catalog = catalog
        self.gateway = gateway
        self.models = models
        self.library = library
        self.problems: list[Problem] = []
        self.remarks: list[Problem] = []
        self.made: dict[str, Step] = {}

    def route(self, shot: Shot) -> list[Step]:
        """Return the steps of one shot, its clip last. Raises Unroutable, with problems noted."""
        opening = self._opening(shot)
        text = brief.compose(shot.spec)
        if opening == "clip":
            steps = [self._own_clip(shot)]
        elif opening == "source":
            steps = [self._edit(shot, text)]
        elif opening == "continues":
            upstream = self._upstream(shot, str(shot.spec.continues), "continues")
            frame = Sent(Made(upstream.key, "last"), None, shot.at("continues"))
            steps = [
                self._animate(shot, text, frame, f"opens on the last frame of {upstream.shot}")
            ]
        elif opening == "first_frame":
            steps = self._from_first_frame(shot, text)
        else:
            steps = self._from_look(shot, text)
        self.made[shot.id] = steps[-1]
        return steps

    # --- noting -------------------------------------------------------------------------------

    def fail(self, where: Where, message: str) -> Unroutable:
        """Note a problem and return the error to raise."""
        self.problems.append(self.shotlist.document.problem(where, message))
        return Unroutable()

    def remark(self, where: Where, code: str, message: str) -> None:
        """Note something doubtful, under its code."""
        self.remarks.append(self.shotlist.document.problem(where, message, code=code))

    # --- what the shot is given ---------------------------------------------------------------

    def _opening(self, shot: Shot) -> str | None:
        given = [name for name in OPENINGS if getattr(shot.spec, name) is not None]
        own = [name for name in given if shot.owns(name)]
        chosen = own or given
        if len(chosen) > 1:
            first, second = chosen[:2]
            raise self.fail(
                shot.at(second),
                f"`{first}` and `{second}` contradict each other. Keep `{first}` to"
                f" {OPENINGS[first]}, or `{second}` to {OPENINGS[second]}.",
            )
        return chosen[0] if chosen else None

    def _upstream(self, shot: Shot, name: str, by: str) -> Step:
        if name in self.made:
            return self.made[name]
        known = [other.id for other in self.shotlist.shots]
        if name in known:
            raise Unroutable  # that shot has a problem of its own, which is already noted
        guess = suggest(name, known)
        hint = f" Did you mean `{guess}`?" if guess else f" The shots are {', '.join(known[:12])}."
        raise self.fail(shot.at(by), f"there is no shot called `{name}`.{hint}")

    def _file(self, name: str, kind: Kind, where: Where) -> Asset:
        try:
            return self.library.get(name, kind)
        except BadAsset as bad:
            raise self.fail(where, str(bad)) from None

    def _picture(self, name: str, where: Where, tag: str | None = None) -> Sent:
        if LINK.match(name):
            if not name.startswith("https://"):
                raise self.fail(where, "a linked picture has to be https. Use https, or a file.")
            return Sent(Link(name), tag, where)
        asset = self._file(name, "picture", where)
        if min(asset.width, asset.height) < SMALL_SIDE:
            self.remark(
                where,
                "small-reference",
                f"the picture is {asset.width}×{asset.height};"
                f" below {SMALL_SIDE} pixels a side it guides poorly. Use a larger one.",
            )
        if asset.sharpness is not None and asset.sharpness < BLURRED:
            self.remark(
                where,
                "blurred-reference",
                "the picture looks blurred or empty; the model will copy that. Use a sharp one.",
            )
        return Sent(File(asset), tag, where, asset)

    def _looks(self, shot: Shot, text: str) -> list[Sent]:
        """Return the pictures that say what the shot should look like: its own, then its cast's."""
        spec = shot.spec
        own = [(spec.reference, shot.at("reference"))] if spec.reference else []
        own += [(r, shot.at("references", i)) for i, r in enumerate(spec.references or [])]
        looks = [self._picture(r.file, where, r.tag) for r, where in own]
        tags = {look.tag for look in looks if look.tag}
        for name in brief.mentions(text):
            subject = self.shotlist.subjects.get(name)
            if subject is None and name not in tags:
                self._unknown_tag(shot, name)
            for number, (file, where) in enumerate(subject.references if subject else ()):
                looks.append(self._picture(file, where, name if number == 0 else None))
        if len(looks) > 3:
            raise self.fail(
                shot.where,
                f"{len(looks)} reference pictures come together here, with"
                " those of the cast, location and look; at most 3 are taken.",
            )
        return looks

    def _unknown_tag(self, shot: Shot, name: str) -> None:
        guess = suggest(name, self.shotlist.subjects)
        hint = (
            f" Did you mean @{guess}?"
            if guess
            else " Name it under `cast`, `locations` or `looks`."
        )
        self.remark(shot.at("prompt"), "unknown-tag", f"nothing is called @{name}.{hint}")

    # --- the roads ----------------------------------------------------------------------------

    def _own_clip(self, shot: Shot) -> Step:
        asset = self._file(str(shot.spec.clip), "footage", shot.at("clip"))
        if shot.owns("prompt"):
            self.remark(
                shot.at("prompt"),
                "unused-prompt",
                "a clip is used as it is, so the prompt"
                " is not sent. To change the footage, name it as `source`.",
            )
        return Step(
            key=keys.key("clip", asset.sha256),
            shot=shot.id,
            kind="clip",
            reason="your own clip, used as it is",
            own=asset,
            seconds=asset.seconds,
            size=(asset.width, asset.height),
        )

    def _edit(self, shot: Shot, text: str) -> Step:
        name = str(shot.spec.source)
        where = shot.at("source")
        seconds, size = None, None
        if name in {other.id for other in self.shotlist.shots}:
            upstream = self._upstream(shot, name, "source")
            what: Input = Made(upstream.key, "clip")
            seconds, size, origin = upstream.seconds, upstream.size, upstream.shot
        elif LINK.match(name):
            if not name.startswith("https://"):
                raise self.fail(where, "a linked video has to be https. Use https, or a file.")
            what, origin = Link(name), "a linked video"
        else:
            asset = self._file(name, "footage", where)
            what, origin = File(asset), name
            seconds, size = asset.seconds, (asset.width, asset.height)
        variant = self._variant(shot, "edit", "video_to_video")
        self._check_source(shot, variant, what, seconds, size)
        return self._edit_order(shot, text, variant, what, seconds, size, origin)

    def _edit_order(
        self,
        shot: Shot,
        text: str,
        variant: Variant,
        what: Input,
        seconds: float | None,
        size: tuple[int, int] | None,
        origin: str,
    ) -> Step:
        looks = self._looks(shot, text) if shot.spec.references or shot.spec.reference else []
        if not text and not looks:
            raise self.fail(shot.where, "an edit needs a `prompt` that says what to change.")
        if shot.owns("duration") and variant.durations is None:
            raise self.fail(
                shot.at("duration"),
                "an edit lasts as long as its source. Shorten it"
                " with `trim`, or take `duration` out.",
            )
        body: dict[str, Any] = {"videoUri" if variant.takes("videoUri") else "promptVideo": what}
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        if looks:
            body |= self._edit_looks(shot, variant, looks)
        if shot.owns("ratio") and variant.takes("targetAspectRatio"):
            body["targetAspectRatio"] = self._word(shot, variant)
        self._remarks(shot, spoken, edit=True)
        return self._order(
            shot, "take", variant, spoken, body, seconds, size, reason=f"edits {origin}"
        )

    def _edit_looks(self, shot: Shot, variant: Variant, looks: list[Sent]) -> dict[str, Any]:
        """References become keyframes, spread over the source, where the model wants keyframes."""
        if variant.takes("keyframes"):
            last = max(1, len(looks) - 1)
            return {"keyframes": [{"uri": s.what, "at": i / last} for i, s in enumerate(looks)]}
        if variant.takes("references"):
            typed = variant.shapes.get("references") == "typed_pictures"
            kind = {"type": "image"} if typed else {}
            return {"references": [{**kind, "uri": s.what} for s in looks]}
        raise self.fail(looks[0].where, f"{variant.model} takes no reference pictures for an edit.")

    def _from_first_frame(self, shot: Shot, text: str) -> list[Step]:
        frame = shot.spec.first_frame
        where = shot.at("first_frame")
        if frame is None:
            raise Unroutable
        if frame.file is not None:
            picture = self._picture(frame.file, where)
            return [self._animate(shot, text, picture, f"opens on {frame.file}")]
        if frame.from_ is not None:
            name, _, part = frame.from_.rpartition(".")
            upstream = self._upstream(shot, name, "first_frame")
            picture = Sent(Made(upstream.key, "first" if part == "first" else "last"), None, where)
            return [self._animate(shot, text, picture, f"opens on the {part} frame of {name}")]
        return self._still_first(shot, text, str(frame.prompt), "its first frame is described")

    def _from_look(self, shot: Shot, text: str) -> list[Step]:
        looks = self._looks(shot, text)
        if looks and shot.spec.reference_as == "first_frame":
            return [
                self._animate(
                    shot, text, replace(looks[0], tag=None), "its reference is used as first frame"
                )
            ]
        if not text:
            raise self.fail(
                shot.where,
                "this shot says nothing to make. Write a `prompt`, or name a `clip` to use.",
            )
        words = brief.compose(shot.spec, camera=False)
        if looks:
            return self._still_first(
                shot, text, words, "a still is built from its references first"
            )
        model = self._model_name(shot, "video")
        variant = self.catalog.variant(model, "text_to_video", self.gateway)
        if variant is None:
            return self._still_first(shot, text, words, f"{model} needs a picture to start from")
        if (
            variant.ratios
            and variant.pixels(self._ratio(shot)) is None
            and self._animates(model, shot)
        ):
            return self._still_first(
                shot, text, words, f"{model} makes {self._ratio(shot)} only from a picture"
            )
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self._remarks(shot, spoken, edit=False)
        return [self._order(shot, "take", variant, spoken, {}, reason="made from its words alone")]

    def _still_first(self, shot: Shot, text: str, words: str, reason: str) -> list[Step]:
        looks = self._looks(shot, f"{text} {words}")
        video = self._variant(shot, "video", "image_to_video")
        variant = self._still_variant(shot, len(looks))
        sent = [{"uri": s.what, "tag": s.tag} if s.tag else {"uri": s.what} for s in looks]
        body = {"referenceImages": sent} if sent else {}
        tagged = frozenset(s.tag for s in looks if s.tag)
        subjects = self.shotlist.subjects
        still = self._order(
            shot,
            "still",
            variant,
            brief.introduced(words, subjects, tagged),
            body,
            ratio=self._still_ratio(shot, variant, video),
            reason=reason,
        )
        frame = Sent(Made(still.key, "still"), None, shot.where)
        return [still, self._animate(shot, text, frame, "animates that still")]

    def _animate(self, shot: Shot, text: str, frame: Sent, reason: str) -> Step:
        variant = self._variant(shot, "video", "image_to_video")
        if frame.asset and variant.aspect:
            self._check_aspect(frame.where, variant, frame.asset.width / frame.asset.height)
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self._remarks(shot, spoken, edit=False)
        return self._order(
            shot, "take", variant, spoken, {"promptImage": frame.what}, reason=reason
        )

    # --- which model --------------------------------------------------------------------------

    def _model_name(self, shot: Shot, work: Work) -> str:
        named = shot.spec.model
        if named and (shot.owns("model") or self._does(named, work)):
            return named
        return self.models[work]

    def _does(self, name: str, work: Work) -> bool:
        return self.catalog.obituary(name, self.gateway) is not None or name in self.catalog.names(
            self.gateway, work
        )

    def _animates(self, model: str, shot: Shot) -> bool:
        variant = self.catalog.variant(model, "image_to_video", self.gateway)
        return variant is not None and variant.pixels(self._ratio(shot)) is not None

    def _variant(self, shot: Shot, work: Work, endpoint: str) -> Variant:
        name = self._model_name(shot, work)
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

    def _still_variant(self, shot: Shot, pictures: int) -> Variant:
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

    def _order(
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

    def _ratio(self, shot: Shot) -> str:
        return shot.spec.ratio or self.shotlist.ratio

    def _ratio_place(self, shot: Shot) -> Where:
        return shot.at("ratio") if shot.spec.ratio else ("ratio",)

    def _pixels(self, shot: Shot, variant: Variant) -> str:
        ratio = self._ratio(shot)
        pixels = variant.pixels(ratio)
        if pixels is None:
            raise self.fail(
                self._ratio_place(shot),
                f"{variant.model} cannot make {ratio} here. It makes {', '.join(variant.ratios)}.",
            )
        return pixels

    def _word(self, shot: Shot, variant: Variant) -> str:
        """Return the shot's ratio as the word nearest to it, for outpainting an edit."""
        wanted = _size(self._ratio(shot)) or (16, 9)
        words = variant.choices.get("targetAspectRatio") or RATIO_WORDS
        return min(words, key=lambda word: abs(_aspect(word) / (wanted[0] / wanted[1]) - 1))

    def _still_ratio(self, shot: Shot, variant: Variant, video: Variant) -> str:
        """Return the still's size: the video's own where it is offered, else the nearest shape."""
        wanted = self._pixels(shot, video) if video.ratios else self._ratio(shot)
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

    def _check_aspect(self, where: Where, variant: Variant, aspect: float) -> None:
        low, high = variant.aspect or (0, 1e9)
        if not low <= aspect <= high:
            raise self.fail(
                where,
                f"the picture is {aspect:.2f} times as wide as high;"
                f" {variant.model} takes {low:g} to {high:g}. Crop it.",
            )

    def _check_source(
        self,
        shot: Shot,
        variant: Variant,
        what: Input,
        seconds: float | None,
        size: tuple[int, int] | None,
    ) -> None:
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
            self._check_aspect(where, variant, size[0] / size[1])
        fps = what.asset.fps if isinstance(what, File) else None
        if variant.source_fps and fps and fps > variant.source_fps + 0.01:
            raise self.fail(
                where,
                f"the source runs at {fps:g} frames a second; {variant.model}"
                f" takes {variant.source_fps:g} at most. Convert it first.",
            )

    def _remarks(self, shot: Shot, text: str, *, edit: bool) -> None:
        where = shot.at("prompt") if shot.spec.prompt else shot.where
        cast = len(
            [n for n in brief.mentions(brief.compose(shot.spec)) if n in self.shotlist.subjects]
        )
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
