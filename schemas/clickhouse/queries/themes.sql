-- Themes that rise: terms, hashtags or links that more mentions have now than in the equally long time before.
-- The strongest first, by log-odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn, "Fightin' Words", 2008), as
-- alerts are explained. Each counts once a mention; private ones, messages, e-mails and calls are not read. Of many it reads a
-- sample: if there are more than 1,000,000 rows in both times together, those of some hours, by the hash of the hour; of these,
-- if they are more than 20,000 mentions, some by the hash of the event. Column `sample` says one in how many.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter language = []: in these languages; none named: in all
-- parameter from = 30d: mentions from then on, against those of the equally long time before
-- parameter to = now: until before then
-- parameter of = term: what is counted
-- parameter limit = 30: rows at most
-- column theme: a word of three letters or more, a hashtag, or a link without its query
-- column mentions: with it, of those that were read
-- column before: with it in the time before, of those that were read
-- column z: by how many standard deviations its odds have grown; above 1.96
-- column sample: one mention in so many was read
-- plot bar: theme, z
WITH
    {brand:Array(String)} AS named,
    {platform:Array(String)} AS places,
    {language:Array(String)} AS tongues,
    {from:DateTime64(3, 'UTC')} AS begin,
    {to:DateTime64(3, 'UTC')} AS end,
    fromUnixTimestamp64Milli(2 * toUnixTimestamp64Milli(begin) - toUnixTimestamp64Milli(end), 'UTC') AS since,
    500 AS weight,
    toUInt64(dateDiff('minute', since, end)) AS minutes,
    -- How many rows there are, by 97 minutes of the time.
    (
        SELECT greatest(1, intDiv(count() * minutes, 97 * 1000000)) FROM interactions FINAL
        WHERE toStartOfMinute(created_at) IN (SELECT toStartOfMinute(since) + 60 * intDiv(arrayJoin(range(97)) * minutes, 97))
    ) AS hours_in,
    (
        SELECT greatest(1, intDiv(sum(mentions), 20000 * greatest(1, ifNull(hours_in, 1)))) FROM quarters FINAL
        WHERE quarter >= since AND quarter < end AND brand != '' AND (empty(named) OR brand IN named)
            AND (empty(places) OR platform IN places) AND (empty(tongues) OR language IN tongues)
    ) AS one_in
SELECT theme, here AS mentions, there AS before, z, hours_in * one_in AS sample
FROM
(
    SELECT
        theme, here, there,
        sum(here) OVER () AS all_here,
        sum(there) OVER () AS all_there,
        weight * (here + there) / (all_here + all_there) AS prior,
        (here + prior) / (1 + all_here + weight - here - prior) AS odds_here,
        (there + prior) / (1 + all_there + weight - there - prior) AS odds_there,
        (log(odds_here) - log(odds_there)) / sqrt(1 / (here + prior) + 1 / (there + prior)) AS z
    FROM
    (
        SELECT
            arrayJoin(arrayDistinct(multiIf(
                {of:Enum('term', 'hashtag', 'link')} = 'hashtag', arrayMap(each -> lowerUTF8(each), tagged),
                {of:Enum('term', 'hashtag', 'link')} = 'link', arrayMap(each -> cutQueryStringAndFragment(each), linked),
                extractAll(replaceRegexpAll(lowerUTF8(said), 'https?://\\S+|@[\\p{L}\\p{N}_]+', ' '), '[\\p{L}\\p{Nl}\\p{No}]{3,}')))) AS theme,
            sum(late) AS here,
            sum(early) AS there
        FROM
        (
            -- What is equal is taken apart once, and all of it in one block: an expression is compiled anew for each.
            SELECT
                if({of:Enum('term', 'hashtag', 'link')} = 'term', text, '') AS said,
                if({of:Enum('term', 'hashtag', 'link')} = 'hashtag', hashtags, []) AS tagged,
                if({of:Enum('term', 'hashtag', 'link')} = 'link', urls, []) AS linked,
                countIf(created_at >= begin) AS late,
                countIf(created_at < begin) AS early
            FROM interactions FINAL
            WHERE created_at >= since AND created_at < end AND event_key % one_in = 0
                AND (hours_in = 1 OR toStartOfMinute(created_at) IN (
                    SELECT minute FROM (SELECT toStartOfMinute(since) + 60 * arrayJoin(range(minutes + 2)) AS minute)
                    WHERE sipHash64(intDiv(toUnixTimestamp(minute), 3600)) % hours_in = 0))
                AND direction != 'outbound' AND visibility != 'private' AND kind NOT IN ('message', 'email', 'call')
                AND if(empty(named), notEmpty(brands), hasAny(brands, named))
                AND (empty(places) OR platform IN places)
                AND (empty(tongues) OR if(sentiment_language != '', sentiment_language, language) IN tongues)
            GROUP BY said, tagged, linked
        )
        GROUP BY theme
    )
)
WHERE mentions > 1 AND z > 1.96 AND NOT has(extractAll(lowerUTF8(arrayStringConcat(named, ' ')), '[\\p{L}\\p{Nl}\\p{No}]{3,}'), theme)
ORDER BY z DESC, theme
LIMIT {limit:UInt32}
