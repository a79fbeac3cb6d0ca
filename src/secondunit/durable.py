"""Files that appear under their name whole, checked and safely on the disk, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from secondunit.errors import DiskTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STALE = 3600.0
"""Seconds without a write after which a leftover of a killed process is swept away."""

_PREFIX = ".part-"
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
    the temporary file is removed and whatever stood at `out` stays. Raises DiskTrouble.
    """
    with disk_trouble(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        _sweep(out.parent)
        part = out.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}{out.suffix}")
        try:
            yield part
            sync(part)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
        sync(out.parent)


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
            if left.stat().st_mtime < oldest:
                left.unlink()
