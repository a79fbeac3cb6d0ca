"""What a run tells in Prefect: its states, progress, call sheet, dailies, film, and its events."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from markdown_it import MarkdownIt
from pages import plan as planned
from PIL import Image
from reel import reel
from strict import DROP, Life, listening
from test_flow import ask, flow_run, shoot, task_runs

from secondunit import media
from secondunit.crew import Project
from secondunit.errors import (
    CutError,
    InDoubt,
    Lost,
    OverBudget,
    Refused,
    SecondUnitError,
    Stopped,
    Unreachable,
)  # fmt: skip
from secondunit.flow import dailies, states
from secondunit.flow.forecast import Forecast, spoken
from secondunit.flow.stills import WIDTH, Stills
from secondunit.ledger import Ledger
from secondunit.production import Clip, Production

from prefect.client.schemas.objects import TaskRun  # isort: skip  after our settings
from prefect.context import TaskRunContext  # isort: skip
from prefect.states import Running  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTIFY = Path(__file__).parent.parent / "flows" / "automations" / "notify.py"
EVIL = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) | ## *b*"
TITLE = "Storm <b>& drang"
STORM = f"""title: {TITLE}
slate: ST-1
budget: {{cap: 200}}
defaults: {{duration: 2, ratio: '16:9', seed: 7}}
shots:
  Pier: Waves break over the pier.
  Lamp: 'The lamp turns. {EVIL}'
  Keeper: He climbs the stairs.
  Dawn: {{continues: Keeper, prompt: Dawn over the sea.}}
"""
BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock as Custom
told = {"subject": "{{subject}}", "body": "{{body}}"}
Custom(name="stage", url=sys.argv[1], json_data=told).save("stage", overwrite=True)
"""


class Story(NamedTuple):
    """A run that went badly: what it was, and what somebody was told meanwhile."""

    api: str
    run: dict[str, Any]
    file: Path
    told: list[dict[str, str]]

    def of(self, what: str, **more: Any) -> Any:
        return ask(
            self.api, f"{what}/filter", {"flow_runs": {"id": {"any_": [self.run["id"]]}}} | more
        )

    def artifact(self, page: str) -> dict[str, Any]:
        return next(a for a in self.of("artifacts") if a["key"] == f"storm-{page}")


