"""A database as analysts have it, made inside ClickHouse: two years of interactions about brands of very unequal volume, their
conversations, accounts and links; and the rollups, by their own statements.

Row n has position n // 2000 % 8 of a place with 8 rows, 2,000 rows apart. Four places in ten are one conversation, whose third
and sixth rows are the brand's answers; the rows of the others are posts, likes, visits ... Brand k of B (from 1 on) has a share
of ln(1 + 1/k) / ln(B + 1): of 200 the first has 13 %, the median one 0.2 %. Account a has a platform by a % 20. Few write much:
the first hundredth of the accounts a tenth of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from benchmarks.progress import bar
from benchmarks.standard import WORDS
from pipeline.clickhouse.dictionary import reload_sql
from pipeline.clickhouse.query import asker, one_line
from pipeline.control.rollups import SETTINGS
from pipeline.errors import EarshotError
from pipeline.rollups.marks import write_mark
from pipeline.rollups.rollup import quarter_of
from pipeline.rollups.sweep import Sweep
from pipeline.rollups.table import Table
from pipeline.rollups.tables import load_rollups
from pipeline.rollups.versions import Versions

BRANDS = 200
YEARS = timedelta(days=730)
INSERT = 100_000
"""Rows of an insert: 60 s, the longest that one may take, are enough on a slow machine, too."""
BLOCK = {"max_block_size": 8192, "max_insert_threads": 1, "max_threads": 2}
"""Pieces of a text are computed for a whole block, some hundred for each row: larger blocks take more than 2 GiB."""
_WORDS = "['" + "', '".join(WORDS) + "']"
_PLATFORMS = "['twitter','twitter','twitter','twitter','twitter','twitter','twitter','twitter','reddit','reddit','reddit'," \
    "'reddit','instagram','instagram','instagram','forum','forum','reviews','support','support']"  # fmt: skip
_KINDS = "['post','post','post','post','post','post','question','idea','repost','repost','like','visit','follow','post','post']"
# Each random number is a slice of one hash: `dice(n)` is at least 0 and below 1, another one for each n and row.
_ROWS = """
INSERT INTO interactions (event_key, revision, version, id, platform, kind, operation, direction, created_at, occurred_at,
    text, text_at, language, visibility, author_id, author_handle, author_name, author_kind, author_followers, author_at,
    mentions, hashtags, urls, in_reply_to, conversation_id, thread_status, thread_team, metrics_likes, metrics_shares,
    metrics_replies, metrics_at, rating, brands, sentiment_label, sentiment_negative, sentiment_neutral, sentiment_positive,
    sentiment_model, sentiment_language, sentiment_status, source_name, source_version, topic, offset, ingested_at)
WITH
    (n, salt) -> toFloat64(sipHash64(n, salt)) / 18446744073709551616 AS dice,
    (n, salt) -> least({brands}, toUInt32(floor(exp(dice(n, salt) * log({brands} + 1))))) AS rank,
    intDiv(number, 2000) % 8 AS position,
    intDiv(number, 16000) * 2000 + number % 2000 AS place,
    dice(place, 1) < 0.4 AS talks,
    number % 20 AS kin,
    {platforms}[kin + 1] AS place_of,
    talks AND position IN (2, 5) AS is_ours,
    concat('brand-', toString(rank(if(talks, place, number), 2))) AS about,
    20 * toUInt64(floor(intDiv({accounts}, 20) * pow(dice(number, 3), 2))) + kin AS account,
    if(is_ours, concat('desk-', about), toString(account)) AS author,
    fromUnixTimestamp64Milli({start} + toInt64(intDiv(toInt128(number) * {span}, {rows})), 'UTC') AS at,
    multiIf(is_ours, 'reply', place_of = 'support', 'message', place_of = 'reviews', 'review',
        talks AND position > 0, if(dice(number, 4) < 0.7, 'reply', 'comment'),
        {kinds}[1 + toUInt32(floor(dice(number, 4) * 15))]) AS kind_of,
    kind_of NOT IN ('like', 'visit', 'follow', 'repost') AS has_text,
    if(has_text, concat(about, ' ', arrayStringConcat(arrayMap(each -> {words}[1 + toUInt32(floor(
        pow(dice(number, 100 + each), 1.7) * {many}))], range(8 + toUInt32(floor(dice(number, 5) * 12)))), ' ')), '') AS said,
    dice(account, 6) AS tongue,
    multiIf(tongue < 0.6, 'en', tongue < 0.75, 'de', tongue < 0.85, 'es', tongue < 0.92, 'fr', tongue < 0.97, 'pt', '')
        AS spoken,
    toUInt8(has_text AND NOT is_ours AND spoken != '') AS labelled,
    toFloat32(dice(number, 7)) AS good, toFloat32((1 - good) * dice(number, 8)) AS bad,
    toIntervalMillisecond(if(dice(number, 9) < 0.02, 7200000, 900)) AS late,
    xxh3(concat(place_of, ':', toString(number))) AS event
