"""Which addresses of the internet a download may connect to: public ones, looked up once."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import httpcore

from secondunit.errors import Spoiled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

HERE = frozenset({"localhost", "127.0.0.1", "::1"})
MOST = 8  # addresses of a name that are tried

# `is_global` of Python 3.11 calls these global. IANA's special-purpose registries, RFC 6890.
_NOT_PUBLIC = tuple(
    ip_network(net)
    for net in (
        "192.0.0.0/24",  # IETF protocols; a cloud's metadata is at 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "168.63.129.16/32",  # the host's own services in Azure
        "2001::/23",  # IETF protocols, among them Teredo, which wraps an IPv4 address
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "3fff::/20",  # documentation, RFC 9637
    )
)
_UNICAST = IPv6Network("2000::/3")  # all that is given out, RFC 4291 §2.4
_NAT64 = IPv6Network("64:ff9b::/96")  # how a network without IPv4 reaches it, RFC 6052
_ISATAP = 0x5EFE  # RFC 5214 §6.1: an IPv4 address stands behind it


def is_public(address: str) -> bool:
    """Say whether an address is some server's on the internet, and nothing nearer."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip.scope_id or ip not in _UNICAST:
            return False
        if (int(ip) >> 32) & 0xFDFFFFFF == _ISATAP:
            return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in _NOT_PUBLIC)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine: its name or address, not a name that looks like one."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def looked_up(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a name. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Vetted(httpcore.AsyncNetworkBackend):
    """Connects to public addresses alone, and to those that were judged, not to a name again.

    A name is looked up once for each connection. One bad address among several condemns the name:
    whoever owns it could have any of them used. `localhost` and its literals are this machine; who
    may name those is for `download.vet` to say.
    """

    def __init__(
        self, resolve: Resolver = looked_up, inner: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        """Look names up with `resolve`, and connect through `inner`."""
        self._resolve = resolve
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address of `host`. Raises Spoiled where one is not public."""
        addresses = await self._judged(host, port, timeout)
        share = timeout / len(addresses) if timeout else None
        for left, address in zip(range(len(addresses))[::-1], addresses, strict=True):
            try:
                return await self._inner.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not left:
                    raise
        raise httpcore.ConnectError("no address")

    async def _judged(self, host: str, port: int, limit: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(limit):
                found = list(dict.fromkeys(await self._resolve(host, port)))
        except TimeoutError:
            raise httpcore.ConnectTimeout("the name was not found in time") from None
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from None
        good = is_loopback if host in HERE else is_public
        if not all(good(address) for address in found):
            raise Spoiled(
                "The gateway named an address inside this machine or its network; it was not used."
            )
        return found[:MOST] or _nowhere(host)

    async def sleep(self, seconds: float) -> None:
        """Wait, as httpcore asks."""
        await self._inner.sleep(seconds)


def _nowhere(host: str) -> Sequence[str]:
    raise httpcore.ConnectError(f"{host} has no address")
