"""Runway's wire format against sockets that misbehave: what counts as ordered, doubtful, refused."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict import DROP, RESET, Reply, Strict, listening

from secondunit import catalog
from secondunit.errors import ShotError, Spoiled, Unreachable, UsageError
from secondunit.gateways import answers, download, wire
from secondunit.gateways.wire import Credentials, WireGateway, check_base_url
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Outcome, Progress, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

KEY = "key_" + "0f1e2d3c4b5a6978" * 8
ORDER = {"model": "gen4.5", "promptText": "A door opens.", "ratio": "1280:720", "duration": 2}


@pytest.fixture
def strict() -> Iterator[Strict]:
    with listening(lambda *_: b"\0" * 1000) as strict:
        strict.key = KEY
        yield strict


@contextmanager
def at(url: str) -> Iterator[WireGateway]:
    gateway = WireGateway(catalog.load().gateways["runway"], Credentials(url, KEY))
    yield gateway
    asyncio.run(gateway.close())


@pytest.fixture
def gateway(strict: Strict) -> Iterator[WireGateway]:
    with at(strict.url) as gateway:
        yield gateway


def ask(question: Callable[[WireGateway], Coroutine[Any, Any, Any]], strict: Strict) -> Any:
    """Ask in a loop of its own, with a gateway of its own."""

    async def asked() -> Any:
        gateway = WireGateway(catalog.load().gateways["runway"], Credentials(strict.url, KEY))
        try:
            return await question(gateway)
        finally:
            await gateway.close()

    return asyncio.run(asked())


def raw(head: str, body: bytes = b"") -> Reply:
    return Reply(raw=f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body, taken=True)


def ok(body: bytes) -> Reply:
    return Reply(200, body, taken=True)


# --- what becomes of an order -------------------------------------------------------------------

REFUSED = (400, 401, 402, 403, 404, 405, 413, 415, 422)
UNCERTAIN = (
    300,
    301,
    302,
    307,
    308,
    408,
    409,
    410,
    418,
    425,
    499,
    500,
    501,
    502,
    503,
    504,
    520,
    524,
)


@pytest.mark.parametrize("status", REFUSED)
def test_a_definite_refusal_is_no_order(gateway: WireGateway, strict: Strict, status: int) -> None:
    strict.script("text_to_video", Reply(status, b'{"error":"No, because."}'))
    said = gateway.create("text_to_video", ORDER, shot="s")
    assert said == Rejected("No, because", status, money=status == 402)


@pytest.mark.covers("C11", "C15")
@pytest.mark.parametrize("status", UNCERTAIN)
def test_any_other_status_leaves_doubt(gateway: WireGateway, strict: Strict, status: int) -> None:
    """Runway stands behind a proxy: a 502 may have been charged."""
    elsewhere = {"Location": f"{strict.files}/elsewhere"}
    strict.script("text_to_video", Reply(status, b"<html>Bad</html>", elsewhere, taken=True))
    assert isinstance(gateway.create("text_to_video", ORDER, shot="s"), Doubtful)
    assert strict.requests == ["POST text_to_video"]


LOST = {
    "closed": DROP,
    "reset": RESET,
    "half a header": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le", taken=True),
    "half a body": raw("Content-Length: 400", b'{"id":"{ticket}"}'),
    "half a chunk": raw("Transfer-Encoding: chunked", b'ff\r\n{"id":"{ticket}"}'),
    "half a body of unknown length": raw("Connection: close", b'{"id":"{tick'),
    "garbage": Reply(raw=b"\x15\x03\x01\0\2\2\n", taken=True),
    "bad gzip": raw("Content-Length: 2\r\nContent-Encoding: gzip", b"{}"),
    "a page": ok(b"<!doctype html><title>Sign in to the network</title>"),
    "nothing": ok(b""),
    "no content": Reply(204, b"", taken=True),
    "no object": ok(b'["{ticket}"]'),
    "text": ok(b'"{ticket}"'),
    "no id": ok(b'{"estimatedCost":{"credits":24}}'),
    "null": ok(b'{"id":null}'),
    "a number": ok(b'{"id":7}'),
    "blank": ok(b'{"id":"  "}'),
    "half a character": ok(rb'{"id":"\ud800"}'),
    "a control": ok(rb'{"id":"a\u0000b"}'),
    "far too long": ok(json.dumps({"id": "x" * 201}).encode()),
    "too deep": ok(b"[" * 100_000),
    "not UTF-8": ok(b'{"id":"\xff"}'),
    "endless": raw("Connection: close", b" " * (9 << 20)),
}


@pytest.mark.covers("C2", "C3", "C4", "C13")
@pytest.mark.parametrize("how", LOST)
def test_an_order_without_a_ticket_is_in_doubt_and_posted_once(
    gateway: WireGateway, strict: Strict, how: str
) -> None:
    strict.script("text_to_video", LOST[how])
    assert isinstance(gateway.create("text_to_video", ORDER, shot="s"), Doubtful)
    assert strict.requests == ["POST text_to_video"]


@pytest.mark.parametrize(
    ("body", "ordered"),
    [
        (b'{"id":"a-b"}', Ordered("a-b")),
        (b'{"id":" odd / ?\xc3\xa9","x":[1]}', Ordered(" odd / ?é")),
        (b'{"id":"a","estimatedCost":{"credits":24}}', Ordered("a", 24)),
        (b'{"id":"a","estimatedCost":{"credits":24.2}}', Ordered("a", 25)),
        (b'{"id":"a","estimatedCost":{"credits":-1}}', Ordered("a")),
        (b'{"id":"a","estimatedCost":{"credits":"24"}}', Ordered("a")),
        (b'{"id":"a","estimatedCost":{"credits":true}}', Ordered("a")),
        (b'{"id":"a","estimatedCost":{"credits":1e999}}', Ordered("a")),
        (b'{"id":"a","estimatedCost":7}', Ordered("a")),
    ],
)
def test_any_text_is_a_ticket_whatever_else_is_odd(body: bytes, ordered: Outcome) -> None:
    assert answers.outcome(200, body, {}) == ordered


def test_nothing_is_sent_to_a_closed_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with at(f"http://127.0.0.1:{port}") as gateway:
        said = gateway.create("text_to_video", ORDER, shot="s")
    assert said == NotSent(f"http://127.0.0.1:{port} cannot be reached (connection refused)")


@pytest.mark.covers("C5")
def test_an_answer_that_does_not_come_leaves_doubt(
    gateway: WireGateway, strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway._lane, "timeout", httpx.Timeout(0.2))
    strict.script("text_to_video", Reply(taken=True, pause=0.6))
    said = gateway.create("text_to_video", ORDER, shot="s")
    assert said == Doubtful("the connection broke before an answer came: timed out")


@pytest.mark.covers("C5")
@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n{"])
def test_an_answer_of_one_byte_a_minute_does_not_hold_the_lane_for_ever(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CREATE_LIMIT", 0.4)
    with dripping(begun) as url, at(url) as gateway:
        assert isinstance(gateway.create("text_to_video", ORDER, shot="s"), Doubtful)


def test_a_question_answered_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "READ_LIMIT", 0.3)
    with dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ") as url, pytest.raises(Unreachable):
        asyncio.run(WireGateway(catalog.load().gateways["runway"], Credentials(url, KEY)).poll("t"))


@contextmanager
def dripping(begun: bytes) -> Iterator[str]:
    """Listen, begin an answer, and go on with a byte at a time until the block ends."""
    over = threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(begun)
            while not over.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


@pytest.mark.covers("C7")
def test_a_large_order_that_is_cut_off_while_it_is_sent_is_in_doubt() -> None:
    def hang_up() -> None:
        server.accept()[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, daemon=True).start()
        with at(f"http://127.0.0.1:{server.getsockname()[1]}") as gateway:
            large = ORDER | {"promptImage": "x" * (5 << 20)}
            assert isinstance(gateway.create("image_to_video", large, shot="s"), Doubtful)


@pytest.mark.covers("C6")
def test_each_order_has_a_connection_of_its_own(gateway: WireGateway, strict: Strict) -> None:
    """A kept connection that the other side has just closed would leave an order in doubt."""
    strict.script("text_to_video", raw("Content-Length: 12", b'{"id":"abc"}'))
    for _ in range(3):
        assert isinstance(gateway.create("text_to_video", ORDER, shot="s"), Ordered)
    assert len(set(strict.lines)) == 3


@pytest.mark.covers("C8")
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7), ("0", 0), (" 3 ", 3), ("2.5", 2.5), ("1e9", 900), ("901", 900), ("-1", None),
        ("nan", None), ("inf", None), ("-inf", None), ("", None), ("soon", None), ("1e999", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 900), ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun Nov  6 08:49:37 1994", 0), ("Sun, 31 Feb 2027 08:00:00 GMT", None),
    ],
)  # fmt: skip
def test_too_many_at_once_is_told_with_the_wait_that_is_believed(
    gateway: WireGateway, strict: Strict, said: str, seconds: float | None
) -> None:
    strict.script("text_to_video", Reply(429, b'{"error":"Slow down."}', {"Retry-After": said}))
    reason = "too many at once: Slow down"
    assert gateway.create("text_to_video", ORDER, shot="s") == NotSent(reason, True, seconds)


NO_MONEY = (
    (400, {"error": "You do not have enough credits to run this task."}),
    (402, {"error": "Payment required."}),
    (403, {"error": {"message": "user quota is not enough (request id: 1)", "param": "",
                     "type": "comet_api_error", "code": "insufficient_user_quota"}}),
    (403, {"error": {"message": "User's credit limit is insufficient, remaining: $0.00"}}),
    (403, {"code": "pre_consume_token_quota_failed", "message": "token quota is not enough"}),
    (403, {"code": "insufficient_user_quota", "message": "用户额度不足", "data": None}),
    (400, {"code": "quota_not_enough", "message": "", "data": None}),
    (429, {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}}),
    (429, {"error": "Insufficient credits for this daily job."}),
    (401, {"error": {"message": "Insufficient balance."}}),
)  # fmt: skip


@pytest.mark.parametrize(("status", "body"), NO_MONEY)
def test_empty_accounts_are_recognised(status: int, body: Any) -> None:
    said = answers.outcome(status, json.dumps(body).encode(), {"retry-after": "1"})
    assert isinstance(said, Rejected)
    assert said.money
    assert not said.daily


ENOUGH_MONEY = (
    (403, {"error": "Model variant gen9 is not available"}),
    (400, {"error": {"message": "promptText is required", "code": "invalid_request"}}),
    (403, {"code": "reference_images_empty", "message": "referenceImages is required"}),
    (401, {"error": {"message": "invalid token", "type": "comet_api_error", "code": ""}}),
)


@pytest.mark.parametrize(("status", "body"), ENOUGH_MONEY)
def test_other_refusals_are_not_taken_for_an_empty_account(status: int, body: Any) -> None:
    said = answers.outcome(status, json.dumps(body).encode(), {})
    assert isinstance(said, Rejected)
    assert not said.money


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_empty_account_behind_a_broken_gateway_stays_doubt(status: int) -> None:
    body = b'{"error":{"code":"insufficient_user_quota"}}'
    assert isinstance(answers.outcome(status, body, {}), Doubtful)


@pytest.mark.parametrize(
    "words", ["Daily generation limit reached.", "200 generations per day", "limit of 24 hours"]
)
def test_the_limit_of_a_day_is_not_tried_again_in_a_minute(words: str) -> None:
    body = json.dumps({"error": words}).encode()
    said = answers.outcome(429, body, {"retry-after": "5"})
    assert isinstance(said, Rejected)
    assert said.daily


def test_what_a_validation_says_is_told_with_its_place() -> None:
    body = {"error": "Validation of body failed", "issues": [
        {"code": "x", "path": ["promptImage", 0, "uri"], "message": "Too\nlong\x1b[31m"},
        {"path": 5, "message": None}, "?"]}  # fmt: skip
    said = answers.outcome(400, json.dumps(body).encode(), {})
    words = "Validation of body failed; promptImage.0.uri: Too long [31m; 5"
    assert said == Rejected(words, 400)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
FIELDS = "id status output cost credits failure failureCode progress error issues path message tier"
TASKS = st.dictionaries(
    st.sampled_from(FIELDS.split()),
    JSON | st.sampled_from(["SUCCEEDED", "FAILED", "RUNNING"]) | st.just({"credits": 3}),
)


BODIES = (JSON | TASKS).map(lambda page: json.dumps(page).encode())


@given(st.integers(100, 599), st.binary(max_size=60) | BODIES)
def test_every_answer_to_an_order_is_an_outcome(status: int, body: bytes) -> None:
    said = answers.outcome(status, body, {"retry-after": body[:9].decode("latin-1")})
    if isinstance(said, Ordered):
        assert 200 <= status < 300
        assert said.ticket == json.loads(body)["id"]
    if isinstance(said, NotSent):
        assert status == 429
    if isinstance(said, Rejected):
        assert status in (*REFUSED, 429)


@given(JSON | TASKS)
def test_every_answer_about_a_ticket_can_be_read_or_is_asked_for_again(answer: Any) -> None:
    try:
        said = answers.progress(answer)
    except Unreachable:
        status = answer.get("status") if isinstance(answer, dict) else None
        assert not isinstance(status, str) or not status.isprintable() or not status.strip()
        return
    assert isinstance(said, Progress)
    assert all(said.outputs)
    assert said.credits is None or said.credits >= 0
    assert (said.failure + said.failure_code).isprintable()
    assert said.failure_code or answer.get("failureCode") is None or not str(
        answer["failureCode"]
    ).strip() or isinstance(answer["failureCode"], str)  # fmt: skip


def test_a_failure_code_of_an_unknown_kind_is_not_taken_for_none() -> None:
    """No code may be tried again for money; an odd one may not."""
    said = answers.progress({"status": "FAILED", "failureCode": {"text": "SAFETY"}})
    assert said.failure_code


@given(JSON | st.fixed_dictionaries({"tier": st.fixed_dictionaries(
    {"models": st.dictionaries(st.text(max_size=5), st.fixed_dictionaries(
        {"maxConcurrentGenerations": JSON}) | JSON, max_size=3)}), "creditBalance": JSON}))  # fmt: skip
def test_every_answer_about_the_account_can_be_read(answer: Any) -> None:
    said = answers.account(answer)
    assert said is None or isinstance(said, Account)
    assert said is None or all(type(n) is int and n > 0 for n in said.slots.values())
    assert said is None or said.credits is None or type(said.credits) is int


# --- questions -----------------------------------------------------------------------------------


@pytest.mark.covers("C13")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Reply(401, b'{"error":"disabled"}'), UsageError),
        (Reply(403, b'{"error":"not yours"}'), ShotError),
        (Reply(302, b"", {"Location": "http://127.0.0.1:9/"}), ShotError),
        (Reply(429), Unreachable),
        (Reply(500), Unreachable),
        (Reply(503), Unreachable),
        (Reply(524), Unreachable),
        (Reply(200, b"<html>"), Unreachable),
        (Reply(200, b""), Unreachable),
        (Reply(200, b"[]"), Unreachable),
        (Reply(200, b'{"id":"x"}'), Unreachable),
        (Reply(200, b"[" * 99_999), Unreachable),
        (DROP, Unreachable),
        (RESET, Unreachable),
        (raw("Content-Length: 99", b"{"), Unreachable),
    ],
)
def test_a_bad_answer_about_a_ticket_is_an_error_that_says_whether_to_ask_again(
    strict: Strict, answer: Reply, error: type[Exception]
) -> None:
    strict.script("tasks", answer)
    with pytest.raises(error) as raised:
        ask(lambda gateway: gateway.poll("abc"), strict)
    assert type(raised.value) is error


def test_an_unknown_ticket_is_none_and_an_odd_one_stays_one_word(strict: Strict) -> None:
    assert ask(lambda gateway: gateway.poll("a/../b?c#d"), strict) is None
    assert strict.requests == ["GET tasks/a%2F..%2Fb%3Fc%23d"]


def test_an_account_may_be_unknown_and_is_asked_for_again_when_the_answer_fails(
    strict: Strict,
) -> None:
    strict.script("organization", Reply(404), Reply(503))
    assert ask(lambda gateway: gateway.account(), strict) is None
    strict.account["tier"]["models"] = {"gen4.5": {"maxConcurrentGenerations": 2}}
    assert ask(lambda gateway: gateway.account(), strict) == Account(10_000, {"gen4.5": 2}, made={})


def test_an_account_that_is_never_told_is_said_after_some_questions(strict: Strict) -> None:
    strict.script("organization", *[Reply(503)] * wire.READ_TRIES)
    with pytest.raises(Unreachable, match="answers 503"):
        ask(lambda gateway: gateway.account(), strict)
    assert strict.requests == ["GET organization"] * wire.READ_TRIES


@pytest.mark.covers("C19")
def test_no_more_of_an_answer_is_read_than_makes_sense(strict: Strict) -> None:
    strict.script("tasks", raw("Connection: close", b" " * (20 << 20)))
    with pytest.raises(Unreachable, match="not JSON"):
        ask(lambda gateway: gateway.poll("abc"), strict)


def test_a_question_that_is_refused_says_that_the_ticket_stays(strict: Strict) -> None:
    strict.script("tasks", Reply(403, b'{"error":"not yours"}'))
    with pytest.raises(
        ShotError, match=r"403, not yours\. The ticket stays open and is not ordered"
    ):
        ask(lambda gateway: gateway.poll("abc"), strict)


def test_evidence_is_what_the_account_says_and_nothing_where_it_cannot_be_read(
    gateway: WireGateway, strict: Strict
) -> None:
    model = {"maxConcurrentGenerations": None, "maxDailyGenerations": 50}
    strict.account["tier"]["models"] = {"gen4.5": model, "odd": 7}
    strict.account["usage"]["models"] = {"gen4.5": {"dailyGenerations": 0}}
    strict.script("organization", Reply(503), Reply(200, b"<html>"), DROP, Reply(200, b"[]"))
    assert [gateway.evidence() for _ in range(4)] == [None] * 4
    assert gateway.evidence() == Account(10_000, {}, made={"gen4.5": 0}, daily={"gen4.5": 50})
    strict.account["usage"]["models"]["odd"] = {}
    assert gateway.evidence() == Account(10_000, {}, daily={"gen4.5": 50}), "no count is half told"
    strict.script("organization", Reply(401))
    with pytest.raises(UsageError, match="does not accept the key"):
        gateway.evidence()


def test_evidence_from_a_closed_port_is_said_before_anything_is_ordered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with (
        at(f"http://127.0.0.1:{port}") as gateway,
        pytest.raises(Unreachable, match="cannot be reached"),
    ):
        gateway.evidence()


def test_a_ticket_is_cancelled_once_and_doubt_about_it_is_said(strict: Strict) -> None:
    strict.script("tasks", Reply(204, b""), Reply(404), Reply(400, b'{"error":"No."}'), DROP)
    ask(lambda gateway: gateway.cancel("t"), strict)
    ask(lambda gateway: gateway.cancel("t"), strict)
    with pytest.raises(ShotError, match="does not cancel t: No"):
        ask(lambda gateway: gateway.cancel("t"), strict)
    with pytest.raises(Unreachable):
        ask(lambda gateway: gateway.cancel("t"), strict)
    assert strict.requests == ["DELETE tasks/t"] * 4
    strict.deleted.clear()


# --- the key ---------------------------------------------------------------------------------------


def test_the_key_goes_to_its_own_host_and_is_never_shown(
    gateway: WireGateway, strict: Strict, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway.create("text_to_video", ORDER, shot="s")
    with pytest.raises(UsageError, match="another host"):
        gateway._lane.get(f"{strict.files}/out")
    assert repr(gateway._lane.auth) == "<key>"
    shown = f"{gateway} {vars(gateway)} {Credentials(strict.url, KEY)!r} {caplog.text}"
    assert KEY not in shown
    assert strict.requests == ["POST text_to_video"]


def test_a_complaint_that_repeats_the_key_is_shown_without_it(
    gateway: WireGateway, strict: Strict
) -> None:
    echo = Reply(401, json.dumps({"error": f"Bearer {KEY} is disabled"}).encode())
    strict.script("text_to_video", echo)
    strict.script("tasks", echo)
    assert gateway.create("text_to_video", ORDER, shot="s") == Rejected(
        "Bearer <key> is disabled", 401
    )
    with pytest.raises(UsageError, match="Bearer <key> is disabled"):
        ask(lambda gateway: gateway.poll("abc"), strict)


@pytest.mark.covers("C20")
def test_proxies_and_keys_of_the_environment_are_not_used(
    strict: Strict, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, strict.files)
    with at(strict.url) as gateway:
        assert isinstance(gateway.create("text_to_video", ORDER, shot="s"), Ordered)
    assert strict.requests == ["POST text_to_video"]


GOOD = (
    "https://api.dev.runwayml.com", "https://api.example.com:8443/prefix/", "http://127.0.0.1:80",
    "http://localhost:8765", "http://[::1]:9", "http://127.0.0.2", "https://203.0.113.7",
)  # fmt: skip
BAD = (
    "", "api.dev.runwayml.com", "http://api.dev.runwayml.com", "ftp://127.0.0.1", "https://",
    "https:///path", "http://127.0.0.1.evil.test", "http://127.evil.test", "http://localhost.evil.test",
    "http://localhost@evil.test", "https://user@host.test", "https://:secret@host.test",
    "https://@host.test", "https://host.test?x=1", "https://host.test#x", "http://127.0.0.1:99999",
    "http://127.0.0.1:x", "https://ho\nst.test", "https://host.test/\x00", "https://[::1",
    "http://[::ffff:8.8.8.8]", "//host.test", "file:///etc/passwd", "https://ho st.test", "http://0x7f.1",
    "https://\ud800.test",
)  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_a_gateway_is_at_https_or_on_this_machine(url: str) -> None:
    assert check_base_url(url, "--base-url") == url


@pytest.mark.parametrize("url", BAD)
def test_no_other_address_is_given_the_key(url: str) -> None:
    with pytest.raises(UsageError, match="Nothing was ordered"):
        check_base_url(url, "--base-url")


# --- files ------------------------------------------------------------------------------------------

FILM = b"\0\0\0\x18ftypmp42" + bytes(4000)


def test_an_upload_that_fails_gets_a_new_place_and_is_not_sent_twice_to_the_old_one(
    strict: Strict,
) -> None:
    strict.script("put", Reply(503), DROP)
    uri = ask(lambda gateway: gateway.upload(FILM, "plate.mp4", "video/mp4"), strict)
    assert strict.lent == {uri: FILM}
    assert strict.requests == ["POST uploads", "POST put"] * 3


def test_an_upload_that_never_arrives_is_given_up_and_said(strict: Strict) -> None:
    strict.script("put", *[Reply(503)] * 3)
    with pytest.raises(Unreachable, match=r"plate\.mp4 could not be uploaded \(status 503\)"):
        ask(lambda gateway: gateway.upload(FILM, "plate.mp4", "video/mp4"), strict)
    assert strict.requests == ["POST uploads", "POST put"] * 3


PLACE = {"uploadUrl": "http://127.0.0.1:9/x", "fields": {"key": "k"}, "runwayUri": "runway://x"}


@pytest.mark.parametrize(
    "change",
    [
        {"uploadUrl": "http://evil.test/x"}, {"uploadUrl": "https://ho st"}, {"uploadUrl": None},
        {"runwayUri": "https://evil.test"}, {"runwayUri": None}, {"fields": ["key"]}, {"fields": 1},
        {"fields": {"key": {"deep": 1}}}, {"fields": None},
    ],
)  # fmt: skip
def test_a_place_that_is_none_gets_no_file(strict: Strict, change: dict[str, Any]) -> None:
    strict.script("uploads", Reply(200, json.dumps(PLACE | change).encode()))
    with pytest.raises(ShotError):
        ask(lambda gateway: gateway.upload(FILM, "plate.mp4", "video/mp4"), strict)


def download_of(url: str, into: Path, *, loopback: bool = True, limit: int = 1 << 20) -> None:
    async def go() -> None:
        async with download.client() as media:
            await download.fetch(media, url, into, limit=limit, loopback=loopback)

    asyncio.run(go())


@contextmanager
def serving(answer: bytes) -> Iterator[str]:
    """Answer every connection with these bytes."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/clip"
        server.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "


