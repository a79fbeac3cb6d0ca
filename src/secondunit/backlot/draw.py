"""What a worker does with one job: the sketch, beside its place and then into it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secondunit.backlot.animatic import Sketch, render_clip, render_still
from secondunit.backlot.stage import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

_TINY = 64


def draw(home: str, facts: Mapping[str, Any], target: str, small: bool) -> None:
    """Draw one job of a home to `target`; `small` keeps the long side to 64 pixels."""
    job, root, out = Job(**facts), Path(home), Path(target)
    part = out.with_name(f"part{out.suffix}")
    if job.suffix == ".png":
        render_still(_sketch(job, root, small=small), part)
    elif job.canvas:
        _edit_on_canvas(job, root, part, small=small)
    else:
        render_clip(_sketch(job, root, small=small), part)
    part.replace(out)


def _sketch(job: Job, root: Path, *, small: bool, source: Path | None = None) -> Sketch:
    scale = min(1.0, _TINY / max(job.width, job.height)) if small else 1.0
    return Sketch(
        model=job.model,
        prompt=job.prompt,
        seed=job.seed,
        width=max(2, round(job.width * scale / 2) * 2),
        height=max(2, round(job.height * scale / 2) * 2),
        seconds=job.seconds,
        fps=_rate(job),  # type: ignore[arg-type]  # 23.976 is a rate of sources, if not of sketches
        shot=job.shot,
        picture=root / job.picture if job.picture else None,
        references=tuple(root / name for name in job.references),
        source=source or (root / job.source if job.source else None),
    )


def _edit_on_canvas(job: Job, root: Path, part: Path, *, small: bool) -> None:
    """Edit a source that is first turned upright, and set in black where it is to be extended."""
    from secondunit.cut import Profile
    from secondunit.splice.conform import conform

    width, height = job.canvas or (job.width, job.height)
    canvas = part.with_name("canvas.mp4")
    conform(root / job.source, canvas, Profile(width, height, _rate(job)))
    wider = replace(job, width=width, height=height, canvas=None)
    render_clip(_sketch(wider, root, small=small, source=canvas), part)
    canvas.unlink()


def _rate(job: Job) -> Fraction:
    return Fraction(job.fps).limit_denominator(1001)
