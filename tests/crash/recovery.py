"""After a crash: run again until the film is made, decide what is in doubt, and hold the bill ready."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from bill import bill
from scene import TAKES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from scene import Ended, Scene

    Crash = Callable[[Scene], Ended]

RUNS = 6  # after a crash, until the film is made or a person is asked
DECISIONS = ("--attach", "--resubmit", "--abandon")
TOLD = frozenset({0, 1, 3, 74, 130, -9})  # the ways in which a run that was harmed may end


def spread(all_: Sequence[str], count: int) -> list[str]:
    """Choose so many of a list, evenly; all where there are fewer."""
    return [all_[n * len(all_) // count] for n in range(count)] if count < len(all_) else [*all_]


def killed(stop: str) -> Crash:
    """Describe a run that is killed at a point; it may end before that."""
    return lambda scene: scene.shoot(stop)


def survives(scene: Scene, crashes: Iterable[Crash], decision: str) -> list[str]:
    """Let runs crash, one after the other, then go on to the film; return what went wrong."""
    scene.wipe()
    for crash in crashes:
        ended = crash(scene)
        if ended.code not in TOLD:
            return [f"the harmed run ended with {ended.code}: {ended.said}"]
        scene.check_names()
    return goes_on(scene, decision)


def goes_on(scene: Scene, decision: str) -> list[str]:
    """Run until the film is made, deciding what is in doubt; return what went wrong."""
    again = 0
    for _ in range(RUNS):
        ended = scene.shoot()
        scene.check_names()
        wrong = bill(scene).problems(again)
        if wrong or ended.code == 0:
            break
        if ended.code != 3 or "settle" not in ended.said:
            return [f"it ended with {ended.code}: {ended.said}"]
        again += decide(scene, decision)
    else:
        return [f"no film after {RUNS} runs: {ended.said}"]
    if wrong:
        return wrong
    scene.check_film()
    at_last = bill(scene)
    if len(at_last.charged) != TAKES + again:
        return [f"{len(at_last.charged)} orders, of which {again} were placed again"]
    return at_last.problems(again)


def decide(scene: Scene, decision: str) -> int:
    """Decide every order in doubt; say how many are placed again."""
    now, again = bill(scene), 0
    for order in now.doubts:
        if decision == "--attach":
            scene.settle(order["shot"], decision, now.ticket_of(order))
            continue
        scene.settle(order["shot"], decision)
        again += 1
        if decision == "--abandon":
            given_up = scene.shoot()
            assert given_up.code == 1, given_up
            scene.settle(order["shot"], "--resubmit")
    return again


def failures(scene: Scene, trials: Mapping[str, Sequence[Crash]]) -> dict[str, list[str]]:
    """Try all, and return those that went wrong, by their name."""
    found = {}
    for (name, crashes), decision in zip(trials.items(), cycle(DECISIONS), strict=False):
        if wrong := survives(scene, crashes, decision):
            found[f"{name} ({decision})"] = wrong
    return found
