"""Takes with a shared ledger: all that `test_take` and `test_evidence` promise holds there, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import test_evidence
import test_take
from test_farm import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from strict import Strict

pytestmark = pytest.mark.long

OF_A_FILE = {  # they change the ledger's rows through SQLite
    "test_after_a_day_the_count_says_nothing_any_more",
    "test_an_account_under_another_key_proves_nothing",
}
for _module in (test_take, test_evidence):
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and callable(_test) and _name not in OF_A_FILE:
            globals()[_name] = _test
footage = test_take.footage


@pytest.fixture
def at(tmp_path: Path, strict: Strict, shared: str, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setenv("SECONDUNIT_LEDGER", shared)  # for what is decided on the command line
    worker = Worker(tmp_path, strict, shared)
    worker.also = ("f", "g")
    return worker
