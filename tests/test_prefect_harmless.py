"""Prefect cannot hurt: whatever is done to it, what is bought follows the ledger, and so the film."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from reel import reel
from relay import BROKEN, BUSY, SILENCE, relaying
from strict import DROP, Life, Reply, Strict, listening
from test_flow import ask, flow_run
from test_shoot_command import FOR_EVER, KEY, Set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relay import Relay

PROMPTS = ["A door opens.", "A lamp turns.", "He turns around."]
SETTINGS = {
    "PREFECT_TASKS_DEFAULT_RETRIES": "5",
    "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "0",
    "PREFECT_FLOWS_DEFAULT_RETRIES": "5",
    "PREFECT_TASKS_REFRESH_CACHE": "true",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "pickle",
}
TWICE = """
import asyncio
import sys
from secondunit import cli, flow
inner = flow._followed
async def twice(handed, run):
    file = handed.production.plan.file
    again = flow.film.with_options(name="Again")(file, "", "", return_state=True)
    await inner(handed, asyncio.gather(run, again))
flow._followed = twice
sys.exit(cli.main())
"""
AGAIN = """
import asyncio
import sys
from uuid import UUID
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow_async
from secondunit import flow
async def again():
    async with get_client() as client:
        run = await client.read_flow_run(UUID(sys.argv[1]))
    return await run_flow_async(flow.film, run, run.parameters, return_type="state")
print(asyncio.run(again()).message)
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        yield strict


@pytest.fixture
def at(tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str) -> Set:
    return Set(tmp_path, strict, environment, prefect_api)


@pytest.fixture
def relay(at: Set, prefect_api: str) -> Iterator[Relay]:
    """The wire from the command to its Prefect server."""
    with relaying(prefect_api) as relay:
        at.environment["PREFECT_API_URL"] = relay.url
        yield relay


