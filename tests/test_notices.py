"""Who is told of a run: each at their own address, in safe words, at no cost to the film."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import ssl
import subprocess
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from mailroom import box, certificate, mailbox

from secondunit import shotlist
from secondunit.crew import Settings, settings_folder
from secondunit.errors import UsageError
from secondunit.gateways import webhook
from secondunit.notices import Notices, carriers
from secondunit.notices.lines import MOST_WAITING
from secondunit.notices.words import headline
from secondunit.plan.planner import Choices, compile_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "a-signing-secret-of-thirty-bytes"
TOKEN = "T0000/B0000/tokentokentokentoken"
EVIL = (
    "<!channel> @everyone <@U123> [approve](https://evil.example/x) ![p](http://evil.example/p.png)"
    " <https://evil.example|ok> & www.evil.example {{token}}"
)


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Write the user's settings and load them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings_folder().mkdir(parents=True)

    def write(text: str, mode: int = 0o600) -> Settings:
        path = settings_folder() / "settings.toml"
        path.write_text(text)
        path.chmod(mode)
        return Settings.load()

    return write


@pytest.fixture
def told(tmp_path: Path) -> Callable[[Any, Settings], tuple[Notices, list[str]]]:
    """Read and compile a shot list with `notify`; return its notices, and what they complain of."""

    def make(notify: Any, settings: Settings) -> tuple[Notices, list[str]]:
        file = tmp_path / "teaser.yaml"
        page = {"title": "Harbour teaser", "notify": notify, "shots": ["A door opens."]}
        file.write_text(json.dumps(page))
        notices = Notices.of(compile_plan(shotlist.read(str(file)), Choices()), settings)
        troubles: list[str] = []
        notices.on_trouble(troubles.append)
        return notices, troubles

    return make


def held(
    notices: Notices, words: str = "The gateway's moderation refused it.", **more: Any
) -> None:
    notices.tell("held", "Shot 3 is held", words, shot="Shot 3", **more)


# --- each kind ------------------------------------------------------------------------------------


def test_a_chat_is_told_in_words_with_the_money(settle, told) -> None:
    with box() as inbox:
        settings = settle(f'[notify.producers]\nslack = "{inbox.url}/services/{TOKEN}"\n')
        notices, troubles = told("producers", settings)
        held(notices, facts={"credits_spent": 120, "link": "http://127.0.0.1:4200/runs/1?a=b&c=d"})
        notices.close()
    (letter,) = inbox.letters
    assert letter.path == f"/services/{TOKEN}"
    assert letter.page["text"] == (
        "Harbour teaser: Shot 3 is held\nThe gateway's moderation refused it. This run has spent 120"
        " credits ($1.20).\nhttp://127.0.0.1:4200/runs/1?a=b&amp;c=d"
    )
    assert letter.page["unfurl_links"] is False
    assert troubles == []


def hmac_by_hand(key: bytes, data: bytes) -> str:
    """RFC 2104, written out."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + data).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).hexdigest()


def test_a_program_is_told_as_signed_json_with_nothing_altered(settle, told) -> None:
    with box() as inbox:
        settings = settle(f'[notify.line]\nwebhook = "{inbox.url}/hook"\nsecret = "{SECRET}"\n')
        notices, _ = told({"to": "line", "on": ["held"]}, settings)
        held(notices, EVIL + " 夜", facts={"credits_spent": 0, "path": object})
        notices.tell("film finished", "", "Not asked for.")
        notices.close()
    (letter,) = inbox.letters
    stamp, signed = letter.headers["x-secondunit-signature"].split(",")
    data = stamp.removeprefix("t=").encode() + b"." + letter.content
    assert signed == "v1=" + hmac_by_hand(SECRET.encode(), data)
    page = letter.page
    assert letter.headers["x-secondunit-event"] == page["id"]
    assert page["message"] == EVIL + " 夜"
    assert (page["schema"], page["happening"], page["film"], page["name"], page["shot"]) == (
        1, "held", "Harbour teaser", "teaser", "Shot 3",
    )  # fmt: skip
    assert page["facts"]["credits_spent"] == 0


def test_a_program_without_a_secret_gets_no_signature(settle, told) -> None:
    with box() as inbox:
        notices, _ = told("line", settle(f'[notify.line]\nwebhook = "{inbox.url}/hook"\n'))
        held(notices)
        notices.close()
    assert "x-secondunit-signature" not in inbox.letters[0].headers


