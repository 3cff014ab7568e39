-- Repeatable.
-- Whose a name is that the login provider gave: of the account that came with it first (pipeline/console/oidc/names.py).
CREATE TABLE IF NOT EXISTS console_names
(
    name String COMMENT 'The name as it is compared: without upper case, and without forms of one letter.',
    account String COMMENT 'Fingerprint of issuer and subject; blank: the name is free again.',
    since DateTime64(3, 'UTC') COMMENT 'Since when.',
    version UInt64 COMMENT 'The highest counts.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY name
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Whose a name is at the login provider of the console.';
