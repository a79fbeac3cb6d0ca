"""A browser plays what is delivered for browsers, and finds any frame of it."""

from __future__ import annotations

import base64
import io
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser import browsing
from footage import counting, spelt, tone
from PIL import Image
from splicing import joined
from test_encoders import reel_of

from secondunit.cut import Profile
from secondunit.cut.edit import Deliverable
from secondunit.media import probe
from secondunit.splice import Segment
from secondunit.splice.chapters import About
from secondunit.splice.encoders import ENDINGS, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser import Page

SEEN = (0, 30, 17, 35, 3, 18)
"""Frames that are sought, back and forth, at the chapter's beginning and just before."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("browser"), 400, 300) as page:
        yield page


def frames(page: Page, film: Path) -> list[int]:
    """Have a film seek frames, and read what they spell."""
    html = film.with_suffix(".html")
    style = "<style>body { margin: 0 } video { display: block }</style>"
    html.write_text(f'{style}<video muted preload="auto" src="{film.name}"></video>')
    page.open(html.as_uri())
    page.until("document.querySelector('video')?.readyState >= 2")
    found = []
    for frame in SEEN:
        page.run(
            "window.there = false; (v => { v.requestVideoFrameCallback(() => requestAnimationFrame("
            "() => requestAnimationFrame(() => { window.there = true })));"
            f" v.currentTime = {(frame + 0.5) / 24} }})(document.querySelector('video'))"
        )
        page.until("window.there")
        shot = base64.b64decode(page.call("Page.captureScreenshot")["data"])
        with Image.open(io.BytesIO(shot)) as picture:
            found.append(int(spelt(np.asarray(picture.convert("L"))[:90, :160])))
    return found


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("kind", ["film", "h264", "vp9", "av1"])
def test_a_browser_finds_every_frame(page: Page, tmp_path: Path, kind: str) -> None:
    """In a film with chapters and their track of text, too, which nobody has to see."""
    clip = counting(tmp_path / "clip.mp4", size="160x90", frames=36, sound=tone(500, 1.5))
    out = tmp_path / f"{kind}.{ENDINGS.get(kind, 'mp4')}"
    if kind == "film":
        segment = Segment("one", clip, probe(clip))
        joined([segment], Profile(160, 90, segment.facts.fps), out, About("Ström"))
    else:
        encode(reel_of(clip), Deliverable(kind, kind), out)  # type: ignore[arg-type]  # one of the kinds
    assert frames(page, out) == list(SEEN)
    assert abs(page.run("document.querySelector('video').duration") - 1.5) < 0.03
    assert page.run("document.querySelector('video').textTracks.length") == 0
