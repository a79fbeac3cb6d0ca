"""Taking a shot: store, open ticket, order, poll, download, verify, store; each step safe to repeat."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secondunit import media
from secondunit.errors import (
    Broken,
    OverBudget,
    Refused,
    ShotError,
    Spoiled,
    Throttled,
    Unreachable,
    UsageError,
)
from secondunit.gateways.download import Expired
from secondunit.ledger import Allowance, Intent
from secondunit.ports import Doubtful, NotSent, Ordered, Rejected
from secondunit.take.inputs import Inputs
from secondunit.verdicts import attempts, held, in_doubt, lost, rejection, unfetched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from secondunit.ledger import Ledger, Order
    from secondunit.plan import Plan, Request, Step
    from secondunit.ports import Gateway, Progress, Stage, Watcher
    from secondunit.store import Store, Take
    from secondunit.take.lane import Lane

CREATE_TRIES = 6  # of an order that certainly did not arrive
SPOILED_TRIES = 3
FRESH_URLS = 5
EMPTY_TRIES = 5
STAGES: dict[str, Stage] = {"PENDING": "queued", "THROTTLED": "throttled", "RUNNING": "rolling"}
ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass(frozen=True)
class Pace:
    """How fast to ask, all in seconds.

    `poll` between two questions about one ticket: Runway asks for no more than one in 5 s
    (runwayml 5.24.0, tasks.retrieve). `unknown` is how long a ticket may be unknown to the gateway
    before it counts as gone, `outage` how long the gateway may be silent before a run leaves its
    tickets open and ends.
    """

    poll: float = 5.0
    unknown: float = 120.0
    outage: float = 1800.0
    retry: float = 2.0
    again: tuple[float, ...] = (20.0, 60.0)

    @classmethod
    def to(cls, *, slow: bool) -> Pace:
        """Return the pace for a gateway: `slow` across the network, faster on this machine."""
        return (
            cls() if slow else cls(poll=0.25, unknown=5.0, outage=60.0, retry=0.1, again=(0.5, 1.0))
        )

    def next_poll(self) -> float:
        """Return how long to wait before asking again; never less than `poll`."""
        return self.poll * random.uniform(1.0, 1.25)  # noqa: S311  spreads load, guards nothing

    def backoff(self, attempt: int, least: float | None = None) -> float:
        """Return how long to wait before try number `attempt` + 1, at least `least`."""
        longest = min(120.0, self.retry * 2.0**attempt)
        return max(least or 0.0, longest / 2 + random.uniform(0, longest / 2))  # noqa: S311  as above


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
        slots: Callable[[str], asyncio.Semaphore] | None = None,
    ) -> None:
        """Take the shots of `plan`.

        `stop` is why nothing new may be ordered, if so; `slots` gives the semaphore that bounds how
        many of a model run at once.
        """
        self.plan = plan
        self.gateway = gateway
        self.ledger = ledger
        self.store = store
        self.lane = lane
        self.watcher = watcher
        self.run = run
        self.allowance = allowance or Allowance()
        self.stop = stop
        self.pace = Pace.to(slow=gateway.slow)
        self._slots = slots or (lambda _model: asyncio.Semaphore(10_000))
        self.inputs = Inputs(plan, gateway, store, watcher)

    async def shoot(self, step: Step) -> Take:
        """Return the finished take of `step`, from the store, an open ticket or a new order.

        Raises ShotError (ask `transient` whether to call again), OverBudget, DiskTrouble.
        """
        if step.request is None:
            raise UsageError(f"{step.shot} is your own clip; there is nothing to order.")
        take = await asyncio.to_thread(self.store.get, step.key)
        order = self.ledger.blocking(step.key)
        if take is not None:
            if order is not None and order.state == "made":
                self.ledger.kept(order)
            self.watcher.saw(step.shot, "cached", step.model)
            return take
        try:
            if order is not None:
                return await self._bring_home(step, self._resumed(order))
            async with self._slot(step):
                return await self._bring_home(step, await self._order(step, step.request))
        except ShotError as error:
            error.shot = error.shot or step.shot
            raise

    # --- ordering -----------------------------------------------------------------------------

    def _slot(self, step: Step) -> asyncio.Semaphore:
        slot = self._slots(step.model)
        if slot.locked():
            self.watcher.saw(step.shot, "waiting", f"for a free slot of {step.model}")
        return slot

    def _resumed(self, order: Order) -> Order:
        if order.state in {"doubt", "intent"}:
            raise in_doubt(order, self.plan.file)
        if order.state == "lost":
            raise lost(order, self.plan.file)
        self.watcher.saw(order.shot, "queued", f"goes on with ticket {order.ticket}")
        return order

    async def _order(self, step: Step, request: Request) -> Order:
        if self.stop:
            raise OverBudget(f"{step.shot} was not ordered: {self.stop}.")
        self._check_allowed_again(step)
        body = await self.inputs.body(step, request)
        intent = Intent(
            key=step.key, film=self.plan.name, run=self.run, shot=step.shot,
            gateway=self.gateway.name, endpoint=request.endpoint, model=request.model,
            request=request.described()["body"], reserved=self._price(step),
        )  # fmt: skip
        for attempt in range(1, CREATE_TRIES + 1):
            self.watcher.saw(step.shot, "ordering", step.model)
            order, outcome = await self.lane.order(self.gateway, intent, body, self.allowance)
            match outcome:
                case Ordered():
                    self.watcher.saw(step.shot, "queued", f"ticket {order.ticket}")
                    return order
                case Doubtful():
                    raise in_doubt(order, self.plan.file)
                case Rejected(reason, _, money):
                    if money:
                        self.stop = reason
                    raise rejection(step, reason, money=money)
                case NotSent(reason, busy, wait):
                    if attempt == CREATE_TRIES:
                        kind = Throttled if busy else Unreachable
                        raise kind(
                            f"{step.shot} could not be ordered: {reason}. Nothing was ordered."
                        )
                    self.watcher.saw(step.shot, "waiting", reason)
                    await asyncio.sleep(self.pace.backoff(attempt, wait))
        raise AssertionError("unreachable: the last try returns or raises")

    def _price(self, step: Step) -> int:
        if step.credits is None and not self.gateway.free:
            raise OverBudget(
                f"{step.shot}: no price is known for {step.model} at {self.gateway.name}, so no cap"
                " can hold. It was not ordered. Choose another model."
            )
        price = step.credits or 0
        if not self.gateway.free and self.plan.per_shot is not None and price > self.plan.per_shot:
            raise OverBudget(
                f"{step.shot} may cost {price} credits and `budget.per_shot` allows"
                f" {self.plan.per_shot}. It was not ordered."
            )
        return price

    def _check_allowed_again(self, step: Step) -> None:
        """Let a take that failed be ordered again only where its failure says so, and not for ever."""
        failed = [
            o for o in self.ledger.of(step.key) if o.state in {"failed", "cancelled", "abandoned"}
        ]
        if not failed:
            return
        last = failed[-1]
        allowed = attempts(last.failure_code, last.charged)
        if last.state != "failed" or allowed == 1:
            raise held(last, self.plan.file)
        if len(failed) >= allowed:
            raise Refused(
                f"{step.shot} failed {len(failed)} times at {self.gateway.name}, last with:"
                f" {last.reason}. It is not tried again by itself; change its prompt or seed, or run"
                f" `secondunit settle {self.plan.file} {step.shot!r} --resubmit`.",
                shot=step.shot,
                ticket=last.ticket or "",
            )

    # --- bringing it home ---------------------------------------------------------------------

    async def _bring_home(self, step: Step, order: Order) -> Take:
        clock = asyncio.get_running_loop()
        spoiled, fresh, misses, silent_since = 0, 0, 0, 0.0
        while True:
            order, said = await self._finished(step, order)
            try:
                return await self._fetch(step, order, said)
            except Expired:
                fresh += 1
                if fresh > FRESH_URLS:
                    raise unfetched(order, "its addresses keep expiring.") from None
            except Spoiled as error:
                spoiled += 1
                if spoiled >= SPOILED_TRIES:
                    why = f"{error} It was fetched {spoiled} times."
                    raise unfetched(order, why, Spoiled) from error
                self.watcher.saw(step.shot, "retrying", f"fetches it again: {error}")
            except Unreachable as error:
                misses += 1
                silent_since = silent_since or clock.time()
                if clock.time() - silent_since > self.pace.outage:
                    raise unfetched(order, str(error)) from None
                self.watcher.saw(step.shot, "retrying", f"fetches it again: {error}")
            await asyncio.sleep(self.pace.backoff(max(spoiled, fresh, misses)))

    async def _finished(self, step: Step, order: Order) -> tuple[Order, Progress]:
        """Ask for the ticket until it ends well; its ending is written to the ledger."""
        empty = 0
        while True:
            said = await self._asked(step, order)
            if said.state in {"FAILED", "CANCELLED"}:
                raise self._failed(step, order, said)
            if said.outputs:
                return self.ledger.made(order, said.credits), said
            empty += 1
            if empty >= EMPTY_TRIES:
                raise unfetched(order, "the gateway calls it finished and names no output.")
            await asyncio.sleep(self.pace.backoff(empty))

    async def _asked(self, step: Step, order: Order) -> Progress:
        """Ask about a ticket until it has ended."""
        loop = asyncio.get_running_loop()
        heard, unknown_since = loop.time(), 0.0
        state, misses = "", 0
        while True:
            await asyncio.sleep(self.pace.next_poll() + min(60.0, self.pace.retry * misses**2))
            try:
                said = await self.gateway.poll(order.ticket or "")
            except Unreachable as error:
                misses += 1
                if loop.time() - heard > self.pace.outage:
                    raise unfetched(order, str(error)) from None
                self.watcher.saw(step.shot, "waiting", str(error))
                continue
            misses, heard = 0, loop.time()
            if said is None:
                unknown_since = unknown_since or heard
                if heard - unknown_since > self.pace.unknown:
                    raise self._gone(order)
                continue
            unknown_since = 0.0
            if said.state in ENDED:
                return said
            if said.state != state:
                state = said.state
                self.watcher.saw(step.shot, STAGES.get(state, "rolling"), _detail(said))

    def _gone(self, order: Order) -> ShotError:
        reason = "the gateway does not know the ticket any more"
        if self.gateway.free:
            self.ledger.ended(order, "failed", reason, charged=0)
            return Broken(f"{order.shot}: {reason}; it cost nothing.", ticket=order.ticket or "")
        return lost(self.ledger.ended(order, "lost", reason), self.plan.file)

    def _failed(self, step: Step, order: Order, said: Progress) -> ShotError:
        if said.state == "CANCELLED":
            ended = self.ledger.ended(
                order, "cancelled", "cancelled at the gateway", charged=said.credits
            )
            return held(ended, self.plan.file)
        reason = said.failure or "no reason given"
        ended = self.ledger.ended(
            order, "failed", reason, charged=said.credits, code=said.failure_code
        )
        failed = sum(o.state == "failed" for o in self.ledger.of(step.key))
        if failed < attempts(ended.failure_code, ended.charged):
            return Broken(
                f"{step.shot}: {reason} ({said.failure_code or 'no code'}).",
                ticket=order.ticket or "",
            )
        return held(ended, self.plan.file)

    async def _fetch(self, step: Step, order: Order, said: Progress) -> Take:
        self.watcher.saw(
            step.shot, "fetching", f"{len(said.outputs)} file(s)" if len(said.outputs) > 1 else ""
        )
        limit = max(64 << 20, int((step.seconds or 0) * (10 << 20)))
        files: list[Path] = []
        facts: dict[str, Any] = {}
        warnings: tuple[str, ...] = ()
        for number, url in enumerate(said.outputs, 1):
            kind = "still" if step.kind == "still" else "clip"
            name = f"{kind}.part" if number == 1 else f"{kind}-{number}.part"
            part = self.store.incoming(step.key, name)
            await self.gateway.fetch(url, part, limit=limit)
            path, measured, doubts = await asyncio.to_thread(_verified, part, step)
            files.append(path)
            if number == 1:
                facts, warnings = measured, doubts
        take = await asyncio.to_thread(
            self.store.keep, step.key, files, self._slate(step, order, facts, warnings)
        )
        self.ledger.kept(order)
        for warning in warnings:
            self.watcher.saw(step.shot, "done", warning)
        self.watcher.saw(step.shot, "done", "")
        return take

    def _slate(
        self, step: Step, order: Order, facts: dict[str, Any], warnings: tuple[str, ...]
    ) -> dict[str, Any]:
        request = step.request
        return {
            "shot": step.shot, "film": self.plan.name, "gateway": order.gateway,
            "endpoint": order.endpoint, "model": order.model,
            "request": request.described()["body"] if request else None,
            "prompt": request.body.get("promptText") if request else None, "seed": step.seed,
            "ticket": order.ticket, "ordered_at": order.ordered_at,
            "credits_estimated": order.estimate if order.estimate is not None else order.reserved,
            "credits_charged": order.charged, "media": facts, "warnings": list(warnings),
        }  # fmt: skip


def _verified(part: Path, step: Step) -> tuple[Path, dict[str, Any], tuple[str, ...]]:
    """Check what was downloaded and give it its proper ending. Raises Spoiled."""
    if step.kind == "still":
        picture = media.picture_facts(part)
        path = part.with_suffix(f".{picture.format}")
        facts: dict[str, Any] = {"width": picture.width, "height": picture.height}
        warnings: tuple[str, ...] = ()
    else:
        width, height = step.size or (None, None)
        expect = media.Expectation(width, height, step.seconds)
        clip, warnings = media.verify(part, expect=expect)
        path = part.with_suffix(
            ".mp4" if clip.container in {"mp4", "mov"} else f".{clip.container}"
        )
        facts = {
            "width": clip.width, "height": clip.height, "fps": str(clip.fps),
            "frames": clip.frames, "seconds": float(clip.seconds), "sound": clip.sound,
        }  # fmt: skip
    part.replace(path)
    return path, facts, warnings


def _detail(said: Progress) -> str:
    if said.state == "THROTTLED":
        return "waiting for a slot at the gateway"
    return "" if said.state in STAGES else f"the gateway says {said.state[:40]}"
