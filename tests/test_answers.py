"""Answers that are damaged in every way: each is an outcome, and none of them buys a second time."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from comet import BROKE, NOT_YET, enveloped
from strict import Life, Reply, Strict, listening

from secondunit import catalog, shotlist
from secondunit.crew import Project
from secondunit.errors import Bug, SecondUnitError, Unreachable
from secondunit.gateways import answers
from secondunit.gateways.wire import Credentials, WireGateway
from secondunit.ledger import Ledger
from secondunit.plan.planner import Choices, compile_plan
from secondunit.ports import Account, Doubtful, NotSent, Ordered, Progress, Rejected
from secondunit.store import Store
from secondunit.take import Unit
from secondunit.take.lane import Lane
from secondunit.take.pace import Pace
from secondunit.verdicts import attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secondunit.plan import Plan

ID = "17f20503-6c24-4c16-946b-35dbbce2af2f"
OUTPUT = "http://127.0.0.1:9/out.mp4?_jwt=x"  # nobody listens there
TASK: dict[str, Any] = {"id": ID, "createdAt": "2026-11-21T12:00:00.000Z"}
TASKS: tuple[dict[str, Any], ...] = (
    {**TASK, "status": "PENDING", "estimatedCost": {"credits": 24}},
    {**TASK, "status": "THROTTLED", "estimatedCost": {"credits": 24}},
    {**TASK, "status": "RUNNING", "progress": 0.42, "estimatedCost": {"credits": 24}},
    {**TASK, "status": "SUCCEEDED", "output": [OUTPUT], "cost": {"credits": 24}},
    {**TASK, "status": "FAILED", "failure": "No.", "failureCode": "SAFETY.INPUT.TEXT",
     "cost": {"credits": 24}},
    {**TASK, "status": "CANCELLED", "cost": {"credits": 0}},
)  # fmt: skip
POLLS = (*TASKS, *map(enveloped, TASKS), {**enveloped(TASKS[2])["data"], "data": None})
CREATES: tuple[dict[str, Any], ...] = ({"id": ID}, {"id": ID, "estimatedCost": {"credits": 24}})
ACCOUNTS: tuple[dict[str, Any], ...] = (
    {
        "creditBalance": 1000,
        "tier": {"maxMonthlyCreditSpend": 500, "models": {
            "gen4.5": {"maxConcurrentGenerations": 3, "maxDailyGenerations": None}}},
        "usage": {"models": {"gen4.5": {"dailyGenerations": 7}}},
    },
)  # fmt: skip
COMPLAINTS = (
    {"error": "You do not have enough credits to run this task.", "docUrl": "https://x.test"},
    {"error": "Validation of body failed", "issues": [{"code": "x", "path": ["a", 0], "message": "m"}]},
    BROKE,
    NOT_YET,
)  # fmt: skip
PAGES = (*POLLS, *CREATES, *ACCOUNTS, *COMPLAINTS)

# --- damage ---------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, 10**30, 10**4000, "", " ", "0", "null",
    "x" * 10_000, "\ud800", "a\0b", "\x1b[31m", "夜", [], {}, [[]], [None], {"": None}, "SUCCEEDED",
    "FAILURE", "42%", "task_not_exist", {"credits": 3}, {"status": "FAILED"}, [{"id": "x"}],
    {"data": {"data": {"status": "RUNNING"}}}, float("nan"), float("inf"),
)  # fmt: skip


def places(page: Any) -> Iterator[tuple[Any, Any]]:
    """Give every container of a page, with each of its keys."""
    for key in list(page) if isinstance(page, dict) else range(len(page)):
        yield page, key
        if isinstance(page[key], dict | list):
            yield from places(page[key])


def hurt(page: Any, dice: random.Random) -> Any:
    """Injure one place of a page: delete, retype, nest, rename, duplicate or swap."""
    spots = list(places(page))
    if not spots:
        return dice.choice(ODD)
    home, key = dice.choice(spots)
    other, place = dice.choice(spots)
    injury = dice.randrange(6)
    if injury == 0:
        del home[key]
    elif injury == 1:
        home[key] = copy.deepcopy(dice.choice(ODD))
    elif injury == 2:
        for _ in range(dice.choice((1, 2, 9))):
            home[key] = {"data": home[key]} if dice.random() < 0.5 else [home[key]]
    elif injury == 3 and isinstance(home, dict):
        home[dice.choice(("status", "id", "data", "error", "output", "é"))] = home.pop(key)
    elif injury == 4:
        home[key] = [copy.deepcopy(home[key])] * dice.choice((2, 50))
    else:
        home[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(home[key])
    return page


def damaged(pages: tuple[Any, ...], count: int, seed: int = 3) -> Iterator[bytes]:
    """Yield `count` damaged answers, always the same ones."""
    dice = random.Random(seed)
    for _ in range(count):
        page = copy.deepcopy(dice.choice(pages))
        for _ in range(dice.randint(1, 3)):
            if isinstance(page, dict | list):
                page = hurt(page, dice)
        yield spilt(json.dumps(page).encode(), dice)


def spilt(data: bytes, dice: random.Random) -> bytes:
    """Injure the bytes of some answers: truncated, flipped, something put in, far too deep."""
    at = dice.randrange(len(data) + 1)
    match dice.randrange(8):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        case 2:
            return (
                data[:at]
                + dice.choice((b"\xff", b"\0", b"[" * 3000, b"}", b"9" * 5000))
                + data[at:]
            )
        case 3:
            depth = dice.choice((60, 300, 900, 100_000))
            return b'{"error":' * depth + data + b"}" * depth
        case _:
            return data


# --- what is read of it ----------------------------------------------------------------------------


def read_all(body: bytes) -> None:
    """Read an answer as everything it might be, and see that each reading is a careful one."""
    for status in (200, 201, 400, 402, 403, 404, 429, 500, 503):
        outcome = answers.outcome(status, body, {"retry-after": body[:9].decode("latin-1")})
        allowed: dict[int, Any] = {200: Ordered | Doubtful, 201: Ordered | Doubtful,
                                   429: NotSent | Rejected, 500: Doubtful, 503: Doubtful}  # fmt: skip
        assert isinstance(outcome, allowed.get(status, Rejected))
        if isinstance(outcome, Ordered):
            assert json.loads(body)["id"] == outcome.ticket
        else:
            assert outcome.reason.isprintable()
    assert not answers.unknown(body) or b"task_not_exist" in body
    with suppress(ValueError, RecursionError):
        page = json.loads(body)
        assert isinstance(answers.account(page), Account | None)
        with suppress(Unreachable):
            said = answers.progress(page)
            read_of(said, body)


def read_of(said: Progress, body: bytes) -> None:
    assert isinstance(said, Progress)
    assert (said.state + said.failure + said.failure_code).isprintable()
    assert said.progress is None or 0 <= said.progress <= 1
    assert said.credits is None or 0 <= said.credits <= 10**9
    assert all(isinstance(url, str) and url for url in said.outputs)
    for state, words in (("SUCCEEDED", b"SUCCE"), ("FAILED", b"FAIL"), ("CANCELLED", b"CANC")):
        assert said.state != state or words in body


@pytest.mark.covers("C13")
@pytest.mark.parametrize(
    "count", [500, pytest.param(5000, marks=pytest.mark.long)]
)  # fmt: skip
def test_damaged_answers_are_read_with_care(count: int) -> None:
    for body in damaged(PAGES, count):
        read_all(body)


@pytest.mark.covers("C4")
def test_answers_cut_off_at_any_byte_are_read_with_care() -> None:
    for page in PAGES:
        body = json.dumps(page).encode()
        for end in range(len(body)):
            assert isinstance(answers.outcome(200, body[:end], {}), Doubtful)
            assert not answers.unknown(body[:end])


def test_the_damage_is_real() -> None:
    """Otherwise the tests above could not fail."""
    read = [answers.outcome(200, body, {}) for body in damaged(CREATES, 300)]
    assert 30 < sum(isinstance(outcome, Ordered) for outcome in read) < 270
    states = set()
    for body in damaged(POLLS, 300):
        with suppress(ValueError, RecursionError, Unreachable):
            states.add(answers.progress(json.loads(body)).state)
    assert {"PENDING", "RUNNING", "SUCCEEDED", "FAILED"} < states


def around(task: dict[str, Any] | None, **words: Any) -> dict[str, Any]:
    return {"task_id": "t", "data": task, **words}


READINGS = [
    (TASKS[0], Progress("PENDING")),
    (TASKS[2], Progress("RUNNING", 0.42)),
    (TASKS[3], Progress("SUCCEEDED", outputs=(OUTPUT,), credits=24)),
    (TASKS[4], Progress("FAILED", credits=24, failure="No.", failure_code="SAFETY.INPUT.TEXT")),
    (TASKS[5], Progress("CANCELLED", credits=0)),
    (around(None, status="IN_PROGRESS", progress="42%"), Progress("RUNNING", 0.42)),
    (around(None, status="NOT_START"), Progress("PENDING")),
    (around(TASKS[2], status="IN_PROGRESS", progress="99%"), Progress("RUNNING", 0.42)),
    (
        around(TASKS[2], status="FAILURE", fail_reason="gave up"),
        Progress("FAILED", 0.42, failure="gave up", failure_code="GATEWAY"),
    ),
    (
        around(TASKS[4], status="FAILURE", fail_reason="gave up"),
        Progress("FAILED", credits=24, failure="No.", failure_code="SAFETY.INPUT.TEXT"),
    ),
    (around(TASKS[3], status="FAILURE"), Progress("SUCCEEDED", outputs=(OUTPUT,), credits=24)),
    (around(None, status="SUCCESS", result_url=OUTPUT), Progress("SUCCEEDED", outputs=(OUTPUT,))),
]


@pytest.mark.parametrize(("page", "said"), READINGS)
def test_a_task_is_read_whole_and_believed_before_its_envelope(
    page: dict[str, Any], said: Progress
) -> None:
    assert answers.progress(page) == said


@pytest.mark.parametrize("length", [1, 36, 200])
def test_a_ticket_may_be_as_long_as_any_gateway_makes_it(length: int) -> None:
    body = json.dumps({"id": "t" * length, "estimatedCost": {"credits": 23.2}}).encode()
    assert answers.outcome(200, body, {}) == Ordered("t" * length, 24)


def test_a_ticket_that_is_none_is_a_doubt_in_its_own_words() -> None:
    odd = [answers.outcome(200, json.dumps({"id": id_}).encode(), {}) for id_ in ("t" * 201, "a\0")]
    assert odd == [
        Doubtful(f"the gateway accepted it and names an odd ticket, '{'t' * 199}"),
        Doubtful(r"the gateway accepted it and names an odd ticket, 'a\x00'"),
    ]
    assert answers.outcome(400, b"{}", {}) == Rejected("no reason given", 400)


# --- what is done about it -------------------------------------------------------------------------

PACE = Pace(poll=0.01, unknown=0.1, outage=0.2, retry=0.002, again=())
HELD = Life(states=("FAILED",), code="SAFETY.INPUT.TEXT")


class Deaf:
    """A watcher that does not look."""

    def saw(self, *_: str) -> None:
        """Look away."""


class Studio:
    """Many shots of one film, each taken by a unit of its own, over one ledger and one gateway."""

    def __init__(self, folder: Path, strict: Strict, count: int) -> None:
        self.strict = strict
        self.project = Project(folder)
        path = folder / "film.yaml"
        shots = "".join(f"  s{n}: Case {n}. A door opens.\n" for n in range(count))
        path.write_text(f"defaults: {{duration: 2, ratio: '16:9', seed: 7}}\nshots:\n{shots}")
        self.plan: Plan = compile_plan(shotlist.read(str(path)), Choices(gateway="runway"))

    def shoot(self) -> list[Any]:
        """Take every shot once; what is raised comes back among the takes."""
        ledger = Ledger(self.project.ledger)
        lane = Lane(ledger)
        try:
            ledger.prepare()
            return asyncio.run(self._shoot(ledger, lane))
        finally:
            lane.close()
            ledger.close()

    async def _shoot(self, ledger: Ledger, lane: Lane) -> list[Any]:
        address = catalog.load().gateways["runway"]
        gateway = WireGateway(address, Credentials(self.strict.url, "test"))
        store = Store(self.project.store)
        try:
            return [
                ended
                for start in range(0, len(self.plan.steps), 50)
                for ended in await asyncio.gather(
                    *(self._unit(gateway, ledger, store, lane).shoot(step)
                      for step in self.plan.steps[start : start + 50]),
                    return_exceptions=True,
                )
            ]  # fmt: skip
        finally:
            await gateway.close()

    def _unit(self, gateway: WireGateway, ledger: Ledger, store: Store, lane: Lane) -> Unit:
        unit = Unit(self.plan, gateway, ledger, store, lane, Deaf(), run="run")
        unit.pace = PACE
        return unit

    def told(self) -> dict[str, list[Any]]:
        """Return the orders of each shot, as the ledger has them."""
        ledger = Ledger(self.project.ledger)
        try:
            return {s.shot: list(ledger.of(s.key)) for s in self.plan.steps}
        finally:
            ledger.close()

    def bought(self) -> dict[str, list[str]]:
        """Return the tickets that were charged for each shot, as the gateway has them."""
        found: dict[str, list[str]] = {s.shot: [] for s in self.plan.steps}
        for ticket in self.strict.tickets.values():
            number = ticket.body["promptText"].split(".")[0].removeprefix("Case ")
            found[f"s{number}"].append(ticket.id)
        return found

    def check(self, ended: list[Any]) -> None:
        """See that every ending is one of ours, and that nothing was bought twice without leave."""
        for one in ended:
            assert isinstance(one, SecondUnitError), repr(one)
            assert not isinstance(one, Bug), str(one)
        told = self.told()
        for shot, tickets in self.bought().items():
            orders = told[shot]
            allowed = 1 + sum(o.state == "failed" and attempts(o) > 1 for o in orders)
            assert len(tickets) <= allowed, (shot, orders)
            known = {o.ticket for o in orders} | {o.state for o in orders}
            for ticket in tickets:
                assert ticket in known or known & {"doubt", "open", "lost"}, (shot, orders)


@pytest.fixture
def strict() -> Iterator[Strict]:
    with listening(lambda *_: b"") as strict:
        strict.account["creditBalance"] = 10**9
        yield strict


def asked(studio: Studio, bodies: list[bytes]) -> None:
    for number, body in enumerate(bodies):
        answer = Reply((200, 200, 200, 400, 500)[number % 5], body)
        studio.strict.living(f"Case {number}.", Life((answer, "FAILED"), code="SAFETY.INPUT.TEXT"))


def receipts(studio: Studio, bodies: list[bytes]) -> None:
    for number, body in enumerate(bodies):
        given = body.replace(ID.encode(), b"{ticket}")
        studio.strict.script(f" Case {number}.", Reply(200, given, taken=True))
        studio.strict.living(f"Case {number}.", HELD, HELD)


def statements(studio: Studio, bodies: list[bytes]) -> None:
    studio.strict.script("organization", *(Reply(200, body) for body in bodies))
    for number in range(len(bodies)):
        studio.strict.living(f"Case {number}.", HELD, HELD)


KINDS: dict[str, tuple[Callable[[Studio, list[bytes]], None], tuple[Any, ...], int]] = {
    "polls": (asked, (*POLLS, NOT_YET), 5),
    "receipts": (receipts, CREATES, 3),
    "accounts": (statements, ACCOUNTS, 2),
}


@pytest.mark.covers("C3", "C4", "C13", "D6")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.long)])
def test_no_damaged_answer_buys_a_second_time(
    kind: str, count: int, tmp_path: Path, strict: Strict
) -> None:
    """Whatever is damaged, and in the run after it: one order, or a failure that may be repeated."""
    script, pages, share = KINDS[kind]
    bodies = list(damaged(pages, count * share))
    studio = Studio(tmp_path, strict, len(bodies))
    script(studio, bodies)
    studio.check(studio.shoot())
    first = {shot: len(tickets) for shot, tickets in studio.bought().items()}
    assert kind == "accounts" or set(first.values()) == {1}
    studio.check(studio.shoot())
