"""Judging on a terminal: what waits for a review is shown, and the word of whoever sits there kept."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from secondunit.crew import apart
from secondunit.errors import EXIT_DOUBT, EXIT_FILM, UsageError
from secondunit.reviews.decisions import Decisions, Verdict
from secondunit.watch import say

if TYPE_CHECKING:
    from collections.abc import Collection

    from secondunit.crew import Project
    from secondunit.errors import SecondUnitError
    from secondunit.reviews import Approvals, Review
    from secondunit.reviews.decisions import Decision, Question


def agreed(waits: SecondUnitError, review: Review, approvals: Approvals) -> bool:
    """Ask whoever is at the terminal; say whether it was approved. Raises UsageError."""
    say(str(waits))
    circle = " and the takes that you circle," if review.takes else ","
    say(
        f"Approve? Type yes{circle} or no and the shots to make again (no: all), or press Enter for"
        " later: "
    )
    word, rest = [*sys.stdin.readline().split(maxsplit=1), "", ""][:2]
    if word.strip(",").lower() not in {"y", "yes", "n", "no"}:
        return False
    yes, named = word[0] in "yY", _named(rest, review.shots)
    verdict = Verdict(
        yes, again=() if yes and review.takes else named, who=whoever(),
        circled=named if yes and review.takes else (),
    )  # fmt: skip
    approvals.decisions.answer(review.key, verdict)
    return yes


def _named(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the shots that were typed, with commas or spaces between them."""
    names = [name.strip() for name in text.split(",")]
    if all(name in known for name in names):
        return tuple(names)
    return tuple(text.replace(",", " ").split())


def whoever() -> str:
    """Return who sits here, as `name@machine`."""
    name = "somebody"
    with suppress(OSError, KeyError):  # a user without a name
        name = getpass.getuser()
    return f"{name}@{gethostname()}"


def review(project: Project, file: str, verdict: Verdict | None) -> int:
    """Show what waits for a review of a shot list, or write a verdict down; return the exit code.

    Raises UsageError where nothing was ever shown, or a shot is named that was not.
    """
    decisions = Decisions(project.reviews)
    question = decisions.question(Path(file).stem)
    if question is None:
        raise UsageError(
            f"Nothing of {file} waits for a review. `secondunit shoot {file}` makes what is to be"
            " judged. Nothing was changed."
        )
    if verdict is None:
        return _show(question, decisions.of(question), file)
    decision = decisions.answer(question.review, verdict)
    if decision is not None:
        _tell(decision, file)
        for name in _resumed(decision):
            say(f"“{name}” goes on.")
    return EXIT_FILM


def _resumed(decision: Decision) -> list[str]:
    """Have the runs go on that wait for a decision on the server that is named, if one is."""
    if not os.environ.get("PREFECT_API_URL"):
        return []
    with apart():
        from secondunit.flow.approval import resume

        return asyncio.run(resume(decision.review, f"Judged by {decision.who}."))


def _show(question: Question, decision: Decision | None, file: str) -> int:
    if decision is None:
        for shot, _, path in question.judged:
            say(f"{shot}  {path}")
        say(
            f"The {question.kind} of {question.film}: look at {question.sheet}. Then: secondunit"
            f" review {file} --approve,{' --circle TAKE,' if question.takes else ''} or --reject --again"
            " SHOT --notes …"
        )
        return EXIT_DOUBT
    _tell(decision, file)
    return EXIT_FILM


def _tell(decision: Decision, file: str) -> None:
    notes = f": {decision.notes}" if decision.notes else ""
    said = "Approved" if decision.approved else "Rejected"
    named = decision.again or decision.circled
    which = f" ({'again' if decision.again else 'circled'}: {', '.join(named)})" if named else ""
    say(f"{said} by {decision.who}, {decision.day}{which}{notes}. {_next(decision, file)}")


def _next(decision: Decision, file: str) -> str:
    if decision.approved:
        return (
            f"Go on with `secondunit shoot {file}`; a run that Prefect suspended goes on by itself"
            " where PREFECT_API_URL names its server, and is resumed there otherwise."
        )
    return f"Change the shots, then run `secondunit shoot {file}`."