def program(at: Set, source: str, *words: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", source, *words], env=at.environment | more, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    # Prefect's heartbeat may stumble over the end of Prefect's own engine, which some of these run
    ours = [
        line for line in done.stderr.splitlines() if 'File "' in line and "/secondunit/" in line
    ]
    assert not ours, done.stderr
    return done.returncode, done.stdout + done.stderr


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.covers("H3", "H4", "S19")
@pytest.mark.parametrize("caching", ["", pytest.param("true", marks=pytest.mark.long)])
def test_no_setting_of_prefect_orders_anything_again(
    at: Set, strict: Strict, caching: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doubt, a failing shot and a good one, under retries, refreshed caches and kept results."""
    results, home = at.folder / "results", at.folder / "prefect"
    home.mkdir()
    profile = "\n".join(f'{name} = "{value}"' for name, value in SETTINGS.items())
    (home / "profiles.toml").write_text(f'active = "mine"\n[profiles.mine]\n{profile}\n')
    (at.folder / "prefect.toml").write_text(
        '[api]\nurl = "http://127.0.0.1:9/api"\n[tasks]\ndefault_retries = 7\n'
    )
    monkeypatch.chdir(at.folder)
    strict.script("A door opens.", Reply(raw=b"", taken=True))
    strict.living("A lamp", *[Life(states=("FAILED",), code="INTERNAL") for _ in range(9)])
    given = {} if caching else SETTINGS
    settings = given | {
        "PREFECT_HOME": str(home), "PREFECT_LOCAL_STORAGE_PATH": str(results),
        "PREFECT_TASKS_DISABLE_CACHING": caching or "false",
    }  # fmt: skip
    for _ in range(2):
        code, said = at.shoot(**settings)
        assert code == 3, said
        assert sorted(strict.taken) == PROMPTS[:1] + PROMPTS[1:2] * 3
    assert not results.exists() or list(results.rglob("*")) == []
    assert [p for p in home.rglob("*") if p.parent.name == "storage"] == []


@pytest.mark.covers("H3", "H4", "B7", "S18")
def test_every_task_says_itself_how_often_and_keeps_nothing() -> None:
    """Said by the task, a setting counts for nothing; unsaid, Prefect's own default would."""
    from prefect import Flow, Task
    from prefect.cache_policies import NO_CACHE

    from secondunit import flow

    tasks = [t for t in vars(flow).values() if isinstance(t, Task)]
    assert len(tasks) == 3
    for task in tasks:
        assert task.cache_policy == NO_CACHE
        assert task.retries == 0
    for one in [*tasks, *(f for f in vars(flow).values() if isinstance(f, Flow))]:
        assert one.persist_result is False
        assert one.result_serializer == "json"
        assert one.timeout_seconds is None
        assert one.retries == 0


# --- its server ----------------------------------------------------------------------------------


def under_way(strict: Strict) -> bool:
    return "A door opens." in strict.taken


def rolling(strict: Strict) -> bool:
    return sum(len(t.asked) for t in list(strict.tickets.values())) > 3


def fetched(strict: Strict) -> bool:
    return sum(t.fetched for t in list(strict.tickets.values())) == 3


long = pytest.mark.long
MOMENTS = [
    pytest.param(under_way, None, id="cut while it orders"),
    pytest.param(rolling, BUSY, id="busy for an hour while tickets roll"),
    pytest.param(rolling, BROKEN, id="broken while tickets roll", marks=long),
    pytest.param(rolling, SILENCE, id="silent while tickets roll", marks=long),
    pytest.param(rolling, None, id="cut while tickets roll", marks=long),
    pytest.param(fetched, None, id="cut when all is fetched", marks=long),
    pytest.param(fetched, SILENCE, id="silent when all is fetched", marks=long),
    pytest.param(under_way, BROKEN, id="broken while it orders", marks=long),
]


@pytest.mark.covers("H2")
@pytest.mark.parametrize(("moment", "answer"), MOMENTS)
def test_a_server_that_fails_changes_what_is_shown_and_nothing_else(
    at: Set, strict: Strict, relay: Relay, moment: Callable[[Strict], bool], answer: bytes | None
) -> None:
    slow = Reply(200, b'{"id":"{ticket}"}', taken=True, pause=1.0)
    strict.script("A door opens.", slow)
    strict.living("A lamp", Life(states=("RUNNING",) * 20 + ("SUCCEEDED",)))
    run = at.start()
    at.until(run, lambda: moment(strict))
    relay.cut() if answer is None else relay.answer(answer)
    code, said = at.ended(run)
    assert code == 0, said
    assert "Error logging" not in said
    assert said.count("cannot be reached any more") == 1
    assert sorted(strict.taken) == PROMPTS
    assert at.manifest["film"]["frames"] == 3 * 48
    assert sum(t.fetched for t in strict.tickets.values()) == 3


@pytest.mark.covers("H2")
def test_a_doubt_is_a_doubt_with_or_without_prefect(at: Set, strict: Strict, relay: Relay) -> None:
    """The exit code follows the ledger when the server is gone."""
    strict.script("A lamp turns.", Reply(200, b'{"id":"{ticket}"}', taken=True, pause=1.0))
    strict.script("A door opens.", DROP)
    run = at.start()
    at.until(run, lambda: len(strict.orders) == 2)
    relay.cut()
    code, said = at.ended(run)
    assert code == 3, said
    assert "settle" in said
    assert len(strict.orders) == 2


class Lame(BaseHTTPRequestHandler):
    """Prefect's server as far as its health goes, and no further."""

    def do_GET(self) -> None:
        good = self.path.endswith("/health")
        self.send_response(200 if good else 500)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")

    do_POST = do_GET  # noqa: N815  a name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def lame() -> Iterator[str]:
    """Have a server that begins no run; yields its API's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lame)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.covers("H2")
def test_a_run_that_prefect_cannot_even_begin_goes_on_without_it(at: Set, strict: Strict) -> None:
    with lame() as api:
        code, said = at.shoot(PREFECT_API_URL=api)
    assert code == 0, said
    assert said.count("the shots go on without it") == 1
    assert sorted(strict.taken) == PROMPTS


# --- its pages -----------------------------------------------------------------------------------


@pytest.mark.covers("H7", "B2")
@pytest.mark.parametrize("state", ["CANCELLING", pytest.param("CANCELLED", marks=pytest.mark.long)])
def test_a_run_that_is_cancelled_on_its_page_detaches(
    at: Set, strict: Strict, prefect_api: str, state: str
) -> None:
    """As Ctrl-C: tickets stay open, nothing is deleted, it is said, and the next run goes on."""
    title = f"The lamp, {state.lower()}"
    at.file.write_text(at.file.read_text().replace("The lamp", title))
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    run = at.start()
    at.until(run, lambda: rolling(strict) and len(strict.tickets) == 2)
    page = flow_run(prefect_api, title)
    told = {"state": {"type": state, "name": state.title()}, "force": True}
    ask(prefect_api, f"flow_runs/{page['id']}/set_state", told)
    code, said = at.ended(run)
    assert code == 130, said
    assert "cancelled on its pages" in said
    assert "2 tickets go on and are billed" in said
    assert "Run the same command again" in said
    assert flow_run(prefect_api, title)["state_type"] == "CANCELLED"
    assert strict.deleted == []
    for ticket in strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))
    code, said = at.shoot()
    assert code == 0, said
    assert sorted(strict.taken) == PROMPTS


@pytest.mark.covers("F6", "H3")
def test_a_flow_that_runs_twice_at_the_same_time_orders_once(at: Set, strict: Strict) -> None:
    code, said = program(at, TWICE, *_words(at))
    assert code == 0, said
    assert sorted(strict.taken) == PROMPTS
    assert len(strict.orders) == 3
    assert at.manifest["film"]["frames"] == 3 * 48


@pytest.mark.covers("H3")
def test_a_run_that_is_started_again_by_prefect_orders_nothing(
    at: Set, strict: Strict, prefect_api: str
) -> None:
    """While it is at work its page says it waits for a retry; afterwards Prefect runs it again."""
    at.file.write_text(at.file.read_text().replace("The lamp", "The lamp again"))
    strict.living("A lamp", Life(states=("RUNNING",) * 9 + ("SUCCEEDED",)))
    run = at.start()
    at.until(run, lambda: rolling(strict))
    page = flow_run(prefect_api, "The lamp again")
    told: dict[str, Any] = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    ask(prefect_api, f"flow_runs/{page['id']}/set_state", told)
    code, said = at.ended(run)
    assert code == 0, said
    assert sorted(strict.taken) == PROMPTS

    requests = len(strict.requests)
    ask(prefect_api, f"flow_runs/{page['id']}/set_state", told)
    code, said = program(at, AGAIN, page["id"])
    assert f"Nothing changed; the film is {at.folder}/films/" in said
    assert len(strict.requests) == requests

    for film in (at.folder / "films").iterdir():
        film.unlink()
    ask(prefect_api, f"flow_runs/{page['id']}/set_state", told)
    code, said = program(at, AGAIN, page["id"])
    assert f"{at.folder}/films/" in said
    assert "COMPLETED" in said
    assert sorted(strict.taken) == PROMPTS


def _words(at: Set) -> list[str]:
    return ["shoot", str(at.file), "--gateway", "runway", "--yes", "--budget", "$5"]


def test_the_relay_is_a_wire(prefect_api: str) -> None:
    """The tool of these tests: through it the server is the server, and then it is not."""
    with relaying(prefect_api) as relay:
        assert json.dumps(ask(relay.url, "flow_runs/count")).isdigit()
        relay.answer(BROKEN)
        with pytest.raises(OSError, match="500"):
            ask(relay.url, "flow_runs/count")
        relay.cut()
        with pytest.raises(OSError, match="refused"):
            ask(relay.url, "flow_runs/count")
    assert "PREFECT_API_URL" not in os.environ
