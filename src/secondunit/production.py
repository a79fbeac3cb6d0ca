"""One film being made: shots taken, clips conformed as they arrive, the film joined, its manifest.

Nothing here knows of Prefect: the flow calls these steps and shows them, and when its server is
lost they are called all the same.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secondunit import __version__, keys, media
from secondunit.cuttingroom import CuttingRoom, check_unchanged
from secondunit.durable import beside
from secondunit.errors import Bug, CutError, SecondUnitError
from secondunit.splice.captions import clear
from secondunit.splice.chapters import About
from secondunit.splice.mix import Source
from secondunit.store import digest
from secondunit.workers import Workers, is_lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from secondunit.crew import Project
    from secondunit.ledger import Ledger
    from secondunit.media import Facts
    from secondunit.notices import Notices
    from secondunit.plan import CutEntry, Plan, Step
    from secondunit.plan.assets import Asset
    from secondunit.ports import Watcher
    from secondunit.reviews import Approvals, Review
    from secondunit.splice import Film
    from secondunit.store import Store, Take
    from secondunit.take import Unit

MANIFEST_SCHEMA = 1
FILM = "film"  # stands for the film among the keys of failures
THE_FILM = "The film"  # is called so where shots are called by their ids


@dataclass(frozen=True)
class Clip:
    """A finished clip of a shot: the file, its hash, and its take's slate (None: the user's own)."""

    path: Path
    sha256: str
    facts: Facts
    slate: Mapping[str, Any] | None = None
    cached: bool = False


class Production:
    """Makes the film of one plan. Its steps may be called in any order that the plan allows."""

    def __init__(
        self,
        plan: Plan,
        unit: Unit,
        project: Project,
        ledger: Ledger,
        watcher: Watcher,
        approvals: Approvals | None = None,
    ) -> None:
        """Make `plan` in `project`; `unit` takes its shots, as far as they are approved."""
        self.plan = plan
        self.unit = unit
        self.project = project
        self.ledger = ledger
        self.watcher = watcher
        self.clips: dict[str, Clip] = {}
        self.failures: dict[str, SecondUnitError] = {}
        self.film: Film | None = None
        self.made_at: datetime | None = None
        """When the film says that it was made; None: as it is joined."""
        self.published = ""
        """What to tell about the film's copy in the shared place, if anything."""
        self.notices: Notices | None = None
        """Who is told of what happens, beside whoever watches."""
        self.approvals = approvals
        self.waiting: Review | None = None
        """What has to be judged before this film goes on."""
        self._firsts: dict[str, Step] = {}
        self._workers = Workers()
        own = [step.own for step in plan.steps if step.own]
        self._footage = [a for a in (*own, *plan.leaving) if a.kind == "footage"]
        self._decoded: dict[Path, Future[tuple[Facts, tuple[str, ...]]]] = {}
        self._room = CuttingRoom(plan, project.conformed, self._workers, watcher)

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()

    # --- the steps ----------------------------------------------------------------------------

    async def roll(self, step: Step) -> bool:
        """Take one step of the plan; say whether it was in the store. Failures are kept and raised."""
        with self._noted(step.key, step.shot):
            if step.own:
                self.clips[step.key] = await self._own(step)
                return False
            if self.approvals:
                await asyncio.to_thread(self.approvals.see, step)
            if not self.unit.store.has(step.key):
                await self._see_footage()
            cached = await self._shot(step)
        self.failures.pop(step.key, None)
        return cached

    def fits(self, entry: CutEntry) -> bool:
        """Say whether the clip of a place in the film can be used untouched."""
        return self._room.fits(entry, self.clips[entry.key].facts)

    async def prepare(self, entry: CutEntry) -> bool:
        """Conform the clip of a place in the film; say whether there was anything to do."""
        with self._noted(entry.key, entry.shot):
            clip = self.clips[entry.key]
            return await self._room.prepare(entry, Source(clip.path, clip.facts, clip.sha256))

    async def join(self) -> Film:
        """Join the film and write its manifest; both appear whole or not at all."""
        with self._noted(FILM, THE_FILM):
            self.film = await self._joined()
        return self.film

    @contextmanager
    def _noted(self, key: str, where: str) -> Iterator[None]:
        """Keep what fails under `key`; what was never meant to happen becomes a sentence too."""
        try:
            yield
        except SecondUnitError as error:
            self.failures[key] = error
            if error.transient:
                self.watcher.saw(where, "retrying", str(error))
            raise
        except Exception as error:
            self.failures[key] = bug = Bug(where, error)
            raise bug from error

    async def _joined(self) -> Film:
        out = self.project.films / f"{self.plan.film_name}.mp4"
        papers = self._papers()
        key = _key(papers)
        about = About(self.plan.title, self.made_at or datetime.now(UTC), self.plan.key, key)
        film = await self._room.join(out, about)
        manifest = out.with_suffix(".manifest.json")
        captions = await self._room.caption(out)
        earlier, of_deliverables = await asyncio.to_thread(_earlier, manifest)
        if said := await asyncio.to_thread(clear, out, earlier, captions):
            self.watcher.saw(THE_FILM, "done", said)
        with beside(manifest) as part:
            told = _manifest(papers, key, film) | {"captions": [path.name for path in captions]}
            if of_deliverables:
                told["earlier_captions"] = of_deliverables
            part.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
        self.published = await asyncio.to_thread(self.unit.store.publish, out, manifest)
        if self.published:
            self.watcher.saw(THE_FILM, "done", self.published)
        return film

    def missing(self) -> tuple[Step, ...]:
        """Return the steps that have not come back, in the plan's order."""
        return tuple(step for step in self.plan.steps if step.key not in self.clips)

    # --- inside -------------------------------------------------------------------------------

    async def _own(self, step: Step) -> Clip:
        if step.own is None:
            raise CutError(f"{step.shot} has no clip of its own.")
        facts, warnings = await self._verified(step.own)
        await asyncio.to_thread(check_unchanged, step.own.path, step.own.sha256)
        for warning in warnings:
            self.watcher.saw(step.shot, "done", warning)
        return Clip(step.own.path, step.own.sha256, facts)

    async def _see_footage(self) -> None:
        """Have all of the author's own footage decoded before anything is ordered.

        What is damaged stops the orders; what is on order goes on, and what is there is used.
        """
        for asset in self._footage:
            try:
                await self._verified(asset)
            except SecondUnitError as error:
                self.unit.halt(error)

    async def _verified(self, asset: Asset) -> tuple[Facts, tuple[str, ...]]:
        """Decode a file strictly, once for all who ask. Raises Spoiled, CutError."""
        known = self._decoded.get(asset.path)
        if known is None or is_lost(known):
            self._decoded[asset.path] = known = self._workers.begin(media.verify, asset.path)
        # whoever stops waiting must not stop it for the others
        return await asyncio.shield(self._workers.done(known))

    async def _shot(self, step: Step) -> bool:
        take = await self.unit.shoot(step)
        self.clips[step.key] = await asyncio.to_thread(_clip, take, step, not take.new)
        if step.key in self.unit.store.damaged:
            said = "Its file in the store was damaged; it was set aside and fetched again, for nothing."
            self.watcher.saw(step.shot, "done", said)
        self._warn_of_twins(step)
        return not take.new

    def _warn_of_twins(self, step: Step) -> None:
        """Tell when something else was asked for and the very same file came back."""
        twin = self._firsts.setdefault(self.clips[step.key].sha256, step)
        if twin.key != step.key:
            said = (
                f"The file is the same as that of {twin.shot}, to the byte, although something"
                " else was ordered. Look at both; if one is wrong, give it another seed."
            )
            self.watcher.saw(step.shot, "done", said)

    def _papers(self) -> dict[str, Any]:
        """Return what the film is made of, as JSON-like data: all of the manifest that names it."""
        cut = self._room.cut()
        return {
            "schema": MANIFEST_SCHEMA,
            "made_by": f"secondunit {__version__}",
            "title": self.plan.title,
            "shot_list": self.plan.file,
            "plan": self.plan.key,
            "reviews": self.approvals.told() if self.approvals else [],
            "transitions": self._room.joins(cut),
            "shots": [
                self._shot_entry(entry) | self._room.told(entry, cut) for entry in self.plan.cut
            ],
        }

    def _shot_entry(self, entry: CutEntry) -> dict[str, Any]:
        step, clip = self.plan.step(entry.key), self.clips[entry.key]
        slate = clip.slate or {}
        request = step.request
        inputs = [i.described for i in request.inputs()] if request else []
        return {
            "shot": entry.shot, "take": step.take, "key": entry.key,
            "gateway": self.plan.gateway if request else None,
            "model": request.model if request else None,
            "endpoint": request.endpoint if request else None,
            "prompt": request.body.get("promptText") if request else None,
            "seed": step.seed, "ratio": request.body.get("ratio") if request else None,
            "duration": float(clip.facts.seconds), "inputs": inputs,
            "ticket": slate.get("ticket"), "credits_estimated": slate.get("credits_estimated", 0),
            "credits_charged": slate.get("credits_charged", 0),
            "attempts": len(self.ledger.of(entry.key)), "cached": clip.cached,
            "clip": str(clip.path), "clip_sha256": clip.sha256,
        }  # fmt: skip


