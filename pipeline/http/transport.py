"""Outgoing, for libraries that send their requests by httpx2: the addresses, the proxy and the limits are those of our own."""

from __future__ import annotations

import httpx2

from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Limits, Outgoing

SENT = ("accept", "authorization", "content-type")
"""Headers that go along; the others are the client's own."""


class OutgoingTransport(httpx2.AsyncBaseTransport):
    """A transport of httpx2's client. Its requests raise OutgoingErrors. Whoever made `outgoing` closes it."""

    def __init__(self, outgoing: Outgoing, limits: Limits, allow: Allowed) -> None:
        self._outgoing, self._limits, self._allow = outgoing, limits, allow

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._outgoing.request(
            request.method,
            str(request.url),
            headers={name: request.headers[name] for name in SENT if name in request.headers},
            body=await request.aread() or None,
            limits=self._limits,
            allow=self._allow,
        )
        kind = answer.headers.get("Content-Type", "")
        return httpx2.Response(
            answer.status, headers={"Content-Type": kind} if kind else {}, content=answer.body, request=request
        )
