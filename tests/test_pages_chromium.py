"""The pages of a run as a browser draws them, in both of Prefect's user interfaces."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

from make_pictures import harbour, prefect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from make_pictures import Server

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]
INTERFACES = ("", "v2/")


class Night(NamedTuple):
    """The night in the harbour: its server, its run's page, that page in the middle of it, the clips.

    Which shots fail depends on who ordered third and fifth, and so does how many came back: `here`.
    """

    server: Server
    run: str
    live: str
    picture: Path
    here: int


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    with (
        prefect(folder) as server,
        harbour(folder, server.environment, seconds="25-30") as shooting,
    ):
        server.until(lambda states: {"Rolling", "Completed", "Waiting for a slot"} <= states)
        run = server.newest_run()
        server.photograph(run, folder / "live.png", (1280, 560))
        live = server.dom(f"v2/{run}?tab=TaskRuns")
        assert shooting.wait(300) == 3
        with sqlite3.connect(folder / ".secondunit" / "ledger.sqlite") as db:
            (here,) = db.execute("SELECT count(*) FROM orders WHERE state = 'kept'").fetchone()
        assert 2 <= here <= 4
        yield Night(server, run, live, folder / "live.png", here)


def words(page: str) -> str:
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def test_a_run_under_way_tells_who_rolls_and_who_waits(night: Night) -> None:
    shown = words(night.live)
    assert "Harbour at night" in shown
    assert "Waiting for a slot" in shown
    assert "Lamp · gen4.5 · take 1" in shown


def test_bars_of_shots_that_wait_are_grey_and_others_are_not(night: Night) -> None:
    """Those that are here are green; those that roll, if one does at that moment, blue."""
    with Image.open(night.picture) as picture:
        graph = picture.convert("RGB").crop((280, 150, 1090, 440))
    colours = [c for n, c in graph.getcolors(1 << 20) or () if n > 2000]
    assert any(g > r + 60 and g > b + 40 for r, g, b in colours), colours
    assert any(60 < r < 120 and abs(r - b) < 25 and abs(r - g) < 25 for r, g, b in colours), colours


def test_the_list_of_tasks_tells_who_needs_a_person(night: Night) -> None:
    shown = words(night.server.dom(f"v2/{night.run}?tab=TaskRuns"))
    assert "Held: moderated" in shown
    assert "In doubt: decide" in shown


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_dailies_show_their_stills_and_what_to_do(night: Night, interface: str) -> None:
    page = night.server.dom(interface + night.server.page(night.run, "dailies"))
    shown = words(page)
    assert f"{night.here} of 6 shots are here" in shown
    assert "Held: moderated" in shown
    assert "secondunit settle" in shown
    assert len(re.findall(r'<img[^>]*src="data:image/webp;base64,\w', page)) == night.here


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_call_sheet_and_the_progress_say_what_it_costs(night: Night, interface: str) -> None:
    sheet = words(night.server.dom(interface + night.server.page(night.run, "call-sheet")))
    assert "at most 288 credits ($2.88), cap 800 credits ($8.00)" in sheet
    progress = words(night.server.dom(interface + night.server.page(night.run, "progress")))
    assert f"{night.here} of 6 shots" in progress
    assert "of 800 credits" in progress
