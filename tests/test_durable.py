"""A file stands under its name whole, or what stood there before still does."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from secondunit.durable import STALE, beside, disk_trouble, make_folder, opened_regular, room
from secondunit.errors import CutError, DiskTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_the_file_appears_when_all_went_well(tmp_path: Path) -> None:
    out = tmp_path / "films" / "film.mp4"
    with beside(out) as part:
        assert part.parent == out.parent
        assert part.suffix == ".mp4"
        part.write_text("new")
        assert not out.exists()
    assert out.read_text() == "new"
    assert list(out.parent.iterdir()) == [out]


def _fail_half_way(out: Path, failure: BaseException) -> None:
    with beside(out) as part:
        part.write_text("half")
        raise failure


@pytest.mark.covers("E3")
@pytest.mark.parametrize(
    "failure", [CutError("no"), KeyboardInterrupt(), SystemExit(1), OSError(errno.ENOSPC, "full")]
)
def test_whatever_is_raised_leaves_what_stood_there(tmp_path: Path, failure: BaseException) -> None:
    out = tmp_path / "film.mp4"
    out.write_text("old")
    with pytest.raises(DiskTrouble if isinstance(failure, OSError) else type(failure)):
        _fail_half_way(out, failure)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    with beside(out) as one, beside(out) as two:
        one.write_text("one")
        two.write_text("two")
        assert one != two
    assert out.read_text() == "one", "the last to finish"


def test_a_name_as_long_as_the_disk_allows_is_no_trouble(tmp_path: Path) -> None:
    out = tmp_path / ("n" * 251 + ".mp4")
    with beside(out) as part:
        part.write_text("new")
    assert out.exists()


def test_only_old_leftovers_are_swept(tmp_path: Path) -> None:
    alive = os.getpid()
    names = (f".part-{alive}-a.mp4", f".part-{alive}-b.mp4", "mine.mp4")
    old, fresh, other = (tmp_path / name for name in names)
    for path in (old, fresh, other):
        path.write_text("left")
    long_ago = time.time() - STALE - 10
    os.utime(old, (long_ago, long_ago))
    os.utime(other, (long_ago, long_ago))
    with beside(tmp_path / "film.mp4") as part:
        part.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {fresh.name, "mine.mp4", "film.mp4"}


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full; make room"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "not allowed"),
        (errno.EIO, "the disk is failing"),
        (errno.ELOOP, "look at the disk"),
    ],
)
def test_the_disks_troubles_are_sentences(tmp_path: Path, number: int, says: str) -> None:
    out = tmp_path / "film.mp4"
    with pytest.raises(DiskTrouble, match=says) as caught, disk_trouble(out):
        raise OSError(number, os.strerror(number))
    assert str(out) in str(caught.value)
    assert "Nothing that was paid for is lost." in str(caught.value)


def test_a_file_that_was_never_written_is_trouble(tmp_path: Path) -> None:
    with pytest.raises(DiskTrouble), beside(tmp_path / "film.mp4"):
        pass


@pytest.mark.covers("A9")
def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    code = (
        "import sys, time; from pathlib import Path; from secondunit.durable import beside\n"
        "with beside(Path(sys.argv[1])) as part:\n"
        "    part.write_bytes(b'half'); print(part.name, flush=True); time.sleep(60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    with worker.stdout as said:
        left = tmp_path / said.readline().decode().strip()
    with beside(tmp_path / "other.mp4") as part:
        part.write_text("while it is alive")
    assert left.exists()
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    assert left.exists()
    assert not out.exists()
    with beside(out) as part:
        part.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "other.mp4"]


@pytest.mark.parametrize("name", [".part-", ".part-x-1", ".part-99999999999999999999-a"])
def test_odd_leftovers_are_no_trouble(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("left")
    with beside(tmp_path / "film.mp4") as part:
        part.write_text("new")
    assert (tmp_path / "film.mp4").exists()


# Private


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.covers("E15")
def test_what_lies_in_a_private_folder_is_private(tmp_path: Path, umask: int) -> None:
    out = tmp_path / "work" / "store" / "clip.mp4"
    make_folder(out.parent, private=True)
    with beside(out) as part:
        part.write_text("footage")
    assert (mode(out), mode(out.parent)) == (0o600, 0o700)
    assert mode(out.parent.parent) == 0o777 & ~umask


@pytest.mark.covers("E15")
def test_a_film_is_for_whom_the_user_says(tmp_path: Path, umask: int) -> None:
    assert mode(tmp_path) == 0o700, "even in a home that is private"
    out = tmp_path / "films" / "film.mp4"
    with beside(out) as part:
        part.write_text("film")
    assert mode(out) == 0o666 & ~umask
    assert mode(out.parent) == 0o777 & ~umask


# Room


@pytest.mark.covers("E3")
def test_room_is_asked_for_before_it_is_needed(tmp_path: Path) -> None:
    room(tmp_path / "not" / "yet" / "there", 1)
    with pytest.raises(DiskTrouble, match=r"nearly full; make room: .* MB are needed") as caught:
        room(tmp_path / "not" / "yet" / "there", 1 << 60)
    assert "Nothing that was paid for is lost." in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# What is read


@pytest.mark.covers("G3")
@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing"])
def test_nothing_that_may_hang_is_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "clip.mp4"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(OSError, match=r"pipe or a device|directory"):
        opened_regular(path)


def test_a_symlink_is_followed_only_where_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"footage")
    link = tmp_path / "link.mp4"
    link.symlink_to("clip.mp4")
    with opened_regular(link) as file:
        assert file.read() == b"footage"
    with pytest.raises(OSError, match="symbolic links"):
        opened_regular(link, follow=False)
