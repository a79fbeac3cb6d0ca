"""The ledger: no order is lost, none is placed twice, and no cap is passed, whatever happens to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from footage import small_disk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from secondunit import durable
from secondunit.errors import DiskTrouble, OverBudget, SecondUnitError, UsageError
from secondunit.ledger import Allowance, Intent, Ledger, Order, database
from secondunit.ports import Ordered
from secondunit.store import Store
from secondunit.take.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FREELY = Allowance()


def intent(key: str = "k", *, price: int = 10, film: str = "f", run: str = "r") -> Intent:
    return Intent(
        key=key, film=film, run=run, shot=f"shot {key}", gateway="runway", endpoint="text_to_video",
        model="gen4.5", request={"promptText": "A door."}, reserved=price,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "work" / "ledger.sqlite"


@pytest.fixture
def ledger_at(path: Path) -> Callable[[], Ledger]:
    """Open the same ledger once more; `test_ledger_postgres` has another, for the same promises."""
    return lambda: Ledger(path)


@pytest.fixture
def ledger(ledger_at: Callable[[], Ledger]) -> Iterator[Ledger]:
    ledger = ledger_at()
    yield ledger
    ledger.close()


def history(ledger: Ledger, order: Order) -> list[str]:
    with ledger._file.reading() as db:
        rows = db.execute("SELECT state FROM history WHERE order_id = ? ORDER BY id", (order.id,))
        return [row[0] for row in rows]


# --- from intent to kept --------------------------------------------------------------------------


def test_an_order_is_written_down_before_and_after_it_is_sent(
    ledger: Ledger, ledger_at: Callable[[], Ledger]
) -> None:
    order = ledger.intend(intent(), FREELY)
    assert (order.state, order.cost, order.ticket) == ("intent", 10, None)
    order = ledger.opened(order, "t1", 12)
    assert (order.state, order.cost, order.ticket) == ("open", 12, "t1")
    order = ledger.kept(ledger.made(order, 11))
    assert (order.state, order.cost, order.charged) == ("kept", 11, 11)
    assert history(ledger, order) == ["intent", "open", "made", "kept"]
    ledger.close()
    again = ledger_at()
    assert again.of("k") == (order,)
    assert again.blocking("k") == order
    again.close()


@pytest.mark.parametrize("state", ["intent", "doubt", "open", "made", "kept", "lost"])
def test_while_an_order_stands_the_same_is_not_ordered_again(ledger: Ledger, state: str) -> None:
    order = ledger.intend(intent(), FREELY)
    if state == "doubt":
        ledger.doubted(order, "?")
    elif state != "intent":
        order = ledger.opened(order, "t", None)
        if state == "lost":
            ledger.ended(order, "lost", "gone")
        elif state != "open":
            order = ledger.made(order, 1)
            if state == "kept":
                ledger.kept(order)
    with pytest.raises(SecondUnitError, match="not ordered twice"):
        ledger.intend(intent(), FREELY)
    assert len(ledger.of("k")) == 1


@pytest.mark.parametrize("end", ["unsent", "rejected"])
def test_what_was_not_ordered_costs_nothing_and_blocks_nothing(ledger: Ledger, end: str) -> None:
    order = ledger.intend(intent(), FREELY)
    assert getattr(ledger, end)(order, "because").cost == 0
    assert ledger.blocking("k") is None
    assert ledger.intend(intent(), FREELY).state == "intent"


@pytest.mark.parametrize(
    ("charged", "cost"), [(None, 12), (0, 0), (5, 5)]
)  # fmt: skip
def test_a_failure_costs_what_the_gateway_says_and_else_what_it_estimated(
    ledger: Ledger, charged: int | None, cost: int
) -> None:
    order = ledger.opened(ledger.intend(intent(), FREELY), "t", 12)
    assert ledger.ended(order, "failed", "broke", charged=charged, code="INTERNAL").cost == cost
    assert ledger.spent("runway") == cost


def test_only_one_order_has_a_ticket(ledger: Ledger) -> None:
    ledger.opened(ledger.intend(intent("a"), FREELY), "t", None)
    other = ledger.intend(intent("b"), FREELY)
    with pytest.raises(SecondUnitError, match="which another order already has"):
        ledger.opened(other, "t", None)
    assert ledger.of("b")[0].state == "intent"
    assert ledger.doubted(other, "the same ticket twice").state == "doubt"


def test_what_a_dead_run_left_is_in_doubt_and_counts_as_spent(
    ledger: Ledger, ledger_at: Callable[[], Ledger]
) -> None:
    ledger.intend(intent(price=30), FREELY)
    ledger.close()
    again = ledger_at()
    (order,) = again.prepare()
    assert (order.state, order.cost) == ("doubt", 30)
    assert again.prepare() == ()
    assert again.spent("runway", film="f") == 30
    again.close()


def test_a_change_that_comes_too_late_changes_nothing(ledger: Ledger) -> None:
    order = ledger.intend(intent(), FREELY)
    ledger.doubted(order, "?")
    with pytest.raises(SecondUnitError, match="changed under this run"):
        ledger.unsent(order, "late")
    assert [o.state for o in ledger.of("k")] == ["doubt"]
    assert history(ledger, order) == ["intent", "doubt"]


def test_an_order_that_another_program_changed_meanwhile_is_left_to_it(
    ledger: Ledger, path: Path
) -> None:
    order = ledger.opened(ledger.intend(intent(), FREELY), "t", None)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("UPDATE orders SET state = 'lost'")
    with pytest.raises(SecondUnitError, match=r"changed under this run; nothing more was done"):
        ledger.made(order, 10)
    other.close()
    assert ledger.of("k")[0].state == "lost"


# --- what may be spent ------------------------------------------------------------------------------


def test_the_caps_count_what_is_reserved_in_doubt_and_lost(ledger: Ledger) -> None:
    ledger.doubted(ledger.intend(intent("a", price=40), FREELY), "?")
    order = ledger.opened(ledger.intend(intent("b", price=40), FREELY), "t", 45)
    ledger.ended(order, "lost", "gone")
    with pytest.raises(OverBudget, match="85 are spent or reserved"):
        ledger.intend(intent("c", price=16), Allowance(film=100))
    assert ledger.of("c") == ()
    assert ledger.intend(intent("c", price=15), Allowance(film=100)).cost == 15


def test_a_cap_of_a_film_and_one_of_a_run_are_kept_apart(ledger: Ledger) -> None:
    ledger.intend(intent("a", price=60, film="other"), Allowance(film=100))
    ledger.intend(intent("b", price=60, run="before"), Allowance(film=100, run=100))
    ledger.intend(intent("c", price=40, run="now"), Allowance(film=100, run=40))
    with pytest.raises(OverBudget, match="this film may cost 100"):
        ledger.intend(intent("d", price=1, run="now"), Allowance(film=100, run=100))
    with pytest.raises(OverBudget, match="this run may spend 40"):
        ledger.intend(intent("d", price=1, run="now"), Allowance(film=1000, run=40))


# --- the file -----------------------------------------------------------------------------------


def test_a_commit_that_returned_is_on_the_disk(ledger: Ledger, path: Path) -> None:
    asked = {name: ledger._file._db.execute(f"PRAGMA {name}").fetchone()[0]
             for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert asked == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }
    ledger.prepare()
    assert path.with_name("ledger.sqlite-wal").stat().st_size > 100_000


def test_a_process_that_is_killed_between_commits_loses_none(path: Path) -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from test_ledger import *\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "order = ledger.opened(ledger.intend(intent(), FREELY), 'the ticket', 12)\n"
        "os.kill(os.getpid(), 9)"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", script, str(path), here], check=False)
    assert done.returncode == -9
    ledger = Ledger(path)
    assert [(o.state, o.ticket) for o in ledger.of("k")] == [("open", "the ticket")]
    ledger.close()


@pytest.mark.covers("E10")
def test_a_newer_ledger_is_left_alone(ledger: Ledger, path: Path) -> None:
    ledger.intend(intent(), FREELY)
    ledger._file._db.execute("PRAGMA user_version = 3")
    ledger.close()
    with pytest.raises(UsageError, match=r"newer Second Unit .* Nothing was ordered"):
        Ledger(path)


@pytest.mark.covers("E8")
@pytest.mark.parametrize("place", [0, 16, 4096, 3 * 4096])
def test_a_damaged_ledger_is_refused_and_not_begun_anew(path: Path, place: int) -> None:
    ledger = Ledger(path)
    for number in range(40):
        ledger.intend(intent(f"k{number}"), FREELY)
    ledger.close()
    data = bytearray(path.read_bytes())
    data[place : place + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(UsageError, match="damaged and is the only record") as refused:
        Ledger(path)
    assert path.read_bytes() == bytes(data)
    assert "secondunit rebuild FILE" in str(refused.value)
    assert "newest copy" not in str(refused.value)
    path.with_name("ledger.bak-9").write_bytes(b"")
    with pytest.raises(UsageError, match=r"The newest copy of it is .*ledger\.bak-9\. Nothing"):
        Ledger(path)


@pytest.mark.covers("E8")
@pytest.mark.parametrize("step", [2560, pytest.param(512, marks=pytest.mark.long)])
def test_a_journal_that_is_torn_anywhere_loses_only_what_was_not_yet_on_the_disk(
    tmp_path: Path, step: int
) -> None:
    """At every half kilobyte: what is left are the first so many commits, each whole."""
    whole = tmp_path / "whole" / "ledger.sqlite"
    ledger = Ledger(whole)
    ledger._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for number in range(3):
        ledger.opened(ledger.intend(intent(f"k{number}"), FREELY), f"t{number}", None)
    log = whole.with_name("ledger.sqlite-wal").read_bytes()
    main = whole.read_bytes()
    ledger.close()
    seen = set()
    for end in [*range(0, len(log), step), len(log)]:
        path = tmp_path / str(end) / "ledger.sqlite"
        path.parent.mkdir()
        path.write_bytes(main)
        path.with_name("ledger.sqlite-wal").write_bytes(log[:end])
        torn = Ledger(path)
        states = [o.state for o in torn.of_film("f")]
        assert states in [["open"] * n + tail for n in range(4) for tail in ([], ["intent"])]
        assert torn.spent("runway") == 10 * len(states)
        seen.add(tuple(states))
        torn.close()
    assert len(seen) == 7


def test_a_place_where_no_ledger_can_be_is_a_sentence(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(DiskTrouble, match=r"cannot be (written|used)"):
        Ledger(path)
    path.parent.joinpath("file").write_bytes(b"")
    with pytest.raises(DiskTrouble):
        Ledger(path.parent / "file" / "ledger.sqlite")


def test_a_ledger_that_others_write_to_is_waited_for(ledger: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, other.execute, ["COMMIT"]).start()
    assert ledger.intend(intent(), FREELY).state == "intent"
    other.close()


def test_all_takes_of_a_shot_share_what_may_be_spent_on_it(ledger: Ledger) -> None:
    def take(number: int, key: str) -> Intent:
        names = [n for n in ("s", "s take 1", "s take 2") if n != f"s take {number}"]
        return replace(intent(key), shot=f"s take {number}", takes=tuple(names), reserved=40)

    per_shot = Allowance(shot=100)
    ledger.intend(take(1, "one"), per_shot)
    ledger.intend(take(2, "two"), per_shot)
    with pytest.raises(
        OverBudget, match=r"40 credits, 80 are spent or reserved, and `budget\.per_shot`"
    ):
        ledger.intend(take(1, "three"), per_shot)
    ledger.intend(replace(intent("other"), shot="s take 10", reserved=90), per_shot)
    ledger.intend(take(1, "three"), Allowance())
    with pytest.raises(OverBudget, match="120 are spent"):
        ledger.intend(take(2, "four"), per_shot)


class Broken(BaseException):
    """What a handler of signals raises wherever the main thread is, as Prefect's does."""


