"""Feeds that somebody broke on purpose, beside healthy ones: each is a state of its source, and the others go on."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from pipeline.config.settings import Settings
from pipeline.listen.status import healths
from pipeline.migrate import migrate
from schemas.untyped import JsonObject
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.platform_server import PlatformServer
from tests.support.rss_server import RssServer
from tests.support.worker import wait_for

HEALTHY = 10
LONGEST_LAG_S, GROWTH_MB = 10.0, 50.0
"""Of a busy machine; on an idle one it is below two seconds."""
TOKEN = "a-secret-that-nobody-may-see"
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 100}">' for n in range(1, 9))
BOMB = (
    f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY e0 "lol">{ENTITIES}]>'
    '<rss version="2.0"><channel><title>&e8;</title></channel></rss>'
)


class BadServer(PlatformServer):
    """One kind of bad answer a path."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get(f"/{name}", getattr(self, f"_{name}")) for name in REASONS]

    async def _html(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html><body>Please log in</body></html>", content_type="text/html")

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return web.Response()

    async def _bomb(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=BOMB, content_type="application/rss+xml")

    async def _gzip(self, request: web.Request) -> web.StreamResponse:
        body = gzip.compress(bytes(100_000_000))
        return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/rss+xml"})

    async def _huge(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionResetError):  # the listener has read enough
            for _ in range(200):
                await response.write(b"<item>" * 170_000)
        return response

    async def _private(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    async def _circle(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/circle")

    async def _stall(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3_600)
        return web.Response()

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionResetError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(5)
        return response

    async def _limited(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    async def _refused(self, request: web.Request) -> web.StreamResponse:
        assert request.headers.get("Authorization", "") in ("", f"Bearer {TOKEN}")
        return web.Response(status=401, text=TOKEN)

    async def _unwell(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text=TOKEN)


REASONS = {
    "html": ("failing", "HTML"), "nothing": ("failing", ""), "bomb": ("", ""), "gzip": ("failing", "bytes"),
    "huge": ("failing", "bytes"), "private": ("failing", "169.254.169.254 is link-local: key allow"),
    "circle": ("failing", "redirects"),
    "stall": ("", ""), "drip": ("", ""), "limited": ("waiting", "429"), "refused": ("no credentials", "401"),
    "unwell": ("failing", "500"),
}  # fmt: skip
"""Path -> the state and a word of its reason; blank: whatever it is, as it comes after the time of this test."""


@pytest.fixture
def servers() -> Iterator[tuple[RssServer, BadServer]]:
    good, bad = RssServer(), BadServer()
    with ExitStack() as running:
        running.enter_context(good.running())
        running.enter_context(bad.running())
        yield good, bad


@pytest.mark.timeout(180)
def test_bad_feeds_move_nobody_else(
    settings: Settings, servers: tuple[RssServer, BadServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in REASONS:
        monkeypatch.setenv(f"TOKEN_{name}", TOKEN)
    migrate(settings)
    good, bad = servers
    healthy = [{"name": f"good{n}", "platform": "rss", "url": f"{good.url}/feed/{n}", "every": "1s"} for n in range(HEALTHY)]
    broken = [
        {"name": name, "platform": "rss", "url": f"{bad.url}/{name}", "every": "1s", "token_env": f"TOKEN_{name}"}
        for name in REASONS
    ]
    path = tmp_path / "sources.yaml"
    listens = listening(settings, path)
    write_sources(path, healthy)
    listener = start_listener(listens, tmp_path / "listen.log")
    good.world.post(0, time.time(), "post 0")
    wait_for("all healthy ones sent", lambda: len(sent(listens)) == HEALTHY)
    wait_for("their states are written", lambda: len(healths(listens)) == HEALTHY)
    before = psutil.Process(listener.pid).memory_info().rss
    write_sources(path, healthy + broken)
    lags, most = list[float](), 0
    for number in range(1, 16):
        posted = time.time()
        good.world.post(number, posted, f"post {number}")
        wait_for("it came from all", lambda: len(sent(listens)) >= HEALTHY * (number + 1))  # noqa: B023  # called in this round alone
        lags.append(time.time() - posted)
        most = max(most, psutil.Process(listener.pid).memory_info().rss)
    known: dict[str, JsonObject] = {}
    wait_for("the states are written", lambda: known.update(healths(listens)) or len(known) == HEALTHY + len(REASONS))
    assert listener.stop() == 0
    for name, (state, why) in REASONS.items():
        assert known[name]["state"] == state or not state, (name, known[name]["state"], known[name]["reason"])
        assert why in known[name]["reason"], (name, known[name]["reason"])
    assert {known[f"good{n}"]["state"] for n in range(HEALTHY)} == {"running"}
    assert TOKEN not in (tmp_path / "listen.log").read_text() and TOKEN not in str(known)
    print("lags", [round(lag, 2) for lag in lags], "growth in MB", (most - before) >> 20)
    assert max(lags) < LONGEST_LAG_S, lags
    assert (most - before) / 2**20 < GROWTH_MB