@pytest.fixture(scope="module")
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Somebody who is told: an address on this machine, and what came there."""
    told: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", told
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], prefect_api: str,
    webhook: tuple[str, list[dict[str, str]]],
) -> Story:  # fmt: skip
    """One shot comes back while two wait for its slot; one is moderated, one in doubt."""
    address, told = webhook
    env = {**environment, "PREFECT_API_URL": prefect_api}
    for command in (["-c", BLOCK, address], [str(NOTIFY), "custom-webhook/stage"]):
        subprocess.run([sys.executable, *command], env=env, check=True, timeout=120)
    folder = tmp_path_factory.mktemp("storm")
    file = folder / "storm.yaml"
    file.write_text(STORM)
    with listening(reel(folder)) as strict:
        strict.account["tier"]["models"] = {
            "gen4.5": {"maxConcurrentGenerations": 1, "maxDailyGenerations": 100}
        }
        strict.living("Waves", Life((*["RUNNING"] * 12, "SUCCEEDED")))
        strict.living("lamp turns", Life(
            ("FAILED",), failure="The text was moderated.", code="SAFETY.INPUT.TEXT", credits=24
        ))  # fmt: skip
        strict.script("climbs", DROP)
        done = shoot(
            env | {"RUNWAYML_API_SECRET": "test", "SECONDUNIT_RUNWAY_BASE_URL": strict.url},
            file, "--gateway", "runway", "--yes", "--budget", "200",
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    return Story(prefect_api, flow_run(prefect_api, "Storm"), file, told)


def labels(event: dict[str, Any]) -> dict[str, str]:
    return dict(event["resource"])


def test_states_say_what_happened_and_what_to_do(story: Story) -> None:
    ended = task_runs(story.api, story.run["id"])
    names = {name.split(" · ")[0]: run["state_name"] for name, run in ended.items()}
    assert names == {"Pier": "Completed", "Lamp": "Held: moderated", "Keeper": "In doubt: decide"}
    said = {name.split(" · ")[0]: run["state"]["message"] for name, run in ended.items()}
    assert said["Pier"] == "Here; it cost 24 credits ($0.24)."
    assert "Change its prompt" in said["Lamp"]
    assert "secondunit settle" in said["Keeper"]


def test_a_shot_that_waits_for_a_slot_or_rolls_says_so_and_its_end_stays_its_end(
    story: Story,
) -> None:
    history: dict[str, list[str]] = {}
    for name, run in task_runs(story.api, story.run["id"]).items():
        with urllib.request.urlopen(
            f"{story.api}/task_run_states/?task_run_id={run['id']}", timeout=20
        ) as answer:
            passed = sorted(json.load(answer), key=lambda s: s["timestamp"])
        history[name.split(" · ")[0]] = [state["name"] for state in passed]
    assert "Rolling" in history["Pier"]
    assert "Waiting for a slot" not in history["Pier"]
    assert any("Waiting for a slot" in passed for passed in history.values())
    assert [passed[-1] for passed in history.values()] == [
        r["state_name"] for r in task_runs(story.api, story.run["id"]).values()
    ]


def test_progress_says_how_many_shots_are_here_and_what_they_cost(story: Story) -> None:
    progress = story.artifact("progress")
    # the order in doubt counts as spent
    assert progress["description"] == ("**1 of 4 shots** · 2 did not come back · 72 of 200 credits")
    assert float(progress["data"]) == 75


def test_the_call_sheet_begins_with_its_total(story: Story) -> None:
    sheet = story.artifact("call-sheet")
    rows = json.loads(sheet["data"]) if isinstance(sheet["data"], str) else sheet["data"]
    assert rows[0] | {"why": ""} == {
        "shot": "ALL", "order": "4 orders", "model": "", "seconds": 8,
        "credits": "96 credits ($0.96)", "now": "to shoot", "why": "",
    }  # fmt: skip
    assert rows[0]["why"] == "cap 200 credits ($2.00)"
    assert [row["shot"] for row in rows[1:]] == ["Pier", "Lamp", "Keeper", "Dawn"]


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def test_the_dailies_tell_first_what_needs_a_person_and_show_every_still(story: Story) -> None:
    page = story.artifact("dailies")
    assert page["description"] == "Dailies. Spent 72 credits ($0.72) in this run."
    shown = MARKDOWN.render(page["data"])
    assert "<strong>1 of 4 shots are here</strong>" in shown
    headings = re.findall(r"<h[123]>(.*?)</h", shown)
    assert headings == [
        "Storm &lt;b&gt;&amp; drang: dailies", "Held: moderated", "In doubt: decide",
        "Not started", "Where they are",
    ]  # fmt: skip
    rows = [re.findall(r"<td.*?>(.*?)</td>", row) for row in shown.split("<tr>")[2:]]
    assert [(r[0], *r[3:]) for r in rows] == [
        ("Pier", "here", "7", "24", "1"),
        ("Lamp", "Held: moderated", "7", "24", "1"),
        ("Keeper", "In doubt: decide", "7", "24", "1"),
        ("Dawn", "Not started", "7", "–", "–"),
    ]
    assert ["data:image/webp;base64," in row[1] for row in rows] == [True, False, False, False]
    (path,) = re.findall(r"Pier  (/\S+)", page["data"])
    assert Path(path).is_file()


def test_nothing_that_a_prompt_says_becomes_markup(story: Story) -> None:
    shown = MARKDOWN.render(story.artifact("dailies")["data"])
    assert "onerror=alert" in shown  # as words, in the sentence that says what was sent
    marks = set(re.findall(r"<(\w+)", shown))
    assert marks <= {"h1", "h2", "h3", "p", "strong", "ul", "li", "table", "thead", "tbody", "tr",
                     "th", "td", "img", "a", "pre", "code"}  # fmt: skip
    assert all(src.startswith("data:image/webp") for src in re.findall(r'src="([^"]*)', shown))
    assert all(href.startswith("file:///") for href in re.findall(r'href="([^"]*)', shown))


def test_events_name_the_shot_the_money_and_the_run(story: Story) -> None:
    found: dict[str, dict[str, Any]] = {}
    for _ in range(300):  # the server writes events down in batches
        page = ask(story.api, "events/filter", {
            "filter": {"event": {"prefix": ["secondunit."]}, "order": "ASC"}, "limit": 50,
        })  # fmt: skip
        found = {
            e["event"]: e for e in page["events"] if labels(e).get("secondunit.slate") == "ST-1"
        }
        if "secondunit.film.failed" in found:
            break
        time.sleep(0.2)
    assert set(found) == {
        "secondunit.shot.finished", "secondunit.shot.held", "secondunit.shot.in-doubt",
        "secondunit.film.failed",
    }  # fmt: skip
    held = labels(found["secondunit.shot.held"])
    assert held["prefect.resource.id"] == "secondunit.shot.storm.Lamp"
    assert {k: held[f"secondunit.{k}"] for k in (
        "film", "shot", "gateway", "model", "credits", "attempts", "state", "seed",
    )} == {
        "film": TITLE, "shot": "Lamp", "gateway": "runway", "model": "gen4.5", "credits": "24",
        "attempts": "1", "state": "Held: moderated", "seed": "7",
    }  # fmt: skip
    assert len(held["secondunit.take"]) == 64
    assert "Change its prompt" in held["secondunit.message"]
    for event in found.values():
        runs = [r["prefect.resource.id"] for r in event["related"]
                if r["prefect.resource.role"] == "flow-run"]  # fmt: skip
        assert runs == [f"prefect.flow-run.{story.run['id']}"]


def test_the_automation_tells_people_what_needs_them(story: Story) -> None:
    for _ in range(300):
        if len(story.told) >= 3:
            break
        time.sleep(0.2)
    said = {told["body"].splitlines()[0]: told for told in story.told}
    assert len(said) == 3, said
    (held,) = (told for first, told in said.items() if first.startswith("Lamp"))
    assert held["subject"] == "Storm ‹b›& drang"
    assert "<" not in held["body"]
    assert any("Keeper was ordered" in first for first in said)
    assert any(first.startswith("Did not come back: ") for first in said)


def test_a_finished_film_is_shown_with_its_poster(
    tmp_path: Path, environment: dict[str, str], prefect_api: str
) -> None:
    file = tmp_path / "quay.yaml"
    file.write_text(
        "title: Quay\nshots:\n  One: {prompt: A pier at night., seed: 1, duration: 2}\n"
    )
    done = shoot(environment, file, api=prefect_api)
    assert done.returncode == 0, done.stderr
    run = flow_run(prefect_api, "Quay")
    shown = ask(prefect_api, "artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    pages = {a["key"]: a for a in shown}
    assert set(pages) == {"quay-progress", "quay-call-sheet", "quay-dailies", "quay-film"}
    film = pages["quay-film"]
    assert film["description"] == "The film. Shot on the backlot, which is free."
    assert "**2.00 s** · 48 frames · 1280×720 · 24 fps" in film["data"]
    assert re.search(r"!\[Quay\]\(data:image/webp;base64,\w", film["data"])
    assert f"    {tmp_path}/films/quay.mp4" in film["data"]
    assert pages["quay-progress"]["description"] == "**1 of 1 shots** · free on the backlot"
    assert (tmp_path / "films" / "quay.mp4").is_file()


# --- parts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "name"), [
    (InDoubt("x"), "In doubt: decide"), (Lost("x"), "Lost: decide"),
    (OverBudget("x"), "Over budget"), (Stopped("x"), "Not ordered"),
    (CutError("x"), "Does not splice"), (Refused("x"), "Refused"),
    (Refused("x", ticket="t"), "Held"), (Unreachable("x"), "Failed"), (SecondUnitError("x"), "Failed"),
], ids=str)  # fmt: skip
def test_each_ending_has_a_name_of_its_own(error: SecondUnitError, name: str) -> None:
    assert states.ending(error) == name


def test_what_a_shot_does_is_shown_while_it_lasts_and_never_after_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[tuple[str, str, str]] = []
    told: list[str] = []
    monkeypatch.setattr(states, "LASTING", 0)
    monkeypatch.setattr(
        states, "emit_task_run_state_change_event",
        lambda _, before, state: shown.append((before.name, state.name, state.type.value)),
    )  # fmt: skip
    run = TaskRun(task_key="shot", dynamic_key="0", state=Running())

    async def work() -> None:
        with TaskRunContext.model_construct(task_run=run), states.Sign(told.append) as sign:
            states.saw("waiting", "for a free slot of gen4.5")
            await asyncio.sleep(0.01)
            states.saw("ordering", "gen4.5")
            states.saw("rolling", "")
            await asyncio.sleep(0.01)
            states.saw("fetching", "")
        states.saw("rolling", "")
        sign.saw("rolling", "")  # by a step that goes on although its task was cancelled
        await asyncio.sleep(0.01)

    asyncio.run(work())
    assert shown == [
        ("Running", "Waiting for a slot", "PENDING"), ("Waiting for a slot", "Rolling", "RUNNING"),
    ]  # fmt: skip
    assert told[:4] == ["waiting", "ordering", "rolling", "fetching"]


class Clock:
    """A clock that stands until it is told to go on."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_follows_from_what_shots_took_and_how_many_run_at_once(tmp_path: Path) -> None:
    """Six shots, two at once: when two took 60 s, the four others take two minutes more."""
    shots = "".join(f"  - Door {n} opens.\n" for n in range(6))
    steps = planned(f"shots:\n{shots}", tmp_path).steps
    clock = Clock()
    forecast = Forecast(steps, clock)
    for step in steps:
        forecast.saw(step.key, "waiting")
    assert forecast.left is None
    for step in steps[:2]:
        forecast.saw(step.key, "rolling")
    assert (forecast.counted("rolling"), forecast.counted("waiting")) == (2, 4)
    clock.now = 60
    for step in steps[:2]:
        forecast.ended(step.key, came_back=True)
    assert forecast.left == 120
    assert round(forecast.progress) == 33
    for step in steps[2:4]:
        forecast.saw(step.key, "ordering")
    clock.now = 90
    assert forecast.left == 90
    for step in steps[2:]:
        forecast.ended(step.key, came_back=False)
    assert forecast.left == 0


