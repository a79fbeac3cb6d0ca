"""Taking shots from a strict gateway: every route, every ending, and never one order too many."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from footage import small_disk
from onset import HEAD, ONE, PACE, Production  # noqa: F401  test_verify asks for ONE here
from reel import picture, reel
from strict import DROP, RESET, Life, Reply, Strict, listening

from secondunit import deciding
from secondunit.crew import Project
from secondunit.errors import (
    Broken,
    DiskTrouble,
    InDoubt,
    Lost,
    OverBudget,
    Refused,
    ShotError,
    Spoiled,
    Throttled,
    Unreachable,
    UsageError,
)
from secondunit.ledger import Allowance
from secondunit.ports import Account
from secondunit.take.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secondunit.take import Unit


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        yield strict
        assert strict.posted_at_once <= 1
        assert strict.quickest() >= PACE.poll


# --- the routes -----------------------------------------------------------------------------------


def test_every_route_is_ordered_where_it_belongs(
    at: Production, strict: Strict, footage: Callable[..., bytes]
) -> None:
    (at.folder / "ref.png").write_bytes(picture((1280, 720)))
    (at.folder / "plate.mp4").write_bytes(footage("clip", (1280, 720), 2.5))
    plan = at.plan(
        HEAD
        + """
  words: A keeper waits by the lamp.
  picture: {prompt: The lamp turns., first_frame: ref.png, model: gen4_turbo}
  likeness: {prompt: The keeper walks., reference: ref.png}
  edit: {prompt: Make it night., source: plate.mp4}
  next: {prompt: He turns around., continues: words}
  made over: {prompt: Make it snow., source: next}
  drawn: {prompt: The door opens., first_frame: {prompt: A blue door.}}
