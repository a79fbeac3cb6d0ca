"""Runs that Prefect begins by itself: the same film and the same money, and nobody to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from reel import reel
from strict import Life, Strict, listening
from test_flow import flow_run, task_runs
from test_shoot_command import KEY, Set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILM = """
import asyncio, json, sys
from secondunit import flow
state = asyncio.run(flow.film(**json.loads(sys.argv[1]), return_state=True))
print(state.name, "·", state.message)
"""
OWN = """
import asyncio, sys
from secondunit import flow
async def mine():
    async with flow.on_set(sys.argv[1], gateway="runway", budget=500) as production:
        for step in production.plan.steps:
            print(step.shot, await production.roll(step))
asyncio.run(mine())
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        yield strict


@pytest.fixture
def at(tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str) -> Set:
    return Set(tmp_path, strict, environment, prefect_api)


def begun(at: Set, source: str, *words: str, api: str | None = None) -> str:
    given = {**at.environment, **({"PREFECT_API_URL": api} if api else {})}
    done = subprocess.run(
        [sys.executable, "-c", source, *words], env=given, cwd=at.folder, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert KEY not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout


def film(at: Set, **words: Any) -> str:
    given = {"shot_list": str(at.file), "gateway": "runway", "budget": "$5", **words}
    return begun(at, FILM, json.dumps(given))


def test_it_makes_the_film_once_and_says_so_on_its_page(
    at: Set, strict: Strict, prefect_api: str
) -> None:
    at.file.write_text(at.file.read_text().replace("The lamp", "The lamp by night"))
    assert film(at).startswith(f"Completed · {at.folder}/films/lamp.mp4")
    run = flow_run(prefect_api, "The lamp by night")
    states = {name: task["state_type"] for name, task in task_runs(prefect_api, run["id"]).items()}
    assert len(states) == 4
    assert set(states.values()) == {"COMPLETED"}
    assert run["parameters"]["budget"] == "$5"
    assert KEY not in str(run)
    assert at.manifest["shots"][0]["credits_charged"] == 24
    requests = len(strict.requests)
    assert film(at).startswith("Cached · Nothing changed; the film is")
    assert len(strict.requests) == requests
    assert len(strict.taken) == 3


def test_without_a_cap_nothing_is_asked_and_nothing_is_ordered(at: Set, strict: Strict) -> None:
    said = film(at, budget=None)
    assert said.startswith("Failed · Nobody is asked before this run spends money")
    assert "add `budget` on its form, or `budget: {cap: …}` to the shot list." in said
    assert not strict.requests


def test_what_is_wrong_with_a_shot_list_stands_on_the_page(at: Set, strict: Strict) -> None:
    at.file.write_text("shots: [{promt: A door opens.}]\n")
    said = film(at)
    assert said.startswith("Failed · ")
    assert f"{at.file}:1:10" in said
    assert "Nothing was ordered." in said
    assert not strict.requests


def test_what_did_not_come_back_stands_on_the_page_with_its_reason(at: Set, strict: Strict) -> None:
    strict.living("A door", Life(states=("FAILED",), code="SAFETY.INPUT.TEXT", failure="No doors."))
    said = film(at)
    assert "Did not come back: one, three" in said
    assert "No doors" in said
    assert sorted(strict.taken) == ["A door opens.", "A lamp turns."]


def test_a_flow_of_ones_own_takes_shots_and_buys_nothing_twice(at: Set, strict: Strict) -> None:
    for cached in (False, True):
        said = begun(at, OWN, str(at.file))
        assert said.split() == ["one", str(cached), "two", str(cached), "three", str(cached)]
    assert len(strict.taken) == 3


def test_a_relative_path_is_no_path_for_a_run_of_its_own(at: Set, strict: Strict) -> None:
    assert "needs the whole path. Nothing was ordered." in film(at, shot_list="lamp.yaml")
    assert not strict.requests


def test_the_form_of_a_run_explains_its_fields(at: Set) -> None:
    """What Prefect shows as a form is made from the flow itself."""
    source = "from secondunit.flow import film; print(film.parameters.model_dump_json())"
    form = json.loads(begun(at, source))
    assert list(form["properties"]) == [
        "shot_list", "gateway", "quality", "only", "budget", "out", "catch_up",
    ]  # fmt: skip
    assert form["required"] == ["shot_list"]
    assert all(field["description"] for field in form["properties"].values())
