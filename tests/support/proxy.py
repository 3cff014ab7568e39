"""A proxy before ClickHouse that loses answers: the server did the work, the client never hears of it."""

from __future__ import annotations

import asyncio
import io
import random
import threading
from types import TracebackType
from typing import Self

import aiohttp
import pyarrow as pa
from aiohttp import web

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
MAX_BODY = 1 << 30


class LossyProxy:
    """Forwards HTTP to `upstream`; closes the connection instead of answering a part `loss` of the inserts (by `seed`).

    Runs in a thread of its own between `with` and its end, at `url`. `inserts` and `dropped` count what it did.
    """

    def __init__(self, upstream: str, loss: float, seed: int) -> None:
        self._upstream = upstream.rstrip("/")
        self._loss = loss
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self.inserts = 0
        self.dropped = 0
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> str:
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._forward)
        # Bodies pass as they are: compressed ones too.
        self._runner = web.AppRunner(app, auto_decompress=False, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        # As a file: aiohttp warns of bodies over 1 MiB that come as bytes, and warnings are errors here.
        data = io.BytesIO(body)
        async with self._session.request(
            request.method,
            f"{self._upstream}{self._asked(request, body)}",
            data=data,
            headers=headers,
            skip_auto_headers=["Content-Type"],
        ) as answer:
            content = await answer.read()
        if self._loses(request, body):
            assert request.transport is not None
            request.transport.abort()
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
        return web.Response(status=answer.status, body=content, headers=kept)

    def _asked(self, request: web.Request, body: bytes) -> str:
        """What is asked of the upstream: its path and its query."""
        return str(request.rel_url)

    def _loses(self, request: web.Request, body: bytes) -> bool:
        if not statement(request, body).upper().startswith("INSERT"):
            return False
        self.inserts += 1
        lost = self._random.random() < self._loss
        self.dropped += lost
        return lost


def statement(request: web.Request, body: bytes) -> str:
    """The beginning of what the request asks; the driver packs what it inserts together with its statement."""
    if "query" in request.query:
        return request.query["query"].lstrip()
    packed = request.headers.get("Content-Encoding") == "lz4"
    beginning = pa.CompressedInputStream(pa.BufferReader(body), "lz4").read(200) if packed else body[:200]
    return beginning.decode(errors="replace").lstrip()
