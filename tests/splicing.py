"""Films of clips and their sound, without a shot list."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from footage import counting

from secondunit.cut.edit import CUT, Mix
from secondunit.cut.timeline import Item, timeline
from secondunit.cuttingroom import Cut
from secondunit.media import probe
from secondunit.splice import splice
from secondunit.splice.chapters import UNTOLD
from secondunit.splice.mix import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from secondunit.cut import Profile
    from secondunit.cut.edit import Transition
    from secondunit.cut.timeline import Timeline
    from secondunit.splice import Film, Segment
    from secondunit.splice.chapters import About


LOSSLESS = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "flac")
"""Codecs of clips that are made to be heard."""


def sounding(folder: Path, heard: Mapping[str, str], frames: int) -> dict[str, Source]:
    """Make tiny clips of 24 frames a second by what is heard in each, a lavfi source or nothing."""
    clips = {
        name: counting(folder / f"{name}.mp4", *LOSSLESS, size="64x36", frames=frames, sound=sound)
        for name, sound in heard.items()
    }
    return {name: Source(path, probe(path), name) for name, path in clips.items()}


def laid_out(
    count: int, into: Transition = CUT, *, frames: int, handle: int = 0, fps: Fraction
) -> Timeline:
    """Lay out so many shots of `frames`, used but for a `handle` at both ends."""
    leads = [into] * (count - 1)
    edges = zip([CUT, *leads], [*leads, CUT], strict=True)
    used = frames - 2 * handle
    return timeline(
        [Item(f"sh{at}", frames, handle, used, *edge) for at, edge in enumerate(edges)], fps
    )


def joined(segments: Sequence[Segment], profile: Profile, out: Path, about: About = UNTOLD) -> Film:
    """Splice clips, heard as they are."""
    items = tuple(Item(s.shot, s.facts.frames, s.first, s.count) for s in segments)
    sources = tuple(Source(s.path, s.facts, s.path.name) for s in segments)
    if not items:
        return splice(segments, profile, out)
    cut = Cut(timeline(items, profile.fps), items, sources)
    with tempfile.TemporaryDirectory() as folder:
        track = cut.track(profile, Mix(), Path(folder))
        return splice(segments, profile, out, about=about, sound=track)
