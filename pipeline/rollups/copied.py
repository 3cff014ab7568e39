"""Tables relations, measures and orders: what rows of some kinds say, a row each. Columns: schemas/clickhouse/022_orders.sql.

Copied, so that a question about few rows of a hundred need not read them all. What depends on anything else, as a customer or a
rate, is computed when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.rollups.rollup import Span, within


class Copied:
    """See `Rollup`. `columns`: name -> SQL over a row of interactions; `where`: which rows. `key` has created_at and event."""

    prompt = False
    rules = ""

    def __init__(self, name: str, where: str, key: Sequence[str], columns: Mapping[str, str]) -> None:
        self.name = name
        self._where, self._key = where, ", ".join(key)
        self._names = ", ".join(columns)
        self._columns = ", ".join(f"{sql} AS {column}" if sql != column else column for column, sql in columns.items())
        # A row that is gone is its key alone.
        self._gone = ", ".join(
            column if column in key else f"defaultValueOfTypeName(toTypeName({column})) AS {column}" for column in columns
        )

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        """As `Rollup.rebuild`. A key that is gone already is written as gone once more."""
        known = f"SELECT {self._gone}, 1 AS gone FROM {self.name} WHERE {within('created_at', spans)}"
        return (
            f"INSERT INTO {self.name} ({self._names}, version, is_deleted) "
            f"SELECT {self._names}, toUInt64({version}) AS version, gone AS is_deleted FROM "
            f"(SELECT {self._names}, 0 AS gone FROM ({self._rows(spans)}) UNION ALL {known}) "
            f"ORDER BY gone LIMIT 1 BY {self._key}"
        )

    def differences(self, spans: Sequence[Span]) -> str:
        """As `Rollup.differences`."""
        stored = f"SELECT * FROM {self.name} WHERE {within('created_at', spans)} ORDER BY version DESC LIMIT 1 BY {self._key}"
        return (
            f"SELECT toDate(created_at) AS day, uniqExact(({self._key})) AS differing FROM (SELECT {self._names} FROM ("
            f"SELECT {self._names} FROM ({self._rows(spans)}) UNION ALL "
            f"SELECT {self._names} FROM ({stored}) WHERE is_deleted = 0"
            f") GROUP BY {self._names} HAVING count() != 2) GROUP BY day ORDER BY day"
        )

    def _rows(self, spans: Sequence[Span]) -> str:
        return f"SELECT {self._columns} FROM interactions FINAL WHERE {within('created_at', spans)} AND {self._where}"


_EVENT = {"created_at": "created_at", "event": "event_key", "platform": "platform"}

RELATIONS = Copied(
    "relations",
    "kind IN ('follow', 'like', 'vote', 'reaction')",
    ("kind", "platform", "created_at", "event"),
    _EVENT
    | {
        "kind": "kind",
        "brands": "brands",
        "account": "account_key",
        "target": "target",
        "target_key": "if(target = '', 0, xxh3(concat(platform, ':', target)))",
        "reaction": "reaction",
    },
)
MEASURES = Copied(
    "measures",
    "kind = 'measure' AND measure_name != '' AND isNotNull(measure_value)",
    ("name", "brand", "platform", "target", "created_at", "event"),
    _EVENT
    | {
        "name": "measure_name",
        "brand": "arrayJoin(if(empty(brands), [''], arrayDistinct(brands)))",
        "target": "target",
        "value": "assumeNotNull(measure_value)",
        "source": "source_name",
    },
)
ORDERS = Copied(
    "orders",
    "kind = 'order'",
    ("created_at", "event"),
    _EVENT
    | {
        "order_id": "order_id",
        "brands": "brands",
        "account": "account_key",
        "amount": "order_amount",
        "currency": "order_currency",
        "campaign": "campaign",
    },
)
