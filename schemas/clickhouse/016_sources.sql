-- How far each source of a listener is: a copy of topic cursors, which counts where the topic has no record.
CREATE TABLE source_cursors
(
    source String,
    version UInt64 COMMENT 'epoch * 2^32 + number, of the record',
    record String COMMENT 'its value, as in topic cursors',
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY source
SETTINGS async_insert = 0;

-- What a platform could not give any more.
CREATE TABLE source_gaps
(
    source String,
    platform LowCardinality(String),
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'null: not known',
    until Nullable(DateTime64(3, 'UTC')),
    reason String,
    found_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (source, found_at, reason)
SETTINGS async_insert = 0;

-- How each source is, as its listener last said.
CREATE TABLE source_health
(
    source String,
    platform LowCardinality(String),
    state LowCardinality(String) COMMENT 'running, waiting, failing, no credentials, paused',
    reason String,
    until Nullable(DateTime64(3, 'UTC')) COMMENT 'waiting: when it goes on',
    since DateTime64(3, 'UTC') COMMENT 'of the state',
    last_contact Nullable(DateTime64(3, 'UTC')) COMMENT 'when the platform last answered',
    last_event Nullable(DateTime64(3, 'UTC')) COMMENT 'when the newest event was created',
    events UInt64 COMMENT 'sent by this listener',
    errors UInt64,
    left_out Map(String, UInt64) COMMENT 'parts of payloads that are not mapped, by kind',
    budget_left Nullable(Float64) COMMENT 'requests left in the window of the platform',
    listener String COMMENT 'host and process',
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY source
SETTINGS async_insert = 0;
