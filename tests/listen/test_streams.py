"""Streams: frames come together in time, signs of a quiet one, several at once; how long a platform asks to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web

from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Outgoing
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import TOGETHER, merged, together
from pipeline.listen.states import Failed, Waiting
from pipeline.listen.timer import Timer, text_of


async def ticking(count: int, rest_s: float, error: Exception | None = None) -> AsyncGenerator[object, None]:
    for number in range(count):
        await asyncio.sleep(rest_s)
        yield number, time.monotonic()
    if error:
        raise error


async def slept(*rests: float) -> AsyncGenerator[object, None]:
    for rest in rests:
        await asyncio.sleep(rest)
        yield rest


async def all_of(frames: AsyncIterator[list[object]]) -> list[list[object]]:
    return [batch async for batch in frames]


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def test_a_frame_waits_no_longer_than_it_may_however_many_follow() -> None:
    batches = asyncio.run(all_of(together(ticking(100, 0.004))))
    assert len(batches) > 2, "they took eight times as long as one may wait"
    assert sum(map(len, batches)) == 100


def test_frames_that_are_there_come_together_in_pages_of_a_limited_size() -> None:
    batches = asyncio.run(all_of(together(ticking(TOGETHER + 10, 0))))
    assert [len(batch) for batch in batches] == [TOGETHER, 10] or sum(map(len, batches)) == TOGETHER + 10


def test_a_quiet_stream_gives_signs() -> None:
    batches = asyncio.run(all_of(together(slept(0.25), sign_s=0.1)))
    assert batches.pop() == [0.25]
    assert batches and not any(batches), "before it, signs"


def test_what_came_before_an_error_comes_first() -> None:
    async def seen() -> list[object]:
        found = list[object]()
        with pytest.raises(Failed):
            async for batch in together(merged(ticking(3, 0, Failed("it broke")), slept(10))):
                found += batch
        return found

    assert len(asyncio.run(seen())) == 3


def test_streams_are_merged_as_they_come_until_one_ends() -> None:
    async def seen() -> list[object]:
        return [each async for each in merged(slept(0.05, 0.1), slept(0.1, 0.2))]

    assert asyncio.run(seen()) == [0.05, 0.1, 0.1]


@pytest.mark.parametrize(
    ("header", "written"),
    [
        ("X-RateLimit-Reset", lambda until: str(int(until))),
        ("X-RateLimit-Reset", text_of),
        ("X-RateLimit-Reset", lambda until: "90"),
        ("Retry-After", formatdate),
        ("Retry-After", lambda until: "90"),
    ],
)
def test_a_limit_ends_at_the_time_that_the_platform_names(header: str, written: Callable[[float], str]) -> None:
    until = time.time() + 90

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={header: written(until)})

    async def waits() -> float:
        async with serving(answer) as url:
            client = Outgoing()
            try:
                with pytest.raises(Waiting) as error:
                    await Api(client, "a", Timer(), Limit(), Allowed.of(("127.0.0.1",))).get(url)
            finally:
                await client.close()
        return error.value.until

    assert until - 5 < asyncio.run(waits()) < until + 5
