"""The shot lists of an office as Prefect deployments: what is to change, told first, and the change.

What belongs to an office says so in its labels, which no page of Prefect's changes. Nothing else on
the server is ever touched. A switch that a person turned on a deployment's page stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from secondunit.flow import film
from secondunit.flow.clocks import clock
from secondunit.flow.words import text
from secondunit.names import flow_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

    from secondunit.errors import SecondUnitError
    from secondunit.scheduling import Board, Booking, Office, Spoiled

from prefect.client.schemas.actions import (
    DeploymentCreate,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    DeploymentUpdate,
)
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
)
from prefect.utilities.callables import parameter_schema

TAG = "secondunit"
OFF = "paused in its file"  # a tag: the file wants it so, and no person on the page
WRONG = "shot list is wrong"  # a tag: it rests until its shot list is put right
OFFICE, FILE = "secondunit.office", "secondunit.shot-list"  # labels
ENTRYPOINT = "secondunit.flow.film"
PAGE = 200  # deployments that one answer holds
WORDS = {
    "version": "shot list", "schedules": "schedule", "work_pool_name": "work pool",
    "parameter_openapi_schema": "form", "enforce_parameter_schema": "form",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """A deployment as its shot list wants it; `fields` are those of Prefect's own model."""

    booking: Booking
    flow: str
    name: str
    fields: dict[str, Any]

    @property
    def active(self) -> bool:
        """Whether the file lets the schedule run."""
        return not self.booking.schedule.paused


@dataclass(frozen=True)
class Change:
    """One line of what is to be done. `stands` is the deployment as it is."""

    kind: Literal["create", "update", "retitle", "rest", "remove", "same", "taken"]
    file: str
    words: str
    wanted: Wanted | None = None
    stands: DeploymentResponse | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    error: SecondUnitError | None = None


def wanted(place: Office, bookings: Iterable[Booking], pool: str | None, out: str) -> list[Wanted]:
    """Return the deployments that shot lists want, no two of one name."""
    found: dict[tuple[str, str], Wanted] = {}
    for booking in bookings:
        flow = flow_name(booking.title)
        name = flow_name(booking.file.rpartition(".")[0].replace("/", " · "))
        if (flow, name) in found:
            name = flow_name(booking.file.replace("/", " · "))
        found[flow, name] = Wanted(booking, flow, name, _fields(place, booking, pool, out))
    return list(found.values())


def _fields(place: Office, booking: Booking, pool: str | None, out: str) -> dict[str, Any]:
    plan, schedule = booking.plan, booking.schedule
    budget = schedule.budget if isinstance(schedule.budget, str) else booking.budget
    given = {
        "shot_list": place.there(booking.file), "gateway": schedule.gateway,
        "quality": schedule.quality, "only": schedule.only, "budget": budget, "out": out or None,
        "catch_up": schedule.catch_up,
    }  # fmt: skip
    shots = len(plan.cut)
    return {
        "version": booking.digest[:12],
        "description": (
            f"Shoots {text(booking.file)}: {shots} shot{'' if shots == 1 else 's'},"
            f" {plan.gateway}, {text(plan.quality)}, {booking.most}.\n\nWhat stands here follows"
            " the shot list: change that, and deploy again."
        ),
        "tags": list(
            filter(None, (TAG, plan.gateway, plan.quality, plan.slate, schedule.paused and OFF))
        ),
        "parameters": {name: value for name, value in given.items() if value is not None},
        "work_pool_name": pool,
        "entrypoint": ENTRYPOINT,
        "enforce_parameter_schema": True,
        "parameter_openapi_schema": parameter_schema(film).model_dump(
            mode="json", exclude_unset=True
        ),
    }


# --- what is to change --------------------------------------------------------------------------


async def survey(
    client: PrefectClient, place: Office, board: Board, pool: str | None, out: str = ""
) -> list[Change]:
    """Compare an office with its deployments, and return what is to be done, file by file."""
    standing = await _standing(client, place)
    changes: list[Change] = []
    for want in wanted(place, board.bookings, pool, out):
        stands = standing.pop(want.booking.file, None)
        changes.append(await _compared(client, want, stands))
    for spoiled in board.spoiled:
        stands = standing.pop(spoiled.file, None)
        changes.append(_resting(spoiled, stands))
    changes += [
        Change("remove", file, f"“{stands.name}” goes; its history stays", stands=stands)
        for file, stands in standing.items()
    ]
    return sorted(changes, key=lambda change: change.file)


async def _standing(client: PrefectClient, place: Office) -> dict[str, DeploymentResponse]:
    """Return the deployments of an office by their shot lists."""
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found: list[DeploymentResponse] = []
    while len(found) % PAGE == 0:
        more = await client.read_deployments(deployment_filter=ours, limit=PAGE, offset=len(found))
        if not more:
            break
        found += more
    return {
        str(one.labels[FILE]): one
        for one in found
        if one.labels.get(OFFICE) == place.identity and FILE in one.labels
    }


