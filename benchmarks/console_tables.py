"""What the pages of the console show besides interactions: thousands of alerts with their changes and deliveries, cases, acts,
silences, dead letters and sources; and brands.yaml with competitors. Made inside ClickHouse, beside `query_tables.fill`.

Alert n is the n-th newest of ALERTS: FIRING fire, ACKNOWLEDGED more are looked after, both begun within two hours; ENDED more
are over since yesterday, the others are spread over the time of the interactions. Each change is a row, as control writes it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import yaml
from clickhouse_connect.driver.client import Client

from benchmarks.alerts import LADDER
from benchmarks.query_tables import BRANDS, YEARS, brand
from pipeline.config.settings import Settings

ALERTS, FIRING, ACKNOWLEDGED, ENDED = 5_000, 100, 50, 400
CASES, ACTS, LETTERS, SILENCES, SOURCES, GAPS = 5_000, 20_000, 10_000, 200, 30, 10
COMPETITORS = 4
COUNTS = (
    f"{ALERTS:,} alerts ({FIRING + ACKNOWLEDGED} open), {CASES:,} cases, {ACTS:,} acts, {LETTERS:,} dead letters, "
    f"{SOURCES} sources"
)
_OPEN = FIRING + ACKNOWLEDGED
_ALERTS = """
INSERT INTO alerts (alert_key, version, rule, type, brand, state, severity, since, last_at, changed_at, raised_at, ended_at,
    measure, observed, expected, summary, terms, samples, negative, neutral, positive, query, actor, comment, term)
WITH
    intDiv(number, 4) AS nth, number % 4 AS step,
    multiIf(nth < {open}, 120 + nth * 45, nth < {open} + {ended}, 7200 + (nth - {open}) * intDiv(79000, {ended}),
        86400 + (nth - {open} - {ended}) * intDiv({span} - 86400, {alerts})) AS age,
    now64(3, 'UTC') - toIntervalSecond(age) AS began, least(began + INTERVAL 30 MINUTE, now64(3, 'UTC')) AS last,
    sipHash64(nth, 1) / 18446744073709551616. AS dice,
    concat('brand-', toString(least({brands}, toUInt32(floor(exp(dice * log({brands} + 1))))))) AS about,
    concat('likes-', toString(nth % {ladder})) AS named,
    began + toIntervalSecond([0, 10, 40, 1800][step + 1]) AS at
SELECT sipHash64(nth, 2), step + 1, named, 'threshold', about, ['pending', 'firing', 'acknowledged', 'resolved'][step + 1],
    3 + nth % 7, began, last, at, if(step > 0, began + INTERVAL 10 SECOND, NULL), if(step = 3, at, NULL), 'likes',
    1000000. * (nth % 25 + 1), 1000000. * (nth % 25) + 500000,
    concat(about, ': posts of the last hour have ', toString(nth % 25 + 1), ',000,000 likes, more than ', toString(nth % 25),
        ',500,000'),
    ['storm', 'water', 'paper', 'station', 'summer'], s.keys, nth % 90, nth % 70, nth % 40,
    concat('SELECT created_at, platform, author_handle, text FROM interactions FINAL WHERE has(brands, \\'', about, '\\')',
        ' AND toStartOfMinute(created_at) >= \\'', toString(toDateTime(began - INTERVAL 1 HOUR)), '\\' ORDER BY created_at'),
    if(step = 2, 'ann', ''), if(step = 2, 'looking into it', ''), 0
FROM numbers({alerts} * 4) AS n
LEFT JOIN
(
    SELECT brand, groupArray(3)(event_key) AS keys
    FROM
    (
        SELECT event_key, arrayJoin(brands) AS brand FROM interactions
        WHERE toStartOfMinute(created_at) >= now() - INTERVAL 1 DAY AND visibility = 'public'
    )
    GROUP BY brand
) AS s ON s.brand = about
WHERE NOT (nth < {firing} AND step > 1) AND NOT (nth < {open} AND step > 2)"""
_DELIVERIES = """
INSERT INTO alert_deliveries (alert_key, version, receiver, attempt, sent, reason, took_ms, tried_at, term)
SELECT alert_key, version, receiver, 1, true, '200', 30, changed_at + INTERVAL 1 SECOND, 0
FROM alerts ARRAY JOIN ['hook', 'mail', 'chat'] AS receiver WHERE rule LIKE 'likes-%' AND state IN ('firing', 'resolved')"""
_SILENCES = """
INSERT INTO alert_silences (silence_id, version, rule, brand, platform, starts_at, ends_at, actor, comment, changed_at)
WITH now64(3, 'UTC') - toIntervalHour(number * 7) AS at
SELECT sipHash64(number, 3), 1, '', concat('brand-', toString(20 + number % 100)), '', at, at + INTERVAL 2 HOUR, 'ann',
    'known: their shop moves', at
