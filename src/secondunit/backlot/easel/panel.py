"""A storyboard panel drawn from words alone, in layers that a moving lens can part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops

from secondunit.backlot.easel import built, figures, nature, things
from secondunit.backlot.easel.brush import Place, Sheet, ellipse, noise
from secondunit.backlot.easel.camera import Pose, Room
from secondunit.backlot.easel.palette import blend, read_palette
from secondunit.backlot.easel.plate import Canvas, Plate, over_all
from secondunit.backlot.easel.scenery import Stage
from secondunit.backlot.easel.staging import Staging, artist, read_staging

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

ROOM = Room(0.12, 0.12)
"""How far a panel is drawn beyond the frame, for the lens to travel."""

_FAR = 0.45  # how much of a move the backdrop makes
_BACKDROP_FINENESS = 0.7  # what is far is painted softer, and in half the time


@dataclass(frozen=True)
class Panel:
    """A drawn shot: a backdrop, and what stands before it with its place.

    Both are wider than the frame by ROOM. `lamp` is where a lamp turns, in frame sizes, if one does.
    """

    backdrop: Image.Image
    near: tuple[Image.Image, Place] | None
    frame: tuple[int, int]
    staging: Staging
    lamp: things.Lamp

    def plates(self, parallax: float) -> tuple[Plate, ...]:
        """Make the layers ready to film; `parallax` 0 keeps them together."""
        far = 1 - (1 - _FAR) * parallax
        backdrop = Plate.of(self.backdrop, self.frame, over_all(ROOM), far)
        if self.near is None:
            return (backdrop,)
        return backdrop, Plate.of(self.near[0], self.frame, self.near[1])

    def still(self) -> Image.Image:
        """Return the panel as one picture of the frame's size."""
        canvas = Canvas(*self.frame)
        for plate in self.plates(0.0):
            plate.expose(canvas, Pose())
        return canvas.picture()


_PLACES: dict[str, Callable[[Stage], None]] = {
    "mountain": nature.mountains,
    "field": nature.field,
    "forest": nature.forest,
    "desert": nature.desert,
    "sea": nature.sea,
    "space": nature.space,
    "underwater": nature.underwater,
    "city": built.city,
    "street": built.street,
    "road": built.road,
    "interior": built.interior,
}
_HORIZON = {"aerial": 0.22, "close": 0.66, "medium": 0.60, "extreme": 0.70}
_ANGLE = {"low": 0.14, "high": -0.16, "top": -0.3}
_WEIGHTLESS = {"underwater": -1.25, "space": -0.45}  # how far somebody is turned, in radians
_TALL = {"aerial": 0.07, "establishing": 0.13, "full": 0.62, "over": 0.46}
_SOFT = {"medium": 0.010, "over": 0.010, "close": 0.024, "extreme": 0.030}
_HEAD = {"medium": (0.29, 0.47), "close": (0.50, 0.64), "extreme": (1.0, 0.90)}  # height, chin


def draw(prompt: str, seed: int, frame: tuple[int, int]) -> Panel:
    """Draw `prompt` for a frame in pixels; the same words and seed give the same panel."""
    stage = _set(prompt, artist(prompt, seed), frame)
    _PLACES[stage.staging.place](stage)
    if stage.staging.size in _SOFT:
        stage = _out_of_focus(stage, frame)
    lamp = _dress(stage)
    tooth = noise(stage.rng, (240, 135), (26 * stage.aspect, 26), 3)
    stage.far.grain(tooth, 6.0, stage.rng)
    stage.near.grain(tooth, 4.0, stage.rng)
    backdrop, near = _vignette(stage.far.picture), stage.near.cut_out()
    return Panel(backdrop, near, frame, stage.staging, lamp)


def _set(prompt: str, random: Random, frame: tuple[int, int]) -> Stage:
    """Choose colours, light and lines before a stroke is made."""
    palette, staging = read_palette(prompt, random), read_staging(prompt, random)
    horizon = _HORIZON.get(staging.size, 0.62) + random.uniform(-0.04, 0.04)
    horizon = max(0.16, min(0.80, horizon + _ANGLE.get(staging.angle, 0.0)))
    ground = max(horizon + 0.10, 0.84 + random.uniform(-0.02, 0.03))
    side = random.choice((-1, 1))
    high = (
        random.uniform(0.13, 0.24)
        if sum(palette.top) < 150
        else horizon - random.uniform(0.08, 0.2)
    )
    return Stage(
        palette=palette,
        staging=staging,
        random=random,
        rng=np.random.Generator(np.random.PCG64(random.getrandbits(63))),
        far=Sheet(frame, ROOM, palette.middle, fineness=_BACKDROP_FINENESS, backdrop=True),
        near=Sheet(frame, ROOM, palette.near),
        horizon=horizon,
        ground=ground,
        sun=(0.5 + side * random.uniform(0.14, 0.26), high),
    )


