"""Files that a shot list names: found below its folder and nowhere else, and only if they decode."""

from __future__ import annotations

import os
import shutil
import socket

import pytest
from footage import BUNNY, counting, photograph
from PIL import Image

from secondunit.errors import UsageError
from secondunit.plan.assets import Asset, BadAsset, Library, allowed_roots


@pytest.fixture
def project(tmp_path):
    """A project with one picture and one plate, beside a secret that is none of its business."""
    folder = tmp_path / "project"
    (folder / "refs").mkdir(parents=True)
    shutil.copy(photograph("astronaut.png"), folder / "refs/keeper.png")
    shutil.copy(BUNNY, folder / "plate.mp4")
    shutil.copy(photograph("coffee.png"), tmp_path / "outside.png")
    (tmp_path / "id_rsa").write_text("PRIVATE")
    return folder


def refused(project, name: str, kind="picture", roots=()) -> str:
    with pytest.raises(BadAsset) as caught:
        Library(project, roots).get(name, kind)
    return str(caught.value)


def test_a_picture_is_measured_and_hashed(project):
    found = Library(project).get("refs/keeper.png", "picture")
    data = (project / "refs/keeper.png").read_bytes()
    assert (found.width, found.height, found.mime, found.size) == (512, 512, "image/png", len(data))
    assert found.data() == data
    assert found.seconds is None
    assert found.sharpness > 10


def test_footage_is_measured_and_hashed(project):
    found = Library(project).get("plate.mp4", "footage")
    assert (found.width, found.height, found.mime) == (1280, 720, "video/mp4")
    assert (found.fps, round(found.seconds, 2), found.sharpness) == (25.0, 5.28, None)


@pytest.mark.parametrize(("ending", "mime"), [("mov", "quicktime"), ("mkv", "x-matroska")])
def test_every_container_that_can_be_read_has_a_kind_to_be_sent_as(project, ending, mime):
    counting(project / f"clip.{ending}", frames=2)
    assert Library(project).get(f"clip.{ending}", "footage").mime == f"video/{mime}"


def test_the_same_file_is_read_once(project):
    library = Library(project)
    first = library.get("refs/keeper.png", "picture")
    (project / "refs/keeper.png").unlink()
    assert library.get("refs/keeper.png", "picture") is first


@pytest.mark.covers("G2", "S7")
def test_bytes_that_changed_after_the_plan_are_not_sent(project):
    found = Library(project).get("refs/keeper.png", "picture")
    shutil.copy(photograph("coffee.png"), found.path)
    with pytest.raises(BadAsset, match="changed after the plan was made"):
        found.data()


# --- paths that lead out ----------------------------------------------------------------------

ESCAPES = [
    "../id_rsa", "../outside.png", "refs/../../outside.png", "./../outside.png", "{up}/outside.png",
    "/etc/passwd", "/proc/self/environ", "/dev/zero", "~/.ssh/id_rsa", "~root/x.png",
    "file:///etc/passwd", "file:outside.png", "C:\\Windows\\win.ini", "C:/x.png", "ftp://x.org/a.png",
    "data:image/png;base64,AAAA", "runway://x", "concat:a|b.png", "refs/\0keeper.png", "", " ",
]  # fmt: skip


@pytest.mark.covers("S7", "G4")
@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_outside_of_the_folder_is_opened(project, name):
    message = refused(project, name.format(up=project.parent))
    assert "PRIVATE" not in message
    assert message.endswith((".", "`"))


def test_a_parent_that_is_left_and_entered_again_is_fine(project):
    assert Library(project).get("refs/../refs/./keeper.png", "picture").width == 512


LINKS = {
    "to a file outside": "{up}/outside.png",
    "to a relative outside": "../../outside.png",
    "to the secret": "{up}/id_rsa",
    "to a device": "/dev/zero",
    "to itself": "link.png",
}


@pytest.mark.covers("S7", "G4")
@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS)
def test_links_are_not_followed_out(project, target):
    (project / "refs/link.png").symlink_to(target.format(up=project.parent))
    assert "is a link that leads" in refused(project, "refs/link.png")


@pytest.mark.covers("S7", "G4")
def test_a_linked_folder_is_not_followed_out_either(project):
    (project / "elsewhere").symlink_to(project.parent)
    assert "is a link that leads out of" in refused(project, "elsewhere/outside.png")


def test_a_link_that_stays_inside_is_followed(project):
    (project / "link.png").symlink_to("refs/keeper.png")
    assert Library(project).get("link.png", "picture").width == 512


