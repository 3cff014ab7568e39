-- Advocates of brands: customers who say more positive about one than negative, in labelled mentions. Bots and staff are left out.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter from = 30d: mentions created then or later
-- parameter to = now: until before then
-- parameter least = 2: positive mentions at least
-- parameter limit = 100: customers of each brand at most
-- column brand: a tracked brand
-- column customer: key of the customer of today, for `earshot query timeline`
-- column positive: mentions labelled so
-- column neutral: mentions labelled so
-- column negative: mentions labelled so
-- column score: mean over these, from -1 (negative) to 1 (positive)
-- column followers: of its account with the most, as last known
-- column platforms: where
-- column last: the last of these mentions, UTC
SELECT
    brand, leftPad(lower(hex(who)), 16, '0') AS customer, positive, neutral, negative, score, followers,
    arraySort(arrayMap(place -> toString(place), places)) AS platforms, last
FROM
(
    -- Groups by numbers and short names: texts made of them for each row would take as long as the rest.
    SELECT
        arrayJoin(if(empty({brand:Array(String)}), brands, arrayIntersect(brands, {brand:Array(String)}))) AS brand,
        customer_now AS who,
        countIf(sentiment_label = 'positive') AS positive,
        countIf(sentiment_label = 'neutral') AS neutral,
        countIf(sentiment_label = 'negative') AS negative,
        avg(toFloat64(sentiment_positive) - toFloat64(sentiment_negative)) AS score,
        max(greatest(ifNull(author_followers, 0), 0)) AS followers,
        groupUniqArray(platform) AS places,
        max(created_at) AS last
    FROM interactions_now
    WHERE created_at >= {from:DateTime64(3, 'UTC')} AND created_at < {to:DateTime64(3, 'UTC')} AND direction != 'outbound'
        AND account_key != 0 AND author_kind NOT IN ('bot', 'staff') AND sentiment_label != ''
        AND if(empty({brand:Array(String)}), notEmpty(brands), hasAny(brands, {brand:Array(String)}))
        AND (empty({platform:Array(String)}) OR platform IN {platform:Array(String)})
    GROUP BY brand, who
    HAVING positive >= {least:UInt32} AND positive > negative
)
ORDER BY positive - negative DESC, followers DESC, who, brand
LIMIT {limit:UInt32} BY brand
SETTINGS final = 1, do_not_merge_across_partitions_select_final = 1
