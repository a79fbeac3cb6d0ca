"""Who tries again, and how often: one owner for each hop, each number counted where it arrives."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from onset import HEAD, PACE, Production, doors, everything, in_turn
from reel import large_clip
from strict import DROP, RESET, Life, Reply, Strict

from secondunit import catalog, verdicts
from secondunit.errors import (
    Broken,
    InDoubt,
    Lost,
    Refused,
    SecondUnitError,
    ShotError,
    Spoiled,
    Stopped,
    Throttled,
    Unreachable,
    UsageError,
)
from secondunit.gateways.wire import Credentials, WireGateway
from secondunit.ledger import Order
from secondunit.take.inputs import LENT
from secondunit.take.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from secondunit.take import Unit

LARGE = HEAD + "  one: {prompt: Make it night., source: plate.mp4}\n"


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_clip(tmp_path_factory.mktemp("plate") / "plate.mp4")


async def ask(strict: Strict, question: Callable[[WireGateway], Awaitable[Any]]) -> Any:
    """Ask a gateway of its own something, and let go of it."""
    gateway = WireGateway(catalog.load().gateways["runway"], Credentials(strict.url, "test"))
    try:
        return await question(gateway)
    finally:
        await gateway.close()


def asked(strict: Strict, how: str) -> int:
    return sum(request.startswith(how) for request in strict.requests)


# --- orders ---------------------------------------------------------------------------------------


@pytest.mark.covers("C9")
def test_an_order_that_is_refused_as_too_many_is_sent_six_times(
    at: Production, strict: Strict
) -> None:
    strict.script("text_to_video", *[Reply(429)] * 9)
    with pytest.raises(Throttled):
        at.shoot(at.plan())
    assert len(strict.orders) == 6
    assert at.states == ["unsent"] * 6


@pytest.mark.covers("C1")
def test_an_order_that_found_no_connection_is_tried_six_times(at: Production) -> None:
    at.url = "http://127.0.0.1:9"
    with pytest.raises(Unreachable):
        at.run(at.plan(doors(2)), lambda unit: unit.shoot(unit.plan.steps[0]))
    assert sum(stage == "ordering" for _, stage, _ in at.seen.stages) == 6
    assert at.states == []


def test_an_order_that_was_shed_is_sent_twice(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", *[Reply(502)] * 9)
    with pytest.raises((Throttled, Unreachable)):
        at.shoot(at.plan())
    assert len(strict.orders) == 2


@pytest.mark.covers("C2", "C3", "C4", "C5", "C11", "C13")
@pytest.mark.parametrize(
    "lost",
    [DROP, RESET, Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
     Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id":'),
     Reply(raw=b'HTTP/1.1 200 OK\r\n\r\n{"id":"{ticket}'), Reply(500), Reply(504), Reply(200, b""),
     Reply(200, b"<html>")],
    ids=["drop", "reset", "head", "body", "open end", "500", "504", "empty", "page"],
)  # fmt: skip
def test_an_order_of_which_nobody_knows_is_sent_once(
    at: Production, strict: Strict, lost: Reply
) -> None:
    strict.script("text_to_video", replace(lost, taken=True))
    error = at.persist(at.plan())
    assert isinstance(error, InDoubt)
    assert len(strict.orders) == 1
    assert at.states == ["doubt"]


@pytest.mark.covers("D4", "D5", "D6", "D3")
@pytest.mark.parametrize(
    ("code", "credits_", "orders"),
    [(None, 24, 3), ("INTERNAL", 24, 3), ("INTERNAL.BAD_OUTPUT.01", 0, 2),
     ("INTERNAL.BAD_OUTPUT.01", 24, 1), ("SAFETY.INPUT.TEXT", 24, 1), ("ASSET.INVALID", 0, 1)],
)  # fmt: skip
def test_a_take_that_fails_is_ordered_three_times_twice_or_once(
    at: Production, strict: Strict, code: str | None, credits_: int, orders: int
) -> None:
    """Whatever Prefect is set to do: `persist` calls again for as long as it is let."""
    strict.living("A door", *[Life(states=("FAILED",), code=code, credits=credits_)] * 9)
    assert isinstance(at.persist(at.plan()), Refused)
    assert len(strict.orders) == orders


def test_what_was_tried_out_in_one_run_is_held_in_all_that_follow(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", *[Life(states=("FAILED",), failure="It broke.")] * 9)
    at.persist(at.plan())
    for name in ("second", "third"):
        at.run_name = name
        with pytest.raises(
            Refused, match=r"^one failed 3 times at runway, last with: It broke\. It"
        ):
            at.shoot(at.plan())
    assert len(strict.orders) == 3


def test_waits_between_orders_grow_spread_and_have_a_floor() -> None:
    """Equal jitter: half of the wait is certain; what the gateway asks for is the least."""
    pace = Pace()
    for attempt, longest in enumerate((4, 8, 16, 32, 64, 120, 120), 1):
        waits = [pace.backoff(attempt) for _ in range(200)]
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert max(waits) - min(waits) > longest / 4
    assert pace.backoff(1, 900.0) == 900.0
    assert pace.backoff(1, 0.0) >= 2.0
    assert (pace.poll, pace.unknown, pace.calm, pace.again) == (5.0, 120.0, 60.0, (20.0, 60.0))


def test_polls_are_spread_and_never_too_near_each_other() -> None:
    pauses = [Pace().next_poll() for _ in range(200)]
    assert 5.0 <= min(pauses) < 5.3
    assert 5.9 < max(pauses) <= 6.25


# --- uploads --------------------------------------------------------------------------------------


@pytest.mark.covers("D20")
def test_an_upload_gets_three_places_and_each_is_used_once(
    at: Production, strict: Strict, plate: Path
) -> None:
    (at.folder / "plate.mp4").write_bytes(plate.read_bytes())
    strict.script("put", *[Reply(500)] * 9)
    with pytest.raises(Unreachable, match="could not be uploaded"):
        at.shoot(at.plan(LARGE))
    assert asked(strict, "POST uploads") == asked(strict, "POST put") == 3
    assert strict.orders == []


def test_a_place_for_an_upload_is_asked_for_four_times(strict: Strict) -> None:
    strict.script("uploads", *[Reply(503)] * 9)
    with pytest.raises(Unreachable):
        asyncio.run(ask(strict, lambda to: to.upload(bytes(600), "a.png", "image/png")))
    assert asked(strict, "POST uploads") == 4
    assert asked(strict, "POST put") == 0


@pytest.mark.covers("D20")
def test_what_was_lent_is_lent_again_after_23_hours(
    at: Production, strict: Strict, plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (at.folder / "plate.mp4").write_bytes(plate.read_bytes())
    text = HEAD + "".join(f"  s{n}: {{prompt: Night {n}., source: plate.mp4}}\n" for n in range(3))
    now, ahead = time.monotonic, [0.0]
    monkeypatch.setattr("secondunit.take.inputs.time.monotonic", lambda: now() + ahead[0])

    async def over_a_day(unit: Unit) -> None:
        await unit.shoot(unit.plan.steps[0])
        ahead[0] = LENT - 60
        await unit.shoot(unit.plan.steps[1])
        assert asked(strict, "POST put") == 1
        ahead[0] = LENT + 1
        await unit.shoot(unit.plan.steps[2])

    plan = at.plan(text)
    at.pace = replace(PACE, outage=1e6)
    at.run(plan, over_a_day)
    assert asked(strict, "POST put") == 2
    first, second, third = (body["videoUri"] for _, body in strict.orders)
    assert first == second != third
    assert LENT == 23 * 3600


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.covers("C12")
def test_the_account_is_asked_for_four_times(strict: Strict) -> None:
    strict.script("organization", *[Reply(503)] * 9)
    with pytest.raises(Unreachable):
        asyncio.run(ask(strict, lambda to: to.account()))
    assert asked(strict, "GET organization") == 4


def test_before_an_order_the_account_is_asked_for_once(strict: Strict) -> None:
    strict.script("organization", *[Reply(503)] * 9)
    assert asyncio.run(ask(strict, lambda to: asyncio.to_thread(to.evidence))) is None
    assert asked(strict, "GET organization") == 1


@pytest.mark.covers("D11")
def test_a_finished_ticket_without_output_is_asked_about_five_times(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("SUCCEEDED",), empty=99))
    with pytest.raises(ShotError, match="names no output"):
        at.shoot(at.plan())
    assert asked(strict, "GET tasks") == 5
    assert at.states == ["open"]


@pytest.mark.covers("D10")
def test_addresses_that_expire_are_asked_for_again_five_times(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("SUCCEEDED",), downloads=(Reply(403),) * 99))
    with pytest.raises(ShotError, match="keep expiring"):
        at.shoot(at.plan())
    assert asked(strict, "GET out") == 6
    assert asked(strict, "GET tasks") == 6
    assert len(strict.orders) == 1


def test_a_file_that_is_no_clip_is_fetched_three_times(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(states=("SUCCEEDED",), media=(b"<html>" * 99,)))
    with pytest.raises(Spoiled, match="fetched 3 times"):
        at.shoot(at.plan())
    assert asked(strict, "GET out") == 3
    assert len(strict.orders) == 1


@pytest.mark.covers("C12", "C17")
def test_a_download_that_keeps_breaking_off_is_paid_from_the_purse(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("SUCCEEDED",), downloads=(Reply(503),) * 99))
    at.pace = replace(PACE, outage=99, retry=1e-5)
    with pytest.raises(ShotError, match=r"status 503\. Its ticket .* stays open") as left:
        at.shoot(at.plan())
    assert not left.value.transient
    assert 11 <= asked(strict, "GET out") <= 15  # ten from the purse, and what good answers earned
    assert at.states == ["made"]


def test_a_download_that_breaks_off_for_longer_than_an_outage_is_left(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("SUCCEEDED",), downloads=(Reply(503),) * 99))
    at.pace = replace(PACE, outage=0.02)
    with pytest.raises(ShotError, match="stays open"):
        at.shoot(at.plan())
    assert asked(strict, "GET out") < 9


@pytest.mark.covers("D1", "A7")
def test_a_ticket_may_wait_at_the_gateway_for_as_long_as_it_likes(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("THROTTLED",) * 80 + ("SUCCEEDED",)))
    at.pace = replace(PACE, outage=0.05, unknown=0.05)
    at.shoot(at.plan())
    assert len(strict.orders) == 1
    assert [s for s in at.seen.stages if s[1] == "throttled"] == [
        ("one", "throttled", "waiting for a slot at the gateway")
    ]


@pytest.mark.covers("D8", "D9")
def test_a_ticket_that_is_never_known_is_lost_after_a_while_and_not_before(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=(Reply(404),)))
    began = time.monotonic()
    with pytest.raises(Lost):
        at.shoot(at.plan())
    assert time.monotonic() - began >= PACE.unknown
    assert at.states == ["lost"]


@pytest.mark.covers("D7")
def test_a_ticket_cancelled_elsewhere_is_not_ordered_again(at: Production, strict: Strict) -> None:
    strict.living("A door", Life(states=("CANCELLED",), credits=0))
    assert isinstance(at.persist(at.plan()), Refused)
    assert isinstance(at.persist(at.plan()), Refused)
    assert len(strict.orders) == 1


@pytest.mark.covers("D17")
def test_a_key_that_is_refused_is_tried_once_by_all_shots_together(
    at: Production, strict: Strict
) -> None:
    strict.key = "another"
    results = at.run(at.plan(doors(6)), everything)
    assert all(isinstance(r, UsageError) for r in results)
    assert sum("was not ordered" in str(r) for r in results) >= 1
    assert len(strict.requests) <= 2  # before it is known, a second may be under way
    assert strict.orders == []


@pytest.mark.covers("D17")
def test_a_key_that_is_refused_while_tickets_roll_is_asked_with_once(
    at: Production, strict: Strict
) -> None:
    strict.living("Door", *[Life(states=("RUNNING",))] * 6)

    async def then_locked_out(unit: Unit) -> Any:
        shooting = asyncio.ensure_future(everything(unit))
        while sum(seen[1] == "rolling" for seen in at.seen.stages) < 6:  # noqa: ASYNC110  a watcher is told, and tells nobody
            await asyncio.sleep(0.005)
        strict.requests.clear()
        strict.key = "another"
        return await shooting

    results = at.run(at.plan(doors(6)), then_locked_out)
    assert all(isinstance(r, UsageError) for r in results)
    assert at.states == ["open"] * 6
    assert len(strict.requests) < 30  # those under way; nobody storms
    assert asked(strict, "POST") == 0


@pytest.mark.covers("D17")
def test_in_an_outage_a_refused_key_is_tried_once_by_all_who_wait(
    at: Production, strict: Strict
) -> None:
    strict.script("organization", *[Reply(401, b'{"error":"disabled"}')] * 9)

    async def down(unit: Unit) -> Any:
        for shot in "abcab":
            unit._line.failed(shot, "No answer.")
        return await everything(unit)

    results = at.run(at.plan(doors(6)), down)
    assert all(isinstance(r, UsageError) for r in results)
    assert asked(strict, "GET organization") == 1


# --- whoever else could try again -------------------------------------------------------------------


def test_the_connections_themselves_never_try_again(strict: Strict) -> None:
    gateway = WireGateway(catalog.load().gateways["runway"], Credentials(strict.url, "test"))
    for client in (gateway._lane, gateway._reads, gateway._media):
        transport = client._transport
        assert isinstance(transport, httpx.HTTPTransport | httpx.AsyncHTTPTransport)
        assert transport._pool._retries == 0
        assert client.follow_redirects is False
        assert client.trust_env is False
    assert gateway._lane._transport._pool._max_keepalive_connections == 0  # type: ignore[attr-defined]  # of httpx itself


def test_in_prefect_only_a_shot_is_tried_again_and_the_ledger_decides_what_that_buys() -> None:
    from prefect.cache_policies import NO_CACHE

    from secondunit import flow

    for task in (flow.take_shot, flow.conform_clip, flow.join_film):
        assert task.retries == 0
        assert task.cache_policy is NO_CACHE
        assert task.persist_result is False
        assert task.timeout_seconds is None
    assert flow.film.retries == 0
    assert flow.film.timeout_seconds is None
    assert flow.take_shot.retry_condition_fn is flow.transient
    assert len(Pace.to(slow=True).again) == len(Pace.to(slow=False).again) == 2


@pytest.mark.parametrize(
    ("error", "again"),
    [(Broken, True), (Throttled, True), (Unreachable, True), (InDoubt, False), (Lost, False),
     (Refused, False), (Spoiled, False), (Stopped, False), (ShotError, False), (UsageError, False)],
)  # fmt: skip
def test_an_error_says_itself_whether_to_call_again(error: type[Exception], again: bool) -> None:
    assert error.transient is again  # type: ignore[attr-defined]  # errors of our own


def test_shots_are_ordered_one_by_one_and_polled_side_by_side(
    at: Production, strict: Strict
) -> None:
    at.run(at.plan(doors(5)), everything)
    assert strict.posted_at_once == 1
    assert strict.at_once["gen4.5"] > 1
    assert at.run(at.plan(doors(5)), in_turn)


# --- what is said of an ending ----------------------------------------------------------------------

ORDER = Order(
    id=1, key="k", film="f", run="r", shot="s", gateway="runway", endpoint="e", model="m",
    request='{"promptText": "A door."}', state="failed", ticket="t", reserved=24, estimate=None,
    charged=None, reason="It broke.", failure_code="", ordered_at="", changed_at="", cost=24,
)  # fmt: skip


@pytest.mark.covers("D2")
@pytest.mark.parametrize(
    ("code", "reason", "moderated"),
    [
        ("SAFETY.INPUT.TEXT", "", True), ("INPUT_PREPROCESSING.SAFETY.TEXT", "", True),
        ("INTERNAL", "flagged by moderation", False), ("", "Flagged by moderation", True),
        ("", "Content policy", True), ("", "Safety rules", True), ("", "It is not allowed", True),
        ("", "It broke", False),
    ],
)  # fmt: skip
def test_what_is_moderated_is_known_by_its_code_and_without_one_by_its_words(
    code: str, reason: str, moderated: bool
) -> None:
    order = replace(ORDER, failure_code=code, reason=reason)
    assert verdicts.is_moderated(order) is moderated
    assert (verdicts.attempts(order) == 1) is moderated
    assert not verdicts.is_moderated(replace(order, failure_code="", state="cancelled"))


@pytest.mark.parametrize(
    ("states", "held"),
    [
        ((), False), (("unsent",), False), (("replaced",), False), (("failed",), False),
        (("failed",) * 2, False), (("failed",) * 3, True), (("cancelled",), True),
        (("abandoned",), True), (("failed", "unsent", "failed"), False), (("kept",), False),
        (("failed", "failed", "replaced", "failed"), True),
    ],
)  # fmt: skip
def test_a_take_is_held_when_it_may_not_be_tried_again(states: tuple[str, ...], held: bool) -> None:
    assert verdicts.is_held([replace(ORDER, state=state) for state in states]) is held


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"promptText": "A door."}, "“A door.”"), ({}, "no prompt"), (None, "no prompt"),
        ({"promptText": "A", "promptImage": {"file": "a.png", "sha256": "x"}}, "“A” with a.png"),
        ({"i": [{"uri": {"file": "a.png", "sha256": "x"}}, {"uri": {"url": "https://b"}},
                {"uri": {"file": "a.png", "sha256": "x"}}]}, "no prompt with a.png, https://b"),
        ({"i": {"part": "clip", "take": "k"}}, "no prompt with another shot's clip"),
        ({"i": {"part": "still", "take": "k"}}, "no prompt with a still that was made for it"),
        ({"i": {"part": "last", "take": "k"}}, "no prompt with the last frame of another shot"),
        ({"i": {"file": 7, "part": "odd"}}, "no prompt"),
    ],
)  # fmt: skip
def test_what_was_sent_is_told_with_its_pictures(body: object, words: str) -> None:
    assert verdicts.sent(replace(ORDER, request=json.dumps(body))) == words


def test_a_moderated_shot_is_told_with_all_that_was_sent_and_what_it_cost() -> None:
    error = verdicts.held(replace(ORDER, failure_code="SAFETY.INPUT.TEXT"), "film.yaml")
    assert (error.shot, error.ticket) == ("s", "t")
    assert str(error) == (
        "s did not come back from runway: It broke (SAFETY.INPUT.TEXT); it cost 24 credits. Held:"
        " moderated. It was sent as “A door.”. Sending it again would cost again and endangers the"
        " account. Change its prompt, pictures or seed, or run `secondunit settle film.yaml 's'"
        " --resubmit`."
    )
    other = str(verdicts.held(replace(ORDER, state="cancelled", cost=0), "film.yaml"))
    assert "It broke; it cost nothing. It is not sent again by itself. Change" in other


DECIDE = "`secondunit settle film.yaml 's'` with --attach TICKET, --resubmit or --abandon"
AGAIN = "`secondunit settle film.yaml 's' --resubmit`"
STEP: Any = SimpleNamespace(shot="s")


@pytest.mark.parametrize(
    ("ending", "words", "ticket"),
    [
        (
            lambda: verdicts.in_doubt(
                replace(ORDER, ticket=None, reason="the line went dead"), "film.yaml"
            ),
            "s was ordered from runway and no ticket came back (the line went dead). It may have been"
            " charged (24 credits) and is not ordered again by itself. Look at your gateway's own"
            f" page, then run {DECIDE}.",
            "",
        ),
        (
            lambda: verdicts.lost(replace(ORDER, cost=20), "film.yaml"),
            "s: ticket t was paid for (20 credits) and the gateway does not know it any more. It is"
            f" not ordered again by itself. Run {DECIDE}.",
            "t",
        ),
        (
            lambda: verdicts.unfetched(ORDER, "It is silent."),
            "s: It is silent. Its ticket t stays open and is not ordered again; run again to go on"
            " with it.",
            "t",
        ),
        (
            lambda: verdicts.tried_out(ORDER, 3, "film.yaml"),
            "s failed 3 times at runway, last with: It broke. It is not tried again by itself;"
            f" change its prompt or seed, or run {AGAIN}.",
            "t",
        ),
        (
            lambda: verdicts.rejection(STEP, "no such ratio", money=False),
            "s was refused: no such ratio. Nothing was ordered and nothing charged for it.",
            "",
        ),
        (
            lambda: verdicts.rejection(STEP, "too little", money=True),
            "s: too little. It was not ordered. Buy credits, then run again.",
            None,
        ),
    ],
    ids=["in doubt", "lost", "unfetched", "tried out", "refused", "no money"],
)
def test_what_waits_for_a_person_is_said_with_what_it_cost_and_what_to_do(
    ending: Callable[[], SecondUnitError], words: str, ticket: str | None
) -> None:
    error = ending()
    assert str(error) == words
    if ticket is not None:
        assert isinstance(error, ShotError)
        assert (error.shot, error.ticket) == ("s", ticket)


def test_an_order_that_a_dead_run_left_says_so() -> None:
    said = str(verdicts.in_doubt(replace(ORDER, ticket=None, reason=""), "film.yaml"))
    assert "no ticket came back (the run ended meanwhile). It may have been charged" in said


@pytest.mark.parametrize(
    ("code", "charged", "times"),
    [
        ("", None, 3), ("INTERNAL", 24, 3), ("INPUT_PREPROCESSING.INTERNAL", None, 3),
        ("THIRD_PARTY.UNAVAILABLE", 24, 3), ("INTERNAL.BAD_OUTPUT.CODE01", 0, 2),
        ("INTERNAL.BAD_OUTPUT.CODE01", 24, 1), ("INTERNAL.BAD_OUTPUT.CODE01", None, 1),
        ("INTERNAL.NEW", 0, 1), ("ASSET.INVALID", 0, 1), ("NEVER.HEARD.OF", 0, 1),
    ],
)  # fmt: skip
def test_how_often_a_take_may_be_ordered_goes_by_its_code_and_what_it_cost(
    code: str, charged: int | None, times: int
) -> None:
    assert verdicts.attempts(replace(ORDER, failure_code=code, charged=charged)) == times


# --- odd moments ------------------------------------------------------------------------------------


def test_a_shot_that_used_up_its_tries_is_not_begun_again_in_the_same_run(
    at: Production, strict: Strict
) -> None:
    """Prefect may call again as often as it is set to; six tries are for all of it."""
    strict.script("text_to_video", *[Reply(429)] * 20)

    async def again_and_again(unit: Unit) -> list[Any]:
        return [await in_turn(unit) for _ in range(3)]

    (first,), (second,), (third,) = at.run(at.plan(), again_and_again)
    assert isinstance(first, Throttled)
    assert not second.transient
    assert (
        str(second)
        == str(third)
        == ("one could not be ordered in this run. Nothing was ordered. Run again later.")
    )
    assert len(strict.orders) == 6


def test_a_lost_ticket_that_the_gateway_knows_again_is_gone_on_with(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=(Reply(404),)))
    with pytest.raises(Lost):
        at.shoot(at.plan())
    next(iter(strict.tickets.values())).life = Life(states=("RUNNING", "SUCCEEDED"))
    at.shoot(at.plan())
    assert at.states == ["kept"]
    assert len(strict.orders) == 1


@pytest.mark.covers("A11")
def test_a_take_that_is_in_the_store_and_not_yet_in_the_ledger_is_adopted(
    at: Production, strict: Strict
) -> None:
    at.shoot(at.plan())
    with at.books() as ledger:
        ledger.made(ledger.of_film("film")[0], 24)
    assert at.states == ["made"]
    strict.requests.clear()
    at.shoot(at.plan())
    assert at.states == ["kept"]
    assert strict.requests == []


def test_an_own_clip_is_nothing_to_order(at: Production) -> None:
    plan = at.plan()
    own = replace(plan.steps[0], request=None)
    with pytest.raises(UsageError, match="your own clip; there is nothing to order"):
        at.run(plan, lambda unit: unit.shoot(own))


def test_a_key_that_is_refused_by_the_order_itself_stops_all_orders(
    at: Production, strict: Strict
) -> None:
    strict.script("text_to_video", Reply(401, b'{"error":"disabled"}'))
    results = at.run(at.plan(doors(3)), in_turn)
    assert at.states == ["rejected"]
    assert all(isinstance(r, UsageError) for r in results[1:])
    assert "s1 was not ordered: disabled" in str(results[1])
    assert len(strict.orders) == 1


def test_an_order_that_waits_while_the_run_is_stopped_is_never_begun(at: Production) -> None:
    async def stopped(unit: Unit) -> Any:
        unit.lane._closing = True
        return await unit.shoot(unit.plan.steps[0])

    with pytest.raises(ShotError, match="the run was stopped"):
        at.run(at.plan(), stopped)
    assert at.states == []


def test_a_ticket_that_the_backlot_forgot_is_free_and_ordered_again(
    at: Production, strict: Strict
) -> None:
    at.house = "backlot"
    strict.living("A door", Life(states=(Reply(404),)))
    with pytest.raises(Broken, match="does not know the ticket any more; it cost nothing"):
        at.shoot(at.plan())
    at.shoot(at.plan())
    assert [(o.state, o.cost) for o in at.orders] == [("failed", 0), ("kept", 24)]


def test_a_finished_ticket_that_is_said_to_have_failed_is_a_persons_to_look_at(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", Life(states=("SUCCEEDED",), downloads=(Reply(403),) * 99))
    with pytest.raises(ShotError, match="keep expiring"):
        at.shoot(at.plan())
    next(iter(strict.tickets.values())).life = Life(states=("FAILED",), failure="Gone.")
    with pytest.raises(Lost):
        at.shoot(at.plan())
    assert at.orders[0].reason == "it was finished and now it is said to have failed: Gone."
    assert len(strict.orders) == 1
