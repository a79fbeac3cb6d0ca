"""Names for content: what is asked for decides the key, so the same question is never bought twice."""

from __future__ import annotations

import hashlib
import json
from typing import Any

KEY_VERSION = "secondunit take 1"


def canonical(message: Any) -> bytes:
    """Return the one byte string that stands for a JSON-like value, whatever its key order."""
    text = json.dumps(
        message, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def key(kind: str, message: Any) -> str:
    """Return the 64 hex digits that name `message`; `kind` keeps different sorts of thing apart."""
    return hashlib.sha256(canonical([KEY_VERSION, kind, message])).hexdigest()


def drawn_seed(message: Any, limit: int, take: int = 1) -> int:
    """Draw a seed from 0 to `limit` out of the request itself.

    A shot that names no seed gets one from its own content: nobody has to choose, the plan stays
    the same on every machine and every run, and the number is known before the order is written.
    Further takes have the seeds that follow.
    """
    return (int(key("seed", message)[:12], 16) + take - 1) % (limit + 1)
