"""Plans of nothing but a cut, for tests of the cutting room."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from secondunit.cut import WHOLE, Profile, Trim
from secondunit.cut.edit import PLAIN, Edit, Transition
from secondunit.cuttingroom import CuttingRoom
from secondunit.media import probe
from secondunit.plan import CutEntry, Plan
from secondunit.splice.chapters import UNTOLD
from secondunit.splice.mix import Source
from secondunit.store import digest
from secondunit.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Silent:
    """A watcher that tells nobody."""

    def saw(self, shot: str, stage: str, detail: str = "") -> None:
        pass


def planned(
    shots: Sequence[tuple[str, Edit]], profile: Profile, trim: Trim = WHOLE, **how: Any
) -> Plan:
    """Plan a film of clips by name, which are called so with their place in the film."""
    cut = tuple(CutEntry(f"{name}{at}", name, trim, edit) for at, (name, edit) in enumerate(shots))
    return Plan(
        title="", name="film", file="film.yaml", folder="", slate="", gateway="backlot", free=True,
        quality="final", profile=profile, steps=(), cut=cut, **how,
    )  # fmt: skip


def source(path: Path) -> Source:
    """Look at a clip as a run does when it arrives."""
    return Source(path, probe(path), digest(path))


async def idle(room: CuttingRoom) -> None:
    """Wait until all that a room has begun is done."""
    await asyncio.gather(*map(asyncio.wrap_future, room._spans.values()))


async def dissolving(folder: Path, clips: Sequence[Path], late: bool) -> dict[str, float]:
    """Make a film in `folder` with a dissolve at every join; say how long it took from the last clip.

    Where that is `late`, it arrives when nothing else is left to be done.
    """
    way = Edit(into=Transition("dissolve", Fraction(1)))
    shots = [(path.stem, way if at else PLAIN) for at, path in enumerate(clips)]
    plan = planned(shots, Profile(1280, 720, Fraction(24)))
    workers = Workers()
    room = CuttingRoom(plan, folder / "conformed", workers, Silent())
    try:
        *most, last = zip(plan.cut, clips, strict=True)
        await asyncio.gather(*(room.prepare(entry, source(clip)) for entry, clip in most))
        if late:
            await idle(room)
        start = time.perf_counter()
        await room.prepare(last[0], source(last[1]))
        await room.join(folder / "film.mp4", UNTOLD)
        return {"last": time.perf_counter() - start}
    finally:
        workers.close()
