"""Table threads: a row a conversation and brand. Columns: schemas/clickhouse/020_threads.sql.

A conversation that has, or had, a row in a touched quarter is made anew from all its rows, wherever they are: table
`conversation_quarters` says in which quarters. The index of conversations would find the rows of some, not of a day's.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.rollups.kept import ALL, Kept
from pipeline.rollups.rollup import QUARTER_S, Span, within
from pipeline.rollups.thread_sql import threads
from schemas.conversations import CONVERSATION_SQL, IS_WORD_SQL

KEY = ("brand", "opened", "conversation")
_EMPTY = {
    "conversation_id": "''", "platform": "''", "kind": "''", "private": "false", "team": "''", "customer": "0",
    "customers": "0", "words": "0", "ours": "0", "answers": "[]", "asked_at": "[]", "answered_at": "[]", "early": "0",
    "waiting": "0", "waiting_since": "NULL", "last_customer": "toDateTime64(0, 3, 'UTC')", "last_ours": "NULL",
    "statuses": "[]", "status_at": "[]", "closed_at": "NULL", "reopened": "0", "resolved_at": "NULL", "quarters": "[]",
}  # fmt: skip
"""Column -> what it holds in the row of a conversation that is gone, which is its key alone. Literals: ClickHouse plans them at
once."""
_COLUMNS = tuple(_EMPTY)
_QUARTER = "toUInt32(intDiv(toUnixTimestamp64Milli(created_at), 900000))"
LARGEST = 250_000
"""Words of a conversation times its brands: more has no row. A statement with so many takes some seconds on one core."""
PART = 100_000
"""Of a statement, in the mean: each reads those of the others of its quarters, too."""
LONGEST = 1_000
"""Quarters with words of it: more has no row. All rows of these quarters are read, whenever one more word is said."""


class Threads:
    """See `Rollup`."""

    name = "threads"
    prompt = False
    rules = ""

    def __init__(self, kept: Kept = ALL, part: tuple[int, int] = (0, 1), too_large: Sequence[int] = ()) -> None:
        """A conversation of which a row may be gone (`kept`) stays as it is. `part`: (which, of how many) parts of the
        conversations this one stands for. `too_large`: conversations that have no row."""
        self._kept, self._part, self._too_large = kept, part, too_large

    def sizes(self, spans: Sequence[Span]) -> str:
        """As `Divided.sizes`: of a conversation, its words times its brands. It takes a tenth of the time of `rebuild`."""
        touched = self._touched(spans)
        known = f"SELECT conversation FROM conversation_quarters WHERE conversation IN ({touched})"
        long = f"{known} GROUP BY conversation HAVING uniqExact(quarter) > {LONGEST}"
        others = f"SELECT conversation FROM ({touched}) WHERE conversation NOT IN ({long})"
        return (
            f"SELECT sumIf(words, words <= {LARGEST}) AS size, arrayConcat(groupArrayIf(conversation, words > {LARGEST}), "
            f"(SELECT groupArray(conversation) FROM ({long}))) AS too_large FROM ("
            f"SELECT {CONVERSATION_SQL} AS conversation, toUInt64(count() * greatest(1, length(groupUniqArrayArray(brands)))) "
            f"AS words FROM interactions FINAL WHERE {_where(spans, others)} AND {IS_WORD_SQL} "
            f"AND {CONVERSATION_SQL} IN ({others}) GROUP BY conversation)"
        )

    def parts(self, size: int, too_large: Sequence[int]) -> Sequence[Threads]:
        """As `Divided.parts`."""
        of = max(1, -(-size // PART))
        return [Threads(self._kept, (which, of), too_large) for which in range(of)]

    def prepare(self, spans: Sequence[Span]) -> str:
        """As `Prepared.prepare`: notes which conversations have rows there. What is noted stays: a quarter is looked at in vain
        when its row has gone. A row in a quarter that nobody has told yet is not noted, and comes when that is told."""
        return (
            f"INSERT INTO conversation_quarters (conversation, quarter) SELECT DISTINCT {CONVERSATION_SQL}, "
            f"{_QUARTER} FROM interactions "
            f"WHERE {within('created_at', spans)} AND {IS_WORD_SQL}"
        )

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        """As `Rollup.rebuild`."""
        names = ", ".join((*KEY, *_COLUMNS))
        key, touched, made = ", ".join(KEY), self._touched(spans), self._made(spans)
        gone = ", ".join(f"{nothing} AS {name}" for name, nothing in _EMPTY.items())
        return (
            f"INSERT INTO threads ({names}, version, is_deleted) "
            f"SELECT {names}, toUInt64({version}) AS version, gone FROM ("
            f"SELECT {names}, 0 AS gone FROM ({threads(made, _where(spans, made))}) UNION ALL "
            f"SELECT {key}, {gone}, 1 AS gone FROM threads FINAL WHERE conversation IN ({touched})"
            f") ORDER BY gone LIMIT 1 BY {key}"
        )

    def differences(self, spans: Sequence[Span]) -> str:
        """As `Rollup.differences`. A conversation is of the day on which it was opened; its rows are looked for where
        `conversation_quarters` says. What that lacks of these quarters differs, too: to look everywhere would read all rows."""
        names, made = ", ".join((*KEY, *_COLUMNS)), self._made(spans)
        stored = within("opened", spans) + (f" AND conversation NOT IN ({self._cut(spans)})" if self._kept.gone("") else "")
        noted = f"SELECT conversation, quarter FROM conversation_quarters WHERE {_inside(spans)}"
        lacking = (
            f"SELECT toDate(created_at) AS day, uniqExact({CONVERSATION_SQL}) AS differing FROM interactions "
            f"WHERE {within('created_at', spans)} AND {IS_WORD_SQL} AND {self._of_part(CONVERSATION_SQL)} "
            f"AND ({CONVERSATION_SQL}, {_QUARTER}) NOT IN ({noted}) GROUP BY day"
        )
        return (
            "SELECT day, sum(differing) AS differing FROM ("
            f"SELECT toDate(opened) AS day, uniqExact(({', '.join(KEY)})) AS differing FROM (SELECT {names} FROM ("
            f"SELECT {names} FROM ({threads(made, _where(spans, made))}) WHERE {within('opened', spans)} "
            f"UNION ALL SELECT {names} FROM threads FINAL WHERE {stored} AND {self._of_part('conversation')}"
            f") GROUP BY {names} HAVING count() != 2) GROUP BY day UNION ALL {lacking}) GROUP BY day ORDER BY day"
        )

    def _touched(self, spans: Sequence[Span]) -> str:
        """SELECT: the conversations of these quarters that are made anew, or go."""
        touched = f"SELECT conversation FROM ({_touched(spans)}) WHERE {self._of_part('conversation')}"
        return f"{touched} AND conversation NOT IN ({self._cut(spans)})" if self._kept.gone("") else touched

    def _made(self, spans: Sequence[Span]) -> str:
        """SELECT: those of them that have rows."""
        without = ", ".join(map(str, self._too_large))
        touched = self._touched(spans)
        return f"SELECT conversation FROM ({touched}) WHERE conversation NOT IN ({without})" if without else touched

    def _of_part(self, conversation: str) -> str:
        which, of = self._part
        return f"{conversation} % {of} = {which}" if of > 1 else "true"

    def _cut(self, spans: Sequence[Span]) -> str:
        """SELECT: those of which a row may be gone."""
        gone = self._kept.gone(f"toDateTime(arrayMin(quarters) * {QUARTER_S}, 'UTC')")
        return f"SELECT conversation FROM threads FINAL WHERE conversation IN ({_touched(spans)}) AND {gone}"


def _touched(spans: Sequence[Span]) -> str:
    """SELECT: the conversations that have a row in these quarters, or had one when they were made last."""
    first, last = min(span.first for span in spans), max(span.last for span in spans)
    return (
        f"SELECT {CONVERSATION_SQL} AS conversation FROM interactions WHERE {within('created_at', spans)} AND {IS_WORD_SQL} "
        f"UNION DISTINCT SELECT conversation FROM threads WHERE arrayMin(quarters) <= {last} AND arrayMax(quarters) >= {first} "
        f"AND arrayExists(quarter -> {_inside(spans)}, quarters)"
    )


def _inside(spans: Sequence[Span]) -> str:
    return f"({' OR '.join(f'(quarter >= {span.first} AND quarter <= {span.last})' for span in spans)})"


def _where(spans: Sequence[Span], touched: str) -> str:
    """The condition that a row is in these quarters, or in one in which such a conversation has one. By minutes: with them the
    key of `interactions` begins."""
    minutes = "toDateTime(arrayJoin(range(toUInt32(quarter * 900), toUInt32(quarter * 900 + 900), 60)), 'UTC')"
    known = f"SELECT DISTINCT quarter FROM conversation_quarters WHERE conversation IN ({touched})"
    return f"({within('created_at', spans)} OR toStartOfMinute(created_at) IN (SELECT {minutes} FROM ({known})))"
