"""A production in miniature: a shot list, its project and the unit, before a strict gateway."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from footage import counting
from reel import picture

from secondunit import catalog, shotlist
from secondunit.crew import Project
from secondunit.errors import SecondUnitError
from secondunit.gateways.wire import Credentials, WireGateway
from secondunit.ledger import Allowance, Ledger
from secondunit.plan.planner import Choices, compile_plan
from secondunit.store import Store
from secondunit.take import Unit
from secondunit.take.evidence import reconcile
from secondunit.take.lane import Lane
from secondunit.take.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from strict import Strict

    from secondunit.ledger import Order
    from secondunit.plan import Plan, Step
    from secondunit.ports import Account
    from secondunit.store import Take
    from secondunit.take.evidence import Verdict

PACE = Pace(
    poll=0.01, unknown=0.2, outage=0.6, retry=0.004, calm=0.1, again=(), settle=0.01, ripe=0.0
)
HEAD = "defaults: {duration: 2, ratio: '16:9', seed: 7}\nshots:\n"
ONE = HEAD + "  one: A door opens.\n"


def doors(count: int) -> str:
    """Write a shot list of so many shots, `s0` and on; each costs 24 credits."""
    return HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(count))


def tiny(folder: Path) -> Callable[[str, tuple[int, int], float], bytes]:
    """Return a maker of media that always hands out the same small clip, whatever is wanted."""
    clip = counting(folder / "tiny.mp4", size="128x72", frames=12).read_bytes()
    return lambda kind, _size, _seconds: picture((128, 72)) if kind == "still" else clip


@dataclass
class Seen:
    """A watcher that remembers."""

    stages: list[tuple[str, str, str]] = field(default_factory=list)

    def saw(self, shot: str, stage: str, detail: str = "") -> None:
        self.stages.append((shot, stage, detail))


class Production:
    """A shot list beside its project; every `shoot` is a run of its own."""

    def __init__(self, folder: Path, strict: Strict) -> None:
        self.folder = folder
        self.strict = strict
        self.url = strict.url
        self.project = Project(folder)
        self.allowance = Allowance()
        self.pace = PACE
        self.account: Account | None = None
        self.house = "runway"
        self.stop = ""
        self.run_name = "run"
        self.seen = Seen()
        self.unit: Unit | None = None

    def store(self) -> Store:
        return Store(self.project.store)

    def plan(self, text: str = ONE, quality: str | None = None) -> Plan:
        path = self.folder / "film.yaml"
        path.write_text(text)
        return compile_plan(shotlist.read(str(path)), Choices(gateway=self.house, quality=quality))

    def shoot(self, plan: Plan, shot: str | None = None) -> Take:
        """Take the steps of a plan, or of one shot, one after the other; return the last take."""
        steps = [s for s in plan.steps if shot in {None, s.shot}]
        return self.run(plan, lambda unit: _each(unit, steps))

    def at_once(self, plan: Plan) -> list[Any]:
        """Take all steps of a plan at once; errors come back among the takes."""
        return self.run(plan, everything)

    def run(self, plan: Plan, work: Callable[[Unit], Awaitable[Any]]) -> Any:
        with self.books() as ledger:
            lane = Lane(ledger)
            try:
                ledger.prepare()
                return asyncio.run(self._run(plan, work, ledger, lane))
            finally:
                lane.close()

    async def _run(
        self, plan: Plan, work: Callable[[Unit], Awaitable[Any]], ledger: Ledger, lane: Lane
    ) -> Any:
        gateway = self.gateway()
        self.unit = unit = Unit(
            plan, gateway, ledger, self.store(), lane, self.seen,  # type: ignore[arg-type]  # stages are text here
            run=self.run_name, allowance=self.allowance, account=self.account, stop=self.stop,
        )  # fmt: skip
        unit.pace = self.pace
        try:
            return await work(unit)
        finally:
            await gateway.close()

    def reconcile(self, *, shared: bool = False) -> list[tuple[str, Verdict]]:
        """Hold the orders in doubt against the account; return shots and verdicts."""

        async def look(ledger: Ledger) -> tuple[tuple[Order, Verdict], ...]:
            gateway = self.gateway()
            try:
                return await reconcile(gateway, ledger, self.pace, shared=shared)
            finally:
                await gateway.close()

        with self.books() as ledger:
            ledger.prepare()
            return [(order.shot, verdict) for order, verdict in asyncio.run(look(ledger))]

    def gateway(self) -> WireGateway:
        return WireGateway(catalog.load().gateways[self.house], Credentials(self.url, "test"))

    def persist(self, plan: Plan) -> SecondUnitError | None:
        """Do as the flow does, and more: call again whatever calls itself transient."""
        for _ in range(9):
            try:
                self.shoot(plan)
            except SecondUnitError as error:
                if not error.transient:
                    return error
            else:
                return None
        raise AssertionError("an error stays transient for ever")

    @contextmanager
    def books(self) -> Iterator[Ledger]:
        ledger = Ledger(self.project.ledger)
        try:
            yield ledger
        finally:
            ledger.close()

    @property
    def orders(self) -> tuple[Order, ...]:
        with self.books() as ledger:
            return ledger.of_film("film")

    @property
    def states(self) -> list[str]:
        return [order.state for order in self.orders]


async def _each(unit: Unit, steps: Sequence[Step]) -> Take:
    for step in steps:
        take = await unit.shoot(step)
    return take


async def everything(unit: Unit) -> list[Any]:
    """Take all steps of the unit's plan at once; errors come back among the takes."""
    return await asyncio.gather(*map(unit.shoot, unit.plan.steps), return_exceptions=True)


async def in_turn(unit: Unit) -> list[Any]:
    """Take the steps of the unit's plan one after the other; errors come back among the takes."""
    found: list[Any] = []
    for step in unit.plan.steps:
        try:
            found.append(await unit.shoot(step))
        except SecondUnitError as error:
            found.append(error)
    return found
