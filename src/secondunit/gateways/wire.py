"""Runway's wire format: orders, tickets, uploads and the account, over httpx.

Orders are placed by a client of their own on a fresh connection each, because a connection that
the other side has just closed leaves an order in doubt; nothing here ever sends an order twice.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from secondunit.catalog import INLINE_LIMIT
from secondunit.credentials import ApiKey
from secondunit.errors import ShotError, Unreachable, UsageError
from secondunit.gateways import download
from secondunit.gateways.answers import account, outcome, progress, said, unknown
from secondunit.gateways.deadline import ANSWER_LIMIT, bounded, first_bytes
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Outcome, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from secondunit.catalog import Gateway as Address

CREATE_TIMEOUT = httpx.Timeout(120, connect=5)  # long: a timeout is dear, waiting is free
CREATE_LIMIT = 180.0  # seconds for all of an order: a timeout of httpx only bounds each read
READ_TIMEOUT = httpx.Timeout(30, connect=5, pool=None)
READ_LIMIT = 60.0  # the same for a question, and for its turn
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
READ_TRIES = 4


class _Key(httpx.Auth):
    """Puts the key on requests to its own host and port and nowhere else; never prints it."""

    def __init__(self, key: ApiKey, base: httpx.URL) -> None:
        self._key = key
        self._home = (base.scheme, base.host, base.port)

    def auth_flow(self, request: httpx.Request) -> Any:
        url = request.url
        if (url.scheme, url.host, url.port) != self._home:
            raise UsageError("A request was about to leave for another host; it was stopped.")
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request

    def __repr__(self) -> str:
        return "<key>"


@dataclass(frozen=True)
class Credentials:
    """Where to go and with what: `base_url` without the path prefix."""

    base_url: str
    key: ApiKey | str

    def __repr__(self) -> str:
        """Show where, never with what."""
        return f"Credentials({self.base_url!r}, <key>)"


@dataclass(frozen=True)
class _Answer:
    status: int
    content: bytes
    headers: Mapping[str, str]


class WireGateway:
    """A gateway that speaks Runway's API at some address."""

    inline_limit = INLINE_LIMIT

    def __init__(
        self, address: Address, credentials: Credentials, *, label_shots: bool = False
    ) -> None:
        """`label_shots` tells the gateway the shot's name, for the backlot's slate."""
        self.name = address.name
        self.free = address.free
        base = httpx.URL(credentials.base_url.rstrip("/") + address.prefix + "/")
        self.slow = not is_loopback(base.host)
        self._where = f"{base.scheme}://{base.netloc.decode()}"
        self._label_shots = label_shots
        self._address = address
        self._relays = not address.account
        key = credentials.key if isinstance(credentials.key, ApiKey) else ApiKey(credentials.key)
        self._key = key
        self.account_name = sha256(f"{base.host} {key.reveal()}".encode()).hexdigest()[:16]
        shared: dict[str, Any] = {
            "base_url": base,
            "auth": _Key(key, base),
            "headers": {
                "X-Runway-Version": address.version,
                "User-Agent": "secondunit",
                "Accept-Encoding": "identity",
            },
            "follow_redirects": False,
            "trust_env": False,
            "verify": download.certificates(),
        }
        self._lane = httpx.Client(
            **shared, timeout=CREATE_TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._reads = httpx.AsyncClient(
            **shared, timeout=READ_TIMEOUT, limits=httpx.Limits(max_connections=download.AT_ONCE)
        )
        self._media = download.client()

    async def close(self) -> None:
        """Let go of every connection; an order under way has its own, which ends with it."""
        await self._reads.aclose()
        await self._media.aclose()

    # --- orders -------------------------------------------------------------------------------

    def create(self, endpoint: str, body: Mapping[str, Any], *, shot: str) -> Outcome:
        """Place one order, once. Blocks; every way it can end is an Outcome."""
        headers = {"X-Secondunit-Shot": quote(shot)} if self._label_shots else {}
        try:
            answer = self._post(endpoint, body, headers)
            told = outcome(answer.status, answer.content, answer.headers)
            # a gateway that keeps no account of ours relays somebody else's prices
            return Ordered(told.ticket) if self._relays and isinstance(told, Ordered) else told
        except NEVER_SENT as error:
            return NotSent(f"{self._where} cannot be reached ({_cause(error)})")
        except Exception as error:  # noqa: BLE001  whatever else it is, the order may have arrived
            return Doubtful(f"the connection broke before an answer came: {_cause(error)}")

    def _post(self, endpoint: str, body: Mapping[str, Any], headers: dict[str, str]) -> _Answer:
        with (
            bounded(CREATE_LIMIT) as trace,
            self._lane.stream(
                "POST", endpoint, json=body, headers=headers, extensions={"trace": trace}
            ) as answer,
        ):
            return self._answer(answer, first_bytes(answer.iter_bytes()))

    def evidence(self) -> Account | None:
        """Return the account just before an order; see `Gateway.evidence`. Blocks."""
        if not self._address.account:
            return None
        try:
            with (
                bounded(READ_LIMIT) as trace,
                self._lane.stream(
                    "GET", "organization", timeout=READ_TIMEOUT, extensions={"trace": trace}
                ) as response,
            ):
                answer = self._answer(response, first_bytes(response.iter_bytes()))
        except NEVER_SENT as error:
            raise Unreachable(f"{self._where} cannot be reached ({_cause(error)}).") from None
        except httpx.HTTPError:
            return None
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise self._locked_out(answer)
        try:
            return account(json.loads(answer.content)) if answer.status == httpx.codes.OK else None
        except (ValueError, RecursionError):
            return None

    async def cancel(self, ticket: str) -> None:
        """Take back a ticket that has not begun. Raises Unreachable when nobody knows if it was.

        A finished ticket loses its output by this (runwayml 5.24.0, tasks.delete): ask first.
        Raises UsageError where the gateway cannot.
        """
        if not self._address.cancel:
            raise UsageError(
                f"{self.name} takes no ticket back, so {ticket} goes on and is charged. Nothing was"
                " sent. Run `secondunit shoot` again to fetch what it makes."
            )
        answer = await self._read("DELETE", f"tasks/{quote(ticket, safe='')}")
        if answer.status != httpx.codes.NOT_FOUND and not 200 <= answer.status < 300:
            raise ShotError(f"{self._where} does not cancel {ticket}: {said(answer.content)}.")

    async def poll(self, ticket: str) -> Progress | None:
        """Ask for a ticket once; None where the gateway does not know it.

        Raises Unreachable when no usable answer came, UsageError when the key is refused, ShotError
        when the question is.
        """
        answer = await self._heard("GET", f"tasks/{quote(ticket, safe='')}")
        if answer.status == httpx.codes.NOT_FOUND or unknown(answer.content):
            return None
        if 300 <= self._served(answer).status < 500:
            raise ShotError(
                f"{self._where} does not tell of ticket {ticket}: it answers {answer.status},"
                f" {said(answer.content)}. The ticket stays open and is not ordered again; run again"
                " to go on with it."
            )
        told = progress(self._json(answer))
        return replace(told, credits=None) if self._relays else told

    async def account(self) -> Account | None:
        """Return credits left and slots by model; None where the gateway does not tell."""
        if not self._address.account:
            return None
        answer = await self._patient("GET", "organization")
        if answer.status in {404, 405, 501}:
            return None
        return account(self._json(answer))

    # --- files --------------------------------------------------------------------------------

    async def upload(self, data: bytes, filename: str, mime: str) -> str:
        """Lend the gateway a file of 512 bytes to 200 MB for 24 hours; return its runway:// URI.

        Raises UsageError where the gateway takes none, Unreachable.
        """
        if not self._address.uploads:
            raise UsageError(
                f"{filename} has {len(data) / 1e6:.1f} MB, and {self.name} takes no uploads: an order"
                f" carries {INLINE_LIMIT * 3 // 4 / 1e6:.1f} MB at most. Make it smaller or shorter,"
                " or name an https link to it. Nothing was ordered for this shot."
            )
        for attempt in range(1, 4):
            slot = self._json(
                await self._patient("POST", "uploads", {"filename": filename, "type": "ephemeral"})
            )
            url, fields, uri = self._place(slot)
            try:
                sent = await self._media.post(
                    url, data=fields, files={"file": (filename, data, mime)}, timeout=300
                )
            except httpx.HTTPError as error:
                trouble = _cause(error)
            else:
                if sent.is_success:
                    return uri
                trouble = f"status {sent.status_code}"
            await asyncio.sleep(self._pause(attempt))
        raise Unreachable(f"{filename} could not be uploaded ({trouble}). Nothing was ordered.")

    def _place(self, slot: Any) -> tuple[str, dict[str, str], str]:
        """Read where an upload goes. Raises Unreachable, Spoiled."""
        try:
            url, fields, uri = slot["uploadUrl"], dict(slot["fields"]), slot["runwayUri"]
            plain = all(isinstance(text, str) for text in (url, uri, *fields, *fields.values()))
        except (KeyError, TypeError, ValueError):
            plain = False
        if not plain or not uri.startswith("runway://"):
            raise Unreachable(f"{self._where} gave no usable place for an upload.")
        download.vet(url, loopback=not self.slow)
        return url, fields, uri

    async def fetch(self, url: str, into: Path, *, limit: int) -> None:
        """Download one output to `into`. See `download.fetch` for what is refused."""
        await download.fetch(self._media, url, into, limit=limit, loopback=not self.slow)

    # --- reads --------------------------------------------------------------------------------

    async def _patient(self, method: str, path: str, body: Any = None) -> _Answer:
        """Ask several times: for requests that order nothing and may be repeated."""
        for attempt in range(1, READ_TRIES):
            try:
                return await self._read(method, path, body)
            except Unreachable:
                await asyncio.sleep(self._pause(attempt))
        return await self._read(method, path, body)

    async def _read(self, method: str, path: str, body: Any = None) -> _Answer:
        return self._served(await self._heard(method, path, body))

    async def _heard(self, method: str, path: str, body: Any = None) -> _Answer:
        try:
            async with asyncio.timeout(READ_LIMIT):
                answer = await self._asked(method, path, body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unreachable(f"No answer from {self._where} ({_cause(error)}).") from None
        if answer.status == httpx.codes.UNAUTHORIZED:
            raise self._locked_out(answer)
        return answer

    def _served(self, answer: _Answer) -> _Answer:
        """Return an answer unless the gateway is too busy or broken. Raises Unreachable."""
        status = answer.status
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Unreachable(f"{self._where} answers {status}: {said(answer.content)}.")
        return answer

    def _locked_out(self, answer: _Answer) -> UsageError:
        return UsageError(
            f"{self._where} does not accept the key: {said(answer.content)}."
            " Check it, and that it belongs to this gateway."
        )

    async def _asked(self, method: str, path: str, body: Any) -> _Answer:
        async with self._reads.stream(method, path, json=body) as answer:
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > ANSWER_LIMIT:
                    break
            return self._answer(answer, content)

    def _answer(self, answer: httpx.Response, content: bytes) -> _Answer:
        """Keep of an answer what is needed; a complaint that repeats the key is shown without it."""
        if not self.free and not answer.is_success:
            content = content.replace(self._key.reveal().encode() or b"\0", b"<key>")
        return _Answer(answer.status_code, content, answer.headers)

    def _json(self, answer: _Answer) -> Any:
        if not 200 <= answer.status < 300:
            raise ShotError(f"{self._where} answers {answer.status}: {said(answer.content)}.")
        try:
            return json.loads(answer.content)
        except (ValueError, RecursionError):
            raise Unreachable(f"{self._where} answers with something that is not JSON.") from None

    def _pause(self, attempt: int) -> float:
        longest = min(30.0, (1.0 if self.slow else 0.05) * 2.0**attempt)
        return longest / 2 * random.uniform(1.0, 2.0)  # noqa: S311  spreads load, guards nothing


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine: its name or address, not a name that looks like one."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(url: str, name: str) -> str:
    """Return a base URL that may be given the key: https, or this machine. Raises UsageError."""
    parts = download.read(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.host))
    if not secure or parts.userinfo or parts.query or parts.fragment or "@" in url:
        raise UsageError(
            f"{name}: {url!r} is not an address for a gateway. It has to be https://host, or"
            " http://127.0.0.1:port for tests. Nothing was ordered."
        )
    return url


def _cause(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "timed out"
    text = " ".join(f"{type(inner).__name__} {inner}" for inner in _chain(error)).lower()
    for sign, words in (
        ("refused", "connection refused"),
        ("name or service", "no such host"),
        ("name resolution", "no such host"),
        ("certificate", "its certificate is not valid"),
        ("attempts failed", "no connection could be made"),
        ("disconnected", "it closed the connection"),
    ):
        if sign in text:
            return words
    return type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and what led to it: the system's own words stand last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
