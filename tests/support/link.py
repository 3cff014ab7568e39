"""A TCP link that can be cut: what goes through it is lost, held back or slow for as long as the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any

CHUNK = 1 << 16


class Link:
    """Forwards connections from `port` to another port of this machine. Runs in a thread of its own between `with` and its end.

    `cut` closes what is open and refuses what comes; `hold` keeps every byte, in both directions, until `heal` lets it go on,
    as a network does that loses packets for a while; `slow` holds each piece on its way to the server for some seconds;
    `end_after` lets so many bytes come back, and then ends their connection.
    """

    def __init__(self, port: int, to: int) -> None:
        self.port, self._to = port, to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"link to {to}")
        self._flows = asyncio.Event()
        self._refuses = False
        self._delay_s = 0.0
        self._left: int | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Link:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        self._call(self._set(flows=True, refuses=True))

    def hold(self) -> None:
        self._call(self._set(flows=False))

    def slow(self, seconds: float) -> None:
        self._call(self._set(delay_s=seconds))

    def end_after(self, size: int) -> None:
        self._call(self._set(left=size))

    def heal(self) -> None:
        self._call(self._set())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _set(self, *, flows: bool = True, refuses: bool = False, delay_s: float = 0.0, left: int | None = None) -> None:
        self._refuses, self._delay_s, self._left = refuses, delay_s, left
        if refuses:
            for end in self._ends:
                end.transport.abort()
        if flows:
            self._flows.set()
        else:
            self._flows.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.CancelledError, OSError):
            if not self._refuses:
                await self._join(reader, writer)
        self._tasks.discard(task)
        writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer, there=True), self._pump(far_reader, writer, there=False))
        finally:
            self._ends -= {writer, far_writer}
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, there: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if there and self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flows.wait()
                if self._left is not None and not there:
                    data = data[: self._left]
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
                if self._left == 0 and not there:
                    break
            await self._flows.wait()
            writer.write_eof()
