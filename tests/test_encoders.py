"""A film is delivered as any kind of file: every frame of it, in its colours, with its sound."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from footage import (
    BUNNY,
    counting,
    ffmpeg,
    likeness,
    numbers,
    pitch,
    rgb,
    samples,
    small_disk,
    tone,
)
from PIL import Image
from programs import killed_writing

from secondunit.cut import Placed, Profile, sample_at
from secondunit.cut.edit import Deliverable
from secondunit.errors import CutError, DiskTrouble
from secondunit.media import probe
from secondunit.media.frames import shown
from secondunit.media.sound import heard
from secondunit.splice import encoders
from secondunit.splice.chapters import About
from secondunit.splice.conform import conform
from secondunit.splice.encoders import ENDINGS, KINDS, Reel, encode

FILM = Profile(160, 90, Fraction(24))
ABOUT = About("Ström ☂", datetime(2026, 11, 21, 14, 0, 1, tzinfo=UTC), "ab12", "cd34")
PLACED = (Placed("sh010", 0, 17), Placed("Shot 2 مرحبا", 17, 19))
CODECS = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "av1", "prores": "prores"}


def reel_of(film: Path, profile: Profile = FILM) -> Reel:
    facts = probe(film)
    length = sample_at(facts.frames, profile.fps, 48000)
    return Reel(
        lambda: shown(film, facts), facts.frames, profile,
        (lambda: heard(film, facts, 48000, samples=length)) if facts.sound else None,
        PLACED, ABOUT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty-six frames that spell their number, and a sine."""
    where = tmp_path_factory.mktemp("film") / "film.mp4"
    return counting(where, size="160x90", frames=36, sound=tone(500, 1.5))


@pytest.fixture(scope="module")
def made(film: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The film as every kind of file."""
    folder = tmp_path_factory.mktemp("made")
    found = {}
    for name in (*KINDS, "gif"):
        found[name] = folder / f"{name}.{ENDINGS[name]}"
        encode(reel_of(film), Deliverable(name, name), found[name])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_deliverable_holds_every_frame_in_its_codec(made: dict[str, Path], kind: str) -> None:
    facts = probe(made[kind])
    assert facts.codec.removeprefix("lib").replace("dav1d", "av1") == CODECS[kind]
    assert (facts.width, facts.height, facts.fps) == (160, 90, 24)
    assert (facts.range, facts.matrix) == ("tv", "bt709")
    assert (facts.primaries, facts.transfer) == ("bt709", "bt709")
    assert numbers_of(made[kind]) == list(range(36))


@pytest.mark.parametrize("kind", ["hevc", "prores"])
def test_what_the_film_leaves_unsaid_of_its_colours_is_said(tmp_path: Path, kind: str) -> None:
    film, out = tmp_path / "film.mp4", tmp_path / f"out.{ENDINGS[kind]}"
    unsaid = "setparams=colorspace=unknown:color_primaries=unknown:color_trc=unknown:range=unknown"
    counting(film, size="160x90", frames=4, filters=unsaid)
    encode(reel_of(film), Deliverable("one", kind), out)
    facts = probe(out)
    assert (facts.range, facts.matrix, facts.primaries, facts.transfer) == ("tv", *["bt709"] * 3)


def numbers_of(path: Path) -> list[int]:
    """Read what the frames spell, of ten bits or in colours of a palette too."""
    if path.suffix not in (".mov", ".gif"):
        return numbers(path)
    plain = path.with_suffix(".mkv")
    ffmpeg("-i", path, "-an", "-pix_fmt", "yuv420p", "-c:v", "ffv1", plain)
    return numbers(plain)


@pytest.mark.parametrize("kind", KINDS)
def test_a_deliverable_sounds_as_the_film_does(made: dict[str, Path], kind: str) -> None:
    sound = samples(made[kind])
    assert abs(len(sound) - 72_000) < 4096
    assert abs(pitch(sound[4800:67_200]) - 500) < 1
    assert np.abs(sound[4800:67_200]).max() > 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_a_deliverable_says_what_it_is(made: dict[str, Path], kind: str) -> None:
    with av.open(str(made[kind])) as clip:
        said = {name.lower(): value for name, value in clip.metadata.items()}
        chapters = clip.chapters()
    assert said["title"] == "Ström ☂"
    assert said["creation_time"].startswith("2026-11-21T14:00:01")
    assert said["comment"].startswith("secondunit ")
    assert said["comment"].endswith(" · plan ab12 · manifest cd34")
    assert [chapter["metadata"]["title"] for chapter in chapters] == ["sh010", "Shot 2 مرحبا"]
    starts = [chapter["start"] * chapter["time_base"] for chapter in chapters]
    exact = (0, Fraction(17, 24))
    assert all(abs(a - b) < Fraction(1, 10**6) for a, b in zip(starts, exact, strict=True))


def test_apples_players_find_hevc_by_its_tag(made: dict[str, Path]) -> None:
    assert b"hvc1" in made["hevc"].read_bytes()


@pytest.mark.parametrize("kind", ["hevc", "vp9", "av1", "prores"])
def test_colours_stay(tmp_path: Path, kind: str) -> None:
    """Patches of colour, as ffmpeg's own program shows them in both files."""
    bars, film = tmp_path / "bars.mp4", tmp_path / "film.mp4"
    ffmpeg("-f", "lavfi", "-i", "smptehdbars=s=160x90:r=24", "-frames:v", 4, "-qp", 0, bars)
    conform(bars, film, FILM)
    out = tmp_path / f"out.{ENDINGS[kind]}"
    encode(reel_of(film), Deliverable(kind, kind, crf=4 if kind != "prores" else None), out)
    read = "scale=in_color_matrix=bt709:flags=bicubic+accurate_rnd"
    before, after = rgb(film, read)[0], rgb(out, read)[0]
    assert np.median(np.abs(before.astype(int) - after)) <= 2
    assert likeness(before, after) > 30


def test_a_gif_repeats_for_ever_and_lasts_as_long_as_the_film(made: dict[str, Path]) -> None:
    with Image.open(made["gif"]) as gif:
        assert gif.info["loop"] == 0
        assert gif.n_frames == 36
        assert gif.size == (160, 90)
    assert numbers_of(made["gif"]) == list(range(36))


def test_a_gif_has_the_colours_of_all_of_the_film(tmp_path: Path) -> None:
    """Not only of its beginning: half of it is blue, half red."""
    film, out = tmp_path / "film.mp4", tmp_path / "out.gif"
    blue, red = "color=blue:s=160x90:r=24:d=1", "color=red:s=160x90:r=24:d=1"
    ffmpeg("-f", "lavfi", "-i", blue, "-f", "lavfi", "-i", red, "-filter_complex", "concat",
           "-qp", 4, tmp_path / "two.mp4")  # fmt: skip
    conform(tmp_path / "two.mp4", film, FILM)
    encode(reel_of(film), Deliverable("loop", "gif"), out)
    with Image.open(out) as gif:
        shades = []
        for at in (2, 45):
            gif.seek(at)
            shades.append(gif.convert("RGB").getpixel((80, 45)))
    for shade, pure in zip(shades, ((0, 0, 254), (254, 0, 0)), strict=True):
        assert max(abs(a - b) for a, b in zip(shade, pure, strict=True)) <= 6


@pytest.mark.parametrize("kind", ["h264", "hevc", "vp9", "av1"])
def test_bit_rate_and_quality_are_followed(tmp_path: Path, kind: str) -> None:
    """Of a noisy picture, which takes whatever bits it is given."""
    film = tmp_path / "film.mp4"
    noise = "testsrc2=s=160x90:r=24:d=2,noise=alls=40:allf=t,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", noise, "-qp", 12, film)
    sizes = {}
    ways = ({"crf": 20}, {"crf": 45}, {"bit_rate": 800_000}, {"bit_rate": 200_000})
    for how in ways:
        out = tmp_path / f"{how}.{ENDINGS[kind]}"
        encode(reel_of(film), Deliverable("one", kind, **how), out)
        sizes[str(how)] = out.stat().st_size
    best, worst, many, few = sizes.values()
    assert best > 2 * worst
    assert many > 1.8 * few


