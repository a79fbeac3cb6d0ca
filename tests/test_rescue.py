"""The rescue file: a ticket that was paid for is written down even where the ledger cannot be."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from footage import small_disk

from secondunit.errors import DiskTrouble
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.ledger.rescue import ROOM, Rescue, TicketLog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secondunit.ledger import Order

pytestmark = pytest.mark.covers("E2")


def ordered(ledger: Ledger, key: str = "k") -> Order:
    intent = Intent(
        key=key, film="f", run="r", shot=f"shot {key}", gateway="runway", endpoint="text_to_video",
        model="gen4.5", request={"promptText": "A door."}, reserved=10,
    )  # fmt: skip
    return ledger.intend(intent, Allowance())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    ledger.prepare()
    yield ledger
    ledger.close()


@contextmanager
def busy(ledger: Ledger) -> Iterator[None]:
    """Let another program hold the ledger for longer than it is waited for."""
    ledger._file._db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


def restarted(path: Path) -> Ledger:
    again = Ledger(path)
    again.prepare()
    return again


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_ticket_that_the_ledger_cannot_take_is_kept_and_taken_over_by_the_next_run(
    ledger: Ledger, path: Path
) -> None:
    order = ordered(ledger)
    with (
        busy(ledger),
        pytest.raises(
            DiskTrouble,
            match=r"^shot k was ordered; its ticket t1 is in .*rescue\.jsonl, because .*Make room",
        ),
    ):
        ledger.opened(order, "t1", 12)
    assert ledger.of("k")[0].state == "intent"
    rescue = path.with_name("rescue.jsonl")
    assert [(line["key"], line["ticket"]) for line in Rescue(rescue).lines()] == [("k", "t1")]
    assert order.state == "intent"
    ledger.close()
    again = restarted(path)
    assert [(o.state, o.ticket, o.cost) for o in again.of("k")] == [("open", "t1", 12)]
    assert Rescue(rescue).lines() == []
    assert rescue.stat().st_size == ROOM
    again.close()


def test_a_rescued_ticket_ends_a_doubt_and_is_not_dropped_whatever_was_decided(
    ledger: Ledger, path: Path
) -> None:
    first, second = ordered(ledger, "a"), ordered(ledger, "b")
    with busy(ledger), suppress(DiskTrouble):
        ledger.opened(first, "t1", None)
    with busy(ledger), suppress(DiskTrouble):
        ledger.opened(second, "t2", None)
    ledger._file._db.execute("PRAGMA busy_timeout = 10000")
    ledger.doubted(first, "?")
    ledger.abandoned(ledger.doubted(second, "?"))
    ledger.close()
    again = restarted(path)
    assert [(o.state, o.ticket) for o in again.of_film("f")] == [
        ("open", "t1"),
        ("abandoned", None),
        ("open", "t2"),
    ]
    again.close()


def test_a_line_about_an_order_that_is_not_here_is_nobodys(ledger: Ledger, path: Path) -> None:
    order = ordered(ledger)
    rescue = Rescue(path.with_name("rescue.jsonl"))
    rescue.write({"order": order.id, "key": "another key", "ticket": "t1", "estimate": 1})
    rescue.write({"order": 99, "key": "k", "ticket": "t2", "estimate": 1})
    rescue.close()
    ledger.prepare()
    assert [(o.state, o.ticket) for o in ledger.of("k")] == [("doubt", None)]
    assert rescue.lines() == []


def test_on_a_full_disk_the_room_set_aside_still_takes_a_ticket(tmp_path: Path) -> None:
    with small_disk(tmp_path, "2m") as disk:
        path = disk / "ledger.sqlite"
        ledger = Ledger(path)
        ledger.prepare()
        order = ordered(ledger)
        ledger._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the room of the ledger itself
        fill(disk / "full")
        with pytest.raises(DiskTrouble, match="its ticket t1 is in"):
            ledger.opened(order, "t1", None)
        ledger.close()
        (disk / "full").unlink()
        again = restarted(path)
        assert [(o.state, o.ticket) for o in again.of("k")] == [("open", "t1")]
        again.close()


def test_where_nothing_at_all_can_be_written_the_sentence_itself_is_the_rescue(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path, "1m") as disk:
        ledger = Ledger(disk / "ledger.sqlite")
        order = ordered(ledger)
        ledger._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fill(disk / "full")
        with pytest.raises(
            DiskTrouble,
            match=r"^RESCUE shot='shot k' ticket=t1: .*settle FILE 'shot k' --attach t1`\. The ledger",
        ):
            ledger.opened(order, "t1", None)
        ledger.close()


# --- the file -----------------------------------------------------------------------------------


def lines(*, at: Path) -> list[object]:
    return [line["n"] for line in Rescue(at).lines()]


def test_half_a_line_is_skipped_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    """A crash in the middle of a line leaves half of it, and the next run writes behind it."""
    path = tmp_path / "rescue.jsonl"
    rescue = Rescue(path)
    rescue.write({"n": 1})
    with path.open("r+b") as file:
        file.seek(rescue._end)
        file.write(b'{"n": 2, "tick')
    again = Rescue(path)
    assert lines(at=path) == [1]
    again.prepare()
    again.write({"n": 3})
    again.write({"n": 4})
    assert lines(at=path) == [1, 3, 4]
    rescue.close()
    again.close()


def test_lines_that_are_no_facts_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rescue.jsonl"
    path.write_bytes(b'7\n[]\n"x"\nnull\n\xff\xfe\n{"n": 1}\n\n')
    assert lines(at=path) == [1]


def test_there_is_nothing_to_rescue_where_nothing_was_written(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path / "rescue.jsonl")
    assert rescue.lines() == []
    assert not rescue.path.exists()
    rescue.close()


def test_what_is_cleared_is_gone_and_the_room_is_written_from_its_beginning(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path / "rescue.jsonl")
    rescue.write({"n": 1})
    rescue.clear()
    assert rescue.lines() == []
    rescue.write({"n": 2})
    assert rescue.path.read_bytes().rstrip(b"\0") == b'\n{"n": 2}\n'
    assert rescue.path.stat().st_size == ROOM
    rescue.close()


def test_a_line_that_does_not_fit_is_refused_and_the_others_stay(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path / "rescue.jsonl")
    room = ROOM - len(b'\n{"n": ""}\n')
    with pytest.raises(OSError, match=r"^the rescue file is full$"):
        rescue.write({"n": "x" * (room + 1)})
    assert rescue.lines() == []
    rescue.write({"n": "x" * room})
    with pytest.raises(OSError, match=r"^the rescue file is full$"):
        rescue.write({})
    assert [len(n) for n in lines(at=rescue.path)] == [room]  # type: ignore[arg-type]  # texts, here
    rescue.close()


def test_a_line_that_was_not_written_whole_is_not_called_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rescue = Rescue(tmp_path / "rescue.jsonl")
    rescue.prepare()
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: whole(handle, data[:4], at))
    with pytest.raises(OSError, match=r"^the line was not written whole$"):
        rescue.write({"n": 1})
    monkeypatch.undo()
    rescue.write({"n": 2})
    assert lines(at=rescue.path) == [2]
    rescue.close()


def test_a_line_is_on_the_disk_when_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rescue = Rescue(tmp_path / "rescue.jsonl")
    synced: list[bytes] = []
    real = os.fdatasync

    def watched(handle: int) -> None:
        synced.append(os.pread(handle, 100, 0).rstrip(b"\0"))
        real(handle)

    monkeypatch.setattr(os, "fdatasync", watched)
    rescue.write({"n": 1})
    assert synced == [b'\n{"n": 1}\n']
    rescue.close()


def test_the_file_is_its_owners_alone_and_its_handle_is_not_left_to_others(tmp_path: Path) -> None:
    rescue = Rescue(tmp_path / "rescue.jsonl")
    rescue.prepare()
    assert stat.S_IMODE(rescue.path.stat().st_mode) == 0o600
    assert rescue.path.stat().st_blocks * 512 >= ROOM
    assert not os.get_inheritable(rescue._handle or 0)
    before = handles()
    rescue.prepare()
    assert handles() == before
    rescue.close()
    assert handles() == before - 1
    rescue.close()


def test_a_disk_without_room_is_said_before_the_run_and_leaves_nothing_open(tmp_path: Path) -> None:
    with small_disk(tmp_path, "300k") as disk:
        fill(disk / "full")
        before = handles()
        with pytest.raises(OSError, match="space"):
            Rescue(disk / "rescue.jsonl").prepare()
        assert handles() == before


# --- every ticket once more -----------------------------------------------------------------------


def lost(ledger: Ledger) -> None:
    ledger.close()
    for left in ledger.path.parent.glob("ledger.*"):
        left.unlink()


@pytest.mark.covers("E9")
def test_what_was_on_order_when_the_ledger_was_lost_is_on_order_again(
    ledger: Ledger, path: Path
) -> None:
    order = ledger.opened(ordered(ledger), "t1", 12)
    lost(ledger)
    again = restarted(path)
    (found,) = again.of("k")
    same = ("key", "film", "run", "shot", "gateway", "endpoint", "model", "request", "state",
            "ticket", "reserved", "estimate", "ordered_at", "cost")  # fmt: skip
    assert [getattr(found, name) for name in same] == [getattr(order, name) for name in same]
    assert found.reason == "its ticket was found beside the ledger"
    assert again.on_order() == (found,)
    again.prepare()
    assert again.of("k") == (found,)
    again.close()


def test_a_ticket_that_the_ledger_knows_is_not_taken_twice(ledger: Ledger) -> None:
    order = ledger.opened(ordered(ledger), "t1", 12)
    ledger.ended(order, "failed", "broke", charged=0)
    ledger.opened(ordered(ledger), "t2", 12)
    ledger.prepare()
    assert [(o.state, o.ticket) for o in ledger.of("k")] == [("failed", "t1"), ("open", "t2")]


def test_of_two_tickets_for_the_same_the_newer_stands_and_the_other_counts(
    ledger: Ledger, path: Path
) -> None:
    first = ledger.opened(ordered(ledger), "t1", 12)
    ledger.ended(first, "failed", "broke")
    ledger.opened(ordered(ledger), "t2", None)
    lost(ledger)
    again = restarted(path)
    assert [(o.state, o.ticket, o.cost) for o in again.of("k")] == [
        ("open", "t2", 10), ("abandoned", "t1", 12),
    ]  # fmt: skip
    again.close()


@pytest.mark.parametrize(
    "odd",
    [{}, {"key": 7}, {"ticket": None}, {"gateway": ["runway"]}, {"key": None}],
)  # fmt: skip
def test_a_line_that_does_not_tell_whose_ticket_it_is_is_nobodys(
    ledger: Ledger, path: Path, odd: dict[str, object]
) -> None:
    line = {"key": "k", "gateway": "runway", "ticket": "t"} | odd if odd else {"order": 1}
    TicketLog(path.with_name("tickets.jsonl")).add(line)
    ledger.prepare()
    assert ledger.is_empty()


def test_a_line_that_tells_little_or_nonsense_is_still_a_ticket(ledger: Ledger, path: Path) -> None:
    log = TicketLog(path.with_name("tickets.jsonl"))
    log.add({"key": "k", "gateway": "runway", "ticket": "t", "reserved": -4, "estimate": "much",
             "ordered_at": "yesterday", "shot": None})  # fmt: skip
    ledger.prepare()
    (order,) = ledger.of("k")
    assert (order.state, order.reserved, order.estimate, order.shot) == ("open", 0, None, "")
    assert order.ordered_at.startswith("20")
    assert not ledger.is_empty()


def test_the_second_copy_is_appended_for_its_owner_alone_and_may_fail(tmp_path: Path) -> None:
    log = TicketLog(tmp_path / "tickets.jsonl")
    assert log.lines() == []
    log.add({"n": 1})
    log.add({"n": 2})
    assert log.lines() == [{"n": 1}, {"n": 2}]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    before = handles()
    log.add({"n": 3})
    assert handles() == before
    nowhere = TicketLog(tmp_path / "nothing here" / "tickets.jsonl")
    nowhere.add({"n": 1})
    assert nowhere.lines() == []
