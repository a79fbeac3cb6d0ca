"""The front desk: one method for each route, in the wire format of Runway's API.

Routes and bodies follow the official client (runwayml 5.24.0) and github.com/runwayml/openapi;
where neither decides, the stricter reading is taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response

from secondunit.backlot.book import OPEN
from secondunit.backlot.faults import parse_fault
from secondunit.backlot.gate import DOCS, NO_CREDITS, error
from secondunit.backlot.props import MissingPropError, Prop, inspect, slim, unfit
from secondunit.backlot.rules import API_VERSION
from secondunit.backlot.stage import Job, plan_job
from secondunit.backlot.usage import by_day, span
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from secondunit.backlot.book import Book, Task
    from secondunit.backlot.faults import Plan
    from secondunit.backlot.floor import Floor
    from secondunit.backlot.links import Links
    from secondunit.backlot.props import PropRoom
    from secondunit.backlot.rules import Rules
    from secondunit.catalog import Catalog, Issue, Variant

    Handler = Callable[[Request], Awaitable[Response]]

_UPLOAD_BYTES = (512, 200 * 1024 * 1024)  # docs.dev.runwayml.com/assets/uploads
_ENVELOPE = 1024 * 1024  # room for the form around an upload
_MEDIA = {".mp4": "video/mp4", ".png": "image/png"}


class Desk:
    """Answers requests; keeps nothing but how often a task was asked for."""

    def __init__(
        self,
        home: Path,
        rules: Rules,
        catalog: Catalog,
        book: Book,
        floor: Floor,
        props: PropRoom,
        plan: Plan,
        links: Links,
    ) -> None:
        self._outputs, self._rules, self._catalog = home / "outputs", rules, catalog
        self._book, self._floor, self._props = book, floor, props
        self._plan, self._links = plan, links
        self._asked: Counter[tuple[str, str]] = Counter()

    def inside(self, handler: Handler) -> Handler:
        """Put the checks that all of /v1 shares before a handler: key, then version."""

        async def checked(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not key.strip():
                return error(401, "You must provide an API key.", docUrl=DOCS)
            if refusal := self._rules.refusal(key.strip()):
                return error(401, refusal, docUrl=DOCS)
            version = request.headers.get("x-runway-version")
            if version != API_VERSION:
                said = "is missing" if version is None else "is not supported"
                return error(400, f"The X-Runway-Version header {said}; send {API_VERSION}.")
            return await handler(request)

        return checked

    # orders

    async def create(self, request: Request) -> Response:
        """POST /v1/{endpoint}: check, price, write down, start."""
        endpoint = request.url.path.rpartition("/")[2]
        body = _json(request)
        if issues := self._catalog.validate(endpoint, body, gateway="backlot"):
            return _refused(body, issues)
        variant = self._variant(body["model"], endpoint)
        base = _base(request)
        try:
            found = self._props.gather(body, lambda url: self._own(base, url))
            job, props = await self._job(request, body, variant, found)
        except MissingPropError as missing:
            return _invalid(_issue(missing.where, "custom", str(missing)))
        fates = dict(request.state.fates)
        if trouble := unfit(variant, props):
            fates["invalid"] = trouble
        estimate = _estimate(variant, body, job, fates)
        if refusal := self._no_room(variant.model, estimate):
            return refusal
        task = self._floor.order(endpoint, slim(body), job, estimate, fates)
        request.state.task = task.id
        return JSONResponse({"id": task.id, "estimatedCost": {"credits": task.estimate}})

    def _variant(self, model: str, endpoint: str) -> Variant:
        variant = self._catalog.variant(model, endpoint, "backlot")
        if variant is None:
            raise HTTPException(403, f"Model variant {model} is not available")
        return variant

    async def _job(
        self, request: Request, body: dict[str, Any], variant: Variant, found: tuple[Prop, ...]
    ) -> tuple[Job, tuple[Prop, ...]]:
        props = tuple(await asyncio.gather(*(asyncio.to_thread(inspect, prop) for prop in found)))
        digest = hashlib.sha256(json.dumps(slim(body), sort_keys=True).encode()).digest()
        shot = unquote(request.headers.get("x-secondunit-shot", ""), errors="replace")[:200]
        seed = int.from_bytes(digest[:4])
        if draft := body.get("draftTaskId"):
            return replace(self._draft(draft), shot=shot), props
        return plan_job(body, props, variant, shot=shot, seed=seed), props

    def _draft(self, id_: str) -> Job:
        task = self._book.task(id_)
        if task is None or task.deleted or task.status != "SUCCEEDED":
            raise MissingPropError(("draftTaskId",), "There is no finished draft of this id.")
        return Job(**task.job)

    def _no_room(self, model: str, estimate: int) -> Response | None:
        if self._floor.over_the_day(model):
            most = self._floor.limits(model)[1]
            return error(429, f"You have reached the daily limit of {most} tasks for {model}.")
        if estimate > self._balance():
            return error(400, NO_CREDITS, docUrl=DOCS)
        return None

    def _balance(self) -> int:
        return self._rules.credits - self._book.spent()

    def _own(self, base: str, url: str) -> Path | None:
        """Return the file behind a link to an output made here."""
        path = self._links.path(base, url)
        return self._output(path.removeprefix("/outputs/")) if path else None

    def _output(self, name: str) -> Path | None:
        path = self._outputs / name
        return path if path.is_file() else None

    # tasks

    async def task(self, request: Request) -> Response:
        """GET or DELETE /v1/tasks/{id}."""
        id_ = request.state.task = request.path_params["id"]
        task = self._book.task(id_)
        if task is None or task.deleted:
            return _gone(id_)
        if request.method == "DELETE":
            self._floor.cancel(task)
            return Response(status_code=204)
        if "lost" in task.fates and self._still(task, "lost", task.fates["lost"]):
            return _gone(id_)
        return JSONResponse(self._document(task, _base(request)))

    def _document(self, task: Task, base: str) -> dict[str, Any]:
        created = datetime.fromtimestamp(task.created, UTC).isoformat(timespec="milliseconds")
        facts = {"id": task.id, "createdAt": created.replace("+00:00", "Z")}
        word, _, count = task.fates.get("odd", "").partition(",")
        if word and self._still(task, "odd", count):
            return facts | {"status": word}
        facts |= {"status": task.status}
        if task.status in OPEN:
            rolling = {"progress": self._floor.progress(task)} if task.status == "RUNNING" else {}
            return facts | rolling | {"estimatedCost": {"credits": task.estimate}}
        return facts | self._ending(task, base) | {"cost": {"credits": self._book.cost(task.id)}}

    def _ending(self, task: Task, base: str) -> dict[str, Any]:
        if task.status == "FAILED":
            code = {"failureCode": task.failure_code} if task.failure_code else {}
            return {"failure": task.failure, **code}
        if task.status == "CANCELLED":
            return {}
        hollow = "hollow" in task.fates and self._still(task, "hollow", task.fates["hollow"])
        names = () if hollow else task.outputs * int(task.fates.get("many", 1))
        return {"output": [self._links.sign(base, f"/outputs/{task.id}/{n}") for n in names]}

    def _still(self, task: Task, fate: str, count: str) -> bool:
        """Whether a fate that lasts for `count` polls, or for ever, is still on."""
        self._asked[task.id, fate] += 1
        return not count or self._asked[task.id, fate] <= int(count)

    # uploads

    async def lend(self, request: Request) -> Response:
        """POST /v1/uploads: a slot for one file, and where to send it."""
        body = _json(request)
        if issues := _upload_issues(body):
            return _invalid(*issues)
        id_ = str(uuid.uuid4())
        self._book.lend(id_, body["filename"])
        base, policy = _base(request), {"key": id_, "policy": self._links.token(id_)}
        return JSONResponse(
            {"uploadUrl": f"{base}/uploads", "fields": policy, "runwayUri": f"runway://{id_}"}
        )

    async def upload(self, request: Request) -> Response:
        """POST /uploads: the multipart form that fills a slot, once and without a key."""
        if int(request.headers.get("content-length", 0)) > _UPLOAD_BYTES[1] + _ENVELOPE:
            return error(413, "The file is larger than 200 MB.")
        async with request.form(max_files=1, max_fields=20) as form:
            key, file = str(form.get("key", "")), form.get("file")
            if not self._links.opens(key, str(form.get("policy", ""))):
                return error(403, "The fields are not those that came with the upload URL.")
            if not isinstance(file, UploadFile) or file.size is None:
                return error(400, "The form has no part `file`.")
            least, most = _UPLOAD_BYTES
            if not least <= file.size <= most:
                return error(400, f"{file.size} bytes; an upload has {least} bytes to 200 MB.")
            return await self._fill(key, file)

    async def _fill(self, key: str, file: UploadFile) -> Response:
        slot = self._props.slot(key)
        if slot.exists() or not self._book.store(key, file.size or 0):
            return error(403, "This slot is used, or it never was one.")
        await asyncio.to_thread(_copy, file, slot)
        return Response(status_code=204)

    # the account

    async def organization(self, _: Request) -> Response:
        """GET /v1/organization: balance, limits and the last day's counts."""
        models = self._catalog.names("backlot")
        since = time.time() - 86400
        limits = {model: self._floor.limits(model) for model in models}
        return JSONResponse(
            {
                "creditBalance": self._balance(),
                "tier": {
                    "maxMonthlyCreditSpend": self._floor.monthly,
                    "models": {
                        model: {"maxConcurrentGenerations": once, "maxDailyGenerations": daily}
                        for model, (once, daily) in limits.items()
                    },
                },
                "usage": {
                    "models": {
                        model: {"dailyGenerations": self._book.generations(model, since)}
                        for model in models
                    }
                },
            }
        )

    async def usage(self, request: Request) -> Response:
        """POST /v1/organization/usage: credits by day and model."""
        body = _json(request)
        if not isinstance(body, dict):
            return _invalid(_issue((), "invalid_type", "Expected an object."))
        first, end, issues = span(body, datetime.now(UTC).date())
        if issues:
            return _invalid(*(_issue(*issue) for issue in issues))
        return JSONResponse(by_day(self._book.usage(), first, end))

    # files

    async def output(self, request: Request) -> Response:
        """GET or HEAD /outputs/{task}/{file}: a signed link, no key needed."""
        id_ = request.state.task = request.path_params["task"]
        name = request.path_params["file"]
        if not self._links.valid(request.url.path, request.url.query):
            return error(403, "The link has expired, or it was never signed.")
        path = self._output(f"{id_}/{name}")
        if path is None:
            return error(404, "The file was deleted.")
        bearer = "authorization" in request.headers
        self._book.download(id_, name, request.method, bearer=bearer)
        return FileResponse(path, media_type=_MEDIA[path.suffix])

    # the backlot's own

    async def ledger(self, _: Request) -> Response:
        """GET /backlot/ledger: all that is in the books."""
        return JSONResponse({"balance": self._balance(), **self._book.ledger()})

    async def faults(self, request: Request) -> Response:
        """GET, POST or DELETE /backlot/faults: list, arm ({"faults": [text, …]}) or disarm."""
        if request.method == "DELETE":
            self._plan.clear()
        elif request.method == "POST":
            body = _parsed(await request.body())
            texts = body.get("faults") if isinstance(body, dict) else None
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                return error(400, 'Send {"faults": ["POST /v1/image_to_video#2=drop"]}.')
            try:
                faults = [parse_fault(text) for text in texts]
            except UsageError as wrong:
                return error(400, str(wrong))
            for fault in faults:
                self._plan.add(fault)
        return JSONResponse({"faults": [str(fault) for fault in self._plan.faults()]})


