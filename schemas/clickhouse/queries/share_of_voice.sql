-- Share of voice: mentions of a brand and of its competitors by period, and their part of all these mentions.
-- What mentions several of them counts for each. Series of two panels are not to be compared: each has its own `panel`.
--
-- parameter brand: the brand
-- parameter panel = []: its competitors; none named: those that brands.yaml names
-- parameter platform = []: on these platforms; none named: on all
-- parameter language = []: in these languages; none named: in all
-- parameter from = 30d: quarter-hours that begin then or later
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter period = all: how long a row's time is; weeks begin on Monday
-- column begins: when the period begins, in the zone; of `all`: --from
-- column brand: the brand, or a competitor
-- column mentions: rows of others that mention it
-- column percent: of the panel's mentions in the period; null: there are none
-- column panel: its brands: other brands are another series
-- plot line: begins, percent, brand
WITH
    {period:Enum('hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    arraySort(arrayDistinct(arrayPushBack({panel:Array(String)}, {brand:String}))) AS brands
SELECT
    begins,
    arrayJoin(brands) AS brand,
    counts[brand] AS mentions,
    if(total = 0, NULL, 100 * mentions / total) AS percent,
    arrayStringConcat(brands, ', ') AS panel
FROM
(
    SELECT begins, mapFromArrays(groupArray(name), groupArray(counted)) AS counts, sum(counted) AS total
    FROM
    (
        SELECT
            toDateTime64(multiIf(
                length = 'hour', toStartOfHour(quarter, place),
                length = 'day', toStartOfDay(quarter, place),
                length = 'week', toDateTime(toStartOfWeek(quarter, 1, place), place),
                length = 'month', toDateTime(toStartOfMonth(quarter, place), place),
                toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
            toString(q.brand) AS name,
            sum(q.mentions) AS counted
        FROM quarters AS q FINAL
        WHERE q.quarter >= {from:DateTime64(3, 'UTC')} AND q.quarter < {to:DateTime64(3, 'UTC')} AND q.brand IN brands
            AND (empty({platform:Array(String)}) OR q.platform IN {platform:Array(String)})
            AND (empty({language:Array(String)}) OR q.language IN {language:Array(String)})
        GROUP BY begins, name
    )
    GROUP BY begins
)
ORDER BY begins, mentions DESC, brand
