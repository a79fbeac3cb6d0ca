"""The animatic as a file: frames, tags, headers, the same bytes, edits, stills, and what fails."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from footage import BUNNY, CARPHONE, photograph
from PIL import Image
from screening import SMALL, psnr, rendered

from secondunit.backlot.animatic import Sketch, render_clip, render_still
from secondunit.errors import DiskTrouble, Spoiled
from secondunit.media import h264

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("size", "seconds", "fps", "frames"),
    [((320, 180), 1.0, 24, 24), ((180, 320), 0.52, 25, 13), ((96, 96), 2.0, 30, 60)],
)
def test_a_clip_has_the_frames_rate_size_and_tags_it_was_asked_for(
    tmp_path: Path, size: tuple[int, int], seconds: float, fps: int, frames: int
) -> None:
    out = tmp_path / "clip.mp4"
    render_clip(replace(SMALL, width=size[0], height=size[1], seconds=seconds, fps=fps), out)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.profile, context.pix_fmt) == ("h264", "High", "yuv420p")
        assert (context.width, context.height) == size
        assert stream.sample_aspect_ratio == 1
        assert stream.average_rate == fps
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        assert [int(tag) for tag in tags] == [1, 1, 1, 1]
        assert not container.streams.audio
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
    assert times == [Fraction(n, fps) for n in range(frames)]


def test_the_index_comes_before_the_pictures(tmp_path: Path) -> None:
    render_clip(SMALL, tmp_path / "clip.mp4")
    data = (tmp_path / "clip.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_every_group_of_pictures_stands_alone(tmp_path: Path) -> None:
    """A clip cut off before any key frame plays on from there without a missing reference."""
    out = tmp_path / "clip.mp4"
    render_clip(replace(SMALL, seconds=2.5), out)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        keys = [n for n, p in enumerate(packets) if p.is_keyframe]
        assert keys == [0, h264.GOP, 2 * h264.GOP]
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = stream.codec_context.extradata
        frames = [f for p in packets[h264.GOP :] for f in decoder.decode(p)]
        frames += decoder.decode(None)
    assert len(frames) == 60 - h264.GOP
    assert not any(frame.is_corrupt for frame in frames)


def headers(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


def test_two_clips_of_one_size_have_the_same_headers_whatever_they_show(tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    render_clip(replace(SMALL, prompt="A black night"), one)
    render_clip(replace(SMALL, prompt="whip pan", picture=photograph("coffee.png"), seed=3), other)
    assert headers(one) == headers(other) != b""


@pytest.mark.parametrize("preset", ["ultrafast", "veryfast", "medium", "slow"])
@pytest.mark.parametrize("threads", [1, 2])
def test_no_preset_nor_quality_moves_the_headers(tmp_path: Path, preset: str, threads: int) -> None:
    """What is conformed slowly and what is sketched quickly can be joined by copy."""

    def encode(name: str, options: dict[str, str], level: int, count: int) -> bytes:
        with av.open(str(tmp_path / name), "w", format="mp4") as container:
            stream = h264.open_stream(container, 160, 96, Fraction(24), options, threads=count)
            for n in range(8):
                frame = av.VideoFrame(160, 96, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes([level + n]) * plane.buffer_size)
                frame.pts = n
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return headers(tmp_path / name)

    plain = encode("plain.mp4", dict(h264.OPTIONS), 30, 1)
    varied = encode("varied.mp4", {**h264.OPTIONS, "preset": preset, "crf": "30"}, 120, threads)
    assert plain == varied != b""


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60, Fraction(24000, 1001), Fraction(25, 2)])
def test_a_frame_is_a_whole_number_of_ticks(fps: Fraction) -> None:
    assert (h264.timescale(Fraction(fps)) / fps).denominator == 1
    assert h264.timescale(Fraction(fps)).denominator == 1


def test_the_same_sketch_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    render_clip(replace(SMALL, prompt="Storm over a neon city, handheld, rain"), here)
    code = (
        "import sys; from pathlib import Path;"
        "from secondunit.backlot.animatic import Sketch, render_clip;"
        "render_clip(Sketch('gen4.5', 'Storm over a neon city, handheld, rain', 7, 320, 180,"
        "seconds=1.0, shot='sh010'), Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(there)], check=True)
    assert here.read_bytes() == there.read_bytes()


def test_another_seed_or_another_word_is_another_picture(tmp_path: Path) -> None:
    kept = []
    for n, sketch in enumerate((SMALL, replace(SMALL, seed=8), replace(SMALL, prompt="A man"))):
        render_still(sketch, tmp_path / f"{n}.png")
        kept.append(np.asarray(Image.open(tmp_path / f"{n}.png"), float))
    assert all(psnr(a, b) < 25 for a, b in ((kept[0], kept[1]), (kept[0], kept[2])))


def edit(prompt: str, source: Path = BUNNY, **changes: object) -> Sketch:
    base = replace(SMALL, prompt=prompt, source=source, width=320, height=180, fps=25)
    return replace(base, **changes)  # type: ignore[arg-type]  # a test names its own fields


def test_an_edit_keeps_the_frames_and_the_sound(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    render_clip(edit("Make it night", seconds=132 / 25), out)
    with av.open(str(out)) as container, av.open(str(BUNNY)) as source:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        assert sum(1 for _ in container.decode(video=0)) == 132
        container.seek(0)
        heard = np.concatenate([f.to_ndarray() for f in container.decode(audio=0)], axis=1)
        mix = av.AudioResampler("fltp", "stereo", 48_000)
        played = [r for f in source.decode(audio=0) for r in mix.resample(f)]
        expected = np.concatenate([f.to_ndarray() for f in played], axis=1)
    assert abs(heard.shape[1] / 48_000 - 132 / 25) < 0.05
    assert np.abs(heard).max() > 0.01
    one, other = (np.abs(s[0]).reshape(-1, 480).mean(axis=1)
                  for s in (heard[:, : 48_000 * 4], expected[:, : 48_000 * 4]))  # fmt: skip
    lags = range(-8, 9)
    match = [np.corrcoef(one[50:-50], np.roll(other, lag)[50:-50])[0, 1] for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 2
    assert max(match) > 0.95


@pytest.mark.parametrize(
    "prompt",
    ["Make it night", "film noir", "golden hour", "neon", "winter", "A bear"],
)
def test_an_edit_is_the_source_in_another_light(tmp_path: Path, prompt: str) -> None:
    """The picture is still there, and nobody can take it for the source."""
    with av.open(str(BUNNY)) as container:
        frames = [f.to_ndarray(width=320, height=180, format="rgb24").astype(float)
                  for _, f in zip(range(13), container.decode(video=0), strict=False)]  # fmt: skip
    graded = rendered(edit(prompt, seconds=0.52), tmp_path)
    assert len(graded) == 13
    for n in (0, 6, 12):
        before, after = frames[n][30:150], graded[n][30:150]
        assert psnr(before, after) < 28
        assert np.corrcoef(before.mean(axis=2).ravel(), after.mean(axis=2).ravel())[0, 1] > 0.8


def test_night_is_darker_and_noir_is_grey(tmp_path: Path) -> None:
    night, day = (
        rendered(edit(p, seconds=0.2), tmp_path)[2].mean() for p in ("night", "sunny day")
    )
    noir = rendered(edit("film noir", seconds=0.2), tmp_path)[2]
    assert night < 0.7 * day
    assert np.ptp(noir, axis=2).mean() < 6


def test_a_source_of_another_rate_keeps_its_time(tmp_path: Path) -> None:
    """29.97 frames a second are thinned to 24, and every frame is where its time says."""
    frames = rendered(edit("noir", CARPHONE, width=176, height=144, fps=24, seconds=4.0), tmp_path)
    with av.open(str(CARPHONE)) as container:
        source = [f.to_ndarray(format="gray").astype(float) for f in container.decode(video=0)]
    assert len(frames) == 96
    for n in (20, 48, 80):
        seen = frames[n][20:110].mean(axis=2)
        near = range(max(0, round(n * 1.249) - 4), min(len(source), round(n * 1.249) + 5))
        best = max(near, key=lambda m: np.corrcoef(seen.ravel(), source[m][20:110].ravel())[0, 1])
        assert abs(best - n * 29.97 / 24) <= 1.3


def test_an_edit_longer_than_its_source_holds_the_last_frame(tmp_path: Path) -> None:
    frames = rendered(edit("noir", CARPHONE, width=176, height=144, fps=24, seconds=5.0), tmp_path)
    assert len(frames) == 120
    assert psnr(frames[-15][20:110], frames[-5][20:110]) > 35


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_still_has_the_size_and_the_format_of_its_name(tmp_path: Path, suffix: str) -> None:
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    render_still(SMALL, one)
    render_still(SMALL, two)
    with Image.open(one) as still:
        assert (still.format, still.size, still.mode) == (
            {".png": "PNG", ".jpg": "JPEG"}[suffix], (320, 180), "RGB")  # fmt: skip
    assert one.read_bytes() == two.read_bytes()


def test_every_reference_is_in_the_still(tmp_path: Path) -> None:
    colours = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
    paths = []
    for n, colour in enumerate(colours):
        paths.append(tmp_path / f"{n}.png")
        Image.new("RGB", (80, 60 + 20 * n), colour).save(paths[-1])
    for count in (1, 2, 3):
        sketch = replace(SMALL, prompt="day", references=tuple(paths[:count]))
        render_still(sketch, tmp_path / "still.png")
        still = np.asarray(Image.open(tmp_path / "still.png"), float)
        for channel in range(3):
            others = [c for c in range(3) if c != channel]
            there = (still[..., channel] > still[..., others].max(axis=2) + 25).mean()
            assert there > 0.15 if channel < count else there < 0.02


def test_a_clip_of_references_opens_on_their_still(tmp_path: Path) -> None:
    sketch = replace(SMALL, references=(photograph("astronaut.png"), photograph("coffee.png")))
    render_still(sketch, tmp_path / "still.png")
    still = np.asarray(Image.open(tmp_path / "still.png"), float)
    assert psnr(rendered(sketch, tmp_path)[0], still) > 30


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK", "I;16", "I", "F"])
def test_a_picture_of_any_mode_is_filmed(tmp_path: Path, mode: str) -> None:
    source = Image.linear_gradient("L").resize((120, 90))
    picture = source.convert("I").convert("I;16") if mode == "I;16" else source.convert(mode)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.tiff")
    picture.save(path)
    frames = rendered(replace(SMALL, picture=path, seconds=0.1), tmp_path)
    assert frames[0][150:].mean() > frames[0][:30].mean() + 20


def test_a_picture_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    picture = Image.new("RGB", (60, 120), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 60, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    picture.save(tmp_path / "side.jpg", exif=exif)
    sketch = replace(SMALL, picture=tmp_path / "side.jpg", width=120, height=60, seconds=0.1)
    frame = rendered(sketch, tmp_path)[0]
    assert frame[:, 70:].mean() > 240
    assert frame[:, :50].mean() < 15


def test_what_cannot_be_read_or_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    page = tmp_path / "page.png"
    page.write_text("<html>not a picture</html>")
    for sketch in (replace(SMALL, picture=page), replace(SMALL, references=(page,))):
        with pytest.raises(Spoiled, match=r"page\.png as a picture.*Nothing was charged"):
            render_clip(sketch, tmp_path / "clip.mp4")
        with pytest.raises(Spoiled, match=r"page\.png"):
            render_still(sketch, tmp_path / "still.png")
    with pytest.raises(Spoiled, match=r"page\.png is not a playable video.*costs nothing"):
        render_clip(replace(SMALL, source=page), tmp_path / "clip.mp4")
    for render, name in ((render_clip, "clip.mp4"), (render_still, "still.png")):
        with pytest.raises(DiskTrouble, match=r"cannot write .*Nothing was charged"):
            render(replace(SMALL, seconds=0.1), tmp_path / "nowhere" / name)


def test_a_clip_without_a_picture_stream_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "tone.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(Spoiled, match=r"tone\.m4a holds no pictures.*Nothing was charged"):
        render_clip(replace(SMALL, source=path), tmp_path / "clip.mp4")
