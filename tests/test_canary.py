"""Canaries: a key and a link's signature that must stand nowhere, whatever becomes of a run."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from programs import BIN
from reel import reel
from strict import DROP, Life, Reply, Strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.covers("S10", "H5"), pytest.mark.timeout(300)]

KEY = "key_CANARY" + "c4na7y" * 20
JWT = "eyJDQU5BUlki.c4na7yc4na7y.c1gnatur3"
POLICY = "eyJDQU5BUllfUE9MSUNZIn0"
SECRETS = [KEY.encode(), JWT.encode(), POLICY.encode(), KEY[14:90].encode(), b"c4na7yc4na7y"]
JSON = {"Content-Type": "application/json"}
ESC = "\x1b]0;owned\x07\x1b[31m"
FILM = """title: '[x](javascript:alert(1)) The {name}'
defaults: {{duration: 2, ratio: '16:9', seed: 7, model: gen4.5}}
shots:
"""


class Canary(Strict):
    """A gateway whose links and upload forms carry the canary, and which repeats keys it is shown."""

    def task(self, ticket: Any) -> Any:
        page = super().task(ticket)
        if isinstance(page, dict) and page.get("output"):
            page["output"] = [link.replace("_jwt=", f"_jwt={JWT}.") for link in page["output"]]
        return page


class Run:
    """A project in a home of its own, with every log turned up, and all that it leaves behind."""

    def __init__(self, folder: Path, strict: Strict, environment: dict[str, str], api: str) -> None:
        self.folder, self.strict = folder, strict
        self.project = folder / "project"
        self.project.mkdir()
        (folder / "tmp").mkdir()
        self.said = b""
        self.seen_in_processes: set[bytes] = set()
        self.environment = {
            **environment,
            "HOME": str(folder), "PREFECT_HOME": str(folder / "prefect"),
            "TMPDIR": str(folder / "tmp"), "PREFECT_API_URL": api, "SECONDUNIT_DEBUG": "1",
            "PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "httpx,httpcore,secondunit",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "DEBUG",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
            "RUNWAYML_API_SECRET": KEY, "SECONDUNIT_RUNWAY_BASE_URL": strict.url,
        }  # fmt: skip

    def write(self, name: str, *prompts: str) -> None:
        shots = "".join(f"  - '{prompt}'\n" for prompt in prompts)
        (self.project / f"{name}.yaml").write_text(FILM.format(name=name) + shots)

    def start(self, name: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        file = self.project / f"{name}.yaml"
        command = [BIN / "secondunit", "shoot", file, "--gateway", "runway", "--yes"]
        return subprocess.Popen(
            [*command, "--budget", "$50", *options],
            env={k: v for k, v in (self.environment | environment).items() if v},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def watch_processes(self) -> None:
        """Look at every command line there is, as another user of the machine could."""
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = cmdline.read_bytes()
            except OSError:
                continue
            self.seen_in_processes |= {secret for secret in SECRETS if secret in text}

    def shoot(self, name: str, *options: str, **environment: str) -> tuple[int, str]:
        process = self.start(name, *options, **environment)
        self.watch_processes()
        time.sleep(0.5)
        self.watch_processes()
        said, _ = process.communicate(timeout=120)
        self.said += said
        return process.returncode, said.decode()

    def killed(self, name: str, number: int, when: Callable[[], Any]) -> int:
        process = self.start(name)
        deadline = time.monotonic() + 120
        while not when() and process.poll() is None and time.monotonic() < deadline:
            self.watch_processes()
            time.sleep(0.02)
        process.send_signal(number)
        self.said += process.communicate(timeout=120)[0]
        return process.returncode

    def leaks(self) -> list[str]:
        """Every place below the home where a secret stands, and whether it was said or seen."""
        found = [f"said {s!r}" for s in SECRETS if s in self.said]
        found += [f"process list {s!r}" for s in self.seen_in_processes]
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name != "runway.key":
                data = path.read_bytes() + str(path).encode()
                found += [f"{path.relative_to(self.folder)} {s!r}" for s in SECRETS if s in data]
        return found


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canary")


@pytest.fixture(scope="module")
def server(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """A Prefect server whose database is a file, to be searched afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [BIN / "prefect", "server", "start", "--port", str(port)],
        env={**environment, "PREFECT_HOME": str(folder / "prefect"), "HOME": str(folder)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    api = f"http://127.0.0.1:{port}/api"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{api}/health", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, "Prefect's server ended at once"
            time.sleep(0.25)
    yield api
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def run(
    folder: Path, footage: Callable[..., bytes], environment: dict[str, str], server: str
) -> Iterator[Run]:
    strict = Canary(footage)
    strict.key = KEY
    yield Run(folder, strict, environment, server)
    strict.close()


def asked(api: str, what: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{api}/{what}/filter", b'{"limit": 200}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return list(json.load(answer))


def test_through_success_failure_refusal_loss_and_death_no_secret_is_left_anywhere(
    run: Run, server: str
) -> None:
    """One home, one project, five runs; then everything that they left is searched."""
    strict = run.strict
    run.write("Lamp", "A lamp turns.")
    code, said = run.shoot("Lamp")
    assert code == 0, said
    # links expire and break; the model, and the gateway, repeat what they were sent; answers are lost
    told = f"{ESC}Cannot <img src=x> read https://x.test/a.png?_jwt={JWT} with Bearer {KEY}"
    error = {"error": f"no good: Bearer {KEY} https://x.test/?_jwt={JWT}"}
    wrong = [Reply(n, json.dumps(error).encode(), JSON) for n in (400, 500, 401)]
    strict.living("Door", Life(downloads=(Reply(403, f"expired {JWT} {KEY}".encode()), DROP)))
    strict.living("Wall", Life(("FAILED",), told, "SAFETY.INPUT.TEXT"))
    strict.script(" Roof", wrong[0])
    strict.script(" Well", wrong[1])
    strict.script(" Gate", Reply(raw=b"", taken=True))
    run.write("House", "Door.", "Wall.", "Roof.", "Well.", "Gate.")
    code, said = run.shoot("House")
    assert code == 3, said
    assert "\x1b]" not in said
    assert "\x07" not in said
    assert "<hidden>" in said
    # the key is refused
    strict.script("organization", wrong[2])
    run.write("Tree", "Tree.")
    code, said = run.shoot("Tree")
    assert code == 2, said
    # the key comes from a file, first from one that is not private; then the run is killed
    private = run.folder / ".config/secondunit/runway.key"
    private.parent.mkdir(parents=True)
    private.write_text(KEY + "\n")
    private.chmod(0o644)
    del run.environment["RUNWAYML_API_SECRET"]
    run.write("Road", "Road.")
    code, said = run.shoot("Road")
    assert code == 2, said
    assert "chmod 600" in said
    private.chmod(0o600)
    strict.living("Road", Life(("RUNNING",)))
    before = len(strict.tickets)
    assert run.killed("Road", signal.SIGKILL, lambda: len(strict.tickets) > before) == -9

    logs = json.dumps(asked(server, "logs"))
    assert "Lamp" in json.dumps(asked(server, "flow_runs"))
    assert len(logs) > 1000
    run.said += (
        logs.encode()
        + json.dumps(
            [asked(server, what) for what in ("flow_runs", "task_runs", "artifacts", "flows")]
        ).encode()
    )
    assert run.leaks() == []
    # that the search finds: the canaries did travel, and the database is among what was searched
    assert any(t.fetched for t in strict.tickets.values())
    assert (run.folder / "prefect/prefect.db").stat().st_size > 100_000
    assert (run.project / ".secondunit/ledger.sqlite").exists()


@pytest.mark.covers("S18", "H4")
def test_nothing_was_pickled_although_results_were_to_be_kept(run: Run) -> None:
    """Prefect was told to keep results; the run before left none, and none that would be code."""
    kept = [p for p in (run.folder / "prefect").rglob("*") if p.is_file()]
    assert kept
    assert not [p for p in kept if "storage" in p.relative_to(run.folder).parts]
    for path in run.folder.rglob("*"):
        if path.is_file() and path.suffix not in {".mp4", ".png"}:
            data = path.read_bytes()
            assert b'"type":"pickle"' not in data.replace(b" ", b""), path
            assert not data.startswith((b"\x80\x04", b"\x80\x05")), path


@pytest.mark.covers("S16")
def test_what_prefect_shows_of_the_runs_holds_no_markup_of_the_shot_list(
    run: Run, server: str
) -> None:
    shown = asked(server, "artifacts")
    assert {a["type"] for a in shown} >= {"table", "progress"}
    page = "\n".join(f"{a['data']} {a['description']}" for a in shown)
    assert "&lt;img" in page
    assert "<img" not in page
    assert "](javascript" not in page.replace("\\", "") or "\\](" not in page
    assert "\x1b" not in page
