"""A wire to a server that can be cut, or answer for it, while programs talk over it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
SILENCE = b""


class Relay:
    """Passes bytes between programs and the server at `upstream`, until it is told otherwise."""

    def __init__(self, upstream: str) -> None:
        """Listen on a port of its own."""
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "", address.port or 80)
        self._answer: bytes | None = None
        self._ends: list[socket.socket] = []
        self._door = self._open(0)
        self._port = self._door.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}{address.path}"

    def cut(self) -> None:
        """End every connection; from now on nobody listens."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._hang_up()

    def mend(self) -> None:
        """Listen again where it was cut."""
        self._door = self._open(self._port)

    def answer(self, raw: bytes) -> None:
        """End every connection; from now on answer each request with `raw`, or not at all."""
        self._answer = raw
        self._hang_up()

    def _hang_up(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends = []

    def _open(self, port: int) -> socket.socket:
        door = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._listen, args=(door,), daemon=True).start()
        return door

    def _listen(self, door: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = door.accept()
                self._ends.append(near)
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            if self._answer is not None:
                while near.recv(65536) and not self._answer:
                    pass
                near.sendall(self._answer)
                return
            with socket.create_connection(self._upstream) as far:
                self._ends.append(far)
                back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
                back.start()
                _pass_on(near, far)
                back.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


@contextmanager
def relaying(upstream: str) -> Iterator[Relay]:
    """Relay for the length of a block."""
    relay = Relay(upstream)
    try:
        yield relay
    finally:
        relay.cut()
