"""uvicorn's HTTP, with a way to cut off a connection whose browser does not read.

An ASGI application can't: its answer waits until the browser reads, and a connection that is closed politely waits, too.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Protocol(H11Protocol):
    """For `uvicorn.Config(http=Protocol)`: `request.state.abort` ends the connection of the request at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = self.app_state | {"abort": transport.abort}
