"""Posting one message to an address of the user's own; it is never followed elsewhere.

The address stands in the user's settings alone, so that it may lie in the studio's own network.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import httpx

from secondunit.gateways.deadline import bounded
from secondunit.redaction import guard_logs

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

TIMEOUT = httpx.Timeout(5, connect=3)
LIMIT = 8.0  # seconds for all of it: a timeout of httpx only bounds each read
PAUSE = 1.0  # seconds before it is tried again
PATIENCE = 5.0  # seconds, the longest wait that a server may ask for

_reading = threading.Lock()


class Untold(Exception):
    """It did not arrive, and why, in words without the address.

    `again` says in how many seconds it may be tried again; None where that helps nothing.
    """

    def __init__(self, why: str, again: float | None = None) -> None:
        super().__init__(why)
        self.again = again


def trusted() -> ssl.SSLContext:
    """Return what servers of the user's own are held against: public roots, and the system's."""
    with _reading:  # many may be told at once, and reading takes 70 ms
        return _roots()


@cache
def _roots() -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def post(url: str, content: bytes, headers: Mapping[str, str]) -> None:
    """Post JSON once. Blocks for at most `LIMIT` seconds and a look-up. Raises Untold."""
    guard_logs()
    try:
        with (
            bounded(LIMIT) as trace,
            httpx.Client(
                follow_redirects=False, trust_env=False, verify=trusted(), timeout=TIMEOUT
            ) as client,
            client.stream(
                "POST", url, content=content, extensions={"trace": trace},
                headers={"Content-Type": "application/json", "User-Agent": "secondunit", **headers},
            ) as answer,
        ):  # fmt: skip
            _judge(answer)
    except httpx.TimeoutException:
        raise Untold("it did not answer in time", PAUSE) from None
    except httpx.ConnectError:
        raise Untold("no connection could be made", PAUSE) from None
    except httpx.HTTPError as error:
        raise Untold(f"the connection broke ({type(error).__name__})", PAUSE) from None


def _judge(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    if answer.is_redirect:
        raise Untold("it points to another address, which has to be written in its place")
    asked = answer.headers.get("retry-after", "")
    wait = min(float(asked), PATIENCE) if asked.isdecimal() and len(asked) < 5 else PAUSE
    busy = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error
    raise Untold(
        f"it answered with status {answer.status_code}", max(wait, PAUSE) if busy else None
    )
