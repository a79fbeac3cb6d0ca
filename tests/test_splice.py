"""The film is its clips, frame for frame and byte for byte, with one sound track in time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from footage import (
    BIKES,
    BUNNY,
    counting,
    digests,
    ffmpeg,
    lumas,
    numbers,
    pitch,
    samples,
    small_disk,
    spelt,
    tone,
)
from programs import killed_writing
from splicing import joined

from secondunit.cut import Placed, Profile, Trim, sample_at
from secondunit.errors import CutError, DiskTrouble, Spoiled
from secondunit.media import Facts, probe, verify
from secondunit.media.h264 import open_stream
from secondunit.splice import Segment, matches
from secondunit.splice.chapters import About
from secondunit.splice.conform import conform

FILM = Profile(320, 180, Fraction(24))
X264 = ("-c:v", "libx264", "-preset", "veryfast")


def segment(path: Path, shot: str = "") -> Segment:
    return Segment(shot or path.stem, path, probe(path, least=1))


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Matching clips from encoders that agree in nothing but size and rate."""
    folder = tmp_path_factory.mktemp("reel")
    ways = {
        "plain": X264,
        "baseline": (*X264, "-profile:v", "baseline"),
        "no-b": (*X264, "-bf", "0", "-crf", "35"),
        "many-b": (*X264, "-bf", "8", "-refs", "6", "-x264-params", "b-pyramid=strict:b-adapt=0"),
        "openh264": ("-c:v", "libopenh264"),
        "cavlc": (*X264, "-coder", "0", "-g", "7", "-x264-params", "stitchable=1"),
        "fragments": (*X264, "-movflags", "frag_keyframe+empty_moov"),
        "film-clock": (*X264, "-video_track_timescale", "90000"),
    }
    return {
        name: counting(folder / f"{name}.mp4", *way, frames=20 + at)
        for at, (name, way) in enumerate(ways.items())
    }


def packets(film: Path) -> list[av.Packet]:
    with av.open(str(film)) as clip:
        return [packet for packet in clip.demux(video=0) if packet.size]


# Pictures


@pytest.mark.covers("S14")
def test_the_film_is_its_clips_frame_for_frame(reel: dict[str, Path], tmp_path: Path) -> None:
    """Whoever encoded them; ffmpeg's own program, in its strictest mode, finds every frame."""
    out = tmp_path / "film.mp4"
    film = joined([segment(path) for path in reel.values()], FILM, out)
    frames = [digest for path in reel.values() for digest in digests(path)]
    assert digests(out) == frames
    assert film.frames == len(frames)
    assert film.seconds == Fraction(len(frames), 24)
    assert numbers(out) == [n for path in reel.values() for n in range(probe(path).frames)]


@pytest.mark.parametrize(
    "order",
    [
        ("no-b", "many-b", "no-b"),
        ("many-b", "no-b", "baseline", "many-b"),
        ("openh264", "plain", "openh264"),
        ("plain", "plain", "cavlc", "plain"),
    ],
)
def test_clips_may_return_in_any_order(
    reel: dict[str, Path], tmp_path: Path, order: tuple[str, ...]
) -> None:
    out = tmp_path / "film.mp4"
    joined([segment(reel[name]) for name in order], FILM, out)
    assert digests(out) == [digest for name in order for digest in digests(reel[name])]


def test_any_point_of_a_mixed_film_can_be_sought(reel: dict[str, Path], tmp_path: Path) -> None:
    """Backwards too, where a decoder still has the wrong clip's headers in mind."""
    out = tmp_path / "film.mp4"
    order = ["plain", "openh264", "many-b", "baseline", "plain"]
    film = joined([segment(reel[name]) for name in order], FILM, out)
    want = numbers(out)
    with av.open(str(out)) as clip:
        stream = clip.streams.video[0]
        for target in [film.frames - 3, 5, 70, 30, 50, 2, 90]:
            clip.seek(int(Fraction(target, 24) / stream.time_base), stream=stream)
            for frame in clip.decode(stream):
                at = round(frame.pts * stream.time_base * 24)
                if at >= target:
                    break
            luma = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
            assert (at, spelt(luma[:180, :320])) == (target, want[target])


