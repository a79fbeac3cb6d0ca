"""Copies into the shared place that fail, race, die half-way or rot: whole takes or none."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from studio import BYTES, KEY, SLATE, Studio, blob, kept, made, numbered

from secondunit.errors import UsageError
from secondunit.store import Store, slating
from secondunit.store.place import Place
from secondunit.store.shared import SharedStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# --- copies that fail ---------------------------------------------------------------------------


def test_a_take_kept_without_the_place_is_copied_by_the_next_run(studio: Studio) -> None:
    kept(Store(studio.machine().root))
    assert studio.machine("two").get(KEY) is None
    take = studio.machine().get(KEY)
    assert take is not None
    assert take.remark == ""
    assert studio.machine("two").get(KEY) is not None


def test_a_place_that_fails_costs_no_take_and_is_left_alone_for_a_while(
    tmp_path: Path,
) -> None:
    (tmp_path / "nas").mkdir()
    studio = Studio(f"file://{tmp_path}/nas", tmp_path)
    store = studio.machine()
    assert store.found([KEY, numbered(1)]) == set()
    (tmp_path / "nas" / "takes").write_text("a file where the takes should be")
    first, second = kept(store), kept(store, key=numbered(1))
    assert "could not be copied" in first.remark
    assert "Nothing is lost, and the next run copies it" in first.remark
    assert second.remark == "", "told once"
    assert store.get(KEY) == first
    film = tmp_path / "a film.mp4"
    film.write_bytes(b"film")
    assert "2 takes wait for it" in store.publish(film, film)
    (tmp_path / "nas" / "takes").unlink()
    assert "Copied to" in store.publish(film, film)
    assert studio.machine("two").found([KEY, numbered(1)]) == {KEY, numbered(1)}


def test_a_file_that_arrived_cut_short_is_copied_again(studio: Studio) -> None:
    kept(Store(studio.machine().root))
    studio.put(blob(), BYTES[:99])
    assert studio.machine().get(KEY) is not None
    assert studio.data(blob()) == BYTES
    assert studio.machine("two").get(KEY) is not None


KEEPING = """
import os, signal, sys
from pathlib import Path
from secondunit.store.place import Place
from secondunit.store.shared import SharedStore

root, url, last, key = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
store = SharedStore(root, Place(url))
store.found([])
calls = 0

def deadly(name, method):
    def call(*arguments, **named):
        global calls
        for moment in ("before", "after"):
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == "before":
                found = method(*arguments, **named)
        return found
    return call

for name in ("put_file", "mv", "info", "cat_file", "cat_ranges", "makedirs"):
    setattr(store.place._fs, name, deadly(name, getattr(store.place._fs, name)))
files = []
for number in (1, 2):
    path = store.incoming(key, f"clip-{number}.mp4")
    path.write_bytes(bytes([number]) * 3000)
    files.append(path)
assert not store.keep(key, files, {"ticket": "t"}).remark
print(calls)
"""


@pytest.mark.covers("E7")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "stride"), [("folder", 1), ("s3", 4), pytest.param("s3", 1, marks=pytest.mark.long)]
)
def test_killed_at_any_moment_of_a_copy_the_next_run_completes_it(
    kind: str,
    stride: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    studio = made(kind, request, tmp_path, monkeypatch)
    for last in range(1, 100, stride):
        key = numbered(last)
        killed = keeping(studio, last, key)
        there = studio.machine("two")
        take = there.get(key)
        assert there.damaged == {}
        assert take is None or len(take.slate["files"]) == 2, "whole or not at all"
        again = studio.machine("one").get(key)
        assert again is not None, "the take is here whatever becomes of its copy"
        assert again.remark == ""
        take = studio.machine("three").get(key)
        assert take is not None
        assert take.path.read_bytes() == b"\1" * 3000
        if not killed:
            break
    assert 8 < last < 99


def keeping(studio: Studio, last: int, key: str) -> bool:
    """Keep a take in a process that kills itself at a moment; say whether it did."""
    root = studio.machine("one").root
    ended = subprocess.run(
        [sys.executable, "-c", KEEPING, str(root), studio.url, str(last), key],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode in {0, -9}, ended.stderr
    return ended.returncode == -9


RACING = """
import sys
from pathlib import Path
from secondunit.store.place import Place
from secondunit.store.shared import SharedStore

