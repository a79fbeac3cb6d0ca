"""Files that leave, and files that arrive: only what was vetted is read, and nothing is fetched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from footage import BUNNY, counting, ffmpeg, photograph
from PIL import Image, PngImagePlugin

from secondunit import media
from secondunit.cut import WHOLE, Profile
from secondunit.errors import SecondUnitError, Spoiled
from secondunit.plan import assets
from secondunit.plan.assets import Asset, BadAsset, Library
from secondunit.splice.conform import conform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "refs").mkdir(parents=True)
    shutil.copy(photograph("astronaut.png"), folder / "refs/keeper.png")
    (tmp_path / "id_rsa").write_text("PRIVATE" * 100)
    return folder


def refused(project: Path, name: str, kind: Any = "picture", roots: Any = ()) -> str:
    before = time.monotonic()
    with pytest.raises(BadAsset) as caught:
        Library(project, roots).get(name, kind)
    assert "PRIVATE" not in str(caught.value)
    assert "/proc/self/fd" not in str(caught.value)
    assert time.monotonic() - before < 2
    return str(caught.value)


# --- S7: what may leave -------------------------------------------------------------------------


@pytest.mark.covers("S7", "G3")
@pytest.mark.parametrize("name", [
    "/proc/self/environ", "/proc/self/mem", "/dev/zero", "/dev/stdin", "/dev/tty", "/dev/null",
    "/etc/passwd",
    "/proc/kcore", "/sys/kernel/mm/transparent_hugepage/enabled", "/", "/dev",
])  # fmt: skip
def test_not_even_a_root_of_everything_lets_a_device_or_a_text_leave(
    project: Path, name: str
) -> None:
    for kind in ("picture", "footage"):
        refused(project, name, kind, (Path("/"),))


@pytest.mark.covers("S7", "G3")
def test_a_sparse_file_of_forty_gigabytes_is_refused_by_its_size(project: Path) -> None:
    with (project / "huge.mp4").open("wb") as file:
        file.truncate(40 << 30)
    assert refused(project, "huge.mp4", "footage").startswith("huge.mp4 has 40960 MB; 200 MB are")


@pytest.mark.covers("S7")
def test_a_hard_link_to_a_text_is_refused_by_the_decoders(project: Path) -> None:
    for name, kind in (("a.png", "picture"), ("a.mp4", "footage")):
        os.link(project.parent / "id_rsa", project / name)
        assert "is not a playable" in refused(project, name, kind)


@pytest.mark.covers("S7", "G3")
@pytest.mark.parametrize("part", ["refs", "refs/keeper.png"])
def test_a_part_of_the_way_that_becomes_a_link_meanwhile_is_not_followed(
    project: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    outside = project.parent / "refs"
    outside.mkdir()
    shutil.copy(photograph("coffee.png"), outside / "keeper.png")
    judged = assets._resolved

    def then_swapped(path: Path, name: str) -> Path:
        found = judged(path, name)
        (project / part).rename(project / "was")
        (project / part).symlink_to(project.parent / part)
        return found

    monkeypatch.setattr(assets, "_resolved", then_swapped)
    assert "cannot be read" in refused(project, "refs/keeper.png")


@pytest.mark.covers("S7", "G2")
def test_what_is_measured_is_what_was_hashed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret under a picture's name, exchanged for a picture just when it is looked at."""
    path, real = project / "refs/keeper.png", project / "real.png"
    path.rename(real)
    os.link(project.parent / "id_rsa", path)
    hashed = assets._hashed

    def then_swapped(handle: int, name: str) -> tuple[int, str]:
        found = hashed(handle, name)
        real.replace(path)
        return found

    monkeypatch.setattr(assets, "_hashed", then_swapped)
    assert refused(project, "refs/keeper.png") == (
        "refs/keeper.png is not a playable picture: it is of no kind that is known here, and not"
        " PNG, JPEG or WebP. Fetch it again or put a good file in its place; that costs nothing."
    )


