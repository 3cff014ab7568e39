-- Awareness of brands by period: how many speak of a brand, how often, and before how many.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter from = 30d: quarter-hours that begin then or later
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter period = day: how long a row's time is; weeks begin on Monday
-- parameter by = []: a row for each platform, too
-- column begins: when the period begins, in the zone; of `all`: --from
-- column brand: a tracked brand
-- column platform: blank unless `by` has platform
-- column mentions: rows of others
-- column authors: distinct accounts that wrote them
-- column reach: followers of the authors, added up mention by mention
-- plot line: begins, authors, brand, platform
WITH
    {period:Enum('hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    arrayMap(each -> toString(each), {by:Array(Enum('platform'))}) AS split
SELECT
    toDateTime64(multiIf(
        length = 'hour', toStartOfHour(quarter, place),
        length = 'day', toStartOfDay(quarter, place),
        length = 'week', toDateTime(toStartOfWeek(quarter, 1, place), place),
        length = 'month', toDateTime(toStartOfMonth(quarter, place), place),
        toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
    q.brand AS brand,
    if(has(split, 'platform'), q.platform, '') AS platform,
    sum(q.mentions) AS mentions,
    uniqExactMerge(q.authors) AS authors,
    sum(q.reach) AS reach
FROM quarters AS q FINAL
WHERE q.quarter >= {from:DateTime64(3, 'UTC')} AND q.quarter < {to:DateTime64(3, 'UTC')} AND q.brand != ''
    AND (empty({brand:Array(String)}) OR q.brand IN {brand:Array(String)})
    AND (empty({platform:Array(String)}) OR q.platform IN {platform:Array(String)})
GROUP BY begins, brand, platform
HAVING mentions > 0
ORDER BY begins, brand, platform
