"""What a shot list says of sound, lettering and deliverables, with the files it names for them."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, get_args

from secondunit.cut import Profile, nearest
from secondunit.cut.edit import Deliverable, Look, Mix, Sound
from secondunit.plan.assets import BadAsset
from secondunit.plan.naming import composed, file_word
from secondunit.plan.naming import nearest as nearest_name
from secondunit.plan.orders import LARGEST_WORD, Unroutable
from secondunit.plan.outline import exact
from secondunit.shotlist import frame_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secondunit.document import Where
    from secondunit.plan.assets import Asset, Kind, Library
    from secondunit.plan.orders import OrderDesk
    from secondunit.shotlist.audio import SoundSpec
    from secondunit.shotlist.cutting import DeliverableSpec

Laid = Literal["music", "ambience", "voice_over"]
DUCKED = {"music": 9.0, "ambience": 6.0, "voice_over": 0.0}  # dB, where nothing is said
WIDEST = 4096  # pixels of a deliverable's longer side
GIF_FASTEST = 50  # frames a second: what is shown for less than 2/100 s, players show for 10/100 s


class FinishingDesk:
    """Reads what becomes of the film as a whole; problems go to the order desk.

    The files are vetted as all files are, and leave this machine in no order.
    """

    def __init__(self, desk: OrderDesk, library: Library) -> None:
        self.desk = desk
        self.shotlist = desk.shotlist
        self.library = library

    def look(self) -> Look:
        """Return how words are set and shots fitted."""
        spec = self.shotlist.cut
        font = None
        if spec.font is not None:
            with suppress(Unroutable):
                font = self._file(spec.font, "font", ("cut", "font"))
        return Look(
            fit=spec.fit,
            font=str(font.path) if font else "",
            sha256=font.sha256 if font else "",
            safe=float(spec.safe),
            captions=spec.captions,
        )

    def mix(self) -> Mix:
        """Return the film's sound."""
        spec = self.shotlist.audio
        loudness = None if spec.loudness in (None, "off") else float(spec.loudness)
        return Mix(tuple(self._sounds()), loudness, float(spec.peak))

    def deliverables(self, film: Profile, look: Look) -> tuple[Deliverable, ...]:
        """Return what is made of the film beside it."""
        made = []
        for name, spec in self.shotlist.deliverables.items():
            with suppress(Unroutable):
                made.append(self._deliverable(name, spec, film, look))
        self._check_names()
        return tuple(made)

    def _file(self, name: str, kind: Kind, where: Where) -> Asset:
        try:
            return self.library.get(name, kind)
        except BadAsset as bad:
            raise self.desk.fail(where, str(bad)) from None

    # --- sound --------------------------------------------------------------------------------

    def _sounds(self) -> Iterator[Sound]:
        names = [shot.id for shot in self.shotlist.shots]
        kept = {shot.id for shot in self.shotlist.shots if not shot.spec.omit}
        for kind in get_args(Laid):
            for at, spec in enumerate(getattr(self.shotlist.audio, kind) or ()):
                where: Where = ("audio", kind, at)
                if not isinstance(self.shotlist.document.data["audio"][kind], list):
                    where = where[:-1]
                shot = composed(spec.shot) if spec.shot is not None else ""
                if shot and shot not in names:
                    hint = nearest_name(shot, names)
                    self.desk.fail((*where, "shot"), f"there is no shot called `{shot}`.{hint}")
                with suppress(Unroutable):
                    sound = self._sound(kind, spec, shot, where)
                    if not shot or shot in kept:  # else it is omitted with its shot
                        yield sound

    def _sound(self, kind: Laid, spec: SoundSpec, shot: str, where: Where) -> Sound:
        asset = self._file(spec.file, "sound", (*where, "file"))
        if asset.seconds is not None and spec.from_ >= asset.seconds:
            raise self.desk.fail(
                (*where, "from"),
                f"{spec.file} is {asset.seconds:.4g} s long, and this begins after its end.",
            )
        duck = DUCKED[kind] if spec.duck is None or spec.duck is True else float(spec.duck)
        return Sound(
            kind, str(asset.path), asset.sha256, shot,
            start=exact(spec.at), since=exact(spec.from_),
            seconds=None if spec.for_ is None else exact(spec.for_), gain=float(spec.gain),
            fade_in=exact(spec.fade_in), fade_out=exact(spec.fade_out), loop=spec.loop,
            ducked=duck,
        )  # fmt: skip

    # --- deliverables -------------------------------------------------------------------------

    def _deliverable(
        self, name: str, spec: DeliverableSpec, film: Profile, look: Look
    ) -> Deliverable:
        if spec.format == "gif" and spec.fps is not None and spec.fps > GIF_FASTEST:
            raise self.desk.fail(
                ("deliverables", name, "fps"),
                f"players show a GIF of more than {GIF_FASTEST} frames a second at ten, for its clock"
                f" counts hundredths. Write `fps: {GIF_FASTEST}` or less; 25, 20 and 10 are as even.",
            )
        width, height = self._size(name, spec, film)
        return Deliverable(
            name, spec.format, width, height,
            fps=None if spec.fps is None else frame_rate(spec.fps),
            crf=spec.crf, bit_rate=spec.bit_rate,
            look=Look(
                spec.fit or look.fit, look.font, look.sha256,
                look.safe if spec.safe is None else float(spec.safe),
                spec.captions or look.captions,
            ),
            at=None if spec.at is None else exact(spec.at),
        )  # fmt: skip

    def _size(
        self, name: str, spec: DeliverableSpec, film: Profile
    ) -> tuple[int | None, int | None]:
        """Return width and height in pixels: of the film's shorter side where no height is said."""
        if spec.ratio is None and spec.height is None:
            return None, None
        across, down = self._shape(spec, film)
        if spec.height is not None:
            height = spec.height
        elif max(across, down) > LARGEST_WORD and spec.ratio is not None and across != film.width:
            height = down
        else:
            short = min(film.width, film.height)
            height = short if across >= down else _even(Fraction(short * down, across))
        width = _even(Fraction(height * across, down))
        if not 16 <= min(width, height) <= max(width, height) <= WIDEST or height % 2:
            raise self.desk.fail(
                ("deliverables", name, "height" if spec.height is not None else "ratio"),
                f"{width}×{height} pixels cannot be made. Width and height have to be even, from 16"
                f" to {WIDEST}.",
            )
        return width, height

    def _shape(self, spec: DeliverableSpec, film: Profile) -> tuple[int, int]:
        """Return the shape: a word that is also the film's means exactly the film's."""
        if spec.ratio is None or spec.ratio == self.shotlist.ratio:
            return film.width, film.height
        across, _, down = spec.ratio.partition(":")
        return int(across), int(down)

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        alone = {file_word(shot.id).lower(): shot.id for shot in self.shotlist.shots}
        for name in self.shotlist.deliverables:
            if shot := alone.get(name.lower()):
                self.desk.fail(
                    ("deliverables", name),
                    f"the film of the shot `{shot}` alone has this name. Choose another.",
                )
            other = seen.setdefault(name.lower(), name)
            if other != name:
                self.desk.fail(
                    ("deliverables", name),
                    f"`{other}` and `{name}` would be one file on some disks. Rename one.",
                )


def _even(value: Fraction) -> int:
    return max(2, 2 * nearest(value / 2))
