"""Pollers that send every post again as a create, under the same time or another: one row an event, as the reference says."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support import topics
from tests.support.harness import ONLY_LONG, Run
from tests.support.load import Message
from tests.support.one_row import Event
from tests.support.oracle import connect
from tests.support.worker import wait_for

POSTS, ROUNDS, KILLS = 1_500, 12, 10


@pytest.fixture
def batch_rows() -> int:
    return 500


def round_of(number: int, start_s: int, deleted: set[str], rng: random.Random) -> list[Message]:
    """What both pollers send in a round: each post with new counts, or with another text and time, and some deletes."""
    sent: list[tuple[str, dict[str, Any]]] = []
    for post in range(POSTS):
        counted = {
            "id": f"a{post}",
            "created_at": moment(start_s),
            "text": f"acme {post}",
            "metrics": {"likes": rng.randrange(4)},
        }
        moved: dict[str, Any] = {
            "id": f"b{post}",
            "created_at": moment(start_s - 60 * rng.randrange(3)),
            "text": rng.choice(("acme", "other")),
        }
        sent += [(str(each["id"]), {**each, "platform": "x", "kind": "post"}) for each in (counted, moved)]
    for name in rng.sample([f"{kind}{post}" for kind in "ab" for post in range(POSTS)], POSTS // 50):
        gone = {"id": name, "platform": "x", "operation": "delete", "occurred_at": moment(start_s + 60)}
        sent += [(name, gone)] if name not in deleted else []
        deleted.add(name)
    rng.shuffle(sent)
    return [
        Message(f"x:{name}".encode(), json.dumps(event | {"round": number}).encode(), record, 0, "create", 0)
        for record, (name, event) in enumerate(sent)
    ]


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(run: Run) -> None:
    with connect(run.settings) as client:
        names = ("max_bytes_to_merge_at_max_space_in_pool", "max_bytes_to_merge_at_min_space_in_pool")
        client.command(f"ALTER TABLE interactions RESET SETTING {', '.join(names)}")
        client.command("OPTIMIZE TABLE interactions FINAL")


def expected(run: Run) -> dict[str, Event]:
    """The events, by the topic's records in the order of their offsets; an event is in one partition."""
    events: defaultdict[str, Event] = defaultdict(Event)
    kafka = run.settings.kafka
    for message in sorted(topics.read_topic(kafka, kafka.topic("events")), key=lambda each: each.offset() or 0):
        record = json.loads(message.value() or b"")
        events[record["id"]].take(record, message.offset() or 0, message.timestamp()[1] / 1000)
    return events


@ONLY_LONG
def test_what_pollers_send_again_is_one_row_an_event(run: Run, rng: random.Random) -> None:
    start_s, deleted = int(datetime.now(UTC).timestamp()) - 3_600, set[str]()
    run.start_worker()
    for number in range(ROUNDS):
        messages = round_of(number, start_s, deleted, rng)
        topics.produce(run.settings.kafka, messages)
        if number < KILLS:
            worker = run.workers[0]
            worker.wait_ready()
            worker.wait_read(worker.rows_read + rng.uniform(0.1, 0.9) * len(messages))
            worker.kill()
            run.remove(worker)
            merge(run)
            run.start_worker()
    wait_for("all is committed", run.all_committed, 300, every=0.3)
    wanted = expected(run)
    columns = "id, text, metrics_likes, formatDateTime(created_at, '%Y-%m-%dT%H:%i:%SZ')"
    with connect(run.settings) as client:
        rows = client.query(f"SELECT {columns} FROM interactions FINAL").result_rows
        twice = client.command("SELECT count() - uniqExact(event_key) FROM interactions FINAL")
    found = {name: (text, likes, created_at) for name, text, likes, created_at in rows}
    alive = {name: event.row() for name, event in wanted.items() if not event.deleted}
    assert int(str(twice)) == 0 and len(wanted) == 2 * POSTS
    assert found == {name: (row["text"], row["likes"], row["created_at"]) for name, row in alive.items() if row}
