"""The ledger on PostgreSQL keeps the promises of the one in a file, and those of many machines."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from inspect import isfunction, signature
from typing import TYPE_CHECKING, ClassVar

import psycopg
import pytest
import test_lane
import test_ledger
import test_ledger_tells
from hypothesis import settings
from postgres import opened
from test_ledger import FREELY, AnyRun, intent

from secondunit.errors import DiskTrouble, Locked, SecondUnitError, UsageError
from secondunit.ledger import Ledger, postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from postgres import Server

# --- what holds for both ---------------------------------------------------------------------------

for _module in (test_ledger, test_ledger_tells, test_lane):
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and isfunction(_test):
            _asked = signature(_test).parameters.keys()
            if "ledger" in _asked and not _asked & {"path", "tmp_path"}:  # those speak of a file
                globals()[_name] = _test


@pytest.fixture
def ledger_at(shared: str, tmp_path: Path) -> Callable[[], Ledger]:
    return lambda: opened(shared, tmp_path / "work", "f", "g", "other")


@pytest.fixture
def ledger(ledger_at: Callable[[], Ledger]) -> Iterator[Ledger]:
    ledger = ledger_at()
    yield ledger
    ledger.close()


class AnyRunOnPostgres(AnyRun):
    """The same orders, endings, decisions and sudden deaths in any order, on a server."""

    pg: ClassVar[Server]

    def opened(self) -> Ledger:
        if not hasattr(self, "url"):
            self.url = self.pg.database()
        return opened(self.url, self.path.parent, "f")

    def refuse_writing(self, refused: bool) -> None:
        how = "on" if refused else "off"
        self.ledger._file._link.execute(f"SET default_transaction_read_only = {how}")  # type: ignore[attr-defined]  # Postgres


@pytest.mark.usefixtures("given_server")
class TestAnyRunOnPostgres(AnyRunOnPostgres.TestCase):  # type: ignore[misc, name-defined]  # made by hypothesis
    """A few runs of it."""

    settings = settings(max_examples=5, stateful_step_count=25)


@pytest.fixture(scope="module")
def given_server(pg: Server) -> None:
    AnyRunOnPostgres.pg = pg


# --- promises of the tables themselves --------------------------------------------------------------

ROW = (
    "INSERT INTO secondunit.orders (key, film, run, shot, gateway, endpoint, model, request, state,"
    " ticket, reserved, ordered_at, changed_at, {0}) VALUES (%s, 'f', 'r', 's', 'runway', 'e', 'm',"
    " '{{}}', 'intent', NULL, 30, '', '', {1})"
)


@pytest.mark.parametrize("cap", ["film", "run", "shot", "day"])
def test_whatever_program_writes_the_server_holds_the_caps(
    ledger_at: Callable[[], Ledger],
    shared: str,
    cap: str,
) -> None:
    ledger_at().close()
    row = ROW.format(f"{cap}_cap", 60).encode()
    with psycopg.connect(shared, autocommit=True) as db:
        db.execute(row, ("a",))
        db.execute(row, ("b",))
        with pytest.raises(psycopg.IntegrityError, match=f"cap of {cap}"):
            db.execute(row, ("c",))
        with pytest.raises(psycopg.IntegrityError, match="one_order"):
            db.execute(ROW.format("film_cap", 900).encode(), ("a",))


def test_whatever_program_writes_no_order_moves_where_it_may_not(
    ledger: Ledger,
    shared: str,
) -> None:
    ledger.opened(ledger.intend(intent(), FREELY), "t", None)
    with psycopg.connect(shared) as db, pytest.raises(psycopg.IntegrityError, match="move"):
        db.execute("UPDATE secondunit.orders SET state = 'unsent'")
    with psycopg.connect(shared) as db, pytest.raises(psycopg.IntegrityError, match="one_ticket"):
        db.execute(ROW.format("film_cap", "NULL").replace("NULL, 30", "'t', 30").encode(), ("b",))


@pytest.mark.covers("E10")
def test_newer_tables_are_left_alone(pg: Server, tmp_path: Path) -> None:
    url = pg.database()
    opened(url, tmp_path).close()
    with psycopg.connect(url) as db:
        db.execute("UPDATE secondunit.about SET version = version + 1")
    with pytest.raises(UsageError, match=r"newer Second Unit .* Nothing was ordered"):
        opened(url, tmp_path)


def test_tables_that_keep_less_than_ours_are_refused(pg: Server, tmp_path: Path) -> None:
    """Somebody may have mended something by hand."""
    url = pg.database()
    opened(url, tmp_path).close()
    for damage in (
        "DROP TRIGGER within_caps ON secondunit.orders",
        "ALTER TABLE secondunit.orders DISABLE TRIGGER only_moves",
        "DROP INDEX secondunit.one_order",
        "INSERT INTO secondunit.moves VALUES ('kept', 'unsent')",
        "DELETE FROM secondunit.moves WHERE before = 'doubt'",
        "CREATE OR REPLACE FUNCTION secondunit.within_caps() RETURNS trigger LANGUAGE plpgsql"
        " AS $$BEGIN RETURN NEW; END$$",
    ):
        with psycopg.connect(url) as db:
            db.execute(damage.encode())
            db.commit()
            with pytest.raises(UsageError, match="is missing or changed"):
                opened(url, tmp_path)
            db.execute("DROP SCHEMA secondunit CASCADE")
        opened(url, tmp_path).close()


def test_many_who_begin_a_ledger_at_once_begin_it_once(pg: Server, tmp_path: Path) -> None:
    def begin(_: int) -> None:
        opened(url, tmp_path).close()

    for _ in range(3):
        url = pg.database()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(begin, range(8)))


def test_what_the_server_confirms_is_on_its_disk(pg: Server, tmp_path: Path) -> None:
    url = pg.database()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {db.info.dbname} SET synchronous_commit = off".encode())
    ledger = opened(url, tmp_path, "f")
    with ledger._file.reading() as link:
        assert link.execute("SHOW synchronous_commit").fetchone()[0] == "on"
    ledger.close()


def test_a_server_that_may_forget_what_it_confirmed_is_refused(pg: Server, tmp_path: Path) -> None:
    url = pg.database()
    pg.stop()
    pg.start(fsync="off")
    with pytest.raises(UsageError, match=r"`fsync = off`.*Nothing was ordered"):
        opened(url, tmp_path)
    pg.stop()
    pg.start(fsync="on")
    opened(url, tmp_path).close()


# --- trouble with the server ------------------------------------------------------------------------


def cut(url: str) -> None:
    """End every other connection to the database, as its administrator can."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid != pg_backend_pid() AND datname = current_database()"
            " AND backend_type = 'client backend'"
        )


