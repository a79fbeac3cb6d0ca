"""What five seconds of animatic cost in processor time, beside the naive way; 720p, 24 frames.

Run with `pytest -n 0 -m bench tests/bench/bench_animatic.py -s`. Processor time of all threads and
of the programs started counts, so the figures are those of one core. The naive way is what one
would write with moviepy: a function that crops and scales the picture and writes the slate for
every frame, handed to `VideoClip` and `write_videofile`, with libx264's fastest preset as well as
with moviepy's own choice. Each figure is the least of a few rounds."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from secondunit.backlot.animatic import Sketch, render_clip

sys.path.append(str(Path(__file__).parents[1]))
from footage import BUNNY, photograph  # it lies a folder above, beside the tests

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

ROUNDS = 4
SECONDS = 5.0
COFFEE = photograph("coffee.png")
PUSH = Sketch(
    "gen4_turbo", "Slow push-in.", 7, 1280, 720, seconds=SECONDS, shot="sh010", picture=COFFEE
)


def processor_time(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the least processor time of `work`, its threads and its children, in seconds."""

    def spent() -> float:
        times = os.times()
        return sum(times[:4])

    least = float("inf")
    for _ in range(rounds):
        before = spent()
        work()
        least = min(least, spent() - before)
    return least


def naive(out: Path, preset: str) -> None:
    """Make the same push-in the way moviepy's documentation suggests."""
    from moviepy import VideoClip

    picture = Image.open(COFFEE).convert("RGB")
    picture = picture.resize((1280, 853)).crop((0, 66, 1280, 786))

    def make_frame(time: float) -> np.ndarray:
        span = 1 - 0.14 * time / SECONDS
        wide, high = 1280 * span, 720 * span
        left, top = (1280 - wide) / 2, (720 - high) / 2
        frame = picture.resize(
            (1280, 720), Image.Resampling.BILINEAR, (left, top, left + wide, top + high)
        )
        draw = ImageDraw.Draw(frame, "RGBA")
        draw.rectangle((0, 676, 1280, 720), (10, 11, 14, 158))
        draw.text((36, 690), "sh010  Slow push-in.", (244, 240, 232), ImageFont.load_default(17))
        return np.asarray(frame)

    clip = VideoClip(make_frame, duration=SECONDS)
    clip.write_videofile(str(out), fps=24, codec="libx264", preset=preset, logger=None)


def test_a_clip_of_a_picture_beside_the_naive_way(tmp_path: Path) -> None:
    ours = processor_time(lambda: render_clip(PUSH, tmp_path / "ours.mp4"))
    quick = processor_time(lambda: naive(tmp_path / "naive.mp4", "ultrafast"), 2)
    usual = processor_time(lambda: naive(tmp_path / "naive.mp4", "medium"), 1)
    print(
        f"\nfirst frame + push-in   {ours:5.2f} s of one core   {SECONDS / ours:4.1f} × real time"
    )
    print(f"naive moviepy ultrafast {quick:5.2f} s   {quick / ours:4.1f} × ours")
    print(f"naive moviepy as it is  {usual:5.2f} s   {usual / ours:4.1f} × ours")
    assert quick / ours > 2


@pytest.mark.parametrize(
    ("name", "sketch"),
    [
        ("drawn, parallax", replace(PUSH, picture=None, prompt="A hiker in the mountains at dawn")),
        ("drawn, with rain", replace(PUSH, picture=None, prompt="A neon street in the rain")),
        ("drawn, static", replace(PUSH, picture=None, prompt="A room at night, static")),
        (
            "edit of real footage",
            replace(PUSH, picture=None, prompt="Make it night", source=BUNNY, fps=25),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_clips_against_real_time(tmp_path: Path, name: str, sketch: Sketch) -> None:
    ours = processor_time(lambda: render_clip(sketch, tmp_path / "ours.mp4"))
    print(f"\n{name:24}{ours:5.2f} s of one core   {SECONDS / ours:4.1f} × real time")
    assert SECONDS / ours > 1