@pytest.mark.covers("S7", "G2", "G3")
@pytest.mark.parametrize(
    "now", ["other", "same size", "pipe", "device", "folder", "secret", "gone"]
)
def test_what_takes_a_pictures_place_before_it_is_sent_is_not_sent(project: Path, now: str) -> None:
    found = Library(project).get("refs/keeper.png", "picture")
    path = found.path
    data = path.read_bytes()
    path.unlink()
    {
        "other": lambda: path.write_bytes(data + b"x"),
        "same size": lambda: path.write_bytes(data[:-1] + b"x"),
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "secret": lambda: path.symlink_to(project.parent / "id_rsa"),
        "gone": lambda: None,
    }[now]()
    before = time.monotonic()
    with pytest.raises((BadAsset, OSError)) as caught:
        found.data()
    assert time.monotonic() - before < 1
    if now != "gone":
        assert "changed after the plan was made" in str(caught.value) or now == "folder"


@pytest.mark.covers("S7")
def test_every_file_that_would_leave_stands_in_the_call_sheet(tmp_path: Path) -> None:
    from pages import furnish, plan

    folder = furnish(tmp_path / "set")
    made = plan(
        "shots:\n  - {prompt: x, first_frame: refs/door.png}\n"
        "  - {prompt: y, reference: refs/boy.png}\n"
        "  - {prompt: z, source: plates/meadow.mp4}\n  - {clip: plates/meadow.mp4}\n  - plain\n",
        folder,
    )
    leaving = {a["path"]: a["sha256"] for a in made.describe()["leaving"]}
    expected = [folder / name for name in ("refs/door.png", "refs/boy.png", "plates/meadow.mp4")]
    assert leaving == {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in expected}


# --- S8: what a file tells besides ----------------------------------------------------------------

GPS = {1: "N", 2: (48.0, 8.0, 0.0), 3: "E", 4: (11.0, 34.0, 0.0)}
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF>%b</rdf:RDF></x:xmpmeta>"


def _exif(**tags: Any) -> Image.Exif:
    exif = Image.Exif()
    if tags.get("gps"):
        exif.get_ifd(0x8825).update(GPS)
    if tags.get("artist"):
        exif[0x013B] = tags["artist"]
    if tags.get("owner"):
        exif.get_ifd(0x8769)[0xA430] = tags["owner"]
    exif[0x0112] = 1
    return exif


def _note(name: str) -> PngImagePlugin.PngInfo:
    note = PngImagePlugin.PngInfo()
    note.add_text(name, "Jane Roe")
    return note


def _iptc() -> bytes:
    """Return a JPEG whose caption block has a by-line, IPTC IIM 2:80."""
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "JPEG")
    line = b"\x1c\x02\x50" + struct.pack(">H", 8) + b"Jane Roe"
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(line)) + line + b"\0"
    jpeg = out.getvalue()
    return jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


TELLING: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "place.jpg": ("JPEG", {"exif": _exif(gps=True)}, ("where it was taken",)),
    "place.png": ("PNG", {"exif": _exif(gps=True)}, ("where it was taken",)),
    "place.webp": ("WEBP", {"exif": _exif(gps=True)}, ("where it was taken",)),
    "author.jpg": ("JPEG", {"exif": _exif(artist="Jane Roe")}, ("its author",)),
    "owner.jpg": ("JPEG", {"exif": _exif(owner="Jane Roe")}, ("its author",)),
    "author.png": ("PNG", {"pnginfo": _note("Author")}, ("its author",)),
    "both.jpg": ("JPEG", {"exif": _exif(gps=True, artist="J")}, ("where it was taken", "its author")),
    "xmp.jpg": ("JPEG", {"xmp": XMP % b"<exif:GPSLatitude/>"}, ("where it was taken",)),
    "xmp.webp": ("WEBP", {"xmp": XMP % b"<dc:creator>J</dc:creator>"}, ("its author",)),
    "silent.jpg": ("JPEG", {"exif": _exif()}, ()),
    "blank.jpg": ("JPEG", {"exif": _exif(artist="\0 ")}, ()),
    "title.png": ("PNG", {"pnginfo": _note("Title")}, ()),
}  # fmt: skip


