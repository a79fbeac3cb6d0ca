"""Makes the pictures of the README from a real run of lesson 1: its frames, and its page in Prefect.

Needs Debian's chromium. Run it with an empty scratch folder: python examples/make_pictures.py DIR
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import av
from PIL import Image

HERE = Path(__file__).parent
LESSON = HERE / "01_three_shots" / "shots.yaml"
PORT = 4319
API = f"http://127.0.0.1:{PORT}/api"
CHROMIUM = (
    "chromium --headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars"
    " --disable-background-networking --disable-component-update --disable-sync"
)


def main(scratch: Path) -> None:
    """Shoot the lesson under a Prefect server and take the pictures."""
    scratch.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PREFECT_HOME": str(scratch / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": API,
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
    }
    server = subprocess.Popen(
        [_program("prefect"), "server", "start", "--port", str(PORT)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(f"{API}/health")
        subprocess.run(
            [_program("secondunit"), "shoot", str(LESSON), "--out", str(scratch)],
            env={**environment, "PREFECT_API_URL": API}, check=True,
        )  # fmt: skip
        film_strip(scratch / "films" / "shots.mp4", HERE / "pictures" / "film.jpg")
        time.sleep(3)
        page(_run_page(), scratch / "profile", HERE / "pictures" / "prefect.png")
    finally:
        server.terminate()
        server.wait()


def film_strip(film: Path, out: Path, columns: int = 3, rows: int = 2, width: int = 480) -> None:
    """Lay evenly spaced frames of a film side by side, over black."""
    with av.open(str(film)) as clip:
        frames = [frame.to_image() for frame in clip.decode(video=0)]
    count = columns * rows
    chosen = [frames[len(frames) * (2 * i + 1) // (2 * count)] for i in range(count)]
    height = width * chosen[0].height // chosen[0].width
    sheet = Image.new("RGB", (columns * (width + 6) - 6, rows * (height + 6) - 6))
    for number, frame in enumerate(chosen):
        place = number % columns * (width + 6), number // columns * (height + 6)
        sheet.paste(frame.resize((width, height), Image.Resampling.LANCZOS), place)
    out.parent.mkdir(exist_ok=True)
    sheet.save(out, quality=88)


def page(url: str, profile: Path, out: Path) -> None:
    """Photograph a page once it has drawn itself."""
    subprocess.run(
        [*CHROMIUM.split(), f"--user-data-dir={profile}", "--window-size=1280,560",
         "--virtual-time-budget=15000", f"--screenshot={out}", url],
        check=True, stderr=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def _run_page() -> str:
    question = Request(
        f"{API}/flow_runs/filter", b"{}", {"Content-Type": "application/json"}, method="POST"
    )
    with urlopen(question) as answer:
        (run,) = json.load(answer)
    return f"http://127.0.0.1:{PORT}/runs/flow-run/{run['id']}"


def _wait(url: str) -> None:
    for _ in range(240):
        try:
            urlopen(url).close()
        except URLError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit("Prefect's server did not start.")


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
