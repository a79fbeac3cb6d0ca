"""What comes back is checked before it counts: fetched again when it is no clip, kept when it is odd."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import resource
import shutil
import signal
import threading
import time
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from footage import BIKES, BUNNY, CARPHONE, counting, ffmpeg, flipped, numbers, small_disk, tone
from reel import picture, reel
from strict import Life, Reply, listening
from test_take import HEAD, ONE, Production

from secondunit import production
from secondunit.errors import CutError, DiskTrouble, SpecError, Spoiled
from secondunit.media import verify
from secondunit.plan.planner import Choices, compile_plan
from secondunit.shotlist import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from strict import Strict

    from secondunit.crew import Project
    from secondunit.plan import Plan
    from secondunit.take import Unit

X264 = ("-c:v", "libx264", "-preset", "veryfast")
FAST = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    return reel(tmp_path_factory.mktemp("reel"))


@pytest.fixture
def strict(footage: Callable[..., bytes]) -> Iterator[Strict]:
    with listening(footage) as strict:
        yield strict


@pytest.fixture
def at(tmp_path: Path, strict: Strict) -> Production:
    return Production(tmp_path, strict)


# --- what is no clip: fetched again, refused before the cut, never ordered again ------------------


def _moov(data: bytes) -> int:
    return data.index(b"moov") - 4


MPD = '<?xml version="1.0"?><MPD><Period><BaseURL>http://127.0.0.1:9/</BaseURL></Period></MPD>'
BAD: dict[str, Callable[[bytes], bytes]] = {
    "0 bytes": lambda _: b"",
    "html": lambda _: b"<!DOCTYPE html><title>Sign in</title>" * 40,
    "json": lambda _: json.dumps({"error": "expired"}).encode(),
    "dash": lambda _: MPD.encode(),
    "dash behind an MP4's first box": lambda clip: clip[:32] + MPD.encode(),
    "hls": lambda _: b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n",
    "concat": lambda _: b"ffconcat version 1.0\nfile http://127.0.0.1:9/clip.mp4\n",
    "moov cut": lambda clip: clip[: _moov(clip) + 200],
    "moov missing": lambda clip: clip[: _moov(clip)],
    "picture data cut": lambda clip: clip[: len(clip) // 2],
    "a picture": lambda _: picture((1280, 720)),
    "other bytes": lambda clip: clip[::-1],
}


@pytest.mark.covers("D14", "S13")
@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_what_is_no_clip_is_fetched_again_and_costs_nothing_more(
    at: Production, strict: Strict, footage: Callable[..., bytes], make: Callable[[bytes], bytes]
) -> None:
    right = footage("clip", (1280, 720), 2.0)
    bad = make(right)
    strict.living("A door", Life(media=(bad, bad, bad, bad, right)))
    with pytest.raises(Spoiled, match=r"fetched 3 times.*not ordered again"):
        at.shoot(at.plan())
    (ticket,) = strict.tickets.values()
    assert ticket.fetched == 3
    assert not list(at.project.store.rglob("clip.mp4"))
    take = at.shoot(at.plan())
    assert take.path.read_bytes() == right
    assert (ticket.fetched, len(strict.orders), strict.charged) == (5, 1, 24)


@pytest.mark.covers("D13", "D14", "S14")
@pytest.mark.parametrize("way", ["only sound", "one frame", "bits turned over"])
def test_a_file_that_is_only_almost_a_clip_is_none(
    at: Production, strict: Strict, footage: Callable[..., bytes], way: str
) -> None:
    bad, right = at.folder / "bad.mp4", footage("clip", (1280, 720), 2.0)
    if way == "only sound":
        ffmpeg("-f", "lavfi", "-i", tone(seconds=2), bad)
    elif way == "one frame":
        counting(bad, frames=1)
    else:
        whole = at.folder / "whole.mp4"
        whole.write_bytes(right)
        flipped(whole, bad, seed=1)
    strict.living("A door", Life(media=(bad.read_bytes(), right)))
    assert at.shoot(at.plan()).path.read_bytes() == right
    (ticket,) = strict.tickets.values()
    assert (ticket.fetched, len(strict.orders)) == (2, 1)


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n"


@pytest.mark.covers("C17", "C18", "C19")
@pytest.mark.parametrize("way", ["cut", "cut, and no length told", "packed", "huge", "endless"])
def test_a_download_that_is_not_the_file_is_begun_again(
    at: Production, strict: Strict, footage: Callable[..., bytes], way: str
) -> None:
    right = footage("clip", (1280, 720), 2.0)
    half = right[: len(right) // 2]
    bomb = gzip.compress(bytes(80 << 20), 1) if way == "packed" else b""
    reply = {
        "cut": Reply(raw=HEADERS + b"Content-Length: %d\r\n\r\n" % len(right) + half),
        "cut, and no length told": Reply(raw=HEADERS + b"\r\n" + half),
        "packed": Reply(body=bomb, headers={"Content-Encoding": "gzip"}),
        "huge": Reply(raw=HEADERS + b"Content-Length: 99999999999\r\n\r\n" + half),
        "endless": Reply(raw=HEADERS + b"\r\n" + (bytes(65 << 20) if way == "endless" else b"")),
    }[way]
    strict.living("A door", Life(downloads=(reply,), media=(right,)))
    tracemalloc.start()
    try:
        take = at.shoot(at.plan())
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    assert take.path.read_bytes() == right
    assert [path.name for path in take.path.parent.iterdir()] == ["clip.mp4", "slate.json"]
    assert len(strict.orders) == 1


@pytest.mark.covers("S14")
@pytest.mark.parametrize("copies", [20, pytest.param(200, marks=pytest.mark.long)])
def test_damaged_pictures_are_found_by_decoding_alone(tmp_path: Path, copies: int) -> None:
    """At least 95 of 100; the store, which knows the hash, finds all of them."""
    found = 0
    for seed in range(copies):
        try:
            verify(flipped(CARPHONE, tmp_path / "bad.mp4", 1000 + seed))
        except Spoiled:
            found += 1
    assert found >= 0.95 * copies


# --- what is a clip, and not as ordered: paid for, kept, said -------------------------------------

VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
ODD = {
    "3gp": (("-c", "copy", "-f", "3gp"), "clip.mp4", ()),
    "webm": ((*VP9, "-f", "webm"), "clip.webm", ()),
    "mkv": (("-c", "copy", "-f", "matroska"), "clip.mkv", ()),
    "codec": (("-c:v", "mpeg4", "-q:v", "3", "-f", "mp4"), "clip.mp4", ()),
    "rate": (("-r", "30", *FAST, "-f", "mp4"), "clip.mp4", ()),
    "ratio": (("-vf", "scale=180:320,setsar=1", *FAST, "-f", "mp4"), "clip.mp4",
              ("The clip is 180×320 pixels; 1280×720 were ordered.",)),
    "duration": (("-t", "1", "-c", "copy", "-f", "mp4"), "clip.mp4",
                 ("The clip is 1.00 s long; 2 s were ordered.",)),
}  # fmt: skip


@pytest.mark.covers("D13")
@pytest.mark.parametrize(("how", "name", "says"), ODD.values(), ids=ODD)
def test_a_clip_that_is_not_as_ordered_is_kept_and_said_and_not_bought_again(
    at: Production,
    strict: Strict,
    footage: Callable[..., bytes],
    how: tuple[str, ...],
    name: str,
    says: tuple[str, ...],
) -> None:
    odd = at.folder / "odd"
    ffmpeg("-i", _written(at.folder / "base.mp4", footage("clip", (1280, 720), 2.0)), *how, odd)
    strict.living("A door", Life(media=(odd.read_bytes(),)))
    take = at.shoot(at.plan())
    assert take.path.name == name
    assert tuple(take.slate["warnings"]) == says
    assert [said for _, stage, said in at.seen.stages if stage == "done" and said] == list(says)
    at.shoot(at.plan())
    assert len(strict.orders) == 1


PICTURES = {
    "random pixels": ("nullsrc=s=320x180:r=24,geq=random(1)*255:128:128", "noise"),
    "random colours": (
        "nullsrc=s=320x180:r=24,geq=r='random(1)*255':g='random(2)*255':b='random(3)*255'", "noise",
    ),
    "random blocks": (
        "nullsrc=s=80x45:r=24,geq=random(1)*255:128:128,scale=640:360:flags=neighbor", "noise",
    ),
    "a still of noise": (
        "nullsrc=s=320x180:r=24,geq=random(1)*255:128:128,trim=end_frame=1,loop=23:1", "noise",
    ),
    "a plain colour": ("color=gray:s=320x180:r=24", "does not move"),
    "black": ("color=black:s=320x180:r=24", "black"),
    "a game of life": ("life=s=160x90:r=24:ratio=0.3:mold=10,scale=640:360:flags=neighbor", ""),
    "a fractal": ("mandelbrot=s=320x180:r=24", ""),
}  # fmt: skip


@pytest.mark.parametrize(("source", "says"), PICTURES.values(), ids=PICTURES)
def test_noise_is_told_from_pictures(tmp_path: Path, source: str, says: str) -> None:
    clip = tmp_path / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", 24, *X264, "-pix_fmt", "yuv420p", clip)
    doubts = verify(clip)[1]
    assert len(doubts) == bool(says)
    assert all(says in doubt and "it is kept" in doubt for doubt in doubts)


@pytest.mark.parametrize(
    "look",
    ["noise=alls=50:allf=t", "eq=brightness=-0.35:contrast=0.3,noise=alls=30:allf=t", "negate"],
)
@pytest.mark.parametrize("crf", [18, 40])
def test_film_under_heavy_grain_is_no_noise(tmp_path: Path, look: str, crf: int) -> None:
    clip = tmp_path / "clip.mp4"
    ffmpeg("-i", BIKES, "-vf", look, "-frames:v", 12, *X264, "-crf", crf, clip)
    assert verify(clip)[1] == ()


def test_a_noisy_take_is_kept_because_it_was_paid_for(at: Production, strict: Strict) -> None:
    clip = at.folder / "noise.mp4"
    noise = "color=gray:s=320x180:r=24,noise=alls=100:allf=t"
    ffmpeg("-f", "lavfi", "-i", noise, "-frames:v", 48, *FAST, "-crf", 30, clip)
    strict.living("A door", Life(media=(clip.read_bytes(),)))
    size, said = at.shoot(at.plan()).slate["warnings"]
    assert "320×180 pixels" in size
    assert said.startswith("The picture is noise")
    assert at.states == ["kept"]


# --- the store ----------------------------------------------------------------------------------


@pytest.mark.covers("E7")
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "linked", "slate", "other clip"])
def test_a_damaged_take_is_fetched_again_and_never_ordered_again(
    at: Production, strict: Strict, damage: str
) -> None:
    take = at.shoot(at.plan())
    good, slate = take.path.read_bytes(), take.path.parent / "slate.json"
    if damage == "linked":
        take.path.rename(at.folder / "away.mp4")
        take.path.symlink_to(at.folder / "away.mp4")
    elif damage == "gone":
        take.path.unlink()
    elif damage == "slate":
        slate.write_bytes(slate.read_bytes().replace(b'"seed": 7', b'"seed": 8'))
    else:
        spoilt = {"flipped": bytes([good[0] ^ 1]) + good[1:], "cut": good[:-1]}
        take.path.write_bytes(spoilt.get(damage, good[::-1]))
    again = at.shoot(at.plan())
    assert (again.path.read_bytes(), again.path.is_symlink()) == (good, False)
    assert again.slate["seed"] == 7
    assert len(list((at.project.store / "bad").iterdir())) == 1
    assert (len(strict.orders), strict.charged) == (1, 24)


@pytest.mark.covers("E7")
def test_a_damaged_take_is_neither_called_cached_nor_replaced_in_silence(
    at: Production, strict: Strict
) -> None:
    plan = at.plan()
    assert rolled(at, plan) == [False]
    assert rolled(at, plan) == [True]
    (clip,) = at.project.store.glob("??/*/clip.mp4")
    clip.write_bytes(b"damaged")
    assert rolled(at, plan) == [False]
    assert any("damaged; it was set aside and fetched again" in s for _, _, s in at.seen.stages)
    assert len(strict.orders) == 1


@pytest.mark.covers("D14")
@pytest.mark.parametrize("use", ["{clip: bad.mp4}", "{prompt: Make it night., source: bad.mp4}"])
def test_damaged_footage_of_the_authors_own_stops_orders_before_the_first(
    at: Production, strict: Strict, use: str
) -> None:
    """It opens, and only decoding all of it tells; what was on order is brought home all the same."""
    data = bytearray(BUNNY.read_bytes())
    late = data.index(b"mdat") + len(data) // 2
    data[late : late + 20_000] = bytes(byte ^ 0x55 for byte in data[late : late + 20_000])
    (at.folder / "bad.mp4").write_bytes(data)
    plan = at.plan(f"{ONE}  two: {use}\n")

    async def work(unit: Unit) -> list[object]:
        making = production.Production(plan, unit, at.project, unit.ledger, at.seen)  # type: ignore[arg-type]  # stages are text here
        try:
            rolls = (making.roll(step) for step in plan.steps)
            return await asyncio.gather(*rolls, return_exceptions=True)
        finally:
            making.close()

    came = at.run(plan, work)
    assert strict.orders == []
    assert "one was not ordered: " in str(came[0])
    assert all("bad.mp4 is not a playable video: it is damaged" in str(error) for error in came)


def rolled(at: Production, plan: Plan) -> list[bool]:
    """Take every step of a plan as a film's making does; say which were in the store."""

    async def work(unit: Unit) -> list[bool]:
        making = production.Production(plan, unit, at.project, unit.ledger, at.seen)  # type: ignore[arg-type]  # stages are text here
        return [await making.roll(step) for step in plan.steps]

    return list(at.run(plan, work))