@pytest.fixture
def _breaking() -> Iterator[None]:
    def broken(*_: object) -> None:
        raise Broken

    before = signal.signal(signal.SIGTERM, broken)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_breaking")
@pytest.mark.covers("B3")
def test_a_signal_as_a_transaction_begins_leaves_the_ledger_writable(
    ledger: Ledger, path: Path
) -> None:
    order = ledger.intend(intent(), FREELY)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM]).start()
    threading.Timer(0.6, other.execute, ["COMMIT"]).start()
    with pytest.raises(Broken):  # SQLite waits for the other, and has begun when that is done
        ledger.doubted(order, "unknown")
    with ThreadPoolExecutor(1) as pool:
        opened = pool.submit(ledger.opened, order, "paid for", 12).result()
    assert (opened.state, ledger.of("k")[0].ticket) == ("open", "paid for")
    other.close()


def test_a_ticket_still_fits_on_a_disk_that_has_filled_up(tmp_path: Path) -> None:
    with small_disk(tmp_path, "2m") as disk:
        ledger = Ledger(disk / "ledger.sqlite")
        ledger.prepare()
        order = ledger.intend(intent(), FREELY)
        _fill(disk / "full")
        assert ledger.opened(order, "paid for", 12).ticket == "paid for"
        ledger.close()
        (disk / "full").unlink()
        again = Ledger(disk / "ledger.sqlite")
        assert again.blocking("k") == again.of("k")[0]
        assert again.of("k")[0].ticket == "paid for"
        again.close()


