"""How one shot gives way to another: for every transition, what is seen of both at a moment of it.

A new one is a function here, an entry in `CHANGES`, and its name in `cut.edit`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import numpy as np

from secondunit.splice.pictures import FULL, Plane, mixed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from secondunit.cut.edit import Towards

_SOFT = 0.06
"""The edge of a wipe, as a share of the way that it has to go."""


class Changing(Protocol):
    """Frames of a transition; a half of a fade has nothing `above`, or nothing `below`."""

    @property
    def frames(self) -> int:
        """How many there are."""

    @property
    def below(self) -> object | None:
        """What goes."""

    @property
    def above(self) -> object | None:
        """What comes."""


class Moment(NamedTuple):
    """What a transition is given to show, one plane of the pictures after the other.

    `below` goes and `above` comes, `colour` is what lies between them; `share` runs from 0, nothing
    of `above`, to 1, nothing of `below`. A plane has `fine` times as many rows and columns as the
    coarsest one, and what is moved by whole steps of that stays together.
    """

    below: Plane
    above: Plane
    colour: Plane
    share: float
    towards: Towards
    fine: int


def dissolve(moment: Moment) -> Plane:
    """Let one melt into the other."""
    return mixed(moment.below, moment.above, moment.share)


def through(moment: Moment) -> Plane:
    """Let one melt into the colour, and the colour into the other."""
    if moment.share < 0.5:
        return mixed(moment.below, moment.colour, 2 * moment.share)
    return mixed(moment.colour, moment.above, 2 * moment.share - 1)


def wipe(moment: Moment) -> Plane:
    """Draw one over the other, behind a soft edge."""
    height, width = moment.below.shape
    length = width if moment.towards in ("left", "right") else height
    way = (np.arange(length) + 0.5) / length
    if moment.towards in ("left", "up"):
        way = 1 - way
    share = np.clip((moment.share * (1 + _SOFT) - way) / _SOFT, 0, 1)
    parts: NDArray[np.uint16] = np.rint(FULL * share).astype(np.uint16)
    across = moment.towards in ("left", "right")
    return mixed(moment.below, moment.above, parts if across else parts[:, np.newaxis])


def slide(moment: Moment) -> Plane:
    """Let one push the other out."""
    axis = 1 if moment.towards in ("left", "right") else 0
    length = moment.below.shape[axis]
    gone = moment.fine * round(moment.share * (length // moment.fine))
    first, second = moment.below, moment.above
    if moment.towards in ("right", "down"):
        first, second, gone = second, first, length - gone
    both = (np.split(first, [gone], axis)[1], np.split(second, [gone], axis)[0])
    return cast("Plane", np.concatenate(both, axis))


CHANGES: Mapping[str, Callable[[Moment], Plane]] = MappingProxyType(
    {"dissolve": dissolve, "fade": through, "wipe": wipe, "slide": slide, "dip": through}
)
"""By the names of `cut.edit.TRANSITIONS`; a cut changes nothing."""


def share(piece: Changing, at: int) -> float:
    """Say how far a transition is in frame `at` of a piece of it.

    While both are seen no frame shows one alone. The halves of a fade come one after the other: the
    first ends in the bare colour, the second begins with it.
    """
    if piece.above is None:
        return (at + 1) / (2 * piece.frames)
    if piece.below is None:
        return 0.5 + at / (2 * piece.frames)
    return (at + 1) / (piece.frames + 1)
