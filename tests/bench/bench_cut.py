"""How long a film with a dissolve at every join takes, beside what a user would do instead.

Run with `pytest -n 0 -m bench tests/bench/bench_cut.py -s`. Sixty clips of five seconds, 1280×720 at
24 frames a second, real footage, a key frame every second; every dissolve lasts a second. Whole
processes and the memory of all of them together. What others do is measured on few clips and
scaled by their number, which flatters it, since its memory grows with the film. Ratios are medians
of rounds in which every way takes its turn; they are held against those in `ratios.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from secondunit.media import probe

sys.path.append(str(Path(__file__).parents[1]))
from footage import BIKES, BUNNY, ffmpeg  # it lies a folder above, beside the tests

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

CLIPS = 60
FEW = 6
ROUNDS = 3
WORSE = 1.2
RATIOS = Path(__file__).with_name("ratios.json")

NAIVE = """
import sys
from moviepy import VideoFileClip, concatenate_videoclips, vfx
clips = [VideoFileClip(name) for name in sys.argv[2:]]
clips = clips[:1] + [clip.with_effects([vfx.CrossFadeIn(1)]) for clip in clips[1:]]
film = concatenate_videoclips(clips, padding=-1, method="compose")
film.write_videofile(sys.argv[1], logger=None)
"""
OURS = """
import asyncio, json, sys, time
from pathlib import Path
sys.path.append(sys.argv[1])
from cutting import dissolving
if __name__ == "__main__":
    folder, late = Path(sys.argv[2]), sys.argv[3] == "late"
    print(json.dumps(asyncio.run(dissolving(folder, [Path(n) for n in sys.argv[4:]], late))))
"""


class Run(NamedTuple):
    seconds: float
    megabytes: float
    told: str = ""


def run(*command: object) -> Run:
    """Run a program to its end: wall time, and the most memory that it and its processes held."""
    peak, over = [0.0], threading.Event()
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )

    def watch() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], held(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    told, _ = process.communicate()
    seconds = time.perf_counter() - start
    over.set()
    watcher.join()
    assert process.returncode == 0
    return Run(seconds, peak[0], told)


def held(pid: int) -> float:
    """Add up what a process and all below it hold, in megabytes; what they share counts once."""
    total, todo = 0.0, [pid]
    while todo:
        one = todo.pop()
        try:
            memory = Path(f"/proc/{one}/smaps_rollup").read_text()
            for task in Path(f"/proc/{one}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):
            continue
        total += int(memory.partition("\nPss:")[2].split()[0]) / 1000
    return total


def scaled(found: Run) -> Run:
    return Run(found.seconds * CLIPS / FEW, found.megabytes)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sixty files of real footage that fit the film."""
    return reel(tmp_path_factory.mktemp("clips"), "24", CLIPS)


def reel(folder: Path, fps: str, count: int) -> list[Path]:
    sources = []
    for at, source in enumerate([BUNNY, BIKES]):
        path = folder / f"source{at}.mp4"
        shape = f"scale=1280:720,setsar=1,fps={fps}"
        frames = 5 * int(fps)
        encoded = ("-frames:v", frames, "-preset", "veryfast", "-g", fps)
        ffmpeg("-i", source, "-an", "-vf", shape, *encoded, path)
        sources.append(path)
    return [shutil.copy(sources[at % 2], folder / f"sh{at:03}.mp4") for at in range(count)]


def xfade(out: Path, clips: Sequence[Path]) -> list[object]:
    """Return the command that a user of ffmpeg would write, with the same encoder's settings."""
    steps, last = [], "[0]"
    for at in range(1, len(clips)):
        steps.append(f"{last}[{at}]xfade=duration=1:offset={4 * at}[x{at}]")
        last = f"[x{at}]"
    given = [word for clip in clips for word in ("-i", clip)]
    quality = ["-crf", "18", "-preset", "veryfast"]
    graph = ["-filter_complex", ";".join(steps), "-map", last]
    return [get_ffmpeg_exe(), "-nostdin", "-y", *given, *graph, *quality, out]


