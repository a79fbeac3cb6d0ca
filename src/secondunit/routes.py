"""From one shot to what has to be ordered for it: the road follows from the inputs that exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from secondunit import brief, keys
from secondunit.assets import LINK, Asset, BadAsset
from secondunit.document import suggest
from secondunit.orders import OrderDesk, Unroutable
from secondunit.plan import File, Link, Made, Step

if TYPE_CHECKING:
    from secondunit.assets import Kind, Library
    from secondunit.catalog import Variant
    from secondunit.document import Where
    from secondunit.plan import Input
    from secondunit.shotlist import Shot

SMALL_SIDE = 640  # pixels; guidance for pictures, docs.dev.runwayml.com/assets/inputs
BLURRED = 4.0  # spread of edges below which a photograph looks out of focus; measured on samples
# The exclusive ways a shot can begin, and what keeping each one means.
OPENINGS = {
    "clip": "use that file as it is",
    "source": "edit that video",
    "continues": "open on the last frame of that shot",
    "first_frame": "open on that picture",
}


@dataclass(frozen=True)
class Sent:
    """A picture that goes into an order, its tag if it has one, and where it is named."""

    what: Input
    tag: str | None
    where: Where
    asset: Asset | None = None


class Router:
    """Turns shots into steps, one after another; upstream shots have to be routed first."""

    def __init__(self, desk: OrderDesk, library: Library) -> None:
        """Have orders written out by `desk`, and files looked up in `library`."""
        self.desk = desk
        self.shotlist = desk.shotlist
        self.library = library
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

    # --- what the shot is given ---------------------------------------------------------------

    def _opening(self, shot: Shot) -> str | None:
        given = [name for name in OPENINGS if getattr(shot.spec, name) is not None]
        own = [name for name in given if shot.owns(name)]
        chosen = own or given
        if len(chosen) > 1:
            first, second = chosen[:2]
            raise self.desk.fail(
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
        raise self.desk.fail(shot.at(by), f"there is no shot called `{name}`.{hint}")

    def _file(self, name: str, kind: Kind, where: Where) -> Asset:
        try:
            return self.library.get(name, kind)
        except BadAsset as bad:
            raise self.desk.fail(where, str(bad)) from None

    def _picture(self, name: str, where: Where, tag: str | None = None) -> Sent:
        if LINK.match(name):
            if not name.startswith("https://"):
                raise self.desk.fail(
                    where, "a linked picture has to be https. Use https, or a file."
                )
            return Sent(Link(name), tag, where)
        asset = self._file(name, "picture", where)
        if min(asset.width, asset.height) < SMALL_SIDE:
            self.desk.remark(
                where,
                "small-reference",
                f"the picture is {asset.width}×{asset.height};"
                f" below {SMALL_SIDE} pixels a side it guides poorly. Use a larger one.",
            )
        if asset.sharpness is not None and asset.sharpness < BLURRED:
            self.desk.remark(
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
            raise self.desk.fail(
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
        self.desk.remark(shot.at("prompt"), "unknown-tag", f"nothing is called @{name}.{hint}")

    # --- the roads ----------------------------------------------------------------------------

    def _own_clip(self, shot: Shot) -> Step:
        asset = self._file(str(shot.spec.clip), "footage", shot.at("clip"))
        if shot.owns("prompt"):
            self.desk.remark(
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
                raise self.desk.fail(where, "a linked video has to be https. Use https, or a file.")
            what, origin = Link(name), "a linked video"
        else:
            asset = self._file(name, "footage", where)
            what, origin = File(asset), name
            seconds, size = asset.seconds, (asset.width, asset.height)
        variant = self.desk.variant(shot, "edit", "video_to_video")
        self.desk.check_source(shot, variant, what, seconds, size)
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
            raise self.desk.fail(shot.where, "an edit needs a `prompt` that says what to change.")
        if shot.owns("duration") and variant.durations is None:
            raise self.desk.fail(
                shot.at("duration"),
                "an edit lasts as long as its source. Shorten it"
                " with `trim`, or take `duration` out.",
            )
        body: dict[str, Any] = {"videoUri" if variant.takes("videoUri") else "promptVideo": what}
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        if looks:
            body |= self._edit_looks(variant, looks)
        if shot.owns("ratio") and variant.takes("targetAspectRatio"):
            body["targetAspectRatio"] = self.desk.word(shot, variant)
        self.desk.remarks(shot, spoken, edit=True)
        return self.desk.order(
            shot, "take", variant, spoken, body, seconds, size, reason=f"edits {origin}"
        )

    def _edit_looks(self, variant: Variant, looks: list[Sent]) -> dict[str, Any]:
        """References become keyframes, spread over the source, where the model wants keyframes."""
        if variant.takes("keyframes"):
            last = max(1, len(looks) - 1)
            return {"keyframes": [{"uri": s.what, "at": i / last} for i, s in enumerate(looks)]}
        if variant.takes("references"):
            typed = variant.shapes.get("references") == "typed_pictures"
            kind = {"type": "image"} if typed else {}
            return {"references": [{**kind, "uri": s.what} for s in looks]}
        raise self.desk.fail(
            looks[0].where, f"{variant.model} takes no reference pictures for an edit."
        )

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
            raise self.desk.fail(
                shot.where,
                "this shot says nothing to make. Write a `prompt`, or name a `clip` to use.",
            )
        words = brief.compose(shot.spec, camera=False)
        if looks:
            return self._still_first(
                shot, text, words, "a still is built from its references first"
            )
        model = self.desk.model_name(shot, "video")
        variant = self.desk.catalog.variant(model, "text_to_video", self.desk.gateway)
        if variant is None:
            return self._still_first(shot, text, words, f"{model} needs a picture to start from")
        if (
            variant.ratios
            and variant.pixels(self.desk.ratio(shot)) is None
            and self.desk.animates(model, shot)
        ):
            return self._still_first(
                shot, text, words, f"{model} makes {self.desk.ratio(shot)} only from a picture"
            )
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self.desk.remarks(shot, spoken, edit=False)
        return [
            self.desk.order(shot, "take", variant, spoken, {}, reason="made from its words alone")
        ]

    def _still_first(self, shot: Shot, text: str, words: str, reason: str) -> list[Step]:
        looks = self._looks(shot, f"{text} {words}")
        video = self.desk.variant(shot, "video", "image_to_video")
        variant = self.desk.still_variant(shot, len(looks))
        sent = [{"uri": s.what, "tag": s.tag} if s.tag else {"uri": s.what} for s in looks]
        body = {"referenceImages": sent} if sent else {}
        tagged = frozenset(s.tag for s in looks if s.tag)
        subjects = self.shotlist.subjects
        still = self.desk.order(
            shot,
            "still",
            variant,
            brief.introduced(words, subjects, tagged),
            body,
            ratio=self.desk.still_ratio(shot, variant, video),
            reason=reason,
        )
        frame = Sent(Made(still.key, "still"), None, shot.where)
        return [still, self._animate(shot, text, frame, "animates that still")]

    def _animate(self, shot: Shot, text: str, frame: Sent, reason: str) -> Step:
        variant = self.desk.variant(shot, "video", "image_to_video")
        if frame.asset and variant.aspect:
            self.desk.check_aspect(frame.where, variant, frame.asset.width / frame.asset.height)
        spoken = brief.spelled_out(text, self.shotlist.subjects)
        self.desk.remarks(shot, spoken, edit=False)
        return self.desk.order(
            shot, "take", variant, spoken, {"promptImage": frame.what}, reason=reason
        )
