"""The cutting room: clips are brought to the film's form as they arrive, and joined in the end.

What a transition or words change is rendered as soon as the shots on both sides are there, while
others are still being made. All of it is kept under the name of its content, so that a film is
joined again from what did not change, until no film has used it for a month.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from secondunit import keys
from secondunit.cut import Trim
from secondunit.cut.edit import CUT
from secondunit.cut.sequence import Used, of_card, of_clip, slots
from secondunit.cut.timeline import lasts, timeline
from secondunit.durable import beside, disk_trouble, make_folder
from secondunit.errors import CutError
from secondunit.media.facts import Facts, probe
from secondunit.media.h264 import QUICK
from secondunit.splice import Film, Segment, matches, splice
from secondunit.splice.captions import in_order, timed, write
from secondunit.splice.conform import conform
from secondunit.splice.lettering import make_card
from secondunit.splice.mix import Source, mixed, sounds
from secondunit.splice.shelf import sweep, touch
from secondunit.splice.soundtrack import Soundtrack, soundtrack
from secondunit.splice.spans import Span, key, layout, render
from secondunit.splice.typeface import typeface
from secondunit.store import digest
from secondunit.workers import Workers, is_lost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction
    from pathlib import Path

    from secondunit.cut import Profile
    from secondunit.cut.edit import Card, Lettering, Look, Mix
    from secondunit.cut.sequence import Slot
    from secondunit.cut.timeline import Item, Join, Timeline
    from secondunit.media.sound import Block
    from secondunit.plan import CutEntry, Plan
    from secondunit.ports import Watcher
    from secondunit.splice.captions import Cue
    from secondunit.splice.chapters import About
    from secondunit.splice.conform import Fit

_NEIGHBOURS = 2
"""So many items on either side are looked at when one arrives: what it changes reaches no further."""


@dataclass(frozen=True)
class Cut:
    """A film laid out: its frames, its items, and the file of each."""

    timeline: Timeline
    items: tuple[Item, ...]
    sources: tuple[Source, ...]

    @property
    def parts(self) -> tuple[Segment | Span, ...]:
        """What is copied and what is rendered."""
        return layout(self.timeline.pieces, self.items, self.sources)

    def sound(self, profile: Profile, mix: Mix) -> Iterator[Block] | None:
        """Return the film's sound from its beginning; None where there is nothing to hear."""
        if not self.heard(profile, mix):
            return None
        return mixed(self.timeline, self.sources, mix, profile.fps, profile.sample_rate)

    def track(self, profile: Profile, mix: Mix, folder: Path) -> Soundtrack | None:
        """Return the same as the film's track, of which `folder` keeps what was encoded."""
        if not self.heard(profile, mix):
            return None
        return soundtrack(self.timeline, self.sources, mix, profile, folder)

    def heard(self, profile: Profile, mix: Mix) -> bool:
        """Say whether there is anything to hear, or a track is wanted all the same."""
        return profile.sound or sounds(self.sources, mix)


