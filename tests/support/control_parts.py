"""Parts of control without a server: a leader whose lease the test sets, a store in memory, and scripted records of Kafka."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.terms import Term
from pipeline.control.evaluation import EVALUATING
from pipeline.control.notifier import Notifier
from pipeline.http.route import Route
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.store import LateDay
from pipeline.processors.alerts.usual_gaps import Row
from pipeline.sinks.alerts import AlertTopic
from schemas.alerts import Alert, Member
from schemas.signals import Candidate, Signal, dump
from schemas.times import utc_now

CRISIS = Alerts.model_validate({"rules": [{"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}}]})


class MemoryStore:
    """The store of alerts, in memory. `log` has each change in its order; a write waits for `may_write`."""

    def __init__(self, log: list[str], standing: Sequence[Alert] = ()) -> None:
        self.log, self.alerts = log, list(standing)
        self.may_write = threading.Event()
        self.may_write.set()
        self.candidates: dict[tuple[str, str, int], tuple[Candidate, datetime]] = {}
        self.days: dict[int, LateDay] = {}

    def level(self, generation: int) -> None:
        """It has one table."""

    def standing(self, since: datetime) -> list[Alert]:
        return list(self.alerts)

    def between(self, first: datetime, last: datetime) -> list[Alert]:
        return []

    def by_keys(self, keys: Iterable[int]) -> list[Alert]:
        return [alert for alert in self.alerts if alert.key in set(keys)]

    def new(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return list(candidates)

    def silences(self, now: datetime) -> list[Silence]:
        return []

    def watermark(self) -> datetime | None:
        return None

    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        raise AssertionError(f"nobody should ask {sql}")

    def write(self, alerts: Sequence[Alert], members: Sequence[Member], generation: int) -> None:
        assert self.may_write.wait(10)
        self.log += [f"write {alert.rule} {alert.scope.brand} {alert.state}" for alert in alerts]

    def write_silence(self, silence: Silence, generation: int) -> None:
        self.log.append(f"silence {silence.brand}")

    def waiting_candidates(self, since: datetime) -> list[tuple[Candidate, datetime]]:
        return [each for each in self.candidates.values() if each[1] > since]

    def write_candidates(self, candidates: Sequence[tuple[Candidate, datetime]], done: bool, generation: int) -> None:
        for candidate, heard in candidates:
            key = candidate.rule, candidate.brand, candidate.event_key
            if done:
                del self.candidates[key]
            else:
                self.candidates[key] = candidate, heard

    def late_days(self) -> list[LateDay]:
        return [each for each in self.days.values() if not each.done]

    def write_late_days(self, days: Sequence[LateDay], now: datetime, generation: int) -> None:
        self.days.update((each.day, each) for each in days)

    def write_arrivals(self, rows: Sequence[Row], generation: int) -> None:
        """Nobody reads them."""

    def keep_watermark(self, at: datetime, now: datetime, generation: int) -> None:
        """Nobody reads it."""


@dataclass
class MemoryTopic:
    """Topic alerts, in memory."""

    log: list[str]

    def send(self, alerts: Iterable[Alert]) -> None:
        self.log += [f"publish {alert.rule} {alert.scope.brand} {alert.state}" for alert in alerts]

    def ask(self) -> str:
        return ""

    def forget(self) -> None:
        self.log.append("forget")

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class Record:
    """An event as Faust hands it to an agent."""

    value: bytes
    log: list[str]
    name: str
    message: Any = field(default_factory=lambda: SimpleNamespace(topic="signals", offset=7))

    def ack(self) -> None:
        self.log.append(f"commit {self.name}")


def signal_of(brand: str, rule: str = "crisis") -> bytes:
    """A signal with a candidate of the rule, about this brand, a moment ago."""
    now = utc_now().replace(microsecond=0)
    candidate = Candidate(rule, brand, "x", "en", zlib.crc32(brand.encode()), now, now, 1.0, ("recall",))
    (record,) = dump(Signal(newest=now, candidates=(candidate,)))
    return record


def leader_of(vitals: Vitals | None = None, client: Client | None = None) -> Leader:
    """A leader, without ClickHouse unless there is a `client`; its lease lasts until the test ends it."""
    leader = Leader("control", EVALUATING, cast(Any, client), vitals or Vitals())
    leader.lease.assigned(True)
    leader.lease.confirmed(leader.lease.now(), 600)
    return leader


class Parts:
    """A leader, an evaluator and a notifier that share one `log`."""

    def __init__(self, config: Alerts = CRISIS, standing: Sequence[Alert] = (), ask: Ask | None = None) -> None:
        self.log: list[str] = []
        self.vitals = Vitals()
        self.leader = leader_of(self.vitals)
        self.store = MemoryStore(self.log, standing)
        self.evaluator = Evaluator(self.store, config)
        topic = cast(AlertTopic, MemoryTopic(self.log))
        self.notifier = Notifier(self.leader, self.evaluator, topic, ask or no_ask, lambda: cast(Any, MemoryClient()), Route())

    @contextmanager
    def serving(self) -> Iterator[int]:
        """This process leads, and has read all that it needs."""
        generation = self.leader.lease.generation
        self.evaluator.start(utc_now(), generation)
        with self.leader.serving(generation):
            yield generation

    def record(self, value: bytes, name: str) -> Record:
        return Record(value, self.log, name)


class MemoryTerms:
    """Stands for table `leaders`."""

    def __init__(self, alone: bool = True) -> None:
        self.log: list[str] = []
        self._alone, self._number = alone, 0

    def take(self, check: Callable[[], None]) -> Term:
        check()
        self._number += 1
        self.log.append(f"take {self._number}")
        return Term(self._number, self._alone)

    def release(self, number: int) -> None:
        self.log.append(f"release {number}")


class MemoryClient:
    """A client of ClickHouse that takes the rows of the delivery log."""

    def insert(self, table: str, rows: Sequence[Any], column_names: Sequence[str]) -> None:
        """Nobody reads them."""


def no_ask(sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
    raise AssertionError(f"nobody should ask {sql}")
