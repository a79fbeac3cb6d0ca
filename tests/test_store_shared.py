"""The shared store: what one machine kept all of them have, on every storage."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from onset import ONE, Production, doors
from studio import BYTES, KEY, KINDS, SLATE, Studio, blob, kept, made, numbered

from secondunit import books, callsheet
from secondunit.crew import Settings
from secondunit.errors import ShotError
from secondunit.store import Store, digest
from secondunit.store.place import PlaceTrouble

if TYPE_CHECKING:
    from pathlib import Path

    from strict import Strict


# --- there and back -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", *KINDS])
def test_every_kind_of_store_keeps_what_the_first_one_promises(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = (
        Store(tmp_path / "store")
        if kind == "local"
        else made(kind, request, tmp_path, monkeypatch).machine()
    )
    assert store.get(KEY) is None
    assert not store.has(KEY)
    assert store.found([KEY, numbered(1)]) == set()
    assert store.is_empty()
    assert list(store.slates()) == []
    take = kept(store, b"second")
    assert (take.new, take.remark) == (True, "")
    found = store.get(KEY)
    assert found == take
    assert not found.new
    assert found.path.read_bytes() == BYTES
    assert found.slate["prompt"] == "Ünïcode \u2028"
    assert store.found([KEY, numbered(1)]) == {KEY}
    assert not store.is_empty()
    assert [t.key for t in store.slates()] == [KEY]
    assert store.keep(KEY, [take.path], {"ticket": "another"}).slate["ticket"] == "t"
    assert store.damaged == {}


def test_a_take_kept_on_one_machine_is_there_on_the_next(studio: Studio) -> None:
    first = kept(studio.machine("one"), b"second", b"")
    other = studio.machine("two")
    assert other.found([KEY, numbered(1)]) == {KEY}
    take = other.get(KEY)
    assert take is not None
    assert not take.new
    assert take.slate == first.slate
    assert take.path.is_relative_to(other.root)
    assert [take.path.with_name(f["name"]).read_bytes() for f in take.slate["files"]] == [
        BYTES, b"second", b"",
    ]  # fmt: skip
    assert Store(other.root).get(KEY) == take, "whole without the place from now on"


def test_what_is_here_is_not_asked_for_again(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = studio.machine()
    keys = [numbered(n) for n in range(5)]
    for key in keys:
        kept(store, key=key)
    store = studio.machine()
    assert store.found([*keys, numbered(9)]) == set(keys)
    monkeypatch.setattr(store, "place", None)  # whoever turns to it fails
    assert all(store.get(key) for key in keys)


def test_two_hundred_shots_are_looked_up_in_one_go(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(studio.machine())
    store = studio.machine("two")
    asked = []
    read = store.place.read
    monkeypatch.setattr(store.place, "read", lambda *a: asked.append(len(a[0])) or read(*a))
    assert store.found([KEY, *map(numbered, range(199))]) == {KEY}
    assert asked == [200]


# --- whose takes they are -----------------------------------------------------------------------


def test_takes_of_other_projects_say_nothing_of_a_ledger_unless_it_is_that_of_all(
    studio: Studio,
) -> None:
    kept(studio.machine("one"))
    kept(studio.machine("one"), key=numbered(1))
    studio.put(f"takes/00/{numbered(2)}/{blob()[-68:]}", BYTES)
    studio.put("takes/zz/nonsense/slate.json", b"{}")
    alone, ours = studio.machine("two"), studio.machine("two", ours=True)
    assert alone.is_empty()
    assert list(alone.slates()) == []
    assert not ours.is_empty()
    assert {t.key for t in ours.slates()} == {KEY, numbered(1)}
    assert {t.slate["ticket"] for t in ours.slates()} == {"t"}


def test_a_take_that_was_only_fetched_is_none_that_a_ledger_must_know(studio: Studio) -> None:
    kept(studio.machine("one"))
    fetched = studio.machine("two")
    assert fetched.get(KEY) is not None
    for store in (fetched, studio.machine("two"), Store(fetched.root)):
        assert store.has(KEY)
        assert store.is_empty()
        assert list(store.slates()) == []
    assert [t.key for t in studio.machine("two", ours=True).slates()] == [KEY]
    assert not studio.machine("one").is_empty()
    kept(fetched, key=numbered(1))
    assert [t.key for t in fetched.slates()] == [numbered(1)]


def test_a_take_that_is_ordered_where_one_was_nearly_fetched_is_none_of_others(
    studio: Studio,
) -> None:
    kept(studio.machine("one"))
    store = studio.machine("two")
    take = store.get(KEY)
    assert take is not None
    (take.path.parent / "slate.json").unlink()  # killed before it was written
    studio.remove(SLATE)
    assert studio.machine("two").get(KEY) is None
    assert kept(studio.machine("two")).new
    assert not Store(store.root).is_empty()


def test_a_shared_take_that_was_set_aside_still_tells_of_its_ticket(studio: Studio) -> None:
    kept(studio.machine("one"))
    studio.put(blob(), BYTES[:9])
    ours = studio.machine("two", ours=True)
    assert ours.get(KEY) is None
    assert [(t.key, t.slate["ticket"]) for t in ours.slates()] == [(KEY, "t")]


# --- films --------------------------------------------------------------------------------------


def test_every_film_that_was_made_is_found_in_the_place(studio: Studio) -> None:
    film, manifest = studio.folder / "Tea & ser.mp4", studio.folder / "Tea & ser.manifest.json"
    manifest.write_text("{}")
    for content in (b"first cut", b"second cut"):
        film.write_bytes(content)
        said = studio.machine().publish(film, manifest)
        where = f"films/Tea & ser/{digest(film)[:12]}"
        assert said == f"Copied to {studio.url}/{where}/{film.name}"
        assert studio.machine("two").publish(film, manifest) == "", "it is there already"
        assert studio.data(f"{where}/{film.name}") == content
        assert studio.data(f"{where}/{manifest.name}") == b"{}"
    assert len(studio.place.files("films")) == 4


def released(folder: Path, *, web: bytes = b"", **more: object) -> tuple[Path, Path]:
    """A film with captions, and a deliverable with its own if there is one, as a run leaves them."""
    film = folder / "film.mp4"
    film.write_bytes(b"the film")
    listed = []
    for name in ("film.srt", "film.vtt", "film.web.srt"):
        (folder / name).write_text(name)
    if web:
        (folder / "film.web.mp4").write_bytes(web)
        listed.append({
            "name": "web", "path": "film.web.mp4", "size": len(web), "captions": ["film.web.srt"],
            "sha256": digest(folder / "film.web.mp4"),
        })  # fmt: skip
    manifest = film.with_suffix(".manifest.json")
    page = {"captions": ["film.srt", "film.vtt"], "deliverables": listed, **more}
    manifest.write_text(json.dumps(page))
    return film, manifest


def test_a_film_s_captions_and_deliverables_lie_with_it_in_the_place(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, manifest = released(studio.folder)
    where = f"films/film/{digest(film)[:12]}"
    store, copied = studio.machine(), list[str]()
    put = store.place.put
    monkeypatch.setattr(store.place, "put", lambda *a: copied.append(a[0].name) or put(*a))
    assert store.publish(film, manifest) == f"Copied to {studio.url}/{where}/film.mp4"
    assert copied == ["film.srt", "film.vtt", "film.manifest.json", "film.mp4"]
    copied.clear()
    for web in (b"of the film", b"made again!"):
        released(studio.folder, web=web)
        said = store.publish(film, manifest)
        assert said == f"Copied to {studio.url}/{where}/film.web.mp4, film.web.srt"
        assert copied == ["film.web.mp4", "film.web.srt", "film.manifest.json"]
        copied.clear()
        assert store.publish(film, manifest) == ""
        assert copied == [], "each once"
        assert studio.data(f"{where}/film.web.mp4") == web
    for name in ("film.srt", "film.vtt", "film.web.srt"):
        assert studio.data(f"{where}/{name}") == name.encode()
    assert studio.data(f"{where}/{manifest.name}") == manifest.read_bytes()


def test_what_could_not_be_copied_of_a_film_is_copied_by_the_next_run(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, manifest = released(studio.folder, web=b"of the film")
    store = studio.machine()
    where, put = f"films/film/{digest(film)[:12]}", store.place.put

    def failing(path: Path, name: str) -> None:
        if path.name == "film.web.mp4":
            raise PlaceTrouble("no room", lasting=False)
        put(path, name)

    with monkeypatch.context() as patched:
        patched.setattr(store.place, "put", failing)
        said = store.publish(film, manifest)
    assert f"{film.parent / 'film.web.mp4'} could not be copied to the shared store" in said
    assert studio.data(f"{where}/film.mp4") is None, "it appears when all is there"
    assert store.publish(film, manifest) == f"Copied to {studio.url}/{where}/film.mp4"
    assert studio.data(f"{where}/film.web.mp4") == b"of the film"


def test_only_what_belongs_to_a_film_is_copied_with_it(studio: Studio) -> None:
    """A manifest may be a stranger's, and the place is read by many."""
    secret = studio.folder / "secret"
    secret.write_text("mine")
    film, manifest = released(studio.folder, captions=["../secret"])
    assert "film.mp4" in studio.machine().publish(film, manifest)
    film, manifest = released(studio.folder, web=b"of the film", captions=["film.en.srt"])
    (studio.folder / "film.en.srt").symlink_to(secret)
    (studio.folder / "film.web.mp4").write_bytes(b"not as listed")
    assert studio.machine().publish(film, manifest) == ""
    where = f"films/film/{digest(film)[:12]}"
    assert set(studio.place.files("films")) == {f"{where}/film.mp4", f"{where}/{manifest.name}"}


