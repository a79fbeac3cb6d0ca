"""The backlot takes what Runway takes and refuses what it refuses."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lot import (
    QUICK,
    REAL_KEY,
    TEXT,
    client,
    clip_facts,
    data_uri,
    edit,
    ended,
    fetch,
    footage,
    image_order,
    ledger,
    order,
    picture,
)

from secondunit.backlot import Rules, parse_fault, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("backlot"), QUICK) as address:
        yield address


@pytest.fixture
def api(url: str) -> Iterator[httpx.Client]:
    with client(url) as http:
        yield http


class TestStrictness:
    @pytest.mark.parametrize(
        ("change", "where", "code"),
        [
            ({"watermark": False}, ["watermark"], "unrecognized_keys"),
            ({"prompt_text": "x"}, ["prompt_text"], "unrecognized_keys"),
            ({"ratio": "16:9"}, ["ratio"], "invalid_value"),
            ({"ratio": "1280:768"}, ["ratio"], "invalid_value"),
            ({"duration": "5"}, ["duration"], "invalid_type"),
            ({"duration": 11}, ["duration"], "too_big"),
            ({"promptText": ""}, ["promptText"], "too_small"),
            ({"promptText": "\N{FILM FRAMES}" * 501}, ["promptText"], "too_big"),
            ({"seed": -1}, ["seed"], "too_small"),
            ({"seed": 2**32}, ["seed"], "too_big"),
            ({"seed": True}, ["seed"], "invalid_type"),
            ({"model": 7}, ["model"], "invalid_type"),
        ],
    )
    def test_a_wrong_field_is_refused_by_its_path(
        self, api: httpx.Client, change: dict[str, Any], where: list[str], code: str
    ) -> None:
        before = ledger(api)["spent"]
        answer = api.post("/v1/text_to_video", json=TEXT | change)
        assert answer.status_code == 400
        assert answer.json().keys() == {"error", "issues", "docUrl"}
        found = [(issue["path"], issue["code"]) for issue in answer.json()["issues"]]
        assert found == [(where, code)]
        assert all(issue["message"] for issue in answer.json()["issues"])
        assert ledger(api)["spent"] == before

    def test_a_missing_field_is_refused(self, api: httpx.Client) -> None:
        answer = api.post("/v1/text_to_video", json={"model": "gen4.5"})
        assert {issue["path"][0] for issue in answer.json()["issues"]} == {
            "promptText",
            "ratio",
            "duration",
        }

    @pytest.mark.parametrize("model", ["gen4_aleph", "gen3a_turbo", "gen9", "aleph2"])
    def test_a_model_that_is_not_there_is_forbidden(self, api: httpx.Client, model: str) -> None:
        answer = api.post("/v1/text_to_video", json=TEXT | {"model": model})
        assert answer.status_code == 403
        assert answer.json() == {"error": f"Model variant {model} is not available"}

    @pytest.mark.covers("S17")
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"authorization": ""}, 401),
            ({"authorization": "Basic backlot"}, 401),
            ({"authorization": "Bearer"}, 401),
            ({"authorization": f"Bearer {REAL_KEY}"}, 401),
            ({"authorization": "Bearer anything"}, 200),
            ({"authorization": "Bearer key_" + "0" * 128}, 200),
            ({"x-runway-version": ""}, 400),
            ({"x-runway-version": "2024-09-13"}, 400),
            ({"host": "evil.test"}, 403),
            ({"origin": "https://evil.test"}, 403),
            ({"origin": "null"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "none"}, 200),
        ],
    )
    def test_who_comes_in(self, url: str, headers: dict[str, str], status: int) -> None:
        with client(url, **headers) as http:
            answer = http.get("/v1/organization")
        assert answer.status_code == status
        assert status == 200 or answer.json()["error"]

    @pytest.mark.covers("S17")
    def test_a_real_key_is_sent_home_and_never_written_down(self, tmp_path: Path) -> None:
        with (
            running(tmp_path, QUICK) as url,
            client(url, authorization=f"Bearer {REAL_KEY}") as api,
        ):
            assert "keep your real key" in api.get("/v1/organization").json()["error"]
        assert not [
            f for f in tmp_path.rglob("*") if f.is_file() and REAL_KEY in f.read_text("latin-1")
        ]

    def test_keys_may_be_named(self, tmp_path: Path) -> None:
        with running(tmp_path, Rules(keys=(REAL_KEY, "mine"))) as url:
            for key, status in {REAL_KEY: 200, "mine": 200, "backlot-1": 200, "yours": 401}.items():
                with client(url, authorization=f"Bearer {key}") as api:
                    assert api.get("/v1/organization").status_code == status

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/v1/text_to_video", 405),
            ("PUT", "/v1/organization", 405),
            ("POST", "/v1/video_upscale", 404),
            ("GET", "/", 404),
            ("GET", "/v1/tasks/nonsense", 404),
            ("DELETE", "/v1/tasks/9b0a1bd2-53b6-4a3c-9a0c-7c1f2f6a0f0e", 404),
            ("GET", "/outputs/x/0.mp4", 403),
            ("GET", "/outputs/../book.sqlite", 404),
        ],
    )
    def test_what_is_not_there(
        self, api: httpx.Client, method: str, path: str, status: int
    ) -> None:
        answer = api.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"model=gen4.5", b"\xff\xfe", b'{"seed": NaN}', b'"\\ud800"', b"[" * 100_000],
    )
    def test_a_body_that_is_not_json(self, api: httpx.Client, body: bytes) -> None:
        answer = api.post("/v1/text_to_video", content=body)
        assert answer.status_code == 400
        assert "not valid JSON" in answer.json()["error"]

    def test_a_body_that_is_too_large(self, api: httpx.Client) -> None:
        assert api.post("/v1/text_to_video", content=b" " * 65 * 2**20).status_code == 413

    def test_only_loopback_is_listened_on(self, url: str) -> None:
        port = int(url.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", port))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
BODIES = {
    "text_to_video": TEXT,
    "image_to_video": image_order("https://pictures.invalid/a.png", promptText="x", seed=1),
    "video_to_video": edit("runway://nobody-knows-this", keyframes=[], targetAspectRatio="1:1"),
    "text_to_image": {"model": "gen4_image", "promptText": "x", "ratio": "1280:720"},
    "character_performance": {"model": "act_two", "character": {}, "reference": {}},
    "uploads": {"filename": "a.png", "type": "ephemeral"},
    "organization/usage": {"startDate": "2026-01-01", "beforeDate": "2026-01-03"},
}


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A backlot that takes orders and never starts on them."""
    rules = Rules(faults=(parse_fault("POST /v1/*=stuck"),), credits=10**9)
    with running(tmp_path_factory.mktemp("idle"), rules) as url, client(url) as http:
        yield http