def test_a_root_allows_a_folder_beside(project):
    roots = allowed_roots([str(project.parent)])
    assert Library(project, roots).get("../outside.png", "picture").width == 600
    assert Library(project, roots).get(str(project.parent / "outside.png"), "picture").width == 600
    assert "`--root" in refused(project, "../outside.png")


def test_a_root_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no such folder"):
        allowed_roots([str(tmp_path / "nowhere")])


@pytest.mark.covers("S7", "G4")
def test_a_hard_link_to_a_text_is_no_picture(project):
    os.link(project.parent / "id_rsa", project / "refs/hard.png")
    assert "is not a playable picture" in refused(project, "refs/hard.png")


# --- things that are no file ------------------------------------------------------------------


@pytest.mark.covers("S7", "G3")
def test_what_is_no_regular_file_is_refused_and_never_waited_for(project, monkeypatch):
    os.mkfifo(project / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(project)
        server.bind("socket.png")
        for name in ("pipe.png", "socket.png"):
            assert refused(project, name).startswith(name)


@pytest.mark.covers("G3")
def test_a_folder_a_missing_file_and_a_missing_folder_are_told_apart(project):
    assert refused(project, "refs") == "refs is a folder. Name a file inside it."
    assert refused(project, ".") == ". is a folder. Name a file inside it."
    assert refused(project, "refs/keper.png") == (
        "there is no file `refs/keper.png`. Did you mean `refs/keeper.png`?"
    )
    assert refused(project, "refs/zzz.png") == "there is no file `refs/zzz.png`."
    assert refused(project, "stills/keeper.png") == (
        "there is no file `stills/keeper.png`, and no folder `stills`."
    )
    assert "not a directory" in refused(project, "refs/keeper.png/x.png")
    assert "file name too long" in refused(project, "a" * 300 + ".png")


@pytest.mark.covers("S7", "G3")
def test_a_file_that_is_too_large_or_empty_is_refused_unread(project):
    with (project / "large.mp4").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    assert refused(project, "large.mp4", "footage").startswith("large.mp4 has 300 MB; 200 MB")
    (project / "empty.png").touch()
    assert refused(project, "empty.png").startswith("empty.png is empty.")


# --- what does not decode ---------------------------------------------------------------------

FAKES = {
    "page.png": b"<!doctype html><html>404</html>",
    "text.png": b"not a picture",
    "torn.png": photograph("astronaut.png").read_bytes()[:4000],
    "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "list.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "torn.mp4": BUNNY.read_bytes()[:40_000],
}


@pytest.mark.covers("S12", "S13")
@pytest.mark.parametrize("name", FAKES)
def test_what_does_not_decode_is_refused_under_the_name_in_the_list(project, name):
    (project / name).write_bytes(FAKES[name])
    kind = "footage" if name.endswith("mp4") else "picture"
    message = refused(project, name, kind)
    assert message.startswith(f"{name} is not a playable")
    assert str(project) not in message


def test_a_picture_is_no_footage_and_footage_is_no_picture(project):
    assert "it is a PNG picture" in refused(project, "refs/keeper.png", "footage")
    assert "it is an MP4 video" in refused(project, "plate.mp4", "picture")


@pytest.mark.covers("G7")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (900, 4)])
def test_pictures_of_every_mode_and_size_are_measured(project, mode, size):
    Image.new(mode, size).save(project / "odd.png")
    found = Library(project).get("odd.png", "picture")
    assert isinstance(found, Asset)
    assert (found.width, found.height, found.sharpness) == (*size, 0.0)


@pytest.mark.covers("G7")
@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency_and_a_cmyk_jpeg_are_measured_without_a_warning(project):
    palette = Image.new("P", (64, 64))
    palette.info["transparency"] = b"\x00\x80"
    palette.save(project / "palette.png")
    Image.new("CMYK", (64, 64)).save(project / "print.jpg")
    for name in ("palette.png", "print.jpg"):
        assert Library(project).get(name, "picture").width == 64


def test_a_blurred_picture_is_less_sharp_than_its_original(project):
    from PIL import ImageFilter

    with Image.open(project / "refs/keeper.png") as picture:
        picture.filter(ImageFilter.GaussianBlur(12)).save(project / "blurred.png")
    library = Library(project)
    sharp = library.get("refs/keeper.png", "picture").sharpness
    blurred = library.get("blurred.png", "picture").sharpness
    assert blurred < 4 < sharp
