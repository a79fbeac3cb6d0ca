"""Taking a shot: store, open ticket, order, poll, download, verify, store; each step safe to repeat."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from secondunit.errors import (
    OverBudget,
    Refused,
    SecondUnitError,
    ShotError,
    Stopped,
    Throttled,
    Unreachable,
    UsageError,
)
from secondunit.ledger import Allowance, Intent
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Rejected
from secondunit.take.breaker import Line, Tally
from secondunit.take.home import Homeward
from secondunit.take.inputs import Inputs
from secondunit.take.pace import Pace
from secondunit.take.slots import Slots
from secondunit.verdicts import (
    attempts,
    come_back_at,
    held,
    in_doubt,
    is_moderated,
    lost,
    rejection,
    tried_out,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from secondunit.ledger import Ledger, Order
    from secondunit.plan import Plan, Request, Step
    from secondunit.ports import Gateway, Watcher
    from secondunit.store import Store, Take
    from secondunit.take.lane import Lane

CREATE_TRIES = 6  # of an order that certainly did not arrive
DEARER = 1.1  # an estimate of so many times the price that was expected stops the orders
UNAUTHORIZED = 401
ALL = ""  # stands for every model


class Unit:
    """Takes the shots of one plan. Every method may be called again at any time, in any run."""

    def __init__(
        self,
        plan: Plan,
        gateway: Gateway,
        ledger: Ledger,
        store: Store,
        lane: Lane,
        watcher: Watcher,
        *,
        run: str,
        allowance: Allowance | None = None,
        stop: str = "",
        account: Account | None = None,
    ) -> None:
        """Take the shots of `plan`.

        `stop` is why nothing new may be ordered, if so; `account` bounds how many of a model run
        at once.
        """
        self.plan = plan
        self.gateway = gateway
        self.ledger = ledger
        self.store = store
        self.lane = lane
        self.watcher = watcher
        self.run = run
        self.allowance = allowance or Allowance()
        self.pace = Pace.to(slow=gateway.slow)
        self.inputs = Inputs(plan, gateway, store, watcher)
        self._turn = asyncio.Lock()
        self._tries: Counter[str] = Counter()
        self._sheds: Counter[str] = Counter()
        self._stops: dict[str, SecondUnitError] = {}
        if stop:
            self._stops[ALL] = OverBudget(stop)
        self.slots = Slots(account.slots if account else {})
        self._tally = Tally(len(plan.orders))
        self._home = Homeward(plan, gateway, ledger, store, watcher)
        self._made_line: Line | None = None

    def halt(self, why: SecondUnitError) -> None:
        """Order nothing more, for this reason; what is on order goes on."""
        self._stops.setdefault(ALL, why)

    async def shoot(self, step: Step) -> Take:
        """Return the finished take of `step`, from the store, an open ticket or a new order.

        Raises ShotError (ask `transient` whether to call again), OverBudget, UsageError,
        DiskTrouble.
        """
        if step.request is None:
            raise UsageError(f"{step.shot} is your own clip; there is nothing to order.")
        take = await asyncio.to_thread(self.store.get, step.key)
        order = self.ledger.blocking(step.key)
        if take is not None:
            if order is not None and order.state == "made":
                self.ledger.kept(order)
            self.watcher.saw(step.shot, "cached", take.remark or step.model)
            return take
        try:
            return await self._taken(step, step.request, order)
        except ShotError as error:
            error.shot = error.shot or step.shot
            raise

    async def _taken(self, step: Step, request: Request, order: Order | None) -> Take:
        async with AsyncExitStack() as slot:
            await slot.enter_async_context(self.slots.taken(
                step.model, rolling=order is not None, waits=lambda: self._wait_for_slot(step)
            ))  # fmt: skip
            order = await (self._resumed(order) if order else self._order(step, request))
            try:
                take = await self._home.bring(step, order, self._line, self.pace, slot.aclose)
            except Refused:
                self._count_refusal(step)
                raise
        self._tally.came_back()
        self._see_price(step, order, take.slate.get("credits_charged"))
        return take

    @property
    def _line(self) -> Line:
        """The line to the gateway, made when the pace of the run is settled."""
        if self._made_line is None:
            self._made_line = Line(self.gateway.account, self.pace, len(self.plan.orders))
        return self._made_line

    def _wait_for_slot(self, step: Step) -> None:
        self.watcher.saw(step.shot, "waiting", f"for a free slot of {step.model}")

    async def _resumed(self, order: Order) -> Order:
        if order.state == "intent" and order.film != self.plan.name:
            order = await self._ordered_elsewhere(order)
        if order.state in {"doubt", "intent"}:
            raise in_doubt(order, self.plan.file)
        if order.state == "lost":
            found = await self._home.found(order)
            if found is None:
                raise lost(order, self.plan.file)
            order = found
        self.watcher.saw(order.shot, "queued", f"goes on with ticket {order.ticket}")
        return order

    async def _ordered_elsewhere(self, order: Order) -> Order:
        """Wait until another film's run, which is ordering the very same, has its ticket."""
        self.watcher.saw(order.shot, "waiting", f"for {order.film}, which orders the same")
        clock = asyncio.get_running_loop()
        last = clock.time() + self.pace.ripe
        while order.state == "intent" and clock.time() < last:
            await asyncio.sleep(self.pace.next_poll())
            standing = self.ledger.blocking(order.key)
            if standing is None:
                raise Unreachable(
                    f"{order.shot}: {order.film} could not order it. Nothing was ordered."
                )
            order = standing
        return order

    # --- ordering -----------------------------------------------------------------------------

    async def _order(self, step: Step, request: Request) -> Order:
        self._check_stops(step)
        self._check_allowed_again(step)
        self._check_missing(step)
        if self._tries[step.key] >= CREATE_TRIES or self._sheds[step.key] > 1:
            raise ShotError(
                f"{step.shot} could not be ordered in this run. Nothing was ordered. Run again later."
            )
        price = self._price(step)
        body = await self.inputs.body(step, request)
        intent = Intent(
            key=step.key, film=self.plan.name, run=self.run, shot=step.shot,
            gateway=self.gateway.name, endpoint=request.endpoint, model=request.model,
            request=request.told(), reserved=price, takes=step.other_takes,
        )  # fmt: skip
        while True:
            self._tries[step.key] += 1
            order, outcome = await self._placed(step, intent, body)
            match outcome:
                case Ordered():
                    assert order is not None  # noqa: S101  a ticket belongs to an order
                    return self._ordered(step, order)
                case Doubtful():
                    assert order is not None  # noqa: S101  so does a doubt
                    raise in_doubt(order, self.plan.file)
                case Rejected():
                    raise self._rejected(step, outcome)
                case _:
                    self._check_tries(step, outcome)
            self.watcher.saw(step.shot, "waiting", outcome.reason)
            await asyncio.sleep(self.pace.backoff(self._tries[step.key], outcome.wait))

    def _check_tries(self, step: Step, outcome: NotSent) -> None:
        """See whether what was certainly not sent may be tried once more. Raises ShotError."""
        self._sheds[step.key] += outcome.shed
        self._line.failed(step.shot, outcome.reason)
        over = self._tries[step.key] >= CREATE_TRIES or self._sheds[step.key] > 1
        if over or not self._line.may_retry():
            kind = Throttled if outcome.busy else Unreachable
            raise kind(f"{step.shot} could not be ordered: {outcome.reason}. Nothing was ordered.")

    async def _placed(self, step: Step, intent: Intent, body: Mapping[str, Any]) -> Any:
        """Place an order when the line is up and nothing has stopped it meanwhile.

        One after the other: what one order brings to light may stop all that follow.
        """
        try:
            await self._line.up(self.pace.outage)
        except Unreachable as error:
            raise Unreachable(f"{step.shot}: {error} Nothing was ordered.") from None
        async with self._turn:
            self._check_stops(step)
            self.watcher.saw(step.shot, "ordering", step.model)
            try:
                order, outcome = await self.lane.order(self.gateway, intent, body, self.allowance)
            except UsageError as error:  # the key was refused; it will be for all
                self._stops.setdefault(ALL, error)
                raise
            if isinstance(outcome, Rejected):
                self._note_refusal(step, outcome)
            elif order is not None:
                self._see_price(step, order, order.estimate)
        return order, outcome

    def _ordered(self, step: Step, order: Order) -> Order:
        self._line.worked()
        self.watcher.saw(step.shot, "queued", f"ticket {order.ticket}")
        return order

    def _note_refusal(self, step: Step, outcome: Rejected) -> None:
        """Note what holds for the orders that would follow, too."""
        if outcome.money:
            self._stops.setdefault(ALL, OverBudget(outcome.reason))
        if outcome.status == UNAUTHORIZED:
            self._stops.setdefault(ALL, UsageError(outcome.reason))
        if outcome.daily:
            when = come_back_at(self.ledger.of_gateway(self.gateway.name), step.model)
            self._stops.setdefault(step.model, OverBudget(f"{outcome.reason}; come back {when}"))

    def _rejected(self, step: Step, outcome: Rejected) -> OverBudget | Refused:
        if outcome.daily:
            return OverBudget(f"{step.shot} was not ordered: {self._stops[step.model]}.")
        return rejection(step, outcome.reason, money=outcome.money)

    def _check_stops(self, step: Step) -> None:
        """See that nothing has stopped orders of this model, or all. Raises what did."""
        for scope in (ALL, step.model):
            if (stop := self._stops.get(scope)) is not None:
                kind = Stopped if isinstance(stop, ShotError) else type(stop)
                raise kind(f"{step.shot} was not ordered: {str(stop).rstrip('.')}.")

    def _count_refusal(self, step: Step) -> None:
        """Count a shot that came to nothing; too many of them stop the orders, not the tickets."""
        last = self.ledger.of(step.key)[-1]
        why = self._tally.came_to_nothing(last, moderated=is_moderated(last))
        if why:
            self._stops.setdefault(ALL, Stopped(f"{why}. Look at them, then run again"))

    def _see_price(self, step: Step, order: Order, asked: int | None) -> None:
        """Stop the orders of a model that turns out dearer than the plan and its caps expect."""
        if self.gateway.free or (asked or 0) <= DEARER * order.reserved:
            return
        self._stops.setdefault(step.model, OverBudget(
            f"{order.gateway} asks {asked} credits for {order.shot} on {step.model}, where"
            f" {order.reserved} were expected, so no more of it is ordered. If that is the"
            f' price now, state it in your settings (`[prices]` "{order.gateway}.{step.model}")'
        ))  # fmt: skip

    def _price(self, step: Step) -> int:
        if step.credits is None and not self.gateway.free:
            raise OverBudget(
                f"{step.shot}: no price is known for {step.model} at {self.gateway.name}, so no cap"
                " can hold. It was not ordered. Choose another model, or state its price in your"
                f' settings (`[prices]` "{self.gateway.name}.{step.model}").'
            )
        for later in self.plan.steps if step.kind == "still" and not self.gateway.free else ():
            if step.key in later.needs:
                self._price(later)  # a still is no use without the shot that it is for
        return step.credits or 0

    def _check_missing(self, step: Step) -> None:
        """See that the take was not believed to be there, and paid for, when the price was agreed."""
        where = self.store.damaged.get(step.key)
        if where and not self.gateway.free:
            raise ShotError(
                f"{step.shot}: its file in the store was damaged and is now at {where}, and no ticket"
                " for it is known here, with which it could be fetched again. Nothing was ordered. Run"
                " again to order it anew."
            )

    def _check_allowed_again(self, step: Step) -> None:
        """Let a take that failed be ordered again only where its failure says so, and not for ever."""
        failed = [
            o for o in self.ledger.of(step.key) if o.state in {"failed", "cancelled", "abandoned"}
        ]
        if not failed:
            return
        last = failed[-1]
        allowed = attempts(last)
        if last.state != "failed" or allowed == 1:
            raise held(last, self.plan.file)
        if len(failed) >= allowed:
            raise tried_out(last, len(failed), self.plan.file)
