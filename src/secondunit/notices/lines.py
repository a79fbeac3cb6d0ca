"""One line to somebody: a thread of its own, so that who cannot be reached delays nobody else."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from secondunit.gateways.webhook import Untold

if TYPE_CHECKING:
    from collections.abc import Callable

    from secondunit.notices.words import Message
    from secondunit.shotlist.office import Happening

    Send = Callable[[Message], object]

MOST_WAITING = 50  # messages that wait for a slow server; what comes then is not told


class Line:
    """Tells one recipient, in order, through `send`, which may raise whatever it likes.

    `told` is what is told; without `send` nothing can be, yet. Nothing here raises, and only `wait`
    takes time. A message is tried twice.
    """

    def __init__(self, name: str, told: set[Happening], send: Send | None = None) -> None:
        self.name = name
        self.told = told
        self.send = send
        self.why = ""
        self._given = self._queued = 0  # written by who tells
        self._done = self._arrived = 0  # written by the thread
        self._queue: SimpleQueue[Message | None] = SimpleQueue()
        self._left = threading.Event()
        self._thread = threading.Thread(
            target=self._work, name=f"notices to {name}"[:60], daemon=True
        )

    def put(self, message: Message) -> None:
        """Have a message told as soon as can be."""
        self._given += 1
        if self.send is None or self._queued - self._done >= MOST_WAITING:
            return
        self._queued += 1
        self._queue.put(message)
        if self._queued == 1:
            self._thread.start()

    def end(self) -> None:
        """Let nothing more be told after what waits."""
        self._queue.put(None)

    def wait(self, deadline: float) -> None:
        """Wait for what is left, until the monotonic clock shows `deadline`; then give it up."""
        if self._queued:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self._left.set()

    @property
    def trouble(self) -> str:
        """What was not told and why, in a sentence; empty where all of it arrived."""
        missing = self._given - self._arrived
        if not missing:
            return ""
        why = self.why or "there was no time for it"
        return f"{self.name} was not told {missing} of {self._given} messages: {why}."

    # --- in the thread --------------------------------------------------------------------------

    def _work(self) -> None:
        while (message := self._queue.get()) is not None and not self._left.is_set():
            pause = self._tried(message)
            if pause is not None and not self._left.wait(pause):
                self._tried(message)
            self._done += 1

    def _tried(self, message: Message) -> float | None:
        """Try once; return after how many seconds to try again, or None."""
        if self.send is None:
            return None
        try:
            self.send(message)
        except Untold as error:
            self.why = str(error)
            return error.again
        except Exception as error:  # noqa: BLE001  no way of telling is worth a film
            self.why = f"it failed ({type(error).__name__})"
            return None
        self._arrived += 1
        return None
