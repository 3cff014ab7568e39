"""The addresses of host names, looked up on threads: a name server that hangs must keep no other host waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

THREADS = 32
"""A name server may hang for ten seconds and more. A host takes one thread at most, however many requests ask for it."""
Resolver = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host name. Raises OSError."""


class Lookups:
    """Looks names up, each once at a time. Nothing is remembered: an address is never older than its check."""

    def __init__(self, lookup: Resolver | None = None) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "lookup")
        self._lookup = lookup or self._system_lookup
        self._running: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """Raises OSError, as socket.getaddrinfo does. If the caller gives up, others still get the answer."""
        running = self._running.get(host)
        if running is None:
            running = self._running[host] = asyncio.ensure_future(self._lookup(host))
            running.add_done_callback(lambda _: self._running.pop(host, None))
        return await asyncio.shield(running)

    def close(self) -> None:
        """Lookups that still run are not waited for."""
        for running in list(self._running.values()):
            running.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _system_lookup(self, host: str) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host)


def _look_up(host: str) -> list[str]:
    try:
        return [str(address[0]) for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except UnicodeError:  # a label that is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
