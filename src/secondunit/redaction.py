"""Keeps secrets out of whatever is logged: keys, bearer tokens and the signatures of links."""

from __future__ import annotations

import logging
import re
import traceback

HIDDEN = "<hidden>"

# A link to an output opens it for whoever holds it. Runway signs with `_jwt`, S3 and CloudFront with
# the next two; in a link's query every name that speaks of a secret counts, whoever signed it.
_SIGNED = re.compile(
    r"((?:_jwt|\bjwt|\bX-Amz-Signature|\bSignature"
    r"|[?&;][\w-]*(?:jwt|signature|sig|token|credential|secret|key))(?:=|%3D))[^&\s\"'<>)\]}#\\]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b((?:Bearer|Basic)\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_RUNWAY = re.compile(r"\bkey_[0-9A-Za-z]{16,}")
_known: set[str] = set()


def hide(secret: str) -> None:
    """Have `secret` left out of everything that is scrubbed or logged from now on."""
    guard_logs()
    if len(secret) >= 8:  # a shorter word stands in ordinary text, and guards nothing
        _known.add(secret)


def scrub(text: str) -> str:
    """Return `text` without keys, bearer tokens and signatures of links."""
    for secret in tuple(_known):  # others may be hidden meanwhile, in another thread
        text = text.replace(secret, HIDDEN)
    text = _RUNWAY.sub(HIDDEN, text)
    return _SIGNED.sub(rf"\g<1>{HIDDEN}", _BEARER.sub(rf"\g<1>{HIDDEN}", text))


class Scrubber(logging.Filter):
    """Rewrites a record before any handler sees it: message, arguments, exception and stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Scrub `record` in place where there is something to hide, and let it pass."""
        said = _said(record)
        if (clean := scrub(said)) != said:
            record.msg, record.args = clean, None
        if record.exc_info and not isinstance(record.exc_info, bool):
            told = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            if (clean := scrub(told)) != told:
                # handlers that hand the exception itself on find only its text
                record.exc_info, record.exc_text = None, clean
        record.stack_info = scrub(record.stack_info) if record.stack_info else None
        return True


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  a record whose arguments do not fit is its author's mistake
        return f"{record.msg} {record.args!r}"


_scrubber = Scrubber()


def guard_logs() -> None:
    """Scrub every record of this process from now on, whichever logger and handler it takes.

    A filter of a logger only sees the records of that logger, and one of a handler is lost where
    handlers are replaced, as Prefect does when it starts; the record itself is always made here.
    httpx tells at INFO every address it asks for, with the signature in it: it is turned down.
    """
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    make = logging.getLogRecordFactory()
    if getattr(make, "scrubs", False):
        return

    def scrubbed(*arguments: object, **named: object) -> logging.LogRecord:
        record = make(*arguments, **named)
        _scrubber.filter(record)
        return record

    scrubbed.scrubs = True  # type: ignore[attr-defined]  # marks our own, so that it is put on once
    logging.setLogRecordFactory(scrubbed)
