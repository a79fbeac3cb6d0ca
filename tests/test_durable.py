"""A file stands under its name whole, or what stood there before still does."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from secondunit.durable import STALE, beside, disk_trouble
from secondunit.errors import CutError, DiskTrouble

if TYPE_CHECKING:
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


@pytest.mark.parametrize("failure", [CutError("no"), KeyboardInterrupt(), SystemExit(1)])
def test_whatever_is_raised_leaves_what_stood_there(tmp_path: Path, failure: BaseException) -> None:
    out = tmp_path / "film.mp4"
    out.write_text("old")
    with pytest.raises(type(failure)):
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
    old, fresh, other = (tmp_path / name for name in (".part-1-a.mp4", ".part-2-b.mp4", "mine.mp4"))
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
