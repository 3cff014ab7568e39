-- Repeatable.
-- The rows of a conversation are found by it. A platform that names no conversation: a post and what answers it directly are one.
ALTER TABLE interactions ADD INDEX IF NOT EXISTS conversations
    xxh3(concat(platform, ':', multiIf(conversation_id != '', conversation_id, in_reply_to != '', in_reply_to, id)))
    TYPE bloom_filter(0.001) GRANULARITY 1;

-- Business hours of brands.yaml, computed by control (pipeline/control/calendars.py).
CREATE TABLE IF NOT EXISTS brand_calendars
(
    brand LowCardinality(String) COMMENT 'Brand of brands.yaml.',
    calendar UInt32 COMMENT 'Number of its calendar in business_hours: brands with the same hours, zone and holidays share one; 0: it has no hours, every second counts.',
    content String COMMENT 'The calendar as JSON: hours of the week in minutes, zone, holidays and the version of their package, last year.',
    written_at DateTime64(3, 'UTC') COMMENT 'When control wrote this row; the newest row of a brand counts.'
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY brand
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Which calendar of business hours each brand has.';

CREATE TABLE IF NOT EXISTS business_hours
(
    calendar UInt32 COMMENT 'Number of the calendar, from 1 on.',
    opens DateTime('UTC') COMMENT 'Beginning of a stretch of business hours. The first row of a calendar is the time before all of them, from 1995 on.',
    closes DateTime('UTC') COMMENT 'Its end.',
    until DateTime('UTC') COMMENT 'When the next one begins, or the calendar ends (end of next year).',
    seconds UInt32 COMMENT 'Business seconds from 1995 to its beginning.',
    written_at DateTime64(3, 'UTC') COMMENT 'When control wrote this row; the newest row counts.',
    is_deleted UInt8 COMMENT '1: the calendar has no such stretch any more.'
)
ENGINE = ReplacingMergeTree(written_at, is_deleted)
ORDER BY (calendar, opens)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'Business hours of brands, as stretches of time.';

CREATE OR REPLACE DICTIONARY calendar_of (brand String, calendar UInt64)
PRIMARY KEY brand
SOURCE(CLICKHOUSE({credentials}QUERY 'SELECT toString(brand) AS brand, toUInt64(calendar) AS calendar FROM {database}.brand_calendars FINAL'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(0);

-- Business seconds from 1995 to the beginning of each quarter-hour: those between two are the difference. A calendar has 2097152
-- slots; 788918400 is the beginning of 1995, in seconds since 1970.
CREATE OR REPLACE DICTIONARY business_seconds (slot UInt64, seconds UInt32)
PRIMARY KEY slot
SOURCE(CLICKHOUSE({credentials}QUERY 'SELECT toUInt64(calendar) * 2097152 + quarter AS slot, toUInt32(seconds + least(900 * (quarter - first), closes - opens)) AS seconds FROM (SELECT calendar, seconds, opens, closes, intDiv(toUnixTimestamp(opens) - 788918400, 900) AS first, arrayJoin(range(toUInt64(first), toUInt64(intDiv(toUnixTimestamp(until) - 788918400, 900)))) AS quarter FROM {database}.business_hours FINAL)'))
LAYOUT(FLAT(MAX_ARRAY_SIZE 268435456))
LIFETIME(0);

-- Filled by control (pipeline/rollups/), from `interactions`: a conversation that changed is computed anew from all its rows.
CREATE TABLE IF NOT EXISTS threads
(
    brand LowCardinality(String) COMMENT 'Brand that the conversation is about. A conversation about two brands is a row for each.',
    opened DateTime64(3, 'UTC') COMMENT 'First word of a customer about the brand; a word is a row with something said: a post, comment, reply, review, message, call, e-mail, idea, question or answer. Bots say no words.',
    conversation UInt64 COMMENT 'Names the conversation on its platform: xxh3(platform:conversation_id). Without conversation_id: what the row answers, else its own id.',
    conversation_id String COMMENT 'The same as the platform names it.',
    platform LowCardinality(String) COMMENT 'Channel: the platform of the rows.',
    kind LowCardinality(String) COMMENT 'Kind of the first word: review, message, call ...',
    private Bool COMMENT 'Whether the first word is private.',
    team LowCardinality(String) COMMENT 'Last thread_team of the rows; blank: none is named.',
    customer UInt64 COMMENT 'account_key of the author of the first word; 0: it has no author. Whose customer: dictionary customer_of.',
    customers UInt32 COMMENT 'Distinct authors of customers'' words.',
    words UInt32 COMMENT 'Words of customers: those about the brand, and all of authors who said one or were answered by the brand; in private also those of others.',
    ours UInt32 COMMENT 'Words of the brand (outbound, not by a bot); more than one answer may follow one word.',
    answers Array(UInt64) COMMENT 'event_key of each answer: the brand''s first word after one or more words of the customer that it answers (in_reply_to; of everybody without it). Bots and auto-replies are no answer.',
    asked_at Array(DateTime64(3, 'UTC')) COMMENT 'For each answer: the first of the words that it answers, since when somebody waited.',
    answered_at Array(DateTime64(3, 'UTC')) COMMENT 'For each answer: its time.',
    early UInt32 COMMENT 'Answers that are dated before the word that they answer, as when its author edited a review: no answer time is known.',
    waiting UInt32 COMMENT 'Words of customers that nobody has answered, and that were not closed.',
    waiting_since Nullable(DateTime64(3, 'UTC')) COMMENT 'The first of them.',
    last_customer DateTime64(3, 'UTC') COMMENT 'Last word of a customer.',
    last_ours Nullable(DateTime64(3, 'UTC')) COMMENT 'Last word of the brand.',
    statuses Array(LowCardinality(String)) COMMENT 'Status after each change (thread_status), as far as the rows still tell: a row knows its last status.',
    status_at Array(DateTime64(3, 'UTC')) COMMENT 'For each of them: when it is known for the first time.',
    closed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the last status came, if it means closed: closed, solved, resolved, done, completed.',
    reopened UInt32 COMMENT 'How often a customer wrote again after an answer or the end: a thank-you counts, too.',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'closed_at; without any status the last answer, if nobody waits.',
    quarters Array(UInt32) COMMENT 'Quarter-hours of the rows (seconds since 1970 divided by 900): which changes touch the conversation.',
    version UInt64 COMMENT 'Term of the leader * 2^32, then a counter, taken before the rows were read.',
    is_deleted UInt8 COMMENT '1: there is no such conversation any more.',
    calendar UInt64 ALIAS dictGet('calendar_of', 'calendar', toString(brand)) COMMENT 'Calendar of the brand''s business hours, as brands.yaml says now; 0: none.',
    answer_seconds Array(Float64) ALIAS arrayMap((since, at) -> (toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(since)) / 1000, asked_at, answered_at) COMMENT 'For each answer: how long somebody waited for it, in seconds.',
    answer_business_seconds Array(Float64) ALIAS if(calendar = 0, answer_seconds, arrayMap((since, at) -> (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(at) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(at) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(at) - 788918400000), 900000))), (toUnixTimestamp64Milli(at) - 788918400000) % 900000 / 1000, 0)) - (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(since) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(since) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(since) - 788918400000), 900000))), (toUnixTimestamp64Milli(since) - 788918400000) % 900000 / 1000, 0)), asked_at, answered_at)) COMMENT 'The same in the brand''s business hours, as brands.yaml says now; without hours every second counts.',
    first_seconds Nullable(Float64) ALIAS if(notEmpty(answers), (toUnixTimestamp64Milli(answered_at[1]) - toUnixTimestamp64Milli(opened)) / 1000, NULL) COMMENT 'From the first word to the first answer, in seconds.',
    first_business_seconds Nullable(Float64) ALIAS multiIf(NOT (notEmpty(answers)), NULL, calendar = 0, first_seconds, (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(answered_at[1]) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(answered_at[1]) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(answered_at[1]) - 788918400000), 900000))), (toUnixTimestamp64Milli(answered_at[1]) - 788918400000) % 900000 / 1000, 0)) - (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(opened) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(opened) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(opened) - 788918400000), 900000))), (toUnixTimestamp64Milli(opened) - 788918400000) % 900000 / 1000, 0))) COMMENT 'The same in the brand''s business hours, as brands.yaml says now; without hours every second counts.',
    resolution_seconds Nullable(Float64) ALIAS if(isNotNull(resolved_at), (toUnixTimestamp64Milli(assumeNotNull(resolved_at)) - toUnixTimestamp64Milli(opened)) / 1000, NULL) COMMENT 'From the first word to the end, in seconds.',
    resolution_business_seconds Nullable(Float64) ALIAS multiIf(NOT (isNotNull(resolved_at)), NULL, calendar = 0, resolution_seconds, (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(assumeNotNull(resolved_at)) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(assumeNotNull(resolved_at)) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(assumeNotNull(resolved_at)) - 788918400000), 900000))), (toUnixTimestamp64Milli(assumeNotNull(resolved_at)) - 788918400000) % 900000 / 1000, 0)) - (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(opened) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(opened) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(opened) - 788918400000), 900000))), (toUnixTimestamp64Milli(opened) - 788918400000) % 900000 / 1000, 0))) COMMENT 'The same in the brand''s business hours, as brands.yaml says now; without hours every second counts.',
    waiting_seconds Nullable(Float64) ALIAS if(waiting > 0, (toUnixTimestamp64Milli(greatest(now64(3), assumeNotNull(waiting_since))) - toUnixTimestamp64Milli(assumeNotNull(waiting_since))) / 1000, NULL) COMMENT 'How long somebody waits now, in seconds.',
    waiting_business_seconds Nullable(Float64) ALIAS multiIf(NOT (waiting > 0), NULL, calendar = 0, waiting_seconds, (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(greatest(now64(3), assumeNotNull(waiting_since))) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(greatest(now64(3), assumeNotNull(waiting_since))) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(greatest(now64(3), assumeNotNull(waiting_since))) - 788918400000), 900000))), (toUnixTimestamp64Milli(greatest(now64(3), assumeNotNull(waiting_since))) - 788918400000) % 900000 / 1000, 0)) - (dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(assumeNotNull(waiting_since)) - 788918400000), 900000))) + if(dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(assumeNotNull(waiting_since)) - 788918400000), 900000)) + 1) > dictGet('business_seconds', 'seconds', toUInt64(calendar * 2097152 + intDiv((toUnixTimestamp64Milli(assumeNotNull(waiting_since)) - 788918400000), 900000))), (toUnixTimestamp64Milli(assumeNotNull(waiting_since)) - 788918400000) % 900000 / 1000, 0))) COMMENT 'The same in the brand''s business hours, as brands.yaml says now; without hours every second counts.',
    -- A conversation that changed, and one that has a row in a quarter-hour that changed.
    INDEX conversations conversation TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX firsts arrayMin(quarters) TYPE minmax GRANULARITY 1,
    INDEX lasts arrayMax(quarters) TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(opened)
ORDER BY (brand, opened, conversation)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'A row a conversation and brand: who asked, each answer, who waits. Read it with FINAL.';

-- Which quarter-hours hold rows of a conversation, filled before `threads` is: a statement reads these alone, and not all.
CREATE TABLE IF NOT EXISTS conversation_quarters
(
    conversation UInt64 COMMENT 'As in threads.',
    quarter UInt32 COMMENT 'Quarter-hour in which it has a word, or had one: seconds since 1970 divided by 900.'
)
ENGINE = ReplacingMergeTree
ORDER BY (conversation, quarter)
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'In which quarter-hours each conversation has words.';

-- Old rows are found at once, too, but by reading them; in the background they are indexed.
ALTER TABLE interactions MATERIALIZE INDEX conversations SETTINGS mutations_sync = 0;
