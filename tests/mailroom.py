"""Servers on this machine that somebody is told through: a post box over HTTP, and one for mail."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path


@dataclass
class Letter:
    """One request that arrived."""

    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def page(self) -> Any:
        """Its content, which is JSON."""
        return json.loads(self.content)


@dataclass
class Box:
    """Keeps what is posted; answers with `answers` in turn, the last one for ever.

    A status, or the address to redirect to. While `open` is not set nobody is answered.
    """

    answers: list[int | str] = field(default_factory=lambda: [200])
    letters: list[Letter] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    busy: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self) -> int | str:
        """Return how the next letter is answered."""
        self.busy.set()
        self.open.wait(60)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def box(*answers: int | str, shut: bool = False) -> Iterator[Box]:
    """Run a post box; a `shut` one takes letters and does not answer."""
    kept = Box(list(answers) or [200])
    if not shut:
        kept.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            named = {name.lower(): value for name, value in self.headers.items()}
            kept.letters.append(Letter(self.path, named, content))
            answer = kept.answer()
            self.send_response(302 if isinstance(answer, str) else answer)
            if isinstance(answer, str):
                self.send_header("Location", answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kept
    finally:
        kept.open.set()
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """Keeps what is mailed, with its envelope; `answers` are given in turn, then all is taken."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[tuple[bytes, bytes, bool]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        """Take a mail."""
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]  # what this policy makes
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 OK"

    def let_in(self, _server: Any, session: Any, *given: Any) -> AuthResult:
        """Let everybody in, and note with what and whether under TLS."""
        login = given[-1]
        self.logins.append((login.login, login.password, session.ssl is not None))
        return AuthResult(success=True)


@contextmanager
def mailbox(
    *answers: str, tls: ssl.SSLContext | None = None, at_once: bool = False
) -> Iterator[Mailbox]:
    """Run a mail server; with `tls` it wants TLS, perhaps from the first byte, and a log-in."""
    kept = Mailbox(answers=list(answers))
    strict: dict[str, Any] = {}
    if tls and at_once:
        strict = {"ssl_context": tls, "auth_require_tls": False}
    elif tls:
        strict = {"tls_context": tls, "require_starttls": True, "auth_required": True}
    if tls:
        strict["authenticator"] = kept.let_in
    server = Controller(kept, hostname="127.0.0.1", port=_free_port(), **strict)
    server.start()
    kept.port = server.port
    try:
        yield kept
    finally:
        server.stop()


def _free_port() -> int:
    """Return a free port; aiosmtpd 1.4 looks for its own server at the port it was given."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as here:
        return int(here.getsockname()[1])


def certificate(path: Path) -> Path:
    """Write a key and a certificate for this machine that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, *bare) + made.public_bytes(pem))
    return path
