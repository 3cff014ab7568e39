"""WebSockets: messages as they come, pings that find a dead server, limits."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha1

import pytest
from aiohttp import WSMsgType, web

from pipeline.http.answer import NotAccepted
from pipeline.http.failures import AddressRefused, BadAnswer, NoAnswer, OutgoingError, TimedOut, TooLarge
from pipeline.http.outgoing import Outgoing
from pipeline.http.pools import USER_AGENT
from tests.support.server import LOOPBACK, Handler, Served, Talk, client, names, saying, sent, serving, talking, text

UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
Chat = Callable[[web.WebSocketResponse], Awaitable[None]]


def chatting(chat: Chat, autoping: bool = True) -> Handler:
    async def handler(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=autoping, timeout=0.1)
        await socket.prepare(request)
        await chat(socket)
        return socket

    return handler


async def messages(out: Outgoing, server: Served, **given: float) -> list[str]:
    idle_s, quiet_s = given.pop("idle_s", 5.0), given.pop("quiet_s", 5.0)
    longest = int(given.pop("longest", 1 << 20))
    url = server.url(scheme="ws")
    async with out.websocket(url, idle_s=idle_s, quiet_s=quiet_s, longest=longest, allow=LOOPBACK) as socket:
        return [message async for message in socket]


async def test_messages_come_until_the_server_closes_and_what_is_sent_arrives() -> None:
    came = list[object]()

    async def chat(socket: web.WebSocketResponse) -> None:
        came.append((await socket.receive()).data)
        for message in ("one", "zwölf", "x" * 100_000):
            await socket.send_str(message)
        await socket.close()

    async with serving(chatting(chat)) as server, client() as out:
        url, headers = server.url("/a?b=c", scheme="ws"), {"Authorization": "Bearer t"}
        async with out.websocket(url, headers=headers, allow=LOOPBACK) as socket:
            await socket.send('{"subscribe": 1}')
            assert [message async for message in socket] == ["one", "zwölf", "x" * 100_000]
        assert came == ['{"subscribe": 1}']
        (request,) = server.requests
        assert request.path_qs == "/a?b=c"
        assert sent(request, "Authorization", "User-Agent") == {"Authorization": "Bearer t", "User-Agent": USER_AGENT}
        assert sent(request, "Sec-WebSocket-Extensions") == {"Sec-WebSocket-Extensions": None}, "no bombs"


async def test_a_quiet_server_that_answers_pings_is_alive() -> None:
    pings = list[bytes]()

    async def chat(socket: web.WebSocketResponse) -> None:
        while len(pings) < 3 and (await_ := await socket.receive()).type is WSMsgType.PING:
            pings.append(await_.data)
            await socket.pong(await_.data)
        await socket.send_str("late")
        await socket.close()

    async with serving(chatting(chat, autoping=False)) as server, client() as out:
        assert await messages(out, server, idle_s=0.6) == ["late"]
        assert len(pings) == 3


async def test_a_ping_of_the_server_is_answered() -> None:
    pongs = list[bytes]()

    async def chat(socket: web.WebSocketResponse) -> None:
        await socket.ping(b"there?")
        pongs.append((await socket.receive()).data)
        await socket.close()

    async with serving(chatting(chat, autoping=False)) as server, client() as out:
        assert await messages(out, server) == [] and pongs == [b"there?"]


async def forever(socket: web.WebSocketResponse) -> None:
    await asyncio.Event().wait()


async def test_a_dead_server_is_an_error() -> None:
    async with serving(chatting(forever)) as server, client() as out:
        with pytest.raises(TimedOut, match="^no sign for 0.2 s$"):
            await messages(out, server, idle_s=0.2)


def writing(*frames: bytes) -> Talk:
    """Accepts the handshake and writes these, one every 10 ms: a client that goes away in between is no error of aiohttp's."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = (await reader.readuntil(b"\r\n\r\n")).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
        accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(UPGRADE + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        for frame in frames:
            writer.write(frame)
            await writer.drain()
            await asyncio.sleep(0.01)

    return talk


async def test_a_server_that_sends_pings_alone_is_an_error_where_messages_are_due() -> None:
    async with talking(writing(*([b"\x89\x00"] * 1000))) as server, client() as out:
        with pytest.raises(TimedOut, match="^no message for 0.3 s$"):
            await messages(out, server, idle_s=2.0, quiet_s=0.3)


async def test_a_message_that_drips_is_an_error() -> None:
    async with talking(writing(b"\x81\x7e\x03\xe8", *([b"a"] * 900))) as server, client() as out:  # of 1,000 bytes
        with pytest.raises(TimedOut, match="^no sign for 0.2 s$"):
            await messages(out, server, idle_s=0.2)


@pytest.mark.parametrize("length", [1000, 1001])
async def test_a_message_may_be_as_long_as_its_limit(length: int) -> None:
    async def chat(socket: web.WebSocketResponse) -> None:
        await socket.send_str("a" * length)
        await socket.close()

    async with serving(chatting(chat)) as server, client() as out:
        if length == 1000:
            assert await messages(out, server, longest=1000) == ["a" * 1000]
        else:
            with pytest.raises(TooLarge, match="^a message is too long$"):
                await messages(out, server, longest=1000)


async def test_a_binary_message_is_an_error() -> None:
    async def chat(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\0")
        await forever(socket)

    async with serving(chatting(chat)) as server, client() as out:
        with pytest.raises(BadAnswer, match="^a message is binary$"):
            await messages(out, server)


@pytest.mark.parametrize("data", [b"\x83\x01a", b"\x81\x01\xff", b"\xc1\x01a", b"\x80\x01a", b"\x88\x01a"])
async def test_broken_frames_are_an_error(data: bytes) -> None:
    """An unknown kind, no UTF-8, compressed unasked, the rest of nothing, a close without a code."""
    async with talking(writing(data)) as server, client() as out:
        with pytest.raises(BadAnswer, match="^its WebSocket frames are broken$"):
            await messages(out, server)


@pytest.mark.parametrize("data", [b"", b"\x81\x05he"])
async def test_a_connection_that_is_reset_is_an_error(data: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writing(data)(reader, writer)
        writer.transport.abort()

    async with talking(talk) as server, client() as out:
        with pytest.raises(NoAnswer):
            await messages(out, server)


@pytest.mark.parametrize("status", [200, 401, 429, 302])
async def test_a_refused_handshake_says_status_headers_and_body(status: int) -> None:
    refusing = text("slow down", status, Retry_After="7", Location="/elsewhere")
    async with serving(refusing) as server, client() as out:
        with pytest.raises(NotAccepted, match=f"^the server answers {status}$") as caught:
            await messages(out, server)
        answer = caught.value.answer
        assert (answer.status, answer.headers["Retry-After"], answer.body) == (status, "7", b"slow down")
        assert len(server.requests) == 1, "a redirect is not followed"


HANDSHAKES: dict[str, tuple[Talk, type[OutgoingError]]] = {
    "a wrong key": (saying(UPGRADE + b"Sec-WebSocket-Accept: abc\r\n\r\n", end=False), BadAnswer),
    "no upgrade": (saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", end=False), BadAnswer),
    "none": (saying(end=False), TimedOut),
    "no HTTP": (saying(b"220 mail.example\r\n"), BadAnswer),
    "an end": (saying(), NoAnswer),
}


@pytest.mark.parametrize("case", HANDSHAKES)
async def test_a_handshake_that_fails_is_an_error(case: str) -> None:
    talk, error = HANDSHAKES[case]
    async with talking(talk) as server, client() as out:
        with pytest.raises(error):
            await messages(out, server, idle_s=0.3)


async def test_a_slow_reader_is_no_silence_of_the_server() -> None:
    async def chat(socket: web.WebSocketResponse) -> None:
        for _ in range(20):
            await socket.send_str("a" * 100_000)
        await socket.close()

    async with (
        serving(chatting(chat)) as server,
        client() as out,
        out.websocket(server.url(scheme="ws"), idle_s=0.5, allow=LOOPBACK) as socket,
    ):
        await anext(socket)
        await asyncio.sleep(0.8)
        assert len([message async for message in socket]) == 19


async def test_a_name_that_resolves_to_a_private_address_is_refused() -> None:
    async with serving(chatting(forever)) as server, client(lookup=names(social="127.0.0.1")) as out:
        with pytest.raises(AddressRefused, match="^127.0.0.1 is loopback$"):
            async with out.websocket(server.url(host="social.example", scheme="ws")):
                pass
        assert not server.connections
