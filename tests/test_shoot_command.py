"""The real command against a strict gateway: made, repeated, killed, interrupted, and told why not."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import av
import pytest
from footage import small_disk
from programs import BIN
from reel import large_clip, reel
from strict import Life, Reply, Strict, listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "key_" + "c4na7y00" * 16
FILM = """title: The lamp
defaults: {duration: 2, ratio: '16:9', seed: 7}
shots:
  one: A door opens.
  two: A lamp turns.
  three: {prompt: He turns around., continues: one}
"""
FOR_EVER = Life(states=("RUNNING",))


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        yield strict


class Set:
    """A shot list in a folder of its own, and the command as a person types it."""

    def __init__(self, folder: Path, strict: Strict, environment: dict[str, str], api: str) -> None:
        self.folder = folder
        self.file = folder / "lamp.yaml"
        self.file.write_text(FILM)
        self.strict = strict
        self.environment = {
            **environment,
            "PREFECT_API_URL": api,
            "RUNWAYML_API_SECRET": KEY,
            "SECONDUNIT_RUNWAY_BASE_URL": strict.url,
        }
        self.output = ""

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        command = [BIN / "secondunit", "shoot", self.file, "--gateway", "runway", "--yes"]
        return subprocess.Popen(
            [*command, *(options or ("--budget", "$5"))],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        out, err = process.communicate(timeout=240)
        out = out or ""
        self.output += out + err
        assert "Traceback" not in err, err
        assert KEY not in out + err
        return process.returncode, out + err

    def shoot(self, *options: str, **environment: str) -> tuple[int, str]:
        return self.ended(self.start(*options, **environment))

    def settle(self, *words: str) -> None:
        subprocess.run(
            [BIN / "secondunit", "settle", self.file, *words], check=True, capture_output=True,
            env=self.environment,
        )  # fmt: skip

    def until(self, process: subprocess.Popen[str], seen: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 120
        while not seen():
            assert process.poll() is None, self.ended(process)
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    @property
    def manifest(self) -> Any:
        return json.loads((self.folder / "films" / "lamp.manifest.json").read_text())


@pytest.fixture
def at(tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str) -> Set:
    return Set(tmp_path, strict, environment, prefect_api)


def frames(film: Path) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_film_is_made_within_its_budget_repeated_for_nothing_and_changed_for_one_shot(
    at: Set, strict: Strict
) -> None:
    strict.account["tier"]["models"] = {"gen4.5": {"maxConcurrentGenerations": 1}}
    strict.account["creditBalance"] = 71
    code, said = at.shoot()
    assert code == 4, said
    assert "the account holds 71 credits ($0.71)" in said
    assert strict.orders == []

    strict.account["creditBalance"] = 72
    code, said = at.shoot("--budget", "48")
    assert code == 4, said
    assert "this run may spend 48" in said
    assert strict.charged == 48

    code, said = at.shoot("--budget", "24", "--format", "json")
    assert code == 0, said
    told = json.loads(said)
    assert (told["credits_spent"], told["exit_code"], told["failures"]) == (24, 0, [])
    _check_manifest(at, strict)
    assert strict.at_once == {"gen4.5": 1}
    assert strict.quickest() >= 0.2

    requests = len(strict.requests)
    assert at.shoot()[0] == 0
    assert len(strict.requests) == requests

    strict.account["creditBalance"] = 96
    at.file.write_text(FILM.replace("A lamp turns.", "A lamp goes out."))
    code, said = at.shoot()
    assert code == 0, said
    assert "Spent 24 credits ($0.24), saved 48 credits ($0.48)" in said
    assert strict.taken[3:] == ["A lamp goes out."]
    _no_key_in(at.folder)


def _check_manifest(at: Set, strict: Strict) -> None:
    manifest = at.manifest
    film = at.folder / "films" / "lamp.mp4"
    assert frames(film) == manifest["film"]["frames"] == 3 * 48
    assert [s["shot"] for s in manifest["shots"]] == ["one", "two", "three"]
    assert {s["ticket"] for s in manifest["shots"]} == set(strict.tickets)
    assert {s["ticket"]: s["prompt"] for s in manifest["shots"]} == {
        t.id: t.body["promptText"] for t in strict.tickets.values()
    }
    assert sum(s["credits_charged"] for s in manifest["shots"]) == strict.charged == 72
    assert [s["film_start"] for s in manifest["shots"]] == [0, 48, 96]


def _no_key_in(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


@pytest.mark.covers("A6", "A7", "A9", "F5")
def test_a_run_that_is_killed_at_any_moment_is_gone_on_with(at: Set, strict: Strict) -> None:
    """SIGKILL while tickets are open, while a file is fetched, while the film is made."""
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    run = at.start()
    at.until(run, lambda: strict.requests.count("POST text_to_video") == 2
             and sum(r.startswith("GET tasks") for r in strict.requests) > 3)  # fmt: skip
    at.kill(run)

    for ticket in strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))
        ticket.downloads = [Reply(200, b"x" * 9999, pause=2.0)]
    run = at.start()
    at.until(run, lambda: "GET out" in strict.requests)
    time.sleep(0.1)
    at.kill(run)

    run = at.start()
    at.until(run, lambda: strict.requests.count("GET out") >= 5)
    time.sleep(0.3)
    at.kill(run)

    run = at.start()
    assert run.stdout is not None
    run.stdout.close()  # as `| head -0` does; the film is made all the same
    run.stdout = None
    assert at.ended(run)[0] == 0
    assert sorted(strict.taken) == ["A door opens.", "A lamp turns.", "He turns around."]
    _check_manifest(at, strict)


@pytest.mark.covers("A4")
def test_an_order_that_may_have_arrived_is_left_to_a_person(at: Set, strict: Strict) -> None:
    """Killed while it orders, and cut off while it orders: exit 3, and not one order more."""
    strict.script("A door opens.", Reply(200, b'{"id":"{ticket}"}', taken=True, pause=9))
    strict.script("A lamp turns.", Reply(502, taken=True))
    run = at.start()
    at.until(run, lambda: "A door opens." in strict.taken)
    at.kill(run)
    code, said = at.shoot()
    assert code == 3, said
    for shot in ("one", "two"):
        assert f"`secondunit settle {at.file} {shot!r}` with --attach TICKET" in said
    assert sorted(strict.taken) == ["A door opens.", "A lamp turns."]
    found = {t.body["promptText"]: t.id for t in strict.tickets.values()}
    at.settle("one", "--attach", found["A door opens."])
    at.settle("two", "--resubmit")
    assert at.shoot()[0] == 0
    assert sorted(strict.taken) == [
        "A door opens.", "A lamp turns.", "A lamp turns.", "He turns around.",
    ]  # fmt: skip


@pytest.mark.covers("B1", "B2", "F1")
def test_an_interrupted_run_detaches_and_another_waits_its_turn(at: Set, strict: Strict) -> None:
    """Ctrl-C and SIGTERM: nothing is cancelled, an order under way is written down, exit 130."""
    slow = Reply(200, b'{"id":"{ticket}"}', taken=True, pause=1.0)
    strict.script("A door opens.", slow)
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    run = at.start()
    at.until(run, lambda: "A door opens." in strict.taken)
    run.send_signal(signal.SIGTERM)
    code, said = at.ended(run)
    assert code == 130, said
    assert "Run the same command again" in said
    assert "doubt" not in said

    run = at.start()
    at.until(run, lambda: len(strict.tickets) == 2
             and sum(r.startswith("GET tasks") for r in strict.requests) > 2)  # fmt: skip
    code, said = at.shoot()
    assert code == 75, said
    assert f"Process {run.pid} on " in said
    run.send_signal(signal.SIGINT)
    code, said = at.ended(run)
    assert code == 130, said
    assert "2 tickets go on and are billed: one, two" in said or "billed: two, one" in said
    assert len(strict.orders) == 2


@pytest.mark.covers("E3")
def test_a_full_disk_is_said_and_room_is_all_it_takes(at: Set, strict: Strict) -> None:
    at.file.write_text("shots:\n  one: {prompt: A door opens., duration: 2}\n")
    clip = large_clip(at.folder / "large.mp4").read_bytes()
    strict.living("A door", Life(media=(clip,)))
    with small_disk(at.folder, "3m") as disk:
        options = ("--budget", "$5", "--out", str(disk))
        code, said = at.shoot(*options)
        assert code == 74, said
        assert "make room: " in said or "the disk is full; make room" in said
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        code, said = at.shoot(*options)
        assert code == 0, said
        assert frames(disk / "films" / "lamp.mp4") == 48
    assert len(strict.orders) == 1


# --- why not -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "sentence"),
    [
        ({"RUNWAYML_API_SECRET": ""}, 2, r"There is no API key for runway\..*Nothing was ordered"),
        ({"RUNWAYML_API_SECRET": "two words"}, 2, r"spaces or characters that no key has"),
        (
            {"RUNWAYML_API_SECRET": "another"},
            2,
            r"does not accept the key: The API key is not valid",
        ),
        (
            {"SECONDUNIT_RUNWAY_BASE_URL": "http://api.evil.test"},
            2,
            r"not an address for a gateway",
        ),
    ],
)
def test_a_set_up_that_is_wrong_is_said_before_anything_is_ordered(
    at: Set, strict: Strict, change: dict[str, str], code: int, sentence: str
) -> None:
    assert at.shoot(**change)[0] == code
    assert re.search(sentence, at.output)
    assert strict.orders == []


def test_a_gateway_that_is_not_there_is_said_at_once(at: Set) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    began = time.monotonic()
    code, said = at.shoot(SECONDUNIT_RUNWAY_BASE_URL=f"http://127.0.0.1:{port}")
    assert code == 1
    assert "connection refused" in said
    assert "Nothing was ordered" in said
    assert time.monotonic() - began < 15


def test_nobody_is_there_to_agree(at: Set, strict: Strict) -> None:
    command = [BIN / "secondunit", "shoot", at.file, "--gateway", "runway"]
    for options, sentence in (((), "Add --yes and a cap"), (("--yes",), "--yes needs a cap")):
        done = subprocess.run(
            [*command, *options], env=at.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert sentence in done.stderr
    assert strict.orders == []


def test_a_shot_that_is_made_shorter_is_cut_from_its_take(at: Set, strict: Strict) -> None:
    """Editing, like `trim`; only what a later shot opens on is another picture, and ordered."""
    text = at.file.read_text().replace("continues: one", "seed: 9")
    longer = text.replace("duration: 2", "duration: 3")
    at.file.write_text(longer)
    assert at.shoot()[0] == 0
    assert at.manifest["film"]["frames"] == 3 * 72
    asked = len(strict.requests)
    at.file.write_text(text)
    code, said = at.shoot()
    assert code == 0, said
    assert at.manifest["film"]["frames"] == 3 * 48
    assert len(strict.orders) == 3
    assert not [r for r in strict.requests[asked:] if "organization" not in str(r)]
    assert at.shoot()[1].count("Nothing changed") == 1
    at.file.write_text(longer.replace("A door opens.", "{prompt: A door opens., duration: 2.5}"))
    assert at.shoot()[0] == 0
    assert at.manifest["film"]["frames"] == 2 * 72 + 60
    assert len(strict.orders) == 3