@given(data=st.data(), path=st.sampled_from(sorted(BODIES)))
def test_no_body_breaks_it(idle: httpx.Client, data: st.DataObject, path: str) -> None:
    body: Any = data.draw(JSON)
    if data.draw(st.booleans()):
        body = BODIES[path] | {data.draw(st.sampled_from([*BODIES[path], "x"])): body}
    answer = idle.post(f"/v1/{path}", content=json.dumps(body))
    assert answer.status_code in (200, 400, 403), answer.text
    assert answer.status_code == 200 or answer.json()["error"]


class TestInputs:
    @pytest.mark.parametrize(("kind", "mime"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")])
    def test_pictures_are_taken(self, api: httpx.Client, kind: str, mime: str) -> None:
        uri = data_uri(picture(kind=kind), f"image/{mime}")
        assert ended(api, order(api, image_order(uri), "image_to_video"))["status"] == "SUCCEEDED"

    def test_base64_that_cannot_be_decoded_is_refused(self, api: httpx.Client) -> None:
        answer = api.post("/v1/image_to_video", json=image_order("data:image/png;base64,a%%b"))
        assert answer.status_code == 400
        assert answer.json()["issues"][0]["path"] == ["promptImage"]

    @pytest.mark.parametrize(
        "data", [b"GIF89a" + bytes(40), picture()[:200], picture(300, 40), b"<html>", b"#EXTM3U\n"]
    )
    def test_a_bad_picture_fails_the_task_and_is_free(self, api: httpx.Client, data: bytes) -> None:
        facts = ended(api, order(api, image_order(data_uri(data)), "image_to_video"))
        assert facts["failureCode"] == "ASSET.INVALID"
        assert facts["failure"].startswith("promptImage: ")
        assert facts["cost"] == {"credits": 0}

    def test_a_bad_source_fails_the_task(self, api: httpx.Client, tmp_path: Path) -> None:
        bad = {
            "playlist": b"#EXTM3U\nhttp://127.0.0.1:9/x.ts\n",
            "cut off": footage(tmp_path / "a.mp4")[:600],
            "too short": footage(tmp_path / "b.mp4", 1.0),
            "too wide": footage(tmp_path / "c.mp4", size=(256, 64)),
            "too fast": footage(tmp_path / "d.mp4", fps=60),
        }
        for name, data in bad.items():
            id_ = order(api, edit(data_uri(data, "video/mp4")), "video_to_video")
            assert ended(api, id_).get("failureCode") == "ASSET.INVALID", name

    def test_an_edit_keeps_length_size_and_rate(self, api: httpx.Client, tmp_path: Path) -> None:
        source = footage(tmp_path / "a.mp4", 2.5, (64, 48), fps=30)
        facts = ended(api, order(api, edit(data_uri(source, "video/mp4")), "video_to_video"))
        assert facts["cost"] == {"credits": 28 * 3}
        assert clip_facts(fetch(facts["output"][0]).content) == (64, 48, 75, 30.0)

    def test_a_finished_output_is_an_input(self, api: httpx.Client) -> None:
        link = ended(api, order(api))["output"][0]
        facts = ended(api, order(api, edit(link), "video_to_video"))
        assert facts["status"] == "SUCCEEDED"
        spoiled = api.post("/v1/video_to_video", json=edit(link + "x"))
        assert (spoiled.status_code, spoiled.json()["issues"][0]["path"]) == (400, ["videoUri"])

    def test_a_foreign_link_is_never_followed(self, api: httpx.Client) -> None:
        foreign = "https://pictures.invalid/door.png"
        facts = ended(api, order(api, image_order(foreign), "image_to_video"))
        assert facts["status"] == "SUCCEEDED"

    def test_uploads(self, api: httpx.Client, url: str) -> None:
        slot = api.post("/v1/uploads", json={"filename": "a.png", "type": "ephemeral"}).json()
        body = image_order(slot["runwayUri"])
        assert api.post("/v1/image_to_video", json=body).status_code == 400
        data = picture(512, 512)

        def send(data: bytes, **fields: str) -> int:
            form = {**slot["fields"], **fields}
            return httpx.post(
                slot["uploadUrl"], data=form, files={"file": ("a.png", data)}
            ).status_code

        assert send(data, policy="made up") == 403
        assert send(b"x" * 511) == 400
        assert send(data) == 204
        assert send(data) == 403
        assert ended(api, order(api, body, "image_to_video"))["status"] == "SUCCEEDED"
        assert (
            api.post("/v1/image_to_video", json=image_order("runway://nobody")).status_code == 400
        )

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"filename": "a.png"},
            {"filename": "", "type": "ephemeral"},
            {"filename": "a.png", "type": "ephemeral", "size": 3},
            [],
        ],
    )
    def test_an_upload_is_asked_for_properly(self, api: httpx.Client, body: object) -> None:
        assert api.post("/v1/uploads", json=body).json()["issues"]


def test_naming_the_backlot_loads_no_server() -> None:
    code = "import sys, secondunit.backlot; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    heavy = {"starlette", "uvicorn", "asyncio", "sqlite3", "av", "numpy", "PIL", "pydantic"}
    assert heavy & set(loaded.stdout.split()) == set()
