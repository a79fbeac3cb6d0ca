"""Bounds for a blocking request: how long it may take in all, and how much of its answer is read."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ANSWER_LIMIT = 8 << 20  # bytes of any answer that is not media; no more is read


def first_bytes(chunks: Iterator[bytes]) -> bytes:
    """Read an answer that is not media; no more of it than makes sense."""
    content = b""
    for chunk in chunks:
        content += chunk
        if len(content) > ANSWER_LIMIT:
            break
    return content


@contextmanager
def bounded(seconds: float) -> Iterator[Any]:
    """Give a trace for a request of httpx, whose connection is cut after so many seconds.

    A server that sends one byte a minute would otherwise keep the lane for ever.
    """
    streams: list[Any] = []

    def trace(event: str, facts: Mapping[str, Any]) -> None:
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            streams.append(facts["return_value"])

    def cut() -> None:
        with suppress(OSError, IndexError, AttributeError):
            streams[-1].get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()
