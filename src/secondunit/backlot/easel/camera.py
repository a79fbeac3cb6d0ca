"""Camera moves: read from a prompt's words, eased, and laid out as one pose for each frame."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random

WIDEST = 1.24
"""Pulled all the way out, a window shows this much of the frame it opened on."""

_RAMP = 0.28  # part of a move spent speeding up, and the same slowing down
_WHIP = (0.40, 0.62)  # a whip is over in this part of the clip
_CLOSE = 0.74  # how near a lens goes for want of room to travel


@dataclass(frozen=True)
class Pose:
    """What the lens sees: centre off the picture's centre, and width, all in frame sizes.

    `x` grows to the right, `y` downwards; `span` 1 is the whole frame, less is closer.
    """

    x: float = 0.0
    y: float = 0.0
    span: float = 1.0


@dataclass(frozen=True)
class Move:
    """A whole camera move: how far it travels in frame sizes, and how much closer it ends.

    `push` is the natural logarithm of the magnification gained. `shake` is the reach of a hand.
    `parallax` says how strongly near things part from far ones. `whip` packs the travel into a
    fraction of a second.
    """

    x: float = 0.0
    y: float = 0.0
    push: float = 0.0
    shake: float = 0.0
    parallax: float = 1.0
    whip: bool = False

    def __add__(self, other: Move) -> Move:
        """Both moves at once, as in a pan with a push."""
        return Move(
            self.x + other.x,
            self.y + other.y,
            self.push + other.push,
            max(self.shake, other.shake),
            max(self.parallax, other.parallax),
            self.whip or other.whip,
        )

    def __mul__(self, amount: float) -> Move:
        """The same move, travelling `amount` times as far."""
        x, y, push = self.x * amount, self.y * amount, self.push * amount
        return Move(x, y, push, self.shake * amount, self.parallax, self.whip)


@dataclass(frozen=True)
class Room:
    """How far beyond the frame a picture goes on, on each side, in frame sizes."""

    x: float = 0.0
    y: float = 0.0


GENTLE = Move(push=0.075)
"""What the camera does when nobody tells it anything."""

_PUSH, _PULL = Move(push=0.20), Move(push=-0.20)
_RIGHT, _LEFT = Move(x=0.16), Move(x=-0.16)
_UP, _DOWN = Move(y=-0.14), Move(y=0.14)
_TRUCK_RIGHT, _TRUCK_LEFT = Move(x=0.15, parallax=1.5), Move(x=-0.15, parallax=1.5)
_RISE, _SINK = Move(y=-0.13, push=-0.05, parallax=1.3), Move(y=0.13, push=0.05, parallax=1.3)
_ORBIT = Move(x=0.12, push=0.06, parallax=2.0)
_FLIGHT = Move(y=-0.05, push=0.15, parallax=1.4)

_SIDEWAYS = (
    r"(?:truck(?:s|ing)?|track(?:s|ing)?|doll(?:y|ies|ying)|slid(?:e|es|ing)|drift(?:s|ing)?)"
)
_WHERE = r"(?: slowly| gently| quickly| smoothly| steadily)?[- ]?(?:to(?:wards?)? the |to )?"

# The camera's words, most particular first; words taken by one are not read again by another.
_WORDS: tuple[tuple[str, Move], ...] = (
    (r"whip[- ]?pan\w*(?: to the)? left", Move(x=-0.30, whip=True)),
    (r"(?:whip|swish)[- ]?pan\w*|whip to", Move(x=0.30, whip=True)),
    (r"(?:crash|snap)[- ]zoom\w*", Move(push=0.34, whip=True)),
    (r"dolly[- ]zoom|vertigo effect", Move(push=0.22, parallax=2.0)),
    (r"(?:orbit|arc|circl)\w*(?: \w+){0,3} (?:counter-?clockwise|left)", _ORBIT + _LEFT * 1.5),
    (r"orbit(?:s|ing)?|(?:camera|shot|lens|slow(?:ly)?|full) (?:arc|circl)\w*", _ORBIT),
    (r"arc(?:s|ing)? (?:shot|around|right)|circl(?:es|ing) around", _ORBIT),
    (rf"push(?:es|ing)?{_WHERE}(?:in|into|towards?|closer|forwards?)|(?:slow|gentle) push", _PUSH),
    (rf"(?:pull(?:s|ing)?|camera backs){_WHERE}(?:out|back|away)", _PULL),
    (rf"zoom(?:s|ing)?{_WHERE}(?:out|back)", Move(push=-0.22, parallax=0.2)),
    (r"zoom(?:s|ing)?", Move(push=0.24, parallax=0.2)),
    (rf"{_SIDEWAYS}{_WHERE}(?:out|back(?:wards?)?|away)", _PULL),
    (rf"{_SIDEWAYS}{_WHERE}(?:in|forwards?|towards?)|dolly shot", _PUSH),
    (rf"{_SIDEWAYS}{_WHERE}left", _TRUCK_LEFT),
    (rf"{_SIDEWAYS}{_WHERE}right", _TRUCK_RIGHT),
    (r"(?:tracking|trucking|lateral|travell?ing) shot|slider|trucking", _TRUCK_RIGHT),
    (r"(?:camera|shot|lens) (?:track|drift|follow|glid)\w*", _TRUCK_RIGHT),
    (r"track(?:s|ing)? (?:along|alongside|with|across)", _TRUCK_RIGHT),
    (r"pan(?:s|ning)?(?: \w+){0,3} to (?:the )?left", _LEFT),
    (r"pan(?:s|ning)?(?: \w+){0,3} to (?:the )?right", _RIGHT),
    (rf"pan(?:s|ning)?{_WHERE}left|leftward pan", _LEFT),
    (rf"pan(?:s|ning)?{_WHERE}up", _UP),
    (rf"pan(?:s|ning)?{_WHERE}down", _DOWN),
    (r"(?:slow|camera|gentle|quick|fast|smooth) pan|pans|panning|pan (?:right|to|across)", _RIGHT),
    (rf"tilt(?:s|ing)?{_WHERE}down(?:wards?)?", _DOWN),
    (rf"tilt(?:s|ing)?{_WHERE}up(?:wards?)?|tilting|tilt shot", _UP),
    (r"(?:crane|boom|jib|pedestal|drone|camera)s?(?: \w+)? (?:down|descend\w*|lowers?)", _SINK),
    (r"(?:crane|boom|jib|pedestal)s?(?: shot| up)|(?:drone|camera) (?:rises|rising|lifts)", _RISE),
    (r"fly(?:ing)?[- ]?(?:over|through)|flyover|drone shot|drone (?:glid|fli|push)\w*", _FLIGHT),
    (r"hand-?held|shaky(?: camera)?|documentary[- ]style|v[ée]rit[ée]", Move(shake=1.0)),
    (r"static|locked[- ]?(?:off|down|camera|shot)|lock-?off|tripod|still camera", Move()),
    (r"fixed (?:shot|camera|frame)|camera (?:holds|stays|is still)|no camera move\w*", Move()),
)

_FAST = re.compile(r"\b(?:fast|quick(?:ly)?|rapid(?:ly)?|swift(?:ly)?|sudden(?:ly)?|dramatic)\b")
_SLOW = re.compile(r"\b(?:slow(?:ly)?|gentle|gently|subtle|slight(?:ly)?|creep\w*|barely)\b")


def read_move(prompt: str) -> Move:
    """Return the move the words of `prompt` ask for; several add up; none is a gentle push."""
    text, found = prompt.lower(), []
    for words, move in _WORDS:
        for match in re.finditer(rf"\b(?:{words})\b", text):
            found.append((match.start(), move * _amount(text, match)))
            text = text[: match.start()] + "·" * len(match[0]) + text[match.end() :]
            break
    # A third move is a list, not a camera direction: the first two are what is meant.
    moves = [move for _, move in sorted(found, key=lambda item: item[0])[:2]]
    return sum(moves, Move()) if moves else GENTLE


def _amount(text: str, match: re.Match[str]) -> float:
    near = text[max(0, match.start() - 18) : match.end() + 18]
    if _FAST.search(near):
        return 1.4
    return 0.7 if _SLOW.search(near) else 1.0


def poses(move: Move, frames: int, room: Room, seed: int, *, centred: bool = False) -> list[Pose]:
    """Lay `move` out over `frames` frames so that no pose looks beyond `room`.

    The first pose is the whole frame at rest, and where there is no room to travel the lens goes
    closer instead. `centred` moves start half their way before the centre and end half after it:
    for a picture that was composed for the middle of the move.
    """
    start = -0.5 if centred else 0.0
    shake = _Hand(seed, move.shake)
    return [
        _within(_pose(move, _progress(move, i, frames) + start, shake, i, frames), room)
        for i in range(frames)
    ]


def _pose(move: Move, done: float, shake: _Hand, frame: int, frames: int) -> Pose:
    x, y = shake.at(frame, frames)
    return Pose(move.x * done + x, move.y * done + y, math.exp(-move.push * done))


def _progress(move: Move, frame: int, frames: int) -> float:
    """How much of the move is done at `frame`, 0 to 1."""
    time = frame / max(1, frames - 1)
    if move.whip:
        time = min(1.0, max(0.0, (time - _WHIP[0]) / (_WHIP[1] - _WHIP[0])))
        return time * time * (3 - 2 * time)
    return ease(time)


def ease(time: float) -> float:
    """Ease in, go at an even speed, ease out; 0 to 0, 1 to 1."""
    top = 1 / (1 - _RAMP)
    if time < _RAMP:
        return top * time * time / (2 * _RAMP)
    if time > 1 - _RAMP:
        return 1 - top * (1 - time) ** 2 / (2 * _RAMP)
    return top * (time - _RAMP / 2)


def _within(pose: Pose, room: Room) -> Pose:
    """Go closer until the window fits, but travel alone never takes it nearer than _CLOSE."""
    fitting = 1 + 2 * min(room.x - abs(pose.x), room.y - abs(pose.y))
    span = min(pose.span, WIDEST, 1 + 2 * min(room.x, room.y))
    span = min(span, max(fitting, _CLOSE))
    x, y = (
        max(-reach, min(reach, at))
        for at, reach in ((pose.x, room.x + (1 - span) / 2), (pose.y, room.y + (1 - span) / 2))
    )
    return Pose(x, y, span)


class _Hand:
    """The breathing of a hand-held camera: a few slow waves, none of them in step."""

    _WAVES = ((0.31, 1.0), (0.73, 0.55), (1.37, 0.28), (2.9, 0.10))  # hertz at 24 fps, reach
    _REACH = 0.010  # frame sizes

    def __init__(self, seed: int, amount: float) -> None:
        random = Random(seed)  # noqa: S311  a drawing hand, not a secret
        self._reach = self._REACH * amount
        self._phases = [
            [(rate * random.uniform(0.9, 1.1), reach, random.uniform(0, math.tau))
             for rate, reach in self._WAVES]
            for _ in range(2)
        ]  # fmt: skip

    def at(self, frame: int, frames: int) -> tuple[float, float]:
        if not self._reach:
            return 0.0, 0.0
        onset = ease(min(1.0, frame / max(1, min(24, frames - 1))))
        x, y = (
            sum(
                reach * math.sin(math.tau * rate * frame / 24 + phase)
                for rate, reach, phase in axis
            )
            for axis in self._phases
        )
        return x * self._reach * onset, y * self._reach * onset * 0.8
