"""Table quarters: what is counted by brand, quarter-hour, platform and language. Columns: schemas/clickhouse/019_quarters.sql.

Made in one pass: rows of `interactions` and, marked as not there, the keys that the table has; a group of such keys alone is
gone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.rollups.rollup import Span, within
from schemas.inbound import INBOUND_SQL

KEY = ("brand", "quarter", "platform", "language")
_KEY = ", ".join(KEY)
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
        columns = ", ".join((*KEY, *_MEASURES, "version", "is_deleted"))
        measures = ", ".join(f"{sql} AS {name}" for name, sql in _MEASURES.items())
        return (
            f"INSERT INTO quarters ({columns}) "
            f"SELECT {_KEY}, {measures}, toUInt64({version}) AS version, NOT max(there) AS is_deleted "
            f"FROM ({_rows(spans)} UNION ALL {_known(spans)}) GROUP BY {_KEY}"
        )

    def differences(self, spans: Sequence[Span]) -> str:
        """As `Rollup.differences`. Two sets of authors are equal if both, and what they are together, have one size."""
        counts = ", ".join(_COUNTS)
        sums = ", ".join(f"{sql} AS {name}" for name, sql in _MEASURES.items())
        differ = " OR ".join(
            (
                *(f"sumIf({name}, side = 0) != sumIf({name}, side = 1)" for name in (*_COUNTS, "rows")),
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
            f"SELECT {_KEY}, {counts}, score, stars, authors, 1 AS rows, 0 AS side FROM "
            f"(SELECT {_KEY}, {sums} FROM ({_rows(spans)}) GROUP BY {_KEY}) "
            f"UNION ALL SELECT {_KEY}, {counts}, score, stars, authors, 1 AS rows, 1 AS side FROM {_newest(spans)}) "
            f"GROUP BY {_KEY} HAVING {differ}) GROUP BY day ORDER BY day"
        )


def _newest(spans: Sequence[Span]) -> str:
    """The table's rows; FINAL would read the whole month."""
    rows = f"SELECT * FROM quarters WHERE {within('quarter', spans)} ORDER BY version DESC LIMIT 1 BY {_KEY}"
    return f"({rows}) WHERE is_deleted = 0"


def _rows(spans: Sequence[Span]) -> str:
    """The rows, once for each of their brands."""
    return (
        "SELECT arrayJoin(if(empty(brands), [''], brands)) AS brand, toStartOfFifteenMinutes(created_at) AS quarter, platform, "
        f"if(sentiment_language != '', sentiment_language, language) AS language, {INBOUND_SQL} AS inbound, "
        "visibility = 'private' AS is_private, author_kind = 'bot' AS is_bot, toString(sentiment_label) AS label, "
        "toFloat64(sentiment_positive) - toFloat64(sentiment_negative) AS mood, "
        f"{_positive('metrics_likes')} + {_positive('metrics_shares')} + {_positive('metrics_replies')} AS reactions, "
        f"{_positive('author_followers')} AS followers, account_key AS account, rating AS rated, true AS there "
        f"FROM interactions FINAL WHERE {within('created_at', spans)}"
    )


def _known(spans: Sequence[Span]) -> str:
    """Without FINAL, which reads the whole month: a key that is gone already is written as gone once more."""
    return (
        f"SELECT {_KEY}, false AS inbound, false AS is_private, false AS is_bot, '' AS label, NULL AS mood, 0 AS reactions, "
        "0 AS followers, 0 AS account, NULL AS rated, false AS there "
        f"FROM quarters WHERE {within('quarter', spans)}"
    )


def _positive(column: str) -> str:
    return f"toUInt64(greatest(ifNull({column}, 0), 0))"
