"""Shot lists and their deployments: they converge, each to its own, and what is others' is let be."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from programs import BIN
from test_flow import ask

from secondunit.flow import serving
from secondunit.flow.clocks import clock
from secondunit.flow.deployments import ENTRYPOINT, FILE, OFF, OFFICE, TAG, WRONG
from secondunit.scheduling import Office
from secondunit.shotlist.office import ScheduleSpec

from prefect.client.schemas.schedules import (  # isort: skip
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
)
from prefect.settings import PREFECT_API_URL, temporary_settings  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOWS = Path(__file__).parent.parent / "flows"
SHOTS = "shots:\n  one: {prompt: A pier at night., duration: 2}\n"


class Studio:
    """A folder of shot lists, and the deployments that a server has of it."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.api = api
        self.place = Office(folder)

    def put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n" + SHOTS)

    def deploy(self, pool: str | None = None) -> dict[str, str]:
        """Converge, and return what was done to each shot list."""

        async def done() -> dict[str, str]:
            changes = await serving.surveyed(self.place, pool, "")
            await serving.applied(self.place, changes)
            return {change.file: f"{change.kind} {change.words}".strip() for change in changes}

        return asyncio.run(done())

    @property
    def standing(self) -> dict[str, dict[str, Any]]:
        found = ask(self.api, "deployments/filter", {"limit": 200})
        return {
            one["labels"][FILE]: one
            for one in found
            if one["labels"].get(OFFICE) == self.place.identity
        }


@pytest.fixture
def server(prefect_api: str) -> Iterator[str]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield prefect_api


@pytest.fixture
def studio(tmp_path: Path, server: str) -> Studio:
    return Studio(tmp_path / "specs", server)


def test_deployments_follow_the_shot_lists(studio: Studio) -> None:
    """Created, left alone, changed, called otherwise, and removed; each time only what differs."""
    studio.put("night.yaml", "title: Night\nschedule: {cron: 0 6 * * 1-5, timezone: Asia/Tokyo}")
    studio.put("teasers/night.yaml", "title: Night\nslate: N-2\nschedule: {every: 6h}")
    assert studio.deploy() == {
        "night.yaml": "create 0 6 * * 1-5 Asia/Tokyo · final · backlot · free",
        "teasers/night.yaml": "create every 6h UTC · final · backlot · free",
    }
    first = studio.standing["night.yaml"]
    assert first["name"] == "night"
    assert first["schedules"][0]["schedule"]["timezone"] == "Asia/Tokyo"
    assert first["entrypoint"] == "secondunit.flow.film"
    assert first["parameters"] == {
        "shot_list": str(studio.folder / "night.yaml"), "catch_up": "latest",
    }  # fmt: skip
    assert studio.standing["teasers/night.yaml"]["name"] == "teasers · night"
    assert set(studio.standing["teasers/night.yaml"]["tags"]) == {TAG, "backlot", "final", "N-2"}
    assert set(studio.deploy().values()) == {"same"}

    studio.put(
        "night.yaml",
        "title: Night\nschedule: {cron: 0 7 * * *, quality: draft, budget: $2, catch_up: skip}",
    )
    done = studio.deploy()
    assert done["teasers/night.yaml"] == "same"
    assert "quality: - → draft" in done["night.yaml"]
    assert "budget: - → $2" in done["night.yaml"]
    assert "catch_up: latest → skip" in done["night.yaml"]
    assert "schedule" in done["night.yaml"]
    second = studio.standing["night.yaml"]
    assert second["id"] == first["id"]
    assert second["version"] != first["version"]
    assert second["schedules"][0]["schedule"]["cron"] == "0 7 * * *"

    studio.put("night.yaml", "title: Nacht\nschedule: {cron: 0 7 * * *}")
    assert studio.deploy()["night.yaml"].startswith("retitle is called “Nacht” now")
    (studio.folder / "night.yaml").unlink()
    assert studio.deploy()["night.yaml"] == "remove “night” goes; its history stays"
    assert list(studio.standing) == ["teasers/night.yaml"]
    assert studio.deploy() == {"teasers/night.yaml": "same"}


def test_a_wrong_shot_list_rests_and_is_never_removed(studio: Studio) -> None:
    good = "title: Rest\nschedule: 0 6 * * *"
    studio.put("night.yaml", good)
    studio.put("other.yaml", "title: Other\nschedule: 0 6 * * *")
    studio.deploy()
    studio.put("night.yaml", good + "\nquallity: draft")
    assert studio.deploy() == {
        "night.yaml": "rest is paused until it is put right", "other.yaml": "same",
    }  # fmt: skip
    resting = studio.standing["night.yaml"]
    assert [one["active"] for one in resting["schedules"]] == [False]
    assert WRONG in resting["tags"]
    assert studio.deploy()["night.yaml"] == "rest rests until it is put right"
    studio.put("night.yaml", good)
    studio.deploy()
    up = studio.standing["night.yaml"]
    assert up["id"] == resting["id"]
    assert [one["active"] for one in up["schedules"]] == [True]
    assert WRONG not in up["tags"]
    assert set(studio.deploy().values()) == {"same"}


