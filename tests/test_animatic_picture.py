"""The animatic as a picture: how the lens moves, what is drawn, and the slate."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from footage import BUNNY, photograph
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from screening import MOVES, SMALL, find_marks, marked, psnr, rendered

from secondunit.backlot.easel import panel, slate
from secondunit.backlot.easel.camera import WIDEST, Move, Pose, Room, poses, read_move
from secondunit.backlot.easel.palette import PALETTES
from secondunit.backlot.easel.plate import Canvas, Plate
from secondunit.backlot.easel.staging import PLACES, SIZES, THINGS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "x", "y", "apart"),
    [
        ("static", 0, 0, 0), ("locked-off shot", 0, 0, 0), ("slow push-in", 0, 0, 1),
        ("dolly in", 0, 0, 1), ("zoom in", 0, 0, 1), ("", 0, 0, 1), ("pull back", 0, 0, -1),
        ("zooms out", 0, 0, -1), ("pan right", -1, 0, 1), ("the camera pans left", 1, 0, 1),
        ("truck right", -1, 0, 1), ("tilt up", 0, 1, 1), ("tilts down", 0, -1, 1),
        ("crane up", 0, 1, None), ("whip pan to the left", 1, 0, 1), ("orbits around her", -1, 0, 1),
        ("pan right and tilt up", -1, 1, 1),
    ],
)  # fmt: skip
def test_the_lens_moves_as_the_words_say(
    tmp_path: Path, words: str, x: int, y: int, apart: int | None
) -> None:
    """To pan right is to see things go left; to push in is to see them part; static is still."""
    frames = rendered(replace(SMALL, prompt=words, picture=marked(tmp_path)), tmp_path)
    first, last = find_marks(frames[0]), find_marks(frames[-1])
    for change, way in ((last.x - first.x, x), (last.y - first.y, y)):
        assert abs(change) < 1.0 if way == 0 else change * way > 8
    growth = last.apart / first.apart - 1
    if apart is not None:
        assert abs(growth) < 0.005 if apart == 0 else growth * apart > 0.05


def test_a_static_shot_of_a_picture_stands_still(tmp_path: Path) -> None:
    sketch = replace(SMALL, prompt="static", picture=photograph("coffee.png"), width=96, height=64)
    frames = rendered(sketch, tmp_path)
    assert all(psnr(frames[0], frame) > 38 for frame in frames)


def test_a_hand_held_lens_sways_and_stays_near(tmp_path: Path) -> None:
    sketch = replace(SMALL, prompt="handheld", picture=marked(tmp_path), seconds=3.0)
    path = [find_marks(frame).x for frame in rendered(sketch, tmp_path)]
    steps = np.diff(path)
    assert 1.0 < max(path) - min(path) < 20
    assert (steps > 0.02).any()
    assert (steps < -0.02).any()


def test_slow_moves_travel_less_and_fast_moves_more() -> None:
    assert read_move("slow pan left").x > read_move("pan left").x > read_move("fast pan left").x


def test_a_move_is_eased_and_never_turns_back() -> None:
    spans = [pose.span for pose in poses(read_move("push in"), 120, Room(), 1)]
    steps = -np.diff(spans)
    assert (steps >= 0).all()
    assert steps[:3].max() < steps[50:70].min() / 4
    assert steps[-3:].max() < steps[50:70].min() / 4


def test_the_lens_moves_by_less_than_a_pixel_without_a_jerk(tmp_path: Path) -> None:
    """Whole-pixel steps would show as frames that stand still between frames that jump."""
    sketch = replace(SMALL, prompt="slow pan right", picture=marked(tmp_path), seconds=5.0)
    frames = rendered(sketch, tmp_path)
    path = np.array([find_marks(frame).x for frame in frames])
    speed = -np.diff(path)[45:75]
    assert 0.3 < speed.mean() < 0.7
    assert speed.std() < 0.18  # steps of whole pixels would make it 0.5


moves = st.builds(
    Move,
    x=st.floats(-0.6, 0.6),
    y=st.floats(-0.6, 0.6),
    push=st.floats(-0.9, 0.9),
    shake=st.floats(0, 2),
    whip=st.booleans(),
)


@given(
    moves, st.integers(1, 60), st.builds(Room, st.floats(0, 0.3), st.floats(0, 0.3)), st.booleans()
)
@settings(max_examples=120)
def test_no_pose_looks_beyond_the_picture(
    move: Move, frames: int, room: Room, centred: bool
) -> None:
    path = poses(move, frames, room, 5, centred=centred)
    assert len(path) == frames
    for pose in path:
        assert abs(pose.x) + pose.span / 2 <= 0.5 + room.x + 1e-6
        assert abs(pose.y) + pose.span / 2 <= 0.5 + room.y + 1e-6
        assert 0 < pose.span <= WIDEST
    if not centred:
        assert path[0] == Pose()


@pytest.mark.parametrize("words", MOVES)
def test_the_edge_of_a_picture_never_shows(tmp_path: Path, words: str) -> None:
    """A white picture stays white to the last pixel, whichever way the lens goes."""
    white = tmp_path / "white.png"
    Image.new("RGB", (300, 200), (255, 255, 255)).save(white)
    sketch = replace(SMALL, prompt=words, picture=white, width=96, height=54, shot="")
    assert min(frame.min() for frame in rendered(sketch, tmp_path)) > 245


@pytest.mark.parametrize(
    ("words", "name"),
    [*((words, "astronaut.png") for words in MOVES), ("pull back", "rocket.jpg")],
)
def test_the_first_frame_is_the_picture(tmp_path: Path, words: str, name: str) -> None:
    """Cropped to the frame around its middle; no slate, no move, no weather on it."""
    with Image.open(photograph(name)) as opened:
        picture = opened.convert("RGB")
    scale = max(320 / picture.width, 180 / picture.height)
    wide, high = 320 / scale, 180 / scale
    left, top = (picture.width - wide) / 2, (picture.height - high) / 2
    expected = picture.resize(
        (320, 180), Image.Resampling.LANCZOS, (left, top, left + wide, top + high)
    )
    sketch = replace(SMALL, prompt=f"{words}, heavy rain", picture=photograph(name), seconds=0.25)
    first = rendered(sketch, tmp_path)[0]
    assert psnr(first, np.asarray(expected, float)) > 32


@pytest.mark.parametrize("words", ["push in", "A storm at sea, rain, pan right"])
def test_a_shot_that_goes_on_from_a_last_frame_opens_on_it(tmp_path: Path, words: str) -> None:
    last = rendered(replace(SMALL, prompt=words), tmp_path)[-1]
    still = tmp_path / "last.png"
    Image.fromarray(last.astype(np.uint8)).save(still)
    first = rendered(replace(SMALL, prompt="pan left", picture=still), tmp_path)[0]
    assert psnr(first, last) > 32


def test_near_things_part_from_far_ones(tmp_path: Path) -> None:
    picture = Image.open(marked(tmp_path))
    place = (-0.1, -0.1, 1.1, 1.1)
    moved = []
    for depth in (1.0, 0.45):
        canvas = Canvas(320, 180)
        Plate.of(picture, (320, 180), place, depth).expose(canvas, Pose(x=0.05))
        moved.append(160 - find_marks(np.asarray(canvas.picture(), float)).x)
    assert moved[0] == pytest.approx(16, abs=0.6)
    assert moved[1] == pytest.approx(16 * 0.45, abs=0.6)


def test_every_place_size_and_thing_can_be_drawn(tmp_path: Path) -> None:
    words = {"interior": "a room", "sea": "the sea", "space": "outer space", "over": "over the shoulder",
             "close": "close-up", "extreme": "extreme close-up"}  # fmt: skip
    shots = [f"{words.get(s, s)} of a woman and a man, {words.get(p, p)}"
             for s, p in product(SIZES, PLACES)]  # fmt: skip
    shots += [f"{size} {thing}, low angle" for size, thing in product(("wide", "close-up"), THINGS)]
    seen = set()
    for n, prompt in enumerate(shots):
        still = panel.draw(prompt, n, (48, 28)).still()
        assert np.asarray(still, float).std() > 2, prompt
        seen.add(still.tobytes())
    assert len(seen) == len(shots)


def test_a_closer_shot_shows_a_larger_person() -> None:
    sizes = ("establishing", "wide", "full shot", "close-up")
    areas = []
    for words in sizes:
        near = panel.draw(f"{words} of a man in outer space", 3, (160, 90)).near
        assert near is not None
        areas.append(np.asarray(near[0].getchannel("A"), float).sum())
    assert areas == sorted(areas)
    assert areas[-1] > 20 * areas[0]


def mean_colour(prompt: str, seed: int = 1) -> np.ndarray:
    still = np.asarray(panel.draw(prompt, seed, (96, 54)).still(), float)
    return still.reshape(-1, 3).mean(axis=0)


def test_light_and_mood_set_the_colours() -> None:
    night, day = mean_colour("mountains at night"), mean_colour("mountains, sunny day")
    noir, dusk = mean_colour("a street, film noir"), mean_colour("the sea at sunset")
    assert night.mean() < 0.6 * day.mean()
    assert night[2] > night[0] * 1.2
    assert np.ptp(noir) < 6
    assert dusk[0] > dusk[1] * 1.2
    assert len(PALETTES) >= 20


def test_rain_falls_while_the_lens_rests_and_is_over_at_the_end(tmp_path: Path) -> None:
    """A shot may go on from the last frame: rain frozen there would hang in the air."""
    wet = rendered(replace(SMALL, prompt="A field, heavy rain, static"), tmp_path)
    assert psnr(wet[8], wet[10]) < psnr(wet[-2], wet[-1])
    falling = np.abs(wet[10] - wet[-1])[:120].max(axis=2)
    assert (falling > 12).mean() > 0.01


def test_a_lighthouse_lamp_turns(tmp_path: Path) -> None:
    sketch = replace(SMALL, prompt="A lighthouse at night, static", seconds=4.0)
    frames = [f[:120].mean(axis=2) for f in rendered(sketch, tmp_path)[6:-14:6]]
    middle = [(f[:, :160].mean(), f[:, 160:].mean()) for f in frames]
    sides = np.diff(np.array(middle), axis=0)
    assert np.abs(sides).max() > 1.0
    assert (sides[:, 0] * sides[:, 1] < 0).any()


def test_the_slate_shows_in_the_middle_and_not_at_the_ends(tmp_path: Path) -> None:
    sketch = replace(SMALL, prompt="static", picture=marked(tmp_path), width=640, height=360)
    frames = rendered(sketch, tmp_path)
    strip = [frame[-20:].mean() for frame in frames]
    assert strip[0] == pytest.approx(70, abs=3)
    assert strip[-1] == pytest.approx(70, abs=3)
    assert strip[12] < 50
    assert frames[12][-20:].max() > 180
    assert frames[12][: 360 - 40].max() == pytest.approx(frames[0][: 360 - 40].max(), abs=12)


def test_the_slate_tells_shots_models_seeds_and_prompts_apart() -> None:
    def strip(shot: str, model: str, seed: int, prompt: str) -> bytes:
        canvas = Canvas(640, 360)
        canvas.planes[0][...] = 128
        overlay = slate.slate(shot, model, seed, prompt, (640, 360))
        assert overlay is not None
        overlay.burn(canvas.planes)
        return canvas.planes[0][-30:].tobytes()

    same = ("sh010", "gen4.5", 7, "A man")
    others = [("sh020", *same[1:]), ("sh010", "aleph2", *same[2:]), (*same[:2], 8, "A man"),
              (*same[:3], "A woman")]  # fmt: skip
    assert strip(*same) == strip(*same)
    assert len({strip(*same), *(strip(*other) for other in others)}) == 5


NASTY = (
    "", " \n\t ", "مرحبا بالعالم", "宇宙飛行士が振り返る", "🚀👩\u200d🚀🌊", "a\x00b\x07c\x1b[31m",
    "\ud800 broken", "word " * 2000, "W" * 5000, "%s {0} \\n <b>", "\u202ereversed", "a\u0301" * 300,
)  # fmt: skip


@pytest.mark.parametrize("prompt", NASTY)
def test_any_text_can_be_drawn(tmp_path: Path, prompt: str) -> None:
    sketch = replace(SMALL, prompt=prompt, shot=prompt, model=prompt, seconds=0.2)
    assert len(rendered(sketch, tmp_path)) == 5
    assert len(rendered(replace(sketch, source=BUNNY), tmp_path)) == 5


def test_control_characters_are_stripped_and_long_text_is_shortened() -> None:
    assert slate.clean("a\x00b\x1b[31m\r\nc\u2028d") == "a b [31m c d"
    assert len(slate.clean("x" * 10**6)) <= 2000


@pytest.mark.parametrize("size", [(2, 2), (64, 64), (16, 200), (400, 18), (98, 54), (1584, 672)])
def test_any_even_size_can_be_drawn(tmp_path: Path, size: tuple[int, int]) -> None:
    sketch = replace(SMALL, width=size[0], height=size[1], seconds=0.1, prompt="A man in snow")
    for variant in (
        sketch,
        replace(sketch, picture=marked(tmp_path)),
        replace(sketch, source=BUNNY),
    ):
        frames = rendered(variant, tmp_path)
        assert [f.shape for f in frames] == [(size[1], size[0], 3)] * 2