@pytest.mark.covers("A9")
def test_a_disk_that_fills_up_half_way_leaves_nothing_under_a_final_name(
    tmp_path: Path, strict: Strict
) -> None:
    with small_disk(tmp_path, "6m") as disk:
        at = Production(tmp_path, strict)
        at.project = replace(at.project, root=disk)
        body = HEADERS + b"\r\n" + bytes(8 << 20)  # no length is told: only writing it tells
        strict.living("A door", Life(downloads=(Reply(raw=body),)))
        with pytest.raises(DiskTrouble, match="make room"):
            at.shoot(at.plan())
        assert [p for p in at.project.store.rglob("*") if p.is_file()] == []
        assert at.states == ["made"]
        at.shoot(at.plan())
    assert len(strict.orders) == 1


# --- the film -----------------------------------------------------------------------------------


BOTH = {"one": "fits.mp4", "two": "odd.mp4"}


class Cutting:
    """Films of the author's own clips: all of the making, and nothing to order."""

    def __init__(self, at: Production) -> None:
        self.at = at
        self.project: Project = at.project
        self.film = at.project.films / "film.mp4"
        self.manifest = self.film.with_suffix(".manifest.json")

    def plan(self, clips: dict[str, str], ratio: str = "320:180") -> Plan:
        shots = "".join(f"  {shot!r}: {{clip: {clip}}}\n" for shot, clip in clips.items())
        path = self.at.folder / "film.yaml"
        path.write_text(f"ratio: '{ratio}'\nfps: 24\nshots:\n{shots}")
        return compile_plan(read(str(path)), Choices(gateway="runway"))

    def make(
        self, plan: Plan, between: Callable[[production.Production], object] | None = None
    ) -> dict[str, object]:
        """Make the film in a run of its own and return its manifest."""

        async def work(unit: Unit) -> None:
            making = production.Production(plan, unit, self.project, unit.ledger, self.at.seen)  # type: ignore[arg-type]  # stages are text here
            making.made_at = datetime(2026, 11, 21, tzinfo=UTC)
            try:
                for step in plan.steps:
                    await making.roll(step)
                if between:
                    between(making)
                for entry in plan.cut:
                    await making.prepare(entry)
                await making.join()
            finally:
                making.close()

        self.at.run(plan, work)
        return dict(json.loads(self.manifest.read_text()))


