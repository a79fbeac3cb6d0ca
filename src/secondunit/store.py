"""The store: finished media under the key of what was asked for, written once and checked on use.

store/ab/abcd…/clip.mp4      what came back (still.png for a still; clip-2.mp4 … for more outputs)
store/ab/abcd…/slate.json    the facts of the take, written last: with it the take is kept
store/bad/abcd…-1/           what no longer matched its slate, set aside and never deleted

A slate holds the hash of every file, and a seal, the hash of all else in it (those of the first
version had none). A take whose seal or files differ in a bit, or where a symlink, a FIFO or a folder
stands for a file, is set aside; its ticket is in the ledger, so that it is fetched again and never
ordered again by itself. Folders and files are for their owner alone: prompts and footage may be
unreleased.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secondunit import keys
from secondunit.durable import beside, disk_trouble, make_folder, opened_regular, sync
from secondunit.errors import DiskTrouble, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SLATE_SCHEMA = 2  # 1 had no seal

LARGEST_SLATE = 4 << 20
"""Bytes; a slate holds a prompt and some numbers, a few kB."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_NOT_A_FILE = {errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ENXIO}


@dataclass(frozen=True)
class Take:
    """A finished take: where its (first) file is, and its slate."""

    key: str
    path: Path
    slate: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The hash of the file's bytes."""
        return str(self.slate["files"][0]["sha256"])


class Store:
    """Finished takes below one folder."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`; it is made when the first take arrives."""
        self.root = root

    def folder(self, key: str) -> Path:
        """Return the folder of a take, whether it is there or not."""
        return self.root / key[:2] / key

    def get(self, key: str) -> Take | None:
        """Return the take called `key` if it is here and whole; what is damaged is set aside.

        Raises DiskTrouble where the disk itself fails, UsageError where a newer Second Unit kept it.
        """
        folder = self.folder(key)
        try:
            take = _take(folder, key)
            if take and all(_intact(folder, facts) for facts in take.slate["files"]):
                return take
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskTrouble(
                f"{folder} cannot be read ({error.strerror}). Repair the disk, then run again;"
                " nothing is ordered in its place."
            ) from error
        self._set_aside(folder)
        return None

    def has(self, key: str) -> bool:
        """Say quickly whether a take is here, without reading its bytes again."""
        return self.kept_at(key) is not None

    def kept_at(self, key: str) -> int | None:
        """Return when a take was kept, in nanoseconds since 1970, or None where it is not here."""
        try:
            return (self.folder(key) / "slate.json").stat().st_mtime_ns
        except OSError:
            return None

    def slates(self) -> Iterator[Take]:
        """Yield each take that was ever kept, once, by its slate alone: its files are not read.

        Slates that were set aside are included, because they still tell of a ticket; such takes have
        no good files. What cannot be read is skipped.
        """
        told: set[str] = set()
        for folder in (*sorted(self.root.glob("??/*")), *sorted(self.root.glob("bad/*"))):
            key = folder.name.partition("-")[0]
            try:
                take = _take(folder, key)
            except OSError:
                continue
            if take and key not in told:
                told.add(key)
                yield take

    def is_empty(self) -> bool:
        """Say quickly whether no take was ever kept here."""
        return next(self.root.glob("*/*/slate.json"), None) is None

    def incoming(self, key: str, name: str) -> Path:
        """Return the path under which an output is to be written before `keep` is called."""
        folder = self.folder(key)
        with disk_trouble(folder):
            for place in (self.root, folder.parent, folder):
                make_folder(place, private=True)
        return folder / name

    def keep(self, key: str, files: Sequence[Path], facts: Mapping[str, Any]) -> Take:
        """Write the slate of a take whose files are in place; from then on it is never changed."""
        if self.has(key) and (kept := self.get(key)):
            return kept
        folder = self.folder(key)
        with disk_trouble(folder):
            described = [_file(path) for path in files]
        slate = {"schema": SLATE_SCHEMA, "key": key, "files": described, **facts}
        with beside(folder / "slate.json") as part:
            text = json.dumps({**slate, "seal": _seal(slate)}, indent=2, ensure_ascii=False)
            part.write_text(text + "\n", "utf-8")
        with disk_trouble(folder):
            sync(folder.parent)
            sync(self.root)
        return Take(key, files[0], slate)

    def _set_aside(self, folder: Path) -> None:
        bad = self.root / "bad"
        with disk_trouble(bad):
            make_folder(bad, private=True)
            number = 1
            while os.path.lexists(target := bad / f"{folder.name}-{number}"):
                number += 1
            folder.rename(target)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(slate: Mapping[str, Any]) -> str:
    return hashlib.sha256(keys.canonical(slate)).hexdigest()


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest(path)}


def _take(folder: Path, key: str) -> Take | None:
    """Read the slate of a take; None where it is damaged. Raises OSError, UsageError."""
    if folder.is_symlink():
        return None
    try:
        with opened_regular(folder / "slate.json", follow=False) as file:
            slate = json.loads(file.read(LARGEST_SLATE))
        seal = slate.pop("seal", None)
        sealed = (seal == _seal(slate) or (seal, slate["schema"]) == (None, 1)) and slate[
            "key"
        ] == key
        names = [facts["name"] for facts in slate["files"]]
        sound = sealed and all(map(_NAME.fullmatch, names))
        take, newer = Take(key, folder / names[0], slate), slate["schema"] > SLATE_SCHEMA
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            return None
        raise
    if sound and newer:
        raise UsageError(
            f"{folder} was kept by a newer Second Unit. Use that one. Nothing was ordered."
        )
    return take if sound else None


def _intact(folder: Path, facts: Mapping[str, Any]) -> bool:
    try:
        with opened_regular(folder / facts["name"], follow=False) as file:
            whole = os.fstat(file.fileno()).st_size == facts.get("size")
            return whole and hashlib.file_digest(file, "sha256").hexdigest() == facts.get("sha256")
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            return False
        raise
