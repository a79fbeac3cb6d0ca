"""The lab: makes deliverables of a film, from the takes that are there. It never orders anything.

A deliverable of another shape, size or rate is cut again from the clips as they came, never from the
finished film. What was made is listed in the film's manifest, and made again only when something
that it shows has changed.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secondunit import keys, media
from secondunit.cut import Placed, nearest
from secondunit.cuttingroom import CuttingRoom, check_unchanged
from secondunit.durable import beside
from secondunit.errors import CutError
from secondunit.printing import Job, Stock, draw_poster, draw_sheet, encode_film, progress
from secondunit.splice import Segment
from secondunit.splice.captions import clear
from secondunit.splice.chapters import About
from secondunit.splice.encoders import ENDINGS, KINDS
from secondunit.splice.mix import Source
from secondunit.store import digest
from secondunit.workers import Workers

if TYPE_CHECKING:
    from secondunit.crew import Project
    from secondunit.cut import Profile
    from secondunit.cut.edit import Deliverable
    from secondunit.plan import Plan, Step
    from secondunit.ports import Watcher
    from secondunit.store import Store

GIF_LONGEST, GIF_FPS = 480, 12
"""Pixels of a GIF's longer side, and frames in a second, where nothing is said."""

_STILLS = {"poster": draw_poster, "contact_sheet": draw_sheet}
_POLL = 0.5  # seconds between two looks at how far an encoder is


@dataclass(frozen=True)
class Print:
    """A deliverable that is there: `entry` is what the manifest says of it; `fresh`: made just now."""

    path: Path
    entry: dict[str, Any]
    fresh: bool


class Lab:
    """Makes deliverables of the film that lies in a project exactly as `plan` wants it."""

    def __init__(self, plan: Plan, project: Project, store: Store, watcher: Watcher) -> None:
        """Take clips from `store`; whatever is conformed on the way is kept in the project."""
        self.plan = plan
        self._conformed = project.conformed
        self._store = store
        self._watcher = watcher
        self._workers = Workers()
        self._film = project.films / f"{plan.film_name}.mp4"
        self._manifest = self._film.with_suffix(".manifest.json")
        self._clips: dict[str, Source] = {}

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()

    def made(self, wanted: Deliverable) -> Print | None:
        """Return a deliverable that is there already, whole, and shows what it should."""
        path = self._path(wanted)
        with suppress(OSError, ValueError, KeyError, TypeError):
            listed = {one["name"]: one for one in self._papers()["deliverables"]}
            entry = listed[wanted.name]
            known = entry["key"] == self._key(wanted) and entry["sha256"] == digest(path)
            if known and all(path.with_name(name).exists() for name in entry["captions"]):
                return Print(path, entry, fresh=False)
        return None

    async def make(self, wanted: Deliverable) -> Print:
        """Make a deliverable, which appears whole or not at all, and list it in the manifest.

        Raises CutError where a take is missing or nothing can be made, Spoiled, DiskTrouble.
        """
        path, profile = self._path(wanted), profile_of(wanted, self.plan.profile)
        says = About(
            self.plan.title, datetime.now(UTC), self.plan.key, self._papers().get("key", "")
        )
        room = None
        if not _can_be_of_film(wanted, profile, self.plan):
            room = await self._room(wanted, profile)
        if room and _is_copied(wanted):
            facts = _film_facts(profile, (await room.join(path, says)).frames)
        else:
            stock = await (self._stock(room, wanted) if room else self._film_stock())
            job = Job(stock, profile, wanted, says, path)
            facts = await (self._drawn(job) if wanted.kind in _STILLS else self._encoded(job))
        captions = await room.caption(path) if room and wanted.kind in KINDS else ()
        if said := await asyncio.to_thread(clear, path, self._earlier(wanted), captions):
            self._watcher.saw(wanted.name, "done", said)
        entry = {
            "name": wanted.name, "kind": wanted.kind, "path": path.name,
            "sha256": await asyncio.to_thread(digest, path), "size": path.stat().st_size,
            **facts, "captions": [caption.name for caption in captions], "how": how(wanted),
            "key": self._key(wanted),
        }  # fmt: skip
        self._list(entry)
        return Print(path, entry, fresh=True)

    # --- inside -------------------------------------------------------------------------------

    async def _encoded(self, job: Job) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(prefix="secondunit-") as meter:
            job = replace(job, meter=Path(meter.name))
            work = asyncio.ensure_future(self._workers.do(encode_film, job))
            while not (await asyncio.wait([work], timeout=_POLL))[0]:
                done, count = progress(Path(meter.name))
                part = f"{10 * (10 * done // count)} %" if count else ""
                self._watcher.saw(job.wanted.name, "encoding", part)
        return _film_facts(job.profile, work.result())

    async def _drawn(self, job: Job) -> dict[str, Any]:
        self._watcher.saw(job.wanted.name, "encoding", "")
        width, height = await self._workers.do(_STILLS[job.wanted.kind], job)
        return {"width": width, "height": height}

    async def _film_stock(self) -> Stock:
        """Have the finished film ready to be drawn from."""
        facts = await asyncio.to_thread(media.probe, self._film, least=1)
        shots = self._papers()["shots"]
        placed = (Placed(one["shot"], one["film_start"], one["film_frames"]) for one in shots)
        return Stock(self.plan.profile, (Segment("film", self._film, facts),), tuple(placed))

    async def _stock(self, room: CuttingRoom, wanted: Deliverable) -> Stock:
        """Have the files ready whose frames are the film's in another form."""
        cut, plan = room.cut(), room.plan
        names = {entry.shot for entry in plan.cut}
        placed = cut.timeline.placed
        if wanted.kind in _STILLS:  # of which cards are none
            placed = tuple(place for place in placed if place.shot in names)
        return Stock(plan.profile, tuple(await room.segments(cut)), placed, cut, plan.mix)

    async def _room(self, wanted: Deliverable, profile: Profile) -> CuttingRoom:
        """Bring all clips to the form of a deliverable; what was brought to it before is kept."""
        plan = replace(self.plan, profile=profile, look=wanted.look)
        room = CuttingRoom(plan, self._conformed, self._workers, self._watcher)
        clips = {entry.key: await self._clip(plan.step(entry.key)) for entry in plan.cut}
        await asyncio.gather(*(room.prepare(entry, clips[entry.key]) for entry in plan.cut))
        return room

    async def _clip(self, step: Step) -> Source:
        if step.key not in self._clips:
            self._clips[step.key] = await asyncio.to_thread(self._found, step)
        return self._clips[step.key]

    def _found(self, step: Step) -> Source:
        if step.own:
            check_unchanged(step.own.path, step.own.sha256)
            return Source(step.own.path, media.probe(step.own.path), step.own.sha256)
        take = self._store.get(step.key)
        if take is None:
            raise CutError(
                f"The take of {step.shot} is not in the store any more. Shoot first: secondunit"
                f" shoot {self.plan.file}. Nothing was ordered."
            )
        return Source(take.path, media.probe(take.path), take.sha256)

    def _path(self, wanted: Deliverable) -> Path:
        name = f"{self.plan.film_name}.{wanted.name}.{ENDINGS[wanted.kind]}"
        return self._film.with_name(name)

    def _key(self, wanted: Deliverable) -> str:
        """Name what a deliverable shows, and how: the film's own key, and all that was asked for."""
        return keys.key("deliverable", [self.plan.key, str(wanted), str(KINDS.get(wanted.kind))])

    # --- the manifest -------------------------------------------------------------------------

    def _papers(self) -> dict[str, Any]:
        papers: dict[str, Any] = json.loads(self._manifest.read_bytes())
        return papers

    def _earlier(self, wanted: Deliverable) -> list[str]:
        """Return the names of captions that may lie beside what was a deliverable before."""
        papers = self._papers()
        listed = (o["captions"] for o in papers["deliverables"] if o["name"] == wanted.name)
        return [*papers.get("earlier_captions", ()), *chain.from_iterable(listed)]

    def _list(self, entry: dict[str, Any]) -> None:
        """Write a deliverable into the manifest, in the shot list's order; others stay."""
        papers = self._papers()
        listed = {one["name"]: one for one in papers.get("deliverables", ())}
        listed[entry["name"]] = entry
        names = [wanted.name for wanted in self.plan.deliverables]
        papers["deliverables"] = [listed[name] for name in names if name in listed]
        if earlier := papers.pop("earlier_captions", ()):
            stem = Path(entry["path"]).stem
            papers["earlier_captions"] = [name for name in earlier if Path(name).stem != stem]
        with beside(self._manifest) as part:
            text = json.dumps(papers, indent=2, ensure_ascii=False)
            part.write_text(text + "\n", "utf-8")


