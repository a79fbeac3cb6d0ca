"""The pictures of a shot: found, measured, remarked upon, and each sent once."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secondunit.catalog import INLINE_LIMIT, fits_inline
from secondunit.catalog.shapes import uri
from secondunit.plan import File, Link, Made
from secondunit.plan.assets import LINK, Asset, BadAsset
from secondunit.plan.orders import OrderDesk, Unroutable
from secondunit.shotlist import brief
from secondunit.shotlist.language import MAX_REFERENCES

if TYPE_CHECKING:
    from secondunit.document import Where
    from secondunit.plan import Input, Step
    from secondunit.plan.assets import Kind, Library
    from secondunit.shotlist import Shot

SMALL_SIDE = 640  # pixels; guidance for pictures, docs.dev.runwayml.com/assets/inputs
INLINE_MB = f"{INLINE_LIMIT * 3 // 4 // 100_000 / 10:g}"  # of a file; base64 adds a third to it
BLURRED = 4.0  # spread of edges below which a photograph looks out of focus; measured on samples


@dataclass(frozen=True)
class Sent:
    """A picture that goes into an order, where it is named, its tag and its size if it has them."""

    what: Input
    where: Where
    tag: str | None = None
    size: tuple[int, int] | None = None


class Lookbook:
    """Finds what shots should look like; problems and remarks go to the order desk."""

    def __init__(self, desk: OrderDesk, library: Library) -> None:
        """Look files up in `library`, and note what is wrong with them at `desk`."""
        self.desk = desk
        self.library = library
        self.subjects = desk.shotlist.subjects

    def file(self, name: str, kind: Kind, where: Where) -> Asset:
        """Return a file of the author's. Raises Unroutable."""
        try:
            return self.library.get(name, kind)
        except BadAsset as bad:
            raise self.desk.fail(where, str(bad)) from None

    def holds(self, name: str) -> bool:
        """Say whether there is footage of this name."""
        with suppress(BadAsset):
            return bool(self.library.get(name, "footage"))
        return False

    def link(self, name: str, kind: str, where: Where) -> Link:
        """Return an address that the gateway will fetch. Raises Unroutable."""
        address = "https" + name[5:] if name[:5].lower() == "https" else ""
        if not address:
            raise self.desk.fail(where, "a link has to begin with https://. Use https, or a file.")
        if issue := next(uri(kind)((), address), None):
            raise self.desk.fail(
                where, f"{name[:80]} cannot be fetched. {issue.message} Correct it, or use a file."
            )
        return Link(address)

    def sent(self, asset: Asset, where: Where) -> File:
        """Return a file as it goes into an order. Raises Unroutable when it cannot travel there."""
        if asset.tells:
            self.desk.remark(where, "private-metadata", asset.warning)
        if self._takes_uploads or fits_inline(asset.size):
            return File(asset)
        raise self.desk.fail(
            where,
            f"{asset.path.name} has {math.ceil(asset.size / 1e5) / 10:g} MB; {self.desk.gateway}"
            f" takes no uploads, and an order carries {INLINE_MB} MB at most. Make it smaller, or"
            " name an https link to it.",
        )

    def clip_of(self, upstream: Step, where: Where) -> File | Made:
        """Return the clip of another shot as it goes into an order. Raises Unroutable."""
        if upstream.own:
            return self.sent(upstream.own, where)
        if not self._takes_uploads:
            self.desk.remark(
                where,
                "may-not-fit",
                f"{self.desk.gateway} takes no uploads, and an order carries {INLINE_MB} MB at most."
                f" Whether the clip of {upstream.shot} fits is known once it is made and paid for.",
            )
        return Made(upstream.key, "clip")

    @property
    def _takes_uploads(self) -> bool:
        return self.desk.catalog.gateways[self.desk.gateway].uploads

    def picture(self, name: str, where: Where, tag: str | None = None) -> Sent:
        """Return a picture as it is sent, and remark on one that guides poorly. Raises Unroutable."""
        if LINK.match(name):
            return Sent(self.link(name, "image", where), where, tag)
        asset = self.file(name, "picture", where)
        sent = self.sent(asset, where)
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
        return Sent(sent, where, tag, (asset.width, asset.height))

    def own(self, shot: Shot) -> list[Sent]:
        """Return the pictures that the shot itself names to say what it should look like."""
        spec = shot.spec
        named = [(spec.reference, shot.at("reference"))] if spec.reference else []
        named += [(r, shot.at("references", i)) for i, r in enumerate(spec.references or [])]
        looks: list[Sent] = []
        for reference, where in named:
            if reference.tag and reference.tag in {look.tag for look in looks}:
                self.desk.fail(where, f"the tag `{reference.tag}` is given twice. Change one.")
            else:
                with suppress(Unroutable):
                    looks.append(self.picture(reference.file, where, reference.tag))
        if len(looks) < len(named):
            raise Unroutable
        return looks

    def of(self, shot: Shot, text: str) -> list[Sent]:
        """Return the pictures that say what the shot should look like: its own, then its cast's.

        A picture of the shot's own under the tag of a cast member stands for that member.
        """
        looks = self.own(shot)
        tags = {look.tag for look in looks}
        for name in brief.mentions(text):
            subject = self.subjects.get(name) if name not in tags else None
            for number, (file, where) in enumerate(subject.references if subject else ()):
                looks.append(self.picture(file, where, name if number == 0 else None))
        looks = _distinct(looks)
        if len(looks) > MAX_REFERENCES:
            raise self.desk.fail(
                shot.where,
                f"{len(looks)} reference pictures come together here, with those of the cast,"
                f" location and look; at most {MAX_REFERENCES} are taken. Mention fewer.",
            )
        return looks


def _distinct(looks: list[Sent]) -> list[Sent]:
    """Send no picture twice: one without a tag is left out where it is sent under a tag."""
    once = {(look.what, look.tag): look for look in looks}
    tagged = {what for what, tag in once if tag}
    return [look for (what, tag), look in once.items() if tag or what not in tagged]
