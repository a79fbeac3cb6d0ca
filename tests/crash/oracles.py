"""Two oracles that know what was charged, and share no line with the ledger they are held against.

One is the strict stand-in, the other the backlot in a process of its own.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import httpx
from strict import Strict, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HALF = re.compile(r"JSONDecodeError|upload fields \[")


@dataclass(frozen=True)
class Charged:
    """One order that an oracle took and charged."""

    ticket: str
    take: tuple[str, str]  # its endpoint and prompt, which no two takes of this film share
    credits: int


class Oracle(Protocol):
    """Whoever takes the orders and keeps books of its own."""

    url: str

    def charged(self) -> list[Charged]:
        """Return what was charged since the last `forget`."""

    def deleted(self) -> int:
        """Return how many tickets somebody deleted."""

    def outputs(self) -> set[str]:
        """Return the hashes of everything it hands out."""

    def forget(self) -> None:
        """Begin to count anew."""


class StrictBooks:
    """The strict stand-in, with tiny media."""

    def __init__(self, make: Callable[[str, tuple[int, int], float], bytes]) -> None:
        self._make = make
        self._hashes: set[str] = set()
        self.strict: Strict
        self.url = ""

    def footage(self, kind: str, size: tuple[int, int], seconds: float) -> bytes:
        small = 64, 64 * size[1] // size[0] // 2 * 2
        data = self._make(kind, small if kind == "clip" else size, seconds / 8)
        self._hashes.add(hashlib.sha256(data).hexdigest())
        return data

    @contextmanager
    def open(self) -> Iterator[StrictBooks]:
        with listening(self.footage) as self.strict:
            self.url = self.strict.url
            yield self
            # half a request, of a client that was killed over it, is nothing to complain of
            self.strict.problems[:] = [p for p in self.strict.problems if not HALF.search(p)]

    def charged(self) -> list[Charged]:
        return [
            Charged(t.id, (t.endpoint, t.body.get("promptText", "")), t.price)
            for t in self.strict.tickets.values()
        ]

    def ordered(self, endpoint: str) -> bool:
        """Say whether an order was taken at an endpoint."""
        return any(t.endpoint == endpoint for t in list(self.strict.tickets.values()))

    def asked(self, word: str) -> int:
        """Count the questions about the order with a word in its prompt."""
        tickets = list(self.strict.tickets.values())
        return sum(len(t.asked) for t in tickets if word in t.body.get("promptText", ""))

    def deleted(self) -> int:
        return len(self.strict.deleted)

    def outputs(self) -> set[str]:
        return self._hashes

    def forget(self) -> None:
        with self.strict.lock:
            for what in (self.strict.tickets, self.strict.lent, self.strict.orders):
                what.clear()


LOT = """
import sys
from pathlib import Path
from secondunit import backlot
rules = backlot.Rules(render="tiny", latency=(0, 0.02), credits=10**6)
backlot.serve(Path(sys.argv[1]), rules, 0, lambda url: print(url, flush=True))
"""


class LotBooks:
    """The backlot in another process; its books are asked over its own address."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._before = 0
        self.url = ""

    @contextmanager
    def open(self) -> Iterator[LotBooks]:
        with subprocess.Popen(
            [sys.executable, "-c", LOT, self._home], stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            self.url = server.stdout.readline().strip()
            self._client = httpx.Client(base_url=self.url, verify=False)
            try:
                yield self
            finally:
                self._client.close()
                server.terminate()
                server.stdout.close()

    def _books(self) -> dict[str, Any]:
        return dict(self._client.get("/backlot/ledger").json())

    def charged(self) -> list[Charged]:
        return [
            Charged(t["id"], (t["endpoint"], t["body"].get("promptText", "")), t["cost"])
            for t in self._books()["tasks"][self._before :]
        ]

    def deleted(self) -> int:
        return sum(r["count"] for r in self._books()["requests"] if r["method"] == "DELETE")

    def outputs(self) -> set[str]:
        return {sha256(p) for p in self._home.rglob("*") if p.suffix in {".mp4", ".png"}}

    def forget(self) -> None:
        self._before = len(self._books()["tasks"])


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
