"""Makes what the lessons need: pictures and plates by the backlot's renderer, and sounds."""

from __future__ import annotations

from pathlib import Path

import make_sounds

from secondunit.backlot.animatic import Sketch, render_clip, render_still

HERE = Path(__file__).parent
PICTURES = {
    "01_three_shots/refs/keeper.png": (
        "Wide shot. A lighthouse keeper stands at the cliff edge above a stormy sea.", 7
    ),
    "02_cast_and_scenes/refs/mara.png": (
        "Medium shot of a woman in a raincoat on a ferry pier at night, fog, one lamp.", 21
    ),
}  # fmt: skip
PLATES = {
    "01_three_shots/plates/lighthouse_day.mp4": (
        "Establishing shot. A lighthouse on a cliff above a calm sea at noon. Slow pan right.", 4, 5.0
    ),
    "03_continue_and_edit/plates/leader.mp4": (
        "Extreme wide shot. Empty desert dunes at noon, one small figure. Static shot.", 9, 2.0
    ),
}  # fmt: skip


def main() -> None:
    """Make all of them."""
    make_sounds.main()
    for name, (prompt, seed) in PICTURES.items():
        render_still(Sketch("", prompt, seed, 1280, 720), _ready(name))
    for name, (prompt, seed, seconds) in PLATES.items():
        render_clip(Sketch("", prompt, seed, 1280, 720, seconds), _ready(name))


def _ready(name: str) -> Path:
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
