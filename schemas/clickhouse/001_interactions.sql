-- One row an event; ORDER BY holds only what never changes for an event (brand, customer and label are never in the key).
CREATE TABLE interactions
(
    event_key UInt64,
    revision UInt64,
    version UInt64,
    is_deleted UInt8,
    id String,
    platform LowCardinality(String),
    kind LowCardinality(String),
    operation LowCardinality(String),
    direction LowCardinality(String),
    created_at DateTime64(3, 'UTC'),
    occurred_at DateTime64(3, 'UTC'),
    text_at DateTime64(3, 'UTC'),
    metrics_at DateTime64(3, 'UTC'),
    author_at DateTime64(3, 'UTC'),
    text String,
    language LowCardinality(String),
    visibility LowCardinality(String),
    author_id String,
    author_handle String,
    author_name String,
    author_kind LowCardinality(String),
    author_followers Nullable(Int64),
    author_following Nullable(Int64),
    author_verified Nullable(Bool),
    author_email String COMMENT 'HMAC-SHA256, hex',
    author_phone String COMMENT 'HMAC-SHA256, hex',
    author_url String,
    author_bio String,
    mentions Array(String),
    hashtags Array(String),
    urls Array(String),
    in_reply_to String,
    conversation_id String,
    thread_status LowCardinality(String),
    thread_team LowCardinality(String),
    thread_assignee String,
    target String,
    reaction LowCardinality(String),
    campaign String,
    metrics_likes Nullable(Int64),
    metrics_shares Nullable(Int64),
    metrics_replies Nullable(Int64),
    metrics_views Nullable(Int64),
    rating Nullable(Float64),
    brands Array(LowCardinality(String)) COMMENT 'as the source gave them, and as matched in the text',
    location String,
    order_id String,
    order_amount Nullable(Float64),
    order_currency LowCardinality(String),
    measure_name LowCardinality(String),
    measure_value Nullable(Float64),
    source_name LowCardinality(String),
    source_version LowCardinality(String),
    original String,
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    ingested_at DateTime64(3, 'UTC'),
    -- Changes that carry no created_at find their row by this.
    INDEX event_keys event_key TYPE bloom_filter(0.01) GRANULARITY 1,
    -- Seeding reads what lies past the committed offset.
    INDEX offsets offset TYPE minmax GRANULARITY 1,
    INDEX arrivals ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(created_at)
ORDER BY (toStartOfMinute(created_at), event_key)
SETTINGS non_replicated_deduplication_window = 10000,
    -- What an insert writes is one file instead of a hundred: a third of the CPU time of an insert and its merges.
    min_bytes_for_wide_part = 134217728,
    min_age_to_force_merge_seconds = 86400,
    min_age_to_force_merge_on_partition_only = 1;

-- Updates and deletes whose event has not been seen yet. `done` = 1: it found its event, or was given up.
CREATE TABLE pending_changes
(
    event_key UInt64,
    revision UInt64,
    platform LowCardinality(String),
    id String,
    operation LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    arrived_at DateTime64(3, 'UTC'),
    done UInt8,
    change String COMMENT 'the columns that the record carried, as JSON; blank when done'
)
ENGINE = ReplacingMergeTree(done)
ORDER BY (event_key, revision)
TTL toDateTime(arrived_at) + INTERVAL 90 DAY DELETE WHERE done = 1
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE dead_letters
(
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    content UInt64 COMMENT 'XXH3-64 of raw: positions repeat when a topic is re-created',
    step LowCardinality(String),
    reason String,
    key Nullable(String),
    raw String,
    rejected_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(rejected_at)
ORDER BY (topic, partition, offset, content)
SETTINGS non_replicated_deduplication_window = 10000;