def test_pictures_are_copied_never_encoded(reel: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    joined([segment(reel["plain"]), segment(reel["plain"])], FILM, out)
    source = [bytes(packet) for packet in packets(reel["plain"])]
    assert [bytes(packet) for packet in packets(out)] == source * 2


def test_times_are_whole_frames_and_decoding_order_never_falls_back(
    reel: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "film.mp4"
    joined([segment(path) for path in reel.values()], FILM, out)
    found = packets(out)
    tick = 1 / (24 * found[0].time_base)
    assert tick.denominator == 1
    decode = [packet.dts for packet in found]
    assert all(after - before == tick for before, after in pairwise(decode))
    assert sorted(packet.pts for packet in found) == [at * tick for at in range(len(found))]
    assert all(packet.pts >= packet.dts for packet in found)


@pytest.mark.parametrize("fps", ["24000/1001", "25", "30000/1001", "60", "15/2"])
def test_a_film_of_any_rate_is_exact(tmp_path: Path, fps: str) -> None:
    profile = Profile(320, 180, Fraction(fps))
    one = counting(tmp_path / "one.mp4", fps=fps, frames=31, sound=tone(seconds=2))
    two = counting(tmp_path / "two.mkv", fps=fps, frames=17)
    joined([segment(one), segment(two), segment(one)], profile, tmp_path / "film.mp4")
    facts, _ = verify(tmp_path / "film.mp4")
    assert (facts.fps, facts.frames, facts.variable) == (Fraction(fps), 79, False)
    assert numbers(tmp_path / "film.mp4") == [*range(31), *range(17), *range(31)]


def test_conformed_and_untouched_clips_join(tmp_path: Path) -> None:
    """Real footage beside a clip of this program's own encoder."""
    profile = Profile(1280, 720, Fraction(25))
    ours = tmp_path / "ours.mp4"
    conform(BIKES, ours, profile, Trim(end=Fraction(1)))
    out = tmp_path / "film.mp4"
    film = joined([segment(BUNNY), segment(ours), segment(BUNNY)], profile, out)
    assert film.frames == 132 + 25 + 132
    assert digests(out) == digests(BUNNY) + digests(ours) + digests(BUNNY)


def test_one_frame_is_enough_for_a_segment(tmp_path: Path, reel: dict[str, Path]) -> None:
    one = tmp_path / "one.mp4"
    conform(reel["plain"], one, FILM, Trim(end=Fraction(1, 24)))
    film = joined([segment(one)] * 3, FILM, tmp_path / "film.mp4")
    assert film.frames == 3
    assert numbers(tmp_path / "film.mp4") == [0, 0, 0]


def test_colour_tags_are_kept_only_where_all_agree(tmp_path: Path) -> None:
    tagged = counting(tmp_path / "tagged.mp4")
    plain = counting(tmp_path / "plain.mp4", filters="setparams=colorspace=unknown:range=unknown")
    out = tmp_path / "film.mp4"
    joined([segment(tagged), segment(tagged)], FILM, out)
    assert b"colrnclx" in out.read_bytes()
    joined([segment(tagged), segment(plain)], FILM, out)
    assert b"colrnclx" not in out.read_bytes()


# Which clips may stay as they are


@pytest.mark.parametrize(
    "change",
    [
        {"codec": "hevc"},
        {"pix_fmt": "yuv420p10le"},
        {"coded_width": 640},
        {"fps": Fraction(25)},
        {"sar": Fraction(4, 3)},
        {"rotation": 90},
        {"range": "pc"},
        {"matrix": "smpte170m"},
        {"transfer": "smpte2084"},
        {"variable": True},
        {"interlaced": True},
        {"headers": ""},
    ],
)
def test_what_differs_in_one_thing_must_be_conformed(
    reel: dict[str, Path], tmp_path: Path, change: dict[str, object]
) -> None:
    facts = probe(reel["plain"])
    assert matches(facts, FILM)
    stranger = replace(facts, **change)
    assert not matches(stranger, FILM)
    with pytest.raises(CutError, match=r"Shot sh010 .* Conform it first"):
        joined([Segment("sh010", reel["plain"], stranger)], FILM, tmp_path / "film.mp4")


@pytest.mark.parametrize("way", ["hidden frames", "open groups", "other codec", "odd lengths"])
def test_clips_that_only_look_joinable_are_told_apart(
    reel: dict[str, Path], tmp_path: Path, way: str
) -> None:
    path = tmp_path / "clip.mp4"
    if way == "hidden frames":
        ffmpeg("-ss", "0.4", "-i", reel["plain"], "-c", "copy", path)
    elif way == "open groups":
        late = tmp_path / "late.mp4"
        counting(late, *X264, "-x264-params", "open-gop=1:keyint=12:bframes=3", frames=48)
        ffmpeg("-ss", "0.9", "-i", late, "-c", "copy", "-avoid_negative_ts", "make_zero", path)
    elif way == "other codec":
        counting(path, "-c:v", "mpeg4")
    else:
        counting(path, *X264, filters="setsar=2")
    assert not matches(probe(path), FILM)


# Sound


def test_silence_stands_where_a_clip_has_no_sound(tmp_path: Path) -> None:
    low = counting(tmp_path / "low.mp4", frames=24, sound=tone(300))
    mute = counting(tmp_path / "mute.mp4", frames=24)
    high = counting(tmp_path / "high.mp4", frames=24, sound=tone(900, rate=22050, layout="mono"))
    film = joined([segment(low), segment(mute), segment(high)], FILM, tmp_path / "film.mp4")
    assert film.sound
    heard = samples(tmp_path / "film.mp4")
    assert abs(pitch(heard[4800:43200]) - 300) <= 2
    assert np.abs(heard[52800:91200]).max() < 0.001
    assert abs(pitch(heard[100800:139200]) - 900) <= 2


@pytest.mark.parametrize(("wanted", "streams"), [(True, 2), (False, 1)])
def test_a_silent_film_has_a_track_only_if_the_profile_asks(
    reel: dict[str, Path], tmp_path: Path, wanted: bool, streams: int
) -> None:
    out = tmp_path / "film.mp4"
    film = joined([segment(reel["plain"])], replace(FILM, sound=wanted), out)
    with av.open(str(out)) as clip:
        assert len(clip.streams) == streams
    assert film.sound is wanted


def test_joined_tones_are_not_torn(tmp_path: Path) -> None:
    """Real clips begin and end with an encoder's padding; a copied track would gape at each join.

    12 Hz fit exactly into a clip's second, so that the film's tone is one unbroken wave.
    """
    clip = counting(tmp_path / "clip.mp4", frames=24, sound=tone(480, 1))
    joined([segment(clip)] * 6, FILM, tmp_path / "film.mp4")
    heard = samples(tmp_path / "film.mp4")[:, 0]
    for join in range(1, 6):
        around = heard[join * 48000 - 480 : join * 48000 + 480]
        steady = np.sqrt(np.mean(around.reshape(-1, 100 if len(around) % 100 == 0 else 96) ** 2, 1))
        assert steady.min() > 0.1, f"a gap at join {join}"
        assert np.abs(np.diff(around)).max() < 0.05, f"a click at join {join}"


@pytest.mark.parametrize("fps", ["24", "24000/1001", "30000/1001"])
def test_after_twenty_joins_sound_and_picture_are_together(tmp_path: Path, fps: str) -> None:
    """A flash and a click at the same frame of the last clip, as a viewer sees and hears them."""
    rate = Fraction(fps)
    profile = Profile(320, 180, rate)
    noisy = counting(tmp_path / "noisy.mp4", fps=fps, frames=31, sound=tone(100, 2, 44100))
    mute = counting(tmp_path / "mute.mp4", fps=fps, frames=17)
    clap = tmp_path / "clap.mp4"
    flash = (
        f"color=black:s=320x180:r={fps},format=yuv420p,geq=lum='if(eq(N,20),235,16)':cb=128:cr=128"
    )
    click = (
        f"aevalsrc='if(between(t,{float(20 / rate)},{float(20 / rate) + 0.02}),0.9,0)':s=48000:d=2"
    )
    ffmpeg("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", click, "-frames:v", 40, *X264, clap)
    parts = [segment(noisy), segment(mute)] * 10 + [segment(clap)]
    out = tmp_path / "film.mp4"
    film = joined(parts, profile, out)
    frame = film.placed[-1].start + 20
    lit = [at for at, (_, mean) in enumerate(_means(out)) if mean > 200]
    assert lit == [frame]
    heard = samples(out)[:, 0]
    start = sample_at(film.placed[-1].start, rate, 48000)
    click_at = start + int(np.argmax(np.abs(heard[start:]) > 0.45))
    assert abs(click_at - sample_at(frame, rate, 48000)) < 48, "within a millisecond"
    assert abs(len(heard) - sample_at(film.frames, rate, 48000)) <= 1024


def _means(film: Path) -> list[tuple[int, float]]:
    return list(enumerate(float(luma.mean()) for luma in lumas(film)))


# The file


def test_the_film_describes_itself(reel: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    parts = [segment(reel["plain"], "sh010"), segment(reel["no-b"], "Shot 2")]
    film = joined(parts, FILM, out, about=About("Der Leuchtturm · 灯台"))
    assert film.placed == (Placed("sh010", 0, 20), Placed("Shot 2", 20, 22))
    assert film.path == out
    assert film.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert film.size == out.stat().st_size
    assert (film.width, film.height, film.fps) == (320, 180, 24)
    with av.open(str(out)) as clip:
        assert clip.metadata["title"] == "Der Leuchtturm · 灯台"
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "it plays before it is all there"


def test_the_same_clips_make_the_same_bytes(reel: dict[str, Path], tmp_path: Path) -> None:
    parts = [segment(reel["plain"]), segment(reel["openh264"])]
    sound = replace(FILM, sound=True)
    one = joined(parts, sound, tmp_path / "one.mp4")
    two = joined(parts, sound, tmp_path / "two.mp4")
    assert one.sha256 == two.sha256


@pytest.mark.covers("E13")
def test_a_long_film_needs_no_more_files_or_memory(reel: dict[str, Path], tmp_path: Path) -> None:
    peaks = {}
    for clips in (5, 60):
        tracemalloc.start()
        joined([segment(reel["plain"])] * clips, FILM, tmp_path / "film.mp4")
        peaks[clips] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[60] < peaks[5] + 200_000
    limited = (
        "import resource, sys; from pathlib import Path; from fractions import Fraction;"
        "from secondunit.splice import *; from secondunit.media import probe;"
        "from secondunit.cut import Profile;"
        "clip = Path(sys.argv[1]); part = Segment('a', clip, probe(clip));"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16));"
        "splice([part] * 60, Profile(320, 180, Fraction(24)), Path(sys.argv[2]))"
    )
    out = tmp_path / "limited.mp4"
    subprocess.run([sys.executable, "-c", limited, str(reel["plain"]), str(out)], check=True)
    assert probe(out).frames == 60 * 20


# When it goes wrong


def test_no_clips_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CutError, match="no clips to splice"):
        joined([], FILM, tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["gone", "other clip", "shorter", "longer", "cut short"])
