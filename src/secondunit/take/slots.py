"""Free slots: how many of a model may run at once, as the account's tier says."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping


class Slots:
    """Hands out slots of models; a model without a limit always has one."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        """Allow so many of each model at once."""
        self._limits = limits
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
            yield
        finally:
            async with self._freed:
                self._taken[model] -= 1
                self._freed.notify_all()

    def _free(self, model: str) -> bool:
        limit = self._limits.get(model)
        return limit is None or self._taken[model] < limit
