"""A rotation of keys is under way while table `rotating` is there: what would meet rows of two keys waits for its end.

Whoever is killed leaves the table: `earshot keys rotate` goes on, and takes it away. In the table each rotation that runs says
so every second: by that a second one beside it is refused, and one after a kill is not.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.query import one_line
from pipeline.errors import ConflictError

TABLE = "rotating"
BEAT_S, ALIVE_S = 1.0, 10
"""Whoever has said nothing for so long was killed."""
_TABLE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (holder UInt64, at DateTime64(3) DEFAULT now64(3), ended UInt8)
ENGINE = MergeTree ORDER BY at"""
_OTHERS = f"""
SELECT holder, max(at) AS last FROM {TABLE} WHERE holder != {{holder:UInt64}} GROUP BY holder
HAVING max(ended) = 0 AND last > now64(3) - toIntervalSecond({ALIVE_S})"""
_COLUMNS = f"SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = '{TABLE}'"
_THERE = f"SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'"


def begin(client: Client) -> None:
    """Raises EarshotError. The table may be left from a release in which rotations said nothing in it: it is made anew."""
    with one_line(client):
        silent = client.command(_COLUMNS) == 1
        client.command(_TABLE.replace("CREATE TABLE IF NOT EXISTS", "CREATE OR REPLACE TABLE") if silent else _TABLE)


@contextmanager
def alone(client: Client) -> Iterator[None]:
    """In the block no other rotation runs; to be entered after `begin`. Waits, ALIVE_S at most, for one that was killed.

    Raises ConflictError if another one runs; of two that begin at once both may be refused. EarshotError if ClickHouse refuses.
    """
    holder, over = secrets.randbits(64), threading.Event()
    with one_line(client):
        _beat(client, holder)
    beats = threading.Thread(target=_beats, args=(client, holder, over), daemon=True)
    beats.start()
    try:
        _refuse_beside(client, holder)
        yield
    finally:
        over.set()
        beats.join(ALIVE_S)
        with suppress(ClickHouseError, OSError):  # the table has gone at the end, or ClickHouse: then its silence says it
            _beat(client, holder, ended=True)


def end(client: Client) -> None:
    """Raises EarshotError."""
    with one_line(client):
        client.command(f"DROP TABLE IF EXISTS {TABLE} SYNC")


def there(client: Client) -> bool:
    """Raises EarshotError."""
    with one_line(client):
        return bool(client.query(_THERE).result_rows)


def refuse(client: Client, what: str) -> None:
    """Raises ConflictError while keys are rotated: `what` is not done then. EarshotError if ClickHouse refuses."""
    if there(client):
        raise ConflictError(
            f"keys are being rotated in database {client.database}: {what} when `earshot keys rotate` has ended; if it was "
            "stopped, run it again"
        )


def _refuse_beside(client: Client, holder: int) -> None:
    """Returns when nobody else has said anything for a while. Raises ConflictError when somebody says it again."""
    first: dict[int, object] = {}
    while True:
        with one_line(client):
            others = client.query(_OTHERS, {"holder": holder}).result_rows
        if any(first.setdefault(other, last) != last for other, last in others):
            raise ConflictError(f"another `earshot keys rotate` runs in database {client.database}: wait for its end")
        if not others:
            return
        time.sleep(BEAT_S / 4)


def _beats(client: Client, holder: int, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with suppress(ClickHouseError, OSError):
            _beat(client, holder)


def _beat(client: Client, holder: int, *, ended: bool = False) -> None:
    client.insert(TABLE, [[holder, ended]], column_names=["holder", "ended"])
