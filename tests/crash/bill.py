"""The bill of a film: what an oracle charged, held against what the ledger knows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scene import TAKES

if TYPE_CHECKING:
    from oracles import Charged
    from scene import Scene


@dataclass(frozen=True)
class Bill:
    """The oracle's charges beside the ledger's orders."""

    charged: list[Charged]
    orders: list[dict[str, Any]]

    @property
    def doubts(self) -> list[dict[str, Any]]:
        """The orders that wait for a decision."""
        return [o for o in self.orders if o["state"] in {"doubt", "intent"}]

    def ticket_of(self, order: dict[str, Any]) -> str:
        """Return the ticket that the oracle gave for an order of which no ticket came back."""
        known = {o["ticket"] for o in self.orders}
        return next(
            c.ticket for c in self.charged if c.take == _take(order) and c.ticket not in known
        )

    def problems(self, again: int = 0) -> list[str]:
        """Return all that is wrong, where a person had `again` orders placed once more."""
        found = []
        known = {o["ticket"] for o in self.orders}
        unnamed = Counter(
            _take(o) for o in self.orders
            if o["ticket"] is None and o["state"] in {"doubt", "replaced", "abandoned", "intent"}
        )  # fmt: skip
        told = Counter(unnamed)
        for one in self.charged:
            if one.ticket not in known and unnamed[one.take] == 0:
                found.append(f"a paid ticket is lost: {one}")
            elif one.ticket not in known:
                unnamed[one.take] -= 1
        for take, count in Counter(c.take for c in self.charged).items():
            if count > 1 and count > 1 + told[take]:
                found.append(f"{take} was ordered {count} times, and nobody was told")
        if len(self.charged) > TAKES + again:
            found.append(f"{len(self.charged)} orders for {TAKES} takes")
        booked, bill = sum(o["cost"] for o in self.orders), sum(c.credits for c in self.charged)
        if booked < bill or (booked > bill and not told):
            found.append(f"the ledger says {booked} credits, the bill {bill}")
        nameless = {c.take for c in self.charged if c.ticket not in known}
        found += [
            f"{o['shot']} is in doubt, and was not charged"
            for o in self.doubts
            if _take(o) not in nameless
        ]
        return found


def _take(order: dict[str, Any]) -> tuple[str, str]:
    return order["endpoint"], json.loads(order["request"]).get("promptText", "")


def bill(scene: Scene) -> Bill:
    """Return the oracle's charges beside the ledger's orders, as they stand now."""
    assert scene.oracle.deleted() == 0
    return Bill(scene.oracle.charged(), scene.orders())
