"""What a film is delivered as: made of the takes that are there, once, and listed with the film."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from footage import TV709, counting, ffmpeg, likeness, numbers, pitch, rgb, samples, spelt, tone
from onset import Production, tiny
from PIL import Image
from programs import BIN
from strict import listening

from secondunit import cli, delivering, production
from secondunit.errors import EXIT_FILM, EXIT_SHOTS, EXIT_SPEC
from secondunit.media import probe
from secondunit.plan.planner import Choices, compile_plan
from secondunit.shotlist import read
from secondunit.store import digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from secondunit.crew import Project
    from secondunit.plan import Plan
    from secondunit.take import Unit

HEAD = """title: Ström
ratio: "160:90"
fps: 24
gateway: runway
shots:
  one: {clip: one.mp4}
  two: {clip: two.mp4}
deliverables:
"""
ALL = """  web: {format: hevc, crf: 30}
  open: {format: vp9, height: 46}
  tall: {ratio: "9:16", fit: crop, height: 160}
  large: {height: 180}
  loop: gif
  still: {format: poster, at: 1.25}
  sheet: contact_sheet
"""
FINE = f"testsrc2=s=320x180:r=24,noise=alls=20:allf=t,format=yuv420p,setsar=1,{TV709}"


@dataclass
class House:
    """A project with a film, and the command as a person types it."""

    at: Production

    @property
    def file(self) -> Path:
        return self.at.folder / "film.yaml"

    @property
    def films(self) -> Path:
        return self.at.project.films

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.films / "film.manifest.json").read_text()))

    def write(self, deliverables: str = ALL, head: str = HEAD) -> None:
        self.file.write_text(head + deliverables, "utf-8")

    def shoot(self) -> None:
        """Make the film as a run does, without anybody to watch it."""
        plan = compile_plan(read(str(self.file)), Choices())

        async def work(unit: Unit) -> None:
            making = production.Production(plan, unit, self.at.project, unit.ledger, self.at.seen)  # type: ignore[arg-type]  # stages are text here
            try:
                for step in plan.steps:
                    await making.roll(step)
                for entry in plan.cut:
                    await making.prepare(entry)
                await making.join()
            finally:
                making.close()

        self.at.run(plan, work)

    def call(self, command: str, *args: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = cli._run([command, str(self.file), *args])
        return code, out.getvalue(), err.getvalue()

    def deliver(self, *args: str) -> tuple[int, str, str]:
        return self.call("deliver", *args)

    def stamps(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self.films.iterdir()}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two clips: one that counts, and one of finer detail than the film can show."""
    folder = tmp_path_factory.mktemp("shelf")
    counting(folder / "one.mp4", size="160x90", frames=36, sound=tone(500, 1.5))
    ffmpeg("-f", "lavfi", "-i", FINE, "-frames:v", 12, "-qp", 4, folder / "two.mp4")
    with listening(tiny(tmp_path_factory.mktemp("tiny"))) as strict:
        house = House(Production(folder, strict))
        house.write()
        house.shoot()
        assert not strict.tickets
    return folder


