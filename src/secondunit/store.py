"""The store: finished media under the key of what was asked for, written once and checked on use.

store/ab/abcd…/clip.mp4      what came back (still.png for a still; clip-2.mp4 … for more outputs)
store/ab/abcd…/slate.json    the facts of the take, written last: with it the take is kept
store/bad/abcd…-1/           what no longer matched its slate, set aside and never deleted
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from secondunit.durable import beside, disk_trouble, sync
from secondunit.errors import DiskTrouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SLATE_SCHEMA = 1


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
        """Return the take called `key` if it is here and whole; what is damaged is set aside."""
        folder = self.folder(key)
        try:
            slate = json.loads((folder / "slate.json").read_bytes())
            whole = slate["key"] == key and all(_intact(folder, f) for f in slate["files"])
            first = folder / slate["files"][0]["name"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            whole = False
        except (NotADirectoryError, IsADirectoryError):
            whole = False
        except OSError as error:
            raise DiskTrouble(
                f"{folder} cannot be read ({error.strerror}). Repair the disk, then run again;"
                " nothing is ordered in its place."
            ) from error
        if whole:
            return Take(key, first, slate)
        self._set_aside(folder)
        return None

    def has(self, key: str) -> bool:
        """Say quickly whether a take is here, without reading its bytes again."""
        return (self.folder(key) / "slate.json").is_file()

    def incoming(self, key: str, name: str) -> Path:
        """Return the path under which an output is to be written before `keep` is called."""
        folder = self.folder(key)
        with disk_trouble(folder):
            folder.mkdir(parents=True, exist_ok=True)
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
            part.write_text(json.dumps(slate, indent=2, ensure_ascii=False) + "\n", "utf-8")
        with disk_trouble(folder):
            sync(folder.parent)
            sync(self.root)
        return Take(key, files[0], slate)

    def _set_aside(self, folder: Path) -> None:
        bad = self.root / "bad"
        with disk_trouble(bad):
            bad.mkdir(parents=True, exist_ok=True)
            number = 1
            while (target := bad / f"{folder.name}-{number}").exists():
                number += 1
            folder.rename(target)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest(path)}


def _intact(folder: Path, facts: Mapping[str, Any]) -> bool:
    path = folder / facts["name"]
    if path.name != facts["name"]:
        return False
    try:
        return bool(path.stat().st_size == facts["size"] and digest(path) == facts["sha256"])
    except FileNotFoundError:
        return False
