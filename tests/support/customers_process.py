"""`earshot customers` as the tests see it: processes, commands of a steward, and what is in the tables."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaException, TopicPartition

from pipeline.clickhouse.inserter import Inserter
from pipeline.config.apis import CustomersSettings
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.sinks.customers import CustomerTables
from schemas.identity import Command
from schemas.untyped import JsonObject
from tests.support.oracle import connect
from tests.support.topics import end_offsets, read_topic
from tests.support.worker import Worker, wait_for

COMMAND = ("-m", "tests.support.process", "customers")
TOKEN = "a token of mara, 24 long"
TABLES = {
    "assignments": "SELECT profile, customer FROM assignments FINAL WHERE is_deleted = 0",
    "queue": "SELECT edge, reason FROM identity_queue FINAL WHERE is_deleted = 0",
    "account_events": "SELECT account_key, toUnixTimestamp64Milli(created_at), event_key FROM account_events FINAL "
    "WHERE (account_key, event_key, created_at) IN ("
    "SELECT account_key, event_key, created_at FROM interactions FINAL WHERE is_deleted = 0)",
}
"""What has to be there in the end, whatever was killed."""


def stewarded(settings: Settings) -> Settings:
    """The settings of a worker, of customers, and of whoever commands these."""
    return settings.model_copy(update={"customers": CustomersSettings(port=free_port(), tokens={"mara": TOKEN}, token=TOKEN)})


def start_customers(settings: Settings, log: Path) -> Worker:
    """On a port of its own. `wait_ready` returns when it leads, or stands by."""
    own = settings.model_copy(update={"customers": settings.customers.model_copy(update={"port": free_port()})})
    return Worker(own, log, port=own.customers.port, command=COMMAND)


def command(processes: Collection[Worker], body: JsonObject) -> tuple[int, JsonObject]:
    """Asks one after the other until one answers that leads: its status and answer. Status 0: none does, or one broke off."""
    for process in processes:
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            connection.request("POST", "/commands", orjson.dumps(body), headers)
            answer = connection.getresponse()
            status, answered = answer.status, orjson.loads(answer.read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError):
            continue
        finally:
            connection.close()
        if status != 503:
            return status, answered
    return 0, {}


def recorded(settings: Settings, why: str) -> str | None:
    """Why the command of this `why` was refused, blank: it was done; None: it is not on record."""
    with connect(settings) as client:
        found = client.query("SELECT refused FROM identity_commands FINAL WHERE why = {why:String}", {"why": why}).result_rows
    assert len(found) < 2, f"{why!r} was done {len(found)} times"
    return str(found[0][0]) if found else None


def ask(running: Callable[[], Collection[Worker]], settings: Settings, body: JsonObject) -> str:
    """Does the command once, however often its process is killed meanwhile. Returns why it was refused; blank: it is done."""
    why = str(body["why"])
    answers: list[str] = []

    def done() -> bool:
        status, answer = command(running(), body)
        assert status in (0, 200, 409), f"{body}: {status} {answer}"
        found = recorded(settings, why) if status == 0 else str(answer.get("error", ""))
        answers[:] = [] if found is None else [found]
        return found is not None

    wait_for(f"the command is done: {why}", done, 120, every=0.2)
    return answers[0]


def taken_all(settings: Settings) -> bool:
    """The leader has committed all evidence; False while the broker does not answer."""
    kafka, topic = settings.kafka, settings.kafka.topic("identity")
    try:
        end = end_offsets(kafka, topic)[0][1]
        consumer = Consumer(
            {**kafka.client(), "group.id": f"{kafka.group}-customers", "enable.auto.commit": False, "log_level": 0}
        )
        try:
            return bool(consumer.committed([TopicPartition(topic, 0)], timeout=5)[0].offset >= end)
        finally:
            consumer.close()
    except KafkaException:
        return False


State = dict[str, set[tuple[Any, ...]]]
"""The rows of TABLES."""


def state(settings: Settings) -> State:
    with connect(settings) as client:
        return {name: set(map(tuple, client.query(sql).result_rows)) for name, sql in TABLES.items()}


def differences(one: State, other: State) -> dict[str, list[tuple[Any, ...]]]:
    """Of each table that differs, some rows that only one of both has."""
    return {name: sorted(one[name] ^ other[name], key=str)[:6] for name in TABLES if one[name] != other[name]}


def commands(settings: Settings) -> list[Command]:
    """Those on record that were not refused."""
    with connect(settings) as client:
        return CustomerTables(Inserter(client, Fence(), Vitals(), "test")).commands()[0]


def told(settings: Settings) -> dict[int, int]:
    """The customers as somebody knows them who has followed topic customers; those who stand alone are not there."""
    moves = [orjson.loads(record.value() or b"{}") for record in read_topic(settings.kafka, settings.kafka.topic("customers"))]
    newest = {move["profile"]: move for move in sorted(moves, key=lambda move: int(move["sequence"]))}
    return {int(profile, 16): int(move["after"], 16) for profile, move in newest.items() if move["after"] != profile}
