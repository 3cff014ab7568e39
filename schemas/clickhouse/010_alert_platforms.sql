-- Where the events of an alert are, so that a silence of a platform finds those that are about a brand as a whole.
ALTER TABLE alerts
    ADD COLUMN platforms Array(LowCardinality(String)) COMMENT 'where its events are; blank: anywhere';
