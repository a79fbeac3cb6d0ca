"""Signed links to outputs that expire, in the manner of a JWT: whoever has one may download."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qs, urlsplit

_HEADER = {"alg": "HS256", "typ": "JWT"}


class Links:
    """Makes and checks the links of one home."""

    def __init__(self, secret: bytes, seconds: float) -> None:
        self._secret, self._seconds = secret, seconds

    def sign(self, base: str, path: str) -> str:
        """Return the URL of `path` at `base`, good for as long as the rules say."""
        claims = {"path": path, "exp": time.time() + self._seconds}
        message = f"{_coded(json.dumps(_HEADER))}.{_coded(json.dumps(claims))}"
        return f"{base}{path}?_jwt={message}.{self._signature(message)}"

    def valid(self, path: str, query: str) -> bool:
        """Tell whether the query of a URL opens `path`, and still does."""
        token = parse_qs(query).get("_jwt", [""])[0]
        message, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(message).encode()):
            return False
        claims = json.loads(base64.urlsafe_b64decode(message.partition(".")[2] + "=="))
        return bool(claims["path"] == path and time.time() < claims["exp"])

    def path(self, base: str, url: str) -> str | None:
        """Return the path of a URL that this home signed at `base`, or None."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" != base or not self.valid(parts.path, parts.query):
            return None
        return parts.path

    def token(self, name: str) -> str:
        """Return the pass for an upload slot."""
        return self._signature(f"slot:{name}")

    def opens(self, name: str, token: str) -> bool:
        """Tell whether a pass is the one for this slot."""
        return hmac.compare_digest(token.encode(), self.token(name).encode())

    def _signature(self, message: str) -> str:
        return _coded(hmac.digest(self._secret, message.encode(), hashlib.sha256))


def _coded(data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