def _key(papers: Mapping[str, Any]) -> str:
    """Name what a manifest says of a film, wherever it lies and however often it was joined."""
    passing = {"clip", "cached", "attempts"}
    shots = [
        {name: value for name, value in shot.items() if name not in passing}
        for shot in papers["shots"]
    ]
    return keys.key("manifest", {**papers, "shots": shots, "shot_list": ""})


def _manifest(papers: Mapping[str, Any], key: str, film: Film) -> dict[str, Any]:
    """Return the manifest; `key` is what the film itself says of it."""
    head = {name: papers[name] for name in ("schema", "made_by", "title", "shot_list", "plan")}
    made = {
        "key": key,
        "film": {
            "path": film.path.name, "sha256": film.sha256, "size": film.size,
            "width": film.width, "height": film.height, "fps": str(film.fps),
            "frames": film.frames, "duration": float(film.seconds), "audio": film.sound,
        },
        "deliverables": [],
    }  # fmt: skip
    return {**head, **made, **papers}


def _earlier(manifest: Path) -> tuple[list[str], list[str]]:
    """Return the names of the captions that lie beside an earlier film, and its deliverables'."""
    try:
        papers = json.loads(manifest.read_bytes())
        named = [name for one in papers["deliverables"] for name in one["captions"]]
        named += papers.get("earlier_captions", ())
        return list(papers["captions"]), list(dict.fromkeys(named))
    except (OSError, ValueError, KeyError, TypeError):
        return [], []


def _clip(take: Take, step: Step, known: bool) -> Clip:
    if step.kind == "still":
        return Clip(take.path, take.sha256, None, take.slate, known)  # type: ignore[arg-type]  # a still has no clip facts
    return Clip(take.path, take.sha256, media.probe(take.path), take.slate, known)


def publish(plan: Plan, project: Project, store: Store) -> str:
    """Copy the film of an earlier run, its takes and what was made of it, if the shared place lacks it.

    Returns what a person should know, or nothing.
    """
    out = project.films / f"{plan.film_name}.mp4"
    return store.publish(out, out.with_suffix(".manifest.json"))


def film_is_current(plan: Plan, project: Project) -> bool:
    """Say whether the film in the project is exactly what `plan` would make."""
    out = project.films / f"{plan.film_name}.mp4"
    try:
        manifest = json.loads(out.with_suffix(".manifest.json").read_bytes())
        return bool(manifest["plan"] == plan.key and manifest["film"]["sha256"] == digest(out))
    except (OSError, ValueError, KeyError, TypeError):
        return False
