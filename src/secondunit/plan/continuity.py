"""The film as it is expected, looked over before anything is ordered: joins, words, continuity."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING

from secondunit.cut.sequence import of_clip
from secondunit.errors import CutError
from secondunit.plan.naming import composed
from secondunit.plan.outline import costs, exact, expected, lacking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    from secondunit.cut.sequence import Slot
    from secondunit.cut.timeline import Item
    from secondunit.document import Where
    from secondunit.plan import CutEntry
    from secondunit.plan.orders import OrderDesk
    from secondunit.shotlist import Shot
    from secondunit.shotlist.cutting import LowerThirdSpec, SpokenSpec, TitleSpec


class ScriptDesk:
    """Looks over a whole film; problems and remarks go to the order desk.

    `place` says where the transition into a place of the film is written.
    """

    def __init__(self, desk: OrderDesk, place: Callable[[Sequence[Slot], int], Where]) -> None:
        """Note at `desk`, with the places that `place` knows."""
        self.desk = desk
        self.fps = desk.shotlist.fps
        self.captions = desk.shotlist.cut.captions
        self.place = place

    def look_over(
        self,
        entries: Sequence[CutEntry],
        shots: Sequence[Shot],
        seconds: Mapping[str, float | None],
    ) -> None:
        """Look over a film of `entries`, made of `shots` whose clips last so many `seconds`, by key."""
        for entry, shot in zip(entries, shots, strict=True):
            long = seconds[entry.key]
            if long is not None:
                self._check_shot(entry, shot, exact(long))
        try:
            laid = expected(entries, seconds, self.fps)
        except CutError:
            return  # noted above
        self._check_continuity(entries, shots, seconds)
        if laid:
            self._check_joins(*laid)
            self._tell_cost(*laid)

    def _check_continuity(
        self,
        entries: Sequence[CutEntry],
        shots: Sequence[Shot],
        seconds: Mapping[str, float | None],
    ) -> None:
        """Remark on a shot that opens on a frame which the shot before it is cut before."""
        for ahead, shot in zip(entries, shots[1:], strict=False):
            long, end = seconds[ahead.key], ahead.trim.end
            follows = composed(shot.spec.continues or "") == ahead.shot
            if follows and long and end is not None and end < exact(long) - 1 / self.fps:
                self.desk.remark(
                    shot.at("continues"),
                    "unseen-frame",
                    f"this shot opens on the last frame of `{ahead.shot}`, which the film leaves"
                    f" {float(exact(long) - end):.2g} s before. Let that one run to its end.",
                )

    def _check_shot(self, entry: CutEntry, shot: Shot, long: Fraction) -> None:
        """See that a shot has frames left, and that its words are seen while it is."""
        try:
            used = of_clip(entry.shot, long, self.fps, entry.trim, entry.edit)
        except CutError as error:
            self.desk.fail(shot.at("handles"), str(error))
            return
        here = used.count / self.fps
        spec = shot.spec
        timed: list[tuple[TitleSpec | LowerThirdSpec | SpokenSpec, Where]] = [
            *([(spec.title, shot.at("title"))] if spec.title else []),
            *([(spec.lower_third, shot.at("lower_third"))] if spec.lower_third else []),
            *((said, shot.at("dialogue", at)) for at, said in enumerate(spec.dialogue or ())),
        ]
        for words, where in timed:
            at, lasts = words.at or 0, words.for_ or 0
            if at >= here:
                self.desk.fail(
                    (*where, "at"),
                    f"these words come at {at:g} s, and the shot is seen for {float(here):.4g} s."
                    " Let them come earlier.",
                )
            elif at + lasts > here + 1 / self.fps:
                self.desk.remark(
                    (*where, "for"),
                    "late-words",
                    f"these words would last to {at + lasts:g} s, and the shot is seen for"
                    f" {float(here):.4g} s: they end with it.",
                )
        self._check_reading(entry, shot, here)

    def _check_reading(self, entry: CutEntry, shot: Shot, here: Fraction) -> None:
        """Remark on dialogue that nobody can read in the time it has."""
        if self.captions == "none" or not entry.edit.dialogue:
            return
        from secondunit.splice.captions import READ, timed

        for cue in timed(entry.edit.dialogue, here):
            said = " ".join(cue.lines)
            if len(said) > READ * cue.seconds + 1:
                self.desk.remark(
                    shot.at("dialogue"),
                    "fast-caption",
                    f"“{said[:40]}” is {len(said)} characters in {float(cue.seconds):.2g} s, and"
                    f" more than {READ} a second are not read. Shorten it, or give it more time.",
                )

    def _check_joins(self, line: Sequence[Slot], items: Sequence[Item]) -> None:
        ends = chain([(None, items[0])], pairwise(items), [(items[-1], None)])
        for at, (ahead, behind) in enumerate(ends):
            short = lacking(ahead, behind, self.fps)
            if not short:
                continue
            way = behind.into if behind else items[-1].onto
            wanted, there = short
            given = " and ".join(
                f"`{item.name}` shows {item.count} frames and keeps {spare} as handles"
                for item, spare in (
                    (ahead, ahead.total - ahead.first - ahead.count if ahead else 0),
                    (behind, behind.first if behind else 0),
                )
                if item
            )
            self.desk.fail(
                self.place(line, at),
                f"this {way.kind} lasts {wanted} frames ({float(way.seconds):g} s), and there are"
                f" {there} for it: {given}. A shot shares its frames between the transitions at its"
                " two ends. Make it shorter, or the shots longer.",
            )

    def _tell_cost(self, line: Sequence[Slot], items: Sequence[Item]) -> None:
        costly = [(at, cost) for at, cost in enumerate(costs(items, self.fps), 1) if cost]
        if not costly:
            return
        total = float(sum(cost for _, cost in costly) / self.fps)
        many = "one transition" if len(costly) == 1 else f"{len(costly)} transitions"
        self.desk.remark(
            self.place(line, costly[0][0]),
            "overlap",
            f"the film is {total:.2g} s shorter than its shots, because in {many} they overlap."
            " `handles`, or a `trim`, gives transitions frames of their own.",
        )
