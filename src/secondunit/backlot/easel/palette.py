"""Colours of a sketch: one palette for each light and mood, mixed as a prompt mixes its words."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True)
class Palette:
    """The few colours a panel is painted with.

    `top`, `middle` and `horizon` are the sky's, `near` that of what stands close and dark, `light`
    that of sun, moon or lamp, `accent` that of lit windows, signs and flames.
    """

    top: Colour
    middle: Colour
    horizon: Colour
    near: Colour
    light: Colour
    accent: Colour


def _of(*words: str) -> Palette:
    return Palette(*(_hex(word) for word in words))


def _hex(word: str) -> Colour:
    red, green, blue = bytes.fromhex(word)
    return float(red), float(green), float(blue)


PALETTES = {
    "night": _of("040918", "0c1c3e", "2f5480", "03060d", "d3e3ff", "ffb45e"),
    "storm": _of("12181e", "2d3a43", "7c8d90", "06090c", "dbe8ea", "f5c76c"),
    "dawn": _of("27345c", "a76d88", "ffca9c", "1a1428", "ffe6c2", "ffb070"),
    "golden": _of("40608a", "d6935c", "ffdc92", "1c110b", "fff2c8", "ff9d45"),
    "dusk": _of("191a48", "853a70", "ff8e52", "10091a", "ffc784", "ff7a4a"),
    "day": _of("3478b8", "86badf", "eaf2ee", "1c2d38", "fffbe6", "ffd36a"),
    "overcast": _of("74828c", "a3aeb3", "d8dad5", "232a2f", "f5f5ef", "e3b877"),
    "fog": _of("87949d", "b2bcc0", "dcdfda", "333d43", "f7f6f0", "e8c48c"),
    "neon": _of("090520", "2c1052", "c42c8e", "06030e", "3ce8ff", "ff3fa4"),
    "noir": _of("0a0a0c", "29292c", "94938f", "040405", "f6f3ec", "d8d4ca"),
    "candle": _of("120805", "3c1b0d", "b9652c", "090402", "ffb866", "ffd08a"),
    "winter": _of("6c8db0", "b1c6d8", "f0f3f5", "1e2b3a", "ffffff", "ffc98a"),
    "horror": _of("0c0304", "3a0c10", "9a2e22", "050102", "ff7352", "ff4630"),
    "dream": _of("8a8acc", "eeb4cf", "ffe8d2", "40315f", "fff6e4", "ff9fb8"),
    "underwater": _of("3fb6c8", "0d6b8c", "05354c", "021019", "c4f6ff", "7ff0d0"),
    "space": _of("020207", "070920", "1d2350", "010103", "e2eaff", "8fb4ff"),
    "woods": _of("b9c9a8", "7d9c84", "e2e6bd", "0d1a13", "f8f5c8", "f0b65a"),
    "autumn": _of("6f7f8c", "d09a5e", "f7d79a", "26130a", "fff0c4", "e0702c"),
    "desert": _of("5b86ad", "dcae7e", "fbe3b4", "341d12", "fff4d0", "f0903c"),
    "vintage": _of("6b7a6d", "b9a77c", "ead9ac", "2b2117", "fbeec6", "c9803f"),
}

# What calls for each, most telling first; two that are both called for are mixed.
_WORDS = (
    ("underwater", r"underwater|seabed|beneath the (?:sea|waves|surface)|coral reef"),
    ("space", r"outer space|spaceship|starship|galaxy|nebula|orbiting|asteroid|moon base|lunar"),
    ("noir", r"noir|black[- ]and[- ]white|monochrome|b&w|high[- ]contrast shadows?"),
    ("neon", r"neon|cyberpunk|synthwave|nightclub|arcade"),
    ("candle", r"candle\w*|firelight|fireplace|campfire|bonfire|torch\w*|lantern\w*|oil lamp"),
    ("storm", r"storm\w*|thunder\w*|lightning|tempest|gale|hurricane"),
    ("horror", r"horror|sinister|terrify\w*|blood\w*|nightmare\w*|hell\w*|volcan\w*|lava"),
    ("golden", r"golden (?:hour|light)|late afternoon|low sun|magic hour|warm (?:light|sun)\w*"),
    ("dusk", r"dusk|sunset|twilight|evening|blue hour"),
    ("dawn", r"dawn|sunrise|daybreak|early morning|first light|morning"),
    ("night", r"night\w*|midnight|moon\w*|after dark|starry|stars"),
    ("winter", r"snow\w*|winter\w*|ice|icy|frost\w*|frozen|glacier\w*|arctic|blizzard"),
    ("fog", r"fog\w*|mist\w*|haze|hazy"),
    ("overcast", r"overcast|grey|gray|drizzl\w*|rain\w*|bleak|gloom\w*|melanchol\w*|muted"),
    ("autumn", r"autumn\w*|fall leaves|fallen leaves"),
    ("vintage", r"vintage|sepia|1920s|1930s|1940s|1950s|nostalgi\w*|old photograph|faded"),
    ("dream", r"dream\w*|pastel\w*|surreal|ethereal|fairy\w*|whimsical"),
    ("day", r"daylight|sunny|midday|noon|bright|clear (?:sky|day)|summer\w*|blue sky|day\b"),
    ("desert", r"desert|dunes?|canyon|savannah?|mesa"),
    ("woods", r"forest|woods?|jungle|trees"),
)
_UNSAID = ("dusk", "golden", "dawn", "day", "overcast")


def read_palette(prompt: str, random: Random) -> Palette:
    """Choose and mix the palette `prompt` asks for; where it is silent, `random` chooses."""
    called = [name for name, words in _WORDS if re.search(rf"\b(?:{words})\b", prompt.lower())]
    # "Forest at night" is a night; a place only colours a picture that nothing else does.
    lit = [name for name in called if name not in {"desert", "woods"}] or called
    lit = lit or [random.choice(_UNSAID)]
    first = PALETTES[lit[0]]
    mixed = mix(first, PALETTES[lit[1]], 0.38) if len(lit) > 1 else first
    return _turned(mixed, random.uniform(-0.018, 0.018))


def mix(one: Palette, other: Palette, amount: float) -> Palette:
    """Blend two palettes, `amount` 0 (the one) to 1 (the other)."""
    pairs = ((getattr(one, f.name), getattr(other, f.name)) for f in fields(Palette))
    return Palette(*(blend(a, b, amount) for a, b in pairs))


def blend(one: Colour, other: Colour, amount: float) -> Colour:
    """Blend two colours, `amount` 0 (the one) to 1 (the other)."""
    red, green, blue = (a + (b - a) * amount for a, b in zip(one, other, strict=True))
    return red, green, blue


def _turned(palette: Palette, turn: float) -> Palette:
    """Turn every hue a little, so that two seeds of one prompt are two pictures."""
    return Palette(*(_hue(getattr(palette, f.name), turn) for f in fields(Palette)))


def _hue(colour: Colour, turn: float) -> Colour:
    hue, light, depth = colorsys.rgb_to_hls(*(c / 255 for c in colour))
    red, green, blue = colorsys.hls_to_rgb((hue + turn) % 1, light, depth)
    return red * 255, green * 255, blue * 255


def rgb(colour: Colour) -> tuple[int, int, int]:
    """Return `colour` as whole numbers, for Pillow."""
    red, green, blue = (max(0, min(255, round(c))) for c in colour)
    return red, green, blue
