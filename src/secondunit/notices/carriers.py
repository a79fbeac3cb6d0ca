"""How a message goes out: to a chat, to a program that checks our signature, or as a mail."""

from __future__ import annotations

import hmac
import json
import smtplib
import ssl
import time
from contextlib import contextmanager
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from secondunit.contacts import TLS_PORT
from secondunit.gateways import webhook
from secondunit.gateways.webhook import PAUSE, Untold
from secondunit.notices import words
from secondunit.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import SecretStr

    from secondunit.contacts import MailOffice
    from secondunit.credentials import ApiKey
    from secondunit.notices.words import Message

MAIL_TIMEOUT = 5.0  # seconds for each thing said to the server


def to_slack(url: SecretStr, message: Message) -> None:
    """Tell a chat that takes Slack's messages. Raises Untold."""
    page = {
        "text": words.slack(message), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False,
    }  # fmt: skip
    webhook.post(url.get_secret_value(), json.dumps(page).encode(), {})


def to_webhook(url: SecretStr, secret: SecretStr | None, message: Message) -> None:
    """Post a message as JSON, signed where there is a secret. Raises Untold."""
    page = json.dumps(message.described(), ensure_ascii=False, default=str)
    content = scrub(page).encode("utf-8", "replace")
    headers = {"X-Secondunit-Event": message.id, "X-Secondunit-Happening": message.happening}
    if secret:
        stamp = int(time.time())
        signed = signature(secret.get_secret_value(), stamp, content)
        headers["X-Secondunit-Signature"] = f"t={stamp},v1={signed}"
    webhook.post(url.get_secret_value(), content, headers)


def signature(secret: str, stamp: int, content: bytes) -> str:
    """Return the hex HMAC-SHA256 of `<stamp>.<content>`: who checks it also sees how old it is."""
    return hmac.new(secret.encode(), b"%d." % stamp + content, sha256).hexdigest()


def to_mail(office: MailOffice, password: ApiKey, to: Sequence[str], message: Message) -> None:
    """Send a message as a mail. Raises Untold."""
    mail = _mail(office, to, message)
    try:
        with _connected(office) as server:
            if office.user and password:
                server.login(office.user, password.reveal())
            refused = server.send_message(mail, office.address, list(to))
    except smtplib.SMTPResponseException as error:
        again = PAUSE if 400 <= error.smtp_code < 500 else None
        raise Untold(f"the mail server said no ({error.smtp_code})", again) from None
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except smtplib.SMTPNotSupportedError:
        raise Untold("the mail server lacks what is needed (TLS, log-in or UTF-8)") from None
    except TimeoutError:
        raise Untold("the mail server did not answer in time", PAUSE) from None
    except ssl.SSLError as error:
        raise Untold(f"the mail server's TLS is not valid ({error.reason})") from None
    except OSError as error:  # all of smtplib's, too
        raise Untold(f"the mail server cannot be reached ({type(error).__name__})", PAUSE) from None
    if refused:
        raise Untold(f"the mail server refused {len(refused)} of {len(to)} addresses")


def _mail(office: MailOffice, to: Sequence[str], message: Message) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = office.address
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromisoformat(message.at))
    mail["Message-ID"] = f"<{message.id}@{office.address.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice answers it
    mail.set_content(words.plain(message))
    return mail


@contextmanager
def _connected(office: MailOffice) -> Iterator[smtplib.SMTP]:
    if office.port == TLS_PORT:
        with smtplib.SMTP_SSL(
            office.host, office.port, timeout=MAIL_TIMEOUT, context=webhook.trusted()
        ) as server:
            yield server
        return
    with smtplib.SMTP(office.host, office.port, timeout=MAIL_TIMEOUT) as server:
        if office.starttls:
            server.starttls(context=webhook.trusted())
        yield server
