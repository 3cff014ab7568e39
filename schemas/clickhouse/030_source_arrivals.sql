-- Repeatable.
-- Rules of type no_data: how often a source is asked, and what is usual of it.
ALTER TABLE source_health
    ADD COLUMN IF NOT EXISTS every_s Float64 DEFAULT 60 COMMENT 'How often it is asked, in seconds.',
    COMMENT COLUMN state 'running, waiting, failing, no credentials, paused; gone: sources.yaml lacks it now';

CREATE TABLE IF NOT EXISTS source_arrivals
(
    source String COMMENT 'Of sources.yaml.',
    hour DateTime('UTC') COMMENT 'An hour.',
    excused UInt8 COMMENT '0: minutes in which events came; 1: in which none were to be expected, as it was paused or did not answer.',
    minutes UInt64 COMMENT 'Bit 0 is the first minute of the hour. The highest number has the most minutes, and counts.'
)
ENGINE = ReplacingMergeTree(minutes)
ORDER BY (source, hour, excused)
TTL hour + INTERVAL 60 DAY
SETTINGS non_replicated_deduplication_window = 10000, async_insert = 0
COMMENT 'In which minutes events of each source came: what control knows of usual gaps.';
