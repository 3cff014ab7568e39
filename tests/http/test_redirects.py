"""Redirects: each hop is checked as the first was, and credentials stay with their server."""

from __future__ import annotations

import pytest
from aiohttp import web

from pipeline.http.addresses import Allowed
from pipeline.http.failures import AddressRefused, BadAnswer
from pipeline.http.outgoing import Limits
from tests.support.server import LOOPBACK, Handler, client, names, sent, serving, text

OURS = Allowed.of(["ours.example"])
HEADERS = {"Authorization": "Bearer t", "X-Api-Key": "k", "If-None-Match": '"1"', "User-Agent": "me", "Accept": "a/b"}


PRIVATE = [
    "http://127.0.0.1:{port}/", "http://private.example:{port}/", "http://2130706433:{port}/", "//127.0.0.1:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://169.254.169.254/",
]  # fmt: skip


def leading(**targets: str) -> Handler:
    """Redirects /NAME to its target, by 302; answers everything else."""

    async def handler(request: web.Request) -> web.Response:
        if target := targets.get(request.path.strip("/")):
            return web.Response(status=302, headers={"Location": target})
        return web.Response(text="here")

    return handler


async def test_a_redirect_is_followed_and_the_answer_names_its_end() -> None:
    async with serving(leading(a="b?q=1#part", b="/c")) as server, client() as out:
        answer = await out.request("GET", server.url("/a"), headers=HEADERS, params={"token": "t"}, allow=LOOPBACK)
        assert (answer.body, answer.url, server.paths) == (b"here", server.url("/c"), ["/a", "/b", "/c"])
        assert [request.query_string for request in server.requests] == ["token=t", "q=1", ""]
        assert all(sent(request, *HEADERS) == HEADERS for request in server.requests)


@pytest.mark.parametrize("target", PRIVATE)
async def test_a_redirect_to_a_private_address_is_refused(target: str) -> None:
    """`allow` opens the first host alone."""
    lookup = names(ours="127.0.0.1", private="127.0.0.1")
    async with serving(text("inside")) as inside, client(lookup=lookup) as out:
        async with serving(leading(a=target.format(port=inside.port))) as server:
            with pytest.raises(AddressRefused):
                await out.request("GET", server.url("/a", "ours.example"), allow=OURS)
            with pytest.raises(AddressRefused):
                async with out.stream(server.url("/a", "ours.example"), allow=OURS):
                    pass
        assert not inside.connections


async def test_a_name_that_is_rebound_between_hops_is_refused() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def lookup(name: str) -> list[str]:
        return answers.pop(0)

    async with serving(leading(a="/b")) as server, client(lookup=lookup, keep_alive=False) as out:
        with pytest.raises(AddressRefused, match="^127.0.0.2 is loopback$"):
            await out.request("GET", server.url("/a", "feeds.example"), allow=LOOPBACK)
        assert server.paths == ["/a"]


@pytest.mark.parametrize("target", ["ftp://feeds.example/", "file:///etc/passwd", "javascript:x", "http://[::1", "data:,x"])
async def test_a_redirect_to_no_http_url_is_an_error(target: str) -> None:
    async with serving(leading(a=target)) as server, client() as out:
        with pytest.raises(BadAnswer, match=r"^it redirects to no http\(s\) URL$"):
            await out.request("GET", server.url("/a"), allow=LOOPBACK)


async def test_five_redirects_are_followed_and_no_more() -> None:
    async with serving(leading(a="/b", b="/c", c="/d", d="/e", e="/f", circle="/circle")) as server, client() as out:
        assert (await out.request("GET", server.url("/a"), allow=LOOPBACK)).status == 200
        server.requests.clear()
        with pytest.raises(BadAnswer, match="^it redirects more than 5 times$"):
            await out.request("GET", server.url("/circle"), allow=LOOPBACK)
        assert len(server.requests) == 6


async def test_none_is_followed_where_none_may_be() -> None:
    async with serving(leading(a="/b")) as server, client() as out:
        answer = await out.request("GET", server.url("/a"), limits=Limits(redirects=0), allow=LOOPBACK)
        assert (answer.status, answer.headers["location"], server.paths) == (302, "/b", ["/a"])


async def test_a_redirect_without_location_and_a_304_are_answers() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=int(request.path[1:]), headers={"Location": "/"} if request.path == "/304" else {})

    async with serving(handler) as server, client() as out:
        for status in (302, 304, 300):
            assert (await out.request("GET", server.url(f"/{status}"), allow=LOOPBACK)).status == status


async def test_another_host_gets_no_credentials() -> None:
    lookup = names(ours="127.0.0.1", other="127.0.0.1")
    async with serving(text()) as there, client(lookup=lookup) as out:
        target = f"http://me:secret@other.example:{there.port}/"
        async with serving(leading(a=target)) as here:
            assert (await out.request("GET", here.url("/a", "ours.example"), headers=HEADERS, allow=LOOPBACK)).status == 200
            assert sent(here.requests[0], *HEADERS) == HEADERS
        assert sent(there.requests[0], *HEADERS) == {**HEADERS, "Authorization": None, "X-Api-Key": None}


async def test_another_port_is_another_server() -> None:
    async with serving(text()) as there, serving(leading(a=there.url())) as here, client() as out:
        await out.request("GET", here.url("/a"), headers=HEADERS, allow=LOOPBACK)
        assert sent(there.requests[0], "Authorization") == {"Authorization": None}


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [(301, "POST", "GET", b""), (302, "POST", "GET", b""), (303, "POST", "GET", b""), (303, "PUT", "GET", b""),
     (307, "POST", "POST", b"x"), (308, "POST", "POST", b"x"), (302, "PUT", "PUT", b"x"), (303, "HEAD", "HEAD", b"")],
)  # fmt: skip
async def test_the_method_after_a_redirect(status: int, method: str, then: str, body: bytes) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/b"}) if request.path == "/a" else web.Response()

    headers = {"Content-Type": "text/plain"}
    async with serving(handler) as server, client() as out:
        sending = None if method == "HEAD" else b"x"
        await out.request(method, server.url("/a"), headers=headers, body=sending, allow=LOOPBACK)
        assert (server.requests[1].method, server.bodies[1]) == (then, body)
        assert sent(server.requests[1], "Content-Type") == {"Content-Type": "text/plain" if then == method else None}


async def test_a_body_goes_to_no_other_host() -> None:
    """It holds the client's secret when a token is asked for."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://other.example/"})

    async with serving(handler) as server, client() as out:
        with pytest.raises(BadAnswer, match="^it redirects a body to another host$"):
            await out.request("POST", server.url(), body=b"client_secret=x", allow=LOOPBACK)