def test_what_a_person_switched_off_stays_off(studio: Studio) -> None:
    """The switch of its schedule, and that of the whole deployment; the file has a third."""
    text = "title: Switch\nschedule: {cron: 0 6 * * *%s}"
    studio.put("night.yaml", text % "")
    studio.deploy()
    one = studio.standing["night.yaml"]
    schedule = f"deployments/{one['id']}/schedules/{one['schedules'][0]['id']}"
    change(studio.api, schedule, {"active": False})
    studio.put("night.yaml", text % ", quality: draft")
    assert "switched off on its page; left so" in studio.deploy()["night.yaml"]
    assert [s["active"] for s in studio.standing["night.yaml"]["schedules"]] == [False]

    studio.put("night.yaml", text % ", paused: true")
    studio.deploy()
    assert OFF in studio.standing["night.yaml"]["tags"]
    studio.put("night.yaml", text % "")
    studio.deploy()
    assert [s["active"] for s in studio.standing["night.yaml"]["schedules"]] == [True]

    change(studio.api, f"deployments/{one['id']}", {"paused": True})
    studio.put("night.yaml", text % ", quality: draft")
    assert "paused on its page; left so" in studio.deploy()["night.yaml"]
    assert studio.standing["night.yaml"]["paused"] is True


def test_what_is_others_is_never_touched(studio: Studio, tmp_path: Path) -> None:
    """Another folder's, one of the same name, and one that somebody made by hand."""
    text = "title: Shared\nschedule: 0 6 * * *"
    other = Studio(tmp_path / "other" / "specs", studio.api)
    other.put("night.yaml", text)
    other.put("theirs.yaml", "title: Theirs\nschedule: 0 6 * * *")
    other.deploy()
    flow = ask(studio.api, "flows/", {"name": "Made by hand"})["id"]
    by_hand = {"name": "mine", "flow_id": flow, "tags": [TAG]}
    hand = ask(studio.api, "deployments/", by_hand)["id"]
    before = other.standing
    studio.put("night.yaml", text)
    said = f"“Shared/night” is of “{other.place.identity}”; left alone."
    assert said in studio.deploy()["night.yaml"]
    studio.put("mine.yaml", "title: Made by hand\nschedule: 0 6 * * *")
    said = "“Made by hand/mine” is somebody else's; left alone"
    assert studio.deploy()["mine.yaml"] == f"taken {said}"
    (studio.folder / "mine.yaml").unlink()
    (studio.folder / "night.yaml").unlink()
    assert studio.deploy() == {}
    assert other.standing == before
    assert hand in {one["id"] for one in ask(studio.api, "deployments/filter", {"limit": 200})}


def test_the_form_takes_what_the_flow_takes_and_nothing_else(studio: Studio) -> None:
    studio.put("night.yaml", "title: Form\nschedule: 0 6 * * *")
    studio.deploy()
    one = studio.standing["night.yaml"]
    fields = one["parameter_openapi_schema"]["properties"]
    assert set(fields) == {
        "shot_list", "gateway", "quality", "only", "budget", "out", "catch_up",
    }  # fmt: skip
    assert all(field["description"] for field in fields.values())
    assert fields["catch_up"]["enum"] == ["latest", "skip", "all"]
    path = f"deployments/{one['id']}/create_flow_run"
    with pytest.raises(OSError, match=r"409|422"):
        ask(studio.api, path, {"parameters": {**one["parameters"], "gateway": "elsewhere"}})


def test_the_deployment_for_runs_by_hand_names_a_flow_that_is_there() -> None:
    """`flows/prefect.yaml`, which `prefect deploy` reads."""
    from prefect.flows import load_flow_from_entrypoint

    from secondunit.document import loads
    from secondunit.flow import film

    page = loads((FLOWS / "prefect.yaml").read_text()).data["deployments"][0]
    assert page["entrypoint"] == ENTRYPOINT
    assert load_flow_from_entrypoint(page["entrypoint"]) is film


