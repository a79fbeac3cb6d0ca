"""Reviews: what a person judges before the shoot goes on, and what was decided.

What is judged has a key, made of the very files that are looked at, and a decision belongs to such
keys: what has changed since wants a new one, what has not is never asked about again. Decisions lie
in a private folder of the project, one file each, so that they outlive a crash, a server and a run.
Money does not depend on them: without one nothing is ordered, and with one the ledger decides.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from secondunit import keys
from secondunit.errors import TurnedDown, Unjudged
from secondunit.plan.planner import Circled
from secondunit.reviews.decisions import Decisions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from secondunit.plan import Plan, Step
    from secondunit.reviews.decisions import Decision
    from secondunit.store import Store

Kind = Literal["stills", "draft"]
DRAFT = "draft"  # the quality of the film that is judged first, and a part of its file's name


@dataclass(frozen=True)
class Panel:
    """One picture to judge. `key` names what is judged; all shots of a draft have the film's.

    `take` is the key of the take that is shown, where it is one of several that may be circled.
    """

    shot: str
    key: str
    path: Path
    prompt: str = ""
    take: str = ""


@dataclass(frozen=True)
class Review:
    """What is to be judged: `panels` as they are laid out, of which `fresh` keys want a decision.

    `missing` are shots that are not made yet; `film` is the draft, where one is judged. `within` is
    how many seconds a run waits.
    """

    kind: Kind
    title: str
    name: str
    file: str
    ratio: tuple[int, int]
    panels: tuple[Panel, ...]
    fresh: frozenset[str]
    missing: tuple[str, ...] = ()
    film: Path | None = None
    within: int = 0

    @property
    def key(self) -> str:
        """What names this review: another one has other files to judge."""
        return keys.key("review", [self.kind, sorted(self.fresh)])

    @property
    def ready(self) -> bool:
        """Whether all is there that is to be judged."""
        return bool(self.panels) and not self.missing

    @property
    def wanting(self) -> tuple[Panel, ...]:
        """The panels that want a decision."""
        return tuple(p for p in self.panels if p.key in self.fresh)

    @property
    def shots(self) -> tuple[str, ...]:
        """The shots that want a decision, in the plan's order."""
        return tuple(dict.fromkeys(p.shot for p in self.wanting))

    @property
    def takes(self) -> tuple[str, ...]:
        """The takes that may be circled, by their names."""
        return tuple(p.shot for p in self.wanting if p.take)


def stills_of(plan: Plan) -> tuple[Step, ...]:
    """Return the stills that are judged before the shots of `plan` are ordered."""
    if plan.review is None or plan.review.stills != "required":
        return ()
    return tuple(step for step in plan.steps if step.kind == "still")


def before_review(plan: Plan) -> tuple[Step, ...]:
    """Return what is made before the stills are judged: they, and what they are made from."""
    wanted = {step.key for step in stills_of(plan)}
    for step in reversed(plan.steps):
        if step.key in wanted:
            wanted.update(step.needs)
    return tuple(step for step in plan.steps if step.key in wanted)


def wants_draft(plan: Plan) -> bool:
    """Say whether a film in quality draft is made and judged before that of `plan`."""
    review = plan.review
    return review is not None and review.draft == "required" and plan.quality != DRAFT


def as_draft(plan: Plan) -> Plan:
    """Return a plan in quality draft as the film that is judged first, under a name of its own."""
    return replace(plan, review=None, selection=f"{DRAFT}.{plan.selection}".rstrip("."))


def circled(draft: Plan, decisions: Iterable[Decision]) -> dict[str, Circled]:
    """Return which take of which shot was approved as `draft` was judged.

    What was circled counts until another take of the shot is, or the draft is approved as it stands,
    and as long as the take is still what the draft is made with. Where nothing was circled that take
    was approved which the film has.
    """
    takes = {step.key: step for step in draft.steps if step.take}
    in_film = [draft.step(entry.key) for entry in draft.cut]
    found: dict[str, Circled] = {}
    for decision in decisions:
        if decision.approved and decision.kind == DRAFT and decision.film == draft.name:
            shown = [s for s in in_film if s.take and s.shot in decision.shots]
            chosen = [takes[key] for key in decision.chosen if key in takes]
            if not decision.chosen:
                found |= {step.of: _approved(step, chosen=False) for step in shown}
            found |= {step.of: _approved(step, chosen=True) for step in chosen}
    made_for = {entry.shot: step.of for entry, step in zip(draft.cut, in_film, strict=True)}
    return {shot: found[of] for shot, of in made_for.items() if of in found}


def _approved(step: Step, *, chosen: bool) -> Circled:
    return Circled(step.take or 1, step.seed, chosen)


