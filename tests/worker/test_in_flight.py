"""The limit of batches on their way, and how long batches wait for others to land with."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import polars as pl

from pipeline.batch import EventBatch
from pipeline.config.settings import WorkerSettings
from pipeline.records import Records
from pipeline.worker.gathering import APART_S, ENOUGH_ROWS, FEW_ROWS, WAIT_S, Gathering
from pipeline.worker.in_flight import BYTES_IN_FLIGHT, FEW, InFlightLimit
from schemas.signals import Candidate
from tests.support.worker import wait_for

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def batch(size: int = 0, rows: int = 1, behind: bool = True) -> EventBatch:
    events = pl.DataFrame({"row": pl.zeros(rows, dtype=pl.UInt32, eager=True)})
    return EventBatch(1, events, Records([]), [], (), read=rows, bytes=size, behind=behind)


def filled(limit: InFlightLimit, size: int = 0) -> int:
    count = 0
    while limit.wait(0):
        limit.take(batch(size))
        count += 1
    return count


def test_many_small_batches_or_a_few_large_ones_are_on_their_way() -> None:
    assert filled(InFlightLimit(12, 1_000), 10) == 12
    assert filled(InFlightLimit(12, 1_000), 200) == 5, "the fifth is above the bytes"
    assert filled(InFlightLimit(12, 1_000), 5_000) == FEW
    assert filled(InFlightLimit(), WorkerSettings().batch_bytes) * WorkerSettings().batch_bytes <= BYTES_IN_FLIGHT, (
        "as many bytes, whatever the records"
    )
    limit = InFlightLimit(1)
    limit.take(batch())
    assert not limit.wait(0)
    limit.give_back(batch())
    assert limit.wait(0) and limit.wait_empty(0)


def test_batches_wait_for_others_only_while_the_worker_is_behind_and_not_long() -> None:
    now, limit = 0.0, InFlightLimit(12)
    gathering = Gathering(limit, lambda: now)
    gathering.begin()
    assert gathering.goes_on([batch()]) and not gathering.goes_on([])
    assert not gathering.goes_on([batch(), batch(behind=False)])
    assert not gathering.goes_on([batch(rows=ENOUGH_ROWS)])
    now = WAIT_S
    assert not gathering.goes_on([batch()])


def test_few_rows_land_half_a_second_after_those_before_but_not_those_of_an_alert() -> None:
    now, limit = 100.0, InFlightLimit(12)
    few, many, alert = batch(behind=False), batch(rows=FEW_ROWS, behind=False), batch(behind=False)
    alert.candidates.append(Candidate("crisis", "Acme", "x", "en", 7, NOON, NOON, 1.0, ("recall",)))
    gathering = Gathering(limit, lambda: now)
    assert not gathering.goes_on([few]), "after a pause it lands at once"
    now += APART_S - 0.1
    assert gathering.goes_on([few]) and gathering.goes_on([few, few])
    assert not gathering.goes_on([few, alert]) and not gathering.goes_on([many])
    now += APART_S - 0.1
    assert gathering.goes_on([few]), "it counts from the last landing"
    now += 0.1
    assert not gathering.goes_on([few, few])


def test_batches_do_not_wait_for_what_can_not_come() -> None:
    limit = InFlightLimit(2)
    gathering = Gathering(limit, lambda: 0.0)
    gathering.begin()
    first = batch()
    limit.take(first)
    assert gathering.goes_on([first]), "there is room for another"
    limit.take(second := batch())
    assert gathering.goes_on([first]), "the other is on its way"
    assert not gathering.goes_on([first, second])


def test_batches_do_not_wait_while_somebody_waits_for_their_end() -> None:
    limit = InFlightLimit(12)
    gathering = Gathering(limit, lambda: 0.0)
    gathering.begin()
    limit.take(first := batch())
    revoke = threading.Thread(target=limit.wait_empty, args=(60,))
    revoke.start()
    wait_for("it lands at once", lambda: not gathering.goes_on([first]))
    limit.give_back(first)
    revoke.join()
    assert gathering.goes_on([batch()])
