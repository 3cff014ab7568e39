-- Candidates of rules that control does not know yet, because a worker has read a newer alerts.yaml: control looks at them again
-- when its rules change. They hold no text, name or handle of a person.
CREATE TABLE alert_candidates
(
    rule LowCardinality(String),
    brand LowCardinality(String),
    event_key UInt64,
    signal String COMMENT 'as a record of topic signals; blank when done',
    heard_at DateTime64(3, 'UTC'),
    done UInt8 COMMENT '1: its rule became known'
)
ENGINE = ReplacingMergeTree(done)
ORDER BY (rule, brand, event_key)
TTL toDateTime(heard_at) + INTERVAL 7 DAY
SETTINGS non_replicated_deduplication_window = 10000, async_insert = 0;

-- Days with minutes that events changed an hour late or more, until a backtest has judged their windows again.
CREATE TABLE alert_late_days
(
    day Date,
    first DateTime('UTC') COMMENT 'the first of these minutes',
    last DateTime('UTC'),
    done UInt8 COMMENT '1: judged again',
    changed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(changed_at)
ORDER BY day
TTL toDateTime(changed_at) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000, async_insert = 0;
