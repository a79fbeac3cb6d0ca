"""Children that end with their parent, even when it is killed and can tell nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading


def follow_parent() -> None:
    """In a worker process: end at once when the parent is gone; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def guard(pid: int) -> subprocess.Popen[bytes]:
    """Watch over child `pid`: it is ended when this process ends, however that happens.

    A small shell holds the other end of a pipe; when the kernel closes ours, it ends the child.
    Close the returned process's `stdin` to end the child early.
    """
    return subprocess.Popen(  # noqa: S603  fixed words and a number
        ["/bin/sh", "-c", 'cat >/dev/null; kill "$0" 2>/dev/null', str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