def test_on_a_full_disk_nothing_is_begun_and_room_makes_it_work_again(tmp_path: Path) -> None:
    """An order without a durable intent is never sent; a failed commit does not stop later ones."""
    with small_disk(tmp_path, "2m") as disk:
        ledger = Ledger(disk / "ledger.sqlite")
        _fill(disk / "full")
        with pytest.raises(DiskTrouble, match="Make room"):
            _order_many(ledger)
        written = len(ledger.of_film("f"))
        (disk / "full").unlink()
        assert ledger.intend(intent("after"), FREELY).state == "intent"
        assert len(ledger.of_film("f")) == written + 1
        ledger.close()


def _order_many(ledger: Ledger) -> None:
    for number in range(3000):
        ledger.intend(intent(f"k{number}"), FREELY)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_an_older_ledger_is_brought_up_to_date_with_all_it_holds(path: Path) -> None:
    """A ledger of version 1 knew neither evidence nor caps, and its database kept no moves."""
    from secondunit.ledger.tables import FIRST

    path.parent.mkdir()
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(f"PRAGMA journal_mode=WAL; {FIRST} PRAGMA user_version=1;")
    for number, (state, ticket) in enumerate([("kept", "t1"), ("open", "t2"), ("doubt", None)]):
        old.execute(
            "INSERT INTO orders (key, film, run, shot, gateway, endpoint, model, request, state,"
            " ticket, reserved, ordered_at, changed_at) VALUES"
            " (?, 'f', 'r', 's', 'runway', 'e', 'm', '{}', ?, ?, 30, '', '')",
            (f"k{number}", state, ticket),
        )
    old.close()
    ledger = Ledger(path)
    assert [(o.state, o.ticket, o.cost, o.evidence) for o in ledger.of_film("f")] == [
        ("kept", "t1", 30, None), ("open", "t2", 30, None), ("doubt", None, 30, None),
    ]  # fmt: skip
    assert ledger._file._db.execute("PRAGMA user_version").fetchone()[0] == 2
    with pytest.raises(OverBudget, match="90 are spent"):
        ledger.intend(intent("new"), Allowance(film=99))
    assert ledger.made(ledger.of("k1")[0], 12).state == "made"
    with pytest.raises(sqlite3.IntegrityError, match="move"):
        ledger._file._db.execute("UPDATE orders SET state = 'kept' WHERE state = 'doubt'")
    ledger.close()
    Ledger(path).close()


