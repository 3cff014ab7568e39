"""How sources are, and a request of one on trial: for `earshot source`."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import one_line, rows, settings_for
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
from pipeline.listen.credentials import token_of
from pipeline.listen.driver import Driver, Reach
from pipeline.listen.drivers.registry import make_driver
from pipeline.listen.keep import Mentioning
from pipeline.listen.record import Pause
from pipeline.listen.sources_file import AnySource, Sources, load_sources
from pipeline.listen.timer import Timer
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, load_brands
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import LeftOut, Observation, Observe, Origin, Unreadable
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.times import utc_now
from schemas.untyped import JsonObject

SEND_S, PAGE_S = 10.0, 10.0
COLUMNS = (
    "source", "platform", "state", "reason", "until", "since", "last_contact", "last_event", "events", "errors", "left_out",
    "budget_left", "listener", "written_at",
)  # fmt: skip
HEALTH = f"SELECT {', '.join(COLUMNS)} FROM source_health ORDER BY source"
GAPS = "SELECT since, until, reason, found_at FROM source_gaps WHERE source = {name:String} ORDER BY found_at DESC LIMIT 20"
MOST_LINES = 20
FRESH, NO_LISTENER = timedelta(minutes=1), "no listener"
"""The state of a source of which no listener has written anything for so long."""


def sources_of(settings: Settings) -> Sources:
    """The file of the settings. Raises SettingsError without one."""
    if settings.sources is None:
        raise SettingsError("setting sources names no file: set EARSHOT_SOURCES (docs/sources.md)")
    return load_sources(settings.sources)


def source_named(settings: Settings, name: str) -> AnySource:
    """Raises UnknownName with the nearest name of the file."""
    sources = sources_of(settings).sources
    for source in sources:
        if source.name == name:
            return source
    raise UnknownName(f"{settings.sources} has no source {name!r}{hint(name, [source.name for source in sources])}")


def healths(settings: Settings) -> dict[str, JsonObject]:
    """Table source_health, by source. Raises UnreachableError, MigrationError."""
    with closing(clickhouse_client(settings.clickhouse)) as client:
        check_tables(client)
        found = rows(client, HEALTH, 100_000).rows
    return {str(row[0]): {name: _aware(value) for name, value in zip(COLUMNS, row, strict=True)} for row in found}


def _aware(value: object) -> object:
    """ClickHouse's client leaves out the zone, UTC."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


class Standing(NamedTuple):
    """How a source of sources.yaml is."""

    source: str
    platform: str
    state: str
    """One of STATES, or NO_LISTENER."""
    reason: str
    """Why it does not run; blank: it does, or is paused."""
    last: JsonObject
    """Its row of table source_health; empty: no listener has ever run it."""

    @property
    def is_well(self) -> bool:
        """It runs, or a person paused it."""
        return self.state in ("running", "paused")

    def dump(self) -> JsonObject:
        """For JSON: its row, with the state and reason as they are now."""
        now = {name: getattr(self, name) for name in ("source", "platform", "state", "reason")}
        return dict.fromkeys(COLUMNS) | self.last | now


def standings(settings: Settings) -> list[Standing]:
    """All sources, in the order of the file. Raises SettingsError, UnreachableError, MigrationError."""
    return standings_of(sources_of(settings), healths(settings), utc_now())


def standings_of(sources: Sources, known: Mapping[str, JsonObject], now: datetime) -> list[Standing]:
    """The same, of rows of HEALTH by source that are known."""
    return [_standing(source, known.get(source.name, {}), now) for source in sources.sources]


def _standing(source: AnySource, last: JsonObject, now: datetime) -> Standing:
    if not last:
        return Standing(source.name, source.platform, NO_LISTENER, "none has run it yet", last)
    if now - last["written_at"] > FRESH:
        why = f"{last['listener']} wrote at {last['written_at']:%Y-%m-%d %H:%M:%S} for the last time: {last['state']}"
        return Standing(source.name, source.platform, NO_LISTENER, why, last)
    when = {"waiting": "until", "failing": "again at", "no credentials": "again at"}.get(last["state"], "")
    until = f"; {when} {last['until']:%Y-%m-%d %H:%M:%S}" if when and last["until"] else ""
    return Standing(source.name, source.platform, last["state"], last["reason"] + until, last)


