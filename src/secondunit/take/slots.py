"""Free slots: how many of a model may run at once, as the account's tier says.

Within a run they are counted here; `elsewhere` counts those of all runs of the account, where there
is something that sees them all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


class Elsewhere(Protocol):
    """Whoever knows the slots that other runs hold."""

    def taken(
        self, model: str, *, rolling: bool, waits: Callable[[], None]
    ) -> AbstractAsyncContextManager[None]:
        """Hold a slot of `model`, as `Slots.taken` does."""


class Slots:
    """Hands out slots of models; a model without a limit always has one."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        """Allow so many of each model at once."""
        self.limits = limits
        self.elsewhere: Elsewhere | None = None
        self._taken: Counter[str] = Counter()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def taken(
        self, model: str, *, rolling: bool, waits: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Hold a slot of `model`, calling `waits` if it has to be waited for.

        A ticket that is `rolling` already has its slot at the gateway, and never waits for one.
        """
        async with self._freed:
            if not rolling and not self._free(model):
                waits()
                await self._freed.wait_for(lambda: self._free(model))
            self._taken[model] += 1
        try:
            if self.elsewhere is None:
                yield
            else:
                async with self.elsewhere.taken(model, rolling=rolling, waits=waits):
                    yield
        finally:
            async with self._freed:
                self._taken[model] -= 1
                self._freed.notify_all()

    def _free(self, model: str) -> bool:
        limit = self.limits.get(model)
        return limit is None or self._taken[model] < limit
