"""Those whose address Prefect keeps are told through its blocks, whatever becomes of its server."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from mailroom import box

from secondunit import shotlist
from secondunit.crew import Settings
from secondunit.flow import blocks
from secondunit.notices import Notices
from secondunit.plan.planner import Choices, compile_plan
from secondunit.shotlist.office import NoticeSpec

# isort: split

from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secondunit.plan import Plan

TOKEN = "tokentokentokentokentoken1"


@pytest.fixture
def server(prefect_api: Any) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "teaser.yaml"
    file.write_text("title: Harbour teaser\nshots: [A door opens.]\n")
    return compile_plan(shotlist.read(str(file)), Choices())


def telling(plan: Plan, *names: str) -> tuple[Notices, list[str]]:
    """Return what tells through these blocks, and its complaints."""
    settings = Settings(notify={name.replace("/", "-"): {"block": name} for name in names})
    told = tuple(NoticeSpec(to=name.replace("/", "-")) for name in names)
    notices, troubles = Notices.of(replace(plan, notices=told), settings), []
    notices.on_trouble(troubles.append)
    return notices, troubles


def custom(name: str, url: str) -> None:
    """Keep a webhook in Prefect, with a secret in its address."""
    CustomWebhookNotificationBlock(
        name=name, url=url + "/{{token}}", secrets={"token": TOKEN},
        json_data={"body": "{{body}}", "subject": "{{subject}}", "token": "{{token}}"},
    ).save(name, overwrite=True)  # fmt: skip


def test_prefects_own_kinds_of_block_tell(server: None, plan: Plan) -> None:
    with box() as inbox, box() as other:
        custom("line", inbox.url)
        host, port = other.url.removeprefix("http://").split(":")
        MattermostWebhook(
            hostname=host, port=int(port), secure=False, token=SecretStr(TOKEN)
        ).save("stage", overwrite=True)  # fmt: skip
        notices, troubles = telling(plan, "custom-webhook/line", "mattermost-webhook/stage")
        asyncio.run(blocks.connect(notices))
        assert notices.blocks == ()
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):  # the server is gone
            notices.tell("held", "Shot 3 is held", "@channel {{token}} <!channel>", shot="Shot 3")
            notices.close(timeout=60)
    assert troubles == []
    (letter,) = inbox.letters
    assert letter.path == f"/{TOKEN}"
    assert letter.page["subject"] == "Harbour teaser: Shot 3 is held"
    assert letter.page["body"] == "@\u200bchannel {\u200b{token}} <\u200b!channel>"
    (letter,) = other.letters
    assert "Shot 3 is held" in letter.page["text"]
    assert "@channel" not in letter.page["text"]


@pytest.mark.covers("S10")
def test_what_a_block_cannot_do_is_a_line_without_its_address(
    server: None, plan: Plan, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with box(500) as inbox:
        custom("line", inbox.url)
        host, port = inbox.url.removeprefix("http://").split(":")
        MattermostWebhook(
            hostname=host, port=int(port), secure=False, token=SecretStr(TOKEN)
        ).save("stage", overwrite=True)  # fmt: skip
        Secret(value=SecretStr(TOKEN)).save("mine", overwrite=True)
        names = (
            "custom-webhook/line",
            "mattermost-webhook/stage",
            "custom-webhook/none",
            "secret/mine",
        )
        notices, troubles = telling(plan, *names)
        asyncio.run(blocks.connect(notices))
        notices.tell("held", "Shot 3 is held", "It was refused.", shot="Shot 3")
        notices.close(timeout=60)
    said = "".join(capfd.readouterr()) + caplog.text + str(troubles)
    assert TOKEN not in said
    assert [trouble.partition(" not ")[0] for trouble in troubles] == [
        "custom-webhook-none will", "secret-mine will", "custom-webhook-line was",
        "mattermost-webhook-stage was",
    ]  # fmt: skip


def test_a_run_that_never_saw_prefect_says_who_was_not_told(plan: Plan) -> None:
    notices, troubles = telling(plan, "custom-webhook/line")
    notices.tell("over budget", "", "The account holds 3 credits.")
    notices.close()
    assert troubles == [
        "custom-webhook-line was not told 1 of 1 messages: Prefect was not there."
    ]  # fmt: skip


def test_without_a_server_there_is_a_line_and_a_run(plan: Plan) -> None:
    notices, troubles = telling(plan, "custom-webhook/line")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        asyncio.run(blocks.connect(notices))
    notices.tell("held", "", "It was refused.")
    notices.close()
    assert troubles[0].startswith("custom-webhook-line will not be told: Prefect does not hand out")