@pytest.mark.covers("S8")
@pytest.mark.parametrize("name", TELLING)
def test_a_picture_that_tells_where_or_by_whom_is_known_to(project: Path, name: str) -> None:
    kind, more, told = TELLING[name]
    Image.new("RGB", (64, 64)).save(project / name, kind, **more)
    found = Library(project).get(name, "picture")
    assert found.tells == told
    if told:
        assert found.warning.startswith(
            f"the file says {' and '.join(told)}, which leaves with it."
        )
        assert f"`exiftool -all= -tagsfromfile @ -orientation -icc_profile {name}`" in found.warning


@pytest.mark.covers("S8")
def test_a_by_line_and_what_a_camera_writes_into_footage_are_known_too(project: Path) -> None:
    (project / "press.jpg").write_bytes(_iptc())
    assert Library(project).get("press.jpg", "picture").tells == ("its author",)
    for name, tag, told in (
        ("where.mp4", "location=+48.1371+011.5754/", ("where it was taken",)),
        ("who.mp4", "artist=Jane Roe", ("its author",)),
        ("plain.mp4", "title=A walk", ()),
    ):
        ffmpeg(
            "-i",
            counting(project / "x.mp4", frames=2),
            "-c",
            "copy",
            "-metadata",
            tag,
            project / name,
        )
        found = Library(project).get(name, "footage")
        assert found.tells == told
    assert "`ffmpeg -i where.mp4 -map_metadata -1 -c copy stripped-where.mp4`" in (
        Library(project).get("where.mp4", "footage").warning
    )


@pytest.mark.covers("S8")
def test_the_remark_stands_where_the_file_is_named(tmp_path: Path) -> None:
    from pages import furnish, plan

    folder = furnish(tmp_path / "set")
    with Image.open(photograph("astronaut.png")) as picture:
        large = picture.convert("RGB").resize((1024, 1024))
    large.save(folder / "refs/home.jpg", exif=_exif(gps=True))
    ffmpeg("-i", folder / "plates/meadow.mp4", "-c", "copy", "-metadata", "location=+48.1+011.5/",
           folder / "plates/home.mp4")  # fmt: skip
    made = plan(
        "shots:\n  - {prompt: x, reference: refs/home.jpg}\n"
        "  - {prompt: y, source: plates/home.mp4}\n"
        "  - {clip: plates/home.mp4}\n",
        folder,
    )
    remarks = [(r.line, r.where, r.code) for r in made.remarks]
    assert remarks == [
        (2, "shots[0].reference", "private-metadata"), (3, "shots[1].source", "private-metadata"),
    ]  # fmt: skip


# --- S12: pictures that are bombs ---------------------------------------------------------------