def test_a_server_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble, match=r"postgresql://u@127.0.0.1:1/x cannot be used .*refused"):
        opened("postgresql://u@127.0.0.1:1/x?connect_timeout=5", tmp_path)
    with pytest.raises(DiskTrouble, match="bogus"):
        opened("postgresql://u@127.0.0.1:1/x?bogus=5", tmp_path)


def test_a_connection_that_was_cut_is_made_anew_and_the_film_still_held(
    ledger: Ledger,
    shared: str,
    ledger_at: Callable[[], Ledger],
) -> None:
    order = ledger.intend(intent("a"), FREELY)
    cut(shared)
    order = ledger.opened(order, "t", None)
    cut(shared)
    assert ledger.made(order, 10).state == "made"
    cut(shared)
    assert ledger.of("a")[0].ticket == "t"
    cut(shared)
    assert ledger.intend(intent("b"), FREELY).state == "intent"
    with pytest.raises(Locked, match="is at work on f"):
        ledger_at()


def test_who_lost_the_film_to_another_orders_nothing_more_and_loses_no_ticket(
    ledger: Ledger,
    shared: str,
    ledger_at: Callable[[], Ledger],
) -> None:
    """A worker is cut off in the middle of an order, another takes over, and the first comes back."""
    rolling = ledger.opened(ledger.intend(intent("a"), FREELY), "t1", None)
    order = ledger.intend(intent("b", price=30), FREELY)
    cut(shared)
    other = ledger_at()
    (doubt,) = other.prepare()
    assert (doubt.id, other.spent("runway", film="f")) == (order.id, 40)
    late = ledger.opened(order, "t2", 31)
    assert (late.state, late.ticket, late.id) == ("open", "t2", order.id)
    with pytest.raises(
        Locked, match=r"Process \d+ on .* has taken f over since.*orders nothing more"
    ):
        ledger.intend(intent("c"), FREELY)
    assert ledger.kept(ledger.made(rolling, 10)).state == "kept"
    assert [o.state for o in other.of_film("f")] == ["kept", "open"]
    assert other.intend(intent("c"), FREELY).state == "intent"
    other.close()
    with pytest.raises(Locked, match="orders nothing more"):
        ledger.intend(intent("d"), FREELY)
    ledger_at().close()


