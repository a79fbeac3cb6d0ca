"""The backlot's tasks live as Runway's do, are charged as they are, and outlive the server."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import av
import httpx
import pytest
from footage import BUNNY, CARPHONE, counting, ffmpeg, tone
from lot import (
    QUICK,
    SLOW,
    TEXT,
    client,
    clip_facts,
    costs,
    data_uri,
    edit,
    ended,
    fetch,
    footage,
    image_order,
    ledger,
    order,
    picture,
    task,
)
from PIL import Image

from secondunit.backlot import Rules, running
from secondunit.errors import DiskTrouble, Locked, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("backlot"), QUICK) as address:
        yield address


@pytest.fixture
def api(url: str) -> Iterator[httpx.Client]:
    with client(url) as http:
        yield http


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[Any, ...]]]:
    """Edit a clip; returns size, frames, rate and whether there is sound."""

    def edited(source: Path, **more: Any) -> tuple[Any, ...]:
        slot = api.post("/v1/uploads", json={"filename": source.name, "type": "ephemeral"}).json()
        with source.open("rb") as file:
            form = {"data": slot["fields"], "files": {"file": file}}
            assert httpx.post(slot["uploadUrl"], **form).status_code == 204
        facts = ended(api, order(api, edit(slot["runwayUri"], **more), "video_to_video"))
        assert facts["status"] == "SUCCEEDED", facts
        data = fetch(facts["output"][0]).content
        with av.open(io.BytesIO(data)) as clip:
            return *clip_facts(data), bool(clip.streams.audio)

    with (
        running(tmp_path_factory.mktemp("edits"), Rules(latency=(0, 0))) as url,
        client(url) as api,
    ):
        yield edited


class TestLife:
    def test_a_task_from_order_to_file(self, tmp_path: Path) -> None:
        with running(tmp_path, Rules(latency=(0.6, 0.6), render="tiny")) as url, client(url) as api:
            answer = api.post(
                "/v1/text_to_video", json=TEXT, headers={"x-secondunit-shot": "Shot%201"}
            )
            assert answer.json().keys() == {"id", "estimatedCost"}
            assert answer.json()["estimatedCost"] == {"credits": 24}
            seen: dict[str, dict[str, Any]] = {}
            progress = []
            while not seen.keys() & {"SUCCEEDED", "FAILED"}:
                facts = task(api, answer.json()["id"])
                seen[facts["status"]] = facts
                progress += [facts["progress"]] if "progress" in facts else []
            common = {"id", "createdAt", "status"}
            assert {status: facts.keys() - common for status, facts in seen.items()} == {
                "PENDING": {"estimatedCost"},
                "RUNNING": {"estimatedCost", "progress"},
                "SUCCEEDED": {"output", "cost"},
            }
            assert progress == sorted(progress)
            assert 0 <= progress[0] < progress[-1] <= 1
            (entry,) = ledger(api)["tasks"]
            assert (entry["shot"], entry["cost"]) == ("Shot 1", 24)

    def test_files_are_handed_out_whole_or_in_part_without_a_key(self, api: httpx.Client) -> None:
        link = ended(api, order(api))["output"][0]
        whole = fetch(link)
        assert whole.headers["content-type"] == "video/mp4"
        assert int(whole.headers["content-length"]) == len(whole.content)
        head = fetch(link, "HEAD")
        assert (head.headers["content-length"], head.content) == (
            whole.headers["content-length"],
            b"",
        )
        part = fetch(link, range="bytes=4-7")
        assert (part.status_code, part.content) == (206, b"ftyp")
        assert [entry["bearer"] for entry in ledger(api)["downloads"][-3:]] == [0, 0, 0]
        api.get(link)
        assert ledger(api)["downloads"][-1]["bearer"] == 1

    def test_a_still_is_a_png_of_the_asked_size(self, tmp_path: Path) -> None:
        body = {"model": "gen4_image", "promptText": "A door.", "ratio": "720:960"}
        with running(tmp_path, Rules(latency=(0, 0))) as url, client(url) as api:
            facts = ended(api, order(api, body, "text_to_image"))
            answer = fetch(facts["output"][0])
        assert answer.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.size) == ("PNG", (720, 960))

    def test_the_same_order_gives_the_same_pixels(self, api: httpx.Client) -> None:
        files = [fetch(ended(api, order(api))["output"][0]).content for _ in range(2)]
        assert files[0] == files[1]

    def test_links_expire_and_are_renewed(self, tmp_path: Path) -> None:
        rules = Rules(latency=(0, 0), render="tiny", url_seconds=0.3)
        with running(tmp_path, rules) as url, client(url) as api:
            facts = ended(api, order(api))
            time.sleep(0.4)
            assert fetch(facts["output"][0]).status_code == 403
            assert fetch(task(api, facts["id"])["output"][0]).status_code == 200

    def test_tasks_beyond_the_concurrency_of_their_model_wait(self, tmp_path: Path) -> None:
        with running(tmp_path, Rules(tier=3, latency=(60, 60))) as url, client(url) as api:
            ids = [order(api, TEXT | {"seed": n}) for n in range(12)]
            other = order(api, image_order(data_uri(picture())), "image_to_video")
            statuses = [task(api, id_)["status"] for id_ in ids]
            assert statuses[5:] == ["THROTTLED"] * 7
            assert "THROTTLED" not in statuses[:5]
            assert task(api, other)["status"] != "THROTTLED"  # places are counted by model

    def test_waiting_tasks_roll_in_order_of_creation(self, tmp_path: Path) -> None:
        rules = Rules(tier=3, latency=(0.15, 0.15), render="tiny")
        with running(tmp_path, rules) as url, client(url) as api:
            ids = [order(api, TEXT | {"seed": n}) for n in range(12)]
            for id_ in ids:
                ended(api, id_)
            rows = {entry["id"]: entry for entry in ledger(api)["tasks"]}
        began = [rows[id_]["started"] for id_ in ids]
        assert began == sorted(began)
        for moment in began:
            rolling = [r for r in rows.values() if r["started"] <= moment < r["ended"]]
            assert len(rolling) <= 5

    def test_the_day_has_an_end(self, tmp_path: Path) -> None:
        with running(tmp_path, Rules(tier=1, latency=(30, 30))) as url, client(url) as api:
            for _ in range(50):
                order(api)
            answer = api.post("/v1/text_to_video", json=TEXT)
            assert (answer.status_code, answer.json().keys()) == (429, {"error"})
            limits = api.get("/v1/organization").json()
        assert limits["tier"]["models"]["gen4.5"] == {
            "maxConcurrentGenerations": 1,
            "maxDailyGenerations": 50,
        }
        assert limits["usage"]["models"]["gen4.5"] == {"dailyGenerations": 50}
        assert limits["creditBalance"] == 100_000 - 50 * 24


class TestEdits:
    """What comes back from an edit has the length, size, rate and sound of what went in."""

    def test_real_footage(self, made: Callable[..., tuple[Any, ...]]) -> None:
        assert made(BUNNY) == (1280, 720, 132, 25.0, True)
        width, height, frames, rate, sound = made(CARPHONE)  # its pixels are not square
        assert (width, height, frames, sound) == (192, 144, 120, False)
        assert rate == pytest.approx(30_000 / 1001)

    def test_a_clip_that_lies_on_its_side(
        self, made: Callable[..., tuple[Any, ...]], tmp_path: Path
    ) -> None:
        upright = counting(tmp_path / "upright.mp4", size="96x64", frames=48)
        ffmpeg("-display_rotation", 90, "-i", upright, "-c", "copy", tmp_path / "phone.mp4")
        assert made(tmp_path / "phone.mp4") == (64, 96, 48, 24.0, False)

    def test_a_frame_that_is_to_be_extended(
        self, made: Callable[..., tuple[Any, ...]], tmp_path: Path
    ) -> None:
        clip = counting(tmp_path / "wide.mp4", size="96x64", frames=48, sound=tone(seconds=2))
        assert made(clip, targetAspectRatio="9:16") == (96, 170, 48, 24.0, True)


class TestMoney:
    def test_what_was_charged_is_in_the_books(self, tmp_path: Path) -> None:
        with running(tmp_path, QUICK) as url, client(url) as api:
            ids = [order(api), order(api, TEXT | {"duration": 10})]
            for id_ in ids:
                ended(api, id_)
            assert costs(api) == dict(zip(ids, (24, 120), strict=True))
            assert ledger(api)["spent"] == 144
            assert api.get("/v1/organization").json()["creditBalance"] == 100_000 - 144
            usage = api.post("/v1/organization/usage", json={}).json()
            assert usage["results"][-1]["usedCredits"] == [{"model": "gen4.5", "amount": 144}]

    def test_an_empty_account_orders_nothing(self, tmp_path: Path) -> None:
        with running(tmp_path, Rules(credits=30, latency=(30, 30))) as url, client(url) as api:
            order(api)
            answer = api.post("/v1/text_to_video", json=TEXT)
            assert answer.status_code == 400
            assert answer.json()["error"] == "You do not have enough credits to run this task."
            assert len(ledger(api)["tasks"]) == 1

    def test_deleting_refunds_only_what_has_not_begun(self, tmp_path: Path) -> None:
        with running(tmp_path, Rules(tier=1, latency=(30, 30))) as url, client(url) as api:
            pending, waiting = order(api), order(api)
            assert [task(api, i)["status"] for i in (pending, waiting)] == ["PENDING", "THROTTLED"]
            for id_ in (waiting, pending):
                assert api.delete(f"/v1/tasks/{id_}").status_code == 204
                assert api.get(f"/v1/tasks/{id_}").status_code == 404
                assert api.delete(f"/v1/tasks/{id_}").status_code == 404
            assert list(costs(api).values()) == [0, 0]

    def test_deleting_a_rolling_task_is_paid_for_and_frees_the_place(self, tmp_path: Path) -> None:
        rules = Rules(tier=1, latency=(0.5, 0.5), render="tiny")
        with running(tmp_path, rules) as url, client(url) as api:
            first, second = order(api), order(api)
            while task(api, first)["status"] != "RUNNING":
                time.sleep(0.01)
            assert api.delete(f"/v1/tasks/{first}").status_code == 204
            assert ended(api, second)["status"] == "SUCCEEDED"
            assert costs(api)[first] == 24

    def test_deleting_a_finished_task_destroys_its_output(self, api: httpx.Client) -> None:
        facts = ended(api, order(api))
        assert api.delete(f"/v1/tasks/{facts['id']}").status_code == 204
        assert fetch(facts["output"][0]).status_code == 404
        assert costs(api)[facts["id"]] == 24

    @pytest.mark.parametrize(
        "body",
        [
            {"startDate": "soon"},
            {"startDate": 3},
            {"from": "2026-01-01"},
            [],
            {"startDate": "2026-01-01", "beforeDate": "2026-06-01"},
            {"startDate": "2026-01-02", "beforeDate": "2026-01-01"},
        ],
    )
    def test_usage_is_asked_for_properly(self, api: httpx.Client, body: object) -> None:
        assert api.post("/v1/organization/usage", json=body).json()["issues"]


SERVER = """
import sys
from pathlib import Path
from secondunit.backlot import Rules, serve
if __name__ == "__main__":
    rules = Rules(tier=1, latency=(0.4, 0.4), render="tiny")
    serve(Path(sys.argv[1]), rules, ready=lambda url: print(url, flush=True))