def png(width: int, height: int, *chunks: tuple[bytes, bytes], bits: int = 1) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    row = bytes(1 + (width * bits + 7) // 8) if width < 1 << 20 else b""
    pixels = zlib.compress(row * height, 1) if width * height < 1 << 30 else b"none"
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bombs() -> dict[str, bytes]:
    jpeg = io.BytesIO()
    Image.new("L", (64, 64)).save(jpeg, "JPEG")
    claims = jpeg.getvalue().replace(
        struct.pack(">HH", 64, 64), struct.pack(">HH", 65500, 65500), 1
    )
    packed = zlib.compress(bytes(200 << 20), 1)
    frame = io.BytesIO()
    Image.new("RGB", (64, 64)).save(frame, "WEBP", lossless=True)
    at = frame.getvalue().index(b"VP8L") + 9  # RFC 9649 §3.4: 14 bits of width, 14 of height
    webp = frame.getvalue()[:at] + b"\xff\xff\xff\x0f" + frame.getvalue()[at + 4 :]
    return {
        "169 Mpx.png": png(13_000, 13_000), "81 Mpx.png": png(9_000, 9_000),
        "huge.png": png(20_000, 20_000),
        "claims.png": png(2**31 - 1, 2**31 - 1), "claims.jpg": claims, "268 Mpx.webp": webp,
        "zTXt.png": png(64, 64, (b"zTXt", b"a\0\0" + packed)),
        "iCCP.png": png(64, 64, (b"iCCP", b"a\0\0" + packed)),
        "iTXt.png": png(64, 64, (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)),
        "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "gif.png": b"GIF89a" + bytes(100), "tiff.png": b"II*\0" + bytes(100),
        "torn.png": png(640, 640)[:80],
        "psd.png": b"8BPS\0\1" + bytes(100), "svg.png": b"<svg onload='x'/>",
        "heic.png": b"\0\0\0\x18ftypheic",
    }  # fmt: skip


BOMB_SQUAD = """
import json, resource, sys, time
from pathlib import Path
from secondunit.plan.assets import BadAsset, Library
from secondunit import media
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
folder, found = Path(sys.argv[1]), {}
Library(folder).get("good.png", "picture")
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(folder.glob("*.*")):
    began = time.monotonic()
    try:
        Library(folder).get(path.name, "picture")
        said = "taken"
    except BadAsset as bad:
        said = str(bad)
    found[path.name] = (said, time.monotonic() - began)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
print(json.dumps([grown / 1024, found]))
"""


@pytest.mark.covers("S12", "G7")
def test_bombs_are_refused_before_they_grow(tmp_path: Path) -> None:
    for name, data in bombs().items():
        (tmp_path / name).write_bytes(data)
    shutil.copy(photograph("astronaut.png"), tmp_path / "good.png")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BOMB_SQUAD, tmp_path],
        capture_output=True, text=True, check=False, env=dict(os.environ), timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    grown, found = json.loads(done.stdout)
    assert found.pop("good.png")[0] == "taken"
    for name, (said, seconds) in found.items():
        assert said.startswith(f"{name} is not a playable picture: "), (name, said)
        assert seconds < 2, name
    assert grown < 60, "megabytes of memory"


# --- S13: footage that names other files ----------------------------------------------------------

Server = tuple[int, list[bytes]]


@pytest.fixture(scope="module")
def counter() -> Iterator[Server]:
    """Count every connection that somebody makes to a port of this machine."""
    hits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    visitor, _ = server.accept()
                    with visitor:
                        hits.append(b"hit")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], hits
        server.shutdown(socket.SHUT_RDWR)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def referring(data: bytes, link: bytes) -> bytes:
    """Rewrite an MP4 so that its pictures lie in another file alone, ISO/IEC 14496-12 §8.7.2."""
    out = b""
    url = bytes(4) + link + b"\0"
    entry = bytes(4) + (1).to_bytes(4) + (len(url) + 8).to_bytes(4) + b"url " + url
    for name, was in boxes(data):
        inner = name in {b"moov", b"trak", b"mdia", b"minf", b"dinf"}
        changed = {b"dref": entry, b"mdat": bytes(len(was))}.get(name, was)
        body = referring(was, link) if inner else changed
        out += (len(body) + 8).to_bytes(4) + name + body
    return out


