-- Share of voice: mentions of a brand and of its competitors by period, and their part of all these mentions.
-- What mentions several of them counts for each. Each version of the panel is a series of its own: a period in which the
-- competitors changed has rows of both, and shares of two versions are not to be compared.
--
-- parameter brand: the brand
-- parameter panel = []: its competitors; none named: those of brands.yaml, each for as long as the file named them (table panels)
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
-- column version: of the panel in brands.yaml; 0: named by `panel`, or control has noted no competitors of the brand
-- column since: when this version began, UTC; the first one stands for all before, too; null: version 0
-- plot line: begins, percent, brand, panel, version
WITH
    {period:Enum('hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    {brand:String} AS named,
    (
        SELECT groupArray((number, begun, names))
        FROM (SELECT p.version AS number, p.since AS begun, p.competitors AS names FROM panels AS p FINAL WHERE p.brand = {brand:String} ORDER BY number)
    ) AS noted,
    if(notEmpty({panel:Array(String)}) OR empty(noted), [(toUInt32(0), toDateTime64(0, 3, 'UTC'), {panel:Array(String)})], noted) AS series,
    arrayMap(each -> arraySort(arrayDistinct(arrayPushBack(each.3, named))), series) AS members
SELECT
    begins,
    arrayJoin(members[which]) AS brand,
    counts[brand] AS mentions,
    if(total = 0, NULL, 100 * mentions / total) AS percent,
    arrayStringConcat(members[which], ', ') AS panel,
    series[which].1 AS version,
    if(version = 0, NULL, series[which].2) AS since
FROM
(
    SELECT begins, which, mapFromArrays(groupArray(name), groupArray(counted)) AS counts, sum(counted) AS total
    FROM
    (
        SELECT
            toDateTime64(multiIf(
                length = 'hour', toStartOfHour(quarter, place),
                length = 'day', toStartOfDay(quarter, place),
                length = 'week', toDateTime(toStartOfWeek(quarter, 1, place), place),
                length = 'month', toDateTime(toStartOfMonth(quarter, place), place),
                toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
            if(length(series) = 1, 1, greatest(1, arrayCount(each -> each.2 <= q.quarter, series))) AS which,
            toString(q.brand) AS name,
            sum(q.mentions) AS counted
        FROM quarters AS q FINAL
        WHERE q.quarter >= {from:DateTime64(3, 'UTC')} AND q.quarter < {to:DateTime64(3, 'UTC')}
            AND q.brand IN (SELECT arrayJoin(arrayDistinct(arrayFlatten(members))))
            AND (empty({platform:Array(String)}) OR q.platform IN {platform:Array(String)})
            AND (empty({language:Array(String)}) OR q.language IN {language:Array(String)})
        GROUP BY begins, which, name
    )
    WHERE has(members[which], name)
    GROUP BY begins, which
)
ORDER BY begins, version, mentions DESC, brand
