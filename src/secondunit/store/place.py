"""A place that several machines share: a folder on a common disk, or a bucket, through fsspec.

It is relied on for three things: a file appears under its name whole or not at all (an S3 object, a
rename in a folder), what one machine wrote another one reads, and a file that is not there is told
from one that cannot be asked for. Where the first two fail, the hashes in the slates show it.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from secondunit.durable import sync
from secondunit.errors import UsageError
from secondunit.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXTRA = "secondunit[farm]"
WITH_DRIVER = {"s3": "s3fs", "s3a": "s3fs"}  # named where they are missing; others name themselves
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

# botocore asks for a minute, five times, before it says that nobody is there
_PATIENCE = {
    "connect_timeout": 5, "read_timeout": 60, "max_pool_connections": 32,
    "retries": {"max_attempts": 3, "mode": "standard"},
}  # fmt: skip
_NO_KEY = re.compile(r"(No|Partial)Credentials|Credential|Token|Profile|SSO|Auth")
_EMPTY = {"InvalidRange", "416"}  # what S3 says of the first bytes of an empty object


class PlaceTrouble(Exception):
    """The shared place cannot be used; the text says why.

    `lasting`: it will not pass by itself, somebody has to change a setting or a permission.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.lasting = lasting


def address(text: str) -> str:
    """Return the address of a shared place as fsspec takes it. Raises ValueError with the reason.

    What is wrong with it may be that it holds a secret, so that the reason never repeats it.
    """
    if "://" not in text:
        folder = Path(text).expanduser()
        if not folder.is_absolute():
            raise ValueError(
                "write a folder's whole path, or an address such as s3://bucket/folder"
            )
        text = f"file://{folder}"
    kind, _, rest = text.partition("://")
    user, at, _ = rest.partition("@")
    if "?" in rest or (at and (":" in user or kind in WITH_DRIVER)):
        raise ValueError(
            "it holds a name, a key or options, and may only say where; keys come from the"
            " environment or the profile that the storage's own programs use (AWS_PROFILE, …)"
        )
    if re.search(r"[*\[\]#\\]|::|[\x00-\x1f]", rest) or ".." in rest.split("/"):
        raise ValueError("it holds characters that a plain address has not")
    if kind in {"http", "https"} or not re.fullmatch(r"[a-z][a-z0-9+.-]*", kind):
        raise ValueError(
            "nothing can be kept there; name a folder or a bucket (s3://bucket/folder)"
        )
    if not rest.strip("/"):
        raise ValueError("it names no folder and no bucket")
    return text.rstrip("/")


