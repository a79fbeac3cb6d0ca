"""What a person decided about the cut, as values: never an order, never a credit.

Times are in seconds, exact, as they were written; frames come in when the clips are there and
measured, see `cut.timeline`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

Towards = Literal["left", "right", "up", "down"]

OVERLAPPING = ("dissolve", "wipe", "slide", "dip")
"""Transitions during which both shots are seen to move, so they need frames of both at once."""

TRANSITIONS = ("cut", "fade", *OVERLAPPING)
"""Every transition there is. `fade` shows one shot after the other, through a colour."""


@dataclass(frozen=True)
class Transition:
    """How one shot gives way to the next, and for how long; a fade lasts so long on either side.

    `colour` (`#rrggbb`) is passed through by `fade` and `dip`; `towards` is where a `wipe` or a
    `slide` moves. A `cut` takes no time.
    """

    kind: str = "cut"
    seconds: Fraction = Fraction(0)
    colour: str = "#000000"
    towards: Towards = "left"


CUT = Transition()
"""The one that nothing needs to be made for."""


@dataclass(frozen=True)
class Lettering:
    """Words over the picture of a shot, from `start` seconds into it, for `seconds` or to its end.

    `kind` is what they are: a `title` in the middle, a `lower_third` (a name, and below it a
    second line), a `caption` (a line of dialogue at the bottom) or a `slate` (facts of the take in
    a corner, for dailies). `lines` are shown one below the other.
    """

    kind: Literal["title", "lower_third", "caption", "slate"]
    lines: tuple[str, ...]
    start: Fraction = Fraction(0)
    seconds: Fraction | None = None


@dataclass(frozen=True)
class Card:
    """A picture of words alone that stands before or after a shot: no sound, no credit."""

    lines: tuple[str, ...]
    seconds: Fraction
    colour: str = "#ffffff"
    background: str = "#000000"
    into: Transition = CUT


@dataclass(frozen=True)
class Line:
    """A line that is spoken in a shot; `start` and `seconds` as for lettering, None: shared out."""

    text: str
    speaker: str = ""
    start: Fraction | None = None
    seconds: Fraction | None = None


@dataclass(frozen=True)
class Edit:
    """What is done with a shot's clip in the film, beside its trim.

    `speed` above 1 is faster. `handles` are seconds kept out of the film at both ends of the used
    part, there for transitions to use. `into` leads from whatever stands before; `out` ends the
    film after its last shot, by a fade or not at all. `gain` is of the clip's own sound, in dB; None
    mutes it. `before` and `after` are cards; `dialogue` is said in the shot.
    """

    speed: Fraction = Fraction(1)
    handles: Fraction = Fraction(0)
    into: Transition = CUT
    out: Transition = CUT
    gain: float | None = 0.0
    before: tuple[Card, ...] = ()
    after: tuple[Card, ...] = ()
    letterings: tuple[Lettering, ...] = ()
    dialogue: tuple[Line, ...] = ()


PLAIN = Edit()
"""The clip as it is."""


@dataclass(frozen=True)
class Sound:
    """A file that is laid under or over the film.

    `start` is in seconds from the film's first frame, or from that of `shot` where one is named;
    `since` is where in the file it begins, `seconds` how long it lasts (None: to its end, or the
    film's). `gain` is in dB, `fade_in` and `fade_out` in seconds. `loop` repeats it to the end.
    `ducked` is by how many dB it gives way while somebody speaks. `sha256` names its bytes.
    """

    kind: Literal["music", "ambience", "voice_over"]
    path: str
    sha256: str
    shot: str = ""
    start: Fraction = Fraction(0)
    since: Fraction = Fraction(0)
    seconds: Fraction | None = None
    gain: float = 0.0
    fade_in: Fraction = Fraction(0)
    fade_out: Fraction = Fraction(0)
    loop: bool = False
    ducked: float = 0.0


@dataclass(frozen=True)
class Mix:
    """The film's sound as a whole; with nothing said it is that of the clips, untouched.

    `loudness` is the programme's, in LUFS by ITU-R BS.1770-4, None: as it comes; `peak` is the most
    that the true peak may reach, in dBTP.
    """

    sounds: tuple[Sound, ...] = ()
    loudness: float | None = None
    peak: float = -1.0


@dataclass(frozen=True)
class Look:
    """How words are set and shots of another shape are fitted.

    `font` is a file (empty: the one that comes with Pillow) and `sha256` names its bytes. `safe` is
    the share of width and height, on every side, that words keep clear of. `captions` says where
    dialogue goes: into the picture (`burn`), into files beside the film, or both.
    """

    fit: Literal["pad", "crop", "blur"] = "pad"
    font: str = ""
    sha256: str = ""
    safe: float = 0.05
    captions: Literal["file", "burn", "both", "none"] = "file"


@dataclass(frozen=True)
class Deliverable:
    """One file that is made of the film beside the film itself; None: as the film has it.

    `width` and `height` are in pixels and even; `crf` and `bit_rate` (bits a second) exclude each
    other. `kind` is what file it is.
    """

    name: str
    kind: Literal["h264", "hevc", "vp9", "av1", "prores", "gif", "poster", "contact_sheet"] = "h264"
    width: int | None = None
    height: int | None = None
    fps: Fraction | None = None
    crf: int | None = None
    bit_rate: int | None = None
    look: Look = field(default_factory=Look)
    at: Fraction | None = None
    """The moment of a poster, in seconds; None: the middle."""