def _base(request: Request) -> str:
    return f"http://{request.headers['host']}"


def _json(request: Request) -> Any:
    return _parsed(request.state.body)


def _parsed(data: bytes) -> Any:
    try:
        body = json.loads(data, parse_constant=_no_constant)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as wrong:
        raise HTTPException(400, f"The request body is not valid JSON: {wrong}") from wrong
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _issue(where: tuple[str | int, ...], code: str, message: str) -> dict[str, Any]:
    return {"code": code, "path": list(where), "message": message}


def _invalid(*issues: dict[str, Any]) -> Response:
    return error(400, "Validation of body failed", issues=list(issues), docUrl=DOCS)


def _refused(body: Any, issues: list[Issue]) -> Response:
    # An unknown name is a matter of what the account may use, not of the form of the body.
    if [(issue.path, issue.code) for issue in issues] == [(("model",), "invalid_value")]:
        return error(403, f"Model variant {body['model']} is not available")
    return _invalid(*(_issue(issue.path, issue.code, issue.message) for issue in issues))


def _gone(id_: str) -> Response:
    return error(404, f"The task {id_} does not exist, or was deleted or canceled.")


def _upload_issues(body: Any) -> list[dict[str, Any]]:
    if not isinstance(body, dict):
        return [_issue((), "invalid_type", "Expected an object.")]
    issues = [
        _issue((name,), "unrecognized_keys", "Unknown field.")
        for name in body.keys() - {"filename", "type"}
    ]
    name = body.get("filename")
    if not isinstance(name, str):
        issues.append(_issue(("filename",), "invalid_type", "Expected a text."))
    elif not 1 <= len(name) <= 255:
        issues.append(_issue(("filename",), "invalid_value", "Expected 1 to 255 characters."))
    if body.get("type") != "ephemeral":
        issues.append(_issue(("type",), "invalid_value", "Expected `ephemeral`."))
    return issues


def _estimate(variant: Variant, body: Mapping[str, Any], job: Job, fates: Mapping[str, str]) -> int:
    price = variant.credits(body, job.seconds) or 0
    return math.ceil(price * float(fates.get("price", 1)))


def _copy(file: UploadFile, slot: Path) -> None:
    part = slot.with_suffix(".part")
    with part.open("wb") as out:
        while piece := file.file.read(1024 * 1024):
            out.write(piece)
    part.replace(slot)
