"""H.264 as MP4 keeps it: length-prefixed units, their headers apart; ISO/IEC 14496-15 §5."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDR = 5  # nal_unit_type, ITU-T H.264 table 7-1


def fingerprint(header: bytes | None) -> str:
    """Name a stream's parameters; clips that share them are decoded alike.

    Empty where packets could not be joined to others as they are: the header is not an MP4's, has
    no parameter sets, or its units have lengths of other than four bytes.
    """
    if header is None or len(header) < 7 or header[0] != 1:
        return ""
    if header[4] & 3 != 3 or not list(_sets(header)):
        return ""
    return hashlib.sha256(header).hexdigest()[:16]


def opens_on_idr(packet: bytes) -> bool:
    """Say whether a packet begins with a picture that needs nothing before it."""
    at = 0
    while at + 4 < len(packet):
        if packet[at + 4] & 31 == _IDR:
            return True
        at += 4 + int.from_bytes(packet[at : at + 4])
    return False


def in_band(header: bytes) -> bytes:
    """Turn a stream's parameter sets into units that can stand before a key frame."""
    return b"".join(len(one).to_bytes(4) + one for one in _sets(header))


def _sets(header: bytes) -> Iterator[bytes]:
    """Yield the sequence parameter sets, then the picture parameter sets."""
    at = 5
    for mask in (31, 255):
        count, at = header[at] & mask if at < len(header) else 0, at + 1
        for _ in range(count):
            size = int.from_bytes(header[at : at + 2])
            yield header[at + 2 : at + 2 + size]
            at += 2 + size
