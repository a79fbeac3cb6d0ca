"""The daybook: one cap for a day over all projects of a user, whatever their shot lists say."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from footage import small_disk

from secondunit.errors import DiskTrouble, OverBudget, UsageError
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.ledger.daybook import DAY, Daybook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secondunit.ledger import Order


def intent(key: str, price: int = 10, gateway: str = "runway") -> Intent:
    return Intent(
        key=key, film="f", run="r", shot=f"shot {key}", gateway=gateway, endpoint="text_to_video",
        model="gen4.5", request={}, reserved=price,
    )  # fmt: skip


class User:
    """A user with several projects and one daybook."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state" / "daybook.sqlite"
        self.daybook = Daybook(self.path)
        self.ledgers: list[Ledger] = []

    def project(self, name: str) -> Ledger:
        self.ledgers.append(Ledger(self.folder / name / "ledger.sqlite", self.daybook))
        return self.ledgers[-1]

    @property
    def counted(self) -> list[int]:
        rows = self.daybook._file._db.execute("SELECT credits FROM orders ORDER BY rowid")
        return [row[0] for row in rows]

    def close(self) -> None:
        for part in (*self.ledgers, self.daybook):
            part.close()


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    user = User(tmp_path)
    yield user
    user.close()


def order(ledger: Ledger, key: str, price: int = 10, cap: int | None = 30) -> Order:
    return ledger.intend(intent(key, price), Allowance(day=cap))


def test_the_cap_of_a_day_holds_over_all_projects(user: User) -> None:
    one, other = user.project("one"), user.project("other")
    order(one, "a", 20)
    order(other, "b", 10)
    with pytest.raises(
        OverBudget,
        match=r"shot c may cost 1 credits, 30 were spent or reserved in the last 24 hours, and your"
        r" `day_cap` is 30\. It was not ordered\."
        r" Raise it in your settings, or come back tomorrow\.$",
    ):
        order(one, "c", 1)
    assert one.of("c") == ()
    assert user.counted == [20, 10]
    assert order(one, "d", 0).state == "intent"


def test_an_order_refused_by_its_own_project_is_not_counted_in_the_day(user: User) -> None:
    ledger = user.project("one")
    with pytest.raises(OverBudget, match="this film may cost 5"):
        ledger.intend(intent("a"), Allowance(film=5, day=30))
    assert user.counted == []


def test_what_comes_back_may_be_spent_again_on_the_same_day(user: User) -> None:
    one, other = user.project("one"), user.project("other")
    first = one.opened(order(one, "a", 20), "t", 24)
    assert user.counted == [24]
    one.ended(first, "failed", "broke", charged=0)
    one.unsent(order(one, "b", 10), "never left")
    assert user.counted == [0, 0]
    assert order(other, "c", 30).state == "intent"
    assert user.counted == [0, 0, 30]


def test_what_was_dearer_than_expected_counts_in_full(user: User) -> None:
    ledger = user.project("one")
    ledger.made(ledger.opened(order(ledger, "a", 10), "t", None), 28)
    with pytest.raises(OverBudget, match="28 were spent"):
        order(ledger, "b", 3)


def test_a_day_ends_after_24_hours(user: User) -> None:
    ledger = user.project("one")
    order(ledger, "a", 30)
    age = user.daybook._file._db.execute
    age("UPDATE orders SET at = ?", (int(time.time()) - DAY + 60,))
    with pytest.raises(OverBudget, match="30 were spent"):
        order(ledger, "b", 1)
    age("UPDATE orders SET at = ?", (int(time.time()) - DAY - 1,))
    order(ledger, "b", 29)
    with pytest.raises(OverBudget, match="29 were spent"):
        order(ledger, "c", 2)


def test_all_gateways_share_the_day_and_play_money_is_none_of_it(user: User) -> None:
    ledger = user.project("one")
    order(ledger, "a", 30)
    with pytest.raises(OverBudget, match="30 were spent"):
        ledger.intend(intent("c", 1, "cometapi"), Allowance(day=30))
    assert ledger.intend(intent("b", 30, "backlot"), Allowance(day=30)).state == "intent"
    assert user.counted == [30]


def test_without_a_cap_orders_are_counted_and_none_is_refused(user: User) -> None:
    ledger = user.project("one")
    order(ledger, "a", 1000, cap=None)
    assert user.counted == [1000]
    with pytest.raises(OverBudget):
        order(ledger, "b", 1)


def test_the_database_itself_keeps_the_day(user: User) -> None:
    order(user.project("one"), "a", 20)
    other = sqlite3.connect(user.path)
    now = int(time.time())
    with pytest.raises(sqlite3.IntegrityError, match="cap of day"):
        other.execute("INSERT INTO orders VALUES ('x', 'runway', 11, ?, 30)", (now,))
    other.execute("INSERT INTO orders VALUES ('x', 'runway', 10, ?, 30)", (now,))
    other.close()


def test_a_ledger_that_is_begun_anew_goes_on_with_the_same_day(user: User) -> None:
    """Numbers of orders begin at 1 again where a ledger was lost; the daybook knows them apart."""
    order(user.project("one"), "a", 10)
    user.ledgers[0].close()
    for part in user.ledgers[0].path.parent.iterdir():
        part.unlink()
    time.sleep(0.002)
    again = user.project("one")
    assert order(again, "b", 10).id == 1
    again.unsent(again.of("b")[0], "never left")
    assert user.counted == [10, 0]


def test_a_commit_that_failed_does_not_keep_the_next_order_back(tmp_path: Path) -> None:
    user = User(tmp_path)
    with small_disk(tmp_path, "1m") as disk:
        ledger = Ledger(disk / "ledger.sqlite", user.daybook)
        ledger._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (disk / "full").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(DiskTrouble, match="Make room"):
            order(ledger, "a", 10)
        (disk / "full").unlink()
        time.sleep(0.002)
        assert order(ledger, "a", 10).state == "intent"
        ledger.close()
    assert user.counted == [10, 10]  # what may have been ordered counts
    user.close()


def test_a_daybook_that_cannot_be_written_keeps_what_was_reserved(user: User) -> None:
    ledger = user.project("one")
    first = ledger.opened(order(ledger, "a", 20), "t", None)
    user.daybook._file._db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(user.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert ledger.ended(first, "failed", "broke", charged=0).cost == 0
    with pytest.raises(DiskTrouble, match="nothing is ordered without it"):
        order(ledger, "b", 5)
    assert ledger.of("b") == ()
    other.close()
    assert user.counted == [20]


def test_a_daybook_is_opened_again_with_what_it_holds(user: User) -> None:
    order(user.project("one"), "a", 20)
    again = Daybook(user.path)
    with pytest.raises(OverBudget, match="20 were spent"):
        again.reserve("another", intent("b", 11), 30)
    again.close()
    assert user.path.stat().st_mode & 0o77 == 0


def test_a_daybook_of_a_newer_second_unit_is_left_alone(user: User) -> None:
    order(user.project("one"), "a", 20)
    newer = sqlite3.connect(user.path)
    newer.execute("PRAGMA user_version = 2")
    newer.close()
    with pytest.raises(UsageError, match=r"written by a newer Second Unit .*Nothing was ordered"):
        Daybook(user.path)
