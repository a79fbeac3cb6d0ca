"""What is logged holds no key and no signature: neither in a message, nor in an exception's text."""

from __future__ import annotations

import io
import logging
import threading
from typing import TYPE_CHECKING, NoReturn

import httpx
import pytest

from secondunit.credentials import ApiKey
from secondunit.errors import Unreachable
from secondunit.gateways import download
from secondunit.redaction import HIDDEN, guard_logs, scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.covers("S10")

KEY = "sk-canary-" + "Ab3" * 12
JWT = "eyJhbGciOi.eyJleHAi.c2lnbmF0dXJl"
SECRETS = [
    f"https://dnznrvs05pmza.cloudfront.net/a.mp4?_jwt={JWT}",
    f"https://x.test/a.mp4?x=1&_jwt={JWT}&y=2",
    f"_jwt={JWT}",
    f"%3F_jwt%3D{JWT}",
    f"https://b.s3.amazonaws.com/a?X-Amz-Credential={JWT}&X-Amz-Signature={JWT}",
    f"https://d.cloudfront.net/a?Expires=1&Signature={JWT}&Key-Pair-Id=K1",
    f"https://storage.googleapis.com/a?GoogleAccessId=x&Signature={JWT}",
    f"https://x.blob.core.windows.net/a?sv=1&sig={JWT}",
    f"https://x.oss.aliyuncs.com/a?x-oss-signature={JWT};",
    f"https://x.test/?api_key={JWT}",
    f"Authorization: Bearer {JWT}",
    f"{{'authorization': 'bearer {JWT}'}}",
    f'"Basic {JWT}"',
    KEY,
    f"key={KEY}, again {KEY}",
    "key_" + JWT.replace(".", "") * 3,
]
SECRET_TEXTS = (JWT, KEY, JWT.replace(".", ""))
HARMLESS = [
    "The signature of a token is the key=value of this prompt.",
    "https://example.com/a.png?width=1280&height=720",
    "A bearer of bad news walks in; a basic set.",
    "key_frames=12 and sig nature",
    "100 % of {them} %s %d",
]


@pytest.fixture(scope="module", autouse=True)
def _known() -> None:
    ApiKey(KEY)


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger as a program has it: a stream, a formatter, nothing of ours."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.Logger("somebody.elses", logging.DEBUG)
    logger.addHandler(handler)
    yield logger, stream
    handler.close()


def broken(text: str) -> NoReturn:
    raise ValueError(text)


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_hidden_wherever_they_stand(text: str) -> None:
    clean = scrub(text)
    assert not any(secret in clean for secret in SECRET_TEXTS)
    assert HIDDEN in clean
    assert scrub(clean) == clean


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize("text", SECRETS)
def test_a_record_is_clean_in_message_arguments_exception_and_stack(
    text: str, log: tuple[logging.Logger, io.StringIO]
) -> None:
    logger, stream = log
    logger.info("%s", text)
    logger.info(text)
    logger.info("in %(a)s", {"a": text})
    logger.info([text])
    try:
        try:
            broken(text)
        except ValueError as inner:
            raise RuntimeError(f"around {text}") from inner
    except RuntimeError:
        logger.exception("it broke", stack_info=True)
    said = stream.getvalue()
    assert said.count(HIDDEN) >= 5
    assert "RuntimeError: around" in said
    assert "Stack (most recent call last)" in said
    assert not any(secret in said for secret in SECRET_TEXTS)


def test_a_record_without_a_secret_is_left_as_it_is(
    log: tuple[logging.Logger, io.StringIO], caplog: pytest.LogCaptureFixture
) -> None:
    log[0].addHandler(caplog.handler)
    log[0].info("%d of %s", 3, "four")
    try:
        broken("plain")
    except ValueError:
        log[0].exception("oh")
    first, second = caplog.records
    assert (first.msg, first.args) == ("%d of %s", (3, "four"))
    assert second.exc_info is not None
    assert "ValueError: plain" in log[1].getvalue()


def test_a_handler_of_its_own_making_sees_no_secret_either() -> None:
    """Prefect's handler formats by itself, and some send the exception object away."""
    seen: list[logging.LogRecord] = []

    class Sends(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    logger = logging.Logger("sends")
    logger.addHandler(Sends())
    try:
        broken(SECRETS[0])
    except ValueError:
        logger.exception("%s", SECRETS[1])
    shown = repr(vars(seen[0]))
    assert not any(secret in shown for secret in SECRET_TEXTS)


def test_guarding_twice_changes_nothing_more() -> None:
    before = logging.getLogRecordFactory()
    guard_logs()
    guard_logs()
    assert logging.getLogRecordFactory() is before


def test_httpx_does_not_tell_addresses_with_their_signatures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    download.client()
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with client:
        client.get(SECRETS[0])
    assert "_jwt" not in caplog.text
    assert JWT not in caplog.text
    logging.getLogger("httpx").warning("HTTP Request: GET %s", httpx.URL(SECRETS[0]))
    assert f"_jwt={HIDDEN}" in caplog.text


def test_threads_and_tasks_that_die_are_logged_clean(
    log: tuple[logging.Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, stream = log

    def hook(died: threading.ExceptHookArgs) -> None:
        logger.error("died", exc_info=(died.exc_type, died.exc_value, died.exc_traceback))  # type: ignore[arg-type]  # never None here

    monkeypatch.setattr(threading, "excepthook", hook)

    def die() -> None:
        raise ValueError(SECRETS[0])

    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    assert "ValueError" in stream.getvalue()
    assert JWT not in stream.getvalue()


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
    b"not http", b"",
])  # fmt: skip
def test_a_download_that_breaks_off_says_so_without_the_link(answer: bytes, tmp_path) -> None:  # type: ignore[no-untyped-def]  # a fixture's path
    import asyncio
    import traceback

    from test_security_addresses import served

    async def go(url: str) -> None:
        async with download.client() as media:
            await download.fetch(media, url, tmp_path / "clip", limit=1000, loopback=True)

    server, _ = served([answer])
    with server, pytest.raises(Unreachable) as caught:
        asyncio.run(go(f"http://127.0.0.1:{server.getsockname()[1]}/a?_jwt={JWT}"))
    told = "".join(traceback.format_exception(caught.value))
    assert JWT not in str(caught.value)
    assert JWT not in told