"""


@contextmanager
def another_process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Serve from a process of its own, to be killed."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script), str(tmp_path / "home")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            with client(process.stdout.readline().strip()) as api:
                yield process, api
        finally:
            process.kill()


class TestEndings:
    def test_a_killed_server_goes_on_where_it_was(self, tmp_path: Path) -> None:
        with another_process(tmp_path) as (process, api):
            done, rolling, waiting = (order(api, TEXT | {"seed": n}) for n in range(3))
            ended(api, done)
            while task(api, rolling)["status"] != "RUNNING":
                time.sleep(0.01)
            process.kill()
            process.communicate(timeout=60)  # ends only when no worker is left holding the pipes
        with another_process(tmp_path) as (process, api):
            assert task(api, done)["status"] == "SUCCEEDED"
            assert fetch(task(api, done)["output"][0]).status_code == 200
            assert task(api, waiting)["status"] == "THROTTLED"
            assert [ended(api, i)["status"] for i in (rolling, waiting)] == ["SUCCEEDED"] * 2
            assert ledger(api)["spent"] == 72
            process.send_signal(signal.SIGINT)
            assert process.communicate() == ("", "")
            assert process.returncode == 0

    def test_an_open_task_survives_a_clean_end(self, tmp_path: Path) -> None:
        with running(tmp_path, SLOW) as url, client(url) as api:
            id_ = order(api)
        with running(tmp_path, QUICK) as url, client(url) as api:
            assert task(api, id_)["status"] in ("PENDING", "RUNNING")

    def test_nothing_is_left_running(self, tmp_path: Path) -> None:
        before = set(multiprocessing.active_children())
        with running(tmp_path, QUICK) as url, client(url) as api:
            ended(api, order(api))
            assert set(multiprocessing.active_children()) > before
        assert set(multiprocessing.active_children()) == before
        with pytest.raises(httpx.ConnectError):
            fetch(url)

    def test_a_dead_worker_is_replaced(self, tmp_path: Path) -> None:
        with running(tmp_path, QUICK) as url, client(url) as api:
            ended(api, order(api))
            for worker in multiprocessing.active_children():
                os.kill(worker.pid or 0, signal.SIGKILL)
            assert ended(api, order(api))["status"] == "SUCCEEDED"

    def test_nothing_is_printed(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        rules = Rules(latency=(0, 0), render="tiny")
        with running(tmp_path, rules) as url, client(url) as api:
            bad = footage(tmp_path / "a.mp4")[:600]
            ended(api, order(api, edit(data_uri(bad, "video/mp4")), "video_to_video"))
            ended(api, order(api))
        assert capfd.readouterr() == ("", "")

    def test_what_cannot_be_opened_is_said_in_a_sentence(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("x")
        with pytest.raises(DiskTrouble, match="file"), running(file / "home"):
            pass
        with running(tmp_path / "home") as url:
            with pytest.raises(Locked, match="Another backlot"), running(tmp_path / "home"):
                pass
            taken = running(tmp_path / "other", port=int(url.rpartition(":")[2]))
            with pytest.raises(UsageError, match="cannot listen"), taken:
                pass
        with running(tmp_path / "home"):
            pass

    def test_records_that_are_not_records(self, tmp_path: Path) -> None:
        (tmp_path / "book.sqlite").write_text(json.dumps({"not": "a database"}) * 100)
        with pytest.raises(DiskTrouble, match="cannot keep its books"), running(tmp_path):
            pass