def test_two_who_bring_a_ledger_up_to_date_at_once_do_it_once(path: Path) -> None:
    def begin(_: int) -> None:
        Ledger(path).close()

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(begin, range(8)))
        for left in path.parent.iterdir():
            left.unlink()


@pytest.mark.parametrize(
    "missing",
    ["DROP TRIGGER within_film_cap", "DROP TRIGGER only_moves", "DROP INDEX one_order",
     "INSERT INTO moves VALUES ('kept', 'unsent')", "DELETE FROM moves WHERE before = 'doubt'"],
)  # fmt: skip
def test_a_ledger_from_elsewhere_that_keeps_less_than_ours_is_refused(
    ledger: Ledger, path: Path, missing: str
) -> None:
    """A shared project may come with a ledger in which no cap holds."""
    ledger.intend(intent(), FREELY)
    ledger._file._db.execute(missing)
    ledger.close()
    with pytest.raises(UsageError, match="damaged"):
        Ledger(path)


def test_play_money_counts_for_no_cap(ledger: Ledger) -> None:
    free = replace(intent("a", price=90), gateway="backlot")
    ledger.intend(free, FREELY)
    assert ledger.intend(intent("b", price=90), Allowance(film=100, run=100, shot=100)).id
    assert ledger.spent("backlot") == 90


