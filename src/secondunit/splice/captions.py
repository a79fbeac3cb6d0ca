"""What is said in the film, as captions: when each is shown, and the files that lie beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from secondunit.cut import nearest
from secondunit.cut.edit import Lettering
from secondunit.durable import beside
from secondunit.splice.typesetting import cells, clean, pieces, plain, wrap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from secondunit.cut.edit import Line

WIDEST = 42
"""Characters in a line of a caption at most; those written square count twice."""

LINES = 2
"""Lines in a caption at most."""

READ = 20
"""Characters that are read in a second."""

SHORTEST = Fraction(5, 6)
"""Seconds for which the shortest caption is shown, if the shot is long enough for it."""

_SPOKEN, _NAME = 10_000, 30  # characters of a line and of a name that are read at most
# some players take these for instructions, also in braces
_TAG = re.compile(r"<(/?[A-Za-z][^<>]*)>")


_BRACES = str.maketrans("{}", "()")


@dataclass(frozen=True)
class Cue:
    """One caption: its lines and when it is shown, in exact seconds.

    `speaker` says it, or goes on saying it where `continued`. Times count from the start of the
    shot, and once it is `later`, from the film's.
    """

    start: Fraction
    seconds: Fraction
    lines: tuple[str, ...]
    speaker: str = ""
    continued: bool = False

    @property
    def end(self) -> Fraction:
        """When it is gone."""
        return self.start + self.seconds

    @property
    def lettering(self) -> Lettering:
        """The caption as words in the picture."""
        return Lettering("caption", self.lines, self.start, self.seconds)

    def later(self, seconds: Fraction) -> Cue:
        """Move it, as the shot is moved to its place in the film."""
        return replace(self, start=self.start + seconds)


@dataclass(frozen=True)
class _Part:
    """What is shown at once of a line."""

    lines: tuple[str, ...]
    continued: bool

    @property
    def weight(self) -> int:
        return max(1, sum(map(cells, self.lines)))

    @property
    def least(self) -> Fraction:
        return max(SHORTEST, Fraction(self.weight, READ))


class _Said:
    """A line of dialogue, divided into what is shown at once."""

    def __init__(self, line: Line) -> None:
        self.start, self.seconds = line.start, line.seconds or Fraction(0)
        self.speaker = " ".join(clean(line.speaker, _NAME))
        text = " ".join(plain(part) for part in clean(line.text, _SPOKEN))
        self.parts = _parts(text, cells(_named(self.speaker)))
        self.weight = sum(part.weight for part in self.parts)
        self.least = sum((part.least for part in self.parts), Fraction(0))

    def shown(self, start: Fraction, seconds: Fraction) -> Iterator[Cue]:
        """Yield its captions, one after the other."""
        shares = _portions([(part.weight, part.least) for part in self.parts], seconds)
        for part, share in zip(self.parts, shares, strict=True):
            yield Cue(start, share, part.lines, self.speaker, part.continued)
            start += share


def timed(dialogue: Sequence[Line], seconds: Fraction) -> tuple[Cue, ...]:
    """Share a shot of so many seconds out between the lines that are said in it.

    A line with a `start` is shown from then on, for its `seconds` or until the next; lines without
    share the time up to the next `start`, or the end of the shot, in proportion to their length,
    but none gets less than is needed to read it as long as there is time for that. Long lines
    become several captions. None overlap, none is outside the shot, and none is left out: of two
    lines for one moment the second follows the first.
    """
    spoken = [said for line in dialogue if (said := _Said(line)).parts]
    if seconds <= 0 or not spoken:
        return ()
    groups = _apart(_groups(spoken), seconds)
    ends = [*(start for start, _ in groups[1:]), seconds]
    return tuple(
        cue
        for (start, said), end in zip(groups, ends, strict=True)
        for cue in _shared(said, start, end)
    )


_Group = tuple[Fraction, list[_Said]]


def _groups(spoken: Sequence[_Said]) -> list[_Group]:
    """Begin a group at every start that is named: its line, and those without that follow it."""
    found: list[_Group] = []
    for said in spoken:
        if said.start is None and found:
            found[-1][1].append(said)
        else:
            found.append((max(said.start or Fraction(0), Fraction(0)), [said]))
    return sorted(found, key=lambda group: group[0])


def _apart(groups: list[_Group], seconds: Fraction) -> list[_Group]:
    """Join groups that leave each other, or the last one to the end, no time worth the name."""
    latest = max(Fraction(0), seconds - SHORTEST)
    kept: list[_Group] = []
    for start, spoken in groups:
        begins = min(start, latest)
        if kept and begins - kept[-1][0] < SHORTEST / 2:
            kept[-1][1].extend(spoken)
        else:
            kept.append((begins, list(spoken)))
    return kept


def _shared(spoken: list[_Said], start: Fraction, end: Fraction) -> Iterator[Cue]:
    """Show lines one after the other between two moments."""
    room = end - start
    free = [(said.weight, said.least) for said in spoken if not said.seconds]
    fixed = sum((said.seconds for said in spoken), Fraction(0))
    # what has its time keeps it, unless that leaves the others too little
    needed = min(sum((least for _, least in free), Fraction(0)), room / 2)
    scale = min(Fraction(1), (room - needed) / fixed) if fixed else Fraction(1)
    shares = iter(_portions(free, room - fixed * scale))
    for said in spoken:
        lasts = said.seconds * scale if said.seconds else next(shares)
        yield from said.shown(start, lasts)
        start += lasts


def _portions(wants: Sequence[tuple[int, Fraction]], room: Fraction) -> list[Fraction]:
    """Divide `room` by weight, so that everyone gets what it needs, or by needs if that is too much."""
    needs = sum((least for _, least in wants), Fraction(0))
    if needs >= room:
        return [room * least / needs for _, least in wants]
    short: set[int] = set()
    while True:
        rest = room - sum((wants[at][1] for at in short), Fraction(0))
        weight = sum(share for at, (share, _) in enumerate(wants) if at not in short)
        lacking = {
            at
            for at, (share, least) in enumerate(wants)
            if at not in short and rest * share < least * weight
        }
        if not lacking:
            break
        short |= lacking
    return [
        least if at in short else rest * share / weight for at, (share, least) in enumerate(wants)
    ]


def _parts(text: str, indent: int) -> list[_Part]:
    """Divide a text into captions; its first line has a name before it, so wide."""
    words = [bit for piece in pieces(text) for bit in _bits(piece)]
    return [
        _Part(tuple(wrap(caption, WIDEST, cells, 0 if at else indent)), at > 0)
        for at, caption in enumerate(_divided(words, indent))
    ]


def _bits(piece: str) -> list[str]:
    """Break what is wider than a line by itself."""
    bare = piece.rstrip()
    return [piece] if cells(bare) <= WIDEST else wrap(bare, WIDEST, cells)


def _divided(words: list[str], indent: int) -> list[str]:
    """Join words to captions: as few as can be, even, and whole sentences."""
    widths = [(cells(word), cells(word.rstrip())) for word in words]
    best = [(0.0, 0), *[(float("inf"), 0)] * len(words)]
    for start in range(len(words)):
        used, before, lines = 0 if start else indent, 0, 1
        for end in range(start, len(words)):
            whole, bare = widths[end]
            if used and used + bare > WIDEST:
                used, before, lines = 0, before + used, lines + 1
            if lines > LINES:
                break
            used += whole
            cost = best[start][0] + _badness(words[end], before + used, end + 1 == len(words))
            best[end + 1] = min(best[end + 1], (cost, start))
    captions: list[str] = []
    end = len(words)
    while end:
        start = best[end][1]
        captions.append("".join(words[start:end]).strip())
        end = start
    return captions[::-1]


def _badness(ending: str, width: int, last: bool) -> float:
    """Say how unwelcome a caption is: each costs, short ones more, and those that end anywhere."""
    empty = 1 - min(1.0, width / (LINES * WIDEST))
    cost = 1.0 + empty * empty
    ends = ending.rstrip()[-1:]
    if last or ends in tuple(".!?…。！？"):
        return cost
    return cost + (0.3 if ends in tuple(",;:–—、") else 2.0)


def in_order(cues: Iterable[Cue]) -> tuple[Cue, ...]:
    """Put a film's captions in order; one that is still shown when the next begins, ends there.

    That happens where shots overlap. Of two that begin together both stay.
    """
    sorted_ = sorted(cues, key=lambda cue: cue.start)
    return tuple(
        replace(cue, seconds=after.start - cue.start) if cue.start < after.start < cue.end else cue
        for cue, after in pairwise([*sorted_, *sorted_[-1:]])
    )


def srt(cues: Iterable[Cue]) -> str:
    """Write captions as SubRip; a caption's first line names who begins to speak."""
    blocks = [
        f"{at}\n{_span(cue, ',')}\n{_spoken(cue)}\n"
        for at, cue in enumerate(in_order(cues), start=1)
    ]
    return "\n".join(blocks)


