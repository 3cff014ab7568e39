"""Workers and control are killed, frozen and replaced, and what they need goes away: each alert is notified, and none twice.

The stream says which rules are true of which brands, and so which alerts an uninterrupted run raises; each other brand is one
event short of its rule, however often its events come.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from tests.support import topics
from tests.support.control import (
    Rules,
    Webhook,
    controlled,
    event,
    heard_all,
    judged_until,
    leading,
    on_record,
    open_twice,
    send,
    stamp,
    start_another,
)
from tests.support.harness import ONLY_LONG
from tests.support.worker import Worker, wait_for

LIMIT = 20
LONG_RUN = 180.0
RULES: list[dict[str, Any]] = [
    {"name": "many", "type": "threshold", "measure": "count", "above": LIMIT, "window": "1h", "resolve": "3h"},
    {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "resolve": "3h"},
    {"name": "voice", "type": "reach", "followers": 100_000, "negative": False, "resolve": "3h"},
]


@dataclass(frozen=True)
class Size:
    brands: int
    kills: int


SIZES = {"short": Size(brands=40, kills=3), "long": Size(brands=400, kills=40)}


@pytest.fixture
def size(form: str) -> Size:
    return SIZES[form]


def stream(size: Size, rng: random.Random) -> tuple[list[dict[str, Any]], set[tuple[str, str]]]:
    """Events in the order in which they are sent, a fifth of them twice; and the expected alerts: (rule, brand)."""
    events, expected = [], set[tuple[str, str]]()
    for place in range(size.brands):
        brand = f"Brand {place}"
        many, crisis, voice = place % 2 == 0, place % 3 == 0, place % 4 < 2
        count = LIMIT + 1 if many else LIMIT
        for number in range(count):
            text = "a recall, they say" if crisis and number in (0, count // 2) else "nothing much"
            followers = 100_000 if voice and number == count - 1 else 99_999
            name = f"{place}-{number}"
            created = stamp(timedelta(seconds=rng.uniform(0, 900)))
            author = {"id": f"a-{name}", "handle": f"h{name}", "followers": followers}
            made = event(name, brand, text, created_at=created, author=author)
            events += [made] * (2 if rng.random() < 0.2 else 1)
        truth = {"many": many, "crisis": crisis, "voice": voice}
        expected |= {(rule, brand) for rule, true in truth.items() if true}
    rng.shuffle(events)
    return events, expected


@dataclass
class Scenario:
    """Processes, the webhook that they notify, and the oracle at the end."""

    settings: Settings
    hook: Webhook
    folder: Path
    events: list[dict[str, Any]]
    expected: set[tuple[str, str]]
    workers: list[Worker] = field(default_factory=list)
    controls: list[Worker] = field(default_factory=list)
    started: int = 0
    sent: int = 0

    def start_worker(self) -> Worker:
        self.started += 1
        self.workers.append(Worker(self.settings, self.folder / f"worker{self.started}.log"))
        return self.workers[-1]

    def start_control(self) -> Worker:
        self.started += 1
        self.controls.append(start_another(self.settings, self.folder / f"control{self.started}.log")[0])
        return self.controls[-1]

    def start(self, workers: int = 1, controls: int = 1) -> None:
        for _ in range(workers):
            self.start_worker()
        for _ in range(controls):
            self.start_control()
        for process in self.processes:
            process.wait_ready()

    @property
    def processes(self) -> list[Worker]:
        return self.workers + self.controls

    @property
    def leader(self) -> Worker:
        return leading(self.controls)

    def replace(self, victim: Worker) -> None:
        """SIGKILL, and another one like it."""
        victim.kill()
        if victim in self.workers:
            self.workers.remove(victim)
            self.start_worker()
        else:
            self.controls.remove(victim)
            self.start_control()

    def send(self, share: float = 1.0) -> None:
        """The next of the events: that share of all; 1: all that are left."""
        until = len(self.events) if share == 1.0 else self.sent + int(share * len(self.events))
        send(self.settings, self.events[self.sent : until])
        self.sent = until

    def wait_notified(self, more_than: int = 0) -> None:
        """Returns a few milliseconds after it."""
        wait_for("somebody is notified", lambda: len(self.hook.notices) > more_than, every=0.002)

    def finish(self) -> None:
        """Waits until all are notified, read and judged, and fails with the problems."""
        assert self.sent == len(self.events)
        try:
            wait_for(
                "all are notified", lambda: self._alive() and self.expected <= self.hook.keys().keys(), LONG_RUN, every=0.2
            )
        except AssertionError as error:
            error.add_note(f"never notified: {sorted(self.expected - self.hook.keys().keys())}")
            raise
        self.settle()
        self.check()

    def settle(self) -> None:
        """Returns when every event has landed, every signal was heard, and all was judged after that."""
        wait_for("all has landed", self._landed, LONG_RUN, every=0.3)
        wait_for("all is heard", lambda: heard_all(self.settings), LONG_RUN, every=0.3)
        since = datetime.now(UTC) + timedelta(seconds=1)
        wait_for("all is judged", lambda: judged_until(self.settings) > since, every=0.3)

    def check(self) -> None:
        keys = self.hook.keys()
        assert set(keys) == self.expected, (set(keys) - self.expected, self.expected - set(keys))
        assert not {about: each for about, each in keys.items() if len(each) > 1}, "an incident was notified as two"
        recorded = on_record(self.settings)
        assert {(row.rule, row.brand) for row in recorded} == self.expected
        assert len(recorded) == len(self.expected) and not open_twice(self.settings)
        assert {row.state for row in recorded} == {"firing"}

    def rewind(self) -> None:
        """All stop, and will read both topics from their beginning."""
        for process in self.processes:
            assert process.stop() == 0, process.tail()
        self.workers.clear()
        self.controls.clear()
        kafka = self.settings.kafka
        for group, topic in ((kafka.group, "events"), (f"{kafka.group}-control", "signals")):
            name = kafka.topic(topic)
            consumer = Consumer({**kafka.client(), "group.id": group, "enable.auto.commit": False, "log_level": 0})
            try:
                places = [TopicPartition(name, partition, 0) for partition in topics.end_offsets(kafka, name)]
                consumer.commit(offsets=places, asynchronous=False)
            finally:
                consumer.close()

    def close(self) -> None:
        for process in self.processes:
            process.close()
        self.hook.stop()

    def _alive(self) -> bool:
        for process in self.processes:
            assert process.exit_code is None, f"one ended with {process.exit_code}: {process.tail()}"
        return True

    def _landed(self) -> bool:
        try:
            return self._alive() and not topics.lag(self.settings.kafka)
        except KafkaException:
            return False


@pytest.fixture
def scenario(kafka: Stack, settings: Settings, size: Size, rng: random.Random, tmp_path: Path) -> Iterator[Scenario]:
    migrate(settings)
    hook = Webhook()
    rules = Rules(tmp_path / "alerts.yaml", hook, RULES)
    scenario = Scenario(controlled(settings, rules.path), hook, tmp_path, *stream(size, rng))
    try:
        yield scenario
    finally:
        scenario.close()


def test_workers_and_control_are_killed_and_all_is_read_again(scenario: Scenario, size: Size, rng: random.Random) -> None:
    scenario.start(workers=2, controls=2)
    for number in range(size.kills):
        before = len(scenario.hook.notices)
        scenario.send(0.8 / size.kills)
        # Two in three hit control; every other one right when it has notified somebody.
        victim = rng.choice(scenario.workers) if number % 3 == 1 else scenario.leader
        if number % 2 == 0:
            scenario.wait_notified(before)
        else:
            time.sleep(rng.uniform(0, 1.5))
        scenario.replace(victim)
    scenario.send()
    scenario.finish()

    scenario.rewind()
    scenario.start(workers=1, controls=1)
    scenario.settle()
    scenario.check()


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_a_frozen_control_comes_back_after_another_took_over(scenario: Scenario) -> None:
    """What it goes on with is of another minute than what its heir has raised meanwhile, so that its alerts would be others."""
    scenario.start(workers=1, controls=1)
    frozen = scenario.leader
    heir = scenario.start_control()
    heir.wait_ready()
    scenario.send(0.7)
    scenario.wait_notified()
    frozen.signal(signal.SIGSTOP)
    scenario.send()
    wait_for("the heir leads", lambda: heir.said("alerts are open"))
    wait_for("all are notified", lambda: scenario.expected <= scenario.hook.keys().keys(), LONG_RUN, every=0.2)
    minute = time.time() // 60
    wait_for("another minute", lambda: time.time() // 60 > minute, 61)
    frozen.signal(signal.SIGCONT)
    frozen.wait_ready()
    scenario.finish()


@ONLY_LONG  # in short: tests/faults/test_outages.py, and a receiver that is away: tests/notify/test_dispatcher.py
def test_clickhouse_and_the_receiver_go_away(scenario: Scenario, stack: Stack) -> None:
    def gone(control: Worker, sign: Callable[[], bool], what: str) -> None:
        wait_for(what, sign)
        assert control.exit_code is None and control.status("/live") == 200

    scenario.start()
    control = scenario.leader
    scenario.send(0.3)
    scenario.hook.stop()
    scenario.send(0.2)
    failed = 'earshot_alert_deliveries_total{receiver="hook",result="failed"} 0.0\n'
    gone(control, lambda: failed not in control.ask("/metrics")[1], "the receiver does not answer")
    stack.kill("clickhouse")
    scenario.send(0.2)
    gone(control, lambda: control.status("/ready") == 503, "control says that ClickHouse is away")
    stack.restart("clickhouse")
    scenario.hook.start()
    scenario.hook.status = 503
    scenario.send(0.2)
    wait_for("it is refused", lambda: scenario.hook.refused > 0)
    scenario.hook.status = 204
    control.wait_ready()
    scenario.send()
    scenario.finish()
