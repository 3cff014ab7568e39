"""One rollup as the job sees it: what it lacks, and the statements that make it anew."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.query import Ask
from pipeline.clock import Clock, Seldom, steady, wall
from pipeline.errors import EarshotError, reason
from pipeline.monitoring import metrics
from pipeline.rollups.marks import write_mark
from pipeline.rollups.rollup import QUARTER_S, ByMinute, Rollup, Span, spans_of, statements
from pipeline.rollups.sweep import Fill, Size, Sweep
from pipeline.rollups.threads import LARGEST, LONGEST
from pipeline.rollups.versions import Versions
from pipeline.rollups.waiting import SETTLE_S, Waiting

SHARE = 0.05
REST_FOR_SECOND = 1 / SHARE - 1
RUNNING_LEAST_S, RUNNING_MOST_S = 4.0, 6.0
"""Pause between two times that the running quarter is made anew: the longer it takes, the longer."""
SELDOM_S = 30.0
"""The same of a table that is not prompt: it may always have changed."""
PAUSE_S = 1.0
"""The others have a turn, whatever that takes."""
LATE_S = 13.0
"""A change is in the table so soon, where two statements take less: it came when the first had begun to read."""
ENDS_S = 70.0
"""A statement whose sender was killed has ended after so long."""
AGAIN_S = 30.0
"""After a failure the quarters have their next turn."""
TIDY_S, TIDY_SOON_S = 3_600.0, 300.0
"""What was made by minutes is tidied up at the start, soon after that or a failure, and then so often."""
log = logging.getLogger("earshot.rollups")
Write = Callable[[str], None]


class Table:
    """A rollup with its own queue. Each method that works returns the seconds that its statement took; None: there was nothing
    to do. `write` raises ClickHouseError, OSError or EarshotError: the quarters then have their turn again."""

    def __init__(self, rollup: Rollup, write: Write, ask: Ask, versions: Versions) -> None:
        self.name, self.prompt = rollup.name, rollup.prompt
        self.waiting = Waiting()
        self.fill: Fill | None = None
        """What was there before it, as far as it is not filled."""
        self.asked: Sweep | None = None
        self.pause = 0.0
        """Until the running quarter is looked at again."""
        self.failure = ""
        """Why the last statement failed; blank: it did not."""
        self.others_end_at = 0.0
        """Until then a statement of another job, before this one, may still end: it may write a key that this one did not know,
        and so did not take away."""
        self.rollup, self._write, self._ask, self._versions = rollup, write, ask, versions
        self._clock: Clock = wall
        self._size, self._complaint, self._large_complaint = Size(), Seldom(), Seldom()
        self._fill_size = Size()
        """Of its own: where a piece fails, what goes well elsewhere would make the next one larger again."""
        self._running_at = self._again_at = 0.0
        self._fill_next = self._newest = False
        self._by_minute: set[int] = set()
        """Running quarters that the table has by minutes."""
        self._unsure: set[int] = set()
        """Those to which a statement may have written that this job does not know, or not the end of: read anew when over."""
        self._tidy_at, self._tidied = 0.0, False

    def running(self, quarters: Sequence[int]) -> float | None:
        """Makes those of the running quarters anew that changed, and whole what has ended. For a prompt table."""
        if ended := self._by_minute.difference(quarters):
            return self._whole(ended, quarters)
        if steady() < self._running_at or not (due := self.waiting.among(quarters, self._clock())):
            return None
        took = self._running(due)
        self.pause = max(PAUSE_S, min(max(RUNNING_LEAST_S, REST_FOR_SECOND * took), RUNNING_MOST_S, LATE_S - 2 * took))
        self._running_at = steady() + self.pause
        return took

    def _whole(self, ended: set[int], running: Sequence[int]) -> float | None:
        """Adds up their minutes, which takes little, where nothing is known to change; the others have their turn."""
        took, others = None, {quarter for quarter in ended if quarter in self.waiting or quarter in self._unsure}
        self._by_minute -= ended
        self._unsure.intersection_update(running)
        if (known := ended - others) and isinstance(rollup := self.rollup, ByMinute):
            took = self._timed(lambda: self._write(rollup.add_up(spans_of(known), self._versions.next())))
        for quarter in ended if known and self.failure else others:
            self.waiting.touch(quarter, None, self._clock())
        return took

    def older(self, but: Sequence[int]) -> float | None:
        """Makes quarters of one day anew that changed, without those of `but`: in turns of the day that waits longest, and of
        the newest one. Who sends events of a thousand days long ago must not keep today's waiting for hours."""
        due = self.waiting.older(but, min(96, self._size.quarters), self._clock(), self._newest)
        if not due:
            return None
        self._newest = not self._newest
        if self.prompt:
            self._running_at = 0.0  # so that it is as new as can be where this takes long
            self.running(but)
        elif self._clock() // QUARTER_S in due:
            self._running_at = steady() + SELDOM_S
        return self._changed(due, self._size)

    def tidy(self, running: Sequence[int]) -> float | None:
        """What the table has by minutes of quarters that are over: rows that count are made whole, as when the control that
        made them was killed; the others are dropped, or each question about that time would read 16 times as many: first what
        is hidden, and the next time the marks.

        At the start all of it is made anew first. ClickHouse may have been killed with the control before, between two blocks
        of what made a quarter whole: minutes may be marked as gone without all of their whole, and no signal speaks of it."""
        if not isinstance(rollup := self.rollup, ByMinute) or steady() < self._tidy_at:
            return None
        first = not self._tidied

        def work() -> None:
            rows = self._ask(rollup.minutes_left(max(running) + 1 if first else min(running)), {}).rows()
            left, self._tidied = [row for row in rows if row[0] not in self._by_minute], True
            for number, (quarter, counts, _) in enumerate(left):
                if counts:
                    self.waiting.touch(quarter, None, self._clock())
                elif first:  # One after the other: of eight large ones a statement takes a minute, and the running one waits.
                    self.waiting.upcoming(quarter, None, self.others_end_at + (number - 1) * SETTLE_S)
            whole = [(quarter, bool(hides)) for quarter, _, hides in left if quarter not in self.waiting]
            for hidden in (True, False):
                if spans := spans_of(quarter for quarter, hides in whole if hides == hidden):
                    self._write(rollup.drop_minutes(spans, hidden))

        took = self._timed(work)
        self._tidy_at = steady() + (TIDY_SOON_S if first or self.failure else TIDY_S)
        return took

    def asked_for(self) -> float | None:
        """Makes a piece anew of what a person asked for. A piece that fails as a single quarter ends it."""
        if not self.asked:
            return None
        alone, span = self._size.quarters == 1, self.asked.take(self._size.quarters)
        took = self._run([span], self._size)
        if not self.failure:
            self.asked.done(span)
        elif alone:
            self.asked = None
        return took

    def rest_of_it(self, running: Sequence[int]) -> float | None:
        """Either, in turns where both wait: where events come all the time, some quarter has always changed."""
        but = running if self.prompt or steady() < self._running_at else ()
        ways = (partial(self.older, but), self.filling)
        for way in ways[::-1] if self._fill_next else ways:
            if (took := way()) is not None:
                self._fill_next = way is ways[0]
                return took
        return None

    def filling(self) -> float | None:
        """Fills a piece of what was there before, and notes how far it is."""
        if (fill := self.fill) is None or steady() < self._again_at:
            return None
        if span := fill.take(self._fill_size.quarters, steady()):
            took = self._run([span], self._fill_size, lambda version: self._mark(fill.filled_from(span), version))
            if not self.failure:
                fill.done(span)
            else:
                self._again_at = steady() + AGAIN_S
                fill.failed(span, steady())
            return took
        took = self._timed(lambda: self._mark(0, self._versions.next()))
        if not self.failure:
            self.fill = None
            log.info("table %s has all rows", self.name)
        return took

    def _mark(self, quarter: int, version: int) -> None:
        write_mark(self._write, self.rollup, quarter, version)

    def _running(self, quarters: Sequence[int]) -> float:
        if not isinstance(rollup := self.rollup, ByMinute):
            return self._changed(quarters, None)
        begin = [quarter for quarter in quarters if quarter not in self._by_minute]
        every = range(QUARTER_S // 60)
        inside = [(each, every if each in begin else self.waiting.minutes(each)) for each in quarters]
        minutes = [quarter * len(every) + minute for quarter, some in inside for minute in some]
        begun = self._clock()
        took = self._timed(lambda: self._write(rollup.rebuild_minutes(minutes, begin, self._versions.next())))
        self._dealt_with(quarters, begun)
        if not self.failure:
            self._by_minute.update(begin)
        if self.failure or begun < self.others_end_at:
            self._unsure.update(quarters)
        return took

    def _changed(self, quarters: Sequence[int], size: Size | None) -> float:
        if self._clock() < self.others_end_at:
            for quarter in quarters:
                self.waiting.upcoming(quarter, None, self.others_end_at - SETTLE_S)
        took = self._run(spans_of(quarters), size)
        if self.failure:
            self.waiting.failed(quarters, self._clock() + AGAIN_S)
        return took

    def _dealt_with(self, quarters: Sequence[int], begun: float) -> None:
        if self.failure:
            self.waiting.failed(quarters, self._clock() + AGAIN_S)
        else:
            self.waiting.done(quarters, begun)

    def _run(self, spans: Sequence[Span], size: Size | None, then: Callable[[int], None] = lambda version: None) -> float:
        """`size` learns from how long it takes. Quarters of the spans that waited do so no longer."""
        version, begun = self._versions.next(), self._clock()
        by_minute = {each for each in self._by_minute if any(span.first <= each <= span.last for span in spans)}
        self._by_minute -= by_minute

        def work() -> None:
            for statement in statements(self.rollup, spans, version, self._ask, self._left_out):
                self._write(statement)
            then(version)

        took = self._timed(work)
        for span in spans if not self.failure else ():
            self.waiting.done(range(span.first, span.last + 1), begun)
        for quarter in by_minute if self.failure else ():
            self.waiting.touch(quarter, None, begun)  # a part of it may be whole
        if size and self.failure:
            size.failed()
        elif size:
            size.took(sum(span.last - span.first + 1 for span in spans), took)
        return took

    def _left_out(self, count: int) -> None:
        """So many conversations have no row."""
        metrics.ROLLUPS_LEFT_OUT.inc(count)
        if self._large_complaint.due():
            limits = f"{LARGEST:,} words times brands or {LONGEST:,} quarter-hours"
            log.warning("table %s leaves out conversations of more than %s: %d", self.name, limits, count)

    def _timed(self, work: Callable[[], None]) -> float:
        started, self.failure = steady(), ""
        try:
            work()
        except (ClickHouseError, OSError, EarshotError) as error:
            self.failure = reason(error)
            metrics.ROLLUPS_FAILED.labels(self.name).inc()
            if self._complaint.due():
                log.warning("table %s is not made anew: %s; will be retried", self.name, self.failure)
        took = steady() - started
        metrics.ROLLUP_SECONDS.labels(self.name).observe(took)
        return took