async def _compared(
    client: PrefectClient, want: Wanted, stands: DeploymentResponse | None
) -> Change:
    file, booking = want.booking.file, want.booking
    if stands is None or (await client.read_flow(stands.flow_id)).name != want.flow:
        other = await _of_name(client, want)
        if other is not None:
            return Change("taken", file, _of_others(want, other))
        said = f"{booking.when} · {booking.plan.quality} · {booking.plan.gateway} · {booking.most}"
        if stands is None:
            return Change("create", file, said, want)
        return Change("retitle", file, f"is called “{want.flow}” now · {said}", want, stands)
    fields = {
        name: value
        for name, value in want.fields.items()
        if _plain(name, getattr(stands, name)) != _plain(name, value)
    }
    left = _clock_change(want, stands, fields)
    paused = ["paused on its page; left so"] if stands.paused else []
    if not fields:
        return Change("same", file, ", ".join([*left, *paused]), want, stands)
    said = ", ".join(dict.fromkeys([*_changed(stands, fields), *left, *paused]))
    return Change("update", file, said, want, stands, fields)


def _clock_change(want: Wanted, stands: DeploymentResponse, fields: dict[str, Any]) -> list[str]:
    """Note in `fields` what becomes of the schedule; return what is left as a person set it."""
    ours = clock(want.booking.schedule)
    was = not {OFF, WRONG} & set(stands.tags)
    runs = any(one.active for one in stands.schedules)
    turned = was and not runs
    active = want.active and not turned
    if runs != active or [one.schedule for one in stands.schedules] != [ours]:
        fields["schedules"] = [DeploymentScheduleUpdate(schedule=ours, active=active)]
    return ["switched off on its page; left so"] if turned else []


def _resting(spoiled: Spoiled, stands: DeploymentResponse | None) -> Change:
    """Return what becomes of a shot list that is wrong: its deployment is switched off, and kept."""
    file, error = spoiled.file, spoiled.error
    if stands is None:
        return Change("rest", file, "is not scheduled until it is put right", error=error)
    if WRONG in stands.tags:
        return Change("rest", file, "rests until it is put right", stands=stands, error=error)
    off = [
        DeploymentScheduleUpdate(schedule=one.schedule, active=False) for one in stands.schedules
    ]
    fields = {"tags": [*stands.tags, WRONG], "schedules": off}
    said = "is paused until it is put right"
    return Change("rest", file, said, stands=stands, fields=fields, error=error)


async def _of_name(client: PrefectClient, want: Wanted) -> DeploymentResponse | None:
    found = await client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[want.flow])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[want.name])),
        limit=1,
    )
    return found[0] if found else None


def _of_others(want: Wanted, other: DeploymentResponse) -> str:
    said = f"“{want.flow}/{want.name}” is "
    if OFFICE not in other.labels:
        return f"{said}somebody else's; left alone"
    theirs = other.labels[OFFICE]
    return f"{said}of “{theirs}”; left alone. If that is this folder, say --name '{theirs}'"


def _plain(name: str, value: Any) -> Any:
    return set(value) if name == "tags" else value


def _changed(stands: DeploymentResponse, fields: dict[str, Any]) -> list[str]:
    """Say in words what changes."""
    said = []
    for name, value in fields.items():
        if name == "parameters":
            was = stands.parameters
            keys = [key for key in {**was, **value} if was.get(key) != value.get(key)]
            said += [f"{key}: {was.get(key, '-')} → {value.get(key, '-')}" for key in keys]
        elif name == "work_pool_name":
            said.append(f"work pool: {stands.work_pool_name or '-'} → {value or '-'}")
        else:
            said.append(WORDS.get(name, name))
    return said


# --- the change -----------------------------------------------------------------------------------


async def apply(client: PrefectClient, place: Office, changes: Sequence[Change]) -> dict[str, UUID]:
    """Do what `survey` found. Returns the deployments that stand then, by their shot lists."""
    ids: dict[str, UUID] = {}
    for change in changes:
        stands, want = change.stands, change.wanted
        if want is not None and change.kind in {"create", "retitle"}:
            ids[change.file] = await _created(client, place, want)
        elif stands is not None and change.kind != "remove":
            ids[change.file] = stands.id
            if change.fields:
                await client.update_deployment(stands.id, DeploymentUpdate(**change.fields))
        if stands is not None and change.kind in {"remove", "retitle"}:
            await client.delete_deployment(stands.id)
    return ids


async def _created(client: PrefectClient, place: Office, want: Wanted) -> UUID:
    schedule = DeploymentScheduleCreate(schedule=clock(want.booking.schedule), active=want.active)
    new = DeploymentCreate(
        name=want.name, flow_id=await client.create_flow_from_name(want.flow),
        labels={OFFICE: place.identity, FILE: want.booking.file}, schedules=[schedule],
        paused=False, **{key: value for key, value in want.fields.items() if value is not None},
    )  # fmt: skip
    # the client's own method has no argument for labels (prefect 3.8)
    page = new.model_dump(mode="json", exclude_unset=True)
    answer = await client.request("POST", "/deployments/", json=page)
    return UUID(answer.json()["id"])
