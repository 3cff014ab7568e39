"""Connections that last: the lines of a stream, the messages of a WebSocket.

Each bounds how long it is silent, by whole lines and messages: a server that drips a byte a minute is silent too. Time counts
only while a line or message is waited for, so a slow reader is not taken for a silent server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NoReturn, Self

import aiohttp
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.http_websocket import WebSocketError

from pipeline.http.bodies import Decoder
from pipeline.http.failures import BadAnswer, NoAnswer, TimedOut, TooLarge, named, within


class Lines:
    """An async iterator of lines, as bytes without their end. It stops when the server ends the stream."""

    def __init__(self, response: aiohttp.ClientResponse, idle_s: float, longest: int) -> None:
        self.headers = response.headers
        self._content = response.content
        self._idle_s, self._longest = idle_s, longest
        self._decoder = Decoder(response.headers.get("Content-Encoding", ""))
        self._pieces: Iterator[bytes] = iter(())
        self._buffer = bytearray()
        self._searched = 0
        """So many bytes of the buffer hold no end of a line."""
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Raises OutgoingError."""
        while (line := self._take()) is None:
            if self._ended:
                raise StopAsyncIteration
            await self._fill()
        return line

    def _take(self) -> bytes | None:
        """The next line of the buffer; None: it holds no whole one."""
        end = self._buffer.find(b"\n", self._searched)
        if end < 0 and self._ended and self._buffer:
            end = len(self._buffer)  # the last line may lack its end
        if (len(self._buffer) if end < 0 else end) > self._longest:
            raise TooLarge(f"a line is over {self._longest:,} bytes")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")

    async def _fill(self) -> None:
        """Adds to the buffer until it may hold a whole line."""
        if self._add(next(self._pieces, b"")):
            return
        try:
            async with asyncio.timeout(self._idle_s):
                while not self._ended and not self._add(await self._piece()):
                    if len(self._buffer) > self._longest:
                        return
        except TimeoutError:
            raise TimedOut(f"no line for {self._idle_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise named(error) from None

    def _add(self, piece: bytes) -> bool:
        """Whether the piece ends a line."""
        self._buffer += piece
        return b"\n" in piece

    async def _piece(self) -> bytes:
        piece = next(self._pieces, b"")
        if not piece:
            chunk = await self._content.readany()
            self._ended = not chunk
            if self._ended:
                self._decoder.end()
            self._pieces = self._decoder.pieces(chunk)
        return piece


class Socket:
    """An async iterator of text messages. It stops when the server closes the connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, idle_s: float, quiet_s: float) -> None:
        self._socket = socket
        self._idle_s, self._quiet_s = idle_s, quiet_s

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        """Raises OutgoingError."""
        loop = asyncio.get_running_loop()
        quiet_until, asked = loop.time() + self._quiet_s, False
        while True:
            try:
                left = quiet_until - loop.time()
                message = await self._socket.receive(max(min(self._idle_s / 2, left), 0.001))
            except TimeoutError:
                if loop.time() >= quiet_until:
                    raise TimedOut(f"no message for {self._quiet_s:g} s") from None
                if asked:
                    raise TimedOut(f"no sign for {self._idle_s:g} s") from None
                asked = True
                await self._write(self._socket.ping)
                continue
            asked = False
            if message.type is WSMsgType.PING:
                await self._write(partial(self._socket.pong, message.data))
            elif message.type is WSMsgType.TEXT:
                return str(message.data)
            elif message.type is not WSMsgType.PONG:
                self._end(message)
            await asyncio.sleep(0)  # a server that floods with them must not keep the loop from others

    async def send(self, text: str) -> None:
        """Raises OutgoingError, TimedOut if the server does not take it for `idle_s`."""
        await self._write(partial(self._socket.send_str, text))

    async def _write(self, send: Callable[[], Awaitable[None]]) -> None:
        async with within(asyncio.get_running_loop().time() + self._idle_s, self._idle_s):
            await send()

    def _end(self, message: aiohttp.WSMessage) -> NoReturn:
        """Raises why there are no more messages: StopAsyncIteration if the server closed the connection in order."""
        error = message.data if message.type is WSMsgType.ERROR else self._socket.exception()
        if message.type is WSMsgType.BINARY:
            raise BadAnswer("a message is binary")
        if isinstance(error, WebSocketError):
            if error.code == WSCloseCode.MESSAGE_TOO_BIG:
                raise TooLarge("a message is too long")
            raise BadAnswer("its WebSocket frames are broken")
        if isinstance(error, Exception):
            raise named(error)
        if self._socket.close_code == WSCloseCode.ABNORMAL_CLOSURE:
            raise NoAnswer("the connection broke off")
        raise StopAsyncIteration
