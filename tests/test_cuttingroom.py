"""A cut is made as its clips arrive, kept by content, and joined to the frame."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cutting import idle, planned, source
from footage import (
    TV709,
    counting,
    digests,
    ffmpeg,
    lumas,
    numbers,
    pitch,
    samples,
    small_disk,
    tone,
)

from secondunit.cut import WHOLE, Profile, Trim
from secondunit.cut.edit import PLAIN, Card, Edit, Lettering, Line, Look, Transition
from secondunit.cuttingroom import CuttingRoom
from secondunit.errors import CutError, DiskTrouble
from secondunit.splice import shelf
from secondunit.splice.chapters import UNTOLD
from secondunit.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from secondunit.splice import Film
    from secondunit.splice.mix import Source

FPS = Fraction(24)
FILM = Profile(160, 90, FPS)
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "12")
DISSOLVE = Transition("dissolve", Fraction(1, 3))
FADE = Transition("fade", Fraction(1, 4))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    team = Workers()
    yield team
    team.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    """Clips of two seconds that fit the film, and one of 30 frames a second that does not."""
    folder = tmp_path_factory.mktemp("clips")
    for name, fps, sound in (
        ("a", "24", ""),
        ("b", "24", tone(600, 2)),
        ("odd", "30", tone(300, 2)),
    ):
        counting(
            folder / f"{name}.mp4", *X264, size="160x90", fps=fps, frames=2 * int(fps), sound=sound
        )
    for name, picture in (("tall", "testsrc2=s=90x160"), ("white", "color=white:s=160x90")):
        shown = f"{picture}:r=24,format=yuv420p,setsar=1,{TV709}"
        ffmpeg("-f", "lavfi", "-i", shown, "-frames:v", 24, *X264, folder / f"{name}.mp4")
    return {p.stem: source(p) for p in folder.glob("*.mp4")}


@dataclass
class Heard:
    """What whoever watches was told."""

    told: list[tuple[str, ...]] = field(default_factory=list)

    def saw(self, shot: str, stage: str, detail: str = "") -> None:
        self.told.append((shot, stage, detail))


@dataclass
class Stage:
    """A folder in which films of some clips are cut."""

    folder: Path
    workers: Workers
    clips: dict[str, Source]
    heard: Heard = field(default_factory=Heard)

    @property
    def film(self) -> Path:
        return self.folder / "film.mp4"

    @property
    def kept(self) -> set[str]:
        return {path.name for path in (self.folder / "conformed").glob("*.mp4")}

    def room(self, shots: Sequence[tuple[str, Edit]], trim: Trim, **how: Any) -> CuttingRoom:
        plan = planned(shots, FILM, trim, **how)
        return CuttingRoom(plan, self.folder / "conformed", self.workers, self.heard)  # type: ignore[arg-type]  # stages are text here

    def make(
        self,
        shots: Sequence[tuple[str, Edit]],
        trim: Trim = WHOLE,
        *,
        before: Callable[[CuttingRoom], object] = lambda _: None,
        **how: Any,
    ) -> tuple[Film, CuttingRoom]:
        """Make a film of clips, by name, in that order; `before` it is joined, do something."""
        room = self.room(shots, trim, **how)

        async def work() -> Film:
            for entry in room.plan.cut:
                await room.prepare(entry, self.clips[entry.key])
            before(room)
            return await room.join(self.film, UNTOLD)

        return asyncio.run(work()), room


@pytest.fixture
def stage(tmp_path: Path, workers: Workers, clips: dict[str, Source]) -> Stage:
    return Stage(tmp_path, workers, clips)


def told(stage: Stage, stage_name: str) -> list[str]:
    return [shot for shot, name, _ in stage.heard.told if name == stage_name]


def test_clips_that_fit_are_joined_untouched(stage: Stage) -> None:
    film, _ = stage.make([("a", PLAIN), ("b", PLAIN)])
    assert film.frames == 96
    assert stage.kept == set()
    assert digests(stage.film) == digests(stage.clips["a"].path) + digests(stage.clips["b"].path)


def test_a_trimmed_clip_that_fits_is_not_conformed(stage: Stage) -> None:
    """Its groups of pictures are copied, and the rest is rendered from it."""
    film, _ = stage.make([("a", PLAIN)], Trim(Fraction(1, 4), Fraction(7, 4)))
    assert numbers(stage.film) == list(range(6, 42))
    assert film.frames == 36
    assert told(stage, "conforming") == []
    assert digests(stage.film)[6:34] == digests(stage.clips["a"].path)[12:40]


def test_a_dissolve_makes_the_film_shorter_and_says_where_every_shot_is(stage: Stage) -> None:
    film, room = stage.make(
        [("a", PLAIN), ("odd", Edit(into=DISSOLVE)), ("b", Edit(into=DISSOLVE))]
    )
    assert film.frames == 3 * 48 - 2 * 8 == len(digests(stage.film))
    assert [(p.shot, p.start, p.frames) for p in film.placed] == [
        ("a0", 0, 48), ("odd1", 40, 48), ("b2", 80, 48),
    ]  # fmt: skip
    cut = room.cut()
    assert [join["cost"] for join in room.joins(cut)] == [8, 8]
    assert room.told(room.plan.cut[1], cut)["transition"] == "dissolve"
    assert len(samples(stage.film)) >= film.frames * 2000, "b and odd have sound"


def test_handles_are_used_before_anything_is_lost(stage: Stage) -> None:
    """Frames outside the trim pay for the dissolve: the film is as long as its trims."""
    trim = Trim(Fraction(1, 4), Fraction(7, 4))
    film, room = stage.make([("a", PLAIN), ("odd", Edit(into=DISSOLVE))], trim)
    assert film.frames == 72
    (join,) = room.joins(room.cut())
    assert (join["frames"], join["cost"]) == (8, 0)
    found = numbers(stage.film)
    assert found[:32] == list(range(6, 38))
    assert room.told(room.plan.cut[1], room.cut())["in"] == 0.25


def test_a_span_is_rendered_as_soon_as_both_its_shots_are_there(stage: Stage) -> None:
    room = stage.room([("a", PLAIN), ("b", Edit(into=DISSOLVE)), ("a", Edit(into=DISSOLVE))], WHOLE)

    async def some() -> None:
        await room.prepare(room.plan.cut[1], stage.clips["b"])
        assert room._spans == {}
        await room.prepare(room.plan.cut[0], stage.clips["a"])
        await idle(room)
        assert len(stage.kept) == 1
        await room.prepare(room.plan.cut[2], stage.clips["a"])
        await room.join(stage.film, UNTOLD)

    asyncio.run(some())
    assert len(stage.kept) == 2, "and what was rendered then is what the film needs"


def test_a_changed_shot_costs_its_own_work_only(stage: Stage, tmp_path: Path) -> None:
    shots = [("odd", PLAIN), *[("a", Edit(into=DISSOLVE)), ("odd", Edit(into=DISSOLVE))] * 2]
    stage.make(shots)
    old, made = stage.kept, stage.film.read_bytes()
    new = counting(tmp_path / "new.mp4", *X264, size="160x90", fps="30", frames=60)
    stage.clips = {**stage.clips, "new": source(new)}
    stage.heard.told.clear()
    stage.make([*shots[:4], ("new", Edit(into=DISSOLVE))])
    assert told(stage, "conforming") == ["new4"]
    assert len(stage.kept - old) == 2, "the clip, and its one dissolve"
    stage.heard.told.clear()
    stage.make(shots)
    assert told(stage, "conforming") == []
    assert stage.film.read_bytes() == made, "the same cut makes the same bytes"


@pytest.mark.covers("E7")
@pytest.mark.parametrize("way", ["flipped", "cut", "unnoted"])
def test_whatever_was_damaged_is_made_again(stage: Stage, way: str) -> None:
    shots = [("odd", Edit(before=(Card(("One",), Fraction(1, 2)),))), ("a", Edit(into=DISSOLVE))]
    stage.make(shots)
    good = digests(stage.film)
    assert len(stage.kept) == 3, "a card, a conformed clip and a dissolve"
    for name in stage.kept:
        path = stage.folder / "conformed" / name
        data = bytearray(path.read_bytes())
        data[-30] ^= 4
        if way == "unnoted":
            path.with_suffix(".sha256").unlink()
        else:
            path.write_bytes(data if way == "flipped" else data[:-30])
    stage.make(shots)
    assert digests(stage.film) == good


def test_a_transition_that_the_clips_cannot_give_is_shortened_and_said_so(stage: Stage) -> None:
    long = Transition("wipe", Fraction(3))
    film, _ = stage.make([("a", PLAIN), ("b", Edit(into=long))])
    assert film.frames == 48
    (said,) = [detail for shot, _, detail in stage.heard.told if shot == "The film"]
    assert said == ("The wipe into b1 lasts 2 s instead of 3 s: the clips have no more frames.")


def test_a_film_fades_in_and_out(stage: Stage) -> None:
    stage.make([("white", Edit(into=FADE, out=FADE))])
    light = [round(float(luma.mean())) for luma in lumas(stage.film)]
    assert light[:6] == sorted(set(light[:6])), "from black, lighter and lighter"
    assert light[18:] == light[5::-1], "and back again"
    assert light[0] < 18
    assert min(light[6:18]) > 230


@pytest.mark.parametrize(("speed", "frames"), [(Fraction(2), 24), (Fraction(1, 2), 96)])
def test_speed_changes_the_length_and_keeps_the_pitch(
    stage: Stage, speed: Fraction, frames: int
) -> None:
    film, _ = stage.make([("b", Edit(speed=speed))])
    assert film.frames == frames
    assert numbers(stage.film) == [int((at + Fraction(1, 2)) * speed) for at in range(frames)]
    sound = samples(stage.film)
    assert abs(len(sound) - frames * 2000) <= 1024
    assert abs(pitch(sound[2000:-2000]) - 600) <= 12


def test_a_muted_shot_is_silent_and_a_film_of_them_has_no_track(stage: Stage) -> None:
    film, _ = stage.make([("b", Edit(gain=None)), ("b", PLAIN)])
    heard = np.abs(samples(stage.film)).max(1)
    assert heard[: 47 * 2000].max() < 0.01 < heard[49 * 2000 :].max()
    film, _ = stage.make([("b", Edit(gain=None))])
    assert not film.sound


def test_cards_stand_where_they_were_put(stage: Stage) -> None:
    one = Card(("One",), Fraction(1, 2), background="#ffffff", colour="#000000")
    end = Card(("The End",), Fraction(1), into=DISSOLVE)
    film, room = stage.make([("a", Edit(before=(one,), after=(end,), out=FADE))])
    assert [place.shot for place in film.placed] == ["“One”", "a0", "“The End”"]
    assert film.frames == 12 + 48 + 24 - 8
    light = [float(luma.mean()) for luma in lumas(stage.film)]
    assert min(light[:12]) > 180
    assert light[-1] < 20
    assert numbers(stage.film)[12:50] == list(range(38))
    assert room.told(room.plan.cut[0], room.cut())["film_start"] == 12


@pytest.mark.parametrize("where", ["burn", "file", "both", "none"])
def test_dialogue_goes_where_it_is_wanted(stage: Stage, where: str) -> None:
    said = Edit(dialogue=(Line("Nobody comes here any more.", "KEEPER"),))
    look = Look(captions=where)  # type: ignore[arg-type]  # a parameter: one of the ways of captions
    stage.make([("a", PLAIN), ("a", said)], look=look)
    asyncio.run(_caption(stage, said, look))
    changed = digests(stage.film)[48:] != digests(stage.clips["a"].path)
    assert changed == (where in ("burn", "both"))
    beside = stage.film.with_suffix(".srt")
    assert beside.exists() == (where in ("file", "both"))
    if beside.exists():
        assert "00:00:02,000 --> " in beside.read_text("utf-8")


async def _caption(stage: Stage, said: Edit, look: Look) -> None:
    room = stage.room([("a", PLAIN), ("a", said)], WHOLE, look=look)
    for entry in room.plan.cut:
        await room.prepare(entry, stage.clips["a"])
    await room.caption(stage.film)


def test_words_lie_over_their_shot(stage: Stage) -> None:
    title = Lettering("title", ("Hello",), Fraction(1, 2), Fraction(1))
    stage.make([("a", Edit(letterings=(title,)))])
    before, after = digests(stage.clips["a"].path), digests(stage.film)
    assert after[:12] == before[:12]
    assert after[36:] == before[36:]
    assert all(a != b for a, b in zip(after[13:35], before[13:35], strict=True))


def test_letters_that_no_font_has_are_told(stage: Stage) -> None:
    title = Lettering("title", ("Hello \uf8ff",))
    stage.make([("a", Edit(letterings=(title,)))])
    (said,) = [said for shot, _, said in stage.heard.told if shot == "a0"]
    assert said.startswith("No font on this machine has \uf8ff: a box is shown instead.")


@pytest.mark.parametrize("fit", ["pad", "crop", "blur"])
def test_another_shape_is_fitted_as_asked(stage: Stage, fit: str) -> None:
    stage.make([("tall", PLAIN)], look=Look(fit=fit))  # type: ignore[arg-type]  # a parameter: one of the fits
    luma = next(lumas(stage.film))
    edges = np.concatenate([luma[:, :40].ravel(), luma[:, -40:].ravel()])
    assert luma.shape == (90, 160)
    if fit == "pad":
        assert edges.max() < 20
    elif fit == "crop":
        assert edges.std() > 30
    else:
        assert 30 < edges.mean() < 120
        assert np.abs(np.diff(luma[45, :40].astype(int))).max() < 20, "it is soft"


# What is kept


DAY = 86400.0


def age(paths: Iterable[Path], days: float) -> None:
    for path in paths:
        os.utime(path, (time.time() - days * DAY,) * 2, follow_symlinks=False)


MIXED = [("odd", PLAIN), ("b", Edit(into=DISSOLVE))]
"""With a conformed clip, a dissolve and a track."""


def test_pieces_that_no_film_used_for_a_month_are_swept(stage: Stage) -> None:
    stage.make([("odd", Edit(speed=Fraction(2)))])
    others = set((stage.folder / "conformed").iterdir())
    assert {path.suffix for path in others} == {".mp4", ".sha256", ".track", ".chunk"}
    stage.make(MIXED)
    ours = set((stage.folder / "conformed").iterdir()) - others
    age(ours | others, 31)
    stage.heard.told.clear()
    stage.make(MIXED)
    assert told(stage, "conforming") == [], "they were still there"
    assert set((stage.folder / "conformed").iterdir()) == ours
    age(ours, 29)
    stage.make([("a", PLAIN)])
    assert ours <= set((stage.folder / "conformed").iterdir()), "not yet"
    assert all(time.time() - path.stat().st_mtime > 28 * DAY for path in ours)
    stage.make(MIXED)
    assert all(time.time() - path.stat().st_mtime < DAY for path in ours), "used again"


def test_whatever_is_no_piece_of_a_film_is_never_swept(stage: Stage, tmp_path: Path) -> None:
    kept, name = stage.folder / "conformed", "a" * 63
    kept.mkdir()
    own = tmp_path / "own.mp4"
    own.write_bytes(b"mine")
    (kept / f"{name}1.mp4").symlink_to(own)
    (kept / f"{name}2.mp4").mkdir()
    (kept / "notes.txt").write_text("mine")
    (kept / f"{name}3.wav").write_text("mine")
    (kept / f"{name}4.chunk").write_text("ours, of long ago")
    (kept / ".part-1-young").write_text("another is at it")
    old = set(kept.iterdir())
    age([own, *old - {kept / ".part-1-young"}], 400)
    stage.make([("a", PLAIN)])
    assert set(kept.iterdir()) == old - {kept / f"{name}4.chunk"}
    assert own.read_bytes() == b"mine"


def test_a_folder_that_is_a_link_is_not_swept(stage: Stage, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{'a' * 64}.mp4").write_bytes(b"mine")
    age(elsewhere.iterdir(), 400)
    (stage.folder / "conformed").symlink_to(elsewhere)
    stage.make([("a", PLAIN)])
    assert len(list(elsewhere.iterdir())) == 1


@pytest.mark.parametrize("what", ["utime", "unlink", "open"])
def test_a_disk_that_refuses_to_tidy_up_costs_no_film(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    stage.make(MIXED)
    ours = set((stage.folder / "conformed").iterdir())
    (stage.folder / "conformed" / f"{'a' * 64}.mp4").write_bytes(b"old")
    age((stage.folder / "conformed").iterdir(), 31)
    refused = []

    def refusing(path: Any, *args: Any, **how: Any) -> Any:
        refused.append(path)
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(shelf, "os", SimpleNamespace(**{**vars(os), what: refusing}))
    film, _ = stage.make(MIXED)
    assert film.frames == len(digests(stage.film))
    assert refused
    assert ours <= set((stage.folder / "conformed").iterdir()), "the film's own stay"


# When it goes wrong


def test_a_film_with_a_shot_missing_says_which(stage: Stage) -> None:
    room = stage.room([("a", PLAIN), ("b", PLAIN)], WHOLE)
    asyncio.run(room.prepare(room.plan.cut[0], stage.clips["a"]))
    with pytest.raises(CutError, match="The film needs b1, which did not come back"):
        asyncio.run(room.join(stage.film, UNTOLD))


@pytest.mark.covers("E4")
def test_a_disk_that_fills_up_leaves_the_old_film(stage: Stage) -> None:
    with small_disk(stage.folder, "40k") as disk:
        small = Stage(disk, stage.workers, stage.clips)
        small.film.write_bytes(b"the old film")
        with pytest.raises(DiskTrouble, match="the disk is full"):
            small.make([("odd", PLAIN), ("a", Edit(into=DISSOLVE))])
        assert small.film.read_bytes() == b"the old film"


@pytest.mark.covers("A12", "A16")
def test_a_worker_killed_at_a_span_leaves_the_old_film_and_the_next_run_makes_the_new_one(
    stage: Stage,
) -> None:
    stage.film.write_bytes(b"the old film")
    stage.workers = Workers()
    title = Edit(letterings=(Lettering("title", ("Hello",)),))
    shots = [("a", title)] * 4

    def kill(room: CuttingRoom) -> None:
        assert stage.workers._pool
        processes = list(stage.workers._pool._processes)
        threading.Thread(target=_kill_once_writing, args=(processes, room.folder)).start()

    try:
        with pytest.raises(CutError, match="worker process was killed"):
            stage.make(shots, before=kill)
        assert stage.film.read_bytes() == b"the old film"
        film, _ = stage.make(shots)
        assert film.frames == 4 * 48
    finally:
        stage.workers.close()


def _kill_once_writing(processes: list[int], folder: Path) -> None:
    while not list(folder.glob(".part-*")):
        time.sleep(0.002)
    for process in processes:
        os.kill(process, signal.SIGKILL)


def test_a_clip_that_changes_while_a_span_is_rendered_does_not_get_into_the_film(
    stage: Stage, tmp_path: Path
) -> None:
    own = tmp_path / "own.mp4"
    own.write_bytes(stage.clips["a"].path.read_bytes())
    stage.clips = {**stage.clips, "own": replace(stage.clips["a"], path=own)}
    shots = [("b", PLAIN), ("own", Edit(into=DISSOLVE))]
    own.write_bytes(stage.clips["b"].path.read_bytes())
    with pytest.raises(CutError, match=r"own\.mp4 was changed while the film was being made"):
        stage.make(shots)
    assert not stage.film.exists()
