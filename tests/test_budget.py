"""What may be spent: no cap is passed, whoever writes to the ledger, and no order has no price."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from onset import Production, doors, in_turn
from programs import BIN
from strict import DROP, Life, Reply, Strict

from secondunit.errors import OverBudget, SecondUnitError
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.ledger.tables import MOVES
from secondunit.ports import Account
from secondunit.take import DEARER
from secondunit.verdicts import come_back_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "key_" + "c4na7y00" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def intent(key: str, price: int = 10, **facts: str) -> Intent:
    usual = Intent(
        key=key, film="f", run="r", shot="s", gateway="runway", endpoint="text_to_video",
        model="gen4.5", request={}, reserved=price,
    )  # fmt: skip
    return replace(usual, **facts)  # type: ignore[arg-type]  # texts, all of them


# --- the database keeps it ------------------------------------------------------------------------

ORDER = (
    "INSERT INTO orders (key, film, run, shot, gateway, endpoint, model, request, state, reserved,"
    " ordered_at, changed_at, film_cap, run_cap, shot_cap) VALUES"
    " (:key, :film, :run, :shot, :gateway, 'e', 'm', '{}', 'intent', :price, '', '',"
    " :film_cap, :run_cap, :shot_cap)"
)
SPENT = {"key": "k", "film": "f", "run": "r", "shot": "s", "gateway": "runway", "price": 60,
         "film_cap": None, "run_cap": None, "shot_cap": None}  # fmt: skip


@pytest.mark.covers("F3")
@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"film_cap": 100}, "cap of film"), ({"run_cap": 100}, "cap of run"),
        ({"shot_cap": 100}, "cap of shot"), ({"film_cap": 101}, None), ({"run_cap": 101}, None),
        ({"shot_cap": 101}, None), ({"film_cap": 100, "film": "g"}, None),
        ({"run_cap": 100, "run": "q"}, None), ({"shot_cap": 100, "shot": "t"}, None),
        ({"shot_cap": 100, "film": "g"}, None),
        ({"film_cap": 100, "gateway": "cometapi"}, "cap of film"),
        ({"run_cap": 100, "gateway": "cometapi"}, "cap of run"),
        ({"shot_cap": 100, "gateway": "cometapi"}, "cap of shot"),
        ({"film_cap": 40, "film": "g"}, "cap of film"),
        ({"run_cap": 100, "film": "g", "shot": "t"}, "cap of run"),
        ({"film_cap": 100, "run": "q", "shot": "t"}, "cap of film"),
        ({"shot_cap": 100, "run": "q"}, "cap of shot"),
    ],
)  # fmt: skip
def test_no_program_at_all_gets_past_a_cap(
    ledger: Ledger, path: Path, facts: dict[str, Any], cause: str | None
) -> None:
    """60 are spent and 41 more are asked for, by SQL that knows nothing of this program."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(ORDER, SPENT)
    wanted = SPENT | {"key": "k2", "price": 41} | facts
    if cause is None:
        other.execute(ORDER, wanted)
    else:
        with pytest.raises(sqlite3.IntegrityError, match=cause):
            other.execute(ORDER, wanted)
    other.close()
    assert len(ledger.of("k2")) == (cause is None)


@pytest.mark.parametrize("before", MOVES)
def test_no_program_at_all_makes_a_move_that_is_none(path: Path, before: str) -> None:
    Ledger(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    for after in MOVES:
        other.execute(ORDER, SPENT)
        other.execute("UPDATE orders SET ticket = 't'")
        other.execute("DROP TRIGGER only_moves")
        other.execute("UPDATE orders SET state = ?", (before,))
        other.execute(_trigger())
        allowed = after in MOVES[before]
        with nullcontext() if allowed else pytest.raises(sqlite3.IntegrityError, match="move"):
            other.execute("UPDATE orders SET state = ?", (after,))
        other.execute("DELETE FROM orders")
    other.close()


def _trigger() -> str:
    fresh = sqlite3.connect(":memory:")
    from secondunit.ledger.tables import begin

    begin(fresh, 0)
    (sql,) = fresh.execute("SELECT sql FROM sqlite_master WHERE name = 'only_moves'").fetchone()
    fresh.close()
    return str(sql)


@pytest.mark.parametrize(
    "wrong",
    ["state = 'dreaming'", "state = 'open', ticket = NULL", "reserved = -1", "reserved = 'much'",
     "reserved = NULL", "charged = 'much'"],
)  # fmt: skip
def test_no_program_at_all_writes_nonsense(ledger: Ledger, path: Path, wrong: str) -> None:
    ledger.intend(intent("k"), Allowance())
    other = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError):
        other.execute(f"UPDATE orders SET {wrong}")
    other.close()
    assert ledger.of("k")[0].state == "intent"