SELECT event, sipHash64(number, 10), bitShiftLeft(toUInt64(toUnixTimestamp64Milli(at)), 22), toString(number), place_of,
    kind_of, 'create', if(is_ours, 'outbound', 'inbound'), at, at, said, at, spoken,
    if(place_of = 'support', 'private', 'public'),
    author, concat('user', author), concat('Name ', author),
    multiIf(is_ours, 'staff', dice(account, 11) < 0.04, 'bot', 'person'), toInt64(40 / pow(1 - dice(account, 12), 1.1)), at,
    if(dice(number, 13) < 0.2, [concat('@user', toString(intDiv(number, 7)))], []),
    if(has_text AND dice(number, 14) < 0.2, [concat('tag', toString(toUInt32(500 * pow(dice(number, 15), 2))))], []),
    if(has_text AND dice(number, 16) < 0.1,
        [concat('https://news.example/', toString(toUInt32(9000 * pow(dice(number, 17), 3))))], []),
    if(talks AND position > 0 OR kind_of = 'repost' AND number >= 2000, toString(number - 2000), ''),
    if(talks, concat('c', toString(place)), ''),
    multiIf(place_of != 'support' OR NOT talks, '', position > 5, 'solved', 'open'),
    if(place_of = 'support', concat('team-', toString(place % 3)), ''),
    if(place_of = 'support', NULL, toInt64(8 / pow(1 - dice(number, 18), 0.8)) - 8),
    if(place_of = 'support', NULL, toInt64(2 / pow(1 - dice(number, 19), 0.7)) - 2),
    if(place_of = 'support', NULL, toInt64(3 * dice(number, 20))), at,
    if(kind_of = 'review' AND NOT is_ours, 1 + floor(5 * dice(number, 21)), NULL),
    if(dice(number, 22) < 0.05, arrayDistinct([about, concat('brand-', toString(rank(number, 23)))]), [about]),
    multiIf(NOT labelled, '', good > 0.45, 'positive', bad > 0.4, 'negative', 'neutral'),
    if(labelled, bad, NULL), if(labelled, 1 - good - bad, NULL), if(labelled, good, NULL),
    if(labelled, 'bench@1', ''), if(labelled, spoken, ''), if(labelled, 'labelled', ''),
    place_of, '1', 'bench', -1, at + late
FROM numbers({first}, {count})"""  # fmt: skip
_KEY = "xxh3(concat({platforms}[{account} % 20 + 1], ':', toString({account})))"
_LINKS = """
INSERT INTO assignments (profile, customer, sequence, is_deleted)
WITH number - number % 2 AS first SELECT {own}, least({one}, {other}), 1, 0 FROM numbers({count})"""
_COMMANDS = """
INSERT INTO identity_commands (sequence, action, a, b, at, by, why, done_at)
WITH fromUnixTimestamp64Milli({start} + toInt64(number) * {span} DIV {count}, 'UTC') AS at
SELECT number, 'link', sipHash64(number), sipHash64(number, 1), at, 'ann', 'the same phone', at FROM numbers({count})"""
_REJECTS = """
INSERT INTO dead_letters (topic, partition, offset, content, step, reason, raw, rejected_at)
SELECT 'bench', 0, number, sipHash64(number), 'decode', 'no JSON', '{{"source": {{"name": "twitter"}}}}',
    fromUnixTimestamp64Milli({start} + toInt64(number) * {span} DIV {count}, 'UTC') FROM numbers({count})"""
_ALERTS = """
INSERT INTO alerts (alert_key, version, rule, brand, state, severity, since, changed_at, summary)
WITH fromUnixTimestamp64Milli({start} + toInt64(number) * {span} DIV {count}, 'UTC') AS at
SELECT sipHash64(number), 1, 'volume', concat('brand-', toString(1 + number % {brands})), 'resolved', 3, at, at, 'much said'
FROM numbers({count})"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is in the tables."""

    rows: int
    span: timedelta = YEARS
    """They end now."""

    @property
    def accounts(self) -> int:
        return max(20, self.rows // 20)

    @property
    def links(self) -> int:
        """Each of two accounts."""
        return self.rows // 100


def brand(rank: int) -> str:
    """1: the one of largest volume."""
    return f"brand-{rank}"


def fill(client: Client, size: Size) -> None:
    """Interactions, links and what else named queries read; the rollups are empty."""
    span_ms = int(size.span.total_seconds() * 1000)
    start = int(datetime.now(UTC).timestamp() * 1000) - span_ms
    values: dict[str, object] = {
        "start": start,
        "span": span_ms,
        "rows": size.rows,
        "accounts": size.accounts,
        "brands": BRANDS,
    }
    values |= {"platforms": _PLATFORMS, "kinds": _KINDS, "words": _WORDS, "many": len(WORDS)}
    for first in bar.track(range(0, size.rows, INSERT), -(-size.rows // INSERT), "interactions: inserts"):
        client.command(_ROWS.format(**values, first=first, count=min(INSERT, size.rows - first)), settings=BLOCK)
    keys = {"own": "number", "one": "first", "other": "first + 1"}
    keys = {name: _KEY.format(account=account, platforms=_PLATFORMS) for name, account in keys.items()}
    client.command(_LINKS.format(**keys, count=2 * size.links))
    client.command(reload_sql("customer_of"))
    for statement, count in ((_COMMANDS, size.links // 100), (_REJECTS, size.rows // 1_000), (_ALERTS, size.rows // 50_000)):
        client.command(statement.format(**values, count=max(1, count)))


def roll_up(client: Client, size: Size) -> None:
    """Makes the rollups as `earshot rollups rebuild` does, the newest first, but without a rest. Raises EarshotError if a
    statement for a single quarter-hour fails."""

    def write(statement: str) -> None:
        with one_line(client):
            client.command(statement, settings=SETTINGS)

    ask, versions, now = asker(client), Versions(0), datetime.now(UTC)
    first, last = quarter_of(now - size.span - timedelta(days=1)), quarter_of(now + timedelta(days=1))
    for rollup in load_rollups(None, None):
        table = Table(rollup, write, lambda sql, more: ask(sql, {**SETTINGS, **more}), versions)
        table.asked = sweep = Sweep(first, last)
        with bar.task(f"table {rollup.name}: quarter-hours", last - first + 1) as tell:
            while table.asked:
                table.asked_for()
                tell(last - sweep.last)
        if table.failure:
            raise EarshotError(f"table {rollup.name}: {table.failure}")
        write_mark(client.command, rollup, 0, versions.next())
