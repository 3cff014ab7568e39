-- Repeatable.
CREATE TABLE IF NOT EXISTS retention
(
    name LowCardinality(String) COMMENT 'Table.',
    ttl String COMMENT 'The TTL that earshot migrate gave it by setting retention; blank: the setting went, and it has the one of before.',
    applied_at DateTime64(3, 'UTC') COMMENT 'When; the newest row of a table counts.'
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
SETTINGS async_insert = 0
COMMENT 'Which times to live come from the settings. Others were set by somebody, and stay.';
