"""What a run shows on its page in Prefect: progress, the call sheet before, the dailies after."""

from __future__ import annotations

import html
import logging
import re
from typing import TYPE_CHECKING, Any

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from secondunit.plan import Step
    from secondunit.production import Production


class Board:
    """The artifacts of one run. What cannot be shown never stops a film."""

    def __init__(self, production: Production) -> None:
        """Show `production`."""
        self.production = production
        self.plan = production.plan
        self._progress: Any = None
        self._done = 0

    async def before(self) -> None:
        """Publish the call sheet, and the progress at nothing."""
        self._progress = await _shown(
            acreate_progress_artifact(
                progress=0.0,
                key=self._key("progress"),
                description=f"{text(self.plan.title)}: steps done",
            )
        )
        rows = [self._row(step) for step in self.plan.steps]
        await _shown(
            acreate_table_artifact(rows, key=self._key("call-sheet"), description="Call sheet")
        )

    async def advance(self) -> None:
        """Note that one more step has ended; each tenth of the film is shown."""
        self._done += 1
        total = len(self.plan.steps)
        if self._progress is not None and (
            self._done % max(1, total // 10) == 0 or self._done == total
        ):
            await _shown(
                aupdate_progress_artifact(self._progress, progress=100.0 * self._done / total)
            )

    async def after(self) -> None:
        """Publish the dailies, and where the film lies."""
        rows = [self._daily(step) for step in self.plan.steps]
        await _shown(acreate_table_artifact(rows, key=self._key("dailies"), description="Dailies"))
        film = self.production.film
        if film:
            await _shown(
                acreate_markdown_artifact(
                    f"# {text(self.plan.title)}\n\n{film.frames} frames,"
                    f" {float(film.seconds):.2f} s, {film.width}×{film.height}\n\n"
                    f"[{text(film.path.name)}]({film.path.as_uri()}) in {text(str(film.path.parent))}",
                    key=self._key("film"),
                    description="The film",
                )
            )

    def _key(self, page: str) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.plan.name}-{page}".lower()).strip("-")

    def _row(self, step: Step) -> dict[str, Any]:
        return {
            "shot": text(step.shot),
            "order": step.kind,
            "model": text(step.model),
            "seconds": step.seconds or "",
            "credits": "free" if self.plan.free else step.credits,
            "why": text(step.reason),
        }

    def _daily(self, step: Step) -> dict[str, Any]:
        clip = self.production.clips.get(step.key)
        error = self.production.failures.get(step.key)
        slate = (clip.slate if clip else None) or {}
        return {
            "shot": text(step.shot),
            "model": text(step.model),
            "state": "here" if clip else "failed" if error else "not started",
            "credits": slate.get("credits_charged", ""),
            "seed": "" if step.seed is None else step.seed,
            "file": text(str(clip.path)) if clip else "",
            "note": text(str(error)) if error else "",
        }


async def _shown(artifact: Awaitable[Any]) -> Any:
    try:
        return await artifact
    except Exception as error:  # noqa: BLE001  Prefect's trouble is not the film's
        logging.getLogger(__name__).debug("not shown: %r", error)
        return None


def text(words: str) -> str:
    """Return words that a page shows as they are, whatever markup they hold, in one line.

    No character that is not printable stays: not those that steer a terminal, nor those that turn
    the direction of writing.
    """
    plain = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    marked = re.sub(r"([\\`*_\[\]()|#!~$])", r"\\\1", html.escape(plain, quote=False))
    # what opens a list, a heading's underline or a rule, and what makes a link of a bare address
    marked = re.sub(
        r"^([-+=]|\d+(?=[.)]))", lambda sign: f"&#{ord(sign[0][0])};{sign[0][1:]}", marked
    )
    return re.sub(r":(?=//)|(?<=www)\.|@", lambda sign: f"&#{ord(sign[0])};", marked)
