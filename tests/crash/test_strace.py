"""The kernel fails the run: killed, or told that the disk is full or broken, at the k-th system call."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bill import bill
from recovery import failures, goes_on
from scene import TAKES

if TYPE_CHECKING:
    from recovery import Crash
    from scene import Ended, Scene

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: apt-get install strace"
)

DISK = ("pwrite64", "fdatasync", "fsync", "write", "rename", "unlink", "ftruncate")
# An error at a send would hit the event loop's own sockets too, which never fail in life.
WIRE = ("sendto", "connect")
CALL = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")
BACK = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")


def traced(scene: Scene, *options: str, since: str = "") -> Ended:
    """Run the command with strace looking on, from its first step or from the point `since`."""
    gate = scene.folder / "gate"
    if not gate.exists():
        os.mkfifo(gate)
    pid = scene.start(gate=str(gate), stop=since, signals=[signal.SIGSTOP])
    if since:
        gate.write_text("go")
        _until_stopped(pid)
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True
    )
    with strace:
        assert strace.stderr is not None
        told = strace.stderr.readline()
        assert "attached" in told, told
        os.kill(pid, signal.SIGCONT) if since else gate.write_text("go")
        ended = scene.wait()
        strace.stderr.read()
    return ended


def _until_stopped(pid: int) -> None:
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(3000):
        if stat.read_text().rpartition(")")[2].split()[0] == "T":
            return
        time.sleep(0.01)
    raise AssertionError("the point was never reached")


def injected(call: str, what: str, since: str = "") -> Crash:
    """Describe a run whose system calls of one name are harmed."""
    rule = ("-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{what}")
    return lambda scene: traced(scene, *rule, since=since)


def calls(scene: Scene, *names: str) -> list[tuple[str, str, str]]:
    """Run once, and return thread, name and text of each system call, whole, as it began."""
    scene.wipe()
    log = scene.folder / "calls"
    ended = traced(scene, "-yy", "-s", "40", "-o", str(log), "-e", f"trace={','.join(names)}")
    assert ended.code == 0, ended
    return list(_lines(log))


def _lines(log: Path) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for line in log.read_text("utf-8", "replace").splitlines():
        if call := CALL.match(line):
            found.append((call["thread"], call["name"], call["rest"]))
        elif back := BACK.match(line):
            found.append((back["thread"], f"{back['name']} returns", back["rest"]))
    return found


@pytest.fixture(scope="module")
def trials(scene: Scene) -> list[tuple[str, Crash]]:
    """Every call of the run, by its turn in its thread, with every way to harm it."""
    counts = Counter((thread, name) for thread, name, _ in calls(scene, *DISK, *WIRE))
    most: Counter[str] = Counter()
    for (_, name), count in counts.items():
        most[name] = max(most[name], count)
    found = [(name, f"signal=KILL:when={k}") for name in (*DISK, *WIRE)
             for k in range(1, most[name] + 1)]  # fmt: skip
    found += [
        (name, f"error={error}:when={k}{until}")
        for name in DISK for k in range(1, most[name] + 1)
        for error in ("EIO", "ENOSPC") for until in ("", "+")
    ]  # fmt: skip
    return [(f"{name} {what}", injected(name, what)) for name, what in found]


LONG = [pytest.mark.long, pytest.mark.timeout(1200)]
SAMPLE = [pytest.param(14, id="a sample"), pytest.param(160, id="160", marks=LONG)]


@pytest.mark.parametrize("count", SAMPLE)
@pytest.mark.covers("E5")
def test_whatever_the_kernel_does_nothing_is_lost(
    scene: Scene, trials: list[tuple[str, Crash]], count: int
) -> None:
    """Killed at, and refused at, any call that writes, syncs, renames, sends or connects."""
    chosen = random.Random(count).sample(trials, min(count, len(trials)))
    deadly, before = sum("KILL" in name for name, _ in chosen), scene.deaths
    assert failures(scene, {name: [crash] for name, crash in chosen}) == {}
    assert scene.deaths - before >= 0.8 * deadly


@pytest.mark.covers("E1")
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_nothing_is_ordered_where_nothing_can_be_written(scene: Scene, error: str) -> None:
    """From the start of a run, and from the moment its first order is to be written down."""
    for since in ("", "Ledger.intend begins#1"):
        scene.wipe()
        ended = injected("pwrite64", f"error={error}:when=1+", since)(scene)
        assert ended.code == 74, ended
        assert scene.oracle.charged() == []
    assert goes_on(scene, "--attach") == []
    assert len(bill(scene).charged) == TAKES


@pytest.mark.covers("E2", "E5")
@pytest.mark.parametrize(
    ("call", "error"), [("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO")]
)
def test_a_ticket_that_does_not_fit_the_ledger_is_rescued(
    scene: Scene, call: str, error: str
) -> None:
    """The next run takes it from the rescue file, and nobody has to decide anything."""
    scene.wipe()
    ended = injected(call, f"error={error}:when=1", "Ledger.opened begins#2")(scene)
    assert ended.code == 74, ended
    assert "rescue" in ended.said, ended.said
    assert bill(scene).doubts != []
    again = scene.shoot()
    assert again.code == 0, again
    assert len(bill(scene).charged) == TAKES
    assert bill(scene).problems() == []


@pytest.mark.covers("E2")
def test_a_ticket_that_fits_nowhere_is_printed(scene: Scene) -> None:
    scene.wipe()
    ended = injected("pwrite64", "error=ENOSPC:when=1+", "Ledger.opened begins#2")(scene)
    assert ended.code == 74, ended
    (order,) = bill(scene).doubts
    assert f"RESCUE shot='{order['shot']}' ticket={bill(scene).ticket_of(order)}" in ended.said
    assert goes_on(scene, "--attach") == []
    assert len(bill(scene).charged) == TAKES


@pytest.mark.covers("A15")
def test_what_counts_is_on_the_disk_before_the_next_step(scene: Scene) -> None:
    """Each order's intent before its first byte; each file before its name, then the folder."""
    seen = calls(scene, "pwrite64", "fdatasync", "fsync", "rename", "sendto", "write")
    assert _unsynced_orders(seen) == []
    assert _unsynced_names(seen) == []


