"""The fonts of a film: the one it names, and for what that lacks, others found on this machine."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from functools import lru_cache
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont, features

from secondunit.durable import opened_regular
from secondunit.errors import CutError
from secondunit.splice.typesetting import blank, clean, clusters, leftward, pieces, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from secondunit.cut.edit import Look

    Font = ImageFont.FreeTypeFont
    Colour = tuple[int, int, int]

MOST_FONT = 64 * 1024 * 1024
"""Bytes of a font file that are read at most; the largest for Chinese have 30 million."""

_OUTLINES = (b"\0\1\0\0", b"OTTO", b"true", b"ttcf")
"""How TrueType and OpenType files begin. FreeType reads a dozen more kinds, each a parser to trust."""

_NOWHERE = "\U0010ffff"  # no character, and never will be: what is drawn for it is the box
_STRIKES = (109, 128, 136, 160, 96)  # sizes in which fonts of coloured pictures come
_PROBE = 32  # pixels: in this size fonts are asked what they have
_WIDEST = 12  # times its size: no character of an honest font is wider, not even ﷽
_FINE = 256  # pixels: letters are drawn in up to four times their size, but not beyond this
_ASKED = 8  # characters for which fontconfig is asked one by one

_KIN = "Noto Sans,Liberation Sans,DejaVu Sans,sans-serif"
_USUAL = (
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/System/Library/Fonts/Helvetica.ttc",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
    "/System/Library/Fonts/Apple Color Emoji.ttc",
)

RAQM: Final = features.check_feature("raqm")
"""Whether letters are joined and right-to-left text is turned, as its script wants it."""

_ENGINE = ImageFont.Layout.RAQM if RAQM else ImageFont.Layout.BASIC


class _Face:
    """One font in every size, opened when it is first needed."""

    def __init__(self, source: bytes | str | None, index: int = 0) -> None:
        """Take a file's bytes, its path, or None for the font that Pillow brings."""
        self._source, self._index = source, index
        self.name = (
            f"{source} {index} {Path(source).stat().st_size}" if isinstance(source, str) else ""
        )
        self._sizes: dict[int, Font] = {}
        self._has: dict[str, bool] = {}
        self.strike = 0  # the only size, in pixels, of a font made of pictures
        self.embedded = source is None
        self._box = self._drawn(_NOWHERE)

    def at(self, size: int) -> Font:
        """Open it in a size. Raises OSError, and ValueError for a font that makes no sense."""
        if size not in self._sizes:
            self._sizes[size] = self._opened(self.strike or size)
        return self._sizes[size]

    def _opened(self, size: int) -> Font:
        if self._source is None:
            font = ImageFont.load_default(size)
            if not isinstance(font, ImageFont.FreeTypeFont):  # Pillow was built without FreeType
                raise OSError("this Pillow cannot read fonts")
            return font.font_variant(layout_engine=_ENGINE)
        try:
            return self._read(size)
        except OSError as error:
            if "pixel size" not in str(error):
                raise
            for strike in _STRIKES:
                try:
                    font = self._read(strike)
                except OSError:
                    continue
                self.strike = strike
                return font
            raise

    def _read(self, size: int) -> Font:
        source = io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source
        assert source is not None  # noqa: S101  the font that Pillow brings is opened above
        return ImageFont.truetype(source, size, self._index, layout_engine=_ENGINE)

    def has(self, char: str) -> bool:
        """Say whether it draws something for a character, other than the box."""
        if char not in self._has:
            drawn = self._drawn(char)
            self._has[char] = any(drawn) and drawn != self._box
        return self._has[char]

    def _drawn(self, char: str) -> bytes:
        font = self.at(_PROBE)
        side = 2 * (self.strike or _PROBE)
        left, top, right, bottom = font.getbbox(char)
        if max(right - left, bottom - top) > _WIDEST * side:
            raise ValueError("its measures make no sense")
        tile = Image.new("RGBA", (side, side))
        ImageDraw.Draw(tile).text((side // 4, side * 3 // 4), char, "white", font, anchor="ls",
                                  embedded_color=True)  # fmt: skip
        return tile.tobytes()

    def length(self, text: str, size: int, direction: str) -> float:
        """Measure a text in pixels."""
        font, share = self._finely(size)
        length = font.getlength(text, direction=direction if RAQM else None) * share
        if not 0 <= length <= _WIDEST * size * (len(text) + 1):
            raise ValueError("its measures make no sense")
        return length

    def _finely(self, size: int) -> tuple[Font, float]:
        """Open it larger than asked, and say by what share it is to be made smaller again.

        Small letters drawn as such are moved to whole pixels, and words fall apart.
        """
        large = self.strike or size * max(1, min(4, _FINE // size))
        return self.at(large), size / large

    def draw(
        self, onto: Image.Image, x: float, y: float, text: str, size: int, colour: Colour,
        direction: str,
    ) -> None:  # fmt: skip
        """Write on an RGBA picture, from `x` rightwards on the baseline `y`."""
        wide = ceil(self.length(text, size, direction)) + 2 * size
        left, top = floor(x) - size, floor(y) - 2 * size  # room for what hangs over and marks
        font, share = self._finely(size)
        tile = Image.new("RGBA", (ceil(wide / share), ceil(3.5 * size / share)), (*colour, 0))
        ImageDraw.Draw(tile).text(
            ((x - left) / share, (y - top) / share), text, colour, font, anchor="ls",
            direction=direction if RAQM else None, embedded_color=bool(self.strike),
        )  # fmt: skip
        small = tile.resize((wide, ceil(3.5 * size)), Image.Resampling.BOX)
        within = (max(0, -left), max(0, -top))  # what lies left of or above the picture
        if within[0] < small.width and within[1] < small.height:
            onto.alpha_composite(small, (max(0, left), max(0, top)), within)


class Typeface:
    """The fonts for one text, in the order in which they are asked for a character.

    `remarks` says what cannot be shown as it should be, in sentences for a person. `borrowed` names
    the files of this machine that help the film's own font out: with others, the words would look
    different. Whatever fails in a font file is raised as CutError.
    """

    def __init__(self, look: Look, text: str) -> None:
        """Find the fonts for `text`. Raises CutError for a font that cannot be used."""
        self._name = look.font or "the font that Pillow brings"
        try:
            first = _named(look.font, look.sha256)
            lacking = _lacking(text, [first])
            found = _system(lacking) if lacking else ()
            # letters of two fonts in one word are ugly, a picture of another font is not
            behind = first.embedded and any(char.isalpha() for char in lacking)
            faces = [*found, first] if behind else [first, *found]
            # a font of pictures has figures and blanks as well, as wide as they are
            self._faces = sorted(faces, key=lambda face: face.strike > 0)
            missing = _lacking(text, self._faces)
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise self._unusable(error) from error
        self.remarks = _remarks(missing, text)
        self.borrowed = tuple(face.name for face in found)

    def length(self, text: str, size: int) -> float:
        """Measure a text in pixels, set in letters of `size` pixels. Raises CutError."""
        direction = "rtl" if leftward(text) else "ltr"
        try:
            return sum(face.length(run, size, direction) for face, run in self._runs(text))
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise self._unusable(error) from error

    def write(
        self, onto: Image.Image, x: float, y: float, text: str, size: int, colour: Colour
    ) -> None:
        """Write a line on an RGBA picture, from `x` rightwards on the baseline `y`.

        The picture has to be transparent `colour` where nothing was drawn. Raises CutError.
        """
        turned = leftward(text)
        direction = "rtl" if turned else "ltr"
        runs = list(self._runs(text))
        try:
            for face, run in reversed(runs) if turned else runs:
                face.draw(onto, x, y, run, size, colour, direction)
                x += face.length(run, size, direction)
        except (OSError, ValueError, OverflowError, MemoryError) as error:
            raise self._unusable(error) from error

    def _runs(self, text: str) -> Iterator[tuple[_Face, str]]:
        """Share a line out between the fonts, by words where one font has a whole word."""
        face, run = self._faces[0], ""
        for other, part in self._shared(text):
            if part and other is not face and run:
                yield face, run
                run = ""
            if part:
                face, run = other, run + part
        if run:
            yield face, run

    def _shared(self, text: str) -> Iterator[tuple[_Face, str]]:
        for word in pieces(plain(text)):
            whole = next((face for face in self._faces if not _lacking(word, [face])), None)
            if whole:
                bare = word.rstrip() if whole.strike else word
                yield whole, bare
                yield self._faces[0], word[len(bare) :]
                continue
            for cluster in clusters(word):
                yield self._for(cluster), cluster

    def _for(self, cluster: str) -> _Face:
        able = (face for face in self._faces if not _lacking(cluster, [face]))
        base = (face for face in self._faces if face.has(cluster[0]))
        return next(able, None) or next(base, self._faces[0])

    def _unusable(self, error: Exception) -> CutError:
        reason = getattr(error, "strerror", None) or str(error)
        return _unusable(self._name, reason or "it needs more memory than there is")


def typeface(look: Look, texts: Iterable[str]) -> Typeface:
    """Find the fonts for some of a film's words, or all. Raises CutError for one of no use."""
    return Typeface(look, "\n".join(line for text in texts for line in clean(text)))


def _unusable(name: str, reason: str) -> CutError:
    return CutError(
        f"{name} cannot be used as the film's font: {reason}. Nothing paid for is lost; name "
        "another TrueType or OpenType file, or none, and run the same command again."
    )


def _lacking(text: str, faces: Iterable[_Face]) -> str:
    """Give the characters of a text, each once, that none of the faces has."""
    seen = (char for char in dict.fromkeys(text) if not (blank(char) or _is_selector(char)))
    faces = tuple(faces)
    return "".join(char for char in seen if not any(face.has(char) for face in faces))


def _is_selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f"  # says how to draw what stands before, and is never drawn


def _remarks(missing: str, text: str) -> tuple[str, ...]:
    found = []
    if missing:
        shown = " ".join(missing[:12]) + (" …" if len(missing) > 12 else "")
        found.append(
            f"No font on this machine has {shown}: a box is shown instead. Name a font that has "
            "them, or install one (Noto has most); that costs nothing."
        )
    if not RAQM and any(leftward(line) for line in text.splitlines()):
        found.append(
            "Pillow found no raqm and fribidi, so text from right to left is set letter by letter "
            "in the wrong order. Install fribidi; that costs nothing."
        )
    return tuple(found)


@lru_cache(maxsize=8)
def _named(path: str, sha256: str) -> _Face:
    """Open the film's own font, from bytes that were read once. Raises CutError, OSError."""
    if not path:
        return _Face(None)
    with opened_regular(Path(path)) as file:
        data = file.read(MOST_FONT + 1)
    if len(data) > MOST_FONT:
        raise _unusable(path, f"it is larger than {MOST_FONT // 1024**2} MB")
    if not data.startswith(_OUTLINES):
        raise _unusable(path, "it is no TrueType or OpenType font")
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise _unusable(path, "it is not the file any more that was checked")
    return _Face(data)


@lru_cache(maxsize=256)
def _system(lacking: str) -> tuple[_Face, ...]:
    """Find fonts on this machine that have what is lacking, as few as do."""
    found: list[_Face] = []
    left = lacking
    for path, index in _candidates(lacking):
        face = _installed(path, index)
        if face is None or face in found:
            continue
        still = _lacking(left, [face])
        if still != left:
            found.append(face)
        left = still
        if not left:
            break
    return tuple(found)


def _candidates(lacking: str) -> Iterator[tuple[str, int]]:
    yield from _matched(lacking)
    if len(lacking) > 1:
        for char in lacking[:_ASKED]:
            yield from _matched(char)
    yield from ((path, 0) for path in _USUAL)


@lru_cache(maxsize=256)
def _matched(chars: str) -> tuple[tuple[str, int], ...]:
    """Ask fontconfig, where there is one, for the font that has most of these characters."""
    program = shutil.which("fc-match")
    if not program:
        return ()
    charset = " ".join(f"{ord(char):x}" for char in chars[:64])
    try:
        done = subprocess.run(  # noqa: S603  a program of the system, and nothing but numbers
            [program, "-f", "%{file}\n%{index}", f"{_KIN}:charset={charset}"],
            capture_output=True, text=True, check=True, timeout=10, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ()
    path, _, index = done.stdout.partition("\n")
    return ((path, int(index) & 0xFFFF if index.strip().isdecimal() else 0),) if path else ()


@lru_cache(maxsize=64)
def _installed(path: str, index: int) -> _Face | None:
    """Open a font of the system; one that does not work is as good as none."""
    try:
        return _Face(path, index) if Path(path).is_file() else None
    except (OSError, ValueError):
        return None