class Place:
    """Files by name, below one address; every method blocks. Raises PlaceTrouble."""

    def __init__(self, url: str) -> None:
        """Use what `url` names; it is asked for when it is needed first. Raises UsageError."""
        self.url = url
        for name in SECRETS:
            hide(os.environ.get(name, ""))
        self._fs, self._root = _opened(url)
        self._disk = "file" in _names(self._fs)
        self._folders = not self._fs.async_impl  # buckets have none, and s3fs would make the bucket
        self._seen = False
        self._lock = Lock()

    def __str__(self) -> str:
        return self.url

    def there(self, names: Sequence[str]) -> set[str]:
        """Return which of the files are there; buckets are asked for all at once."""
        return set(self.read(names, 1))

    def read(self, names: Sequence[str], limit: int) -> dict[str, bytes]:
        """Return the first `limit` bytes of each file that is there, by name."""
        paths = [self._path(name) for name in names]
        with self._door():
            if self._folders:
                # a pipe or a device is no file, and reading it may never end
                found: list[Any] = [
                    self._fs.cat_file(path, 0, limit) if self._size(path) is not None else None
                    for path in paths
                ]
            else:
                found = [_told(a) for a in self._fs.cat_ranges(paths, 0, limit, on_error="return")]
        return {n: data for n, data in zip(names, found, strict=True) if data is not None}

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, or None where there is no such file."""
        with self._door():
            return self._size(self._path(name))

    def fetch(self, name: str, into: Path) -> None:
        """Copy a file to `into`."""
        with self._door():
            self._fs.get_file(self._path(name), str(into))

    def put(self, file: Path, name: str) -> None:
        """Copy `file` to the place; it appears there whole, over whatever stood under that name."""
        path, size = self._path(name), file.stat().st_size
        with self._door():
            if self._folders:
                part = f"{path}.{secrets.token_hex(4)}.part"
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._fs.put_file(str(file), part)
                if self._disk:
                    sync(Path(part))
                self._fs.mv(part, path)
            else:
                self._fs.put_file(str(file), path)
            arrived = self._size(path)
        if arrived != size:
            raise PlaceTrouble(f"{name} arrived with {arrived} bytes of {size}", lasting=False)

    def set_aside(self, folder: str, into: str) -> None:
        """Move a folder out of the way; a file that arrives there meanwhile stays."""
        old, new = self._path(folder), self._path(into)
        with self._door():
            if self._folders:
                self._fs.makedirs(new.rpartition("/")[0], exist_ok=True)
                self._fs.mv(old, new, recursive=True)
                return
            for path in self._fs.find(old):
                self._fs.mv(path, new + path.removeprefix(old))

    def files(self, folder: str) -> list[str]:
        """Return the names of all files below a folder."""
        with self._door():
            return sorted(
                p.removeprefix(self._root + "/") for p in self._fs.find(self._path(folder))
            )

    def holds(self, folder: str) -> bool:
        """Say whether there is anything in a folder."""
        with self._door():
            try:
                return bool(self._fs.ls(self._path(folder), detail=False))
            except FileNotFoundError:
                return False

    # --- inside -------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _size(self, path: str) -> int | None:
        try:
            facts = self._fs.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return int(facts["size"]) if facts["type"] == "file" else None

    @contextmanager
    def _door(self) -> Iterator[None]:
        """Let what storages raise out as PlaceTrouble; the first time, see that the place is there."""
        try:
            with self._lock:
                if not self._seen:
                    self._see()
                    self._seen = True
            yield
        except PlaceTrouble:
            raise
        except PermissionError as error:
            raise PlaceTrouble(f"access is denied ({_said(error)})", lasting=True) from None
        except Exception as error:  # noqa: BLE001  every storage has errors of its own
            lasting = bool(_NO_KEY.search(type(error).__name__))
            raise PlaceTrouble(_said(error), lasting=lasting) from None

    def _see(self) -> None:
        """See that the place is there: an empty bucket is, a folder where no disk is mounted is not."""
        if self._disk:
            if not self._fs.isdir(self._root):
                why = "there is no such folder; mount its disk, or make the folder"
                raise PlaceTrouble(why, lasting=True)
        elif not self._folders:
            try:
                self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                if not self._fs.exists(self._root.partition("/")[0]):
                    raise PlaceTrouble("there is no such bucket", lasting=True) from None


def _opened(url: str) -> tuple[Any, str]:
    kind = url.partition("://")[0]
    more = {"config_kwargs": _PATIENCE} if kind in WITH_DRIVER else {}
    try:
        from fsspec.core import url_to_fs

        found: tuple[Any, str] = url_to_fs(
            url, skip_instance_cache=True, use_listings_cache=False, **more
        )
    except ImportError as error:
        driver = WITH_DRIVER.get(kind)
        cure = f"needs {driver}: pip install '{EXTRA}'" if driver else f"needs a driver: {error}"
        raise UsageError(f"The shared store {url} {cure}. Nothing was ordered.") from None
    except Exception as error:  # noqa: BLE001  the same as in `_door`
        raise UsageError(
            f"The shared store {url} cannot be opened: {_said(error)}. Nothing was ordered."
        ) from None
    return found[0], found[1].rstrip("/")


def _names(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _told(answer: Any) -> bytes | None:
    """Return the bytes that one of many questions brought, None for no file. Raises what it raised."""
    if not isinstance(answer, BaseException):
        return bytes(answer)
    if isinstance(answer, FileNotFoundError):
        return None
    response = getattr(answer.__cause__, "response", None) or {}
    if response.get("Error", {}).get("Code") in _EMPTY:
        return b""
    raise answer


def _said(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(". ")
