"""The pictures and videos of an order, as the gateway takes them: inline, or lent to it for a day."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secondunit import media
from secondunit.catalog import fits_inline
from secondunit.durable import disk_trouble, opened_regular, scratch
from secondunit.errors import ShotError, UsageError
from secondunit.plan import File, Link, Made, fill
from secondunit.plan.assets import BadAsset

if TYPE_CHECKING:
    from secondunit.plan import Input, Plan, Request, Step
    from secondunit.ports import Gateway, Watcher
    from secondunit.store import Store, Take

LENT = 23 * 3600.0  # seconds; an upload is good for 24 hours (runwayml 5.24.0, uploads)
MIME = {".png": "image/png", ".jpeg": "image/jpeg", ".webp": "image/webp"}


class Inputs:
    """Fills in the inputs of orders; what was lent to the gateway once is not sent again."""

    def __init__(self, plan: Plan, gateway: Gateway, store: Store, watcher: Watcher) -> None:
        """Find what other steps of `plan` made in `store`."""
        self.plan = plan
        self.gateway = gateway
        self.store = store
        self.watcher = watcher
        self._lent: dict[str, tuple[str, float]] = {}  # by hash: URI, and until when it is good

    async def body(self, step: Step, request: Request) -> dict[str, Any]:
        """Return the body as it is sent, with a URI wherever the plan has an input."""
        uris: dict[Input, str] = {}
        for given in request.inputs():
            if given not in uris:
                uris[given] = await self._uri(step, given)
        body: dict[str, Any] = fill(request.body, uris.__getitem__)
        return body

    async def _uri(self, step: Step, given: Input) -> str:
        if isinstance(given, Link):
            return given.url
        data, name, mime = await asyncio.to_thread(self._bytes, given)
        if fits_inline(len(data), limit=self.gateway.inline_limit):
            return f"data:{mime};base64,{base64.b64encode(data).decode()}"
        digest = hashlib.sha256(data).hexdigest()
        uri, until = self._lent.get(digest, ("", 0.0))
        if time.monotonic() >= until:
            self.watcher.saw(step.shot, "uploading", name)
            uri = await self.gateway.upload(data, name, mime)
            self._lent[digest] = uri, time.monotonic() + LENT
        return uri

    def _bytes(self, given: File | Made) -> tuple[bytes, str, str]:
        try:
            if isinstance(given, File):
                return given.asset.data(), given.asset.path.name, given.asset.mime
            return self._made(given)
        except BadAsset as error:
            raise UsageError(f"{error} Nothing was ordered for this shot.") from None
        except OSError as error:
            what = (
                given.asset.path.name
                if isinstance(given, File)
                else f"What {self.plan.step(given.key).shot} made"
            )
            raise UsageError(
                f"{what} cannot be read ({error.strerror}). Nothing was ordered for this shot."
            ) from None

    def _made(self, given: Made) -> tuple[bytes, str, str]:
        """Read what another step made, or the frame of it that is wanted, as it was verified."""
        step = self.plan.step(given.key)
        if step.own:
            data, name = step.own.data(), step.own.path.name
        elif take := self.store.get(given.key):
            data, name = _unchanged(take), take.path.name
        else:
            raise ShotError(f"{step.shot} is not in the store any more. Run again.")
        if given.part in {"clip", "still"}:
            return data, name, MIME.get(Path(name).suffix, "video/mp4")
        # taken anew each time, and from those very bytes: a file that is left could be anybody's
        folder = self.store.incoming(given.key, "").parent
        with (
            disk_trouble(folder),
            scratch(folder, Path(name).suffix) as clip,
            scratch(folder, ".png") as frame,
        ):
            clip.write_bytes(data)
            if given.part == "last":
                media.last_frame(clip, frame)
            else:
                media.frame_at(clip, 0, frame)
            return frame.read_bytes(), f"{given.part}.png", "image/png"


def _unchanged(take: Take) -> bytes:
    """Read a take's file, and see that it still is what was kept. Raises OSError, ShotError."""
    with opened_regular(take.path, follow=False) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != take.sha256:
        raise ShotError(f"{take.path} changed while it was read. Nothing was ordered. Run again.")
    return data
