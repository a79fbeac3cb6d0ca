"""Prefect's notification blocks, through which a run tells those whose address Prefect keeps."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from secondunit.flow import defaults as _defaults  # noqa: F401  before anything of Prefect
from secondunit.redaction import hide

if TYPE_CHECKING:
    from secondunit.notices import Notices

import prefect.blocks.notifications  # noqa: F401  makes Prefect's own kinds known
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

SLOW = 10.0  # seconds for Prefect to hand out one block


async def connect(notices: Notices) -> None:
    """Fetch the blocks that `notices` needs from the server of the run; raises nothing.

    They are fetched once, so that the run's end is told though the server is gone.
    """
    for name in notices.blocks:
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                block = await asyncio.wait_for(_fetched(name), SLOW)
        except Exception as error:  # noqa: BLE001  whatever Prefect raises, there is no such block
            why = f"Prefect does not hand out its block {name} ({type(error).__name__})"
            notices.without(name, why)
            continue
        if isinstance(block, NotificationBlock):
            _hide_secrets(block)
            notices.through(name, partial(_send, block))
        else:
            notices.without(name, f"Prefect's block {name} is not one that notifies")


async def _fetched(name: str) -> Any:
    return await Block.aload(name)


def _hide_secrets(block: NotificationBlock) -> None:
    """Keep the addresses and secrets of a block out of every log; Apprise names them at DEBUG."""
    for value in vars(block).values():
        _hide(value)


def _hide(value: Any) -> None:
    known = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    if isinstance(known, dict):
        for inner in known.values():
            _hide(inner)
    elif isinstance(known, str) and (known is not value or "://" in known):
        hide(known)


def _send(block: NotificationBlock, subject: str, body: str) -> None:
    """Notify, from a thread without a loop of its own. Raises what the block raises."""
    with block.raise_on_failure():
        sent: Any = block.notify(body, subject)
        if inspect.isawaitable(sent):
            asyncio.run(_finished(sent))


async def _finished(sent: Any) -> None:
    await sent
