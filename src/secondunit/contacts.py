"""Who can be told of a run, as the user's settings name them; their addresses are as good as keys."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from secondunit.redaction import hide

KINDS = ("slack", "webhook", "email", "block")
TLS_PORT = 465  # where TLS comes first, RFC 8314; elsewhere a connection is raised to it
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,190}")
_WEAKEST = 16  # characters of a signing secret, at least
_TELLING = 20  # characters from which the path of an address is one that nobody guesses


def is_email(text: str) -> bool:
    """Say whether a text is one mail address and nothing besides."""
    return text.isprintable() and _EMAIL.fullmatch(text) is not None


def _is_here(host: str) -> bool:
    from secondunit.gateways.addresses import is_loopback

    return is_loopback(host)


def _address(secret: SecretStr) -> SecretStr:
    """See that an address is https, or this machine's; no message repeats it."""
    url = secret.get_secret_value()
    hide(url)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise PydanticCustomError("address", "this is not an address") from None
    for word in (parts.path, parts.query):
        if len(word) >= _TELLING:
            hide(word)
    plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    safe = parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))
    if not (plain and host and safe):
        raise PydanticCustomError(
            "address", "an address has to be https://…, or http:// on this machine"
        )
    return secret


def _secret(secret: SecretStr) -> SecretStr:
    hide(secret.get_secret_value())
    if len(secret.get_secret_value()) < _WEAKEST:
        raise PydanticCustomError("secret", f"a secret has {_WEAKEST} characters or more")
    return secret


def _emails(value: Any) -> Any:
    given = [value] if isinstance(value, str) else value
    if isinstance(given, list):
        for each in given:
            if not (isinstance(each, str) and is_email(each)):
                raise PydanticCustomError("email", "write one mail address, or a list of them")
    return given


Address = Annotated[SecretStr, AfterValidator(_address)]


class Contact(BaseModel):
    """One entry of `[notify]`: how somebody is told. It has one of the four kinds of address.

    `slack`: an incoming webhook that takes Slack's messages; Mattermost's, and Discord's with
    `/slack` at its end, do too. `webhook`: JSON is posted there, signed with `secret`. `email`: one
    or several. `block`: a notification block of Prefect's, as `slack-webhook/stage`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    slack: Address | None = None
    webhook: Address | None = None
    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = None
    email: Annotated[list[str], BeforeValidator(_emails), Field(min_length=1)] | None = None
    block: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_table(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise PydanticCustomError(
                "contact", "write a table that holds slack, webhook, email or block"
            )
        return data

    @model_validator(mode="after")
    def _one_kind(self) -> Contact:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise PydanticCustomError("contact", "write one of slack, webhook, email or block")
        if self.secret and not self.webhook:
            raise PydanticCustomError("contact", "secret goes with webhook")
        return self

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def is_secret(self) -> bool:
        """Say whether nobody but the user may read it."""
        return self.slack is not None or self.webhook is not None


class MailOffice(BaseModel):
    """The server that takes mail, `[smtp]`; the password of `user` is kept as keys are.

    `sender` (`from` in the settings) is by default the user, where that is an address. With
    `starttls` the connection is raised to TLS before anything is said; at port 465 it begins so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    user: str | None = None
    sender: Annotated[str | None, Field(alias="from")] = None
    starttls: bool = True

    @model_validator(mode="after")
    def _is_whole(self) -> MailOffice:
        if not is_email(self.address):
            raise PydanticCustomError("smtp", "from has to be the mail address that it comes from")
        if not (self.starttls or self.port == TLS_PORT or _is_here(self.host)):
            raise PydanticCustomError("smtp", "starttls = false is only for this machine")
        return self

    @property
    def address(self) -> str:
        """The mail address that messages come from."""
        return self.sender or self.user or ""