@pytest.fixture
def cutting(at: Production) -> Cutting:
    return Cutting(at)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, footage: Callable[..., bytes]) -> Path:
    """A project with the film of one clip that fits and one that has to be conformed."""
    folder = tmp_path_factory.mktemp("shelf")
    counting(folder / "fits.mp4", frames=24)
    counting(folder / "odd.mp4", fps="30", frames=30)
    with listening(footage) as strict:
        cutting = Cutting(Production(folder, strict))
        cutting.make(cutting.plan(BOTH))
    return folder


@pytest.fixture
def made(cutting: Cutting, shelf: Path) -> Plan:
    """The same project, in this test's own folder."""
    shutil.copytree(shelf, cutting.at.folder, dirs_exist_ok=True)
    return cutting.plan(BOTH)


@pytest.mark.covers("A13")
@pytest.mark.parametrize("way", ["gone", "cut", "of another film"])
def test_a_manifest_that_is_missing_is_made_again(
    cutting: Cutting, made: Plan, shelf: Path, way: str
) -> None:
    """A run killed after the film had its name and before its manifest had: run again."""
    text, film = cutting.manifest.read_text(), cutting.film.read_bytes()
    assert production.film_is_current(made, cutting.project)
    if way == "gone":
        cutting.manifest.unlink()
    else:
        cutting.manifest.write_text(text[:99] if way == "cut" else text.replace(made.key, "0" * 64))
    assert not production.film_is_current(made, cutting.project)
    assert cutting.make(made) == json.loads(text.replace(str(shelf), str(cutting.at.folder)))
    assert cutting.film.read_bytes() == film
    assert production.film_is_current(made, cutting.project)


