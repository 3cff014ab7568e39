"""Table quarters: what is counted by brand, quarter-hour, platform and language. Columns: schemas/clickhouse/019_quarters.sql.

Made in one pass: rows of `interactions` and, marked as not there, the keys that the table has; a group of such keys alone is
gone. The running quarter-hour has a row for each minute (column part): of a million rows only those of some minutes are read
for what has changed. When it is over they are added up.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.rollups.rollup import QUARTER_S, Span, time_of, within
from schemas.inbound import INBOUND_SQL

KEY = ("brand", "quarter", "platform", "language")
_KEY = ", ".join(KEY)
_MINUTES = QUARTER_S // 60
_ALIVE = "inbound AND there"
_LABELS = ("negative", "neutral", "positive")
_MEASURES = {
    "mentions": f"countIf({_ALIVE})",
    "ours": "countIf(NOT inbound AND there)",
    "private": f"countIf({_ALIVE} AND is_private)",
    "bots": f"countIf({_ALIVE} AND is_bot)",
    **{label: f"countIf({_ALIVE} AND label = '{label}')" for label in _LABELS},
    "score": f"sumIf(ifNull(mood, 0), {_ALIVE})",
    "engagement": f"sumIf(reactions, {_ALIVE})",
    "reach": f"sumIf(followers, {_ALIVE})",
    "authors": f"uniqExactStateIf(account, {_ALIVE} AND account != 0)",
    "ratings": f"countIf({_ALIVE} AND isNotNull(rated))",
    "stars": f"sumIf(ifNull(rated, 0), {_ALIVE})",
}
_COUNTS = tuple(name for name in _MEASURES if name not in ("authors", "score", "stars"))


class Quarters:
    """See `Rollup`."""

    name = "quarters"
    prompt = True
    rules = ""

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        """As `Rollup.rebuild`."""
        return _insert(_rows(within("created_at", spans)), within("quarter", spans), version)

    def rebuild_minutes(self, minutes: Sequence[int], begin: Sequence[int], version: int) -> str:
        """As `ByMinute.rebuild_minutes`. What `begin` has as a whole goes, also where it is written by a statement that ends
        after this one: so each key of it is."""
        listed = ", ".join(map(str, minutes))
        begun = f"toUnixTimestamp(quarter) IN ({', '.join(str(each * QUARTER_S) for each in begin)})" if begin else "false"
        part = f"toUInt8(toMinute(created_at) % {_MINUTES} + 1)"
        rows = _rows(
            f"toStartOfMinute(created_at) IN ({', '.join(f'toDateTime({each * 60})' for each in minutes)})",
            f"arrayJoin(if({begun}, [{part}, 0], [{part}]))",
        )
        known = f"{begun} OR part > 0 AND toUInt32(intDiv(toUnixTimestamp(quarter), 60) + part - 1) IN ({listed})"
        first, last = min(minutes) // _MINUTES, max(minutes) // _MINUTES
        return _insert(rows, f"{within('quarter', [Span(first, last)])} AND ({known})", version)

    def add_up(self, spans: Sequence[Span], version: int) -> str:
        """As `ByMinute.add_up`."""
        sums = (f"sum({name})" if name != "authors" else "uniqExactMergeStateIf(authors, whole = 0)" for name in _MEASURES)
        columns = ", ".join((*KEY, "part", *_MEASURES, "version", "is_deleted"))
        return (
            f"INSERT INTO quarters ({columns}) "
            f"SELECT {_KEY}, whole, {', '.join(sums)}, toUInt64({version}), whole > 0 "
            f"FROM (SELECT *, arrayJoin([0, part]) AS whole FROM {_newest(spans)} AND part > 0) GROUP BY {_KEY}, whole"
        )

    def minutes_left(self, before: int) -> str:
        """As `ByMinute.minutes_left`. Without FINAL: it reads column part of all rows, and little else."""
        return (
            f"SELECT toUInt32(intDiv(toUnixTimestamp(quarter), {QUARTER_S})) AS number, max(alive) AS counts, "
            "max(hidden) AS hides FROM ("
            "SELECT quarter, argMax(is_deleted, version) = 0 AS alive, min(is_deleted) = 0 AS hidden FROM quarters "
            f"WHERE part > 0 AND quarter < {time_of(before)} GROUP BY {_KEY}, part) GROUP BY number"
        )

    def drop_minutes(self, spans: Sequence[Span], hidden: bool) -> str:
        """As `ByMinute.drop_minutes`."""
        rows = f"part > 0{' AND is_deleted = 0' if hidden else ''} AND {within('quarter', spans)}"
        return f"DELETE FROM quarters WHERE {rows} SETTINGS lightweight_deletes_sync = 0"

    def differences(self, spans: Sequence[Span]) -> str:
        """As `Rollup.differences`. Two sets of authors are equal if both, and what they are together, have one size."""
        counts = ", ".join(_COUNTS)
        sums = ", ".join(f"{sql} AS {name}" for name, sql in _MEASURES.items())
        differ = " OR ".join(
            (
                *(f"sumIf({name}, side = 0) != sumIf({name}, side = 1)" for name in _COUNTS),
                "uniqExact(side) != 2",
                *(
                    f"abs(sumIf({name}, side = 0) - sumIf({name}, side = 1)) > 1e-9 * greatest(1, abs(sum({name})))"
                    for name in ("score", "stars")
                ),
                "uniqExactMergeIf(authors, side = 0) != uniqExactMerge(authors)",
                "uniqExactMergeIf(authors, side = 1) != uniqExactMerge(authors)",
            )
        )
        return (
            f"SELECT toDate(quarter) AS day, count() AS differing FROM (SELECT {_KEY} FROM ("
            f"SELECT {_KEY}, {counts}, score, stars, authors, 0 AS side FROM "
            f"(SELECT {_KEY}, {sums} FROM ({_rows(within('created_at', spans))}) GROUP BY {_KEY}) "
            f"UNION ALL SELECT {_KEY}, {counts}, score, stars, authors, 1 AS side FROM {_newest(spans)}) "
            f"GROUP BY {_KEY} HAVING {differ}) GROUP BY day ORDER BY day"
        )


def _newest(spans: Sequence[Span]) -> str:
    """The table's rows; FINAL would read the whole month."""
    rows = f"SELECT * FROM quarters WHERE {within('quarter', spans)} ORDER BY version DESC LIMIT 1 BY {_KEY}, part"
    return f"({rows}) WHERE is_deleted = 0"


