-- Sentiment of mentions of brands by period. Private ones and those of bots count, too.
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
-- column labelled: of them; the others have no text, a language without a model, or wait for their label
-- column negative: of the labelled
-- column neutral: of the labelled
-- column positive: of the labelled
-- column score: mean over the labelled, from -1 (negative) to 1 (positive); null: none is labelled
-- plot line: begins, score, brand, platform, language
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
    negative + neutral + positive AS labelled,
    sum(q.negative) AS negative,
    sum(q.neutral) AS neutral,
    sum(q.positive) AS positive,
    if(labelled = 0, NULL, sum(q.score) / labelled) AS score
FROM quarters AS q FINAL
WHERE q.quarter >= {from:DateTime64(3, 'UTC')} AND q.quarter < {to:DateTime64(3, 'UTC')} AND q.brand != ''
    AND (empty({brand:Array(String)}) OR q.brand IN {brand:Array(String)})
    AND (empty({platform:Array(String)}) OR q.platform IN {platform:Array(String)})
    AND (empty({language:Array(String)}) OR q.language IN {language:Array(String)})
GROUP BY begins, brand, platform, language
ORDER BY begins, brand, platform, language
