"""Reviews in Prefect: a run is suspended with nothing held, judged on its page, and goes on."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from browser import browsing
from PIL import Image
from reel import reel
from strict import Life, Strict, listening
from test_flow import ask as ask_once
from test_shoot_command import BIN, FOR_EVER, KEY

from secondunit.crew import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from browser import Page

pytestmark = pytest.mark.timeout(400)

FILM = """title: The lamp
defaults: {duration: 2, ratio: '16:9', seed: 7}
review: {stills: required}
shots:
  one: {prompt: A door opens., first_frame: {prompt: A door.}}
  two: A lamp turns.
  three: {prompt: He turns., first_frame: {prompt: A man.}}
"""
STILLS, SHOTS = ["A door.", "A man."], ["A door opens.", "A lamp turns.", "He turns."]
SERVE = """
import sys
from prefect import serve
from prefect.deployments.runner import EntrypointType
from secondunit.flow import film
serve(film.to_deployment(name=sys.argv[1], entrypoint_type=EntrypointType.MODULE_PATH))
"""
YES = {"decision": "approve", "make_again": [], "notes": "lovely", "who": "Ida"}
NO = {"decision": "reject", "make_again": ["three"], "notes": "too tall", "who": "Jon"}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture(scope="module")
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        yield strict


@contextmanager
def serving(environment: dict[str, str], api: str, name: str, log: Path) -> Iterator[str]:
    """Serve the flow as a deployment; yields its id."""
    more = {"PREFECT_API_URL": api, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, name], env=environment | more, stdout=out, stderr=out,
            cwd=log.parent,
        )  # fmt: skip
        try:
            yield _deployment(api, name, process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _deployment(api: str, name: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the deployment ended"
        try:
            with urllib.request.urlopen(f"{api}/deployments/name/film/{name}", timeout=9) as page:
                return str(json.load(page)["id"])
        except urllib.error.URLError:
            time.sleep(0.5)
    raise AssertionError("no deployment came")


@pytest.fixture(scope="module")
def paid(environment: dict[str, str], strict: Strict) -> dict[str, str]:
    """What a run on the strict stand-in finds on its machine."""
    return {**environment, "RUNWAYML_API_SECRET": KEY, "SECONDUNIT_RUNWAY_BASE_URL": strict.url}


@pytest.fixture(scope="module")
def deployment(
    paid: dict[str, str], prefect_api: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("serve")
    with serving(paid, prefect_api, f"reviews-{os.getpid()}", folder / "log") as deployment:
        yield deployment


def ask(api: str, path: str, question: dict[str, Any]) -> Any:
    """Ask Prefect's server, and again while its database is locked."""
    for _ in range(20):
        try:
            return ask_once(api, path, question)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(1)
    raise AssertionError("its database stays locked")


class Office:
    """A shot list, the deployment that shoots it, and what its producer does on Prefect's pages."""

    def __init__(self, folder: Path, strict: Strict, api: str, deployment: str) -> None:
        self.file = folder / "lamp.yaml"
        self.file.write_text(FILM)
        self.folder, self.strict, self.api, self.deployment = folder, strict, api, deployment
        self.before = len(strict.orders) if strict else 0

    @property
    def ordered(self) -> list[str]:
        """The prompts of everything that was posted since, in order."""
        return [body["promptText"] for _, body in self.strict.orders[self.before :]]

    def begin(self, **more: Any) -> str:
        given = {"shot_list": str(self.file), "gateway": "runway", "budget": "$5"} | more
        run = ask(self.api, f"deployments/{self.deployment}/create_flow_run", {"parameters": given})
        return str(run["id"])

    def state(self, run: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.api}/flow_runs/{run}", timeout=60) as page:
            return dict(json.load(page)["state"])

    def until(self, run: str, *names: str) -> dict[str, Any]:
        """Wait until a run is in one of the states; another one that is final is a failure."""
        deadline = time.monotonic() + 180
        while (state := self.state(run))["name"] not in names:
            final = state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
            assert not final, (state["name"], state["message"])
            assert time.monotonic() < deadline, state
            time.sleep(0.2)
        return state

    def resume(self, run: str, answer: dict[str, Any] | None = None) -> str:
        """Press `Resume`; return what becomes of it."""
        page = {"run_input": answer} if answer else {}
        told = ask(self.api, f"flow_runs/{run}/resume", page)
        return f"{told['status']} {(told['details'] or {}).get('reason') or ''}".strip()

    def set_state(self, run: str, kind: str, name: str) -> None:
        told = {"state": {"type": kind, "name": name}, "force": True}
        ask(self.api, f"flow_runs/{run}/set_state", told)

    def form(self, run: str, attempt: int = 1) -> Any:
        """What the form of a suspended run shows above its fields."""
        keyset = self.state(run)["state_details"]["run_input_keyset"]
        assert keyset["response"].endswith(f"-{attempt}-response")
        return {name: self._input(run, key) for name, key in keyset.items() if name != "response"}

    def _input(self, run: str, key: str) -> Any:
        with urllib.request.urlopen(f"{self.api}/flow_runs/{run}/input/{key}", timeout=60) as page:
            return json.load(page)

    @property
    def manifest(self) -> Any:
        return json.loads((self.folder / "films" / "lamp.manifest.json").read_text())


