"""The producer over a real broker: what passes is repeated, what is never taken is returned, a broken producer is replaced."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError

from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.embedded.stack import Stack
from pipeline.errors import EarshotError
from pipeline.fence import Fence, GivenUp
from pipeline.kafka import producer
from pipeline.kafka.asking import why_silent
from pipeline.kafka.error_kinds import Kind, kind_of
from pipeline.kafka.producer import Record, Refusal, ReliableProducer, RenewedProducer
from pipeline.kafka.topics import migrate_topics
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from tests.support.topics import delete_topic, read_topic, set_topic
from tests.support.worker import wait_for

PASSES = (
    "_TRANSPORT", "_MSG_TIMED_OUT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_UNKNOWN_TOPIC", "_AUTHENTICATION", "_SSL", "_RESOLVE",
    "_PURGE_QUEUE", "_INVALID_DIFFERENT_RECORD", "UNKNOWN", "UNKNOWN_TOPIC_OR_PART", "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "KAFKA_STORAGE_ERROR", "INVALID_TIMESTAMP",
    "THROTTLING_QUOTA_EXCEEDED", "POLICY_VIOLATION",
)  # fmt: skip
RECORD = ("MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_MSG", "INVALID_MSG_SIZE", "INVALID_RECORD", "_BAD_MSG")
PRODUCER = ("_FATAL", "OUT_OF_ORDER_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED")


def error(name: str, fatal: bool = False) -> KafkaError:
    return KafkaError(getattr(KafkaError, name), "why", fatal)


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((n, Kind.PASSES) for n in PASSES), *((n, Kind.RECORD) for n in RECORD), *((n, Kind.PRODUCER) for n in PRODUCER)],
)
def test_an_error_has_a_kind(name: str, kind: Kind) -> None:
    assert kind_of(error(name)) is kind


def test_a_fatal_error_is_the_producers_unless_people_mend_it() -> None:
    assert kind_of(error("UNSUPPORTED_VERSION", fatal=True)) is Kind.PRODUCER
    assert kind_of(error("CLUSTER_AUTHORIZATION_FAILED", fatal=True)) is Kind.PASSES


class Bench:
    """A producer to topic `signals`, the topic's limits, and what it holds."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.fence, self.vitals = settings, Fence(), Vitals()
        self.topic = settings.kafka.topic("signals")
        self.producer = self.make()

    def make(self, **config: Any) -> ReliableProducer:
        common = {**self.settings.kafka.client(), "message.max.bytes": 2_000_000, "linger.ms": 100}
        return ReliableProducer({**common, **config}, self.topic, "signals", self.fence, self.vitals, "landing")

    def send(self, *values: bytes) -> dict[int, Refusal]:
        return self.producer.send([Record(value) for value in values], self.fence.generation)

    def there(self) -> list[bytes]:
        return [record.value() or b"" for record in read_topic(self.settings.kafka, self.topic)]

    def set(self, name: str, value: int) -> None:
        set_topic(self.settings.kafka, self.topic, name, value)

    @contextmanager
    def waiting(self, *values: bytes) -> Iterator[list[object]]:
        """Sends on a thread; how it ended is in the list after the block."""
        ended: list[object] = []

        def send() -> None:
            try:
                ended.append(self.send(*values))
            except (GivenUp, EarshotError) as error:
                ended.append(error)

        sending = threading.Thread(target=send)
        sending.start()
        try:
            yield ended
        finally:
            sending.join(30)
        assert not sending.is_alive()


@pytest.fixture
def settings(bare: Settings) -> Settings:
    return bare  # no test here needs Earshot's tables


