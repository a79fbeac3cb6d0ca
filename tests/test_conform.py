"""Any clip becomes what the film is: its frames counted, its colours and shape and sound kept."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from footage import (
    BIKES,
    BUNNY,
    CARPHONE,
    counting,
    ffmpeg,
    flipped,
    likeness,
    lumas,
    numbers,
    pitch,
    rgb,
    samples,
    small_disk,
    tone,
)
from hypothesis import given
from hypothesis import strategies as st
from programs import killed_writing

from secondunit.cut import Profile, Trim, length, sample_at
from secondunit.errors import CutError, DiskTrouble, Spoiled
from secondunit.media import Facts, probe, verify
from secondunit.splice import matches
from secondunit.splice.conform import conform, covering, fitted

if TYPE_CHECKING:
    from av.container import OutputContainer

    from secondunit.splice.strip import Strip

FILM = Profile(320, 180, Fraction(24))
X264 = ("-c:v", "libx264", "-preset", "veryfast")
CRISP = (*X264, "-crf", "10")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "conformed.mp4"


def expected(facts: Facts, fps: Fraction, first: int = 0, count: int | None = None) -> list[int]:
    """Work out from the definition which frame a constant-rate clip shows at each film frame."""
    count = length(facts.seconds, fps) - first if count is None else count
    middles = [(at + Fraction(1, 2)) / fps for at in range(first, first + count)]
    return [min(facts.frames - 1, int(middle * facts.fps)) for middle in middles]


# Frames


@pytest.mark.parametrize("fps", ["24", "24000/1001", "25", "30000/1001", "60", "12"])
def test_every_rate_becomes_the_films_and_no_frame_is_unaccounted_for(
    tmp_path: Path, out: Path, fps: str
) -> None:
    source = counting(tmp_path / "clip.mp4", fps=fps, frames=40)
    made = conform(source, out, FILM)
    wanted = expected(probe(source), FILM.fps)
    assert made.frames == len(wanted) == len(numbers(out))
    assert numbers(out) == wanted
    assert matches(made, FILM)


@pytest.mark.parametrize("film", ["24000/1001", "25", "30", "60000/1001"])
def test_the_film_may_have_any_rate(tmp_path: Path, out: Path, film: str) -> None:
    source = counting(tmp_path / "clip.mp4", frames=30)
    profile = Profile(320, 180, Fraction(film))
    assert matches(conform(source, out, profile), profile)
    assert numbers(out) == expected(probe(source), profile.fps)


@pytest.mark.parametrize(
    ("trim", "first", "count"),
    [
        (Trim(Fraction(1)), 24, 36),
        (Trim(end=Fraction(1, 2)), 0, 12),
        (Trim(Fraction(1, 3), Fraction(5, 3)), 8, 32),
        (Trim(Fraction(59, 24)), 59, 1),
        (Trim(Fraction(13, 10), Fraction(27, 20)), 31, 1),
    ],
)
def test_a_trim_keeps_exactly_the_frames_it_names(
    tmp_path: Path, out: Path, trim: Trim, first: int, count: int
) -> None:
    source = counting(tmp_path / "clip.mp4", *X264, "-g", "17", frames=60)
    assert conform(source, out, FILM, trim).frames == count
    assert numbers(out) == list(range(first, first + count))


@pytest.mark.parametrize("codec", ["open groups", "mkv", "no index", "vp9", "fragments"])
def test_a_late_trim_finds_its_frames_in_any_file(tmp_path: Path, out: Path, codec: str) -> None:
    source = tmp_path / {"mkv": "clip.mkv", "no index": "clip.mkv", "vp9": "clip.webm"}.get(
        codec, "clip.mp4"
    )
    how = {
        "open groups": (*X264, "-x264-params", "open-gop=1:keyint=20:bframes=3"),
        "mkv": (*X264, "-g", "25"),
        "no index": (*X264, "-g", "25", "-live", "1"),
        "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime"),
        "fragments": (*X264, "-g", "10", "-movflags", "frag_keyframe+empty_moov"),
    }
    counting(source, *how[codec], frames=96)
    conform(source, out, FILM, Trim(Fraction(3), Fraction(7, 2)))
    assert numbers(out) == list(range(72, 84))


def test_a_trim_beyond_the_clip_is_a_sentence(tmp_path: Path, out: Path) -> None:
    source = counting(tmp_path / "clip.mp4")
    with pytest.raises(CutError, match="reaches outside the clip, which is 1 s long"):
        conform(source, out, FILM, Trim(end=Fraction(2)))
    assert list(tmp_path.iterdir()) == [source]


def test_a_variable_rate_keeps_its_time(tmp_path: Path, out: Path) -> None:
    """Twelve frames at 24, then eight that are shown three times as long."""
    slower = "setpts='if(lt(N,12),N,12+(N-12)*3)/24/TB'"
    source = counting(tmp_path / "clip.mp4", *X264, "-fps_mode", "vfr", frames=20, filters=slower)
    conform(source, out, FILM)
    wanted = [*range(12), *(12 + at // 3 for at in range(21))]
    assert numbers(out)[: len(wanted)] == wanted


def test_interlaced_footage_keeps_its_frames(tmp_path: Path, out: Path) -> None:
    fields = "setfield=tff,setparams=field_mode=tff"
    source = counting(tmp_path / "clip.mp4", *X264, "-flags", "+ilme+ildct", filters=fields)
    assert probe(source).interlaced
    assert conform(source, out, FILM).frames == 24
    assert numbers(out) == list(range(24))


def test_real_footage_keeps_its_quality(out: Path) -> None:
    profile = Profile(1280, 720, Fraction(25))
    made = conform(BUNNY, out, profile, Trim(end=Fraction(1)))
    assert matches(made, profile)
    for before, after in zip(lumas(BUNNY), lumas(out), strict=False):
        assert likeness(before, after) > 38


@pytest.mark.parametrize(("speed", "frames"), [("2", 24), ("1/2", 96), ("3/2", 32), ("24/25", 50)])
def test_at_another_speed_frames_are_dropped_or_repeated(
    tmp_path: Path, out: Path, speed: str, frames: int
) -> None:
    source = counting(tmp_path / "clip.mp4", frames=48)
    pace = Fraction(speed)
    assert conform(source, out, FILM, speed=pace).frames == frames
    assert numbers(out) == [min(47, int((at + Fraction(1, 2)) * pace)) for at in range(frames)]


def test_a_trim_at_another_speed_is_in_seconds_of_the_clip(tmp_path: Path, out: Path) -> None:
    source = counting(tmp_path / "clip.mp4", frames=48)
    conform(source, out, FILM, Trim(Fraction(1, 2), Fraction(1)), speed=Fraction(2))
    assert numbers(out) == [13, 15, 17, 19, 21, 23]


def test_copying_may_begin_where_it_was_asked_for(tmp_path: Path, out: Path) -> None:
    source = counting(tmp_path / "clip.mp4", frames=60)
    assert conform(source, out, FILM, opens=13).starts == (0, 13, 37)
    assert conform(source, out, FILM).starts == (0, 24, 48)


# Shape


@given(st.integers(2, 4000), st.integers(2, 4000), st.integers(1, 2000), st.integers(1, 2000))
def test_a_picture_that_covers_the_film_is_no_larger_than_it_has_to_be(
    w: int, h: int, fw: int, fh: int
) -> None:
    film = Profile(2 * fw, 2 * fh, Fraction(24))
    width, height = covering(w, h, film)
    assert width >= film.width
    assert height >= film.height
    assert width == film.width or height == film.height
    assert width % 2 == height % 2 == 0


@pytest.mark.parametrize("size", ["240x180", "180x320", "320x90"])
def test_cropped_pictures_fill_the_film_and_lose_their_edges_only(
    tmp_path: Path, out: Path, size: str
) -> None:
    """A white cross in the middle stays there, and what is outside of it becomes no black bar."""
    source = tmp_path / "clip.mp4"
    cross = "lum='if(lt(abs(X-W/2),W/10)+lt(abs(Y-H/2),H/10),235,80)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", f"color=s={size}:r=24,geq={cross}", "-frames:v", 3, *CRISP, source)
    assert matches(conform(source, out, FILM, fit="crop"), FILM)
    luma = next(iter(lumas(out)))
    assert luma[90, 160] > 200
    assert luma.min() > 40


@given(st.integers(2, 4000), st.integers(2, 4000), st.integers(1, 2000), st.integers(1, 2000))
def test_a_picture_is_as_large_as_fits_and_never_larger(w: int, h: int, fw: int, fh: int) -> None:
    film = Profile(2 * fw, 2 * fh, Fraction(24))
    width, height = fitted(w, h, film)
    assert 2 <= width <= film.width
    assert 2 <= height <= film.height
    assert width == film.width or height == film.height
    assert width % 2 == height % 2 == 0


def _bars(film: Path) -> tuple[int, int, int, int]:
    """Count the black rows and columns around the first picture: top, bottom, left, right."""
    lit = next(iter(lumas(film))).astype(int) > 20
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    height, width = lit.shape
    return (
        int(rows[0]), height - 1 - int(rows[-1]), int(columns[0]), width - 1 - int(columns[-1])
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "filters", "bars"),
    [
        ("320x180", "null", (0, 0, 0, 0)),
        ("640x360", "null", (0, 0, 0, 0)),
        ("318x178", "null", (0, 0, 0, 0)),
        ("240x180", "null", (0, 0, 40, 40)),
        ("240x180", "setsar=4/3", (0, 0, 0, 0)),
        ("320x180", "setsar=4/3", (22, 22, 0, 0)),
        ("180x320", "null", (0, 0, 109, 109)),
        ("320x90", "null", (45, 45, 0, 0)),
    ],
)
def test_another_shape_lies_over_black_in_the_middle(
    tmp_path: Path, out: Path, size: str, filters: str, bars: tuple[int, ...]
) -> None:
    source = tmp_path / "clip.mp4"
    white = f"color=white:s={size}:r=24,{filters}"
    ffmpeg("-f", "lavfi", "-i", white, "-frames:v", 6, *CRISP, source)
    made = conform(source, out, FILM)
    assert made.frames == 6
    assert matches(made, FILM)
    assert all(abs(a - b) <= 1 for a, b in zip(_bars(out), bars, strict=True))
    assert 15 <= next(iter(lumas(out)))[0, 0] <= 17 or bars == (0, 0, 0, 0)


def test_frames_stay_in_order_over_black(tmp_path: Path, out: Path) -> None:
    source = counting(tmp_path / "clip.mp4", size="320x90", fps="30", frames=45)
    conform(source, out, FILM, Trim(Fraction(1, 4)))
    assert numbers(out) == expected(probe(source), FILM.fps, first=6)


def test_an_odd_size_becomes_even(tmp_path: Path, out: Path) -> None:
    odd = ("-c:v", "libx264", "-pix_fmt", "yuv444p")
    source = counting(tmp_path / "clip.mp4", *odd, size="321x181")
    assert probe(source).width == 321
    assert matches(conform(source, out, FILM), FILM)
    assert numbers(out) == list(range(24))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_picture_is_shown_upright(tmp_path: Path, out: Path, turn: int) -> None:
    """As ffmpeg's own program shows it."""
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    ffmpeg("-i", BIKES, "-frames:v", 6, "-vf", "scale=320:180,setsar=1", *CRISP, plain)
    ffmpeg("-display_rotation", turn, "-i", plain, "-c", "copy", turned)
    profile = FILM if turn == 180 else Profile(180, 320, Fraction(24))
    conform(turned, out, profile)
    assert likeness(rgb(turned)[0], rgb(out)[0]) > 30


