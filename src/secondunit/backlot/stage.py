"""Turns an accepted order into a clip or a still, in workers that die with their parent."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import re
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path

    from secondunit.backlot.props import Prop
    from secondunit.catalog import Variant

_WORKERS = 2
_SECONDS = 5  # a clip whose length nothing tells: no duration, no source that can be read
_SIZE = (1280, 720)
_LONG_SIDE, _SHORT_SIDE = 1920, 1080
_AREA = 1280 * 720
_SEEDS = 2**32
_TINY = 64


@dataclass(frozen=True)
class Job:
    """What a worker draws; file names are relative to the home. Sizes in pixels, both even.

    `canvas` is the size to which a source is brought before it is edited: upright, and letterboxed
    where the frame is to be extended.
    """

    model: str
    prompt: str
    seed: int
    width: int
    height: int
    seconds: float = 0.0
    fps: float = 24.0
    shot: str = ""
    picture: str = ""
    references: tuple[str, ...] = ()
    source: str = ""
    canvas: tuple[int, int] | None = None

    @property
    def suffix(self) -> str:
        """The suffix of the output."""
        return ".mp4" if self.seconds else ".png"


def plan_job(
    body: Mapping[str, Any], props: Iterable[Prop], variant: Variant, *, shot: str, seed: int
) -> Job:
    """Read from a valid order what has to be drawn; `seed` counts where the body has none."""
    usable = [prop for prop in props if prop.file is not None and not prop.trouble]
    source = _first(usable, "videoUri", "promptVideo") or _driven(usable)
    picture = _opening(usable)
    width, height = _size(body, source or picture)
    still = variant.endpoint == "text_to_image"
    return Job(
        model=variant.model,
        prompt=str(body.get("promptText", "")),
        seed=int(body.get("seed", seed)) % _SEEDS,
        width=width,
        height=height,
        seconds=0.0 if still else _length(body, usable, variant),
        fps=source.fps if source else 24.0,
        shot=shot,
        picture=picture.name if picture else "",
        references=tuple(p.name for p in usable if p.kind == "image" and p is not picture),
        source=source.name if source else "",
        canvas=_canvas(body, source, width, height) if source else None,
    )


def _first(props: list[Prop], *fields: str) -> Prop | None:
    return next((prop for prop in props if prop.field in fields), None)


def _driven(props: list[Prop]) -> Prop | None:
    """Return a character that is itself footage: a performance is drawn over it."""
    character = _first(props, "character")
    return character if character and character.kind == "video" else None


def _opening(props: list[Prop]) -> Prop | None:
    pictures = [p for p in props if p.field in ("promptImage", "character") and p.kind == "image"]
    return next((prop for prop in pictures if prop.position != "last"), None)


def _length(body: Mapping[str, Any], props: list[Prop], variant: Variant) -> float:
    asked = body.get("duration")
    if isinstance(asked, int):
        return float(asked)
    guide = _first(props, "videoUri", "promptVideo", "reference")
    if guide:
        return guide.seconds
    default = variant.durations.default if variant.durations else None
    return float(default or _SECONDS)


def _size(body: Mapping[str, Any], guide: Prop | None) -> tuple[int, int]:
    ratio = str(body.get("ratio", ""))
    words = re.fullmatch(r"(\d+):(\d+)", ratio)
    if guide and (guide.kind == "video" or not words):
        return _fitted(guide.width, guide.height)
    if words is None:
        return _SIZE
    width, height = int(words[1]), int(words[2])
    return (width, height) if max(width, height) > _TINY else _sized(width / height)


def _sized(aspect: float) -> tuple[int, int]:
    return _even(math.sqrt(_AREA * aspect)), _even(math.sqrt(_AREA / aspect))


def _fitted(width: float, height: float) -> tuple[int, int]:
    scale = min(1.0, _LONG_SIDE / max(width, height, 1), _SHORT_SIDE / max(1, min(width, height)))
    return _even(width * scale), _even(height * scale)


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def _canvas(
    body: Mapping[str, Any], source: Prop, width: int, height: int
) -> tuple[int, int] | None:
    own = (width, height)
    if words := re.fullmatch(r"(\d+):(\d+)", str(body.get("targetAspectRatio", ""))):
        aspect = int(words[1]) / int(words[2])
        wanted = _fitted(max(width, height * aspect), max(height, width / aspect))
    else:
        wanted = own
    return wanted if source.turned or wanted != own else None


class Stage:
    """Two workers, started with the first job and gone with this process, however it ends."""

    def __init__(self, home: Path, *, tiny: bool) -> None:
        self._home, self._tiny = home, tiny
        self._pool: ProcessPoolExecutor | None = None
        self._leash: Connection | None = None

    async def shoot(self, job: Mapping[str, Any], out: Path) -> None:
        """Draw one job to `out`; a worker that died is replaced once."""
        arguments = (str(self._home), dict(job), str(out), self._tiny)
        pool = self._workers()
        try:
            await asyncio.wrap_future(pool.submit(_draw, *arguments))
        except BrokenProcessPool:
            if self._pool is pool:
                self.close()
            await asyncio.wrap_future(self._workers().submit(_draw, *arguments))

    def _workers(self) -> ProcessPoolExecutor:
        if self._pool is None:
            held, self._leash = multiprocessing.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                max_workers=_WORKERS,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_obey,
                initargs=(held,),
            )
        return self._pool

    def close(self) -> None:
        """Stop the workers at once, in the middle of a frame if need be."""
        if self._leash is not None:
            self._leash.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._leash = None


def _obey(leash: Connection) -> None:
    """Make a worker leave when the other end of the leash is let go, by will or by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    threading.Thread(target=_follow, args=(leash,), daemon=True).start()


def _follow(leash: Connection) -> None:
    parent = multiprocessing.parent_process()
    wait([leash, parent.sentinel] if parent else [leash])
    os._exit(0)


def _draw(*arguments: Any) -> None:
    from secondunit.backlot.draw import draw

    draw(*arguments)
