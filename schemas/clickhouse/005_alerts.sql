-- Every change of every alert (pipeline/processors/alerts/alert.py says what the columns are); the newest version is how it is.
CREATE TABLE alerts
(
    alert_key UInt64,
    version UInt32,
    rule LowCardinality(String),
    type LowCardinality(String),
    brand LowCardinality(String),
    platform LowCardinality(String),
    language LowCardinality(String),
    source LowCardinality(String),
    state LowCardinality(String) COMMENT 'pending, firing, acknowledged or resolved',
    severity UInt8,
    since DateTime64(3, 'UTC') COMMENT 'event time',
    last_at DateTime64(3, 'UTC') COMMENT 'event time',
    changed_at DateTime64(3, 'UTC'),
    raised_at Nullable(DateTime64(3, 'UTC')),
    ended_at Nullable(DateTime64(3, 'UTC')),
    historical Bool COMMENT 'found an hour or more after the fact: nobody is told',
    test Bool,
    measure LowCardinality(String),
    observed Float64,
    expected Nullable(Float64),
    lower Nullable(Float64),
    upper Nullable(Float64),
    summary String,
    terms Array(String),
    samples Array(UInt64) COMMENT 'event keys',
    negative UInt64,
    neutral UInt64,
    positive UInt64,
    query String,
    actor String,
    comment String,
    muted String
)
ENGINE = ReplacingMergeTree
ORDER BY (alert_key, version)
SETTINGS non_replicated_deduplication_window = 10000;

-- Which events a single-event rule has seen, so that a replay raises nothing twice.
CREATE TABLE alert_events
(
    rule LowCardinality(String),
    brand LowCardinality(String),
    event_key UInt64,
    alert_key UInt64,
    created_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (rule, brand, event_key)
TTL toDateTime(created_at) + INTERVAL 400 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- Who is told nothing, until when; the newest version counts. A silence that was lifted ends when it was lifted.
CREATE TABLE alert_silences
(
    silence_id UInt64,
    version UInt32,
    rule LowCardinality(String) COMMENT 'blank: every rule',
    brand LowCardinality(String),
    platform LowCardinality(String),
    starts_at DateTime64(3, 'UTC'),
    ends_at DateTime64(3, 'UTC'),
    actor String,
    comment String,
    changed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY silence_id
SETTINGS non_replicated_deduplication_window = 10000;

-- Each try to tell a receiver; what is not `sent` is tried again, also after a restart.
CREATE TABLE alert_deliveries
(
    alert_key UInt64,
    version UInt32,
    receiver LowCardinality(String),
    attempt UInt32,
    sent Bool,
    reason String COMMENT 'the status, or why it failed; never the URL',
    took_ms UInt32,
    tried_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (alert_key, version, receiver, attempt)
TTL toDateTime(tried_at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- How far the windows were looked at, by the events' time.
CREATE TABLE alert_watermarks
(
    name LowCardinality(String),
    at DateTime64(3, 'UTC'),
    changed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY name;
