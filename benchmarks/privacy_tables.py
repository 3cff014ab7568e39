"""Persons in all tables where the register finds one, among the interactions of benchmarks/query_tables.py; made inside
ClickHouse.

Person n has an account of a forum and one of Twitter, an address, and a record of a CRM: the address links all three. Of
their EACH events, spread evenly over two years, the last two have the address and no author. One more, `busy`, wrote a
hundredth of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from benchmarks import query_tables
from benchmarks.progress import bar
from benchmarks.query_tables import BLOCK, BRANDS, INSERT, YEARS
from benchmarks.query_tables import Size as Others
from pipeline.rollups.marks import write_mark
from pipeline.rollups.tables import load_rollups

EACH = 30
BUSY = "forum:busy"
_KINDS = ["post", "order", "like", "follow", "measure", *["post", "comment"] * 11, "post", "email", "email"]
_EVENTS = """
INSERT INTO interactions (event_key, revision, version, id, platform, kind, operation, direction, created_at, occurred_at,
    text, text_at, language, visibility, author_id, author_handle, author_name, author_email, author_at, target, order_id,
    order_amount, order_currency, measure_name, measure_value, conversation_id, brands, source_name, topic, offset, ingested_at)
WITH {first} + number AS row, row % {persons} AS person, toUInt8(intDiv(row, {persons})) AS nth,
    concat('{name}', if({persons} = 1, '', toString(person))) AS account, {kinds}[1 + nth % {each}] AS kind_of,
    kind_of = 'email' AS unnamed, concat(account, '-', toString(intDiv(row, {persons}))) AS event,
    if(nth % 2 = 0 OR {persons} = 1, 'forum', 'twitter') AS place,
    fromUnixTimestamp64Milli({start} + toInt64(intDiv(toInt128(row) * {span}, {rows})), 'UTC') AS at,
    concat(account, ' says ', hex(sipHash128(row)), ' of ', hex(sipHash128(row, 1))) AS said,
    lower(hex(SHA256(concat(account, '@example.org')))) AS address
SELECT xxh3(concat(place, ':', event)), sipHash64(row, 20), bitShiftLeft(toUInt64(toUnixTimestamp64Milli(at)), 22), event,
    place, kind_of, 'create', 'inbound', at, at, said, at, 'en', if(unnamed, 'private', 'public'), if(unnamed, '', account),
    if(unnamed, '', account), if(unnamed, '', account), if({persons} = 1, '', address), at,
    if(kind_of IN ('like', 'follow'), 'somebody', ''), if(kind_of = 'order', event, ''), if(kind_of = 'order', 20, NULL),
    if(kind_of = 'order', 'EUR', ''), if(kind_of = 'measure', 'steps', ''), if(kind_of = 'measure', 7, NULL),
    if(nth = 0, concat('talk-', account), ''), [concat('brand-', toString(1 + person % {brands}))], place, 'bench', -1, at
FROM numbers({count})"""
_NAMED = "concat('p', toString(number)) AS account, lower(hex(SHA256(concat(account, '@example.org')))) AS address, " \
    "now64(3, 'UTC') - INTERVAL 1 DAY AS at"  # fmt: skip
_KEYS = (
    "xxh3(concat('forum:', account)) AS forum, xxh3(concat('twitter:', account)) AS bird, xxh3(concat('crm:', account)) AS crm"
)
_BESIDE = (
    """
INSERT INTO pending_changes (event_key, revision, platform, id, operation, occurred_at, arrived_at, change)
WITH {named} SELECT xxh3(concat('forum:', account, '-waits')), 1, 'forum', concat(account, '-waits'), 'update', at, at,
    concat('{{"author_id": "', account, '", "text": "they say it anew"}}') FROM numbers({persons})""",
    """
INSERT INTO dead_letters (topic, partition, offset, content, step, reason, raw, rejected_at, form, event_key, accounts,
    contacts)
WITH {named}, {keys} SELECT 'social.events', 0, 1000000000 + number, sipHash64(number), 'decode', 'no time',
    randomString(600), at, 1, xxh3(concat('forum:', account, '-refused')), [forum], [address] FROM numbers({persons})""",
    """
INSERT INTO alert_events (rule, brand, event_key, alert_key, created_at)
WITH {named} SELECT 'word', concat('brand-', toString(1 + number % {brands})), xxh3(concat('twitter:', account, '-5')),
    sipHash64(number), at FROM numbers({persons})""",
    """
INSERT INTO alert_candidates (rule, brand, event_key, signal, heard_at, done)
WITH {named} SELECT 'word', concat('brand-', toString(1 + number % {brands})), xxh3(concat('twitter:', account, '-7')), '',
    at, 1 FROM numbers({persons})""",
    """
INSERT INTO cases (brand, platform, conversation_id, state, owner, actor, since, changed_at, version)
WITH {named} SELECT concat('brand-', toString(1 + number % {brands})), 'forum', concat('talk-', account), 'taken', 'ann',
    'ann', at, at, 1 FROM numbers({persons})""",
    """
INSERT INTO identity_edges
    (edge, kind, a, b, type, a_platform, b_platform, rule, rule_version, basis, at, event, held, claimed, written_at)
WITH {named}, {keys}, xxh3(concat('email:', address)) AS value
SELECT xxh3(concat('value:email:', toString(each.2), ':', toString(value))), 'value', each.2, value, 'email', each.1, '',
    'email', 1, 'given', at, sipHash64(number), 0, '', at
FROM numbers({persons}) ARRAY JOIN [('forum', forum), ('twitter', bird), ('crm', crm)] AS each""",
    """
