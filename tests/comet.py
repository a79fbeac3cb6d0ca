"""A stand-in for CometAPI's Runway pages that believes nothing, on the plumbing of `strict`.

Written from apidoc.cometapi.com, “Runway, official format”, alone: what it accepts, those pages
accept. What they do not offer (account, uploads, deleting) is noted in `problems` when asked for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import strict
from strict import ENDED, VERSION, Reply, Strict
from strict_rules import PICTURES, VIDEOS, Wrong, _inline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from strict import Ticket

PREFIX = "/runwayml/v1/"
RATIOS = "1280:720 720:1280 1104:832 832:1104 960:960 1584:672"
NOT_YET = {"code": "task_not_exist", "message": "task_not_exist", "data": None}
BROKE = {
    "error": {
        "message": "user quota is not enough (request id: 20261121)",
        "type": "comet_api_error",
        "param": "",
        "code": "insufficient_user_quota",
    }
}
WORDS = {
    "PENDING": ("QUEUED", "0%"),
    "RUNNING": ("IN_PROGRESS", "42%"),
    "SUCCEEDED": ("SUCCESS", "100%"),
    "FAILED": ("FAILURE", "100%"),
}


class Comet(Strict):
    """The API at `url`; every call of a model costs `per_call` of it, 40 credits by default.

    With `envelope` a task comes inside the wrapper of March 2026, without it bare as since May; a
    new ticket does not exist for its first `late` questions.
    """

    def __init__(self, footage: Callable[[str, tuple[int, int], float], bytes]) -> None:
        super().__init__(footage)
        self.envelope = False
        self.late = 0
        self.unborn: Counter[str] = Counter()  # how often each ticket does not exist yet
        self.per_call: dict[str, int] = {"gen4_image": 32}
        self._door = strict._server(_Door, self)
        self.url = strict._address(self._door)

    def close(self) -> None:
        """Stop listening."""
        super().close()
        self._door.shutdown()
        self._door.server_close()

    def take(self, endpoint: str, body: Any) -> Ticket:
        """Take an order and charge for the call."""
        ticket = super().take(endpoint, body)
        ticket.price = self.per_call.get(body["model"], 40)
        self.unborn[ticket.id] = self.late
        return ticket

    def page(self, ticket: Ticket) -> Reply:
        """Answer one question about a ticket."""
        if self.unborn[ticket.id]:
            self.unborn[ticket.id] -= 1
            return said(400, NOT_YET)
        page = self.task(ticket)
        if isinstance(page, Reply):
            return page
        native = {k: v for k, v in page.items() if k not in {"cost", "estimatedCost"}}
        return said(200, enveloped(native, ticket.endpoint) if self.envelope else native)


def enveloped(native: dict[str, Any], endpoint: str = "image_to_video") -> dict[str, Any]:
    """Put a task into the wrapper, as the pages of March 2026 show it."""
    word, share = WORDS.get(native["status"], (native["status"], "0%"))
    ended = native["status"] in ENDED
    inside = {
        "task_id": native["id"], "action": endpoint.upper(), "status": word,
        "fail_reason": native.get("failure", ""), "submit_time": 1773366766,
        "start_time": 0 if word == "QUEUED" else 1773366770,
        "finish_time": 1773366799 if ended else 0, "progress": share, "data": native,
    }  # fmt: skip
    return {"code": "success", "message": "", "data": inside}


def said(status: int, page: Any) -> Reply:
    """Return a page as JSON."""
    return Reply(status, json.dumps(page).encode(), {"Content-Type": "application/json"})


def refusal(message: str, code: str = "invalid_request") -> dict[str, Any]:
    """Return a complaint in CometAPI's form."""
    return {"error": {"message": message, "type": "comet_api_error", "param": "", "code": code}}


class _Door(strict._Port):
    strict: Comet

    def dispatch(self) -> None:
        comet, path = self.strict, self.path.removeprefix(PREFIX)
        comet.requests.append(f"{self.command} {path}")
        comet.lines.append(self.client_address[1])
        data = self.body() if self.command == "POST" else b""
        if self.headers.get("Authorization") != f"Bearer {comet.key}":
            return self.answer(said(401, refusal("invalid token (request id: 1)", "")))
        if path == self.path or self.command == "DELETE" or not self.is_page(path):
            comet.problems.append(f"{self.command} {self.path} is not on its pages")
            return self.answer(Reply(404, b"<!doctype html><title>CometAPI</title>"))
        if self.headers.get("X-Runway-Version") != VERSION:
            comet.problems.append(f"version {self.headers.get('X-Runway-Version')}")
        if self.command == "POST":
            with comet.counted(path):
                return self.order(path, data)
        return self.look(path.removeprefix("tasks/"))

    do_GET = do_POST = do_DELETE = dispatch  # noqa: N815  names that http.server looks for

    def is_page(self, path: str) -> bool:
        return path in RULES if self.command == "POST" else path.startswith("tasks/")

    def order(self, path: str, data: bytes) -> None:
        comet = self.strict
        if self.headers.get("Content-Type", "").split(";")[0] != "application/json":
            comet.problems.append(f"content type {self.headers.get('Content-Type')}")
        try:
            body = json.loads(data)
            with comet.lock:
                comet.orders.append((path, body))
                judge(path, body)
                reply = comet.scripted(path, f" {body.get('promptText', '')}")
                if reply is not None and not reply.taken:
                    return self.answer(reply)
                ticket = comet.take(path, body)
        except (Wrong, ValueError, AttributeError, TypeError, KeyError) as error:
            comet.problems.append(f"{path}: {type(error).__name__}: {error}")
            return self.answer(said(400, refusal(str(error))))
        return self.answer(reply or said(200, {"id": ticket.id}), ticket.id)

    def look(self, name: str) -> None:
        comet = self.strict
        with comet.lock:
            reply = comet.scripted("tasks")
            ticket = comet.tickets.get(name)
            page = reply or (comet.page(ticket) if ticket else said(400, NOT_YET))
        return self.answer(page, name)


