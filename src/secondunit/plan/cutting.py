"""What a shot list says of the cut, as edits of its shots; none of it is ever ordered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from secondunit.cut import Trim, length, trimmed
from secondunit.cut.edit import CUT, OVERLAPPING, Card, Edit, Lettering, Line, Transition
from secondunit.errors import CutError
from secondunit.plan import CutEntry
from secondunit.plan.continuity import ScriptDesk
from secondunit.plan.naming import composed, nearest
from secondunit.plan.orders import shortened
from secondunit.plan.outline import exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from fractions import Fraction

    from secondunit.cut.sequence import Slot
    from secondunit.document import Where
    from secondunit.plan import Plan, Step
    from secondunit.plan.orders import OrderDesk
    from secondunit.shotlist import Shot
    from secondunit.shotlist.cutting import CardSpec, TransitionSpec

OVERLAP_LASTS, FADE_LASTS = 1.0, 0.5  # seconds, where nothing is said


@dataclass(frozen=True)
class _Placed:
    """A card, and where it is written."""

    card: Card
    where: Where


class CuttingDesk:
    """Reads the cut, shot by shot; problems and remarks go to the order desk."""

    def __init__(self, desk: OrderDesk) -> None:
        self.desk = desk
        self.shotlist = desk.shotlist
        self.spec = desk.shotlist.cut
        self.fps = desk.shotlist.fps
        self.names = tuple(shot.id for shot in desk.shotlist.shots)
        self.shots = self._in_order()
        self.before: dict[str, list[_Placed]] = {}
        self.after: dict[str, list[_Placed]] = {}
        self._place_cards()

    def entries(self, made: Mapping[str, Step]) -> tuple[CutEntry, ...]:
        """Return the film's shots in order, as far as they are `made`, and note what is wrong."""
        noted = len(self.desk.problems)
        here = [shot for shot in self.shots if shot.id in made]
        entries = tuple(
            CutEntry(shot.id, made[shot.id].key, trim, self._edit(shot, ahead, made[shot.id]))
            for ahead, shot in zip([None, *here], here, strict=False)
            if (trim := self._trim(shot, made[shot.id]))
        )
        if len(here) == len(self.shots) and len(self.desk.problems) == noted and entries:
            entries = (*entries[:-1], self._ended(entries[-1]))
            seconds = {step.key: step.seconds for step in made.values()}
            ScriptDesk(self.desk, self._place).look_over(entries, here, seconds)
        return entries

    # --- the order ----------------------------------------------------------------------------

    def _in_order(self) -> tuple[Shot, ...]:
        """Return the film's shots in film order; where the order is wrong, in that of the file."""
        kept = {shot.id: shot for shot in self.shotlist.shots if not shot.spec.omit}
        if self.spec.order is None:
            return tuple(kept.values())
        noted, places = len(self.desk.problems), dict[str, int]()
        for at, part in enumerate(self.spec.order):
            for name in self._range(composed(part), ("cut", "order", at)):
                if places.setdefault(name, at) != at:
                    self.desk.fail(
                        ("cut", "order", at),
                        f"`{name}` stands in the order twice. To see it again, add a shot that asks"
                        " for the same: the two share one take.",
                    )
        left = [name for name in kept if name not in places]
        if left and len(self.desk.problems) == noted:
            names = ", ".join(f"`{name}`" for name in left)
            self.desk.fail(
                ("cut", "order"),
                f"the order leaves out {names}. Name them, or write `omit: true` in them.",
            )
        if len(self.desk.problems) > noted:
            return tuple(kept.values())
        return tuple(kept[name] for name in places if name in kept)

    def _range(self, part: str, where: Where) -> Sequence[str]:
        if part in self.names:
            return (part,)
        first, dots, last = (piece.strip() for piece in part.partition(".."))
        unknown = [name for name in ((first, last) if dots else (part,)) if name not in self.names]
        for name in unknown:
            self.desk.fail(where, f"there is no shot called `{name}`.{nearest(name, self.names)}")
        if unknown:
            return ()
        begin, end = self.names.index(first), self.names.index(last)
        if begin > end:
            self.desk.fail(
                where, f"`{part}` runs backwards. Write `{last}..{first}`, or each name."
            )
        return self.names[begin : end + 1]

    # --- cards --------------------------------------------------------------------------------

    def _place_cards(self) -> None:
        """Give every card to the shot it stands by; with that it comes and goes."""
        for at, spec in enumerate(self.spec.cards or ()):
            side = "before" if spec.before is not None else "after"
            name = composed(str(spec.before if spec.before is not None else spec.after))
            if name not in self.names:
                self.desk.fail(
                    ("cut", "cards", at, side),
                    f"there is no shot called `{name}`.{nearest(name, self.names)}",
                )
            else:
                shelf = self.before if side == "before" else self.after
                placed = _Placed(_card(spec), ("cut", "cards", at))
                shelf.setdefault(name, []).append(placed)

    # --- one shot -----------------------------------------------------------------------------

    def _trim(self, shot: Shot, step: Step) -> Trim:
        """Return the part that is used, which has to lie inside of what is ordered."""
        spec = shot.spec.trim
        start = exact(spec.in_) if spec else exact(0)
        end = None if spec is None or spec.out is None else exact(spec.out)
        body = step.request.body if step.request else {}
        wanted = shortened(shot, body, step.seconds)
        seconds = wanted or step.seconds
        if spec and seconds:
            try:
                trimmed(length(exact(seconds), self.fps), self.fps, Trim(start, end))
            except CutError as error:
                self.desk.fail(shot.at("trim"), _lower(str(error)))
        if end is None and wanted:
            end = exact(wanted)
        return Trim(start, end)

    def _edit(self, shot: Shot, ahead: Shot | None, step: Step) -> Edit:
        spec = shot.spec
        handles = spec.handles if spec.handles is not None else self.spec.handles or 0
        level = spec.sound if spec.sound is not None else self.shotlist.audio.clips
        before, after = self.before.get(shot.id, []), self.after.get(shot.id, [])
        for placed in before if ahead is None else ():
            self._check_opening(placed.card.into, (*placed.where, "transition"))
            break
        return Edit(
            speed=exact(spec.speed or 1),
            handles=exact(handles),
            into=self._into(shot, ahead),
            gain=None if level == "mute" else 0.0 if level in (None, "keep") else float(level),
            before=tuple(placed.card for placed in before),
            after=tuple(placed.card for placed in after),
            letterings=tuple(self._letterings(shot, step)),
            dialogue=tuple(
                Line(s.text, s.speaker or "", _maybe(s.at), _maybe(s.for_))
                for s in spec.dialogue or ()
            ),
        )

    def _into(self, shot: Shot, ahead: Shot | None) -> Transition:
        """Return what leads to a shot: its own transition, else the default between two shots."""
        own = shot.spec.transition
        card = shot.id in self.before or (ahead is not None and ahead.id in self.after)
        first = ahead is None and not card
        if own and shot.owns("transition"):
            if first:
                self._check_opening(made := _transition(own), shot.at("transition"))
                return made
            return _transition(own)
        return CUT if first or card else _transition(own or self.spec.transition)

    def _check_opening(self, into: Transition, where: Where) -> None:
        if into.kind in OVERLAPPING:
            self.desk.fail(
                where,
                f"a {into.kind} leads from one picture to another, and the film begins here. Use"
                " `fade`, or take it out.",
            )

    def _letterings(self, shot: Shot, step: Step) -> Iterator[Lettering]:
        spec = shot.spec
        if title := spec.title:
            yield Lettering("title", _lines(title.text), exact(title.at), _maybe(title.for_))
        if third := spec.lower_third:
            lines = (third.name, third.role) if third.role else (third.name,)
            yield Lettering("lower_third", lines, exact(third.at), _maybe(third.for_))
        if self.spec.slate:
            yield Lettering("slate", tuple(_slate(shot, step)))

    def _ended(self, entry: CutEntry) -> CutEntry:
        out = _transition(self.spec.ending)
        return replace(entry, edit=replace(entry.edit, out=out))

    def _place(self, line: Sequence[Slot], at: int) -> Where:
        """Return where the transition into place `at` of the film is written."""
        if at == len(line):
            return ("cut", "ending")
        slot = line[at]
        shot = self.shots[slot.entry]
        if slot.card is None:
            return shot.at("transition") if shot.spec.transition else ("cut", "transition")
        shelf = (*self.before.get(shot.id, ()), *self.after.get(shot.id, ()))
        return (*next(p.where for p in shelf if p.card is slot.card), "transition")


