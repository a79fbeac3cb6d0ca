"""What Runway accepts, by tables written from its published API: the rules of the strict stand-in."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

INLINE_LIMIT = 5_242_880


class Wrong(Exception):
    """A request that Runway would answer with 400."""


# --- what may be asked for ----------------------------------------------------------------------

GEN4 = "1280:720 720:1280 1104:832 832:1104 960:960 1584:672"
STILLS = (
    "1024:1024 1080:1080 1168:880 1360:768 1440:1080 1080:1440 1808:768 1920:1080 1080:1920"
    " 2112:912 1280:720 720:1280 720:720 960:720 720:960 1680:720"
)
VEO = "1280:720 720:1280 1080:1920 1920:1080"
SEEDANCE_FAST = (
    "992:432 864:496 752:560 640:640 560:752 496:864 1470:630 1280:720 1112:834 960:960 834:1112"
    " 720:1280"
)
HAILUO = "adaptive 21:9 16:9 4:3 1:1 3:4 9:16"
OMNI = "1280:720 720:1280"
FORMATS = "mp4 prores png_sequence hdr10 hlg sdr_rec709_10bit"


@dataclass(frozen=True)
class Model:
    """One model on one endpoint; `seconds` are the durations, `aspect` the shapes of its picture."""

    required: str
    optional: str = ""
    ratios: str = ""
    seconds: Any = ()
    prompt: int = 1000
    aspect: tuple[float, float] = (0.0, 99.0)
    pictures: tuple[int, int] = (0, 3)
    last_frame: bool = False


OWN = "seed contentModeration"
CUT = f"{OWN} outputFormat proresProfile"
DANCE = "audio duration ratio referenceAudio seed"
TEN = range(2, 11)
MODELS: Mapping[tuple[str, str], Model] = {
    ("text_to_video", "gen4.5"): Model("promptText ratio duration", CUT, OMNI, TEN),
    ("image_to_video", "gen4.5"): Model(
        "promptImage promptText ratio duration", CUT, GEN4, TEN, aspect=(0.5, 2.0)
    ),
    ("image_to_video", "gen4_turbo"): Model(
        "promptImage ratio", f"promptText duration {OWN}", GEN4, TEN, aspect=(0.5, 2.358)
    ),
    ("video_to_video", "aleph2"): Model(
        "videoUri", f"promptText keyframes targetAspectRatio {CUT}", aspect=(0.5, 2.0)
    ),
    ("character_performance", "act_two"): Model(
        "character reference", f"ratio bodyControl expressionIntensity {OWN}", GEN4
    ),
    ("text_to_image", "gen4_image"): Model("promptText ratio", f"referenceImages {OWN}", STILLS),
    ("text_to_image", "gen4_image_turbo"): Model(
        "promptText ratio referenceImages", OWN, STILLS, pictures=(1, 3)
    ),
    ("text_to_video", "hailuo3"): Model(
        "promptText", "duration ratio referenceAudio references referenceVideos resolution",
        HAILUO, range(5, 16), 6000,
    ),
    ("image_to_video", "hailuo3"): Model(
        "promptImage promptText", "duration ratio referenceAudio resolution",
        HAILUO, range(5, 16), 6000, last_frame=True,
    ),
    ("text_to_video", "gemini_omni_flash"): Model(
        "promptText", "duration ratio", OMNI, range(3, 11), 20_000
    ),
    ("image_to_video", "gemini_omni_flash"): Model(
        "promptImage", "duration promptText ratio", OMNI, range(3, 11), 20_000
    ),
    ("video_to_video", "gemini_omni_flash"): Model("promptText videoUri", "references"),
}  # fmt: skip
for _name in ("veo3.1", "veo3.1_fast"):
    _more = "audio duration negativePrompt seed"
    MODELS |= {  # type: ignore[operator]  # a Mapping to readers, a dict while it is written
        ("text_to_video", _name): Model("promptText ratio", _more, VEO, (4, 6, 8)),
        ("image_to_video", _name): Model(
            "promptImage ratio", f"{_more} promptText", VEO, (4, 6, 8), last_frame=True
        ),
    }
for _name in ("seedance2_fast", "seedance2_mini"):
    _long = (*range(4, 16), "auto")
    _refs = "references referenceVideos"
    MODELS |= {  # type: ignore[operator]  # as above
        ("text_to_video", _name): Model(
            "promptText", f"{DANCE} {_refs}", SEEDANCE_FAST, _long, 3500
        ),
        ("image_to_video", _name): Model(
            "promptImage", f"{DANCE} promptText", SEEDANCE_FAST, _long, 3500, last_frame=True
        ),
        ("video_to_video", _name): Model(
            "promptVideo", f"{DANCE} {_refs} promptText", SEEDANCE_FAST, _long, 3500
        ),
    }
ENDPOINTS = {endpoint for endpoint, _ in MODELS}
VIDEOS = ("video/mp4", "video/quicktime", "video/webm", "video/x-matroska")
PICTURES = ("image/png", "image/jpeg", "image/webp")
CHOICES = {
    "outputFormat": FORMATS.split(),
    "targetAspectRatio": ["16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "21:9"],
    "expressionIntensity": [1, 2, 3, 4, 5],
    "bodyControl": [True, False],
    "audio": [True, False],
}


def price(model: str, ratio: str, seconds: float) -> int:
    """Return what Runway charges for one of its own models, in credits; 20 a second for others."""
    if model == "gen4_image_turbo":
        return 2
    if model == "gen4_image":
        return 5 if "720" in ratio.split(":") else 8
    each = {"gen4.5": 12, "gen4_turbo": 5, "aleph2": 28, "act_two": 5}.get(model, 20)
    return max(56 if model == "aleph2" else 0, -int(-each * seconds // 1))


# --- looking into media -------------------------------------------------------------------------


def mime_of(data: bytes) -> str:
    """Say what bytes are, by how they begin."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return "video/quicktime" if data[8:12] == b"qt  " else "video/mp4"
    return "video/x-matroska" if data.startswith(b"\x1aE\xdf\xa3") else "?"


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, or of the first track of an MP4; 0, 0 for others."""
    if data.startswith(b"\x89PNG"):
        return struct.unpack(">II", data[16:24])
    at = data.find(b"tkhd")
    if at < 0:
        return 0, 0
    end = at - 4 + int.from_bytes(data[at - 4 : at])
    width, height = struct.unpack(">II", data[end - 8 : end])
    return width >> 16, height >> 16


def seconds_of(data: bytes) -> float:
    """Return how long an MP4 is, by its movie header."""
    at = data.find(b"mvhd")
    if at < 0 or data[at + 4] != 0:
        return 0.0
    scale, length = struct.unpack(">II", data[at + 16 : at + 24])
    return length / scale


# --- judging an order -----------------------------------------------------------------------------


class Judge:
    """Holds the body of an order against the tables."""

    def __init__(self, endpoint: str, body: Any, lent: Mapping[str, bytes]) -> None:
        self.body = body
        self.lent = lent
        if not isinstance(body, dict) or (endpoint, body.get("model")) not in MODELS:
            raise Wrong(f"no model for {endpoint} in {str(body)[:80]}")
        self.model = MODELS[endpoint, body["model"]]

    def judge(self) -> None:
        """Raise Wrong for the first thing that is not right."""
        model, given = self.model, set(self.body) - {"model"}
        if missing := set(model.required.split()) - given:
            raise Wrong(f"missing {sorted(missing)}")
        if unknown := given - set(model.required.split()) - set(model.optional.split()):
            raise Wrong(f"unknown {sorted(unknown)}")
        for name in sorted(given):
            check = getattr(self, f"_{name}", None)
            if check:
                check(self.body[name])
            elif name not in CHOICES or self.body[name] not in CHOICES[name]:
                raise Wrong(f"{name}: {str(self.body[name])[:80]}")

    def _promptText(self, text: Any) -> None:  # noqa: N802  named after the field
        units = len(text.encode("utf-16-le")) // 2 if isinstance(text, str) else 0
        if not 1 <= units <= self.model.prompt:
            raise Wrong(f"promptText of {units} units")
        for tag in re.findall(r"@([A-Za-z]\w*)", text):
            tags = {r.get("tag") for r in self.body.get("referenceImages", [])}
            if tag not in tags and self.body["model"].startswith("gen4_image"):
                raise Wrong(f"promptText mentions @{tag}, and no reference has that tag")

    def _ratio(self, ratio: Any) -> None:
        if ratio not in self.model.ratios.split():
            raise Wrong(f"ratio {ratio}")

    def _duration(self, seconds: Any) -> None:
        if type(seconds) not in {int, str} or seconds not in self.model.seconds:
            raise Wrong(f"duration {seconds!r}")

    def _seed(self, seed: Any) -> None:
        if type(seed) is not int or not 0 <= seed <= 4_294_967_295:
            raise Wrong(f"seed {seed!r}")

    def _contentModeration(self, given: Any) -> None:  # noqa: N802  named after the field
        if set(given) != {"publicFigureThreshold"} or not {*given.values()} <= {"auto", "low"}:
            raise Wrong(f"contentModeration {given}")

    def _promptImage(self, given: Any) -> None:  # noqa: N802  named after the field
        frames = given if isinstance(given, list) else [{"uri": given, "position": "first"}]
        places = [f.get("position") for f in frames if set(f) == {"uri", "position"}]
        allowed = ["first", "last"] if self.model.last_frame else ["first"]
        if places not in ([place] for place in allowed) and places != allowed:
            raise Wrong(f"promptImage positions {places}")
        for frame in frames:
            data = self._uri(frame["uri"], PICTURES)
            self._shape(size_of(data))

    def _videoUri(self, uri: Any) -> None:  # noqa: N802  named after the field
        data = self._uri(uri, VIDEOS)
        if self.body["model"] == "aleph2" and data:
            self._shape(size_of(data))
            if not 2 <= seconds_of(data) <= 30:
                raise Wrong(f"a source of {seconds_of(data)} s")

    _promptVideo = _videoUri  # noqa: N815  named after the field

    def _referenceImages(self, given: Any) -> None:  # noqa: N802  named after the field
        least, most = self.model.pictures
        if not max(1, least) <= len(given) <= most:
            raise Wrong(f"{len(given)} reference images")
        tags = [r["tag"] for r in given if "tag" in r]
        if len(tags) != len(set(tags)) or not all(
            re.fullmatch(r"[a-z][a-z0-9_]{2,15}", tag) for tag in tags
        ):
            raise Wrong(f"tags {tags}")
        for reference in given:
            if set(reference) - {"uri", "tag"}:
                raise Wrong(f"reference with {sorted(reference)}")
            self._uri(reference["uri"], PICTURES)

    def _keyframes(self, given: Any) -> None:
        if not 1 <= len(given) <= 5 or len({"range" in k for k in given}) != 1:
            raise Wrong(f"{len(given)} keyframes, or ranges in only some")
        for keyframe in given:
            place = set(keyframe) & {"seconds", "at"}
            if set(keyframe) - {"uri", "seconds", "at", "range"} or len(place) != 1:
                raise Wrong(f"keyframe with {sorted(keyframe)}")
            if not 0 <= keyframe[place.pop()] <= (30 if "seconds" in keyframe else 1):
                raise Wrong("a keyframe outside the clip")
            self._uri(keyframe["uri"], PICTURES)

    def _character(self, given: Any) -> None:
        kinds = {"image": PICTURES, "video": VIDEOS}
        if set(given) != {"type", "uri"} or given["type"] not in kinds:
            raise Wrong(f"character {sorted(given)}")
        self._uri(given["uri"], kinds[given["type"]])

    def _reference(self, given: Any) -> None:
        if set(given) != {"type", "uri"} or given["type"] != "video":
            raise Wrong(f"reference {sorted(given)}")
        self._uri(given["uri"], VIDEOS)

    def _shape(self, size: tuple[int, int]) -> None:
        least, most = self.model.aspect
        if size[1] and not least <= size[0] / size[1] <= most:
            raise Wrong(f"a picture of {size}")

    def _uri(self, uri: Any, kinds: tuple[str, ...]) -> bytes:
        """Return the bytes that a URI stands for, if it is one that Runway takes."""
        if not isinstance(uri, str):
            raise Wrong(f"uri {uri!r}")
        if uri.startswith("https://"):
            host = urlsplit(uri).hostname or ""
            if not 13 <= len(uri) <= 2048 or re.fullmatch(r"[\d.]+|.*:.*|[^.]*", host):
                raise Wrong(f"address {uri[:60]}")
            return b""
        if uri.startswith("data:"):
            return _inline(uri, kinds)
        if uri not in self.lent:
            raise Wrong(f"uri {uri[:60]} was never lent")
        if mime_of(self.lent[uri]) not in kinds:
            raise Wrong(f"{uri} is {mime_of(self.lent[uri])}")
        return self.lent[uri]


def _inline(uri: str, kinds: tuple[str, ...]) -> bytes:
    head, _, text = uri.partition(",")
    match = re.fullmatch(r"data:([a-z0-9/+.-]+);base64", head)
    if len(uri) > INLINE_LIMIT or not match or match[1] not in kinds:
        raise Wrong(f"data URI {head[:60]} of {len(uri)} characters")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Wrong(f"data URI: {error}") from None
    if mime_of(data) != match[1]:
        raise Wrong(f"data URI says {match[1]} and is {mime_of(data)}")
    return data
