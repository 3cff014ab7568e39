"""Table account_quarters: what each account did about a brand in a quarter-hour, its role and motive by roles.yaml. View
accounts adds its quarters up. Columns: schemas/clickhouse/021_accounts.sql.

Made in one pass, as quarters: rows of `interactions` and, marked as not there, the keys that the table has.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from xxhash import xxh3_64_hexdigest

from pipeline.clickhouse.row_versions import quoted
from pipeline.processors.mentions.brands import BrandNames
from pipeline.rollups.role_sql import first_rule
from pipeline.rollups.roles import Roles
from pipeline.rollups.rollup import Span, within
from schemas.inbound import INBOUND_SQL

KEY = ("brand", "quarter", "account_key")
COUNTS = {
    "complaint": "complaints",
    "praise": "praises",
    "question": "questions",
    "idea": "ideas",
    "promotion": "promotions",
    "news": "news",
}
"""The column that counts the mentions of a motive."""
NO_RULE = 65_535
PART = 200_000
"""Rows of a statement, in the mean: it takes some seconds on one core. Each reads those of the others, too."""
PUBLIC_SQL = "visibility != 'private' AND kind NOT IN ('message', 'email', 'call')"
"""What analysts may read of interactions (embedded/analyst_rows.py)."""
_KEY = ", ".join(KEY)
_ALIVE = "inbound AND there"
_LABELS = ("negative", "neutral", "positive")


class Accounts:
    """See `Rollup`. The table depends on the rules and on whose accounts brands.yaml names: `rules` stands for both."""

    name = "account_quarters"
    prompt = False

    def __init__(self, roles: Roles, brands: BrandNames) -> None:
        self._roles, self._motives = roles.roles, roles.motives
        self._role, self._motive = (
            first_rule(rules, brands.accounts, brands.competitors) for rules in (roles.roles, roles.motives)
        )
        names = repr([[*(rule.name for rule in rules)] for rules in (roles.roles, roles.motives)])
        outcomes = repr([*(rule.role for rule in roles.roles), *(rule.motive for rule in roles.motives)])
        self.rules = xxh3_64_hexdigest(f"{self._role}\n{self._motive}\n{names}\n{outcomes}".encode())
        self._measures = self._made()
        self._columns = (*KEY, *self._measures)
        self._part = "true"

    def sizes(self, spans: Sequence[Span]) -> str:
        """As `Divided.sizes`: rows."""
        return f"SELECT count() AS size, emptyArrayUInt64() AS too_large FROM interactions WHERE {within('created_at', spans)}"

    def parts(self, size: int, too_large: Sequence[int]) -> Sequence[Accounts]:
        """As `Divided.parts`: by the account."""
        of = max(1, -(-size // PART))
        parts = [copy(self) for _ in range(of)]
        for which, part in enumerate(parts):
            part._part = f"account_key % {of} = {which}" if of > 1 else "true"
        return parts

    def rebuild(self, spans: Sequence[Span], version: int) -> str:
        """As `Rollup.rebuild`."""
        return (
            f"INSERT INTO account_quarters ({', '.join(self._columns)}, version, is_deleted) "
            f"SELECT {', '.join(self._columns)}, toUInt64({version}), NOT is_there "
            f"FROM ({self._grouped(f'{self._rows(spans)} UNION ALL {self._known(spans)}')})"
        )

    def differences(self, spans: Sequence[Span]) -> str:
        """As `Rollup.differences`."""
        exact = ", ".join(name for name in self._columns if name != "score")
        stored = (
            f"SELECT * FROM (SELECT * FROM account_quarters WHERE {within('quarter', spans)} AND {self._part} "
            f"ORDER BY version DESC LIMIT 1 BY {_KEY}) WHERE is_deleted = 0"
        )
        return (
            f"SELECT toDate(quarter) AS day, uniqExact(({_KEY})) AS differing FROM (SELECT {exact} FROM ("
            f"SELECT {exact}, score FROM ({self._grouped(self._rows(spans))}) UNION ALL SELECT {exact}, score FROM ({stored})"
            f") GROUP BY {exact} HAVING count() != 2 OR max(score) - min(score) > 1e-9 * greatest(1, abs(max(score)))"
            ") GROUP BY day ORDER BY day"
        )

    def _made(self) -> dict[str, str]:
        """The columns but for the key, of a group of rows."""
        roles = [("", ""), *((rule.role, rule.name) for rule in self._roles)]
        motives = [("", ""), *((rule.motive, rule.name) for rule in self._motives)]
        role = f"if(best.1 = {NO_RULE}, 0, best.1)"
        return {
            "platform": "anyIf(of_platform, there)",
            "handle": "shown.1",
            "name": "shown.2",
            "shown_at": "shown.3",
            "author_kind": "newest.1",
            "followers": "newest.2",
            "verified": "newest.3",
            "profile_at": "newest.4",
            "first_seen": "minIf(at, there)",
            "last_seen": "maxIf(at, there)",
            "mentions": f"countIf({_ALIVE})",
            "ours": "countIf(NOT inbound AND there)",
            "private": f"countIf({_ALIVE} AND is_private)",
            **{label: f"countIf({_ALIVE} AND label = '{label}')" for label in _LABELS},
            "score": f"sumIf(ifNull(mood, 0), {_ALIVE})",
            "role": f"{_names([each for each, _ in roles])}[{role} + 1]",
            "role_rule": f"{_names([each for _, each in roles])}[{role} + 1]",
            "role_rank": "best.1",
            "role_event": f"if(best.1 = {NO_RULE}, 0, best.3)",
            **{
                column: f"countIf(motive_number IN ({_numbers([each for each, _ in motives], motive)}))"
                for motive, column in COUNTS.items()
            },
            "motive": f"{_names([each for each, _ in motives])}[said.1 + 1]",
            "motive_rule": f"{_names([each for _, each in motives])}[said.1 + 1]",
            "motive_at": "said.2",
            "motive_event": "said.3",
        }

    def _grouped(self, rows: str) -> str:
        measures = ", ".join(f"{sql} AS {name}" for name, sql in self._measures.items())
        return (
            f"SELECT {_KEY}, max(there) AS is_there, "
            "argMaxIf((of_handle, of_name, stated_at), (stated_at, event), there AND public) AS shown, "
            "argMaxIf((of_kind, of_followers, of_verified, stated_at), (stated_at, event), there) AS newest, "
            f"minIf((if(role_number = 0, toUInt16({NO_RULE}), role_number), -toUnixTimestamp64Milli(at), event), there) "
            "AS first, "
            f"if(is_there, first, (toUInt16({NO_RULE}), toInt64(0), toUInt64(0))) AS best, "
            "argMaxIf((motive_number, at, event), (at, event), there AND motive_number != 0) AS said, "
            f"{measures} FROM ({rows}) GROUP BY {_KEY}"
        )

    def _rows(self, spans: Sequence[Span]) -> str:
        """The rows, once for each of their brands."""
        return (
            "SELECT arrayJoin(brands) AS brand, toStartOfFifteenMinutes(created_at) AS quarter, account_key, "
            f"platform AS of_platform, {PUBLIC_SQL} AS public, author_handle AS of_handle, author_name AS of_name, "
            "author_kind AS of_kind, author_followers AS of_followers, author_verified AS of_verified, author_at AS stated_at, "
            f"created_at AS at, event_key AS event, {INBOUND_SQL} AS inbound, visibility = 'private' AS is_private, "
            "toString(sentiment_label) AS label, toFloat64(sentiment_positive) - toFloat64(sentiment_negative) AS mood, "
            f"{self._role} AS role_number, if(inbound, {self._motive}, 0) AS motive_number, true AS there "
            f"FROM interactions FINAL WHERE {within('created_at', spans)} "
            f"AND account_key != 0 AND notEmpty(brands) AND {self._part}"
        )

    def _known(self, spans: Sequence[Span]) -> str:
        """Without FINAL: a key that is gone already is written as gone once more."""
        time = "toDateTime64(0, 3, 'UTC')"
        return (
            f"SELECT {_KEY}, '' AS of_platform, false AS public, '' AS of_handle, '' AS of_name, '' AS of_kind, "
            f"NULL AS of_followers, NULL AS of_verified, {time} AS stated_at, {time} AS at, 0 AS event, false AS inbound, "
            "false AS is_private, '' AS label, NULL AS mood, 0 AS role_number, 0 AS motive_number, false AS there "
            f"FROM account_quarters WHERE {within('quarter', spans)} AND {self._part}"
        )


def _names(names: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, names))}]"


def _numbers(motives: Sequence[str], motive: str) -> str:
    """Of the rules that give the motive; without any a number that no row has."""
    return ", ".join(str(number) for number, each in enumerate(motives) if each == motive) or str(NO_RULE)
