"""A stranger's project folder: what lies in it configures nothing, runs nothing, spends nothing."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from footage import counting
from programs import BIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

Server = tuple[int, list[bytes]]


@pytest.fixture
def counter() -> Iterator[Server]:
    """Count every connection that somebody makes to a port of this machine."""
    hits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    visitor, _ = server.accept()
                    with visitor:
                        visitor.settimeout(2)
                        with suppress(OSError):
                            hits.append(visitor.recv(4096))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], hits
        server.shutdown(socket.SHUT_RDWR)


def run(
    folder: Path, environment: dict[str, str], *words: str, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "secondunit", *words], cwd=folder, env=environment | more, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


class Bomb:
    """What a poisoned pickle does when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.marker),)


def poison(folder: Path, marker: Path, port: int) -> None:
    """Leave everything in `folder` that some program might read, or run, of its own accord."""
    run_it = f"import os; os.makedirs({str(marker)!r}, exist_ok=True)\n"
    for module in (
        "sitecustomize", "usercustomize", "multiprocessing", "yaml", "prefect", "conftest", "av",
        "plugins", "secondunit", "encodings", "logging", "keyring",
    ):  # fmt: skip
        (folder / f"{module}.py").write_text(run_it)
    logging = {
        "version": 1, "disable_existing_loggers": False,
        "handlers": {"x": {"()": "os.mkdir", "path": str(marker)}},
        "root": {"handlers": ["x"]},
    }  # fmt: skip
    (folder / "logging.yml").write_text(json.dumps(logging))
    evil = f"http://127.0.0.1:{port}"
    toml = (
        f'profiles_path = "{folder}/profiles.toml"\nhome = "{folder}/home"\n[api]\nurl = "{evil}/api"\n'
        f'key = "stolen"\n[logging]\nconfig_path = "{folder}/logging.yml"\n[results]\n'
        f'persist_by_default = true\nlocal_storage_path = "{folder}/results"\n'
        "[tasks]\nrefresh_cache = true\n"
    )
    (folder / "prefect.toml").write_text(toml)
    tables = toml.replace("[", "[tool.prefect.")
    (folder / "pyproject.toml").write_text("[tool.prefect]\n" + tables)
    (folder / "profiles.toml").write_text(
        f'active = "x"\n[profiles.x]\nPREFECT_API_URL = "{evil}/api"\n'
    )
    (folder / ".env").write_text(
        f"PREFECT_API_URL={evil}/api\nPREFECT_LOGGING_SETTINGS_PATH={folder}/logging.yml\n"
        f"RUNWAYML_BASE_URL={evil}\nSECONDUNIT_RUNWAY_BASE_URL={evil}\nRUNWAYML_API_SECRET=stolen\n"
        f"HTTPS_PROXY={evil}\nHTTP_PROXY={evil}\nPREFECT_RESULTS_PERSIST_BY_DEFAULT=true\n"
    )
    (folder / "settings.toml").write_text(f'runway_base_url = "{evil}"\n')
    (folder / "secondunit.toml").write_text(f'runway_base_url = "{evil}"\n')
    (folder / "results").mkdir()
    for name in ("result", "0" * 64):
        (folder / "results" / name).write_bytes(pickle.dumps(Bomb(marker)))


@pytest.mark.covers("S18", "S19", "H4")
def test_nothing_in_a_project_folder_configures_or_runs(
    tmp_path: Path, environment: dict[str, str], counter: Server
) -> None:
    """The whole pipeline, worker processes and Prefect's temporary server, from such a folder."""
    port, hits = counter
    folder, marker = tmp_path / "project", tmp_path / "owned"
    folder.mkdir()
    poison(folder, marker, port)
    counting(folder / "own.mp4", frames=24, size="320x180")
    (folder / "film.yaml").write_text("ratio: '640:360'\nshots:\n  - {clip: own.mp4}\n")
    home = {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}
    for words in (("check", "film.yaml"), ("plan", "film.yaml"), ("shoot", "film.yaml")):
        done = run(folder, environment, *words, **home)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not marker.exists(), words
    assert hits == []
    assert (folder / "films/film.mp4").stat().st_size > 1000
    assert (
        tmp_path / "prefect/prefect.db"
    ).exists()  # a server of the run's own, in the user's home
    assert not (folder / "home").exists()


@pytest.mark.covers("S20", "C20")
def test_the_vendors_variables_and_proxies_change_nothing_of_a_paid_run(
    tmp_path: Path, environment: dict[str, str], counter: Server
) -> None:
    """Asked for the account only: what the command would connect to, it connects to here."""
    from strict import Reply, Strict

    port, hits = counter
    evil = f"http://127.0.0.1:{port}"
    heard: list[str] = []

    class Listening(Strict):
        def scripted(self, *names: str) -> Reply | None:
            heard.extend(names)
            return super().scripted(*names)

    strict = Listening(lambda *_: b"")
    strict.key = "test"
    strict.account["creditBalance"] = 0
    try:
        (tmp_path / "film.yaml").write_text("defaults: {duration: 2}\nshots: [A door opens.]\n")
        done = run(
            tmp_path, environment, "shoot", "film.yaml", "--gateway", "runway", "--yes",
            "--budget", "$5",
            SECONDUNIT_RUNWAY_BASE_URL=strict.url, RUNWAYML_API_SECRET="test", RUNWAYML_BASE_URL=evil,
            RUNWAYML_CUSTOM_HEADERS="Authorization: Bearer stolen", HTTP_PROXY=evil, HTTPS_PROXY=evil,
            ALL_PROXY=evil, http_proxy=evil, all_proxy=evil, SSL_CERT_FILE=str(tmp_path / "none.pem"),
            HOME=str(tmp_path),
        )  # fmt: skip
    finally:
        strict.close()
    assert done.returncode == 4, done.stdout + done.stderr
    assert "organization" in heard
    assert hits == []
    assert not strict.problems


@pytest.mark.covers("S22")
def test_a_shot_list_of_ten_thousand_dollars_is_refused_before_anybody_is_asked(
    tmp_path: Path, environment: dict[str, str], counter: Server
) -> None:
    port, hits = counter
    shots = "".join(f"  - {{prompt: Shot {n}., duration: 10, model: gen4.5}}\n" for n in range(834))
    (tmp_path / "film.yaml").write_text(f"shots:\n{shots}")
    gateway = {
        "SECONDUNIT_RUNWAY_BASE_URL": f"http://127.0.0.1:{port}", "RUNWAYML_API_SECRET": "test",
        "HOME": str(tmp_path),
    }  # fmt: skip
    command = ("shoot", "film.yaml", "--gateway", "runway")
    for words, told in (
        ((), "nobody is here to be asked"),
        (("--yes",), "--yes needs a cap"),
    ):
        done = run(tmp_path, environment, *command, *words, **gateway)
        assert done.returncode == 2, done.stdout + done.stderr
        assert told in done.stderr
        assert "Nothing was ordered." in done.stderr
    priced = json.loads(run(tmp_path, environment, "plan", "film.yaml", "--gateway", "runway",
                            "--format", "json", **gateway).stdout)  # fmt: skip
    assert sum(step["credits"] for step in priced["steps"]) > 999_900 / 10
    assert hits == []