@pytest.mark.covers("E7")
@pytest.mark.parametrize("way", ["flipped", "cut", "unnoted"])
def test_a_conformed_clip_that_was_damaged_is_conformed_again(
    cutting: Cutting, made: Plan, way: str
) -> None:
    good = cutting.film.read_bytes()
    (clip,), (note,) = (list(cutting.project.conformed.glob(f"*.{e}")) for e in ("mp4", "sha256"))
    if way in {"flipped", "cut"}:
        data = bytearray(clip.read_bytes())
        data[-30] ^= 4
        clip.write_bytes(data if way == "flipped" else data[:-30])
    else:
        note.unlink()
    cutting.film.unlink()
    cutting.make(made)
    assert cutting.film.read_bytes() == good


@pytest.mark.covers("G2")
@pytest.mark.parametrize("when", ["before it is looked at", "before it is conformed"])
def test_a_clip_that_is_swapped_while_the_film_is_made_does_not_get_into_it(
    cutting: Cutting, made: Plan, when: str
) -> None:
    film, own = cutting.film.read_bytes(), cutting.at.folder / "odd.mp4"
    shutil.rmtree(cutting.project.conformed)
    other = counting(cutting.at.folder / "other.mp4", fps="30", frames=25)
    swap = lambda *_: shutil.copy(other, own)  # noqa: E731  twice the same
    if when == "before it is looked at":
        swap()
    with pytest.raises(CutError, match=r"odd\.mp4 was changed while the film was being made"):
        cutting.make(made, swap)
    assert cutting.film.read_bytes() == film