def _unsynced_orders(seen: list[tuple[str, str, str]]) -> list[str]:
    """Return the orders whose thread had written to the ledger and not yet synced."""
    wrong, orders = [], 0
    for number, (thread, name, text) in enumerate(seen):
        if name == "sendto" and re.search(r'"POST /v1/(text_to|image_to)', text):
            orders += 1
            before = [c for c in seen[:number] if c[0] == thread and "ledger.sqlite" in c[2]]
            written = [n for n, c in enumerate(before) if c[1] == "pwrite64"]
            if not written or not any(c[1] == "fdatasync" for c in before[written[-1] :]):
                wrong.append(text)
    assert orders == 4
    return wrong


def _unsynced_names(seen: list[tuple[str, str, str]]) -> list[str]:
    """Return the files that got a name before they, or without that their folder, were synced."""
    wrong, whole, renamed = [], set[str](), 0
    for number, (_, name, text) in enumerate(seen):
        path = re.match(r"\d+<([^>]*)>", text)
        if path and name in {"write", "pwrite64"}:
            whole.discard(path[1])
        elif path and name in {"fsync", "fdatasync"}:
            whole.add(path[1])
        elif name == "rename":
            old, new = re.findall(r'"([^"]*)"', text)[:2]
            renamed += 1
            folder = new.rpartition("/")[0]
            later = partial(_is_sync_of, folder)
            if old not in whole or not any(map(later, seen[number:])):
                wrong.append(text)
            whole.add(new)
    assert renamed >= 15
    return wrong


def _is_sync_of(folder: str, call: tuple[str, str, str]) -> bool:
    return call[1] in {"fsync", "fdatasync"} and f"<{folder}>" in call[2]
