"""Ctrl-C, SIGTERM and SIGHUP at every step: the run lets go, and another one picks everything up."""

from __future__ import annotations

import os
import signal
import time
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from bill import bill
from oracles import StrictBooks
from points import moments
from recovery import goes_on, spread
from scene import TAKES
from strict import Life, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from scene import Ended, Scene

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
SLOW = Reply(200, b'{"id":"{ticket}"}', taken=True, pause=0.8)
VERY_SLOW = Reply(200, b'{"id":"{ticket}"}', taken=True, pause=5)


@pytest.fixture(scope="module")
def points(scene: Scene) -> list[str]:
    """Every point of a run, as it comes."""
    scene.wipe()
    return scene.points()


def let_go(scene: Scene, stop: str, number: int) -> list[str]:
    """Signal a run at a point and run again; return what went wrong."""
    scene.wipe()
    ended = scene.shoot(stop, (number,))
    if ended.code not in {0, 130}:
        return [f"it ended with {ended.code}: {ended.said}"]
    scene.check_names()
    now = bill(scene)
    wrong = now.problems() + [f"{o['shot']} is in doubt" for o in now.doubts]
    if wrong:
        return wrong
    again = scene.shoot()
    if again.code != 0:
        return [f"the next run ended with {again.code}: {again.said}"]
    scene.check_film()
    at_last = bill(scene)
    if len(at_last.charged) != TAKES:
        return [f"{len(at_last.charged)} orders for {TAKES} takes"]
    return at_last.problems()


LONG = [pytest.mark.long, pytest.mark.timeout(900)]
SAMPLE = [pytest.param(9, id="a sample"), pytest.param(10_000, id="all", marks=LONG)]


@pytest.mark.parametrize("count", SAMPLE)
@pytest.mark.covers("B1", "B2")
def test_a_signal_at_any_step_only_lets_go(scene: Scene, points: list[str], count: int) -> None:
    """0 orders twice, 0 deletions, 0 doubts, and the next run makes the film."""
    chosen = zip(spread(moments(points), count), cycle((INT, TERM, HUP)), strict=False)
    trials = {f"{number.name} at {stop}": let_go(scene, stop, number) for stop, number in chosen}
    assert {name: wrong for name, wrong in trials.items() if wrong} == {}


# --- while an order is on its way ----------------------------------------------------------------


def signalled(
    scene: Scene, numbers: tuple[int, ...], when: Callable[[], bool], pause: float = 0.15
) -> Ended:
    """Signal a run from outside, as a terminal does, once `when` holds."""
    scene.wipe()
    pid = scene.start()
    deadline = time.monotonic() + 60
    while not when():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for number in numbers:
        os.kill(pid, number)
        time.sleep(pause)
    return scene.wait()


@pytest.fixture
def books(scene: Scene) -> StrictBooks:
    assert isinstance(scene.oracle, StrictBooks)
    return scene.oracle


@pytest.mark.covers("B4")
@pytest.mark.parametrize("numbers", [(INT,), (INT, INT), (TERM, TERM), (HUP, INT)])
def test_an_order_under_way_is_waited_for(
    scene: Scene, books: StrictBooks, numbers: tuple[int, ...]
) -> None:
    """A second Ctrl-C waits as well: the answer is written down, and nothing is in doubt."""
    books.strict.script("image_to_video", SLOW)
    ended = signalled(scene, numbers, lambda: books.ordered("image_to_video"))
    assert ended.code == 130, ended
    assert bill(scene).problems() == []
    assert bill(scene).doubts == []
    assert goes_on(scene, "--attach") == []
    assert len(bill(scene).charged) == TAKES


@pytest.mark.covers("B4")
@pytest.mark.parametrize("decision", ["--attach", "--resubmit"])
def test_a_third_ctrl_c_leaves_at_once_and_says_what_is_in_doubt(
    scene: Scene, books: StrictBooks, decision: str
) -> None:
    books.strict.script("image_to_video", VERY_SLOW)
    ended = signalled(scene, (INT, INT, INT), lambda: books.ordered("image_to_video"), 0.7)
    assert ended.code == 130, ended
    assert "in doubt" in ended.said
    assert ended.seconds < 5
    assert goes_on(scene, decision) == []
    assert len(bill(scene).charged) == TAKES + (decision == "--resubmit")


@pytest.mark.covers("B2")
@pytest.mark.parametrize("number", [INT, TERM, HUP])
def test_what_is_rolling_goes_on_rolling(scene: Scene, books: StrictBooks, number: int) -> None:
    """Ctrl-C detaches: nothing is deleted, and the run says that it goes on and is billed."""
    books.strict.living("A door", Life(states=("RUNNING",)))
    ended = signalled(scene, (number,), lambda: books.asked("A door") > 3)
    assert ended.code == 130, ended
    assert "billed" in ended.said
    assert "one" in ended.said
    assert "Run the same command again" in ended.said
    assert books.strict.deleted == []
    for ticket in books.strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))
    assert goes_on(scene, "--attach") == []
    assert len(bill(scene).charged) == TAKES


# --- the terminal --------------------------------------------------------------------------------


@pytest.mark.covers("B5")
def test_a_run_under_nohup_does_not_hear_its_terminal_close(
    scene: Scene, points: list[str]
) -> None:
    for stop in spread(moments(points), 3):
        scene.wipe()
        ended = scene.shoot(stop, (HUP,), ignored=[HUP])
        assert ended.code == 0, ended
        assert bill(scene).problems() == []


@pytest.mark.covers("B1")
def test_a_run_behind_a_shell_ends_on_sigterm(scene: Scene, points: list[str]) -> None:
    """Shells have such a run ignore Ctrl-C."""
    for stop in spread(moments(points), 3):
        scene.wipe()
        ended = scene.shoot(stop, (TERM,), ignored=[INT])
        assert ended.code == 130, (stop, ended)
        assert bill(scene).problems() == []


@pytest.mark.covers("B5")
def test_nobody_reads_what_is_printed(scene: Scene) -> None:
    """A closed pipe never comes between an order and its ticket; the film is made all the same."""
    scene.wipe()
    ended = scene.shoot(unheard=True)
    assert ended.code == 0, ended
    assert bill(scene).problems() == []
    assert len(bill(scene).charged) == TAKES
    scene.check_film()
