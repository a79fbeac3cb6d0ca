"""API keys: where a user keeps them, and a wrapper that shows one to nobody."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NoReturn

from secondunit.errors import UsageError
from secondunit.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

KEYRING_SERVICE = "secondunit"
SIZE_LIMIT = 4096  # bytes of a key file; Runway's keys have 132
# docs.dev.runwayml.com/guides/setup, and what CometAPI's console gives out
_ISSUED = re.compile(r"(?:key_(?=[0-9a-f]{128}$)|sk-(?=.{40}))([0-9A-Za-z]+)")


class ApiKey:
    """A key that neither prints, formats, pickles nor copies; `reveal` is for the one request."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text
        hide(text)

    def reveal(self) -> str:
        """Return the text of the key."""
        return self.__text

    @property
    def looks_real(self) -> bool:
        """Say whether money may hang on it: it has a vendor's form, and is no pattern for a test."""
        digits = _ISSUED.fullmatch(self.__text)
        return digits is not None and digits[1] not in (digits[1] * 2)[1:-1]

    def __bool__(self) -> bool:
        """Say whether there is a key at all."""
        return bool(self.__text)

    def __repr__(self) -> str:
        return "<key>"

    def __format__(self, _: str) -> str:
        return "<key>"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("A key is neither pickled nor copied.")


def find(
    gateway: str, variable: str, folder: Path, environ: Mapping[str, str], *, needed: bool
) -> ApiKey:
    """Return the key of `gateway`: from the environment, else a private file, else the keyring.

    The file is `<gateway>.key` in `folder`, readable by its owner alone; the keyring is asked for
    the password of user `<gateway>` of service `secondunit`. Raises UsageError when a key is no
    key, when its file is not private, and when there is none although it is `needed`.
    """
    file = folder / f"{gateway}.key"
    places: tuple[tuple[str, Callable[[], str]], ...] = (
        (variable, lambda: environ.get(variable, "")),
        (str(file), lambda: _from_file(file)),
        ("The system's keyring", lambda: _from_keyring(gateway)),
    )
    for place, look in places:
        if text := look():
            return ApiKey(_checked(text, place))
    if needed:
        raise UsageError(
            f"There is no API key for {gateway}. Put it into the environment as {variable}, or"
            f" into the file {file} (then `chmod 600` it), or into the system's keyring (`pip"
            f" install 'secondunit[keyring]'`, `keyring set {KEYRING_SERVICE} {gateway}`); or shoot"
            " for free with --gateway backlot. Nothing was ordered."
        )
    return ApiKey("")


def _checked(key: str, source: str) -> str:
    if len(key) > SIZE_LIMIT:
        raise UsageError(f"{source} holds more than any key has. Nothing was ordered.")
    if key != key.strip() or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"{source} holds spaces or characters that no key has. Copy it again."
            " Nothing was ordered."
        )
    return key


def _from_file(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        link = path.is_symlink()
        reason = (
            "is a link; put the key itself there" if link else f"cannot be read ({error.strerror})"
        )
        raise UsageError(f"The key file {path} {reason}. Nothing was ordered.") from None
    try:
        if trouble := not_private(path, os.fstat(handle)):
            raise UsageError(f"The key file {path} {trouble} Nothing was ordered.")
        text = os.read(handle, SIZE_LIMIT + 2)
    finally:
        os.close(handle)
    return text.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")


def not_private(path: Path, facts: os.stat_result) -> str:
    """Say why a file is not one that only its owner can have read or written."""
    if not stat.S_ISREG(facts.st_mode):
        return "is no regular file. Put the key into one."
    if facts.st_uid != os.geteuid():
        return f"belongs to another user. Run: chown {os.geteuid()} '{path}'"
    if facts.st_mode & 0o077:
        return (
            f"can be read by others (mode {stat.S_IMODE(facts.st_mode):04o})."
            f" Run: chmod 600 '{path}'."
        )
    return ""


def _from_keyring(gateway: str) -> str:
    """Ask the system's keyring, where the optional package for it is installed."""
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError:
        return ""
    try:
        return keyring.get_password(KEYRING_SERVICE, gateway) or ""
    except Exception:  # noqa: BLE001  no keyring, a locked or a broken one: there is no key in it
        return ""
