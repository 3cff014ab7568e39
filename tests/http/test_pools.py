"""Connections are reused, and never by a source that may not reach where they lead."""

from __future__ import annotations

import asyncio
import threading

import pytest
from aiohttp import web

from pipeline.http.addresses import Allowed
from pipeline.http.failures import AddressRefused
from pipeline.http.lookups import THREADS, Lookups
from pipeline.http.outgoing import Limits
from pipeline.http.pools import MOST_PER_HOST, _Guard
from tests.support.server import LOOPBACK, client, names, serving, text

BY_NAME, BY_NETWORK = Allowed.of(["ours.example"]), Allowed.of(["127.0.0.0/8"])


async def test_a_connection_is_kept_and_reused() -> None:
    async with serving(text()) as server, client() as out:
        for _ in range(20):
            await out.request("GET", server.url(), allow=LOOPBACK)
        assert (len(server.requests), len(server.connections)) == (20, 1)


async def test_sources_of_one_allow_share_connections() -> None:
    async with serving(text()) as server, client() as out:
        for order in (["127.0.0.1", "10.0.0.0/8"], ["10.0.0.0/8", "127.0.0.1"], ["127.0.0.1", "10.0.0.0/8", "else.example"]):
            await out.request("GET", server.url(), allow=Allowed.of(order))
        assert len(server.connections) == 1


async def test_without_keep_alive_each_request_has_a_connection() -> None:
    async with serving(text()) as server, client(keep_alive=False) as out:
        for _ in range(3):
            await out.request("GET", server.url(), allow=LOOPBACK)
        assert len(server.connections) == 3


@pytest.mark.parametrize("allow", [BY_NAME, BY_NETWORK])
async def test_a_connection_that_one_source_may_use_serves_no_other(allow: Allowed) -> None:
    async with serving(text()) as server, client(lookup=names(ours="127.0.0.1")) as out:
        url = server.url(host="ours.example")
        assert (await out.request("GET", url, allow=allow)).status == 200
        for other in (Allowed(), Allowed.of(["10.0.0.0/8"]), Allowed.of(["other.example"])):
            with pytest.raises(AddressRefused, match="^127.0.0.1 is loopback$"):
                await out.request("GET", url, allow=other)
        assert (await out.request("GET", url, allow=allow)).status == 200
        assert (len(server.requests), len(server.connections)) == (2, 1)


async def test_another_network_than_the_allowed_one_is_not_reached_by_a_kept_connection() -> None:
    async with serving(text()) as server, client(lookup=names(ours="127.0.0.1")) as out:
        await out.request("GET", server.url(host="ours.example"), allow=BY_NAME)
        await out.request("GET", server.url(host="ours.example"), allow=BY_NETWORK)
        assert len(server.connections) == 2


async def test_the_socket_is_checked_however_the_client_came_to_its_address() -> None:
    guard = _Guard(Lookups(names()), frozenset())
    for address in ("127.0.0.1", "::1", "fe80::1%lo", "127.1", "localhost"):
        with pytest.raises(AddressRefused):
            guard.socket((2, 1, 6, "", (address, 80)))
    guard.socket((2, 1, 6, "", ("8.8.8.8", 443))).close()


async def test_a_host_gets_a_few_requests_at_a_time_and_streams_do_not_count() -> None:
    waiting, go = asyncio.Semaphore(0), asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"\n")
            await asyncio.Event().wait()
        waiting.release()
        await go.wait()
        return web.Response()

    async with serving(handler) as server, client() as out, asyncio.TaskGroup() as group, asyncio.timeout(10):
        streams = [out.stream(server.url("/stream"), allow=LOOPBACK) for _ in range(MOST_PER_HOST + 2)]
        for stream in streams:
            await stream.__aenter__()
        for _ in range(MOST_PER_HOST + 2):
            group.create_task(out.request("GET", server.url(), allow=LOOPBACK))
        for _ in range(MOST_PER_HOST):
            await waiting.acquire()
        assert server.paths.count("/") == MOST_PER_HOST and waiting.locked()
        go.set()
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_a_name_is_looked_up_once_at_a_time_and_not_remembered() -> None:
    asked, go = list[str](), asyncio.Event()

    async def lookup(host: str) -> list[str]:
        asked.append(host)
        await go.wait()
        return ["8.8.8.8"]

    lookups = Lookups(lookup)
    first, second = (asyncio.create_task(lookups.addresses("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()  # the second still gets its answer
    await asyncio.sleep(0)
    go.set()
    assert (await second, asked) == (["8.8.8.8"], ["a.example"])
    assert (await lookups.addresses("a.example"), len(asked)) == (["8.8.8.8"], 2)
    lookups.close()


async def test_a_name_server_that_hangs_for_one_host_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, go = threading.Semaphore(0), threading.Event()

    def getaddrinfo(host: str, *args: object, **named: object) -> list[tuple[object, ...]]:
        if host == "hangs.example":
            hanging.release()
            go.wait(30)
        return [(2, 1, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr("pipeline.http.lookups.socket.getaddrinfo", getaddrinfo)
    async with serving(text()) as server, client() as out:
        short = Limits(total_s=0.05)
        stuck = [
            asyncio.create_task(out.request("GET", server.url(host="hangs.example"), limits=short, allow=LOOPBACK))
            for _ in range(2 * THREADS)
        ]
        await asyncio.wait(stuck)
        assert (await out.request("GET", server.url(host="well.example"), allow=LOOPBACK)).status == 200
        assert hanging.acquire(timeout=5) and not hanging.acquire(blocking=False), "one thread for all of them"
        assert all(task.exception() for task in stuck)
        go.set()
