"""Has Prefect notify people when a film needs one of them, and when it is finished.

Make a notification block first (Blocks → + in Prefect's pages: Slack Webhook, Microsoft Teams
Webhook, Custom Webhook, …), then name it here by its type and its name:

    python flows/automations/notify.py slack-webhook/producers

Running it again changes the automation to what stands here. It is on the page Automations, where it
may be paused. The events are listed in `secondunit.flow.events`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

if TYPE_CHECKING:
    from uuid import UUID

NAME = "Second Unit: tell us"
NEEDED = {
    "secondunit.shot.held",
    "secondunit.shot.in-doubt",
    "secondunit.film.over-budget",
    "secondunit.film.failed",
    "secondunit.review.wanted",
}
FINISHED = {"secondunit.film.finished"}
# A prompt may stand in a message; without angle brackets it can call up nobody's channel.
SUBJECT = "{{ event.resource['secondunit.film'] | replace('<', '‹') | replace('>', '›') }}"
BODY = (
    "{{ event.resource['secondunit.message'] | replace('<', '‹') | replace('>', '›') }}"
    "{% if flow_run and flow_run | ui_url %}\n\n{{ flow_run | ui_url }}{% endif %}"
)


def automation(block: UUID) -> AutomationCore:
    """Return the automation that tells through a notification block."""
    return AutomationCore(
        name=NAME,
        description="A shot is held or in doubt, the money is used up, or the film is finished.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            match=ResourceSpecification({"prefect.resource.id": "secondunit.*"}),
            expect=NEEDED | FINISHED,
            threshold=1,
        ),
        actions=[SendNotification(block_document_id=block, subject=SUBJECT, body=BODY)],
    )


async def main(block: str) -> None:
    """Make the automation on the server in use, or change it."""
    document = (await Block.aload(block))._block_document_id  # noqa: SLF001  there is no other door
    if document is None:
        raise SystemExit(f"{block} is not kept by this server.")
    async with get_client() as client:
        known = await client.read_automations_by_name(NAME)
        if known:
            await client.update_automation(known[0].id, automation(document))
        else:
            await client.create_automation(automation(document))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    asyncio.run(main(sys.argv[1]))
