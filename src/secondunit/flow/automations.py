"""Two automations of a Prefect server: who fell silent has crashed, and who crashed is taken up again.

Both concern the runs of Second Unit's deployments alone. A person may pause them on their page, and
they stay so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.flow.late import TAKEN_UP

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

# Prefect's own pulse is three minutes (PREFECT_FLOWS_HEARTBEAT_FREQUENCY).
SILENCE = timedelta(minutes=10)
LONGEST = timedelta(days=30)  # that a run may take and still be taken up when it crashes
SILENT = "Second Unit: a run that fell silent"
CRASHED = "Second Unit: a run that was killed"
ROLE = "prefect.resource.role"
ID = "prefect.resource.id"


def automations(silence: timedelta = SILENCE) -> tuple[AutomationCore, AutomationCore]:
    """Return both; `silence` is how long a run may say nothing."""
    ours = {
        "match": ResourceSpecification({ID: "prefect.flow-run.*"}),
        "match_related": ResourceSpecification({ID: "prefect.tag.secondunit", ROLE: "tag"}),
        "for_each": {ID},
    }
    # One that was only claimed has run nothing yet: to take it up again might never end.
    claimed, pulse = "prefect.flow-run.Pending", "prefect.flow-run.heartbeat"
    silent = AutomationCore(
        name=SILENT,
        description=(
            "A run whose machine or worker is gone says nothing any more and would be shown as"
            " Pending or Running for ever. What it ordered goes on and is picked up by the next run."
        ),
        trigger=EventTrigger(
            posture=Posture.Proactive, after={claimed, pulse}, expect={"prefect.flow-run.*"},
            threshold=1, within=silence, **ours,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="It fell silent; its process, its worker or its machine is gone.",
            )
        ],
    )  # fmt: skip
    crashed = AutomationCore(
        name=CRASHED,
        description=(
            "A run that was killed begins again, with its tickets and all that it has; nothing is"
            " ordered twice. After the fourth time it waits for a person."
        ),
        trigger=EventTrigger(
            posture=Posture.Reactive, after={"prefect.flow-run.Running"},
            expect={"prefect.flow-run.Crashed"}, threshold=1, within=LONGEST, **ours,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name=TAKEN_UP, message="It was killed; nothing is lost."
            )
        ],
    )  # fmt: skip
    return silent, crashed


async def ensure(client: PrefectClient) -> list[str]:
    """Have both on the server. Returns the names of those that were not there."""
    made = []
    for one in automations():
        if not await client.read_automations_by_name(one.name):
            await client.create_automation(one)
            made.append(one.name)
    return made
