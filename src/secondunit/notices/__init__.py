"""Telling people of a run: who the shot list names, at the addresses in the user's settings.

A film never waits for it and never fails by it. Somebody is told by a thread of their own; what
could not be told is one line for each of them at the end.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from secondunit import credentials
from secondunit.contacts import Contact, is_email
from secondunit.crew import SETTINGS_FILE, settings_folder
from secondunit.errors import UsageError
from secondunit.notices.lines import Line
from secondunit.notices.words import Message, chat, headline, inert, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from secondunit.contacts import MailOffice
    from secondunit.credentials import ApiKey
    from secondunit.crew import Settings
    from secondunit.notices.lines import Send
    from secondunit.plan import Plan
    from secondunit.shotlist.office import Happening

EACH = 20  # messages of a kind in a run that are told one by one
NAMED = 40  # shots that the sum of the others names
MOST_TOLD = 20  # recipients; each has a thread
PASSWORD = "SECONDUNIT_SMTP_PASSWORD"  # noqa: S105  the name of a variable


class Notices:
    """Tells the recipients of one run. Nothing raises, and nothing but `close` takes time."""

    def __init__(self, plan: Plan) -> None:
        """Tell nobody yet of the film of `plan`."""
        self._film = {"film": plan.title, "name": plan.film_name, "gateway": plan.gateway}
        self._lines: dict[str, Line] = {}
        self._blocks: dict[str, list[Line]] = defaultdict(list)
        self._troubles: list[str] = []
        self._say: Callable[[str], object] | None = None
        self._said: set[tuple[str, ...]] = set()
        self._count: Counter[Happening] = Counter()
        self._more: dict[Happening, list[str]] = defaultdict(list)
        self._over = False
        self._lock = threading.Lock()

    @classmethod
    def of(cls, plan: Plan, settings: Settings) -> Notices:
        """Return what tells those whom `plan` names, as far as `settings` know how."""
        notices = cls(plan)
        told: dict[str, set[Happening]] = defaultdict(set)
        for notice in plan.notices:
            told[notice.to].update(notice.told)
        for to in list(told)[:MOST_TOLD]:
            notices._add(to, told[to], settings)
        if len(told) > MOST_TOLD:
            left = f"{len(told) - MOST_TOLD} that `notify` names are not"
            notices._troubles.append(f"A run tells {MOST_TOLD} recipients at most; {left}.")
        return notices

    @property
    def told(self) -> tuple[str, ...]:
        """Who is told, as the shot list names them."""
        return tuple(self._lines)

    def on_trouble(self, say: Callable[[str], object]) -> None:
        """Have `say` called with each sentence about what cannot be, or was not, told."""
        self._say = say
        self._tell_troubles()

    # --- Prefect's blocks -----------------------------------------------------------------------

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks of Prefect's that are still to be had, as `slack-webhook/stage`."""
        return tuple(name for name, lines in self._blocks.items() if not lines[0].send)

    def through(self, block: str, send: Callable[[str, str], object]) -> None:
        """Tell those behind `block` by `send(subject, body)`, from a thread of their own."""
        for line in self._blocks.get(block, ()):
            line.send = lambda message: send(inert(message.subject), chat(message))

    def without(self, block: str, why: str) -> None:
        """Leave out those behind `block`, which cannot be had."""
        with self._lock:
            for line in self._blocks.pop(block, ()):
                del self._lines[line.name]
                self._troubles.append(f"{line.name} will not be told: {why}.")
        self._tell_troubles()

    # --- the run --------------------------------------------------------------------------------

    def tell(
        self,
        happening: Happening,
        title: str,
        message: str,
        *,
        shot: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell all who want to know of `happening`; the same is told once in a run.

        `title` is a headline without the film's name, by default one that fits; `message` says it
        in sentences. `facts` go to programs; see `Message`. From the 21st of a kind on they are
        summed up in one at the end.
        """
        said = (happening, shot, title, message)
        with self._lock:
            if self._over or said in self._said:
                return
            self._said.add(said)
            self._count[happening] += 1
            if self._count[happening] > EACH:
                self._more[happening].append(shot)
                return
            if self._count[happening] == EACH:
                message += " More of this kind are told at the end, in one."
            self._put(happening, title or headline(happening, shot), message, shot, facts or {})

    def close(self, timeout: float = 5) -> None:
        """Tell what is left to tell, for at most `timeout` seconds, and say what was not told."""
        with self._lock:
            if self._over:
                return
            for happening, shots in self._more.items():
                self._sum_up(happening, shots)
            self._over = True
        lines = self._lines.values()
        for line in lines:
            line.end()
        deadline = time.monotonic() + timeout
        for line in lines:
            line.wait(deadline)
        self._troubles += [line.trouble for line in lines if line.trouble]
        self._tell_troubles()

    # --- inside -------------------------------------------------------------------------------

    def _sum_up(self, happening: Happening, shots: Sequence[str]) -> None:
        named = list(dict.fromkeys(filter(None, shots)))
        rest = " and others" if len(named) > NAMED else ""
        message = f"{', '.join(named[:NAMED])}{rest}." if named else ""
        self._put(happening, f"{len(shots)} more: {happening}", message, "", {"shots": named})

    def _put(
        self, happening: Happening, title: str, text: str, shot: str, facts: Mapping[str, Any]
    ) -> None:
        message = Message(
            **self._film, happening=happening, title=title, words=text, shot=shot, facts=facts
        )
        for line in self._lines.values():
            if happening in line.told:
                line.put(message)

    def _add(self, to: str, told: set[Happening], settings: Settings) -> None:
        contact = settings.notify.get(to) or (Contact(email=[to]) if is_email(to) else None)
        name = one_line(to)
        if contact is None:
            self._troubles.append(f"{name} will not be told: {_unknown(name)}")
            return
        try:
            line = self._lines[name] = Line(name, told, _sender(contact, settings))
        except UsageError as error:
            self._troubles.append(f"{name} will not be told: {error}")
            return
        if contact.block:
            line.why = "Prefect was not there"
            self._blocks[contact.block].append(line)

    def _tell_troubles(self) -> None:
        if self._say is None:
            return
        for trouble in dict.fromkeys(self._troubles):
            with suppress(Exception):
                self._say(trouble)
        self._troubles.clear()


def _unknown(name: str) -> str:
    key = name if re.fullmatch(r"[\w-]+", name, re.ASCII) else json.dumps(name, ensure_ascii=False)
    return (
        f"your settings do not know them. Write [notify.{key}] with slack, webhook, email or block into"
        f" {settings_folder() / SETTINGS_FILE}."
    )


def _sender(contact: Contact, settings: Settings) -> Send | None:
    """Return how a contact is told; None for a block, which Prefect has. Raises UsageError."""
    from secondunit.notices import carriers

    if contact.slack:
        return partial(carriers.to_slack, contact.slack)
    if contact.webhook:
        return partial(carriers.to_webhook, contact.webhook, contact.secret)
    if contact.email:
        office = _office(settings)
        return partial(carriers.to_mail, office, _password(office), contact.email)
    return None


def _office(settings: Settings) -> MailOffice:
    if settings.smtp is None:
        raise UsageError(
            f"mail needs [smtp] with host, port, user and from in {settings_folder() / SETTINGS_FILE}."
        )
    return settings.smtp


def _password(office: MailOffice) -> ApiKey:
    folder = settings_folder()
    password = credentials.find("smtp", PASSWORD, folder, os.environ, needed=False)
    if office.user and not password:
        raise UsageError(
            f"there is no password for the mail server. Put it into the environment as {PASSWORD}, or"
            f" into the file {folder / 'smtp.key'} (then `chmod 600` it)."
        )
    return password
