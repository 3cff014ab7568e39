"""Dead letters: rejected records, to topic `dead-letter` and to table dead_letters, acknowledged by both.

A dead letter carries the key and the bytes as they came, in the table encrypted; headers (topic) or columns (table) say reason,
step, topic, partition and offset. A dead letter that is too large for the topic is cut there, with one more header:
`truncated`, the size of the value in bytes; the table has it whole. A replay writes the same dead letters again: the table
keeps one, by offset and content."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from pipeline.batch import Rejected
from pipeline.clickhouse.inserter import Inserter
from pipeline.clock import Seldom
from pipeline.config.settings import DEAD_LETTER_BYTES, KafkaConfig
from pipeline.kafka.producer import Record, Refusal, ReliableProducer
from pipeline.monitoring.health import Vitals
from pipeline.sinks.letter_rows import LetterRows

log = logging.getLogger("earshot.kafka")
CUT_BYTES = 1 << 16
"""Bytes of key and of value that the topic gets of a dead letter that is too large."""
INSERT_BYTES = 16 << 20
"""Of an insert into the table, about: an insert copies its rows some times."""


class DeadLetters:
    """Blocks until topic and table have them; raises GivenUp when the batch was given up, EarshotError as the producer does."""

    def __init__(self, client: KafkaConfig, topic: str, inserter: Inserter, vitals: Vitals, rows: LetterRows) -> None:
        config = {**client, "message.max.bytes": DEAD_LETTER_BYTES, "compression.type": "lz4"}
        self._producer = ReliableProducer(config, topic, "dead letters", inserter.fence, vitals, "landing")
        self._topic = topic
        self._inserter, self._rows = inserter, rows
        self._seldom, self._cut, self._missing = Seldom(), 0, 0

    def write(self, rejected: Sequence[Rejected], generation: int) -> None:
        """On return topic and table have all of them, but for those of persons who were erased."""
        rejected = self._rows.kept(rejected)
        if not rejected:
            return
        if refused := self._producer.send([_record(letter) for letter in rejected], generation):
            self._send_cut({index: rejected[index] for index in refused}, refused, generation)
        for letters in _groups(rejected):
            self._inserter.insert_all("dead_letters", self._rows.of(letters), generation)

    def _send_cut(self, letters: Mapping[int, Rejected], refused: Mapping[int, Refusal], generation: int) -> None:
        """Sends those that are too large once more, cut; a cut does not help against another reason."""
        large = [letter for index, letter in letters.items() if refused[index].too_large]
        cut = len(large) - len(self._producer.send([_cut(letter) for letter in large], generation)) if large else 0
        self._cut += cut
        self._missing += len(letters) - cut
        if self._seldom.due():
            index, letter = next(iter(letters.items()))
            counts = f"{self._cut} dead letters cut, {self._missing} not at all, the first of {len(letter.raw)} bytes"
            why = refused[index].why
            log.warning("topic %s gets %s: %s; table dead_letters has them whole", self._topic, counts, why)
            self._cut = self._missing = 0


def _record(letter: Rejected) -> Record:
    origin = {"topic": letter.topic, "partition": str(letter.partition), "offset": str(letter.offset)}
    return Record(letter.raw, letter.key, tuple({"reason": letter.reason, "step": letter.step, **origin}.items()))


def _cut(letter: Rejected) -> Record:
    key = None if letter.key is None else letter.key[:CUT_BYTES]
    headers = (*_record(letter).headers, ("truncated", str(len(letter.raw))))
    return Record(letter.raw[:CUT_BYTES], key, headers)


def _groups(rejected: Sequence[Rejected]) -> Iterator[Sequence[Rejected]]:
    """The letters in their order, in groups of about INSERT_BYTES; a larger letter is a group of its own."""
    start = size = 0
    for index, letter in enumerate(rejected):
        grown = len(letter.raw) + len(letter.key or b"")
        if size and size + grown > INSERT_BYTES:
            yield rejected[start:index]
            start, size = index, 0
        size += grown
    yield rejected[start:]
