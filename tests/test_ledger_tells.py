"""What the ledger was told it tells again: whose order, its reasons, codes and costs, all of it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from secondunit.errors import OverBudget, SecondUnitError
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.ledger.refusals import DAY_CAP, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secondunit.ledger import Order

FREELY = Allowance()


def intent(key: str = "k", **facts: Any) -> Intent:
    known = {"film": "f", "run": "r", "shot": f"shot {key}", "gateway": "runway", "model": "gen4.5"}
    return Intent(
        key=key, endpoint="text_to_video", request={"promptText": "Ä"}, reserved=10,
        **known | facts,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def history(path: Path) -> list[tuple[str, str]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT state, reason FROM history ORDER BY id").fetchall()
    finally:
        db.close()


def opened(ledger: Ledger, ticket: str = "t") -> Order:
    return ledger.opened(ledger.intend(intent(), FREELY), ticket, 12)


ENDINGS: list[tuple[Callable[[Ledger], Order], tuple[Any, ...]]] = [
    (
        lambda ledger: ledger.unsent(ledger.intend(intent(), FREELY), "no line"),
        ("unsent", "no line", "", None, 0),
    ),
    (
        lambda ledger: ledger.rejected(ledger.intend(intent(), FREELY), "no such ratio"),
        ("rejected", "no such ratio", "", None, 0),
    ),
    (
        lambda ledger: ledger.doubted(ledger.intend(intent(), FREELY), "it answered 500"),
        ("doubt", "it answered 500", "", None, 10),
    ),
    (
        lambda ledger: ledger.ended(
            opened(ledger), "failed", "it broke", charged=7, code="INTERNAL"
        ),
        ("failed", "it broke", "INTERNAL", 7, 7),
    ),
    (
        lambda ledger: ledger.ended(opened(ledger), "cancelled", "by you"),
        ("cancelled", "by you", "", None, 12),
    ),
    (
        lambda ledger: ledger.abandoned(ledger.ended(opened(ledger), "lost", "forgotten")),
        ("abandoned", "given up", "", None, 12),
    ),
    (
        lambda ledger: ledger.replaced(ledger.ended(opened(ledger), "failed", "it broke")),
        ("replaced", "it broke", "", None, 12),
    ),
    (lambda ledger: ledger.made(opened(ledger), 9), ("made", "", "", 9, 9)),
    (lambda ledger: ledger.kept(ledger.made(opened(ledger), None)), ("kept", "", "", None, 12)),
]


@pytest.mark.parametrize(("end", "told"), ENDINGS, ids=[told[0] for _, told in ENDINGS])
def test_an_ending_is_told_with_its_reason_its_code_and_its_cost(
    ledger: Ledger, path: Path, end: Callable[[Ledger], Order], told: tuple[Any, ...]
) -> None:
    order = end(ledger)
    assert (order.state, order.reason, order.failure_code, order.charged, order.cost) == told
    assert ledger.of("k") == (order,)
    assert order.changed_at >= order.ordered_at > "2026"
    state, reason = history(path)[-1]
    assert state == order.state
    assert reason in {order.reason, ""}
    assert reason or state in {"replaced", "made", "kept"}


def test_an_order_is_told_as_it_was_meant(ledger: Ledger) -> None:
    order = ledger.intend(intent(), FREELY)
    names = ("key", "film", "run", "shot", "gateway", "endpoint", "model", "request", "reserved")
    assert tuple(getattr(order, name) for name in names) == (
        "k", "f", "r", "shot k", "runway", "text_to_video", "gen4.5", '{"promptText": "\\u00c4"}', 10,
    )  # fmt: skip


def test_only_the_orders_that_were_asked_for_are_told_oldest_first(ledger: Ledger) -> None:
    for number, film in enumerate(("f", "other", "f")):
        ledger.intend(intent(f"k{number}", film=film, gateway=("runway", "cometapi")[number == 2]),
                      FREELY)  # fmt: skip
    ledger.opened(ledger.of("k2")[0], "t2", None)
    ledger.opened(ledger.of("k0")[0], "t0", None)
    told = {
        "of f": ledger.of_film("f"), "of other": ledger.of_film("other"), "none": ledger.of("?"),
        "of runway": ledger.of_gateway("runway"), "of cometapi": ledger.of_gateway("cometapi"),
        "on order": ledger.on_order(),
    }  # fmt: skip
    assert {name: [o.key for o in orders] for name, orders in told.items()} == {
        "of f": ["k0", "k2"], "of other": ["k1"], "none": [], "of runway": ["k0", "k1"],
        "of cometapi": ["k2"], "on order": ["k0", "k2"],
    }  # fmt: skip
    assert ledger.blocking("k1") == ledger.of("k1")[0]
    assert ledger.blocking("?") is None


def test_what_is_spent_is_added_up_over_what_was_asked_for(ledger: Ledger) -> None:
    for number, (film, run, gateway) in enumerate(
        [("f", "r1", "runway"), ("f", "r2", "runway"), ("g", "r2", "runway"), ("f", "r1", "cometapi"),
         ("f", "r1", "backlot")]
    ):  # fmt: skip
        ledger.intend(intent(f"k{number}", film=film, run=run, gateway=gateway), FREELY)
    spent = [
        ledger.spent("runway"), ledger.spent("runway", film="f"), ledger.spent("runway", run="r2"),
        ledger.spent("runway", film="f", run="r1"), ledger.spent("cometapi"), ledger.spent("backlot"),
        ledger.spent("runway", film="?"),
    ]  # fmt: skip
    assert spent == [30, 20, 20, 10, 10, 10, 0]


@pytest.mark.parametrize(
    ("allowance", "words"),
    [
        (Allowance(film=25), "20 are spent or reserved, and this film may cost 25"),
        (Allowance(run=15), "10 are spent or reserved, and this run may spend 15"),
        (Allowance(shot=15), "10 are spent or reserved, and `budget.per_shot` allows 15"),
    ],
)
def test_a_cap_is_told_with_what_counts_against_it(
    ledger: Ledger, allowance: Allowance, words: str
) -> None:
    ledger.intend(intent("a", run="before", shot="one"), FREELY)
    ledger.intend(intent("b", shot="two"), FREELY)
    ledger.intend(intent("c", film="other", run="elsewhere", shot="one"), FREELY)
    with pytest.raises(OverBudget) as raised:
        ledger.intend(intent("d", shot="one"), allowance)
    assert str(raised.value) == (
        f"one may cost 10 credits, {words}. It was not ordered. Raise the cap, or shoot less."
    )
    assert ledger.of("d") == ()


def test_the_same_twice_and_a_change_too_late_are_told_as_what_they_are(ledger: Ledger) -> None:
    order = ledger.intend(intent(), FREELY)
    with pytest.raises(SecondUnitError) as raised:
        ledger.intend(intent(), FREELY)
    assert str(raised.value) == ("shot k is already on order; it is not ordered twice. Run again.")
    ledger.doubted(order, "?")
    for late in (lambda: ledger.unsent(order, "late"), lambda: ledger.made(ledger.of("k")[0], 1)):
        with pytest.raises(SecondUnitError) as raised:
            late()
        assert str(raised.value) == (
            "The order of shot k changed under this run; nothing more was done with it. Run again."
        )
    assert [o.state for o in ledger.of("k")] == ["doubt"]


def test_a_shared_ledger_says_what_the_day_has_cost() -> None:
    """There the database itself keeps the day's cap, and tells the sum in its refusal."""
    db = sqlite3.connect(":memory:")
    error = refusal(db, intent(), Allowance(day=150), f"{DAY_CAP}145")
    db.close()
    assert isinstance(error, OverBudget)
    assert str(error).startswith(
        "shot k may cost 10 credits, 145 were spent or reserved in the last 24 hours, and your"
        " `day_cap` is 150. It was not ordered."
    )
