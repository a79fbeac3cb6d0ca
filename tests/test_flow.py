"""The run as Prefect shows it: names, edges, states, artifacts, history; and the run without it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from programs import BIN

LESSONS = Path(__file__).parent.parent / "examples"


def shoot(
    environment: dict[str, str], *arguments: object, api: str | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    env = {**environment, **more, **({"PREFECT_API_URL": api} if api else {})}
    return subprocess.run(
        [BIN / "secondunit", "shoot", *map(str, arguments)],
        env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def ask(api: str, path: str, question: dict[str, Any] | None = None) -> Any:
    body = json.dumps(question or {}).encode()
    request = urllib.request.Request(
        f"{api}/{path}", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def task_runs(api: str, run: str) -> dict[str, dict[str, Any]]:
    """Ask until the server has written down how every task run ended; it does so in batches."""
    question = {"flow_runs": {"id": {"any_": [run]}}}
    for _ in range(300):
        found = ask(api, "task_runs/filter", question)
        if found and all(r["state_type"] in {"COMPLETED", "FAILED"} for r in found):
            break
        time.sleep(0.2)
    return {r["name"]: r for r in found}


def flow_run(api: str, title: str) -> dict[str, Any]:
    runs = ask(api, "flow_runs/filter", {"sort": "START_TIME_DESC"})
    return next(r for r in runs if r["name"].startswith(title))


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "chain.yaml"
    path.write_text(
        "title: Chain\nslate: CH-1\nshots:\n"
        "  One: {prompt: A pier at night., seed: 1, duration: 2}\n"
        "  Two: {continues: One, prompt: Fog rolls in., seed: 2, duration: 2, speed: 2}\n"
    )
    return path


def test_a_run_tells_its_story(environment: dict[str, str], prefect_api: str, chain: Path) -> None:
    """Names, tags, edges, states and artifacts stand in Prefect as a producer would look for them."""
    first = shoot(environment, chain, api=prefect_api)
    assert first.returncode == 0, first.stderr
    run = flow_run(prefect_api, "Chain")
    assert set(run["tags"]) == {"backlot", "final", "CH-1"}
    assert run["state_type"] == "COMPLETED"
    assert run["name"].startswith("Chain · final · 20")
    tasks = task_runs(prefect_api, run["id"])
    assert set(tasks) == {"One · gen4.5 · take 1", "Two · gen4.5 · take 1", "Two · conform", "Film"}
    assert all(not r["tags"] or set(r["tags"]) <= set(run["tags"]) for r in tasks.values())

    def needs(name: str) -> set[str]:
        given = [
            i["id"] for inputs in tasks[name]["task_inputs"].values() for i in inputs if "id" in i
        ]
        return {other for other, r in tasks.items() if r["id"] in given}

    assert needs("Two · gen4.5 · take 1") == {"One · gen4.5 · take 1"}
    assert needs("Two · conform") == {"Two · gen4.5 · take 1"}
    assert needs("Film") == {"One · gen4.5 · take 1", "Two · conform"}
    shown = ask(prefect_api, "artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert {a["key"] for a in shown} >= {
        "chain-progress", "chain-call-sheet", "chain-dailies", "chain-film",
    }  # fmt: skip
    progress = [a for a in shown if a["key"] == "chain-progress"]
    assert float(progress[-1]["data"]) == 100

    chain.write_text(chain.read_text().replace("speed: 2", "speed: 1.5"))
    again = shoot(environment, chain, api=prefect_api)
    assert again.returncode == 0, again.stderr
    tasks = task_runs(prefect_api, flow_run(prefect_api, "Chain")["id"])
    assert tasks["One · gen4.5 · take 1"]["state_name"] == "Cached"
    assert tasks["Two · gen4.5 · take 1"]["state_name"] == "Cached"


def test_a_temporary_server_keeps_its_history_and_ends(
    environment: dict[str, str], chain: Path, tmp_path: Path
) -> None:
    """With no server the run is complete in Prefect's own database, and no process is left."""
    prefect_home = tmp_path / "prefect"
    done = shoot(environment, chain, PREFECT_HOME=str(prefect_home))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    with sqlite3.connect(prefect_home / "prefect.db") as db:
        rows = dict(db.execute("SELECT name, state_type FROM task_run"))
    db.close()
    assert rows == dict.fromkeys(
        ("One · gen4.5 · take 1", "Two · gen4.5 · take 1", "Two · conform", "Film"), "COMPLETED"
    )
    assert not _processes_of(prefect_home)


