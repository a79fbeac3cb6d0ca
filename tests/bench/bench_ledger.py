"""The window in which a ticket could be lost, from its answer to its commit, beside a bare commit."""

from __future__ import annotations

import sqlite3
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from secondunit.gateways.answers import outcome
from secondunit.ledger import Allowance, Intent, Ledger
from secondunit.ports import Ordered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.bench

ROUNDS = 400


def test_a_ticket_is_on_the_disk_at_once(tmp_path: Path) -> None:
    """Within some bare commits of SQLite; both in one run, turn about."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    bare = sqlite3.connect(tmp_path / "bare.sqlite", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=FULL")
    bare.execute("CREATE TABLE t (x TEXT)")
    ours, theirs = [], []
    for number in range(ROUNDS):
        intent = Intent(f"k{number}", "f", "r", "s", "runway", "e", "m", {"promptText": "x"}, 5)
        order = ledger.intend(intent, Allowance(film=10**6))
        answer = b'{"id": "ticket-%d", "estimatedCost": {"credits": 5}}' % number

        def write(order=order, answer=answer) -> None:  # type: ignore[no-untyped-def]  # bound at once
            said = outcome(200, answer, {})
            assert isinstance(said, Ordered)
            ledger.opened(order, said.ticket, said.estimate)

        ours.append(_seconds(write))
        theirs.append(_seconds(lambda: bare.execute("INSERT INTO t VALUES ('x')")))
    ledger.close()
    bare.close()
    window, commit = statistics.median(ours), statistics.median(theirs)
    worst = statistics.quantiles(ours, n=100)[98]
    print(
        f"\nticket read → on disk: median {window * 1e3:.2f} ms, 99 % under {worst * 1e3:.2f} ms;"
        f" a bare commit {commit * 1e3:.2f} ms: {window / commit:.1f}×"
    )
    assert window < 40 * commit


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
