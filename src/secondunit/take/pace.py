"""How fast to ask, to try again and to give up for this run."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How fast to ask, all in seconds.

    `poll` between two questions about one ticket: Runway asks for no more than one in 5 s
    (runwayml 5.24.0, tasks.retrieve). `unknown` is how long a ticket may be unknown to the gateway
    before it counts as gone, `outage` how long the gateway may be silent before a run leaves its
    tickets open and ends; `retry` the first wait after a failure and `calm` the longest while the
    gateway fails for everybody; `again` the waits of Prefect's retries; `settle` between two looks
    at the account, whose figures may lag (by how much is not published), `ripe` the age from which
    an order that the account does not show cannot be under way any more.
    """

    poll: float = 5.0
    unknown: float = 120.0
    outage: float = 7200.0
    retry: float = 2.0
    calm: float = 60.0
    again: tuple[float, ...] = (20.0, 60.0)
    settle: float = 20.0
    ripe: float = 200.0

    @classmethod
    def to(cls, *, slow: bool) -> Pace:
        """Return the pace for a gateway: `slow` across the network, faster on this machine."""
        return (
            cls()
            if slow
            else cls(
                poll=0.2, unknown=5.0, outage=60.0, retry=0.1, calm=2.0, again=(0.5, 1.0),
                settle=0.3, ripe=1.0,
            )
        )  # fmt: skip

    def next_poll(self) -> float:
        """Return how long to wait before asking again; never less than `poll`."""
        return self.poll * random.uniform(1.0, 1.25)  # noqa: S311  spreads load, guards nothing

    def backoff(self, attempt: int, least: float | None = None) -> float:
        """Return how long to wait before try number `attempt` + 1, at least `least`."""
        longest = min(120.0, self.retry * 2.0**attempt)
        return max(least or 0.0, longest / 2 + random.uniform(0, longest / 2))  # noqa: S311  as above
