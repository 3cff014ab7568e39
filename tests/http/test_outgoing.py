"""One request: what is sent, what comes back, and where it must not go."""

from __future__ import annotations

import logging
import socket
import traceback

import pytest
from aiohttp import web

from pipeline.http.addresses import Allowed
from pipeline.http.failures import AddressRefused, NoAnswer, OutgoingError
from pipeline.http.outgoing import Limits
from pipeline.http.pools import USER_AGENT
from tests.support.server import LOOPBACK, client, names, sent, serving, talking, text


async def test_an_answer_has_status_headers_body_and_url() -> None:
    async with serving(text("hällo", 418, ETag='"1"')) as server, client() as out:
        answer = await out.request("get", server.url("/a"), params={"q": "x y", "n": 2}, allow=LOOPBACK)
        assert (answer.status, answer.headers["etag"], answer.body.decode()) == (418, '"1"', "hällo")
        assert answer.url == server.url("/a?q=x+y&n=2")
        (request,) = server.requests
        assert request.method == "GET" and dict(request.query) == {"q": "x y", "n": "2"}
        assert sent(request, "User-Agent", "Accept-Encoding", "Cookie", "Referer") == {
            "User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate", "Cookie": None, "Referer": None,
        }  # fmt: skip


async def test_params_join_those_of_the_url() -> None:
    async with serving(text()) as server, client() as out:
        await out.request("GET", server.url("/?a=1&a=2"), params={"a": ["3", "4"]}, allow=LOOPBACK)
        assert server.requests[0].query_string == "a=1&a=2&a=3&a=4"


async def test_a_body_and_headers_of_ones_own() -> None:
    async with serving(text(status=201)) as server, client() as out:
        headers = {"User-Agent": "reddit wants its own", "Content-Type": "application/json", "Authorization": "Bearer t"}
        answer = await out.request("POST", server.url(), headers=headers, body=b"{}", allow=LOOPBACK)
        assert answer.status == 201 and server.bodies == [b"{}"]
        assert sent(server.requests[0], *headers) == headers


async def test_neither_cookies_nor_a_proxy_or_password_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(text(Set_Cookie="a=b")) as server, serving(text()) as proxy, client() as out:
        monkeypatch.setenv("http_proxy", proxy.url())
        for _ in range(2):
            await out.request("GET", server.url(), allow=LOOPBACK)
        assert not proxy.requests and len(server.requests) == 2
        for request in server.requests:
            assert sent(request, "Cookie", "Authorization") == {"Cookie": None, "Authorization": None}


