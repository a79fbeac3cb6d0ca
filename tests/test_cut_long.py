"""Films as they are watched, and as long as they get."""

from __future__ import annotations

import asyncio
import base64
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from browser import browsing
from cutting import Silent, planned, source
from footage import BUNNY, counting, digests, ffmpeg, numbers

from secondunit.cut import Profile
from secondunit.cut.edit import Edit, Transition
from secondunit.cuttingroom import CuttingRoom
from secondunit.splice.chapters import UNTOLD
from secondunit.workers import Workers

sys.path.append(str(Path(__file__).parent / "bench"))
from bench_cut import ours

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

PAGE = """<!doctype html><video muted></video><canvas width=320 height=180></canvas><script>
const video = document.querySelector("video"), seen = [];
const pen = document.querySelector("canvas").getContext("2d", {willReadFrequently: true});
const bytes = Uint8Array.from(atob("%s"), c => c.charCodeAt(0));
video.src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
function spelt() {
  pen.drawImage(video, 0, 0);
  let number = 0;
  for (let bar = 0; bar < 16; bar++)
    if (pen.getImageData(bar * 20 + 10, 90, 1, 1).data[0] > 126) number += 1 << bar;
  return number;
}
function watch(_, {mediaTime}) {
  seen.push([Math.round(mediaTime * 24), spelt()]);
  video.requestVideoFrameCallback(watch);
}
async function seek(frame) {
  const there = new Promise(done => video.requestVideoFrameCallback(done));
  video.currentTime = (frame + 0.5) / 24;
  await there;
  return spelt();
}
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_a_browser_plays_and_seeks_across_every_join(tmp_path: Path) -> None:
    """Clips of three encoders, whose headers differ, and every transition between them."""
    x264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "12")
    ways = {
        "plain": x264,
        "baseline": (*x264, "-profile:v", "baseline"),
        "many-b": (*x264, "-bf", "8", "-refs", "6", "-x264-params", "b-pyramid=strict:b-adapt=0"),
        "openh264": ("-c:v", "libopenh264", "-g", "12"),
    }
    clips = {
        name: source(counting(tmp_path / f"{name}.mp4", *way, frames=60))
        for name, way in ways.items()
    }
    kinds = ["cut", "dissolve", "wipe", "slide", "dip", "fade", "cut", "dissolve"]
    names = list(ways) * 2
    shots = [
        (name, Edit(into=Transition(kind, Fraction(kind != "cut", 3))))
        for name, kind in zip(names, kinds, strict=True)
    ]
    plan = planned(shots, Profile(320, 180, Fraction(24)))
    workers = Workers()
    room = CuttingRoom(plan, tmp_path / "conformed", workers, Silent())
    film = tmp_path / "film.mp4"

    async def make() -> None:
        for entry in plan.cut:
            await room.prepare(entry, clips[entry.key])
        await room.join(film, UNTOLD)

    try:
        asyncio.run(make())
    finally:
        workers.close()
    laid = room.cut().timeline
    want = numbers(film)
    assert len(digests(film)) == laid.frames, "ffmpeg decodes it without a word"
    whole = [piece for piece in laid.pieces if piece.transition.kind == "cut"]
    plain = {at for piece in whole for at in range(piece.start, piece.start + piece.frames)}
    page = tmp_path / "page.html"
    page.write_text(PAGE % base64.b64encode(film.read_bytes()).decode())
    with browsing(tmp_path / "chromium") as browser:
        browser.open(page.as_uri())
        browser.until("video.readyState >= 2")
        assert browser.run("video.duration") == pytest.approx(laid.frames / 24, abs=0.01)
        ends = [piece.start for piece in laid.pieces[1:]]
        near = {at for end in ends for at in range(end - 4, end + 4)}.intersection(plain)
        for frame in sorted(near, key=lambda at: (at % 5, -at)):
            call = f"seek({frame}).then(n => window.found = n)"
            browser.run(f"window.found = null; {call}; 0")
            browser.until("window.found !== null && true")
            assert browser.run("window.found") == want[frame], f"seeking to frame {frame}"
        browser.run(
            "video.currentTime = 0; video.requestVideoFrameCallback(watch); video.play(); 0"
        )
        browser.until("video.ended")
        assert browser.run("video.error") is None
        shown = dict(map(tuple, browser.run("seen")))
    assert {at: n for at, n in shown.items() if at in plain} == {
        at: want[at] for at in shown if at in plain
    }
    assert len(shown) > laid.frames / 4, "it was played, not skipped through"
    for one, other in zip([0, *ends], [*ends, laid.frames], strict=True):
        assert any(one <= at < other for at in shown), (
            f"nothing was seen of frames {one} to {other}"
        )


def test_ten_minutes_need_no_more_memory_than_five(tmp_path: Path) -> None:
    """120 clips of five seconds, a dissolve at every join; all processes together."""
    clip = tmp_path / "clip.mp4"
    shape = "scale=1280:720,setsar=1,fps=24"
    ffmpeg("-i", BUNNY, "-vf", shape, "-frames:v", 120, "-preset", "veryfast", "-g", 24, clip)
    clips = [shutil.copy(clip, tmp_path / f"sh{at:03}.mp4") for at in range(120)]
    half = ours(tmp_path / "half", clips[:60])
    whole = ours(tmp_path / "whole", clips)
    print(f"60 clips: {half.megabytes:.0f} MB, 120 clips: {whole.megabytes:.0f} MB")
    assert whole.megabytes < 400
    assert whole.megabytes < 1.15 * half.megabytes
