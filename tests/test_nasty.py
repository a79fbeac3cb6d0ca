"""Whatever a camera, an editor or a generator writes comes into the film upright, in time and colour.

Every clip here shows the same two seconds: a red corner at the top left, a green one at the top
right, and a ground that changes from blue to sand when exactly one second is over.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from footage import counting, ffmpeg, pitch, rgb, samples, tone
from PIL import Image, ImageDraw
from splicing import joined

from secondunit.cut import Profile, sample_at
from secondunit.errors import SpecError
from secondunit.media import probe, verify
from secondunit.plan.planner import compile_plan
from secondunit.shotlist import read
from secondunit.splice import Segment
from secondunit.splice.conform import conform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILM = Profile(160, 90, Fraction(24))
RED, GREEN, BLUE, SAND = (190, 40, 40), (40, 150, 60), (80, 110, 170), (190, 170, 110)
CRISP = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "4")
BT709 = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
YUV = f"scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,format=yuv420p,{BT709}"
SD = (
    "scale=720:480:out_color_matrix=smpte170m:out_range=tv:flags=accurate_rnd,format=yuv420p,"
    "setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m:range=tv,"
    "setsar=32/27"
)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two seconds at 24 frames a second, 320×180, without loss."""
    folder = tmp_path_factory.mktemp("master")
    for name, ground in (("a", BLUE), ("b", SAND)):
        picture = Image.new("RGB", (320, 180), ground)
        pen = ImageDraw.Draw(picture)
        pen.rectangle((0, 0, 79, 59), RED)
        pen.rectangle((240, 0, 319, 59), GREEN)
        picture.save(folder / f"{name}.png")
    held = [("-loop", 1, "-framerate", 24, "-t", 1, "-i", folder / f"{n}.png") for n in "ab"]
    out = folder / "master.mkv"
    ffmpeg(*held[0], *held[1], "-filter_complex", "concat,setsar=1,format=gbrp",
           "-c:v", "ffv1", out)  # fmt: skip
    return out


def written(master: Path, out: Path, filters: str, *how: object, sound: str = "") -> Path:
    heard = ("-f", "lavfi", "-i", sound) if sound else ()
    ffmpeg("-i", master, *heard, "-vf", filters, *(how or CRISP), out)
    return out


def filmed(clip: Path, folder: Path) -> Path:
    """Conform a clip and splice it before another one, which has sound."""
    after = counting(folder / "after.mp4", size="160x90", frames=12, sound=tone(800, 0.5))
    made = conform(clip, folder / "conformed.mp4", FILM)
    first = Segment("nasty", folder / "conformed.mp4", made)
    film = joined([first, Segment("after", after, probe(after))], FILM, folder / "film.mp4")
    assert film.frames == made.frames + 12
    assert film.sound
    facts, _ = verify(film.path)
    assert (facts.width, facts.height, facts.fps, facts.rotation) == (160, 90, 24, 0)
    assert (facts.range, facts.matrix, facts.pix_fmt) == ("tv", "bt709", "yuv420p")
    assert (facts.sample_rate, facts.channels) == (48000, 2)
    return film.path