@pytest.fixture
def at(tmp_path: Path, strict: Strict, prefect_api: str, deployment: str) -> Office:
    return Office(tmp_path, strict, prefect_api, deployment)


def processes(run: str) -> list[int]:
    """The processes that make a flow run, by the variable that Prefect gives them."""
    found = []
    for number in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208  names, not paths
        try:
            with open(f"/proc/{number}/environ", "rb") as file:  # noqa: PTH123  one of the kernel's
                if f"PREFECT__FLOW_RUN_ID={run}".encode() in file.read().split(b"\0"):
                    found.append(int(number))
        except OSError:
            continue
    return found


def test_a_run_waits_with_nothing_held_and_goes_on_when_it_is_approved(at: Office) -> None:
    """No process, no lock, no order while it waits; a second resume and a second run buy nothing."""
    run = at.begin()
    state = at.until(run, "Suspended")
    assert sorted(at.ordered) == STILLS
    deadline = time.monotonic() + 120
    while processes(run):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with Project(at.folder).held():
        pass
    assert state["state_details"]["pause_timeout"][:4] >= "2026"
    form = at.form(run)
    assert "data:image/jpeg;base64," in form["description"]
    assert len(form["description"]) < 310_000
    assert set(form["schema"]["required"]) == {"decision"}

    assert at.resume(run).startswith("REJECT")
    assert at.resume(run, {**YES, "make_again": ["two"]}).startswith("REJECT")
    assert at.state(run)["name"] == "Suspended"
    assert at.resume(run, YES) == "ACCEPT"
    assert "not paused" in at.resume(run, YES)
    at.until(run, "Completed")
    assert sorted(at.ordered) == sorted([*STILLS, *SHOTS])
    (told,) = at.manifest["reviews"]
    assert (told["who"], told["notes"], told["approved"]) == ("Ida", "lovely", True)
    assert told["shots"] == ["one", "three"]

    at.until(at.begin(), "Cached")
    assert len(at.ordered) == 5


def test_what_is_rejected_ends_the_run_and_only_what_is_new_is_judged_next(at: Office) -> None:
    run = at.begin()
    at.until(run, "Suspended")
    assert at.resume(run, NO) == "ACCEPT"
    state = at.until(run, "Rejected")
    assert state["type"] == "FAILED"
    assert "The still of three was rejected by Jon" in state["message"]
    assert "too tall" in state["message"]
    assert sorted(at.ordered) == STILLS
    at.until(at.begin(), "Rejected")
    assert len(at.ordered) == 2

    at.file.write_text(FILM.replace("A man.", "A tall man."))
    run = at.begin()
    at.until(run, "Suspended")
    assert at.ordered[2:] == ["A tall man."]
    form = at.form(run)
    assert form["schema"]["properties"]["make_again"]["items"]["const"] == "three"
    assert at.resume(run, YES) == "ACCEPT"
    at.until(run, "Completed")
    assert sorted(at.ordered[3:]) == SHOTS
    assert [(r["who"], r["approved"]) for r in at.manifest["reviews"]] == [
        ("Jon", False), ("Ida", True),
    ]  # fmt: skip


def test_a_run_that_is_killed_after_it_was_resumed_asks_and_buys_nothing_twice(
    at: Office, strict: Strict
) -> None:
    """Its process is killed while shots roll; Prefect retries the run."""
    strict.living("A lamp", FOR_EVER)
    run = at.begin()
    at.until(run, "Suspended")
    tickets = set(strict.tickets)
    assert at.resume(run, YES) == "ACCEPT"
    deadline = time.monotonic() + 120
    while len(at.ordered) < 5 or len(set(strict.tickets) - tickets) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(2)
    for process in processes(run):
        os.kill(process, signal.SIGKILL)
    at.until(run, "Crashed")
    for ticket in strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))
    at.set_state(run, "SCHEDULED", "AwaitingRetry")
    at.until(run, "Completed")
    assert sorted(at.ordered) == sorted([*STILLS, *SHOTS])


