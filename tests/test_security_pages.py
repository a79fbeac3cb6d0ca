"""What a shot list, a gateway or another page says never becomes markup, nor opens the backlot."""

from __future__ import annotations

import html
import re
import socket
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from lot import HEADERS, QUICK, REAL_KEY, TEXT, client, ended, order
from markdown_it import MarkdownIt
from PIL import Image
from programs import BIN

from secondunit.backlot import running
from secondunit.flow.words import text
from secondunit.watch import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- S16: pages ---------------------------------------------------------------------------------

PAYLOADS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>",
    "<b>bold</b>", "</td></tr></table><script>1</script>", "<iframe src='javascript:alert(1)'>",
    "<!-- -->", "<a href=x>", "[x](javascript:alert(1))", "![x](http://evil.test/a.png)",
    "[x]: javascript:alert(1)", "<javascript:1>", "[x][y]", "![](x)", "<http://evil.test>",
    "http://evil.test", "https://evil.test/?a=b&c=d", "www.evil.test", "a@evil.test",
    "mailto:a@evil.test", "# heading", "heading\n===", "heading\n---", "---", "***", "> quote",
    "- item", "+ item", "* item", "1. item", "12) item", "    code", "\tcode", "`code`",
    "``` \ncode\n```", "~~~\ncode\n~~~", "~~struck~~", "**bold** _it_ __b__",
    "a | b\n--|--\nc | d", "| a |", "&lt;img&gt;", "&#60;script&#62;", "&#x3c;script>",
    "\\<img\\>", "\\[x\\](y)", "$$x$$", "x\n\n<p onclick=1>y</p>", "\x1b[31mred\x1b]0;title\x07",
    "a\x00b\x9bc\u202ed\u2066e\u2028f", "\"onmouseover=\"alert(1)", "'>x<'",
    "{{constructor.constructor('alert(1)')()}}", "{% raw %}", "]]>", "<![CDATA[x]]>",
    "<?php x ?>",
]  # fmt: skip
assert len(PAYLOADS) >= 40


class Seen(HTMLParser):
    """Everything in a page: its elements with their attributes, and its words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.marks: list[Any] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.marks.append((tag, *attrs))

    def handle_decl(self, decl: str) -> None:
        self.marks.append(decl)

    unknown_decl = handle_comment = handle_pi = handle_decl

    def handle_data(self, data: str) -> None:
        self.words += data


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PLACES = {
    "a paragraph": "{}",
    "a heading": "# {}\n\nafter",
    "a link": "[{}](file:///films/a.mp4) in x",
    "a cell": "| a | b |\n|---|---|\n| {} | c |\n",
    "a list": "- {}\n- x",
    "a quote": "> {}",
}


def page(place: str, words: str) -> Seen:
    seen = Seen()
    seen.feed(MARKDOWN.render(PLACES[place].format(words)))
    seen.close()
    return seen


def plain(words: str) -> str:
    """Return what of a payload a reader is to see: its printable characters, in one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())


@pytest.mark.covers("S16")
@pytest.mark.parametrize("payload", PAYLOADS)
def test_words_on_a_page_are_words_wherever_they_stand(payload: str) -> None:
    for place in PLACES:
        innocent, seen = page(place, "word"), page(place, text(payload))
        assert seen.marks == innocent.marks, place
        assert seen.words.strip() == innocent.words.replace("word", plain(payload)).strip(), place


@pytest.mark.covers("S16")
@pytest.mark.parametrize("payload", PAYLOADS)
def test_words_on_a_page_that_is_no_markdown_are_no_markup_either(payload: str) -> None:
    seen = Seen()
    seen.feed(f"<td>{text(payload)}</td>")
    seen.close()
    assert seen.marks == [("td",)]
    assert not re.search(r"https?://|www\.|\S@\w", text(payload))  # nothing to make a link of


def test_the_reading_is_strict_enough_to_find_what_gets_through() -> None:
    """Each place is dangerous to words that are not escaped, so that the tests above mean something."""
    for place in PLACES:
        bare = page(place, html.escape("[x](javascript:alert(1)) **b**"))
        assert bare.marks != page(place, "word").marks or place == "a link"


