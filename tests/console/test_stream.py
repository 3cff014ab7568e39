"""Changes of alerts, from a real Kafka to open pages over real connections: none is missed, and nobody waits for who sleeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from pipeline.config.settings import KafkaSettings, Settings
from pipeline.console import sse, stream
from pipeline.console.changes import silence
from pipeline.console.sse import Said
from pipeline.console.stream import Hub
from pipeline.embedded.child import free_port
from pipeline.embedded.stack import Stack
from pipeline.kafka.client import check_kafka
from pipeline.kafka.topics import migrate_topics
from schemas.alerts import Alert, dump
from tests.support.control_api import alert
from tests.support.told import Page, Site, Told, served


@pytest.fixture
def kafka_settings(emptied: Settings) -> KafkaSettings:
    migrate_topics(emptied.kafka)
    return emptied.kafka


def shown(change: Alert) -> Sequence[Said]:
    return [Said("alert", f"<p>{change.rule}\n{change.version}</p>")]


def changes(count: int, rule: str = "anger") -> list[Alert]:
    """Of as many alerts, which lie in several partitions."""
    return [alert(rule, f"brand {number}", version=number + 1) for number in range(count)]


def publish(kafka: KafkaSettings, alerts: Sequence[Alert]) -> None:
    producer = Producer(kafka.client())
    for each in alerts:
        producer.produce(kafka.topic("alerts"), dump(each), each.hex.encode())
    assert producer.flush(30) == 0


async def begun(page: Page) -> Told:
    """The state, once the hub has read all and Kafka answers."""
    while True:
        told = await page.next(20)
        if told.name == "state" and told.id and json.loads(told.data)["away_since"] is None:
            return told


async def until(met: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not met():
            await asyncio.sleep(0.02)


def told_of(hub: Hub) -> int:
    """Records that were told."""
    return sum(map(int, hub.place.partition("~")[2].split(".")))


def whole(site: Site) -> Callable[[], bool]:
    return lambda: site.hub._whole and site.hub.state.away_since is None


async def names(page: Page, count: int) -> list[str]:
    return sorted([(await page.next()).data for _ in range(count)])


def as_told(alerts: Sequence[Alert]) -> list[str]:
    return sorted(shown(each)[0].data for each in alerts)


async def test_a_change_is_told_to_all_pages_and_made_once(kafka_settings: KafkaSettings) -> None:
    made = list[Alert]()

    def show(change: Alert) -> Sequence[Said]:
        made.append(change)
        return shown(change)

    async with served(Hub(kafka_settings, show)) as site:
        await until(whole(site))
        async with site.page() as one, site.page() as other:
            assert one.status.startswith("HTTP/1.1 200")
            assert one.head["content-type"] == "text/event-stream; charset=utf-8"
            assert one.head["cache-control"] == "no-store"
            await begun(one)
            await begun(other)
            await asyncio.to_thread(publish, kafka_settings, changes(1))
            told = await one.next()
            assert told == await other.next()
            assert (told.name, told.data) == ("alert", "<p>anger\n1</p>")
            assert told.id == site.hub.place
        assert len(made) == 1
        await until(lambda: not site.hub.sessions)


async def test_who_comes_back_gets_what_came_meanwhile_also_from_another_process(kafka_settings: KafkaSettings) -> None:
    first, second, third = changes(20, "a"), changes(20, "b"), changes(20, "c")
    async with served(Hub(kafka_settings, shown)) as site:
        await until(whole(site))
        async with site.page() as page:
            await begun(page)
            publish(kafka_settings, first)
            assert await names(page, 20) == as_told(first)
        publish(kafka_settings, second)
        await until(lambda: told_of(site.hub) == 40)
        async with site.page(last_id=page.last_id) as again:
            assert await names(again, 20) == as_told(second)
        async with site.page(after=page.last_id) as again:
            assert await names(again, 20) == as_told(second)
            assert (await again.next()).id == site.hub.place
    publish(kafka_settings, third)
    hub = Hub(kafka_settings, shown)
    async with served(hub, start=False) as site, site.page(last_id=page.last_id) as early:
        assert json.loads((await early.next()).data)["reason"] == "the console has just started"
        hub.start()
        told = [each for each in [await early.next() for _ in range(41)] if each.name == "alert"]
        assert sorted(each.data for each in told) == as_told([*second, *third])


async def test_who_is_away_for_too_long_is_told_to_load_the_page_anew(kafka_settings: KafkaSettings) -> None:
    publish(kafka_settings, changes(30))
    async with served(Hub(kafka_settings, shown)) as site:
        await until(whole(site))
        topic, offsets = site.hub.place.split("~")
        for place in (
            "9.9",
            "x",
            "",
            offsets,
            f"another~{offsets}",
            f"{topic}~" + ".".join(["99"] * kafka_settings.partitions),
        ):
            async with site.page(after=place) as page:
                state = await begun(page)
                assert (await page.next()).name == "reload"
                assert state.id == site.hub.place


async def test_a_page_that_is_opened_before_all_is_read_misses_nothing(kafka_settings: KafkaSettings) -> None:
    publish(kafka_settings, changes(30))
    hub = Hub(kafka_settings, shown)
    async with served(hub, start=False) as site, site.page(after=hub.place) as page:
        hub.start()
        await begun(page)
        assert (await page.next()).name == "reload"
        async with site.page(after=hub.place) as loaded:
            await begun(loaded)
            publish(kafka_settings, changes(3))
            assert await names(loaded, 3) == as_told(changes(3))


async def test_who_does_not_read_is_dropped_and_costs_the_others_nothing(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MOST_WAITING", 20)
    large = "x" * (256 << 10)
    async with served(Hub(kafka_settings, lambda change: [Said("alert", f"{change.version} {large}")])) as site:
        await until(whole(site))
        async with site.page(session="sleeps") as sleeps, site.page(session="reads") as reads:
            await begun(reads)
            sent = 0
            async with asyncio.timeout(60):
                while "sleeps" in site.hub.sessions:
                    publish(kafka_settings, changes(10))
                    for _ in range(10):
                        assert (await reads.next()).name == "alert"
                    sent += 10
            assert sent > 20
            with pytest.raises((OSError, EOFError, asyncio.IncompleteReadError)):
                for _ in range(sent + 2):
                    await sleeps.next()
            assert site.hub.sessions == {"reads"}


async def test_a_stream_that_waits_is_cut_off_without_an_error_in_the_log(kafka_settings: KafkaSettings) -> None:
    async with served(Hub(kafka_settings, shown)) as site:
        await until(whole(site))
        async with site.page() as page:
            await begun(page)
            for each in site.hub._streams:
                each.drop()
            with pytest.raises((OSError, EOFError, asyncio.IncompleteReadError)):
                await page.next()
            await until(lambda: not site.hub.sessions)


async def test_an_ended_session_ends_its_streams(kafka_settings: KafkaSettings) -> None:
    async with served(Hub(kafka_settings, shown)) as site:
        await until(whole(site))
        async with site.page(session="a") as one, site.page(session="b") as other:
            await begun(one)
            await begun(other)
            site.hub.end("a")
            assert (await one.next()).name == "ended"
            with pytest.raises(EOFError):
                await one.next()
            assert site.hub.sessions == {"b"}
            publish(kafka_settings, changes(1))
            assert (await other.next()).name == "alert"


async def test_kafka_away_is_told_and_it_comes_back_by_itself_from_where_it_was(
    kafka: Stack, kafka_settings: KafkaSettings
) -> None:
    async with served(Hub(kafka_settings, shown)) as site:
        await until(whole(site))
        async with site.page() as page:
            await begun(page)
            publish(kafka_settings, changes(3))
            assert await names(page, 3) == as_told(changes(3))
            with kafka.paused("kafka"):
                before = datetime.now(UTC)
                told = json.loads((await page.next(60)).data)
                since = datetime.fromisoformat(told["away_since"])
                assert abs((since - before).total_seconds()) < 60
                assert "no broker answers" in told["reason"]
                async with site.page() as late:
                    assert json.loads((await late.next()).data)["away_since"] == told["away_since"]
            assert json.loads((await page.next(60)).data) == {"away_since": None, "reason": ""}
            kafka.kill("kafka")
            assert json.loads((await page.next(60)).data)["away_since"]
            await asyncio.to_thread(kafka.restart, "kafka")
            publish(kafka_settings, changes(4, "later"))
            told_later = [await page.next(60) for _ in range(5)]
            assert sorted(each.data for each in told_later if each.name == "alert") == as_told(changes(4, "later"))
            assert [each.name for each in told_later].count("state") == 1


async def test_a_topic_that_was_made_anew_has_pages_loaded_anew(kafka: Stack, kafka_settings: KafkaSettings) -> None:
    publish(kafka_settings, changes(40))
    async with served(Hub(kafka_settings, shown)) as site:
        await until(whole(site))
        async with site.page() as page:
            await begun(page)
            admin = AdminClient(kafka_settings.client())
            admin.delete_topics([kafka_settings.topic("alerts")])[kafka_settings.topic("alerts")].result(10)
            while kafka_settings.topic("alerts") in await asyncio.to_thread(check_kafka, kafka_settings):
                pass
            await asyncio.to_thread(migrate_topics, kafka_settings)
            publish(kafka_settings, changes(200))  # more than there were: each place is one of the new topic, too
            while (await page.next(60)).name != "reload":
                pass
            await until(whole(site))
            async with site.page(after=site.hub.place) as loaded:
                await begun(loaded)
                publish(kafka_settings, changes(2))
                assert await names(loaded, 2) == as_told(changes(2))


async def test_without_kafka_or_its_topic_it_says_why(emptied: Settings, kafka_settings: KafkaSettings) -> None:
    nobody = emptied.kafka.model_copy(update={"bootstrap": f"127.0.0.1:{free_port()}"})
    unmade = emptied.kafka.model_copy(update={"topic_prefix": "nothing.of.this.name"})
    for broken, why in ((nobody, "Kafka at 127.0.0.1"), (unmade, "earshot migrate")):
        async with served(Hub(broken, shown)) as site:
            await until(lambda site=site, why=why: why in site.hub.state.reason)  # type: ignore[misc]
            async with site.page(after="") as page:
                assert why in json.loads((await page.next()).data)["reason"]


@pytest.mark.logs_errors
async def test_a_change_that_can_not_be_shown_stops_nothing(kafka_settings: KafkaSettings) -> None:
    def show(change: Alert) -> Sequence[Said]:
        if change.rule == "bad":
            raise ValueError("no template")
        return [Said("badge", "1"), *shown(change)] if change.rule == "good" else []

    async with served(Hub(kafka_settings, show)) as site:
        await until(whole(site))
        async with site.page() as page:
            await begun(page)
            publish(kafka_settings, [alert("bad"), alert("silent"), alert("good")])
            assert [(each.name, bool(each.id)) for each in [await page.next(), await page.next()]] == [
                ("badge", False),
                ("alert", True),
            ]
            await until(lambda: told_of(site.hub) == 3)


async def test_more_streams_than_may_be_are_refused(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_STREAMS", 2)
    monkeypatch.setattr(stream, "MOST_OF_PERSON", 1)
    async with served(Hub(kafka_settings, shown)) as site, site.page(person="vera") as first:
        assert first.status.startswith("HTTP/1.1 200")
        async with site.page(session="another", person="vera") as second:
            assert second.status.startswith("HTTP/1.1 429"), "of all that may be one has a part"
        async with site.page(person="otto") as second, site.page(person="ines") as third:
            assert second.status.startswith("HTTP/1.1 200") and third.status.startswith("HTTP/1.1 503")


async def test_a_silent_stream_has_heartbeats(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_S", 0.1)
    async with served(Hub(kafka_settings, shown)) as site, site.page() as page:
        assert await page._line() == "event: state"
        async with asyncio.timeout(60):
            while await page._line() != "event: beat":
                pass


def test_silence_is_that_of_the_brokers_with_our_partitions() -> None:
    def broker(idle_s: float, state: str = "UP", partitions: int = 1) -> dict[str, object]:
        return {"rxidle": int(idle_s * 1e6), "state": state, "toppars": dict.fromkeys(map(str, range(partitions)))}

    def said(*brokers: dict[str, object]) -> tuple[float, bool]:
        silent, up = silence({"ts": 1_000_000, "brokers": dict(enumerate(brokers))}, 1.0)
        return round(silent, 1), up

    assert said(broker(0.3), broker(900, partitions=0)) == (0.3, True)
    assert said(broker(0.3), broker(7)) == (7.0, True)
    assert said(broker(0.3, "TRY_CONNECT")) == (0.3, False)
    assert said(broker(-1e-6)) == (0.0, False)
    assert said() == (0.0, False)
    assert silence({"ts": 1_000_000, "brokers": {"a": broker(1)}}, 3.0)[0] == 3.0
