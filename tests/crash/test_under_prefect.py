"""The same under a real Prefect flow: killed and signalled, as a deployment may be."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from bill import bill
from oracles import StrictBooks
from points import moments
from recovery import TOLD, goes_on, spread
from reel import reel
from scene import TAKES, Runner, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def flowing(
    tmp_path_factory: pytest.TempPathFactory, prefect_api: str, environment: dict[str, str]
) -> Iterator[Scene]:
    """The film before the strict stand-in, made by a flow on a Prefect server."""
    settings = {name: value for name, value in environment.items() if name.startswith("PREFECT_")}
    runner = Runner(tmp_path_factory.mktemp("home"), PREFECT_API_URL=prefect_api, **settings)
    make = reel(tmp_path_factory.mktemp("reel"))
    with StrictBooks(make).open() as books:
        scene = Scene(tmp_path_factory.mktemp("film"), runner, books)
        scene.options = {"prefect": True}
        yield scene
    runner.close()


@pytest.fixture(scope="module")
def points(flowing: Scene) -> list[str]:
    """Every point of a run under Prefect."""
    flowing.wipe()
    return flowing.points()


LONG = [pytest.mark.long, pytest.mark.timeout(900)]
SAMPLE = [pytest.param(2, id="a sample"), pytest.param(6, id="6", marks=LONG)]


def ordering(points: list[str]) -> list[str]:
    """Return the points at which an order is placed."""
    return [p for p in points if p.startswith(("POST image_to_video", "Ledger.opened"))]


@pytest.mark.parametrize("count", SAMPLE)
@pytest.mark.covers("B3")
def test_sigterm_never_comes_between_an_order_and_its_ticket(
    flowing: Scene, points: list[str], count: int
) -> None:
    """Prefect's own handler would raise wherever the main thread is, or be lost in a callback."""
    for stop in spread(ordering(points), count):
        flowing.wipe()
        ended = flowing.shoot(stop, (signal.SIGTERM,))
        assert ended.code == 130, (stop, ended)
        assert bill(flowing).problems() == [], stop
        assert bill(flowing).doubts == [], stop
        assert goes_on(flowing, "--attach") == [], stop
        assert len(bill(flowing).charged) == TAKES, stop


@pytest.mark.parametrize("count", SAMPLE)
def test_a_killed_flow_run_is_gone_on_with_by_another(
    flowing: Scene, points: list[str], count: int
) -> None:
    for stop in spread(moments(points), count):
        flowing.wipe()
        assert flowing.shoot(stop).code in TOLD, stop
        flowing.check_names()
        assert goes_on(flowing, "--attach") == [], stop
        assert len(bill(flowing).charged) == TAKES, stop