@pytest.mark.parametrize(
    "url",
    ["ftp://feeds.example/", "file:///etc/passwd", "//feeds.example/", "feeds.example", "", "http://", "http://feeds.example:0/",
     "http://u:secret@feeds.example/", "http://secret@feeds.example/", "http://[::1", "ws://feeds.example/", "http:///secret"],
)  # fmt: skip
async def test_a_url_that_is_no_plain_one_is_refused(url: str) -> None:
    async with client() as out:
        with pytest.raises(AddressRefused) as caught:
            await out.request("GET", url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"])
async def test_a_private_address_is_refused(host: str) -> None:
    async with serving(text()) as server, client() as out:
        with pytest.raises(AddressRefused):
            await out.request("GET", server.url(host=host))
        with pytest.raises(AddressRefused):
            async with out.stream(server.url(host=host)):
                pass
        with pytest.raises(AddressRefused):
            async with out.websocket(server.url(host=host, scheme="ws")):
                pass
        assert not server.connections


@pytest.mark.parametrize("answer", ["127.0.0.1", "93.184.216.34 10.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "fd00::1"])
async def test_a_name_that_resolves_to_a_private_address_is_refused(answer: str) -> None:
    async with serving(text()) as server, client(lookup=names(feeds=answer)) as out:
        with pytest.raises(AddressRefused, match=" is "):
            await out.request("GET", server.url(host="feeds.example"))
        with pytest.raises(AddressRefused, match=" is "):
            async with out.stream(server.url(host="feeds.example")):
                pass
        with pytest.raises(AddressRefused, match=" is "):
            async with out.websocket(server.url(host="feeds.example", scheme="ws")):
                pass
        assert not server.connections


@pytest.mark.parametrize(
    ("host", "allow"),
    [("127.0.0.1", ["127.0.0.0/8"]), ("ours.example", ["ours.example"]), ("Ours.Example.", ["OURS.example"]),
     ("ours.example", ["127.0.0.1"])],
)  # fmt: skip
async def test_what_the_source_allows_is_reached(host: str, allow: list[str]) -> None:
    async with serving(text()) as server, client(lookup=names(ours="127.0.0.1")) as out:
        assert (await out.request("GET", server.url(host=host), allow=Allowed.of(allow))).status == 200


async def test_each_connection_looks_the_name_up_and_goes_to_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when it is checked, ours when it is asked again."""
    answers, connected = [["93.184.216.34"], ["127.0.0.1"]], list[str]()

    async def lookup(name: str) -> list[str]:
        return answers.pop(0)

    async def no_network(loop: object, sock: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", no_network)
    async with client(lookup=lookup) as out:
        with pytest.raises(NoAnswer, match="^Connection refused$"):
            await out.request("GET", "http://feeds.example/")
        with pytest.raises(AddressRefused, match="^127.0.0.1 is loopback$"):
            await out.request("GET", "http://feeds.example/")
    assert connected == ["93.184.216.34"]


async def test_another_protocol_gets_checked_addresses() -> None:
    async with client(lookup=names(mail="10.0.0.1", public="8.8.8.8 2606:4700::1111")) as out:
        assert await out.addresses("public.example") == ["8.8.8.8", "2606:4700::1111"]
        assert await out.addresses("mail.example", Allowed.of(["10.0.0.0/8"])) == ["10.0.0.1"]
        assert await out.addresses("127.0.0.1", LOOPBACK) == ["127.0.0.1"]
        for host in ("mail.example", "10.0.0.1", "127.1", "::1"):
            with pytest.raises(AddressRefused):
                await out.addresses(host, LOOPBACK)
        with pytest.raises(NoAnswer, match="^the host's name: "):
            await out.addresses("nobody.example")


async def test_an_unknown_name_and_a_closed_port_say_so() -> None:
    async with talking(lambda reader, writer: reader.read()) as server:
        closed = server.port
    async with client(lookup=names()) as out:
        with pytest.raises(NoAnswer, match="^the host's name: Name or service not known$"):
            await out.request("GET", "http://nobody.example/")
        with pytest.raises(NoAnswer, match="^Connection refused$"):
            await out.request("GET", f"http://127.0.0.1:{closed}/", allow=LOOPBACK)


async def test_a_name_that_no_dns_can_hold_is_unknown() -> None:
    async with client() as out:
        with pytest.raises(NoAnswer, match="^the host's name: "):
            await out.request("GET", f"http://{'a' * 70}.invalid/")


SECRET = "T0PS3CRET"


async def test_no_error_log_or_answer_holds_the_url_a_token_or_a_header(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, "asyncio")

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/loop":
            return web.Response(status=302, headers={"Location": f"/loop?{SECRET}", "X-Token": SECRET})
        return web.Response(status=401, text=SECRET, headers={"X-Token": SECRET, "Content-Encoding": SECRET})

    said = ""
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with serving(handler) as server, client(lookup=names(a="10.0.0.1")) as out:
        for url in (
            server.url(f"/loop?{SECRET}"), server.url(f"/{SECRET}"), f"http://127.0.0.1:1/{SECRET}", f"http://a.example/?{SECRET}",
            f"https://127.0.0.1:{server.port}/{SECRET}", f"http://{SECRET}.example/", f"http://{SECRET}@a.example/",
        ):  # fmt: skip
            try:
                said += repr(await out.request("GET", url, headers=headers, allow=LOOPBACK))
            except OutgoingError as error:
                said += "".join(traceback.format_exception(error)) + repr(error)
            try:
                async with out.websocket(url, headers=headers, allow=LOOPBACK):
                    pass
            except OutgoingError as error:
                said += "".join(traceback.format_exception(error)) + repr(error)
        said += repr(await out.request("GET", server.url(f"/{SECRET}"), allow=LOOPBACK, limits=Limits(body=None)))
    assert SECRET not in said + caplog.text and "Answer(status=401)" in said


async def test_only_errors_of_ours_come_out() -> None:
    async with talking(lambda reader, writer: reader.readuntil(b"\r\n\r\n")) as server, client() as out:
        with pytest.raises(OutgoingError):
            await out.request("POST", server.url(), body=b"x", allow=LOOPBACK)
