"""Seeding: reads from ClickHouse on assignment the known revisions and the waiting changes of the new partitions.

It also completes table account_events: a worker that died may have inserted rows without those that the view makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import polars as pl

from pipeline.batch import Assigned, Partition
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import WorkerSettings
from pipeline.monitoring import metrics
from pipeline.processors.dedup import UNPUBLISHED_KEYS, RevisionIndex
from pipeline.processors.sentiment.deferred import DeferredLabeller
from pipeline.processors.waiting import Loaded, Waiting
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.pending import PendingTable
from pipeline.worker.offsets import TakeOver


class Seeding:
    """Reads on a thread of its own: all rows in a partition's window may take minutes.

    Until `warm_up`, which begins at once, is done, no partition is seeded: so nothing is read either.
    """

    def __init__(
        self,
        inserter: Inserter,
        work: WorkerSettings,
        index: RevisionIndex,
        held: Waiting,
        deferred: DeferredLabeller | None,
        warm_up: Callable[[], None],
    ) -> None:
        self._inserter, self._work = inserter, work
        self._index, self._held, self._deferred = index, held, deferred
        thread = ThreadPoolExecutor(1, thread_name_prefix="warm-up")
        self._warm = thread.submit(warm_up)
        thread.shutdown(wait=False)

    def read(self, assigned: Sequence[Assigned]) -> TakeOver:
        """Reads the state of partitions of one topic. Their revisions are known on return.

        Raises GivenUp as Inserter.query, and what `warm_up` raised.
        """
        table, work = InteractionsTable(self._inserter), self._work
        started = time.monotonic()
        try:
            known = table.known_revisions(assigned, work.dedup_hours, work.dedup_keys)
            unpublished = table.unpublished(assigned, work.dedup_hours, UNPUBLISHED_KEYS)
            waiting = PendingTable(self._inserter).waiting(assigned, work.waiting_changes)
            table.complete_account_events(assigned, work.dedup_hours)
        finally:
            self._inserter.vitals.idle("seeding")
        revisions = pl.concat([known.get_column("revision"), waiting.keys.get_column("revision")])
        self._index.mark_unpublished(unpublished.to_numpy())
        self._index.seed(revisions.to_numpy(), known.get_column("event_key").to_numpy())
        metrics.SEEDED.inc(len(revisions))
        metrics.SEED_SECONDS.observe(time.monotonic() - started)
        self._warm.result()
        return partial(self._take_over, waiting)

    def _take_over(self, waiting: Loaded, partitions: set[Partition]) -> None:
        self._held.load(waiting.of(partitions), partitions)
        if self._deferred:
            self._deferred.own(partitions)
