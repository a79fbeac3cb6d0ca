"""The lessons and the README, tried as a new user would."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import av
import pytest
from programs import BIN

from secondunit.backlot import Rules, running

ROOT = Path(__file__).parent.parent
LESSONS = ROOT / "examples"


def secondunit(
    environment: dict[str, str], *arguments: object, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "secondunit", *map(str, arguments)],
        env={**environment, **more}, capture_output=True, text=True, timeout=170, cwd=ROOT,
        check=False,
    )  # fmt: skip


def frames(film: Path) -> tuple[int, tuple[int, int], str, int]:
    """Return frames decoded, size, codec and rate of a film."""
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        size, rate = (stream.width, stream.height), stream.average_rate
        count = sum(1 for _ in container.decode(video=0))
        assert rate is not None
        return count, size, stream.codec_context.name, int(rate)


@pytest.mark.parametrize(
    ("lesson", "length", "size", "shots"),
    [
        ("01_three_shots", 3 * 120, (1280, 720), 3),
        ("02_cast_and_scenes", 120 + 120 + 96, (1584, 672), 3),
        ("03_continue_and_edit", 24 + 120 + 120 + 72 + 96, (1280, 720), 5),
    ],
)
def test_a_lesson_makes_its_film(
    environment: dict[str, str], prefect_api: str, tmp_path: Path,
    lesson: str, length: int, size: tuple[int, int], shots: int,
) -> None:  # fmt: skip
    """Each lesson that needs no key makes a film of exactly the frames its shots say."""
    done = secondunit(
        environment, "shoot", LESSONS / lesson / "shots.yaml", "--out", tmp_path,
        PREFECT_API_URL=prefect_api,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert frames(tmp_path / "films" / "shots.mp4") == (length, size, "h264", 24)
    manifest = json.loads((tmp_path / "films" / "shots.manifest.json").read_text())
    assert len(manifest["shots"]) == shots
    assert manifest["film"]["frames"] == length
    assert sum(shot["film_frames"] for shot in manifest["shots"]) == length


def test_the_lesson_on_the_cut_makes_the_film_that_its_call_sheet_tells(
    environment: dict[str, str], prefect_api: str, tmp_path: Path
) -> None:
    """Transitions, card, words and sound: exactly as long as planned, and again for nothing."""
    shots = LESSONS / "05_the_cut" / "shots.yaml"
    sheet = secondunit(environment, "plan", shots, "--out", tmp_path, COLUMNS="200")
    assert (
        "film 8.7 s: 3 shots 7.2 s, 1 card 1.5 s, 3 fades, 1 dissolve, 1 wipe · sound: music"
        in (sheet.stdout)
    )
    call = ("shoot", shots, "--out", tmp_path)
    done = secondunit(environment, *call, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stdout + done.stderr
    film = tmp_path / "films" / "shots.mp4"
    assert frames(film) == (208, (1280, 720), "h264", 24)  # 8.7 s
    with av.open(str(film)) as container:
        sound = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(sound - 208 * 2000) <= 2000, "sound and picture end within a frame"
    assert "TOM: One more night." in film.with_suffix(".srt").read_text("utf-8")
    again = secondunit(environment, *call, PREFECT_API_URL=prefect_api)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "ordering" not in again.stdout


def test_the_lesson_on_runway_orders_from_its_address(
    environment: dict[str, str], prefect_api: str, tmp_path: Path
) -> None:
    """Lesson 4 speaks to a gateway with a key and a cap; here to one on this machine."""
    shots = LESSONS / "04_real_runway" / "shots.yaml"
    with running(tmp_path / "lot", Rules(latency=(0.1, 0.2))) as lot:
        own = {
            "RUNWAYML_API_SECRET": "backlot-lesson", "SECONDUNIT_RUNWAY_BASE_URL": lot,
            "PREFECT_API_URL": prefect_api,
        }  # fmt: skip
        call = ("shoot", shots, "--root", LESSONS, "--out", tmp_path)
        asked = secondunit(environment, *call, **own)
        assert asked.returncode == 2
        assert "Add --yes and a cap" in asked.stderr
        done = secondunit(environment, *call, "--yes", **own)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "at most 260 credits ($2.60), cap 300 credits ($3.00)" in done.stdout
        assert "Spent 260 credits ($2.60)" in done.stdout
        again = secondunit(environment, *call, "--yes", **own)
        assert again.returncode == 0
        assert "Spent 0 credits ($0.00), saved 260 credits ($2.60)" in again.stdout


@pytest.mark.parametrize("path", sorted(LESSONS.glob("*/shots.yaml")), ids=lambda p: p.parent.name)
def test_a_lesson_has_nothing_to_remark(environment: dict[str, str], path: Path) -> None:
    done = secondunit(environment, "check", "--strict", "--root", LESSONS, path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_project_is_right_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    """`init` writes a list that `check --strict` has nothing to say to, and never overwrites one."""
    first = secondunit(environment, "init", tmp_path / "new")
    assert first.returncode == 0, first.stderr
    done = secondunit(environment, "check", "--strict", tmp_path / "new" / "shots.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    again = secondunit(environment, "init", tmp_path / "new")
    assert again.returncode == 2
    assert "is already there; it was not touched" in again.stderr


def test_the_readmes_shot_list_is_valid(environment: dict[str, str], tmp_path: Path) -> None:
    """The list on the README's first screen is one that works."""
    text = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text is not None
    shutil.copytree(LESSONS / "01_three_shots", tmp_path, dirs_exist_ok=True)
    (tmp_path / "readme.yaml").write_text(text[1])
    done = secondunit(environment, "check", "--strict", tmp_path / "readme.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_readme_says_of_the_price_is_what_the_call_sheet_says(
    environment: dict[str, str],
) -> None:
    done = secondunit(
        environment, "plan", LESSONS / "01_three_shots" / "shots.yaml", "--gateway", "runway"
    )
    readme = (ROOT / "README.md").read_text()
    assert "at most 260 credits ($2.60)" in done.stdout
    assert "at most 260 credits ($2.60)" in readme
