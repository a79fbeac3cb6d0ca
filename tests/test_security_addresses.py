"""Downloads reach public addresses alone: judged in a table, looked up once, never connected to here."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest

from secondunit.errors import Spoiled, Unreachable
from secondunit.gateways import download
from secondunit.gateways.addresses import Vetted, is_public, looked_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# --- the verdict --------------------------------------------------------------------------------

PUBLIC = [
    "93.184.216.34", "1.1.1.1", "8.8.8.8", "3.5.140.2", "13.32.0.1", "223.255.255.254",
    "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888",
    "64:ff9b::808:808",  # NAT64 of 8.8.8.8
]  # fmt: skip
NEAR = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.0.8",
    "168.63.129.16", "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "192.88.99.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8",
    "::8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1",
    "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "5f00::1",
    "fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", "fec0::1", "fc00::1", "fd00:ec2::254",
    "ff02::1", "ff0e::1", "100::1", "2001:2::1", "2001:20::1", "2001:1::1",
    "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a9fe:a9fe",
]  # fmt: skip
NO_ADDRESS = ["", "localhost", "example.com", "127.1", "2130706433", "0x7f000001", "0177.0.0.1",
              "1.1.1.1:443", "[::1]", " 8.8.8.8", "8.8.8.8\n", "1.1.1"]  # fmt: skip


@pytest.mark.covers("S9b")
@pytest.mark.parametrize("address", PUBLIC)
def test_a_server_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.covers("S9b")
@pytest.mark.parametrize("address", NEAR + NO_ADDRESS)
def test_what_is_nearer_wrapped_reserved_or_no_address_is_not_public(address: str) -> None:
    assert not is_public(address)


REFUSED_LINKS = [
    "http://example.com/a.mp4", "ftp://example.com/a", "file:///etc/passwd", "//example.com/a", "",
    "https://", "https://127.0.0.1/a", "https://localhost/a", "https://[::1]/a", "http://127.0.0.1/a",
    "https://169.254.169.254/latest/meta-data", "https://[::ffff:169.254.169.254]/", "https://10.0.0.1/",
    "https://[fd00:ec2::254]/", "https://192.0.0.192/opc/v2/", "https://example.com:22/", "https://0/",
    "https://example.com:8443/", "https://2130706433/", "https://127.1/", "https://exa mple.com/",
    "https://[64:ff9b::a9fe:a9fe]/", "data:video/mp4;base64,AAAA", "gopher://x", "https://a\0b.com/",
]  # fmt: skip


@pytest.mark.covers("S9")
@pytest.mark.parametrize("link", REFUSED_LINKS)
def test_a_link_that_is_not_https_on_the_internet_is_refused_unopened(link: str) -> None:
    with pytest.raises(Spoiled, match="it was not used"):
        download.vet(link, loopback=False)


@pytest.mark.covers("S9")
def test_only_a_gateway_on_this_machine_may_name_this_machine() -> None:
    for link in ("http://127.0.0.1:8080/a", "http://localhost:1/a", "https://[::1]:8/a"):
        download.vet(link, loopback=True)
    for link in ("http://127.0.0.2:8080/a", "http://example.com/a", "http://localhost.evil.test/a"):
        with pytest.raises(Spoiled):
            download.vet(link, loopback=True)
    download.vet("https://example.com:443/a?x=1", loopback=False)


# --- the connection -----------------------------------------------------------------------------


@contextmanager
def counting_server() -> Iterator[tuple[int, list[bytes]]]:
    """Count what reaches a port of this machine."""
    hits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                with visitor:
                    hits.append(visitor.recv(4096))
                    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], hits
        server.shutdown(socket.SHUT_RDWR)
    thread.join(30)


class Nowhere(httpcore.AsyncNetworkBackend):
    """Notes where a connection would go, and makes none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        self.asked.append((host, port))
        raise httpcore.ConnectError("no connection is made in a test")


