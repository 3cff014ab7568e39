-- Repeatable.
-- Revisions were made of e-mail addresses and phone numbers in clear, and all else that they were made of stands in the row: who
-- tried all numbers found the one. Those rows get another one, made of nothing but where their record came from. A redelivery of
-- theirs is inserted once more, and absorbed. ClickHouse changes the tables in the background: that takes longer than a request may.

-- The revision is part of the key here: what waits is written under another one, and only then goes what is under an old one; what
-- is done goes as well. So a change that a worker of an older release writes meanwhile stays, whatever was said of stopping it.
INSERT INTO pending_changes
    SELECT event_key, sipHash64(event_key, occurred_at, operation, topic, partition, offset) AS revision,
        platform, id, operation, occurred_at, topic, partition, offset, arrived_at, done, change
    FROM pending_changes FINAL WHERE done = 0;
ALTER TABLE pending_changes
    DELETE WHERE revision != sipHash64(event_key, occurred_at, operation, topic, partition, offset)
        AND ((event_key, revision) IN (SELECT event_key, revision FROM pending_changes WHERE done = 1)
            OR (event_key, sipHash64(event_key, occurred_at, operation, topic, partition, offset))
            IN (SELECT event_key, revision FROM pending_changes))
    SETTINGS mutations_sync = 0;

-- Those with an address, those that are blank by now, and changes that brought an author, whose address a newer one may have
-- replaced. Last: another table's change would wait for this one.
ALTER TABLE interactions
    UPDATE revision = sipHash64(event_key, occurred_at, operation, topic, partition, offset)
    WHERE author_email != '' OR author_phone != '' OR is_deleted = 1 OR (operation != 'create' AND author_at >= occurred_at)
    SETTINGS mutations_sync = 0;
