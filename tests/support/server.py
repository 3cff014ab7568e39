"""Servers on loopback for the outgoing client: real HTTP by aiohttp, and bytes as a test writes them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

from pipeline.http.addresses import Allowed
from pipeline.http.lookups import Resolver
from pipeline.http.outgoing import DIRECT, Outgoing
from pipeline.http.route import Route

LOOPBACK = Allowed.of(["127.0.0.1"])
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@dataclass
class Served:
    """A server, and what it was asked."""

    port: int = 0
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    """The clients' addresses: one for each connection."""

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Served]:
    """HTTP on a free port of 127.0.0.1. `handler` answers every path and method."""
    served = Served()

    async def handle(request: web.Request) -> web.StreamResponse:
        served.requests.append(request)
        served.bodies.append(await request.read())
        assert request.transport is not None
        served.connections.add(request.transport.get_extra_info("peername"))
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    served.port = runner.addresses[0][1]
    try:
        yield served
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[Served]:
    """TCP on a free port of 127.0.0.1; `talk` has each connection, which ends after it."""
    served, running = Served(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        served.connections.add(writer.get_extra_info("peername"))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def saying(*parts: bytes, pause_s: float = 0.0, end: bool = True) -> Talk:
    """Reads the head of a request and writes these parts; without `end` it then says nothing more."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if not end:
            await asyncio.Event().wait()

    return talk


def text(body: str = "hello", status: int = 200, **headers: str) -> Handler:
    """Answers everything with this."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(
            status=status, text=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return handler


def names(**addresses: str) -> Resolver:
    """A resolver that knows `NAME.example` for each NAME."""

    async def lookup(host: str) -> list[str]:
        try:
            return addresses[host.removesuffix(".").removesuffix(".example")].split()
        except KeyError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None

    return lookup


@asynccontextmanager
async def client(route: Route = DIRECT, lookup: Resolver | None = None, keep_alive: bool = True) -> AsyncIterator[Outgoing]:
    made = Outgoing(route, lookup, keep_alive)
    try:
        yield made
    finally:
        await made.close()


def sent(request: web.Request, *names: str) -> Mapping[str, str | None]:
    """These headers of the request; None: it has none of that name."""
    return {name: request.headers.get(name) for name in names}
