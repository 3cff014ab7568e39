"""The HTTP server of the console: uvicorn, with limits that it lacks.

A connection has REQUEST_S for the TLS handshake, as long to send a whole request, head and form, and READ_S to read what is
written to it: a client that sends a byte now and then, or reads none, costs a connection for so long. Beyond MOST connections
at a time, further ones get a 503; door.py limits those of one address.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.console.guard import HEADERS

REQUEST_S, READ_S, STOP_S = 10.0, 30.0, 3
MOST = 600
HEAD_BYTES = 32 << 10
BUSY_LINE = "The console has too many connections: try again."


def _plain(status: str, says: str, more: str = "") -> bytes:
    """An answer without the app, which has the headers of all the others."""
    headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\nConnection: close\r\n{more}{headers}"
    return f"{head}\r\n{says}\n".encode()


class Connection(H11Protocol):
    """One connection. `request.state.abort` cuts it off: a stream whose browser does not read has no other end."""

    request_s, read_s, most = REQUEST_S, READ_S, MOST
    _slow: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = self.app_state | {"abort": transport.abort}
        if len(self.connections) > self.most:
            transport.write(_plain("503 Service Unavailable", BUSY_LINE, "Retry-After: 5\r\n"))
            transport.close()
            return
        self._slow = self.loop.call_later(self.request_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if self._slow is None and (before is None or before.response_complete):
            self._slow = self.loop.call_later(self.request_s, self.transport.abort)
        super().data_received(data)
        answered = self.cycle is before and before is not None and before.response_complete
        if self.cycle is not None and not self.cycle.more_body and not answered:
            _cancel(self._slow)
            self._slow = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._slow is None and self.cycle.more_body and not self.cycle.response_complete:  # it came behind the one before
            self._slow = self.loop.call_later(self.request_s, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        self.transport.write(_plain("400 Bad Request", "This is no request that the console reads."))
        self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._unread or self.loop.call_later(self.read_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._unread)
        self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._slow)
        _cancel(self._unread)
        super().connection_lost(exc)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


class Server(uvicorn.Server):
    """Serves `app` on a socket until `should_exit`. `stopping` is called first: it ends the streams."""

    def __init__(self, app: ASGIApp, certificate: Path | None, key: Path | None, stopping: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=HEAD_BYTES,
                timeout_graceful_shutdown=STOP_S,
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a limit on the TLS handshake: until its end a connection is none that the app knows."""
        made, tls, loop = partial(Connection, self.config, self.server_state, {}), self.config.ssl, asyncio.get_running_loop()
        within = REQUEST_S if tls else None  # asyncio takes none without TLS
        self.servers = [
            await loop.create_server(made, sock=each, ssl=tls, ssl_handshake_timeout=within, ssl_shutdown_timeout=within)
            for each in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)