# --- many at once ---------------------------------------------------------------------------------


@pytest.mark.covers("F3")
@pytest.mark.parametrize(
    ("processes", "each"), [(4, 16), pytest.param(64, 4, marks=pytest.mark.long)]
)
def test_64_who_order_at_once_never_pass_the_cap(path: Path, processes: int, each: int) -> None:
    """Processes with threads: every one tries twice, and 40 orders of 10 fit into 400."""
    context = multiprocessing.get_context("fork")
    barrier, grants = context.Barrier(processes), context.SimpleQueue()
    workers = [
        context.Process(target=_spend, args=(path, n, each, barrier, grants))
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * processes
    assert sum(grants.get() for _ in workers) == 40
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*), sum(cost) FROM orders").fetchone() == (40, 400)
    db.close()


def _spend(path: Path, number: int, each: int, barrier: Any, grants: Any) -> None:
    barrier.wait()
    ledger = Ledger(path)
    with ThreadPoolExecutor(each) as pool:
        grants.put(sum(pool.map(lambda n: _tried(ledger, f"{number}-{n}"), range(2 * each))))
    ledger.close()


def _tried(ledger: Ledger, key: str) -> bool:
    try:
        ledger.intend(intent(key, shot=key), Allowance(film=400, run=1000, shot=10))
    except OverBudget:
        return False
    return True


@pytest.mark.covers("F2", "F6")
def test_many_who_order_the_same_get_one_order(path: Path) -> None:
    ledger = Ledger(path)

    def one(_: int) -> str:
        try:
            ledger.intend(intent("k"), Allowance())
        except SecondUnitError as error:
            return str(error)
        return "ordered"

    with ThreadPoolExecutor(16) as pool:
        said = sorted(pool.map(one, range(64)))
    refusal = "s is already on order; it is not ordered twice. Run again."
    assert said == ["ordered"] + [refusal] * 63
    ledger.close()


# --- what is said -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowance", "words"),
    [
        (Allowance(film=50), "s may cost 11 credits, 40 are spent .*this film may cost 50"),
        (Allowance(run=50), "40 are spent or reserved, and this run may spend 50"),
        (Allowance(shot=50), r"40 are spent or reserved, and `budget.per_shot` allows 50"),
        (Allowance(film=10), "this film may cost 10"),
    ],
)  # fmt: skip
def test_a_cap_that_is_reached_is_named_with_its_figures(
    ledger: Ledger, allowance: Allowance, words: str
) -> None:
    ledger.intend(intent("a", 40), Allowance())
    with pytest.raises(OverBudget, match=words) as refused:
        ledger.intend(intent("b", 11), allowance)
    assert str(refused.value).endswith("It was not ordered. Raise the cap, or shoot less.")
    assert ledger.of("b") == ()


def test_what_is_spent_is_told_by_film_and_by_run(ledger: Ledger) -> None:
    ledger.intend(intent("a", 1, film="f", run="r"), Allowance())
    ledger.intend(intent("b", 2, film="f", run="q"), Allowance())
    ledger.intend(intent("c", 4, film="g", run="q"), Allowance())
    ledger.intend(intent("d", 8, gateway="cometapi"), Allowance())
    assert ledger.spent("runway") == 7
    assert ledger.spent("runway", film="f") == 3
    assert ledger.spent("runway", run="q") == 6
    assert ledger.spent("runway", film="f", run="q") == 2
    assert ledger.spent("backlot") == 0
    assert [o.key for o in ledger.of_gateway("runway")] == ["a", "b", "c"]


# --- under a run ----------------------------------------------------------------------------------

FAILED = Life(states=("FAILED",), credits=24)


def test_the_cap_of_a_shot_holds_over_its_retries(at: Production, strict: Strict) -> None:
    """24 a try: with 60 for the shot there is no third, although its failure would allow one."""
    strict.living("A door", *[FAILED] * 9)
    at.allowance = Allowance(shot=60)
    error = at.persist(at.plan())
    assert isinstance(error, OverBudget)
    assert "one may cost 24 credits, 48 are spent" in str(error)
    assert at.states == ["failed", "failed"]


def test_a_refunded_try_does_not_count_against_the_cap_of_its_shot(
    at: Production, strict: Strict
) -> None:
    strict.living("A door", *[replace(FAILED, credits=0)] * 2)
    at.allowance = Allowance(shot=24)
    assert at.persist(at.plan()) is None
    assert at.states == ["failed", "failed", "kept"]


