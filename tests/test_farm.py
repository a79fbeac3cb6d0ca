"""Workers on many machines and one ledger: no take is ordered twice, no cap passed, no ticket lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import farmhands
import psycopg
import pytest
from farmhands import FREELY, intent
from onset import ONE, Production, doors, everything
from postgres import opened

from secondunit import books, shotlist
from secondunit.crew import Settings
from secondunit.errors import Locked, OverBudget, SecondUnitError, UsageError
from secondunit.ledger import Allowance, Ledger
from secondunit.plan.planner import Choices, compile_plan
from secondunit.ports import Ordered
from secondunit.store import Store
from secondunit.take.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from strict import Strict

    from secondunit.plan import Plan

SPAWN = multiprocessing.get_context("spawn")
FARM = 8  # processes


# --- caps -------------------------------------------------------------------------------------------


@pytest.mark.covers("F3")
def test_many_who_order_at_once_never_pass_the_cap_of_the_day(shared: str, tmp_path: Path) -> None:
    start, granted = SPAWN.Barrier(FARM), SPAWN.Queue()
    workers = [
        SPAWN.Process(
            target=farmhands.spend, args=(shared, tmp_path / str(n), f"film{n}", start, granted)
        )
        for n in range(FARM)
    ]
    for worker in workers:
        worker.start()
    total = sum(granted.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(60)
    assert total == 500 // 7
    ledger = opened(shared, tmp_path)
    assert ledger.spent("runway") == 7 * total
    ledger.close()


@pytest.mark.covers("F3")
def test_many_programs_that_write_at_once_never_pass_the_cap_of_a_film(
    shared: str, tmp_path: Path
) -> None:
    """Programs that know nothing of turns: the tables see to it."""
    opened(shared, tmp_path).close()
    start = threading.Barrier(16)
    row = (
        "INSERT INTO secondunit.orders (key, film, run, shot, gateway, endpoint, model, request,"
        " state, reserved, ordered_at, changed_at, film_cap)"
        " VALUES (%s, 'f', 'r', 's', 'runway', 'e', 'm', '{}', 'intent', 10, '', '', 100)"
    )

    def write(hand: int) -> int:
        done = 0
        with psycopg.connect(shared, autocommit=True) as db:
            start.wait(60)
            for number in range(4):
                try:
                    db.execute(row, (f"{hand}-{number}",))
                except psycopg.IntegrityError:
                    continue
                done += 1
        return done

    with ThreadPoolExecutor(16) as hands:
        assert sum(hands.map(write, range(16))) == 10


def test_the_day_of_a_shared_ledger_has_one_cap_for_all(shared: str, tmp_path: Path) -> None:
    one, other = (opened(shared, tmp_path / name, name) for name in ("one", "other"))
    first = one.intend(intent("a", film="one", price=20), Allowance(day=30))
    other.intend(intent("b", film="other", price=10), Allowance(day=30))
    with pytest.raises(
        OverBudget,
        match=r"shot c may cost 1 credits, 30 were spent or reserved in the last 24 hours, and your"
        r" `day_cap` is 30\. It was not ordered\.",
    ):
        other.intend(intent("c", film="other", price=1), Allowance(day=30))
    one.unsent(first, "never left")
    assert other.intend(intent("c", film="other", price=20), Allowance(day=30)).state == "intent"
    with psycopg.connect(shared) as db:
        db.execute("UPDATE secondunit.orders SET at = at - interval '24 hours'")
    assert other.intend(intent("d", film="other", price=30), Allowance(day=30)).state == "intent"
    one.close()
    other.close()


# --- who makes a film -------------------------------------------------------------------------------


@pytest.mark.covers("F1")
def test_of_workers_given_the_same_shot_list_one_makes_the_film(
    shared: str, tmp_path: Path
) -> None:
    start, done, said = SPAWN.Barrier(4), SPAWN.Event(), SPAWN.Queue()
    workers = [
        SPAWN.Process(target=farmhands.hold, args=(shared, tmp_path / str(n), start, said, done))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    heard = sorted(said.get(timeout=60) for _ in workers)
    done.set()
    for worker in workers:
        worker.join(60)
    pids = {worker.pid for worker in workers}
    assert heard[-1] == "held"
    for sentence in heard[:-1]:
        assert sentence.endswith("Nothing was ordered.")
        assert int(sentence.split()[1]) in pids
        assert " is at work on teaser. Wait for it" in sentence
    opened(shared, tmp_path, "teaser").close()


@pytest.mark.covers("F5", "A4")
def test_a_worker_that_is_killed_is_taken_over_by_another(shared: str, tmp_path: Path) -> None:
    ready = SPAWN.Event()
    worker = SPAWN.Process(target=farmhands.work_and_hang, args=(shared, tmp_path / "dead", ready))
    worker.start()
    assert ready.wait(60)
    with pytest.raises(Locked, match=f"Process {worker.pid} on "):
        opened(shared, tmp_path / "next", "teaser")
    os.kill(worker.pid or 0, signal.SIGKILL)
    worker.join(60)
    ledger = opened(shared, tmp_path / "next", "teaser")  # the server hears of it a moment later
    (doubt,) = ledger.prepare()
    assert (doubt.key, doubt.state, doubt.cost) == ("b", "doubt", 30)
    assert ledger.spent("runway", film="teaser") == 42
    open_ = ledger.blocking("a")
    assert open_ is not None
    assert (open_.state, open_.ticket) == ("open", "the ticket")
    with pytest.raises(SecondUnitError, match="not ordered twice"):
        ledger.intend(intent("b", film="teaser"), FREELY)
    assert ledger.kept(ledger.made(open_, 12)).state == "kept"
    ledger.close()


def test_orders_under_way_of_a_film_that_another_makes_are_left_alone(
    shared: str, tmp_path: Path
) -> None:
    live, dead = (opened(shared, tmp_path / name, name) for name in ("live", "dead"))
    order = live.intend(intent("a", film="live"), FREELY)
    dead.intend(intent("b", film="dead"), FREELY)
    dead.close()
    other = opened(shared, tmp_path / "other", "film")
    for _ in range(200):
        if other._file.held_elsewhere() == {"live"}:
            break
        time.sleep(0.05)
    assert [o.key for o in other.prepare()] == ["b"]
    assert live.opened(order, "t", None).state == "open"
    live.close()
    other.close()


def test_what_is_not_held_is_not_ordered(shared: str, tmp_path: Path) -> None:
    ledger = opened(shared, tmp_path, "held")
    with pytest.raises(Locked, match=r"does not hold other in .* Nothing was ordered"):
        ledger.intend(intent(film="other"), FREELY)
    assert ledger.of("k") == ()
    ledger.close()


# --- one order at a time ----------------------------------------------------------------------------


class Gate:
    """A gateway that sees how many come at once."""

    name = "runway"

    def __init__(self) -> None:
        self.inside, self.most, self.taken = 0, 0, 0
        self._lock = threading.Lock()

    def evidence(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def create(self, endpoint: str, body: Any, *, shot: str) -> Ordered:
        time.sleep(0.02)
        with self._lock:
            self.inside -= 1
            self.taken += 1
            return Ordered(f"t{self.taken}")


def test_at_a_gateway_all_workers_order_one_after_the_other(shared: str, tmp_path: Path) -> None:
    """The account before an order tells nothing if somebody else orders at the same moment."""
    gate = Gate()

    def worker(film: str) -> None:
        ledger = opened(shared, tmp_path / film, film)
        lane = Lane(ledger)
        for number in range(5):
            asyncio.run(lane.order(gate, intent(f"{film}{number}", film=film), {}, FREELY))  # type: ignore[arg-type]  # as much of one as is needed
        lane.close()
        ledger.close()

    with ThreadPoolExecutor(4) as farm:
        list(farm.map(worker, ["a", "b", "c", "d"]))
    assert (gate.most, gate.taken) == (1, 20)


def test_who_is_stopped_while_others_order_does_not_wait_for_them(
    shared: str, tmp_path: Path
) -> None:
    busy, stopped = (opened(shared, tmp_path / name, name) for name in ("busy", "stopped"))
    lane, gate = Lane(stopped), Gate()
    with busy.alone_at("runway") as alone:
        assert alone()
        placed = lane._thread.submit(lane._place, gate, intent(film="stopped"), {}, FREELY)  # type: ignore[arg-type]  # the same
        lane._placed.append(placed)
        with stopped.alone_at("cometapi") as elsewhere:
            assert elsewhere()
        lane.close()
    order, outcome = placed.result(0)
    assert (order, gate.most) == (None, 0)
    assert outcome.reason == "the run was stopped"  # type: ignore[union-attr]  # NotSent
    busy.close()
    stopped.close()


class Cutting(Gate):
    """A gateway while whose account is looked at the connection to the ledger breaks."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def evidence(self) -> None:
        from test_ledger_postgres import cut

        cut(self.url)


