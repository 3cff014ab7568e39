-- Repeatable.
-- Who was erased, by keys alone, so that nothing of them lands again; and what was done (pipeline/privacy/). No name, id, handle,
-- address or number of a person is in either table.
CREATE TABLE IF NOT EXISTS suppressions
(
    kind Enum8('account' = 1, 'value' = 2, 'event' = 3) COMMENT 'account: of an author, by id or by handle. value: an e-mail address or phone number. event: what was erased.',
    key UInt64 COMMENT 'account_key, or event_key; of a value 0.',
    value String COMMENT 'Of a value: HMAC-SHA256, hex, as author_email and author_phone; else blank.',
    erasure UInt64 COMMENT 'Which erasure suppresses it: id in erasures. A key of two erasures has two rows.',
    at DateTime64(3, 'UTC') COMMENT 'Since when; of one that was lifted: when that was.',
    sequence UInt64 DEFAULT toUnixTimestamp64Milli(now64(3)) COMMENT 'When it was written, by the server: ms since 1970. Workers read on from the last one, and somewhat before it.',
    is_deleted UInt8 COMMENT '1: lifted, as the person was readmitted.',
    INDEX sequences sequence TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(sequence, is_deleted)
ORDER BY (kind, key, value, erasure)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Keys of persons who were erased: what has one is dropped before it lands.';

CREATE TABLE IF NOT EXISTS erasures
(
    id UInt64 COMMENT 'The erasure.',
    by String COMMENT 'Who asked for it.',
    why String COMMENT 'Why, as they said.',
    asked_at DateTime64(3, 'UTC') COMMENT 'When.',
    accounts UInt32 COMMENT 'How many keys of accounts were suppressed, by id and by handle.',
    addresses UInt32 COMMENT 'How many e-mail addresses and phone numbers.',
    events UInt32 COMMENT 'How many events were there.',
    rows Map(LowCardinality(String), UInt64) COMMENT 'How many rows of each table were hidden, old versions among them.',
    months Array(UInt32) COMMENT 'Months of the hidden events (202611): there old versions of quarters still count them, until a merge.',
    topics Map(LowCardinality(String), String) COMMENT 'Until when each topic may hold records: a time, or no date.',
    hidden_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Since when no query finds anything; null: not yet.',
    waits Array(LowCardinality(String)) COMMENT 'What is still to be done before that.',
    purged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Since when the hidden rows are out of the tables'' files; null: not yet.',
    version UInt64 COMMENT 'The highest counts.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Receipts: what was erased, and when.';
