"""Two breakers: one waits while the gateway fails for all, one stops when shots come to nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from secondunit.errors import ShotError, Unreachable, UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from secondunit.ledger import Order
    from secondunit.take.pace import Pace

IN_A_ROW = 5  # failures that open the line's breaker, when they come from several shots
SHOTS = 3
WINDOW = 20  # or half of so many answers
TOKENS, EARNED = (
    10.0,
    0.2,
)  # tries beyond the first: to begin with, and for each answer that was good
MODERATED = 3
REFUSED = 3
SHARE = 0.3


class Line:
    """The line to the gateway: while it is down nobody asks but one, for free, and all wait.

    It also keeps the purse of retries, from which every second try is paid: when most of what is
    asked fails, trying everything again only makes it worse.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], pace: Pace, shots: int) -> None:
        """`probe` asks something that orders nothing and raises Unreachable; `shots` are in the run."""
        self._probe = probe
        self._pace = pace
        self._needed = min(SHOTS, max(1, shots))
        self._failing: list[str] = []
        self._answers: deque[bool] = deque(maxlen=WINDOW)
        self._probing = asyncio.Lock()
        self._why = ""
        self._refusal: UsageError | None = None
        self.tokens = TOKENS
        self.down = False

    def worked(self) -> None:
        """Note a good answer."""
        self._failing.clear()
        self._answers.append(True)
        self.tokens += EARNED

    def failed(self, shot: str, why: str) -> None:
        """Note that `shot` got no answer, or one that says that the gateway is in trouble."""
        self._why = why.rstrip(".")
        self._failing.append(shot)
        self._answers.append(False)
        full = len(self._answers) == WINDOW and self._answers.count(False) * 2 >= WINDOW
        in_a_row = len(self._failing) >= IN_A_ROW and len(set(self._failing)) >= self._needed
        self.down = self.down or full or in_a_row

    def may_retry(self) -> bool:
        """Pay for one more try of something that failed; False when too much fails."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    async def up(self, within: float) -> None:
        """Return when the line is up, asking now and then; raise Unreachable after `within` s."""
        try:
            async with asyncio.timeout(max(0.0, within)):
                await self._up()
        except TimeoutError:
            raise Unreachable(
                f"The gateway has been failing for a long time, last with: {self._why}."
            ) from None

    async def _up(self) -> None:
        attempt = 0
        while self.down:
            async with self._probing:
                if not self.down:
                    return
                if self._refusal:  # one answer about the key does for all
                    raise self._refusal
                try:
                    await self._probe()
                except UsageError as error:
                    self._refusal = error
                    raise
                except ShotError:  # whatever it answers, it is not well
                    attempt += 1
                    await asyncio.sleep(min(self._pace.calm, self._pace.backoff(attempt)))
                else:
                    self.down = False
                    self._failing.clear()
                    self._answers.clear()


class Tally:
    """How the shots of a run come out: when too many come to nothing, no more are ordered."""

    def __init__(self, shots: int) -> None:
        """Judge a run of so many shots."""
        self._shots = shots
        self._moderated = self._in_a_row = self._refused = 0

    def came_back(self) -> None:
        """Note a shot that came back."""
        self._in_a_row = 0

    def came_to_nothing(self, order: Order, *, moderated: bool) -> str:
        """Note a shot that is not tried again; return why to stop ordering, or nothing."""
        self._moderated += moderated
        self._in_a_row += 1
        self._refused += 1
        if self._moderated >= MODERATED:
            return (
                f"{self._moderated} shots of this run were moderated, which endangers the account"
            )
        if self._in_a_row >= REFUSED:
            return f"{self._in_a_row} shots in a row failed, the last with: {order.reason}"
        if self._refused >= max(REFUSED, SHARE * self._shots):
            return f"{self._refused} of {self._shots} shots failed"
        return ""
