"""A stand-in for Runway's API that believes nothing: its own tables, two ports, faults on sockets.

Written from the published API alone, on the standard library, without a line of `secondunit`: what
it accepts, Runway accepts. It keeps count of every order, poll, upload, download and deletion, and
notes in `problems` whatever a careful client would not have sent.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
import re
import socket
import struct
import threading
import time
import uuid
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from strict_rules import ENDPOINTS, Judge, Wrong, mime_of, price, seconds_of, size_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VERSION = "2024-11-06"
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


# --- the script ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `raw` goes over the socket as it is, and then the connection ends.

    `taken` takes (and charges) the order first, whatever is answered; `{ticket}` in bodies stands
    for its id. `reset` ends the connection with RST.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    reset: bool = False
    taken: bool = False
    pause: float = 0.0


DROP = Reply(raw=b"")
RESET = Reply(raw=b"", reset=True)


@dataclass(frozen=True)
class Life:
    """What becomes of an order: one state or Reply for each poll, of which the last one stays."""

    states: tuple[str | Reply, ...] = ("PENDING", "RUNNING", "SUCCEEDED")
    failure: str = "Something went wrong."
    code: str | None = None
    credits: int | None = None
    estimate: bool = True
    media: tuple[bytes, ...] = ()
    outputs: int = 1
    empty: int = 0
    downloads: tuple[Reply, ...] = ()
    refund: bool = True  # of what is taken back while it is queued
    told: bool = False  # a ticket that was taken back is CANCELLED with its cost, and not unknown


@dataclass
class Ticket:
    """One order that was taken."""

    id: str
    endpoint: str
    body: Any
    life: Life
    price: int
    size: tuple[int, int]
    seconds: float
    born: float = field(default_factory=time.monotonic)
    asked: list[float] = field(default_factory=list)
    downloads: list[Reply] = field(default_factory=list)
    fetched: int = 0
    ended: bool = False
    deleted: bool = False

    @property
    def cost(self) -> int:
        """What it has taken from the account so far: all of it at the order, refunds at its end."""
        if not self.ended:
            return self.price
        if not self.deleted:
            return _charge(self)
        state = self.life.states[min(len(self.asked), len(self.life.states)) - 1]
        return 0 if state in ("PENDING", "THROTTLED") and self.life.refund else self.price


class Strict:
    """The API at `url`, uploads and outputs at `files`; `footage` makes what is handed out.

    `footage(kind, size, seconds)` returns the bytes of a `still` or a `clip`.
    """

    def __init__(self, footage: Callable[[str, tuple[int, int], float], bytes]) -> None:
        self.footage = footage
        self.key = "test"
        self.account: Any = {
            "creditBalance": 10_000,
            "tier": {"maxMonthlyCreditSpend": 10_000, "models": {}},
            "usage": {"models": {}},
        }
        self.rolls = 0.0  # seconds that every ticket rolls at least
        self.lives: dict[str, list[Life]] = defaultdict(list)
        self.replies: list[tuple[str, Reply]] = []
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.lines: list[int] = []  # the client's port at each request
        self.orders: list[tuple[str, Any]] = []  # everything that was posted to an endpoint
        self.tickets: dict[str, Ticket] = {}
        self.deleted: list[str] = []
        self.lent: dict[str, bytes] = {}
        self.at_once: Counter[str] = Counter()  # the most orders of a model that were under way
        self.posting = self.posted_at_once = 0
        self.lock = threading.RLock()
        self._slots: dict[str, tuple[str, str, str]] = {}
        self._api, self._cdn = _server(_Api, self), _server(_Files, self)
        self.url, self.files = _address(self._api), _address(self._cdn)

    def close(self) -> None:
        """Stop listening."""
        for server in (self._api, self._cdn):
            server.shutdown()
            server.server_close()

    # --- what tests ask of it

    def script(self, word: str, *replies: Reply) -> None:
        """Answer the next requests to endpoint `word`, or with `word` in their prompt, like this."""
        self.replies += [(word, reply) for reply in replies]

    def living(self, word: str, *lives: Life) -> None:
        """Let the next orders with `word` in their prompt live like this."""
        self.lives[word] += lives

    @property
    def taken(self) -> list[str]:
        """The prompts of the orders that were taken and charged, in order."""
        return [t.body.get("promptText", "") for t in self.tickets.values()]

    @property
    def charged(self) -> int:
        """What all orders cost, those that ended badly by what they say."""
        return sum(_charge(t) for t in self.tickets.values())

    def statement(self) -> Any:
        """Return the account with what the orders took from it, and how many there were."""
        page = copy.deepcopy(self.account)
        if not isinstance(page, dict) or not isinstance(page.get("creditBalance"), int):
            return page
        with self.lock:
            page["creditBalance"] -= sum(t.cost for t in self.tickets.values())
            for model, count in Counter(t.body["model"] for t in self.tickets.values()).items():
                usage = page["usage"]["models"].setdefault(model, {"dailyGenerations": 0})
                usage["dailyGenerations"] += count
        return page

    def quickest(self) -> float:
        """Return the shortest time between two questions about one ticket."""
        gaps = [b - a for t in self.tickets.values() for a, b in itertools.pairwise(t.asked)]
        return min(gaps, default=float("inf"))

    # --- what its ports do

    def scripted(self, *names: str) -> Reply | None:
        """Take the first scripted answer for one of these endpoints or prompts."""
        for place, (word, reply) in enumerate(self.replies):
            if any(word == name or (" " in name and word in name) for name in names):
                del self.replies[place]
                return reply
        return None

    def take(self, endpoint: str, body: Any) -> Ticket:
        """Take an order and charge for it."""
        prompt = str(body.get("promptText", ""))
        queue = next((q for word, q in self.lives.items() if word in prompt and q), [])
        life = queue.pop(0) if queue else Life()
        source = self.bytes_of(body.get("videoUri") or body.get("promptVideo") or "")
        ratio = body.get("ratio", "")
        size = tuple(map(int, ratio.split(":"))) if re.fullmatch(r"\d+:\d+", ratio) else (1280, 720)
        seconds = float(body.get("duration") or 5)
        if source:
            size, seconds = size_of(source), seconds_of(source)
        cost = price(body["model"], ratio, seconds)
        ticket = Ticket(str(uuid.uuid4()), endpoint, body, life, cost, size, seconds)
        ticket.downloads = list(life.downloads)
        self.tickets[ticket.id] = ticket
        rolling = sum(
            t.body["model"] == body["model"] and not t.ended for t in self.tickets.values()
        )
        self.at_once[body["model"]] = max(rolling, self.at_once[body["model"]])
        return ticket

    @contextmanager
    def counted(self, path: str) -> Iterator[None]:
        """Count how many orders are being placed at the same moment."""
        one = path in ENDPOINTS
        with self.lock:
            self.posting += one
            self.posted_at_once = max(self.posting, self.posted_at_once)
        try:
            yield
        finally:
            with self.lock:
                self.posting -= one

    def bytes_of(self, uri: str) -> bytes:
        """Return what a URI of an order stands for; nothing for https."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        return self.lent.get(uri, b"")

    def task(self, ticket: Ticket) -> dict[str, Any] | Reply:
        """Answer one question about a ticket, and let it go on."""
        ticket.asked.append(time.monotonic())
        states = ticket.life.states
        state = states[min(len(ticket.asked), len(states)) - 1]
        if ticket.asked[-1] - ticket.born < self.rolls:
            state = "RUNNING"
        if isinstance(state, Reply):
            return state
        page = {"id": ticket.id, "createdAt": "2026-11-21T12:00:00.000Z", "status": state}
        if state not in ENDED:
            estimate = {"estimatedCost": {"credits": ticket.price}} if ticket.life.estimate else {}
            return page | estimate | ({"progress": 0.42} if state == "RUNNING" else {})
        ticket.ended = True
        page["cost"] = {"credits": _charge(ticket)}
        if state == "FAILED":
            code = {"failureCode": ticket.life.code} if ticket.life.code is not None else {}
            return page | {"failure": ticket.life.failure} | code
        if state == "SUCCEEDED":
            late = states.index("SUCCEEDED") + ticket.life.empty
            links = [f"{self.files}/out/{ticket.id}/{n}?_jwt={len(ticket.asked)}"
                     for n in range(ticket.life.outputs)]  # fmt: skip
            page["output"] = links if len(ticket.asked) > late else []
        return page

    def lend(self, filename: str) -> dict[str, Any]:
        """Give a place for an upload."""
        slot, uri = uuid.uuid4().hex, f"runway://{uuid.uuid4()}"
        self._slots[slot] = (uri, filename, f"policy-{slot}")
        fields = {"key": f"in/{slot}", "policy": f"policy-{slot}", "x-amz-signature": slot}
        return {"uploadUrl": f"{self.files}/put/{slot}", "fields": fields, "runwayUri": uri}

    def receive(self, slot: str, parts: list[tuple[str, str, bytes]]) -> None:
        """Keep what was uploaded. Raises Wrong."""
        uri, filename, policy = self._slots.pop(slot, ("", "", ""))
        names = [name for name, _, _ in parts]
        if names != ["key", "policy", "x-amz-signature", "file"]:
            raise Wrong(f"upload fields {names}")
        if parts[1][2] != policy.encode() or parts[3][1] != filename:
            raise Wrong(f"upload of {parts[3][1]} does not fit its place")
        if not 512 <= len(parts[3][2]) <= 200 << 20:
            raise Wrong(f"upload of {len(parts[3][2])} bytes")
        self.lent[uri] = parts[3][2]


