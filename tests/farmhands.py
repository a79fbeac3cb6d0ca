"""What workers of a farm do, each in a process of its own; light, because many of them start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from postgres import opened

from secondunit.errors import Locked, OverBudget
from secondunit.ledger import Allowance, Intent

if TYPE_CHECKING:
    from pathlib import Path

HANDS = 8  # threads of a worker
FREELY = Allowance()


def intent(key: str = "k", *, price: int = 10, film: str = "f") -> Intent:
    return Intent(
        key=key, film=film, run="r", shot=f"shot {key}", gateway="runway", model="gen4.5",
        endpoint="text_to_video", request={"promptText": "A door."}, reserved=price,
    )  # fmt: skip


def spend(url: str, folder: Path, film: str, start: Any, granted: Any) -> None:
    """Order with many hands at once, under one cap for the day, as long as it is allowed."""
    ledger = opened(url, folder, film)
    start.wait(120)

    def order(number: int) -> int:
        try:
            ledger.intend(intent(f"{film}{number}", film=film, price=7), Allowance(day=500))
        except OverBudget:
            return 0
        return 1

    with ThreadPoolExecutor(HANDS) as hands:
        granted.put(sum(hands.map(order, range(3 * HANDS))))
    ledger.close()


def hold(url: str, folder: Path, start: Any, said: Any, done: Any) -> None:
    start.wait(60)
    try:
        ledger = opened(url, folder, "teaser")
    except Locked as error:
        said.put(str(error))
    else:
        said.put("held")
        done.wait(60)
        ledger.close()


def work_and_hang(url: str, folder: Path, ready: Any) -> None:
    """Have one ticket open and one order under way, and never end.

    Its server is always at a statement: until that has ended, it cannot see that nobody listens.
    """
    ledger = opened(url, folder, "teaser")
    ledger.prepare()
    ledger.opened(ledger.intend(intent("a", film="teaser"), FREELY), "the ticket", 12)
    ledger.intend(intent("b", film="teaser", price=30), FREELY)
    ready.set()
    with ledger._file.reading() as db:
        while True:
            db.execute("SELECT pg_sleep(1)")