def test_an_order_whose_turn_was_lost_is_not_sent(shared: str, tmp_path: Path) -> None:
    """Others may have ordered meanwhile, so that the account as it was seen proves nothing."""
    ledger, gate = opened(shared, tmp_path, "f"), Cutting(shared)
    lane = Lane(ledger)
    with pytest.raises(SecondUnitError, match=r"lost just before an order\. Nothing was") as lost:
        asyncio.run(lane.order(gate, intent(), {}, FREELY))  # type: ignore[arg-type]  # the same
    assert lost.value.transient
    assert (gate.taken, ledger.of("k")) == (0, ())
    gate = Gate()  # type: ignore[assignment]  # one that does not cut
    order, _ = asyncio.run(lane.order(gate, intent(), {}, FREELY))  # type: ignore[arg-type]  # the same
    assert order is not None
    assert order.state == "open"
    lane.close()
    ledger.close()


# --- whole takes ------------------------------------------------------------------------------------


class Worker(Production):
    """A production whose books are shared, in a project folder of its own."""

    def __init__(self, folder: Path, strict: Strict, url: str) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder, strict)
        self.settings = Settings(ledger=url)
        self.film = "film"
        self.also: tuple[str, ...] = ()  # films that a test orders for by hand

    def plan(self, text: str = ONE) -> Plan:
        path = self.folder / f"{self.film}.yaml"
        path.write_text(text)
        return compile_plan(shotlist.read(str(path)), Choices(gateway=self.house))

    @contextmanager
    def books(self) -> Iterator[Ledger]:
        store = Store(self.project.store)
        with books.opened(self.project, store, self.settings, self.film) as ledger:
            for film in self.also:
                ledger.hold(film)
            yield ledger


