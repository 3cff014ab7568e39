-- Customers who come back: the days on which each did something about a brand, visits and reads among it.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter from = 30d: rows created then or later
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter least = 2: days at least
-- parameter limit = 100: customers of each brand at most
-- column brand: a tracked brand
-- column customer: key of the customer of today, for `earshot query timeline`
-- column days: distinct days of the zone with a row
-- column actions: rows
-- column platforms: where
-- column first: the first row, UTC
-- column last: the last row, UTC
SELECT
    brand, leftPad(lower(hex(who)), 16, '0') AS customer, days, actions,
    arraySort(arrayMap(place -> toString(place), places)) AS platforms, first, last
FROM
(
    -- Groups by numbers and short names: texts made of them for each row would take as long as the rest.
    SELECT
        arrayJoin(if(empty({brand:Array(String)}), brands, arrayIntersect(brands, {brand:Array(String)}))) AS brand,
        customer_now AS who,
        length(groupUniqArray(toDate(created_at, {zone:String}))) AS days,
        count() AS actions,
        groupUniqArray(platform) AS places,
        min(created_at) AS first,
        max(created_at) AS last
    FROM interactions_now
    WHERE created_at >= {from:DateTime64(3, 'UTC')} AND created_at < {to:DateTime64(3, 'UTC')} AND direction != 'outbound'
        AND account_key != 0 AND author_kind NOT IN ('bot', 'staff')
        AND if(empty({brand:Array(String)}), notEmpty(brands), hasAny(brands, {brand:Array(String)}))
        AND (empty({platform:Array(String)}) OR platform IN {platform:Array(String)})
    GROUP BY brand, who
    HAVING days >= {least:UInt32}
)
ORDER BY days DESC, actions DESC, who, brand
LIMIT {limit:UInt32} BY brand
SETTINGS final = 1, do_not_merge_across_partitions_select_final = 1