# --- money --------------------------------------------------------------------------------------


class Elsewhere(Production):
    """A production on one of the studio's machines."""

    studio: Studio

    def store(self) -> Store:
        return self.studio.machine(self.folder.name)


@pytest.fixture
def machines(studio: Studio, strict: Strict) -> tuple[Elsewhere, Elsewhere]:
    made = []
    for name in ("one", "two"):
        (studio.folder / name).mkdir()
        made.append(Elsewhere(studio.folder / name, strict))
        made[-1].studio = studio
    return made[0], made[1]


@pytest.mark.covers("E7")
def test_what_one_machine_bought_the_next_does_not_order(
    machines: tuple[Elsewhere, Elsewhere], strict: Strict
) -> None:
    first, second = machines
    first.shoot(first.plan(doors(3)))
    strict.requests.clear()
    sheet = callsheet.sheet(second.plan(doors(3)), second.store(), None)
    assert set(sheet.standing.values()) == {"cached"}
    for _ in range(2):
        settings = Settings()
        with books.opened(second.project, second.store(), settings) as ledger:
            assert ledger.is_empty(), "and no ledger is missed beside what was only fetched"
        assert not second.shoot(second.plan(doors(3))).new
    assert not strict.requests
    assert second.orders == ()


@pytest.mark.covers("E7")
def test_a_shared_take_that_proves_damaged_is_ordered_only_when_that_was_said(
    machines: tuple[Elsewhere, Elsewhere], strict: Strict
) -> None:
    """The price was agreed to while it was believed to be there."""
    first, second = machines
    take = first.shoot(first.plan(ONE))
    data = take.path.read_bytes()
    first.studio.put(blob(data, take.key), data[::-1])
    strict.requests.clear()
    with pytest.raises(ShotError, match=r"now at .*bad/.*Nothing was ordered. Run again"):
        second.shoot(second.plan(ONE))
    assert not [r for r in strict.requests if r.startswith("POST")]
    assert second.shoot(second.plan(ONE)).new
    assert second.states == ["kept"]
    assert first.studio.machine("three").get(take.key) is not None


@pytest.mark.covers("E7")
def test_the_machine_that_ordered_fetches_a_lost_take_by_its_ticket(
    machines: tuple[Elsewhere, Elsewhere], strict: Strict
) -> None:
    first, _ = machines
    take = first.shoot(first.plan(ONE))
    data = take.path.read_bytes()
    first.studio.put(blob(data, take.key), data[::-1])
    shutil.rmtree(first.project.store, ignore_errors=True)
    shutil.rmtree(first.studio.machine("one").root, ignore_errors=True)
    strict.requests.clear()
    assert first.shoot(first.plan(ONE)).new
    assert not [r for r in strict.requests if r.startswith("POST")]
    assert first.states == ["kept"]