def _charge(ticket: Ticket) -> int:
    states = ticket.life.states
    if ticket.life.credits is not None:
        return ticket.life.credits
    return ticket.price if states[-1] == "SUCCEEDED" else 0


# --- the two ports ----------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    strict: Strict

    def handle_error(self, *_: Any) -> None:
        """A client that was killed is nothing to talk about."""


def _server(handler: type[BaseHTTPRequestHandler], strict: Strict) -> _Server:
    server = _Server(("127.0.0.1", 0), handler)
    server.strict = strict
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _address(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


class _Port(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.strict = self.server.strict

    def body(self) -> bytes:
        if self.headers.get("Content-Length") is None:
            self.strict.problems.append(f"{self.command} {self.path} without a Content-Length")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, reply: Reply, ticket: str = "") -> None:
        time.sleep(reply.pause)
        if reply.raw is not None:
            self.wfile.write(reply.raw.replace(b"{ticket}", ticket.encode()))
            if reply.reset:
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR) if not reply.reset else self.connection.close()
            return
        body = reply.body.replace(b"{ticket}", ticket.encode())
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def say(self, status: int, page: Any) -> None:
        headers = {"Content-Type": "application/json"}
        self.answer(Reply(status, json.dumps(page).encode(), headers))

    def refuse(self, problem: str) -> None:
        self.strict.problems.append(f"{self.command} {self.path}: {problem}")
        self.say(400, {"error": "Validation of body failed", "issues": [
            {"code": "custom", "path": [], "message": problem}]})  # fmt: skip