def test_what_one_worker_has_bought_another_fetches_and_does_not_buy(
    strict: Strict, shared: str, tmp_path: Path
) -> None:
    one, other = (Worker(tmp_path / name, strict, shared) for name in ("one", "other"))
    one.at_once(one.plan(doors(3)))
    assert len(strict.orders) == 3
    takes = other.at_once(other.plan(doors(3)))
    assert [take.slate["shot"] for take in takes] == ["s0", "s1", "s2"]
    assert len(strict.orders) == 3
    assert other.states == ["kept"] * 3


def test_two_films_with_the_same_shots_made_at_once_buy_them_once(
    strict: Strict, shared: str, tmp_path: Path
) -> None:

    def make(film: str) -> list[Any]:
        worker = Worker(tmp_path / film, strict, shared)
        worker.film = film
        worker.pace = replace(worker.pace, ripe=30.0)
        return list(worker.run(worker.plan(doors(4)), _until_home))

    with ThreadPoolExecutor(2) as farm:
        found = list(farm.map(make, ["teaser", "trailer"]))
    assert [len(takes) for takes in found] == [4, 4]
    assert len(strict.orders) == 4


async def _until_home(unit: Any) -> list[Any]:
    """Call again whatever calls itself transient, as the flow does."""
    for _ in range(20):
        takes = await everything(unit)
        wrong = [t for t in takes if isinstance(t, BaseException)]
        if not wrong:
            return takes
        for error in wrong:
            assert isinstance(error, SecondUnitError), error
            assert error.transient, error
    raise AssertionError("an error stays transient for ever")


# --- from a ledger of its own to a shared one -------------------------------------------------------