class Names:
    """A resolver that answers each look-up with the next of what it was given."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.lookups: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.lookups.append(host)
        return self.answers[min(len(self.lookups), len(self.answers)) - 1]


def fetch(url: str, into: Path, network: httpcore.AsyncNetworkBackend) -> None:
    async def go() -> None:
        async with download.client(network) as media:
            await download.fetch(media, url, into, limit=1000, loopback=False)

    asyncio.run(go())


LINK = "https://cdn.example.com/clip.mp4"


@pytest.mark.covers("S9")
def test_a_name_is_looked_up_once_and_its_address_is_what_is_connected_to(tmp_path: Path) -> None:
    names, network = Names(["93.184.216.34"], ["127.0.0.1"]), Nowhere()
    with pytest.raises(Unreachable):
        fetch(LINK, tmp_path / "clip", Vetted(names, network))
    assert names.lookups == ["cdn.example.com"]
    assert network.asked == [("93.184.216.34", 443)]


@pytest.mark.covers("S9")
@pytest.mark.parametrize("answers", [
    [["127.0.0.1"]], [["93.184.216.34", "127.0.0.1"]], [["127.0.0.1", "93.184.216.34"]],
    [["::ffff:127.0.0.1"]], [["169.254.169.254"]], [["2606:4700::1", "fe80::1"]], [["fe80::1%lo"]],
], ids=str)  # fmt: skip
def test_one_near_address_condemns_a_name(answers: Any, tmp_path: Path) -> None:
    network = Nowhere()
    with pytest.raises(Spoiled, match="inside this machine or its network"):
        fetch(LINK, tmp_path / "clip", Vetted(Names(*answers), network))
    assert network.asked == []


@pytest.mark.covers("S9")
def test_a_name_that_turns_to_this_machine_between_look_ups_reaches_nobody(tmp_path: Path) -> None:
    """Each try is judged by its own look-up; a first public answer buys the second nothing."""
    names = Names(["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"])
    with counting_server() as (port, hits):
        inner = _To(port)
        for expected in (Unreachable, Spoiled, Spoiled):
            with pytest.raises(expected):
                fetch(LINK, tmp_path / "clip", Vetted(names, inner))
        assert inner.asked == ["93.184.216.34"]
        assert hits == []
        # that the counter counts: the same name, asked for naively, does get there
        socket.create_connection(("127.0.0.1", port)).close()
        for _ in range(1000):
            if hits:
                break
            threading.Event().wait(0.02)
        assert hits == [b""]


class _To(httpcore.AsyncNetworkBackend):
    """Really connects to this machine, at one port; what goes elsewhere is only noted."""

    def __init__(self, port: int) -> None:
        self.port, self.asked = port, list[str]()
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        if host.startswith("127."):
            return await self._real.connect_tcp(host, self.port)
        raise httpcore.ConnectError("elsewhere")


@pytest.mark.covers("S9")
def test_spellings_of_this_machine_that_only_the_system_reads_are_caught(tmp_path: Path) -> None:
    for host in ("0x7f.0.0.1", "0177.0.0.1", "127.1", "2130706433"):
        network = Nowhere()
        with pytest.raises((Spoiled, Unreachable)):
            fetch(f"https://{host}/clip.mp4", tmp_path / "clip", Vetted(looked_up, network))
        assert network.asked == []


@pytest.mark.covers("S9")
def test_all_addresses_of_a_name_are_tried_and_trouble_is_worth_another_try(tmp_path: Path) -> None:
    network = Nowhere()
    with pytest.raises(Unreachable):
        fetch(LINK, tmp_path / "clip", Vetted(Names(["1.1.1.1", "1.0.0.1", "1.1.1.1"]), network))
    assert network.asked == [("1.1.1.1", 443), ("1.0.0.1", 443)]
    with pytest.raises(Unreachable):
        fetch(LINK, tmp_path / "clip", Vetted(Names([]), network))

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(Unreachable):
        fetch(LINK, tmp_path / "clip", Vetted(unknown, network))
    assert list(tmp_path.iterdir()) == []


# --- what the other side hears, and where it may send us ------------------------------------------


def served(answers: list[bytes]) -> tuple[socket.socket, list[bytes]]:
    heard: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                visitor, _ = server.accept()
            except OSError:
                return
            with visitor:
                heard.append(visitor.recv(8192))
                visitor.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return server, heard


def _redirect(to: str) -> bytes:
    head = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nSet-Cookie: a=b; Path=/\r\n"
    return f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


def fetch_here(url: str, into: Path) -> None:
    async def go() -> None:
        async with download.client() as media:
            await download.fetch(media, url, into, limit=1000, loopback=True)

    asyncio.run(go())


@pytest.mark.covers("S9", "S11")
@pytest.mark.covers("C16")
def test_a_redirect_is_followed_three_times_without_cookies_or_headers_of_ours(
    tmp_path: Path,
) -> None:
    server, heard = served([_redirect("/1"), _redirect("/2"), _redirect("/3"), OK])
    with server:
        fetch_here(f"http://127.0.0.1:{server.getsockname()[1]}/0", tmp_path / "clip")
    assert (tmp_path / "clip").read_bytes() == b"hi"
    assert len(heard) == 4
    for request in heard:
        names = {line.split(b":")[0].lower() for line in request.split(b"\r\n")[1:] if line}
        assert names == {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent"}


@pytest.mark.covers("S9")
@pytest.mark.covers("C16")
def test_a_fourth_redirect_is_not_followed(tmp_path: Path) -> None:
    server, heard = served([_redirect(f"/{n}") for n in range(9)])
    with server, pytest.raises(Unreachable, match="redirected too often"):
        fetch_here(f"http://127.0.0.1:{server.getsockname()[1]}/0", tmp_path / "clip")
    assert len(heard) == 4


@pytest.mark.covers("S9")
@pytest.mark.parametrize("to", [
    "http://169.254.169.254/latest/", "https://169.254.169.254/", "http://example.com/", "file:///etc/passwd",
    "//10.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://example.com:22/",
])  # fmt: skip
@pytest.mark.covers("C16")
def test_a_redirect_is_judged_like_the_first_link(to: str, tmp_path: Path) -> None:
    server, heard = served([_redirect(to), OK])
    with server, pytest.raises((Spoiled, Unreachable)):
        fetch_here(f"http://127.0.0.1:{server.getsockname()[1]}/0", tmp_path / "clip")
    assert len(heard) <= 1
    assert not (tmp_path / "clip").exists()


@pytest.mark.covers("S11")
def test_a_server_behind_tls_is_still_asked_by_its_name() -> None:
    """The certificate is held against the name, though the connection goes to an address."""
    seen: list[Any] = []

    class Stream(httpcore.AsyncNetworkStream):
        async def start_tls(self, *_: Any, server_hostname: str | None = None, **__: Any) -> Any:
            seen.append(server_hostname)
            raise httpcore.ConnectError("enough seen")

        async def aclose(self) -> None: ...

    class Inner(httpcore.AsyncNetworkBackend):
        async def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
            seen.append(host)
            return Stream()

    async def go() -> None:
        async with download.client(Vetted(Names(["1.1.1.1"]), Inner())) as media:
            with pytest.raises(httpx.ConnectError):
                await media.get(LINK)

    asyncio.run(go())
    assert seen == ["1.1.1.1", "cdn.example.com"]
