-- Mentions of brands by period: what others wrote, private messages and bots among it. A mention of two brands counts for each.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter language = []: in these languages; none named: in all
-- parameter from = 30d: quarter-hours that begin then or later
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter period = day: how long a row's time is; weeks begin on Monday
-- parameter by = []: a row for each platform or language, too
-- column begins: when the period begins, in the zone; of `all`: --from
-- column brand: a tracked brand
-- column platform: blank unless `by` has platform
-- column language: blank unless `by` has language
-- column mentions: rows of others
-- column private: of them
-- column bots: of them, by what the source says of the author
-- column ours: rows of the brand itself, not in mentions
-- column engagement: likes, shares and replies of mentions, as last known
-- column reach: followers of the authors, added up mention by mention
-- plot line: begins, mentions, brand, platform, language
WITH
    {period:Enum('quarter-hour', 'hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    arrayMap(each -> toString(each), {by:Array(Enum('platform', 'language'))}) AS split
SELECT
    toDateTime64(multiIf(
        length = 'quarter-hour', toDateTime(quarter, place),
        length = 'hour', toStartOfHour(quarter, place),
        length = 'day', toStartOfDay(quarter, place),
        length = 'week', toDateTime(toStartOfWeek(quarter, 1, place), place),
        length = 'month', toDateTime(toStartOfMonth(quarter, place), place),
        toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
    q.brand AS brand,
    if(has(split, 'platform'), q.platform, '') AS platform,
    if(has(split, 'language'), q.language, '') AS language,
    sum(q.mentions) AS mentions,
    sum(q.private) AS private,
    sum(q.bots) AS bots,
    sum(q.ours) AS ours,
    sum(q.engagement) AS engagement,
    sum(q.reach) AS reach
FROM quarters AS q FINAL
WHERE q.quarter >= {from:DateTime64(3, 'UTC')} AND q.quarter < {to:DateTime64(3, 'UTC')} AND q.brand != ''
    AND (empty({brand:Array(String)}) OR q.brand IN {brand:Array(String)})
    AND (empty({platform:Array(String)}) OR q.platform IN {platform:Array(String)})
    AND (empty({language:Array(String)}) OR q.language IN {language:Array(String)})
GROUP BY begins, brand, platform, language
ORDER BY begins, brand, platform, language