def test_shots_that_wait_for_each_other_take_one_after_the_other(tmp_path: Path) -> None:
    text = "shots:\n  a: {prompt: A.}\n" + "".join(
        f"  {b}: {{continues: {a}, prompt: On.}}\n" for a, b in zip("abc", "bcd", strict=True)
    )
    steps = planned(text, tmp_path).steps
    clock = Clock()
    forecast = Forecast(steps, clock)
    forecast.saw(steps[0].key, "rolling")
    clock.now = 10
    forecast.ended(steps[0].key, came_back=True)
    assert forecast.left == 30


@pytest.mark.parametrize(("seconds", "words"), [
    (0, "less than a minute left"), (29, "less than a minute left"), (31, "about 1 min left"),
    (185, "about 3 min left"), (5400, "about 1 h 30 min left"), (8000, "about 2 h 10 min left"),
])  # fmt: skip
def test_time_is_told_as_people_tell_it(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def production(folder: Path, count: int) -> Any:
    """A production all of whose shots are here, with stills that do not pack."""
    shots = "".join(f"  - Door {n} opens onto a street.\n" for n in range(count))
    plan = planned(f"title: Doors\nshots:\n{shots}", folder)
    unit = SimpleNamespace(store=None)
    made = Production(plan, unit, Project(folder), Ledger(folder / "ledger.sqlite"), None)  # type: ignore[arg-type]  # nobody shoots or watches
    (folder / "stills").mkdir()
    noise = np.random.default_rng(7)
    for number, step in enumerate(plan.steps):
        sha256 = f"{number:064}"
        pixels = noise.integers(0, 256, (WIDTH * 9 // 16, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "stills" / f"{sha256}.jpg", quality=85)
        made.clips[step.key] = Clip(folder / f"{number}.mp4", sha256, None)  # type: ignore[arg-type]  # a page needs no facts
    return made


@pytest.mark.parametrize("count", [12, 200])
def test_a_page_of_dailies_stays_small_and_findable(tmp_path: Path, count: int) -> None:
    """Under 700 kB, whatever the stills are; beyond 25 shots with a heading for each 25."""
    made = production(tmp_path, count)
    page = dailies.page(made, Stills(tmp_path / "stills"))
    made.ledger.close()
    assert len(page.encode()) < 700_000
    assert len(re.findall(r"^## sh", page, re.MULTILINE)) == (8 if count == 200 else 0)
    assert len(re.findall(r"^\| sh\d", page, re.MULTILINE)) == count
    if count == 12:
        assert page.count("data:image/webp") == 12


def test_a_still_that_is_damaged_is_left_out_and_made_again(tmp_path: Path) -> None:
    stills, picture = Stills(tmp_path / "stills"), tmp_path / "still.png"
    Image.new("RGB", (640, 360), (200, 20, 20)).save(picture)
    clip = Clip(picture, "a" * 64, None)  # type: ignore[arg-type]  # a still has no facts
    stills.make(clip)
    assert stills.uri("a" * 64, 160, 9000)
    (tmp_path / "stills" / f"{'a' * 64}.jpg").write_bytes(b"\xff\xd8torn")
    assert stills.uri("a" * 64, 160, 9000) == ""
    stills.make(clip)
    assert stills.uri("a" * 64, 160, 9000)
    stills.make(Clip(tmp_path / "none.mp4", "b" * 64, media.probe))  # type: ignore[arg-type]  # never read
    assert stills.uri("b" * 64, 160, 9000) == ""
