"""A store with a shared place behind its folder: what one machine kept, all of them have.

takes/ab/abcd…/<sha256>.mp4       the files of a take, by their hash: two machines never mix theirs
takes/ab/abcd…/slate.json         its slate, copied last: with it the take is there
bad/abcd…-9f3c/                   what did not match its slate, set aside and never deleted
films/teaser/0123456789ab/…       each film that was made, by its hash, with its manifest, its captions
                                  and the deliverables that were made of it

The folder of the project stays the first copy: takes are kept there, then copied to the place; what
is only in the place is fetched into the folder, and counts when its seal and its hashes hold. A copy
that fails costs nothing: the film goes on, and the next run copies what is missing.
"""

from __future__ import annotations

import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from secondunit.durable import beside, room
from secondunit.errors import SecondUnitError, Unreachable, UsageError
from secondunit.store import BORROWED, Store, Take, digest, films, intact, slating
from secondunit.store.place import PlaceTrouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from secondunit.store.place import Place

REST = 60.0  # seconds in which a place that failed is left alone: each try may cost its patience
AT_ONCE = 4  # copies
_SLATE = re.compile(r"(?:takes/[0-9a-f]{2}|bad)/([0-9a-f]{64})(?:-\w+)?/slate\.json")


class _Garbled(Exception):
    """What was fetched is not what the slate says."""


