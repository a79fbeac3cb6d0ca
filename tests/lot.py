"""What tests of the backlot share: a client, an order to send, and eyes on its books."""

from __future__ import annotations

import base64
import io
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import httpx
import numpy as np
from PIL import Image

from secondunit.backlot import Rules
from secondunit.media import h264

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Rules(latency=(0, 0), render="tiny")
SLOW = Rules(latency=(30, 30), render="tiny")
REAL_KEY = "key_" + "0f1e2d3c4b5a6978" * 7 + "0123456789abcdef"
HEADERS = {"authorization": "Bearer backlot", "x-runway-version": "2024-11-06"}
TEXT = {"model": "gen4.5", "promptText": "A door opens.", "ratio": "1280:720", "duration": 2}


def client(url: str, **headers: str) -> httpx.Client:
    # verify=False saves reading the certificates that plain http has no use for: 70 ms a client.
    return httpx.Client(base_url=url, headers={**HEADERS, **headers}, verify=False)


def fetch(link: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask for a link as a stranger would: no key, no connection kept."""
    with httpx.Client(verify=False) as http:
        return http.request(method, link, headers=headers)


def order(api: httpx.Client, body: dict[str, Any] = TEXT, endpoint: str = "text_to_video") -> str:
    answer = api.post(f"/v1/{endpoint}", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def task(api: httpx.Client, id_: str) -> dict[str, Any]:
    return dict(api.get(f"/v1/tasks/{id_}").json())


def ended(api: httpx.Client, id_: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (facts := task(api, id_))["status"] not in ("SUCCEEDED", "FAILED", "CANCELLED"):
        assert time.monotonic() < deadline, facts
        time.sleep(0.02)
    return facts


def ledger(api: httpx.Client) -> dict[str, Any]:
    return dict(api.get("/backlot/ledger").json())


def costs(api: httpx.Client) -> dict[str, int]:
    return {entry["id"]: entry["cost"] for entry in ledger(api)["tasks"]}


def statuses(api: httpx.Client) -> list[str]:
    return [entry["status"] for entry in ledger(api)["tasks"]]


def picture(width: int = 96, height: int = 64, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, kind)
    return out.getvalue()


def footage(
    path: Path, seconds: float = 2.0, size: tuple[int, int] = (96, 64), fps: int = 24
) -> bytes:
    with av.open(str(path), "w", format="mp4") as container:
        stream = h264.open_stream(container, *size, Fraction(fps))
        for number in range(round(seconds * fps)):
            grey = np.full((size[1], size[0], 3), number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "rgb24").reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def data_uri(data: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def image_order(uri: str, **more: Any) -> dict[str, Any]:
    return {"model": "gen4_turbo", "promptImage": uri, "ratio": "1280:720", "duration": 2, **more}


def edit(uri: str, **more: Any) -> dict[str, Any]:
    return {"model": "aleph2", "videoUri": uri, "promptText": "Make it night.", **more}


def clip_facts(data: bytes) -> tuple[int, int, int, float]:
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames = [(frame.width, frame.height) for frame in container.decode(stream)]
        return *frames[0], len(frames), float(stream.average_rate or 0)
