-- Awareness of brands by period: how many speak of a brand and before how many, beside what was measured of it.
-- What was measured is in table measures (kind measure); single visits are in query engagement, as consumption.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter from = 30d: quarter-hours that begin then or later, and what was measured then or later
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
-- column followers: measure followers: the last number in the period of each account (platform, target), added up; null: none
-- column visits: measure visits, added up; null: none
-- column search_interest: measure search_interest, in the mean; null: none
-- plot line: begins, authors, brand, platform
WITH
    {period:Enum('hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    arrayMap(each -> toString(each), {by:Array(Enum('platform'))}) AS split
SELECT
    begins,
    brand,
    platform,
    sum(said) AS mentions,
    uniqExactMerge(accounts) AS authors,
    sum(reached) AS reach,
    sumOrNullIf(newest, measure = 'followers') AS followers,
    sumOrNullIf(total, measure = 'visits') AS visits,
    sumOrNullIf(total, measure = 'search_interest') / sumIf(many, measure = 'search_interest') AS search_interest
FROM
(
    SELECT
        toDateTime64(multiIf(
            length = 'hour', toStartOfHour(at, place),
            length = 'day', toStartOfDay(at, place),
            length = 'week', toDateTime(toStartOfWeek(at, 1, place), place),
            length = 'month', toDateTime(toStartOfMonth(at, place), place),
            toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
        brand, if(has(split, 'platform'), channel, '') AS platform, measure, sum(counted) AS said,
        uniqExactMergeState(writers) AS accounts, sum(heard) AS reached, argMax(number, moment) AS newest, sum(number) AS total,
        count() AS many
    FROM
    (
        SELECT
            q.quarter AS at, q.brand AS brand, q.platform AS channel, '' AS measure, '' AS target, q.mentions AS counted,
            q.authors AS writers, q.reach AS heard, toFloat64(0) AS number, (toDateTime64(0, 3, 'UTC'), toUInt64(0)) AS moment
        FROM quarters AS q FINAL
        WHERE q.quarter >= {from:DateTime64(3, 'UTC')} AND q.quarter < {to:DateTime64(3, 'UTC')} AND q.brand != ''
            AND (empty({brand:Array(String)}) OR q.brand IN {brand:Array(String)})
            AND (empty({platform:Array(String)}) OR q.platform IN {platform:Array(String)})
        UNION ALL
        SELECT
            toDateTime(m.created_at, 'UTC') AS at, m.brand AS brand, m.platform AS channel, toString(m.name) AS measure,
            concat(m.platform, ' ', m.target) AS target, toUInt32(0) AS counted,
            arrayReduce('uniqExactState', emptyArrayUInt64()) AS writers, toUInt64(0) AS heard, m.value AS number,
            (m.created_at, m.event) AS moment
        FROM measures AS m FINAL
        WHERE m.created_at >= {from:DateTime64(3, 'UTC')} AND m.created_at < {to:DateTime64(3, 'UTC')} AND m.brand != ''
            AND m.name IN ('followers', 'visits', 'search_interest')
            AND (empty({brand:Array(String)}) OR m.brand IN {brand:Array(String)})
            AND (empty({platform:Array(String)}) OR m.platform IN {platform:Array(String)})
    )
    GROUP BY begins, brand, platform, measure, target
)
GROUP BY begins, brand, platform
HAVING mentions > 0 OR countIf(measure != '') > 0
ORDER BY begins, brand, platform
