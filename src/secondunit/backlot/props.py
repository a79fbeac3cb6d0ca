"""The pictures and clips an order brings along: found in its body, kept, and really looked at."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import math
import os
import threading
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from secondunit.backlot.book import OPEN
from secondunit.backlot.rules import DAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from secondunit.backlot.book import Book
    from secondunit.catalog import Variant

Kind = Literal["image", "video", "audio"]
Where = tuple[str | int, ...]

_FIELDS: dict[str, Kind] = {
    "promptImage": "image",
    "referenceImages": "image",
    "references": "image",
    "keyframes": "image",
    "videoUri": "video",
    "promptVideo": "video",
    "referenceVideos": "video",
    "reference": "video",
    "referenceAudio": "audio",
    "character": "image",
}

_MAGIC = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"\x1aE\xdf\xa3", ".webm"))
_DEMUXERS = {".mp4": "mov", ".webm": "matroska", ".ogg": "ogg"}
_PIXEL_CAP = 40_000_000
_MOVING = ("videoUri", "promptVideo", "reference")
_SHAPED = ("promptImage", "videoUri", "promptVideo")
_SLACK = 0.05  # seconds or frames per second by which containers round


class MissingPropError(Exception):
    """An input that cannot even be fetched: the order is refused with 400, nothing is charged."""

    def __init__(self, where: Where, message: str) -> None:
        super().__init__(message)
        self.where = where


class UnfitPropError(Exception):
    """An input that no model could work with: the task fails with ASSET.INVALID."""


@dataclass(frozen=True)
class Prop:
    """One input of an order. `file` is None for a foreign link, which is never followed.

    `name` is the file's within the home. Sizes are pixels as displayed, lengths seconds; `turned`
    means that a player has to rotate it, and `trouble` says why it cannot be used.
    """

    where: Where
    kind: Kind
    position: str = ""
    file: Path | None = None
    name: str = ""
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    turned: bool = False
    trouble: str = ""

    @property
    def field(self) -> str:
        """The field of the body that brought it."""
        return str(self.where[0])


class PropRoom:
    """Where the inputs of a home are kept: `props/` by content, `uploads/` by slot."""

    def __init__(self, home: Path, book: Book) -> None:
        self._home, self._book = home, book
        self._props, self._uploads = home / "props", home / "uploads"
        for folder in (self._props, self._uploads):
            folder.mkdir(exist_ok=True)
        self._sweep()

    def slot(self, id_: str) -> Path:
        """Return where the file of an upload slot belongs."""
        return self._uploads / id_

    def gather(
        self, body: Mapping[str, Any], own: Callable[[str], Path | None]
    ) -> tuple[Prop, ...]:
        """Fetch every input of a valid body; `own` resolves a link to an output made here.

        Raises MissingPropError for the first one that cannot be had.
        """
        return tuple(
            self._prop(Prop(where, kind, position), self._fetched(where, uri, own))
            for where, kind, position, uri in _uris(body)
        )

    def _prop(self, prop: Prop, file: Path | None) -> Prop:
        name = str(file.relative_to(self._home)) if file else ""
        return replace(prop, file=file, name=name)

    def _fetched(self, where: Where, uri: str, own: Callable[[str], Path | None]) -> Path | None:
        if uri.startswith("data:"):
            return self._keep(_decoded(where, uri))
        if uri.startswith("runway://"):
            return self._uploaded(where, uri.removeprefix("runway://"))
        if uri.startswith("http://"):
            if (path := own(uri)) is None:
                raise MissingPropError(
                    where, "The link is expired, or not to an output of this backlot."
                )
            return path
        return None

    def _sweep(self) -> None:
        """Throw out what is a day old and no open task is drawn from."""
        needed = {name for task in self._book.tasks(*OPEN) for name in _named_in(task.job)}
        for file in (*self._props.iterdir(), *self._uploads.iterdir()):
            stale = time.time() - file.stat().st_mtime > DAY
            if stale and str(file.relative_to(self._home)) not in needed:
                file.unlink()

    def _keep(self, data: bytes) -> Path:
        path = self._props / hashlib.sha256(data).hexdigest()
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
            part.write_bytes(data)
            part.replace(path)
        else:
            path.touch()  # needed again, so not to be swept
        return path

    def _uploaded(self, where: Where, id_: str) -> Path:
        found = self._book.upload(id_)
        if found is None or found[2] is None:
            raise MissingPropError(where, "There is no such upload, or its file never arrived.")
        if time.time() - found[1] > DAY:
            raise MissingPropError(where, "The upload is older than 24 hours and is gone.")
        return self.slot(id_)


def slim(body: Any) -> Any:
    """Return a body with every data URI replaced by the hash of its text, for the books."""
    if isinstance(body, dict):
        return {name: slim(value) for name, value in body.items()}
    if isinstance(body, list):
        return [slim(value) for value in body]
    if isinstance(body, str) and body.startswith("data:"):
        head, _, text = body.partition(",")
        return f"{head},sha256={hashlib.sha256(text.encode()).hexdigest()}"
    return body


def inspect(prop: Prop) -> Prop:
    """Open and decode an input; what is wrong with it becomes its `trouble`."""
    if prop.file is None or prop.kind == "audio":
        return prop
    try:
        return _picture(prop, prop.file) if prop.kind == "image" else _footage(prop, prop.file)
    except UnfitPropError as error:
        return replace(prop, trouble=f"{_named(prop.where)}: {error}")


def unfit(variant: Variant, props: tuple[Prop, ...]) -> str:
    """Return the first reason why the inputs cannot be worked with; empty where they can."""
    for prop in props:
        if prop.trouble:
            return prop.trouble
        if prop.width and (outside := _outside(variant, prop)):
            return f"{prop.field}: {outside}"
    return ""


def _outside(variant: Variant, prop: Prop) -> str:
    low, high = variant.aspect or (0.0, math.inf)
    if prop.field in _SHAPED and not low <= prop.width / prop.height <= high:
        return f"{prop.width}×{prop.height} is outside the shapes {low} to {high} of this model."
    if prop.field not in _MOVING:
        return ""
    least, most = variant.source_seconds or (0.0, math.inf)
    if not least - _SLACK <= prop.seconds <= most + _SLACK:
        return f"{prop.seconds:.2f} s is outside the {least:g} to {most:g} s of this model."
    if variant.source_fps and prop.fps > variant.source_fps + _SLACK:
        return f"{prop.fps:.2f} frames a second; this model takes up to {variant.source_fps:g}."
    return ""


def sniff(head: bytes) -> str:
    """Return a file's suffix by its first 16 bytes; empty where it is none that is taken."""
    if head[4:8] == b"ftyp":
        return ".mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[:4] == b"OggS":
        return ".ogg"
    return next((suffix for magic, suffix in _MAGIC if head.startswith(magic)), "")


