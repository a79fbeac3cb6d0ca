"""The run is killed at every step it takes, and run again: nothing is lost, nothing bought twice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from bill import bill
from footage import packets
from points import moments
from recovery import DECISIONS, failures, goes_on, killed, spread
from scene import TAKES

if TYPE_CHECKING:
    from scene import Runner, Scene

KEY_STEPS = (
    "Ledger.intend begins", "Ledger.opened begins", "Ledger.made ends", "Ledger.kept ends",
    "Database.commit is open", "Database.commit closes", "Database.commit ends",
    "POST image_to_video: connect_tcp", "POST image_to_video: send_request_body",
    "POST image_to_video: receive_response_body", "POST uploads: send_request_body",
    "POST put: send_request_body", "a chunk of media is here", "Store.incoming ends",
    "Store.keep begins", "Store.keep ends", "durable.beside closes", "Path.replace begins",
    "Path.replace ends", "os.fsync ends", "Inputs.body begins", "WireGateway.upload ends",
    "Lane.order begins", "conform.conform begins", "conform.conform ends", "splice.splice begins",
    "splice.splice ends", "Production.join ends",
)  # fmt: skip


@pytest.fixture(scope="module")
def points(scene: Scene) -> list[str]:
    """Every point of a run, as it comes."""
    scene.wipe()
    return scene.points()


def test_every_step_has_a_point(points: list[str], runner: Runner) -> None:
    reached = {point.partition("#")[0] for point in points}
    assert len(points) >= 60
    assert len(moments(points)) >= 60
    assert set(KEY_STEPS) <= reached
    ours = {name for name in reached if not name.startswith(("POST ", "GET ", "a chunk"))}
    assert ours <= runner.names


LONG = [pytest.mark.long, pytest.mark.timeout(900)]
SAMPLE = [pytest.param(20, id="a sample"), pytest.param(10_000, id="all", marks=LONG)]


@pytest.mark.parametrize("count", SAMPLE)
@pytest.mark.covers("A1", "A6", "A7", "A8", "A9", "A10", "A11")
def test_a_run_killed_anywhere_goes_on(scene: Scene, points: list[str], count: int) -> None:
    """0 paid tickets lost, 0 orders twice that nobody was told of, 0 broken files, and the film."""
    stops, before = spread(moments(points), count), scene.deaths
    assert failures(scene, {stop: [killed(stop)] for stop in stops}) == {}
    assert scene.deaths - before >= 0.9 * len(stops)


@pytest.mark.covers("A2", "A3", "A4", "A5")
def test_an_order_in_doubt_is_proved_harmless_or_asked_about(
    scene: Scene, points: list[str]
) -> None:
    """Before its bytes leave nobody is bothered; afterwards a person decides, in every way."""
    before = ["Ledger.intend ends#2", "POST image_to_video: connect_tcp#1"]
    after = ["POST image_to_video: send_request_body#1", "Ledger.opened begins#2",
             "POST image_to_video: receive_response_body#1"]  # fmt: skip
    for stop in before:
        scene.wipe()
        assert scene.shoot(stop).code == -9
        assert scene.shoot().code == 0, stop
        assert len(bill(scene).charged) == TAKES
    for stop, decision in zip(after, DECISIONS, strict=True):
        scene.wipe()
        assert scene.shoot(stop).code == -9
        assert scene.shoot().code == 3, stop
        assert goes_on(scene, decision) == []
    assert set(before + after) <= set(points)


FEW = [pytest.param(5, id="a sample"), pytest.param(10_000, id="all", marks=LONG)]


@pytest.mark.parametrize("count", FEW)
@pytest.mark.covers("A12", "A13")
def test_a_film_stays_until_the_next_one_is_whole(scene: Scene, count: int) -> None:
    """Killed while it joins the film again: there is the old one or the new one, never half of one.

    The two tell the hours at which they were made, so what is seen and heard is compared.
    """
    scene.wipe()
    assert scene.shoot().code == 0
    old = packets(scene.film)
    scene.manifest.unlink()
    again = scene.points()
    joining = moments(again[again.index("splice.splice begins#1") :])
    deaths = 0
    for stop in spread(joining, count):
        scene.manifest.unlink()
        deaths += scene.shoot(stop).code == -9
        assert packets(scene.film) == old, stop
        assert scene.shoot().code == 0, stop
        scene.check_film()
    assert deaths >= min(count, len(joining)) // 2
    assert len(bill(scene).charged) == TAKES


PAIRS = [pytest.param(6, id="a sample"), pytest.param(100, id="100", marks=LONG)]


@pytest.mark.parametrize("count", PAIRS)
@pytest.mark.covers("A14")
def test_a_crash_during_recovery_is_recovered_from(
    scene: Scene, points: list[str], count: int
) -> None:
    chance = random.Random(count)
    pairs = [chance.choices(points, k=2) for _ in range(count)]
    before = scene.deaths
    assert failures(scene, {" then ".join(p): [*map(killed, p)] for p in pairs}) == {}
    assert scene.deaths - before >= count


LOT = [pytest.param(4, id="a sample"), pytest.param(30, id="30", marks=LONG)]


@pytest.mark.parametrize("count", LOT)
def test_the_backlots_own_books_say_the_same(on_the_lot: Scene, count: int) -> None:
    """The oracle is another process and shares no code with the ledger."""
    on_the_lot.wipe()
    found = moments(on_the_lot.points())
    assert failures(on_the_lot, {stop: [killed(stop)] for stop in spread(found, count)}) == {}
