"""Decisions of reviews on the disk: one private file each, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from secondunit import keys
from secondunit.durable import beside, disk_trouble, make_folder
from secondunit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from secondunit.reviews import Review

_Page = TypeVar("_Page")
SCHEMA = 1
NOTES = 4_000  # characters of a note that are kept
WHO = 120


@dataclass(frozen=True)
class Decision:
    """What somebody said of what was judged: the keys that are `good`, and those that are `bad`.

    `again` are the shots that were named to be made again, `circled` the takes that were chosen, and
    `chosen` their keys; `when` is the moment as ISO 8601 in UTC, `film` the shot list's name.
    """

    kind: str
    review: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    shots: tuple[str, ...]
    again: tuple[str, ...]
    who: str
    when: str
    notes: str = ""
    circled: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    film: str = ""

    @property
    def approved(self) -> bool:
        """Whether nothing was rejected."""
        return not self.bad

    @property
    def day(self) -> str:
        """The day of the decision."""
        return self.when[:10]

    def told(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            "judged": self.kind, "shots": list(self.shots), "approved": self.approved,
            "again": list(self.again), "circled": list(self.circled), "who": self.who,
            "when": self.when, "notes": self.notes,
        }  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What somebody says: yes or no, which shots to make again (none named: all), who, why.

    `circled` are takes by their names, one a shot. `source` names where it was said, so that the same
    word is written down once.
    """

    approved: bool
    again: tuple[str, ...] = ()
    who: str = ""
    notes: str = ""
    source: str = ""
    circled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """What was shown for judgement: shot, key and file of each; `film` is the shot list's name.

    `takes` are the names and keys of takes of which one may be circled.
    """

    kind: str
    review: str
    film: str
    sheet: str
    when: str
    judged: tuple[tuple[str, str, str], ...]
    takes: tuple[tuple[str, str], ...] = ()

    @property
    def shots(self) -> tuple[str, ...]:
        """The shots that were shown."""
        return tuple(dict.fromkeys(shot for shot, _, _ in self.judged))


class Decisions:
    """The decisions of a project, in a folder."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`; it is made with the first review."""
        self.folder = folder

    def all(self) -> tuple[Decision, ...]:
        """Return every decision, the oldest first. Raises UsageError for a file that is none."""
        found = [_decision(path) for path in self.folder.glob("decided-*.json")]
        return tuple(sorted(found, key=lambda decision: decision.when))

    def ask(self, review: Review, sheet: Path) -> Question:
        """Note what is shown for judgement, so that an answer is to that whatever changes since."""
        question = Question(
            kind=review.kind, review=review.key, film=review.name, sheet=str(sheet), when=_now(),
            judged=tuple((p.shot, p.key, str(p.path)) for p in review.wanting),
            takes=tuple((p.shot, p.take) for p in review.wanting if p.take),
        )  # fmt: skip
        self._write(self._question(review.key), {"schema": SCHEMA, **asdict(question)})
        return question

    def question(self, film: str) -> Question | None:
        """Return what was asked last about a shot list's film."""
        found = [_asked(path) for path in self.folder.glob("asked-*.json")]
        return max((q for q in found if q.film == film), key=lambda q: q.when, default=None)

    def of(self, question: Question) -> Decision | None:
        """Return what was decided last about what was asked."""
        keys_ = {key for _, key, _ in question.judged}
        found = [d for d in self.all() if keys_.intersection((*d.good, *d.bad))]
        return found[-1] if found else None

    def answer(self, review: str, verdict: Verdict) -> Decision | None:
        """Write down a verdict on what was shown as `review`; None where nothing was.

        Said twice by one source, it is one decision. Raises UsageError where a shot was not shown.
        """
        path = self._question(review)
        if not path.exists():
            return None
        question = _asked(path)
        verdict = replace(verdict, again=_spelled_out(verdict.again, question))
        _see_shots(verdict, question)
        judged = [(shot, key) for shot, key, _ in question.judged]
        bad = {k for s, k in judged if not verdict.approved and s in (verdict.again or [s])}
        decision = Decision(
            kind=question.kind, review=review,
            good=tuple(dict.fromkeys(k for _, k in judged if k not in bad)), bad=tuple(sorted(bad)),
            shots=question.shots, again=verdict.again, when=_now(),
            who=_line(verdict.who)[:WHO] or "somebody", notes=_line(verdict.notes)[:NOTES],
            circled=verdict.circled,
            chosen=tuple(dict(question.takes)[take] for take in verdict.circled),
            film=question.film,
        )  # fmt: skip
        said = verdict.source or decision.when
        out = self.folder / f"decided-{keys.key('said', [review, said])[:24]}.json"
        if out.exists():
            return _decision(out)
        self._write(out, {"schema": SCHEMA, **asdict(decision)})
        return decision

    def _question(self, review: str) -> Path:
        return self.folder / f"asked-{review[:24]}.json"

    def _write(self, out: Path, page: dict[str, Any]) -> None:
        with disk_trouble(out):
            make_folder(self.folder, private=True)
        with beside(out) as part:
            part.write_text(json.dumps(page, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _spelled_out(again: Sequence[str], question: Question) -> tuple[str, ...]:
    """Return the shots to make again, with all its takes for one that has several."""
    takes: dict[str, list[str]] = {}
    for name, _ in question.takes:
        takes.setdefault(_shot_of(name), []).append(name)
    names = (takes.get(shot, [shot]) if shot not in question.shots else [shot] for shot in again)
    return tuple(name for shot in names for name in shot)


def _shot_of(take: str) -> str:
    return take.rpartition(" take ")[0]


def _see_shots(verdict: Verdict, question: Question) -> None:
    if verdict.approved and verdict.again:
        raise UsageError("Approved, and to be made again: say one of them. Nothing was changed.")
    if verdict.circled and not verdict.approved:
        raise UsageError("Circled, and rejected: say one of them. Nothing was changed.")
    for shot in verdict.again:
        if shot not in question.shots:
            shown = ", ".join(question.shots)
            raise UsageError(f"{shot} is not among what is judged: {shown}. Nothing was changed.")
    names = [name for name, _ in question.takes]
    if len({_shot_of(take) for take in verdict.circled}) < len(verdict.circled):
        raise UsageError("Two takes of one shot are circled. Circle one. Nothing was changed.")
    for take in verdict.circled:
        if take not in names:
            may = f"Those that may are {', '.join(names)}" if names else "No shot has several"
            raise UsageError(f"{take} is no take that may be circled. {may}. Nothing was changed.")


def _decision(path: Path) -> Decision:
    return _filled(Decision, path)


def _asked(path: Path) -> Question:
    question = _filled(Question, path)
    judged, takes = (tuple(map(tuple, lists)) for lists in (question.judged, question.takes))
    return replace(question, judged=judged, takes=takes)  # type: ignore[arg-type]  # lists of three and of two


def _filled(kind: type[_Page], path: Path) -> _Page:
    page = _read(path)
    del page["schema"]
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else str(v) for k, v in page.items()})
    except TypeError:
        raise _unreadable(path) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        page = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise _unreadable(path) from None
    if not isinstance(page, dict) or page.get("schema") != SCHEMA:
        raise _unreadable(path)
    return page


def _unreadable(path: Path) -> UsageError:
    return UsageError(
        f"{path} is not a decision that this version of Second Unit can read. Nothing was ordered."
        " If it is damaged, delete it and judge again."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
