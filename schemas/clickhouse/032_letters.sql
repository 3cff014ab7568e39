-- Repeatable.
-- Dead letters are encrypted from now on, and say by hashes whose they are: so one person's can be found and erased. Those of before
-- stay as they came, in form 0, and so does what workers of before still write.
ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS form UInt8 DEFAULT 0
        COMMENT '1: key and raw are encrypted with privacy.data_key, and content is a keyed hash of both; 0: they are as they came.',
    ADD COLUMN IF NOT EXISTS source String DEFAULT if(form = 0, JSONExtractString(raw, 'source', 'name'), '')
        COMMENT 'Name of the source, as the record says; blank: it says none.',
    ADD COLUMN IF NOT EXISTS unreadable UInt8 DEFAULT form = 0 AND raw != '' AND NOT isValidJSON(raw)
        COMMENT '1: the record does not say whose it is, so it goes after 90 days.',
    ADD COLUMN IF NOT EXISTS event_key UInt64 COMMENT 'Of the event that the record names; 0: none.',
    ADD COLUMN IF NOT EXISTS accounts Array(UInt64) COMMENT 'Keys of the author, by id and by handle, and of its other accounts.',
    ADD COLUMN IF NOT EXISTS contacts Array(String) COMMENT 'Hashes of the author''s address and number, as rows of events have them.';

ALTER TABLE dead_letters
    COMMENT COLUMN content 'Tells records of one offset apart: positions repeat when a topic is re-created. Of form 0 the XXH3-64 of raw.';

ALTER TABLE dead_letters MODIFY TTL toDateTime(rejected_at) + toIntervalDay(if(unreadable = 1, 90, 400))
    SETTINGS materialize_ttl_after_modify = 0;

-- What is there goes in the background.
ALTER TABLE dead_letters MATERIALIZE TTL SETTINGS mutations_sync = 0;