class SharedStore(Store):
    """Finished takes below one folder, and in the place that its machines share."""

    def __init__(self, root: Path, place: Place, *, ours: bool = False) -> None:
        """Use the folder `root` before `place`.

        Projects with ledgers of their own may share a place, so that its takes prove nothing about
        any of these ledgers; with `ours` there is one ledger for all of it.
        """
        super().__init__(root)
        self.place = place
        self.ours = ours
        self._there: set[str] = set()
        self._owed: set[str] = set()
        self._rests_until = 0.0

    def get(self, key: str) -> Take | None:
        """Return the take called `key` if it is here, or there and whole; see `Store.get`.

        Raises Unreachable where the place gives no answer, UsageError where it admits nobody.
        """
        take = self._local(key)
        return self._fetched(key) if take is None else self._lent(take)

    def found(self, keys: Iterable[str]) -> set[str]:
        """Say quickly which takes are here or there: the place is asked once for all of them."""
        wanted = set(keys)
        here = super().found(wanted)
        names = {_slate(key): key for key in wanted - self._there}
        with self._asking():
            self._there |= {names[name] for name in self.place.there(sorted(names))}
        self._owed |= here - self._there
        return here | wanted & self._there

    def keep(self, key: str, files: Sequence[Path], facts: Mapping[str, Any]) -> Take:
        """Keep a take here, then copy it to the place; where that fails it is kept all the same."""
        return self._lent(super().keep(key, files, facts))

    def slates(self) -> Iterator[Take]:
        """Yield each take by its slate, see `Store.slates`; those in the place when they are ours."""
        told = set()
        for take in super().slates():
            told.add(take.key)
            yield take
        if not self.ours:
            return
        with self._asking():
            names = [n for part in ("takes", "bad") for n in self.place.files(part)]
            known = {n: match[1] for n in names if (match := _SLATE.fullmatch(n))}
            pages = self.place.read([n for n in known if known[n] not in told], slating.LARGEST)
        for name, text in pages.items():
            key = known[name]
            if key not in told and (slate := slating.read(text, key)):
                told.add(key)
                yield self._here(key, slate)

    def is_empty(self) -> bool:
        """Say whether no take was ever ordered here, nor, where it is ours, kept in the place."""
        if not (self.ours and super().is_empty()):
            return super().is_empty()
        with self._asking():
            return not self.place.holds("takes")

    def publish(self, film: Path, manifest: Path) -> str:
        """Copy a film, and what its manifest names, and every take that is still missing there.

        Returns where they are, what went wrong, or nothing where all was there already.
        """
        path = film
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(self._pay, sorted(self._owed)))
            folder = films.folder_of(film)
            missing = films.lacking(self.place, folder, film, manifest)
            for path in missing:
                self.place.put(path, f"{folder}/{path.name}")
        except (PlaceTrouble, SecondUnitError, OSError) as trouble:
            return self._not_copied(str(path), trouble)
        told = [film] if film in missing else [path for path in missing if path != manifest]
        names = ", ".join(path.name for path in told)
        return f"Copied to {self.place}/{folder}/{names}" if told else ""

    # --- there and back -----------------------------------------------------------------------

    def _lent(self, take: Take) -> Take:
        """See that the place has a take that is here; the remark says where that failed."""
        if take.key in self._there:
            return take
        self._owed.add(take.key)
        if time.monotonic() < self._rests_until:
            return take
        try:
            self._copy(take)
        except PlaceTrouble as trouble:
            self._rests_until = time.monotonic() + REST
            return replace(take, remark=self._not_copied("Its file", trouble))
        return take

    def _pay(self, key: str) -> None:
        if take := self._local(key):
            self._copy(take)

    def _copy(self, take: Take) -> None:
        """Copy a take, unless it is there: files first, over what a run that died left of them."""
        if not self.place.there([_slate(take.key)]):
            for facts in take.slate["files"]:
                self.place.put(take.path.with_name(facts["name"]), _blob(take.key, facts))
            self.place.put(self.folder(take.key) / slating.NAME, _slate(take.key))
        self._there.add(take.key)
        self._owed.discard(take.key)

    def _fetched(self, key: str) -> Take | None:
        """Bring a take from the place into the folder; one that is damaged is set aside there."""
        with self._asking():
            text = self.place.read([_slate(key)], slating.LARGEST).get(_slate(key))
            if text is None:
                self._there.discard(key)
                return None
            slate = slating.read(text, key)
            if slate is None or not all(self._brought(key, facts) for facts in slate["files"]):
                self._there.discard(key)
                self.damaged[key] = self._set_aside_there(key)
                return None
        with beside(self.folder(key) / BORROWED) as part:
            part.write_text(f"{self.place}\n", "utf-8")
        with beside(self.folder(key) / slating.NAME) as part:
            part.write_bytes(text)
        self._there.add(key)
        return self._here(key, slate)

    def _brought(self, key: str, facts: Mapping[str, Any]) -> bool:
        """Fetch one file of a take, twice if need be; say whether it is the one in the slate."""
        path = self.incoming(key, facts["name"])
        if intact(path.parent, facts):
            return True
        if self.place.size(_blob(key, facts)) != facts["size"]:
            return False
        room(path.parent, 2 * facts["size"])
        for _ in range(2):  # what a bad line did to it is no reason to set it aside
            with suppress(_Garbled), beside(path) as part:
                self.place.fetch(_blob(key, facts), part)
                if digest(part) != facts["sha256"]:
                    raise _Garbled
                return True
        return False

    def _set_aside_there(self, key: str) -> str:
        folder, bad = _folder(key), f"bad/{key}-{secrets.token_hex(4)}"
        try:
            self.place.set_aside(folder, bad)
        except PlaceTrouble:
            return f"{self.place}/{folder}"
        return f"{self.place}/{bad}"

    def _here(self, key: str, slate: Mapping[str, Any]) -> Take:
        return Take(key, self.folder(key) / slate["files"][0]["name"], slate)

    # --- what people are told -----------------------------------------------------------------

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Raise what keeps the place from answering; without an answer nothing may be ordered."""
        try:
            yield
        except PlaceTrouble as trouble:
            kind: type[SecondUnitError] = UsageError if trouble.lasting else Unreachable
            raise kind(
                f"The shared store {self.place} cannot be used: {trouble}. Nothing was ordered,"
                " because what is wanted may be there."
            ) from None

    def _not_copied(self, what: str, trouble: Exception) -> str:
        waiting = f" {len(self._owed)} takes wait for it." if len(self._owed) > 1 else ""
        return (
            f"{what} could not be copied to the shared store {self.place}: {str(trouble).rstrip('. ')}."
            f" Nothing is lost, and the next run copies it.{waiting}"
        )


def _folder(key: str) -> str:
    return f"takes/{key[:2]}/{key}"


def _slate(key: str) -> str:
    return f"{_folder(key)}/{slating.NAME}"


def _blob(key: str, facts: Mapping[str, Any]) -> str:
    suffix = re.search(r"\.\w{1,8}$", facts["name"], re.ASCII)
    return f"{_folder(key)}/{facts['sha256']}{suffix[0] if suffix else ''}"