def shade(picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    """Measure the colour around a point, given in shares of the picture's width and height."""
    height, width, _ = picture.shape
    row, column = round(y * height), round(x * width)
    patch = picture[row - 6 : row + 6, column - 6 : column + 6].reshape(-1, 3)
    return tuple(round(float(level)) for level in patch.mean(axis=0))


def off(seen: tuple[int, ...], meant: tuple[int, ...]) -> int:
    return max(abs(a - b) for a, b in zip(seen, meant, strict=True))


def see(film: Path, frames: int = 48, *, turns: int = 24, within: int = 3) -> None:
    """See that a film shows the two seconds: corners, colours, and the moment of the change."""
    exact = "flags=bicubic+accurate_rnd+full_chroma_int"
    shown = rgb(film, f"scale=in_color_matrix=bt709:{exact}")
    assert len(shown) == frames + 12
    grounds = [shade(picture, 0.5, 0.7) for picture in shown[:frames]]
    changed = [off(ground, SAND) < off(ground, BLUE) for ground in grounds]
    assert changed == [False] * turns + [True] * (frames - turns)
    for at, ground in ((0, BLUE), (turns - 1, BLUE), (turns, SAND), (frames - 1, SAND)):
        assert off(grounds[at], ground) <= within, f"frame {at} is {grounds[at]}"
        assert off(shade(shown[at], 0.1, 0.12), RED) <= within, "the corner at the top left"
        assert off(shade(shown[at], 0.9, 0.12), GREEN) <= within, "the corner at the top right"


def heard(film: Path, first: int, last: int, after: int = 96_000) -> np.ndarray:
    """See that a film sounds as its first clip does between two samples, and then as its second."""
    sound = samples(film)
    assert abs(pitch(sound[first + 2400 : last]) - 500) <= 3
    assert abs(pitch(sound[after + 1000 : after + 22_000]) - 800) <= 3
    return sound


PICTURES: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "60 fps": ("clip.mp4", f"{YUV},fps=60", CRISP),
    "59.94 fps": ("clip.mp4", f"{YUV},fps=60000/1001", CRISP),
    "29.97 fps": ("clip.mp4", f"{YUV},fps=30000/1001", CRISP),
    "23.976 fps": ("clip.mp4", f"{YUV},fps=24000/1001", CRISP),
    "odd sizes": ("clip.mp4", f"scale=321:181,{YUV.replace('420p', '444p')},setsar=1", CRISP),
    "4:2:2": ("clip.mp4", YUV.replace("420p", "422p"), CRISP),
    "4:4:4": ("clip.mp4", YUV.replace("420p", "444p"), CRISP),
    "planar RGB": ("clip.mkv", "format=gbrp", ("-c:v", "libx264rgb", "-crf", 4)),
    "10-bit HEVC": (
        "clip.mp4", YUV.replace("420p", "420p10le"),
        ("-c:v", "libx265", "-crf", 6, "-x265-params", "log-level=none"),
    ),
    "AV1": ("clip.mp4", YUV, ("-c:v", "libsvtav1", "-crf", 8, "-preset", 9)),
    "full range": (
        "clip.mp4", YUV.replace("range=tv", "range=pc").replace("out_range=tv", "out_range=pc"),
        CRISP,
    ),
    "full range, yuvj420p": (
        "clip.mov", "scale=out_range=pc:out_color_matrix=bt601,format=yuvj420p",
        ("-c:v", "mjpeg", "-q:v", 1, "-qmin", 1),
    ),
    "bt601, SD, interlaced, anamorphic": (
        "clip.mp4", f"{SD},setfield=tff", (*CRISP, "-flags", "+ilme+ildct"),
    ),
    "anamorphic, wide": ("clip.mp4", f"scale=240:180,{YUV},setsar=4/3", CRISP),
    "anamorphic, tall": ("clip.mp4", f"scale=320:90,{YUV},setsar=1/2", CRISP),
    "alpha in VP9": (
        "clip.webm", "format=gbrap,scale=out_color_matrix=bt709:out_range=tv,format=yuva420p,"
        f"{BT709}", ("-c:v", "libvpx-vp9", "-lossless", 1, "-deadline", "realtime"),
    ),
    "alpha in ProRes 4444": (
        "clip.mov", f"format=gbrap,scale=out_color_matrix=bt709:out_range=tv,format=yuva444p10le,"
        f"{BT709}", ("-c:v", "prores_ks", "-profile:v", "4444"),
    ),
    "fragmented MP4": ("clip.mp4", YUV, (*CRISP, "-g", 12, "-movflags", "frag_keyframe+empty_moov")),
    "variable frame rate": (
        "clip.mp4", f"{YUV},select='not(mod(n,5)*lt(n,20))+eq(n,24)',settb=1/24000",
        (*CRISP, "-fps_mode", "vfr"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_any_picture_comes_into_the_film(master: Path, tmp_path: Path, name: str) -> None:
    file, filters, how = PICTURES[name]
    clip = written(master, tmp_path / file, filters, *how)
    facts = probe(clip)
    assert facts.variable == (name == "variable frame rate")
    assert facts.interlaced == ("interlaced" in name)
    assert facts.alpha == ("alpha" in name)
    see(filmed(clip, tmp_path))


def test_a_cover_is_not_the_film(master: Path, tmp_path: Path) -> None:
    plain, clip = written(master, tmp_path / "plain.mp4", YUV), tmp_path / "clip.mp4"
    cover = tmp_path / "cover.png"
    Image.new("RGB", (640, 360), RED).save(cover)
    ffmpeg("-i", cover, "-i", plain, "-map", 0, "-map", 1, "-c", "copy",
           "-disposition:v:0", "attached_pic", clip)  # fmt: skip
    see(filmed(clip, tmp_path))


def test_a_picture_may_change_its_size(master: Path, tmp_path: Path) -> None:
    """As recordings of calls do: the second second is half as large."""
    parts = [tmp_path / "one.ts", tmp_path / "two.ts"]
    written(master, parts[0], YUV, *CRISP, "-t", 1)
    written(master, parts[1], f"trim=1,setpts=PTS-STARTPTS,scale=160:90,{YUV}", *CRISP)
    joined = "concat:" + "|".join(map(str, parts))
    clip = tmp_path / "clip.mkv"
    ffmpeg("-i", joined, "-c", "copy", "-bsf:v", "setts=ts=N/24/TB", clip)
    see(filmed(clip, tmp_path))


@pytest.mark.parametrize(
    ("turn", "raw"),
    [(90, "transpose=clock"), (270, "transpose=cclock"), (180, "hflip,vflip")],
)
def test_a_camera_may_be_held_in_any_way(master: Path, tmp_path: Path, turn: int, raw: str) -> None:
    plain = written(master, tmp_path / "plain.mp4", f"{raw},{YUV}")
    clip = tmp_path / "clip.mp4"
    ffmpeg("-display_rotation", turn, "-i", plain, "-c", "copy", clip)
    assert probe(clip).rotation == turn
    see(filmed(clip, tmp_path))


def test_what_an_edit_list_hides_is_not_seen(master: Path, tmp_path: Path) -> None:
    """Cut by a copy in the middle of a group of pictures: what leads up to it lies in the file."""
    whole = written(master, tmp_path / "whole.mp4", YUV, *CRISP, "-g", 48, "-bf", 2)
    clip = tmp_path / "clip.mp4"
    ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", clip)
    see(filmed(clip, tmp_path), 36, turns=12)


def test_a_clock_may_begin_late(master: Path, tmp_path: Path) -> None:
    plain = written(master, tmp_path / "plain.mkv", YUV, sound=tone(500, 2))
    clip = tmp_path / "clip.mkv"
    ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", 3.5, clip)
    film = filmed(clip, tmp_path)
    see(film)
    heard(film, 0, 90_000)


def test_what_lies_before_the_clocks_beginning_is_not_seen(master: Path, tmp_path: Path) -> None:
    """As players have it: the first three quarters of a second are there, and hidden."""
    plain = written(master, tmp_path / "plain.mp4", YUV, sound=tone(500, 2))
    clip = tmp_path / "clip.mp4"
    ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", -0.75, clip)
    film = filmed(clip, tmp_path)
    see(film, 30, turns=6)
    heard(film, 0, 55_000, after=60_000)


# Sound


@pytest.mark.parametrize(
    ("rate", "layout", "codec"),
    [
        (22_050, "mono", "aac"),
        (96_000, "stereo", "aac"),
        (48_000, "5.1", "aac"),
        (44_100, "stereo", "pcm_s16le"),
        (48_000, "mono", "libopus"),
    ],
)
def test_any_sound_comes_into_the_film(
    master: Path, tmp_path: Path, rate: int, layout: str, codec: str
) -> None:
    clip = written(
        master, tmp_path / "clip.mov" if codec != "libopus" else tmp_path / "clip.mkv", YUV,
        *CRISP, "-c:a", codec, sound=tone(500, 2, rate, layout),
    )  # fmt: skip
    film = filmed(clip, tmp_path)
    see(film)
    sound = heard(film, 0, 90_000)
    assert abs(len(sound) - sample_at(60, FILM.fps, 48000)) < 2048
    loud = np.sqrt(np.mean(sound[9600:86_400] ** 2, axis=0))
    assert loud.min() > 0.1, "both channels are heard"


@pytest.mark.parametrize("lasts", [0.5, 5])
def test_sound_of_another_length_moves_nothing(master: Path, tmp_path: Path, lasts: float) -> None:
    """What comes after is in its place, and is heard alone."""
    clip = written(master, tmp_path / "clip.mp4", YUV, sound=tone(500, lasts))
    film = filmed(clip, tmp_path)
    see(film)
    sound = heard(film, 0, 21_600)
    quiet = np.abs(sound[30_000:90_000]).max()
    assert quiet < 0.01 if lasts < 2 else quiet > 0.2


def test_a_clip_without_sound_is_silent_among_sound(master: Path, tmp_path: Path) -> None:
    film = filmed(written(master, tmp_path / "clip.mp4", YUV), tmp_path)
    sound = samples(film)
    assert np.abs(sound[:94_000]).max() < 0.001
    assert abs(pitch(sound[97_000:118_000]) - 800) <= 3


# What cannot be used is named before anything is ordered


def hdr(transfer: str) -> Callable[[Path, Path], Path]:
    tags = f"colorspace=bt2020nc:color_primaries=bt2020:color_trc={transfer}"
    ten = YUV.partition(",setparams")[0].replace("420p", "420p10le")
    return lambda master, out: written(master, out, f"{ten},setparams={tags}")


def gif(master: Path, out: Path) -> Path:
    still = written(master, out.with_suffix(".gif"), "null", "-frames:v", 1)
    return still.rename(out)


def cut_off(master: Path, out: Path) -> Path:
    whole = written(master, out, YUV).read_bytes()
    out.write_bytes(whole[: len(whole) // 2])
    return out


def timeless(master: Path, out: Path) -> Path:
    """A Matroska file cannot say a time before its beginning, and this one tries."""
    plain, odd = written(master, out.with_name("plain.mkv"), YUV), out.with_name("odd.mkv")
    ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", -0.75, "-avoid_negative_ts", "disabled",
           odd)  # fmt: skip
    return odd.rename(out)


REFUSED: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "PQ": (hdr("smpte2084"), r"clip\.mp4 is HDR \(PQ\), .*Convert it to SDR"),
    "HLG": (hdr("arib-std-b67"), r"clip\.mp4 is HDR \(HLG\), .*Convert it to SDR"),
    "a still GIF": (gif, "it is a GIF picture"),
    "one frame": (
        lambda master, out: written(master, out, YUV, *CRISP, "-frames:v", 1),
        "it has 1 frame, too few for a clip",
    ),
    "no times": (timeless, "of its frames do not say when they are shown"),
    "only sound": (
        lambda _, out: ffmpeg("-f", "lavfi", "-i", tone(), "-c:a", "aac", out),
        "it has only sound in it",
    ),
    "cut short": (cut_off, "it is cut short"),
    "a page": (
        lambda _, out: out.write_bytes(b"<!DOCTYPE html><title>Sign in</title>" * 40),
        "it is a web page",
    ),
    "a picture": (
        lambda _, out: Image.new("RGB", (320, 180)).save(out, "PNG"),
        "it is a PNG picture",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_named_with_its_line(
    master: Path, tmp_path: Path, name: str
) -> None:
    make, message = REFUSED[name]
    make(master, tmp_path / "clip.mp4")
    shots = tmp_path / "shots.yaml"
    shots.write_text("shots:\n  - A lighthouse at dawn.\n  - clip: clip.mp4\n", "utf-8")
    with pytest.raises(SpecError, match=message) as said:
        compile_plan(read(str(shots)))
    assert [problem.line for problem in said.value.problems] == [3]
    assert "Nothing was ordered." in str(said.value)


def test_footage_that_is_brighter_than_a_film_is_remarked_on(master: Path, tmp_path: Path) -> None:
    """A gateway may take it; what the model sees is not what a screen shows."""
    hdr("smpte2084")(master, tmp_path / "clip.mp4")
    shots = tmp_path / "shots.yaml"
    shots.write_text("shots:\n  - prompt: Make it night.\n    source: clip.mp4\n", "utf-8")
    (remark,) = compile_plan(read(str(shots))).remarks
    assert (remark.line, remark.code) == (3, "hdr")
    assert "clip.mp4 is HDR (PQ)" in remark.message


def test_what_is_transparent_is_told_before_it_turns_black(master: Path, tmp_path: Path) -> None:
    file, filters, how = PICTURES["alpha in VP9"]
    written(master, tmp_path / file, filters, *how)
    shots = tmp_path / "shots.yaml"
    shots.write_text(f"shots:\n  - clip: {file}\n", "utf-8")
    (remark,) = compile_plan(read(str(shots))).remarks
    assert (remark.line, remark.code) == (2, "alpha")
