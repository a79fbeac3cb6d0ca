"""What a shared place has of a film: the film, its captions and its deliverables, by its manifest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from secondunit.store import digest, intact

if TYPE_CHECKING:
    from pathlib import Path

    from secondunit.store.place import Place

_LARGEST = 1 << 28  # bytes of a manifest


@dataclass(frozen=True)
class _Deliverable:
    name: str
    size: int
    sha256: str
    captions: tuple[str, ...]


def folder_of(film: Path) -> str:
    """Return the folder of a film in the place: what is there is of exactly this film."""
    return f"films/{film.stem}/{digest(film)[:12]}"


def lacking(place: Place, folder: str, film: Path, manifest: Path) -> list[Path]:
    """Return the files of a film that its folder in the place lacks, in the order to copy them in.

    That is with the film last, and the manifest after the deliverables that it lists: what is listed
    is there. What was changed since it was listed is left out. Raises PlaceTrouble, OSError.
    """
    told, paper = manifest.read_bytes(), f"{folder}/{manifest.name}"
    there = place.read([paper], _LARGEST).get(paper, b"")

    def has(name: str, size: int) -> bool:
        return place.size(f"{folder}/{name}") == size

    (captions, deliverables), (_, known) = _read(told), _read(there)
    wanted = [p for p in _plain(film, captions) if not has(p.name, p.stat().st_size)]
    for one in deliverables:
        is_there = one in known and has(one.name, one.size)
        if not is_there and intact(film.parent, asdict(one)):
            wanted += [film.with_name(one.name), *_plain(film, one.captions)]
    if told != there:
        wanted.append(manifest)
    return wanted if has(film.name, film.stat().st_size) else [*wanted, film]


def _read(manifest: bytes) -> tuple[tuple[str, ...], tuple[_Deliverable, ...]]:
    """Return the captions of a film and its deliverables; what cannot be read names none."""
    try:
        papers = json.loads(manifest)
        made = [
            _Deliverable(_name(one["path"]), one["size"], one["sha256"], _names(one["captions"]))
            for one in papers["deliverables"]
        ]
        return _names(papers["captions"]), tuple(made)
    except (ValueError, KeyError, TypeError):
        return (), ()


def _names(named: list[str]) -> tuple[str, ...]:
    return tuple(map(_name, named))


def _name(named: str) -> str:
    """Return a file's name in the folder of the film, and never one that leads elsewhere."""
    if "/" in named or "\0" in named or named in ("", ".", ".."):
        raise ValueError(named)
    return named


def _plain(film: Path, names: tuple[str, ...]) -> list[Path]:
    """Return those files beside a film that are there; what a link leads to is not the film's."""
    beside = [film.with_name(name) for name in names]
    return [path for path in beside if path.is_file() and not path.is_symlink()]
