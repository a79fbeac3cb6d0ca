"""A worker process for what is heavy: pictures are made in it, never in the program itself."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from secondunit import orphans
from secondunit.errors import CutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

WORKERS = 1  # it takes 130 MB at 720p; its decoding and encoding keep two processors busy

Made = TypeVar("Made")


def is_lost(work: Future[Any]) -> bool:
    """Say whether work came to nothing because its process was ended, and may be begun again."""
    if not work.done():
        return False
    return work.cancelled() or isinstance(work.exception(), BrokenProcessPool | CancelledError)


class Workers:
    """A process, started with the first work and replaced when it is killed."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def begin(self, function: Callable[..., Made], *arguments: Any) -> Future[Made]:
        """Have something done as soon as there is time; BrokenProcessPool when the process is killed."""
        try:
            return self._running().submit(function, *arguments)
        except BrokenProcessPool:  # it was killed at work that nobody has waited for yet
            self._pool = None
            return self._running().submit(function, *arguments)

    async def do(self, function: Callable[..., Made], *arguments: Any) -> Made:
        """Have something done and wait for it. Raises CutError when the process is killed."""
        return await self.done(self.begin(function, *arguments))

    async def done(self, work: Future[Made]) -> Made:
        """Wait for what was begun. Raises CutError when the process is killed."""
        try:
            return await asyncio.wrap_future(work)
        except BrokenProcessPool:
            raise CutError(
                "A worker process was killed while it handled a clip, perhaps for lack of memory."
                " Run again; nothing that was paid for is lost."
            ) from None

    def close(self) -> None:
        """End the processes at once, whatever they are at; what they make appears whole or not."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        at_work = [*(pool._processes or {}).values()]  # noqa: SLF001  from Python 3.14 on it has a way
        pool.shutdown(wait=False, cancel_futures=True)
        for process in at_work:  # or the program would wait for them before it ends
            process.terminate()

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                WORKERS, mp_context=get_context("spawn"), initializer=orphans.follow_parent
            )
        return self._pool
