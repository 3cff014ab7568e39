"""Processes that are killed while persons are erased, and what is planted beside what sources send."""

from __future__ import annotations

import http.client
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import orjson
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.control.erasing import Erasures
from pipeline.leader import Leader
from pipeline.monitoring.health import Vitals
from pipeline.privacy.parts import erasing_of
from pipeline.sinks.erasures import receipts
from schemas.identity import account_key
from schemas.times import utc_now
from schemas.untyped import JsonObject
from tests.support import rollups, topics
from tests.support.beside import beside
from tests.support.control import EAGER, TOKEN, start_control
from tests.support.customers_process import ask, start_customers, taken_all
from tests.support.erased_world import Person
from tests.support.worker import Worker, wait_for

PATIENCE = 420.0
DAY = timedelta(hours=24)
START = {
    "worker": Worker,
    "control": lambda settings, log: start_control(settings, log, EAGER),
    "customers": start_customers,
}


@dataclass
class Story:
    """Processes over one database and its topics. Their logs are in `folder`."""

    settings: Settings
    folder: Path
    rng: random.Random
    running: dict[str, Worker] = field(default_factory=dict)
    kills: int = 0
    began: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)

    def say(self, what: str) -> None:
        """With how long it took, and how long all has taken."""
        now = time.monotonic()
        print(f"{now - self.began:5.0f} s, {now - self.last:4.0f} s of it: {what}, {self.kills} kills", flush=True)
        self.last = now

    def start(self, kind: str) -> None:
        """Another one like it is killed."""
        if kind in self.running:
            self.running[kind].kill()
            self.kills += 1
        number = len(list(self.folder.glob(f"{kind}*.log")))
        self.running[kind] = START[kind](self.settings, self.folder / f"{kind}{number}.log")

    def stop(self, kind: str) -> None:
        self.running.pop(kind).stop()

    def close(self) -> None:
        for process in self.running.values():
            process.close()

    @contextmanager
    def killing(self, each: int, seconds: float) -> Iterator[None]:
        """Beside the block each kind is killed so often, at random within this time."""
        kinds = [kind for kind in START for _ in range(each)]
        self.rng.shuffle(kinds)
        pauses = [self.rng.uniform(0.3, 1.7) * seconds / len(kinds) for _ in kinds]

        def kill() -> None:
            for kind, pause in zip(kinds, pauses, strict=True):
                time.sleep(pause)
                self.start(kind)

        with beside(kill, "kills"):
            yield

    def settle(self) -> None:
        """All has landed, all evidence is taken, rollups are as the rows say."""
        wait_for("all has landed", lambda: not topics.lag(self.settings.kafka), PATIENCE, every=0.5)
        wait_for("all evidence is taken", lambda: taken_all(self.settings), PATIENCE, every=0.5)
        assert not (left := rollups.differences(self.settings, patience_s=PATIENCE)), left

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        """`earshot ARGUMENTS`, begun."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", *arguments],
            env=child_environment(self.settings), cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str]:
        """The same, ended: its exit code and what it said."""
        process = self.command(*arguments)
        said = "".join(process.communicate(timeout=PATIENCE))
        return process.returncode, said

    def erase(self, person: Person, killed: bool = False) -> None:
        """`killed`: at a random moment after it has found the person; control ends it."""
        process = self.command("person", "erase", "--customer", person.name, "--yes", "--why", f"letter {person.number}")
        if killed:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(self.rng.uniform(0.0, 3.0))
            process.kill()
        said = "".join(process.communicate(timeout=PATIENCE))
        assert killed or process.returncode == 0 or "control goes on with it" in said or "is erased already" in said, said

    def taken(self, person: Person, ended: threading.Event) -> list[int]:
        """A colleague takes conversations of the person, one after the other at random moments until one after the end; the
        statuses."""
        statuses = []
        for number in range(2, 8):
            last = ended.wait(self.rng.uniform(0.1, 2.0))
            statuses.append(self.take(person, f"{person.mark}-talk-{number}"))
            if last:
                break
        return statuses

    def take(self, person: Person, conversation: str) -> int:
        """A colleague takes the conversation. Returns the status; 0: no control answers."""
        where = {"brand": "Acme", "platform": "twitter", "conversation_id": conversation}
        connection = http.client.HTTPConnection("127.0.0.1", self.settings.control.port, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            body = orjson.dumps(where | {"comment": f"{person.mark} comment"})
            connection.request("POST", "/cases/take", body, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def decide(self, body: JsonObject) -> None:
        """A steward does."""
        refused = ask(lambda: [self.running["customers"]], self.settings, body)
        assert not refused, refused

    def read_again(self) -> None:
        """Workers read all of the topic from its beginning."""
        self.stop("worker")
        kafka, topic = self.settings.kafka, self.settings.kafka.topic("events")
        begin = [TopicPartition(topic, each, 0) for each in topics.end_offsets(kafka, topic)]
        config = {**kafka.client(), "group.id": kafka.group, "enable.auto.commit": False, "log_level": 0}

        def committed() -> bool:
            consumer = Consumer(config)
            try:
                return all(not part.error for part in consumer.commit(offsets=begin, asynchronous=False))
            except KafkaException:  # a killed worker is a member for some seconds
                return False
            finally:
                consumer.close()

        wait_for("the offsets are set back", committed, PATIENCE, every=1.0)
        self.start("worker")

    def purge(self, client: Client) -> None:
        """As control does a day later."""
        self.stop("control")
        leader, now = Leader("control", "evaluating", client, Vitals()), utc_now() + DAY + timedelta(hours=1)
        control = Erasures(leader, client, erasing_of(self.settings, client, Vitals()), DAY, lambda: now)

        def purged() -> bool:
            control.step(lambda: None)
            return all(receipt.purged_at for receipt in receipts(client))

        wait_for("all is purged", purged, PATIENCE, every=1.0)


def send_raw(settings: Settings, records: Iterable[bytes]) -> None:
    """Records that may be no events."""
    _produce(settings, "events", [(f"twitter:{number}", record) for number, record in enumerate(records)])


def _produce(settings: Settings, topic: str, records: Iterable[tuple[str, bytes]]) -> None:
    producer = Producer({**settings.kafka.client(), "log_level": 0})
    for key, record in records:
        producer.produce(settings.kafka.topic(topic), record, key.encode())
    assert producer.flush(60) == 0


def crm_file(path: Path, persons: Iterable[Person]) -> None:
    """Records of all of them, each with an account."""
    lines = [f"{p.mark}-crm,{p.mark} name,{p.email},{p.phone},{p.name} forum:{p.mark}-forum" for p in persons]
    path.write_text("\n".join(["id,name,email,phone,accounts", *lines, ""]))


def plant(client: Client, settings: Settings, persons: Iterable[Person]) -> None:
    """What no source sends: dead letters from before they were encrypted, alerts of shared words, cursors."""
    now, rows, cursors = utc_now(), dict[str, list[Mapping[str, object]]](), list[tuple[str, bytes]]()

    def add(table: str, **values: object) -> None:
        rows.setdefault(table, []).append(values)

    for person in persons:
        for n, raw in enumerate((*person.letters(), *person.unreadable())):
            position = {"topic": "old", "partition": 0, "offset": person.number * 100 + n, "content": n}
            add("dead_letters", **position, step="parse", raw=raw, rejected_at=now)
        samples = [account_key("twitter", f"{person.mark}-{n}") for n in range(2)]
        what = {"rule": "campaign", "type": "campaign", "brand": "Acme", "state": "resolved"}
        times = {"since": now, "last_at": now, "changed_at": now}
        key = {"alert_key": 1_000 + person.number, "version": 1}
        add("alerts", **key, **what, **times, terms=[f"{person.mark} terms"], samples=samples)
        add("alert_candidates", rule="gone", brand="Acme", event_key=samples[0], heard_at=now, done=1)
        name, record = f"source {person.number}", orjson.dumps({"newest": f"{person.mark}-0"})
        add("source_cursors", source=name, version=1, record=record.decode(), written_at=now)
        cursors.append((name, record))
    for table, its in rows.items():
        client.insert(table, [list(each.values()) for each in its], column_names=list(its[0]))
    _produce(settings, "cursors", cursors)
