"""A library that speaks by httpx2 sends what Outgoing sends, and reaches what it reaches."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from pipeline.http.addresses import PUBLIC_ONLY, Allowed
from pipeline.http.failures import NotPublic, TimedOut, TooLarge
from pipeline.http.outgoing import Limits, Outgoing
from pipeline.http.pools import USER_AGENT
from pipeline.http.transport import OutgoingTransport
from tests.support.server import LOOPBACK, client, sent, serving, text

ONE = Limits(redirects=0)


def by_httpx2(out: Outgoing, limits: Limits = ONE, allow: Allowed = LOOPBACK) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=OutgoingTransport(out, limits, allow), trust_env=False)


async def test_an_answer_and_what_was_sent_for_it() -> None:
    async with serving(text("hällo", 418, Set_Cookie="a=b")) as server, client() as out, by_httpx2(out) as http:
        headers = {"Authorization": "Basic x", "X-Own": "1", "User-Agent": "httpx2"}
        for _ in range(2):
            answer = await http.post(server.url("/a?b=1%202"), data={"code": "x&y"}, headers=headers)
        assert (answer.status_code, answer.text) == (418, "hällo")
        assert server.bodies == [b"code=x%26y"] * 2
        request = server.requests[1]
        assert dict(request.query) == {"b": "1 2"}
        assert sent(request, "Authorization", "X-Own", "Cookie", "User-Agent", "Content-Type") == {
            "Authorization": "Basic x", "X-Own": None, "Cookie": None, "User-Agent": USER_AGENT,
            "Content-Type": "application/x-www-form-urlencoded",
        }  # fmt: skip


async def test_no_redirect_is_followed() -> None:
    async with serving(text(status=302, Location="http://evil.example/")) as server, client() as out, by_httpx2(out) as http:
        assert (await http.get(server.url())).status_code == 302
        assert len(server.requests) == 1


async def test_it_reaches_what_outgoing_reaches_and_within_its_limits() -> None:
    async def slow(request: object) -> object:
        await asyncio.sleep(60)
        raise AssertionError

    async with serving(text("x" * 100)) as server, client() as out:
        async with by_httpx2(out, allow=PUBLIC_ONLY) as http:
            with pytest.raises(NotPublic, match="127.0.0.1 is loopback"):
                await http.get(server.url())
            assert not server.requests
        async with by_httpx2(out, Limits(body=99)) as http:
            with pytest.raises(TooLarge):
                await http.get(server.url())
    async with serving(slow) as server, client() as out, by_httpx2(out, Limits(total_s=0.2)) as http:  # type: ignore[arg-type]
        with pytest.raises(TimedOut):
            await http.get(server.url())