class Approvals:
    """What a plan needs approved before it is shot, and whether it was."""

    def __init__(
        self, plan: Plan, draft: Plan | None, store: Store, folder: Path, films: Path
    ) -> None:
        """Hold what is in `store` against the decisions in `folder`; `films` has the films."""
        self.plan = plan
        self.draft = draft
        self.decisions = Decisions(folder)
        self.films = films
        self._store = store
        self._open = plan.review is None and draft is None
        self._lock = threading.Lock()

    def see(self, step: Step) -> None:
        """See that `step` may be ordered, as far as reviews go. Raises Unjudged, TurnedDown.

        The flow asks in time for this to pass; whoever calls steps in another way is held here.
        """
        if self._open or step.own:
            return
        with self._lock:
            if not self._open:
                self._see(step)

    def _see(self, step: Step) -> None:
        first = step.key in {one.key for one in before_review(self.plan)}
        for review in (self.of_draft(), None if first else self.of_stills()):
            if review is not None:
                raise Unjudged(f"{step.shot} is not ordered yet. {waits(review)}")
        self._open = not first

    def of_stills(self) -> Review | None:
        """Return the review of the stills; None where all is approved. Raises TurnedDown."""
        return self._left(self._stills())

    def of_draft(self) -> Review | None:
        """Return the review of the draft; None where it is approved, or none is wanted.

        Raises TurnedDown.
        """
        if self.draft is None:
            return None
        return self._left(self._draft())

    def contact_sheet(self, review: Review) -> Path:
        """Lay out what is to be judged as a picture beside the films. Raises DiskTrouble."""
        from secondunit.reviews.contactsheet import save

        out = self.films / f"{self.plan.film_name}.{review.kind}.jpg"
        save(review, out)
        return out

    def told(self) -> list[dict[str, Any]]:
        """Return the decisions on this film, as they stand in its manifest."""
        judged = {p.key for review in (self._draft(), self._stills()) for p in review.panels}
        return [d.told() for d in self.decisions.all() if judged.intersection(d.good)]

    # --- inside -------------------------------------------------------------------------------

    def _stills(self) -> Review:
        panels, missing = [], []
        for step in stills_of(self.plan):
            take = self._store.get(step.key)
            if take is None:
                missing.append(step.shot)
                continue
            key = keys.key("judged still", [step.key, take.sha256])
            panels.append(Panel(step.shot, key, take.path, _prompt(step)))
        return self._review("stills", panels, missing)

    def _draft(self) -> Review:
        in_film = {entry.key for entry in self.draft.cut} if self.draft else set()
        found, missing = [], []
        for step in _shown(self.draft) if self.draft else ():
            take = step.own or self._store.get(step.key)
            if take is not None:
                found.append((step, take))
            elif step.key in in_film:
                missing.append(step.shot)
        files = [take.sha256 for step, take in found if step.key in in_film]
        key = keys.key("judged draft", [self.draft and self.draft.key, files])
        takes = Counter(step.of for step, _ in found if step.take)
        panels = [
            Panel(step.shot, key, take.path, _prompt(step), step.key if takes[step.of] > 1 else "")
            for step, take in found
        ]
        film = self.films / f"{self.draft.film_name}.mp4" if self.draft else None
        return replace(self._review("draft", panels, missing), film=film)

    def _review(self, kind: Kind, panels: list[Panel], missing: list[str]) -> Review:
        from secondunit.shotlist.office import seconds

        plan, asked = self.plan, self.plan.review
        return Review(
            kind=kind, title=plan.title, name=plan.name, file=plan.file,
            ratio=(plan.profile.width, plan.profile.height), panels=tuple(panels),
            fresh=frozenset(p.key for p in panels), missing=tuple(dict.fromkeys(missing)),
            within=(asked and seconds(asked.within)) or 0,
        )  # fmt: skip

    def _left(self, review: Review) -> Review | None:
        """Return `review` as far as it wants a decision."""
        newest: dict[str, Decision] = {}
        for decision in self.decisions.all():
            newest |= dict.fromkeys((*decision.good, *decision.bad), decision)
        bad = [p for p in review.panels if p.key in newest and p.key in newest[p.key].bad]
        if bad:
            raise TurnedDown(_turned_down(review, bad, newest[bad[0].key]))
        fresh = frozenset(p.key for p in review.panels if p.key not in newest)
        return replace(review, fresh=fresh) if fresh or review.missing else None


def waits(review: Review) -> str:
    """Say what a review waits for, and how to decide it."""
    draft, count = review.kind == DRAFT, len(review.shots)
    if not review.ready:
        what = "draft, which is" if draft else "stills, which are"
        return f"The {what} judged first, {'lacks' if draft else 'lack'} {_few(review.missing)}."
    what = "The draft waits" if draft else "1 still waits" if count == 1 else f"{count} stills wait"
    return (
        f"{what} for your judgement; nothing more was ordered. Then: secondunit review"
        f" {review.file} --approve,{' --circle TAKE,' if review.takes else ''} or --reject --again SHOT."
    )


def _few(names: Collection[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(list(names)[:most]) + more


def _turned_down(review: Review, bad: list[Panel], why: Decision) -> str:
    shots = tuple(dict.fromkeys(p.shot for p in bad))
    if review.kind == DRAFT:
        what = f"The draft was rejected{' for ' if why.again else ''}{_few(why.again)}"
    else:
        are = "still of {} was" if len(shots) == 1 else "stills of {} were"
        what = f"The {are.format(_few(shots))} rejected"
    notes = f": {why.notes.rstrip('.')}" if why.notes else ""
    return (
        f"{what} by {why.who}, {why.day}{notes}. Nothing more was ordered. Change the shots (the"
        " prompt, a picture or the seed) and run again, or take it back with `secondunit review"
        f" {review.file} --approve`."
    )


def _shown(draft: Plan) -> Iterable[Step]:
    """Return what is shown of a draft: every take of each shot, in the order of the film."""
    shown: dict[str, Step] = {}
    for entry in draft.cut:
        step = draft.step(entry.key)
        takes = [other for other in draft.steps if other.take and other.of == step.of]
        shown |= {one.key: one for one in (takes if step.take else [step])}
    return shown.values()


def _prompt(step: Step) -> str:
    return str(step.request.body.get("promptText") or "") if step.request else ""