def disguises(port: int, folder: Path) -> dict[str, bytes]:
    """Files that ask a player to fetch others, each from http, a sibling or the system."""
    link = f"http://127.0.0.1:{port}/x.mp4"
    sibling = folder / "sibling.mp4"
    if not sibling.exists():
        counting(sibling, frames=24)
    clip = sibling.read_bytes()
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        "<Period>"
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    )
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
    sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    ftyp = (24).to_bytes(4) + b"ftypisom" + bytes(4) + b"isommp41"
    texts = {
        "dash over http": dash.format(link), "dash of a sibling": dash.format("sibling.mp4"),
        "dash behind a comment": "<!-- x -->\n" + dash.format(link),
        "dash behind blanks": "\n" * 3000 + dash.format(link),
        "hls over http": hls.format(link), "hls of a sibling": hls.format("sibling.mp4"),
        "hls behind a mark": "\ufeff" + hls.format(link),
        "hls of a file": hls.format("file:///etc/passwd"),
        "hls with a key": hls.format(link).replace(
            "#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{link}"\n#EXTINF'),
        "ffconcat over http": f"ffconcat version 1.0\nfile '{link}'\n",
        "ffconcat of a sibling": "ffconcat version 1.0\nfile sibling.mp4\n",
        "concat without its name": f"file '{link}'\nfile 'sibling.mp4'\n",
        "sdp": sdp, "rtsp text": f"RTSPtextRTSP://127.0.0.1:{port}/x\n",
        "asx": f'<asx><ref href="{link}"/></asx>',
        "pls": f"[playlist]\nFile1={link}\n",
        "xspf": f"<playlist><location>{link}</location></playlist>",
        "smooth streaming": f'<SmoothStreamingMedia><StreamIndex Url="{link}"/></SmoothStreamingMedia>',
        "imf": f'<CompositionPlaylist xmlns="http://www.smpte-ra.org/"><Id>{link}</Id></CompositionPlaylist>',
        "a link alone": link, "webpage": f"<html><video src={link}></html>",
        "ffmetadata": ";FFMETADATA1\ntitle=x\n",
    }  # fmt: skip
    return {name: text.encode() for name, text in texts.items()} | {
        "dash behind an mp4's first box": ftyp + dash.format(link).encode(),
        "hls behind an mp4's first box": ftyp + hls.format(link).encode(),
        "hls behind matroska's mark": b"\x1a\x45\xdf\xa3" + hls.format(link).encode(),
        "an mp4 whose pictures lie at a link": referring(clip, link.encode()),
        "an mp4 whose pictures lie in a sibling": referring(clip, b"file:sibling.mp4"),
    }


def is_refused(open_: Callable[[], Any]) -> bool:
    try:
        open_()
    except SecondUnitError:
        return True
    return False


PROFILE = Profile(160, 90, Fraction(24))
DOORS: dict[str, Callable[[Path], Any]] = {
    "verify": media.verify,
    "probe": media.probe,
    "last frame": lambda path: media.last_frame(path, path.with_suffix(".png")),
    "a frame": lambda path: media.frame_at(path, 0, path.with_suffix(".png")),
    "conform": lambda path: conform(path, path.with_name("out.mp4"), PROFILE, WHOLE),
    "a picture": media.picture_facts,
}


@pytest.mark.covers("S13", "D14")
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "m3u8"])
def test_footage_that_names_other_files_is_refused_and_nothing_is_fetched(
    tmp_path: Path, counter: Server, ending: str
) -> None:
    """As `source`, as `clip` and as what arrived: by every door that opens footage."""
    port, hits = counter
    fixtures = disguises(port, tmp_path)
    assert len(fixtures) >= 15
    for number, (name, data) in enumerate(fixtures.items()):
        path = tmp_path / f"{number}.{ending}"
        path.write_bytes(data)
        for door, open_ in DOORS.items():
            assert is_refused(lambda: open_(path)), f"{door} takes {name}"  # noqa: B023  called at once
        with pytest.raises(BadAsset):
            Library(tmp_path).get(path.name, "footage")
    assert hits == []


@pytest.mark.covers("S13", "D14")
@pytest.mark.parametrize("name", [
    "dash over http", "hls over http", "ffconcat over http", "sdp",
    "an mp4 whose pictures lie at a link",
])  # fmt: skip
def test_an_output_in_disguise_is_kept_nowhere_and_fetches_nothing(
    tmp_path: Path, counter: Server, name: str
) -> None:
    """Ordered, downloaded and judged by the unit itself, as in a run."""
    from strict import Life, listening
    from test_take import ONE, Production

    port, hits = counter
    data = disguises(port, tmp_path)[name]
    with listening(lambda *_: data) as strict:
        strict.living("door", Life(media=(data,)))
        production = Production(tmp_path, strict)
        with pytest.raises(Spoiled, match="not ordered again"):
            production.shoot(production.plan(ONE))
        assert len(strict.taken) == 1
    assert hits == []
    kept = [p for p in (tmp_path / ".secondunit").rglob("*.mp4") if "bad" not in p.parts]
    assert not [p for p in kept if p.read_bytes() == data]


