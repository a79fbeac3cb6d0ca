"""Sound files of every usual kind are read alike; what is none is one sentence."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from footage import counting, ffmpeg, photograph, pitch, tone

from secondunit.errors import Spoiled
from secondunit.media import probe, sniff
from secondunit.media.recordings import probe_sound, recorded
from secondunit.media.sound import heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = [
    ("wav", ("-c:a", "pcm_u8")), ("wav", ("-c:a", "pcm_s24le")), ("wav", ("-c:a", "pcm_f32le")),
    ("wav", ("-rf64", "always")), ("flac", ()), ("mp3", ()), ("mp3", ("-id3v2_version", "0")),
    ("m4a", ()), ("m4a", ("-c:a", "alac")), ("ogg", ("-c:a", "libvorbis")),
    ("opus", ("-c:a", "libopus")), ("aiff", ()), ("mka", ("-c:a", "flac")),
]  # fmt: skip


def late(layout: str = "stereo", rate: int = 48000) -> str:
    """Name a lavfi source: a second of silence, then a tone of 500 Hz for a second and a half."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    wave = "|".join(["if(gte(t,1),0.25*sin(2*PI*500*t),0)"] * channels)
    return f"aevalsrc='{wave}':s={rate}:c={layout}:d=2.5"


def made(out: Path, source: str, *codec: object) -> Path:
    ffmpeg("-f", "lavfi", "-i", source, *codec, out)
    return out


def together(blocks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(blocks), axis=1)


def begins(sound: np.ndarray) -> int:
    return int(np.argmax(np.abs(sound[0]) > 0.05))


@pytest.mark.parametrize(("kind", "codec"), KINDS)
def test_every_kind_of_file_is_in_its_place(
    tmp_path: Path, kind: str, codec: tuple[str, ...]
) -> None:
    path = made(tmp_path / f"late.{kind}", late(), *codec)
    sound = together(recorded(path, 48000))
    assert abs(begins(sound) - 48000) < 48, "to the millisecond, whatever the encoder put before"
    assert abs(sound.shape[1] - 2.5 * 48000) < 1100
    assert float(probe_sound(path).seconds) == pytest.approx(sound.shape[1] / 48000, abs=1e-3)
    assert abs(pitch(sound[:, 52800:115200].T) - 500) < 2
    assert begins(together(recorded(path, 48000, Fraction(1, 2)))) == begins(sound) - 24000