class CuttingRoom:
    """Makes one film of a plan's cut. Whatever it makes is kept in `folder`, and made once."""

    def __init__(self, plan: Plan, folder: Path, workers: Workers, watcher: Watcher) -> None:
        """Cut the film of `plan`; `watcher` hears what is conformed and what turns out shorter."""
        self.plan = plan
        self.folder = folder
        self._workers = workers
        self._watcher = watcher
        self._slots = slots([(entry.shot, entry.edit) for entry in plan.cut])
        self._items: dict[int, Item] = {}
        self._sources: dict[int, Source] = {}
        self._used: dict[str, Used] = {}
        self._spans: dict[Path, Future[Facts]] = {}

    # --- as clips arrive ------------------------------------------------------------------------

    def fits(self, entry: CutEntry, facts: Facts) -> bool:
        """Say whether a clip can be used untouched: what the cut needs of it is copied or rendered."""
        return entry.edit.speed == 1 and matches(facts, self.plan.profile)

    async def prepare(self, entry: CutEntry, clip: Source) -> bool:
        """Have a place in the film ready with its clip and cards; say whether it was conformed.

        What is to be rendered of it is begun, and waited for when the film is joined. Raises
        CutError, Spoiled, DiskTrouble.
        """
        with disk_trouble(self.folder):
            make_folder(self.folder, private=True)
        for at, slot in enumerate(self._slots):
            if self.plan.cut[slot.entry].shot == entry.shot:
                await self._fill(at, slot, entry, clip)
        for at, slot in enumerate(self._slots):
            if self.plan.cut[slot.entry].shot == entry.shot:
                await self._begin_around(at)
        for remark in await asyncio.to_thread(self._unshowable, entry):
            self._watcher.saw(entry.shot, "done", remark)
        return not self.fits(entry, clip.facts)

    async def _fill(self, at: int, slot: Slot, entry: CutEntry, clip: Source) -> None:
        fps = self.plan.profile.fps
        if slot.card:
            self._sources[at] = await self._card(slot.card)
            self._items[at] = slot.item(of_card(slot.card, fps), (), fps)
            return
        used = of_clip(entry.shot, clip.facts.seconds, fps, entry.trim, entry.edit)
        self._used[entry.shot] = used
        if not self.fits(entry, clip.facts):
            clip, used = await self._conformed(slot, used, clip)
        self._sources[at] = replace(clip, gain=entry.edit.gain)
        self._items[at] = slot.item(used, self._letterings(entry), fps)

    def _letterings(self, entry: CutEntry) -> tuple[Lettering, ...]:
        burnt = self.plan.look.captions in ("burn", "both")
        cues = self._said(entry) if burnt else ()
        return (*entry.edit.letterings, *(cue.lettering for cue in cues))

    def _unshowable(self, entry: CutEntry) -> tuple[str, ...]:
        """Say what of the words over a shot and on its cards no font can show."""
        cards = (*entry.edit.before, *entry.edit.after)
        lines = [line for card in cards for line in card.lines]
        lines += (line for words in self._letterings(entry) for line in words.lines)
        return typeface(self.plan.look, lines).remarks if lines else ()

    def _said(self, entry: CutEntry) -> tuple[Cue, ...]:
        seconds = self._used[entry.shot].count / self.plan.profile.fps
        return timed(entry.edit.dialogue, seconds)

    async def _conformed(self, slot: Slot, used: Used, clip: Source) -> tuple[Source, Used]:
        """Conform what is used of a clip, and the handles that its transitions take."""
        profile, speed, fit = self.plan.profile, slot.edit.speed, self.plan.look.fit
        before, after = slot.handles(used, profile.fps)
        first, count = used.first - before, before + used.count + after
        pace = speed / profile.fps
        trim = Trim(first * pace, (first + count) * pace)
        # where the transition into it ends, and the rest of it may be copied
        opens = lasts(slot.into, profile.fps)
        said = [clip.sha256, str(profile), str(trim), str(speed), fit, opens, dict(QUICK)]
        out = self.folder / f"{keys.key('conform', said)}.mp4"
        if await asyncio.to_thread(_noted, out) is None:
            self._watcher.saw(slot.name, "conforming", "")
            await self._workers.do(_conform, clip, out, profile, trim, speed, fit, opens)
        self._watcher.saw(slot.name, "done", "conformed")
        return await self._source(out), Used(count, before, used.count)

    async def _card(self, card: Card) -> Source:
        profile, look = self.plan.profile, self.plan.look
        fonts = typeface(look, card.lines).borrowed
        shown = str(replace(card, into=CUT))
        said = [shown, str(profile), look.sha256, look.safe, list(fonts)]
        out = self.folder / f"{keys.key('card', said)}.mp4"
        if await asyncio.to_thread(_noted, out) is None:
            await self._workers.do(_make_card, card, look, profile, out)
        return await self._source(out)

    async def _source(self, out: Path) -> Source:
        sha256 = await asyncio.to_thread(_noted, out)
        if sha256 is None:
            raise CutError(
                f"{out} was changed while the film was being made. Run the same command again; "
                "nothing that was paid for is lost."
            )
        return Source(out, await asyncio.to_thread(probe, out, least=1), sha256)

    async def _begin_around(self, at: int) -> None:
        """Begin to render what can be, now that an item is there."""
        first = at
        while first - 1 in self._items and first > at - _NEIGHBOURS:
            first -= 1
        last = at
        while last + 1 in self._items and last < at + _NEIGHBOURS:
            last += 1
        # how an item begins or ends is not known before its neighbour is
        loose = {0 if first > 0 else -1, last - first if last < len(self._slots) - 1 else -1}
        for span in self._laid(first, last).parts:
            if isinstance(span, Span) and not span.items <= loose:
                await self._begin(span)

    async def _begin(self, span: Span) -> Path:
        """Begin to render a span that is not there yet; return the file that it comes to lie in."""
        profile, look = self.plan.profile, self.plan.look
        out = self.folder / f"{key(span, profile, look)}.mp4"
        known = self._spans.get(out)
        if known is None and (facts := await asyncio.to_thread(_facts, out)):
            self._spans[out] = known = Future()
            known.set_result(facts)
        if known is None or is_lost(known):
            self._spans[out] = self._workers.begin(_render, span, out, profile, look)
        return out

    # --- the film -------------------------------------------------------------------------------

    def cut(self) -> Cut:
        """Lay out the film. Raises CutError for a shot that was not prepared."""
        for at, slot in enumerate(self._slots):
            if at not in self._items:
                raise CutError(f"The film needs {slot.name}, which did not come back.")
        return self._laid(0, len(self._slots) - 1)

    def _laid(self, first: int, last: int) -> Cut:
        items = tuple(self._items[at] for at in range(first, last + 1))
        sources = tuple(self._sources[at] for at in range(first, last + 1))
        return Cut(timeline(items, self.plan.profile.fps), items, sources)

    async def join(self, out: Path, about: About) -> Film:
        """Join the film into `out`, which appears whole or not at all; see `splice`."""
        cut = self.cut()
        for sentence in self.shortened(cut):
            self._watcher.saw("The film", "done", sentence)
        segments = await self.segments(cut)
        return await asyncio.to_thread(self._spliced, segments, cut, out, about)

    async def segments(self, cut: Cut) -> list[Segment]:
        """Return the files whose frames are the film's, in order, once all of them are rendered."""
        parts = [p if isinstance(p, Segment) else await self._begin(p) for p in cut.parts]
        return [p if isinstance(p, Segment) else await self._rendered(p) for p in parts]

    async def _rendered(self, out: Path) -> Segment:
        return Segment("a transition", out, await self._workers.done(self._spans[out]))

    def _spliced(self, segments: list[Segment], cut: Cut, out: Path, about: About) -> Film:
        profile, placed = self.plan.profile, cut.timeline.placed
        track = cut.track(profile, self.plan.mix, self.folder)
        film = splice(segments, profile, out, about=about, placed=placed, sound=track)
        sweep(self.folder, self._pieces(track))
        return film

    def _pieces(self, track: Soundtrack | None) -> Iterator[Path]:
        """Yield the files that the film is made of, as far as they are kept for the next one."""
        made = [*(source.path for source in self._sources.values()), *self._spans]
        yield from made
        yield from map(_note_of, made)
        yield from track.files if track else ()

    async def caption(self, film: Path) -> tuple[Path, ...]:
        """Write what is said in the film beside it, where captions are wanted so. DiskTrouble."""
        if self.plan.look.captions not in ("file", "both"):
            return ()
        cut, fps = self.cut(), self.plan.profile.fps
        cues: list[Cue] = []
        for at, slot in enumerate(self._slots):
            if slot.card is None:
                # a shot is first seen in the frames before its own that a transition takes
                start = cut.timeline.placed[at].start + (
                    cut.timeline.joins[at - 1].head if at else 0
                )
                cues += (cue.later(start / fps) for cue in self._said(self.plan.cut[slot.entry]))
        return await asyncio.to_thread(write, film, in_order(cues))

    # --- what is told of it ---------------------------------------------------------------------

    def shortened(self, cut: Cut) -> Iterator[str]:
        """Give a sentence for every transition that lasts shorter than was asked for."""
        fps = self.plan.profile.fps
        for item, join in zip(cut.items[1:], cut.timeline.joins, strict=True):
            wanted = lasts(item.into, fps)
            got = join.frames if join.overlaps else min(join.out, join.into)
            if item.into.kind != "cut" and got < wanted:
                yield (
                    f"The {item.into.kind} into {item.name} lasts {float(got / fps):.3g} s instead "
                    f"of {float(wanted / fps):.3g} s: the clips have no more frames."
                )

    def told(self, entry: CutEntry, cut: Cut) -> dict[str, Any]:
        """Return where a shot stands in the film and what is used of its clip, JSON-like."""
        at = next(n for n, slot in enumerate(self._slots) if self._is(slot, entry))
        place, used, into = cut.timeline.placed[at], self._used[entry.shot], cut.items[at].into
        pace = entry.edit.speed / self.plan.profile.fps
        return {
            "in": float(used.first * pace), "out": float((used.first + used.count) * pace),
            "speed": float(entry.edit.speed), "transition": into.kind,
            "film_start": place.start, "film_frames": place.frames,
        }  # fmt: skip

    def _is(self, slot: Slot, entry: CutEntry) -> bool:
        return slot.card is None and self.plan.cut[slot.entry].shot == entry.shot

    def joins(self, cut: Cut) -> list[dict[str, Any]]:
        """Return the transitions of the film and what each costs in frames, JSON-like."""
        joins = zip(cut.items[1:], cut.timeline.joins, strict=True)
        return [_told(item, join) for item, join in joins if join.frames]