def test_who_came_and_went_meanwhile_leaves_the_film_to_neither(
    ledger: Ledger, shared: str, ledger_at: Callable[[], Ledger]
) -> None:
    order = ledger.intend(intent("a"), FREELY)
    cut(shared)
    other = ledger_at()
    other.prepare()
    other.close()
    assert ledger.opened(order, "t", None).state == "open"
    with pytest.raises(Locked, match="has taken f over"):
        ledger.intend(intent("b"), FREELY)
    third = ledger_at()
    third.hold("f")
    assert third.intend(intent("b"), FREELY).state == "intent"
    third.close()


def test_a_ticket_that_another_take_has_is_no_ticket_of_a_late_order(
    ledger: Ledger, shared: str, ledger_at: Callable[[], Ledger]
) -> None:
    ledger.opened(ledger.intend(intent("a"), FREELY), "t", None)
    order = ledger.intend(intent("b"), FREELY)
    cut(shared)
    other = ledger_at()
    other.unsent(other.prepare()[0], "the account shows that it was not charged")
    with pytest.raises(SecondUnitError, match="the ticket t, which another order already has"):
        ledger.opened(order, "t", None)
    other.close()


def test_what_two_who_wait_for_the_same_ticket_tell_is_written_once(
    ledger: Ledger, shared: str, tmp_path: Path
) -> None:
    """Two films have the same shot, and both fetch what one of them has ordered."""
    other = opened(shared, tmp_path / "other", "second")
    mine = ledger.opened(ledger.intend(intent(), FREELY), "t", None)
    theirs = other.of("k")[0]
    mine = ledger.made(mine, 10)
    theirs = other.made(theirs, 10)
    assert ledger.kept(mine) == other.kept(theirs)
    assert ledger.ended(ledger.of("k")[0], "lost", "gone") == other.ended(theirs, "lost", "gone")
    with pytest.raises(SecondUnitError, match="changed under this run"):
        other.made(theirs, 10)
    other.close()


def test_a_ticket_that_comes_when_its_order_was_placed_again_is_kept_and_counts(
    ledger: Ledger,
    shared: str,
    ledger_at: Callable[[], Ledger],
) -> None:
    order = ledger.intend(intent("a"), FREELY)
    cut(shared)
    other = ledger_at()
    (doubt,) = other.prepare()
    other.unsent(doubt, "the account shows that it was not charged")
    again = other.opened(other.intend(intent("a"), FREELY), "second", None)
    with pytest.raises(SecondUnitError, match="changed under this run"):
        ledger.opened(order, "first", None)
    found = {(o.ticket, o.state, o.cost) for o in other.of("a")}
    assert found == {(None, "unsent", 0), ("second", "open", 10), ("first", "abandoned", 10)}
    assert other.blocking("a") == again
    other.close()