@pytest.mark.covers("S13")
def test_a_backlot_that_is_given_them_fetches_nothing_either(
    tmp_path: Path, counter: Server
) -> None:
    from lot import QUICK, client, data_uri, edit

    from secondunit.backlot import running

    port, hits = counter
    with running(tmp_path / "lot", QUICK) as url, client(url) as api:
        for name, data in disguises(port, tmp_path).items():
            body = edit(data_uri(data, "video/mp4"))
            answer = api.post("/v1/video_to_video", json=body)
            if answer.status_code == 200:  # taken at first sight: then it fails when it is played
                from lot import ended

                assert ended(api, answer.json()["id"])["status"] == "FAILED", name
    assert hits == []


@pytest.mark.covers("S13", "S15")
@pytest.mark.parametrize("name", [
    "http://127.0.0.1:{port}/x.mp4", "concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4",
    "data:video/mp4,x",
    "tcp://127.0.0.1:{port}", "crypto:a.mp4", "async:a.mp4", "file:a.mp4", "pipe:0", "fd:0",
    "cache:a.mp4",
    "rtmp://127.0.0.1:{port}/a", "tee:a.mp4|b.mp4", "lavfi:testsrc",
])  # fmt: skip
def test_a_name_that_ffmpeg_would_read_as_a_protocol_is_a_name(
    tmp_path: Path, counter: Server, name: str
) -> None:
    port, hits = counter
    for part in ("a.mp4", "b.mp4"):
        shutil.copy(BUNNY, tmp_path / part)
    for door, open_ in DOORS.items():
        path = tmp_path / name.format(port=port).replace("/", ":")
        assert is_refused(lambda: open_(path)), door  # noqa: B023  called at once
    with pytest.raises(BadAsset):
        Library(tmp_path).get(name.format(port=port), "footage")
    assert hits == []


NASTY = ["-y.mp4", "--help.mp4", "-i.mp4", "$(touch owned).mp4", "`touch owned`.mp4",
         "a;touch owned.mp4",
         "a\nb.mp4", "a'b.mp4", 'a"b.mp4', "a|b.mp4", "%d.mp4", "%s%n.mp4", "a b.mp4", "&.mp4",
         "é.mp4",
         "\u202egnp.mp4", "*.mp4", "?.mp4", "[a].mp4", "a\\b.mp4", "#.mp4", "~.mp4", "http:a.mp4",
         "concat:a.mp4",
         "\t.mp4", "....mp4", "a\x7fb.mp4", "\u3000.mp4", "🎬.mp4", "{x}.mp4", "a=b.mp4",
         "con.mp4"]  # fmt: skip


@pytest.mark.covers("S15")
def test_names_that_a_shell_or_ffmpeg_might_obey_are_only_names(tmp_path: Path) -> None:
    assert len(NASTY) >= 30
    clip = counting(tmp_path / "clip", "-f", "mp4", frames=2).read_bytes()
    (tmp_path / "in").mkdir()
    for name in NASTY:
        path = tmp_path / "in" / name
        path.write_bytes(clip)
        facts, _ = media.verify(path)
        assert facts.frames == 2
        made = tmp_path / "in" / f"{name}.png"
        media.last_frame(path, made)
        assert made.stat().st_size > 100
    odd = tmp_path / "in" / NASTY[3]
    assert conform(odd, tmp_path / "in" / "-out %d.mp4", PROFILE, WHOLE).width == 160
    left = {p.name for p in (tmp_path / "in").iterdir()}
    assert left == {*NASTY, *(f"{n}.png" for n in NASTY), "-out %d.mp4"}
    assert not list(tmp_path.rglob("owned"))


def test_assets_of_the_same_file_are_one(project: Path) -> None:
    assert isinstance(Library(project).get("refs/keeper.png", "picture"), Asset)
