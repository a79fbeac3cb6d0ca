"""A headless Chromium that tests look at pages with, driven by its own protocol."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --disable-sync"
    " --disable-background-networking --disable-component-update --remote-debugging-port=0"
)
PROGRAM = "/usr/bin/chromium"


class Page:
    """One page: open an address, click what has a text, type, and take a picture of it."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._number = itertools.count(1)

    def call(self, method: str, **given: Any) -> Any:
        number = next(self._number)
        self._wire.send(json.dumps({"id": number, "method": method, "params": given}))
        while (answer := json.loads(self._wire.recv(timeout=60))).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url: str) -> None:
        """Go to an address; its scripts have run once this returns."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait for a script to give something that is true; return it."""
        deadline = time.monotonic() + 90
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"never: {script}"
            time.sleep(0.2)
        return found

    def click(self, text: str, kind: str = "button") -> None:
        """Click the last element of a kind with that text."""
        find = (
            f"[...document.querySelectorAll({kind!r})]"
            f".filter(e => e.innerText.trim() === {text!r}).at(-1)"
        )
        place = (
            f"(() => {{const e = {find}; if (!e) return null; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]})()"
        )
        before = None
        while before != (found := self.until(place)):  # what is still moving would be missed
            before = found
            time.sleep(0.3)
        self.press(*found)

    def press(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def picture(self, out: Path) -> Path:
        out.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        return out


@contextmanager
def browsing(profile: Path, width: int = 1280, height: int = 1000) -> Iterator[Page]:
    """Have a page in a browser of its own."""
    process = subprocess.Popen(
        [PROGRAM, *FLAGS.split(), f"--user-data-dir={profile}", f"--window-size={width},{height}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with connect(_address(profile, process), max_size=None) as wire:
            page = Page(wire)
            page.call("Page.enable")
            yield page
    finally:
        process.terminate()
        process.wait(30)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    while not told.exists() or "\n" not in told.read_text():
        assert process.poll() is None, "Chromium ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    port = told.read_text().split("\n")[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as listed:
        pages = json.load(listed)
    return str(next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page"))
