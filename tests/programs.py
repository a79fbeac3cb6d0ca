"""Where the programs are that tests start, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent


def killed_writing(folder: Path, code: str, *args: object) -> None:
    """Kill a Python program once it writes into `folder`; what it leaves there looks two hours old."""
    worker = subprocess.Popen([sys.executable, "-c", code, *map(str, args)])
    while not (parts := list(folder.glob(".part-*"))) and worker.poll() is None:
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL, "it was killed in the middle"
    long_ago = time.time() - 2 * 3600
    os.utime(parts[0], (long_ago, long_ago))