def _out_of_focus(stage: Stage, frame: tuple[int, int]) -> Stage:
    """Throw the place out of focus behind somebody close, and let its lights swell."""
    far, near, palette, rng = stage.far, stage.near, stage.palette, stage.rng
    layer = near.picture.resize(far.size, Image.Resampling.BILINEAR)
    far.picture.paste(layer, (0, 0), near.matte and near.matte.resize(far.size))
    far.soft(_SOFT[stage.staging.size])
    if stage.dark or stage.staging.place in ("city", "street", "interior"):
        for _ in range(14):
            x, y, size = rng.uniform(-0.1, 1.1), rng.uniform(0.05, 0.75), rng.uniform(0.012, 0.045)
            colour = palette.accent if rng.random() < 0.6 else palette.light
            far.light(
                [ellipse(x, y, size / far.aspect, size)], colour, rng.uniform(0.06, 0.2), 0.004
            )
    return replace(stage, near=Sheet(frame, ROOM, palette.near))


def _dress(stage: Stage) -> things.Lamp:
    """Put people and things into the place; return where a lamp turns, if one does."""
    staging, lamp = stage.staging, None
    if staging.size in _HEAD and staging.people:
        _people_close(stage)
        return None
    if staging.size in ("close", "extreme") and not set(staging.things) & set(things.PROPS):
        things.insert(stage)
        return None
    for name in staging.things:
        if name in things.PROPS:
            lamp = things.PROPS[name](stage) or lamp
    if staging.people and "horse" not in staging.things:
        _people_whole(stage)
    if staging.size == "over":
        _shoulder(stage)
    return lamp


def _people_whole(stage: Stage) -> None:
    staging, random = stage.staging, stage.random
    tall = _TALL.get(staging.size, 0.34) * {"low": 1.25, "high": 0.85}.get(staging.angle, 1.0)
    looks = figures.cast(staging, random)
    middle = 0.5 - stage.side * (0.16 if len(looks) < 3 else 0.05)
    if staging.size == "over":
        middle = 0.5 + 0.14 * stage.side
    gap = 0.44 * tall / stage.aspect
    for n, look in enumerate(looks):
        x = middle + (n - (len(looks) - 1) / 2) * gap * random.uniform(0.9, 1.2)
        flip = stage.side < 0 if n == 0 else random.random() < 0.5
        if len(looks) == 2:
            flip = n == 1
        height = tall * (1 if n == 0 else random.uniform(0.93, 1.04))
        outlines = figures.standing(look, random)
        if n == 0 and "umbrella" in staging.things:
            outlines += [[(a + 0.06, b + 1.03) for a, b in part] for part in things.CANOPY]
        y = stage.ground + 0.012 + 0.004 * n
        if staging.place in _WEIGHTLESS:
            outlines, y = figures.afloat(outlines, _WEIGHTLESS[staging.place]), 0.52 - 0.1 * n
        things.stand(stage, outlines, x, y, height, flip=flip)


def _people_close(stage: Stage) -> None:
    staging, random = stage.staging, stage.random
    looks = figures.cast(staging, random)[:2]
    head, chin = _HEAD[staging.size]
    head *= 0.8 if stage.aspect < 1 else 1.0
    aside = (
        staging.size == "extreme"
        or len(looks) == 2
        or staging.has("profile")
        or random.random() < 0.7
    )
    for n, look in enumerate(looks):
        away = -stage.side if n == 0 else stage.side
        x = 0.5 + away * (0.13 if len(looks) == 1 else 0.25)
        outlines = figures.bust(look, aside=aside)
        things.stand(stage, outlines, x, chin + 0.02 * n, head * (1 - 0.06 * n), flip=away > 0)


def _shoulder(stage: Stage) -> None:
    """Somebody's shoulder and the back of a head, close, dark and out of focus."""
    near, tall = stage.near, 0.85 * stage.fit
    # The head comes in from the edge by a quarter of the frame, whatever the frame's shape.
    x, nape = 0.5 - stage.side * (0.24 + 0.385 * tall / near.aspect), 0.98
    placed = [
        [(x + a * tall / near.aspect, nape - b * tall) for a, b in part] for part in figures.back()
    ]
    near.fill(placed, blend(stage.palette.near, stage.palette.middle, 0.05), 1.0, 0.012)


def _vignette(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    across, down = np.linspace(-1, 1, width // 8 + 2) ** 2, np.linspace(-1, 1, height // 8 + 2) ** 2
    dark = 255 * (1 - 0.15 * (across[None, :] + down[:, None]) ** 1.3)
    mask = Image.fromarray(np.uint8(np.clip(dark, 0, 255)))
    mask = mask.resize(picture.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(picture, Image.merge("RGB", (mask, mask, mask)))
