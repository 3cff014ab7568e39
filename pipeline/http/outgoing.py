"""Outgoing: the client of every platform and of the alerts' receivers.

A process has one, for all its sources: they share its pools of connections (pools.py). It sends no cookies, reads no proxies
and passwords from the environment, and connects to public addresses alone, unless the source's `allow` says otherwise.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from pipeline.http.addresses import PUBLIC_ONLY, Allowed, kind, literal, refuse_private
from pipeline.http.answer import Answer, read, read_ignored, refusal
from pipeline.http.failures import BadAnswer, OutgoingError, within
from pipeline.http.lasting import Lines, Socket
from pipeline.http.lookups import Resolver
from pipeline.http.pools import Pools, Reach
from pipeline.http.redirects import Hop, next_hop, plain_url
from pipeline.http.route import Route

DIRECT = Route()
REDIRECTS = 5
CLOSE_S = 1.0
Headers = Mapping[str, str]
Params = Mapping[str, str | int | Sequence[str]]
"""A list is a parameter that comes several times."""


@dataclass(frozen=True)
class Limits:
    """Of one request, redirects included."""

    total_s: float = 30.0
    """From the call to the last byte. A wait for one of the host's connections, of which there are 8, counts too."""
    body: int | None = 8 << 20
    """Bytes of the decompressed body; None: the body is ignored, and the status counts even if the body never ends."""
    redirects: int = REDIRECTS
    """0: a redirect is an answer like others."""
    held: bool = False
    """A long poll: the server holds it until there is news, so it takes none of the host's connections from others."""


class Outgoing:
    """Requests, streams and WebSockets. To be made and closed in a running event loop.

    Every method raises OutgoingErrors alone (failures.py): AddressRefused before a connection, NoAnswer and TimedOut where
    another try may succeed, TooLarge, BadAnswer; streams and WebSockets also NotAccepted. `headers` may hold a User-Agent.
    """

    def __init__(self, route: Route = DIRECT, lookup: Resolver | None = None, keep_alive: bool = True) -> None:
        """`lookup`: None: the system's. Without `keep_alive` each request has a connection of its own."""
        self._route, self._proxied = route, route.proxy is not None
        self._pools = Pools(route, lookup, keep_alive)

    async def request(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Headers | None = None,
        params: Params | None = None,
        body: bytes | None = None,
        limits: Limits = Limits(),
        allow: Allowed = PUBLIC_ONLY,
    ) -> Answer:
        """The answer, of whatever status, to the last of at most `limits.redirects` redirects.

        A status of 400 or more counts whatever its body is: one that is too long, too slow or broken is left out.
        Another host gets no credentials: of the headers only those that hold none, and no body.
        """
        deadline = asyncio.get_running_loop().time() + limits.total_s
        hop = Hop(method.upper(), _with(plain_url(url), params), CIMultiDict(headers or {}), body)
        async with within(deadline, limits.total_s):
            response = await self._follow(hop, allow, limits.redirects, limits.held)
        try:
            content = b""
            with suppress(*([OutgoingError] if limits.body is None or response.status >= 400 else [])):
                async with within(deadline, limits.total_s):
                    content = await _body(response, limits.body)
        except BaseException:
            response.close()
            raise
        response.release()
        return Answer(response.status, response.headers, content, str(response.url))

    @asynccontextmanager
    async def stream(
        self,
        url: str | URL,
        *,
        headers: Headers | None = None,
        params: Params | None = None,
        idle_s: float = 30.0,
        longest: int = 1 << 20,
        allow: Allowed = PUBLIC_ONLY,
    ) -> AsyncIterator[Lines]:
        """The lines of a body that never ends, from a GET; also blank ones.

        Raises NotAccepted for a status other than 2xx, TimedOut if no whole line comes for `idle_s` while one is waited for,
        TooLarge for a line of more than `longest` bytes.
        """
        deadline = asyncio.get_running_loop().time() + idle_s
        hop = Hop("GET", _with(plain_url(url), params), CIMultiDict(headers or {}))
        async with within(deadline, idle_s):
            response = await self._follow(hop, allow, REDIRECTS, lasting=True)
        try:
            if response.status // 100 != 2:
                raise await refusal(response)
            yield Lines(response, idle_s, longest)
        finally:
            response.close()

    @asynccontextmanager
    async def websocket(
        self,
        url: str | URL,
        *,
        headers: Headers | None = None,
        idle_s: float = 30.0,
        quiet_s: float = math.inf,
        longest: int = 4 << 20,
        allow: Allowed = PUBLIC_ONLY,
    ) -> AsyncIterator[Socket]:
        """The text messages of a WebSocket (ws, wss, http or https); redirects are not followed.

        Raises NotAccepted for a refused handshake, TimedOut if for `idle_s` nothing whole comes, not even the pong to a ping,
        or no message for `quiet_s`; TooLarge for a message of more than `longest` bytes, BadAnswer for a binary one.
        """
        deadline = asyncio.get_running_loop().time() + idle_s
        target = plain_url(url, ("http", "https", "ws", "wss"))
        async with within(deadline, idle_s):
            socket = await self._session(target, allow, lasting=True).ws_connect(
                target,
                headers=headers,
                autoping=False,
                max_msg_size=longest + 1,  # a message of this size is too long for aiohttp
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            )
        try:
            yield Socket(socket, idle_s, quiet_s)
        finally:
            with suppress(OutgoingError):
                async with within(asyncio.get_running_loop().time() + 2 * CLOSE_S, 2 * CLOSE_S):
                    await socket.close()

    async def addresses(self, host: str, allow: Allowed = PUBLIC_ONLY, total_s: float = 10.0) -> list[str]:
        """The addresses of a host, checked, for a protocol that this client does not speak (IMAP): connect to these alone."""
        async with within(asyncio.get_running_loop().time() + total_s, total_s):
            networks = allow.within(host)
            if (address := literal(host)) is None:
                return await self._pools.addresses(host, networks)
            refuse_private(address, networks)
            return [str(address)]

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """For such a protocol: it accepts the certificates that this client accepts."""
        return self._route.context()

    async def close(self) -> None:
        """Ends all connections."""
        await self._pools.close()

    async def _follow(self, hop: Hop, allow: Allowed, redirects: int, lasting: bool = False) -> aiohttp.ClientResponse:
        for _ in range(redirects + 1):
            session = self._session(hop.url, allow, lasting)
            response = await session.request(
                hop.method, hop.url, headers=hop.headers, data=hop.body, allow_redirects=False
            )  # fmt: skip
            try:
                following = next_hop(hop, response) if redirects else None
            except BaseException:
                response.close()
                raise
            if following is None:
                return response
            response.release()
            hop = following
        raise BadAnswer(f"it redirects more than {redirects} times")

    def _session(self, url: URL, allow: Allowed, lasting: bool) -> aiohttp.ClientSession:
        """The session for one hop. Raises AddressRefused."""
        host = url.raw_host or ""
        networks = allow.within(host)
        address = literal(host)
        if address is not None:
            refuse_private(address, networks)
        ours = networks is None or (address is not None and kind(address) != "")
        if self._proxied and not ours:
            return self._pools.session(Reach(None, proxied=True, lasting=lasting))
        return self._pools.session(Reach(networks, proxied=False, lasting=lasting))


def _with(url: URL, params: Params | None) -> URL:
    return url.extend_query(params) if params else url


async def _body(response: aiohttp.ClientResponse, most: int | None) -> bytes:
    if most is not None:
        return await read(response, most)
    await read_ignored(response)
    return b""
