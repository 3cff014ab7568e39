-- Mentions per brand and hour, newest first: of all rows, the brands' own among them. Counted in the rows themselves, so what
-- landed a moment ago is in it; of weeks and more, volume answers sooner.
--
-- parameter from = 24h: rows created then or later
-- parameter to = now: until before then
-- column hour: when it begins, UTC
-- column brand: a brand of the rows
-- column mentions: rows that mention it
-- plot line: hour, mentions, brand
SELECT toDateTime64(toStartOfHour(created_at), 0, 'UTC') AS hour, arrayJoin(brands) AS brand, count() AS mentions
FROM interactions FINAL
WHERE created_at >= {from:DateTime64(3, 'UTC')} AND created_at < {to:DateTime64(3, 'UTC')}
GROUP BY hour, brand
ORDER BY hour DESC, mentions DESC, brand