def _named_in(job: Mapping[str, Any]) -> tuple[str, ...]:
    return (job["picture"], job["source"], *job["references"])


def _named(where: Where) -> str:
    return ".".join(map(str, where))


def _uris(body: Mapping[str, Any]) -> Iterator[tuple[Where, Kind, str, str]]:
    for name, kind in _FIELDS.items():
        value = body.get(name)
        entries = value if isinstance(value, list) else [value]
        for index, entry in enumerate(entries):
            where: Where = (name, index) if entries is value else (name,)
            if isinstance(entry, str):
                yield where, kind, "", entry
            elif isinstance(entry, dict):
                yield where, entry.get("type", kind), entry.get("position", ""), entry["uri"]


def _decoded(where: Where, uri: str) -> bytes:
    try:
        return base64.b64decode(uri.partition(",")[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise MissingPropError(where, f"The data URI is not valid base64: {error}.") from error


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise UnfitPropError("the file is gone.") from error


def _picture(prop: Prop, path: Path) -> Prop:
    if sniff(_head(path)) not in (".png", ".jpg", ".webp"):
        raise UnfitPropError("not a PNG, JPEG or WebP picture.")
    from PIL import Image, ImageOps

    try:
        with _quiet(), Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > _PIXEL_CAP:
                raise UnfitPropError(f"{image.width}×{image.height} is larger than 40 megapixels.")
            width, height = ImageOps.exif_transpose(image).size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnfitPropError("the picture cannot be decoded.") from error
    return replace(prop, width=width, height=height)


def _quiet() -> warnings.catch_warnings[None]:
    # Pillow warns of large pictures on its own; the cap above says it where the client can read it.
    return warnings.catch_warnings(action="ignore")


def _footage(prop: Prop, path: Path) -> Prop:
    # Only with the demuxer that its first bytes call for: a playlist called a video opens nothing.
    demuxer = _DEMUXERS.get(sniff(_head(path)))
    if demuxer is None:
        raise UnfitPropError("not a video of a kind that is taken (mp4, mov, webm, mkv, 3gp, ogg).")
    import av

    options = {"protocol_whitelist": "file"}
    try:
        with av.open(f"file:{path}", format=demuxer, options=options) as container:
            return _measured(prop, container)
    except (av.FFmpegError, StopIteration, IndexError, ValueError) as error:
        raise UnfitPropError("the video cannot be decoded.") from error


def _measured(prop: Prop, container: Any) -> Prop:
    stream = container.streams.video[0]
    frame = next(container.decode(stream))
    width, height = round(frame.width * (stream.sample_aspect_ratio or 1)), frame.height
    if frame.rotation % 180:
        width, height = height, width
    return replace(
        prop,
        width=width,
        height=height,
        seconds=_seconds(container, stream),
        fps=float(stream.average_rate or stream.guessed_rate or 24),
        turned=bool(frame.rotation),
    )


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return float(container.duration / 1_000_000)
    last = 0.0
    with contextlib.suppress(ValueError):
        for packet in container.demux(stream):
            if packet.pts is not None:
                last = max(last, float((packet.pts + (packet.duration or 0)) * stream.time_base))
    return last
