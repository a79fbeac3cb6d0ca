"""How long a person waits for the commands, side by side with the bare interpreter.

Run with `pytest -n 0 -m bench tests/bench -s`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest
from programs import BIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.bench

ROUNDS = 7
SHOTS = 60
GOALS = {"--help": 0.3, "check": 0.5, "plan": 0.7}  # seconds, whole process


def seconds(*command: object, env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([*map(str, command)], env=env, check=True, capture_output=True)
    return time.perf_counter() - began


@pytest.fixture
def sixty(tmp_path: Path) -> Path:
    path = tmp_path / "sixty.yaml"
    shots = "".join(
        f"  - prompt: A lighthouse at night, number {n}. Slow push in.\n    seed: {n}\n"
        "    duration: 2\n"
        for n in range(SHOTS)
    )
    path.write_text(f"title: Sixty\nshots:\n{shots}")
    return path


def test_commands_answer_at_once(sixty: Path, environment: dict[str, str]) -> None:
    """`--help`, `check` and `plan` of 60 shots, as multiples of starting Python at all."""
    program = BIN / "secondunit"
    commands = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "import pydantic, yaml, typer": (sys.executable, "-c", "import pydantic, yaml, typer"),
        "--help": (program, "--help"),
        "check": (program, "check", sixty),
        "plan": (program, "plan", sixty),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            taken[name].append(seconds(*command, env=environment))
    floor = median(taken["python -c pass"])
    print(f"\n{'command':32} {'median s':>9} {'× python':>9} {'goal s':>7}")
    for name, times in taken.items():
        print(
            f"{name:32} {median(times):9.3f} {median(times) / floor:9.1f} {GOALS.get(name, ''):>7}"
        )


def test_a_second_run_with_nothing_changed(
    sixty: Path, environment: dict[str, str], prefect_api: str, tmp_path: Path
) -> None:
    """The second run makes no request and takes under a twentieth of the first."""
    call = (BIN / "secondunit", "shoot", sixty)
    env = {**environment, "PREFECT_API_URL": prefect_api}
    first = seconds(*call, env=env)
    books = tmp_path / ".secondunit" / "backlot"
    before = {p: p.stat().st_mtime_ns for p in books.rglob("*") if p.is_file()}
    second = median(seconds(*call, env=env) for _ in range(3))
    assert before == {p: p.stat().st_mtime_ns for p in books.rglob("*") if p.is_file()}
    print(f"\n60 shots of 2 s on {os.cpu_count()} processors: first {first:.1f} s,"
          f" again {second:.2f} s, 1/{first / second:.0f}")  # fmt: skip
    assert second < first / 20
