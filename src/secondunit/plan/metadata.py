"""What a file says of people besides its picture: where it was taken, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from PIL.ImageFile import ImageFile

PLACE = "where it was taken"
AUTHOR = "its author"

_GPS = 0x8825  # EXIF 2.32 §4.6: the place, in a table of its own
_DETAILS = 0x8769
# Artist, Copyright, Windows' author; and in the details the camera's owner and its serial number
_PEOPLE = (0x013B, 0x8298, 0x9C9D)
_OWNERS = (0xA430, 0xA431)
_BYLINE = (2, 80)  # IPTC IIM 4.2
_XMP = (
    (PLACE, (b"GPSLatitude", b"GPSCoordinates")),
    (AUTHOR, (b"dc:creator", b"photoshop:Credit")),
)
_NAMES = {"author", "artist", "copyright"}


def told_by_picture(path: Path) -> tuple[str, ...]:
    """Return what a picture that decodes tells besides, in words; empty where it tells nothing."""
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
            found = {*_exif(picture), *_xmp(picture), *_captions(picture)}
    except Exception:  # noqa: BLE001  metadata that cannot be read is no reason to refuse a picture
        return ()
    return _sorted(found)


def told_by_footage(path: Path) -> tuple[str, ...]:
    """Return what footage that opens tells besides, in words."""
    from secondunit.media.facts import opened

    with opened(path) as clip:
        tags = {name.lower() for name, value in clip.metadata.items() if value.strip()}
    places = any("location" in tag for tag in tags)
    people = any(tag.rpartition(".")[2] in _NAMES for tag in tags)
    return _sorted([PLACE] * places + [AUTHOR] * people)


def _exif(picture: ImageFile) -> Iterable[str]:
    exif = picture.getexif()
    if any(exif.get_ifd(_GPS).get(tag) for tag in (2, 4)):  # latitude, longitude
        yield PLACE
    details = exif.get_ifd(_DETAILS)
    if _says(exif.get(tag) for tag in _PEOPLE) or _says(details.get(tag) for tag in _OWNERS):
        yield AUTHOR


def _xmp(picture: ImageFile) -> Iterable[str]:
    packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp") or b""
    data = packet.encode() if isinstance(packet, str) else packet
    for word, signs in _XMP:
        if any(sign in data for sign in signs):
            yield word


def _captions(picture: ImageFile) -> Iterable[str]:
    from PIL import IptcImagePlugin

    notes = getattr(picture, "text", {})  # of a PNG
    written = _says(value for name, value in notes.items() if name.lower() in _NAMES)
    if written or (IptcImagePlugin.getiptcinfo(picture) or {}).get(_BYLINE):
        yield AUTHOR


def _says(values: Iterable[Any]) -> bool:
    return any(str(value).strip(" \0") for value in values if value)


def _sorted(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for word in (PLACE, AUTHOR) if word in found)
