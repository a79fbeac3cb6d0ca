"""The gate every request passes: who may come in, which faults strike, and a line in the books."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response

from secondunit.backlot.book import Request
from secondunit.backlot.faults import Fault, Moment

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from secondunit.backlot.book import Book
    from secondunit.backlot.faults import Plan

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of a JSON body: a dozen data URIs of 5 MB. The real limit is not published."""

NO_CREDITS = "You do not have enough credits to run this task."
DOCS = "https://docs.dev.runwayml.com/api"

_PAGE = "<!doctype html><title>Sign in</title><h1>Sign in to the network</h1>"
_GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
_FLIPS = 200
_DRIPS = 50


def error(status: int, text: str, **more: Any) -> JSONResponse:
    """Return an answer in the API's error form."""
    headers = more.pop("headers", None)
    return JSONResponse({"error": text, **more}, status, headers=headers)


@dataclass
class Answer:
    """An answer held back: what the application sent, before a fault has its way with it."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)

    async def send(self, message: Message) -> None:
        """Take what the application sends."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def response(self, body: bytes | None = None, kind: str = "") -> Response:
        """Return it as a response, with another body or media type where given."""
        keep = [(n, v) for n, v in self.headers if n not in (b"content-length", b"content-type")]
        own = next((v.decode() for n, v in self.headers if n == b"content-type"), "text/plain")
        response = Response(bytes(self.body) if body is None else body, self.status)
        response.raw_headers[:] = [
            *keep,
            (b"content-type", (kind or own).encode()),
            (b"content-length", str(len(response.body)).encode()),
        ]
        return response


class Gate:
    """ASGI middleware around the whole server."""

    def __init__(self, app: ASGIApp, book: Book, plan: Plan) -> None:
        self._app, self._book, self._plan = app, book, plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send)
        try:
            await self._admit(visit)
        except Exception as bug:
            visit.status, visit.fault = 500, f"{type(bug).__name__}: {bug}"
            raise
        finally:
            if not visit.path.startswith("/backlot/"):
                self._book.note(visit.line())

    async def _admit(self, visit: _Visit) -> None:
        refusal = _stranger(visit)
        if refusal is None and visit.path.startswith("/v1/") and visit.method == "POST":
            refusal = await visit.read()
        if refusal is not None:
            await visit.answer(refusal)
            return
        model = visit.model() if self._plan.faults() else ""
        hits = self._plan.strike(visit.method, visit.path, model)
        visit.fault = " ".join(map(str, hits))
        before = [hit for hit in hits if hit.moment is Moment.BEFORE]
        after = [hit for hit in hits if hit.moment is Moment.AFTER]
        visit.state["fates"] = {h.kind: h.argument for h in hits if h.moment is Moment.FATE}
        if before:
            await _instead(before[0], visit)
        elif after:
            held = Answer()
            await self._app(visit.scope, visit.receive, held.send)
            visit.status = held.status
            await _spoil(after[0], held, visit)
        else:
            await self._app(visit.scope, visit.receive, visit.send)


class _Visit:
    """One request on its way through the gate."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.method, self.path = scope["method"], scope["path"]
        self.headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.status, self.fault, self.began = 0, "", time.time()

    async def send(self, message: Message) -> None:
        """Pass the answer on and remember its status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def answer(self, response: Response) -> None:
        """Answer here and now."""
        await response(self.scope, self.receive, self.send)

    async def read(self) -> Response | None:
        """Read the body of an order to its end; returns the refusal of one that is too large."""
        body, size, more = bytearray(), 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                return error(400, "The request ended early.")
            piece, more = message.get("body", b""), message.get("more_body", False)
            size += len(piece)
            if size <= BODY_LIMIT:
                body += piece
        self.state["body"] = bytes(body)
        return error(413, "The request body is too large.") if size > BODY_LIMIT else None

    def model(self) -> str:
        """Return the model that an order names, if it can be read."""
        try:
            return str(json.loads(self.state.get("body", b"{}"))["model"])
        except (ValueError, RecursionError, KeyError, TypeError):
            return ""

    def line(self) -> Request:
        """Return the line for the books: no header's value, so no key."""
        return Request(
            method=self.method,
            path=self.path,
            status=self.status,
            task=self.state.get("task", ""),
            fault=self.fault,
            headers=tuple(self.headers),
            at=self.began,
            seconds=time.time() - self.began,
        )

    async def gone(self, seconds: float | None = None) -> bool:
        """Wait until the client has hung up, or for so many seconds; tells which."""
        try:
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return False
        return True

    async def hang_up(self, scrap: bytes = b"", *, reset: bool = False) -> None:
        """Write raw bytes, if any, and close the connection under the client's feet."""
        line: asyncio.Transport = self.state["transport"]
        if scrap:
            line.write(scrap)
        if reset:
            wire: socket.socket = line.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.abort()
        else:
            line.close()
        await self.gone()


