"""The slate of a take as a file: JSON under a seal, read with care wherever it comes from."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from secondunit import keys
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "slate.json"
SCHEMA = 2  # 1 had no seal

LARGEST = 4 << 20
"""Bytes; a slate holds a prompt and some numbers, a few kB."""

LARGEST_FILE = 16 << 30  # bytes of one output
MOST_FILES = 64  # outputs of one take

_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sealed(slate: Mapping[str, Any]) -> str:
    """Return the text of a slate, with the hash of all else in it as its seal."""
    return json.dumps({**slate, "seal": _seal(slate)}, indent=2, ensure_ascii=False) + "\n"


def read(text: bytes, key: str) -> dict[str, Any] | None:
    """Return the slate of the take `key`, without its seal; None where it is damaged.

    Raises UsageError where a newer Second Unit wrote it.
    """
    try:
        slate: dict[str, Any] = json.loads(text)
        seal = slate.pop("seal", None)
        good = seal == _seal(slate) or (seal, slate["schema"]) == (None, 1)
        sound = good and slate["key"] == key and _are_sound(slate["files"])
        newer = slate["schema"] > SCHEMA
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if sound and newer:
        raise UsageError(
            f"The take {key} was kept by a newer Second Unit. Use that one. Nothing was ordered."
        )
    return slate if sound else None


def _are_sound(files: list[dict[str, Any]]) -> bool:
    """See that files are named, measured and hashed as `Store.keep` does it."""
    names = [facts["name"] for facts in files]
    return (
        0 < len(set(names)) == len(names) <= MOST_FILES
        and NAME not in names
        and all(map(_FILE_NAME.fullmatch, names))
        and all(_SHA256.fullmatch(facts["sha256"]) for facts in files)
        and all(type(f["size"]) is int and 0 <= f["size"] <= LARGEST_FILE for f in files)
    )


def _seal(slate: Mapping[str, Any]) -> str:
    return hashlib.sha256(keys.canonical(slate)).hexdigest()