def test_the_orders_of_a_project_are_taken_over_into_a_shared_ledger(
    at: Production, strict: Strict, shared: str, tmp_path: Path
) -> None:
    at.shoot(at.plan(doors(2)))
    with at.books() as own:
        own.doubted(own.intend(intent("doubtful", film="film", price=9), FREELY), "no answer came")
        before = own.every()
    settings, store = Settings(ledger=shared), Store(at.project.store)
    with (
        pytest.raises(UsageError, match=r"has orders of its own.*secondunit rebuild FILE"),
        books.opened(at.project, store, settings, "film"),
    ):
        pass
    assert books.rebuild(at.project, store, settings, "film") == books.Rebuilt(0, 0, 0)
    assert books.rebuild(at.project, store, settings, "film") == books.Rebuilt(0, 0, 0)
    with books.opened(at.project, store, settings, "film") as ledger:
        same = ("key", "run", "state", "ticket", "cost", "charged", "ordered_at", "evidence")
        assert [[getattr(o, n) for n in same] for o in ledger.every()] == [
            [getattr(o, n) for n in same] for o in before
        ]
    assert not at.project.has_ledger
    moved = sqlite3.connect(at.project.work / "ledger.moved")
    assert moved.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    moved.close()


def test_what_two_projects_had_both_bought_counts_twice_and_stands_once(
    shared: str, tmp_path: Path
) -> None:
    ledger = opened(shared, tmp_path / "shared")
    for name in ("one", "other"):
        own = Ledger(tmp_path / name / "ledger.sqlite")
        time.sleep(0.002)
        order = own.opened(own.intend(intent("same"), FREELY), f"ticket of {name}", None)
        assert ledger.adopted(order)
        assert not ledger.adopted(order)
        own.close()
    assert [(o.ticket, o.state, o.cost) for o in ledger.of("same")] == [
        ("ticket of one", "open", 10), ("ticket of other", "replaced", 10),
    ]  # fmt: skip
    ledger.close()


# --- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("postgresql://me:secret-word@host/db", "no password may be in it; keep it in ~/.pgpass"),
        ("postgresql://me@host/db?password=secret-word", "no password may be in it"),
        ("postgresql://me@host/db?p%61ssword=secret-word", "no password may be in it"),
        ("postgresql://host/db?sslpassword=secret-word", "no password may be in it"),
        ("postgresql://:secret-word@/db", "no password may be in it"),
        ("mysql://host/db", "write postgresql://user@host/database"),
        ("/a/ledger.sqlite", "write postgresql://user@host/database"),
        ("postgresql://host:port/db", "write postgresql://user@host/database"),
    ],
)
def test_an_address_that_will_not_do_is_refused_without_being_shown(
    tmp_path: Path, address: str, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        Settings.load({"XDG_CONFIG_HOME": str(tmp_path), "SECONDUNIT_LEDGER": address})
    assert str(refused.value).startswith("SECONDUNIT_LEDGER: ")
    assert says in str(refused.value)
    assert str(refused.value).endswith("Nothing was ordered.")
    assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["postgresql://me@host/db", "postgres:///db", "postgresql://me@one:5432,two:5433/db",
     "postgresql:///?service=farm", "postgresql://me@[::1]:5432/db?sslmode=verify-full"],
)  # fmt: skip
def test_an_address_in_any_form_that_libpq_reads_is_taken(tmp_path: Path, address: str) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "SECONDUNIT_LEDGER": address}
    assert Settings.load(environ).ledger == address


def test_a_missing_driver_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Production
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "secondunit.ledger.postgres", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'secondunit\[farm\]'.*Nothing was ordered"),
        books.look(at.project, Settings(ledger="postgresql://h/d")),
    ):
        pass


def test_a_shared_ledger_is_read_without_holding_anything(
    at: Production, shared: str, tmp_path: Path
) -> None:
    with books.look(at.project, Settings()) as ledger:
        assert ledger is None
    busy = opened(shared, tmp_path, "film")
    busy.intend(intent(film="film"), FREELY)
    with books.look(at.project, Settings(ledger=shared)) as ledger:
        assert ledger is not None
        assert [o.state for o in ledger.of_film("film")] == ["intent"]
    busy.close()
