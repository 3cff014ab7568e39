"""Reconcile over many rows, of which one event in a hundred has two: how long it takes, how much memory; what it costs beside
inserts.

The rows are made inside ClickHouse, over 30 days, in parts as workers leave them. A second row comes from a create of the event
days later, under a time an hour later, with another text. A wrong row after that fails the measurement.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import numpy as np
from clickhouse_connect.driver.client import Client

from benchmarks import visible
from benchmarks.ground import Ground, ground, peak_mb, resident_mb
from benchmarks.progress import bar
from benchmarks.report import MB, MS, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.settings import Settings
from pipeline.migrate import migrate

NAMES = ("reconcile.seconds", "reconcile.rss_mb", "reconcile.clickhouse_mb", "reconcile.again_seconds")
BESIDE_NAMES = ("reconcile.visible_p99_ms", "reconcile.visible_without_p99_ms")
INSERT, EACH = 500_000, 100
COMMAND = [sys.executable, "-m", "pipeline.cli", "reconcile"]
SECOND_S, LAST = "s", timedelta(days=40)
_COLUMNS = (
    "event_key, revision, version, id, platform, kind, operation, created_at, occurred_at, text, text_at, author_id, "
    "author_at, metrics_likes, metrics_at, brands, source_name, topic, offset, ingested_at"
)
_FILL = """
INSERT INTO interactions ({columns})
WITH fromUnixTimestamp64Milli({start} + toInt64(number) * 2592000000 DIV {rows} + {moved}, 'UTC') AS at,
    concat('{text} ', hex(sipHash128(number)), ' Lumen is ', hex(sipHash128(number + 1)), ' today, they say') AS said
SELECT sipHash64(number), sipHash64(number, {copy}), bitShiftLeft(toUInt64(toUnixTimestamp64Milli(at)), 22),
    toString(number), 'forum', 'post', 'create', at, at, said, at, toString(number % 100000), at, {copy} + 1, at, ['Lumen'],
    'bench', 'bench', -1, at + toIntervalDay({copy} * 2)
FROM numbers({first}, {count}) {where}"""
_RIGHT = """
SELECT count(), uniqExact(event_key), countIf(metrics_likes = 2 AND startsWith(text, 'edited')),
    countIf(sipHash64(toUInt64OrZero(id)) = event_key) FROM interactions FINAL WHERE topic = 'bench'"""


def figures(rows: int) -> Iterator[Figure]:
    with ground() as stage:
        settings = stage.settings("reconcile", 1, "reconcile")
        with clickhouse_client(settings.clickhouse.model_copy(update={"database": "default"})) as client:
            client.command("CREATE DATABASE reconcile")
        migrate(settings)
        with clickhouse_client(settings.clickhouse) as client:
            fill(client, rows)
            seconds, peak, clickhouse = _measured(stage, settings)
            check(client, rows)
            again, *_ = _measured(stage, settings)
    conditions = f"{rows:,} rows, {rows // EACH:,} events with a second one, no worker beside it"
    yield Figure("reconcile.seconds", seconds, SECOND_S, f"with the minute that it waits; {conditions}")
    yield Figure("reconcile.rss_mb", peak, MB, f"the most that the command had resident; {conditions}")
    yield Figure("reconcile.clickhouse_mb", clickhouse, MB, f"the most that ClickHouse had resident meanwhile; {conditions}")
    yield Figure("reconcile.again_seconds", again, SECOND_S, f"a second run; {conditions}")


def beside_figures(rows: int, rate: int, seconds: int) -> Iterator[Figure]:
    """Visibility beside `rows` with reconcile, and without; after a run that does not count: the first one on a new stack has a
    p99 of over a second, with it or without."""
    with ground() as stage:
        for number, (name, command) in enumerate((("", False), *zip(BESIDE_NAMES, (True, False), strict=True))):

            @contextmanager
            def beside(settings: Settings, command: bool = command) -> Iterator[None]:
                with clickhouse_client(settings.clickhouse) as client:
                    fill(client, rows)
                process = (
                    subprocess.Popen(COMMAND, env=child_environment(settings), stdout=subprocess.DEVNULL) if command else None
                )
                try:
                    yield
                finally:
                    if process is not None:
                        process.kill()
                        process.wait()

            events = visible.WARM_UP_EVENTS + number
            milliseconds = visible.measure(stage, rate, seconds, beside=beside, warm_up_events=events) * 1000
            conditions = f"{rate:,} events/s for {seconds} s beside {rows:,} rows, {'with' if command else 'without'} reconcile"
            if name:
                yield Figure(name, float(np.percentile(milliseconds, 99)), MS, conditions)


def fill(client: Client, rows: int) -> None:
    """The rows; of each hundredth event a second one."""
    start = int((datetime.now(UTC) - LAST).timestamp() * 1000)
    for first in bar.track(range(0, rows, INSERT), -(-rows // INSERT), "rows: inserts"):
        for copy, text, moved, where in ((0, "first", 0, ""), (1, "edited", 3_600_000, f"WHERE number % {EACH} = 0")):
            values = {"columns": _COLUMNS, "start": start, "rows": rows, "copy": copy, "text": text, "moved": moved}
            values |= {"first": first, "count": min(INSERT, rows - first), "where": where}
            client.command(_FILL.format(**values))


def check(client: Client, rows: int) -> None:
    """Raises RuntimeError if an event is not one row, as it has to be."""
    found = tuple(client.query(_RIGHT).result_rows[0])
    if found != (rows, rows, rows // EACH, rows):
        raise RuntimeError(f"rows, events, edited, whole: {found}")
    if left := int(str(client.command("SELECT count() FROM interactions FINAL WHERE moved_to > 0"))):
        raise RuntimeError(f"{left} moved rows can be seen")


def _started(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(COMMAND, env=child_environment(settings), stdout=subprocess.DEVNULL)


def _measured(stage: Ground, settings: Settings) -> tuple[float, float, float]:
    """Seconds; in MB the command's peak, and the most that ClickHouse had resident."""
    pid, started = stage.stack.pid("clickhouse"), time.monotonic()
    peak = most = 0.0
    process = _started(settings)
    while process.poll() is None:
        with suppress(OSError, StopIteration):  # it ends at this moment
            peak, most = max(peak, peak_mb(process.pid)), max(most, resident_mb(pid))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"reconcile ended with exit code {process.returncode}")
    return time.monotonic() - started, peak, most