# --- what its pages say of each body --------------------------------------------------------------


def judge(path: str, body: Any) -> None:
    """Raise Wrong for the first thing that the page of this path does not allow."""
    models, required, optional = RULES[path]
    if not isinstance(body, dict) or body.get("model") not in models.split():
        raise Wrong(f"no model for {path} in {str(body)[:80]}")
    given = set(body) - {"model"}
    if missing := set(required.split()) - given:
        if missing == {"referenceImages"}:
            raise Wrong("reference_images_empty")
        raise Wrong(f"missing {sorted(missing)}")
    if extra := given - set(required.split()) - set(optional.split()):
        raise Wrong(f"unknown {sorted(extra)}")
    for name in sorted(given):
        FIELDS[name](path, body[name])


RULES = {
    "image_to_video": (
        "gen3a_turbo gen4_turbo", "promptImage", "promptText seed watermark duration ratio",
    ),
    "video_to_video": (
        "gen4_aleph", "videoUri promptText", "seed references ratio contentModeration",
    ),
    "text_to_image": ("gen4_image", "promptText ratio referenceImages", "seed"),
}  # fmt: skip


def _prompt(path: str, text: Any) -> None:
    most = 512 if path == "image_to_video" else 1000
    if not isinstance(text, str) or not 1 <= len(text.encode("utf-16-le")) // 2 <= most:
        raise Wrong(f"promptText of {len(str(text))} characters")


def _seed(path: str, seed: Any) -> None:
    most = 999_999_999 if path == "image_to_video" else 4_294_967_295
    if type(seed) is not int or not 0 <= seed <= most:
        raise Wrong(f"seed {seed!r}")


def _duration(_: str, seconds: Any) -> None:
    if type(seconds) is not int or seconds not in (5, 10):
        raise Wrong(f"duration {seconds!r}")


def _ratio(path: str, ratio: Any) -> None:
    listed = f"{RATIOS} 1280:768 768:1280".split()
    form = isinstance(ratio, str) and re.fullmatch(r"\d{3,4}:\d{3,4}", ratio)
    if not form or (path == "image_to_video" and ratio not in listed):
        raise Wrong(f"ratio {ratio!r}")


def _uri(uri: Any, kinds: tuple[str, ...]) -> None:
    if not isinstance(uri, str):
        raise Wrong(f"uri {uri!r}")
    if uri.startswith("https://"):
        if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]+", urlsplit(uri).hostname or ""):
            raise Wrong(f"address {uri[:60]}")
    elif uri.startswith("data:"):
        _inline(uri, kinds)
    else:
        raise Wrong(f"uri {uri[:60]}")


def _references(_: str, given: Any) -> None:
    for reference in given:
        if set(reference) != {"type", "uri"} or reference["type"] != "image":
            raise Wrong(f"reference {reference}")
        _uri(reference["uri"], PICTURES)
    if not given:
        raise Wrong("references are empty")


def _reference_images(_: str, given: Any) -> None:
    if not isinstance(given, list) or not 1 <= len(given) <= 3:
        raise Wrong("reference_images_empty")
    for reference in given:
        if set(reference) - {"uri", "tag"}:
            raise Wrong(f"reference {reference}")
        _uri(reference["uri"], PICTURES)


def _moderation(_: str, given: Any) -> None:
    if set(given) != {"publicFigureThreshold"} or not {*given.values()} <= {"auto", "low"}:
        raise Wrong(f"contentModeration {given}")


def _watermark(_: str, given: Any) -> None:
    if not isinstance(given, bool):
        raise Wrong(f"watermark {given!r}")


FIELDS: dict[str, Callable[[str, Any], None]] = {
    "promptText": _prompt,
    "promptImage": lambda _, uri: _uri(uri, PICTURES),
    "videoUri": lambda _, uri: _uri(uri, VIDEOS),
    "referenceImages": _reference_images,
    "references": _references,
    "contentModeration": _moderation,
    "watermark": _watermark,
    "duration": _duration,
    "ratio": _ratio,
    "seed": _seed,
}


@contextmanager
def orbiting(footage: Callable[[str, tuple[int, int], float], bytes]) -> Iterator[Comet]:
    """Run a stand-in for the length of a block, and see that nothing careless was sent to it."""
    comet = Comet(footage)
    try:
        yield comet
    finally:
        comet.close()
    assert not comet.problems
    assert comet.posted_at_once <= 1