@pytest.fixture
def house(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Production
) -> Iterator[House]:
    """The same project, in this test's own folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    shutil.copytree(shelf, tmp_path, dirs_exist_ok=True)
    yield House(at)
    assert not at.strict.tickets, "nothing was ordered"


def test_everything_is_made_once_and_listed(house: House) -> None:
    code, out, err = house.deliver()
    assert (code, err) == (EXIT_FILM, "")
    names = ["web", "open", "tall", "large", "loop", "still", "sheet"]
    listed = house.manifest["deliverables"]
    assert [entry["name"] for entry in listed] == names
    for entry in listed:
        path = house.films / entry["path"]
        assert path.stat().st_size == entry["size"]
        assert f"{entry['name']} is {path}" in out

    found = {e["name"]: house.films / e["path"] for e in listed}
    sizes = {"web": (160, 90), "open": (82, 46), "tall": (90, 160), "large": (320, 180)}
    for name, size in sizes.items():
        facts = probe(found[name])
        assert (facts.width, facts.height, facts.fps, facts.frames) == (*size, 24, 48), name
        assert abs(pitch(samples(found[name])[4800:67_200]) - 500) <= 1, name
    assert [probe(found[name]).codec for name in ("web", "tall", "large")] == [
        "hevc", "h264", "h264",
    ]  # fmt: skip
    assert numbers(found["web"])[:36] == list(range(36))
    with Image.open(found["loop"]) as gif:
        assert (gif.n_frames, gif.size) == (24, (160, 90))

    before = house.stamps()
    code, out, _ = house.deliver()
    assert code == EXIT_FILM
    assert out.startswith("Nothing changed; every deliverable is there.")
    assert house.stamps() == before


def test_what_is_larger_than_the_film_is_made_of_the_clips(house: House) -> None:
    """The film lost the fine detail of the second clip; the deliverable has it."""
    assert house.deliver("large")[0] == EXIT_FILM
    clip = rgb(house.at.folder / "two.mp4")[6]
    assert likeness(rgb(house.films / "film.large.mp4")[42], clip) > 33
    assert likeness(rgb(house.films / "film.mp4")[42], clip) < 28


def test_a_poster_is_the_very_frame(house: House) -> None:
    house.deliver("still")
    with Image.open(house.films / "film.still.png") as poster:
        assert poster.size == (160, 90)
        assert spelt(np.asarray(poster.convert("L"))) == 30


def test_a_contact_sheet_shows_every_shot(house: House) -> None:
    house.deliver("sheet")
    with Image.open(house.films / "film.sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 2 * 480
        left = np.asarray(sheet.convert("L"))[60 : 60 + 270, 12 : 12 + 480]
    assert spelt(left) == 18, "the middle of the first shot"


def test_a_deliverable_says_which_film_it_is_of(house: House) -> None:
    house.deliver("web", "large")
    for name in ("film.mp4", "film.web.mp4", "film.large.mp4"):
        with av.open(str(house.films / name)) as clip:
            said = clip.metadata
            chapters = [chapter["metadata"]["title"] for chapter in clip.chapters()]
        assert said["title"] == "Ström"
        assert said["comment"].endswith(
            f" · plan {house.manifest['plan']} · manifest {house.manifest['key']}"
        )
        assert chapters == ["one", "two"]


def test_only_what_changed_is_made_again(house: House) -> None:
    house.deliver("web", "still")
    before = house.stamps()
    house.write(ALL.replace("crf: 30", "crf: 40"))
    (house.films / "film.still.png").write_bytes(b"somebody wrote here")
    _, out, _ = house.deliver("web", "still", "--format", "json")
    page = json.loads(out)
    assert [(one["name"], one["made"]) for one in page["deliverables"]] == [
        ("web", True), ("still", True),
    ]  # fmt: skip
    assert (page["exit_code"], page["credits_spent"], page["failures"]) == (0, 0, [])
    after = house.stamps()
    assert after["film.mp4"] == before["film.mp4"]
    assert json.loads(house.deliver("web", "--format", "json")[1])["deliverables"][0]["made"] is (
        False
    )


def test_captions_lie_beside_a_deliverable_as_beside_the_film(house: House) -> None:
    house.write(head=SAID)
    house.shoot()
    assert house.deliver("web", "loop")[0] == EXIT_FILM
    listed = {entry["name"]: entry["captions"] for entry in house.manifest["deliverables"]}
    assert listed == {"web": ["film.web.srt", "film.web.vtt"], "loop": []}
    for ending in ("srt", "vtt"):
        beside = (house.films / f"film.web.{ending}").read_text()
        assert beside == (house.films / f"film.{ending}").read_text()
        assert "Who is there?" in beside
    (house.films / "film.web.srt").unlink()
    house.deliver("web")
    assert (house.films / "film.web.srt").exists()


SAID = HEAD.replace("{clip: one.mp4}", "{clip: one.mp4, dialogue: Who is there?}")


def lettered(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in (".srt", ".vtt")}


@pytest.mark.parametrize("way", ["nothing is said", "switched off"])
def test_captions_that_a_film_has_no_more_do_not_lie_beside_it(house: House, way: str) -> None:
    house.write(head=SAID)
    house.shoot()
    house.deliver("web", "large")
    own = house.films / "film.en.srt"
    own.write_text("the author's own")
    house.write(head=HEAD if way == "nothing is said" else f"cut: {{captions: none}}\n{SAID}")
    house.shoot()
    assert house.manifest["captions"] == []
    of_others = {f"film.{name}.{end}" for name in ("web", "large") for end in ("srt", "vtt")}
    assert lettered(house.films) == {own.name, *of_others}, "they fit what they lie beside"
    house.shoot()
    house.deliver("web")
    assert lettered(house.films) == {own.name, "film.large.srt", "film.large.vtt"}
    (house.films / "film.web.srt").write_text("written by hand since")
    (house.films / "film.web.mp4").unlink()
    house.deliver()
    assert lettered(house.films) == {own.name, "film.web.srt"}
    assert "earlier_captions" not in house.manifest, "nothing of them is left"


def test_a_deliverable_whose_captions_are_switched_off_loses_them(house: House) -> None:
    house.write("  web: hevc\n", SAID)
    house.shoot()
    house.deliver()
    house.write("  web: {format: hevc, captions: burn}\n", SAID)
    house.deliver()
    assert lettered(house.films) == {"film.srt", "film.vtt"}


def test_captions_that_are_not_ours_are_never_removed(house: House) -> None:
    """A link, whatever a manifest names that is no caption of the film, and what none names."""
    other = house.at.folder / "notes.srt"
    other.write_text("mine")
    (house.films / "film.srt").symlink_to(other)
    (house.films / "film.vtt").write_text("mine")
    named = house.manifest | {"captions": ["film.srt", "../notes.srt", "../one.mp4", "two.vtt"]}
    (house.films / "film.manifest.json").write_text(json.dumps(named))
    house.shoot()
    assert lettered(house.films) == {"film.srt", "film.vtt"}
    assert other.read_text() == "mine"
    assert (house.at.folder / "one.mp4").exists()


@pytest.mark.parametrize("garbage", ["", "[]", '{"captions": 5, "deliverables": []}'])
def test_a_manifest_that_nobody_can_read_costs_no_film(house: House, garbage: str) -> None:
    (house.films / "film.manifest.json").write_text(garbage)
    (house.films / "film.srt").write_text("mine")
    house.shoot()
    assert house.manifest["captions"] == []
    assert lettered(house.films) == {"film.srt"}


def test_captions_that_cannot_be_removed_are_told_and_the_film_is_made(house: House) -> None:
    house.write(head=SAID)
    house.shoot()
    srt = house.films / "film.srt"
    srt.unlink()
    srt.mkdir()
    house.write()
    house.shoot()
    assert house.manifest["captions"] == []
    told = [said for shot, _, said in house.at.seen.stages if shot == "The film"]
    assert told == [f"{srt} is of an earlier cut, and could not be removed: is a directory."]
    assert lettered(house.films) == {"film.srt"}, "and the other one is gone"


def test_what_is_delivered_lies_with_the_film_in_the_shared_store(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.write(head=SAID)
    house.shoot()
    nas = tmp_path / "nas"
    monkeypatch.setenv("SECONDUNIT_STORE", str(nas))
    code, out, err = house.deliver("still")
    assert code == EXIT_FILM, "what fails there costs no deliverable"
    assert f"still is {house.films / 'film.still.png'}" in out
    assert "could not be copied to the shared store" in err
    nas.mkdir()
    where = nas / "films/film" / digest(house.films / "film.mp4")[:12]
    assert house.deliver("still")[2] == f"Copied to file://{where}/film.mp4\n"
    assert house.deliver("sheet")[2] == f"Copied to file://{where}/film.sheet.png\n"
    assert house.deliver("sheet", "still")[2] == ""
    there = {path.name: path.read_bytes() for path in where.iterdir()}
    assert {"film.srt", "film.vtt"} < set(there)
    assert there == {path.name: path.read_bytes() for path in house.films.iterdir()}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["wbe"], "There is no deliverable called `wbe`. Did you mean `web`? Nothing was made."),
        (["zzz"], "There are web, open, tall, large, loop, still, sheet. Nothing was made."),
    ],
)
def test_a_name_that_is_none_is_told(house: House, names: list[str], message: str) -> None:
    code, _, err = house.deliver(*names)
    assert code == EXIT_SPEC
    assert message in err


def test_a_shot_list_without_any_says_how_to_write_them(house: House) -> None:
    house.write("  {}\n")
    code, _, err = house.deliver()
    assert code == EXIT_SPEC
    assert "names no `deliverables`. Add some" in err


@pytest.mark.parametrize("way", ["never shot", "changed since"])
def test_a_film_that_is_not_there_is_shot_first(house: House, way: str) -> None:
    if way == "never shot":
        (house.films / "film.mp4").unlink()
    else:
        house.write(head=HEAD.replace("{clip: two.mp4}", "{clip: two.mp4, speed: 2}"))
    code, out, err = house.deliver("web")
    assert (code, out) == (EXIT_SHOTS, "")
    assert "Shoot first: secondunit shoot" in err
    assert "nothing was ordered" in err
    assert not (house.films / "film.web.mp4").exists()


def test_one_that_cannot_be_made_leaves_the_others_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one is made of the clips, one of which changes meanwhile; the other one is of the film."""
    see = delivering._see_film

    def changing(plan: Plan, project: Project) -> None:
        see(plan, project)
        (house.at.folder / "two.mp4").write_bytes(b"another clip")

    monkeypatch.setattr(delivering, "_see_film", changing)
    code, out, err = house.deliver("large", "still")
    assert code == EXIT_SHOTS
    assert "two.mp4 was changed while the film was being made" in err
    assert not (house.films / "film.large.mp4").exists()
    assert f"still is {house.films / 'film.still.png'}" in out