def test_progress_is_told_frame_by_frame(film: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    encode(reel_of(film), Deliverable("one", "h264"), tmp_path / "one.mp4",
           progress=lambda *said: told.append(said))  # fmt: skip
    assert told == [(at, 36) for at in range(1, 37)]


# When it goes wrong


@pytest.mark.covers("S14")
@pytest.mark.parametrize("kind", ["hevc", "gif"])
def test_a_frame_that_is_missing_is_missed(film: Path, tmp_path: Path, kind: str) -> None:
    """Before the file has its name."""
    reel, out = reel_of(film), tmp_path / f"out.{ENDINGS[kind]}"
    out.write_bytes(b"before")
    short = replace(reel, frames=lambda: islice(reel.frames(), reel.count - 1))
    with pytest.raises(CutError, match="is not what is on the disk"):
        encode(short, Deliverable("one", kind), out)
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.covers("S14")
def test_a_bit_that_turned_over_is_found(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, out = encoders._write, tmp_path / "out.mp4"

    def lying(part: Path, *rest: object) -> None:
        write(part, *rest)  # type: ignore[arg-type]  # whatever it takes beside
        data = bytearray(part.read_bytes())
        middle = data.index(b"mdat") + 3000
        data[middle : middle + 40] = bytes(40)
        part.write_bytes(data)

    monkeypatch.setattr(encoders, "_write", lying)
    with pytest.raises(CutError, match="is not what is on the disk"):
        encode(reel_of(film), Deliverable("one", "h264", crf=4), out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.covers("E4")
@pytest.mark.parametrize("kind", ["prores", "gif"])
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    whole = reel_of(BUNNY, Profile(1280, 720, Fraction(25)))
    few = replace(whole, frames=lambda: islice(whole.frames(), 12), count=12)
    with small_disk(tmp_path, "300k") as disk:
        out = disk / "out.mov"
        out.write_bytes(b"before")
        with pytest.raises(DiskTrouble, match="the disk is full; make room"):
            encode(few, Deliverable("one", kind), out)
        assert out.read_bytes() == b"before"
        assert [path.name for path in disk.iterdir()] == ["out.mov"]


@pytest.mark.covers("A16")
def test_a_killed_encoder_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out.mov"
    out.write_bytes(b"before")
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path.insert(0, {str(here)!r}); from pathlib import Path;"
        "from fractions import Fraction; from test_encoders import *;"
        "encode(reel_of(BUNNY, Profile(1280, 720, Fraction(25))), Deliverable('one', 'prores'),"
        " Path(sys.argv[1]))"
    )
    killed_writing(tmp_path, code, out)
    assert out.read_bytes() == b"before"
    encode(reel_of(counting(tmp_path / "film.mp4", size="160x90")), Deliverable("one", "h264"), out)
    assert not list(tmp_path.glob(".part-*")), "leftovers are swept"
