"""A film of three shots that is to be killed, and the process that runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from oracles import sha256
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracles import Oracle

HERE = Path(__file__).parent
KILL = (signal.SIGKILL,)
TAKES = 4  # the still of `two`, and three clips
FILM = """defaults: {duration: 2, ratio: '16:9', seed: 7, trim: {out: 0.1}}
shots:
  one: {prompt: A door opens., first_frame: large.png}
  two: {prompt: A lamp turns., reference: small.png}
  three: {prompt: He turns around., continues: one}
"""
COMMAND = ("--gateway", "runway", "--yes", "--budget", "$50")


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
        kept = {
            k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "TMPDIR", "PYTHONPATH"}
        }
        self._process = subprocess.Popen(
            [sys.executable, HERE / "runner.py"], env={**kept, "HOME": str(home), **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.names: set[str] = set(self._answer()["names"])

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=60)

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
        self.deaths = 0
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
        self.deaths += code == -signal.SIGKILL
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

    @property
    def manifest(self) -> Path:
        """Where its manifest lies."""
        return self.film.with_suffix(".manifest.json")

    def points(self) -> list[str]:
        """Run once without harm and return every point that was reached, in order."""
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
        if not (work / "ledger.sqlite").exists():
            return []
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
        manifest = json.loads(self.manifest.read_text())
        assert manifest["film"]["sha256"] == sha256(self.film)
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
                assert sha256(path) in good, f"{path} is not what was handed out"
        conformed = self.folder / ".secondunit" / "conformed"
        for path in [*conformed.glob("*.mp4"), *self.film.parent.glob("*.mp4")]:
            assert _is_part(path) or _frames(path) > 0, path


def _is_part(path: Path) -> bool:
    return path.name.startswith(".part-") or path.suffix == ".part"


def _check_slate(path: Path) -> None:
    for file in json.loads(path.read_text())["files"]:
        assert sha256(path.with_name(file["name"])) == file["sha256"], path


def _frames(path: Path) -> int:
    with av.open(str(path)) as film:
        return sum(not frame.is_corrupt for frame in film.decode(video=0))