@pytest.mark.covers("D4")
def test_each_new_try_is_held_against_the_cap_of_the_film(at: Production, strict: Strict) -> None:
    strict.living("A door", *[FAILED] * 9)
    at.allowance = Allowance(film=50)
    assert isinstance(at.persist(at.plan()), OverBudget)
    assert len(strict.orders) == 2


def test_what_is_open_or_in_doubt_is_held_against_the_next_order(
    at: Production, strict: Strict
) -> None:
    strict.script(" Door number 0", DROP)
    strict.living("number 1", Life(states=("RUNNING", Reply(401), "SUCCEEDED")))
    at.allowance = Allowance(film=71)
    at.run(at.plan(doors(2)), in_turn)
    assert at.states == ["doubt", "open"]
    results = at.run(at.plan(doors(3)), in_turn)
    assert isinstance(results[2], OverBudget)
    assert "48 are spent or reserved" in str(results[2])


@pytest.mark.covers("D15")
@pytest.mark.parametrize(("asked", "more"), [(26, True), (27, False)])
def test_an_estimate_far_above_the_price_stops_orders_of_that_model(
    at: Production, strict: Strict, asked: int, more: bool
) -> None:
    """24 were expected; a tenth more is let pass. What the gateway says is what is booked."""
    answer = b'{"id":"{ticket}","estimatedCost":{"credits":%d}}' % asked
    strict.script("text_to_video", Reply(200, answer, taken=True))
    strict.living("Door number 0", Life(credits=asked))
    plan = at.plan(doors(2) + "  still: {prompt: A lamp., first_frame: {prompt: A blue door.}}\n")
    results = at.run(plan, in_turn)
    assert at.orders[0].estimate == asked
    assert isinstance(results[1], OverBudget) is not more
    assert at.orders[0].state == "kept"  # what is on order comes home
    if not more:
        assert "runway asks 27 credits for s0 on gen4.5, where 24 were expected" in str(results[1])
        assert '`[prices]` "runway.gen4.5"' in str(results[1])
        ordered = [body["model"] for _, body in strict.orders]
        assert ordered == ["gen4.5", "gen4_image"]
    assert DEARER == 1.1


def test_an_order_without_an_estimate_stops_nothing(at: Production, strict: Strict) -> None:
    strict.script("text_to_video", Reply(200, b'{"id":"{ticket}"}', taken=True))
    at.run(at.plan(doors(2)), in_turn)
    assert at.states == ["kept", "kept"]


@pytest.mark.covers("D16")
def test_an_account_that_runs_dry_stops_new_orders_and_what_is_open_comes_home(
    at: Production, strict: Strict
) -> None:
    strict.account["creditBalance"] = 60
    results = at.run(at.plan(doors(4)), in_turn)
    assert at.states == ["kept", "kept"]
    assert isinstance(results[2], OverBudget)
    assert str(results[2]) == (
        "s2: the account holds 12 credits ($0.12) and it may need 24. It was not ordered. Buy"
        " credits, then run again."
    )
    assert "the account holds 12 credits" in str(results[3])
    assert len(strict.orders) == 2
    assert results[2].exit_code == 4


@pytest.mark.covers("D16")
@pytest.mark.parametrize("status", [400, 402, 403, 429])
def test_however_too_little_money_is_said_it_is_understood(
    at: Production, strict: Strict, status: int
) -> None:
    words = b'{"error":"You do not have enough credits to run this task."}'
    strict.script("text_to_video", Reply(status, words))
    results = at.run(at.plan(doors(2)), in_turn)
    assert [type(r) for r in results] == [OverBudget] * 2
    assert at.states == ["rejected"]
    assert len(strict.orders) == 1


def daily(strict: Strict, made: int, most: int | None) -> None:
    strict.account["usage"]["models"] = {"gen4.5": {"dailyGenerations": made}}
    strict.account["tier"]["models"] = {"gen4.5": {"maxDailyGenerations": most}}


