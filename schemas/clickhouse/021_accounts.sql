-- Repeatable.
-- What each rollup was computed by: of one that follows a file of rules, the hash of what they say.
ALTER TABLE rollup_marks ADD COLUMN IF NOT EXISTS rules String COMMENT 'By which rules the table is filled: their hash; blank: it follows none. Other rules fill it anew.';

-- Filled by control (pipeline/rollups/), from `interactions`: a quarter-hour that changed is computed anew as a whole.
CREATE TABLE IF NOT EXISTS account_quarters
(
    brand LowCardinality(String) COMMENT 'Tracked brand. Rows without a brand are left out; a row of two brands counts for each.',
    quarter DateTime('UTC') COMMENT 'Beginning of the quarter-hour of created_at.',
    account_key UInt64 COMMENT 'Account: the author of the rows. Whose customer: view accounts. Rows without an author are left out.',
    platform LowCardinality(String) COMMENT 'Platform of the account.',
    handle String COMMENT 'Handle of its last row that analysts may read: not of private rows, messages, e-mails and calls.',
    name String COMMENT 'Name in the same row.',
    shown_at DateTime64(3, 'UTC') COMMENT 'When that was so (author_at); 1970: there is no such row.',
    author_kind LowCardinality(String) COMMENT 'What the source says the account is, last: person, organisation, bot, staff; blank: nothing.',
    followers Nullable(Int64) COMMENT 'Followers in the row whose author data is the newest.',
    verified Nullable(Bool) COMMENT 'Whether the platform has verified the account, in the same row.',
    profile_at DateTime64(3, 'UTC') COMMENT 'When that was so (author_at).',
    first_seen DateTime64(3, 'UTC') COMMENT 'Its first row in the quarter-hour.',
    last_seen DateTime64(3, 'UTC') COMMENT 'Its last row in the quarter-hour.',
    mentions UInt32 COMMENT 'Rows that are not outbound, of any kind, private ones among them.',
    ours UInt32 COMMENT 'Outbound rows: written for the brand. Not in mentions, nor in any other number.',
    private UInt32 COMMENT 'Mentions whose visibility is private.',
    negative UInt32 COMMENT 'Mentions labelled negative.',
    neutral UInt32 COMMENT 'Mentions labelled neutral.',
    positive UInt32 COMMENT 'Mentions labelled positive.',
    score Float64 COMMENT 'Sum over labelled mentions: sentiment_positive - sentiment_negative.',
    role LowCardinality(String) COMMENT 'What the account is to the brand: customer, prospect, employee, competitor, media, partner, bot; by the first rule of roles.yaml that any of the rows meets; blank: none.',
    role_rule LowCardinality(String) COMMENT 'Name of that rule.',
    role_rank UInt16 COMMENT 'Its place in roles.yaml, from 1 on; 65535: no rule holds.',
    role_event UInt64 COMMENT 'Evidence: event_key of the last row that meets it; 0: none.',
    complaints UInt32 COMMENT 'Mentions whose motive is complaint. The motive of a mention: the first rule of roles.yaml that it meets.',
    praises UInt32 COMMENT 'Mentions whose motive is praise.',
    questions UInt32 COMMENT 'Mentions whose motive is question.',
    ideas UInt32 COMMENT 'Mentions whose motive is idea.',
    promotions UInt32 COMMENT 'Mentions whose motive is promotion.',
    news UInt32 COMMENT 'Mentions whose motive is news.',
    motive LowCardinality(String) COMMENT 'Of the last mention that has one; blank: none has.',
    motive_rule LowCardinality(String) COMMENT 'Name of the rule that gave it.',
    motive_at DateTime64(3, 'UTC') COMMENT 'Time of that mention; 1970: there is none.',
    motive_event UInt64 COMMENT 'Evidence: its event_key; 0: there is none.',
    version UInt64 COMMENT 'Term of the leader * 2^32, then a counter, taken before the rows were read.',
    is_deleted UInt8 COMMENT '1: there are no such rows any more.',
    -- A touched quarter-hour is looked for in all brands, an account in all brands and times.
    INDEX quarters quarter TYPE minmax GRANULARITY 1,
    INDEX accounts account_key TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(quarter)
ORDER BY (brand, quarter, account_key)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'What each account did about a brand in a quarter-hour, its role and motive. Read it with FINAL; view accounts adds it up.';

-- Each account and brand in one row. The mood is of the 30 days until now.
CREATE OR REPLACE VIEW accounts
(
    brand LowCardinality(String) COMMENT 'Tracked brand.',
    account_key UInt64 COMMENT 'The account.',
    customer UInt64 COMMENT 'Whose customer it is today: the key of one of the customer''s accounts.',
    platform LowCardinality(String) COMMENT 'Platform of the account.',
    handle String COMMENT 'Handle, as it was last public.',
    name String COMMENT 'Name, as it was last public.',
    author_kind LowCardinality(String) COMMENT 'person, organisation, bot, staff, as the source said last; blank: nothing.',
    followers Nullable(Int64) COMMENT 'Followers, as last known.',
    verified Nullable(Bool) COMMENT 'Whether the platform has verified it, as last known.',
    first_seen DateTime64(3, 'UTC') COMMENT 'Its first row about the brand.',
    last_seen DateTime64(3, 'UTC') COMMENT 'Its last row about the brand.',
    mentions UInt64 COMMENT 'Rows about the brand that are not outbound, of any kind.',
    ours UInt64 COMMENT 'Outbound rows: written for the brand.',
    negative UInt64 COMMENT 'Mentions labelled negative.',
    neutral UInt64 COMMENT 'Mentions labelled neutral.',
    positive UInt64 COMMENT 'Mentions labelled positive.',
    mood Nullable(Float64) COMMENT 'Mean score of the mentions labelled in the last 30 days, from -1 (negative) to 1 (positive); NULL: there are none.',
    role LowCardinality(String) COMMENT 'What the account is to the brand: of the rules of roles.yaml that any of its rows meets, the first; blank: none.',
    role_rule LowCardinality(String) COMMENT 'Name of that rule.',
    role_event UInt64 COMMENT 'Evidence: event_key of the last row that meets it.',
    motive LowCardinality(String) COMMENT 'Of its last mention that has one: complaint, praise, question, idea, promotion, news; blank: none has.',
    motive_rule LowCardinality(String) COMMENT 'Name of the rule that gave it.',
    motive_event UInt64 COMMENT 'Evidence: event_key of that mention.',
    complaints UInt64 COMMENT 'Mentions whose motive is complaint.',
    praises UInt64 COMMENT 'Mentions whose motive is praise.',
    questions UInt64 COMMENT 'Mentions whose motive is question.',
    ideas UInt64 COMMENT 'Mentions whose motive is idea.',
    promotions UInt64 COMMENT 'Mentions whose motive is promotion.',
    news UInt64 COMMENT 'Mentions whose motive is news.'
)
AS SELECT
    brand, account_key, if(dictGet('customer_of', 'customer_key', account_key) AS linked = 0, account_key, linked) AS customer, platform,
    shown.1 AS handle, shown.2 AS name, newest.1 AS author_kind, newest.2 AS followers, newest.3 AS verified, first_seen, last_seen, mentions,
    ours, negative, neutral, positive, if(recent > 0, recent_score / recent, NULL) AS mood, best.1 AS role, best.2 AS role_rule,
    best.3 AS role_event, said.1 AS motive, said.2 AS motive_rule, said.3 AS motive_event, complaints, praises, questions, ideas, promotions,
    news
FROM
(
    SELECT
        brand, account_key, any(q.platform) AS platform,
        argMax((q.handle, q.name), (q.shown_at, q.quarter)) AS shown,
        argMax((q.author_kind, q.followers, q.verified), (q.profile_at, q.quarter)) AS newest,
        min(q.first_seen) AS first_seen, max(q.last_seen) AS last_seen, sum(q.mentions) AS mentions, sum(q.ours) AS ours,
        sum(q.negative) AS negative, sum(q.neutral) AS neutral, sum(q.positive) AS positive,
        sumIf(q.negative + q.neutral + q.positive, q.quarter >= now() - INTERVAL 30 DAY) AS recent,
        sumIf(q.score, q.quarter >= now() - INTERVAL 30 DAY) AS recent_score,
        argMin((q.role, q.role_rule, q.role_event), (q.role_rank, -toInt64(toUnixTimestamp(q.quarter)))) AS best,
        argMax((q.motive, q.motive_rule, q.motive_event), (q.motive_at, q.quarter)) AS said,
        sum(q.complaints) AS complaints, sum(q.praises) AS praises, sum(q.questions) AS questions, sum(q.ideas) AS ideas,
        sum(q.promotions) AS promotions, sum(q.news) AS news
    FROM account_quarters AS q FINAL
    GROUP BY brand, account_key
);
