"""Files that a shot list names: opened with care, checked, measured and hashed, before they travel."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from secondunit.document import suggest
from secondunit.errors import Spoiled, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE_LIMIT = 200 * 1024 * 1024  # bytes; an ephemeral upload, docs.dev.runwayml.com/assets/uploads
LINK = re.compile(r"https?://", re.IGNORECASE)
SCHEME = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]*://|file:|data:|~")
MIME = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
}

Kind = Literal["picture", "footage"]


class BadAsset(Exception):
    """A file that cannot be used; the text is a sentence without its place in the shot list."""


@dataclass(frozen=True)
class Asset:
    """One file, as it was when it was read: `sha256` names its bytes, `size` counts them.

    `width` and `height` are pixels as displayed; `seconds` and `fps` are None for a picture;
    `sharpness` is the spread of a picture's edges, 0 for a flat field, None for footage.
    """

    path: Path
    kind: Kind
    sha256: str
    size: int
    mime: str
    width: int
    height: int
    seconds: float | None = None
    fps: float | None = None
    sharpness: float | None = None

    def data(self) -> bytes:
        """Return the bytes. Raises BadAsset when they are no longer those that were planned."""
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise BadAsset(f"{self.path.name} changed after the plan was made. Run again.")
        return data


@dataclass
class Library:
    """Finds and measures files below `folder` or one of `roots`; each is read once.

    A shot list may come from a stranger, and what it names is sent to a gateway: nothing outside
    the allowed folders is opened, no link is followed out of them, and only what decodes as a
    picture or a video is accepted.
    """

    folder: Path
    roots: Sequence[Path] = ()
    found: dict[tuple[str, Kind], Asset | BadAsset] = field(default_factory=dict)

    def get(self, name: str, kind: Kind) -> Asset:
        """Return the file called `name` in the shot list. Raises BadAsset with the reason."""
        if (name, kind) not in self.found:
            self.found[name, kind] = self._look(name, kind)
        found = self.found[name, kind]
        if isinstance(found, BadAsset):
            raise found
        return found

    def _look(self, name: str, kind: Kind) -> Asset | BadAsset:
        path = self.folder
        try:
            path = self._allowed(name)
            size, digest = _read_once(path, name)
            return _measured(path, kind, size, digest)
        except BadAsset as bad:
            return bad
        except OSError as error:
            reason = (error.strerror or "error").lower()
            return BadAsset(f"{name[:80]} cannot be read: {reason}. Correct the name or the file.")
        except Spoiled as bad:
            return BadAsset(str(bad).replace(str(path), name))

    def _allowed(self, name: str) -> Path:
        if SCHEME.match(name) or "\0" in name or not name.strip():
            raise BadAsset(
                f"{name[:80]!r} is not a path below the shot list's folder. Copy the file there,"
                " and write where it is from there, such as refs/door.png."
            )
        path = Path(os.path.normpath(self.folder / name))
        for root in (self.folder, *self.roots):
            if path.is_relative_to(root):
                if not _resolved(path, name).is_relative_to(root.resolve()):
                    raise BadAsset(f"{name} is a link that leads out of {root}. Copy the file in.")
                return path
        raise BadAsset(
            f"{name} lies outside {self.folder}, and only files below it may be sent."
            f" Copy it in, or allow its folder with `--root {path.parent}`."
        )


def _resolved(path: Path, name: str) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # what Python 3.11 and 3.12 make of ELOOP
        raise BadAsset(f"{name} is a link that leads back to itself. Copy the file in.") from None


def _read_once(path: Path, name: str) -> tuple[int, str]:
    """Return size and hash of a regular file. Never blocks on a pipe or a device."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise BadAsset(_missing(path, name)) from None
    try:
        facts = os.fstat(handle)
        if reason := _unfit(facts):
            raise BadAsset(f"{name} {reason}")
        with open(handle, "rb", closefd=False) as file:
            return facts.st_size, hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        os.close(handle)


def _unfit(facts: os.stat_result) -> str:
    """Say why a file is none that can be sent, or nothing if it may be one."""
    if stat.S_ISDIR(facts.st_mode):
        return "is a folder. Name a file inside it."
    if not stat.S_ISREG(facts.st_mode):
        return "is a pipe or a device. Name a file."
    if facts.st_size > SIZE_LIMIT:
        return f"has {facts.st_size >> 20} MB; {SIZE_LIMIT >> 20} MB can be sent at most."
    return "" if facts.st_size else "is empty. Put the file in its place again."


def _missing(path: Path, name: str) -> str:
    """Say that a file is not there, and which one beside it was most likely meant."""
    try:
        beside = sorted(p.name for p in path.parent.iterdir())
    except OSError:
        return f"there is no file `{name}`, and no folder `{Path(name).parent}`."
    guess = suggest(path.name, beside)
    hint = f" Did you mean `{Path(name).with_name(guess)}`?" if guess else ""
    return f"there is no file `{name}`.{hint}"


def _measured(path: Path, kind: Kind, size: int, digest: str) -> Asset:
    from secondunit import media

    if kind == "picture":
        picture = media.picture_facts(path)
        return Asset(
            path,
            kind,
            digest,
            size,
            MIME[picture.format],
            picture.width,
            picture.height,
            sharpness=_sharpness(path),
        )
    facts = media.probe(path)
    return Asset(
        path,
        kind,
        digest,
        size,
        MIME[facts.container],
        facts.width,
        facts.height,
        seconds=float(facts.seconds),
        fps=float(facts.fps),
    )


def _sharpness(path: Path) -> float:
    """Return the spread of a picture's edges, on a small grey copy so that size does not matter."""
    from PIL import Image, ImageFilter, ImageStat

    with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
        picture.draft("L", (512, 512))
        grey = picture.convert("L")
    grey.thumbnail((512, 512))
    if min(grey.size) < 8:
        return 0.0
    edges = grey.filter(ImageFilter.FIND_EDGES).crop((2, 2, grey.width - 2, grey.height - 2))
    return float(ImageStat.Stat(edges).stddev[0])


def allowed_roots(names: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders that `--root` allows. Raises UsageError for one that is not there."""
    roots = tuple(Path(os.path.normpath(Path(name).expanduser().absolute())) for name in names)
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"--root {root}: there is no such folder.")
    return roots