def _told(item: Item, join: Join) -> dict[str, Any]:
    kind = join.transition.kind
    return {"into": item.name, "transition": kind, "frames": join.frames, "cost": join.cost}


# --- in the workers -----------------------------------------------------------------------------


def _conform(
    clip: Source, out: Path, profile: Profile, trim: Trim, speed: Fraction, fit: Fit, opens: int
) -> None:
    with _unchanged(clip):
        conform(clip.path, out, profile, trim, speed=speed, fit=fit, opens=opens)
    _note(out)


def _make_card(card: Card, look: Look, profile: Profile, out: Path) -> None:
    make_card(card, look, profile, out)
    _note(out)


def _render(span: Span, out: Path, profile: Profile, look: Look) -> Facts:
    with _unchanged(*span.sources):
        facts = render(span, out, profile, look)
    _note(out)
    return facts


@contextmanager
def _unchanged(*sources: Source) -> Iterator[None]:
    """Have something made of files; a file that is another by then is what went wrong."""
    try:
        yield
    finally:
        for source in sources:
            check_unchanged(source.path, source.sha256)


def _note(out: Path) -> None:
    """Write down what was made; without that note it is not used."""
    with beside(_note_of(out)) as part:
        part.write_text(digest(out))


def _noted(out: Path) -> str | None:
    """Return the digest of what was made, or None where it is not there or was damaged."""
    try:
        known = _note_of(out).read_text("ascii")
        if known != digest(out):
            return None
    except (OSError, UnicodeDecodeError):
        return None
    touch(out)
    touch(_note_of(out))
    return known


def _facts(out: Path) -> Facts | None:
    """Return what is known of what was made, or None where it has to be made."""
    return probe(out, least=1) if _noted(out) else None


def _note_of(out: Path) -> Path:
    return out.with_suffix(".sha256")


def check_unchanged(path: Path, sha256: str) -> None:
    """Raise CutError when a clip is not, or no longer, the one that the plan names."""
    with disk_trouble(path):
        same = digest(path) == sha256
    if not same:
        raise CutError(
            f"{path} was changed while the film was being made. Run the same command again; nothing"
            " that was paid for is lost."
        )
