"""Where a ledger lies that several machines share, as the user's settings say it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

SECRET = {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}


def shared_address(url: str) -> str:
    """Return the address of a shared ledger as it is. Raises ValueError with what is wrong."""
    try:
        parts = urlsplit(url)
        port = parts.port if "," not in parts.netloc else None
    except ValueError as error:
        raise ValueError(f"{error} in it; write postgresql://user@host/database") from None
    if parts.scheme not in {"postgresql", "postgres"} or port == 0:
        raise ValueError("write postgresql://user@host/database")
    names = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if parts.password is not None or names & SECRET:
        raise ValueError(
            "an address is shown and logged, so no password may be in it; keep it in ~/.pgpass, or in"
            " the variable PGPASSWORD or the service file that PGSERVICE names"
        )
    return url