# Colour


@pytest.mark.parametrize(
    ("tags", "pixels"),
    [
        ("range=pc:colorspace=bt709", "yuvj420p"),
        ("range=tv:colorspace=smpte170m", "yuv420p"),
        ("range=tv:colorspace=bt470bg", "yuv420p"),
        ("range=tv:colorspace=bt709", "yuv422p"),
        ("range=tv:colorspace=bt709", "yuv444p"),
        ("range=tv:colorspace=bt2020nc", "yuv420p10le"),
    ],
)
@pytest.mark.parametrize("size", ["320:180", "240:180"])
def test_colours_are_shown_as_before(
    tmp_path: Path, out: Path, tags: str, pixels: str, size: str
) -> None:
    """Whatever the range, matrix and depth: patches of colour look the same in both files."""
    source = tmp_path / "clip.mp4"
    matrix = tags.rpartition("=")[2].replace("bt2020nc", "bt2020")
    full = "pc" if "range=pc" in tags else "tv"
    patches = f"smptehdbars=s=320x180:r=24,format=gbrp,scale={size},setsar=1"
    convert = f"scale=out_color_matrix={matrix}:out_range={full},format={pixels},setparams={tags}"
    ffmpeg("-f", "lavfi", "-i", f"{patches},{convert}", "-frames:v", 4, *CRISP, source)
    assert matches(conform(source, out, FILM), FILM)
    before = rgb(source, f"scale=in_color_matrix={matrix}:flags=bicubic+accurate_rnd")[0]
    crop = () if size == "320:180" else ("crop=240:180",)
    after = rgb(out, *crop, "scale=in_color_matrix=bt709:flags=bicubic+accurate_rnd")[0]
    patch = np.abs(before.astype(int) - after.astype(int))
    assert np.median(patch) <= 2
    assert likeness(before, after) > 30


