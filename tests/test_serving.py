"""Runs that Prefect begins by itself: by the clock, cancelled, killed, put off, late, one at a time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from programs import BIN
from reel import reel
from strict import Life, Strict, listening
from test_deployments import change
from test_flow import ask
from test_shoot_command import FOR_EVER, KEY

from secondunit.crew import Project
from secondunit.flow.automations import automations
from secondunit.flow.deployments import FILE, OFFICE
from secondunit.flow.late import TAKEN_UP, WAITING
from secondunit.scheduling import Office

from prefect.client.orchestration import get_client  # isort: skip
from prefect.settings import PREFECT_API_URL, temporary_settings  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# By this cron never; the tests begin the runs, or change the clock on Prefect's page.
FREE = """title: Free
schedule: {cron: 0 0 29 2 1%s}
shots:
  one: {prompt: A pier at night., duration: 2, seed: 7}
"""
PAID = """title: The lamp
gateway: runway
budget: {cap: $5}
schedule: {cron: 0 0 29 2 1}
defaults: {duration: 2, ratio: '16:9', seed: 7}
shots:
  one: A door opens.
  two: A lamp turns.
  three: {prompt: He turns around., continues: one}
"""
PROMPTS = ["A door opens.", "A lamp turns.", "He turns around."]
PATIENCE = 150.0  # seconds; two busy cores begin a process in thirty
pytestmark = pytest.mark.timeout(600)  # several processes of Prefect's one after the other


class Stage:
    """A folder of shot lists that is served, and the runs of its deployments."""

    def __init__(self, folder: Path, environment: dict[str, str], api: str) -> None:
        self.folder = folder / "specs"
        self.folder.mkdir()
        self.environment = {**environment, "PREFECT_API_URL": api}
        self.api = api
        self.log = folder / "log"
        self.programs: list[subprocess.Popen[bytes]] = []

    def put(self, name: str, text: str) -> None:
        title = f"title: {self.folder.parent.name} "  # its own among all that the server has
        (self.folder / name).write_text(text.replace("title: ", title))

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        """Start a program of this project or of Prefect's, its output going to the log."""
        with self.log.open("ab") as log:
            program = subprocess.Popen(
                [BIN / str(words[0]), *map(str, words[1:])],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.programs.append(program)
        return program

    def serve(self, *options: str) -> subprocess.Popen[bytes]:
        program = self.start("secondunit", "serve", self.folder, *options)
        self.until(lambda: "Ctrl-C ends it" in self.said)
        return program

    def end(self, program: subprocess.Popen[bytes]) -> None:
        program.terminate()
        assert program.wait(PATIENCE) == 0, self.said
        assert "Traceback" not in self.said, self.said

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def told(self) -> str:
        """What there is to know where a test gives up: what was printed, and the runs' states."""
        runs = ask(self.api, "flow_runs/filter", {"limit": 20})
        here = [r for r in runs if str(self.folder) in str(r["parameters"])]
        lines = [
            f"{r['name']} {r['expected_start_time']} {r['state_name']} {r['state']['message']}"
            for r in here if r["state_name"] != "Scheduled"
        ]  # fmt: skip
        return "\n".join([self.said, *lines])

    def until(self, seen: Callable[[], Any], patience: float = PATIENCE) -> Any:
        deadline = time.monotonic() + patience
        while not (found := seen()):
            assert time.monotonic() < deadline, self.told
            time.sleep(0.2)
        return found

    def deployment(self, file: str) -> dict[str, Any]:
        place = Office(self.folder).identity
        found = ask(self.api, "deployments/filter", {"limit": 200})
        return next(
            one for one in found if (one["labels"].get(OFFICE), one["labels"].get(FILE)) == (place, file)
        )  # fmt: skip

    def every(self, file: str, seconds: float) -> None:
        """Set its clock on Prefect's page; the shot list's own cannot be that quick."""
        one = self.deployment(file)
        schedule = {"interval": seconds, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
        path = f"deployments/{one['id']}/schedules/{one['schedules'][0]['id']}"
        change(self.api, path, {"schedule": schedule})

    def rest(self) -> None:
        """Stop its clocks, or the server would be busy with them while the next ones wait."""
        for one in ask(self.api, "deployments/filter", {"limit": 200}):
            if one["labels"].get(OFFICE) == Office(self.folder).identity:
                change(self.api, f"deployments/{one['id']}", {"paused": True})

    def begin(self, file: str) -> str:
        path = f"deployments/{self.deployment(file)['id']}/create_flow_run"
        return str(ask(self.api, path, {"state": {"type": "SCHEDULED"}})["id"])

    def run(self, run: str) -> dict[str, Any]:
        asked = {"flow_runs": {"id": {"any_": [run]}}}
        found: list[dict[str, Any]] = ask(self.api, "flow_runs/filter", asked)
        return found[0]

    def runs(self, file: str) -> list[dict[str, Any]]:
        asked = {"deployments": {"id": {"any_": [self.deployment(file)["id"]]}}}
        found: list[dict[str, Any]] = ask(self.api, "flow_runs/filter", asked)
        return found

    def set_state(self, run: str, state: str, name: str) -> None:
        told = {"state": {"type": state, "name": name}, "force": True}
        ask(self.api, f"flow_runs/{run}/set_state", told)

    def until_state(self, run: str, *names: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.run(run)
            return found if found["state_name"] in names else None

        found: dict[str, Any] = self.until(reached)
        return found

    def retry(self, run: str) -> None:
        """Press Retry until it is made: what is left of the cancellation may strike the first one."""
        for _ in range(3):
            self.set_state(run, "SCHEDULED", "AwaitingRetry")
            if self.until_state(run, "Completed", "Cancelled")["state_name"] == "Completed":
                return
        raise AssertionError(self.told)

    def process(self) -> int:
        """Return the process that is at work on the films of this folder."""
        lock = self.folder / ".secondunit" / "lock"
        found = re.match(r"Process (\d+) on", lock.read_text() if lock.exists() else "")
        return int(found[1]) if found else 0


@pytest.fixture
def stage(tmp_path: Path, environment: dict[str, str], prefect_api: str) -> Iterator[Stage]:
    stage = Stage(tmp_path, environment, prefect_api)
    yield stage
    for program in stage.programs:
        if program.poll() is None:
            program.kill()
            program.wait()
    stage.rest()


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes], stage: Stage) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        stage.environment |= {
            "RUNWAYML_API_SECRET": KEY, "SECONDUNIT_RUNWAY_BASE_URL": strict.url,
        }  # fmt: skip
        yield strict


def rolling(strict: Strict) -> bool:
    return len(strict.tickets) == 2 and all(len(t.asked) > 1 for t in strict.tickets.values())


def let_through(strict: Strict) -> None:
    for ticket in strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))