@pytest.mark.covers("G3")
@pytest.mark.timeout(60)
def test_a_clip_that_turns_into_a_pipe_does_not_hang_the_run(cutting: Cutting, made: Plan) -> None:
    own = cutting.at.folder / "odd.mp4"
    own.unlink()
    os.mkfifo(own)
    with pytest.raises(Spoiled, match="a pipe or a device"):
        cutting.make(made)


@pytest.mark.covers("A12", "A16")
def test_a_worker_killed_half_way_leaves_the_old_film_and_the_next_run_makes_the_new_one(
    cutting: Cutting, made: Plan
) -> None:
    """As the kernel kills what takes too much memory."""
    old = cutting.film.read_bytes()
    ffmpeg("-i", BIKES, *FAST, "-t", 3, cutting.at.folder / "long.mp4")
    plan = cutting.plan({"one": "fits.mp4", "two": "long.mp4"})

    def kill(making: production.Production) -> None:
        assert making._workers._pool is not None
        workers = list(making._workers._pool._processes)
        threading.Thread(target=_kill_once_writing, args=(workers, cutting.project)).start()

    with pytest.raises(CutError, match="worker process was killed"):
        cutting.make(plan, kill)
    assert len(list(cutting.project.conformed.glob(".part-*"))) == 1, "killed in the middle"
    assert cutting.film.read_bytes() == old
    cutting.make(plan)
    assert verify(cutting.film)[0].frames == 24 + 3 * 24
    assert list(cutting.project.conformed.glob(".part-*")) == [], "leftovers are swept"


