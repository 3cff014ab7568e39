-- How long customers waited for an answer, by period: how many answers came within which time, and within a target.
-- What has no end yet is in `open`, and in no time: a young period looks better than it will.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter team = []: of these teams; none named: of all
-- parameter from = 30d: waits that begin then or later
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter period = all: how long a row's time is; weeks begin on Monday
-- parameter by = []: a row for each platform or team, too
-- parameter measure = first: first: from the customer's first word to the first answer; next: of every answer, from the first word
--   that it answers; resolution: from the first word to the end of the conversation
-- parameter clock = all: all: every second counts; business: those of the brand's business hours (brands.yaml)
-- parameter target = 60: minutes
-- column begins: when the period begins, in the zone; of `all`: --from
-- column brand: a tracked brand
-- column platform: blank unless `by` has platform
-- column team: blank unless `by` has team
-- column ended: waits with an answer (resolution: an end)
-- column open: waits without one
-- column early: conversations whose only answer is dated before the word that it answers: nobody knows how long that took
-- column within_1h: waits of an hour or less
-- column within_4h: of more than that, up to 4 hours
-- column within_8h: up to 8 hours
-- column within_24h: up to 24 hours
-- column later: of more than 24 hours
-- column in_target: percent of `ended` that took the target or less; null: none ended
-- column median: seconds; null: none ended
-- column p90: nine of ten took these seconds or less
-- column mean: seconds
-- plot line: begins, median, brand, platform, team
WITH
    {period:Enum('hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    {measure:Enum('first', 'next', 'resolution')} AS measured,
    arrayMap(each -> toString(each), {by:Array(Enum('platform', 'team'))}) AS split
SELECT
    toDateTime64(multiIf(
        length = 'hour', toStartOfHour(began, place),
        length = 'day', toStartOfDay(began, place),
        length = 'week', toDateTime(toStartOfWeek(began, 1, place), place),
        length = 'month', toDateTime(toStartOfMonth(began, place), place),
        toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
    brand,
    if(has(split, 'platform'), channel, '') AS platform,
    if(has(split, 'team'), crew, '') AS team,
    count(seconds) AS ended,
    countIf(seconds IS NULL AND NOT is_early) AS open,
    countIf(is_early) AS early,
    countIf(seconds <= 3600) AS within_1h,
    countIf(seconds > 3600 AND seconds <= 4 * 3600) AS within_4h,
    countIf(seconds > 4 * 3600 AND seconds <= 8 * 3600) AS within_8h,
    countIf(seconds > 8 * 3600 AND seconds <= 24 * 3600) AS within_24h,
    countIf(seconds > 24 * 3600) AS later,
    if(ended = 0, NULL, 100 * countIf(seconds <= 60 * {target:UInt32}) / ended) AS in_target,
    if(ended = 0, NULL, quantileExactInclusive(0.5)(seconds)) AS median,
    if(ended = 0, NULL, quantileExactInclusive(0.9)(seconds)) AS p90,
    avg(seconds) AS mean
FROM
(
    SELECT
        t.brand AS brand, t.platform AS channel, t.team AS crew, {clock:Enum('all', 'business')} = 'business' AS in_hours,
        measured = 'first' AND empty(answers) AND early > 0 AS is_early,
        arrayJoin(multiIf(
            measured = 'first', [(opened, if(in_hours, first_business_seconds, first_seconds))],
            measured = 'resolution', [(opened, if(in_hours, resolution_business_seconds, resolution_seconds))],
            arrayConcat(
                arrayMap((at, lasted) -> (at, toNullable(lasted)), asked_at, if(in_hours, answer_business_seconds, answer_seconds)),
                if(waiting = 0, [], [(assumeNotNull(waiting_since), NULL)])))) AS wait,
        wait.1 AS began, wait.2 AS seconds
    FROM threads AS t FINAL
    WHERE t.opened < {to:DateTime64(3, 'UTC')} AND (measured = 'next' OR t.opened >= {from:DateTime64(3, 'UTC')})
        AND (empty({brand:Array(String)}) OR t.brand IN {brand:Array(String)})
        AND (empty({platform:Array(String)}) OR t.platform IN {platform:Array(String)})
        AND (empty({team:Array(String)}) OR t.team IN {team:Array(String)})
)
WHERE began >= {from:DateTime64(3, 'UTC')} AND began < {to:DateTime64(3, 'UTC')}
GROUP BY begins, brand, platform, team
ORDER BY begins, brand, platform, team
