"""A PostgreSQL server of the tests' own, on loopback and a socket in its folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from secondunit.errors import SecondUnitError
from secondunit.ledger import Ledger
from secondunit.ledger.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
USER = "unit"
ROOM = 1 << 30  # bytes


def program(name: str) -> str | None:
    """Find a program of the server; Debian keeps them off the path, newest version last."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: int(p.parts[4]))
    return shutil.which(name) or (str(kept[-1]) if kept else None)


@dataclass
class Server:
    """A server with a fresh database for whoever asks."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    options: dict[str, str] = field(default_factory=dict)

    def start(self, **options: str) -> None:
        self.options |= options
        given = [f"--{name}={value}" for name, value in self.options.items()]
        self.process = subprocess.Popen(
            [str(program("postgres")), "-D", self.folder / "data", "-k", self.folder,
             "-h", "127.0.0.1", "-p", str(self.port), "-c", "max_connections=200",
             "-c", "shared_buffers=16MB", *given],
            user=NOBODY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
        )  # fmt: skip
        for _ in range(600):
            try:
                self.ask("SELECT 1", "postgres")
            except psycopg.OperationalError:
                assert self.process.poll() is None, "PostgreSQL ended at once"
                time.sleep(0.05)
            else:
                return
        raise AssertionError("PostgreSQL did not start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, and all connections with it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(how)
        self.process.wait(30)

    def ask(self, statement: str, database: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url(database), autocommit=True) as db:
            answer = db.execute(statement.encode(), values or None)
            return answer.fetchall() if answer.description else []

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """Make a database, and return its address."""
        name = f"d{uuid.uuid4().hex}"
        self.ask(f"CREATE DATABASE {name}", "postgres")
        return self.url(name)

    def emptied(self, url: str) -> str:
        """Forget all orders of a ledger, and return its address."""
        with psycopg.connect(url) as db:
            if db.execute("SELECT to_regclass('secondunit.orders')").fetchone() != (None,):
                for table in ("history", "orders", "holds"):
                    db.execute(f"DELETE FROM secondunit.{table}".encode())
        return url


@contextmanager
def serving() -> Iterator[Server]:
    # a short name, for the socket's sake, where another user may look; in memory, where that is
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    place = memory if roomy and os.access(memory, os.W_OK) else Path("/tmp")
    with tempfile.TemporaryDirectory(prefix="pg-", dir=place) as name:
        folder = Path(name)
        if NOBODY:
            shutil.chown(folder, NOBODY)
        subprocess.run(
            [str(program("initdb")), "-D", folder / "data", "-U", USER, "-A", "trust", "-N",
             "--locale=C", "--encoding=UTF8"],
            user=NOBODY, check=True, stdout=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = Server(folder, port)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)


def opened(url: str, folder: Path, *films: str) -> Ledger:
    """Open the ledger at `url`, with its files in `folder`, and hold some films."""
    ledger = Ledger(folder / "ledger.sqlite", books=Postgres(url))
    try:
        for film in films:
            ledger.hold(film)
    except SecondUnitError:
        ledger.close()
        raise
    return ledger
