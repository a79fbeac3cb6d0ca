"""A temporary Prefect server in a process of its own, which ends when the run that started it ends.

Run as a program, by its file's name so that it loads nothing of this package: it tells the
server's address on its standard output and serves until its standard input is closed, which the
kernel does however the run ends. In a session of its own it does not hear the Ctrl-C that stops
the run, so that the run can still tell it how it ended.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Serve until standard input ends."""
    told = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        _serve(told.write, told.close)
    except Exception as error:  # noqa: BLE001  told to the run, which says it
        told.write(f"{error}\n")


def _serve(tell: Callable[[str], object], done: Callable[[], object]) -> None:
    import uvicorn
    from prefect.server.api.server import create_app

    here = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    here.bind(("127.0.0.1", 0))
    app = create_app(ephemeral=True, final=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))

    def announce() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.02)
        tell(f"http://127.0.0.1:{here.getsockname()[1]}/api\n")
        done()

    def follow() -> None:
        sys.stdin.read()
        server.should_exit = True

    for watch in (announce, follow):
        threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[here])


if __name__ == "__main__":
    main()
