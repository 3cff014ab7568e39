-- Quality of what each source sends: of rows whose event landed in the time, and of records rejected in it.
-- Redeliveries are not among them: workers drop these, and count them in earshot_events_dropped_total.
--
-- parameter from = 30d: landed or rejected then or later
-- parameter to = now: until before then
-- operators: dead letters hold records as they came, so user analyst may not read them
-- column source: name of the source, as its records say; blank: they say none
-- column events: that landed
-- column duplicates: of them, those with a text that the same account had written before within the time
-- column rejects: records that became dead letters
-- column lateness: median seconds from when it was created to when it landed
-- column lateness_p95: seconds that 95 % are below
-- column late: of the events, those that landed more than an hour after they were created
-- column deferred: of the events, those that still wait for their label
-- column unknown: of the events, those that can't be labelled
-- plot bar: source, rejects
SELECT
    source, sum(events) AS events, sum(duplicates) AS duplicates, sum(rejects) AS rejects, max(median) AS lateness,
    max(p95) AS lateness_p95, sum(late) AS late, sum(deferred) AS deferred, sum(unknown) AS unknown
FROM
(
    SELECT
        toString(source_name) AS source,
        count() AS events,
        -- The hash of account and text: a set of texts takes twice the time.
        countIf(text != '') - uniqExactIf(xxh3(account_key, text), text != '') AS duplicates,
        0 AS rejects,
        toNullable(quantilesExact(0.5, 0.95)(toUnixTimestamp64Milli(landed_at) - toUnixTimestamp64Milli(created_at))[1] / 1000) AS median,
        toNullable(quantilesExact(0.5, 0.95)(toUnixTimestamp64Milli(landed_at) - toUnixTimestamp64Milli(created_at))[2] / 1000) AS p95,
        countIf(toUnixTimestamp64Milli(landed_at) - toUnixTimestamp64Milli(created_at) > 3600000) AS late,
        countIf(sentiment_status = 'deferred') AS deferred,
        countIf(sentiment_status = 'unknown') AS unknown
    FROM interactions FINAL
    -- A row arrives when its event lands, or later.
    WHERE ingested_at >= {from:DateTime64(3, 'UTC')}
        AND landed_at >= {from:DateTime64(3, 'UTC')} AND landed_at < {to:DateTime64(3, 'UTC')}
    GROUP BY source
    UNION ALL
    SELECT source, 0, 0, count(), NULL, NULL, 0, 0, 0
    FROM dead_letters FINAL
    WHERE rejected_at >= {from:DateTime64(3, 'UTC')} AND rejected_at < {to:DateTime64(3, 'UTC')}
    GROUP BY source
)
GROUP BY source
ORDER BY events DESC, rejects DESC, source
