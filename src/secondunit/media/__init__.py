"""Media files verified: strictly decoded, held against what was ordered, never believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Literal

from secondunit.durable import opened_regular
from secondunit.errors import CutError, Spoiled
from secondunit.media.facts import MAX_PIXELS, Facts, probe
from secondunit.media.sniff import CALLED, sniff, sniff_file, spoiled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "Expectation",
    "Facts",
    "PictureFacts",
    "frame_at",
    "last_frame",
    "picture_facts",
    "probe",
    "sniff",
    "verify",
]

_ORIENTATION = 0x0112  # EXIF: from 5 on, width and height change places


@dataclass(frozen=True)
class Expectation:
    """What was ordered: pixels, seconds, frames a second; None where anything will do."""

    width: int | None = None
    height: int | None = None
    seconds: float | Fraction | None = None
    fps: Fraction | None = None


@dataclass(frozen=True)
class PictureFacts:
    """What is known of a picture; width and height are as displayed, `size` is in bytes."""

    format: Literal["png", "jpeg", "webp"]
    width: int
    height: int
    size: int


def verify(path: Path, *, expect: Expectation | None = None) -> tuple[Facts, tuple[str, ...]]:
    """Decode all of a clip, strictly; return its facts and a warning for each thing doubtful.

    Damaged frames, and fewer frames than packets, raise Spoiled. What is merely not as ordered
    (`expect`), or black, frozen or noise (see `frames.Look`), was paid for, and is a sentence to
    show. Five seconds of 720p take a processor half a second.
    """
    from secondunit.media.frames import Look, shown
    from secondunit.media.sound import decoded

    facts, look = probe(path), Look()
    for frame in shown(path, facts):
        look.see(frame)
    if look.frames < facts.frames and facts.codec == "h264":
        raise spoiled(path, f"only {look.frames} of its {facts.frames} frames can be decoded")
    for _ in decoded(path):
        pass
    # some codecs have packets that show nothing; only decoding tells
    facts = replace(facts, frames=look.frames)
    return facts, (*_not_as_ordered(facts, expect or Expectation()), *look.doubts(facts.fps))


def _not_as_ordered(facts: Facts, expect: Expectation) -> Iterator[str]:
    size = (expect.width or facts.width, expect.height or facts.height)
    if size != (facts.width, facts.height):
        got = f"{facts.width}×{facts.height}"
        yield f"The clip is {got} pixels; {size[0]}×{size[1]} were ordered."
    if (
        expect.seconds
        and abs(facts.seconds - Fraction(expect.seconds)) > Fraction(3, 2) / facts.fps
    ):
        got = f"{float(facts.seconds):.2f}"
        yield f"The clip is {got} s long; {float(expect.seconds):g} s were ordered."
    if expect.fps and expect.fps != facts.fps:
        got = f"{float(facts.fps):.3f}".rstrip("0").rstrip(".")
        yield f"The clip runs at {got} frames a second; {float(expect.fps):.6g} were ordered."


def last_frame(path: Path, out: Path) -> None:
    """Save the very last displayed frame, upright and as displayed, as a PNG. Raises Spoiled."""
    from secondunit.media.frames import save_png, shown, when

    facts = probe(path, least=1)
    frames = shown(path, facts, since=facts.seconds - Fraction(1, 2) / facts.fps)
    save_png(max(frames, key=when), facts, out)


def frame_at(path: Path, index: int, out: Path) -> None:
    """Save one displayed frame, counted from 0, upright and as displayed, as a PNG.

    Raises Spoiled, or CutError where the clip has no such frame.
    """
    from secondunit.media.frames import nth, save_png

    facts = probe(path, least=1)
    if not 0 <= index < facts.frames:
        raise CutError(f"{path} has no frame {index}; it has {facts.frames}, counted from 0.")
    save_png(nth(path, facts, index), facts, out)


def picture_facts(path: Path) -> PictureFacts:
    """Decode a PNG, JPEG or WebP picture and say what it is.

    Anything else, and a picture of more than `MAX_PIXELS`, raises Spoiled.
    """
    kind = sniff_file(path, "picture")
    if kind not in ("png", "jpeg", "webp"):
        raise spoiled(path, f"it is {CALLED[kind]}, and not PNG, JPEG or WebP", "picture")
    with opened_regular(path) as file:
        width, height = _decode_picture(path, file, kind)
    return PictureFacts(kind, width, height, path.stat().st_size)


def _decode_picture(path: Path, file: IO[bytes], kind: str) -> tuple[int, int]:
    from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    readers = {
        "png": PngImagePlugin.PngImageFile,
        "jpeg": JpegImagePlugin.JpegImageFile,
        "webp": WebPImagePlugin.WebPImageFile,
    }
    try:
        # not Image.open: that would warn of large pictures on stderr before we could refuse them
        with readers[kind](file) as picture:
            _refuse_huge(path, *picture.size)
            picture.load()
            width, height = picture.size
            sideways = picture.getexif().get(_ORIENTATION, 1) >= 5
    except Spoiled:
        raise
    except Exception as error:  # Pillow's readers raise a dozen unrelated kinds
        raise spoiled(path, f"it is damaged or cut short ({error})", "picture") from error
    return (height, width) if sideways else (width, height)


def _refuse_huge(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise spoiled(path, f"it has {width}×{height} pixels, too many to decode", "picture")