"""
    )
    at.shoot(plan)
    assert {(path, body["model"]) for path, body in strict.orders} == {
        ("text_to_video", "gen4.5"), ("image_to_video", "gen4_turbo"), ("image_to_video", "gen4.5"),
        ("text_to_image", "gen4_image"), ("video_to_video", "aleph2"),
    }  # fmt: skip
    assert len(strict.orders) == len(strict.tickets) == len(plan.orders) == 9
    assert at.states == ["kept"] * 9
    assert sum(order.cost for order in at.orders) == strict.charged
    at.shoot(plan)
    assert len(strict.orders) == 9


def test_a_take_is_kept_with_its_slate(at: Production, strict: Strict) -> None:
    take = at.shoot(at.plan())
    (ticket,) = strict.tickets.values()
    assert take.path.name == "clip.mp4"
    slate = json.loads((take.path.parent / "slate.json").read_text())
    told = {name: slate[name] for name in ("ticket", "prompt", "seed", "model", "gateway", "shot")}
    assert told == {
        "ticket": ticket.id, "prompt": "A door opens.", "seed": 7, "model": "gen4.5",
        "gateway": "runway", "shot": "one",
    }  # fmt: skip
    assert (slate["credits_estimated"], slate["credits_charged"]) == (24, 24)
    assert slate["media"] == {"width": 1280, "height": 720, "fps": "24", "frames": 48,
                              "seconds": 2.0, "sound": False}  # fmt: skip
    assert slate["warnings"] == []


def test_what_is_in_the_store_asks_nothing_of_anybody(at: Production, strict: Strict) -> None:
    at.shoot(at.plan())
    strict.requests.clear()
    at.shoot(at.plan())
    assert strict.requests == []
    assert at.seen.stages[-1] == ("one", "cached", "gen4.5")


@pytest.mark.covers("D22")
def test_progress_that_runs_backwards_and_clocks_that_differ_decide_nothing(
    at: Production, strict: Strict
) -> None:
    odd = [
        Reply(200, b'{"id": "t", "status": "RUNNING", "progress": %s, "createdAt": "%s"}' % said)
        for said in [(b"0.9", b"2099-01-01T00:00:00Z"), (b"0.1", b"1970-01-01T00:00:00Z"),
                     (b"-3", b"yesterday"), (b"1e400", b"")]
    ]  # fmt: skip
    strict.living("A door", Life(states=(*odd, "SUCCEEDED")))
    at.shoot(at.plan())
    assert at.states == ["kept"]


@pytest.mark.covers("D12")
def test_several_outputs_are_all_kept(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(outputs=3))
    take = at.shoot(at.plan())
    assert [f["name"] for f in take.slate["files"]] == ["clip.mp4", "clip-2.mp4", "clip-3.mp4"]


def test_a_clip_that_is_not_as_ordered_is_kept_and_said(
    at: Production, strict: Strict, footage: Callable[..., bytes]
) -> None:
    strict.living("A door", Life(media=(footage("clip", (1104, 832), 2.5),)))
    take = at.shoot(at.plan())
    assert take.slate["warnings"] == [
        "The clip is 1104×832 pixels; 1280×720 were ordered.",
        "The clip is 2.50 s long; 2 s were ordered.",
    ]
    assert len(strict.orders) == 1


def test_prices_that_the_gateway_does_not_tell_are_those_of_the_plan(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(estimate=False))
    assert at.shoot(at.plan()).slate["credits_estimated"] == 24
    assert at.orders[0].estimate is None


# --- the states ---------------------------------------------------------------------------------


def test_all_states_are_waited_through_and_shown_once_each(at: Production, strict: Strict) -> None:
    states = ("THROTTLED",) * 3 + ("PENDING",) * 2 + ("RUNNING",) * 3 + ("DREAMING", "SUCCEEDED")
    strict.living("A door", Life(states=states))
    at.shoot(at.plan())
    assert [stage for _, stage, _ in at.seen.stages] == [
        "ordering", "queued", "throttled", "queued", "rolling", "rolling", "fetching", "done",
    ]  # fmt: skip
    (ticket,) = strict.tickets
    assert at.seen.stages[:2] == [
        ("one", "ordering", "gen4.5"),
        ("one", "queued", f"ticket {ticket}"),
    ]
    assert at.seen.stages[5][2] == "the gateway says DREAMING"


def test_a_failing_line_is_waited_out(at: Production, strict: Strict) -> None:
    lost = (DROP, RESET, Reply(503), Reply(429), Reply(200, b"<html>"), Reply(200, b"{}"))
    strict.living("A door", Life(states=("PENDING", *lost, "RUNNING", *lost[:2], "SUCCEEDED")))
    at.shoot(at.plan())
    assert at.states == ["kept"]
    assert len(strict.orders) == 1


def test_a_gateway_that_falls_silent_leaves_the_ticket_open(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(states=("RUNNING", *[Reply(502)] * 6, "SUCCEEDED")))
    at.pace = replace(PACE, outage=0.05)
    with pytest.raises(ShotError, match="stays open") as left:
        at.shoot(at.plan())
    assert not left.value.transient  # the outage was waited for once; nobody waits for it again
    assert at.states == ["open"]
    at.pace = PACE
    at.shoot(at.plan())
    assert at.states == ["kept"]
    assert len(strict.orders) == 1


def test_a_ticket_may_be_unknown_for_a_while_at_any_time(at: Production, strict: Strict) -> None:
    unknown = [Reply(404, b'{"error":"does not exist"}')] * 3
    strict.living("A door", Life(states=(*unknown, "RUNNING", *unknown, "SUCCEEDED")))
    at.pace = replace(PACE, unknown=0.1)
    at.shoot(at.plan())
    assert len(strict.orders) == 1


def test_a_ticket_that_stays_unknown_is_lost_and_not_ordered_again(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("RUNNING", Reply(404))))
    for _ in range(2):
        with pytest.raises(Lost, match="paid for"):
            at.shoot(at.plan())
    assert at.states == ["lost"]
    assert len(strict.orders) == 1


def test_a_key_that_is_refused_meanwhile_stops_the_shot_and_keeps_its_ticket(
    at: Production, strict: Strict
) -> None:
    strict.living(
        "A door", Life(states=("RUNNING", Reply(401, b'{"error":"disabled"}'), "SUCCEEDED"))
    )
    with pytest.raises(UsageError, match="does not accept the key: disabled"):
        at.shoot(at.plan())
    at.shoot(at.plan())
    assert len(strict.orders) == 1


def test_a_gateway_across_the_network_is_asked_no_oftener_than_it_allows() -> None:
    """Once in five seconds a ticket: runwayml 5.24.0, tasks.retrieve."""
    pauses = {Pace.to(slow=True).next_poll() for _ in range(500)}
    assert min(pauses) >= 5.0
    assert max(pauses) - min(pauses) > 0.5


# --- bad endings ---------------------------------------------------------------------------------

ENDINGS = [
    (None, None, 3, "INTERNAL or nothing: the gateway's own fault"),
    ("INTERNAL", None, 3, "the same"),
    ("INPUT_PREPROCESSING.INTERNAL", None, 3, "the same"),
    ("THIRD_PARTY.UNAVAILABLE", 0, 3, "the same"),
    ("INTERNAL.BAD_OUTPUT.CODE01", 0, 2, "once more, where it was refunded"),
    ("INTERNAL.BAD_OUTPUT.01", 24, 1, "it was charged"),
    ("SAFETY.INPUT.TEXT", 24, 1, "moderated, charged, and a danger to the account"),
    ("SAFETY.OUTPUT.IMAGE", 24, 1, "moderated"),
    ("INPUT_PREPROCESSING.SAFETY.TEXT", 24, 1, "moderated"),
    ("ASSET.INVALID", 0, 1, "the same file would fail again"),
    ("INTERNAL.NEW", 0, 1, "unknown"),
    ("WEIRD", None, 1, "unknown"),
]


@pytest.mark.parametrize(("code", "charged", "orders", "why"), ENDINGS)
def test_a_failure_is_ordered_again_only_where_that_helps(
    at: Production, strict: Strict, code: str, charged: int | None, orders: int, why: str
) -> None:
    failed = Life(states=("RUNNING", "FAILED"), failure="It broke.", code=code, credits=charged)
    strict.living("A door", *[failed] * 9)
    error = at.persist(at.plan())
    assert isinstance(error, Refused)
    assert len(strict.orders) == orders, why
    assert at.states == ["failed"] * orders
    assert f"{at.folder / 'film.yaml'} 'one' --resubmit" in str(error)
    assert "It broke" in str(error)
    assert isinstance(at.persist(at.plan()), Refused)
    assert len(strict.orders) == orders
    assert sum(order.cost for order in at.orders) == strict.charged


def test_a_shot_that_comes_back_at_the_third_attempt_costs_three(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", *[Life(states=("FAILED",), credits=24)] * 2)
    with pytest.raises(Broken):
        at.shoot(at.plan())
    assert at.persist(at.plan()) is None
    assert at.states == ["failed", "failed", "kept"]
    assert sum(order.cost for order in at.orders) == strict.charged == 72


def test_a_ticket_cancelled_elsewhere_is_held(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(states=("RUNNING", "CANCELLED"), credits=24))
    for _ in range(2):
        with pytest.raises(Refused, match="cancelled at the gateway; it cost 24 credits"):
            at.shoot(at.plan())
    assert at.states == ["cancelled"]
    assert len(strict.orders) == 1


def test_a_held_shot_is_ordered_again_once_a_person_says_so(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(states=("FAILED",), code="SAFETY.OUTPUT.IMAGE", credits=24))
    assert isinstance(at.persist(at.plan()), Refused)
    deciding.settle(deciding.Settle(at.project, "film", "one", "resubmit", ""))
    at.shoot(at.plan())
    assert at.states == ["replaced", "kept"]
    assert sum(order.cost for order in at.orders) == 48


def test_what_the_gateway_refuses_is_told_and_costs_nothing(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", Reply(403, b'{"error":"Model variant gen4.5 is not available"}'))
    with pytest.raises(
        Refused, match=r"Model variant gen4\.5 is not available\. Nothing was ordered"
    ):
        at.shoot(at.plan())
    assert [order.cost for order in at.orders] == [0]


# --- fetching --------------------------------------------------------------------------------------

DASH = b'\0\0\0\x18ftypdash<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1:9/</BaseURL></MPD>'


def test_addresses_that_expired_are_asked_for_again(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(downloads=(Reply(403), Reply(410), Reply(404))))
    at.shoot(at.plan())
    assert at.states == ["kept"]
    assert len(strict.orders) == 1


def test_addresses_that_keep_expiring_leave_the_ticket_open(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(downloads=(Reply(403),) * 7))
    with pytest.raises(ShotError, match="stays open"):
        at.shoot(at.plan())
    assert at.states == ["made"]
    at.shoot(at.plan())
    assert len(strict.orders) == 1


def test_a_download_that_breaks_off_is_begun_again_for_as_long_as_an_outage_may_last(
    at: Production, strict: Strict
) -> None:
    half = Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nhalf")
    strict.living("A door", Life(downloads=(DROP, RESET, half, Reply(503), Reply(500), half)))
    at.pace = replace(PACE, outage=9)
    at.shoot(at.plan())
    assert len(strict.orders) == 1


def test_a_finished_ticket_may_name_its_output_later(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(empty=3))
    at.shoot(at.plan())
    strict.living("A window", Life(empty=9))
    window = at.plan(HEAD + "  two: A window opens.\n")
    with pytest.raises(ShotError, match="names no output"):
        at.shoot(window)
    assert at.states == ["kept", "open"]
    at.shoot(window)
    assert len(strict.orders) == 2


def test_a_file_that_is_no_clip_is_fetched_again_and_never_ordered_again(
    at: Production, strict: Strict, footage: Callable[..., bytes]
) -> None:
    right = footage("clip", (1280, 720), 2.0)
    strict.living("A door", Life(media=(b"<html>Busy</html>" * 99, right[:9000], right)))
    at.shoot(at.plan())
    strict.living("A window", Life(media=(b"", DASH, picture((64, 64)), right)))
    window = at.plan(HEAD + "  two: A window opens.\n")
    with pytest.raises(Spoiled, match=r"fetched 3 times.*not ordered again"):
        at.shoot(window)
    assert at.states == ["kept", "made"]
    at.shoot(window)
    assert at.states == ["kept", "kept"]
    assert len(strict.orders) == 2


def test_a_damaged_take_is_fetched_again_for_nothing(at: Production, strict: Strict) -> None:
    take = at.shoot(at.plan())
    take.path.write_bytes(take.path.read_bytes()[:-1])
    assert at.shoot(at.plan()).sha256 == take.sha256
    assert len(strict.orders) == 1
    assert at.states == ["kept"]


def test_a_full_disk_loses_no_ticket(tmp_path: Path, strict: Strict) -> None:
    with small_disk(tmp_path, "6m") as disk:
        at = Production(tmp_path, strict)
        at.project = Project(disk)
        strict.living("A door", Life(media=(bytes(8 << 20),)))
        with pytest.raises(DiskTrouble, match="the disk is full; make room"):
            at.shoot(at.plan())
        assert at.states == ["made"]
        ticket = at.orders[0].ticket
        strict.tickets[ticket or ""].life = Life(states=("SUCCEEDED",))
        at.shoot(at.plan())
        assert at.states == ["kept"]
    assert len(strict.orders) == 1


# --- placing ---------------------------------------------------------------------------------


def test_too_many_at_once_waits_as_long_as_it_is_told(at: Production, strict: Strict) -> None:
    busy = Reply(429, b'{"error":"Slow down."}', {"Retry-After": "0.3"})
    strict.script("text_to_video", busy, Reply(429), Reply(429))
    began = time.monotonic()
    at.shoot(at.plan())
    assert time.monotonic() - began >= 0.3
    assert at.states == ["unsent"] * 3 + ["kept"]
    assert len(strict.tickets) == 1
    assert ("one", "waiting", "too many at once: Slow down") in at.seen.stages


def test_too_many_for_too_long_is_said_and_costs_nothing(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", *[Reply(429, b'{"error":"Slow down."}')] * 6)
    with pytest.raises(Throttled, match=r"Slow down\. Nothing was ordered"):
        at.shoot(at.plan())
    assert sum(order.cost for order in at.orders) == 0
    at.shoot(at.plan())
    assert len(strict.tickets) == 1


def test_a_gateway_that_is_not_there_leaves_no_doubt(at: Production, strict: Strict) -> None:
    at.url = "http://127.0.0.1:9"
    with pytest.raises(Unreachable, match=r"connection refused.*Nothing was ordered"):
        at.shoot(at.plan())
    assert at.states == []
    at.url = strict.url
    at.shoot(at.plan())
    assert len(strict.orders) == 1


# --- doubt ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [replace(DROP, taken=True), replace(RESET, taken=True), Reply(502, taken=True),
     Reply(500), Reply(200, b"{}", taken=True)],
)  # fmt: skip
def test_an_order_of_which_nobody_knows_is_in_doubt_until_a_person_decides(
    at: Production, strict: Strict, lost: Reply
) -> None:
    strict.script("text_to_video", lost)
    for _ in range(3):
        with pytest.raises(InDoubt, match=r"24 credits\) and is not ordered again") as raised:
            at.shoot(at.plan())
        assert raised.value.exit_code == 3
    assert len(strict.orders) == 1
    assert [(o.state, o.cost) for o in at.orders] == [("doubt", 24)]
    deciding.settle(deciding.Settle(at.project, "film", "one", "resubmit", ""))
    at.shoot(at.plan())
    assert at.states == ["replaced", "kept"]
    assert len(strict.orders) == 2


def test_a_ticket_that_a_person_found_is_gone_on_with(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", replace(DROP, taken=True))
    with pytest.raises(InDoubt):
        at.shoot(at.plan())
    (ticket,) = strict.tickets
    deciding.settle(deciding.Settle(at.project, "film", "one", "attach", ticket))
    assert at.shoot(at.plan()).slate["ticket"] == ticket
    assert ("one", "queued", f"goes on with ticket {ticket}") in at.seen.stages
    assert at.states == ["kept"]
    assert len(strict.orders) == 1


def test_an_order_given_up_is_neither_ordered_again_nor_free(
    at: Production, strict: Strict
) -> None:
    strict.script("text_to_video", DROP)
    with pytest.raises(InDoubt):
        at.shoot(at.plan())
    deciding.settle(deciding.Settle(at.project, "film", "one", "abandon", ""))
    with pytest.raises(Refused, match="given up; it cost 24 credits"):
        at.shoot(at.plan())
    assert len(strict.orders) == 1


def test_one_shot_in_doubt_does_not_keep_the_others(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", replace(DROP, taken=True))
    plan = at.plan(HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(5)))
    results = at.at_once(plan)
    assert sum(isinstance(result, InDoubt) for result in results) == 1
    assert sorted(at.states) == ["doubt"] + ["kept"] * 4
    assert len(strict.orders) == 5


def test_a_run_that_is_stopped_while_it_orders_keeps_the_ticket(
    at: Production, strict: Strict
) -> None:
    """Ctrl-C detaches: what was begun is written down, what waits is never begun."""
    strict.script("text_to_video", Reply(200, b'{"id":"{ticket}"}', taken=True, pause=0.3))
    plan = at.plan(HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(5)))

    async def stopped(unit: Unit) -> None:
        tasks = [asyncio.ensure_future(unit.shoot(step)) for step in plan.steps]
        await asyncio.sleep(0.15)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    at.run(plan, stopped)
    assert at.states == ["open"]
    assert [order.ticket for order in at.orders] == list(strict.tickets)
    at.shoot(plan)
    assert at.states == ["kept"] * 5
    assert len(strict.orders) == 5


# --- money ------------------------------------------------------------------------------------------


def test_no_order_passes_the_cap_however_many_ask_at_once(at: Production, strict: Strict) -> None:
    at.allowance = Allowance(film=72)
    plan = at.plan(HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(8)))
    results = at.at_once(plan)
    assert sum(isinstance(result, OverBudget) for result in results) == 5
    assert strict.charged == 72
    at.at_once(plan)
    assert len(strict.orders) == 3


def test_a_shot_dearer_than_one_may_be_is_not_ordered(at: Production, strict: Strict) -> None:
    at.allowance = Allowance(shot=23)
    with pytest.raises(OverBudget, match=r"may cost 24 credits.*`budget\.per_shot` allows 23"):
        at.shoot(at.plan())
    assert strict.orders == []


def test_a_shot_of_unknown_price_is_not_ordered(at: Production, strict: Strict) -> None:
    plan = at.plan()
    unknown = replace(plan, steps=tuple(replace(s, credits=None) for s in plan.steps))
    with pytest.raises(OverBudget, match=r"no price is known .* It was not ordered"):
        at.shoot(unknown)
    assert strict.requests == []


def test_a_still_is_not_ordered_for_a_shot_of_unknown_price(at: Production, strict: Strict) -> None:
    plan = at.plan(HEAD + "  one: {prompt: The door opens., first_frame: {prompt: A blue door.}}\n")
    dear = replace(
        plan,
        steps=tuple(s if s.kind == "still" else replace(s, credits=None) for s in plan.steps),
    )
    assert [s.credits is None for s in dear.steps] == [False, True]
    with pytest.raises(OverBudget, match=r"^one: no price is known for .* It was not ordered"):
        at.shoot(dear)
    assert strict.requests == []


def test_an_empty_account_is_asked_once(at: Production, strict: Strict) -> None:
    empty = Reply(400, b'{"error":"You do not have enough credits to run this task."}')
    strict.script("text_to_video", *[empty] * 9)
    plan = at.plan(HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(4)))
    at.account = Account(10_000, {"gen4.5": 1})
    results = at.at_once(plan)
    assert all(isinstance(result, OverBudget) for result in results)
    assert "enough credits" in str(results[3])
    assert len(strict.orders) == 1


def test_no_more_of_a_model_run_at_once_than_the_account_allows(
    at: Production, strict: Strict
) -> None:
    plan = at.plan(HEAD + "".join(f"  s{n}: Door number {n} opens.\n" for n in range(4)))
    at.account = Account(10_000, {"gen4.5": 1})
    at.at_once(plan)
    assert strict.at_once == {"gen4.5": 1}
    assert ("s1", "waiting", "for a free slot of gen4.5") in at.seen.stages
    assert at.states == ["kept"] * 4
