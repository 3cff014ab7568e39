"""The job: one thread of control, while it leads, that makes anew what signals say has changed.

    topic signals -> quarters that wait -> INSERT ... SELECT by each rollup -> commit

- The running quarter-hour of prompt tables comes first: it is made anew while it changes, with pauses (table.py).
- Then what a person has asked for, without a rest.
- Then all other quarters, those of a day together, and what was there before the rollup, newest first; tables take turns. They
  take SHARE of the time, what comes first included; where that alone is more, they get a fifth of their share all the same.

A rollup whose statements fail holds no other back. Restart: signals that were not committed are read again; a quarter that is
made anew twice is the same.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future, wait
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar

from pipeline.clickhouse.query import Ask
from pipeline.clock import Clock, steady, wall
from pipeline.monitoring import metrics
from pipeline.rollups.asked import Asked
from pipeline.rollups.marks import oldest_quarter, read_marks, write_mark
from pipeline.rollups.reader import Heard, SignalReader
from pipeline.rollups.rollup import QUARTER_S, Rollup
from pipeline.rollups.sweep import Fill, Sweep
from pipeline.rollups.table import ENDS_S, REST_FOR_SECOND, Table, Write
from pipeline.rollups.versions import Versions
from pipeline.rollups.waiting import Waiting

RUNNING_REST, MOST_REST_S = 0.8, 300.0
"""The longest rest after the running quarter, as a part of its pause, and after another piece of work in seconds."""
STILL_RUNNING_S = 60.0
"""A quarter that has ended comes first for so long."""
LISTEN_S, MEASURE_S = 0.2, 1.0
MOST_HEARD = 10_000
"""Signals that wait in memory for the end of a table's statements; the others stay in the topic, as after an outage."""
AHEAD_S = 86_400
"""Events are created so far ahead of now at most."""
Note = Callable[[Waiting, int, int, float, Collection[int] | None], None]
log = logging.getLogger("earshot.rollups")
T = TypeVar("T")


class Statements(NamedTuple):
    """What runs them. Both raise ClickHouseError, OSError or EarshotError."""

    write: Write
    ask: Ask


def _do(work: Callable[[], T], doing: Future[T]) -> None:
    try:
        doing.set_result(work())
    except BaseException as error:
        doing.set_exception(error)