@pytest.mark.covers("A17")
def test_a_killed_run_leaves_no_server_behind(
    environment: dict[str, str], chain: Path, tmp_path: Path
) -> None:
    """SIGKILL tells nobody; the temporary server and the workers end all the same."""
    prefect_home = tmp_path / "prefect"
    process = subprocess.Popen(
        [BIN / "secondunit", "shoot", chain],
        env={**environment, "PREFECT_HOME": str(prefect_home)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "rolling" in line:
            break
    assert _processes_of(prefect_home)
    process.kill()
    process.stdout.read()  # ends only when nobody holds the pipe any more
    process.wait()
    process.stdout.close()
    for _ in range(600):
        if not _processes_of(prefect_home):
            break
        time.sleep(0.1)
    assert not _processes_of(prefect_home)
    again = shoot(environment, chain, PREFECT_HOME=str(prefect_home))
    assert again.returncode == 0, again.stderr
    with sqlite3.connect(prefect_home / "prefect.db") as db:
        states = db.execute("SELECT state_type FROM flow_run ORDER BY start_time").fetchall()
    db.close()
    assert states == [("CRASHED",), ("COMPLETED",)]


@pytest.mark.covers("H1")
def test_a_server_that_does_not_answer_is_named_before_anything_is_ordered(
    environment: dict[str, str], chain: Path
) -> None:
    done = shoot(environment, chain, api="http://127.0.0.1:9/api")
    assert done.returncode == 2
    assert "http://127.0.0.1:9/api does not answer" in done.stderr
    assert "Nothing was ordered." in done.stderr


@pytest.mark.covers("H2")
def test_the_film_is_made_when_the_server_dies(
    environment: dict[str, str], chain: Path, tmp_path: Path
) -> None:
    """A lost server must not lose the film: the steps go on without it."""
    prefect_home = tmp_path / "prefect"
    process = subprocess.Popen(
        [BIN / "secondunit", "shoot", chain],
        env={**environment, "PREFECT_HOME": str(prefect_home)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "rolling" in line:
            break
    (server,) = (
        pid for pid in _processes_of(prefect_home)
        if "temporary.py" in Path(f"/proc/{pid}/cmdline").read_text()
    )  # fmt: skip
    os.kill(server, signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(120) == 0, rest
    assert "the shots go on without it" in rest
    assert "Error logging" not in rest
    assert (chain.parent / "films" / "chain.mp4").exists()


def test_schedules_make_runs(prefect_api: str) -> None:
    """Some versions below Prefect start and run flows, and never schedule one; ours must."""
    flow = ask(prefect_api, "flows/", {"name": "scheduled"})
    deployment = ask(
        prefect_api,
        "deployments/",
        {
            "name": "nightly",
            "flow_id": flow["id"],
            "schedules": [{"schedule": {"interval": 3600}, "active": True}],
        },
    )
    question = {"deployments": {"id": {"any_": [deployment["id"]]}}}
    for _ in range(120):
        if ask(prefect_api, "flow_runs/count", question):
            return
        time.sleep(0.5)
    pytest.fail("the scheduler made no run")


def _processes_of(prefect_home: Path) -> list[int]:
    """Return the processes whose environment names this Prefect home, but for the run itself."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if (
            f"PREFECT_HOME={prefect_home}".encode() in environ
            and b"secondunit\0shoot" not in command
        ):
            found.append(int(entry.name))
    return found
