"""A server on loopback that answers as one function says: for what no platform should send, and for what it gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from tests.support.platform_server import PlatformServer


class Got(NamedTuple):
    """A request."""

    path: str
    """With its query."""
    headers: str
    body: str


class AnyServer(PlatformServer):
    """Each path. `got` has all requests."""

    def __init__(self, answer: Callable[[str, int], object]) -> None:
        """`answer`: the JSON, the whole response, or a coroutine with one, for a path and the number of the request, from 1."""
        super().__init__()
        self._answer = answer
        self.got: list[Got] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._any)]

    async def _any(self, request: web.Request) -> web.StreamResponse:
        self.got.append(Got(request.path_qs, str(dict(request.headers)), (await request.read()).decode()))
        found = self._answer(request.path, len(self.got))
        found = await found if isinstance(found, Awaitable) else found
        return found if isinstance(found, web.StreamResponse) else web.json_response(found)
