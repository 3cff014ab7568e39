"""Signals in the topic: there on return, once a second when they say nothing, and not lost while the broker is away."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from pipeline.embedded.stack import Stack
from pipeline.fence import Fence, GivenUp
from pipeline.health import Vitals
from pipeline.migrate import migrate
from pipeline.processors.alerts import signal
from pipeline.processors.alerts.signal import Signal, parse_signal
from pipeline.settings import Settings
from pipeline.sinks.signals import Signals
from tests.faults.topics import read_topic

START = datetime(2026, 9, 1, 10, tzinfo=UTC)
TOUCHED = {START: ("Acme",)}


class Bench:
    """Signals of one worker, a clock that the test moves, and what the topic holds."""

    def __init__(self, settings: Settings) -> None:
        self._kafka, self.fence, self.vitals, self.now = settings.kafka, Fence(), Vitals(), 100.0
        topic = settings.kafka.topic("signals")
        self.signals = Signals(settings.kafka.client(), topic, self.fence, self.vitals, "landing", lambda: self.now)

    def send(self, signal: Signal) -> None:
        self.signals.send(signal, self.fence.generation)

    def there(self) -> list[Signal]:
        return [parse_signal(record.value()) for record in read_topic(self._kafka, self._kafka.topic("signals"))]


@pytest.fixture
def bench(settings: Settings) -> Bench:
    migrate(settings)
    return Bench(settings)


def test_what_was_sent_is_there_on_return_in_order(bench: Bench) -> None:
    sent = [Signal(START, number, TOUCHED) for number in range(5)]
    for each in sent:
        bench.send(each)
    assert bench.there() == sent


def test_one_that_touches_nothing_goes_once_a_second(bench: Bench) -> None:
    for moment, number in ((100.0, 1), (100.5, 2), (100.99, 3), (101.1, 4), (101.2, 5)):
        bench.now = moment
        bench.send(Signal(START, number))
    bench.send(Signal(None, 6))
    bench.send(Signal(None, 7, TOUCHED))
    assert [each.kafka_ms for each in bench.there()] == [1, 4, 7]


def test_a_large_one_is_several_records(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "LARGEST", 200)
    brands = tuple(f"Brand {n:03d}" for n in range(100))
    bench.send(Signal(START, 1, {START: brands}))
    there = bench.there()
    assert len(there) > 5
    assert tuple(brand for each in there for brand in each.touched[START]) == brands


def test_an_ended_generation_sends_nothing(bench: Bench) -> None:
    bench.fence.end_generation()
    with pytest.raises(GivenUp):
        bench.signals.send(Signal(START, 1, TOUCHED), bench.fence.generation - 1)
    assert not bench.there()


def test_a_broker_that_is_away_loses_nothing(kafka: Stack, bench: Bench) -> None:
    bench.send(Signal(START, 1, TOUCHED))
    kafka.kill("kafka")
    sending = threading.Thread(target=bench.send, args=(Signal(START, 2, TOUCHED),))
    sending.start()
    sending.join(3)
    assert sending.is_alive(), "it waits for the broker"
    assert not bench.vitals.silent()
    kafka.restart("kafka")
    sending.join(60)
    assert not sending.is_alive()
    assert [each.kafka_ms for each in bench.there()] == [1, 2]


def test_who_waits_for_the_broker_gives_up_with_its_generation(kafka: Stack, bench: Bench) -> None:
    bench.send(Signal(START, 1, TOUCHED))
    ended: list[BaseException] = []

    def send() -> None:
        try:
            bench.send(Signal(START, 2, TOUCHED))
        except GivenUp as error:
            ended.append(error)

    with kafka.paused("kafka"):
        sending = threading.Thread(target=send)
        sending.start()
        sending.join(1)
        assert sending.is_alive()
        bench.fence.end_generation()
        sending.join(5)
        assert ended