@pytest.mark.parametrize(("size", "matrix"), [("1280x720", "bt709"), ("720x576", "smpte170m")])
def test_untagged_pictures_are_read_as_players_read_them(
    tmp_path: Path, out: Path, size: str, matrix: str
) -> None:
    untagged, tagged = tmp_path / "untagged.mp4", tmp_path / "tagged.mp4"
    bars = f"smptehdbars=s={size}:r=24,format=yuv420p"
    for path, params in ((untagged, "unknown:range=unknown"), (tagged, f"{matrix}:range=tv")):
        ffmpeg(
            "-f",
            "lavfi",
            "-i",
            f"{bars},setparams=colorspace={params}",
            "-frames:v",
            2,
            *CRISP,
            path,
        )
    assert probe(untagged).matrix == ""
    conform(untagged, out, FILM)
    conform(tagged, tmp_path / "same.mp4", FILM)
    assert likeness(rgb(out)[0], rgb(tmp_path / "same.mp4")[0]) > 45


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-deadline", "realtime")),
        ("clip.mov", ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le")),
        ("clip.mov", ("-c:v", "qtrle", "-pix_fmt", "argb")),
    ],
)
def test_what_is_transparent_becomes_black(
    tmp_path: Path, out: Path, name: str, codec: tuple[str, ...]
) -> None:
    source = tmp_path / name
    half = "color=white:s=320x180:r=24,format=rgba,geq=r=255:g=255:b=255:a='if(lt(X,160),0,255)'"
    ffmpeg("-f", "lavfi", "-i", half, "-frames:v", 6, *codec, source)
    assert probe(source).alpha
    conform(source, out, FILM)
    luma = next(iter(lumas(out)))
    assert luma[:, :150].max() < 24
    assert luma[:, 170:].min() > 225


