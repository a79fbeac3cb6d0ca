"""What all tests share: a home of their own, loopback only, and one Prefect server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onset import Production
    from postgres import Server
    from strict import Strict
    from studio import Studio

# Before anything imports Prefect: nothing of the user's own settings may reach a test.
for _name in [n for n in os.environ if n.startswith(("PREFECT_", "SECONDUNIT_", "RUNWAYML_"))]:
    if _name != "PREFECT_HOME":
        del os.environ[_name]

# Whoever started the tests may have had them ignore signals, and the programs of tests inherit that.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for _number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(_number, signal.SIG_DFL)

settings.register_profile("untimed", deadline=None)  # how fast a machine is fails no test
settings.load_profile("untimed")

BIN = Path(sys.executable).parent
IN_MEMORY = "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"


def _guard(event: str, args: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    address = args[1]
    host = address[0] if isinstance(address, tuple) else "127.0.0.1"
    if isinstance(host, str) and not (host.startswith("127.") or host in {"::1", "localhost"}):
        raise AssertionError(f"a test tried to reach {host}")


sys.addaudithook(_guard)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what is long the time for it, where it does not say itself how long."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder for the programs that tests start."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def environment(home: Path) -> dict[str, str]:
    """The environment in which tests start programs; no server, no key."""
    names = {"PATH", "LANG", "TMPDIR", "TERM", "COVERAGE_PROCESS_CONFIG"}
    kept = {k: v for k, v in os.environ.items() if k in names}
    return {
        **kept,
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "COLUMNS": "120",
    }


@pytest.fixture(scope="session")
def prefect_api(environment: dict[str, str]) -> object:
    """A Prefect server for the whole session, in memory; yields its API's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [BIN / "prefect", "server", "start", "--port", str(port)],
        env={**environment, "PREFECT_API_DATABASE_CONNECTION_URL": IN_MEMORY},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    api = f"http://127.0.0.1:{port}/api"
    for _ in range(180):
        try:
            urllib.request.urlopen(f"{api}/health", timeout=5).close()
            break
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "Prefect's server ended at once"
            time.sleep(0.5)
    yield api
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Small clips and stills, for tests that are about everything but pictures."""
    from onset import tiny

    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def pg() -> Iterator[Server]:
    """A PostgreSQL server, where it is installed."""
    from postgres import program, serving

    if program("initdb") is None:
        pytest.skip("PostgreSQL is not installed")
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def pg_database(pg: Server) -> str:
    """The address of a database that tests use one after the other."""
    return pg.database()


@pytest.fixture
def shared(pg: Server, pg_database: str) -> str:
    """The address of a shared ledger in which nothing was ever ordered."""
    return pg.emptied(pg_database)


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    """The strict stand-in for Runway's API."""
    from strict import listening

    with listening(footage) as strict:
        yield strict


@pytest.fixture
def at(tmp_path: Path, strict: Strict) -> Production:
    """A shot list beside its project, whose orders the strict stand-in takes."""
    from onset import Production

    return Production(tmp_path, strict)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The address of a server that speaks S3."""
    from bucket import serving

    with serving() as address:
        yield address


@pytest.fixture(params=["folder", "memory", "s3"])
def studio(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Studio:
    """A place that machines share, once on every kind of storage."""
    from studio import made

    return made(request.param, request, tmp_path, monkeypatch)
