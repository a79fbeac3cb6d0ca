"""The house rules of one backlot: tier, credits, latency, keys and the faults it starts with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from secondunit.backlot.faults import Fault

API_VERSION = "2024-11-06"
"""The one value of X-Runway-Version (docs.dev.runwayml.com/api-details/versioning)."""

DAY = 86400.0


@dataclass(frozen=True)
class Tier:
    """What one tier allows: generations of a model at once and in 24 h, credits in a month.

    Source: docs.dev.runwayml.com/usage/tiers. The table's two kinds of column are read as video
    and stills.
    """

    video: tuple[int, int]
    still: tuple[int, int]
    monthly: int

    def limits(self, work: str) -> tuple[int, int]:
        """Return (at once, in 24 h) for a model that does this kind of `work`."""
        return self.still if work == "still" else self.video


TIERS = {
    1: Tier((1, 50), (2, 200), 10_000),
    2: Tier((3, 500), (3, 1_000), 50_000),
    3: Tier((5, 1_000), (5, 2_000), 200_000),
    4: Tier((10, 5_000), (10, 10_000), 2_000_000),
    5: Tier((20, 25_000), (20, 30_000), 10_000_000),
}


@dataclass(frozen=True)
class Rules:
    """How one backlot behaves.

    `tier` 1 to 5 sets concurrency and the daily cap; `credits` is what the account held before
    its first order in this home; `latency` is the range of seconds a task takes at least, a tenth
    of it as PENDING; an output link is good for `url_seconds`. `keys` None takes any bearer, else
    these and those that begin with `backlot` or `emu_`; what looks like a real key is refused
    unless it is listed or `accept_any_key` is set. `render` "tiny" draws 64 pixels a side, for
    runs that are about everything but pictures. `seed` decides latencies and chance.
    """

    tier: int = 5
    credits: int = 100_000
    latency: tuple[float, float] = (1.0, 3.0)
    url_seconds: float = DAY
    keys: tuple[str, ...] | None = None
    accept_any_key: bool = False
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    render: Literal["animatic", "tiny"] = "animatic"

    def refusal(self, key: str) -> str | None:
        """Return why a bearer is not let in, or None where it is."""
        if self.accept_any_key or key in (self.keys or ()):
            return None
        if _looks_real(key):
            return (
                "This is the backlot, keep your real key: it is not needed here and was not "
                "stored. Use any other word as the key."
            )
        if self.keys is None or key.startswith(("backlot", "emu_")):
            return None
        return "The API key is not known here. A key that begins with `backlot` always is."


def _looks_real(key: str) -> bool:
    # A key that only repeats itself (64 zeroes, eight times the alphabet) was made up for a test.
    digits = re.fullmatch(r"key_([0-9a-f]{128})", key)
    return digits is not None and digits[1] not in (digits[1] * 2)[1:-1]
