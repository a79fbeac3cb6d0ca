"""Hundreds of shots through faults, kills and restarts: all arrive, and the bill is what they cost."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import sqlite3
import threading
import time
from collections import Counter
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest
from reel import reel
from relay import Relay, relaying
from strict import DROP, RESET, Life, Reply, Strict, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

PRICE = 24  # credits, of two seconds of gen4.5
HALF = re.compile(r"JSONDecodeError")  # half a request, of a client that was killed over it
BUSY = Reply(429, b'{"error":"Too many requests"}')
GOOD = ("PENDING", "RUNNING", "SUCCEEDED")
SHORT = Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nnothing like it")

# What befalls an order when it is placed, and what befalls its ticket.
AT_THE_DOOR = (
    Reply(429, b'{"error":"Too many requests"}', {"Retry-After": "7"}),
    BUSY,
    Reply(503),
    Reply(503, taken=True),
    Reply(500),
    Reply(200, b"<html>", taken=True),
    DROP,
    RESET,
    Reply(raw=b"", taken=True),
    Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le", taken=True),
)
UNDER_WAY = (
    Life(states=("THROTTLED",) * 4 + GOOD),
    Life(states=(Reply(500), "PENDING", Reply(503), "RUNNING", Reply(200, b"{"), "SUCCEEDED")),
    Life(states=("RUNNING", DROP, RESET, "RUNNING", "SUCCEEDED")),
    Life(states=("RUNNING", Reply(404, b"{}"), "SUCCEEDED")),
    Life(empty=2),
    Life(downloads=(Reply(403), Reply(410))),
    Life(downloads=(Reply(200, b"\0" * 999), SHORT)),
    Life(downloads=(DROP, Reply(503), RESET)),
    Life(states=("RUNNING", "FAILED"), code="INTERNAL"),
    Life(states=("PENDING", "FAILED"), code="THIRD_PARTY.UNAVAILABLE"),
)


class Soak:
    """A film of many shots, the stand-in that knows the bill, and the process that is killed."""

    def __init__(self, folder: Path, strict: Strict, relay: Relay, shots: int, seed: int) -> None:
        self.folder, self.strict, self.relay = folder, strict, relay
        self.chance = random.Random(seed)
        self.names = [f"s{number:03}" for number in range(shots)]
        self.file = folder / "soak.yaml"
        listed = "".join(f"  {n}: Take {n} of the sea.\n" for n in self.names)
        self.file.write_text(f"defaults: {{duration: 2, ratio: '16:9', seed: 7}}\nshots:\n{listed}")
        self.faults = sum(self._fault(name) for name in self.names)
        self.kills = self.runs = self.restarts = self.asked = 0
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["engine"])
        self.start("--version").join()  # everything is loaded once, before anything is timed

    def _fault(self, name: str) -> bool:
        """Let something befall three shots of ten, at the door, under way or both."""
        if self.chance.random() > 0.3:
            return False
        kinds = self.chance.choice(("door", "way", "both"))
        if kinds != "way":
            self.strict.script(f"Take {name} of", self.chance.choice(AT_THE_DOOR))
        if kinds != "door":
            self.strict.living(f"Take {name} of", self.chance.choice(UNDER_WAY))
        return True

    # --- running ------------------------------------------------------------------------------

    def start(self, *argv: str) -> ForkServerProcess:
        """Start the command in a process of its own."""
        from engine import run

        environment = {
            "RUNWAYML_API_SECRET": "test", "SECONDUNIT_RUNWAY_BASE_URL": self.relay.url,
            "HOME": str(self.folder),
        }  # fmt: skip
        process = self._context.Process(
            target=run, args=(list(argv), environment, self.folder / "said")
        )
        process.start()
        return process

    def shoot(self, within: float | None = None) -> bool:
        """Run once, and kill the run after a while; say whether it ended by itself."""
        self.runs += 1
        began = time.monotonic()
        (self.folder / "left.json").unlink(missing_ok=True)
        options = ("--gateway", "runway", "--yes", "--budget", "1000000")
        process = self.start("shoot", str(self.file), *options)
        process.join(within)
        ended = not process.is_alive()
        if not ended:
            self.kills += 1
            process.kill()
        process.join()
        print(f"run {time.monotonic() - began:.1f} s {ended=} {self.left()['left']} {len(self.strict.requests)} {time.process_time():.1f}")
        self._settled_down()
        assert "Traceback" not in (self.folder / "said").read_text()
        return ended

    def _settled_down(self) -> None:
        """Wait until nothing that was sent before a kill is still on its way to the books."""
        time.sleep(0.05)
        while self.strict.posting:
            time.sleep(0.01)

    def restart(self) -> None:
        """Let the gateway be gone for a moment, in which every connection ends."""
        self.restarts += 1
        self.relay.cut()
        time.sleep(self.chance.uniform(0.05, 0.3))
        self.relay.mend()

    def decide(self) -> None:
        """Decide each doubt as a person does who can see the gateway's own page."""
        orders = self.orders()
        known = {o["ticket"] for o in orders}
        for order in (o for o in orders if o["state"] == "doubt"):
            found = [t for t in self.taken(order["shot"]) if t not in known]
            decision = ("--attach", found[0]) if found else ("--resubmit",)
            process = self.start("settle", str(self.file), order["shot"], *decision)
            process.join()
            assert process.exitcode == 0, (self.folder / "said").read_text()[-500:]
            self.asked += 1

    # --- what is there ------------------------------------------------------------------------

    def taken(self, shot: str) -> list[str]:
        """Return the tickets that the gateway gave for a shot."""
        tickets = list(self.strict.tickets.values())
        return [t.id for t in tickets if f"Take {shot} of" in t.body["promptText"]]

    def orders(self) -> list[dict[str, Any]]:
        """Read the ledger from a copy, so that reading repairs nothing."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in (self.folder / ".secondunit").glob("ledger.sqlite*"):
            shutil.copy(path, copy)
        db = sqlite3.connect(copy / "ledger.sqlite")
        db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in db.execute("SELECT *, cost FROM orders ORDER BY id")]
        finally:
            db.close()

    def left(self) -> dict[str, Any]:
        """Return what the run that ended said of itself."""
        path = self.folder / "left.json"
        return json.loads(path.read_text()) if path.exists() else {"left": -1, "failures": ["?"]}

    def check(self) -> None:
        """Hold the ledger and the store against the books of the gateway."""
        orders = self.orders()
        assert {o["ticket"] for o in orders} - {None} == set(self.strict.tickets)
        good = [t for t in self.strict.tickets.values() if t.life.states[-1] == "SUCCEEDED"]
        takes = Counter(t.body["promptText"] for t in good)
        assert len(takes) == len(self.names)
        assert max(takes.values()) == 1
        assert self.strict.charged == PRICE * len(self.names)
        told = [o for o in orders if o["state"] == "replaced" and o["ticket"] is None]
        assert sum(o["cost"] for o in orders) == self.strict.charged + PRICE * len(told)
        assert len(told) <= self.asked
        assert {o["state"] for o in orders} <= {"kept", "failed", "unsent", "rejected", "replaced"}
        assert self.strict.deleted == []

    def check_store(self, whole: str) -> None:
        """See that each take is there under its final name, and is what was handed out."""
        store = self.folder / ".secondunit" / "store"
        clips = [p for p in store.rglob("*.mp4") if "bad" not in p.relative_to(store).parts]
        assert len(clips) == len(self.names)
        assert {hashlib.sha256(p.read_bytes()).hexdigest() for p in clips} == {whole}


@contextmanager
def soaking(folder: Path, clip: bytes, shots: int, seed: int) -> Iterator[Soak]:
    """Have everything ready for the length of a block."""
    with listening(lambda *_: clip) as strict, relaying(strict.url) as relay:
        strict.account["creditBalance"] = 10**6
        strict.account["tier"]["models"] = {"gen4.5": {"maxConcurrentGenerations": 20}}
        yield Soak(folder, strict, relay, shots, seed)
        strict.problems[:] = [p for p in strict.problems if not HALF.search(p)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    make: Callable[..., bytes] = reel(tmp_path_factory.mktemp("reel"))
    return make("clip", (64, 36), 0.25)


LONG = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.covers("A14", "C12", "D4", "H6")
@pytest.mark.parametrize(
    ("shots", "kills", "restarts"),
    [
        pytest.param(40, 3, 2, id="40 shots"),
        pytest.param(500, 25, 10, id="500 shots", marks=LONG),
    ],
)
def test_every_shot_arrives_and_costs_once(
    tmp_path: Path, clip: bytes, shots: int, kills: int, restarts: int
) -> None:
    """Faults in three shots of ten, SIGKILL at any moment, a gateway that comes and goes."""
    with soaking(tmp_path, clip, shots, seed=shots) as soak:
        while soak.kills < kills:
            again = soak.restarts < restarts and soak.chance.random() < 0.5
            trouble = threading.Timer(soak.chance.uniform(0.2, 1.0), soak.restart)
            if again:
                trouble.start()
            if soak.shoot(soak.chance.uniform(0.3, 1.5)):
                soak.decide()
            if again:
                trouble.join()
        for _ in range(30):
            soak.shoot()
            soak.decide()
            if soak.left()["left"] == 0:
                break
        print(vars(soak) | {"names": len(soak.names)})
        assert soak.left() | {"virtual": 0} == {"left": 0, "failures": [], "virtual": 0}
        assert soak.faults >= 0.2 * shots
        soak.check()
        soak.check_store(hashlib.sha256(clip).hexdigest())
