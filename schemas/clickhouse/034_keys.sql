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
