"""A listener with many sources: no step of one source looks at all of them, and none waits for what another one waited for."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.embedded.child import free_port
from pipeline.errors import UnreachableError
from pipeline.listen.app import Listen
from pipeline.listen.ownership import Ownership
from pipeline.listen.sources_file import parse_sources
from pipeline.listen.status import pause, source_named
from pipeline.listen.tables import Tables
from pipeline.listen.timer import Timer
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from tests.support.link import Link
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.mastodon_server import MastodonServer
from tests.support.rss_server import RssServer
from tests.support.worker import wait_for

MANY = 100
FEW_FILES = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
sys.argv = ["earshot", "listen"]
runpy.run_module("pipeline.cli", run_name="__main__")
"""


async def test_a_start_looks_at_all_sources_a_few_times(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once for each of them: 10,000 sources would be looked at 100,000,000 times."""
    migrate(settings)
    sources, feed, names = tmp_path / "sources.yaml", RssServer(), {f"blog{number}" for number in range(MANY)}
    with feed.running():
        write_sources(sources, [{"name": name, "platform": "rss", "url": f"{feed.url}/feed/{name}"} for name in names])
        listen = Listen(listening(settings, sources), Timer(), {})
        looks, arrange = 0, listen._arrange

        async def counted() -> None:
            nonlocal looks
            looks += 1
            await arrange()

        monkeypatch.setattr(listen, "_arrange", counted)
        running = asyncio.create_task(listen.run())
        while set(feed.requests) != {f"/feed/{name}" for name in names}:
            await asyncio.sleep(0.1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert looks < MANY / 2, f"a few for each of {settings.kafka.partitions} partitions"


async def test_changes_that_come_together_are_one_call(settings: Settings) -> None:
    migrate(settings)
    calls = 0

    async def changed() -> None:
        nonlocal calls
        calls += 1

    owner = Ownership(settings.kafka, Vitals(), changed, lambda: None)
    for _ in range(MANY):
        owner._notify(wait=False)
    for _ in range(10):
        await asyncio.sleep(0)
    assert calls == 1
    owner._notify(wait=False)
    for _ in range(10):
        await asyncio.sleep(0)
    assert calls == 2, "what changes later is another one"
    owner._consumer.close()


async def test_sources_that_begin_try_a_clickhouse_that_is_away_once() -> None:
    """One after the other, each for seconds: 10,000 sources would take a day to begin."""
    tries = 0

    def connect() -> Client:
        nonlocal tries
        tries += 1
        return clickhouse_client(ClickHouseSettings(url=f"http://127.0.0.1:{free_port()}"))

    tables = Tables(connect)
    found = await asyncio.gather(*(tables.newer(f"blog{n}", None) for n in range(MANY)), return_exceptions=True)
    await tables.close()
    assert {type(each) for each in found} == {UnreachableError} and tries == 1


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_a_source_begins_though_clickhouse_takes_requests_and_never_answers(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    sources, feed = tmp_path / "sources.yaml", RssServer()
    with feed.running(), Link(free_port(), int(settings.clickhouse.url.rpartition(":")[2])) as link:
        write_sources(sources, [{"name": "blog", "platform": "rss", "url": f"{feed.url}/feed", "every": "1s"}])
        clickhouse = settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{link.port}"})
        own = listening(settings.model_copy(update={"clickhouse": clickhouse}), sources)
        listener = start_listener(own, tmp_path / "listen.log")
        try:
            feed.world.post(1, time.time(), "post 1")
            wait_for("the post came", lambda: len(sent(own)) == 1)
            link.hold()
            pause(settings, source_named(own, "blog"), True)
            time.sleep(15)  # until what it knows of the table is old
            feed.world.post(2, time.time(), "post 2")
            pause(settings, source_named(own, "blog"), False)
            wait_for("the source goes on", lambda: len(sent(own)) == 2)
        finally:
            listener.kill()


def test_the_sources_of_a_credential_are_found_at_once() -> None:
    content = b"""
sources:
- {name: a, platform: rss, url: 'https://a.example', token_env: T}
- {name: b, platform: rss, url: 'https://b.example'}
- {name: c, platform: rss, url: 'https://c.example', token_env: T}
"""
    found = parse_sources(content, Path("sources.yaml"))
    assert {key: [each.name for each in those] for key, those in found.by_credential.items()} == {
        "T": ["a", "c"],
        "source b": ["b"],
    }
    assert found.by_credential is found.by_credential


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_more_streams_than_open_files_by_default(settings: Settings, tmp_path: Path) -> None:
    """A process often may have 1,024 files open unless it asks for more; here 128."""
    migrate(settings)
    sources, server = tmp_path / "sources.yaml", MastodonServer()
    with server.running():
        write_sources(
            sources, [{"name": f"toots{n}", "platform": "mastodon", "server": server.url} for n in range(int(1.5 * MANY))]
        )
        own = listening(settings, sources)
        listener = start_listener(own, tmp_path / "listen.log", ("-c", FEW_FILES))
        try:
            wait_for("all stream", lambda: len(server.sockets) == int(1.5 * MANY))
        finally:
            listener.kill()
