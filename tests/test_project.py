"""The project's folder as several runs, several machines and several disks meet in it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from footage import small_disk
from programs import BIN
from test_shoot_command import at, footage, strict  # noqa: F401  fixtures

from secondunit.crew import Project
from secondunit.errors import Locked, SecondUnitError
from secondunit.ledger import Allowance, Intent, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from strict import Strict
    from test_shoot_command import Set

SPAWN = multiprocessing.get_context("spawn")


def order(path: Path, key: str, start: Any, granted: Any) -> None:
    """Try to write down an order of `key`, together with others who try the same."""
    ledger = Ledger(path)
    start.wait(60)
    try:
        ledger.intend(
            Intent(
                key, "film", str(os.getpid()), "shot", "runway", "text_to_video", "gen4.5", {}, 5
            ),
            Allowance(),
        )
        granted.put(key)
    except SecondUnitError:
        granted.put(None)
    ledger.close()


def hold(folder: Path, start: Any, held: Any, done: Any) -> None:
    """Try to hold the project, together with others who try the same."""
    start.wait(60)
    try:
        with Project(folder).held():
            held.put("held")
            done.wait(60)
    except Locked:
        held.put("locked")


@pytest.mark.covers("F1")
def test_of_many_that_start_at_once_one_holds_the_project(tmp_path: Path) -> None:
    start, done, held = SPAWN.Barrier(6), SPAWN.Event(), SPAWN.Queue()
    runs = [SPAWN.Process(target=hold, args=(tmp_path, start, held, done)) for _ in range(6)]
    for run in runs:
        run.start()
    said = [held.get(timeout=60) for _ in runs]
    done.set()
    for run in runs:
        run.join(60)
    assert sorted(said) == ["held"] + ["locked"] * 5


@pytest.mark.covers("F2", "F6")
def test_what_several_want_to_order_is_ordered_once(tmp_path: Path) -> None:
    """Shot lists that share a project, or one step that runs twice: the ledger grants it to one."""
    path = tmp_path / "ledger.sqlite"
    start, granted = SPAWN.Barrier(4), SPAWN.Queue()
    runs = [SPAWN.Process(target=order, args=(path, "same", start, granted)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    assert sorted(str(granted.get(timeout=5)) for _ in runs) == ["None"] * 3 + ["same"]


@pytest.mark.covers("F5", "A18")
def test_a_lock_dies_with_its_holder_whatever_it_started(tmp_path: Path) -> None:
    """The note in the lock may name a process that lives again; programs do not inherit the lock."""
    program = (
        "import subprocess, sys, time; from pathlib import Path; from secondunit.crew import Project\n"
        "with Project(Path(sys.argv[1])).held():\n"
        "    child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [BIN / "python", "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    left = int(holder.stdout.readline())
    try:
        with pytest.raises(Locked, match=f"Process {holder.pid} on .* is at work"), _held(tmp_path):
            pass
        holder.kill()
        holder.wait()
        (tmp_path / ".secondunit" / "lock").write_text(f"Process {os.getpid()}")
        with _held(tmp_path):
            pass
    finally:
        os.kill(left, signal.SIGKILL)
        holder.stdout.close()


def _held(folder: Path) -> Any:
    return Project(folder).held()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A disk on which nothing can be written, with a shot list on it."""
    if os.geteuid() != 0:
        pytest.skip("mounting a disk needs root")
    with small_disk(tmp_path, "4m") as disk:
        (disk / "film.yaml").write_text("gateway: runway\nshots: [A door opens.]\n")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        yield disk
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@pytest.mark.covers("E6")
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_asked(
    read_only: Path,
    strict: Strict,  # noqa: F811  the fixture
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        [BIN / "secondunit", "shoot", read_only / "film.yaml", "--yes", "--budget", "$5"],
        env={**environment, "RUNWAYML_API_SECRET": "t", "SECONDUNIT_RUNWAY_BASE_URL": strict.url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (74, "")
    assert "the disk is read-only; choose another folder" in done.stderr
    assert strict.requests == []


@pytest.mark.covers("G1")
def test_a_run_keeps_to_the_shot_list_it_has_read(at: Set, strict: Strict) -> None:  # noqa: F811  the fixtures
    run = at.start()
    at.until(run, lambda: strict.tickets)
    before = at.file.read_text()
    first = next(iter(strict.taken))
    at.file.write_text(before.replace(first[:20], "Something else", 1) + "notes: changed\n")
    code, _ = at.ended(run)
    assert code == 0
    made = len(strict.orders)
    assert first in [shot["prompt"] for shot in at.manifest["shots"]]
    at.file.write_text(before)
    assert at.shoot()[0] == 0
    assert len(strict.orders) == made


@pytest.mark.covers("E12")
def test_a_clock_that_jumps_changes_no_order_of_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders are told in the order of their writing; waits use a clock that only runs forward."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for number, now in enumerate(["2026-03-29T03:00", "2026-03-28T01:00", "2036-01-01T00:00"]):
        monkeypatch.setattr("secondunit.ledger._now", lambda now=now: now)
        intent = Intent(f"k{number}", "f", "r", "s", "runway", "e", "m", {}, 1)
        ledger.opened(ledger.intend(intent, Allowance()), f"t{number}", None)
    assert [o.ticket for o in ledger.of_film("f")] == ["t0", "t1", "t2"]
    ledger.close()
    sources = [p.read_text() for p in _sources() if p.parent.name in {"take", "gateways"}]
    assert sources
    assert not any("time.time()" in text for text in sources)


def _sources() -> list[Path]:
    import secondunit

    return list(type(BIN)(secondunit.__file__).parent.rglob("*.py"))