class Job:
    """For one thread, but for `asked`. `beside`: for tables that are not prompt, while `now` runs the others' statements."""

    def __init__(
        self,
        rollups: Sequence[Rollup],
        reader: SignalReader,
        now: Statements,
        beside: Statements,
        versions: Versions,
        asked: Asked,
    ) -> None:
        slow = Statements(
            lambda statement: self._meanwhile(partial(beside.write, statement)),
            lambda sql, more: self._meanwhile(partial(beside.ask, sql, more)),
        )
        self._tables = [Table(rollup, *(now if rollup.prompt else slow), versions) for rollup in rollups]
        self._heard_meanwhile: list[Heard] = []
        self._reader, self._write, self._ask, self._versions, self._asked = reader, now.write, now.ask, versions, asked
        reader.revoked = self._forget
        self._clock: Clock = wall
        self._rest_until = self._settle_at = 0.0
        self._asked_of, self._asked_failed = 0, ""

    def run(self, stop: threading.Event, check: Callable[[], None]) -> None:
        """Until `stop`, or until `check` raises. Raises what `ask` raises, too, and KafkaException."""
        for table in self._tables:
            table.others_end_at = self._clock() + ENDS_S
        marks = read_marks(self._ask, [table.rollup for table in self._tables])
        self._begin(marks | self._not_filled([table for table in self._tables if table.name not in marks]))
        worked = False
        while not stop.is_set():
            check()
            self._hear(self._reader.read(0.0 if worked else LISTEN_S), self._tables)
            if self._reader.lost:
                self._start_over()
            check()
            worked = self._turn()
            self._hear(self._heard_meanwhile, [table for table in self._tables if not table.prompt])
            self._heard_meanwhile = []
            if (begun := steady()) >= self._settle_at:
                self._settle()
                # After a replay of years it looks at 100,000 quarters.
                self._settle_at = begun + max(MEASURE_S, REST_FOR_SECOND * (steady() - begun))

    def _forget(self) -> None:
        """The signals are another process's from now on."""
        self._heard_meanwhile = []
        for table in self._tables:
            table.waiting.clear()

    def _meanwhile(self, work: Callable[[], T]) -> T:
        """Waits for what takes long, on a thread of its own; the running quarter has its turns. If one of these raises, nobody
        waits any more: what ends later is as old as its version says."""
        doing: Future[T] = Future()
        threading.Thread(target=_do, args=(work, doing), name="rollups-beside", daemon=True).start()
        while wait([doing], LISTEN_S).not_done:
            self._between()
        return doing.result()

    def _between(self) -> None:
        """What is heard now is for the running quarter; the other tables are told when one of them is done with its statements,
        or it would count as dealt with, although they may have read before."""
        prompt = [table for table in self._tables if table.prompt]
        # One at least: who reads nothing for some minutes is sent out of the group.
        heard = self._reader.read(0.0) if len(self._heard_meanwhile) < MOST_HEARD else self._reader.read(0.0, 1)
        self._hear(heard, prompt)
        self._heard_meanwhile += heard
        for table in prompt:
            table.running(self._running())

    def _hear(self, heard: Iterable[Heard], tables: Sequence[Table]) -> None:
        for offset, at, signal in heard:
            self._note((*signal.touched, *signal.others), Waiting.touch, offset, at, tables)
            self._note(signal.upcoming, Waiting.upcoming, offset, self._clock(), tables)  # the sender's clock may be slow

    def _note(self, minutes: Iterable[datetime], note: Note, offset: int, at: float, tables: Sequence[Table]) -> None:
        at, running = min(at, self._clock()), self._running()
        quarters: dict[int, set[int]] = defaultdict(set)
        for minute in minutes:
            quarter, second = divmod(int(minute.timestamp()), QUARTER_S)
            quarters[quarter].add(second // 60)
        for quarter, inside in quarters.items():
            for table in tables:
                note(table.waiting, quarter, offset, at, inside if table.prompt and quarter in running else None)

    # --- what was there before ----------------------------------------------------------------------------------------
    def _begin(self, marks: dict[str, int]) -> None:
        oldest = oldest_quarter(self._ask)
        for table in self._tables:
            filled_from = marks[table.name]
            table.fill = Fill(Sweep(oldest or filled_from, filled_from - 1)) if filled_from else None

    def _not_filled(self, tables: Sequence[Table]) -> dict[str, int]:
        """Notes that they have nothing. Before a quarter of them is made anew: other rules' note is not true from then on."""
        horizon = self._horizon()
        for table in tables:
            write_mark(self._write, table.rollup, horizon, self._versions.next())
        return {table.name: horizon for table in tables}

    def _start_over(self) -> None:
        """Nobody knows what was missed: all is filled anew, and signals count from now on."""
        marks = self._not_filled(self._tables)
        self._reader.begin()
        self._begin(marks)
        log.info("the rollups are filled from all rows, in the background")

    def _horizon(self) -> int:
        return int(self._clock() + AHEAD_S) // QUARTER_S + 1

    # --- one piece of work --------------------------------------------------------------------------------------------
    def _turn(self) -> bool:
        """Whether there was something to do."""
        running = self._running()
        for table in self._tables:
            if table.prompt and (took := table.running(running)) is not None:
                self._rest(min(took * REST_FOR_SECOND, RUNNING_REST * table.pause))
                return True
        if self._do_asked():
            return True
        return steady() >= self._rest_until and self._do_older(running)

    def _do_asked(self) -> bool:
        """A piece of one table: the running quarter comes first again after each."""
        if span := self._asked.take():
            for table in self._tables:
                table.asked = Sweep(*span)
            self._asked_of, self._asked_failed = len(self._tables) * (span.last - span.first + 1), ""
        if not (asked := [table for table in self._tables if table.asked]):
            return False
        table = asked[0]
        table.asked_for()
        if table.asked is None:
            self._asked_failed = f"table {table.name}: {table.failure}"
        self._had_its_turn(table)
        self._asked.report(self._asked_of, sum(len(table.asked or ()) for table in self._tables), self._asked_failed)
        return True

    def _do_older(self, running: Sequence[int]) -> bool:
        """To look for work takes time, too, where many quarters wait."""
        begun, worked = steady(), False
        for table in self._tables:
            table.tidy(running)
        for table in list(self._tables):
            if table.rest_of_it(running) is not None:
                self._had_its_turn(table)
                worked = True
                break
        self._rest(min((steady() - begun) * REST_FOR_SECOND, MOST_REST_S))
        return worked

    def _had_its_turn(self, table: Table) -> None:
        self._tables.remove(table)
        self._tables.append(table)

    def _running(self) -> Sequence[int]:
        """The running quarter, and the one before while that has just ended."""
        now = self._clock()
        return sorted({int(now) // QUARTER_S, int(now - STILL_RUNNING_S) // QUARTER_S}, reverse=True)

    def _rest(self, seconds: float) -> None:
        self._rest_until = max(self._rest_until, steady() + seconds)

    # --- what is done -------------------------------------------------------------------------------------------------
    def _settle(self) -> None:
        """Commits, and shows the lag."""
        offsets = [offset for table in self._tables if (offset := table.waiting.offset()) is not None]
        self._reader.commit(min(offsets, default=None))
        now, running = self._clock(), self._running()
        for name, soon in (("running", True), ("older", False)):
            since = [self._reader.away_since, *(self._since(table, running, soon) for table in self._tables)]
            metrics.ROLLUP_LAG.labels(name).set(max(0.0, now - min(filter(None, since), default=now)))

    @staticmethod
    def _since(table: Table, running: Sequence[int], soon: bool) -> float | None:
        """Since when the table lacks something that should be there `soon`, or need not be."""
        return table.waiting.since(lambda quarter: (table.prompt and quarter in running) == soon)
