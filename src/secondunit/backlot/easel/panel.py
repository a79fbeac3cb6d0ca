"""A storyboard panel drawn from words alone, in layers that a moving lens can part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops

from secondunit.backlot.easel import built, figures, scenery
from secondunit.backlot.easel.brush import Easel, Outline, Sheet, ellipse, limb, smooth
from secondunit.backlot.easel.camera import Room
from secondunit.backlot.easel.palette import blend, read_palette
from secondunit.backlot.easel.plate import Plate
from secondunit.backlot.easel.scenery import Stage
from secondunit.backlot.easel.staging import Staging, read_staging

ROOM = Room(0.12, 0.12)
FAR = 0.45  # how much of a move the backdrop makes


@dataclass(frozen=True)
class Panel:
    """A drawn shot: a backdrop and what stands before it, both wider than the frame by ROOM."""

    backdrop: Image.Image
    near: Image.Image
    frame: tuple[int, int]
    staging: Staging
    lamp: tuple[float, float] | None

    def plates(self, parallax: float) -> tuple[Plate, ...]:
        """Make the layers ready to film; `parallax` 0 keeps them together."""
        far = 1 - (1 - FAR) * min(1.0, parallax)
        return (
            Plate.of(self.backdrop, self.frame, ROOM, far),
            Plate.of(self.near, self.frame, ROOM),
        )

    def still(self) -> Image.Image:
        """Return the panel as one picture of the frame's size."""
        whole = self.backdrop.copy()
        whole.paste(self.near, (0, 0), self.near)
        left, top = ((b - f) // 2 for b, f in zip(whole.size, self.frame, strict=True))
        return whole.crop((left, top, left + self.frame[0], top + self.frame[1]))


_HORIZON = {"aerial": 0.20, "establishing": 0.60, "close": 0.66, "medium": 0.60, "extreme": 0.7}
_TALL = {"aerial": 0.07, "establishing": 0.12, "wide": 0.33, "full": 0.62, "over": 0.46}


def draw(prompt: str, seed: int, frame: tuple[int, int]) -> Panel:
    """Draw `prompt` for a frame in pixels; the same words and seed give the same panel."""
    random = Random(f"{seed}·{prompt}")
    stage = _set(prompt, random, frame)
    staging, easel = stage.staging, stage.easel
    {**scenery.PAINTERS, "sea": built.sea, "city": built.city, "street": built.street,
     "interior": built.interior}[staging.place](stage)
    if staging.size in ("close", "medium", "extreme", "over"):
        stage = _soft_behind(stage)
    lamp = _dress(stage)
    mottle = easel.noise((26 * easel.aspect, 26), 3)
    for sheet, amount in ((stage.far, 9.0), (stage.near, 5.0)):
        sheet.grain(mottle, amount)
    near = stage.near.picture.copy()
    near.putalpha(stage.near.matte)
    return Panel(_vignette(stage.far.picture), near, frame, staging, lamp)


def _set(prompt: str, random: Random, frame: tuple[int, int]) -> Stage:
    easel = Easel(frame, ROOM, random.getrandbits(63))
    palette = read_palette(prompt, random)
    staging = read_staging(prompt, random)
    horizon = _HORIZON.get(staging.size, 0.62) + random.uniform(-0.04, 0.04)
    horizon += {"low": 0.14, "high": -0.16, "top": -0.3}.get(staging.angle, 0.0)
    horizon = max(0.14, min(0.82, horizon))
    ground = max(horizon + 0.10, 0.84 + random.uniform(-0.02, 0.03))
    side = random.choice((-1, 1))
    sun = (0.5 + side * random.uniform(0.14, 0.26), horizon - random.uniform(0.08, 0.2))
    if sum(palette.top) < 150:
        sun = (sun[0], random.uniform(0.12, 0.24))
    far = Sheet(easel, palette.middle, backdrop=True)
    near = Sheet(easel, palette.near)
    return Stage(easel, palette, staging, random, far, near, horizon, ground, sun)


def _soft_behind(stage: Stage) -> Stage:
    """Throw the place out of focus behind somebody close, and let its lights swell."""
    easel = stage.easel
    whole = stage.far.picture.copy()
    whole.paste(stage.near.picture, (0, 0), stage.near.matte)
    blur = {"medium": 0.012, "over": 0.012}.get(stage.staging.size, 0.026)
    soft = Image.merge("RGB", [easel.soften(band, blur) for band in whole.split()])
    far = Sheet(easel, soft, backdrop=True)
    rng, palette = easel.rng, stage.palette
    if sum(palette.top) < 200 or stage.staging.place in ("city", "street", "interior"):
        for _ in range(16):
            x, y, r = rng.uniform(-0.1, 1.1), rng.uniform(0.05, 0.75), rng.uniform(0.012, 0.045)
            disc = easel.mask([ellipse(x, y, r / easel.aspect, r)], 0.004)
            far.light(disc, palette.accent if rng.random() < 0.6 else palette.light, rng.uniform(0.06, 0.2))
    return replace(stage, far=far, near=Sheet(easel, palette.near))


def _dress(stage: Stage) -> tuple[float, float] | None:
    """Put people and things into the place; return where a lamp turns, if one does."""
    staging = stage.staging
    if staging.size in ("close", "extreme", "medium") and staging.people:
        _people_close(stage)
        return None
    lamp = _things(stage)
    if staging.people:
        _people_whole(stage)
    if staging.size == "over":
        _shoulder(stage)
    return lamp


def _stand(stage: Stage, outlines: list[Outline], x: float, y: float, tall: float, flip: bool) -> None:
    """Put a silhouette on the near sheet, with a rim of light on the sunny side."""
    easel = stage.easel
    sign = -1 if flip else 1
    placed = [[(x + sign * a * tall / easel.aspect, y - b * tall) for a, b in part] for part in outlines]
    mask = easel.mask(placed)
    feet = min(1.3, y)
    wash = easel.wash([(y - tall, stage.hazy(0.10)), (feet, stage.palette.near)])
    stage.near.fill(mask, wash)
    reach = max(1, round(easel.unit * (0.0022 + 0.006 * min(1, tall))))
    shifted = ImageChops.offset(mask, -stage.side * reach, reach // 2)
    rim = easel.soften(ImageChops.subtract(mask, shifted), 0.0012 + 0.004 * min(1, tall))
    stage.near.light(ImageChops.multiply(rim, mask), stage.palette.light, 0.85)


def _people_whole(stage: Stage) -> None:
    staging, random = stage.staging, stage.random
    tall = _TALL.get(staging.size, 0.33) * {"low": 1.25, "high": 0.85}.get(staging.angle, 1.0)
    looks = figures.cast(staging, random)
    middle = 0.5 - 0.16 * stage.side * (1 if len(looks) < 3 else 0.3)
    if staging.size == "over":
        middle = 0.5 + 0.12 * stage.side
    gap = 0.42 * tall / stage.easel.aspect
    for n, look in enumerate(looks):
        x = middle + (n - (len(looks) - 1) / 2) * gap * random.uniform(0.9, 1.2)
        flip = (n % 2 == 1) if len(looks) == 2 else (stage.side < 0 if n == 0 else random.random() < 0.5)
        y = stage.ground + 0.012 + (random.uniform(0, 0.02) if n else 0)
        _stand(stage, figures.standing(look, random), x, y, tall * (1 if n == 0 else random.uniform(0.93, 1.04)), flip)
    if "umbrella" in staging.things:
        top = stage.ground - tall * 1.02
        canopy = smooth([(-0.22, -0.02), (-0.14, 0.09), (0.0, 0.13), (0.14, 0.09), (0.22, -0.02), (0.1, 0.01), (0, 0.0), (-0.1, 0.01)])
        _stand(stage, [canopy, limb([(0.0, 0.1), (0.02, -0.4)], [0.012, 0.012])], middle, top, tall, False)


def _people_close(stage: Stage) -> None:
    staging, random = stage.staging, stage.random
    looks = figures.cast(staging, random)[:2]
    head = {"medium": 0.30, "close": 0.50, "extreme": 0.98}[staging.size]
    if stage.easel.aspect < 1:
        head *= 0.8
    aside = staging.has("profile") or staging.size == "extreme" or len(looks) == 2 or random.random() < 0.7
    chin = {"medium": 0.50, "close": 0.66, "extreme": 0.88}[staging.size]
    for n, look in enumerate(looks):
        away = -stage.side if n == 0 else stage.side
        x = 0.5 + away * (0.13 if len(looks) == 1 else 0.25)
        flip = away > 0
        _stand(stage, figures.bust(look, aside=aside), x, chin + 0.02 * n, head * (1 - 0.06 * n), flip)


def _shoulder(stage: Stage) -> None:
    """Somebody's shoulder and the back of a head, close and out of focus."""
    easel = stage.easel
    x = 0.5 - 0.30 * stage.side
    parts = figures.bust(figures.Look(), aside=False)
    placed = [[(x + a * 0.62 / easel.aspect, 0.74 - b * 0.62) for a, b in part] for part in parts]
    stage.near.fill(easel.mask(placed, 0.010), blend(stage.palette.near, stage.palette.middle, 0.06))


def _things(stage: Stage) -> tuple[float, float] | None:
    lamp = None
    wide = stage.staging.size not in ("close", "medium", "extreme")
    for name in stage.staging.things:
        if name in _PROPS:
            lamp = _PROPS[name](stage, wide) or lamp
    return lamp


def _lighthouse(stage: Stage, wide: bool) -> tuple[float, float]:
    easel, palette = stage.easel, stage.palette
    x, y, tall = 0.5 - 0.30 * stage.side, stage.ground + 0.01, 0.56
    w = tall * 0.075 / easel.aspect
    top = y - tall
    body = [(x - w * 1.35, y + 0.02), (x - w * 0.8, top + 0.09), (x + w * 0.8, top + 0.09), (x + w * 1.35, y + 0.02)]
    gallery = [(x - w * 1.15, top + 0.09), (x - w * 1.15, top + 0.075), (x + w * 1.15, top + 0.075), (x + w * 1.15, top + 0.09)]
    room = [(x - w * 0.6, top + 0.08), (x - w * 0.6, top + 0.03), (x + w * 0.6, top + 0.03), (x + w * 0.6, top + 0.08)]
    dome = [(x - w * 0.72, top + 0.032), (x - w * 0.4, top + 0.012), (x, top - 0.005), (x + w * 0.4, top + 0.012), (x + w * 0.72, top + 0.032)]
    mast = [(x - 0.0015, top), (x, top - 0.04), (x + 0.0015, top)]
    stage.near.fill(easel.mask([body, gallery, room, dome, mast]), easel.wash([(top, stage.hazy(0.16)), (y, stage.hazy(0.06))]))
    bands = []
    for n in (0, 2):
        t0, t1 = n / 4 + 0.12, (n + 1) / 4 + 0.12
        w0, w1 = (w * (0.8 + 0.55 * t) for t in (t0, t1))
        y0, y1 = (top + 0.09 + (tall - 0.09) * t for t in (t0, t1))
        bands.append([(x - w0, y0), (x + w0, y0), (x + w1, y1), (x - w1, y1)])
    stage.near.fill(easel.mask(bands, 0.001), blend(palette.light, palette.near, 0.72), 0.8)
    stage.near.light(easel.mask([room], 0.001), palette.accent, 1.0)
    stage.far.glow(x, top + 0.055, 0.5, palette.accent, 0.8)
    stage.near.glow(x, top + 0.055, 0.09, palette.light, 0.9)
    return x, top + 0.055


def _boat(stage: Stage, wide: bool) -> None:
    easel = stage.easel
    x, y, size = 0.5 + 0.16 * stage.side, stage.horizon + 0.05, 0.10
    def at(a: float, b: float) -> tuple[float, float]:
        return x + a * size / easel.aspect, y - b * size
    hull = smooth([at(-0.75, 0.16), at(-0.55, -0.06), at(0.5, -0.06), at(0.85, 0.22), at(0.4, 0.14), at(-0.4, 0.12)])
    mast = limb([at(0.0, 0.1), at(0.03, 1.5)], [0.003, 0.0015])
    sail = [at(0.06, 0.25), at(0.06, 1.45), at(0.62, 0.3)]
    jib = [at(-0.03, 0.25), at(0.0, 1.3), at(-0.5, 0.28)]
    stage.far.fill(easel.mask([hull, mast, sail, jib]), stage.hazy(0.14))


def _house(stage: Stage, wide: bool) -> None:
    easel, palette = stage.easel, stage.palette
    x, y, s = 0.5 + 0.24 * stage.side, stage.ground + 0.015, 0.26
    def at(a: float, b: float) -> tuple[float, float]:
        return x + a * s / easel.aspect, y - b * s
    body = [at(-0.5, -0.1), at(-0.5, 0.5), at(0.5, 0.5), at(0.5, -0.1)]
    roof = [at(-0.62, 0.47), at(-0.34, 0.95), at(0.34, 0.95), at(0.62, 0.47)]
    chimney = [at(0.16, 0.8), at(0.16, 1.12), at(0.28, 1.12), at(0.28, 0.8)]
    stage.near.fill(easel.mask([body, roof, chimney]), easel.wash([(y - s, stage.hazy(0.16)), (y, stage.hazy(0.06))]))
    panes = [[at(a, 0.16), at(a, 0.38), at(a + 0.15, 0.38), at(a + 0.15, 0.16)] for a in (-0.34, -0.08, 0.2)]
    stage.near.light(easel.mask(panes, 0.001), palette.accent, 0.9)
    stage.near.glow(*at(0, 0.28), 0.2, palette.accent, 0.4)


def _tree(stage: Stage, wide: bool) -> None:
    easel, rng = stage.easel, stage.easel.rng
    x, y, tall = 0.5 + 0.28 * stage.side, stage.ground + 0.02, 0.55
    parts = [limb([(x, y), (x + 0.01, y - tall * 0.3), (x - 0.005, y - tall * 0.6)], [0.03, 0.02, 0.008])]
    for _ in range(90):
        a, r = rng.uniform(0, 6.283), rng.random() ** 0.5
        cx, cy = x + np.cos(a) * r * tall * 0.42 / easel.aspect, y - tall * 0.72 + np.sin(a) * r * tall * 0.27
        size = rng.uniform(0.012, 0.036)
        parts.append(ellipse(cx, cy, size / easel.aspect * 1.2, size * 0.8))
    stage.near.fill(easel.mask(parts), easel.wash([(y - tall, stage.hazy(0.2)), (y, stage.hazy(0.05))]))


def _car(stage: Stage, wide: bool) -> None:
    s, x = 0.20, 0.5 - 0.06 * stage.side
    body = smooth([(-1.05, 0.12), (-1.08, 0.36), (-0.7, 0.46), (-0.42, 0.72), (0.3, 0.74), (0.62, 0.48), (1.05, 0.38), (1.12, 0.14)], 6)
    wheels = [ellipse(a, 0.13, 0.17, 0.17) for a in (-0.62, 0.64)]
    _stand(stage, [body, *wheels], x, stage.ground + 0.04, s, stage.side < 0)
    stage.near.glow(x + 1.1 * s / stage.easel.aspect * stage.side, stage.ground + 0.04 - 0.3 * s, 0.10, stage.palette.light, 0.9)
    stage.far.glow(x + 1.2 * s / stage.easel.aspect * stage.side, stage.ground - 0.02, 0.32, stage.palette.light, 0.5)


def _beast(outline):  # type: ignore[no-untyped-def]
    def put(stage: Stage, wide: bool) -> None:
        tall = {"dog": 0.16}.get(outline.__name__, 0.24)
        if outline is figures.hound:
            tall = 0.15
        _stand(stage, outline(stage.random), 0.5 + 0.06 * stage.side, stage.ground + 0.015, tall, stage.side < 0)
    return put


def _birds(stage: Stage, wide: bool) -> None:
    rng = stage.easel.rng
    birds = []
    cx, cy = 0.5 + 0.1 * stage.side, stage.horizon * 0.5
    for _ in range(13):
        wing = rng.uniform(0.008, 0.02)
        x, y = cx + rng.normal(0, 0.11), cy + rng.normal(0, 0.06)
        birds.append([(x + (a - x) / 1.3, b) for a, b in figures.gull(x, y, wing)])
    scenery.place_cloud_of_birds(stage, birds)


def _fire(stage: Stage, wide: bool) -> None:
    easel, palette = stage.easel, stage.palette
    x, y = 0.5 + 0.10 * stage.side, stage.ground + 0.02
    flames = []
    for n in range(9):
        dx, tall = easel.rng.normal(0, 0.014), easel.rng.uniform(0.05, 0.14)
        flames.append(limb([(x + dx, y), (x + dx * 0.8, y - tall * 0.5), (x + dx * 0.2, y - tall)], [0.022, 0.018, 0.002]))
    stage.far.glow(x, y - 0.06, 0.8, palette.accent, 0.75)
    stage.near.fill(easel.mask(flames, 0.003), easel.wash([(y - 0.14, palette.accent), (y, palette.light)]), 0.95)
    stage.near.glow(x, y - 0.05, 0.3, palette.accent, 0.75)


_PROPS = {
    "lighthouse": _lighthouse, "boat": _boat, "house": _house, "tree": _tree, "car": _car,
    "horse": _beast(figures.horse), "dog": _beast(figures.hound), "deer": _beast(figures.stag),
    "bird": _birds, "fire": _fire,
}  # fmt: skip


def _vignette(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    x = np.linspace(-1, 1, width // 8)[None, :] ** 2
    y = np.linspace(-1, 1, height // 8)[:, None] ** 2
    dark = np.clip(255 * (1 - 0.30 * (x + y) ** 1.3 / 2), 0, 255).astype(np.uint8)
    mask = Image.fromarray(dark).resize(picture.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(picture, Image.merge("RGB", (mask, mask, mask)))
