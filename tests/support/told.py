"""A browser's side of server-sent events, over a real connection to a real uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.console.connections import Server
from pipeline.console.door import listen
from pipeline.console.stream import Hub, sse_response


class Told(NamedTuple):
    """An event as the browser has it."""

    name: str
    data: str
    id: str


class Page:
    """An open page that reads its stream; `next` waits for the next event."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.head: dict[str, str] = {}
        self.status = ""
        self.last_id = ""

    async def begin(self) -> None:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = lines[0]
        self.head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}

    async def next(self, timeout_s: float = 60) -> Told:
        """The next event that is no heartbeat. Raises EOFError at the end of the stream."""
        async with asyncio.timeout(timeout_s):
            while True:
                fields: dict[str, list[str]] = {}
                while line := await self._line():
                    name, _, value = line.partition(":")
                    fields.setdefault(name, []).append(value.removeprefix(" "))
                if fields.get("event", ["beat"]) != ["beat"]:
                    told = Told(*("\n".join(fields.get(name, [])) for name in ("event", "data", "id")))
                    self.last_id = told.id or self.last_id
                    return told

    async def _line(self) -> str:
        """One line of the stream, out of the chunks of the connection."""
        line = b""
        while not line.endswith(b"\n"):
            if not self._left:
                size = int(await self._reader.readline() or b"0", 16)
                if size == 0:
                    raise EOFError
                self._left = await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            piece, newline, self._left = self._left.partition(b"\n")
            line += piece + newline
        return line.decode().rstrip("\n")

    _left = b""


class Site(NamedTuple):
    """A served hub."""

    hub: Hub
    port: int

    @asynccontextmanager
    async def page(
        self, after: str | None = None, last_id: str = "", session: str = "", person: str = ""
    ) -> AsyncIterator[Page]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        query = f"?session={session}&person={person}" + (f"&after={quote(after)}" if after is not None else "")
        header = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        writer.write(f"GET /changes{query} HTTP/1.1\r\nHost: here\r\n{header}\r\n".encode())
        page = Page(reader, writer)
        try:
            await page.begin()
            yield page
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def served(hub: Hub, start: bool = True) -> AsyncIterator[Site]:
    """The hub behind uvicorn, as the console runs it."""

    async def changes(request: Request) -> Response:
        asked = request.query_params
        return sse_response(request, hub, asked.get("session", ""), asked.get("person", ""))

    app = Starlette(routes=[Route("/changes", changes)])
    server = Server(app, None, None, hub.end_all)
    with listen("127.0.0.1", 0) as sock:
        running = asyncio.create_task(server.serve([sock]))
        if start:
            hub.start()
        try:
            async with asyncio.timeout(60):
                while not server.started:
                    await asyncio.sleep(0.01)
            yield Site(hub, sock.getsockname()[1])
        finally:
            server.should_exit = True
            await running
            await hub.close()