FROM numbers({silences})"""
_CASES = """
INSERT INTO cases (brand, platform, conversation_id, state, owner, actor, comment, since, changed_at, version)
SELECT brand, platform, conversation_id, if(conversation % 3 = 0, 'done', 'taken'),
    concat('person ', toString(conversation % 20)), 'ann', '', now64(3), now64(3), 1
FROM threads FINAL WHERE waiting > 0 AND waiting_since >= now() - INTERVAL 30 DAY AND conversation % 5 < 3
ORDER BY waiting_since LIMIT {cases}"""
_ACTS = """
INSERT INTO acts (at, id, actor, way, act, subject, before, after, comment, outcome)
SELECT now64(3, 'UTC') - toIntervalSecond(intDiv(number * {span}, {acts})), sipHash64(number, 4),
    concat('person ', toString(number % 30)), ['console', 'api', 'command line'][number % 3 + 1],
    ['acknowledge', 'silence', 'take', 'done', 'hand over', 'look at dead letters'][number % 6 + 1],
    lower(hex(sipHash64(number % {alerts}, 2))), '{{"state": "firing", "actor": ""}}',
    '{{"state": "acknowledged", "actor": "ann"}}', 'looking into it', if(number % 50 = 0, 'somebody was faster', 'done')
FROM numbers({acts})"""
_LETTERS = """
INSERT INTO dead_letters (topic, partition, offset, content, step, reason, key, raw, rejected_at)
SELECT '{topic}', 0, number, sipHash64(number, 5), 'decode', concat('kind ', toString(number % 20), ' is not one of the kinds'),
    concat('twitter:', toString(number)), concat('{{"id": "', toString(number), '", "platform": "twitter", "text": "',
        repeat('what somebody wrote, ', 15), '", "source": {{"name": "twitter"}}}}'),
    now64(3, 'UTC') - toIntervalSecond(number * 60)
FROM numbers({letters})"""
_HEALTH = """
INSERT INTO source_health (source, platform, state, reason, since, last_contact, last_event, events, errors, left_out, listener,
    written_at)
SELECT concat('feed-', toString(number)), 'rss', 'running', '', now64(3), now64(3), now64(3), number * 1000, number,
    map('enclosure', number), 'bench', now64(3) FROM numbers({sources})"""
_GAPS = """
INSERT INTO source_gaps (source, platform, since, until, reason, found_at)
SELECT concat('feed-', toString(number % {sources})), 'rss', now64(3) - INTERVAL 2 DAY, now64(3) - INTERVAL 1 DAY,
    'the feed has 20 entries, and all are new', now64(3) - toIntervalMinute(number)
FROM numbers({sources} * {gaps})"""


def fill_console(client: Client, settings: Settings, span: timedelta = YEARS) -> None:
    """All tables; threads and interactions are there."""
    values = {
        "span": int(span.total_seconds()), "alerts": ALERTS, "firing": FIRING, "open": _OPEN, "ended": ENDED, "brands": BRANDS,
        "ladder": LADDER, "cases": CASES, "acts": ACTS, "letters": LETTERS, "silences": SILENCES, "sources": SOURCES,
        "gaps": GAPS, "topic": settings.kafka.topic("events"),
    }  # fmt: skip
    for statement in (_ALERTS, _DELIVERIES, _SILENCES, _CASES, _ACTS, _LETTERS, _HEALTH, _GAPS):
        client.command(statement.format(**values))


def sources_file(folder: Path) -> Path:
    """SOURCES feeds, to which nobody listens."""
    path = folder / "console-sources.yaml"
    feeds = [{"name": f"feed-{n}", "platform": "rss", "url": f"https://feed-{n}.example.org/all"} for n in range(SOURCES)]
    path.write_text(yaml.safe_dump({"sources": feeds}))
    return path


def brands_file(folder: Path) -> Path:
    """BRANDS brands, each with the next ones in volume as its competitors."""
    path = folder / "console-brands.yaml"
    brands = [
        {
            "name": brand(rank),
            "keywords": [f"keyword {rank}"],
            "competitors": [brand((rank + n) % BRANDS + 1) for n in range(COMPETITORS)],
        }
        for rank in range(1, BRANDS + 1)
    ]
    path.write_text(yaml.safe_dump({"brands": brands}))
    return path
