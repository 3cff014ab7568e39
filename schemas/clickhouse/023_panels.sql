-- Repeatable.
-- What the files say that control goes by (pipeline/control/in_force.py). Rows are only added.
CREATE TABLE IF NOT EXISTS panels
(
    brand LowCardinality(String) COMMENT 'Brand of brands.yaml.',
    version UInt32 COMMENT 'Number of its panel, from 1 on. Other competitors are another panel, also if they were the same once before.',
    since DateTime64(3, 'UTC') COMMENT 'When control first read these competitors in brands.yaml. They count until the next version; the first version counts for all that was before, too.',
    competitors Array(String) COMMENT 'The competitors, sorted by name; none: brands.yaml names none any more.'
)
ENGINE = ReplacingMergeTree
ORDER BY (brand, version)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'The competitors of each brand, and since when, for query share_of_voice.';

CREATE TABLE IF NOT EXISTS files_in_force
(
    file LowCardinality(String) COMMENT 'alerts.yaml, brands.yaml ...: which file, whatever its name is on the disk.',
    since DateTime64(3, 'UTC') COMMENT 'When control began to go by this content; until the next row of the file.',
    hash String COMMENT 'SHA-256 of the content, as sha256sum prints it.'
)
ENGINE = ReplacingMergeTree
ORDER BY (file, since)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Which content of each file was in force since when.';
