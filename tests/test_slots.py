"""Free slots: no more of a model run at once than the account's tier allows."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from onset import Production, doors
from strict import Life, Reply, Strict

from secondunit.errors import UsageError
from secondunit.ports import Account
from secondunit.take.slots import Slots

if TYPE_CHECKING:
    from secondunit.take import Unit


class Floor:
    """Counts who is on it, of each model."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.slots = Slots(limits)
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.waited: list[str] = []

    async def roll(self, name: str, model: str, *, rolling: bool = False, time: float = 0) -> None:
        async with self.slots.taken(model, rolling=rolling, waits=lambda: self.waited.append(name)):
            self.now[model] = self.now.get(model, 0) + 1
            self.most[model] = max(self.most.get(model, 0), self.now[model])
            await asyncio.sleep(time)
            self.now[model] -= 1


def on(floor: Floor, *names: str, model: str = "m", time: float = 0.01) -> None:
    async def all_roll() -> None:
        await asyncio.gather(*[floor.roll(n, model, time=time) for n in names])

    asyncio.run(all_roll())


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_no_more_than_the_limit_run_at_once_and_all_of_it_is_used(limit: int) -> None:
    floor = Floor({"m": limit})
    on(floor, *"abcdefgh")
    assert floor.most == {"m": limit}
    assert floor.waited == list("abcdefgh")[limit:]


def test_a_model_without_a_limit_never_waits() -> None:
    floor = Floor({"another": 1})
    on(floor, *"abcdefgh")
    assert floor.most == {"m": 8}
    assert floor.waited == []


def test_models_do_not_wait_for_each_other() -> None:
    floor = Floor({"m": 1, "n": 1})

    async def two() -> None:
        await asyncio.gather(floor.roll("a", "m", time=0.01), floor.roll("b", "n", time=0.01))

    asyncio.run(two())
    assert floor.waited == []


def test_a_ticket_that_rolls_already_takes_a_slot_and_never_waits_for_one() -> None:
    floor = Floor({"m": 1})

    async def resumed() -> None:
        await asyncio.gather(
            floor.roll("a", "m", rolling=True, time=0.02),
            floor.roll("b", "m", rolling=True, time=0.01),
            floor.roll("c", "m"),
        )

    asyncio.run(resumed())
    assert floor.most == {"m": 2}
    assert floor.waited == ["c"]


def test_a_slot_is_free_again_however_its_holder_ended() -> None:
    floor = Floor({"m": 1})

    async def ends_badly() -> None:
        with suppress(KeyError):
            async with floor.slots.taken("m", rolling=False, waits=lambda: None):
                raise KeyError
        cut_off = asyncio.ensure_future(floor.roll("a", "m", time=9))
        await asyncio.sleep(0)
        cut_off.cancel()
        waiting = asyncio.ensure_future(floor.roll("b", "m"))
        gave_up = asyncio.ensure_future(floor.roll("c", "m"))
        await asyncio.sleep(0)
        gave_up.cancel()
        await asyncio.wait_for(waiting, 1)
        await asyncio.wait_for(floor.roll("d", "m"), 1)

    asyncio.run(ends_badly())


# --- at the gateway -------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3])
def test_the_gateway_never_sees_more_than_its_limit(
    at: Production, strict: Strict, limit: int
) -> None:
    at.account = Account(10_000, {"gen4.5": limit})
    at.at_once(at.plan(doors(6)))
    assert strict.at_once == {"gen4.5": limit}
    assert at.states == ["kept"] * 6
    waited = [d for _, stage, d in at.seen.stages if stage == "waiting"]
    assert waited == ["for a free slot of gen4.5"] * (6 - limit)


@pytest.mark.covers("A7", "D1")
def test_tickets_of_an_earlier_run_are_counted_in(at: Production, strict: Strict) -> None:
    """Two tickets are left open by a refused key; with a limit of two, new orders wait for them."""
    waits = Life(states=("RUNNING", Reply(401), *["THROTTLED"] * 30, "SUCCEEDED"))
    strict.living("number 0", waits)
    strict.living("number 1", waits)
    for shot in ("s0", "s1"):
        with pytest.raises(UsageError):
            at.shoot(at.plan(doors(2)), shot)
    assert at.states == ["open", "open"]
    at.account = Account(10_000, {"gen4.5": 2})

    async def resumed_first(unit: Unit) -> None:
        first = [asyncio.ensure_future(unit.shoot(step)) for step in unit.plan.steps[:2]]
        while sum("goes on with" in detail for *_, detail in at.seen.stages) < 2:  # noqa: ASYNC110  a watcher is told, and tells nobody
            await asyncio.sleep(0.005)
        await asyncio.gather(*first, *map(unit.shoot, unit.plan.steps[2:]))

    at.run(at.plan(doors(5)), resumed_first)
    assert strict.at_once == {"gen4.5": 2}
    assert at.states == ["kept"] * 5
    assert len(strict.orders) == 5


def test_a_slot_is_free_again_once_its_ticket_has_ended(at: Production, strict: Strict) -> None:
    """The first clip is handed out only when the next shot is on order."""
    footage, ordered = strict.footage, []

    def handed_out(kind: str, size: tuple[int, int], seconds: float) -> bytes:
        deadline = time.monotonic() + 60
        while len(strict.orders) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        ordered.append(len(strict.orders))
        return footage(kind, size, seconds)

    strict.footage = handed_out
    at.account = Account(10_000, {"gen4.5": 1})
    at.at_once(at.plan(doors(2)))
    assert ordered == [2, 2]
    assert strict.at_once == {"gen4.5": 1}
    assert at.states == ["kept"] * 2


def test_a_slot_is_free_again_when_its_ticket_failed(at: Production, strict: Strict) -> None:
    strict.living("number 0", Life(states=("FAILED",), code="SAFETY.INPUT.TEXT", failure="No."))
    at.account = Account(10_000, {"gen4.5": 1})

    async def both(unit: Unit) -> None:
        await asyncio.gather(*map(unit.shoot, unit.plan.steps), return_exceptions=True)

    at.run(at.plan(doors(2)), both)
    assert at.states == ["failed", "kept"]
