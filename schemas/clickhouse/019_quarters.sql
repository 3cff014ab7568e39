-- Filled by control (pipeline/rollups/), from `interactions`: a quarter-hour that changed is computed anew as a whole.
CREATE TABLE quarters
(
    brand LowCardinality(String) COMMENT 'Tracked brand; blank: rows without a brand. A row of two brands counts for each.',
    quarter DateTime('UTC') COMMENT 'Beginning of the quarter-hour of created_at. Days of any zone: toStartOfDay(quarter, zone).',
    platform LowCardinality(String) COMMENT 'Platform of the rows.',
    language LowCardinality(String) COMMENT 'ISO 639: as detected for the sentiment label, else as the source gave it; blank: unknown.',
    mentions UInt32 COMMENT 'Rows that are not outbound, of any kind; private ones and those of bots are among them.',
    ours UInt32 COMMENT 'Outbound rows: written by the brand itself. Not in mentions, nor in any other number.',
    private UInt32 COMMENT 'Mentions whose visibility is private.',
    bots UInt32 COMMENT 'Mentions whose author_kind is bot.',
    negative UInt32 COMMENT 'Mentions labelled negative.',
    neutral UInt32 COMMENT 'Mentions labelled neutral.',
    positive UInt32 COMMENT 'Mentions labelled positive.',
    score Float64 COMMENT 'Sum over labelled mentions: sentiment_positive - sentiment_negative. Mean: score / (negative + neutral + positive).',
    engagement UInt64 COMMENT 'Likes, shares and replies of mentions, as last known; a negative count is 0.',
    reach UInt64 COMMENT 'Followers of the authors of mentions, as last known, added up mention by mention; a negative count is 0.',
    authors AggregateFunction(uniqExact, UInt64) COMMENT 'Distinct authors (account_key) of mentions: uniqExactMerge(authors). Mentions without an author are left out.',
    ratings UInt32 COMMENT 'Mentions with a rating.',
    stars Float64 COMMENT 'Sum of their ratings, on the scale of the platform. Mean: stars / ratings.',
    version UInt64 COMMENT 'Term of the leader * 2^32, then a counter, taken before the rows were read.',
    is_deleted UInt8 COMMENT '1: there are no such rows any more.',
    -- A touched quarter-hour is looked for in all brands.
    INDEX quarters quarter TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(quarter)
ORDER BY (brand, quarter, platform, language)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000;

-- How far each such table is filled with what was there before it.
CREATE TABLE rollup_marks
(
    rollup LowCardinality(String) COMMENT 'Name of the table.',
    filled_from DateTime('UTC') COMMENT 'Rows created at this time or later are in the table; 1970: all are.',
    version UInt64 COMMENT 'As in quarters.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY rollup
SETTINGS async_insert = 0;
