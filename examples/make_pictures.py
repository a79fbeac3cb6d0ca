"""Makes the pictures of the README files from real runs: frames of a film, and pages in Prefect.

Needs Debian's chromium. Run it with an empty scratch folder: python examples/make_pictures.py DIR
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import av
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
LESSON = HERE / "01_three_shots" / "shots.yaml"
CUT = HERE / "05_the_cut" / "shots.yaml"
# Of the cut: a card, a dissolve with words over it, a lower third, a wipe, in seconds of the film.
MOMENTS = (0.6, 2.4, 4.0, 5.0, 6.42, 7.3)
_FINE = Image.Resampling.LANCZOS
NEWEST = {"sort": "START_TIME_DESC", "limit": 1}
CHROMIUM = (
    "chromium --headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars"
    " --disable-background-networking --disable-component-update --disable-sync"
)
# A night on which not all goes well: one shot at a time, a moderated one, one whose ticket is lost.
HARBOUR = """\
title: Harbour at night
slate: HAR-07
defaults: {duration: 4, ratio: '16:9', seed: 7}
shots:
  Boats: Fishing boats rock at their moorings at night. Slow push-in.
  Keeper: A lighthouse keeper climbs the stairs with a lantern.
  Lamp: The lamp of the lighthouse begins to turn. Night, storm.
  Storm: {continues: Boats, prompt: Waves break over the pier. Handheld.}
  Rope: A rope runs through an iron ring. Close-up.
  Dawn: {continues: Keeper, prompt: Dawn over the harbour; gulls. Pan left.}
"""
NIGHT = (
    "--tier", "1", "--key", "lesson",
    "--fault", "POST /v1/*@gen4.5#3=fail:SAFETY.INPUT.TEXT", "--fault", "POST /v1/*@gen4.5#5=drop",
)  # fmt: skip


def main(scratch: Path) -> None:
    """Shoot lesson 1 and the night in the harbour under a Prefect server, and take the pictures."""
    scratch.mkdir(parents=True, exist_ok=True)
    with prefect(scratch) as server:
        command = [_program("secondunit"), "shoot", str(LESSON), "--out", str(scratch)]
        subprocess.run(command, env=server.environment, check=True)
        film_strip(scratch / "films" / "shots.mp4", PICTURES / "film.jpg")
        run = server.newest_run()
        the_cut(scratch / "cut", server.environment)
        server.photograph(run, PICTURES / "prefect.png", (1280, 560))
        server.photograph(server.page(run, "film"), PICTURES / "prefect-film.png", (1280, 720))
        with harbour(scratch, server.environment) as night:
            server.until(lambda states: {"Rolling", "Completed", "Waiting for a slot"} <= states)
            server.photograph(server.newest_run(), PICTURES / "prefect-live.png", (1280, 560))
            night.wait()
        run = server.newest_run()
        server.photograph(server.page(run, "call-sheet"), PICTURES / "call-sheet.png", (1280, 620))
        server.photograph(server.page(run, "dailies"), PICTURES / "dailies.png", (1280, 1180))


def the_cut(scratch: Path, environment: dict[str, str]) -> None:
    """Shoot lesson 5, make its file for phones, and show both."""
    for command in ("shoot", "deliver"):
        subprocess.run(
            [_program("secondunit"), command, str(CUT), "--out", str(scratch)],
            env=environment, check=True,
        )  # fmt: skip
    films = scratch / "films"
    wide = sheet(stills(films / "shots.mp4", MOMENTS), 3, 400)
    tall = stills(films / "shots.phone.mp4", MOMENTS[3:4])[0]
    tall = tall.resize((wide.height * tall.width // tall.height, wide.height), _FINE)
    both = Image.new("RGB", (wide.width + 6 + tall.width, wide.height))
    both.paste(wide, (0, 0))
    both.paste(tall, (wide.width + 6, 0))
    both.save(PICTURES / "cut.jpg", quality=88)


@contextmanager
def harbour(
    scratch: Path, environment: dict[str, str], seconds: str = "12-15"
) -> Iterator[subprocess.Popen[bytes]]:
    """Shoot the night in the harbour for play money: the backlot stands in for Runway itself.

    `seconds` is how long a shot takes; a browser has to draw its page meanwhile.
    """
    port, file = _free_port(), scratch / "harbour.yaml"
    file.write_text(HARBOUR)
    home = str(scratch / "lot")
    lot = subprocess.Popen(
        [_program("secondunit"), "backlot", "--port", str(port), "--home", home, *NIGHT,
         "--latency", seconds],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}/v1/organization")
        yield subprocess.Popen(
            [
                _program("secondunit"),
                "shoot",
                file,
                "--gateway",
                "runway",
                "--yes",
                "--budget",
                "$8",
            ],
            env=environment
            | {
                "RUNWAYML_API_SECRET": "lesson",
                "SECONDUNIT_RUNWAY_BASE_URL": f"http://127.0.0.1:{port}",
            },
        )
    finally:
        lot.terminate()
        lot.wait()


class Server:
    """A Prefect server with its pages."""

    def __init__(self, root: str, scratch: Path, environment: dict[str, str]) -> None:
        """Ask the server at `root`."""
        self.root = root
        self.environment = environment
        self._profile = scratch / "profile"

    def ask(self, path: str, question: dict[str, Any] | None = None) -> Any:
        """Ask Prefect's API."""
        body = json.dumps(question or {}).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{self.root}/api/{path}", body, headers, method="POST")) as answer:
            return json.load(answer)

    def newest_run(self) -> str:
        """Return the path of the page of the run that began last."""
        run = self.ask("flow_runs/filter", NEWEST)[0]
        return f"runs/flow-run/{run['id']}"

    def page(self, run: str, name: str) -> str:
        """Return the path of an artifact of a run: its call sheet, its dailies, …."""
        question = {"flow_runs": {"id": {"any_": [run.rpartition("/")[2]]}}}
        found = self.ask("artifacts/filter", question)
        return next(f"artifacts/artifact/{a['id']}" for a in found if a["key"].endswith(name))

    def until(self, seen: Any) -> None:
        """Wait until the names of the states of the newest run's tasks are as `seen` says."""
        for _ in range(600):
            runs = self.ask("flow_runs/filter", NEWEST)
            question = {"flow_runs": {"id": {"any_": [run["id"] for run in runs]}}}
            if seen({task["state_name"] for task in self.ask("task_runs/filter", question)}):
                return
            time.sleep(0.5)
        raise RuntimeError("The run never came to look like that.")

    def photograph(self, path: str, out: Path, size: tuple[int, int]) -> None:
        """Photograph a page once it has drawn itself."""
        time.sleep(3)  # Prefect writes states and events down in batches
        width, height = size
        self._browse(path, f"--window-size={width},{height}", f"--screenshot={out}")
        with Image.open(out) as picture:
            picture.convert("RGB").quantize(192).save(out, optimize=True)

    def dom(self, path: str) -> str:
        """Return a page as it stands once it has drawn itself, as HTML."""
        return self._browse(path, "--dump-dom")

    def _browse(self, path: str, *how: str) -> str:
        command = [*CHROMIUM.split(), f"--user-data-dir={self._profile}", *how]
        return subprocess.run(
            [*command, "--virtual-time-budget=15000", f"{self.root}/{path}"],
            check=True, capture_output=True, text=True, timeout=240,
        ).stdout  # fmt: skip


