"""Hundreds of shots through faults, kills and restarts: all arrive, and the bill is what they cost."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
import shutil
import sqlite3
import struct
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from programs import BIN
from reel import reel
from relay import Relay, relaying
from strict import DROP, RESET, Life, Reply, Strict, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkServerProcess

HERE = Path(__file__).parent
PRICE = 24  # credits, of two seconds of gen4.5
OPTIONS = ("--gateway", "runway", "--yes", "--budget", "1000000")
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
        self.environment = {
            "RUNWAYML_API_SECRET": "test", "SECONDUNIT_RUNWAY_BASE_URL": relay.url,
            "HOME": str(folder),
        }  # fmt: skip
        for name in self.chance.sample(self.names, round(0.3 * shots)):
            self._fault(name)
        self.handed_out: set[bytes] = set()
        self.kills = self.runs = self.restarts = self.asked = 0
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["engine"])
        with pytest.MonkeyPatch.context() as patch:
            # Python 3.11 does not give its path to the process that forks
            patch.setenv("PYTHONPATH", str(HERE))
            self.start("--version").join()

    def _fault(self, name: str) -> None:
        """Let something befall a shot at the door, under way or both."""
        kinds = self.chance.choice(("door", "way", "both"))
        if kinds != "way":
            self.strict.script(f"Take {name} of", self.chance.choice(AT_THE_DOOR))
        if kinds != "door":
            self.strict.living(f"Take {name} of", self.chance.choice(UNDER_WAY))

    # --- running ------------------------------------------------------------------------------

    def start(self, *argv: str) -> ForkServerProcess:
        """Start the command in a process of its own."""
        from engine import run

        process = self._context.Process(
            target=run, args=(list(argv), self.environment, self.folder / "said")
        )
        process.start()
        return process

    def shoot(self, requests: float = math.inf) -> bool:
        """Run once, and kill the run after so many requests; say whether it ended by itself."""
        self.runs += 1
        (self.folder / "left.json").unlink(missing_ok=True)
        process = self.start("shoot", str(self.file), *OPTIONS)
        last = len(self.strict.requests) + requests
        while process.is_alive() and len(self.strict.requests) < last:
            process.join(0.005)
        time.sleep(self.chance.uniform(0, 0.05))  # files and the ledger have their moments too
        ended = not process.is_alive()
        if not ended:
            self.kills += 1
            process.kill()
        process.join()
        self._settled_down()
        assert "Traceback" not in (self.folder / "said").read_text()
        return ended

    def _settled_down(self) -> None:
        """Wait until nothing that was sent before a kill is still on its way to the books."""
        time.sleep(0.05)
        while self.strict.posting:
            time.sleep(0.01)

    @contextmanager
    def restarting(self, times: int) -> Iterator[None]:
        """Let the gateway be gone for some moments, in which every connection ends."""

        def trouble() -> None:
            while self.restarts < times:
                time.sleep(random.uniform(0.2, 1.0))
                self.relay.cut()
                time.sleep(random.uniform(0.05, 0.3))
                self.relay.mend()
                self.restarts += 1

        thread = threading.Thread(target=trouble)
        thread.start()
        yield
        thread.join()

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

    def shoot_by_prefect(self, api: str, requests: float = math.inf) -> int:
        """Run the command as a person does, film and all; its exit code, negative where killed."""
        command = [BIN / "secondunit", "shoot", self.file, *OPTIONS]
        environment = {**os.environ, **self.environment, "PREFECT_API_URL": api}
        last = len(self.strict.requests) + requests
        with (
            (self.folder / "said").open("a") as said,
            subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            ) as process,
        ):
            while process.poll() is None and len(self.strict.requests) < last:
                time.sleep(0.01)
            process.kill() if requests < math.inf else None
            code = process.wait()
        self._settled_down()
        return code

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

    def check_store(self, whole: set[str]) -> None:
        """See that each take is there under its final name, and is what was handed out."""
        store = self.folder / ".secondunit" / "store"
        clips = [p for p in store.rglob("*.mp4") if "bad" not in p.relative_to(store).parts]
        assert len(clips) == len(self.names)
        assert {hashlib.sha256(p.read_bytes()).digest() for p in clips} <= whole


@contextmanager
def soaking(folder: Path, clip: bytes, shots: int, seed: int) -> Iterator[Soak]:
    """Have everything ready for the length of a block."""
    handed_out: set[bytes] = set()

    def footage(*_: object) -> bytes:
        """Return a clip like no other."""
        one = clip + struct.pack(">I4sI", 12, b"free", len(handed_out))
        handed_out.add(hashlib.sha256(one).digest())
        return one

    with listening(footage) as strict, relaying(strict.url) as relay:
        strict.account["creditBalance"] = 10**6
        strict.account["tier"]["models"] = {"gen4.5": {"maxConcurrentGenerations": 20}}
        soak = Soak(folder, strict, relay, shots, seed)
        soak.handed_out = handed_out
        yield soak
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
        with soak.restarting(restarts):
            while soak.kills < kills:
                if soak.shoot(soak.chance.uniform(3, 6 * shots / kills)):
                    soak.decide()
                    assert soak.left()["left"], "there is nothing left to be killed over"
            for _ in range(30):
                soak.shoot()
                soak.decide()
                if soak.left()["left"] == 0:
                    break
        assert soak.left()["failures"] == []
        assert soak.left()["left"] == 0
        soak.check()
        soak.check_store(soak.handed_out)
        print(
            f"{soak.kills} kills, {soak.restarts} restarts, {soak.asked} doubts, {soak.runs} runs"
        )


@pytest.mark.covers("H2", "H6", "C12")
@pytest.mark.parametrize(
    ("shots", "kills"),
    [
        pytest.param(60, 4, id="60 shots", marks=LONG),
    ],
)
def test_the_same_as_a_flow_of_prefect_to_the_film(
    tmp_path: Path, clip: bytes, prefect_api: str, shots: int, kills: int
) -> None:
    """The real command in real time: killed, started again, and joined to a film."""
    with soaking(tmp_path, clip, shots, seed=shots) as soak:
        for _ in range(kills):
            requests = soak.chance.uniform(shots / 5, 3 * shots / kills)
            assert soak.shoot_by_prefect(prefect_api, requests) == -9
        for _ in range(10):
            code = soak.shoot_by_prefect(prefect_api)
            assert code in {0, 1, 3}, (tmp_path / "said").read_text()[-2000:]
            if code == 0:
                break
            soak.decide()
        assert code == 0
        assert "Traceback" not in (tmp_path / "said").read_text()
        soak.check()
        soak.check_store(soak.handed_out)
        manifest = json.loads((tmp_path / "films" / "soak.manifest.json").read_text())
        assert [entry["shot"] for entry in manifest["shots"]] == soak.names