def test_a_lost_ticket_may_be_found_again(ledger: Ledger) -> None:
    order = ledger.ended(ledger.opened(ledger.intend(intent(), FREELY), "t", None), "lost", "gone")
    found = ledger.found(order)
    assert (found.state, found.ticket) == ("open", "t")
    assert ledger.on_order() == (found,)


def test_what_changed_since_an_order_is_told(ledger: Ledger) -> None:
    before = ledger.opened(ledger.intend(intent("a"), FREELY), "t1", None)
    older = ledger.intend(intent("b"), FREELY)
    order = ledger.intend(intent("c"), FREELY)
    assert ledger.changed_since(order) == ()
    other = replace(intent("x"), gateway="cometapi")
    ledger.intend(other, FREELY)
    ledger.made(before, 10)
    newer = ledger.intend(intent("d"), FREELY)
    assert [o.id for o in ledger.changed_since(order)] == [before.id, newer.id]
    assert [o.id for o in ledger.changed_since(older)] == [before.id, order.id, newer.id]


# --- copies -------------------------------------------------------------------------------------


def copies(path: Path) -> list[Path]:
    return sorted(path.parent.glob("ledger.bak-*"), key=lambda copy: copy.stat().st_mtime_ns)


@pytest.mark.covers("E8")
def test_a_copy_is_kept_of_every_state_and_of_the_newest_five(ledger: Ledger, path: Path) -> None:
    ledger.prepare()
    ledger.prepare()
    assert len(copies(path)) == 1
    for number in range(6):
        ledger.opened(ledger.intend(intent(f"k{number}"), FREELY), f"t{number}", None)
        ledger.prepare()
        time.sleep(0.002)
    assert [copy.name for copy in copies(path)] == [f"ledger.bak-{n}" for n in (4, 6, 8, 10, 12)]
    assert {copy.stat().st_mode & 0o777 for copy in copies(path)} == {0o600}
    ledger.close()
    newest = copies(path)[-1].read_bytes()
    for left in path.parent.glob("ledger.sqlite*"):
        left.unlink()
    path.write_bytes(newest)
    again = Ledger(path)
    assert [o.ticket for o in again.of_film("f")] == [f"t{n}" for n in range(6)]
    again.close()