root, url, mine, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
store = SharedStore(root, Place(url))
store.found([])
print("ready", flush=True)
sys.stdin.readline()
for number in range(count):
    key = f"{number:064x}"[::-1]
    files = []
    for name in ("clip.mp4", "clip-2.mp4"):
        path = store.incoming(key, name)
        path.write_bytes(f"{mine} {name} {number} ".encode() * 500)
        files.append(path)
    assert not store.keep(key, files, {"ticket": mine}).remark
"""


@pytest.mark.covers("E7")
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_two_machines_that_keep_the_same_takes_at_once_one_whole_take_is_there(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = made(kind, request, tmp_path, monkeypatch)
    count = 25
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, str(tmp_path / who), studio.url, who, str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for who in ("anna", "bert")
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.communicate("go\n")
        assert racer.returncode == 0
    third = studio.machine("third")
    for number in range(count):
        take = third.get(numbered(number))
        assert take is not None
        who = take.slate["ticket"]
        for facts in take.slate["files"]:
            content = take.path.with_name(facts["name"]).read_text()
            assert content == f"{who} {facts['name']} {number} " * 500
    assert third.damaged == {}


def test_a_take_is_never_mixed_from_two_machines(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the worst moment: one has copied its files and not its slate when the other keeps its own."""
    first = SharedStore(studio.folder / "one" / "store", Place(studio.url))
    put = first.place.put

    def slowly(file: Path, name: str) -> None:
        if name == SLATE:
            kept(studio.machine("two"), b"other", data=BYTES[::-1])
        put(file, name)

    monkeypatch.setattr(first.place, "put", slowly)
    assert kept(first, b"second").remark == ""
    third = studio.machine("three")
    take = third.get(KEY)
    assert take is not None
    contents = [take.path.with_name(f["name"]).read_bytes() for f in take.slate["files"]]
    assert contents in ([BYTES, b"second"], [BYTES[::-1], b"other"])
    assert third.damaged == {}


# --- damage -------------------------------------------------------------------------------------


def flipped(data: bytes, chance: random.Random) -> bytes:
    copy = bytearray(data)
    copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
    return bytes(copy)


