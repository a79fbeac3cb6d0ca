"""Pictures and clips of any size and length, made once and handed out by stand-ins."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

from footage import TV709, counting, ffmpeg
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def reel(folder: Path) -> Callable[[str, tuple[int, int], float], bytes]:
    """Return a maker of media: a `still` or a `clip`, its size in pixels, its length in seconds."""

    @cache
    def make(kind: str, size: tuple[int, int], seconds: float) -> bytes:
        if kind == "still":
            return picture(size)
        name = folder / f"{size[0]}x{size[1]}-{seconds}.mp4"
        codec = ("-c:v", "libx264", "-preset", "ultrafast")
        counting(name, *codec, size=f"{size[0]}x{size[1]}", frames=round(24 * seconds))
        return name.read_bytes()

    return make


def picture(size: tuple[int, int]) -> bytes:
    """Make a PNG."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "PNG")
    return out.getvalue()


def large_clip(out: Path) -> Path:
    """Make a clip of 2 s that is too large to be sent inline."""
    noise = f"testsrc2=s=1280x720:r=24:d=2,noise=alls=25:allf=t,format=yuv420p,setsar=1,{TV709}"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-qp", 36, out)
    return out
