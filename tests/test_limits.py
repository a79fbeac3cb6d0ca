"""Runs of one account share its slots through Prefect's global concurrency limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from reel import reel
from strict import Life, Strict, listening
from test_flow import ask
from test_shoot_command import FOR_EVER, KEY, Set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TWO = "defaults: {duration: 2, ratio: '16:9', seed: 7}\nshots: [A %s opens., A %s closes.]\n"


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        strict.account["tier"]["models"] = {"gen4.5": {"maxConcurrentGenerations": 1}}
        yield strict


def stage(tmp_path: Path, name: str, strict: Strict, env: dict[str, str], api: str) -> Set:
    folder = tmp_path / name
    folder.mkdir()
    at = Set(folder, strict, env, api)
    at.file.write_text(TWO % (name, name))
    return at


def limit(api: str) -> dict[str, Any]:
    found = ask(api, "v2/concurrency_limits/filter")
    return next(one for one in found if one["name"] == "runway:gen4.5")


def test_two_films_at_once_keep_to_the_slots_of_one_account(
    tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str
) -> None:
    """Each run alone knows of one slot; only together do they know that it is the same one."""
    door, gate = (stage(tmp_path, n, strict, environment, prefect_api) for n in ("door", "gate"))
    runs = [(at, at.start()) for at in (door, gate)]
    said = [at.ended(run) for at, run in runs]
    assert [code for code, _ in said] == [0, 0], said
    assert len(strict.taken) == 4
    assert strict.at_once["gen4.5"] == 1
    assert "for a free slot of gen4.5" in said[0][1] + said[1][1]
    assert limit(prefect_api)["limit"] == 1
    assert limit(prefect_api)["active_slots"] == 0


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_slot_of_a_run_that_was_killed_is_free_again(
    tmp_path: Path, strict: Strict, environment: dict[str, str], prefect_api: str
) -> None:
    """Its ticket goes on and is counted again by whoever picks it up; the slot is not lost."""
    strict.living("A door opens", FOR_EVER)
    door, gate = (stage(tmp_path, n, strict, environment, prefect_api) for n in ("door", "gate"))
    run = door.start()
    door.until(run, lambda: strict.taken)
    door.until(run, lambda: limit(prefect_api)["active_slots"] == 1)
    door.kill(run)
    next(iter(strict.tickets.values())).life = Life(states=("SUCCEEDED",))
    began = time.monotonic()
    code, said = gate.shoot()
    assert code == 0, said
    assert time.monotonic() - began < 180
    assert len(strict.taken) == 3
    code, said = door.shoot()
    assert code == 0, said
    assert len(strict.taken) == 4
