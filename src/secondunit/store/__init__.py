"""The store: finished media under the key of what was asked for, written once and checked on use.

store/ab/abcd…/clip.mp4      what came back (still.png for a still; clip-2.mp4 … for more outputs)
store/ab/abcd…/slate.json    the facts of the take, written last: with it the take is kept
store/ab/abcd…/borrowed      says that others ordered it: no ledger here has to know of it
store/bad/abcd…-1/           what no longer matched its slate, set aside and never deleted

A slate holds the hash of every file, and a seal, the hash of all else in it (those of the first
version had none). A take whose seal or files differ in a bit, or where a symlink, a FIFO or a folder
stands for a file, is set aside; its ticket is in the ledger, so that it is fetched again and never
ordered again by itself. Folders and files are for their owner alone: prompts and footage may be
unreleased.

`shared` puts a place that several machines use behind this folder; `place` is such a place.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from secondunit.durable import beside, disk_trouble, make_folder, opened_regular, sync
from secondunit.errors import DiskTrouble
from secondunit.store import slating

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

BORROWED = "borrowed"
_NOT_A_FILE = {errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.ENXIO}


@dataclass(frozen=True)
class Take:
    """A finished take: where its (first) file is, and its slate.

    `new` is one that was kept just now; `remark` is what a person should know of its keeping.
    """

    key: str
    path: Path
    slate: Mapping[str, Any]
    new: bool = field(default=False, compare=False)
    remark: str = field(default="", compare=False)

    @property
    def sha256(self) -> str:
        """The hash of the file's bytes."""
        return str(self.slate["files"][0]["sha256"])


class Store:
    """Finished takes below one folder."""

    def __init__(self, root: Path) -> None:
        """Use the folder `root`; it is made when the first take arrives."""
        self.root = root
        self.damaged: dict[str, str] = {}
        """What was found damaged since, by key: where it was set aside."""

    def folder(self, key: str) -> Path:
        """Return the folder of a take, whether it is there or not."""
        return self.root / key[:2] / key

    def get(self, key: str) -> Take | None:
        """Return the take called `key` if it is here and whole; what is damaged is set aside.

        Raises DiskTrouble where the disk itself fails, UsageError where a newer Second Unit kept it.
        """
        return self._local(key)

    def _local(self, key: str) -> Take | None:
        folder = self.folder(key)
        try:
            take = _take(folder, key)
            if take and all(intact(folder, facts) for facts in take.slate["files"]):
                return take
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskTrouble(
                f"{folder} cannot be read ({error.strerror}). Repair the disk, then run again;"
                " nothing is ordered in its place."
            ) from error
        self.damaged[key] = str(self._set_aside(folder))
        return None

    def found(self, keys: Iterable[str]) -> set[str]:
        """Say quickly which takes are here, without reading their bytes again."""
        return {key for key in keys if os.path.lexists(self.folder(key) / slating.NAME)}

    def has(self, key: str) -> bool:
        """Say quickly whether a take is here, without reading its bytes again."""
        return bool(self.found([key]))

    def slates(self) -> Iterator[Take]:
        """Yield each take that was ever ordered, once, by its slate alone: its files are not read.

        Takes that were ordered elsewhere and only fetched are left out. Slates that were set aside
        are included, because they still tell of a ticket; such takes have no good files. What
        cannot be read is skipped.
        """
        told: set[str] = set()
        for folder in (*sorted(self.root.glob("??/*")), *sorted(self.root.glob("bad/*"))):
            key = folder.name.partition("-")[0]
            if (folder / BORROWED).exists():
                continue
            try:
                take = _take(folder, key)
            except OSError:
                continue
            if take and key not in told:
                told.add(key)
                yield take

    def is_empty(self) -> bool:
        """Say quickly whether no take was ever ordered here."""
        found = self.root.glob(f"*/*/{slating.NAME}")
        return all(slate.with_name(BORROWED).exists() for slate in found)

    def incoming(self, key: str, name: str) -> Path:
        """Return the path under which an output is to be written before `keep` is called."""
        folder = self.folder(key)
        with disk_trouble(folder):
            for place in (self.root, folder.parent, folder):
                make_folder(place, private=True)
        return folder / name

    def keep(self, key: str, files: Sequence[Path], facts: Mapping[str, Any]) -> Take:
        """Write the slate of a take whose files are in place; from then on it is never changed."""
        folder = self.folder(key)
        if os.path.lexists(folder / slating.NAME) and (kept := self._local(key)):
            return replace(kept, new=True)
        with disk_trouble(folder):
            (folder / BORROWED).unlink(missing_ok=True)
            described = [_file(path) for path in files]
        slate = {"schema": slating.SCHEMA, "key": key, "files": described, **facts}
        with beside(folder / slating.NAME) as part:
            part.write_text(slating.sealed(slate), "utf-8")
        with disk_trouble(folder):
            sync(folder.parent)
            sync(self.root)
        return Take(key, files[0], slate, new=True)

    def publish(self, film: Path, manifest: Path) -> str:  # noqa: ARG002  there is nowhere to
        """Copy a film, and what its manifest names, to the shared place, where there is one.

        Return what a person should know, or nothing.
        """
        return ""

    def _set_aside(self, folder: Path) -> Path:
        bad = self.root / "bad"
        with disk_trouble(bad):
            make_folder(bad, private=True)
            number = 1
            while os.path.lexists(target := bad / f"{folder.name}-{number}"):
                number += 1
            return folder.rename(target)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest(path)}


def _take(folder: Path, key: str) -> Take | None:
    """Read the slate of a take; None where it is damaged. Raises OSError, UsageError."""
    if folder.is_symlink():
        return None
    try:
        with opened_regular(folder / slating.NAME, follow=False) as file:
            slate = slating.read(file.read(slating.LARGEST), key)
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            return None
        raise
    return Take(key, folder / slate["files"][0]["name"], slate) if slate else None


def intact(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Say whether a file of a take is in `folder` as its slate has it. Raises OSError."""
    try:
        with opened_regular(folder / facts["name"], follow=False) as file:
            if os.fstat(file.fileno()).st_size != facts["size"]:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == str(facts["sha256"])
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            return False
        raise
