"""Files are what their bytes say; what is no clip is one sentence; what is doubtful is told."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import av
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
    photograph,
    rgb,
    spelt,
    tone,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from secondunit.errors import CutError, DiskTrouble, Spoiled
from secondunit.media import (
    Expectation,
    frame_at,
    last_frame,
    picture_facts,
    probe,
    sniff,
    verify,
)

if TYPE_CHECKING:
    from pathlib import Path

X264 = ("-c:v", "libx264", "-preset", "veryfast")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds with B-frames and sound."""
    out = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return counting(out, frames=48, sound=tone(seconds=2))


# Facts


def test_real_footage_is_described_exactly() -> None:
    facts = probe(BUNNY)
    assert (facts.container, facts.codec, facts.pix_fmt) == ("mp4", "h264", "yuv420p")
    assert (facts.width, facts.height) == (1280, 720)
    assert (facts.fps, facts.frames, facts.seconds) == (25, 132, Fraction(132, 25))
    assert (facts.sound, facts.sample_rate, facts.channels) == (True, 48000, 6)
    assert facts.size == BUNNY.stat().st_size
    assert not facts.variable
    assert facts.headers


@pytest.mark.parametrize(
    ("fps", "container"),
    [(fps, "mp4") for fps in ("24000/1001", "24", "25", "30000/1001", "60", "15/2")]
    + [(fps, "mkv") for fps in ("24000/1001", "24", "30000/1001", "60")],
)
def test_frame_rates_are_exact_whatever_the_containers_clock(
    tmp_path: Path, fps: str, container: str
) -> None:
    facts = probe(counting(tmp_path / f"clip.{container}", fps=fps, frames=31))
    assert (facts.fps, facts.frames, facts.variable) == (Fraction(fps), 31, False)
    assert facts.seconds == 31 / Fraction(fps)


def test_variable_rate_is_told_and_timed(tmp_path: Path) -> None:
    uneven = "setpts='if(lt(N,12),N,12+(N-12)*3)/24/TB'"
    clip = counting(tmp_path / "clip.mp4", "-fps_mode", "vfr", *X264, frames=20, filters=uneven)
    facts = probe(clip)
    assert facts.variable
    assert facts.frames == 20
    assert abs(facts.seconds - Fraction(12 + 8 * 3, 24)) < Fraction(3, 24)


def test_sample_aspect_is_applied_to_the_displayed_size(tmp_path: Path) -> None:
    wide = probe(counting(tmp_path / "wide.mp4", filters="setsar=4/3"))
    assert (wide.coded_width, wide.coded_height, wide.sar) == (320, 180, Fraction(4, 3))
    assert (wide.width, wide.height) == (427, 180)
    facts = probe(CARPHONE)
    assert (facts.width, facts.height, facts.sar) == (193, 144, Fraction(128, 117))


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_picture_is_displayed_turned(clip: Path, tmp_path: Path, turn: int) -> None:
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", turn, "-i", clip, "-c", "copy", turned)
    facts = probe(turned)
    assert facts.rotation == turn
    assert (facts.width, facts.height) == ((180, 320) if turn % 180 else (320, 180))
    last_frame(turned, tmp_path / "last.png")
    with Image.open(tmp_path / "last.png") as still:
        assert still.size == (facts.width, facts.height)
        small = np.asarray(still.resize((256, 144), Image.Resampling.BICUBIC))
    assert likeness(small, rgb(turned)[-1]) > 25


@pytest.mark.parametrize(
    ("codec", "name", "pix_fmt", "container"),
    [
        (("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"),
         "hevc", "yuv420p10le", "mp4"),
        (("-c:v", "libvpx-vp9", "-deadline", "realtime"), "vp9", "yuv420p", "webm"),
        (("-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8"), "av1", "yuv420p", "mp4"),
        (("-c:v", "prores_ks"), "prores", "yuv422p10le", "mov"),
        (("-c:v", "mpeg4"), "mpeg4", "yuv420p", "mov"),
    ],
)  # fmt: skip
def test_other_codecs_are_read_and_decoded(
    tmp_path: Path, codec: tuple[str, ...], name: str, pix_fmt: str, container: str
) -> None:
    made = counting(tmp_path / f"clip.{container}", *codec, frames=12)
    facts, doubts = verify(made)
    assert (facts.container, facts.pix_fmt, facts.frames) == (container, pix_fmt, 12)
    assert name in facts.codec
    assert facts.headers == ""
    assert doubts == ()