def test_a_clip_that_changed_since_it_was_checked_leaves_the_old_film(
    reel: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    clip, out = tmp_path / "clip.mp4", tmp_path / "film.mp4"
    out.write_bytes(b"the old film")
    clip.write_bytes(reel["plain"].read_bytes())
    part = segment(clip)
    if fault == "gone":
        clip.unlink()
    elif fault == "other clip":
        clip.write_bytes(reel["openh264"].read_bytes())
    elif fault == "cut short":
        clip.write_bytes(clip.read_bytes()[:-40])
    else:
        part = replace(part, facts=replace(part.facts, frames=19 if fault == "shorter" else 21))
    with pytest.raises((CutError, Spoiled)) as caught:
        joined([segment(reel["no-b"]), part], FILM, out)
    assert str(clip) in str(caught.value)
    assert out.read_bytes() == b"the old film"
    assert list(tmp_path.glob(".part-*")) == []


@pytest.mark.covers("E4")
@pytest.mark.parametrize("size", ["40k", "90k", "400k", "900k"])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_film(tmp_path: Path, size: str) -> None:
    noise = tmp_path / "noise.mp4"
    ffmpeg("-f", "lavfi", "-i", "nullsrc=s=320x180:r=24,geq=random(1)*255:128:128",
           "-frames:v", 24, *X264, noise)  # fmt: skip
    parts = [segment(noise)] * 3
    with small_disk(tmp_path, size) as disk:
        out = disk / "film.mp4"
        out.write_bytes(b"the old film")
        with pytest.raises(DiskTrouble, match=r"film.mp4 could not be written: the disk is full"):
            joined(parts, replace(FILM, sound=True), out)
        assert out.read_bytes() == b"the old film"
        assert [path.name for path in disk.iterdir()] == ["film.mp4"]


def test_a_folder_that_cannot_be_made_is_disk_trouble(
    reel: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "films").write_text("a file")
    with pytest.raises(DiskTrouble, match="a file stands where a folder should be"):
        joined([segment(reel["plain"])], FILM, tmp_path / "films" / "film.mp4")


@pytest.mark.covers("A12")
def test_a_killed_splice_leaves_the_old_film(tmp_path: Path) -> None:
    out = tmp_path / "films" / "film.mp4"
    out.parent.mkdir()
    out.write_bytes(b"the old film")
    code = (
        "import sys; from pathlib import Path; from fractions import Fraction;"
        "from secondunit.splice import *; from secondunit.media import probe;"
        "from secondunit.cut import Profile;"
        "clip = Path(sys.argv[1]); part = Segment('a', clip, probe(clip));"
        "splice([part] * 200, Profile(1280, 720, Fraction(25)), Path(sys.argv[2]))"
    )
    killed_writing(out.parent, code, BUNNY, out)
    assert out.read_bytes() == b"the old film"


@pytest.mark.covers("A15")
def test_the_film_reaches_the_disk_before_its_name(
    reel: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        done.append("sync " + Path(f"/proc/self/fd/{handle}").readlink().name[:5])
        fsync(handle)

    def watched_rename(self: Path, target: Path) -> Path:
        done.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_rename)
    out = tmp_path / "films" / "film.mp4"
    joined([segment(reel["plain"])], FILM, out)
    assert done == ["sync .part", "rename", "sync films"]


@pytest.mark.covers("S14")
def test_a_write_that_lies_is_found_before_the_film_has_its_name(
    reel: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bit of a picture turned over between writing and reading back."""
    from secondunit import splice as room

    out = tmp_path / "film.mp4"
    out.write_bytes(b"the old film")
    write = room._write

    def lying(part: Path, *rest: object) -> object:
        written = write(part, *rest)
        data = bytearray(part.read_bytes())
        data[-100] ^= 1
        part.write_bytes(data)
        return written

    monkeypatch.setattr(room, "_write", lying)
    with pytest.raises(CutError, match="not what was written"):
        joined([segment(reel["plain"])], FILM, out)
    assert out.read_bytes() == b"the old film"


def test_our_encoders_clips_need_no_headers_in_band(tmp_path: Path) -> None:
    """What the program encodes itself, with `h264.open_stream`, joins by plain copy."""
    parts = []
    for name, level in (("dark", 30), ("light", 200)):
        path = tmp_path / f"{name}.mp4"
        with av.open(str(path), "w") as clip:
            stream = open_stream(clip, 320, 180, Fraction(24))
            for at in range(30):
                frame = av.VideoFrame.from_ndarray(
                    np.full((270, 320), level + at % 5, np.uint8), "yuv420p"
                )
                frame.pts = at
                frame.time_base = Fraction(1, 24)
                clip.mux(stream.encode(frame))
            clip.mux(stream.encode(None))
        parts.append(segment(path))
    out = tmp_path / "film.mp4"
    joined(parts, FILM, out)
    source = [bytes(packet) for part in parts for packet in packets(part.path)]
    assert [bytes(packet) for packet in packets(out)] == source


def test_facts_are_plain_values() -> None:
    assert isinstance(probe(BUNNY), Facts)
    assert hash(probe(BUNNY)) == hash(probe(BUNNY))