def narrowed(plan: Plan, wanted: frozenset[str]) -> Plan:
    """Return the plan with only the steps in `wanted`, and the film of their shots.

    A film that begins in the middle begins plainly. Sounds that begin with a shot that is left out
    are left out with it.
    """
    cut = tuple(entry for entry in plan.cut if entry.key in wanted)
    if cut and cut[0] is not plan.cut[0]:
        first, edit = cut[0], cut[0].edit
        if edit.before:
            cards = (replace(edit.before[0], into=CUT), *edit.before[1:])
            edit = replace(edit, before=cards)
        else:
            edit = replace(edit, into=CUT)
        cut = (replace(first, edit=edit), *cut[1:])
    here = {entry.shot for entry in cut}
    sounds = tuple(s for s in plan.mix.sounds if not s.shot or s.shot in here)
    steps = tuple(step for step in plan.steps if step.key in wanted)
    return replace(plan, steps=steps, cut=cut, mix=replace(plan.mix, sounds=sounds))


def _transition(spec: TransitionSpec | None) -> Transition:
    if spec is None or spec.type == "cut":
        return CUT
    usual = OVERLAP_LASTS if spec.type in OVERLAPPING else FADE_LASTS
    return Transition(spec.type, exact(spec.duration or usual), spec.colour, spec.towards)


def _card(spec: CardSpec) -> Card:
    lines = tuple(spec.lines) if spec.lines else _lines(spec.text or "")
    return Card(
        lines, exact(spec.duration), spec.colour, spec.background, _transition(spec.transition)
    )


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines())


def _slate(shot: Shot, step: Step) -> Iterator[str]:
    yield f"{shot.id} · {'own clip' if step.own else f'take {step.take or 1}'}"
    if step.own:
        yield step.own.path.name
    else:
        yield step.model if step.seed is None else f"{step.model} · seed {step.seed}"


def _maybe(seconds: float | None) -> Fraction | None:
    return None if seconds is None else exact(seconds)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
