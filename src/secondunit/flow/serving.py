"""Shoots the scheduled films of an office on this machine, and follows its shot lists as they change.

Prefect's own runner ends, and ends what it runs, once its server has not answered three times (prefect
3.8, utilities/services.py), and it cancels its runs when it is stopped. So runs are begun here: each
is Prefect's engine in a process of its own, which goes on whatever becomes of this one. A run looks
itself whether somebody cancelled it (`flow.monitor`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from secondunit.errors import UsageError
from secondunit.flow import late
from secondunit.flow.automations import ensure
from secondunit.flow.deployments import apply, survey
from secondunit.scheduling import look, stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.client.schemas.responses import OrchestrationResult

    from secondunit.flow.deployments import Change
    from secondunit.scheduling import Office

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import AwaitingRetry, Cancelled, Crashed, Pending

POLL = 3.0  # seconds between two questions for runs that are due
AHEAD = timedelta(seconds=4)  # what a run's process takes to begin
WATCH = 5.0  # seconds between two looks at the shot lists
LEAVE = 60.0  # seconds for runs to let go of their shots when this ends
LOOK = 10.0  # seconds between two looks at whether a run was cancelled
CANCEL = 30.0  # seconds for such a run to let go by itself


class Service:
    """Begins the runs of an office's deployments as they come due, so many at once."""

    def __init__(
        self, place: Office, out: str, limit: int, tell: Callable[[Sequence[Change]], None],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Serve `place`; changes of shot lists are told to `tell`, all else is said."""
        self.place = place
        self.out = out
        self.limit = limit
        self._tell, self._say = tell, say
        self._client: PrefectClient
        self._ids: dict[str, UUID] = {}
        self._runs: dict[UUID, asyncio.Task[None]] = {}
        self._cancelling: set[UUID] = set()
        self._stop = asyncio.Event()
        self._away = False
        self._seen = stamp(place)
        self._served = self._seen

    async def serve(self, ids: dict[str, UUID]) -> None:
        """Serve the deployments `ids` until SIGINT, SIGTERM or SIGHUP; runs are put off, not lost."""
        self._ids = ids
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            async with get_client() as self._client:
                await self._work()
                await self._leave()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while not self._stop.is_set():
            await self._answered(self._begin_due)
            if loop.time() - looked >= WATCH:
                looked = loop.time()
                if await self._changed():
                    await self._answered(self._follow)
            await _first(self._stop, POLL)

    async def _answered(self, ask: Callable[[PrefectClient], Any]) -> None:
        """Ask the server; one that is away is waited for, and what runs goes on."""
        try:
            await ask(self._client)
        except Exception as error:  # noqa: BLE001  whatever Prefect raises, it is no answer
            if not self._away:
                self._say(f"Prefect does not answer ({type(error).__name__}); what runs goes on.")
            self._away = True
        else:
            if self._away:
                self._say("Prefect answers again.")
            self._away = False

    # --- runs ---------------------------------------------------------------------------------

    async def _begin_due(self, client: PrefectClient) -> None:
        if not self._ids:
            return
        due = await client.get_scheduled_flow_runs_for_deployments(
            list(self._ids.values()), scheduled_before=datetime.now(UTC) + AHEAD
        )
        for run in sorted(due, key=_time):
            if len(self._runs) >= self.limit:
                return
            if run.id not in self._runs and await self._claimed(client, run):
                self._runs[run.id] = asyncio.create_task(self._engaged(run))

    async def _claimed(self, client: PrefectClient, run: FlowRun) -> bool:
        """Take a run for this service; one that is not needed any more ends here."""
        state = run.state
        if state is not None and state.name in late.BY_CLOCK - {late.WAITING}:
            catch_up = run.parameters.get("catch_up", "latest")
            why = await late.overtaken(client, run, catch_up, datetime.now(UTC))
            if why:
                await client.set_flow_run_state(run.id, late.skipped(why), force=True)
                self._say(f"{run.name}: skipped. {why}")
                return False
        answer: OrchestrationResult[Any] = await client.set_flow_run_state(run.id, Pending())
        return answer.status.value == "ACCEPT"

    async def _engaged(self, run: FlowRun) -> None:
        """Have a run done by Prefect's engine, in a session that Ctrl-C does not reach."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "prefect.engine", str(run.id),
            env=os.environ | {"PREFECT__FLOW_RUN_ID": str(run.id)}, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        watch = asyncio.create_task(self._until_broken_off(run.id))
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({ended, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
            await asyncio.wait({ended}, timeout=LEAVE)
        if not ended.done():
            process.kill()
        code = await ended
        watch.cancel()
        del self._runs[run.id]
        await self._answered(lambda client: self._closed(client, run.id, code))

    async def _until_broken_off(self, run: UUID) -> None:
        """Wait until this ends, or until a run that is cancelled has had its time to let go."""
        left = CANCEL
        while left > 0 and not self._stop.is_set():
            await _first(self._stop, LOOK)
            await self._answered(lambda client: self._cancelled(client, run))
            left = left - LOOK if run in self._cancelling else CANCEL

    async def _cancelled(self, client: PrefectClient, run: UUID) -> None:
        state = (await client.read_flow_run(run)).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            self._cancelling.add(run)

    async def _closed(self, client: PrefectClient, run: UUID, code: int) -> None:
        """Write down how a run ended where its process could not."""
        found = await client.read_flow_run(run)
        state, stopped = found.state, run in self._cancelling
        self._cancelling.discard(run)
        if state is None:
            return
        left: State[Any] | None = None
        broken_off = state.type.value in {"PENDING", "RUNNING", "CANCELLING", "CRASHED"}
        if stopped and (broken_off or state.name == late.TAKEN_UP):
            left = Cancelled(message="Stopped on its page; the next run picks everything up.")
        elif self._stop.is_set() and broken_off:
            left = AwaitingRetry(message="Put off: `secondunit serve` was stopped.")
        elif code and broken_off and not state.is_crashed():
            left = Crashed(message=f"Its process was killed or broke off (it ended with {code}).")
        if left is not None:
            await client.set_flow_run_state(run, left, force=True)
            state = left
        self._say(f"{found.name}: {state.name}{f'. {state.message}' if state.message else ''}")

    async def _leave(self) -> None:
        if self._runs:
            self._say(f"Putting off {len(self._runs)} under way; what is on order goes on.")
            await asyncio.wait(self._runs.values())

    # --- shot lists ---------------------------------------------------------------------------

    async def _changed(self) -> bool:
        """Say whether the shot lists have changed, and are at rest again."""
        before, self._seen = self._seen, await asyncio.to_thread(stamp, self.place)
        return self._seen == before != self._served

    async def _follow(self, client: PrefectClient) -> None:
        """Bring the deployments up to date with the shot lists."""
        seen = self._seen
        board = await asyncio.to_thread(look, self.place)
        if board.empty:  # a disk that went away, more likely than a change of mind
            return
        changes = await survey(client, self.place, board, None, self.out)
        self._ids = await apply(client, self.place, changes)
        self._served = seen
        self._tell([change for change in changes if change.kind != "same"])


async def pool_named(name: str | None) -> str:
    """Return the work pool to use: the one that is named, or the only one. Raises UsageError."""
    async with get_client() as client:
        pools = [one for one in await client.read_work_pools() if one.type != "prefect-agent"]
    names = [one.name for one in pools]
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    said = f"There is no work pool called {name}." if name else "Which work pool? Say --pool."
    said = said if names else "There is no work pool."
    have = f" There are {', '.join(names)}." if names else ""
    raise UsageError(
        f"{said}{have} `prefect work-pool create films --type process` makes one, and `prefect"
        " worker start --pool films` works for it; or use `secondunit serve`, which needs none."
        " Nothing was changed."
    )


async def see_server() -> str:
    """Return the address of the user's Prefect server. Raises UsageError where none answers."""
    url = PREFECT_API_URL.value()
    if not url:
        raise UsageError(
            "Schedules need a Prefect server that stays. Start one with `prefect server start`, and"
            " say `export PREFECT_API_URL=http://127.0.0.1:4200/api`. Nothing was changed."
        )
    try:
        async with get_client() as client:
            trouble = await client.api_healthcheck()
    except Exception as error:  # noqa: BLE001  whatever Prefect raises, it means no server
        trouble = error
    if trouble is not None:
        raise UsageError(
            f"The Prefect server at {url} does not answer ({type(trouble).__name__}). Start it with"
            " `prefect server start`, or correct PREFECT_API_URL. Nothing was changed."
        )
    return str(url)


async def surveyed(place: Office, pool: str | None, out: str) -> list[Change]:
    """Look at an office and at its deployments, and return what is to be done."""
    board = await asyncio.to_thread(look, place)
    async with get_client() as client:
        return await survey(client, place, board, pool, out)


async def applied(place: Office, changes: Sequence[Change]) -> tuple[dict[str, UUID], list[str]]:
    """Do it. Returns the deployments by their shot lists, and the automations that were made."""
    async with get_client() as client:
        return await apply(client, place, changes), await ensure(client)


def _time(run: FlowRun) -> datetime:
    return run.next_scheduled_start_time or datetime.now(UTC)


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, but no longer than `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
