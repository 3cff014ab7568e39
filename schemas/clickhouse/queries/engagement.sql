-- How people deal with brands: four levels of engagement by period, or by customer.
-- Consumption: visits and follows. Curation: likes, votes, reactions, ratings, reposts. Creation: posts, comments, questions,
-- ideas, reviews without a rating. Collaboration: replies and answers to others. What brands wrote, orders, messages, e-mails,
-- calls, profiles and measures are none of them.
--
-- parameter brand = []: of these brands; none named: of all, and of none
-- parameter platform = []: on these platforms; none named: on all
-- parameter from = 30d: rows created then or later
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter period = all: how long a row's time is; weeks begin on Monday
-- parameter by = []: a row for each platform or customer, too
-- column begins: when the period begins, in the zone; of `all`: --from
-- column level: consumption, curation, creation or collaboration
-- column platform: blank unless `by` has platform
-- column customer: key of the customer of today, for `earshot query timeline`; blank unless `by` has customer, and without author
-- column actions: rows of the level
-- column customers: distinct customers of these rows
-- plot line: begins, actions, level, platform
WITH
    {period:Enum('hour', 'day', 'week', 'month', 'all')} AS length,
    {zone:String} AS place,
    arrayMap(each -> toString(each), {by:Array(Enum('platform', 'customer'))}) AS split
SELECT
    toDateTime64(multiIf(
        length = 'hour', toStartOfHour(toDateTime(created_at), place),
        length = 'day', toStartOfDay(toDateTime(created_at), place),
        length = 'week', toDateTime(toStartOfWeek(created_at, 1, place), place),
        length = 'month', toDateTime(toStartOfMonth(created_at, place), place),
        toDateTime({from:DateTime64(3, 'UTC')}, place)), 0, place) AS begins,
    multiIf(
        kind IN ('visit', 'follow'), 'consumption',
        kind IN ('like', 'vote', 'reaction', 'repost') OR isNotNull(rating), 'curation',
        kind IN ('reply', 'answer'), 'collaboration',
        'creation') AS level,
    if(has(split, 'platform'), i.platform, '') AS platform,
    if(has(split, 'customer') AND customer_now != 0, leftPad(lower(hex(customer_now)), 16, '0'), '') AS customer,
    count() AS actions,
    uniqExactIf(customer_now, customer_now != 0) AS customers
FROM interactions_now AS i
WHERE created_at >= {from:DateTime64(3, 'UTC')} AND created_at < {to:DateTime64(3, 'UTC')} AND direction != 'outbound'
    AND kind IN ('visit', 'follow', 'like', 'vote', 'reaction', 'repost', 'post', 'comment', 'question', 'idea', 'review', 'reply', 'answer')
    AND (empty({brand:Array(String)}) OR hasAny(brands, {brand:Array(String)}))
    AND (empty({platform:Array(String)}) OR i.platform IN {platform:Array(String)})
GROUP BY begins, level, platform, customer
ORDER BY begins, level, platform, actions DESC, customer
SETTINGS final = 1, do_not_merge_across_partitions_select_final = 1