def ours(folder: Path, clips: Sequence[Path], when: str = "at once") -> Run:
    return run(sys.executable, "-c", OURS, Path(__file__).parents[1], folder, when, *clips)


def test_a_dissolve_at_every_join(clips: list[Path], tmp_path: Path) -> None:
    """Goals: 12× naive from nothing, 3 s from the last clip on and 5× a copy, 2 % for one shot."""
    odd = reel(tmp_path, "25", CLIPS)
    names = tmp_path / "list.txt"
    names.write_text("".join(f"file '{clip}'\n" for clip in clips))
    copy = [get_ffmpeg_exe(), "-y", "-f", "concat", "-safe", "0", "-i", names, "-c", "copy"]
    naive = [sys.executable, "-c", NAIVE, tmp_path / "naive.mp4"]
    runs: dict[str, list[Run]] = {}
    for turn in range(ROUNDS):
        done, cold, late = (tmp_path / f"{name}{turn}" for name in ("done", "cold", "late"))
        first = ours(done, clips)
        changed = [*clips[:30], odd[turn], *clips[31:]]
        last = ours(late, clips, "late")
        found = {
            "naive moviepy, scaled": scaled(run(*naive, *clips[:FEW])),
            "ffmpeg xfade, scaled": scaled(run(*xfade(tmp_path / "x.mp4", clips[:FEW]))),
            "ffmpeg -c copy, no dissolves": run(*copy, tmp_path / "c.mp4"),
            "secondunit, clips that fit": first,
            "secondunit, every clip conformed": ours(cold, odd),
            "secondunit, nothing changed": ours(done, clips),
            "secondunit, one of sixty changed": ours(done, changed),
            "secondunit, from the last clip on": Run(json.loads(last.told)["last"], last.megabytes),
        }  # fmt: skip
        for name, one in found.items():
            runs.setdefault(name, []).append(one)
        assert probe(done / "film.mp4").frames == CLIPS * 120 - (CLIPS - 1) * 24
        for folder in (cold, late):
            shutil.rmtree(folder)
    results = {name: middle(found) for name, found in runs.items()}
    table(results)
    ratios = {
        name: statistics.median(
            one.seconds / peer.seconds
            for one, peer in zip(found, runs["naive moviepy, scaled"], strict=True)
        )
        for name, found in runs.items()
        if name.startswith("secondunit")
    }
    hold(ratios)
    assert ratios["secondunit, clips that fit"] <= 1 / 12
    assert ratios["secondunit, every clip conformed"] <= 1 / 3
    assert ratios["secondunit, one of sixty changed"] <= 0.02
    last, copied = (
        results[name].seconds
        for name in ("secondunit, from the last clip on", "ffmpeg -c copy, no dissolves")
    )
    assert last <= 3
    assert last / copied <= 5
    assert max(found.megabytes for name, found in results.items() if name in ratios) < 250


def middle(runs: list[Run]) -> Run:
    return Run(statistics.median(run.seconds for run in runs), max(run.megabytes for run in runs))


def table(results: dict[str, Run]) -> None:
    naive = results["naive moviepy, scaled"].seconds
    print(f"\nload {os.getloadavg()[0]:.1f}\n{'way':<40}{'seconds':>9}{'naive /':>9}{'MB':>7}")
    for name, found in results.items():
        ratio = naive / found.seconds
        print(f"{name:<40}{found.seconds:>9.2f}{ratio:>9.1f}{found.megabytes:>7.0f}")


def hold(ratios: dict[str, float]) -> None:
    """Hold ratios against those that were kept; BENCH_KEEP_RATIOS keeps today's instead."""
    if os.environ.get("BENCH_KEEP_RATIOS"):
        kept = {name: round(ratio, 4) for name, ratio in ratios.items()}
        RATIOS.write_text(json.dumps(kept, indent=2) + "\n")
    before = json.loads(RATIOS.read_text())
    worse = {name: r for name, r in ratios.items() if r > WORSE * before[name]}
    assert not worse, f"a fifth slower than {before}: {worse}"