class _Api(_Port):
    def dispatch(self) -> None:
        strict, path = self.strict, self.path.removeprefix("/v1/")
        strict.requests.append(f"{self.command} {path}")
        strict.lines.append(self.client_address[1])
        data = self.body() if self.command == "POST" else b""
        if self.headers.get("X-Runway-Version") != VERSION or path == self.path:
            return self.refuse(f"version {self.headers.get('X-Runway-Version')}")
        if self.headers.get("Authorization") != f"Bearer {strict.key}":
            return self.say(401, {"error": "The API key is not valid."})
        if self.command == "POST":
            with strict.counted(path):
                return self.post(path, data)
        return self.look(path)

    do_GET = do_POST = do_DELETE = dispatch  # noqa: N815  names that http.server looks for

    def post(self, path: str, data: bytes) -> None:
        try:
            body = self.read(path, data)
            if path == "uploads":
                return self.lend(body)
            with self.strict.lock:
                reply, ticket = self.place(path, body)
        except (Wrong, ValueError, AttributeError, TypeError, KeyError) as error:
            return self.refuse(f"{type(error).__name__}: {error}")
        return self.answer(reply, ticket.id if ticket else "")

    def read(self, path: str, data: bytes) -> Any:
        if self.headers.get("Content-Type", "").split(";")[0] != "application/json":
            raise Wrong(f"content type {self.headers.get('Content-Type')}")
        if path != "uploads" and path not in ENDPOINTS:
            raise Wrong("no such endpoint")
        return json.loads(data, object_pairs_hook=_no_pair_twice, parse_constant=_no_constant)

    def place(self, path: str, body: Any) -> tuple[Reply, Ticket | None]:
        strict = self.strict
        strict.orders.append((path, body))
        Judge(path, body, strict.lent).judge()
        reply = strict.scripted(path, f" {body.get('promptText', '')}")
        if reply is not None and not reply.taken:
            return reply, None
        ticket = strict.take(path, body)
        estimate = {"estimatedCost": {"credits": ticket.price}} if ticket.life.estimate else {}
        page = json.dumps({"id": ticket.id} | estimate).encode()
        return reply or Reply(200, page, {"Content-Type": "application/json"}), ticket

    def lend(self, body: Any) -> None:
        if set(body) != {"filename", "type"} or body["type"] != "ephemeral" or not body["filename"]:
            raise Wrong(f"upload {body}")
        reply = self.strict.scripted("uploads")
        return self.answer(reply) if reply else self.say(200, self.strict.lend(body["filename"]))

    def look(self, path: str) -> None:
        strict, (room, _, name) = self.strict, path.partition("/")
        if path == "organization":
            reply = strict.scripted("organization")
            return self.answer(reply) if reply else self.say(200, strict.statement())
        with strict.lock:
            if self.command == "DELETE":
                strict.deleted.append(path)
            if reply := strict.scripted(room):
                return self.answer(reply)
            ticket = strict.tickets.get(name) if room == "tasks" else None
            if ticket and ticket.deleted:
                if ticket.life.told:
                    return self.say(200, {
                        "id": name, "createdAt": "2026-11-21T12:00:00.000Z", "status": "CANCELLED",
                        "cost": {"credits": ticket.cost},
                    })  # fmt: skip
                ticket = None
            if self.command == "DELETE":
                if ticket is None:
                    return self.say(404, {"error": "does not exist"})
                ticket.deleted = ticket.ended = True
                return self.answer(Reply(204, b""))
            page = strict.task(ticket) if ticket else Reply(404, b'{"error":"does not exist"}')
        return self.answer(page, name) if isinstance(page, Reply) else self.say(200, page)