def test_where_there_is_no_room_for_a_copy_none_is_kept_and_none_is_lost(tmp_path: Path) -> None:
    """Half a copy would be taken for a whole one by whoever needs it."""
    with small_disk(tmp_path, "2m") as disk:
        ledger = Ledger(disk / "ledger.sqlite")
        ledger.prepare()
        for number in range(10):
            ledger.intend(intent(f"k{number}", film="x" * 500), FREELY)
        _fill(disk / "full")
        os.truncate(disk / "full", (disk / "full").stat().st_size - 8192)
        ledger._file.back_up(200)
        assert [copy.name for copy in copies(ledger.path)] == ["ledger.bak-0"]
        assert not list(disk.glob("*copying*"))
        (disk / "full").unlink()
        ledger._file.back_up(200)
        assert [copy.name for copy in copies(ledger.path)] == ["ledger.bak-0", "ledger.bak-200"]
        ledger.close()


def test_half_a_copy_of_a_run_that_died_is_begun_again(ledger: Ledger, path: Path) -> None:
    path.with_name("ledger.copying").write_bytes(b"half of a copy")
    ledger.prepare()
    assert [copy.name for copy in copies(path)] == ["ledger.bak-0"]
    assert not path.with_name("ledger.copying").exists()


# --- where it lies --------------------------------------------------------------------------------

MOUNTED = """\
/dev/vda1 / ext4 rw 0 0
server:/films {folder}/on\\040film nfs4 rw 0 0
tmpfs {folder}/on\\040film/here tmpfs rw 0 0
//nas/x {folder}/nas cifs rw 0 0
host:/ {folder}/ssh fuse.sshfs rw 0 0
"""


@pytest.mark.covers("E11")
@pytest.mark.parametrize(
    ("place", "mode"),
    [("local", "wal"), ("on film", "delete"), ("on film/deep/er", "delete"),
     ("on film/here", "wal"), ("nas", "delete"), ("nasty", "wal"), ("ssh", "delete")],
)  # fmt: skip
def test_where_other_machines_write_too_the_ledger_does_without_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, mode: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTED.format(folder=tmp_path))
    monkeypatch.setattr(durable, "MOUNTS", mounts)
    ledger = Ledger(tmp_path / place / "ledger.sqlite")
    pragmas = [ledger._file._db.execute(f"PRAGMA {name}").fetchone()[0]
               for name in ("journal_mode", "synchronous")]  # fmt: skip
    assert pragmas == [mode, 3 if mode == "delete" else 2]
    ledger.prepare()
    ledger.opened(ledger.intend(intent(), FREELY), "t", None)
    assert path_of_journal(ledger).exists() is (mode == "wal")
    ledger.close()


def path_of_journal(ledger: Ledger) -> Path:
    return ledger.path.with_name("ledger.sqlite-wal")


def test_a_machine_that_does_not_tell_its_mounts_is_taken_for_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "MOUNTS", tmp_path / "nothing")
    assert not durable.is_remote(tmp_path)
    (tmp_path / "mounts").write_text("")
    monkeypatch.setattr(durable, "MOUNTS", tmp_path / "mounts")
    assert not durable.is_remote(tmp_path)


def test_a_ledger_that_others_hold_for_too_long_is_not_waited_for_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE t (x)")
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(sqlite3, "connect", _hasty)
    with pytest.raises(DiskTrouble, match="locked"):
        Ledger(path)
    other.close()


class _Hasty(sqlite3.Connection):
    """A connection on which SQLite itself never waits."""

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("busy_timeout=10000", "busy_timeout=0"), *given)


_connect = sqlite3.connect


def _hasty(*given: Any, **facts: Any) -> sqlite3.Connection:
    return _connect(*given, **facts, factory=_Hasty)


# --- the lane -----------------------------------------------------------------------------------


class Filling:
    """A gateway while whose answer is under way the disk fills up."""

    name = "runway"

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def evidence(self) -> None:
        return None

    def create(self, endpoint: str, body: Any, *, shot: str) -> Ordered:
        self.ledger._file._db.execute("PRAGMA query_only = 1")
        return Ordered("paid for")


