"""Signals of rows that change otherwise than by a landing: rematch, rescore, reconcile. Who fills the rollups hears of their
minutes before the write and after it; the alerts need not judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

import polars as pl

from pipeline.config.settings import KafkaSettings
from pipeline.errors import EarshotError, UnreachableError
from pipeline.fence import Fence, GivenUp, OpenFence
from pipeline.kafka.client import check_kafka
from pipeline.monitoring.health import Vitals
from pipeline.sinks.signals import Signals, minutes_of
from schemas.signals import Signal

Changing = Callable[[pl.DataFrame], AbstractContextManager[None]]
"""`with changing(rows):` the rows (created_at) change inside."""


def unheard(rows: pl.DataFrame) -> AbstractContextManager[None]:
    """A Changing that tells nobody."""
    return nullcontext()


def telling(write: Callable[[pl.DataFrame], None], changing: Changing) -> Callable[[pl.DataFrame], None]:
    """`write`, of whose rows `changing` hears."""

    def told(rows: pl.DataFrame) -> None:
        with changing(rows):
            write(rows)

    return told


class Changes:
    """Tells topic signals. Blocks while Kafka is away; raises GivenUp when the fence's generation is over.

    Restart: who is killed inside the block has told that the rows are about to change, and they are read again somewhat later.
    """

    def __init__(self, kafka: KafkaSettings, name: str, fence: Fence | None = None) -> None:
        """A command, which has no fence, raises UnreachableError without a broker or the topic; a process waits for them."""
        topic = kafka.topic("signals")
        if fence is None and topic not in check_kafka(kafka):
            raise UnreachableError(f"Kafka at {kafka.bootstrap}: no topic {topic} (earshot migrate creates it)")
        self._fence = fence or OpenFence()
        self._signals = Signals(kafka.client(), topic, self._fence, Vitals(), name)

    @contextmanager
    def changing(self, rows: pl.DataFrame) -> Iterator[None]:
        """See `Changing`."""
        minutes, generation = minutes_of([rows]), self._fence.generation
        self._signals.send(Signal(upcoming=minutes), generation)
        try:
            yield
        except BaseException:  # no answer, or Ctrl-C: ClickHouse may write the rows all the same, from now on
            with suppress(GivenUp, EarshotError):
                self._signals.send(Signal(upcoming=minutes), generation)
            raise
        self._signals.send(Signal(others=minutes), generation)

    def changed(self, rows: pl.DataFrame) -> None:
        """The rows have changed; whoever is killed before it comes again with them."""
        self._signals.send(Signal(others=minutes_of([rows])), self._fence.generation)
