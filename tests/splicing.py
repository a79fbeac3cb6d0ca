"""A film of whole clips and their sound, without a shot list."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from secondunit.cut.edit import Mix
from secondunit.cut.timeline import Item, timeline
from secondunit.cuttingroom import Cut
from secondunit.splice import splice
from secondunit.splice.chapters import UNTOLD
from secondunit.splice.mix import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secondunit.cut import Profile
    from secondunit.splice import Film, Segment
    from secondunit.splice.chapters import About


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
