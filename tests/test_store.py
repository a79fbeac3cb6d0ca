"""The store: what is kept is whole, is never changed, and is never believed without a look."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from secondunit.errors import DiskTrouble
from secondunit.store import Store, digest

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.store import Take

KEY = "ab" * 32
BYTES = random.Random(1).randbytes(5000)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def take(store: Store) -> Take:
    return kept(store)


def kept(store: Store, *more: bytes, key: str = KEY) -> Take:
    files = []
    for number, data in enumerate((BYTES, *more), 1):
        path = store.incoming(key, "clip.mp4" if number == 1 else f"clip-{number}.mp4")
        path.write_bytes(data)
        files.append(path)
    return store.keep(key, files, {"ticket": "t", "prompt": "Ünïcode \u2028"})


def set_aside(store: Store) -> list[str]:
    return sorted(p.name for p in (store.root / "bad").glob("*"))


def test_a_take_comes_back_as_it_was_kept(store: Store, take: Take) -> None:
    found = store.get(KEY)
    assert found == take
    assert found.path.read_bytes() == BYTES
    assert found.sha256 == digest(found.path)
    assert found.slate["ticket"] == "t"
    assert found.slate["prompt"] == "Ünïcode \u2028"
    assert store.has(KEY)


def test_what_is_not_there_is_none_and_makes_no_folder(store: Store) -> None:
    assert store.get(KEY) is None
    assert not store.has(KEY)
    assert not store.root.exists()


def test_a_take_without_its_slate_is_no_take_yet_and_is_left_for_the_next_try(store: Store) -> None:
    store.incoming(KEY, "clip.mp4").write_bytes(BYTES)
    assert store.get(KEY) is None
    assert set_aside(store) == []
    assert kept(store) == store.get(KEY)


def test_no_flipped_bit_is_accepted_and_nothing_is_deleted(store: Store) -> None:
    chance = random.Random(7)
    for turn in range(1, 51):
        path = kept(store).path
        data = bytearray(BYTES)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        assert store.get(KEY) is None
        assert len(set_aside(store)) == turn
    assert (store.root / "bad" / f"{KEY}-50" / "clip.mp4").read_bytes() == bytes(data)


@pytest.mark.parametrize("length", [0, 1, 4999])
def test_a_file_cut_short_is_set_aside(store: Store, take: Take, length: int) -> None:
    take.path.write_bytes(BYTES[:length])
    assert store.get(KEY) is None
    assert set_aside(store) == [f"{KEY}-1"]


def test_a_lost_file_is_set_aside_with_its_slate(store: Store, take: Take) -> None:
    take.path.unlink()
    assert store.get(KEY) is None
    assert json.loads((store.root / "bad" / f"{KEY}-1" / "slate.json").read_text())["key"] == KEY


def test_every_file_of_a_take_is_checked(store: Store) -> None:
    kept(store, b"second", b"third")
    assert store.get(KEY) is not None
    (store.folder(KEY) / "clip-3.mp4").write_bytes(b"other")
    assert store.get(KEY) is None


def test_a_file_may_turn_into_a_folder(store: Store, take: Take) -> None:
    take.path.unlink()
    take.path.mkdir()
    assert store.get(KEY) is None
    assert set_aside(store) == [f"{KEY}-1"]


@pytest.mark.parametrize(
    "slate",
    [
        b"", b"{", b"\xff", b"null", b"[]", b"7", b"{}", b"[" * 100_000,
        b'{"key": "%s"}' % KEY.encode(), b'{"key": "%s", "files": []}' % KEY.encode(),
        b'{"key": "%s", "files": [7]}' % KEY.encode(),
        b'{"key": "%s", "files": [{"name": 7}]}' % KEY.encode(),
        b'{"key": "%s", "files": [{"name": ""}]}' % KEY.encode(),
        b'{"key": "%s", "files": {"a": 1}}' % KEY.encode(),
    ],
)  # fmt: skip
def test_a_damaged_slate_makes_no_take(store: Store, take: Take, slate: bytes) -> None:
    (store.folder(KEY) / "slate.json").write_bytes(slate)
    assert store.get(KEY) is None
    assert len(set_aside(store)) == 1


def test_a_slate_of_another_take_makes_none(store: Store, take: Take) -> None:
    other = "cd" * 32
    store.folder(other).parent.mkdir(parents=True)
    store.folder(KEY).rename(store.folder(other))
    assert store.get(other) is None


def test_a_slate_names_only_files_beside_it(store: Store, take: Take) -> None:
    """A store may be shared: what its slate names must not lead elsewhere."""
    outside = store.root.parent / "secret"
    outside.write_bytes(BYTES)
    slate = store.folder(KEY) / "slate.json"
    page = json.loads(slate.read_text())
    page["files"][0]["name"] = str(outside)
    slate.write_text(json.dumps(page))
    assert store.get(KEY) is None


def test_a_take_that_is_there_is_not_written_again(store: Store, take: Take) -> None:
    """Write once: keeping the same key again leaves what the first slate says."""
    before = (store.folder(KEY) / "slate.json").read_bytes()
    again = store.keep(KEY, [take.path], {"ticket": "another"})
    assert again.slate["ticket"] == "t"
    assert (store.folder(KEY) / "slate.json").read_bytes() == before


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"a file")
    store = Store(tmp_path / "store")
    with pytest.raises(DiskTrouble, match="a file stands where a folder should be"):
        store.incoming(KEY, "clip.part")


def test_a_file_that_vanished_before_it_was_kept_is_a_sentence(store: Store) -> None:
    path = store.incoming(KEY, "clip.mp4")
    with pytest.raises(DiskTrouble):
        store.keep(KEY, [path], {})
    assert store.get(KEY) is None