def smtp(port: int, more: str = "starttls = false") -> str:
    return f'[smtp]\nhost = "127.0.0.1"\nport = {port}\nfrom = "unit@studio.example"\n{more}\n'


def test_mail_goes_to_contacts_and_to_addresses_in_the_shot_list(settle, told) -> None:
    with mailbox() as post:
        office = '[notify.office]\nemail = ["a@studio.example", "b@studio.example"]\n'
        notices, troubles = told(
            ["office", "anna@studio.example"], settle(office + smtp(post.port))
        )
        held(notices, "Größe: 夜.")
        notices.close()
    assert troubles == []
    assert sorted(to for _, to in post.envelopes) == [
        ["a@studio.example", "b@studio.example"], ["anna@studio.example"],
    ]  # fmt: skip
    mail = post.mails[0]
    assert mail["Subject"] == "Harbour teaser: Shot 3 is held"
    assert mail["From"] == "unit@studio.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().strip() == "Größe: 夜."
    assert mail.get_content_type() == "text/plain"


def test_no_words_become_a_header_of_a_mail(settle, told) -> None:
    with mailbox() as post:
        notices, troubles = told("anna@studio.example", settle(smtp(post.port)))
        title = "Shot\r\nBcc: spy@evil.example\n\nHello\x00\x1b[2J\u202e"
        notices.tell("held", title, "x\r\n.\r\nMAIL FROM:<spy@evil.example>", shot="a\nb")
        notices.close()
    assert troubles == []
    (mail,) = post.mails
    assert mail["Bcc"] is None
    assert post.envelopes == [("unit@studio.example", ["anna@studio.example"])]
    assert mail["Subject"] == "Harbour teaser: Shot Bcc: spy@evil.example Hello [2J"


@pytest.mark.parametrize("to", [
    "anna@studio.example, spy@evil.example", "<anna@studio.example>", "a@b@c", "a b@studio.example",
])  # fmt: skip
def test_only_a_single_plain_address_is_mailed_to(to: str, settle, told) -> None:
    notices, troubles = told(to, settle(smtp(9)))
    assert notices.told == ()
    assert len(troubles) == 1


def test_a_chat_is_given_no_mention_no_link_and_no_markup(settle, told) -> None:
    with box() as inbox:
        notices, _ = told("p", settle(f'[notify.p]\nslack = "{inbox.url}/{TOKEN}"\n'))
        notices.tell("held", EVIL, EVIL, facts={"link": "javascript:alert(1)"})
        notices.close()
    text = inbox.letters[0].page["text"]
    assert not any(
        sign in text
        for sign in ("<", ">", "@e", "@U", "](", "://", "www.", "{{", "javascript")
    )  # fmt: skip
    assert text.replace("\u200b", "").count("evil.example/x") == 2


def test_a_long_message_is_cut_to_what_every_chat_takes(settle, told) -> None:
    with box() as inbox:
        notices, troubles = told("p", settle(f'[notify.p]\nslack = "{inbox.url}/{TOKEN}"\n'))
        for shift in range(6):
            held(notices, "x" * shift + "&" * 30_000)
        notices.close()
    assert troubles == []
    for letter in inbox.letters:
        assert len(letter.page["text"]) < 2000
        assert letter.page["text"].endswith("&amp;…")


