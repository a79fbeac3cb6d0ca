"""Runway's wire format: orders, tickets, uploads and the account, over httpx.

Orders are placed by a client of their own on a fresh connection each, because a connection that
the other side has just closed leaves an order in doubt; nothing here ever sends an order twice.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx

from secondunit.errors import ShotError, Unreachable, UsageError
from secondunit.gateways import download
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Outcome, Progress, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from secondunit.catalog import Gateway as Address

CREATE_TIMEOUT = httpx.Timeout(120, connect=5)  # long: a timeout is dear, waiting is free
READ_TIMEOUT = httpx.Timeout(30, connect=5)
INLINE_LIMIT = 5_242_880  # characters of a data URI: runwayml/openapi, maxLength of every input
ANSWER_LIMIT = 8 << 20  # bytes of any answer that is not media
NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422})
READ_TRIES = 4
LONGEST_WAIT = 900.0  # seconds of a Retry-After that are believed


class _Key(httpx.Auth):
    """Puts the key on requests to its own host and port and nowhere else; never prints it."""

    def __init__(self, key: str, base: httpx.URL) -> None:
        self._key = key
        self._home = (base.scheme, base.host, base.port)

    def auth_flow(self, request: httpx.Request) -> Any:
        url = request.url
        if (url.scheme, url.host, url.port) != self._home:
            raise UsageError("A request was about to leave for another host; it was stopped.")
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request

    def __repr__(self) -> str:
        return "<key>"


@dataclass(frozen=True)
class Credentials:
    """Where to go and with what: `base_url` without the path prefix."""

    base_url: str
    key: str

    def __repr__(self) -> str:
        """Show where, never with what."""
        return f"Credentials({self.base_url!r}, <key>)"


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
        shared: dict[str, Any] = {
            "base_url": base,
            "auth": _Key(credentials.key, base),
            "headers": {"X-Runway-Version": address.version, "User-Agent": "secondunit"},
            "follow_redirects": False,
            "trust_env": False,
        }
        self._lane = httpx.Client(
            **shared, timeout=CREATE_TIMEOUT, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._reads = httpx.AsyncClient(**shared, timeout=READ_TIMEOUT)
        self._media = download.client()

    async def close(self) -> None:
        """Let go of every connection."""
        self._lane.close()
        await self._reads.aclose()
        await self._media.aclose()

    # --- orders -------------------------------------------------------------------------------

    def create(self, endpoint: str, body: Mapping[str, Any], *, shot: str) -> Outcome:
        """Place one order, once. Blocks; every way it can end is an Outcome."""
        headers = {"X-Secondunit-Shot": quote(shot)} if self._label_shots else {}
        try:
            answer = self._lane.post(endpoint, json=body, headers=headers)
        except NEVER_SENT as error:
            return NotSent(f"{self._where} cannot be reached ({_cause(error)})")
        except Exception as error:  # noqa: BLE001  whatever else it is, the order may have arrived
            return Doubtful(f"the connection broke before an answer came ({_cause(error)})")
        return outcome(answer.status_code, answer.content, answer.headers)

    async def poll(self, ticket: str) -> Progress | None:
        """Ask for a ticket once; None where the gateway does not know it.

        Raises Unreachable when no usable answer came, UsageError when the key is refused.
        """
        answer = await self._read("GET", f"tasks/{quote(ticket, safe='')}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return progress(self._json(answer))

    async def account(self) -> Account | None:
        """Return credits left and slots by model; None where the gateway does not tell."""
        answer = await self._patient("GET", "organization")
        if answer.status_code in {404, 405, 501}:
            return None
        return account(self._json(answer))

    # --- files --------------------------------------------------------------------------------

    async def upload(self, data: bytes, filename: str, mime: str) -> str:
        """Lend the gateway a file of 512 bytes to 200 MB for 24 hours; return its runway:// URI."""
        for attempt in range(1, 4):
            slot = self._json(
                await self._patient("POST", "uploads", {"filename": filename, "type": "ephemeral"})
            )
            try:
                url, fields, uri = slot["uploadUrl"], slot["fields"], slot["runwayUri"]
                sent = await self._media.post(
                    url, data=fields, files={"file": (filename, data, mime)}, timeout=300
                )
            except (KeyError, TypeError) as error:
                raise Unreachable(f"{self._where} gave no usable place for an upload.") from error
            except httpx.HTTPError as error:
                trouble = _cause(error)
            else:
                if sent.is_success:
                    return str(uri)
                trouble = f"status {sent.status_code}"
            await asyncio.sleep(self._pause(attempt))
        raise Unreachable(f"{filename} could not be uploaded ({trouble}). Nothing was ordered.")

    async def fetch(self, url: str, into: Path, *, limit: int) -> None:
        """Download one output to `into`. See `download.fetch` for what is refused."""
        await download.fetch(self._media, url, into, limit=limit, loopback=not self.slow)

    # --- reads --------------------------------------------------------------------------------

    async def _patient(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask several times: for requests that order nothing and may be repeated."""
        for attempt in range(1, READ_TRIES):
            try:
                return await self._read(method, path, body)
            except Unreachable:
                await asyncio.sleep(self._pause(attempt))
        return await self._read(method, path, body)

    async def _read(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = await self._reads.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Unreachable(f"No answer from {self._where} ({_cause(error)}).") from None
        status = answer.status_code
        if status == httpx.codes.UNAUTHORIZED:
            raise UsageError(
                f"{self._where} does not accept the key: {_said(answer.content)}."
                " Check it, and that it belongs to this gateway."
            )
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Unreachable(f"{self._where} answers {status}: {_said(answer.content)}.")
        return answer

    def _json(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise ShotError(f"{self._where} answers {answer.status_code}: {_said(answer.content)}.")
        try:
            return answer.json()
        except ValueError:
            raise Unreachable(f"{self._where} answers with something that is not JSON.") from None

    def _pause(self, attempt: int) -> float:
        longest = min(30.0, (1.0 if self.slow else 0.2) * 2.0**attempt)
        return longest / 2 * random.uniform(1.0, 2.0)  # noqa: S311  spreads load, guards nothing


def outcome(status: int, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """Judge the answer to an order. Whatever is not understood is doubt, never a second order."""
    if 200 <= status < 300:
        return _ticket(body)
    said = _said(body)
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return NotSent(f"too many at once: {said}", busy=True, wait=retry_after(headers))
    if status in REFUSALS:
        return Rejected(said, status, money="enough credits" in said.lower() or status == 402)
    return Doubtful(f"the gateway answered {status}: {said}")


def _ticket(body: bytes) -> Outcome:
    """Read the receipt. Any text `id` will do, whatever else the answer holds."""
    try:
        receipt = json.loads(body)
        ticket = receipt["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Doubtful("the gateway accepted it and its answer cannot be read")
    if not isinstance(ticket, str) or not ticket.strip() or len(ticket) > 200:
        return Doubtful("the gateway accepted it and its answer names no ticket")
    return Ordered(ticket, _credits(receipt.get("estimatedCost")))


def progress(answer: Any) -> Progress:
    """Read a task. Raises Unreachable when it is no task at all: it is asked for again later."""
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        raise Unreachable("The gateway's answer about a ticket cannot be read.")
    raw = answer.get("output")
    outputs = tuple(u for u in raw if isinstance(u, str) and u) if isinstance(raw, list) else ()
    done = answer.get("progress")
    return Progress(
        state=answer["status"],
        progress=float(done) if isinstance(done, int | float) and 0 <= done <= 1 else None,
        outputs=outputs,
        credits=_credits(answer.get("cost")),
        failure=_plain(answer.get("failure")),
        failure_code=_plain(answer.get("failureCode")),
    )


def account(answer: Any) -> Account | None:
    """Read the organization: credits left, and how many of each model may run at once."""
    if not isinstance(answer, dict):
        return None
    tier = answer.get("tier")
    models = tier.get("models") if isinstance(tier, dict) else None
    slots = {
        str(name): limits["maxConcurrentGenerations"]
        for name, limits in (models.items() if isinstance(models, dict) else ())
        if isinstance(limits, dict) and _whole(limits.get("maxConcurrentGenerations"))
    }
    balance = answer.get("creditBalance")
    return Account(balance if isinstance(balance, int) else None, slots)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a `Retry-After` header, from 0 to 15 minutes; None if it says nothing."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, LONGEST_WAIT) if 0 <= seconds < float("inf") else None


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def check_base_url(url: str, name: str) -> str:
    """Return a base URL that may be given the key: https, or this machine. Raises UsageError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not secure or parts.username or parts.query or parts.fragment:
        raise UsageError(
            f"{name}: {url!r} is not an address for a gateway. It has to be https://host, or"
            " http://127.0.0.1:port for tests. Nothing was ordered."
        )
    return url


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _credits(cost: Any) -> int | None:
    amount = cost.get("credits") if isinstance(cost, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < 10**9:
        return None
    return -int(-amount // 1)


def _said(body: bytes) -> str:
    """Return what an error body says, as one line without control characters."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return "it gives no reason that can be read"
    if not isinstance(answer, dict):
        return "it gives no reason that can be read"
    issues = answer.get("issues")
    details = [
        f"{'.'.join(map(str, i.get('path') or []))}: {i.get('message')}"
        for i in (issues if isinstance(issues, list) else [])
        if isinstance(i, dict)
    ]
    return _plain("; ".join([str(answer.get("error") or "no reason given"), *details])).rstrip(".")


def _plain(text: Any) -> str:
    shown = text if isinstance(text, str) else ""
    return "".join(c if c.isprintable() else " " for c in shown)[:600].strip()


def _cause(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    text = str(error).lower()
    for sign, words in (
        ("refused", "connection refused"),
        ("name or service", "no such host"),
        ("name resolution", "no such host"),
        ("certificate", "its certificate is not valid"),
        ("disconnected", "it closed the connection"),
    ):
        if sign in text:
            return words
    return type(error).__name__
