"""The books of a project: never begun anew by mistake, written back, with the user's caps."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from onset import Production, doors

from secondunit import books, cli, crew
from secondunit.crew import Settings
from secondunit.errors import OverBudget, UsageError
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.ledger.daybook import Daybook
from secondunit.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strict import Strict


@contextmanager
def opened(at: Production, settings: Settings | None = None) -> Iterator[Ledger]:
    with books.opened(at.project, Store(at.project.store), settings or Settings()) as ledger:
        yield ledger


def lose(at: Production, how: str) -> None:
    at.project.ledger.unlink()
    for left in ("-wal", "-shm"):
        at.project.ledger.with_name(f"ledger.sqlite{left}").unlink(missing_ok=True)
    if how == "empty":
        at.project.ledger.write_bytes(b"")


def command(*words: object) -> int:
    return cli._run(list(map(str, words)))


# --- a ledger that is gone ------------------------------------------------------------------------


@pytest.mark.covers("E9")
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_ledger_that_is_gone_beside_a_full_store_is_not_begun_anew(
    at: Production, strict: Strict, how: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    at.shoot(at.plan(doors(2)))
    lose(at, how)
    with (
        pytest.raises(
            UsageError, match=r"is missing.*secondunit rebuild FILE.*Nothing was ordered"
        ),
        opened(at),
    ):
        pass
    assert not at.project.ledger.exists() or not at.project.ledger.stat().st_size
    monkeypatch.setenv("RUNWAYML_API_SECRET", "test")
    ordering = ("shoot", at.folder / "film.yaml", "--gateway", "runway", "--base-url", strict.url,
                "--budget", "$9", "--yes")  # fmt: skip
    strict.requests.clear()
    assert command(*ordering) == 2
    assert "rebuild" in capsys.readouterr().err
    assert strict.requests == []
    assert command("rebuild", at.folder / "film.yaml") == 0
    assert "2 takes written back (48 credits, $0.48)" in capsys.readouterr().out
    assert [(o.state, o.cost) for o in at.orders] == [("kept", 24)] * 2
    with opened(at):
        pass


def test_the_newest_copy_of_a_lost_ledger_is_named(at: Production) -> None:
    at.shoot(at.plan())
    with at.books() as ledger:
        ledger.prepare()
    lose(at, "missing")
    with pytest.raises(UsageError, match=r"The newest copy of it is .*ledger\.bak-\d+"), opened(at):
        pass


def test_beside_an_empty_store_a_ledger_is_begun(at: Production) -> None:
    with opened(at) as ledger:
        assert ledger.of_film("film") == ()
    lose(at, "empty")
    with opened(at) as ledger:
        assert ledger.of_film("film") == ()


def test_a_ledger_without_an_order_beside_a_full_store_is_no_ledger(at: Production) -> None:
    """A program that only looked may have begun the tables."""
    at.shoot(at.plan())
    lose(at, "missing")
    Ledger(at.project.ledger).close()
    with pytest.raises(UsageError, match="is missing or empty"), opened(at):
        pass


# --- written back -----------------------------------------------------------------------------------


@pytest.mark.covers("E9")
def test_what_was_bought_is_written_back_and_counts_again(at: Production, strict: Strict) -> None:
    at.shoot(at.plan(doors(2)))
    before = at.orders
    lose(at, "missing")
    assert books.rebuild(at.project, Store(at.project.store)) == books.Rebuilt(2, 48, 0)
    assert books.rebuild(at.project, Store(at.project.store)) == books.Rebuilt(0, 0, 0)
    same = ("key", "film", "shot", "gateway", "endpoint", "model", "request", "state", "ticket",
            "charged", "ordered_at", "cost")  # fmt: skip
    assert {tuple(getattr(o, name) for name in same) for o in at.orders} == {
        tuple(getattr(o, name) for name in same) for o in before
    }
    assert {(o.run, o.reason, o.evidence) for o in at.orders} == {
        ("rebuilt", "rebuilt from its slate", None)
    }
    at.allowance = Allowance(film=71)
    strict.requests.clear()
    with pytest.raises(OverBudget, match="48 are spent"):
        at.shoot(at.plan(doors(3)))
    assert not [r for r in strict.requests if r.startswith("POST")]


@pytest.mark.covers("E7", "E9")
def test_a_take_that_is_damaged_is_fetched_again_by_the_ticket_that_was_written_back(
    at: Production, strict: Strict
) -> None:
    take = at.shoot(at.plan())
    lose(at, "missing")
    books.rebuild(at.project, Store(at.project.store))
    take.path.write_bytes(b"rot")
    at.shoot(at.plan())
    assert len(strict.orders) == 1
    assert at.states == ["kept"]


def test_what_the_ledger_knows_is_not_changed_by_writing_back(at: Production) -> None:
    at.shoot(at.plan())
    before = at.orders
    assert books.rebuild(at.project, Store(at.project.store)) == books.Rebuilt(0, 0, 0)
    assert at.orders == before


SLATE = {"key": "k", "film": "f", "shot": "s", "gateway": "runway", "model": "m", "ticket": "t"}


def test_a_slate_that_tells_little_is_written_back_as_it_is(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.restored(SLATE)
    (order,) = ledger.of("k")
    assert (order.endpoint, order.request, order.reserved, order.cost) == ("", "null", 0, 0)
    assert order.ordered_at == order.changed_at != ""
    full = {"key": "k2", "ticket": "t2", "endpoint": "e", "request": {"a": 1}, "shot": None,
            "credits_estimated": 24, "credits_charged": 12,
            "ordered_at": "2026-11-21T10:00:00+02:00"}  # fmt: skip
    assert ledger.restored(SLATE | full)
    (order,) = ledger.of("k2")
    assert (order.endpoint, order.request, order.reserved) == ("e", '{"a": 1}', 24)
    assert (order.charged, order.ordered_at, order.shot) == (
        12,
        "2026-11-21T08:00:00.000+00:00",
        "",
    )
    assert order.cost == 12
    ledger.close()


@pytest.mark.parametrize(
    "odd",
    [{"ticket": None}, {"ticket": 7}, {"key": "there"},
     {"ticket": "taken"}],
)  # fmt: skip
def test_a_slate_that_does_not_fit_is_passed_over(tmp_path: Path, odd: dict[str, Any]) -> None:
    """An own clip has no ticket; what is there already stays as it is."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.restored(SLATE | {"key": "there", "ticket": "taken"})
    assert not ledger.restored(SLATE | odd)
    assert len(ledger.of_film("f")) == 1
    ledger.close()


