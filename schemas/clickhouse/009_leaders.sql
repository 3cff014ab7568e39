-- Who led when (pipeline/leader.py): the newest term of a name may write, no other. Rows are only added.
CREATE TABLE leaders
(
    name LowCardinality(String) COMMENT 'of what: control',
    term UInt64,
    holder UInt64 COMMENT 'a process, by a number that it drew',
    released Bool COMMENT 'handed over: no write of this term runs any more',
    changed_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (name, term, holder, released)
SETTINGS async_insert = 0;
-- Who led before there were terms handed nothing over: its last write may still be running, unless nobody has led at all.
INSERT INTO leaders SELECT 'control', 0, 0, count() = 0, now64(3) FROM alerts;

-- A change that two terms made under one version stays twice, and the newer term counts: none replaces the other by chance.
ALTER TABLE alerts
    ADD COLUMN term UInt64 COMMENT 'of the leader that wrote it; 0: from before there were terms',
    MODIFY ORDER BY (alert_key, version, term);

ALTER TABLE alert_deliveries
    ADD COLUMN term UInt64 COMMENT 'of the leader that told it',
    MODIFY ORDER BY (alert_key, version, receiver, attempt, term);
