"""A run and its server: who follows it there, what it shares there, and how it goes on without."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from prefect.runtime import flow_run as this_run
from prefect.states import Completed, Failed

from secondunit.errors import TurnedDown, Unjudged
from secondunit.flow import server
from secondunit.flow.approval import rejected, waiting
from secondunit.flow.limits import Limits
from secondunit.flow.monitor import Monitor
from secondunit.flow.unattended import on_order
from secondunit.production import FILM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from prefect.client.schemas.objects import State

    from secondunit.flow.steps import Steps
    from secondunit.production import Production

REASONS = 3  # of what went wrong, said in the state of a run; its tasks say each


def monitor_of(production: Production) -> Monitor:
    """Return what is to watch the run of `production`; whoever watches hears when it is lost."""
    return Monitor(lambda error: tell_lost(production, error), lambda: stopped(production))


def stopped(production: Production) -> str:
    """Return what to say of a run that somebody stopped on its page."""
    return f"Stopped on its page. {on_order(production.plan, production.ledger)}"


def tell_lost(production: Production, error: object) -> None:
    """Let go of a server that is gone, and say so."""
    server.forsake()
    production.watcher.saw("Prefect", "failed", lost(error))


def lost(error: object) -> str:
    """Return what to say of a server that is gone."""
    return f"cannot be reached any more ({type(error).__name__}); the shots go on without it"


@asynccontextmanager
async def followed(steps: Steps) -> AsyncIterator[None]:
    """Have this flow's run watched on its server while the block makes the film.

    A run that is killed within it is closed by the next one, where the server is there again.
    """
    monitor, marker = steps.monitor, steps.production.project.work / "prefect-run"
    if not monitor.lost:
        monitor.begin(str(this_run.id))
        await monitor.shown(server.relieve(marker, str(this_run.id), str(this_run.name)))
    yield
    monitor.end()
    if not monitor.lost:
        marker.unlink(missing_ok=True)


async def connect(production: Production, monitor: Monitor) -> None:
    """Have at hand what is kept on the server: the account's slots, and the addresses of people."""
    await share_slots(production, monitor)
    await call_in(production)


async def share_slots(production: Production, monitor: Monitor) -> None:
    """Have all runs on a server keep to the account's slots together; the backlot has its own."""
    slots, plan = production.unit.slots, production.plan
    if not plan.free:
        asked = {step.model for step in plan.orders}
        limits = {model: count for model, count in slots.limits.items() if model in asked}
        slots.elsewhere = Limits(plan.gateway, limits, monitor)
        await slots.elsewhere.fill()


async def call_in(production: Production) -> None:
    """Have those at hand whose addresses Prefect keeps."""
    if production.notices and production.notices.blocks:
        from secondunit.flow import blocks

        await blocks.connect(production.notices)


def outcome(production: Production) -> State[Any]:
    """Return the state that the run of a production ends in."""
    error = production.failures.get(FILM)
    if isinstance(error, Unjudged):
        return waiting(error)
    if isinstance(error, TurnedDown):
        return rejected(error)
    if production.film is None:
        missing = dict.fromkeys(step.shot for step in production.missing())
        said = dict.fromkeys(str(error) for error in production.failures.values())
        return Failed(
            message=f"Did not come back: {', '.join(missing) or 'the film itself'}."
            f" {' '.join(list(said)[:REASONS])}"
        )
    return Completed(message=f"{production.film.path}")