INSERT INTO customers (profile, id, name, email, phone, email_hash, phone_hash, basis, imported_at)
WITH {named}, {keys} SELECT crm, account, randomString(40), randomString(50), '', address, '', 'given', at
FROM numbers({persons})""",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is in the tables: so many interactions, and those of `busy`."""

    rows: int

    @property
    def persons(self) -> int:
        return self.rows // 20 // EACH

    @property
    def others(self) -> Others:
        return Others(self.rows - self.persons * EACH)

    @property
    def busy(self) -> int:
        return self.rows // 100


def fill(client: Client, size: Size) -> None:
    """All of it; nobody has computed the customers yet, and the rollups are empty."""
    query_tables.fill(client, size.others)
    plant(client, size)


def plant(client: Client, size: Size) -> None:
    """The persons, in tables that are no rollups."""
    span_ms = int(YEARS.total_seconds() * 1000)
    values = {"start": int(datetime.now(UTC).timestamp() * 1000) - span_ms, "span": span_ms, "kinds": _KINDS, "each": EACH}
    for persons, rows, name in ((size.persons, size.persons * EACH, "p"), (1, size.busy, "busy")):
        for first in bar.track(range(0, rows, INSERT), -(-rows // INSERT), "persons: inserts"):
            count = min(INSERT, rows - first)
            more = {"persons": persons, "rows": rows, "name": name, "brands": BRANDS, "first": first, "count": count}
            client.command(_EVENTS.format(**values, **more), settings=BLOCK)
    for statement in _BESIDE:
        client.command(statement.format(named=_NAMED, keys=_KEYS, persons=size.persons, brands=BRANDS), settings=BLOCK)


# --- tables that control computes -------------------------------------------------------------------------------------
_SAID = "kind IN ('post', 'comment', 'reply', 'review', 'message', 'email', 'question', 'idea') AND direction != 'outbound'"
_TALK = "multiIf(conversation_id != '', conversation_id, in_reply_to != '', in_reply_to, id)"
_QUARTER = "toUInt32(intDiv(toUnixTimestamp(created_at), 900))"
_COLUMNS_FIRST = {"prefer_column_name_to_alias": 1, "max_threads": 2}
_COMPUTED = {
    "quarters": """
SELECT arrayJoin(brands) AS brand, toDateTime({quarter} * 900, 'UTC') AS quarter, platform, language,
    toUInt32(count()) AS mentions, uniqExactStateIf(account_key, account_key != 0) AS authors, 1 AS version
FROM {rows} GROUP BY ALL""",
    "account_quarters": """
SELECT arrayJoin(brands) AS brand, toDateTime({quarter} * 900, 'UTC') AS quarter, account_key, any(platform) AS platform,
    any(author_handle) AS handle, any(author_name) AS name, max(author_at) AS shown_at, min(created_at) AS first_seen,
    max(created_at) AS last_seen, toUInt32(count()) AS mentions, 1 AS version
FROM {rows} AND account_key != 0 GROUP BY brand, quarter, account_key""",
    "threads": """
SELECT brands[1] AS brand, min(created_at) AS opened, xxh3(concat(platform, ':', {talk})) AS conversation,
    any({talk}) AS conversation_id, platform, argMin(account_key, created_at) AS customer,
    toUInt32(uniq(account_key)) AS customers,
    toUInt32(count()) AS words, max(created_at) AS last_customer, groupUniqArray({quarter}) AS quarters, 1 AS version
FROM {rows} AND {said} GROUP BY brand, platform, conversation""",
    "conversation_quarters": """
SELECT DISTINCT xxh3(concat(platform, ':', {talk})) AS conversation, {quarter} AS quarter FROM {rows} AND {said}""",
    "relations": """
SELECT created_at, event_key AS event, kind, platform, brands, account_key AS account, target,
    xxh3(concat(platform, ':', target)) AS target_key, 1 AS version FROM {rows} AND kind IN ('like', 'follow')""",
    "measures": """
SELECT measure_name AS name, brands[1] AS brand, platform, target, created_at, event_key AS event,
    assumeNotNull(measure_value) AS value, 1 AS version FROM {rows} AND kind = 'measure'""",
    "orders": """
SELECT created_at, event_key AS event, platform, order_id, brands, account_key AS account, order_amount AS amount,
    order_currency AS currency, 1 AS version FROM {rows} AND kind = 'order'""",
}


def compute(client: Client) -> None:
    """The tables that control computes, a month after the other: as many rows and keys as its own statements make, and the
    simplest of their numbers. Those take an hour for ten million rows. The job takes them for its own."""
    found = client.query("SELECT DISTINCT toYYYYMM(created_at) AS month FROM interactions ORDER BY month")
    months = [month for (month,) in found.result_rows]
    for month in bar.track(months, len(months), "computed tables: months"):
        rows = f"interactions WHERE toYYYYMM(created_at) = {month}"
        for table, sql in _COMPUTED.items():
            select = sql.format(quarter=_QUARTER, talk=_TALK, said=_SAID, rows=rows)
            names = [name for name, *_ in client.query(f"DESCRIBE ({select})", settings=_COLUMNS_FIRST).result_rows]
            client.command(f"INSERT INTO {table} ({', '.join(names)}) {select}", settings=_COLUMNS_FIRST)
    for rollup in load_rollups(None, None):
        write_mark(client.command, rollup, 0, 1)


def merge_months(client: Client) -> None:
    """Months of interactions that are over become a part each, as ClickHouse makes them a day after
    (min_age_to_force_merge_seconds)."""
    sql = "SELECT DISTINCT _partition_id AS month FROM interactions WHERE created_at < toStartOfMonth(now()) ORDER BY month"
    months = [month for (month,) in client.query(sql).result_rows]
    for month in bar.track(months, len(months), "interactions: months merged"):
        client.command(f"OPTIMIZE TABLE interactions PARTITION ID '{month}' FINAL")
