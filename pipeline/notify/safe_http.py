"""Outgoing HTTP that nobody can turn on our own network.

The author of alerts.yaml, and the DNS server of a name in it, decide where requests go, and these come from inside. So each
address is checked before a connection: it has to be public, or named by `allow`; of a name, all addresses have to pass. There
are no redirects, no proxies from the environment and no cookies, and each request makes a connection of its own, so that an
address is never older than its check.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

MOST_BODY = 64 << 10
"""So much of an answer is read, and ignored: a receiver should be able to send it to its end."""
Address = IPv4Address | IPv6Address
Resolver = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host name."""

_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
_SHARED = ip_network("100.64.0.0/10")
# Public by their number, but answered by the local network: metadata and wire servers of clouds, a relay that nobody runs.
_LOCAL_SERVICES = tuple(map(ip_network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")))


class AddressRefused(Exception):
    """The request must not go there. The text names the address, never the URL."""


class Response(NamedTuple):
    """Of one request; its body is ignored."""

    status: int
    retry_after: str
    """The header as received; blank: none."""


def kind(address: Address) -> str:
    """Why it is no address of the public internet, in a word or two; blank: it is one."""
    if isinstance(address, IPv6Address):
        if (inner := _embedded(address)) is not None:
            return kind(inner)
        if address.sixtofour or address.teredo:
            return "a tunnel"
    for named, word in (
        (address.is_unspecified, "unspecified"),
        (address.is_loopback, "loopback"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (isinstance(address, IPv4Address) and address in _SHARED, "shared"),
        (isinstance(address, IPv4Address) and any(address in network for network in _LOCAL_SERVICES), "the network's own"),
        (address.is_reserved, "reserved"),
        (address.is_private, "private"),
        (not address.is_global, "not public"),
        (isinstance(address, IPv6Address) and address not in _UNICAST, "not public"),
    ):
        if named:
            return word
    return ""


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that this one leads to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


class SafeClient(AbstractResolver):
    """Posts to one URL. To be made and closed in a running event loop."""

    def __init__(self, url: str, allow: Iterable[str], timeout: timedelta, lookup: Resolver | None = None) -> None:
        self._url = URL(url)
        self._host = self._url.raw_host or ""
        entries = set(allow)
        self._names = {_bare(entry) for entry in entries if not _is_network(entry)}
        self._networks = [ip_network(entry) for entry in entries if _is_network(entry)]
        # A thread of its own: a name server that hangs for one receiver must not keep others from theirs.
        self._thread = ThreadPoolExecutor(1, "lookup")
        self._lookup = lookup or self._system_lookup
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self, use_dns_cache=False, force_close=True, socket_factory=self._socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout.total_seconds()),
            auto_decompress=False,
            trust_env=False,
        )

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Raises AddressRefused, TimeoutError, aiohttp.ClientError or OSError; the latter may hold the URL."""
        self._check_literal()
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            answer = Response(response.status, response.headers.get("Retry-After", ""))
            with suppress(aiohttp.ClientError, TimeoutError):  # the status counts, also if the rest never comes
                left = MOST_BODY
                while left > 0 and (chunk := await response.content.read(left)):
                    left -= len(chunk)
        return answer

    async def close(self) -> None:
        """Ends its connections and its lookups."""
        await self._session.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """aiohttp connects to what this returns, and to nothing else."""
        addresses = await self._lookup(host)
        for address in addresses:
            self._check(address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The last check, right before aiohttp connects, however it came to this address."""
        family, type_, proto, _, address = info
        self._check(str(address[0]))
        return socket.socket(family, type_, proto)

    def _check_literal(self) -> None:
        # aiohttp asks no resolver if the host looks like an address; the system takes 127.1, 0x7f000001 and 2130706433 for one.
        host = self._host.rstrip(".")
        try:
            self._check(host)
            plain = host == self._host
        except ValueError:
            try:
                odd = str(IPv4Address(socket.inet_aton(host)))
            except OSError:
                return  # a name
            self._check(odd)
            plain = False
        if not plain:
            raise AddressRefused("an address must be written in full")

    def _check(self, text: str) -> None:
        """Raises AddressRefused, and ValueError for a text that is no address."""
        address = ip_address(text.replace("%25", "%"))
        word = kind(address)
        if word and not self._allowed(address):
            inner = _embedded(address) if isinstance(address, IPv6Address) else None
            raise AddressRefused(f"{inner or address} is {word}")

    def _allowed(self, address: Address) -> bool:
        inner = _embedded(address) if isinstance(address, IPv6Address) else None
        return _bare(self._host) in self._names or any(
            each in network for network in self._networks for each in (address, inner) if each is not None
        )

    async def _system_lookup(self, host: str) -> list[str]:
        def look() -> list[str]:
            return [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]

        return await asyncio.get_running_loop().run_in_executor(self._thread, look)


def _bare(host: str) -> str:
    return host.rstrip(".").lower()


def _is_network(entry: str) -> bool:
    try:
        ip_network(entry)
    except ValueError:
        return False
    return True