def test_late_runs_survive_a_deployment_that_changes_nothing(studio: Studio) -> None:
    """What came due while nothing was there to begin it is `catch_up`'s to decide."""
    studio.put("night.yaml", "title: Due\nschedule: 0 6 * * *")
    studio.deploy()
    one = studio.standing["night.yaml"]["id"]
    at = {"scheduled_time": "2026-01-01T06:00:00Z"}
    due = {"type": "SCHEDULED", "name": "Late", "state_details": at}
    run = ask(studio.api, f"deployments/{one}/create_flow_run", {"state": due})["id"]
    studio.deploy()
    studio.put("night.yaml", "title: Due\nschedule: {cron: 0 6 * * *, quality: draft}")
    studio.deploy()
    found = ask(studio.api, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert [r["state_name"] for r in found] == ["Late"]


# --- times ----------------------------------------------------------------------------------------


def spec(**values: Any) -> ScheduleSpec:
    return ScheduleSpec.model_validate(values)


def test_every_kind_of_schedule_means_in_prefect_what_it_says() -> None:
    assert clock(spec(cron="0 6 * * 1-5", timezone="Europe/Berlin")) == CronSchedule(
        cron="0 6 * * 1-5", timezone="Europe/Berlin"
    )
    rule = "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6"
    assert clock(spec(rrule=rule)) == RRuleSchedule(rrule=rule, timezone="UTC")
    every = clock(spec(every="1d12h", timezone="Europe/Berlin"))
    assert isinstance(every, IntervalSchedule)
    assert every.interval == timedelta(hours=36)
    assert every.anchor_date.astimezone(ZoneInfo("Europe/Berlin")).hour == 0
    assert clock(spec(every="1d12h", timezone="Europe/Berlin")) == every


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ({"every": "6h", "starts": "2026-12-01"}, ["12-01T00:00", "12-01T06:00", "12-01T12:00"]),
        (
            {"every": "2d", "starts": "2026-12-01T06:30", "timezone": "Asia/Tokyo"},
            ["11-30T21:30", "12-02T21:30", "12-04T21:30"],
        ),
        (
            {"every": "90m", "starts": "2026-12-01T06:00+02:00", "timezone": "UTC"},
            ["12-01T04:00", "12-01T05:30", "12-01T07:00"],
        ),
    ],
)
def test_nothing_runs_before_it_starts(values: dict[str, str], times: list[str]) -> None:
    from prefect.server.schemas.schedules import RRuleSchedule as Server

    kept = clock(spec(**values))
    server = Server.model_validate(kept.model_dump(mode="json"))
    found = asyncio.run(server.get_dates(3, start=datetime(2026, 11, 1, tzinfo=ZoneInfo("UTC"))))
    utc = [f"{moment.astimezone(ZoneInfo('UTC')):%m-%dT%H:%M}" for moment in found]
    assert utc == times


# --- the command ----------------------------------------------------------------------------------


def secondunit(
    environment: dict[str, str], *words: object, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "secondunit", *map(str, words)], env=environment | more, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_plan_is_told_first_and_a_wrong_shot_list_is_the_exit_code(
    studio: Studio, environment: dict[str, str]
) -> None:
    api = {"PREFECT_API_URL": studio.api}
    pool = {"name": "films", "type": "process", "base_job_template": {}}
    ask(studio.api, "work_pools/", pool)
    studio.put("night.yaml", "title: Told\nschedule: 0 6 * * *")
    studio.put("bad.yaml", "title: Bad\nschedule: 0 6 * *")
    dry = secondunit(environment, "deploy", studio.folder, "--dry-run", "--pool", "films", **api)
    assert dry.returncode == 2, dry.stderr
    assert "+ night.yaml  0 6 * * * UTC · final · backlot · free" in dry.stdout
    assert "! bad.yaml    is not scheduled until it is put right" in dry.stdout
    assert "bad.yaml:2:11: schedule" in dry.stderr
    assert "Nothing was changed." in dry.stdout
    assert studio.standing == {}

    (studio.folder / "bad.yaml").unlink()
    path = ("--path-on-workers", "/mnt/films", "--pool", "films", "--format", "json")
    done = secondunit(environment, "deploy", studio.folder, *path, **api)
    assert done.returncode == 0, done.stderr
    assert [c["change"] for c in json.loads(done.stdout)["changes"]] == ["create"]
    one = studio.standing["night.yaml"]
    assert one["work_pool_name"] == "films"
    assert one["parameters"]["shot_list"] == "/mnt/films/night.yaml"

    (studio.folder / "night.yaml").unlink()
    gone = secondunit(environment, "deploy", studio.folder, "--pool", "films", **api)
    assert gone.returncode == 2
    assert "would remove 1 deployment, and leave none" in gone.stderr
    assert list(studio.standing) == ["night.yaml"]
    agreed = secondunit(environment, "deploy", studio.folder, "--yes", "--pool", "films", **api)
    assert agreed.returncode == 0, agreed.stderr
    assert studio.standing == {}


def test_without_a_server_or_a_pool_it_says_how_to_get_one(
    studio: Studio, environment: dict[str, str]
) -> None:
    none = secondunit(environment, "serve", studio.folder)
    assert none.returncode == 2
    assert "prefect server start" in none.stderr
    dead = secondunit(
        environment, "deploy", studio.folder, PREFECT_API_URL="http://127.0.0.1:9/api"
    )
    assert dead.returncode == 2
    assert "does not answer (ConnectError)" in dead.stderr
    pool = ("--pool", "nowhere")
    missing = secondunit(environment, "deploy", studio.folder, *pool, PREFECT_API_URL=studio.api)
    assert missing.returncode == 2
    assert "There is no work pool called nowhere." in missing.stderr
    for run in (none, dead, missing):
        assert "Traceback" not in run.stderr
        assert run.stderr.endswith("Nothing was changed.\n")


def change(api: str, path: str, fields: dict[str, Any]) -> None:
    """Do what a switch on one of Prefect's pages does."""
    import urllib.request

    request = urllib.request.Request(
        f"{api}/{path}", json.dumps(fields).encode(), {"Content-Type": "application/json"},
        method="PATCH",
    )  # fmt: skip
    urllib.request.urlopen(request, timeout=60).close()
