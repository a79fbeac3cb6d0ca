"""Files that a shot list names: opened with care, checked, measured and hashed, before they travel."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import stat
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from secondunit.document import suggest
from secondunit.errors import Spoiled, UsageError
from secondunit.plan.metadata import told_by_footage, told_by_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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

FONTS = (b"\0\1\0\0", b"true", b"OTTO", b"ttcf")  # OpenType 1.9, the font's directory
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
PASSING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
HANDLES = Path("/proc/self/fd")  # where Linux lets a file that is open be opened again

Kind = Literal["picture", "footage", "sound", "font"]


class BadAsset(Exception):
    """A file that cannot be used; the text is a sentence without its place in the shot list."""


@dataclass(frozen=True)
class Asset:
    """One file, as it was when it was read: `sha256` names its bytes, `size` counts them.

    `width` and `height` are pixels as displayed; `seconds` and `fps` are None where there are none;
    `sharpness` is the spread of a picture's edges, 0 for a flat field, None for all else. `tells` is
    what the file says of people besides its picture, in words: "where it was taken", "its author".
    `hdr` is the kind of footage that is brighter than a film shows; of `alpha`, parts are transparent.
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
    tells: tuple[str, ...] = ()
    hdr: str = ""
    alpha: bool = False

    @property
    def warning(self) -> str:
        """The remark on a file that `tells` something, with the command that makes it silent."""
        name = shlex.quote(self.path.name)
        if self.kind == "picture":
            strip = f"`exiftool -all= -tagsfromfile @ -orientation -icc_profile {name}`"
        else:
            strip = f"`ffmpeg -i {name} -map_metadata -1 -c copy stripped-{name.lstrip('-')}`"
        return f"the file says {' and '.join(self.tells)}, which leaves with it. Strip it: {strip}."

    def data(self) -> bytes:
        """Return the bytes. Raises BadAsset when they are no longer those that were planned.

        Whatever may lie at the path by now, only bytes that were measured leave; a pipe or a
        device in its place is never waited for.
        """
        handle = os.open(self.path, FLAGS)
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if stat.S_ISREG(facts.st_mode) and facts.st_size == self.size:
                data = file.read(self.size + 1)
                if hashlib.sha256(data).hexdigest() == self.sha256:
                    return data
        raise BadAsset(f"{self.path.name} changed after the plan was made. Run again.")


@dataclass
class Library:
    """Finds and measures files below `folder` or one of `roots`; each is read once.

    A shot list may come from a stranger, and what it names is sent to a gateway or put into the
    film: nothing outside the allowed folders is opened, no link is followed out of them, and only
    what decodes as a picture, a video, a sound or a font is accepted.
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
            path, root, inside = self._allowed(name, sent=kind in ("picture", "footage"))
            with _opened(root, inside, lambda: _missing(path, name)) as handle:
                size, digest = _hashed(handle, name)
                # what is measured is what was hashed, even if another file takes the name meanwhile
                same = HANDLES / str(handle) if HANDLES.exists() else path
                return _measured(path, same, kind, size, digest)
        except BadAsset as bad:
            return bad
        except OSError as error:
            reason = (error.strerror or "error").lower()
            return BadAsset(f"{name[:80]} cannot be read: {reason}. Correct the name or the file.")
        except Spoiled as bad:
            return BadAsset(
                re.sub(rf"{re.escape(str(path))}|{HANDLES}/\d+", lambda _: name, str(bad))
            )

    def _allowed(self, name: str, *, sent: bool) -> tuple[Path, Path, Path]:
        """Return where a name lies, the folder that allows it, and where in there it leads."""
        if SCHEME.match(name) or "\0" in name or not name.strip():
            raise BadAsset(
                f"{name[:80]!r} is not a path below the shot list's folder. Copy the file there,"
                " and write where it is from there, such as refs/door.png."
            )
        path = Path(os.path.normpath(self.folder / name))
        for root in (self.folder, *self.roots):
            if path.is_relative_to(root):
                real, home = _resolved(path, name), root.resolve()
                if not real.is_relative_to(home):
                    raise BadAsset(f"{name} is a link that leads out of {root}. Copy the file in.")
                return path, home, real.relative_to(home)
        raise BadAsset(
            f"{name} lies outside {self.folder}, and only files below it may be"
            f" {'sent' if sent else 'used'}."
            f" Copy it in, or allow its folder with `--root {path.parent}`."
        )


def _resolved(path: Path, name: str) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # what Python 3.11 and 3.12 make of ELOOP
        raise BadAsset(f"{name} is a link that leads back to itself. Copy the file in.") from None


@contextmanager
def _opened(root: Path, inside: Path, missing: Callable[[], str]) -> Iterator[int]:
    """Open the file at `inside` below `root`, part by part and through no link.

    The links on its way were followed and judged before; one that appears since is not followed.
    """
    with ExitStack() as stack:
        folder = os.open(root, PASSING)
        stack.callback(os.close, folder)
        try:
            for part in inside.parts[:-1]:
                folder = os.open(part, PASSING, dir_fd=folder)
                stack.callback(os.close, folder)
            handle = os.open(inside.name or ".", FLAGS | os.O_NOFOLLOW, dir_fd=folder)
        except FileNotFoundError:
            raise BadAsset(missing()) from None
        stack.callback(os.close, handle)
        yield handle


def _hashed(handle: int, name: str) -> tuple[int, str]:
    """Return size and hash of a regular file."""
    facts = os.fstat(handle)
    if reason := _unfit(facts):
        raise BadAsset(f"{name} {reason}")
    with open(handle, "rb", closefd=False) as file:
        return facts.st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _unfit(facts: os.stat_result) -> str:
    """Say why a file is none that can be sent, or nothing if it may be one."""
    if stat.S_ISDIR(facts.st_mode):
        return "is a folder. Name a file inside it."
    if not stat.S_ISREG(facts.st_mode):
        return "is a pipe or a device. Name a file."
    if facts.st_size > SIZE_LIMIT:
        return f"has {facts.st_size >> 20} MB; {SIZE_LIMIT >> 20} MB are taken at most."
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


def _measured(path: Path, same: Path, kind: Kind, size: int, digest: str) -> Asset:
    """Measure the file at `path`, read by way of `same`."""
    from secondunit import media
    from secondunit.media.recordings import probe_sound

    if kind == "sound":
        seconds = float(probe_sound(same).seconds)
        return Asset(path, kind, digest, size, "audio/*", 0, 0, seconds=seconds)
    if kind == "font":
        _check_font(same, path.name)
        return Asset(path, kind, digest, size, "font/sfnt", 0, 0)
    if kind == "picture":
        picture = media.picture_facts(same)
        return Asset(
            path,
            kind,
            digest,
            size,
            MIME[picture.format],
            picture.width,
            picture.height,
            sharpness=_sharpness(same),
            tells=told_by_picture(same),
        )
    facts = media.probe(same)
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
        tells=told_by_footage(same),
        hdr=facts.hdr,
        alpha=facts.alpha,
    )


def _check_font(path: Path, name: str) -> None:
    from PIL import ImageFont

    data = path.read_bytes()
    try:
        if not data.startswith(FONTS):
            raise OSError("other bytes")  # noqa: TRY301  FreeType reads more kinds than are wanted
        ImageFont.truetype(BytesIO(data), 16).getlength("Aé")
    except (OSError, ValueError) as error:
        raise BadAsset(f"{name} is no font. Name a TrueType or OpenType file.") from error


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
