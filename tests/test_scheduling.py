"""Which shot lists of a folder are shot by themselves, read without Prefect and without a server."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from secondunit.errors import UsageError
from secondunit.scheduling import Office, look, office, stamp

if TYPE_CHECKING:
    from pathlib import Path

SHOTS = "shots:\n  one: {prompt: A pier at night., duration: 2}\n"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_shot_list_with_a_schedule_is_found_and_no_other_file(tmp_path: Path) -> None:
    put(tmp_path, "night.yaml", "title: Night\nschedule: 0 6 * * *\n" + SHOTS)
    put(tmp_path, "teasers/night.yml", "title: Night\nschedule: {every: 2h}\n" + SHOTS)
    put(tmp_path, "plain.yaml", SHOTS)
    put(tmp_path, "prefect.yaml", "name: x\nschedule: [\ndeployments: []\n")
    put(tmp_path, ".hidden/night.yaml", "schedule: 0 6 * * *\n" + SHOTS)
    put(tmp_path, "notes.txt", "schedule: 0 6 * * *\n" + SHOTS)
    put(tmp_path, "json.yaml", '{"schedule": "0 7 * * *", "shots": ["A pier."]}')
    board = look(office(str(tmp_path)))
    assert [one.file for one in board.bookings] == ["json.yaml", "night.yaml", "teasers/night.yml"]
    assert [one.when for one in board.bookings] == [
        "0 7 * * * UTC",
        "0 6 * * * UTC",
        "every 2h UTC",
    ]
    assert board.spoiled == ()
    assert board.others == 1
    assert not board.empty


def test_a_wrong_shot_list_is_told_and_the_others_stand(tmp_path: Path) -> None:
    put(tmp_path, "good.yaml", "schedule: 0 6 * * *\n" + SHOTS)
    put(tmp_path, "typo.yaml", "shedule: 0 6 * * *\n" + SHOTS)
    put(tmp_path, "tabs.yaml", "schedule: 0 6 * * *\nshots:\n\t- A pier.\n")
    board = look(office(str(tmp_path)))
    assert [one.file for one in board.bookings] == ["good.yaml"]
    assert [one.file for one in board.spoiled] == ["tabs.yaml", "typo.yaml"]
    assert "Did you mean `schedule`?" in str(board.spoiled[1].error)


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ("gateway: runway\nschedule: {cron: 0 6 * * *}", "Add `budget` to the schedule"),
        ("schedule: {cron: 0 6 * * *, gateway: runway}", "Add `budget` to the schedule"),
        ("schedule: {cron: 0 6 * * *, quality: fnal}", "no quality called `fnal`"),
        ("schedule: {cron: 0 6 * * *, only: two}", "no shot is called `two`"),
    ],
)
def test_a_schedule_that_could_not_run_or_spend_without_a_cap_is_wrong(
    tmp_path: Path, more: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cap in one's own settings does not count: they are those of another machine."""
    monkeypatch.setenv("SECONDUNIT_RUN_CAP", "500")
    put(tmp_path, "night.yaml", f"{more}\n{SHOTS}")
    board = look(office(str(tmp_path)))
    assert board.bookings == ()
    said = str(board.spoiled[0].error)
    assert wrong in said
    assert "night.yaml:" in said


def test_what_a_run_may_cost_is_the_smallest_of_price_and_caps(tmp_path: Path) -> None:
    text = "gateway: runway\nbudget: {cap: $9}\nschedule: {cron: 0 6 * * *, budget: %s}\n" + SHOTS
    put(tmp_path, "night.yaml", text % "$0.10")
    booking = look(office(str(tmp_path))).bookings[0]
    assert (booking.budget, booking.most) == (10, "at most $0.10 a run")
    put(tmp_path, "night.yaml", text % "$5")
    assert look(office(str(tmp_path))).bookings[0].most == "at most $0.24 a run"


def test_an_office_is_its_name_or_its_place(tmp_path: Path) -> None:
    here, there = tmp_path / "a" / "specs", tmp_path / "b" / "specs"
    here.mkdir(parents=True)
    there.mkdir(parents=True)
    assert office(str(here)).identity != office(str(there)).identity
    assert office(str(here), "studio").identity == office(str(there), "studio").identity == "studio"
    assert office(str(here), "", "/mnt/films").there("x/y.yaml") == "/mnt/films/x/y.yaml"
    with pytest.raises(UsageError, match="no folder"):
        office(str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="whole path"):
        office(str(here), "", "films")


def test_a_change_is_seen_without_reading(tmp_path: Path) -> None:
    place = Office(tmp_path)
    path = put(tmp_path, "night.yaml", SHOTS)
    first = stamp(place)
    assert stamp(place) == first
    os.utime(path, ns=(1, 1))
    second = stamp(place)
    assert second != first
    put(tmp_path, "other.yaml", SHOTS)
    assert stamp(place) != second
    path.unlink()
    assert len(stamp(place)) == 1


def test_reading_an_office_loads_neither_prefect_nor_moviepy(tmp_path: Path) -> None:
    put(tmp_path, "night.yaml", "schedule: 0 6 * * *\n" + SHOTS)
    source = (
        "import sys; from secondunit import cli; from secondunit.scheduling import *;"
        "assert look(office(sys.argv[1])).bookings;"
        "assert not {'prefect', 'moviepy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source, tmp_path], check=True, timeout=120)