def _stranger(visit: _Visit) -> Response | None:
    """Refuse what a page in somebody's browser could have sent here."""
    port = visit.scope["server"][1] if visit.scope.get("server") else None
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
    origin = visit.headers.get("origin")
    if visit.headers.get("host", "").lower() not in hosts:
        return error(403, "The backlot only answers to its own address.")
    if origin is not None and origin not in [f"http://{host}" for host in hosts]:
        return error(403, "Requests from other sites are refused.")
    if visit.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return error(403, "Requests from other sites are refused.")
    return None


async def _instead(fault: Fault, visit: _Visit) -> None:
    if fault.kind == "hangup":
        await visit.hang_up()
    elif fault.kind == "broke":
        await visit.answer(error(400, NO_CREDITS, docUrl=DOCS))
    elif fault.kind == "expired":
        await visit.answer(error(403, "The link has expired."))
    else:
        await visit.answer(_status(int(fault.kind), fault.argument))


def _status(status: int, argument: str = "") -> Response:
    name = "location" if status < 400 else "retry-after"
    headers = {name: argument} if argument else {}
    return error(status, f"Fault on demand: {status}.", headers=headers)


async def _spoil(fault: Fault, held: Answer, visit: _Visit) -> None:
    half = bytes(held.body[: len(held.body) // 2])
    if fault.kind in ("drop", "reset"):
        await visit.hang_up(reset=fault.kind == "reset")
    elif fault.kind == "cut":
        await visit.hang_up(_scrap(held, half, sized=fault.argument != "unsized"))
    elif fault.kind == "slow":
        if not await visit.gone(float(fault.argument)):
            await visit.answer(held.response())
    elif fault.kind == "drip":
        await _drip(held, visit, float(fault.argument))
    elif fault.kind == "after":
        await visit.answer(_status(int(fault.argument)))
    elif fault.kind == "html":
        await visit.answer(HTMLResponse(_PAGE))
    else:
        await visit.answer(held.response(_changed(fault, held, half)))


def _changed(fault: Fault, held: Answer, half: bytes) -> bytes:
    if fault.kind == "short":
        return half
    if fault.kind == "flip":
        return _flipped(bytes(held.body), int(fault.argument or _FLIPS))
    if fault.kind == "playlist":
        return f"#EXTM3U\n#EXTINF:5,\n{fault.argument}\n#EXT-X-ENDLIST\n".encode()
    return b"" if fault.kind == "empty" else _GIF


def _flipped(body: bytes, count: int) -> bytes:
    spoiled, dice = bytearray(body), random.Random(0)  # noqa: S311  the same flips every time
    for _ in range(count if body else 0):
        spoiled[dice.randrange(len(spoiled))] ^= 1 << dice.randrange(8)
    return bytes(spoiled)


def _scrap(held: Answer, half: bytes, *, sized: bool) -> bytes:
    kept = [(n, v) for n, v in held.headers if sized or n != b"content-length"]
    lines = [b"%b: %b" % pair for pair in (*kept, (b"connection", b"close"))]
    return b"\r\n".join([b"HTTP/1.1 %d OK" % held.status, *lines, b"", half])


async def _drip(held: Answer, visit: _Visit, seconds: float) -> None:
    start = {"type": "http.response.start", "status": held.status, "headers": held.headers}
    await visit.send(start)
    step = max(1, len(held.body) // _DRIPS)
    for at in range(0, len(held.body), step):
        if await visit.gone(seconds / _DRIPS):
            return
        piece = bytes(held.body[at : at + step])
        await visit.send({"type": "http.response.body", "body": piece, "more_body": True})
    await visit.send({"type": "http.response.body"})
