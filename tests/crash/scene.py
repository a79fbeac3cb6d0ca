"""A film of three shots to be killed, the process that runs it, and the oracle that knows the bill.

Two oracles know what was charged: the strict stand-in, and the backlot in a process of its own.
Neither shares a line with the ledger, against which they are held.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av
import httpx
from PIL import Image
from strict import Strict, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
KILL = (signal.SIGKILL,)
TAKES = 4  # the still of `two`, and three clips
FILM = """defaults: {duration: 2, ratio: '16:9', seed: 7, trim: {out: 0.1}}
shots:
  one: {prompt: A door opens., first_frame: large.png}
  two: {prompt: A lamp turns., reference: small.png}
  three: {prompt: He turns around., continues: one}
"""
HALF = re.compile(r"JSONDecodeError|upload fields \[")
COMMAND = ("--gateway", "runway", "--yes", "--budget", "$50")


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
        return {_hash(p) for p in self._home.rglob("*") if p.suffix in {".mp4", ".png"}}

    def forget(self) -> None:
        self._before = len(self._books()["tasks"])


# --- the process that runs -----------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: a signal), what it said, how long it took."""

    code: int
    said: str
    seconds: float


class Runner:
    """A process that has loaded everything and forks for each run; see `runner`."""

    def __init__(self, home: Path, **environment: str) -> None:
        kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR", "PYTHONPATH"}}
        self._process = subprocess.Popen(
            [sys.executable, HERE / "runner.py"], env={**kept, "HOME": str(home), **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.names: set[str] = set(self._answer()["names"])

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=20)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the runner is gone"
        return dict(json.loads(line))

    def start(self, **order: Any) -> int:
        """Fork a run and return its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._answer()["pid"])

    def wait(self) -> tuple[int, float]:
        """Wait for the run: its exit code and how long it took."""
        answer = self._answer()
        return answer["code"], answer["seconds"]


# --- the film ------------------------------------------------------------------------------------


class Scene:
    """The project of the film, before an oracle."""

    def __init__(self, folder: Path, runner: Runner, oracle: Oracle) -> None:
        self.folder = folder
        self.runner = runner
        self.oracle = oracle
        self.file = folder / "film.yaml"
        self.options: dict[str, Any] = {}
        if not self.file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            self.file.write_text(FILM)
            slope = Image.linear_gradient("L")
            slope.resize((1280, 1080)).convert("RGB").save(folder / "large.png", compress_level=0)
            slope.resize((640, 640)).convert("RGB").save(folder / "small.png")

    def wipe(self) -> None:
        """Begin as on the first day."""
        for name in (".secondunit", "films"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.oracle.forget()

    def order(self, *argv: str, **more: Any) -> dict[str, Any]:
        """Describe a run of the command to the runner.

        `stop` and `signals`: where it signals itself; `trail`: a file for the points it reaches;
        `gate`: a file it reads before it begins; `ignored`: signals; `unheard`: nobody reads what
        it prints; `prefect`: make the film by a flow.
        """
        env = {"RUNWAYML_API_SECRET": "test", "SECONDUNIT_RUNWAY_BASE_URL": self.oracle.url}
        return {
            "argv": argv, "env": env, "plan": str(self.file), "cwd": str(self.folder),
            "out": str(self.folder / "said"), **self.options, **more,
        }  # fmt: skip

    def start(self, **more: Any) -> int:
        """Start `shoot` and return its process."""
        return self.runner.start(**self.order("shoot", str(self.file), *COMMAND, **more))

    def wait(self) -> Ended:
        """Wait for what was started."""
        code, seconds = self.runner.wait()
        said = (self.folder / "said").read_text()
        assert "Traceback" not in said, said
        return Ended(code, said, seconds)

    def shoot(self, stop: str = "", signals: Sequence[int] = KILL, **more: Any) -> Ended:
        """Run `shoot`; at the point `stop` it sends itself `signals`."""
        self.start(stop=stop, signals=list(signals), **more)
        return self.wait()

    def settle(self, shot: str, *decision: str) -> None:
        """Decide an order, as a person does."""
        self.runner.start(**self.order("settle", str(self.file), shot, *decision))
        done = self.wait()
        assert done.code == 0, done

    def points(self) -> list[str]:
        """Run once without harm and return every point that was reached, in order."""
        self.wipe()
        trail = self.folder / "trail"
        trail.unlink(missing_ok=True)
        done = self.shoot(trail=str(trail))
        assert done.code == 0, done
        self.check_film()
        return trail.read_text().split("\n")[:-1]

    # --- what is there

    @property
    def film(self) -> Path:
        """Where the film lies."""
        return self.folder / "films" / "film.mp4"

    def orders(self) -> list[dict[str, Any]]:
        """Read the ledger from a copy, so that reading repairs nothing."""
        work, copy = self.folder / ".secondunit", self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for path in work.glob("ledger.sqlite*"):
            shutil.copy(path, copy)
        db = sqlite3.connect(copy / "ledger.sqlite")
        db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in db.execute("SELECT *, cost FROM orders ORDER BY id")]
        finally:
            db.close()

    def check_film(self) -> None:
        """See that the film is there, is what its manifest says, and plays."""
        manifest = json.loads(self.film.with_suffix(".manifest.json").read_text())
        assert manifest["film"]["sha256"] == _hash(self.film)
        assert [s["shot"] for s in manifest["shots"]] == ["one", "two", "three"]
        assert _frames(self.film) == manifest["film"]["frames"] > 0

    def check_names(self) -> None:
        """See that whatever has its final name is whole, at any moment."""
        store, good = self.folder / ".secondunit" / "store", self.oracle.outputs()
        for path in (p for p in store.rglob("*") if p.is_file() and not _is_part(p)):
            if path.name == "slate.json":
                _check_slate(path)
            elif path.stem in {"first", "last"}:
                Image.open(path).load()
            else:
                assert _hash(path) in good, f"{path} is not what was handed out"
        conformed = self.folder / ".secondunit" / "conformed"
        for path in [*conformed.glob("*.mp4"), *self.film.parent.glob("*.mp4")]:
            assert _is_part(path) or _frames(path) > 0, path


def _is_part(path: Path) -> bool:
    return path.name.startswith(".part-") or path.suffix == ".part"


def _check_slate(path: Path) -> None:
    for file in json.loads(path.read_text())["files"]:
        assert _hash(path.with_name(file["name"])) == file["sha256"], path


def _frames(path: Path) -> int:
    with av.open(str(path)) as film:
        return sum(not frame.is_corrupt for frame in film.decode(video=0))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- the bill ------------------------------------------------------------------------------------


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
        found += [f"{o['shot']} is in doubt, and was not charged" for o in self.doubts
                  if not any(c.take == _take(o) and c.ticket not in known for c in self.charged)]  # fmt: skip
        return found


def _take(order: dict[str, Any]) -> tuple[str, str]:
    return order["endpoint"], json.loads(order["request"]).get("promptText", "")


def bill(scene: Scene) -> Bill:
    """Return the oracle's charges beside the ledger's orders, as they stand now."""
    assert scene.oracle.deleted() == 0
    return Bill(scene.oracle.charged(), scene.orders())