def _kill_once_writing(workers: list[int], project: Project) -> None:
    while not list(project.conformed.glob(".part-*")):
        time.sleep(0.005)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.covers("E13")
def test_sixty_clips_need_no_more_than_sixty_four_open_files(cutting: Cutting) -> None:
    counting(cutting.at.folder / "fits.mp4", frames=6)
    counting(cutting.at.folder / "odd.mp4", fps="30", frames=6)
    plan = cutting.plan({f"s{n}": "odd.mp4" if n % 20 == 7 else "fits.mp4" for n in range(60)})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        cutting.make(plan)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(numbers(cutting.film)) > 60 * 4


@pytest.mark.covers("E15")
def test_what_lies_beside_the_films_is_private_and_the_films_are_the_users(
    tmp_path: Path, strict: Strict
) -> None:
    before = os.umask(0)
    try:
        cutting = Cutting(Production(tmp_path, strict))
        counting(tmp_path / "odd.mp4", fps="30", frames=30)
        cutting.make(cutting.plan({"one": "odd.mp4"}))
        cutting.at.shoot(cutting.at.plan(ONE))
    finally:
        os.umask(before)
    mode = lambda path: path.stat().st_mode & 0o777  # noqa: E731  as short as it gets
    for place in (cutting.project.store, cutting.project.conformed):
        assert mode(place) == 0o700
        for path in place.rglob("*"):
            assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(cutting.film) == mode(cutting.manifest) == 0o666


# --- two that are one -----------------------------------------------------------------------------

TWO = HEAD + "  one: A door opens.\n  two: A window opens.\n"


@pytest.mark.covers("D23")
@pytest.mark.parametrize("same", [True, False])
def test_the_same_file_for_two_orders_is_told(
    at: Production, strict: Strict, footage: Callable[..., bytes], same: bool
) -> None:
    clip = footage("clip", (1280, 720), 2.0)
    other = at.folder / "other.mp4"
    ffmpeg("-i", _written(at.folder / "one.mp4", clip), *X264, "-crf", 40, other)
    strict.living("A window", Life(media=(clip if same else other.read_bytes(),)))
    rolled(at, at.plan(TWO))
    told = [(shot, said) for shot, _, said in at.seen.stages if "the same as that of" in said]
    assert [shot for shot, _ in told] == (["two"] if same else [])
    assert all("that of one" in said for _, said in told)
    assert at.states == ["kept", "kept"]


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.covers("E14")
@pytest.mark.parametrize(("one", "two"), [("A", "a"), ("caf\u00e9", "cafe\u0301")])
def test_shots_whose_names_differ_only_for_some_are_refused(
    at: Production, one: str, two: str
) -> None:
    with pytest.raises(SpecError):
        at.plan(HEAD + f"  {one}: A door opens.\n  {two}: A window opens.\n")