def test_ten_bits_become_eight(tmp_path: Path, out: Path) -> None:
    hevc = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none")
    source = counting(tmp_path / "clip.mp4", *hevc)
    assert matches(conform(source, out, FILM), FILM)
    assert numbers(out) == list(range(24))


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_hdr_is_refused_with_the_way_out(
    tmp_path: Path, out: Path, transfer: str, name: str
) -> None:
    tags = f"setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}"
    source = counting(tmp_path / "clip.mp4", filters=f"format=yuv420p10le,{tags}")
    with pytest.raises(CutError, match=rf"HDR \({name}\).*Convert it to SDR"):
        conform(source, out, FILM)


# Sound


@pytest.mark.parametrize(
    ("rate", "layout", "codec", "name"),
    [
        (22050, "mono", "aac", "clip.mp4"),
        (44100, "stereo", "aac", "clip.mp4"),
        (48000, "5.1", "aac", "clip.mp4"),
        (48000, "stereo", "libopus", "clip.mkv"),
        (44100, "stereo", "pcm_s16le", "clip.mov"),
    ],
)
def test_any_sound_becomes_the_films(
    tmp_path: Path, out: Path, rate: int, layout: str, codec: str, name: str
) -> None:
    heard = tone(500, 2, rate, layout)
    source = counting(tmp_path / name, *X264, "-c:a", codec, frames=48, sound=heard)
    made = conform(source, out, FILM)
    assert (made.sound, made.sample_rate, made.channels) == (True, 48000, 2)
    sound = samples(out)
    assert len(sound) == 96000, "to the sample as long as the picture"
    assert abs(pitch(sound) - 500) <= 1
    loudness = np.sqrt(np.mean(sound[9600:-9600] ** 2, axis=0))
    assert loudness.min() > 0.1, "both channels are heard"
    assert np.abs(np.diff(sound[2400:-2400], axis=0)).max() < 0.05, "and without a click"


def test_a_sound_shorter_than_its_picture_ends_in_silence(tmp_path: Path, out: Path) -> None:
    source = counting(tmp_path / "clip.mp4", frames=48, sound=tone(500, 1))
    conform(source, out, FILM)
    sound = samples(out)
    assert len(sound) == 96000
    assert np.abs(sound[60000:]).max() == 0
    assert np.abs(sound[:40000]).max() > 0.2


@pytest.mark.parametrize("start", [Fraction(0), Fraction(3, 4)])
def test_sound_keeps_its_place_beside_the_picture(
    tmp_path: Path, out: Path, start: Fraction
) -> None:
    """A click at 1.25 s of the source, also where the head is trimmed off."""
    click = "aevalsrc='if(between(t,1.25,1.26),0.8,0)':s=48000:d=2"
    source = counting(tmp_path / "clip.mp4", frames=48, sound=click)
    conform(source, out, FILM, Trim(start))
    sound = samples(out)[:, 0]
    heard = int(np.argmax(np.abs(sound) > 0.3))
    assert len(sound) == sample_at(48, FILM.fps, 48000) - int(start * 48000)
    assert abs(heard - (Fraction(5, 4) - start) * 48000) < 48, "within a millisecond"