def _insert(rows: str, known: str, version: int) -> str:
    """`known`: the condition of the keys that may be gone. Without FINAL, which reads the whole month: a key that is gone
    already is written as gone once more."""
    columns = ", ".join((*KEY, "part", *_MEASURES, "version", "is_deleted"))
    measures = ", ".join(f"{sql} AS {name}" for name, sql in _MEASURES.items())
    nothing = (
        f"SELECT {_KEY}, part, false AS inbound, false AS is_private, false AS is_bot, '' AS label, NULL AS mood, "
        f"0 AS reactions, 0 AS followers, 0 AS account, NULL AS rated, false AS there FROM quarters WHERE {known}"
    )
    return (
        f"INSERT INTO quarters ({columns}) "
        f"SELECT {_KEY}, part, {measures}, toUInt64({version}) AS version, NOT max(there) AS is_deleted "
        f"FROM ({rows} UNION ALL {nothing}) GROUP BY {_KEY}, part"
    )


def _rows(where: str, part: str = "0") -> str:
    """The rows, once for each of their brands; where a part is a minute, what has part 0 is not there."""
    return (
        "SELECT arrayJoin(if(empty(brands), [''], brands)) AS brand, toStartOfFifteenMinutes(created_at) AS quarter, platform, "
        f"if(sentiment_language != '', sentiment_language, language) AS language, {part} AS part, {INBOUND_SQL} AS inbound, "
        "visibility = 'private' AS is_private, author_kind = 'bot' AS is_bot, toString(sentiment_label) AS label, "
        "toFloat64(sentiment_positive) - toFloat64(sentiment_negative) AS mood, "
        f"{_positive('metrics_likes')} + {_positive('metrics_shares')} + {_positive('metrics_replies')} AS reactions, "
        f"{_positive('author_followers')} AS followers, account_key AS account, rating AS rated, "
        f"{'true' if part == '0' else 'part > 0'} AS there "
        f"FROM interactions FINAL WHERE {where}"
    )


def _positive(column: str) -> str:
    return f"toUInt64(greatest(ifNull({column}, 0), 0))"
