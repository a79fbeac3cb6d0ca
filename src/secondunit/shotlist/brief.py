"""The director's brief: a shot's words compiled into one prompt, and what a careful eye would say."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secondunit.shotlist import Subject
    from secondunit.shotlist.language import ShotSpec

MENTION = re.compile(r"(?<![\w@.])@([A-Za-z][A-Za-z0-9_]{2,15})\b")


def compose(spec: ShotSpec, *, camera: bool = True) -> str:
    """Return the shot's words as one prompt, in the order framing, subject, place, move, light.

    A shot with nothing but `prompt` keeps it to the letter. `camera=False` leaves the camera move
    out, for a still. Mentions (@tag) are kept as they are.
    """
    environment = _with_mention(spec.environment, spec.location, spec)
    style = _with_mention(spec.style, spec.look, spec)
    framing = ", ".join(filter(None, (spec.size, spec.angle, spec.lens)))
    subject = " ".join(filter(None, (spec.subject, spec.action)))
    move = spec.camera if camera else None
    parts = (framing, spec.prompt, subject, environment, move, spec.lighting, spec.mood, style)
    given = [part for part in parts if part]
    text = given[0] if given == [spec.prompt] else " ".join(_sentence(part) for part in given)
    return unicodedata.normalize("NFC", text)


def mentions(text: str) -> tuple[str, ...]:
    """Return the tags mentioned in `text` as @tag, lower-case, in order, each once."""
    return tuple(dict.fromkeys(tag.lower() for tag in MENTION.findall(text)))


def spelled_out(text: str, subjects: Mapping[str, Subject]) -> str:
    """Replace each mention by the subject's description, for models that know no tags."""
    return introduced(text, subjects, frozenset())


def introduced(text: str, subjects: Mapping[str, Subject], tagged: frozenset[str]) -> str:
    """Keep the mentions whose pictures are sent under their tag, and say who each is."""

    def words(match: re.Match[str]) -> str:
        name = match[1].lower()
        if name in tagged:
            return f"@{name}"
        described = subjects[name].description.rstrip(". ") if name in subjects else ""
        said = described or name.replace("_", " ")
        before = text[: match.start()].rstrip()
        opens = not before or before[-1] in ".!?"
        return said[:1].upper() + said[1:] if opens else said

    kept = MENTION.sub(words, text)
    who = [
        f"@{name}: {_sentence(subjects[name].description)}"
        for name in mentions(text)
        if name in tagged and name in subjects and subjects[name].description
    ]
    return " ".join([kept, *who])


def _with_mention(text: str | None, tag: str | None, spec: ShotSpec) -> str | None:
    """Add the scene's location or look to the words, unless the author already mentions it."""
    if not tag or tag in mentions(f"{spec.prompt or ''} {text or ''}"):
        return text
    return f"{text}, @{tag}" if text else f"@{tag}"


def _sentence(part: str) -> str:
    part = part.strip()
    if part[-1:] not in {".", "!", "?", "…"}:
        part += "."
    return part[:1].upper() + part[1:]


MOVES = {
    "push in": r"push(?:es|ing)?[ -]in\b|\bdoll(?:y|ies|ying)[ -]in\b|\bcamera moves in\b",
    "pull out": r"pull(?:s|ing)?[ -](?:out|back)\b|\bdoll(?:y|ies|ying)[ -](?:out|back)\b",
    "pan": r"\bpan(?:s|ning)?\b",
    "tilt": r"\btilt(?:s|ing)?\b",
    "truck": r"\btruck(?:s|ing)? (?:left|right)|\btracking shot\b|\bdoll(?:y|ies|ying) (?:left|right)",
    "orbit": r"\borbit(?:s|ing)?\b|\barc(?:s|ing)? (?:shot|around|left|right)",
    "crane": r"\bcrane (?:up|down|shot)|\bboom (?:up|down)|\bjib (?:up|down)",
    "zoom": r"\bzoom(?:s|ing)?\b",
    "static": r"\bstatic (?:shot|camera|frame)|\blocked[ -](?:off|down)|\btripod\b",
    "handheld": r"\bhand-?held\b",
}
CHANGES = re.compile(
    r"\b(?:make|change|turn|add|remove|replace|restyle|relight|recolou?r|swap|delete|insert)s?\b",
    re.IGNORECASE,
)
QUOTED = re.compile(r"[\"“”«»](?P<said>[^\"“”«»]{2,80})[\"“”«»]")
CROWD = re.compile(
    r"\b(?:three|four|five|six|seven|eight|nine|ten|dozens?|hundreds?|[3-9]|\d{2,})\s+(?:\w+\s+)?"
    r"(?:people|persons|men|women|boys|girls|children|kids|friends|soldiers|dancers|actors)\b"
    r"|\bcrowd\b",
    re.IGNORECASE,
)


def remarks(text: str, *, edit: bool, cast: int = 0) -> Iterator[tuple[str, str]]:
    """Yield (code, sentence) for what models are known to do badly with these words."""
    moves = [name for name, pattern in MOVES.items() if re.search(pattern, text, re.IGNORECASE)]
    if len(moves) > 1 and not edit:
        yield (
            "camera-moves",
            f"{len(moves)} camera moves in one shot ({', '.join(moves)}). One move a shot works"
            " best; make it two shots.",
        )
    if edit and len(CHANGES.findall(text)) > 1:
        yield (
            "many-changes",
            "several changes in one edit. Edit one thing at a time: let another shot take this one"
            " as its `source`.",
        )
    if said := QUOTED.search(text):
        yield (
            "quoted-text",
            f"quoted text (“{said['said']}”): letters drawn by a model often come out wrong, and"
            " the take may be rejected but billed. Add lettering afterwards.",
        )
    if CROWD.search(text) or cast > 2:
        yield ("many-people", "more than two people: faces drift. Frame fewer, or stay wide.")
