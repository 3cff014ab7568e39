"""The door before the HTTP server: how many connections there may be, in all and of one address, before TLS and before a byte
is read. The proxies of the settings and this machine have no limit of their own: behind them are many people."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from pipeline.console.throttle import network
from pipeline.errors import StackError
from pipeline.http.same_origin import is_loopback

MOST_INSIDE = 700
"""More than the server answers (connections.py), which says so to those above; less than a process may have files open."""
MOST_OF_ADDRESS = 64
Unlimited = Callable[[str], bool]


class _Guest(socket.socket):
    """A connection that was let in; `gone` is called when it is closed."""

    gone: Callable[[], None] | None = None

    def close(self) -> None:
        gone, self.gone = self.gone, None
        super().close()
        if gone is not None:
            gone()


class Door(socket.socket):
    """Listens. `accept` closes at once what is too much; asyncio takes that for a connection that was given up."""

    unlimited: Unlimited
    inside: Counter[str]

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        who = "" if self.unlimited(address[0]) else network(address[0])
        if self.inside.total() >= MOST_INSIDE or (who and self.inside[who] >= MOST_OF_ADDRESS):
            connection.close()
            raise ConnectionAbortedError
        guest = _Guest(fileno=connection.detach())
        guest.gone = lambda: self._left(who)
        self.inside[who] += 1
        return guest, address

    def _left(self, who: str) -> None:
        self.inside[who] -= 1
        if not self.inside[who]:
            del self.inside[who]


def listen(host: str, port: int, unlimited: Unlimited = is_loopback) -> Door:
    """A socket that listens there. Raises StackError when the port is taken."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise StackError(f"console's port {host}:{port}: {error.strerror}") from None
    door = Door(fileno=made.detach())
    door.unlimited, door.inside = unlimited, Counter()
    return door
