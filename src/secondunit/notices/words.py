"""What is said: one message, and the words of it as each kind of reader can safely be shown them."""

from __future__ import annotations

import html
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secondunit.plan import dollars
from secondunit.redaction import scrub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secondunit.shotlist.office import Happening

SCHEMA = 1
CHAT_LIMIT = 1600  # characters; Discord takes no message with more than 2000, link included
MAIL_LIMIT = 20_000
GAP = "\u200b"  # stands where it is not seen, and parts what would be read as markup
_LINK = re.compile(r"(?:https?|file)://[^\s<>|\"]{1,300}")
# Behind `@` and `<` a mention begins, `://` makes a link of a bare address, `](` one of any words,
# and `{{` is where a template of Prefect's fills in what its block keeps secret.
_ALIVE = re.compile(r"(?<=[@<])|(?<=:)(?=//)|(?<=\])(?=[(\[])|(?<=\{)(?=\{)|(?<=www)(?=\.)")
_HEADLINES: Mapping[Happening, str] = {
    "shot finished": "{} is finished",
    "held": "{} is held",
    "in doubt": "{} is in doubt",
    "over budget": "stopped on money",
    "review wanted": "it waits for your judgement",
    "film failed": "the film was not made",
    "film finished": "the film is finished",
}


def headline(happening: Happening, shot: str = "") -> str:
    """Return the few words that say what happened: `Shot 3 is held`."""
    return _HEADLINES[happening].format(shot or "a shot")


@dataclass(frozen=True)
class Message:
    """One thing that happened; `id` is the same however often it is sent.

    `facts` are for programs. Two of them people read, too: `credits_spent` by this run, and `link`,
    an address to open.
    """

    film: str
    name: str
    gateway: str
    happening: Happening
    title: str
    words: str
    shot: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def subject(self) -> str:
        """The headline, film first."""
        title = one_line(self.title)
        film = one_line(self.film)
        return title if title.startswith(film) else f"{film}: {title}"

    @property
    def body(self) -> str:
        """What is to be said of it, with the money, in one line."""
        spent = self.facts.get("credits_spent")
        parts = [one_line(self.words), _spent(spent) if isinstance(spent, int) else ""]
        return " ".join(filter(None, parts))

    @property
    def link(self) -> str:
        """The address to open, if there is one."""
        link = str(self.facts.get("link", ""))
        return link if _LINK.fullmatch(link) else ""

    def described(self) -> dict[str, Any]:
        """Return it as JSON-like data, the form of a generic webhook."""
        return {
            "schema": SCHEMA, "id": self.id, "at": self.at, "happening": self.happening,
            "film": self.film, "name": self.name, "gateway": self.gateway, "shot": self.shot,
            "title": self.title, "message": self.words, "facts": dict(self.facts),
        }  # fmt: skip


def _spent(credits: int) -> str:  # noqa: A002  what money is called here
    if not credits:
        return "This run has spent nothing."
    return f"This run has spent {credits} credits (${dollars(credits)})."


def one_line(text: str) -> str:
    """Return words in one line, without secrets and without characters that are not printable.

    Those would begin another header of a mail, steer a terminal, or turn the direction of writing.
    """
    return scrub(" ".join("".join(c if c.isprintable() else " " for c in text).split()))


def inert(text: str) -> str:
    """Return words in which no chat finds a mention, a link or a template."""
    return _ALIVE.sub(GAP, text)


def plain(message: Message) -> str:
    """Return the text of a mail."""
    return "\n\n".join(filter(None, [message.body[:MAIL_LIMIT], message.link])) + "\n"


def chat(message: Message) -> str:
    """Return the text for a chat whose markup is not known."""
    return _with_link(_cut(inert(message.body)), message.link)


def slack(message: Message) -> str:
    """Return the text for a chat that reads Slack's markup, its headline included.

    `&`, `<` and `>` are all that Slack asks to be escaped (docs.slack.dev, Formatting message text).
    """
    said = html.escape(f"{inert(message.subject)}\n{inert(message.body)}", quote=False)
    return _with_link(_cut(said), html.escape(message.link, quote=False))


def _cut(text: str) -> str:
    """Return a text that every chat takes; no escape is cut in two."""
    return text if len(text) <= CHAT_LIMIT else re.sub(r"&\w*$", "", text[:CHAT_LIMIT]) + "…"


def _with_link(text: str, link: str) -> str:
    return f"{text}\n{link}" if link else text
