-- Other accounts of the author that the source knows, as platform:id or platform:@handle; whose customer the author was when the
-- row landed.
ALTER TABLE interactions
    ADD COLUMN author_accounts Array(String) AFTER author_bio,
    ADD COLUMN customer_key UInt64 COMMENT 'as known when the row landed; now: view interactions_now',
    -- The same number as schemas/identity.py: account_key.
    ADD COLUMN account_key UInt64 MATERIALIZED multiIf(
        author_id != '', xxh3(concat(platform, ':', author_id)),
        author_handle NOT IN ('', '@'), xxh3(lower(concat(platform, ':@', if(startsWith(author_handle, '@'), substring(author_handle, 2), author_handle)))),
        0) COMMENT 'of the author''s profile; 0: no author',
    -- A claimed handle is looked up by it.
    ADD INDEX handles lower(if(startsWith(author_handle, '@'), substring(author_handle, 2), author_handle)) TYPE bloom_filter(0.01) GRANULARITY 1;

-- What an account did, by time: the way to its rows. An event that was deleted may still have a row here.
CREATE TABLE account_events
(
    account_key UInt64,
    created_at DateTime64(3, 'UTC'),
    event_key UInt64,
    version UInt64,
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (account_key, created_at, event_key)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- Evidence: what says that profiles belong together (schemas/identity.py). Rows are only added: of an edge and basis the oldest
-- counts.
CREATE TABLE identity_edges
(
    edge UInt64,
    kind LowCardinality(String),
    a UInt64,
    b UInt64,
    type LowCardinality(String),
    a_platform LowCardinality(String),
    b_platform LowCardinality(String),
    rule LowCardinality(String),
    rule_version UInt32,
    basis LowCardinality(String),
    at DateTime64(3, 'UTC'),
    event UInt64,
    held UInt64,
    claimed String COMMENT 'the handle that a claim names, without @, in small letters; else blank',
    written_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (edge, basis, at, held)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- What stewards did, and what was refused to them (schemas/identity.py: Command). Rows are only added.
CREATE TABLE identity_commands
(
    sequence UInt64,
    action LowCardinality(String),
    a UInt64,
    b UInt64,
    at DateTime64(3, 'UTC'),
    type LowCardinality(String),
    a_platform LowCardinality(String),
    b_platform LowCardinality(String),
    confirmed Bool,
    by String,
    why String,
    refused String COMMENT 'why it was refused: it changed nothing',
    done_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY sequence
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- identity.yaml as applied, with hashes in place of addresses and numbers: the highest version is in force.
CREATE TABLE identity_rules
(
    version UInt32,
    rules String COMMENT 'JSON',
    by String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY version
SETTINGS async_insert = 0;

-- The customer of each profile that shares its customer with another one.
CREATE TABLE assignments
(
    profile UInt64,
    customer UInt64,
    sequence UInt64 COMMENT 'of the change that made it',
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(sequence, is_deleted)
ORDER BY profile
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- Every move of a profile from one customer to another, in the order of `sequence`: the leader's term * 2^40, then a counter.
CREATE TABLE assignment_changes
(
    sequence UInt64,
    profile UInt64,
    before UInt64,
    after UInt64 COMMENT 'the profile itself: it has no other',
    command UInt64 COMMENT 'of a steward: its sequence; 0: evidence or rules',
    changed_at DateTime64(3, 'UTC'),
    INDEX profiles profile TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY sequence
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- The review queue: edges that link nobody, and why.
CREATE TABLE identity_queue
(
    edge UInt64,
    reason LowCardinality(String),
    sequence UInt64,
    is_deleted UInt8,
    changed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(sequence, is_deleted)
ORDER BY edge
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- How far the leader of the customers is with work that goes on by time, and whether it holds edges back.
CREATE TABLE identity_marks
(
    name LowCardinality(String),
    value UInt64,
    sequence UInt64
)
ENGINE = ReplacingMergeTree(sequence)
ORDER BY name
SETTINGS async_insert = 0;

-- Records of a CRM.
CREATE TABLE customers
(
    profile UInt64 COMMENT 'account_key of crm:ID',
    id String,
    name String COMMENT 'encrypted (AES-GCM), as email and phone',
    email String,
    phone String,
    email_hash String COMMENT 'HMAC-SHA256, hex, as author_email',
    phone_hash String COMMENT 'HMAC-SHA256, hex, as author_phone',
    basis LowCardinality(String),
    imported_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(imported_at)
ORDER BY profile
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- Which keys this database was written with: by their fingerprints.
CREATE TABLE key_fingerprints
(
    name LowCardinality(String) COMMENT 'hash_key, data_key',
    fingerprint String,
    made_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (name, made_at, fingerprint)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;
