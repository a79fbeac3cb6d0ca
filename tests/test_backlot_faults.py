"""Every fault that can be asked of the backlot happens, on the wire and in the books."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lot import HEADERS, client, ended, fetch

from secondunit.backlot import Fault, Rules, parse_fault, running
from secondunit.backlot.faults import KINDS, Plan
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CREATE = "/v1/text_to_video"
BODY = {"model": "gen4.5", "promptText": "A door opens.", "ratio": "1280:720", "duration": 2}

NEEDED = {"after": "502", "slow": "0.5", "drip": "2", "odd": "WEIRD,3", "many": "2", "price": "2"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("backlot"), Rules(latency=(0, 0), render="tiny")) as url:
        yield url


@pytest.fixture
def api(url: str) -> Iterator[httpx.Client]:
    with client(url) as http:
        http.delete("/backlot/faults")
        yield http


@pytest.fixture(scope="module")
def clip(url: str) -> tuple[str, bytes]:
    """A link to a finished clip, and the clip."""
    with client(url) as http:
        http.delete("/backlot/faults")
        link = output(http)
        return link, fetch(link).content


def arm(api: httpx.Client, *faults: str) -> None:
    assert api.post("/backlot/faults", json={"faults": faults}).status_code == 200


def order(api: httpx.Client, **more: Any) -> str:
    answer = api.post(CREATE, json=BODY | more)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def spent(api: httpx.Client) -> int:
    return int(api.get("/backlot/ledger").json()["spent"])


@contextmanager
def charging(api: httpx.Client, price: int) -> Iterator[None]:
    before = spent(api)
    yield
    assert spent(api) - before == price


def raw(url: str, method: str, path: str, body: bytes = b"") -> bytes:
    """Send one request on a socket of its own and return every byte that comes back."""
    host = url.removeprefix("http://")
    head = {"host": host, "content-length": str(len(body)), "connection": "close", **HEADERS}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=20) as wire:
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        return b"".join(iter(lambda: wire.recv(65536), b""))


def raw_order(url: str) -> bytes:
    return raw(url, "POST", CREATE, json.dumps(BODY).encode())


def output(api: httpx.Client) -> str:
    """Make a clip and return its link, with no fault armed."""
    return str(ended(api, order(api))["output"][0])


class TestLanguage:
    @pytest.mark.parametrize(
        "text",
        [
            "POST /v1/image_to_video#2=drop",
            "POST /v1/*@aleph2=fail:SAFETY.INPUT.TEXT",
            "GET /v1/tasks/*%0.3=503",
            "GET /outputs/*#1-2=cut:unsized",
            "POST /v1/text_to_video@gen4.5#3+=429:7",
            "* /v1/*=reset",
            "POST /v1/uploads=307:http://127.0.0.1:9/x y=z",
            "GET /outputs/*=playlist:http://127.0.0.1:9/a.ts",
        ],
    )
    def test_a_fault_reads_back_as_it_was_written(self, text: str) -> None:
        assert str(parse_fault(text)) == text

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "is not a fault"),
            ("drop", "is not a fault"),
            ("post /v1/x=drop", "is not a fault"),
            ("POST /v1/x#0=drop", "is not a fault"),
            ("POST /v1/x=dorp", "there is no fault `dorp`"),
            ("POST /v1/x=200", "is not a fault"),
            ("POST /v1/x=drop:now", "does not take `now`"),
            ("POST /v1/x=after:200", "does not take `200`"),
            ("POST /v1/x=slow", "does not take ``"),
            ("POST /v1/x#3-2=drop", "ends before it begins"),
            ("POST /v1/x%0=drop", "a chance lies"),
            ("POST /v1/x%1.5=drop", "a chance lies"),
        ],
    )
    def test_what_is_not_a_fault_is_explained(self, text: str, says: str) -> None:
        with pytest.raises(UsageError, match=says):
            parse_fault(text)

    @given(st.text(max_size=60))
    def test_any_text_is_a_fault_or_a_usage_error(self, text: str) -> None:
        try:
            fault = parse_fault(text)
        except UsageError:
            return
        assert parse_fault(str(fault)) == fault

    @given(
        kind=st.sampled_from([*KINDS, "503"]),
        first=st.integers(1, 9),
        more=st.none() | st.integers(0, 9),
        model=st.sampled_from(["", "gen4.5"]),
    )
    def test_str_and_parse_are_inverse(
        self, kind: str, first: int, more: int | None, model: str
    ) -> None:
        last = None if more is None else first + more
        fault = Fault("GET", "/v1/*", kind, NEEDED.get(kind, ""), model, first, last)
        assert parse_fault(str(fault)) == fault

    def test_which_requests_are_hit(self) -> None:
        plan = Plan(map(parse_fault, ["GET /a#2-3=500", "* /a@m=502", "GET /*%0.5=503"]), seed=7)
        hits = [[f.kind for f in plan.strike("GET", "/a")] for _ in range(400)]
        assert [n for n, kinds in enumerate(hits, 1) if "500" in kinds] == [2, 3]
        assert not [kinds for kinds in hits if "502" in kinds]
        assert 150 < sum("503" in kinds for kinds in hits) < 250
        assert [f.kind for f in plan.strike("POST", "/a", "m")] == ["502"]

    def test_chance_repeats_with_its_seed(self) -> None:
        def hits(seed: int) -> list[bool]:
            plan = Plan([parse_fault("GET /*%0.5=503")], seed)
            return [bool(plan.strike("GET", "/x")) for _ in range(64)]

        assert hits(1) == hits(1) != hits(2)

    def test_faults_are_armed_listed_and_cleared(self, api: httpx.Client) -> None:
        arm(api, "GET /v1/organization#1=503")
        assert api.get("/backlot/faults").json() == {"faults": ["GET /v1/organization#1=503"]}
        assert [api.get("/v1/organization").status_code for _ in range(2)] == [503, 200]
        assert api.delete("/backlot/faults").json() == {"faults": []}
        for wrong in ({"faults": ["drop"]}, {"faults": "drop"}, []):
            assert api.post("/backlot/faults", json=wrong).status_code == 400


class TestBeforeAnythingIsDone:
    @pytest.mark.parametrize("status", [401, 429, 500, 502, 503, 504])
    def test_a_status_instead_of_an_order(self, api: httpx.Client, status: int) -> None:
        arm(api, f"POST {CREATE}#1={status}:7")
        with charging(api, 0):
            answer = api.post(CREATE, json=BODY)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
        assert answer.json()["error"]
        with charging(api, 24):
            order(api)

    def test_a_redirect(self, api: httpx.Client) -> None:
        arm(api, f"POST {CREATE}=307:http://127.0.0.1:9/elsewhere")
        answer = api.post(CREATE, json=BODY)
        assert (answer.status_code, answer.headers["location"]) == (
            307,
            "http://127.0.0.1:9/elsewhere",
        )

    def test_an_empty_account(self, api: httpx.Client) -> None:
        arm(api, f"POST {CREATE}=broke")
        with charging(api, 0):
            answer = api.post(CREATE, json=BODY)
        assert answer.status_code == 400
        assert answer.json()["error"] == "You do not have enough credits to run this task."

    def test_a_connection_that_closes_before(self, api: httpx.Client, url: str) -> None:
        arm(api, f"POST {CREATE}=hangup")
        with charging(api, 0):
            assert raw_order(url) == b""

    def test_an_expired_link(self, api: httpx.Client) -> None:
        link = output(api)
        arm(api, "GET /outputs/*#1=expired")
        assert [fetch(link).status_code for _ in range(2)] == [403, 200]

    def test_only_the_named_model_is_hit(self, api: httpx.Client) -> None:
        arm(api, f"POST {CREATE}@veo3.1=503")
        order(api)
        veo = {"model": "veo3.1", "promptText": "A door.", "ratio": "1280:720"}
        assert api.post(CREATE, json=veo).status_code == 503


class TestAfterAcceptingAndCharging:
    def test_a_lost_answer(self, api: httpx.Client, url: str) -> None:
        arm(api, f"POST {CREATE}=drop")
        with charging(api, 24):
            assert raw_order(url) == b""

    def test_a_reset_connection(self, api: httpx.Client, url: str) -> None:
        arm(api, f"POST {CREATE}=reset")
        with charging(api, 24), pytest.raises(ConnectionResetError):
            raw_order(url)

    @pytest.mark.parametrize(("fault", "declared"), [("cut", True), ("cut:unsized", False)])
    def test_an_answer_that_breaks_off(
        self, api: httpx.Client, url: str, fault: str, *, declared: bool
    ) -> None:
        arm(api, f"POST {CREATE}={fault}")
        with charging(api, 24):
            head, _, body = raw_order(url).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert (b"content-length: 76" in head.lower()) is declared
        assert body.startswith(b'{"id":')
        assert len(body) == 38
        assert b"transfer-encoding" not in head.lower()

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_an_error_for_an_order_that_was_taken(self, api: httpx.Client, status: int) -> None:
        arm(api, f"POST {CREATE}=after:{status}")
        with charging(api, 24):
            assert api.post(CREATE, json=BODY).status_code == status

    @pytest.mark.parametrize(("fault", "starts"), [("html", b"<!doctype"), ("empty", b"")])
    def test_an_answer_that_is_not_json(self, api: httpx.Client, fault: str, starts: bytes) -> None:
        arm(api, f"POST {CREATE}={fault}")
        with charging(api, 24):
            answer = api.post(CREATE, json=BODY)
        assert (answer.status_code, answer.content[:9]) == (200, starts)

    def test_a_slow_answer(self, api: httpx.Client) -> None:
        arm(api, f"POST {CREATE}=slow:30")
        with charging(api, 24), pytest.raises(httpx.ReadTimeout):
            api.post(CREATE, json=BODY, timeout=0.3)

    def test_an_answer_by_drops(self, api: httpx.Client) -> None:
        arm(api, "GET /v1/organization=drip:1.5")
        began = time.monotonic()
        assert api.get("/v1/organization", timeout=1).json()["tier"]
        assert time.monotonic() - began > 1.2

    def test_the_books_say_what_struck(self, api: httpx.Client) -> None:
        arm(api, "GET /v1/organization=after:502")
        api.get("/v1/organization")
        lines = api.get("/backlot/ledger").json()["requests"]
        (line,) = (line for line in lines if line["fault"] == "GET /v1/organization=after:502")
        assert (line["path"], line["status"], line["count"]) == ("/v1/organization", 502, 1)


class TestTheTasksFate:
    def fated(self, api: httpx.Client, fate: str) -> str:
        arm(api, f"POST {CREATE}#1={fate}")
        return order(api)

    @pytest.mark.parametrize(
        ("fate", "code", "cost"),
        [
            ("fail:SAFETY.INPUT.TEXT", "SAFETY.INPUT.TEXT", 24),
            ("fail:INTERNAL.BAD_OUTPUT.CODE01,0", "INTERNAL.BAD_OUTPUT.CODE01", 0),
            ("fail:INTERNAL,5", "INTERNAL", 5),
            ("fail", None, 24),
        ],
    )
    def test_failing(self, api: httpx.Client, fate: str, code: str | None, cost: int) -> None:
        with charging(api, cost):
            facts = ended(api, self.fated(api, fate))
        assert (facts["status"], facts.get("failureCode")) == ("FAILED", code)
        assert ("failureCode" in facts) is (code is not None)
        assert facts["failure"]
        assert facts["cost"] == {"credits": cost}

    def test_being_cancelled_by_somebody_else(self, api: httpx.Client) -> None:
        facts = ended(api, self.fated(api, "cancelled"))
        assert facts.keys() == {"id", "status", "createdAt", "cost"}
        assert facts["cost"] == {"credits": 0}

    def test_waiting_for_ever(self, api: httpx.Client) -> None:
        stuck, later = self.fated(api, "stuck"), order(api)
        assert ended(api, later)["status"] == "SUCCEEDED"
        assert api.get(f"/v1/tasks/{stuck}").json()["status"] == "THROTTLED"
        api.delete(f"/v1/tasks/{stuck}")

    def test_waiting_for_a_while(self, api: httpx.Client) -> None:
        id_ = self.fated(api, "stuck:0.3")
        assert api.get(f"/v1/tasks/{id_}").json()["status"] == "THROTTLED"
        assert ended(api, id_)["status"] == "SUCCEEDED"

    def test_being_unknown_at_first(self, api: httpx.Client) -> None:
        id_ = self.fated(api, "lost:3")
        assert [api.get(f"/v1/tasks/{id_}").status_code for _ in range(4)] == [404, 404, 404, 200]

    def test_being_lost(self, api: httpx.Client) -> None:
        id_ = self.fated(api, "lost")
        assert {api.get(f"/v1/tasks/{id_}").status_code for _ in range(9)} == {404}

    def test_a_status_nobody_knows(self, api: httpx.Client) -> None:
        id_ = self.fated(api, "odd:WEIRD,2")
        assert [api.get(f"/v1/tasks/{id_}").json()["status"] for _ in range(2)] == ["WEIRD"] * 2
        assert ended(api, id_)["status"] == "SUCCEEDED"

    def test_succeeding_with_nothing(self, api: httpx.Client) -> None:
        id_ = self.fated(api, "hollow:2")
        assert [ended(api, id_)["output"] for _ in range(2)] == [[], []]
        assert len(ended(api, id_)["output"]) == 1

    def test_several_outputs(self, api: httpx.Client) -> None:
        links = ended(api, self.fated(api, "many:3"))["output"]
        assert [fetch(link, "HEAD").status_code for link in links] == [200] * 3

    def test_costing_double(self, api: httpx.Client) -> None:
        arm(api, f"POST {CREATE}=price:2")
        with charging(api, 48):
            answer = api.post(CREATE, json=BODY)
        assert answer.json()["estimatedCost"] == {"credits": 48}
        assert ended(api, answer.json()["id"])["cost"] == {"credits": 48}

    def test_a_fate_outlives_the_server(self, tmp_path: Path) -> None:
        rules = Rules(latency=(0, 0), faults=(parse_fault(f"POST {CREATE}=fail:INTERNAL,3"),))
        with running(tmp_path, rules) as url, client(url) as api:
            arm(api, f"POST {CREATE}=stuck:0.5")
            id_ = order(api)
        with running(tmp_path) as url, client(url) as api:
            assert ended(api, id_)["cost"] == {"credits": 3}


class TestDownloads:
    @pytest.mark.parametrize("fault", ["drop", "reset", "cut"])
    def test_breaking_off(self, api: httpx.Client, clip: tuple[str, bytes], fault: str) -> None:
        arm(api, f"GET /outputs/*#1={fault}")
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            fetch(clip[0])
        assert fetch(clip[0]).content == clip[1]

    @pytest.mark.parametrize("fault", ["short", "cut:unsized"])
    def test_half_a_file_that_looks_whole(
        self, api: httpx.Client, clip: tuple[str, bytes], fault: str
    ) -> None:
        arm(api, f"GET /outputs/*#1={fault}")
        answer = fetch(clip[0])
        assert (answer.status_code, answer.content) == (200, clip[1][: len(clip[1]) // 2])

    @pytest.mark.parametrize(
        ("fault", "starts"),
        [
            ("html", b"<!doctype"),
            ("empty", b""),
            ("other", b"GIF89a"),
            ("playlist:http://127.0.0.1:9/a.ts", b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts"),
        ],
    )
    def test_another_file(
        self, api: httpx.Client, clip: tuple[str, bytes], fault: str, starts: bytes
    ) -> None:
        arm(api, f"GET /outputs/*#1={fault}")
        answer = fetch(clip[0])
        assert answer.status_code == 200
        assert answer.content[: max(1, len(starts))] == starts
        assert int(answer.headers["content-length"]) == len(answer.content)

    def test_flipped_bits(self, api: httpx.Client, clip: tuple[str, bytes]) -> None:
        arm(api, "GET /outputs/*#1=flip:20")
        spoiled = fetch(clip[0]).content
        assert len(spoiled) == len(clip[1])
        assert 1 <= sum(a != b for a, b in zip(spoiled, clip[1], strict=True)) <= 20