def test_a_film_is_shot_by_the_clock_and_shot_lists_are_followed(stage: Stage) -> None:
    stage.put("free.yaml", FREE % "")
    program = stage.serve()
    stage.every("free.yaml", 20)
    done = stage.until(
        lambda: [r for r in stage.runs("free.yaml") if r["state_name"] == "Completed"],
        2 * PATIENCE,
    )
    assert done[0]["auto_scheduled"] is True
    assert " Free · 20" in done[0]["name"]
    assert {"secondunit", "backlot"} <= set(done[0]["tags"])
    assert (stage.folder / "films" / "free.mp4").exists()

    stage.put("second.yaml", FREE.replace("Free", "Second") % "")
    stage.until(lambda: "+ second.yaml" in stage.said)
    (stage.folder / "free.yaml").unlink()
    stage.until(lambda: "- free.yaml" in stage.said)
    stage.end(program)
    second = stage.deployment("second.yaml")
    assert second["paused"] is False
    assert [one["active"] for one in second["schedules"]] == [True]


@pytest.mark.covers("H7", "B2")
def test_a_cancelled_run_names_its_tickets_and_a_retry_picks_them_up(
    stage: Stage, strict: Strict
) -> None:
    stage.put("lamp.yaml", PAID)
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    program = stage.serve()
    run = stage.begin("lamp.yaml")
    stage.until(lambda: rolling(strict))
    stage.set_state(run, "CANCELLING", "Cancelling")
    state = stage.until_state(run, "Cancelled")["state"]
    assert "On order, going on and billed: " in state["message"]
    assert "one" in state["message"]
    assert "two" in state["message"]
    stage.until(lambda: stage.process() == 0)
    assert strict.deleted == []

    let_through(strict)
    stage.retry(run)
    assert sorted(strict.taken) == PROMPTS
    assert strict.deleted == []
    stage.end(program)


