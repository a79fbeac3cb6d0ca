"""How long a hard-cut film takes, beside what a user would do instead; whole processes.

Run with `pytest -n 0 -m bench tests/bench/bench_splice.py -s`. Sixty clips of five seconds, 1280×720 at
24 frames a second, real footage, all matching. The naive way opens every clip at once and encodes
all frames again; it is measured on few clips and scaled by their number, which flatters it, since
its memory grows with the film. `splice` alone is what a run does at the end: it has probed and
decoded every clip as it arrived.
"""

from __future__ import annotations

import os
import pickle
import shutil
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from secondunit.media import probe
from secondunit.splice import Segment

sys.path.append(str(Path(__file__).parents[1]))
from footage import BIKES, BUNNY, ffmpeg  # it lies a folder above, beside the tests

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

CLIPS = 60
NAIVE_CLIPS = 6
ROUNDS = 5

OURS = """
import sys
from fractions import Fraction
from pathlib import Path
from secondunit.cut import Profile
from secondunit.media import probe
from secondunit.splice import Segment
from secondunit.splice import Segment, splice
clips = [Path(name) for name in sys.argv[2:]]
film = Profile(1280, 720, Fraction(24))
splice([Segment(clip.stem, clip, probe(clip)) for clip in clips], film, Path(sys.argv[1]))
"""
OURS_KNOWN = """
import pickle, sys
from fractions import Fraction
from pathlib import Path
from secondunit.cut import Profile
from secondunit.splice import splice
segments = pickle.loads(Path(sys.argv[2]).read_bytes())
splice(segments, Profile(1280, 720, Fraction(24)), Path(sys.argv[1]))
"""
NAIVE = """
import sys
from moviepy import VideoFileClip, concatenate_videoclips
film = concatenate_videoclips([VideoFileClip(name) for name in sys.argv[2:]])
film.write_videofile(sys.argv[1], logger=None)
"""


class Run(NamedTuple):
    seconds: float
    megabytes: float


def run(*command: object) -> Run:
    """Run a program to its end: wall time, and the most memory that it held itself."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return Run(time.perf_counter() - start, usage.ru_maxrss / 1024)


def sides(ways: dict[str, Callable[[], Run]]) -> dict[str, Run]:
    """Run every way in turn, several times; the median of each."""
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            runs[name].append(way())
    return {
        name: Run(*(statistics.median(column) for column in zip(*found, strict=True)))
        for name, found in runs.items()
    }


def table(results: dict[str, Run], base: str) -> None:
    print(f"\n{'way':<44}{'seconds':>9}{'ratio':>9}{'MB':>7}")
    for name, found in results.items():
        ratio = found.seconds / results[base].seconds
        print(f"{name:<44}{found.seconds:>9.2f}{ratio:>9.2f}{found.megabytes:>7.0f}")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sixty files of real footage at about 2 Mbit/s, from an ordinary encoder."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for at, source in enumerate([BUNNY, BIKES]):
        path = folder / f"source{at}.mp4"
        shape = "scale=1280:720,setsar=1,fps=24"
        ffmpeg("-i", source, "-an", "-vf", shape, "-frames:v", 120, "-preset", "veryfast", path)
        made.append(path)
    return [shutil.copy(made[at % 2], folder / f"sh{at:03}.mp4") for at in range(CLIPS)]


@pytest.fixture
def naive(clips: list[Path], tmp_path: Path) -> Run:
    """Measure the naive way once on few clips, and scale it."""
    some = clips[:NAIVE_CLIPS]
    found = run(sys.executable, "-c", NAIVE, tmp_path / "naive.mp4", *some)
    return Run(found.seconds * CLIPS / NAIVE_CLIPS, found.megabytes)


def test_sixty_matching_clips(clips: list[Path], tmp_path: Path, naive: Run) -> None:
    """Goals: within 1.5× of ffmpeg's own copy, 200× faster than naive, under 150 MB."""
    names = tmp_path / "list.txt"
    names.write_text("".join(f"file '{clip}'\n" for clip in clips))
    out = tmp_path / "film.mp4"
    known = tmp_path / "known"
    known.write_bytes(pickle.dumps([Segment(clip.stem, clip, probe(clip)) for clip in clips]))
    copy = [get_ffmpeg_exe(), "-y", "-f", "concat", "-safe", "0", "-i", names, "-c", "copy"]
    results = sides(
        {
            "ffmpeg -f concat -c copy": lambda: run(*copy, tmp_path / "ffmpeg.mp4"),
            "the same, +faststart": lambda: run(
                *copy, "-movflags", "+faststart", tmp_path / "ffmpeg.mp4"
            ),
            "secondunit, splice": lambda: run(sys.executable, "-c", OURS_KNOWN, out, known),
            "secondunit, probe and splice": lambda: run(sys.executable, "-c", OURS, out, *clips),
        }
    )
    results[f"naive moviepy ({NAIVE_CLIPS} clips, scaled to {CLIPS})"] = naive
    table(results, "ffmpeg -f concat -c copy")
    ours, copied = results["secondunit, splice"], results["ffmpeg -f concat -c copy"]
    print(f"naive / ours: {naive.seconds / ours.seconds:.0f}×")
    facts = probe(out)
    assert (facts.frames, facts.fps) == (CLIPS * 120, Fraction(24))
    assert ours.megabytes < 150
    assert naive.seconds / ours.seconds >= 200
    assert ours.seconds / copied.seconds <= 1.5
