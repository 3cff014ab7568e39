"""Terms: numbered periods of leadership, in table `leaders`. Each leader takes a number above all others before it writes.

Restart: a new holder, which takes a new term. A term that was released needs no wait: none of its writes can still run.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.fence import INSERT_MAX_S

OTHERS_WRITE_S = INSERT_MAX_S + 0.5
"""For how long after a new term a write of an older one may still run on the server."""


class Term(NamedTuple):
    """A term that was taken."""

    number: int
    alone: bool
    """No write of an earlier term can still run."""


class Terms:
    """The terms under one name. Blocks while ClickHouse is away."""

    def __init__(self, client: Client, inserter: Inserter, name: str) -> None:
        self._client, self._inserter, self._name = client, inserter, name
        self._holder = secrets.randbits(64)

    def take(self, check: Callable[[], None]) -> Term:
        """Takes a number above all that no other holder has. Raises GivenUp like `check` if this process does not lead."""
        while True:
            last = self._inserter.query(
                f"SELECT term, holder, max(released) AS released FROM leaders WHERE name = '{self._name}' "
                f"AND term = ({newest_sql(self._name)}) GROUP BY term, holder"
            )
            number = 1 if last.is_empty() else last["term"][0] + 1
            check()
            self._inserter.retry("insert into leaders", partial(self._write, number, released=False))
            holders = self._inserter.query(
                f"SELECT DISTINCT holder FROM leaders WHERE name = '{self._name}' AND term >= {number}"
            )
            if holders["holder"].to_list() == [self._holder]:
                return Term(number, bool(last["released"].all()))

    def release(self, number: int) -> None:
        """Records that no write of this term runs, or ever will. Raises ClickHouseError or OSError."""
        self._write(number, released=True)

    def _write(self, number: int, *, released: bool) -> None:
        row = (self._name, number, self._holder, released, datetime.now(UTC))
        names = ("name", "term", "holder", "released", "changed_at")
        self._client.insert("leaders", [row], column_names=names)


def newest_sql(name: str) -> str:
    """SQL of the newest term's number; 0: there is none yet."""
    return f"SELECT max(term) FROM leaders WHERE name = '{name}'"