def _spoken(cue: Cue) -> str:
    name = "" if cue.continued else _named(cue.speaker)
    text = (name + "\n".join(cue.lines)).replace("-->", "→")
    return _TAG.sub(r"‹\1›", text).translate(_BRACES)


def _named(speaker: str) -> str:
    return f"{speaker.upper()}: " if speaker else ""


def vtt(cues: Iterable[Cue]) -> str:
    """Write captions as WebVTT, with a voice for each speaker."""
    blocks = [f"{_span(cue, '.')}\n{_voiced(cue)}\n" for cue in in_order(cues)]
    return "\n".join(["WEBVTT\n", *blocks])


def _voiced(cue: Cue) -> str:
    text = "\n".join(map(_escaped, cue.lines))
    return f"<v {_escaped(cue.speaker)}>{text}" if cue.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _span(cue: Cue, point: str) -> str:
    start = nearest(cue.start * 1000)
    return f"{_clock(start, point)} --> {_clock(max(start + 1, nearest(cue.end * 1000)), point)}"


def _clock(thousandths: int, point: str) -> str:
    seconds, rest = divmod(thousandths, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{point}{rest:03}"


def write(film: Path, cues: Sequence[Cue]) -> tuple[Path, ...]:
    """Write a film's captions beside it as `.srt` and `.vtt`, whole or not at all.

    The cues are in film time. Without any, nothing is written. Raises DiskTrouble.
    """
    if not cues:
        return ()
    written = []
    for text, ending in ((srt(cues), ".srt"), (vtt(cues), ".vtt")):
        path = film.with_suffix(ending)
        with beside(path) as part:
            part.write_text(text, "utf-8", newline="\n")
        written.append(path)
    return tuple(written)


def clear(film: Path, earlier: Collection[str], written: Collection[Path]) -> str:
    """Remove the captions that an earlier run wrote beside a film and that it has no more.

    `earlier` are the names that its manifest has of them. Nothing else is removed, whatever is named
    there, and no link. Return what a person should know, or nothing.
    """
    said = []
    for path in (film.with_suffix(ending) for ending in (".srt", ".vtt")):
        if path.name in earlier and path not in written and not path.is_symlink():
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                why = (error.strerror or str(error)).lower()
                said.append(f"{path} is of an earlier cut, and could not be removed: {why}.")
    return " ".join(said)