@pytest.mark.covers("E2")
def test_a_ticket_that_comes_back_to_a_full_disk_is_rescued(ledger: Ledger, path: Path) -> None:
    ledger.prepare()
    lane = Lane(ledger)
    with pytest.raises(DiskTrouble, match="its ticket paid for is in"):
        asyncio.run(lane.order(Filling(ledger), intent(), {}, FREELY))  # type: ignore[arg-type]  # only create is needed
    lane.close()
    ledger.close()
    again = Ledger(path)
    again.prepare()
    assert [(o.state, o.ticket) for o in again.of("k")] == [("open", "paid for")]
    again.close()


# --- any order of events ------------------------------------------------------------------------

PRICES = st.integers(0, 30)
CAPS = st.sampled_from([30, 60, 90])
CLIP = b"a clip of "


class AnyRun(RuleBasedStateMachine):
    """Orders, endings, decisions, rot and sudden deaths in any order, beside a plain model of them.

    The model knows what the gateway charged, also for what nobody heard of again.
    """

    orders: Bundle[Order] = Bundle("orders")
    tickets: Bundle[Order] = Bundle("tickets")
    finished: Bundle[Order] = Bundle("finished")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.ledger = self.opened()
        self.store = Store(Path(self.folder.name) / "store")
        self.cost: dict[int, int] = {}
        self.charged: dict[int, int] = {}
        self.state: dict[int, str] = {}
        self.rescued: dict[int, str] = {}
        self.standing: dict[str, int] = {}
        self.highest = 0

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    def opened(self) -> Ledger:
        return Ledger(self.path)

    def refuse_writing(self, refused: bool) -> None:
        self.ledger._file._db.execute(f"PRAGMA query_only = {int(refused)}")  # type: ignore[attr-defined]  # SQLite

    def now(self, order: Order) -> Order:
        return next(o for o in self.ledger.of(order.key) if o.id == order.id)

    @rule(target=orders, key=st.sampled_from("abc"), price=PRICES, cap=CAPS)
    def intend(self, key: str, price: int, cap: int) -> Order | Any:
        try:
            order = self.ledger.intend(intent(key, price=price), Allowance(film=cap))
        except OverBudget:
            assert sum(self.cost.values()) + price > cap
            return multiple()
        except SecondUnitError:
            assert key in self.standing
            return multiple()
        assert key not in self.standing
        assert sum(self.cost.values()) + price <= cap
        self.highest = max(self.highest, cap)
        self.cost[order.id] = price
        self.state[order.id] = "intent"
        self.standing[key] = order.id
        return order

    @rule(order=orders)
    def arrive_unheard(self, order: Order) -> None:
        """The gateway takes and charges an order, and its answer is lost."""
        if self.state[order.id] == "intent":
            self.charged[order.id] = order.reserved
            self.ledger.doubted(self.now(order), "no answer came")
            self.state[order.id] = "doubt"

    @rule(target=tickets, order=orders, full=st.booleans())
    def open(self, order: Order, full: bool) -> Order | Any:
        """A ticket comes back; where the disk is `full`, the ledger cannot take it."""
        if self.state[order.id] not in {"intent", "doubt"} or order.id in self.rescued:
            return multiple()
        self.charged[order.id] = order.reserved
        ticket = f"t{order.id}"
        if full:
            self.refuse_writing(True)
            with pytest.raises(DiskTrouble, match="its ticket"):
                self.ledger.opened(self.now(order), ticket, None)
            self.refuse_writing(False)
            self.rescued[order.id] = ticket
        else:
            self.ledger.opened(self.now(order), ticket, order.reserved)
            self.state[order.id] = "open"
        return order

    @rule(order=orders, how=st.sampled_from(["unsent", "rejected"]))
    def refuse(self, order: Order, how: str) -> None:
        if self.state[order.id] != "intent" or order.id in self.rescued:
            return
        getattr(self.ledger, how)(self.now(order), "no")
        self._end(order, how, 0)

    @rule(order=tickets, end=st.sampled_from(["failed", "cancelled", "lost"]),
          charged=st.none() | st.integers(0, 15))  # fmt: skip
    def end(self, order: Order, end: str, charged: int | None) -> None:
        if self.state[order.id] != "open":
            return
        charged = None if charged is None else min(charged, order.reserved)
        self.ledger.ended(self.now(order), end, "over", charged=charged)
        if end == "lost":
            self.state[order.id] = end
            self._charge(order, charged)
        else:
            self._end(order, end, charged)

    @rule(order=tickets)
    def find(self, order: Order) -> None:
        if self.state[order.id] == "lost":
            self.ledger.found(self.now(order))
            self.state[order.id] = "open"

    @rule(target=finished, order=tickets, charged=st.none() | st.integers(0, 15))
    def bring_home(self, order: Order, charged: int | None) -> Order | Any:
        if self.state[order.id] not in {"open", "made"}:
            return multiple()
        charged = None if charged is None else min(charged, order.reserved)
        self.ledger.made(self.now(order), charged)
        self.state[order.id] = "made"
        self._charge(order, charged)
        return order

    @rule(order=finished)
    def keep(self, order: Order) -> None:
        """Bring a file into the store, for the first time or because it has rotted there."""
        if self.state[order.id] not in {"made", "kept"} or self.store.get(order.key):
            return
        made = self.ledger.made(self.now(order), None)
        path = self.store.incoming(order.key, "clip.mp4")
        path.write_bytes(CLIP + order.key.encode())
        self.store.keep(order.key, [path], {"ticket": made.ticket})
        self.ledger.kept(made)
        self.state[order.id] = "kept"

    @rule(order=finished)
    def rot(self, order: Order) -> None:
        path = self.store.folder(order.key) / "clip.mp4"
        if path.exists():
            path.write_bytes(b"A" + path.read_bytes()[1:])

    @rule()
    def die_and_come_back(self) -> None:
        self.ledger.close()
        self.ledger = self.opened()
        self.ledger.prepare()
        for number, state in self.state.items():
            if number in self.rescued and state in {"intent", "doubt"}:
                self.state[number] = "open"
            elif state == "intent":
                self.state[number] = "doubt"
        self.rescued.clear()

    @rule(order=orders, decision=st.sampled_from(["abandoned", "replaced"]))
    def decide(self, order: Order, decision: str) -> None:
        if self.state[order.id] in {"doubt", "lost"} and order.id not in self.rescued:
            getattr(self.ledger, decision)(self.now(order))
            self._end(order, decision, None)

    def _end(self, order: Order, state: str, charged: int | None) -> None:
        self.state[order.id] = state
        del self.standing[order.key]
        self._charge(order, charged)

    def _charge(self, order: Order, charged: int | None) -> None:
        if charged is not None:
            self.cost[order.id] = self.charged[order.id] = charged

    @invariant()
    def no_charge_is_unaccounted_for(self) -> None:
        spent = self.ledger.spent("runway", film="f")
        assert sum(self.charged.values()) <= spent == sum(self.cost.values()) <= self.highest

    @invariant()
    def every_charged_order_is_known_by_its_ticket_or_is_in_doubt(self) -> None:
        known = {o.id: o for o in self.ledger.of_film("f")}
        for number in self.charged:
            order = known[number]
            unheard = order.state in {"doubt", "abandoned", "replaced", "unsent", "rejected"}
            assert order.ticket == f"t{number}" or unheard or number in self.rescued
        assert {n: o.state for n, o in known.items()} == self.state

    @invariant()
    def one_order_stands_for_each_key(self) -> None:
        for key in "abc":
            standing = self.ledger.blocking(key)
            assert (standing.id if standing else None) == self.standing.get(key)

    @invariant()
    def nothing_rotten_is_taken_for_a_take(self) -> None:
        for key in "abc":
            if take := self.store.get(key):
                assert take.path.read_bytes() == CLIP + key.encode()


TestAnyRun = AnyRun.TestCase
TestAnyRun.settings = settings(max_examples=15, stateful_step_count=25)


@pytest.mark.long
class TestAnyRunAtLength(AnyRun.TestCase):  # type: ignore[misc, name-defined]  # made by hypothesis
    """The same, far longer."""

    settings = settings(max_examples=200, stateful_step_count=50)