@pytest.mark.parametrize("rate", [22050, 44100, 96000, 192000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_every_rate_and_layout_becomes_the_films(tmp_path: Path, rate: int, layout: str) -> None:
    path = made(tmp_path / "late.wav", late(layout, rate))
    facts = probe_sound(path)
    assert (facts.sample_rate, facts.channels) == (rate, {"mono": 1, "stereo": 2, "5.1": 6}[layout])
    sound = together(recorded(path, 48000))
    assert abs(sound.shape[1] - 120000) <= 1
    assert abs(begins(sound) - 48000) < 48
    loud = np.sqrt((sound[:, 52800:115200] ** 2).mean(axis=1))
    # one channel keeps its power; of six, one side hears itself, the middle and what is behind
    wanted = {"mono": 0.125, "stereo": 0.177, "5.1": 0.427}[layout]
    assert loud == pytest.approx([wanted, wanted], rel=0.03)


def test_a_file_that_changes_half_way_is_read_on(tmp_path: Path) -> None:
    """Two chained Ogg streams, as a recorder that was switched leaves them."""
    parts = [
        made(tmp_path / f"{layout}.ogg", tone(500, 1, 48000, layout), "-c:a", "libvorbis")
        for layout in ("stereo", "mono")
    ]
    path = tmp_path / "both.ogg"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    try:
        sound = together(recorded(path, 48000))
    except Spoiled:
        return  # it may be refused, in a sentence; it may not be read wrongly
    assert abs(pitch(sound.T) - 500) < 2


# What is none


def test_what_is_no_sound_is_one_sentence(tmp_path: Path) -> None:
    wav = made(tmp_path / "whole.wav", tone(500, 1)).read_bytes()
    silent = counting(tmp_path / "silent.mp4", frames=5)
    files = {
        "page.mp3": b"<!doctype html><p>404",
        "list.m3u8": b"#EXTM3U\nhttp://127.0.0.1/a.ts",
        "empty.wav": b"",
        "noise.mp3": bytes(np.random.default_rng(3).integers(0, 250, 5000, np.uint8)),
        "photo.wav": photograph("astronaut.png").read_bytes(),
        "cut.wav": wav[: len(wav) // 2],
        "head.wav": wav[:30],
        "head.flac": b"fLaC" + bytes(60),
        "head.ogg": b"OggS" + bytes(60),
        "head.mp3": b"ID3\4\0\0\0\0\0\0",
        "film.mp4": silent.read_bytes(),
        "none.wav": wav[:4] + (36).to_bytes(4, "little") + wav[8:40] + bytes(4),
    }
    for name, data in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(
            Spoiled, match=r"is not a playable sound file: .*costs nothing\."
        ) as bad:
            probe_sound(path)
        assert name in str(bad.value)
        assert "\n" not in str(bad.value)
    with pytest.raises(Spoiled, match="there is no such file"):
        probe_sound(tmp_path / "nowhere.wav")
    with pytest.raises(Spoiled, match="it cannot be read"):
        probe_sound(tmp_path)


def test_a_sound_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    wav = bytearray(made(tmp_path / "whole.wav", tone(500, 1), "-bitexact").read_bytes())
    channels, rate = tmp_path / "channels.wav", tmp_path / "rate.wav"
    channels.write_bytes(wav[:22] + (200).to_bytes(2, "little") + wav[24:])
    rate.write_bytes(wav[:24] + (2_000_000_000).to_bytes(4, "little") + wav[28:])
    for path in (channels, rate):
        with pytest.raises(Spoiled, match="is not a playable sound file"):
            probe_sound(path)


def test_a_coding_that_nobody_uses_for_sound_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "old.wav", tone(500, 1, 44100), "-c:a", "wmav2")
    with pytest.raises(Spoiled, match="coded as wmav2"):
        probe_sound(path)


def test_a_playlist_in_disguise_is_not_followed(tmp_path: Path) -> None:
    other = made(tmp_path / "other.wav", tone(500, 1))
    path = tmp_path / "music.wav"
    path.write_text(f"ffconcat version 1.0\nfile '{other}'\n")
    with pytest.raises(Spoiled, match="never followed"):
        probe_sound(path)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF\0\0\0\0WAVE", "wav"), (b"RF64\xff\xff\xff\xffWAVE", "wav"), (b"fLaC\0", "flac"),
        (b"OggS\0", "ogg"), (b"ID3\3", "mp3"), (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x40\xc4", "mp3"), (b"FORM\0\0\0\0AIFF", "aiff"), (b"FORM\0\0\0\0AIFC", "aiff"),
        (b"\xff\xfe<\0h\0", "other"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"\xff\xfb\xf0\x64", "other"),
        (b"RIFF\0\0\0\0AVI ", "other"), (b"\xff\xfb", "other"),
    ],
)  # fmt: skip
def test_sounds_are_told_by_their_first_bytes(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


# Speed


@pytest.mark.parametrize("speed", ["1/4", "1/2", "4/5", "3/2", "2", "4"])
def test_another_speed_keeps_the_pitch_and_the_place(tmp_path: Path, speed: str) -> None:
    pace = Fraction(speed)
    path = counting(tmp_path / "clip.mp4", frames=60, sound=late())
    length = int(60 / pace / 24 * 48000)
    sound = together(heard(path, probe(path), 48000, samples=length, speed=pace))
    assert sound.shape == (2, length)
    at = begins(sound)
    # what is stretched is played in pieces of 40 ms, some of them twice
    assert abs(at - 48000 / pace) < 0.03 * 48000 * max(1, 1 / pace)
    tail = sound[:, at + 2000 : int(2.45 / pace * 48000)]
    assert abs(pitch(tail.T) - 500) < 500 * 0.01 + 48000 / tail.shape[1]
    assert np.sqrt((tail**2).mean()) == pytest.approx(0.177, rel=0.1)


def test_a_part_at_another_speed_begins_where_it_was_asked_for(tmp_path: Path) -> None:
    path = counting(tmp_path / "clip.mp4", frames=60, sound=late())
    facts = probe(path)
    sound = together(
        heard(path, facts, 48000, since=Fraction(1, 2), samples=24000, speed=Fraction(2))
    )
    assert abs(begins(sound) - 12000) < 0.025 * 48000


def test_a_clip_without_sound_is_silent_at_any_speed(tmp_path: Path) -> None:
    path = counting(tmp_path / "clip.mp4", frames=5)
    sound = together(heard(path, probe(path), 48000, samples=5000, speed=Fraction(2)))
    assert sound.shape == (2, 5000)
    assert not sound.any()


def test_every_sound_file_is_closed_again(tmp_path: Path) -> None:
    path = made(tmp_path / "late.flac", late())
    blocks = recorded(path, 48000)
    next(blocks)
    blocks.close()
    path.unlink()
    with av.open(str(made(path, tone(100, 1)))) as again:
        assert again.streams.audio
