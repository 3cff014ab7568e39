"""Answers that are too long, too slow, broken or bombs cost no more than their limits."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from aiohttp import web

from pipeline.http.answer import NotAccepted
from pipeline.http.bodies import MOST_MEMBERS, PIECE, Decoder
from pipeline.http.failures import BadAnswer, NoAnswer, OutgoingError, TimedOut, TooLarge
from pipeline.http.outgoing import Limits
from tests.support.server import LOOPBACK, Handler, Talk, client, saying, serving, talking

HEAD = b"HTTP/1.1 200 OK\r\n"
SMALL = Limits(total_s=5, body=1 << 20)
SHORT = Limits(total_s=0.2)


def compressed(body: bytes, encoding: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    return handler


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


TEXT = b"a text that is compressed " * 10_000
WELL = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("X-GZip", gzip.compress(TEXT)),
    "several members": ("gzip", gzip.compress(TEXT[:1000]) + gzip.compress(b"") + gzip.compress(TEXT[1000:])),
    "zeros behind it": ("gzip", gzip.compress(TEXT) + bytes(100)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", raw_deflate(TEXT)),
    "identity": ("identity", TEXT),
}


@pytest.mark.parametrize("case", WELL)
async def test_a_compressed_body_is_read(case: str) -> None:
    encoding, body = WELL[case]
    async with serving(compressed(body, encoding)) as server, client() as out:
        assert (await out.request("GET", server.url(), allow=LOOPBACK)).body == TEXT


@pytest.mark.parametrize("case", WELL)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_however_it_is_cut(case: str, size: int) -> None:
    encoding, body = WELL[case]
    decoder = Decoder(encoding)
    pieces = [piece for at in range(0, len(body), size) for piece in decoder.pieces(body[at : at + size])]
    decoder.end()
    assert b"".join(pieces) == TEXT and max(map(len, pieces)) <= PIECE


def bomb(megabytes: int, wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
async def test_a_bomb_costs_the_limit_and_no_more(encoding: str, wbits: int) -> None:
    """64 MB in 64 KB."""
    async with serving(compressed(bomb(64, wbits), encoding)) as server, client() as out:
        tracemalloc.start()
        with pytest.raises(TooLarge, match="^the body is over 1,048,576 bytes$"):
            await out.request("GET", server.url(), limits=SMALL, allow=LOOPBACK)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 << 20


async def test_a_large_body_is_in_memory_once() -> None:
    size = 16 << 20
    async with talking(saying(HEAD + b"Content-Encoding: gzip\r\n\r\n" + bomb(16, 31))) as server, client() as out:
        tracemalloc.start()
        body = (await out.request("GET", server.url(), limits=Limits(total_s=60, body=size), allow=LOOPBACK)).body
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(body) == size and peak < 1.4 * size


BROKEN = {
    "cut": ("gzip", gzip.compress(TEXT)[:-20], "the body's compression breaks off"),
    "garbage": ("gzip", b"no gzip at all", "the body's compression is broken"),
    "a wrong checksum": ("gzip", gzip.compress(TEXT)[:-8] + bytes(8), "the body's compression is broken"),
    "many members": ("gzip", gzip.compress(b"") * (MOST_MEMBERS + 1), f"the body is more than {MOST_MEMBERS} compressed ones"),
    "brotli": ("br", b"\x0b\x02", "the body has an encoding that the request does not accept"),
    "zstd": ("zstd", b"\x28\xb5\x2f\xfd", "the body has an encoding that the request does not accept"),
    "twice": ("gzip, gzip", gzip.compress(gzip.compress(TEXT)), "the body has an encoding that the request does not accept"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_body_whose_compression_is_broken(case: str) -> None:
    encoding, body, says = BROKEN[case]
    async with serving(compressed(body, encoding)) as server, client() as out:
        with pytest.raises(BadAnswer) as caught:
            await out.request("GET", server.url(), allow=LOOPBACK)
        assert str(caught.value) == says


@pytest.mark.parametrize("limit", [9, 10])
async def test_a_body_may_be_as_long_as_its_limit(limit: int) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"01234")
        await response.write(b"56789")
        return response

    for handler in (compressed(b"0123456789", "identity"), chunked):
        async with serving(handler) as server, client() as out:
            asked = out.request("GET", server.url(), limits=Limits(body=limit), allow=LOOPBACK)
            if limit == 10:
                assert (await asked).body == b"0123456789"
            else:
                with pytest.raises(TooLarge):
                    await asked


async def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    async with talking(saying(HEAD + b"Content-Length: 200000000\r\n\r\n", end=False)) as server, client() as out:
        with pytest.raises(TooLarge):
            await out.request("GET", server.url(), allow=LOOPBACK)


@pytest.mark.parametrize(("method", "status"), [("HEAD", b"200 OK"), ("GET", b"304 Not Modified")])
async def test_an_answer_without_body_may_say_how_long_it_would_be(method: str, status: bytes) -> None:
    said = b"HTTP/1.1 " + status + b"\r\nContent-Length: 200000000\r\nContent-Encoding: gzip\r\n\r\n"
    async with talking(saying(said, end=False)) as server, client() as out:
        assert (await out.request(method, server.url(), limits=SMALL, allow=LOOPBACK)).body == b""


async def test_what_holds_nothing_is_too_long_by_what_was_received() -> None:
    empty = gzip.compress(b"", 0) + b"\0" * (2 << 20)
    async with serving(compressed(empty, "gzip")) as server, client() as out:
        with pytest.raises(TooLarge):
            await out.request("GET", server.url(), limits=SMALL, allow=LOOPBACK)


SLOW: dict[str, Talk] = {
    "no answer": saying(end=False),
    "half a head": saying(HEAD + b"X-A: b", end=False),
    "headers that drip": saying(HEAD + b"X: ", *([b"a"] * 1000), pause_s=0.01),
    "half a body": saying(HEAD + b"Content-Length: 10\r\n\r\n01234", end=False),
    "a body that drips": saying(HEAD + b"\r\n", *([b"a"] * 1000), pause_s=0.01),
    "chunks that drip": saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *([b"1\r\na\r\n"] * 1000), pause_s=0.01),
    "redirects that stall": saying(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", end=False),
    "no handshake": lambda reader, writer: asyncio.Event().wait(),
}


@pytest.mark.parametrize("case", SLOW)
async def test_whatever_is_slow_ends_by_the_time_of_the_request(case: str) -> None:
    loop = asyncio.get_running_loop()
    async with talking(SLOW[case]) as server, client() as out:
        began = loop.time()
        with pytest.raises(TimedOut, match="^no answer within 0.2 s$"):
            scheme = "https" if case == "no handshake" else "http"
            await out.request("GET", server.url(scheme=scheme), limits=SHORT, allow=LOOPBACK)
        assert 0.15 < loop.time() - began < 60


async def test_a_lookup_that_hangs_ends_by_the_time_of_the_request() -> None:
    async def hang(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with client(lookup=hang) as out:
        with pytest.raises(TimedOut):
            await out.request("GET", "http://feeds.example/", limits=SHORT)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b"Content-Length: 10\r\n\r\n01234")
    await writer.drain()
    writer.transport.abort()


ENDS: dict[str, tuple[Talk, type[OutgoingError]]] = {
    "at once": (saying(), NoAnswer),
    "in the head": (saying(HEAD + b"X-A: b"), NoAnswer),
    "in the body": (saying(HEAD + b"Content-Length: 10\r\n\r\n01234"), NoAnswer),
    "in a chunk": (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n012"), NoAnswer),
    "before the last chunk": (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"), NoAnswer),
    "by a reset": (reset, NoAnswer),
    "no HTTP": (saying(b"220 mail.example ESMTP\r\n"), BadAnswer),
    "no chunks": (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n0123"), OutgoingError),
    "a long header": (saying(HEAD + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n"), BadAnswer),
    "many headers": (saying(HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(100_000)) + b"\r\n"), BadAnswer),
    "a long first line": (saying(b"HTTP/1.1 200 " + b"a" * (1 << 20) + b"\r\n\r\n"), BadAnswer),
}


@pytest.mark.parametrize("case", ENDS)
async def test_an_answer_that_breaks_off_or_is_none_is_an_error(case: str) -> None:
    talk, error = ENDS[case]
    async with talking(talk) as server, client() as out:
        with pytest.raises(error):
            await out.request("GET", server.url(), limits=SMALL, allow=LOOPBACK)


async def test_a_header_of_ten_kilobytes_is_read() -> None:
    policy = "a" * 10_000
    async with talking(saying(HEAD + f"Policy: {policy}\r\nContent-Length: 0\r\n\r\n".encode())) as server, client() as out:
        assert (await out.request("GET", server.url(), allow=LOOPBACK)).headers["policy"] == policy


@pytest.mark.parametrize(
    "talk",
    [saying(HEAD + b"\r\n", *([b"a" * 1000] * 1000), pause_s=0.01), saying(HEAD + b"Content-Length: 9\r\n\r\n0"), reset,
     saying(HEAD + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\n0"),
     saying(HEAD + b"Content-Length: 9\r\n\r\n0", end=False)],
)  # fmt: skip
async def test_the_status_counts_where_the_body_is_ignored(talk: Talk) -> None:
    async with talking(talk) as server, client() as out:
        answer = await out.request("GET", server.url(), limits=Limits(total_s=2.0, body=None), allow=LOOPBACK)
        assert (answer.status, answer.body) == (200, b"")


ERRORS = {
    "a long body": saying(b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\n\r\n" + bytes(300_000)),
    "a long body that says so": saying(
        b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 9999999\r\n\r\n", end=False
    ),
    "a broken body": saying(b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Encoding: gzip\r\n\r\nno gzip"),
    "a body that never ends": saying(b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\n\r\nSlow", end=False),
    "half a body": saying(b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nSlow"),
}


@pytest.mark.parametrize("case", ERRORS)
async def test_an_error_counts_whatever_its_body_is(case: str) -> None:
    """Else a long page of a busy server would hide for how long it asks to wait."""
    async with talking(ERRORS[case]) as server, client() as out:
        answer = await out.request("GET", server.url(), limits=Limits(total_s=0.5, body=100_000), allow=LOOPBACK)
        assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"")
        with pytest.raises(NotAccepted) as caught:
            async with out.stream(server.url(), idle_s=5, allow=LOOPBACK):
                pass
        assert (caught.value.answer.status, caught.value.answer.headers["retry-after"]) == (429, "7")
        with pytest.raises(NotAccepted):
            async with out.websocket(server.url(), idle_s=5, allow=LOOPBACK):
                pass


async def test_a_failed_answer_leaves_its_connection_to_nobody() -> None:
    """Else the rest of it would be taken for the next answer."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=bytes(300_000) if request.path == "/long" else b"short")

    async with serving(handler) as server, client() as out:
        with pytest.raises(TooLarge):
            await out.request("GET", server.url("/long"), limits=Limits(body=1000), allow=LOOPBACK)
        assert (await out.request("GET", server.url("/"), allow=LOOPBACK)).body == b"short"
        assert len(server.connections) == 2