@pytest.mark.covers("C17", "C18", "C19")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (HEAD + b"Content-Length: 9\r\n\r\nshort", Unreachable),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort", Unreachable),
        (HEAD + b"Content-Length: 9\r\nContent-Encoding: gzip\r\n\r\n123456789", Spoiled),
        (HEAD + b"Content-Length: 99999999\r\n\r\n", Spoiled),
        (HEAD + b"\r\n" + bytes(2 << 20), Spoiled),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Unreachable),
        (b"HTTP/1.1 206 Part\r\nContent-Length: 1\r\n\r\nx", Unreachable),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", download.Expired),
        (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", download.Expired),
        (MOVED + b"/again\r\n\r\n", Unreachable),
        (MOVED + b"http://evil.test/x\r\n\r\n", Spoiled),
        (MOVED + b"http://[\r\n\r\n", Spoiled),
        (MOVED + b"file:///etc/passwd\r\n\r\n", Spoiled),
        (b"", Unreachable),
    ],
)
def test_a_download_that_is_not_whole_leaves_nothing(
    answer: bytes, error: type[Exception], tmp_path: Path
) -> None:
    with serving(answer) as url, pytest.raises(error):
        download_of(url, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_download_is_there_with_and_without_a_length(tmp_path: Path) -> None:
    for answer in (HEAD + b"Content-Length: 5\r\n\r\nwhole", HEAD + b"\r\nwhole"):
        with serving(answer) as url:
            download_of(url, tmp_path / "clip.mp4")
        assert (tmp_path / "clip.mp4").read_bytes() == b"whole"


@pytest.mark.parametrize(
    "url", ["http://cdn.test/x", "https://127.0.0.1/x", "https://localhost/x", "http://127.0.0.1/x",
            "file:///etc/passwd", "", "https://", "https://ho st/x", "https://a\x00b/x"],
)  # fmt: skip
def test_a_gateway_across_the_network_names_no_address_on_this_machine(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(Spoiled):
        download_of(url, tmp_path / "clip.mp4", loopback=False)


@pytest.mark.covers("C14")
def test_a_download_that_never_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "GRACE", 0.3)
    with dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ") as url, pytest.raises(Unreachable):
        download_of(url, tmp_path / "clip.mp4", limit=10)