@pytest.mark.covers("S16")
@pytest.mark.parametrize(
    "code", [*range(32), *range(127, 160), 0x202A, 0x202E, 0x2066, 0x2069, 0x200F]
)
def test_no_character_that_steers_is_printed(code: int) -> None:
    assert chr(code) not in shown(f"a{chr(code)}b")
    assert chr(code) not in text(f"a{chr(code)}b") or code == 32


STEERING = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


@pytest.mark.covers("S16")
def test_no_command_prints_what_would_steer_a_terminal(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Names of files and folders are not looked at by the reader of shot lists."""
    odd = "a\x1b]0;owned\x07\x1b[31m\u202eb\u2066"
    folder = tmp_path / odd
    folder.mkdir()
    Image.new("RGB", (1280, 720)).save(folder / "door.png")
    (folder / f"{odd}.yaml").write_text(
        "looks: {fog: \u202ecold}\nshots:\n  - {prompt: 'A \u202edoor. \u2066Push in, pan left.',"
        " first_frame: door.png, look: fog, x-note: \u202e}\n  - {prompt: x, seed: '\u202e'}\n"
    )
    sound = folder / f"{odd}2.yaml"
    sound.write_text(
        "title: The \u202edoor\u2066\nshots:\n  - {prompt: 'A \u202edoor.', first_frame: door.png}\n"
    )
    wrong, missing = folder / f"{odd}.yaml", folder / f"{odd}3.yaml"
    for words in (("check", wrong), ("plan", missing), ("plan", sound), ("status", sound)):
        done = subprocess.run(
            [BIN / "secondunit", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert said.strip()
        assert not STEERING.search(said), words


# --- S17: the backlot ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("backlot"), QUICK) as address:
        yield address


ROOMS = [("GET", "/v1/organization"), ("POST", "/v1/text_to_video"), ("GET", "/backlot/ledger"),
         ("POST", "/backlot/faults"), ("DELETE", "/backlot/faults"), ("POST", "/uploads"),
         ("GET", "/outputs/x/y"), ("GET", "/v1/tasks/x"), ("DELETE", "/v1/tasks/x"), ("GET", "/"),
         ("OPTIONS", "/v1/text_to_video"), ("HEAD", "/backlot/ledger")]  # fmt: skip
STRANGERS = [
    {"host": "evil.test"}, {"host": "evil.test:80"}, {"host": "localhost"},
    {"host": "127.0.0.1:1"}, {"host": "[::1]:{port}"}, {"host": "localhost.evil.test:{port}"},
    {"host": "127.0.0.1.nip.io:{port}"}, {"origin": "https://evil.test"}, {"origin": "null"},
    {"origin": "http://localhost:1"}, {"origin": "http://127.0.0.1"},
    {"origin": "https://127.0.0.1:{port}"}, {"origin": "file://"},
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "odd"},
]  # fmt: skip


@pytest.mark.covers("S17")
@pytest.mark.parametrize("stranger", STRANGERS, ids=str)
def test_every_room_of_the_backlot_is_closed_to_other_pages(
    url: str, stranger: dict[str, str]
) -> None:
    port = url.rpartition(":")[2]
    with client(url, **{k: v.format(port=port) for k, v in stranger.items()}) as api:
        for method, path in ROOMS:
            answer = api.request(method, path, json=TEXT if method == "POST" else None)
            assert answer.status_code == 403, (method, path)
            assert "access-control-allow-origin" not in answer.headers
    with client(url) as api:
        assert api.get("/backlot/ledger").json()["tasks"] == []


@pytest.mark.covers("S17")
@pytest.mark.parametrize("more", [
    {}, {"host": "localhost:{port}"}, {"origin": "http://127.0.0.1:{port}"},
    {"origin": "http://localhost:{port}", "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"},
], ids=str)  # fmt: skip
def test_its_own_page_and_programs_come_in(url: str, more: dict[str, str]) -> None:
    port = url.rpartition(":")[2]
    with client(url, **{k: v.format(port=port) for k, v in more.items()}) as api:
        assert api.get("/v1/organization").status_code == 200


@pytest.mark.covers("S17")
@pytest.mark.parametrize(
    "hosts", [[], ["127.0.0.1:{port}", "evil.test"], ["evil.test", "localhost:{port}"]]
)
def test_a_request_names_its_host_once(url: str, hosts: list[str]) -> None:
    port = int(url.rpartition(":")[2])
    lines = "".join(f"Host: {h.format(port=port)}\r\n" for h in hosts)
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(f"GET /v1/organization HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: wire.recv(4096), b""))
    assert answer.split()[1] in {b"400", b"403"}


@pytest.mark.covers("S17")
def test_it_listens_on_this_machine_alone(url: str) -> None:
    port = int(url.rpartition(":")[2])
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        lines = Path(table).read_text().splitlines() if Path(table).exists() else []
        for line in lines[1:]:
            address, state = line.split()[1], line.split()[3]
            if state == "0A" and int(address.rpartition(":")[2], 16) == port:
                listening.append(address.partition(":")[0])
    if not listening:
        pytest.skip("no table of sockets can be read here")
    assert listening == ["0100007F"]  # 127.0.0.1, as Linux writes it


PATHS = [
    "/outputs/../../book.sqlite", "/outputs/..%2f..%2fbook.sqlite",
    "/outputs/%2e%2e/%2e%2e/book.sqlite", "/outputs/{id}/../../book.sqlite",
    "/outputs/{id}/..%2f..%2fbook.sqlite", "/outputs/{id}/%2fetc%2fpasswd",
    "/outputs/{id}/....//book.sqlite", "/outputs/{id}/%00", "/outputs/{id}/", "/outputs/{id}",
    "/outputs/", "/outputs", "/backlot/", "/backlot", "/", "/v1/", "/v1", "/book.sqlite",
    "/uploads/..%2fbook.sqlite", "//etc/passwd", "/outputs//etc/passwd",
    "/outputs/{id}/output.mp4", "/static/x", "/.git/config", "/openapi.json", "/docs",
]  # fmt: skip


@pytest.mark.covers("S17")
def test_nothing_is_listed_and_no_path_leads_out(url: str) -> None:
    with client(url) as api:
        made = ended(api, order(api))
        link = httpx.URL(made["output"][0])
        assert api.get(str(link)).status_code == 200
        for path in PATHS:
            for query in ("", f"?{link.query.decode()}"):
                answer = api.get(path.format(id=made["id"]) + query)
                assert answer.status_code in {401, 403, 404, 405}, (path, query, answer.status_code)
                assert b"SQLite" not in answer.content
                assert b"root:" not in answer.content


@pytest.mark.covers("S17")
def test_an_output_is_opened_by_its_own_link_alone(url: str) -> None:
    with client(url) as api:
        first, second = (httpx.URL(ended(api, order(api))["output"][0]) for _ in range(2))
        crossed = first.copy_with(query=second.query)
        token = first.params["_jwt"]
        bent = [token[:-1] + ("A" if token[-1] != "A" else "B"), "", "..", "a.b.c", token + "x", "é.ü.ß",
                token.rpartition(".")[0] + "."]  # fmt: skip
        assert api.get(str(first)).status_code == 200
        assert api.get(str(crossed)).status_code == 403
        for other in bent:
            answer = api.get(str(first.copy_with(params={"_jwt": other})))
            assert answer.status_code == 403, other


@pytest.mark.covers("S17")
def test_a_real_key_is_refused_in_every_room_and_stands_in_no_book(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "lot", QUICK) as url, client(url) as api:
        for method, path in ROOMS:
            if path.startswith("/v1/") and method != "OPTIONS":
                headers = HEADERS | {"authorization": f"Bearer {REAL_KEY}"}
                answer = api.request(
                    method, path, headers=headers, json=TEXT if method == "POST" else None
                )
                assert answer.status_code == 401, path
                assert REAL_KEY not in answer.text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or REAL_KEY.encode() not in path.read_bytes(), path