# --- mail under TLS -------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A certificate for localhost, which the system trusts."""
    path = certificate(tmp_path / "here.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    webhook._roots.cache_clear()
    yield context
    webhook._roots.cache_clear()


def office(port: int) -> str:
    user = 'user = "unit@studio.example"\n'
    return f'[smtp]\nhost = "localhost"\nport = {port}\n{user}'


def test_a_mail_server_is_given_the_password_under_tls_alone(
    certified, settle, told, monkeypatch
) -> None:
    monkeypatch.setenv("SECONDUNIT_SMTP_PASSWORD", SECRET)
    with mailbox(tls=certified) as post:
        notices, troubles = told("anna@studio.example", settle(office(post.port)))
        held(notices)
        notices.close(timeout=30)
    assert troubles == []
    assert post.logins == [(b"unit@studio.example", SECRET.encode(), True)]
    assert post.mails[0]["From"] == "unit@studio.example"


def test_a_mail_server_that_anybody_could_be_is_given_nothing(
    certified, settle, told, monkeypatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    webhook._roots.cache_clear()
    settings = settle("")
    key = settings_folder() / "smtp.key"
    key.write_text(SECRET)
    key.chmod(0o600)
    with mailbox(tls=certified) as post:
        settings = settle(office(post.port))
        notices, troubles = told("anna@studio.example", settings)
        held(notices)
        notices.close(timeout=30)
    assert post.logins == []
    assert post.mails == []
    assert "TLS is not valid" in troubles[0]
    with mailbox() as plain:
        notices, troubles = told("anna@studio.example", settle(office(plain.port)))
        held(notices)
        notices.close(timeout=30)
    assert plain.mails == []
    assert "lacks what is needed (TLS" in troubles[0]


def test_at_the_port_for_it_tls_comes_first(certified, settle, told, monkeypatch) -> None:
    monkeypatch.setenv("SECONDUNIT_SMTP_PASSWORD", SECRET)
    with mailbox(tls=certified, at_once=True) as post:
        monkeypatch.setattr(carriers, "TLS_PORT", post.port)
        notices, troubles = told("anna@studio.example", settle(office(post.port)))
        held(notices)
        notices.close(timeout=30)
    assert troubles == []
    assert post.logins[0][1] == SECRET.encode()
    assert len(post.mails) == 1


def test_a_password_file_that_others_can_read_is_a_sentence(settle, told) -> None:
    settings = settle(office(9))
    key = settings_folder() / "smtp.key"
    key.write_text(SECRET)
    key.chmod(0o644)
    notices, troubles = told("anna@studio.example", settings)
    assert notices.told == ()
    assert "chmod 600" in troubles[0]


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_server_that_never_answers_holds_up_neither_the_run_nor_the_others(settle, told) -> None:
    with box(shut=True) as dead, box() as inbox:
        settings = settle(
            f'[notify.dead]\nslack = "{dead.url}/{TOKEN}"\n[notify.well]\nslack = "{inbox.url}/x"\n'
        )
        notices, troubles = told(["dead", "well"], settings)
        for number in range(3):
            held(notices, f"No. {number}.")
        assert dead.busy.wait(30)
        while len(inbox.letters) < 3:
            time.sleep(0.01)
        notices.close(timeout=0.5)
    assert len(inbox.letters) == 3
    assert troubles == ["dead was not told 3 of 3 messages: there was no time for it."]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_what_failed_by_chance_is_told_again_once_under_the_same_id(status, settle, told) -> None:
    with box(status, 200) as inbox:
        line = f'[notify.line]\nwebhook = "{inbox.url}"\nsecret = "{SECRET}"\n'
        notices, troubles = told("line", settle(line))
        held(notices)
        notices.close(timeout=30)
    first, second = inbox.letters
    assert first.headers["x-secondunit-event"] == second.headers["x-secondunit-event"]
    assert first.content == second.content
    assert troubles == []


@pytest.mark.parametrize(("answer", "times", "why"), [
    (500, 2, "it answered with status 500"), (404, 1, "it answered with status 404"),
    ("there", 1, "it points to another address"),
])  # fmt: skip
def test_a_server_that_refuses_costs_one_line_at_the_end(answer, times, why, settle, told) -> None:
    with box() as elsewhere, box(elsewhere.url if answer == "there" else answer) as inbox:
        notices, troubles = told("p", settle(f'[notify.p]\nslack = "{inbox.url}/{TOKEN}"\n'))
        held(notices)
        notices.close(timeout=30)
    assert len(inbox.letters) == times
    assert elsewhere.letters == []
    (trouble,) = troubles
    assert trouble.startswith("p was not told 1 of 1 messages: ")
    assert why in trouble
    assert "127.0.0.1" not in trouble


def test_a_server_that_is_not_there_costs_one_line(settle, told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    text = f'[notify.p]\nslack = "http://127.0.0.1:{port}/{TOKEN}"\n' + smtp(port)
    notices, troubles = told(["p", "anna@studio.example"], settle(text))
    held(notices)
    notices.close(timeout=30)
    assert troubles == [
        "p was not told 1 of 1 messages: no connection could be made.",
        "anna@studio.example was not told 1 of 1 messages: the mail server cannot be reached"
        " (ConnectionRefusedError).",
    ]


def test_a_mail_server_that_is_busy_is_asked_again_and_one_that_says_no_is_not(
    settle, told
) -> None:
    with mailbox("451 later") as post:
        notices, troubles = told("anna@studio.example", settle(smtp(post.port)))
        held(notices)
        notices.close(timeout=30)
    assert len(post.mails) == 1
    assert troubles == []
    with mailbox("554 no") as post:
        notices, troubles = told("anna@studio.example", settle(smtp(post.port)))
        held(notices)
        notices.close(timeout=30)
    assert post.mails == []
    assert troubles[0].endswith("the mail server said no (554).")


def test_a_server_that_is_slow_gets_no_endless_pile(settle, told) -> None:
    with box(shut=True) as slow:
        notices, troubles = told("p", settle(f'[notify.p]\nslack = "{slow.url}/{TOKEN}"\n'))
        for happening in ("held", "in doubt", "film failed", "over budget"):
            for number in range(20):
                notices.tell(happening, "", f"No. {number}.", shot=f"s{number}")
        assert slow.busy.wait(30)
        slow.open.set()
        notices.close(timeout=60)
    assert len(slow.letters) == MOST_WAITING
    assert troubles == ["p was not told 30 of 80 messages: there was no time for it."]


def test_a_program_ends_though_somebody_is_still_being_told() -> None:
    with box(shut=True) as dead:
        script = (
            "import urllib.request\n"
            "from secondunit.notices.lines import Line\n"
            f"line = Line('p', set(), lambda _: urllib.request.urlopen('{dead.url}', b'x'))\n"
            "line.put(object())\n"
            "line.end()\n"
            "line.wait(0)\n"
            "print(line.trouble)\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=40
        )
        assert not dead.open.is_set()
    assert ended.stdout == "p was not told 1 of 1 messages: there was no time for it.\n"
    assert ended.stderr == ""


def test_whoever_hears_of_troubles_cannot_stop_the_run(settle, told) -> None:
    notices, _ = told("nobody", settle(""))

    def broken(_: str) -> None:
        raise RuntimeError

    notices.on_trouble(broken)
    notices.close()
    notices.close()
    held(notices)


# --- who is told ----------------------------------------------------------------------------------


def test_a_name_that_the_settings_do_not_know_is_a_sentence_and_stops_nothing(settle, told) -> None:
    with box() as inbox:
        settings = settle(f'[notify.p]\nslack = "{inbox.url}/x"\n')
        notices, troubles = told(["p", "the crew", "p"], settings)
        held(notices)
        notices.close()
    assert len(inbox.letters) == 1
    (trouble,) = troubles
    assert trouble.startswith("the crew will not be told: your settings do not know them.")
    assert '[notify."the crew"]' in trouble
    assert str(settings_folder() / "settings.toml") in trouble


def test_mail_without_a_mail_server_says_what_to_write(settle, told) -> None:
    notices, troubles = told("anna@studio.example", settle(""))
    assert notices.told == ()
    assert "[smtp]" in troubles[0]
    user = '[smtp]\nhost = "mail.example"\nuser = "unit@studio.example"\n'
    _, troubles = told("anna@studio.example", settle(user))
    assert "SECONDUNIT_SMTP_PASSWORD" in troubles[0]


def test_nobody_starts_a_thread_for_each_of_thousands(settle, told) -> None:
    notices, troubles = told([f"p{n}@studio.example" for n in range(30)], settle(smtp(9)))
    assert len(notices.told) == 20
    assert troubles == ["A run tells 20 recipients at most; 10 that `notify` names are not."]


def test_the_same_is_told_once_and_a_flood_is_summed_up(settle, told) -> None:
    with box() as inbox:
        text = f'[notify.p]\nwebhook = "{inbox.url}"\n'
        notices, _ = told({"to": "p", "on": ["shot finished", "held"]}, settle(text))
        held(notices)
        held(notices)
        for number in range(50):
            notices.tell("shot finished", "", "It is here.", shot=f"s{number}")
        notices.close(timeout=60)
    pages = [letter.page for letter in inbox.letters]
    assert [p["happening"] for p in pages].count("held") == 1
    finished = [p for p in pages if p["happening"] == "shot finished"]
    assert len(finished) == 21
    assert finished[0]["title"] == "s0 is finished"
    assert finished[19]["message"].endswith("More of this kind are told at the end, in one.")
    assert finished[20]["title"] == "30 more: shot finished"
    assert finished[20]["facts"]["shots"] == [f"s{n}" for n in range(20, 50)]


def test_what_was_not_asked_for_is_not_told(settle, told) -> None:
    with box() as inbox:
        notices, _ = told("p", settle(f'[notify.p]\nwebhook = "{inbox.url}"\n'))
        notices.tell("shot finished", "", "It is here.", shot="s1")
        notices.tell("film finished", "", "It is here.")
        notices.close()
    assert [letter.page["title"] for letter in inbox.letters] == [headline("film finished")]


# --- settings and secrets -------------------------------------------------------------------------


@pytest.mark.covers("S10")
def test_a_settings_file_that_others_can_read_holds_no_address_to_post_to(settle) -> None:
    hook = f'[notify.p]\nslack = "https://hooks.slack.com/services/{TOKEN}"\n'
    with pytest.raises(UsageError, match=r"chmod 600 .*Nothing was ordered\.") as caught:
        settle(hook, 0o644)
    assert TOKEN not in str(caught.value)
    assert settle(hook, 0o400).notify["p"].kind == "slack"
    assert settle('[notify.p]\nemail = "a@studio.example"\n', 0o644).notify["p"].kind == "email"


@pytest.mark.covers("S10")
@pytest.mark.parametrize(("text", "told_of"), [
    (f'[notify.p]\nslack = "http://hooks.slack.com/services/{TOKEN}"', "https://"),
    (f'[notify.p]\nslack = "https://user:{TOKEN[-20:]}@hooks.slack.com/"', "https://"),
    (f'[notify.p]\nwebhook = "file:///{TOKEN}"', "https://"),
    (f'[notify.p]\nwebhook = "https://[{TOKEN}"', "not an address"),
    (f'[notify.p]\nwebhook = "https://a.example"\nsecret = "{TOKEN[:9]}"', "16 characters"),
    (f'[notify.p]\nslack = "https://a.example/{TOKEN}"\nemail = "a@b.example"', "write one of"),
    (f'[notify.p]\nslack = "https://a.example/{TOKEN}"\nsecret = "{SECRET}"', "goes with webhook"),
    (f'[notify]\np = "https://a.example/{TOKEN}"', "write a table"),
    (f'[notify.p]\nslack = ["https://a.example/{TOKEN}"]', "notify.p.slack"),
    (f'[notify.p]\nblock = "{TOKEN}"', "notify.p.block"),
    ('[notify.p]\nemail = "a@b.example\\nBcc: c@d.example"', "mail address"),
    ("[notify.p]", "write one of"),
    ('[smtp]\nhost = "mail.example"', "from has to be"),
    ('[smtp]\nhost = "mail.example"\nfrom = "a@b.example"\nstarttls = false', "this machine"),
])  # fmt: skip
def test_settings_that_are_wrong_are_named_and_not_repeated(text, told_of, settle) -> None:
    with pytest.raises(UsageError) as caught:
        settle(text)
    trace = "".join(traceback.format_exception(caught.value))
    assert told_of in str(caught.value)
    assert "Nothing was ordered." in str(caught.value)
    for secret in (TOKEN, TOKEN[:9], SECRET):
        assert secret not in trace


@pytest.mark.covers("S10")
def test_no_address_and_no_secret_is_printed_or_logged(settle, told, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    with box(404) as inbox, mailbox("554 no") as post:
        settings = settle(
            f'[notify.p]\nslack = "{inbox.url}/services/{TOKEN}"\n'
            f'[notify.q]\nwebhook = "{inbox.url}/services/{TOKEN}"\nsecret = "{SECRET}"\n'
            + smtp(post.port)
        )
        notices, troubles = told(["p", "q", "anna@studio.example"], settings)
        held(notices, f"It said {inbox.url}/services/{TOKEN} and {SECRET}.")
        notices.close(timeout=30)
        logging.getLogger("x").warning("%s %s", f"{inbox.url}/services/{TOKEN}", SECRET)
    said = caplog.text + "".join(capfd.readouterr()) + repr(settings) + str(troubles)
    said += "".join(letter.content.decode() for letter in inbox.letters)
    assert len(inbox.letters) == 2
    assert TOKEN not in said
    assert SECRET not in said
