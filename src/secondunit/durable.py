"""Files that appear under their name whole, checked and safely on the disk, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from secondunit.errors import DiskTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

STALE = 3600.0
"""Seconds without a write after which a leftover is swept away whoever seems to be writing it."""

_PREFIX = ".part-"
MOUNTS = Path("/proc/self/mounts")
REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "glusterfs", "lustre"}
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_CAUSES = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EFBIG: "the file would be larger than the disk allows; choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "writing there is not allowed; choose another folder or change its owner",
    errno.EPERM: "writing there is not allowed; choose another folder or change its owner",
    errno.EEXIST: "a file stands where a folder should be; choose another folder",
    errno.ENOTDIR: "a file stands where a folder should be; choose another folder",
    errno.EIO: "the disk is failing; look at it",
}


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """Lend a temporary name in the folder of `out`; afterwards the file there becomes `out`.

    The file is synced, renamed over `out`, and the folder synced. When anything is raised inside,
    the temporary file is removed and whatever stood at `out` stays. In a private folder the file
    is private too. What processes that are no more left behind is swept. Raises DiskTrouble.
    """
    with disk_trouble(out):
        with scratch(out.parent, out.suffix) as part:
            yield part
            if _is_private(out.parent):
                part.chmod(0o600)
            sync(part)
            part.replace(out)
        sync(out.parent)


@contextmanager
def scratch(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Lend a temporary name in `folder`; whatever bears it afterwards is removed.

    What processes that are no more left behind there is swept. Raises OSError.
    """
    make_folder(folder)
    _sweep(folder)
    part = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def disk_trouble(out: Path) -> Iterator[None]:
    """Turn what the disk says while `out` is written into DiskTrouble.

    ffmpeg's own errors are included, because PyAV raises them as OSError with the same numbers.
    """
    try:
        yield
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, f"{error.strerror or error}; look at the disk")
        raise DiskTrouble(
            f"{out} could not be written: {cause}, then run the same command again. "
            "Nothing that was paid for is lost."
        ) from error


def make_folder(folder: Path, *, private: bool = False) -> None:
    """Make a folder, and those above it that are missing.

    A `private` one is for its owner alone (0700), whatever the umask. Raises OSError.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(0o700 if private else 0o777, exist_ok=True)


def _is_private(folder: Path) -> bool:
    return not folder.stat().st_mode & _OTHERS


def room(folder: Path, size: int) -> None:
    """See that so many bytes would fit on the disk of `folder`. Raises DiskTrouble.

    Ask for twice what is expected, before it is fetched: a disk that fills up half-way has cost
    a download, and may fail whatever else is being written.
    """
    there = next(place for place in (folder, *folder.parents) if place.exists())
    with disk_trouble(folder):
        free = shutil.disk_usage(there).free
    if free < size:
        raise DiskTrouble(
            f"The disk under {folder} is nearly full; make room: {free / 1e6:.1f} MB are free and"
            f" {size / 1e6:.1f} MB are needed. Then run the same command again. Nothing that was"
            " paid for is lost."
        )


def opened_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Open a file for reading, but never a FIFO, a device or a folder, on which reading may hang.

    Without `follow`, a symlink is refused as well. Raises OSError.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "it is a pipe or a device", str(path))


def sync(path: Path) -> None:
    """Have a file or folder reach the disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    oldest = time.time() - STALE
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another run may have finished or swept it meanwhile
            if left.stat().st_mtime < oldest or not _is_alive(left.name):
                left.unlink()


def _is_alive(name: str) -> bool:
    """Say whether the process that a temporary name tells of may still be at work."""
    pid = name.removeprefix(_PREFIX).partition("-")[0]
    if not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def is_remote(path: Path) -> bool:
    """Say whether `path` lies on a file system that other machines write to as well (Linux only)."""
    try:
        mounts = MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    here = path.resolve()
    kinds = [
        (len(point), fields[2])
        for fields in map(str.split, mounts)
        if here.is_relative_to(point := fields[1].replace("\\040", " "))
    ]
    return max(kinds, default=(0, ""))[1] in REMOTE
