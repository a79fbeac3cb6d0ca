"""Every way to break that is known has a test that names it and can run."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from failures import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Proof:
    """A test that says what it covers: where it is, which rows, and why it may not run."""

    test: str
    rows: tuple[str, ...]
    excuses: tuple[str | None, ...] = ()  # the reasons of its skips; None where one gives none


def marks_of(source: str, where: str) -> list[Proof]:
    """Find what the tests of a module cover, by themselves or because the whole module does."""
    tree = ast.parse(source)
    general = [m for node in tree.body for m in _pytestmark(node)]
    found = [
        Proof(f"{where}::{test.name}", *_read([*general, *test.decorator_list]))
        for test in _tests(tree)
    ]
    return [proof for proof in found if proof.rows]


def _pytestmark(node: ast.stmt) -> list[ast.expr]:
    if not isinstance(node, ast.Assign) or ast.unparse(node.targets[0]) != "pytestmark":
        return []
    return list(node.value.elts) if isinstance(node.value, ast.List) else [node.value]


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Give the functions that pytest collects, and the machines that hypothesis runs as tests."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def _read(marks: list[ast.expr]) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    rows: list[str] = []
    excuses: list[str | None] = []
    for mark in marks:
        name = ast.unparse(mark.func if isinstance(mark, ast.Call) else mark)
        if name == "pytest.mark.covers" and isinstance(mark, ast.Call):
            rows += [ast.literal_eval(row) for row in mark.args]
        elif re.fullmatch(r"pytest\.mark\.(skip|skipif|xfail)", name):
            excuses.append(_reason(mark))
    return tuple(rows), tuple(excuses)


def _reason(mark: ast.expr) -> str | None:
    given = mark.keywords if isinstance(mark, ast.Call) else []
    return next(
        (ast.unparse(k.value).strip("'\"") or None for k in given if k.arg == "reason"), None
    )


@cache
def proofs() -> tuple[Proof, ...]:
    """Read the marks of all tests."""
    files = [p for p in TESTS.rglob("test_*.py") if p != Path(__file__)]
    return tuple(p for f in files for p in marks_of(f.read_text(), str(f.relative_to(TESTS))))


def test_every_row_has_a_test() -> None:
    named = {row for proof in proofs() for row in proof.rows}
    assert [f"{row}: {promise}" for row, promise in ROWS.items() if row not in named] == []


def test_every_mark_names_a_row() -> None:
    assert [(p.test, row) for p in proofs() for row in p.rows if row not in ROWS] == []


def test_no_test_of_a_row_is_left_out_without_a_reason() -> None:
    assert [p.test for p in proofs() if None in p.excuses] == []


def test_the_rows_are_complete_and_in_order() -> None:
    many = {"A": 18, "B": 7, "C": 21, "D": 23, "E": 15, "F": 6, "G": 9, "H": 7, "S": 23}
    wanted = [f"{kind}{n}" for kind, count in many.items() for n in range(1, count + 1)]
    wanted.insert(wanted.index("S9") + 1, "S9b")
    assert list(ROWS) == wanted
    assert len(set(ROWS.values())) == len(ROWS) or "the same" in ROWS.values()
    assert all(" → " in promise for promise in ROWS.values())


def test_marks_are_found_wherever_they_stand() -> None:
    """The reader itself, on a module of every kind of mark."""
    source = """
import pytest
pytestmark = [pytest.mark.covers("A1"), pytest.mark.timeout(3)]
@pytest.mark.covers("B1", "B2")
@pytest.mark.skipif(True, reason="no strace here")
def test_one(): ...
class TestMany:
    @pytest.mark.covers("C1")
    @pytest.mark.skip
    def test_two(self): ...
def helper(): ...
"""
    assert marks_of(source, "m.py") == [
        Proof("m.py::test_one", ("A1", "B1", "B2"), ("no strace here",)),
        Proof("m.py::test_two", ("A1", "C1"), (None,)),
    ]
    assert marks_of("def test_nothing(): ...", "m.py") == []