def profile_of(wanted: Deliverable, film: Profile) -> Profile:
    """Return size and rate of a deliverable."""
    size = (wanted.width or film.width, wanted.height or film.height)
    fps = wanted.fps or film.fps
    if wanted.kind == "gif":
        fps = wanted.fps or min(film.fps, Fraction(GIF_FPS))
        if wanted.width is None and (longest := max(size)) > GIF_LONGEST:
            size = tuple(
                max(2, 2 * nearest(Fraction(side * GIF_LONGEST, 2 * longest))) for side in size
            )  # type: ignore[assignment]
    return replace(film, width=size[0], height=size[1], fps=fps)


def how(wanted: Deliverable) -> str:
    """Say in a few words how a deliverable is made."""
    kind = KINDS.get(wanted.kind)
    if _is_copied(wanted):
        return "copied"
    if kind is None:
        return {"gif": "one palette", "poster": "one frame"}.get(
            wanted.kind, "a frame of every shot"
        )
    if wanted.bit_rate:
        return f"{wanted.bit_rate / 1000:g} kbit/s"
    crf = kind.crf if wanted.crf is None else wanted.crf
    return "10 bits, 4:2:2" if crf is None else f"crf {crf}"


def _is_copied(wanted: Deliverable) -> bool:
    """Say whether it is joined as the film is, by copying packets."""
    return wanted.kind == "h264" and wanted.crf is None and wanted.bit_rate is None


def _can_be_of_film(wanted: Deliverable, profile: Profile, plan: Plan) -> bool:
    """Say whether nothing is lost by making it of the finished film: it is no film any more."""
    film = plan.profile
    pictures = wanted.kind == "gif" or wanted.kind in _STILLS
    same = abs(profile.height - Fraction(profile.width * film.height, film.width)) < 2
    return pictures and same and profile.width <= film.width and wanted.look == plan.look


def _film_facts(profile: Profile, frames: int) -> dict[str, Any]:
    return {
        "width": profile.width, "height": profile.height, "fps": str(profile.fps),
        "frames": frames, "duration": float(frames / profile.fps),
    }  # fmt: skip
