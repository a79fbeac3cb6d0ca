"""Bringing a ticket home: ask until it ended, download, verify, keep. None of it buys anything."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from secondunit import media
from secondunit.durable import room
from secondunit.errors import Broken, ShotError, Spoiled, Unreachable, UsageError
from secondunit.gateways.download import Expired
from secondunit.verdicts import attempts, held, lost, unfetched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from secondunit.ledger import Ledger, Order
    from secondunit.plan import Plan, Step
    from secondunit.ports import Gateway, Progress, Stage, Watcher
    from secondunit.store import Store, Take
    from secondunit.take.breaker import Line
    from secondunit.take.pace import Pace

SPOILED_TRIES = 3
FRESH_URLS = 5
EMPTY_TRIES = 5
STAGES: dict[str, Stage] = {"PENDING": "queued", "THROTTLED": "throttled", "RUNNING": "rolling"}
LOST = frozenset({"FAILED", "CANCELLED"})
ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


class Homeward:
    """Brings tickets home; it may be called again at any time, in any run."""

    def __init__(
        self, plan: Plan, gateway: Gateway, ledger: Ledger, store: Store, watcher: Watcher
    ) -> None:
        """Bring home what `plan` ordered; what is asked, how fast and through which line follows."""
        self.plan = plan
        self.gateway = gateway
        self.ledger = ledger
        self.store = store
        self.watcher = watcher
        self._locked_out: UsageError | None = None
        self.looking = asyncio.Semaphore(os.cpu_count() or 1)
        """Whoever looks at a clip; more than the processor holds only wait for each other."""

    async def bring(
        self, step: Step, order: Order, line: Line, pace: Pace, ended: Callable[[], Awaitable[None]]
    ) -> Take:
        """Return the take that an open order becomes. Raises ShotError, UsageError, DiskTrouble.

        `ended` is awaited once its ticket has ended well, before anything is downloaded; maybe again.
        """
        return await _Journey(self, step, order, line, pace).take(ended)

    async def found(self, order: Order) -> Order | None:
        """Ask once more for a lost ticket; the order is open again where the gateway knows it."""
        said = await self.poll(order.ticket or "")
        return None if said is None or said.state in LOST else self.ledger.found(order)

    async def poll(self, ticket: str) -> Progress | None:
        """Ask for a ticket; once the key was refused nobody asks again. Raises UsageError."""
        if self._locked_out:
            raise self._locked_out
        try:
            return await self.gateway.poll(ticket)
        except UsageError as error:
            self._locked_out = error
            raise


class _Journey:
    """One ticket on its way."""

    def __init__(
        self, homeward: Homeward, step: Step, order: Order, line: Line, pace: Pace
    ) -> None:
        self.home, self.step, self.order, self.line, self.pace = homeward, step, order, line, pace
        self.ledger = homeward.ledger

    async def take(self, ended: Callable[[], Awaitable[None]]) -> Take:
        clock = asyncio.get_running_loop()
        spoiled, fresh, misses, silent_since = 0, 0, 0, 0.0
        while True:
            said = await self._finished()
            await ended()
            try:
                return await self._fetched(said)
            except Expired:
                fresh += 1
                if fresh > FRESH_URLS:
                    raise unfetched(self.order, "its addresses keep expiring.") from None
            except Spoiled as error:
                spoiled += 1
                if spoiled >= SPOILED_TRIES:
                    why = f"{error} It was fetched {spoiled} times."
                    raise unfetched(self.order, why, Spoiled) from error
                self._say("retrying", f"fetches it again: {error}")
            except Unreachable as error:
                misses += 1
                silent_since = silent_since or clock.time()
                if clock.time() - silent_since > self.pace.outage or not self.line.may_retry():
                    raise unfetched(self.order, str(error)) from None
                self._say("retrying", f"fetches it again: {error}")
            await asyncio.sleep(self.pace.backoff(max(spoiled, fresh, misses)))

    async def _finished(self) -> Progress:
        """Ask for the ticket until it ends well; its ending is written to the ledger."""
        empty = 0
        while True:
            said = await self._asked()
            if said.state in {"FAILED", "CANCELLED"}:
                raise self._failed(said)
            if said.outputs:
                self.order = self.ledger.made(self.order, said.credits)
                return said
            empty += 1
            if empty >= EMPTY_TRIES:
                raise unfetched(self.order, "the gateway calls it finished and names no output.")
            await asyncio.sleep(self.pace.backoff(empty))

    async def _asked(self) -> Progress:
        """Ask about the ticket until it has ended, for however long it waits at the gateway."""
        loop = asyncio.get_running_loop()
        heard, unknown_since = loop.time(), 0.0
        state, misses = "", 0
        while True:
            await asyncio.sleep(
                self.pace.next_poll() + min(self.pace.calm, self.pace.retry * misses**2)
            )
            try:
                await self.line.up(self.pace.outage - (loop.time() - heard))
                said = await self.home.poll(self.order.ticket or "")
            except Unreachable as error:
                misses += 1
                self.line.failed(self.order.shot, str(error))
                if loop.time() - heard > self.pace.outage:
                    raise unfetched(self.order, str(error)) from None
                self._say("waiting", f"{error} Its ticket goes on there.")
                continue
            self.line.worked()
            misses, heard = 0, loop.time()
            if said is None:
                unknown_since = unknown_since or heard
                if heard - unknown_since > self.pace.unknown:
                    raise self._gone()
                continue
            unknown_since = 0.0
            if said.state in ENDED:
                return said
            if said.state != state:
                state = said.state
                self._say(STAGES.get(state, "rolling"), _detail(said))

    def _gone(self) -> ShotError:
        reason = "the gateway does not know the ticket any more"
        order = self.order
        if self.home.gateway.free:
            self.ledger.ended(order, "failed", reason, charged=0)
            return Broken(f"{order.shot}: {reason}; it cost nothing.", ticket=order.ticket or "")
        return lost(self.ledger.ended(order, "lost", reason), self.home.plan.file)

    def _failed(self, said: Progress) -> ShotError:
        if said.state == "CANCELLED":
            reason = "cancelled at the gateway"
            ended = self.ledger.ended(self.order, "cancelled", reason, charged=said.credits)
            return held(ended, self.home.plan.file)
        if self.order.state != "open":  # it was a success before: a person has to look at that
            reason = f"it was finished and now it is said to have failed: {said.failure}"
            return lost(self.ledger.ended(self.order, "lost", reason), self.home.plan.file)
        ended = self.ledger.ended(
            self.order, "failed", said.failure or "no reason given",
            charged=said.credits, code=said.failure_code,
        )  # fmt: skip
        failed = sum(o.state == "failed" for o in self.ledger.of(self.step.key))
        if failed < attempts(ended):
            return Broken(
                f"{ended.shot}: {ended.reason} ({said.failure_code or 'no code'}).",
                ticket=ended.ticket or "",
            )
        return held(ended, self.home.plan.file)

    async def _fetched(self, said: Progress) -> Take:
        step, store = self.step, self.home.store
        self._say("fetching", f"{len(said.outputs)} file(s)" if len(said.outputs) > 1 else "")
        limit = max(64 << 20, int((step.seconds or 0) * (10 << 20)))
        files: list[Path] = []
        facts: dict[str, Any] = {}
        warnings: tuple[str, ...] = ()
        for number, url in enumerate(said.outputs, 1):
            kind = "still" if step.kind == "still" else "clip"
            name = f"{kind}.part" if number == 1 else f"{kind}-{number}.part"
            part = store.incoming(step.key, name)
            room(part.parent, 2 * _usual_size(step))
            await self.home.gateway.fetch(url, part, limit=limit)
            self.line.worked()
            async with self.home.looking:
                path, measured, doubts = await asyncio.to_thread(_verified, part, step)
            files.append(path)
            if number == 1:
                facts, warnings = measured, doubts
        take = await asyncio.to_thread(
            store.keep, step.key, files, _slate(self.home.plan, step, self.order, facts, warnings)
        )
        self.order = self.ledger.kept(self.order)
        for warning in (*warnings, take.remark):
            if warning:
                self._say("done", warning)
        self._say("done", "")
        return take

    def _say(self, stage: Stage, detail: str) -> None:
        self.home.watcher.saw(self.order.shot, stage, detail)


def _usual_size(step: Step) -> int:
    """Return the bytes that such an output usually has: 8 Mbit for each second of a clip."""
    return 4 << 20 if step.kind == "still" else int((step.seconds or 5) * (1 << 20))


def _slate(
    plan: Plan, step: Step, order: Order, facts: dict[str, Any], warnings: tuple[str, ...]
) -> dict[str, Any]:
    request = step.request
    return {
        "shot": step.shot, "film": plan.name, "gateway": order.gateway,
        "endpoint": order.endpoint, "model": order.model,
        "request": request.told() if request else None,
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
