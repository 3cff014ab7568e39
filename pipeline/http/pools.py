"""Connections that are kept and reused, in a pool for each reach.

Sources differ in what they may reach, and a connection outlives its request. So a pool has one reach, and its connections serve
only requests with that reach: one that an `allow` opened never serves a source without it. Nearly all sources have no `allow`
and share one pool. A pool has a resolver and a check of sockets of its own; neither needs to know the request.
"""

from __future__ import annotations

import socket
from importlib.metadata import version
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.http.addresses import Networks, literal, refuse_private
from pipeline.http.answer import handshaken
from pipeline.http.failures import AddressRefused
from pipeline.http.lookups import Lookups, Resolver
from pipeline.http.route import Route

USER_AGENT = f"earshot/{version('earshot')}"
KEEP_S = 30.0
"""An idle connection is kept for so long: at a thousand polls in five minutes about a hundred are open."""
MOST_CONNECTIONS, MOST_PER_HOST = 400, 8
"""Of polls: a process may often have 1,024 files open. Streams last for days, so they are not counted."""
MOST_HEADER = 64 << 10
"""Bytes of one header: some servers send 10 KB of content policies."""


class Reach(NamedTuple):
    """What the connections of a pool may reach, and how."""

    networks: Networks
    proxied: bool
    """They lead to the proxy, which resolves names itself."""
    lasting: bool
    """For streams and WebSockets."""


class Pools:
    """The pools of one client. To be made and closed in a running event loop."""

    def __init__(self, route: Route, lookup: Resolver | None, keep_alive: bool) -> None:
        self._route, self._keep_alive = route, keep_alive
        self._lookups = Lookups(lookup)
        self._sessions: dict[Reach, aiohttp.ClientSession] = {}

    def session(self, reach: Reach) -> aiohttp.ClientSession:
        """For requests with this reach and no others."""
        if reach not in self._sessions:
            self._sessions[reach] = self._new_session(reach)
        return self._sessions[reach]

    async def addresses(self, host: str, networks: Networks) -> list[str]:
        """Of a name, each checked. Raises AddressRefused and OSError."""
        return await _Guard(self._lookups, networks).addresses(host)

    async def close(self) -> None:
        """Ends all connections and lookups."""
        for session in self._sessions.values():
            await session.close()
        self._lookups.close()

    def _new_session(self, reach: Reach) -> aiohttp.ClientSession:
        guard = _Guard(self._lookups, reach.networks)
        connector = aiohttp.TCPConnector(
            resolver=guard,
            socket_factory=guard.socket,
            use_dns_cache=False,
            ssl=self._route.tls or True,
            limit=0 if reach.lasting else MOST_CONNECTIONS,
            limit_per_host=0 if reach.lasting else MOST_PER_HOST,
            force_close=not self._keep_alive,
            keepalive_timeout=KEEP_S if self._keep_alive else None,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The client has its own time limits: these would begin anew at each redirect.
            timeout=aiohttp.ClientTimeout(total=None),
            # aiohttp would decompress more than was read; and of a stream, what a proxy compresses it may hold back.
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity" if reach.lasting else "gzip, deflate"},
            middlewares=(handshaken,) if reach.lasting else (),
            max_field_size=MOST_HEADER,
            proxy=self._route.proxy if reach.proxied else None,
            trust_env=False,
        )


class _Guard(AbstractResolver):
    """Checks each address of a pool twice: those of a name when it is looked up, and each before its connection."""

    def __init__(self, lookups: Lookups, networks: Networks) -> None:
        self._lookups, self._networks = lookups, networks

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """aiohttp connects to what this returns, and to nothing else."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in await self.addresses(host)
        ]

    async def addresses(self, host: str) -> list[str]:
        addresses = await self._lookups.addresses(host)
        for address in addresses:
            self._check(address)
        return addresses

    async def close(self) -> None:
        """The client closes the lookups."""

    def socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The last check, right before aiohttp connects, however it came to this address."""
        family, type_, proto, _, address = info
        self._check(str(address[0]))
        return socket.socket(family, type_, proto)

    def _check(self, text: str) -> None:
        if (address := literal(text)) is None:
            raise AddressRefused("it is no address")
        refuse_private(address, self._networks)
