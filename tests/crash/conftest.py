"""What the crash tests share: the process that forks runs, and the oracles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from oracles import LotBooks, StrictBooks
from reel import reel
from scene import Runner, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = Runner(tmp_path_factory.mktemp("home"))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, runner: Runner) -> Iterator[Scene]:
    """The film before the strict stand-in."""
    make = reel(tmp_path_factory.mktemp("reel"))
    with StrictBooks(make).open() as books:
        yield Scene(tmp_path_factory.mktemp("film"), runner, books)


@pytest.fixture(scope="module")
def on_the_lot(tmp_path_factory: pytest.TempPathFactory, runner: Runner) -> Iterator[Scene]:
    """The film before the backlot, which is another process."""
    with LotBooks(tmp_path_factory.mktemp("lot")).open() as books:
        yield Scene(tmp_path_factory.mktemp("film"), runner, books)