def test_sound_that_starts_late_stays_late(tmp_path: Path, out: Path) -> None:
    plain = counting(tmp_path / "plain.mp4", frames=48)
    sound, late = tmp_path / "sound.m4a", tmp_path / "late.mp4"
    ffmpeg("-f", "lavfi", "-i", tone(500, 1), sound)
    ffmpeg("-i", plain, "-itsoffset", "0.5", "-i", sound, "-c", "copy", late)
    conform(late, out, FILM)
    begins = int(np.argmax(np.abs(samples(out)[:, 0]) > 0.05))
    assert abs(begins - 24000) < 480


def test_a_clip_without_sound_stays_without(tmp_path: Path, out: Path) -> None:
    assert not conform(counting(tmp_path / "clip.mp4"), out, FILM).sound


# The result


def test_different_clips_get_the_same_headers(tmp_path: Path) -> None:
    """Or the film could not simply be copied together."""
    film = Profile(640, 360, Fraction(24))
    end = Trim(end=Fraction(1))
    made = [
        conform(source, tmp_path / f"{at}.mp4", film, end)
        for at, source in enumerate([BUNNY, BIKES, CARPHONE, counting(tmp_path / "c.mp4")])
    ]
    assert len({facts.headers for facts in made}) == 1
    assert len({facts.reorder for facts in made}) == 1


def test_the_same_clip_conforms_to_the_same_bytes(tmp_path: Path) -> None:
    source = counting(tmp_path / "clip.mp4", fps="30", sound=tone())
    for name in ("one.mp4", "two.mp4"):
        conform(source, tmp_path / name, FILM)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_worker_processes_may_do_it(tmp_path: Path, out: Path) -> None:
    source = counting(tmp_path / "clip.mp4", fps="30", frames=30)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        made = pool.submit(conform, source, out, FILM, Trim(end=Fraction(1, 2))).result()
        assert made == probe(out)
        broken = pool.submit(conform, tmp_path / "none.mp4", out, FILM)
        with pytest.raises(Spoiled, match="no such file"):
            broken.result()


# When it goes wrong


@pytest.mark.covers("D14")
def test_a_damaged_clip_leaves_what_was_there(tmp_path: Path, out: Path) -> None:
    out.write_bytes(b"before")
    with pytest.raises(Spoiled):
        conform(flipped(CARPHONE, tmp_path / "bad.mp4", 1), out, FILM)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mp4", "conformed.mp4"]


@pytest.mark.covers("S14")
@pytest.mark.parametrize("way", ["bytes turned over", "cut short"])
def test_a_write_that_lies_is_found_before_the_clip_has_its_name(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """From then on the clip is only copied: nobody would look at it again."""
    from secondunit.splice import conform as room

    write, source = room._write, counting(tmp_path / "clip.mp4", fps="30", frames=30)

    def lying(clip: OutputContainer, *rest: object) -> Strip:
        strip = write(clip, *rest)
        clip.close()
        part = Path(clip.name.removeprefix("file:"))
        data = bytearray(part.read_bytes())
        data[data.index(b"mdat") + 1000] ^= 8
        part.write_bytes(data[:-60] if way == "cut short" else data)
        return strip

    monkeypatch.setattr(room, "_write", lying)
    with pytest.raises(CutError, match="not what was written"):
        conform(source, out, FILM)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.covers("E4")
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path, "300k") as disk:
        out = disk / "out.mp4"
        out.write_bytes(b"before")
        with pytest.raises(DiskTrouble, match="the disk is full; make room"):
            conform(BIKES, out, Profile(640, 272, Fraction(25)))
        assert out.read_bytes() == b"before"
        assert [path.name for path in disk.iterdir()] == ["out.mp4"]


@pytest.mark.covers("A16")
def test_a_killed_worker_leaves_what_was_there(tmp_path: Path, out: Path) -> None:
    out.write_bytes(b"before")
    code = (
        "import sys; from pathlib import Path; from fractions import Fraction;"
        "from secondunit.splice.conform import conform; from secondunit.cut import Profile;"
        "conform(Path(sys.argv[1]), Path(sys.argv[2]), Profile(1280, 720, Fraction(24)))"
    )
    killed_writing(tmp_path, code, BUNNY, out)
    assert out.read_bytes() == b"before"
    conform(CARPHONE, out, FILM)
    assert [path.name for path in tmp_path.iterdir()] == ["conformed.mp4"], "leftovers are swept"
    assert verify(out)[0].frames == 96