def test_only_what_is_known_to_be_paid_is_told_as_paid(at: Production) -> None:
    store = Store(at.project.store)
    charged = {
        "aa": {"credits_charged": 24}, "bb": {"credits_charged": None},
        "cc": {"credits_charged": "9"}, "dd": {"credits_charged": 24, "gateway": "backlot"},
    }  # fmt: skip
    for key, facts in charged.items():
        part = store.incoming(key, "clip.mp4")
        part.write_bytes(b"x")
        store.keep(key, [part], SLATE | facts | {"key": key, "ticket": key})
    assert books.rebuild(at.project, store) == books.Rebuilt(4, 24, 0)


def test_a_disk_that_fails_while_writing_back_is_said(tmp_path: Path) -> None:
    import sqlite3

    from secondunit.errors import DiskTrouble

    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger._file._db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DiskTrouble, match="cannot be written"):
        ledger.restored(SLATE)
    other.close()
    ledger.close()


# --- what may be spent ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "settings", "allowed"),
    [
        (None, {}, Allowance(film=500, shot=60)),
        (100, {}, Allowance(film=500, run=100, shot=60)),
        (None, {"run_cap": 80}, Allowance(film=500, run=80, shot=60)),
        (100, {"run_cap": "$0.80"}, Allowance(film=500, run=80, shot=60)),
        (70, {"run_cap": "$0.80"}, Allowance(film=500, run=70, shot=60)),
        (0, {"run_cap": 80}, Allowance(film=500, run=0, shot=60)),
        (None, {"day_cap": "$20"}, Allowance(film=500, shot=60, day=2000)),
        (None, {"day_cap": 0, "run_cap": 0}, Allowance(film=500, run=0, shot=60, day=0)),
    ],
)
def test_the_strictest_cap_of_list_command_and_user_holds(
    at: Production, budget: int | None, settings: dict[str, Any], allowed: Allowance
) -> None:
    plan = at.plan("budget: {cap: 500, per_shot: 60}\n" + doors(1))
    assert books.allowance(plan, Settings(**settings), budget) == allowed


def test_play_money_has_no_cap(at: Production) -> None:
    plan = replace(at.plan("budget: {cap: 5}\n" + doors(1)), free=True)
    assert books.allowance(plan, Settings(day_cap=1, run_cap=1), 1) == Allowance()


def test_prices_of_the_user_are_credits() -> None:
    settings = Settings(prices={"cometapi.gen4_aleph": "$0.40", "runway.gen4.5": 12})
    assert crew.prices(settings) == {"cometapi.gen4_aleph": 40, "runway.gen4.5": 12}


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/a"}, "/state/secondunit"),
        ({"HOME": "/home/a"}, "/home/a/.local/state/secondunit"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/a"}, "/home/a/.local/state/secondunit"),
    ],
)
def test_the_daybook_lies_with_the_user_and_not_with_a_project(
    environment: dict[str, str], folder: str
) -> None:
    assert books._state_folder(environment) == Path(folder)


def test_without_a_home_in_the_environment_the_daybook_lies_in_the_accounts_home() -> None:
    assert books._state_folder({}) == Path("~/.local/state/secondunit").expanduser()


def test_a_daybook_is_kept_only_where_a_day_has_a_cap(
    at: Production, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(books, "_state_folder", lambda: tmp_path / "state")
    order = Intent("k", "f", "r", "s", "runway", "e", "m", {}, 10)
    with opened(at) as ledger:
        ledger.unsent(ledger.intend(order, Allowance()), "")
    assert not (tmp_path / "state").exists()
    with opened(at, Settings(day_cap=15)) as ledger:
        ledger.intend(order, Allowance(day=15))
        with pytest.raises(OverBudget, match="day_cap"):
            ledger.intend(replace(order, key="k2"), Allowance(day=15))
    daybook = Daybook(tmp_path / "state" / "daybook.sqlite")
    assert daybook._file._db.execute("SELECT sum(credits) FROM orders").fetchone()[0] == 10
    daybook.close()
