"""A studio: a place that its machines share, on every kind of storage, and takes kept in it."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bucket import BUCKET, environment

from secondunit.store.place import Place
from secondunit.store.shared import SharedStore

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from secondunit.store import Store, Take

KEY = "ab" * 32
SLATE = f"takes/ab/{KEY}/slate.json"
BYTES = random.Random(1).randbytes(5000)
KINDS = ("folder", "memory", "s3")


@dataclass
class Studio:
    """A shared place, and as many machines as are asked for."""

    url: str
    folder: Path

    @cached_property
    def place(self) -> Place:
        return Place(self.url)

    def machine(self, name: str = "one", *, ours: bool = False) -> SharedStore:
        return SharedStore(self.folder / name / "store", self.place, ours=ours)

    def put(self, name: str, data: bytes) -> None:
        """Write a file into the place behind everybody's back."""
        path = self.folder / "smuggled"
        path.write_bytes(data)
        self.place.put(path, name)

    def data(self, name: str) -> bytes | None:
        return self.place.read([name], 1 << 30).get(name)

    def remove(self, name: str) -> None:
        place = self.place
        place._fs.rm(place._path(name))


def made(
    kind: str, request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Studio:
    if kind == "folder":
        (folder / "nas").mkdir()
        return Studio(f"file://{folder}/nas", folder)
    if kind == "memory":
        return Studio(f"memory://{folder.name}", folder)
    for name, value in environment(request.getfixturevalue("endpoint"), folder).items():
        monkeypatch.setenv(name, value)
    return Studio(f"s3://{BUCKET}/{folder.name}", folder)


def kept(store: Store, *more: bytes, key: str = KEY, data: bytes = BYTES) -> Take:
    files = []
    for number, content in enumerate((data, *more), 1):
        path = store.incoming(key, "clip.mp4" if number == 1 else f"clip-{number}.mp4")
        path.write_bytes(content)
        files.append(path)
    return store.keep(key, files, {"ticket": "t", "prompt": "Ünïcode \u2028"})


def numbered(number: int) -> str:
    return f"{number:064x}"[::-1]


def blob(data: bytes = BYTES, key: str = KEY) -> str:
    return f"takes/{key[:2]}/{key}/{hashlib.sha256(data).hexdigest()}.mp4"
