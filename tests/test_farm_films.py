"""A farm, its parts as real processes: workers on several machines, PostgreSQL, S3, Prefect's server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bucket
import pytest
import yaml
from footage import packets
from reel import reel
from strict import Life, Strict, listening
from test_shoot_command import FOR_EVER, KEY, Set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
PROMPTS = ["A door opens.", "A lamp turns.", "He turns around."]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        strict.key = KEY
        yield strict


@pytest.fixture
def machine(
    tmp_path: Path,
    strict: Strict,
    environment: dict[str, str],
    prefect_api: str,
    shared: str,
    endpoint: str,
) -> Callable[[str], Set]:
    """Make machines: a disk and a home of its own each; a ledger, a store and a server in common."""
    farm = {
        "SECONDUNIT_LEDGER": shared,
        "SECONDUNIT_STORE": f"s3://{bucket.BUCKET}/{tmp_path.name}",
        **bucket.environment(endpoint, tmp_path),
    }

    def make(name: str) -> Set:
        folder = tmp_path / name
        folder.mkdir()
        return Set(folder, strict, {**environment, **farm, "HOME": str(folder)}, prefect_api)

    return make


def shots(at: Set) -> dict[str, Any]:
    return {shot["shot"]: shot for shot in at.manifest["shots"]}


def test_what_one_worker_made_the_others_have(
    machine: Callable[[str], Set], strict: Strict
) -> None:
    one, two = machine("one"), machine("two")
    code, said = one.shoot()
    assert code == 0, said
    requests = len(strict.requests)
    code, said = two.shoot()
    assert code == 0, said
    assert sorted(strict.taken) == PROMPTS
    assert len(strict.requests) == requests
    assert all(shot["cached"] for shot in shots(two).values())
    films = [packets(at.folder / "films" / "lamp.mp4") for at in (one, two)]
    assert films[0] == films[1]


def test_two_workers_with_one_film_never_order_a_take_twice(
    machine: Callable[[str], Set], strict: Strict
) -> None:
    """One makes it; the other is told who does, and finds everything made afterwards."""
    strict.living("A door", Life(states=("RUNNING",) * 30 + ("SUCCEEDED",)))
    one, two = machine("one"), machine("two")
    first = one.start()
    one.until(first, lambda: strict.taken)
    code, said = two.shoot()
    assert code == 75, said
    assert "Nothing was ordered." in said
    code, said = one.ended(first)
    assert code == 0, said
    code, said = two.shoot()
    assert code == 0, said
    assert sorted(strict.taken) == PROMPTS


def test_another_worker_takes_over_from_one_that_was_killed(
    machine: Callable[[str], Set], strict: Strict
) -> None:
    """Its tickets are brought home by the other; nothing is ordered again."""
    strict.living("A door", FOR_EVER)
    strict.living("A lamp", FOR_EVER)
    one, two = machine("one"), machine("two")
    first = one.start()
    one.until(
        first, lambda: len(strict.taken) == 2 and all(t.asked for t in strict.tickets.values())
    )
    one.kill(first)
    for ticket in strict.tickets.values():
        ticket.life = Life(states=("SUCCEEDED",))
    code, said = two.shoot()
    assert code == 0, said
    assert sorted(strict.taken) == PROMPTS
    assert sum(shot["credits_charged"] for shot in shots(two).values()) == 72


def test_the_compose_file_names_settings_that_there_are() -> None:
    """What its workers are given is read by the program as it stands there."""
    from secondunit.crew import Settings

    farm = yaml.safe_load((ROOT / "flows" / "compose.yaml").read_text("utf-8"))
    given = {k: str(v) for k, v in farm["services"]["worker"]["environment"].items()}
    settings = Settings.load({**given, "HOME": "/nonexistent"})
    assert settings.ledger == given["SECONDUNIT_LEDGER"]
    assert settings.store == given["SECONDUNIT_STORE"]
    assert settings.out == "/out"
    known = {f"SECONDUNIT_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in given if name.startswith("SECONDUNIT_")} <= known
    aws = {name for name in given if name.startswith("AWS_")}
    assert aws <= set(bucket.environment("", ROOT))
    for name in ("farm.sql", "Dockerfile"):
        assert (ROOT / "flows" / name).is_file()