@pytest.mark.covers("A17", "H3")
def test_a_killed_run_is_taken_up_again(stage: Stage, strict: Strict) -> None:
    """Its process is gone: it has Crashed, and begins again by itself, with its tickets."""
    stage.put("lamp.yaml", PAID)
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    program = stage.serve()
    run = stage.begin("lamp.yaml")
    stage.until(lambda: rolling(strict))
    os.kill(stage.process(), signal.SIGKILL)
    let_through(strict)
    stage.until_state(run, "Completed")
    states = _states(stage, run)
    assert states.index("Crashed") < states.index(TAKEN_UP) < states.index("Completed")
    assert sorted(strict.taken) == PROMPTS
    stage.end(program)


@pytest.mark.long
def test_one_that_is_killed_again_and_again_waits_for_a_person(stage: Stage) -> None:
    stage.put("free.yaml", FREE % "")
    program = stage.serve()
    with Project(stage.folder).held():  # so that it never gets to shoot
        run = stage.begin("free.yaml")
        stage.until_state(run, WAITING)
    stage.until_state(run, "Completed")
    for _ in range(4):
        stage.set_state(run, "SCHEDULED", TAKEN_UP)
        stage.until_state(run, "Completed", "Cached", "Failed")
    assert "Killed 4 times over" in stage.run(run)["state"]["message"]
    stage.set_state(run, "SCHEDULED", "AwaitingRetry")
    stage.until_state(run, "Cached")
    stage.end(program)


@pytest.mark.covers("F6")
def test_a_run_waits_for_the_project_without_a_process(stage: Stage) -> None:
    """A terminal, or the film beside it, is at work in the folder."""
    stage.put("free.yaml", FREE % "")
    program = stage.serve("--limit", "1")
    with Project(stage.folder).held():
        run = stage.begin("free.yaml")
        state = stage.until_state(run, WAITING)["state"]
        assert f"Process {os.getpid()} on" in state["message"]
        stage.until(lambda: WAITING in stage.said)  # its process has ended, and its place is free
    stage.until_state(run, "Completed")
    stage.end(program)


@pytest.mark.long
@pytest.mark.covers("H3")
def test_stopping_the_service_puts_its_runs_off(stage: Stage, strict: Strict) -> None:
    stage.put("lamp.yaml", PAID)
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    program = stage.serve()
    run = stage.begin("lamp.yaml")
    stage.until(lambda: rolling(strict))
    stage.end(program)
    assert stage.run(run)["state_type"] == "SCHEDULED"
    assert strict.deleted == []
    let_through(strict)
    stage.log.unlink()
    program = stage.serve()
    stage.until_state(run, "Completed")
    assert sorted(strict.taken) == PROMPTS
    stage.end(program)


@pytest.mark.long
@pytest.mark.covers("A17")
def test_a_run_outlives_the_service_that_began_it(stage: Stage, strict: Strict) -> None:
    stage.put("lamp.yaml", PAID)
    strict.living("A lamp", FOR_EVER)
    program = stage.serve()
    run = stage.begin("lamp.yaml")
    stage.until(lambda: len(strict.tickets) >= 2)
    program.kill()
    program.wait()
    let_through(strict)
    stage.until_state(run, "Completed")
    assert sorted(strict.taken) == PROMPTS


@pytest.mark.long
@pytest.mark.parametrize("catch_up", ["latest", "skip"])
def test_of_runs_that_are_late_the_latest_is_shot(stage: Stage, catch_up: str) -> None:
    """Nothing was there to begin them; here for some seconds, which is not too late for `skip`."""
    stage.put("free.yaml", FREE % f", catch_up: {catch_up}")
    stage.end(stage.serve())
    stage.every("free.yaml", 12)
    pause = time.monotonic() + 45
    # Prefect's scheduler looks at the clocks once a minute, and on busy cores later
    stage.until(lambda: time.monotonic() > pause and len(_due(stage)) >= 3, 2 * PATIENCE)
    one = stage.deployment("free.yaml")
    path = f"deployments/{one['id']}/schedules/{one['schedules'][0]['id']}"
    change(stage.api, path, {"active": False})
    due = sorted(r["expected_start_time"] for r in stage.runs("free.yaml"))
    stage.log.unlink()
    program = stage.serve()
    stage.until(lambda: all(r["state_type"] == "COMPLETED" for r in stage.runs("free.yaml")))
    ended = {r["expected_start_time"]: r["state_name"] for r in stage.runs("free.yaml")}
    assert [ended[moment] for moment in due] == ["Skipped"] * (len(due) - 1) + ["Completed"]
    stage.end(program)


