-- Repeatable.
-- Keys have generations: `earshot keys rotate` puts the next in force.
ALTER TABLE key_fingerprints
    ADD COLUMN IF NOT EXISTS generation UInt16 DEFAULT 1 COMMENT '1: the first key of the name',
    ADD COLUMN IF NOT EXISTS unused UInt8 COMMENT '1: at made_at nothing was of this key any more, so it may be missing';

-- Which key encrypted a row.
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS sealed_by UInt32 COMMENT 'Of form 1: begins the fingerprint of its privacy.data_key; 0: of the first one.';

ALTER TABLE customers
    ADD COLUMN IF NOT EXISTS sealed_by UInt32 COMMENT 'begins the fingerprint of its privacy.data_key; 0: of the first one';


-- While a hash key is being changed.
CREATE TABLE IF NOT EXISTS raised_hashes
(
    old String COMMENT 'A hash by an earlier privacy.hash_key, as author_email and author_phone had it.',
    new String COMMENT 'The same value''s hash by a later one.',
    generation UInt16 COMMENT 'Of the later one.'
)
ENGINE = ReplacingMergeTree(generation)
ORDER BY old
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Which hash became which by a change of privacy.hash_key; empty once that is done everywhere.';
