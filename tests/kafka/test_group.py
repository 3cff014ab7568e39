"""A member that had no partition before reads the first records of the one that it gets: none is dropped while it seeks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from pipeline.config.settings import KafkaSettings, Settings
from pipeline.kafka.topics import migrate_topics
from tests.support.worker import wait_for

pytestmark = pytest.mark.usefixtures("kafka")
ROOT = Path(__file__).parents[2]
RECORDS = 3


class Member:
    """A process of the group (tests/support/member.py)."""

    def __init__(self, kafka: KafkaSettings, log: Path) -> None:
        self._log = log
        arguments = (kafka.bootstrap, kafka.topic_prefix)
        with log.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "tests.support.member", *arguments], stdout=out, cwd=ROOT)

    def said(self, word: str) -> list[int]:
        whole = self._log.read_text().rpartition("\n")[0]  # it may be writing
        lines = (line.split()[:2] for line in whole.splitlines())
        return [int(number) for said, number in lines if said == word]

    def read_since(self, assignments: int) -> list[int]:
        """The offsets that it has read since so many assignments."""
        parts = self._log.read_text().rpartition("\n")[0].split("assigned ")[assignments:]
        return [int(line.split()[1]) for part in parts for line in part.splitlines() if line.startswith("read ")]


@contextmanager
def member(kafka: KafkaSettings, log: Path) -> Iterator[Member]:
    it = Member(kafka, log)
    try:
        yield it
    finally:
        it.process.kill()
        it.process.wait()


def test_the_first_records_after_a_take_over_are_read(bare: Settings, tmp_path: Path) -> None:
    kafka = bare.kafka
    migrate_topics(kafka)
    producer = Producer(kafka.client())
    for n in range(RECORDS):
        producer.produce(kafka.topic("signals"), str(n).encode())
    assert producer.flush(30) == 0
    with ExitStack() as stack:
        members = [stack.enter_context(member(kafka, tmp_path / f"{name}.log")) for name in ("first", "second")]
        wait_for("one of two owns the partition", lambda: sorted(one.said("assigned")[-1:] for one in members) == [[0], [1]])

        def by_turns() -> list[Member]:
            """Who owns it first; a late member may take it from who had it."""
            return sorted(members, key=lambda one: one.said("assigned")[-1], reverse=True)

        wait_for("the leader reads", lambda: by_turns()[0].said("read")[-1:] == [RECORDS - 1])
        leader, standby = by_turns()
        before = len(standby.said("read"))
        leader.process.kill()
        wait_for("the other takes over", lambda: standby.said("assigned")[-1] == 1)
        producer.produce(kafka.topic("signals"), b"later")
        assert producer.flush(30) == 0
        wait_for("the other reads", lambda: standby.said("read")[before:][-1:] == [RECORDS])
        assert standby.said("read")[before:] == list(range(RECORDS + 1))


def test_what_nobody_has_committed_is_read_again_when_the_group_changes(bare: Settings, tmp_path: Path) -> None:
    """The fetch that waits while another member joins gets all of it, while the group's flow stands."""
    kafka = bare.kafka
    migrate_topics(kafka)
    producer = Producer(kafka.client())
    for n in range(RECORDS):
        producer.produce(kafka.topic("signals"), str(n).encode())
    assert producer.flush(30) == 0
    with member(kafka, tmp_path / "first.log") as first:
        wait_for("it reads", lambda: first.said("read")[-1:] == [RECORDS - 1])
        before = len(first.said("assigned"))
        with member(kafka, tmp_path / "second.log") as second:
            wait_for("the group has changed", lambda: bool(second.said("assigned")) and len(first.said("assigned")) > before)

            def again() -> bool:
                last = max((first, second), key=lambda one: one.said("assigned")[-1])
                return last.read_since(len(last.said("assigned")))[-1:] == [RECORDS - 1]

            wait_for("who owns the partition reads all again", again)