@pytest.fixture
def bench(kafka: Stack, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(producer, "PATIENCE_S", 1.0)
    migrate_topics(settings.kafka)
    return Bench(settings)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def count(metric: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"earshot_{metric}_total", {"topic": "signals"}) or 0.0


def counted(metric: str, act: Callable[[], object]) -> float:
    before = count(metric)
    act()
    return count(metric) - before


def test_what_is_too_large_is_returned_and_the_others_are_there(bench: Bench) -> None:
    bench.set("max.message.bytes", 50_000)
    for_the_client, for_the_topic = b"x" * 2_000_001, noise(60_000)
    sent: list[dict[int, Refusal]] = []
    values = (b"first", for_the_client, b"second", for_the_topic, b"third")
    assert counted("records_refused", lambda: sent.append(bench.send(*values))) == 2
    assert sent[0].keys() == {1, 3} and all(
        "size too large" in refusal.why and refusal.too_large for refusal in sent[0].values()
    )
    assert sorted(bench.there()) == [b"first", b"second", b"third"]
    assert not bench.vitals.unready()


def test_records_that_are_too_large_together_go_alone(bench: Bench) -> None:
    bench.set("max.message.bytes", 50_000)
    values = [noise(10_000 + n) for n in range(20)]
    assert bench.send(*values) == {}
    assert set(bench.there()) == set(values)


def test_records_that_are_too_large_together_go_in_halves_and_it_is_said(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.set("max.message.bytes", 50_000)
    values = [noise(5_000 + n) for n in range(200)] + [noise(60_000)]
    requests: list[int] = []
    produce = bench.producer._produce

    def counted_produce(records: Any, generation: int) -> Any:
        requests.append(len(records))
        if len(requests) == 3:
            assert bench.vitals.unready()[0].startswith("signals (landing): ")
        return produce(records, generation)

    monkeypatch.setattr(bench.producer, "_produce", counted_produce)
    with caplog.at_level("WARNING", "earshot.kafka"):
        assert bench.send(*values).keys() == {200}
    assert set(bench.there()) == set(values[:-1]) and not bench.vitals.unready()
    assert len(requests) < len(values) / 2, "one at a time takes minutes"
    assert 1 <= len([each for each in caplog.messages if "refused" in each]) <= 3, caplog.messages


def test_a_missing_topic_is_waited_for_and_held_until_it_is_there(bench: Bench) -> None:
    delete_topic(bench.settings.kafka, bench.topic)
    with bench.waiting(b"one") as ended:
        wait_for("it is held", lambda: bool(bench.vitals.unready()))
        assert bench.vitals.unready()[0].startswith("signals (landing): ") and not ended
        migrate_topics(bench.settings.kafka)
    assert ended == [{}] and not bench.vitals.unready()
    assert bench.there() == [b"one"]


def test_what_is_given_up_holds_nothing_any_more(kafka: Stack, bench: Bench) -> None:
    with kafka.paused("kafka"), bench.waiting(b"one") as ended:
        wait_for("it is held", lambda: bool(bench.vitals.unready()))
        assert not bench.vitals.silent()
        bench.fence.end_generation()
        wait_for("it is given up", lambda: bool(ended), timeout=5)
        assert isinstance(ended[0], GivenUp) and not bench.vitals.unready()
    assert bench.send(b"two") == {} and b"two" in bench.there()


GAPLESS = {"enable.gapless.guarantee": True, "linger.ms": 0}
"""With it a refused batch is a fatal error of librdkafka's producer: the one that a real broker can be made to bring about."""


def test_a_producer_that_met_a_fatal_error_is_replaced(bench: Bench) -> None:
    bench.set("max.message.bytes", 50_000)
    bench.producer = bench.make(**GAPLESS)
    assert bench.send(noise(60_000)).keys() == {0}
    assert counted("producers_renewed", lambda: bench.send(b"one", b"two")) == 1
    assert bench.there() == [b"one", b"two"]


def test_a_new_producer_that_fails_like_the_one_before_it_ends_the_process(bench: Bench) -> None:
    bench.set("max.message.bytes", 50_000)
    bench.producer = bench.make(**GAPLESS)
    for _ in range(2):
        bench.send(noise(60_000))
    with pytest.raises(EarshotError, match="topic .*signals: a new producer failed like the one before it: "):
        bench.send(b"one")


def test_who_does_not_wait_hears_of_each_record_though_the_producer_breaks(bench: Bench) -> None:
    bench.set("max.message.bytes", 50_000)
    renewed = RenewedProducer({**bench.settings.kafka.client(), **GAPLESS}, "signals")
    heard: list[bool] = []
    for value in (b"one", noise(60_000), b"two", b"three"):
        renewed.produce(bench.topic, Record(value), lambda error, _: heard.append(error is None))
        renewed.flush(5)
    assert heard == [True, False, True, True]
    assert bench.there() == [b"one", b"two", b"three"]


def test_it_says_why_nobody_answers() -> None:
    asking = RenewedProducer({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, "nobody")
    wait_for("the reason is known", lambda: "refused" in why_silent(asking, "events", 0.2).lower())
