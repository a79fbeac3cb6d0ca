"""From one shot to what has to be ordered for it: the road follows from the inputs that exist."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from secondunit import keys
from secondunit.document import suggest
from secondunit.plan import Made, Step
from secondunit.plan.assets import LINK
from secondunit.plan.lookbook import Lookbook, Sent
from secondunit.plan.naming import composed, nearest
from secondunit.plan.orders import OrderDesk, Unroutable
from secondunit.shotlist import brief

if TYPE_CHECKING:
    from collections.abc import Collection

    from secondunit.catalog import Variant
    from secondunit.plan import Input
    from secondunit.plan.assets import Kind, Library
    from secondunit.shotlist import Shot

# The exclusive ways a shot can begin, and what keeping each one means.
OPENINGS = {
    "clip": "use that file as it is",
    "source": "edit that video",
    "continues": "open on the last frame of that shot",
    "first_frame": "open on that picture",
}


_HDR = "HDR ({}), and the film is not. Convert it to SDR (bt709) first; that costs nothing."
UNSENT_WITH_CLIP = (
    "prompt", "subject", "action", "size", "angle", "lens", "camera", "environment", "lighting",
    "reference", "references", "seed", "takes", "circled", "ratio", "model", "moderation",
)  # fmt: skip


def openings(shot: Shot) -> list[str]:
    """Return the exclusive ways in which the shot is told to begin; its own count before defaults'."""
    given = [name for name in OPENINGS if getattr(shot.spec, name) is not None]
    return [name for name in given if shot.owns(name)] or given


def waits_for(shot: Shot, known: Collection[str]) -> str | None:
    """Return the one of the shots called `known` that has to be made before this one."""
    spec = shot.spec
    frame = spec.first_frame.from_ if spec.first_frame else None
    names = {
        "continues": spec.continues,
        "source": spec.source,
        "first_frame": frame.rpartition(".")[0] if frame else None,
    }
    name = composed(names.get(next(iter(openings(shot)), "")) or "")
    return name if name in known else None


@dataclass(frozen=True)
class Footage:
    """A video to edit, and what it is called; `seconds` and `size` are None where not known."""

    what: Input
    called: str
    seconds: float | None = None
    size: tuple[int, int] | None = None


