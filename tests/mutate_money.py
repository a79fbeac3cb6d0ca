"""How well the tests of the money would notice a mistake: mutation testing by mutmut, on a copy.

    pip install mutmut
    python tests/mutate_money.py            # all modules, some two hours on two cores
    python tests/mutate_money.py rescue     # one module
    python tests/mutate_money.py -- 3       # every third mutant of each function, evenly

The share that is killed is printed by module, and the survivors by name; `mutmut show NAME` in the
folder that is printed shows one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
KILLERS = {
    "ledger/rescue": ("rescue",),
    "ledger/daybook": ("daybook",),
    "ledger/tables": ("ledger", "budget"),
    "ledger/__init__": ("ledger_tells", "ledger", "rescue", "daybook", "books"),
    "ledger/database": ("ledger_tells", "ledger", "budget"),
    "ledger/postgres": ("ledger_postgres", "farm"),
    "ledger/rows": ("ledger_tells", "ledger", "budget"),
    "ledger/refusals": ("ledger_tells", "ledger", "refusals", "budget"),
    "take/breaker": ("breaker",),
    "take/slots": ("slots",),
    "take/evidence": ("evidence",),
    "take/lane": ("lane", "evidence"),
    "take/inputs": ("inputs",),
    "take/__init__": ("retries", "breaker", "budget", "evidence", "take"),
    "verdicts": ("retries", "budget"),
    "books": ("books",),
    "deciding": ("deciding",),
    "gateways/answers": ("wire", "answers"),
}
SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {modules}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-n", "0", "-x", "-p", "no:cacheprovider", "--deselect",
  "tests/test_budget.py::test_the_users_own_caps_hold_over_projects_and_runs"]
also_copy = ["specs", "flows", "examples", "README.md", "LICENSE"]
"""
LEFT = ("src", "tests", "specs", "flows", "examples", "pyproject.toml", "README.md", "LICENSE")
SQL = r"\b(select|insert|update|delete|pragma|where|from|order by)\b"
DEAD = {"killed", "timeout", "segfault"}


def main(wanted: list[str], step: int) -> None:
    """Mutate one module after the other, each against its own tests."""
    for module, tests in KILLERS.items():
        if not wanted or module.split("/")[-1] in wanted or module in wanted:
            folder = _copied(module, tests)
            print(f"{module}: in {folder}", flush=True)
            _tell(module, folder, _mutated(folder, step))


def _copied(module: str, tests: tuple[str, ...]) -> Path:
    """Copy the project, because mutmut writes beside it what it makes."""
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    for name in LEFT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as page:
        page.write(SETTINGS.format(
            modules=[f"src/secondunit/{module}.py"], tests=[f"tests/test_{t}.py" for t in tests]
        ))  # fmt: skip
    return folder


def _mutated(folder: Path, step: int) -> list[tuple[str, str]]:
    """Return name and fate of the mutants."""
    run = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 2)]
    if step > 1:
        subprocess.run([*run, "none.such"], cwd=folder, capture_output=True, check=False)
        names = [name for name, _ in _results(folder)]
        run += names[::step]
    with (folder / "mutmut.log").open("w") as log:
        subprocess.run(run, cwd=folder, stdout=log, stderr=log, check=False)
    return [(name, fate) for name, fate in _results(folder) if fate != "not checked"]


def _results(folder: Path) -> list[tuple[str, str]]:
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    lines = [line.strip().rpartition(": ") for line in said.splitlines() if ": " in line]
    return [(name, fate) for name, _, fate in lines]


def _same_sql(folder: Path, name: str) -> bool:
    """Say whether a mutant only wrote SQL in other letters, which no test can tell."""
    command = [sys.executable, "-m", "mutmut", "show", name]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    before, after = (
        [line[1:].lower() for line in said.splitlines() if re.match(rf"[{sign}] ", line)]
        for sign in ("-", "+")
    )
    return before == after and re.search(SQL, " ".join(before)) is not None


def _tell(module: str, folder: Path, fates: list[tuple[str, str]]) -> None:
    left = {name for name, fate in fates if fate not in DEAD and not _same_sql(folder, name)}
    told = [(name, fate) for name, fate in fates if fate in DEAD or name in left]
    share = 100 * (len(told) - len(left)) / max(1, len(told))
    print(f"{module}: {len(told) - len(left)} of {len(told)} killed, {share:.0f} %", flush=True)
    for name, fate in told:
        if name in left:
            print(f"    {name}: {fate}", flush=True)


if __name__ == "__main__":
    words, _, sampled = " ".join(sys.argv[1:]).partition("--")
    main(words.split(), int(sampled or 1))
