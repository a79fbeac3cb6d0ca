"""A temporary Prefect server in a process of its own, which ends when the run that started it ends.

Run as a program: it tells the server's address on its standard output and keeps the server until
its standard input is closed, which the kernel does however the run ends. In a session of its own
it does not hear the Ctrl-C that stops the run, so that the run can still tell it how it ended.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Serve until standard input ends; return the exit code."""
    told = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    try:
        server.start()
    except Exception as error:  # noqa: BLE001  told to the run, which says it
        told.write(f"{error}\n")
        return 1
    told.write(f"{server.api_url}\n")
    told.close()
    sys.stdin.read()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
