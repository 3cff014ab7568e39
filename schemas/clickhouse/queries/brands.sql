-- Mentions per brand and hour, newest first: of all rows, the brands' own among them.
--
-- column hour: when it begins, UTC
-- column brand: a brand of the rows
-- column mentions: rows that mention it
-- plot line: hour, mentions, brand
SELECT toStartOfHour(created_at) AS hour, arrayJoin(brands) AS brand, count() AS mentions
FROM interactions FINAL
GROUP BY hour, brand
ORDER BY hour DESC, mentions DESC, brand