def test_a_ticket_whose_order_was_ruled_out_stands_for_it(
    ledger: Ledger,
    shared: str,
    ledger_at: Callable[[], Ledger],
) -> None:
    order = ledger.intend(intent("a"), FREELY)
    cut(shared)
    other = ledger_at()
    other.unsent(other.prepare()[0], "the account shows that it was not charged")
    late = ledger.opened(order, "t", None)
    assert (late.state, late.ticket) == ("open", "t")
    with pytest.raises(SecondUnitError, match="not ordered twice"):
        other.intend(intent("a"), FREELY)
    other.close()


def test_an_intent_whose_commit_was_cut_off_is_taken_back(
    ledger: Ledger,
    shared: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody knows whether the server has it; nothing was sent for it, so it must not be in doubt."""
    ledger.unsent(ledger.intend(intent("a"), FREELY), "of an earlier try")
    link = ledger._file._link  # type: ignore[attr-defined]  # of Postgres
    execute = link.execute

    def cut_after_commit(sql: str, values: tuple[object, ...] = ()) -> object:
        answer = execute(sql, values)
        if sql == "COMMIT":
            cut(shared)
            execute("SELECT 1")
        return answer

    monkeypatch.setattr(link, "execute", cut_after_commit)
    with pytest.raises(DiskTrouble, match="cannot be used") as lost:
        ledger.intend(intent("a"), FREELY)
    assert lost.value.transient
    assert {(o.state, o.reason) for o in ledger.of("a")} == {
        ("unsent", "of an earlier try"),
        ("unsent", "the ledger was out of reach before anything was sent"),
    }
    assert ledger.intend(intent("a"), FREELY).state == "intent"


def test_a_server_that_is_restarted_is_waited_for(pg: Server, tmp_path: Path) -> None:
    ledger = opened(pg.database(), tmp_path, "f")
    order = ledger.intend(intent(), FREELY)
    pg.stop()
    back = threading.Timer(1.0, pg.start)
    back.start()
    order = ledger.opened(order, "t", None)
    back.join()
    assert order.state == "open"
    assert ledger.intend(intent("b"), FREELY).state == "intent"
    ledger.close()


@pytest.mark.covers("E2")
def test_a_ticket_that_comes_while_the_server_is_away_is_rescued(
    pg: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres, "PATIENCE", 0.3)
    url = pg.database()
    ledger = opened(url, tmp_path, "f")
    ledger.prepare()
    order = ledger.intend(intent(), FREELY)
    pg.stop()
    with pytest.raises(DiskTrouble, match=r"its ticket paid for is in .*rescue\.jsonl"):
        ledger.opened(order, "paid for", None)
    with pytest.raises(DiskTrouble, match="Nothing is ordered without it"):
        ledger.intend(intent("b"), FREELY)
    pg.start()
    assert ledger.intend(intent("b"), FREELY).state == "intent"
    ledger.close()
    ledger = opened(url, tmp_path, "f")
    ledger.prepare()
    assert [(o.state, o.ticket) for o in ledger.of("k")] == [("open", "paid for")]
    ledger.close()


def test_a_connection_that_only_the_server_still_believes_in_is_outwaited(
    pg: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its locks stay with it until the server notices; nobody else has come between meanwhile."""
    url = pg.database()
    ledger = opened(url, tmp_path, "f")
    left = ledger._file._link  # type: ignore[attr-defined]  # of Postgres
    monkeypatch.setattr(ledger._file, "_link", Gone())
    threading.Timer(0.7, left.close).start()
    assert ledger.intend(intent(), FREELY).state == "intent"
    with pytest.raises(Locked):
        opened(url, tmp_path, "f")
    ledger.close()


class Gone:
    """The near end of a connection that broke unnoticed by the far end."""

    is_lost = True

    def execute(self, sql: str, values: object = ()) -> None:
        raise psycopg.OperationalError("the connection is closed")

    def close(self) -> None:
        pass


def test_text_that_the_server_cannot_hold_does_not_lose_a_ticket(ledger: Ledger) -> None:
    order = ledger.opened(ledger.intend(intent(), FREELY), "t\0icket", None)
    assert order.ticket == "t\ufffdicket"
    assert ledger.ended(order, "failed", "no\0reason").reason == "no\ufffdreason"
