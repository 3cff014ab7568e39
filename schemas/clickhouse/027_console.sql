-- Repeatable.
-- What people do: who has which conversation, every act on record, and the sessions of the console (pipeline/console/).
CREATE TABLE IF NOT EXISTS cases
(
    brand LowCardinality(String) COMMENT 'Brand that the conversation is about, as in threads.',
    platform LowCardinality(String) COMMENT 'Channel, as in threads.',
    conversation_id String COMMENT 'The conversation as the platform names it, as in threads.',
    state Enum8('taken' = 1, 'done' = 2, 'free' = 3) COMMENT 'taken: somebody looks after it. done: they have. free: nobody has it any more.',
    owner String COMMENT 'Who has it: a name; of one that is done, who had it; blank: nobody.',
    actor String COMMENT 'Who made this change: the owner of a token, or who acted in the console.',
    comment String COMMENT 'What they said.',
    since DateTime64(3, 'UTC') COMMENT 'When its owner got it.',
    changed_at DateTime64(3, 'UTC') COMMENT 'When this change was made.',
    version UInt64 COMMENT 'The highest counts: the term of the leader * 2^32, then a counter.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (brand, platform, conversation_id)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Who has which conversation, as people took it: earshot query unanswered says it of those that wait.';

CREATE TABLE IF NOT EXISTS acts
(
    at DateTime64(3, 'UTC') COMMENT 'When it was done, or failed.',
    id UInt64 COMMENT 'The act.',
    actor String COMMENT 'Who: the person of the console, the owner of a token, or the user who ran the command.',
    way Enum8('console' = 1, 'api' = 2, 'command line' = 3) COMMENT 'How they did it.',
    act LowCardinality(String) COMMENT 'What: acknowledge, silence, lift, test, take, hand over, done, replay dead letters ...',
    subject String COMMENT 'Of what: the key of an alert, a conversation, a source ...',
    before String COMMENT 'How it was, as JSON; blank: nothing was, or nothing is kept of it.',
    after String COMMENT 'How it is since, or what was asked, as JSON; blank: nothing is kept of it.',
    comment String COMMENT 'What they said.',
    outcome String COMMENT 'done, or why it failed.'
)
ENGINE = ReplacingMergeTree
ORDER BY (at, id)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Every act of a person: in the console, by an API, by a command.';

CREATE TABLE IF NOT EXISTS console_sessions
(
    hash String COMMENT 'SHA-256 of what the cookie, or the link, holds; in hexadecimal.',
    kind Enum8('session' = 1, 'link' = 2) COMMENT 'session: somebody is logged in. link: it logs in once.',
    actor String COMMENT 'Who.',
    roles Array(LowCardinality(String)) COMMENT 'What they may do.',
    way LowCardinality(String) COMMENT 'How they logged in: link, password, oidc.',
    entry String COMMENT 'Fingerprint of what made them who they are: when it changes, the session ends.',
    created_at DateTime64(3, 'UTC') COMMENT 'When they logged in, or the link was made.',
    seen_at DateTime64(3, 'UTC') COMMENT 'When they were last there, to a few minutes.',
    ended UInt8 COMMENT '1: logged out, or the link was used.',
    version UInt64 COMMENT 'The highest counts.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY hash
TTL toDateTime(seen_at) + INTERVAL 30 DAY
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Who is logged in to the console.';