@pytest.mark.covers("D18")
def test_the_days_number_of_a_model_stops_that_model_and_says_when_to_come_back(
    at: Production, strict: Strict
) -> None:
    daily(strict, 8, 10)
    plan = at.plan(doors(4) + "  x: {prompt: A lamp., first_frame: {prompt: A blue door.}}\n")
    results = at.run(plan, in_turn)
    assert [isinstance(r, OverBudget) for r in results[:4]] == [False, False, True, True]
    first = datetime.fromisoformat(at.orders[0].ordered_at) + timedelta(days=1)
    assert str(results[2]) == (
        "s2 was not ordered: 10 of 10 gen4.5 of the day are used up; come back after"
        f" {first.astimezone():%H:%M on %d %B}."
    )
    assert str(results[3]).startswith("s3 was not ordered: 10 of 10 gen4.5 of the day are used up")
    assert [body["model"] for _, body in strict.orders] == ["gen4.5", "gen4.5", "gen4_image"]


@pytest.mark.covers("D18")
@pytest.mark.parametrize(
    "words",
    ["You have reached your daily limit.", "daily_limit reached", "maxDailyGenerations: 10"],
)
def test_a_429_that_speaks_of_the_day_is_not_tried_again(
    at: Production, strict: Strict, words: str
) -> None:
    strict.script("text_to_video", Reply(429, b'{"error":"%s"}' % words.encode()))
    results = at.run(at.plan(doors(2)), in_turn)
    assert [type(r) for r in results] == [OverBudget] * 2
    assert "come back within 24 hours" in str(results[0])
    assert len(strict.orders) == 1


@pytest.mark.parametrize(("made", "most"), [(9, 10), (10**6, None)])
def test_a_day_with_room_or_without_a_limit_stops_nothing(
    at: Production, strict: Strict, made: int, most: int | None
) -> None:
    daily(strict, made, most)
    at.shoot(at.plan())
    assert at.states == ["kept"]


def test_when_to_come_back_is_a_day_after_our_first_order_of_that_model(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    for number, (hours, model, end) in enumerate(
        [(30, "m", None), (20, "m", "unsent"), (15, "m", "rejected"), (12, "n", None),
         (5, "m", None), (2, "m", None)]
    ):  # fmt: skip
        order = ledger.intend(intent(str(number), model=model), Allowance())
        if end:
            getattr(ledger, end)(order, "")
        at = (now - timedelta(hours=hours)).isoformat()
        ledger._file._db.execute("UPDATE orders SET ordered_at = ? WHERE id = ?", (at, order.id))
    orders = ledger.of_gateway("runway")
    back = (now + timedelta(hours=19)).astimezone()
    assert come_back_at(orders, "m") == f"after {back:%H:%M on %d %B}"
    assert come_back_at(orders, "other") == "within 24 hours"


def test_a_price_of_nothing_is_no_unknown_price(at: Production, strict: Strict) -> None:
    plan = at.plan()
    free = replace(plan, steps=tuple(replace(s, credits=0) for s in plan.steps))
    strict.living("A door", Life(estimate=False))
    at.shoot(free)
    assert at.orders[0].reserved == 0


def test_an_account_that_says_no_figure_forbids_nothing(at: Production, strict: Strict) -> None:
    strict.account["creditBalance"] = None
    at.shoot(at.plan())
    assert at.orders[0].evidence is not None
    assert at.orders[0].evidence.credits is None


def test_a_run_that_has_an_account_of_the_start_keeps_to_its_slots(
    at: Production, strict: Strict
) -> None:
    at.account = Account(None, {"gen4.5": 1})
    at.at_once(at.plan(doors(3)))
    assert strict.at_once == {"gen4.5": 1}


# --- the real command -----------------------------------------------------------------------------


@pytest.mark.covers("S22")
def test_the_users_own_caps_hold_over_projects_and_runs(
    tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str
) -> None:
    """`day_cap` and `run_cap` stand in the user's settings; no shot list can raise them."""
    strict.key = KEY
    settings = tmp_path / "config" / "secondunit" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('day_cap = 40\nrun_cap = "$0.24"\n')

    def shoot(folder: str, count: int) -> tuple[int, str]:
        file = tmp_path / folder / "film.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text("budget: {cap: $900}\n" + doors(count))
        done = subprocess.run(
            [BIN / "secondunit", "shoot", file, "--gateway", "runway", "--yes"],
            env=environment | {
                "PREFECT_API_URL": prefect_api, "RUNWAYML_API_SECRET": KEY,
                "SECONDUNIT_RUNWAY_BASE_URL": strict.url,
                "XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path / "state"),
            },
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    code, said = shoot("one", 2)
    assert code == 4, said
    assert "this run may spend 24" in said
    code, said = shoot("another", 1)
    assert code == 4, said
    assert "24 were spent or reserved in the last 24 hours, and your `day_cap` is 40" in said
    assert len(strict.orders) == 1
    assert (tmp_path / "state" / "secondunit" / "daybook.sqlite").exists()
