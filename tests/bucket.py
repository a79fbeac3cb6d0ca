"""A server that speaks S3, on loopback: moto's, a process of its own."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "studio"
KEY, SECRET = "test-access-key", "secret/of+forty/characters/as/AWS/makes/them"


def environment(endpoint: str, folder: Path) -> dict[str, str]:
    """Return what botocore needs to be told, and keeps it from whatever lies in the user's home."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }


@contextmanager
def serving() -> Iterator[str]:
    """Start the server with an empty bucket in it; yields its address."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    pytest.importorskip("moto.moto_server", reason="moto's server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    endpoint = f"http://127.0.0.1:{port}"
    make = urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT")
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(make, timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, "the S3 server ended at once"
                time.sleep(0.25)
        yield endpoint
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def refusing(code: str, status: int = 403) -> Iterator[str]:
    """Start a server that answers every request with one of S3's errors; yields its address."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        def refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            page = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page)

        do_GET = do_HEAD = do_PUT = do_POST = refuse  # noqa: N815  http.server's names

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
