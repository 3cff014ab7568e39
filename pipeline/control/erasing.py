"""The leader looks after erasures (pipeline/privacy/): it ends those whose command was killed, hides what has come since, and
once a day has everything removed from the files that was hidden.

What comes since: a batch that had passed step privacy when the keys were written, a label or another new version made from a
row that was read before, a table that was made anew from rows read before.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import one_line
from pipeline.errors import EarshotError, reason
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring import erasing_metrics as metrics
from pipeline.privacy.erase import TABLES, Erasing
from pipeline.privacy.hide import Among
from pipeline.privacy.purge import Purge
from pipeline.sinks.erasures import receipts, write_receipt
from schemas.erasures import Erasure
from schemas.times import utc_now

EVERY_S, PURGES_S = 60.0, 1.0
LATE = timedelta(minutes=2)
"""An erasure that was asked for so long ago, and is not hidden, has no command any more that goes on with it."""
RECENT = timedelta(hours=1)
"""So long after an erasure what comes of it is looked for each time; of older ones each RECENT, and by every key at a purge."""
MARGIN = timedelta(minutes=15)
SETTLED = timedelta(minutes=5)
"""What was hidden so shortly before a purge is left to the next, or more where quarters are counted anew late."""
_HIDDEN = f"(erasure = 0 OR erasure IN (SELECT id FROM erasures FINAL WHERE NOT has(waits, '{TABLES}')))"
"""Which suppressions a look goes by: whoever hides the rows of an erasure counts them in its receipt, and suppresses their
events with it."""
Check = Callable[[], None]
log = logging.getLogger("earshot.control")


class Erasures:
    """`purge_after`: so long after the oldest erasure was hidden, all of them are purged together, of which `counted` says that
    the rollups are made anew: whether they are of all that was told before a time. Restart: receipts and
    parts say what is to be done. An error is logged, and tried again a minute later."""

    def __init__(
        self,
        leader: Leader,
        client: Client,
        erasing: Erasing,
        purge_after: timedelta,
        clock: Callable[[], datetime] = utc_now,
        counted: Callable[[datetime], bool] = lambda at: True,
    ) -> None:
        self._leader, self._client, self._erasing, self._counted = leader, client, erasing, counted
        self._purge_after, self._clock = purge_after, clock
        self._purge = Purge(client)
        self._all_at: datetime | None = None
        self._begun: datetime | None = None
        """Of the purge that goes on: what was hidden until then is counted anew, so none of it is left at the end."""
        self._applied: datetime | None = None
        self._looks_at: datetime | None = None

    async def run(self) -> None:
        """Again and again, while this process leads. Raises GivenUp."""
        check, self._all_at, self._begun, self._looks_at = self._leader.bound_check(), None, None, None
        stop = threading.Event()

        def go_on() -> None:
            if stop.is_set():
                raise GivenUp
            check()

        try:
            while True:
                try:
                    await asyncio.to_thread(partial(self.step, go_on))
                except GivenUp:
                    raise
                except Exception as error:  # the alerts must not end for it
                    metrics.FAILED.inc()
                    unexpected = not isinstance(error, (EarshotError, OSError))
                    log.warning("erasures: %s; will be retried", reason(error), exc_info=unexpected)
                await asyncio.sleep(PURGES_S if self._begun and not self._applied else EVERY_S)
        finally:
            stop.set()

    def step(self, check: Check) -> None:
        """One look; while a purge goes on, only at that until EVERY_S have passed. `check` raises when this process may not go
        on. Raises EarshotError."""
        now = self._clock()
        if self._erasing.nobody():
            return
        if self._begun is None or self._looks_at is None or now >= self._looks_at:
            self._look(now, check)
            self._looks_at = now + timedelta(seconds=EVERY_S)
        self._clear(self._receipts(), now, check)
        self._show(self._receipts(), now)

    def _look(self, now: datetime, check: Check) -> None:
        check()
        self._sweep(self._receipts(), now)  # before what may take long, or fail: many that wait for the graph
        for erasure in self._erasing.unfinished():
            if erasure.asked_at <= now - LATE:
                check()
                self._finish(erasure)

    def _finish(self, erasure: Erasure) -> None:
        for why in self._erasing.finish(erasure):
            metrics.FAILED.inc()
            log.warning("erasure %016x: %s; will be retried", erasure.id, why)

    def _sweep(self, kept: Sequence[Erasure], now: datetime) -> None:
        kept = [each for each in kept if TABLES not in each.waits]
        recent = [each for each in kept if max(each.asked_at, each.hidden_at or each.asked_at) > now - RECENT]
        if self._all_at is None or now - self._all_at >= RECENT:
            since = None if self._all_at is None else self._all_at - RECENT - MARGIN
            self._caught(Among(_HIDDEN, since))
            self._all_at = now
        elif recent:
            ids = ", ".join(str(each.id) for each in recent)
            first = min(each.asked_at for each in recent) - MARGIN
            self._caught(Among(f"(erasure IN ({ids}) OR (erasure = 0 AND at > now() - INTERVAL 2 HOUR))", first))

    def _caught(self, among: Among) -> None:
        if hidden := self._erasing.sweep(among):
            metrics.CAUGHT.inc(sum(hidden.values()))
            log.info("rows of persons who were erased came since, and are hidden: %s", hidden)

    def _clear(self, kept: Sequence[Erasure], now: datetime, check: Check) -> None:
        """A purge begins, goes on, or ends."""
        waiting = [each for each in kept if each.hidden_at is not None]
        if self._begun is None:
            before = now - self._purge_after
            if not any(each.hidden_at and each.hidden_at <= before for each in waiting) and not self._purge.old(before):
                return
            until = next(filter(self._counted, (now - SETTLED, before)), None)
            if until is None:
                log.warning("erasures: the purge waits: rollups are not made anew yet of what was hidden a day ago")
                return
            self._caught(Among(_HIDDEN, thorough=True))
            check()
            metrics.CAUGHT.inc(self._erasing.letters(waiting))
            check()
            self._purge.forget_old_counts(month for each in waiting for month in each.months)
            self._begun, self._applied = until, None
        check()
        if self._purge.step():
            return
        self._applied = self._applied or now
        if not self._purge.files_left(self._applied):
            for each in self._receipts():  # as they are now: a command may have written what it deleted of topics
                if each.hidden_at and each.hidden_at <= self._begun:
                    each.purged_at = now
                    with one_line(self._client):
                        write_receipt(self._client, each)
            self._begun = None

    def _receipts(self) -> list[Erasure]:
        with one_line(self._client):
            return list(receipts(self._client, "isNull(purged_at)"))

    def _show(self, kept: Sequence[Erasure], now: datetime) -> None:
        hidden = sum(each.hidden_at is not None for each in kept)
        metrics.OPEN.labels("hide").set(len(kept) - hidden)
        metrics.OPEN.labels("purge").set(hidden)
        metrics.AGE.set(max(((now - each.asked_at).total_seconds() for each in kept), default=0))
