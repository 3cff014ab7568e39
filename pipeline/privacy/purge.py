"""Purges: what lightweight DELETEs have hidden leaves the files.

ClickHouse writes the parts that hold hidden rows anew, and removes the old ones some minutes later (its setting
old_parts_lifetime). All at once they would take every thread that merges, and inserts and hiding would wait for them: so it is
partitions of a table of AT_ONCE bytes at a time, or one, and a rest after each. Old versions of `quarters` still count hidden
events, in sets of keys of accounts, until a merge: the months of what was hidden are merged. All of it is of this server: where
tables are replicated, others do it, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker, one_line
from pipeline.clock import Clock, steady
from pipeline.privacy.register import TABLES
from schemas.times import to_ms

AGAIN_S = 900.0
AT_ONCE = 256 << 20
"""Each statement gives all parts of the table other names, hidden rows or not: that is five CPU ms a part."""
REST = 1.0
"""So many times as long as a piece took."""
PURGED = tuple(sorted(place.name for place in TABLES.values() if place.erase in ("rows", "rebuilt", "graph", "letters")))
_NAMES = ", ".join(f"'{name}'" for name in PURGED)
_PARTS = f"FROM system.parts WHERE database = currentDatabase() AND table IN ({_NAMES})"
_HIDDEN = (
    f"SELECT table, partition_id, sum(bytes_on_disk) AS bytes, groupArray(name) AS names {_PARTS} AND active "
    "AND has_lightweight_delete GROUP BY table, partition_id ORDER BY table, partition_id"
)
_SINCE = (
    f"SELECT count() AS n {_PARTS} AND active AND has_lightweight_delete AND modification_time <= fromUnixTimestamp({{before}})"
)
_OLD = f"SELECT count() AS n {_PARTS} AND NOT active AND remove_time <= fromUnixTimestamp({{before}})"


class Purge:
    """Raises EarshotError. Restart: it looks at the parts again."""

    def __init__(self, client: Client, clock: Clock = steady) -> None:
        self._client, self._ask, self._clock = client, asker(client), clock
        self._asked: dict[tuple[str, str], float] = {}
        self._parts: set[tuple[str, str]] = set()
        """Tables and names of the parts that are written anew now."""
        self._since = self._rests_until = 0.0

    def forget_old_counts(self, months: Iterable[int]) -> None:
        """Old versions of quarters in these months (202611) go."""
        for month in sorted(set(months)):
            with one_line(self._client):
                self._client.command(f"OPTIMIZE TABLE quarters PARTITION ID '{month}' FINAL")

    def old(self, before: datetime) -> bool:
        """Whether rows have been hidden since then or longer: also those that came after their erasure was purged."""
        return bool(self._ask(_SINCE.format(before=to_ms(before) // 1000), {}).get_column("n")[0])

    def step(self) -> bool:
        """Goes on with it: asks ClickHouse to write the next piece anew once it has done the last one, and has rested. Each
        partition once in AGAIN_S: more may be hidden meanwhile. Whether anything is still hidden."""
        hidden, now = list(self._ask(_HIDDEN, {}).iter_rows()), self._clock()
        if not hidden:
            self._asked.clear()
            self._parts.clear()
            return False
        if self._parts:
            if now < self._since + AGAIN_S and any(
                (table, name) in self._parts for table, _, _, names in hidden for name in names
            ):
                return True
            self._parts.clear()
            self._rests_until = now + REST * (now - self._since)
        if now >= self._rests_until:
            self._begin(hidden, now)
        return True

    def _begin(self, hidden: Iterable[tuple[str, str, int, list[str]]], now: float) -> None:
        due = [each for each in hidden if self._asked.get(each[:2], -AGAIN_S) <= now - AGAIN_S]
        room, piece = AT_ONCE, due[:1]
        for each in due[1:]:
            room -= piece[-1][2]
            if each[0] != piece[0][0] or each[2] > room:
                break
            piece.append(each)
        if not piece:
            return
        masks = ", ".join(f"APPLY DELETED MASK IN PARTITION ID '{partition}'" for _, partition, _, _ in piece)
        with one_line(self._client):  # in the background: a large partition takes minutes
            self._client.command(f"ALTER TABLE {piece[0][0]} {masks}", settings={"mutations_sync": 0})
        self._since = now
        self._asked.update({each[:2]: now for each in piece})
        self._parts.update((table, name) for table, _, _, names in piece for name in names)

    def files_left(self, before: datetime) -> bool:
        """Whether files of parts that were replaced until then are still there."""
        rows = self._ask(_OLD.format(before=to_ms(before) // 1000 + 1), {})
        return bool(rows.get_column("n")[0])
