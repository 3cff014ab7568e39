-- Repeatable.
-- How each alert is: lists of alerts read a row an alert, and not every change that there ever was.
CREATE TABLE IF NOT EXISTS alerts_now
(
    alert_key UInt64 COMMENT 'The alert, for earshot alerts show: in hexadecimal.',
    version UInt32 COMMENT 'Of its newest change: 1, 2, 3 ...',
    term UInt64 COMMENT 'Of the leader that wrote it.',
    rule LowCardinality(String) COMMENT 'Of alerts.yaml.',
    type LowCardinality(String) COMMENT 'Of the rule: spike, threshold, keyword, reach, campaign, no_data.',
    brand LowCardinality(String) COMMENT 'That it is about; blank: none.',
    platform LowCardinality(String) COMMENT 'Blank: all.',
    language LowCardinality(String) COMMENT 'Blank: all.',
    source LowCardinality(String) COMMENT 'Of a no_data alert: the source that sends nothing.',
    state LowCardinality(String) COMMENT 'pending, firing, acknowledged or resolved',
    severity UInt8 COMMENT '0 to 10.',
    since DateTime64(3, 'UTC') COMMENT 'event time',
    last_at DateTime64(3, 'UTC') COMMENT 'event time',
    changed_at DateTime64(3, 'UTC') COMMENT 'When this change was made.',
    raised_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it began to fire; null: it never did.',
    ended_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When it was resolved; null: it is open.',
    historical Bool COMMENT 'found an hour or more after the fact: nobody is told',
    test Bool COMMENT 'Whether somebody sent it to try the receivers.',
    measure LowCardinality(String) COMMENT 'What the rule looks at.',
    observed Float64 COMMENT 'The figure.',
    expected Nullable(Float64) COMMENT 'What was usual; null: the rule knows none.',
    lower Nullable(Float64) COMMENT 'Below it is unusual; null: there is no such bound.',
    upper Nullable(Float64) COMMENT 'Above it is unusual; null: there is no such bound.',
    summary String COMMENT 'The alert in one line.',
    terms Array(String) COMMENT 'Words that set its posts apart from the week before, the most significant first.',
    samples Array(UInt64) COMMENT 'event keys',
    negative UInt64 COMMENT 'Its mentions labelled so.',
    neutral UInt64 COMMENT 'Its mentions labelled so.',
    positive UInt64 COMMENT 'Its mentions labelled so.',
    query String COMMENT 'SQL that shows its events.',
    actor String COMMENT 'Who acknowledged it: the name of a token.',
    comment String COMMENT 'What they said.',
    platforms Array(LowCardinality(String)) COMMENT 'where its events are; blank: anywhere',
    muted String COMMENT 'Why nobody is notified: a silence, or another alert; blank: receivers are notified.',
    unmuted_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When the last mute that ended did so; null: none has.',
    escalated_at Nullable(DateTime64(3, 'UTC')) COMMENT 'its other receivers were notified then',
    newest UInt64 COMMENT 'The highest counts: term * 2^32 + version.'
)
ENGINE = ReplacingMergeTree(newest)
ORDER BY alert_key
TTL toDateTime(changed_at) + INTERVAL 400 DAY DELETE WHERE state != 'resolved'
SETTINGS async_insert = 0, non_replicated_deduplication_window = 10000
COMMENT 'How each alert is, a row an alert: read it with FINAL. Table alerts has every change.';

-- From now on each insert fills it; then the rows of before. Where both meet, the newest change counts. An insert that began before
-- the view, and whose rows are not there yet, ends within five seconds: while control writes, it is waited for.
CREATE MATERIALIZED VIEW IF NOT EXISTS alerts_now_filled TO alerts_now AS
SELECT
    alert_key, version, term, rule, type, brand, platform, language, source, state, severity, since, last_at, changed_at,
    raised_at, ended_at, historical, test, measure, observed, expected, lower, upper, summary, terms, samples, negative, neutral,
    positive, query, actor, comment, platforms, muted, unmuted_at, escalated_at, bitShiftLeft(term, 32) + version AS newest
FROM alerts;

SELECT sleep(3) FROM (SELECT 1 FROM alerts WHERE changed_at > now() - INTERVAL 1 HOUR LIMIT 1);

SELECT sleep(3) FROM (SELECT 1 FROM alerts WHERE changed_at > now() - INTERVAL 1 HOUR LIMIT 1);

INSERT INTO alerts_now
SELECT
    alert_key, version, term, rule, type, brand, platform, language, source, state, severity, since, last_at, changed_at,
    raised_at, ended_at, historical, test, measure, observed, expected, lower, upper, summary, terms, samples, negative, neutral,
    positive, query, actor, comment, platforms, muted, unmuted_at, escalated_at, bitShiftLeft(term, 32) + version
FROM alerts;
