-- Orders of customers after their interactions, beside those before them: what would have come anyway.
-- An order counts for one interaction of its customer about the same brand: `first`, the earliest of those in the days before
-- it, or `last`, the one next to it. Orders in the same number of days before an interaction are counted alike: there `last` is
-- the first interaction after the order, `first` the latest one. Orders without any interaction do not count. Interactions:
-- rows of customers, visits and likes among them, but no orders, profiles and measures, nor those of bots and staff; for user
-- analyst only what is public. A return belongs to its order, whenever it came.
-- Interactions whose days after are not over yet look worse than they will.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: after interactions on these platforms; none named: on all
-- parameter from = 30d: interactions created then or later
-- parameter to = now: until before then
-- parameter days = 7: how long after an interaction, and before it
-- parameter by = []: a row for each platform or campaign of the interactions, too
-- column brand: a tracked brand
-- column platform: of the interaction; blank unless `by` has platform
-- column campaign: of the interaction; blank unless `by` has campaign, and without campaign
-- column touch: first or last
-- column orders: that came in the days after
-- column customers: distinct customers of today of these orders
-- column amount: what they brought, in the reporting currency; returns are taken off
-- column returned: what was returned of them
-- column unconverted: orders among them that lack an amount in part or in whole: table orders, column conversion, says why
-- column delay: the median of the seconds from the interaction to the order; null: no orders
-- column orders_before: orders that came in the same number of days before
-- column amount_before: what these brought
-- plot bar: brand, orders, touch, platform, campaign
WITH
    {from:DateTime64(3, 'UTC')} AS begin,
    {to:DateTime64(3, 'UTC')} AS end,
    {brand:Array(String)} AS named,
    {platform:Array(String)} AS places,
    toIntervalDay({days:UInt16}) AS span,
    arrayMap(each -> toString(each), {by:Array(Enum('platform', 'campaign'))}) AS split,
    bought AS
    (
        SELECT buyer, arrayJoin(if(empty(named), about, arrayIntersect(about, named))) AS brand, at, value, taken_back, lacks
        FROM
        (
            SELECT
                argMinIf(whose, (created_at, event), is_order) AS buyer,
                argMinIf(brands, (created_at, event), is_order) AS about,
                minIf(created_at, is_order) AS at,
                sum(ifNull(money, 0)) AS value,
                0 - sumIf(ifNull(money, 0), NOT is_order) AS taken_back,
                max(isNull(money)) AS lacks
            FROM
            (
                SELECT
                    platform, order_id, created_at, event, customer AS whose, arrayMap(each -> toString(each), brands) AS brands,
                    converted AS money, isNull(amount) OR amount >= 0 AS is_order
                FROM orders
                WHERE created_at >= begin - span
            )
            GROUP BY platform, order_id, if(order_id = '', event, 0)
            HAVING countIf(is_order) > 0 AND at < end + span AND buyer != 0
        )
    ),
    touched AS
    (
        SELECT toucher, brand, arraySort(groupArray((at, event_key, place, action))) AS touches
        FROM
        (
            SELECT
                customer_now AS toucher, arrayJoin(if(empty(named), brands, arrayIntersect(brands, named))) AS brand,
                created_at AS at, event_key, if(has(split, 'platform'), toString(i.platform), '') AS place,
                if(has(split, 'campaign'), campaign, '') AS action
            FROM interactions_now AS i
            WHERE created_at >= begin AND created_at < end AND direction != 'outbound' AND author_kind NOT IN ('bot', 'staff')
                AND kind NOT IN ('order', 'profile', 'measure') AND if(empty(named), notEmpty(brands), hasAny(brands, named))
                AND (empty(places) OR i.platform IN places) AND customer_now IN (SELECT buyer FROM bought)
        )
        GROUP BY toucher, brand
    )
SELECT
    brand,
    counted.2.3 AS platform,
    counted.2.4 AS campaign,
    counted.1 AS touch,
    countIf(after) AS orders,
    uniqExactIf(buyer, after) AS customers,
    sumIf(value, after) AS amount,
    sumIf(taken_back, after) AS returned,
    countIf(after AND lacks) AS unconverted,
    if(orders = 0, NULL, quantileExactInclusiveIf(0.5)(waited, after)) AS delay,
    countIf(NOT after) AS orders_before,
    sumIf(value, NOT after) AS amount_before
FROM
(
    SELECT
        b.brand AS brand, buyer, value, taken_back, lacks,
        arrayFilter(each -> each.1 < at AND each.1 >= at - span, touches) AS earlier,
        arrayFilter(each -> each.1 > at AND each.1 <= at + span, touches) AS later,
        arrayJoin(arrayConcat(
            if(empty(earlier), [], [('first', earlier[1], true), ('last', earlier[-1], true)]),
            if(empty(later), [], [('last', later[1], false), ('first', later[-1], false)]))) AS counted,
        counted.3 AS after,
        (toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(counted.2.1)) / 1000 AS waited
    FROM bought AS b
    INNER JOIN touched AS t ON t.toucher = b.buyer AND t.brand = b.brand
)
GROUP BY brand, platform, campaign, touch
ORDER BY brand, touch, orders DESC, platform, campaign
SETTINGS final = 1, do_not_merge_across_partitions_select_final = 1