def test_shoot_tells_that_there_are_deliverables(house: House) -> None:
    code, out, _ = house.call("shoot")
    assert code == EXIT_FILM
    assert out.splitlines()[-1] == (
        "To make of it, at no cost: web, open, tall, large, loop, still, sheet."
        f" Then: secondunit deliver {house.file}"
    )


@pytest.mark.covers("A16")
@pytest.mark.parametrize("whom", ["the command", "the encoder"])
def test_whatever_is_ended_half_way_leaves_what_was_there(
    house: House, environment: dict[str, str], whom: str
) -> None:
    house.write("  master: {format: prores, height: 360}\n")
    out = house.films / "film.master.mov"
    out.write_bytes(b"before")
    run = subprocess.Popen(
        [BIN / "secondunit", "deliver", house.file], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (parts := list(house.films.glob(".part-*"))) and run.poll() is None:
        time.sleep(0.01)
    encoder = int(parts[0].name.split("-")[1])
    assert encoder != run.pid
    os.kill(*((run.pid, signal.SIGINT) if whom == "the command" else (encoder, signal.SIGKILL)))
    _, err = run.communicate(timeout=60)
    if whom == "the command":
        assert (run.returncode, err) == (
            130, "Interrupted. What was made stays; run the same command again.\n"
        )  # fmt: skip
    else:
        assert run.returncode == EXIT_SHOTS
        assert "A worker process was killed" in err
    assert out.read_bytes() == b"before"
    assert house.manifest["deliverables"] == []
    assert not house.deliver()[0], "and the next one makes it"
    assert probe(out).frames == 48
    assert not list(house.films.glob(".part-*"))
