"""Every step of a run by name, found in the code itself, and the run ended or interrupted at one.

Nothing of this is in the program: its public functions and methods are wrapped from outside, in
the process that is to die. A point is a step with its turn: `Ledger.opened begins#2`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
import re
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOMS = (
    "ledger", "take", "store", "gateways.wire", "gateways.download", "durable", "production",
    "cuttingroom", "splice",
)  # fmt: skip
# Of the splice, what only reckons: it has steps for every frame and every letter, and changes nothing.
DRAWN = {
    "pictures", "transitions", "typesetting", "typeface", "layout", "lettering", "mix", "voices",
    "palette", "sheet", "encoders",
}  # fmt: skip
CHANGES = re.compile(
    r"(POST .*|GET .*headers|a chunk .*|Database\.(commit|warm|back_up) ends|Rescue\.\w+ ends"
    r"|Path\.\w+ ends|os\.fsync ends|conform\.conform ends)#\d+"
)
TURNS = 60  # of one step that are told apart; polls and the like go on for ever
ORDERS = ("connect_tcp", "send_request_headers", "send_request_body", "receive_response_headers",
          "receive_response_body")  # fmt: skip
QUESTIONS = ("receive_response_headers", "receive_response_body")


class Points:
    """Counts the steps of this process; at `stop` it sends `signals` to itself."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.stop = ""
        self.signals: tuple[int, ...] = (signal.SIGKILL,)
        self.trail: int | None = None
        self._turns: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, step: str) -> None:
        """Note that a step is reached."""
        with self._lock:
            self._turns[step] += 1
            turn = self._turns[step]
        point = f"{step}#{turn}"
        if self.trail is not None and turn <= TURNS:
            os.write(self.trail, f"{point}\n".encode())
        if point == self.stop:
            for number in self.signals:
                os.kill(os.getpid(), number)
            time.sleep(0.02)  # a signal reaches some thread soon; this one is to be here then

    # --- finding the steps ------------------------------------------------------------------------

    def install(self) -> None:
        """Wrap all that is found; to be called once, before anything runs."""
        replaced: dict[int, Any] = {}
        for module in _modules():
            for name, value in list(vars(module).items()):
                if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
                    continue
                if inspect.isfunction(value):
                    short = module.__name__.rpartition(".")[2]
                    replaced[id(value)] = value, self._around(f"{short}.{name}", value)
                elif inspect.isclass(value) and not hasattr(value, "__dataclass_fields__"):
                    self._open_class(value)
        for module in [m for n, m in sys.modules.items() if n.startswith("secondunit")]:
            for name, value in list(vars(module).items()):
                if id(value) in replaced and replaced[id(value)][0] is value:
                    setattr(module, name, replaced[id(value)][1])
        self._open_libraries()

    def _open_class(self, kind: type) -> None:
        for name, value in list(vars(kind).items()):
            if inspect.isfunction(value) and name[0] != "_":
                setattr(kind, name, self._around(f"{kind.__name__}.{name}", value))

    def _around(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        begins, ends = f"{name} begins", f"{name} ends"
        self.names |= {begins, ends}
        if inspect.isgeneratorfunction(inspect.unwrap(inner)) and hasattr(inner, "__wrapped__"):
            self.names |= {f"{name} is open", f"{name} closes"}
            return self._around_block(name, inner)
        if inspect.iscoroutinefunction(inner):

            @functools.wraps(inner)
            async def waited(*args: Any, **named: Any) -> Any:
                self.reach(begins)
                value = await inner(*args, **named)
                self.reach(ends)
                return value

            return waited

        @functools.wraps(inner)
        def called(*args: Any, **named: Any) -> Any:
            self.reach(begins)
            value = inner(*args, **named)
            self.reach(ends)
            return value

        return called

    def _around_block(self, name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def block(*args: Any, **named: Any) -> Iterator[Any]:
            self.reach(f"{name} begins")
            with inner(*args, **named) as value:
                self.reach(f"{name} is open")
                yield value
                self.reach(f"{name} closes")
            self.reach(f"{name} ends")

        return functools.wraps(inner)(block)

    def _open_libraries(self) -> None:
        """See the wire, the names that files get, and what reaches the disk."""
        Path.replace = self._around("Path.replace", Path.replace)  # type: ignore[method-assign]  # from outside
        Path.rename = self._around("Path.rename", Path.rename)  # type: ignore[method-assign]  # from outside
        os.fsync = self._around("os.fsync", os.fsync)
        httpx.Response.aiter_raw = self._each(httpx.Response.aiter_raw)  # type: ignore[method-assign]  # from outside
        trace = httpcore._trace.Trace  # type: ignore[attr-defined]  # where httpx tells of its steps
        inner = trace.__init__

        def init(
            this: Any, name: str, logger: Any, request: Any = None, kwargs: Any = None
        ) -> None:
            inner(this, name, logger, request, kwargs)
            this.step = _wire_step(name, request)

        def left(this: Any, *_: Any) -> None:
            if this.step:
                self.reach(this.step)

        async def aleft(this: Any, *_: Any) -> None:
            left(this)

        trace.__init__, trace.__exit__, trace.__aexit__ = init, left, aleft

    def _each(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def chunks(*args: Any, **named: Any) -> Any:
            async for chunk in inner(*args, **named):
                self.reach("a chunk of media is here")
                yield chunk

        return chunks


def moments(points: list[str]) -> list[str]:
    """Return one point, the last, of each stretch in which nothing leaves the process.

    Wherever in such a stretch a run is killed, what it leaves behind is the same.
    """
    ends = [n for n, point in enumerate(points[1:]) if CHANGES.fullmatch(point)]
    return [points[n] for n in (*ends, len(points) - 1)]


def _modules() -> Iterator[Any]:
    for room in ROOMS:
        module = importlib.import_module(f"secondunit.{room}")
        yield module
        for found in pkgutil.iter_modules(getattr(module, "__path__", []), f"{module.__name__}."):
            if found.name.rpartition(".")[2] not in DRAWN:
                yield importlib.import_module(found.name)


def _wire_step(name: str, request: Any) -> str:
    if request is None:
        return ""
    method, path = request.method.decode(), request.url.target.decode()
    word = next((w for w in path.split("?")[0].split("/") if w and w != "v1"), "")
    wanted = ORDERS if method == "POST" else QUESTIONS
    return f"{method} {word}: {name}" if name in wanted else ""
