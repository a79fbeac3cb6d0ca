"""H.264 as MP4 keeps it: length-prefixed units, their headers apart; ISO/IEC 14496-15 §5."""

from __future__ import annotations

import hashlib
import re
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
    return any(unit[0] & 31 == _IDR for unit in units(packet) if unit)


def units(packet: bytes) -> Iterator[bytes]:
    """Yield a packet's units, which their lengths divide."""
    at = 0
    while at + 4 < len(packet):
        size = int.from_bytes(packet[at : at + 4])
        yield packet[at + 4 : at + 4 + size]
        at += 4 + size


def units_of_stream(packet: bytes) -> Iterator[bytes]:
    """Yield the units of a packet as encoders give it, divided by start codes; H.264 Annex B."""
    return (unit for unit in re.split(b"\0\0\0?\1", packet) if unit)


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
