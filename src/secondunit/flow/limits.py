"""Free slots across all workers: Prefect's global concurrency limits, named after gateway and model.

They pace the orders and guard no money: the gateway itself holds back what is too much, and the
ledger alone decides what is bought. So whatever goes wrong here, the shot goes on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from secondunit.flow.monitor import Monitor

LEASE = 60.0  # seconds after which the slots of a worker that died are free again; Prefect's least
RENEW = LEASE / 3
KNOCK = (0.5, 1.5)  # seconds between two questions for a slot
LOCKED = 423


class Limits:
    """The slots of one account, shared by every run that reports to the same Prefect server."""

    def __init__(self, gateway: str, slots: Mapping[str, int], monitor: Monitor) -> None:
        """Hand out so many slots of each model of `gateway`, for as long as `monitor` has a server."""
        self.gateway = gateway
        self._slots = slots
        self._monitor = monitor

    def name(self, model: str) -> str:
        """Return the name of a model's limit as it stands in Prefect: `runway:gen4.5`."""
        return f"{self.gateway}:{model}"

    async def fill(self) -> None:
        """Set each limit to what the account's tier allows; those that are missing are made."""
        for model, count in self._slots.items():
            await self._asked(self._set, self.name(model), count)

    @asynccontextmanager
    async def taken(
        self, model: str, *, rolling: bool, waits: Callable[[], None]
    ) -> AsyncIterator[None]:
        """Hold a slot of `model`, calling `waits` if it has to be waited for.

        A ticket that is `rolling` already is counted where there is room, and never waits.
        """
        lease = None
        if model in self._slots:
            lease = await self._leased(model, rolling=rolling, waits=waits)
        if lease is None:
            yield
            return
        renewal = asyncio.create_task(self._renewed(lease))
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.shield(self._asked(self._released, lease))

    async def _leased(self, model: str, *, rolling: bool, waits: Callable[[], None]) -> UUID | None:
        told = False
        while not self._monitor.lost:
            lease = await self._asked(self._lease, self.name(model))
            if isinstance(lease, UUID) or lease is None or rolling:
                return lease if isinstance(lease, UUID) else None
            if not told:
                waits()
                told = True
            await asyncio.sleep(random.uniform(*KNOCK))  # noqa: S311  apart from other workers
        return None

    async def _renewed(self, lease: UUID) -> None:
        while True:
            await asyncio.sleep(RENEW)
            await self._asked(self._renew, lease)

    # --- what is asked of the server ------------------------------------------------------------

    async def _asked(self, question: Callable[..., Any], *words: Any) -> Any:
        """Ask the server; None where it does not answer as it should."""
        try:
            return await self._monitor.shown(question(*words))
        except Exception as error:  # noqa: BLE001  Prefect's trouble is not the shot's
            logging.getLogger(__name__).debug("limit not asked: %r", error)
            return None

    async def _set(self, name: str, count: int) -> None:
        async with get_client() as client:
            await client.upsert_global_concurrency_limit_by_name(name, count)

    async def _lease(self, name: str) -> UUID | bool:
        """Return a lease of one slot; False where none is free."""
        async with get_client() as client:
            try:
                answer = await client.increment_concurrency_slots_with_lease(
                    [name], 1, "concurrency", LEASE
                )
            except PrefectHTTPStatusError as error:
                if error.response.status_code != LOCKED:
                    raise
                return False
        return UUID(answer.json()["lease_id"])

    async def _renew(self, lease: UUID) -> None:
        async with get_client() as client:
            await client.renew_concurrency_lease(lease, LEASE)

    async def _released(self, lease: UUID) -> None:
        async with get_client() as client:
            await client.release_concurrency_slots_with_lease(lease)
