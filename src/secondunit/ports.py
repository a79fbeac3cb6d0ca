"""The few things the unit needs from outside, and the records they exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Stage = Literal[
    "waiting",  # for another shot, a free slot or the gateway
    "cached",
    "uploading",
    "ordering",
    "queued",
    "throttled",
    "rolling",
    "fetching",
    "retrying",
    "conforming",
    "encoding",
    "done",
    "failed",
    "held",
    "in doubt",
]


@dataclass(frozen=True)
class Ordered:
    """The gateway took the order: `ticket` is its receipt, `estimate` the most it may charge."""

    ticket: str
    estimate: int | None = None


@dataclass(frozen=True)
class NotSent:
    """It is certain that nothing was ordered, and that trying again is safe.

    `wait` is what the gateway asks for in seconds. `shed`: only the account shows that it was not
    ordered, so it is tried once more and not oftener.
    """

    reason: str
    busy: bool = False
    wait: float | None = None
    shed: bool = False


@dataclass(frozen=True)
class Rejected:
    """The gateway said no; nothing was ordered.

    `money`: the account cannot pay, `daily`: the day's number of this model is used up. Both hold
    for the orders that would follow, too.
    """

    reason: str
    status: int = 0
    money: bool = False
    daily: bool = False


@dataclass(frozen=True)
class Doubtful:
    """The request may have arrived, and no ticket came back.

    `shed`: the gateway says that it was too busy to take it, which it usually means and does not
    promise.
    """

    reason: str
    shed: bool = False


Outcome = Ordered | NotSent | Rejected | Doubtful


@dataclass(frozen=True)
class Progress:
    """What a gateway says of a ticket.

    `state` is one of Runway's six, or its own word where it is new to us; `progress` runs from
    0 to 1; `credits` is the final charge once the state is terminal.
    """

    state: str
    progress: float | None = None
    outputs: tuple[str, ...] = ()
    credits: int | None = None
    failure: str = ""
    failure_code: str = ""


@dataclass(frozen=True)
class Account:
    """What the gateway says of the account, by model where it is about models.

    `credits` left; `slots`, how many may run at once; `made` in the last 24 hours, of at most
    `daily`. `made` is None where it does not count; a model that is in no mapping has no limit.
    """

    credits: int | None
    slots: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, int] | None = None
    daily: Mapping[str, int] = field(default_factory=dict)


class Gateway(Protocol):
    """Whoever takes the orders. `create` blocks and is called from the one lane for creates.

    `account_name` tells one account from another without telling the key.
    """

    name: str
    free: bool
    slow: bool
    inline_limit: int
    account_name: str

    def create(self, endpoint: str, body: Mapping[str, Any], *, shot: str) -> Outcome:
        """Place one order, at most once; every way it can end is an `Outcome`."""

    async def poll(self, ticket: str) -> Progress | None:
        """Ask for a ticket; None where the gateway does not know it."""

    async def upload(self, data: bytes, filename: str, mime: str) -> str:
        """Lend the gateway a file and return the URI under which an order may name it."""

    async def account(self) -> Account | None:
        """Return the state of the account, or None where the gateway does not tell."""

    def evidence(self) -> Account | None:
        """Return the account as it stands before an order, from the lane for creates. Blocks.

        None where the gateway does not tell, or answers with nothing that can be read. Raises
        Unreachable when no connection can be made, UsageError when the key is refused.
        """

    async def cancel(self, ticket: str) -> None:
        """Take back a ticket that has not begun. Raises Unreachable when nobody knows if it was."""

    async def fetch(self, url: str, into: Path, *, limit: int) -> None:
        """Download one output to `into`, at most `limit` bytes."""

    async def close(self) -> None:
        """Let go of every connection."""


class Watcher(Protocol):
    """Whoever shows the run; told of each change of stage, never of each poll."""

    def saw(self, shot: str, stage: Stage, detail: str = "") -> None:
        """Note that `shot` entered `stage`."""
