"""The store: what is kept is whole, is never changed, and is never believed without a look."""

from __future__ import annotations

import json
import os
import random
import stat
from itertools import count
from typing import TYPE_CHECKING

import pytest

from secondunit.durable import beside
from secondunit.errors import DiskTrouble, UsageError
from secondunit.store import Store, digest, slating

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

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


@pytest.mark.covers("E7", "S14")
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
        b'{"key": "%s", "files": [], "seal": ' % KEY.encode() + b"9" * 5000 + b"}",
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


# A thousand ways to be damaged


def resealed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a slate as one would who knows how it is sealed."""
    path = folder / "slate.json"
    slate = json.loads(path.read_text())
    del slate["seal"]
    change(slate)
    path.write_text(slating.sealed(slate))


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def cut(path: Path, chance: random.Random) -> None:
    # at least two bytes: a slate without its last line break says all it said before
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size - 1)])


def linked(path: Path) -> None:
    """Put a symlink to the very same content in its place."""
    away = path.with_name("away-" + path.name)
    path.rename(away)
    path.symlink_to(away)


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def name_another(folder: Path, name: str) -> None:
    resealed(folder, lambda slate: slate["files"][0].update(name=name))


def swap(folder: Path, other: Path, name: str) -> None:
    (folder / name).write_bytes((other / name).read_bytes())


DAMAGE: dict[str, Callable[[Path, Path, random.Random], object]] = {
    "clip flipped": lambda f, o, c: flip(f / "clip.mp4", c),
    "slate flipped": lambda f, o, c: flip(f / "slate.json", c),
    "clip cut": lambda f, o, c: cut(f / "clip.mp4", c),
    "slate cut": lambda f, o, c: cut(f / "slate.json", c),
    "clip gone": lambda f, o, c: (f / "clip.mp4").unlink(),
    "slate gone": lambda f, o, c: (f / "slate.json").unlink(),
    "clip of another": lambda f, o, c: swap(f, o, "clip.mp4"),
    "slate of another": lambda f, o, c: swap(f, o, "slate.json"),
    "clip linked": lambda f, o, c: linked(f / "clip.mp4"),
    "slate linked": lambda f, o, c: linked(f / "slate.json"),
    "folder linked": lambda f, o, c: linked(f),
    "clip a pipe": lambda f, o, c: piped(f / "clip.mp4"),
    "slate a pipe": lambda f, o, c: piped(f / "slate.json"),
    "names another": lambda f, o, c: name_another(f, f"../{o.name}/clip.mp4"),
    "names a place": lambda f, o, c: name_another(f, str(o / "clip.mp4")),
    "names nothing": lambda f, o, c: name_another(f, c.choice(["", ".", "..", "\0", "a\nb"])),
    "endless slate": lambda f, o, c: resealed(f, lambda s: s.update(more="x" * slating.LARGEST)),
    "half a slate": lambda f, o, c: resealed(f, lambda s: s["files"][0].pop("size")),
}


@pytest.mark.covers("E7")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("entries", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_of_a_thousand_damaged_takes_none_is_accepted(store: Store, entries: int) -> None:
    """Each is set aside as it is, and the place is free for the same file, fetched again."""
    chance, numbers = random.Random(entries), count()
    other = kept(store, key="f" * 64).path.parent
    (other / "clip.mp4").write_bytes(BYTES[::-1])  # as long, and not the same
    for way in [*DAMAGE] * (1 + entries // len(DAMAGE)):
        key = digest_of(next(numbers))
        folder = kept(store, key=key).path.parent
        DAMAGE[way](folder, other, chance)
        assert store.get(key) is None, way
        aside = list((store.root / "bad").glob(f"{key}-*"))
        assert len(aside) == (way != "slate gone"), way
        assert kept(store, key=key) == store.get(key), way
    assert next(numbers) >= entries


def digest_of(number: int) -> str:
    return f"{number:064x}"[::-1]


# Private


@pytest.mark.covers("E15")
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_takes_are_for_their_owner_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = Store(tmp_path / "new" / "store")
        path = store.incoming(KEY, "clip.mp4")
        with beside(path) as part:
            part.write_bytes(BYTES)
        take = store.keep(KEY, [path], {})
        linked(take.path)
        assert store.get(KEY) is None
    finally:
        os.umask(before)
    for place in (store.root, *store.root.rglob("*")):
        if not place.is_symlink():
            wanted = 0o700 if place.is_dir() else 0o600
            assert stat.S_IMODE(place.stat().st_mode) == wanted, place


# What is there


def test_every_take_is_told_by_its_slate_without_a_look_at_its_files(store: Store) -> None:
    assert store.is_empty()
    assert list(store.slates()) == []
    wanted = {digest_of(n) for n in range(5)}
    for key in wanted:
        kept(store, key=key).path.write_bytes(b"not looked at")
    (store.folder(digest_of(9))).mkdir(parents=True)
    lost = kept(store, key=digest_of(7)).path.parent
    (lost / "slate.json").write_bytes(b"{")
    (store.root / "zz").write_text("no folder")
    assert {take.key for take in store.slates()} == wanted
    assert {take.slate["ticket"] for take in store.slates()} == {"t"}
    assert not store.is_empty()


def test_a_take_that_was_set_aside_still_tells_of_its_ticket(store: Store, take: Take) -> None:
    """A ledger that is built anew must know what was paid for, whatever became of the file."""
    take.path.write_bytes(b"damaged")
    assert store.get(KEY) is None
    assert [(t.key, t.slate["ticket"]) for t in store.slates()] == [(KEY, "t")]
    assert not store.is_empty()
    again = kept(store)
    assert list(store.slates()) == [again], "once, and the good one"


def test_a_take_of_a_newer_version_is_left_alone(store: Store, take: Take) -> None:
    resealed(take.path.parent, lambda slate: slate.update(schema=99))
    with pytest.raises(UsageError, match=r"newer Second Unit.*Nothing was ordered"):
        store.get(KEY)
    assert take.path.read_bytes() == BYTES


def test_a_take_from_before_there_were_seals_is_as_good(store: Store, take: Take) -> None:
    path = take.path.parent / "slate.json"
    slate = json.loads(path.read_text())
    del slate["seal"]
    path.write_text(json.dumps({**slate, "schema": 1}))
    assert store.get(KEY) is not None
    path.write_text(json.dumps({**slate, "schema": 2}))
    assert store.get(KEY) is None


@pytest.mark.covers("E14")
def test_names_that_differ_only_for_some_disks_do_not_meet(store: Store) -> None:
    """Whatever the shots are called, names on the disk are hashes, of small letters and digits."""
    kept(store, key=digest_of(1))
    names = {path.name for path in store.root.rglob("*")}
    assert all(name == name.casefold() and name.isascii() for name in names)


def test_a_disk_that_fails_is_not_a_damaged_take(
    store: Store, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(DiskTrouble, match=r"Repair the disk.*nothing is ordered"):
        store.get(KEY)
    monkeypatch.undo()
    assert store.get(KEY) == take