@pytest.mark.long
def test_a_suspended_run_that_is_begun_again_without_an_answer_asks_anew(at: Office) -> None:
    """`Retry` and whatever else sets it going is no approval."""
    run = at.begin()
    first = at.until(run, "Suspended")
    at.set_state(run, "SCHEDULED", "AwaitingRetry")
    deadline = time.monotonic() + 120
    while (state := at.state(run))["name"] != "Suspended" or state["id"] == first["id"]:
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert sorted(at.ordered) == STILLS
    at.form(run, attempt=2)
    assert at.resume(run, YES) == "ACCEPT"
    at.until(run, "Completed")
    assert len(at.ordered) == 5


@pytest.mark.long
def test_what_was_approved_elsewhere_lets_every_suspended_run_go_on(at: Office) -> None:
    """Two runs wait for the same stills; one is resumed, and both go on with one film."""
    one = at.begin()
    at.until(one, "Suspended")
    other = at.begin()
    at.until(other, "Suspended")
    assert sorted(at.ordered) == STILLS
    done = subprocess.run(
        [BIN / "secondunit", "review", at.file, "--approve", "--notes", "by hand"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert at.resume(one, YES) == "ACCEPT"
    at.until(one, "Completed")
    at.until(other, "Completed", "Cached")  # nobody pressed anything on its page
    assert sorted(at.ordered) == sorted([*STILLS, *SHOTS])


def test_a_draft_is_made_and_judged_first_and_both_count_for_one_budget(at: Office) -> None:
    at.file.write_text(
        "title: Two\ndefaults: {duration: 2, ratio: '16:9', seed: 7, first_frame: door.png}\n"
        "review: {draft: required}\nshots:\n  one: A gate opens.\n  two: A bell rings.\n"
    )
    (at.folder / "door.png").write_bytes(at.strict.footage("still", (1280, 720), 0))
    run = at.begin(budget=24 + 20)  # the draft is 2 × 10 credits, the film 2 × 24
    state = at.until(run, "Suspended", "Failed")
    assert state["name"] == "Suspended", state
    assert [body["model"] for _, body in at.strict.orders[at.before :]] == ["gen4_turbo"] * 2
    assert (at.folder / "films" / "lamp.draft.mp4").exists()
    assert (at.folder / "films" / "lamp.draft.jpg").exists()
    assert at.resume(run, {"decision": "approve"}) == "ACCEPT"
    state = at.until(run, "Failed")
    assert "this run may spend 44" in state["message"]
    assert len(at.ordered) == 3
    run = at.begin(budget=24)
    at.until(run, "Completed")
    models = [body["model"] for _, body in at.strict.orders[at.before :]]
    assert sorted(models) == ["gen4.5"] * 2 + ["gen4_turbo"] * 2
    (told,) = at.manifest["reviews"]
    assert (told["judged"], told["who"]) == ("draft", "somebody on Prefect's page")


TAKES = """title: Two
defaults: {duration: 2, ratio: '16:9', seed: 7, first_frame: door.png}
review: {draft: required}
shots:
  one: {prompt: A gate opens., takes: 2}
  two: A bell rings.
"""


def takes(at: Office) -> list[tuple[str, str, int]]:
    """Return model, prompt and seed of each order since the test began."""
    orders = [body for _, body in at.strict.orders[at.before :]]
    return sorted((b["model"], b["promptText"], b["seed"]) for b in orders)


def test_of_several_takes_the_circled_one_alone_is_ordered_for_the_film(at: Office) -> None:
    at.file.write_text(TAKES)
    (at.folder / "door.png").write_bytes(at.strict.footage("still", (1280, 720), 0))
    run = at.begin(budget=3 * 10 + 2 * 24)
    at.until(run, "Suspended")
    draft = [
        ("gen4_turbo", "A bell rings.", 7), ("gen4_turbo", "A gate opens.", 7),
        ("gen4_turbo", "A gate opens.", 8),
    ]  # fmt: skip
    assert takes(at) == draft
    circled = at.form(run)["schema"]["properties"]["circled"]
    assert circled["items"]["enum"] == ["one take 1", "one take 2"]
    answer = {"decision": "approve", "circled": ["one take 1"]}
    assert at.resume(run, answer) == "ACCEPT"
    at.until(run, "Completed")
    film = [("gen4.5", "A bell rings.", 7), ("gen4.5", "A gate opens.", 7)]
    assert takes(at) == sorted(film + draft)
    assert [(s["shot"], s["take"], s["seed"]) for s in at.manifest["shots"]] == [
        ("one", 1, 7), ("two", None, 7),
    ]  # fmt: skip


def typed(at: Office, paid: dict[str, str], keys: bytes) -> subprocess.CompletedProcess[str]:
    """Shoot with somebody at the terminal, who types that."""
    ours, theirs = pty.openpty()
    os.write(ours, keys)
    done = subprocess.run(
        [BIN / "secondunit", "shoot", at.file, "--gateway", "runway", "--yes", "--budget", "$3"],
        env={**paid, "PREFECT_API_URL": at.api}, stdin=theirs, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    return done


def test_takes_are_circled_on_a_terminal(at: Office, paid: dict[str, str]) -> None:
    at.file.write_text(TAKES)
    (at.folder / "door.png").write_bytes(at.strict.footage("still", (1280, 720), 0))
    done = typed(at, paid, b"yes one take 1\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Type yes and the takes that you circle, or no and the shots" in done.stdout
    film = [("gen4.5", "A bell rings.", 7), ("gen4.5", "A gate opens.", 7)]
    assert [order for order in takes(at) if order[0] == "gen4.5"] == film


@pytest.mark.long
def test_a_suspended_run_that_is_cancelled_is_over_and_costs_nothing(at: Office) -> None:
    run = at.begin()
    at.until(run, "Suspended")
    told = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    ask(at.api, f"flow_runs/{run}/set_state", told)
    deadline = time.monotonic() + 120
    while at.state(run)["type"] != "CANCELLED":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "not paused" in at.resume(run, YES)
    assert sorted(at.ordered) == STILLS
    assert at.until(at.begin(), "Suspended")
    assert len(at.ordered) == 2


@pytest.mark.long
def test_a_review_that_nobody_gives_in_time_ends_the_run(at: Office) -> None:
    at.file.write_text(FILM.replace("stills: required", "stills: required, within: 1m"))
    run = at.begin()
    at.until(run, "Suspended")
    state = at.until(run, "Failed")
    assert "never resumed" in state["message"]
    assert at.resume(run, YES).startswith("ABORT")
    assert sorted(at.ordered) == STILLS
    at.until(at.begin(), "Suspended")
    assert len(at.ordered) == 2


@pytest.mark.long
def test_the_answer_counts_after_server_and_worker_were_restarted(
    tmp_path: Path, strict: Strict, paid: dict[str, str]
) -> None:
    """Between the question and the answer both are gone, for however long."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**paid, "PREFECT_HOME": str(home)}
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    with server(environment, port), serving(environment, api, "one", home / "log") as deployment:
        office = Office(tmp_path, strict, api, deployment)
        run = office.begin()
        office.until(run, "Suspended")
    with server(environment, port):
        assert office.resume(run, YES) == "ACCEPT"
        with serving(environment, api, "one", home / "log"):
            office.until(run, "Completed")
    assert sorted(office.ordered) == sorted([*STILLS, *SHOTS])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def server(environment: dict[str, str], port: int) -> Iterator[None]:
    """Run a Prefect server with a database on the disk."""
    process = subprocess.Popen(
        [BIN / "prefect", "server", "start", "--port", str(port)], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(360):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(60)


# --- on a terminal ---------------------------------------------------------------------------


def shoot(at: Office, paid: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "secondunit", "shoot", at.file, "--gateway", "runway", "--yes", "--budget"]
    return subprocess.run(
        [*command, "$5", *options], env={**paid, "PREFECT_API_URL": at.api},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_on_a_terminal_where_nobody_sits_it_stops_and_says_what_waits(
    at: Office, paid: dict[str, str]
) -> None:
    """`--yes` agrees to money and approves nothing."""
    done = shoot(at, paid)
    assert done.returncode == 3, done.stderr
    assert "2 stills wait for your judgement; nothing more was ordered." in done.stderr
    assert f"secondunit review {at.file} --approve" in done.stderr
    assert sorted(at.ordered) == STILLS
    done = shoot(at, paid, "--format", "json")
    page = json.loads(done.stdout)
    assert page["exit_code"] == 3
    assert "wait for your judgement" in page["failures"][0]["message"]
    judged = subprocess.run(
        [BIN / "secondunit", "review", at.file, "--approve"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stderr
    done = shoot(at, paid)
    assert done.returncode == 0, done.stderr
    assert sorted(at.ordered) == sorted([*STILLS, *SHOTS])


def test_on_a_terminal_the_draft_and_the_stills_are_asked_about_one_after_the_other(
    at: Office, paid: dict[str, str]
) -> None:
    """Both count for the run's budget; the film is ordered after two times yes, and once."""
    at.file.write_text(FILM.replace("stills: required", "stills: required, draft: required"))
    done = typed(at, paid, b"yes\nyes\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "A draft comes first. The film, once you have approved it:" in done.stdout
    assert done.stdout.count("for your judgement") == 2
    assert [r["judged"] for r in at.manifest["reviews"]] == ["draft", "stills"]
    posted = [json.dumps(body, sort_keys=True) for _, body in at.strict.orders[at.before :]]
    assert len(posted) == len(set(posted))
    assert len(posted) == 3 + 6  # the stills of the draft are those of the film, and one more


def test_no_flow_of_ones_own_gets_past_a_review(
    at: Office, paid: dict[str, str], tmp_path: Path
) -> None:
    """`on_set` lends the steps one by one; a shot is not ordered before its still was judged."""
    code = (
        "import asyncio, sys\nfrom secondunit.errors import Unjudged\n"
        "from secondunit.flow import on_set\n"
        "async def main():\n"
        "    async with on_set(sys.argv[1], gateway='runway', budget='$5') as production:\n"
        "        for step in production.plan.steps:\n"
        "            try:\n                await production.roll(step)\n"
        "            except Unjudged as error:\n                print(error)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, at.file], env={**paid, "PREFECT_API_URL": at.api},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is not ordered yet.") == 3
    assert sorted(at.ordered) == STILLS


# --- on its page -----------------------------------------------------------------------------

LIGHTHOUSE = """title: The lighthouse
defaults: {duration: 2, ratio: '16:9', seed: 7}
review: {stills: required}
shots:
  sh010: {prompt: The door opens., first_frame: {prompt: "An oak door in a stone wall, dusk"}}
  sh020: {prompt: He turns around., first_frame: {prompt: "A keeper on a cliff, storm clouds"}}
  sh030: {prompt: The lamp turns., first_frame: {prompt: "A lighthouse at night, its lamp lit"}}
  sh040: {prompt: Waves break., first_frame: {prompt: "Waves <b>break</b> over rocks, moon"}}
"""


def judge_on_its_page(folder: Path, environment: dict[str, str], picture: Path) -> Any:
    """Shoot on the backlot, fill in the form in a browser and take its picture; return the manifest."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    ours = {
        **environment, "PREFECT_HOME": str(folder / "prefect"), "PREFECT_SERVER_UI_API_URL": api,
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
    }  # fmt: skip
    (folder / "prefect").mkdir()
    with server(ours, port), serving(ours, api, "office", folder / "log") as deployment:
        office = Office(folder, None, api, deployment)  # type: ignore[arg-type]  # the backlot takes the orders
        office.file.write_text(LIGHTHOUSE)
        run = office.begin(gateway="backlot")
        office.until(run, "Suspended")
        with browsing(folder / "chromium", 1280, 1100) as page:
            page.open(f"http://127.0.0.1:{port}/runs/flow-run/{run}")
            page.click("Resume")
            pictures = "[...document.querySelectorAll('.p-modal img')]"
            page.until(f"{pictures}.length && {pictures}.every(i => i.naturalWidth > 500)")
            fill_in(page)
            page.picture(picture)
            page.click("Submit")
            page.until("document.querySelector('.p-modal') === null")
            office.until(run, "Completed")
    return office.manifest


def fill_in(page: Page) -> None:
    chosen = "document.querySelector('.p-modal select')"
    page.until(f"{chosen} !== null")
    page.run(f"{chosen}.value = 'approve'; {chosen}.dispatchEvent(new Event('change'))")
    for number, words in enumerate(("The keeper is perfect.", "Ida")):
        page.run(f"document.querySelectorAll('.p-modal textarea')[{number}].focus()")
        page.type(words)
    assert page.run("document.querySelectorAll('.p-modal b').length") == 0
    assert "moon" in page.run("document.querySelector('.p-modal').innerText")


@pytest.mark.long
def test_the_form_on_its_page_shows_the_pictures_and_takes_the_decision(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    manifest = judge_on_its_page(tmp_path, environment, tmp_path / "form.png")
    (told,) = manifest["reviews"]
    assert (told["who"], told["notes"]) == ("Ida", "The keeper is perfect.")
    with Image.open(tmp_path / "form.png") as form:
        assert len(form.convert("RGB").getcolors(10**7) or ()) > 5_000