def _due(stage: Stage) -> list[dict[str, Any]]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return [r for r in stage.runs("free.yaml") if r["expected_start_time"] < now]


def _states(stage: Stage, run: str) -> list[str]:
    async def asked() -> list[str]:
        async with get_client() as client:
            from uuid import UUID

            states = await client.read_flow_run_states(UUID(run))
        return [s.name or "" for s in sorted(states, key=lambda s: s.timestamp)]

    with temporary_settings({PREFECT_API_URL: stage.api}):
        return asyncio.run(asked())


@pytest.mark.long
def test_a_worker_shoots_by_the_clock_too(stage: Stage, strict: Strict) -> None:
    """And a run that is cancelled there detaches: nothing is deleted, and a retry goes on."""
    pool = f"pool-{os.getpid()}"
    subprocess.run(
        [BIN / "prefect", "work-pool", "create", pool, "--type", "process"],
        env=stage.environment, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    stage.put("free.yaml", FREE % "")
    stage.put("lamp.yaml", PAID)
    deploy = stage.start("secondunit", "deploy", stage.folder, "--pool", pool)
    assert deploy.wait(PATIENCE) == 0, stage.said
    stage.environment["PREFECT_WORKER_QUERY_SECONDS"] = "3"
    worker = stage.start("prefect", "worker", "start", "--pool", pool)
    stage.every("free.yaml", 30)
    done = stage.until(
        lambda: [r for r in stage.runs("free.yaml") if r["state_name"] == "Completed"],
        2 * PATIENCE,
    )
    assert done[0]["auto_scheduled"] is True
    change(stage.api, f"deployments/{stage.deployment('free.yaml')['id']}", {"paused": True})

    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    run = stage.begin("lamp.yaml")
    stage.until(lambda: rolling(strict))
    stage.set_state(run, "CANCELLING", "Cancelling")
    stage.until_state(run, "Cancelled")
    stage.until(lambda: stage.process() == 0)
    let_through(strict)
    stage.retry(run)
    assert sorted(strict.taken) == PROMPTS
    assert strict.deleted == []
    worker.terminate()
    worker.wait(PATIENCE)


@pytest.mark.long
def test_a_run_that_falls_silent_is_closed_and_taken_up_again(stage: Stage, strict: Strict) -> None:
    """Machine and service are gone at once, and nobody is left to say so."""
    stage.put("lamp.yaml", PAID)
    strict.living("A lamp", FOR_EVER)
    stage.environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] = "30"
    silent, _ = automations(timedelta(seconds=40))
    sooner = silent.model_copy(update={"name": f"{silent.name}, sooner"})

    async def create() -> None:
        async with get_client() as client:
            await client.create_automation(sooner)

    with temporary_settings({PREFECT_API_URL: stage.api}):
        asyncio.run(create())
    program = stage.serve()
    run = stage.begin("lamp.yaml")
    stage.until(lambda: len(strict.tickets) >= 2 and stage.process())
    program.kill()
    program.wait()
    os.kill(stage.process(), signal.SIGKILL)
    assert stage.run(run)["state_name"] == "Running"
    stage.until_state(run, TAKEN_UP, "Late")
    assert "Crashed" in _states(stage, run)
    let_through(strict)
    stage.log.unlink()
    program = stage.serve()
    stage.until_state(run, "Completed")
    assert sorted(strict.taken) == PROMPTS
    stage.end(program)


@pytest.mark.long
def test_a_run_that_was_claimed_and_never_begun_is_closed(prefect_api: str) -> None:
    """Its worker died in between; it is marked, and a person may retry it."""
    silent, _ = automations(timedelta(seconds=12))
    sooner = silent.model_copy(update={"name": f"{silent.name}, claimed"})

    async def claim() -> str:
        async with get_client() as client:
            made = await client.create_automation(sooner)
            flow_id = await client.create_flow_from_name("claimed")
            page = {"flow_id": str(flow_id), "tags": ["secondunit"], "state": {"type": "PENDING"}}
            run = (await client.request("POST", "/flow_runs/", json=page)).json()["id"]
            for _ in range(120):
                state = (await client.read_flow_run(run)).state
                if state and state.is_crashed():
                    break
                await asyncio.sleep(0.5)
            await client.delete_automation(made)
            return state.message or "" if state else ""

    with temporary_settings({PREFECT_API_URL: prefect_api}):
        assert "It fell silent" in asyncio.run(claim())
