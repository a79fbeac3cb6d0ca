"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import errno
from typing import IO, TYPE_CHECKING, Literal

from secondunit.durable import opened_regular
from secondunit.errors import DiskTrouble, Spoiled

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal[
    "png", "jpeg", "webp", "gif", "heif", "mp4", "mov", "webm", "mkv",
    "wav", "flac", "mp3", "ogg", "aiff", "html", "json", "playlist", "empty", "other",
]  # fmt: skip

HEAD = 4096
"""Bytes from the start of a file that are enough to tell what it is."""

CALLED: dict[Kind, str] = {
    "png": "a PNG picture",
    "jpeg": "a JPEG picture",
    "webp": "a WebP picture",
    "gif": "a GIF picture",
    "heif": "a HEIF or AVIF picture",
    "mp4": "an MP4 video",
    "mov": "a QuickTime video",
    "webm": "a WebM video",
    "mkv": "a Matroska video",
    "wav": "a WAV sound file",
    "flac": "a FLAC sound file",
    "mp3": "an MP3 sound file",
    "ogg": "an Ogg sound file",
    "aiff": "an AIFF sound file",
    "html": "a web page",
    "json": "a JSON message",
    "playlist": "a list of other files, which is never followed",
    "empty": "empty",
    "other": "of no kind that is known here",
}

_BOXES = set(b"ftyp moov mdat free skip wide moof mfra meta udta uuid sidx styp".split())
_STILL_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"mif1", b"msf1"}


def sniff(head: bytes) -> Kind:
    """Tell what a file is from its first bytes; `HEAD` of them are enough."""
    if not head:
        return "empty"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[4:8] == b"ftyp" and 8 <= int.from_bytes(head[:4]) <= HEAD:
        return _brand(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in head[:64] else "mkv"
    return _sound(head) or _text(head)


def _sound(head: bytes) -> Kind | None:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    return "mp3" if head.startswith(b"ID3") or _layer_three(head) else None


def _layer_three(head: bytes) -> bool:
    """Say whether a file opens on the header of an MPEG audio frame, ISO/IEC 11172-3 §2.4.2.3."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return False
    return head[1] & 0x18 != 0x08 and head[2] >> 4 not in (0, 15) and head[2] & 0x0C != 0x0C


def _brand(brand: bytes) -> Kind:
    if brand in _STILL_BRANDS:
        return "heif"
    return "mov" if brand == b"qt  " else "mp4"


def _text(head: bytes) -> Kind:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"#extm3u", b"ffconcat", b"v=0")) or b"<mpd" in text:
        return "playlist"
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "html"
    return "json" if text.startswith((b"{", b"[")) else "other"


def sniff_file(path: Path, thing: str = "video") -> Kind:
    """Tell what the file at `path` is. Raises Spoiled where there is none, or DiskTrouble."""
    try:
        with opened_regular(path) as file:
            return sniff(file.read(HEAD))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise spoiled(path, "there is no such file", thing) from error
    except (IsADirectoryError, PermissionError) as error:
        raise spoiled(path, f"it cannot be read ({error.strerror})", thing) from error
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENXIO}:
            raise spoiled(path, "it is a pipe or a device", thing) from error
        raise DiskTrouble(f"{path} cannot be read: {error.strerror}. Look at the disk.") from error


def cut_short(path: Path, kind: Kind) -> bool:
    """Say whether a file ends before the last part that its container announces.

    ffmpeg reads such a file as far as it goes, often without a word.
    """
    with opened_regular(path) as file:
        if kind in ("mp4", "mov"):
            announced = _boxes_end(file)
        elif kind in ("webm", "mkv"):
            announced = _segment_end(file.read(HEAD))
        else:
            announced = _form_end(file.read(8))
    return announced > path.stat().st_size


def _form_end(head: bytes) -> int:
    """Find where a WAV or AIFF file ends; 0 where it does not say, as after a pipe."""
    size = int.from_bytes(head[4:], "little" if head[:4] == b"RIFF" else "big")
    return size + 8 if head[:4] in (b"RIFF", b"FORM") and size < 0xFFFFFFFF else 0


def _boxes_end(file: IO[bytes]) -> int:
    """Walk an MP4's outermost boxes, ISO/IEC 14496-12 §4.2, to where the last of them ends."""
    at = 0
    while len(head := file.read(16)) >= 8 and head[4:8] in _BOXES:
        length = int.from_bytes(head[:4])
        if length == 0:  # to the end of the file, wherever that is
            break
        at += int.from_bytes(head[8:]) if length == 1 else max(8, length)
        file.seek(at)
    return at


def _segment_end(head: bytes) -> int:
    """Find where a Matroska file's Segment ends, RFC 8794 §4 and §6; 0 where it does not say."""
    size, at = _ebml_size(head, 4)
    size, at = _ebml_size(head, at + size + 4)
    return at + size if size else 0


def _ebml_size(head: bytes, at: int) -> tuple[int, int]:
    """Read a size of one to eight bytes; return it, or 0 if unknown, and where it ends."""
    first = head[at] if at < len(head) else 0
    length = 9 - first.bit_length()
    bits = int.from_bytes(head[at : at + length]) & ((1 << 7 * length) - 1)
    return (0 if bits == (1 << 7 * length) - 1 else bits), at + length


def spoiled(path: Path, reason: str, thing: str = "video") -> Spoiled:
    """Say that a file is no playable video or picture, why, and what to do."""
    return Spoiled(
        f"{path} is not a playable {thing}: {reason}. "
        "Fetch it again or put a good file in its place; that costs nothing."
    )
