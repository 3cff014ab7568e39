"""Streams of lines: whole lines as they come, and an end to silence and to lines without end."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from aiohttp import web

from pipeline.http.answer import NotAccepted
from pipeline.http.failures import BadAnswer, NoAnswer, OutgoingError, TimedOut, TooLarge
from tests.support.server import LOOPBACK, Talk, client, saying, sent, serving, talking, text

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def lines_of(talk: Talk, idle_s: float = 5.0, longest: int = 1 << 20) -> list[bytes]:
    async with (
        talking(talk) as server,
        client() as out,
        out.stream(server.url(), idle_s=idle_s, longest=longest, allow=LOOPBACK) as lines,
    ):
        return [line async for line in lines]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
async def test_lines_come_whole_however_they_are_cut(size: int) -> None:
    body = b'{"a":1}\r\n\r\n{"b":"\xc3\xa9"}\n\nlast'
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    assert await lines_of(saying(HEAD, *parts)) == [b'{"a":1}', b"", b'{"b":"\xc3\xa9"}', b"", b"last"]


async def test_a_line_comes_before_the_next_is_sent() -> None:
    got = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await got.wait()
        await response.write(b"two\n")
        return response

    async with serving(handler) as server, client() as out:
        headers = {"Authorization": "Bearer t"}
        async with out.stream(server.url(), headers=headers, params={"a": 1}, idle_s=5, allow=LOOPBACK) as lines:
            assert await anext(lines) == b"one"
            got.set()
            assert [line async for line in lines] == [b"two"]
        (request,) = server.requests
        assert (request.query_string, request.headers["Authorization"]) == ("a=1", "Bearer t")
        assert sent(request, "Accept-Encoding") == {"Accept-Encoding": "identity"}, "a proxy holds compressed lines back"


@pytest.mark.parametrize(("encoding", "body"), [("gzip", gzip.compress(b"a\nb\n")), ("deflate", zlib.compress(b"a\nb\n"))])
async def test_a_compressed_stream_is_read(encoding: str, body: bytes) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with serving(handler) as server, client() as out, out.stream(server.url(), allow=LOOPBACK) as lines:
        assert [line async for line in lines] == [b"a", b"b"]


async def test_lines_of_a_compressed_stream_come_as_they_are_flushed() -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(b"one\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    async with (
        talking(saying(GZIPPED, first, end=False)) as server,
        client() as out,
        out.stream(server.url(), idle_s=5, allow=LOOPBACK) as lines,
    ):
        assert await anext(lines) == b"one"


SILENT: dict[str, Talk] = {
    "nothing": saying(HEAD, end=False),
    "a line, then nothing": saying(HEAD + b"a\n", end=False),
    "drips": saying(HEAD, *([b"a"] * 1000), pause_s=0.01),
    "no head": saying(end=False),
}


@pytest.mark.parametrize("case", SILENT)
async def test_silence_is_an_error(case: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimedOut, match="within 0.2 s$" if case == "no head" else "^no line for 0.2 s$"):
        await lines_of(SILENT[case], idle_s=0.2)
    assert 0.15 < loop.time() - began < 60


async def test_blank_lines_are_a_sign() -> None:
    assert await lines_of(saying(HEAD, *([b"\r\n"] * 8), pause_s=0.15), idle_s=1.0) == [b""] * 8


async def test_a_slow_reader_is_no_silence_of_the_server() -> None:
    async with (
        talking(saying(HEAD + b"a\nb\n", end=False)) as server,
        client() as out,
        out.stream(server.url(), idle_s=0.5, allow=LOOPBACK) as lines,
    ):
        assert await anext(lines) == b"a"
        await asyncio.sleep(0.8)
        assert await anext(lines) == b"b"


@pytest.mark.parametrize("length", [1000, 1001])
async def test_a_line_may_be_as_long_as_its_limit(length: int) -> None:
    line = b"a" * length
    for talk in (
        saying(HEAD + line + b"\nb"),
        saying(HEAD + b"b\n" + line),
        saying(HEAD, *([b"a" * 100] * 10), line[1000:] + b"\n"),
    ):
        if length == 1000:
            assert line in await lines_of(talk, longest=1000)
        else:
            with pytest.raises(TooLarge, match="^a line is over 1,000 bytes$"):
                await lines_of(talk, longest=1000)


async def test_a_bomb_without_an_end_of_line_is_too_long() -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(16)) + packer.flush()
    with pytest.raises(TooLarge):
        await lines_of(saying(GZIPPED + bomb))


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(CHUNKED + chunk(b"a\nb"))
    await writer.drain()
    writer.transport.abort()


BREAKS: dict[str, tuple[Talk, type[OutgoingError]]] = {
    "in a chunk": (saying(CHUNKED + chunk(b"a\n") + b"5\r\nb"), NoAnswer),
    "between chunks": (saying(CHUNKED + chunk(b"a\n")), NoAnswer),
    "by a reset": (reset, NoAnswer),
    "in its compression": (saying(GZIPPED + gzip.compress(b"a\n" * 99)[:-9]), BadAnswer),
    "by garbage": (saying(GZIPPED + b"no gzip"), BadAnswer),
}  # fmt: skip


@pytest.mark.parametrize("case", BREAKS)
async def test_a_stream_that_breaks_off_is_an_error(case: str) -> None:
    talk, error = BREAKS[case]
    with pytest.raises(error):
        await lines_of(talk)


@pytest.mark.parametrize("status", [401, 429, 503, 204 + 100])
async def test_a_refused_stream_says_status_headers_and_body(status: int) -> None:
    async with serving(text("slow down", status, Retry_After="7")) as server, client() as out:
        with pytest.raises(NotAccepted, match=f"^the server answers {status}$") as caught:
            async with out.stream(server.url(), allow=LOOPBACK):
                pass
        answer = caught.value.answer
        assert (answer.status, answer.headers["Retry-After"], answer.url) == (status, "7", server.url())


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    ended = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"a\n")
        await reader.read()
        ended.set()

    async with talking(talk) as server, client() as out:
        async with out.stream(server.url(), allow=LOOPBACK) as lines:
            assert await anext(lines) == b"a"
        await asyncio.wait_for(ended.wait(), 5)
