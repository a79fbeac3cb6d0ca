"""What a film says of itself in its container: title, time, what made it, a chapter for every shot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

from secondunit import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from fractions import Fraction

    from av.container import OutputContainer

    from secondunit.cut import Placed


@dataclass(frozen=True)
class About:
    """What a film is told to say: nothing that is left out, and of `made` the whole second.

    `made` knows its time zone. `plan` and `manifest` are keys: of what was to be made, and of the
    manifest's account of it, by which a film that went astray finds its papers.
    """

    title: str = ""
    made: datetime | None = None
    plan: str = ""
    manifest: str = ""

    @property
    def comment(self) -> str:
        """The line that names program, plan and manifest."""
        named = {"plan": self.plan, "manifest": self.manifest}
        keys = [f"{what} {key}" for what, key in named.items() if key]
        return " · ".join([f"secondunit {__version__}", *keys])


_MILLISECONDS = 1000

UNTOLD = About()
"""Says no more than the program's name."""


def tell(
    film: OutputContainer, about: About, placed: Sequence[Placed] = (), fps: Fraction | None = None
) -> None:
    """Have a container that is about to be written say what it is.

    Each of `placed`, in film order, becomes a chapter from its first frame to the next one's, in
    an MP4 by a third track of text, as QuickTime does it; so `movie_clock` belongs to its options.
    """
    film.metadata.update(_words(about))
    if not placed or fps is None:
        return
    starts = [0, *(place.start for place in placed[1:])]
    last = placed[-1].start + placed[-1].frames
    film.set_chapters(
        [
            {
                "id": number,
                "start": start,
                "end": end,
                "time_base": 1 / fps,
                "metadata": {"title": place.shot},
            }
            for number, (place, (start, end)) in enumerate(
                zip(placed, pairwise([*starts, last]), strict=True)
            )
        ]
    )


def movie_clock(ticks: Fraction) -> Mapping[str, str]:
    """Return the options by which an MP4 or MOV keeps chapters to the frame.

    `ticks` in a second hold a whole number for every frame; ffmpeg's own clock counts milliseconds.
    """
    finer = ceil(_MILLISECONDS / ticks)  # sound is placed by it as well
    return {"movie_timescale": str(int(ticks * finer))}


def _words(about: About) -> dict[str, str]:
    words = {"comment": about.comment}
    if about.title:
        words["title"] = about.title
    if about.made:
        words["creation_time"] = about.made.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return words