class _Files(_Port):
    def dispatch(self) -> None:
        strict, path = self.strict, urlsplit(self.path).path
        strict.requests.append(f"{self.command} {path.split('/')[1]}")
        for secret in ("Authorization", "X-Runway-Version", "Cookie"):
            if secret in self.headers:
                strict.problems.append(f"{self.command} {path} carries {secret}")
        if self.command == "POST":
            return self.upload(path.removeprefix("/put/"))
        return self.output(*path.split("/")[2:])

    do_GET = do_POST = do_HEAD = dispatch  # noqa: N815  names that http.server looks for

    def upload(self, slot: str) -> None:
        data = self.body()
        if reply := self.strict.scripted("put"):
            return self.answer(reply)
        boundary = self.headers.get("Content-Type", "").partition("boundary=")[2]
        try:
            self.strict.receive(slot, list(_parts(data, boundary.strip('"').encode())))
        except Wrong as error:
            return self.refuse(str(error))
        return self.answer(Reply(204, b""))

    def output(self, name: str = "", number: str = "0") -> None:
        ticket = self.strict.tickets.get(name)
        if ticket is None:
            return self.refuse("no such output")
        with self.strict.lock:
            reply = ticket.downloads.pop(0) if ticket.downloads else None
            ticket.fetched += reply is None
            turn = ticket.fetched - 1 + int(number)
        if reply is None:
            media = ticket.life.media
            kind = "still" if ticket.endpoint == "text_to_image" else "clip"
            data = (media[min(turn, len(media) - 1)] if media
                    else self.strict.footage(kind, ticket.size, ticket.seconds))  # fmt: skip
            reply = Reply(200, data, {"Content-Type": mime_of(data)})
        return self.answer(reply)


def _parts(data: bytes, boundary: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Give name, file name and content of each part of a form, in order."""
    for part in data.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        words = dict(re.findall(r'(\w+)="([^"]*)"', head.decode()))
        yield words.get("name", ""), words.get("filename", ""), content[:-2]


def _no_pair_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Wrong("a field is there twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise Wrong(f"{name} is not JSON")


@contextmanager
def listening(footage: Callable[[str, tuple[int, int], float], bytes]) -> Iterator[Strict]:
    """Run a stand-in for the length of a block, and see that nothing careless was sent to it."""
    strict = Strict(footage)
    try:
        yield strict
    finally:
        strict.close()
    assert not strict.problems
    assert not strict.deleted