@contextmanager
def prefect(scratch: Path) -> Iterator[Server]:
    """Have a Prefect server with pages of its own."""
    port = _free_port()
    root = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(scratch / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"{root}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    server = subprocess.Popen(
        [_program("prefect"), "server", "start", "--port", str(port)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(f"{root}/api/health")
        yield Server(root, scratch, environment | {"PREFECT_API_URL": f"{root}/api"})
    finally:
        server.terminate()
        server.wait()


def film_strip(film: Path, out: Path) -> None:
    """Lay six evenly spaced frames of a film side by side, over black."""
    with av.open(str(film)) as clip:
        seconds = float((clip.duration or 0) / av.time_base)
    out.parent.mkdir(exist_ok=True)
    chosen = stills(film, [seconds * (2 * i + 1) / 12 for i in range(6)])
    sheet(chosen, 3, 480).save(out, quality=88)


def stills(film: Path, moments: Sequence[float]) -> list[Image.Image]:
    """Return the frames that a film shows at some moments, in seconds."""
    with av.open(str(film)) as clip:
        frames = [(frame.time, frame.to_image()) for frame in clip.decode(video=0)]
    return [next(f for t, f in reversed(frames) if (t or 0) <= moment) for moment in moments]


def sheet(frames: Sequence[Image.Image], columns: int, width: int) -> Image.Image:
    """Lay frames side by side in rows, each so many pixels wide, over black."""
    height = width * frames[0].height // frames[0].width
    rows = -(-len(frames) // columns)
    page = Image.new("RGB", (columns * (width + 6) - 6, rows * (height + 6) - 6))
    for number, frame in enumerate(frames):
        place = number % columns * (width + 6), number // columns * (height + 6)
        page.paste(frame.resize((width, height), _FINE), place)
    return page


def _wait(url: str) -> None:
    """Wait until somebody listens there, whatever the answer."""
    for _ in range(240):
        try:
            urlopen(url).close()
        except URLError as error:
            if hasattr(error, "code"):
                return
            time.sleep(0.5)
        else:
            return
    raise RuntimeError(f"Nothing answers at {url}.")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
