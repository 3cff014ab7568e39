-- What Kafka lost before a worker had read it, as somebody accepted it (`earshot offsets accept-loss`).
CREATE TABLE lost_offsets
(
    topic LowCardinality(String),
    partition Int32,
    first Int64 COMMENT 'the committed offset',
    last Nullable(Int64) COMMENT 'the last offset that is gone; null: not known, the partition ended before the committed offset',
    reason String,
    accepted_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(accepted_at)
ORDER BY (topic, partition, first);