def test_fragments_are_counted_not_believed(clip: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts.mp4"
    ffmpeg("-i", clip, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", parts)
    facts, _ = verify(parts)
    assert (facts.frames, facts.fps, facts.variable) == (48, 24, False)
    assert facts.start > 0


def test_frames_that_an_edit_list_hides_are_not_counted(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", "0.5", "-i", clip, "-c", "copy", cut)
    facts, _ = verify(cut)
    assert facts.frames == 36
    assert facts.headers == "", "its packets hold more than it shows"


def test_colour_tags_are_read(tmp_path: Path) -> None:
    tags = "colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m:range=pc"
    clip = counting(tmp_path / "clip.mp4", filters=f"setparams={tags}")
    facts = probe(clip)
    assert (facts.range, facts.matrix, facts.primaries) == ("pc", "smpte170m", "smpte170m")
    untagged = probe(counting(tmp_path / "plain.mp4", filters="null"))
    assert (untagged.range, untagged.matrix) == ("", "")


# What is no clip


NOT_CLIPS = {
    "is empty": b"",
    "web page": b"\n<!DOCTYPE html><html><body>Sign in</body></html>",
    "JSON": b'{"error": "expired"}',
    "of no kind": b"\x00\x01\x02 nothing at all",
    "PNG": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
    "HEIF": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1",
}
PLAYLISTS = {
    "dash": '<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT5S"><Period>'
    "<BaseURL>{url}</BaseURL><AdaptationSet mimeType='video/mp4'><Representation id='1'/>"
    "</AdaptationSet></Period></MPD>",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {url}\n",
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
}


@pytest.mark.covers("D14", "S13")
@pytest.mark.parametrize(("says", "content"), NOT_CLIPS.items())
def test_what_is_no_clip_is_one_sentence(tmp_path: Path, says: str, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(Spoiled, match=says) as caught:
        verify(path)
    assert str(path) in str(caught.value)
    assert "costs nothing" in str(caught.value)


@pytest.mark.covers("S13")
@pytest.mark.parametrize("text", PLAYLISTS.values(), ids=PLAYLISTS)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "http:clip", "concat:a|b.mp4"])
def test_a_list_of_other_files_never_fetches_any(tmp_path: Path, text: str, name: str) -> None:
    hits: list[str] = []

    class Trap(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Trap) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        path = tmp_path / name
        path.write_text(text.format(url=f"http://127.0.0.1:{server.server_port}/clip.mp4"))
        with pytest.raises(Spoiled):
            verify(path)
        server.shutdown()
    assert hits == []


@pytest.mark.covers("S13")
def test_a_playlist_behind_a_movies_first_bytes_stays_unread(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isommp41\n" + PLAYLISTS["concat"].encode())
    with pytest.raises(Spoiled, match="damaged or cut short"):
        verify(path)


def _referring(clip: Path, to: str) -> bytes:
    """Rewrite where an MP4 says its samples lie: in another file, by a QuickTime alias."""
    data, name = clip.read_bytes(), to.encode()
    alias = bytes(10) + b"\4" + b"disk".ljust(27, b"\0") + bytes(12) + bytes([len(name)])
    alias += name.ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + b"\xff\xff\0\0"
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    at = data.index(b"url \0\0\0\1") - 4
    out = bytearray(data[:at] + entry + data[at + 12 :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        size = data.index(box) - 4
        out[size : size + 4] = (int.from_bytes(data[size : size + 4]) + len(alias)).to_bytes(4)
    return bytes(out)


@pytest.mark.covers("S13")
def test_an_mp4_whose_samples_lie_in_another_file_reads_none_of_it(tmp_path: Path) -> None:
    """Else a shared clip could bring any video of this machine into an order."""
    mine = counting(tmp_path / "mine.mp4", frames=12)
    path = tmp_path / "clip.mp4"
    path.write_bytes(_referring(counting(tmp_path / "other.mp4", frames=12), mine.name))
    with av.open(str(path), options={"enable_drefs": "1"}) as careless:
        assert sum(1 for _ in careless.decode(video=0)) == 12
    with pytest.raises(Spoiled, match="not one frame"):
        verify(path)


@pytest.mark.covers("D13")
def test_a_clip_without_picture_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", tone(), path)
    with pytest.raises(Spoiled, match="only sound"):
        probe(path)


def test_a_cover_picture_is_not_the_moving_one(clip: Path, tmp_path: Path) -> None:
    song, film = tmp_path / "song.m4a", tmp_path / "film.mp4"
    cover = ("-i", photograph("rocket.jpg"), "-c", "copy", "-disposition:v:0", "attached_pic")
    ffmpeg("-f", "lavfi", "-i", tone(), *cover, "-c:a", "aac", "-map", "1:v", "-map", "0:a", song)
    with pytest.raises(Spoiled, match="only sound"):
        probe(song)
    ffmpeg("-i", clip, *cover, "-map", "1:v", "-map", "0:v", film)
    assert verify(film)[0].frames == 48


def test_one_frame_is_too_few(tmp_path: Path) -> None:
    path = counting(tmp_path / "clip.mp4", frames=1)
    with pytest.raises(Spoiled, match="1 frame, too few"):
        verify(path)
    assert probe(path, least=1).frames == 1


def test_a_missing_file_and_a_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(Spoiled, match="no such file"):
        probe(tmp_path / "nowhere" / "clip.mp4")
    with pytest.raises(Spoiled, match="directory"):
        probe(tmp_path)


@pytest.mark.covers("D14")
@pytest.mark.parametrize("keep", [0.03, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("form", ["late index", "early index", "fragments", "matroska"])
def test_a_truncated_clip_is_refused(clip: Path, tmp_path: Path, keep: float, form: str) -> None:
    flags = {"early index": "faststart", "fragments": "frag_keyframe+empty_moov"}
    whole, cut = tmp_path / "whole", tmp_path / "cut.mp4"
    kind = ("-f", "matroska") if form == "matroska" else ("-movflags", flags.get(form, "0"))
    muxer = kind if form == "matroska" else ("-f", "mp4", *kind)
    ffmpeg("-i", clip, "-c:v", "copy", "-an", *muxer, whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(Spoiled, match="not a playable video"):
        verify(cut)


@pytest.mark.covers("S14")
def test_flipped_bits_are_found(tmp_path: Path) -> None:
    """Of twenty damaged copies of real footage at least nineteen are refused."""
    refused = 0
    for seed in range(20):
        try:
            verify(flipped(CARPHONE, tmp_path / "flipped.mp4", seed))
        except Spoiled:
            refused += 1
    assert refused >= 19


@pytest.mark.covers("S14")
def test_flipped_bits_in_the_sound_are_found(tmp_path: Path, clip: Path) -> None:
    """The picture alone would pass."""
    sound = tmp_path / "sound.mp4"
    ffmpeg("-i", clip, "-vn", "-c", "copy", sound)
    bad = flipped(sound, tmp_path / "bad.mp4", seed=1, bits=400)
    both = tmp_path / "both.mp4"
    ffmpeg("-i", clip, "-i", bad, "-map", "0:v", "-map", "1:a", "-c", "copy", both)
    assert probe(both).sound
    with pytest.raises(Spoiled, match="damaged"):
        verify(both)


def test_damage_is_not_talked_about_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Spoiled):
        verify(flipped(CARPHONE, tmp_path / "flipped.mp4", 3))
    assert capfd.readouterr() == ("", "")


@given(st.binary(max_size=200))
def test_any_bytes_have_one_kind(head: bytes) -> None:
    assert isinstance(sniff(head), str)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (BUNNY, "mp4"),
        (photograph("astronaut.png"), "png"),
        (photograph("rocket.jpg"), "jpeg"),
        (photograph("no_time_for_that_tiny.gif"), "gif"),
    ],
)
def test_real_files_are_known_by_their_first_bytes(source: Path, kind: str) -> None:
    assert sniff(source.read_bytes()[:64]) == kind


# What was paid for, but is doubtful


def test_sound_footage_has_no_doubts() -> None:
    expect = Expectation(1280, 720, 5.28, Fraction(25))
    facts, doubts = verify(BUNNY, expect=expect)
    assert doubts == ()
    assert facts == probe(BUNNY)


@pytest.mark.covers("D13")
def test_what_was_not_ordered_is_told_and_kept() -> None:
    _, doubts = verify(BUNNY, expect=Expectation(720, 1280, 10, Fraction(24)))
    assert doubts == (
        "The clip is 1280×720 pixels; 720×1280 were ordered.",
        "The clip is 5.28 s long; 10 s were ordered.",
        "The clip runs at 25 frames a second; 24 were ordered.",
    )


def test_a_frame_more_or_less_is_as_ordered(tmp_path: Path) -> None:
    path = counting(tmp_path / "clip.mp4", frames=121)
    assert verify(path, expect=Expectation(seconds=5))[1] == ()


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        ("color=black", "black for 2.0 of 2.0 s"),
        ("color=black:r=24:d=1.5[b];testsrc2=r=24[t];[b][t]concat", "black for 1.5 of 2.0 s"),
        ("testsrc2,trim=end_frame=1,loop=47:1", "does not move for 2.0 of 2.0 s"),
    ],
)
def test_black_and_frozen_pictures_are_told(tmp_path: Path, picture: str, says: str) -> None:
    path = tmp_path / "clip.mp4"
    ffmpeg("-f", "lavfi", "-i", picture, "-r", 24, "-frames:v", 48, *X264, path)
    (doubt,) = verify(path)[1]
    assert says in doubt
    assert "another seed or prompt" in doubt


def test_a_dark_picture_that_moves_is_not_black(tmp_path: Path) -> None:
    path = tmp_path / "night.mp4"
    night = "eq=brightness=-0.35:contrast=0.4"
    ffmpeg("-i", BIKES, "-vf", night, "-frames:v", 30, *X264, path)
    assert verify(path)[1] == ()


# Stills


def test_the_last_frame_is_the_last_one_displayed(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "last.png"
    last_frame(clip, out)
    with Image.open(out) as still:
        assert still.format == "PNG"
        assert spelt(np.asarray(still.convert("L"))) == 47


def test_the_last_frame_of_real_footage_is_what_a_player_shows(tmp_path: Path) -> None:
    for source in (BUNNY, CARPHONE):
        last_frame(source, tmp_path / "last.png")
        with Image.open(tmp_path / "last.png") as still:
            small = np.asarray(still.resize((256, 144), Image.Resampling.BICUBIC))
        matrix = "bt709" if source == BUNNY else "bt601"
        shown = rgb(source, f"scale=in_color_matrix={matrix}:flags=bicubic")[-1]
        assert likeness(small, shown) > 32


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm"])
def test_any_frame_can_be_saved(tmp_path: Path, container: str) -> None:
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-g", "10")
    codec = vp9 if container == "webm" else (*X264, "-g", "10")
    path = counting(tmp_path / f"clip.{container}", *codec, frames=48)
    for index in (0, 1, 29, 30, 46, 47):
        frame_at(path, index, tmp_path / "still.png")
        with Image.open(tmp_path / "still.png") as still:
            assert spelt(np.asarray(still.convert("L"))) == index


def test_a_frame_that_is_not_there_is_a_sentence(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(CutError, match="no frame 48; it has 48"):
        frame_at(clip, 48, tmp_path / "still.png")
    assert not (tmp_path / "still.png").exists()


def test_a_still_that_cannot_be_written_is_disk_trouble(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskTrouble, match="a file stands where a folder should be"):
        last_frame(clip, tmp_path / "file" / "last.png")


# Pictures


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_photographs_are_described(tmp_path: Path, form: str) -> None:
    path = tmp_path / "picture.dat"
    with Image.open(photograph("coffee.png")) as photo:
        photo.convert("RGB").save(path, form.upper())
    facts = picture_facts(path)
    assert (facts.format, facts.width, facts.height) == (form, 600, 400)
    assert facts.size == path.stat().st_size


@pytest.mark.covers("G7")
def test_a_photograph_taken_sideways_is_measured_upright(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    with Image.open(photograph("rocket.jpg")) as photo:
        exif = photo.getexif()
        exif[0x0112] = 6
        photo.save(path, exif=exif)
        width, height = photo.size
    assert (picture_facts(path).width, picture_facts(path).height) == (height, width)


def _png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + chunk + zlib.crc32(chunk).to_bytes(4)


@pytest.mark.covers("G7", "S12")
@pytest.mark.parametrize("size", [(10_000, 10_000), (20_000, 20_000), (1 << 30, 1 << 30)])
def test_a_huge_picture_is_refused_from_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    """Also no warning of Pillow's, which the test run would turn into an error."""
    path = tmp_path / "picture.png"
    path.write_bytes(_png_header(*size) + b"\0\0\0\0IDAT")
    with pytest.raises(Spoiled, match="too many to decode"):
        picture_facts(path)


@pytest.mark.covers("G7", "S12")
@pytest.mark.parametrize("name", ["coffee.png", "rocket.jpg"])
def test_a_truncated_picture_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = photograph(name).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(Spoiled, match="not a playable picture: it is damaged or cut short"):
        picture_facts(path)


@pytest.mark.covers("G7", "S12")
@pytest.mark.parametrize("name", ["144 Mpx.png", "81 Mpx.png", "268 Mpx.webp"])
def test_a_small_file_with_a_huge_picture_takes_no_memory(tmp_path: Path, name: str) -> None:
    """Refused before it is decoded, also where Pillow would not even warn; in a process alone."""
    path = tmp_path / name
    if name == "268 Mpx.webp":
        frames = [Image.new("RGB", (64, 64), (n, 0, 0)) for n in (0, 200)]
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        data = bytearray(path.read_bytes())
        size = data.index(b"VP8X") + 12
        data[size : size + 6] = 2 * (16382).to_bytes(3, "little")
        path.write_bytes(data)
    else:
        side = 12000 if name == "144 Mpx.png" else 9000
        Image.new("1", (side, side)).save(path, compress_level=1)
    assert path.stat().st_size < 200_000
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from secondunit.media import picture_facts; from secondunit.errors import Spoiled\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "picture_facts(Path(sys.argv[2])); before = peak()\n"
        "try: picture_facts(Path(sys.argv[1]))\n"
        "except Spoiled: print(peak() - before)"
    )
    command = [sys.executable, "-c", code, str(path), str(photograph("coffee.png"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 10_000, "kB more"


@pytest.mark.covers("G7", "S12")
@pytest.mark.parametrize("kind", ["eps", "tiff", "gif", "bmp", "svg"])
def test_pictures_of_other_kinds_never_reach_a_decoder(tmp_path: Path, kind: str) -> None:
    """EPS least of all, for which Pillow would start Ghostscript."""
    path = tmp_path / "picture.png"
    if kind == "svg":
        path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>')
    else:
        with Image.open(photograph("coffee.png")) as photo:
            photo.convert("RGB").save(path, kind.upper())
    with pytest.raises(Spoiled, match="not PNG, JPEG or WebP"):
        picture_facts(path)


@pytest.mark.covers("G7")
@pytest.mark.parametrize(
    ("mode", "form"), [("CMYK", "jpeg"), ("L", "jpeg"), ("I;16", "png"), ("P", "png"), ("1", "png"),
                       ("RGBA", "webp")],
)  # fmt: skip
def test_pictures_of_any_depth_are_described(tmp_path: Path, mode: str, form: str) -> None:
    path = tmp_path / "picture.dat"
    Image.linear_gradient("L").resize((96, 64)).convert(mode).save(path, form.upper())
    assert (picture_facts(path).format, picture_facts(path).width) == (form, 96)


@pytest.mark.covers("G7")
@pytest.mark.parametrize("form", ["png", "webp"])
def test_a_picture_that_moves_is_described_by_its_first(tmp_path: Path, form: str) -> None:
    path = tmp_path / "picture.dat"
    frames = [Image.new("RGB", (96, 64), (n, 0, 0)) for n in (0, 100, 200)]
    frames[0].save(path, form.upper(), save_all=True, append_images=frames[1:], lossless=True)
    assert (picture_facts(path).width, picture_facts(path).height) == (96, 64)


@pytest.mark.covers("G3")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", ["pipe", "device"])
def test_a_pipe_or_a_device_is_no_file_and_nothing_waits_for_it(tmp_path: Path, what: str) -> None:
    path = tmp_path / "clip.mp4"
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for look in (probe, verify, picture_facts):
        with pytest.raises(Spoiled, match="a pipe or a device"):
            look(path)


def test_what_is_no_picture_is_one_sentence(tmp_path: Path) -> None:
    for source in (BUNNY, photograph("no_time_for_that_tiny.gif"), tmp_path / "none.png"):
        with pytest.raises(Spoiled, match="not a playable picture"):
            picture_facts(source)


# Manners


def test_importing_media_loads_nothing_heavy() -> None:
    code = (
        "import sys, secondunit.media, secondunit.cut;"
        "print([m for m in ('av', 'numpy', 'PIL', 'moviepy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_many_threads_may_look_at_once(clip: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: verify(clip), range(8)))
    assert len(set(found)) == 1
