"""One film being made: shots taken, clips conformed as they arrive, the film joined, its manifest.

Nothing here knows of Prefect: the flow calls these steps and shows them, and when its server is
lost they are called all the same.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from secondunit import __version__, keys, media, orphans
from secondunit.cut import Trim
from secondunit.durable import beside, disk_trouble, make_folder
from secondunit.errors import Bug, CutError, SecondUnitError
from secondunit.splice import Film, Segment, matches, splice
from secondunit.splice.conform import conform
from secondunit.store import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from secondunit.crew import Project
    from secondunit.cut import Placed, Profile
    from secondunit.ledger import Ledger
    from secondunit.media import Facts
    from secondunit.notices import Notices
    from secondunit.plan import CutEntry, Plan, Step
    from secondunit.ports import Watcher
    from secondunit.reviews import Approvals, Review
    from secondunit.store import Store, Take
    from secondunit.take import Unit

MANIFEST_SCHEMA = 1
FILM = "film"  # stands for the film among the keys of failures
THE_FILM = "The film"  # is called so where shots are called by their ids
WORKERS = 2  # conforming is bound by processors; more only take memory


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
        self.published = ""
        """What to tell about the film's copy in the shared place, if anything."""
        self.notices: Notices | None = None
        """Who is told of what happens, beside whoever watches."""
        self.approvals = approvals
        self.waiting: Review | None = None
        """What has to be judged before this film goes on."""
        self._pool: ProcessPoolExecutor | None = None
        self._segments: dict[tuple[str, Trim], Segment] = {}

    def close(self) -> None:
        """End the worker processes."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # --- the steps ----------------------------------------------------------------------------

    async def roll(self, step: Step) -> bool:
        """Take one step of the plan; say whether it was in the store. Failures are kept and raised."""
        with self._noted(step.key, step.shot):
            if step.own:
                self.clips[step.key] = await self._own(step)
                return False
            if self.approvals:
                await asyncio.to_thread(self.approvals.see, step)
            cached = await self._shot(step)
        self.failures.pop(step.key, None)
        return cached

    def fits(self, entry: CutEntry) -> bool:
        """Say whether the clip of a place in the film can be used untouched."""
        return entry.trim == Trim() and matches(self.clips[entry.key].facts, self.plan.profile)

    async def prepare(self, entry: CutEntry) -> bool:
        """Conform the clip of a place in the film; say whether there was anything to do."""
        with self._noted(entry.key, entry.shot):
            return await self._conformed(entry)

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
        segments = [self._segment(entry) for entry in self.plan.cut]
        film = await asyncio.to_thread(
            splice, segments, self.plan.profile, out, title=self.plan.title
        )
        manifest = out.with_suffix(".manifest.json")
        with beside(manifest) as part:
            text = json.dumps(self.manifest(film), indent=2, ensure_ascii=False)
            part.write_text(text + "\n", "utf-8")
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
        facts, warnings = await self._worker(media.verify, step.own.path)
        await asyncio.to_thread(_check_unchanged, step.own.path, step.own.sha256)
        for warning in warnings:
            self.watcher.saw(step.shot, "done", warning)
        return Clip(step.own.path, step.own.sha256, facts)

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
        mine = self.clips[step.key].sha256
        same = [k for k, clip in self.clips.items() if clip.sha256 == mine and k != step.key]
        twin = next((other for k in same if (other := self.plan.step(k)).own is None), None)
        if twin is not None:
            said = (
                f"The file is the same as that of {twin.shot}, to the byte, although something"
                " else was ordered. Look at both; if one is wrong, give it another seed."
            )
            self.watcher.saw(step.shot, "done", said)

    async def _conformed(self, entry: CutEntry) -> bool:
        clip = self.clips[entry.key]
        if self.fits(entry):
            self._segments[entry.key, entry.trim] = Segment(entry.shot, clip.path, clip.facts)
            return False
        name = keys.key("conform", [clip.sha256, str(self.plan.profile), str(entry.trim)])
        out = self.project.conformed / f"{name}.mp4"
        if not await asyncio.to_thread(_is_conformed, out):
            self.watcher.saw(entry.shot, "conforming", "")
            with disk_trouble(out):
                make_folder(out.parent, private=True)
            await self._worker(_conform, clip.path, clip.sha256, out, self.plan.profile, entry.trim)
        facts = await asyncio.to_thread(media.probe, out, least=1)
        self._segments[entry.key, entry.trim] = Segment(entry.shot, out, facts)
        self.watcher.saw(entry.shot, "done", "conformed")
        return True

    def _segment(self, entry: CutEntry) -> Segment:
        segment = self._segments.get((entry.key, entry.trim))
        if segment is None:
            raise CutError(f"The film needs {entry.shot}, which did not come back.")
        return replace(segment, shot=entry.shot)

    async def _worker(self, function: Any, *arguments: Any) -> Any:
        """Run something heavy in a worker process."""
        pool = self._pool = self._pool or ProcessPoolExecutor(
            WORKERS, mp_context=get_context("spawn"), initializer=orphans.follow_parent
        )
        try:
            return await asyncio.wrap_future(pool.submit(function, *arguments))
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            raise CutError(
                "A worker process was killed while it handled a clip, perhaps for lack of memory."
                " Run again; nothing that was paid for is lost."
            ) from None

    def manifest(self, film: Film) -> dict[str, Any]:
        """Return what the film is made of, as JSON-like data."""
        placed = {p.shot: p for p in film.placed}
        return {
            "schema": MANIFEST_SCHEMA,
            "made_by": f"secondunit {__version__}",
            "title": self.plan.title,
            "shot_list": self.plan.file,
            "plan": self.plan.key,
            "film": {
                "path": film.path.name, "sha256": film.sha256, "size": film.size,
                "width": film.width, "height": film.height, "fps": str(film.fps),
                "frames": film.frames, "duration": float(film.seconds), "audio": film.sound,
            },
            "reviews": self.approvals.told() if self.approvals else [],
            "shots": [self._shot_entry(entry, placed[entry.shot]) for entry in self.plan.cut],
        }  # fmt: skip

    def _shot_entry(self, entry: CutEntry, place: Placed) -> dict[str, Any]:
        step, clip = self.plan.step(entry.key), self.clips[entry.key]
        slate = clip.slate or {}
        request = step.request
        inputs = [i.described for i in request.inputs()] if request else []
        fps = self.plan.profile.fps
        begin = float(entry.trim.start)
        return {
            "shot": entry.shot, "key": entry.key, "gateway": self.plan.gateway if request else None,
            "model": request.model if request else None,
            "endpoint": request.endpoint if request else None,
            "prompt": request.body.get("promptText") if request else None,
            "seed": step.seed, "ratio": request.body.get("ratio") if request else None,
            "duration": float(clip.facts.seconds), "inputs": inputs,
            "ticket": slate.get("ticket"), "credits_estimated": slate.get("credits_estimated", 0),
            "credits_charged": slate.get("credits_charged", 0),
            "attempts": len(self.ledger.of(entry.key)), "cached": clip.cached,
            "clip": str(clip.path), "clip_sha256": clip.sha256,
            "in": begin, "out": begin + float(place.frames / fps),
            "film_start": place.start, "film_frames": place.frames,
        }  # fmt: skip


def _clip(take: Take, step: Step, known: bool) -> Clip:
    if step.kind == "still":
        return Clip(take.path, take.sha256, None, take.slate, known)  # type: ignore[arg-type]  # a still has no clip facts
    return Clip(take.path, take.sha256, media.probe(take.path), take.slate, known)


def _conform(path: Path, sha256: str, out: Path, profile: Profile, trim: Trim) -> None:
    """Conform a clip, and write down what was made; without that note it is not used."""
    conform(path, out, profile, trim)
    _check_unchanged(path, sha256)
    with beside(_note(out)) as part:
        part.write_text(digest(out))


def _is_conformed(out: Path) -> bool:
    try:
        return _note(out).read_text("ascii") == digest(out)
    except (OSError, UnicodeDecodeError):
        return False


def _note(out: Path) -> Path:
    return out.with_suffix(".sha256")


def _check_unchanged(path: Path, sha256: str) -> None:
    """Raise CutError when a clip is not, or no longer, the one that the plan names."""
    with disk_trouble(path):
        same = digest(path) == sha256
    if not same:
        raise CutError(
            f"{path} was changed while the film was being made. Run the same command again; nothing"
            " that was paid for is lost."
        )


def publish(plan: Plan, project: Project, store: Store) -> str:
    """Copy the film of an earlier run, and its takes, where the store's shared place lacks them.

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
