"""Bringing outputs home: a client that carries no key, and trusts neither address nor length."""

from __future__ import annotations

import asyncio
import os
import re
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpcore
import httpx

from secondunit.durable import beside
from secondunit.errors import Spoiled, Unreachable
from secondunit.gateways.addresses import HERE, Vetted, is_public
from secondunit.redaction import guard_logs

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

HOST = re.compile(r"[\w.:-]+")
REDIRECTS = 3
TIMEOUT = httpx.Timeout(30, connect=10, pool=None)
AT_ONCE = 20  # connections; every request looks at each that is open
SLOWEST = 20_000  # bytes a second, below which a download is given up and begun again
GRACE = 30.0  # seconds before slowness is judged


class Expired(Exception):
    """The address no longer works; the gateway gives a fresh one for the same ticket."""


@cache
def certificates() -> ssl.SSLContext:
    """Return what connections are held against; read once, because reading takes 70 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _Guarded(httpx.AsyncHTTPTransport):
    """httpx's own transport, over connections that `Vetted` makes."""

    def __init__(self, network: httpcore.AsyncNetworkBackend) -> None:
        super().__init__(verify=certificates(), trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=certificates(),
            max_connections=AT_ONCE,
            max_keepalive_connections=AT_ONCE,
            keepalive_expiry=5.0,
            network_backend=network,
        )


def client(network: httpcore.AsyncNetworkBackend | None = None) -> httpx.AsyncClient:
    """Return a client for media: no key, no cookies, no proxy, nothing compressed.

    It connects through `network`, by default to public addresses and this machine alone. The
    links it follows are as good as keys, and kept out of every log.
    """
    guard_logs()
    return httpx.AsyncClient(
        headers={"Accept-Encoding": "identity", "User-Agent": "secondunit"},
        follow_redirects=False,
        trust_env=False,
        transport=_Guarded(network or Vetted()),
        timeout=TIMEOUT,
    )


async def fetch(
    media: httpx.AsyncClient, url: str, into: Path, *, limit: int, loopback: bool
) -> None:
    """Download `url` to `into`, whole or not at all, at most `limit` bytes.

    Only https is followed, or this machine when `loopback` (a gateway that is itself here).
    Raises Expired, Unreachable (try again), Spoiled (too large, packed, or at no good address).
    """
    with beside(into) as part:
        try:
            async with asyncio.timeout(GRACE + limit / SLOWEST):
                await _follow(media, url, part, limit, loopback=loopback)
        except (httpx.HTTPError, TimeoutError) as error:  # a TimeoutError is an OSError, too
            raise Unreachable(f"A download broke off ({type(error).__name__}).") from None


async def _follow(
    media: httpx.AsyncClient, url: str, part: Path, limit: int, *, loopback: bool
) -> None:
    for _ in range(REDIRECTS + 1):
        vet(url, loopback=loopback)
        async with media.stream("GET", url) as answer:
            media.cookies.clear()
            if answer.is_redirect:
                url = _joined(url, answer.headers.get("location", ""))
                continue
            if answer.status_code in {401, 403, 404, 410}:
                raise Expired
            if answer.status_code != httpx.codes.OK:
                raise Unreachable(f"A download was answered with status {answer.status_code}.")
            await _save(answer, part, limit)
            return
    raise Unreachable("A download was redirected too often.")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def read(url: str) -> httpx.URL:
    """Read an address as httpx will, so that no two readings differ; empty where it is none."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return httpx.URL("")
    sound = HOST.fullmatch(parts.host) and 0 <= (parts.port or 0) < 1 << 16
    return parts if sound else httpx.URL("")


def vet(url: str, *, loopback: bool) -> None:
    """See that an address named by the gateway may be used. Raises Spoiled.

    It has to be https at its own port on a public host, or on this machine when the gateway itself
    is there (`loopback`). What a name stands for is judged when it is looked up, by `Vetted`.
    """
    parts = read(url)
    if parts.host in HERE:
        if loopback and parts.scheme in {"http", "https"}:
            return
    elif parts.scheme == "https" and parts.port is None and not _is_literal_within(parts.host):
        return
    raise Spoiled(
        "The gateway named an address that is neither https nor its own machine; it was not used."
    )


def _is_literal_within(host: str) -> bool:
    """Say whether a host is an address, and none of the public ones."""
    return (":" in host or host.replace(".", "").isdigit()) and not is_public(host)


async def _save(answer: httpx.Response, part: Path, limit: int) -> None:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Spoiled("The output came packed, which was not asked for; it was not kept.")
    declared = answer.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise Spoiled(
            f"The output has {int(declared) >> 20} MB, far more than such a clip; it was not kept."
        )
    clock = asyncio.get_running_loop()
    began, received = clock.time(), 0
    with part.open("wb") as file:
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            if received > limit:
                raise Spoiled("The output has no end; it was not kept.")
            spent = clock.time() - began
            if spent > GRACE and received < SLOWEST * spent:
                raise Unreachable("A download came to a crawl and was given up.")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if declared.isdigit() and received != int(declared):
        raise Unreachable("A download ended before it was whole.")
