"""How sources are, and a request of one on trial: for `earshot source`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import rows
from pipeline.config.document import hint
from pipeline.config.settings import Settings
from pipeline.errors import SettingsError, UnknownName, UnreachableError
from pipeline.http.addresses import Allowed
from pipeline.http.outgoing import Outgoing
from pipeline.http.route import Route
from pipeline.kafka.client import check_kafka
from pipeline.kafka.producer import Record as KafkaRecord
from pipeline.kafka.producer import RenewedProducer
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import Driver, Reach
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.ownership import partition_of
from pipeline.listen.record import Pause
from pipeline.listen.sources_file import AnySource, Sources, load_sources, token_of
from pipeline.listen.timer import Timer
from pipeline.sources.platforms.observation import LeftOut, Observation
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject

SEND_S, PAGE_S = 10.0, 10.0
COLUMNS = (
    "source", "platform", "state", "reason", "until", "since", "last_contact", "last_event", "events", "errors", "left_out",
    "budget_left", "listener", "written_at",
)  # fmt: skip
_HEALTH = f"SELECT {', '.join(COLUMNS)} FROM source_health ORDER BY source"
_GAPS = "SELECT since, until, reason, found_at FROM source_gaps WHERE source = '{}' ORDER BY found_at DESC"
MOST_GAPS = 20


def sources_of(settings: Settings) -> Sources:
    """The file of the settings. Raises SettingsError without one."""
    if settings.sources is None:
        raise SettingsError("setting sources names no file (docs/sources.md)")
    return load_sources(settings.sources)


def source_named(settings: Settings, name: str) -> AnySource:
    """Raises UnknownName with the nearest name of the file."""
    sources = sources_of(settings).sources
    for source in sources:
        if source.name == name:
            return source
    raise UnknownName(f"{settings.sources} has no source {name!r}{hint(name, [source.name for source in sources])}")


def healths(settings: Settings) -> dict[str, JsonObject]:
    """Table source_health, by source. Raises UnreachableError, EarshotError."""
    client = clickhouse_client(settings.clickhouse)
    try:
        found = rows(client, _HEALTH, 100_000).rows
        return {str(row[0]): dict(zip(COLUMNS, row, strict=True)) for row in found}
    finally:
        client.close()


def gaps(settings: Settings, name: str) -> Sequence[Sequence[object]]:
    """The newest gaps of a source: since, until, reason, found at. `name` is one of the file."""
    client = clickhouse_client(settings.clickhouse)
    try:
        return rows(client, _GAPS.format(name), MOST_GAPS).rows
    finally:
        client.close()


def pause(settings: Settings, source: AnySource, paused: bool) -> None:
    """Says so in topic cursors, where the source's listener sees it at once. Raises UnreachableError."""
    topic = settings.kafka.topic("cursors")
    topics = check_kafka(settings.kafka)
    if topic not in topics:
        raise UnreachableError(f"Kafka at {settings.kafka.bootstrap}: no topic {topic} (earshot migrate creates it)")
    key, value = Pause(source.name, paused).dump()
    failed = list[str]()
    producer = RenewedProducer(settings.kafka.client(), "cursors")
    record = KafkaRecord(value, key, partition=partition_of(source.credential, topics[topic]))
    producer.produce(topic, record, lambda error, _: failed.append(error.str()) if error else None)
    if producer.flush(SEND_S) or failed:
        raise UnreachableError(f"Kafka at {settings.kafka.bootstrap}: {failed[0] if failed else 'no answer'}")


class Trial(NamedTuple):
    """One request, and an event of its answer."""

    found: str
    event: JsonObject | None
    left_out: int


async def check(settings: Settings, source: AnySource, environ: Mapping[str, str] = os.environ) -> Trial:
    """Tries one request of the source; nothing is sent to Kafka. Raises SourceError."""
    client, feeds = Outgoing(Route.of(settings.outgoing.proxy.get_secret_value(), settings.outgoing.ca_file)), FeedParser()
    driver: Driver | None = None
    try:
        api = Api(client, source.name, Timer(), Limit(), Allowed.of(source.allow))
        driver = make_driver(source, Reach(api, token_of(source, environ), Timer(), feeds, environ=environ))
        found = await driver.check()
        return await _one_page(driver, source, found)
    finally:
        if driver is not None:
            await driver.close()
        await feeds.close()
        await client.close()


async def _one_page(driver: Driver, source: AnySource, found: str) -> Trial:
    left_out = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(PAGE_S), aclosing(_observed(driver, source)) as observed:
            async for each in observed:
                if isinstance(each, Observation):
                    return Trial(found, each.event, left_out)
                left_out += 1
    return Trial(found, None, left_out)


async def _observed(driver: Driver, source: AnySource) -> AsyncGenerator[Observation | LeftOut, None]:
    """All that the first poll gives."""
    observe = mapper(source.platform)
    async with aclosing(driver.pages({})) as pages:
        async for page in pages:
            for payload in page.payloads:
                for each in observe(payload, driver.origin):
                    yield each