def resealed(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Rewrite a slate as one would who knows how it is sealed."""
    slate = json.loads(data)
    del slate["seal"]
    change(slate)
    return slating.sealed(slate).encode()


def renamed(name: str) -> Callable[[bytes, random.Random], bytes]:
    return lambda d, _: resealed(d, lambda s: s["files"][0].update(name=name))


FILE_DAMAGE: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "a bit flipped": flipped,
    "cut short": lambda d, c: d[: c.randrange(len(d))],
    "longer": lambda d, c: d + c.randbytes(1 + c.randrange(9)),
    "gone": lambda d, c: None,
    "empty": lambda d, c: b"",
    "another": lambda d, c: c.randbytes(len(d)),
}
SLATE_DAMAGE: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    # at least two bytes: a slate without its last line break says all it said before
    "cut short": lambda d, c: d[: c.randrange(len(d) - 1)],
    "a bit flipped": flipped,
    "gone": lambda d, c: None,
    "empty": lambda d, c: b"",
    "names a place": renamed("/etc/passwd"),
    "names a place above": renamed("../../clip.mp4"),
    "names itself": renamed("slate.json"),
    "names an unseen file": renamed(".bashrc"),
    "names an endless name": renamed("x" * 300),
    "a hash that leads away": lambda d, c: resealed(
        d, lambda s: s["files"][0].update(sha256="../" * 20 + "abcd")
    ),
    "no hash": lambda d, c: resealed(d, lambda s: s["files"][0].pop("sha256")),
    "larger than all disks": lambda d, c: resealed(d, lambda s: s["files"][0].update(size=1 << 60)),
    "less than nothing": lambda d, c: resealed(d, lambda s: s["files"][0].update(size=-1)),
    "no size": lambda d, c: resealed(d, lambda s: s["files"][0].update(size=True)),
    "no files": lambda d, c: resealed(d, lambda s: s.update(files=[])),
    "one file twice": lambda d, c: resealed(d, lambda s: s["files"].extend(s["files"])),
    "a thousand files": lambda d, c: resealed(
        d,
        lambda s: s.update(files=[{**s["files"][0], "name": f"{n}.mp4"} for n in range(1000)]),
    ),
    "of another take": lambda d, c: resealed(d, lambda s: s.update(key="f" * 64)),
    "endless": lambda d, c: resealed(d, lambda s: s.update(more="x" * slating.LARGEST)),
    "no JSON": lambda d, c: b"[" * 100_000,
}
DAMAGE = [(blob, way) for way in FILE_DAMAGE.values()] * 2 + [
    (None, way) for way in SLATE_DAMAGE.values()
]


@pytest.mark.covers("E7")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("entries", [36, pytest.param(1000, marks=pytest.mark.long)])
def test_of_a_thousand_damaged_shared_takes_none_is_accepted(studio: Studio, entries: int) -> None:
    """Each is set aside as it is, and the place is free for the same file, fetched again."""
    chance = random.Random(entries)
    entries = min(entries, {"s3": 100, "memory": 300}.get(studio.url.partition(":")[0], entries))
    first, second = studio.machine("one"), studio.machine("two")
    for number in range(entries):
        key = numbered(number)
        kept(first, key=key)
        of, way = DAMAGE[number % len(DAMAGE)]
        name = of(key=key) if of else f"takes/{key[:2]}/{key}/slate.json"
        before = studio.data(name)
        assert before is not None
        after = way(before, chance)
        if after == before:  # the random change changed nothing
            continue
        studio.remove(name)
        if after is not None:
            studio.put(name, after)
        assert second.get(key) is None, (number, way)
        absent = of is None and after is None
        assert (key in second.damaged) != absent
        if not absent:
            bad = second.damaged[key].removeprefix(studio.url + "/")
            assert bad.startswith(f"bad/{key}-")
            assert studio.data(f"{bad}/{name.rpartition('/')[2]}") == after, "as it was found"
        assert kept(second, key=key).remark == ""
        assert studio.machine("three").get(key) is not None


@pytest.mark.parametrize("what", ["clip", "slate"])
@pytest.mark.parametrize("instead", ["a pipe", "a folder", "a link to nothing"])
def test_what_is_no_file_in_a_shared_folder_is_not_read(
    tmp_path: Path, what: str, instead: str
) -> None:
    (tmp_path / "nas").mkdir()
    studio = Studio(f"file://{tmp_path}/nas", tmp_path)
    kept(studio.machine())
    path = tmp_path / "nas" / (blob() if what == "clip" else SLATE)
    path.unlink()
    {
        "a pipe": lambda: os.mkfifo(path),
        "a folder": path.mkdir,
        "a link to nothing": lambda: path.symlink_to("nowhere"),
    }[instead]()
    second = studio.machine("two")
    assert second.get(KEY) is None
    take = kept(second)
    assert take == second.get(KEY)


def test_a_folder_that_leads_elsewhere_is_set_aside_without_what_lies_there(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    studio = Studio(f"file://{tmp_path}/nas", tmp_path)
    kept(studio.machine())
    folder, away = tmp_path / "nas" / f"takes/ab/{KEY}", tmp_path / "away"
    folder.rename(away)
    (away / "slate.json").write_text("{")
    folder.symlink_to(away)
    store = studio.machine("two")
    assert store.get(KEY) is None
    assert (away / "slate.json").read_text() == "{"
    assert not folder.is_symlink()


def test_a_damaged_file_here_is_repaired_from_the_place(studio: Studio) -> None:
    take = kept(studio.machine())
    take.path.write_bytes(BYTES[::-1])
    store = studio.machine()
    found = store.get(KEY)
    assert found == take
    assert found.path.read_bytes() == BYTES
    assert KEY in store.damaged


def test_a_take_of_a_newer_version_is_left_alone_there_too(studio: Studio) -> None:
    kept(studio.machine())
    page = studio.data(SLATE)
    assert page is not None
    newer = resealed(page, lambda s: s.update(schema=99))
    studio.put(SLATE, newer)
    with pytest.raises(UsageError, match=r"newer Second Unit.*Nothing was ordered"):
        studio.machine("two").get(KEY)
    assert studio.data(SLATE) == newer
