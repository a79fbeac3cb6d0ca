"""What running a film costs beside plain asyncio: start-up, makespan, a thousand shots.

Run with `pytest -n 0 -m bench tests/bench/bench_flow.py -s`. The gateway is the strict stand-in of
the tests, whose tickets end after so many questions or seconds. The floor is plain asyncio with the
same rendering: it checks every clip, makes the stills that are shown, and joins the film.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from programs import BIN  # they lie a folder above, beside the tests
from reel import reel
from strict import Life, Strict, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

SHOTS = int(os.environ.get("BENCH_SHOTS", "1000"))
AT_ONCE, TAKES, SECONDS = 5, 60, 10.0
HEAD = "gateway: runway\ndefaults: {duration: 2, ratio: '16:9', seed: 7}\nshots:\n"
FLOOR = """
import asyncio, sys
from fractions import Fraction
from pathlib import Path
import httpx
sys.path.append(sys.argv[4])
from cutting import Silent, planned
from secondunit import media
from secondunit.cut import Profile
from secondunit.cut.edit import PLAIN
from secondunit.cuttingroom import CuttingRoom
from secondunit.media import thumbnails
from secondunit.splice.chapters import UNTOLD
from secondunit.splice.mix import Source
from secondunit.store import digest
from secondunit.workers import Workers
url, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
sent = {"Authorization": "Bearer test", "X-Runway-Version": "2024-11-06"}
plan = planned([(f"s{n}-", PLAIN) for n in range(count)], Profile(1280, 720, Fraction(24)))
def rendered(clip, number):
    facts, _ = media.verify(clip)
    if number < 400:
        thumbnails.of_clip(clip, 480)
    return Source(clip, facts, digest(clip))
async def shot(client, files, number, lane, room):
    body = {"model": "gen4.5", "promptText": f"Door number {number} opens.", "ratio": "1280:720",
            "duration": 2, "seed": 7}
    async with lane:
        ticket = (await client.post("/v1/text_to_video", json=body)).json()["id"]
    while not (output := (await client.get(f"/v1/tasks/{ticket}")).json().get("output")):
        await asyncio.sleep(0.5)
    clip = folder / f"{number}.mp4"
    clip.write_bytes((await files.get(output[0])).content)
    source = await asyncio.to_thread(rendered, clip, number)
    assert not await room.prepare(plan.cut[number], source)
async def main(workers):
    room = CuttingRoom(plan, folder / "conformed", workers, Silent())
    api = httpx.AsyncClient(base_url=url, headers=sent, timeout=60)
    async with api as client, httpx.AsyncClient(timeout=60) as files:
        lane = asyncio.Lock()
        await asyncio.gather(*(shot(client, files, n, lane, room) for n in range(count)))
    await room.join(folder / "film.mp4", UNTOLD)
if __name__ == "__main__":
    workers = Workers()
    asyncio.run(main(workers))
    workers.close()
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    make = reel(tmp_path_factory.mktemp("reel"))
    make("clip", (1280, 720), 2.0)  # once, before many ask for it at the same moment
    return make


@pytest.fixture
def strict(clips: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(clips) as strict:
        strict.account["creditBalance"] = 10**6
        yield strict


def doors(folder: Path, count: int) -> Path:
    path = folder / "doors.yaml"
    path.write_text(HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(count)))
    return path


def spent(command: list[object], env: dict[str, str]) -> tuple[float, float, float]:
    """Run a program; return its seconds, its processor seconds and its largest memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    most = 0.0
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [str(word) for word in command], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
        while process.poll() is None:
            most = max(most, _memory(process.pid))
            time.sleep(0.2)
        out.seek(0)
        assert process.returncode == 0, out.read()[-2000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return time.monotonic() - began, used, most


def _memory(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def paid(environment: dict[str, str], strict: Strict, api: str | None) -> dict[str, str]:
    more = {"RUNWAYML_API_SECRET": "test", "SECONDUNIT_RUNWAY_BASE_URL": strict.url}
    return environment | more | ({"PREFECT_API_URL": api} if api else {})


def shoot(path: Path) -> list[object]:
    return [BIN / "secondunit", "shoot", path, "--yes", "--budget", 10**6]


def floor(folder: Path, strict: Strict, count: int) -> list[object]:
    program = folder / "floor.py"
    program.write_text(FLOOR)
    return [sys.executable, program, strict.url, count, folder, Path(__file__).parents[1]]


def test_start_up(
    tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str
) -> None:
    """One shot whose ticket ends at once: with a temporary server, with one that runs, and bare."""
    strict.lives["Door"] = [Life(states=("SUCCEEDED",)) for _ in range(99)]
    took: dict[str, list[float]] = {"temporary": [], "running": [], "bare": []}
    for number in range(3):
        for name, api in (("temporary", None), ("running", prefect_api)):
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            took[name].append(spent(shoot(doors(folder, 1)), paid(environment, strict, api))[0])
        took["bare"].append(spent(floor(tmp_path, strict, 1), environment)[0])
    middle = {name: sorted(times)[1] for name, times in took.items()}
    print(
        f"\none shot: temporary server {middle['temporary']:.1f} s, running server"
        f" {middle['running']:.1f} s, plain asyncio {middle['bare']:.1f} s"
    )
    assert middle["running"] < middle["temporary"]


def test_makespan(
    tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str
) -> None:
    """Sixty tickets of ten seconds, five at once: the first order to the last clip kept."""
    strict.account["tier"]["models"] = {"gen4.5": {"maxConcurrentGenerations": AT_ONCE}}
    strict.rolls = SECONDS
    path = doors(tmp_path, TAKES)
    spent(shoot(path), paid(environment, strict, prefect_api))
    with sqlite3.connect(tmp_path / ".secondunit" / "ledger.sqlite") as db:
        first, last = db.execute("SELECT min(at), max(at) FROM history").fetchone()
    span = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    optimum = TAKES / AT_ONCE * SECONDS
    print(f"\nmakespan {span:.1f} s, list scheduling {optimum:.0f} s: {span / optimum:.3f}×")
    assert strict.at_once["gen4.5"] == AT_ONCE
    assert span / optimum < 1.25


def test_a_thousand_shots(
    tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str
) -> None:
    """Memory, processor time and database for each shot, beyond plain asyncio with the same work."""
    folder = tmp_path / "floor"
    folder.mkdir()
    bare = spent(floor(folder, strict, SHOTS), environment)
    ours = spent(shoot(doors(tmp_path, SHOTS)), paid(environment, strict, prefect_api))
    size = (tmp_path / ".secondunit" / "ledger.sqlite").stat().st_size / SHOTS / 1024
    beyond = (ours[1] - bare[1]) / SHOTS * 1000
    print(
        f"\n{SHOTS} shots: {ours[0]:.0f} s against {bare[0]:.0f} s, {ours[2]:.0f} MB against"
        f" {bare[2]:.0f} MB, {beyond:.0f} ms of processor a shot beyond it, ledger {size:.1f} kB a shot"
    )
    assert ours[2] < 350
    assert beyond < 30