def report(settings: Settings) -> tuple[str, list[str]]:
    """A line that counts the sources by state, and a line for each that should run and does not. Raises as `standings`."""
    found = standings(settings)
    counts = Counter(each.state for each in found)
    ill = [each for each in found if not each.is_well]
    lines = [f"source {each.source} ({each.platform}): {each.state}: {each.reason}" for each in ill[:MOST_LINES]]
    if len(ill) > MOST_LINES:
        lines.append(f"and {len(ill) - MOST_LINES:,} sources more: see `earshot source list`")
    return f"sources: {', '.join(f'{count:,} {state}' for state, count in counts.most_common()) or 'none'}", lines


class StoredGap(NamedTuple):
    """A row of table source_gaps."""

    since: datetime | None
    """None: not known."""
    until: datetime | None
    reason: str
    found_at: datetime


def gaps(settings: Settings, name: str) -> list[StoredGap]:
    """The newest gaps of a source. `name` is one of the file."""
    with closing(clickhouse_client(settings.clickhouse)) as client, one_line(client):
        found = client.query(GAPS, {"name": name}, query_tz="UTC", settings=settings_for(client)).result_rows
        return [StoredGap(*row) for row in found]


def pause(settings: Settings, source: AnySource, paused: bool) -> None:
    """Says so in each partition of topic cursors: the source's listener sees it at once, and so does who has the source once
    its credential is another one. Raises UnreachableError."""
    topic = settings.kafka.topic("cursors")
    topics = check_kafka(settings.kafka)
    if topic not in topics:
        raise UnreachableError(f"Kafka at {settings.kafka.bootstrap}: no topic {topic} (earshot migrate creates it)")
    key, value = Pause(source.name, paused).dump()
    failed = list[str]()
    producer = RenewedProducer(settings.kafka.client(), "cursors")
    for partition in range(topics[topic]):
        record = KafkaRecord(value, key, partition=partition)
        producer.produce(topic, record, lambda error, _: failed.append(error.str()) if error else None)
    if producer.flush(SEND_S) or failed:
        raise UnreachableError(f"Kafka at {settings.kafka.bootstrap}: {failed[0] if failed else 'no answer'}")


class Trial(NamedTuple):
    """One request, and an event of its answer."""

    found: str
    event: JsonObject | None
    left_out: int
    dropped: bool = False
    """Whether `keep: mentions` drops the event: it mentions no brand."""


async def check(settings: Settings, source: AnySource, environ: Mapping[str, str] = os.environ) -> Trial:
    """Tries one request of the source; nothing is sent to Kafka. Raises SourceError."""
    client, feeds = Outgoing(Route.of(settings.outgoing.proxy.get_secret_value(), settings.outgoing.ca_file)), FeedParser()
    driver: Driver | None = None
    try:
        api = Api(client, source.name, Timer(), Limit(), Allowed.of(source.allow))
        token = token_of(source, environ, settings.sources.parent if settings.sources else Path())
        driver = make_driver(source, Reach(api, token, Timer(), feeds, environ=environ))
        trial = await _one_page(driver, source, await driver.check())
        return trial._replace(dropped=source.keep == "mentions" and _is_dropped(settings, trial.event))
    finally:
        if driver is not None:
            await driver.close()
        await feeds.close()
        await client.close()


def _is_dropped(settings: Settings, event: JsonObject | None) -> bool:
    brands = load_brands(settings.brands or SAMPLE_BRANDS)
    return event is not None and not Mentioning(brands).keep([Observation(event)], Known())


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
                for each in _readable(observe, payload, driver.origin):
                    yield each


def _readable(observe: Observe, payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    try:
        yield from observe(payload, origin)
    except Unreadable:
        yield LeftOut("unreadable")