class Router:
    """Turns shots into steps, one after another; upstream shots have to be routed first."""

    def __init__(self, desk: OrderDesk, library: Library) -> None:
        """Have orders written out by `desk`, and files looked up in `library`."""
        self.desk = desk
        self.shotlist = desk.shotlist
        self.looks = Lookbook(desk, library)
        self.names = tuple(shot.id for shot in desk.shotlist.shots)
        self.made: dict[str, Step] = {}

    def route(self, shot: Shot) -> list[Step]:
        """Return the steps of one shot, its clip last. Raises Unroutable, with problems noted."""
        opening = self._opening(shot)
        text = brief.compose(shot.spec)
        self._check_names(shot, text)
        if opening == "clip":
            steps = [self._own_clip(shot)]
        elif opening == "source":
            steps = [self._edit(shot, text)]
        elif opening == "continues":
            steps = [self._continue(shot, text)]
        elif opening == "first_frame":
            steps = self._from_first_frame(shot, text)
        else:
            steps = self._from_look(shot, text)
        self.made[shot.id] = steps[-1]
        return steps

    def look_over(self, shot: Shot) -> None:
        """Note what is wrong with the files of a shot that cannot be routed."""
        spec, upstream = shot.spec, waits_for(shot, frozenset(self.names))
        with suppress(Unroutable):
            self.looks.own(shot)
        footage = upstream is None and spec.source and not self._cannot_be_file(spec.source)
        frame = spec.first_frame.file if spec.first_frame else None
        files: tuple[tuple[str, str | None, Kind], ...] = (
            ("clip", spec.clip, "footage"),
            ("source", spec.source if footage else None, "footage"),
            ("first_frame", frame, "picture"),
        )
        for field, name, kind in files:
            if name and field in openings(shot) and not LINK.match(name):
                with suppress(Unroutable):
                    self.looks.file(name, kind, shot.at(field))

    # --- what the shot is given ---------------------------------------------------------------

    def _opening(self, shot: Shot) -> str | None:
        chosen = openings(shot)
        if len(chosen) > 1:
            first, second = chosen[:2]
            raise self.desk.fail(
                shot.at(second),
                f"`{first}` and `{second}` contradict each other. Keep `{first}` to"
                f" {OPENINGS[first]}, or `{second}` to {OPENINGS[second]}.",
            )
        return chosen[0] if chosen else None

    def _upstream(self, shot: Shot, name: str, by: str) -> Step:
        name = composed(name)
        if name in self.made:
            return self.made[name]
        if name in self.names:
            raise Unroutable  # that shot has a problem of its own, which is already noted
        raise self.desk.fail(
            shot.at(by), f"there is no shot called `{name}`.{nearest(name, self.names)}"
        )

    def _check_names(self, shot: Shot, text: str) -> None:
        """Note whoever is named and not known; a mention that is no misspelling may be meant so."""
        for field, kind in (("location", "locations"), ("look", "looks")):
            name, subjects = getattr(shot.spec, field), self.shotlist.subjects.values()
            known = [subject.name for subject in subjects if subject.kind == kind]
            if name and name not in known:
                hint = nearest(name, known) or f" Describe it under `{kind}`."
                self.desk.fail(shot.at(field), f"there is no {field} called `{name}`.{hint}")
        own = [
            *([shot.spec.reference] if shot.spec.reference else []),
            *(shot.spec.references or []),
        ]
        tags = {*self.shotlist.subjects, *(r.tag for r in own if r.tag)}
        given = (shot.spec.location, shot.spec.look)
        for name in brief.mentions(text):
            if name not in tags and name not in given:
                self._unknown_tag(shot, name, tags)

    def _unknown_tag(self, shot: Shot, name: str, tags: Collection[str]) -> None:
        where = shot.at("prompt") if shot.spec.prompt else shot.where
        if guess := suggest(name, tags):
            self.desk.fail(where, f"nothing is called @{name}. Did you mean @{guess}?")
        else:
            self.desk.remark(
                where,
                "unknown-tag",
                f"nothing is called @{name}, so the model reads it as a word."
                " Name it under `cast`, `locations` or `looks`.",
            )

    def _check_shorter(self, shot: Shot, why: str, seconds: float | None) -> None:
        """See that a duration shortens what there is; nothing makes it longer. Raises Unroutable."""
        wanted = shot.spec.duration
        if wanted is None or not shot.owns("duration"):
            return
        if seconds is None or wanted > seconds:
            length = "" if seconds is None else f", {seconds:.5g} s"
            raise self.desk.fail(
                shot.at("duration"),
                f"{why}{length}. Shorten it with `trim`, or take `duration` out.",
            )

    # --- the roads ----------------------------------------------------------------------------

    def _own_clip(self, shot: Shot) -> Step:
        asset = self.looks.file(str(shot.spec.clip), "footage", shot.at("clip"))
        self._check_shorter(shot, "a clip lasts as long as it does", asset.seconds)
        if asset.hdr:
            raise self.desk.fail(shot.at("clip"), f"{shot.spec.clip} is {_HDR.format(asset.hdr)}")
        if asset.alpha:
            self.desk.remark(
                shot.at("clip"), "alpha", f"what is transparent in {shot.spec.clip} becomes black."
            )
        unsent = [name for name in UNSENT_WITH_CLIP if shot.owns(name)]
        if unsent:
            names = ", ".join(f"`{name}`" for name in unsent)
            self.desk.remark(
                shot.at(unsent[0]),
                "unused",
                f"a clip is used as it is, so {names} will not change it."
                " To change the footage, name it as `source`.",
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
        if composed(name) in self.names or self._cannot_be_file(name):
            upstream = self._upstream(shot, name, "source")
            what = self.looks.clip_of(upstream, where)
            source = Footage(what, upstream.shot, upstream.seconds, upstream.size)
        elif LINK.match(name):
            source = Footage(self.looks.link(name, "video", where), "a linked video")
        else:
            asset = self.looks.file(name, "footage", where)
            if asset.hdr:
                self.desk.remark(where, "hdr", f"{name} is {_HDR.format(asset.hdr)}")
            size = (asset.width, asset.height)
            source = Footage(self.looks.sent(asset, where), name, asset.seconds, size)
        variant = self.desk.variant(shot, "edit", "video_to_video")
        self.desk.check_source(shot, variant, source.what, source.seconds, source.size)
        return self._edit_order(shot, text, variant, self._used(shot, variant, source))

    def _used(self, shot: Shot, variant: Variant, source: Footage) -> Footage:
        """Return a source as far as it is used, and remark on what is dropped of it."""
        used = variant.source_used
        if source.seconds is None or used is None or source.seconds <= used:
            return source
        self.desk.remark(
            shot.at("source"),
            "source-cut",
            f"{variant.model} uses the first {used:g} s of a source, and this one lasts"
            f" {source.seconds:.1f} s. To keep the rest, cut it into pieces.",
        )
        return replace(source, seconds=used)

    def _cannot_be_file(self, name: str) -> bool:
        """Say whether `sh10` is a misspelt shot rather than a file that is missing."""
        return "." not in name and "/" not in name and not self.looks.holds(name)

    def _edit_order(self, shot: Shot, text: str, variant: Variant, source: Footage) -> Step:
        looks = self.looks.own(shot)
        if not text and not looks:
            raise self.desk.fail(shot.where, "an edit needs a `prompt` that says what to change.")
        if variant.durations is None:
            self._check_shorter(shot, "an edit lasts as long as its source", source.seconds)
        body: dict[str, Any] = {
            "videoUri" if variant.takes("videoUri") else "promptVideo": source.what
        }
        if looks:
            body |= self._edit_looks(variant, looks)
        of_its_own = variant.takes("videoUri") and variant.ratios  # the gateway chooses among them
        size = None if of_its_own else source.size
        if shot.owns("ratio") and variant.takes("targetAspectRatio"):
            body["targetAspectRatio"] = self.desk.word(shot, variant)
            size = None  # what it paints around the picture decides
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self.desk.remarks(shot, spoken, edit=True)
        return self.desk.order(
            shot, "take", variant, spoken, body, source.seconds, size,
            reason=f"edits {source.called}",
        )  # fmt: skip

    def _edit_looks(self, variant: Variant, looks: list[Sent]) -> dict[str, Any]:
        """References become keyframes, spread over the source, where the model wants keyframes."""
        if not variant.max_pictures:
            raise self.desk.fail(
                looks[0].where, f"{variant.model} takes no reference pictures for an edit."
            )
        if len(looks) > variant.max_pictures:
            raise self.desk.fail(
                looks[variant.max_pictures].where,
                f"{variant.model} takes {variant.max_pictures} reference at most for an edit, and"
                f" these are {len(looks)}. Take some out.",
            )
        if variant.takes("keyframes"):
            last = max(1, len(looks) - 1)
            return {"keyframes": [{"uri": s.what, "at": i / last} for i, s in enumerate(looks)]}
        typed = variant.shapes.get("references") == "typed_pictures"
        kind = {"type": "image"} if typed else {}
        return {"references": [{**kind, "uri": s.what} for s in looks]}

    def _continue(self, shot: Shot, text: str) -> Step:
        upstream = self._upstream(shot, str(shot.spec.continues), "continues")
        frame = Sent(Made(upstream.key, "last"), shot.at("continues"), size=upstream.size)
        return self._open_on(shot, text, frame, f"opens on the last frame of {upstream.shot}")

    def _from_first_frame(self, shot: Shot, text: str) -> list[Step]:
        frame = shot.spec.first_frame
        where = shot.at("first_frame")
        if frame is None:
            raise Unroutable
        if frame.file is not None:
            picture = self.looks.picture(frame.file, where)
            return [self._open_on(shot, text, picture, f"opens on {frame.file}")]
        if frame.from_ is not None:
            name, _, part = frame.from_.rpartition(".")
            upstream = self._upstream(shot, name, "first_frame")
            made = Made(upstream.key, "first" if part == "first" else "last")
            picture = Sent(made, where, size=upstream.size)
            reason = f"opens on the {part} frame of {upstream.shot}"
            return [self._open_on(shot, text, picture, reason)]
        return self._still_first(shot, text, str(frame.prompt), "its first frame is described")

    def _open_on(self, shot: Shot, text: str, frame: Sent, reason: str) -> Step:
        """Animate a picture that is there; what the shot should look like is seen on it."""
        for field in ("reference", "references"):
            if shot.owns(field):
                self.desk.remark(
                    shot.at(field),
                    "unused",
                    "this shot opens on a given picture, and a reference cannot change that; it is"
                    " not sent. To build the opening from it, use `first_frame: {prompt: …}`.",
                )
        return self._animate(shot, text, frame, reason)

    def _from_look(self, shot: Shot, text: str) -> list[Step]:
        looks = self.looks.of(shot, text)
        if shot.spec.reference_as == "first_frame":
            if not looks:
                raise self.desk.fail(
                    shot.at("reference_as"), "there is no reference to open on. Give a `reference`."
                )
            frame = replace(looks[0], tag=None)
            return [self._animate(shot, text, frame, "its reference is used as first frame")]
        if not text:
            raise self.desk.fail(
                shot.where,
                "this shot says nothing to make. Write a `prompt`, or name a `clip` to use.",
            )
        words = brief.compose(shot.spec, camera=False) or text
        if looks:
            return self._still_first(
                shot, text, words, "a still is built from its references first"
            )
        return self._from_words(shot, text, words)

    def _from_words(self, shot: Shot, text: str, words: str) -> list[Step]:
        model, ratio = self.desk.model_name(shot, "video"), self.desk.ratio(shot)
        variant = self.desk.catalog.variant(model, "text_to_video", self.desk.gateway)
        if variant is None:
            return self._still_first(shot, text, words, f"{model} needs a picture to start from")
        unmade = variant.ratios and variant.pixels(ratio) is None
        if unmade and self.desk.animates(model):
            reason = f"{model} makes {ratio} only from a picture"
            return self._still_first(shot, text, words, reason)
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self.desk.remarks(shot, spoken, edit=False)
        return [
            self.desk.order(shot, "take", variant, spoken, {}, reason="made from its words alone")
        ]

    def _still_first(self, shot: Shot, text: str, words: str, reason: str) -> list[Step]:
        looks = self.looks.of(shot, f"{text} {words}")
        video = self.desk.variant(shot, "video", "image_to_video")
        variant = self.desk.still_variant(shot, len(looks))
        sent = [{"uri": s.what, "tag": s.tag} if s.tag else {"uri": s.what} for s in looks]
        tagged = frozenset(s.tag for s in looks if s.tag)
        still = self.desk.order(
            shot,
            "still",
            variant,
            brief.introduced(words, self.shotlist.subjects, tagged),
            {"referenceImages": sent} if sent else {},
            ratio=self.desk.still_ratio(shot, variant, video),
            reason=reason,
        )
        frame = Sent(Made(still.key, "still"), shot.where, size=still.size)
        return [still, self._animate(shot, text, frame, "animates that still")]

    def _animate(self, shot: Shot, text: str, frame: Sent, reason: str) -> Step:
        variant = self.desk.variant(shot, "video", "image_to_video")
        made = isinstance(frame.what, Made)
        way = "Give that shot another `ratio`, or this one another `model`." if made else "Crop it."
        self.desk.check_aspect(frame.where, variant, frame.size, way)
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self.desk.remarks(shot, spoken, edit=False)
        return self.desk.order(
            shot, "take", variant, spoken, {"promptImage": frame.what}, reason=reason
        )
