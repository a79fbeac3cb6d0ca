"""The shelf: pieces of films that are kept for the next one, until no film has used them for long."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KEPT = 30 * 86400.0
"""Seconds for which a piece is kept that no film uses."""

_PIECE = re.compile(r"[0-9a-f]{64}\.(?:mp4|sha256|track|chunk)|\.part-.+")


def touch(path: Path) -> None:
    """Have a piece count as used now, as far as the disk lets it."""
    with suppress(OSError):
        os.utime(path, follow_symlinks=False)


def sweep(folder: Path, used: Iterable[Path]) -> None:
    """Remove the pieces in `folder` that no film has used for 30 days, and never one that is `used`.

    Links are neither followed nor removed, that of the folder itself included. Whatever goes wrong
    leaves a piece where it is: nothing is raised.
    """
    oldest = time.time() - KEPT
    with suppress(OSError):
        kept = {path.name for path in used}
        shelf = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with os.scandir(shelf) as found:
                pieces = [one for one in found if _PIECE.fullmatch(one.name)]
            for piece in pieces:
                if piece.name not in kept:
                    _remove(shelf, piece, oldest)
        finally:
            os.close(shelf)


def _remove(shelf: int, piece: os.DirEntry[str], oldest: float) -> None:
    with suppress(OSError):
        facts = piece.stat(follow_symlinks=False)
        if stat.S_ISREG(facts.st_mode) and facts.st_mtime < oldest:
            os.unlink(piece.name, dir_fd=shelf)
