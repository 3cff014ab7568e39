-- Accounts whose posts about brands move others, the most influential first.
-- influence = relative * amplification. relative: the mean over its posts of (engagement + 1) / (median + 1), where the median is
-- that of all these posts of its platform, and five posts of 1 are added, so that few posts say little. amplification: 1 + the
-- natural logarithm of 1 + the number of other accounts that reposted or answered them. Posts: posts, questions, ideas, reviews,
-- comments, replies and answers, not those of brands and staff. role: by roles.yaml, from the rows of this time about these brands, in
-- whole quarter-hours; of two brands the rule that stands first.
--
-- parameter brand = []: posts about these brands; none named: about any
-- parameter platform = []: on these platforms; none named: on all
-- parameter role = []: accounts with these roles; none named: all
-- parameter from = 30d: posts created then or later
-- parameter to = now: until before then
-- parameter limit = 100: accounts at most
-- column account: its key, for `earshot query timeline`
-- column platform: where
-- column handle: as last seen
-- column role: customer, prospect, employee, competitor, media, partner or bot; blank: no rule holds
-- column posts: how many
-- column engagement: likes, shares and replies of a post, in the mean
-- column followers: as last known
-- column relative: its posts beside the platform's median
-- column others: distinct accounts that reposted or answered them
-- column influence: relative * amplification
-- plot bar: handle, influence, platform, role
WITH
    {from:DateTime64(3, 'UTC')} AS begin,
    {to:DateTime64(3, 'UTC')} AS end,
    {brand:Array(String)} AS named,
    {platform:Array(String)} AS places,
    arrayMap(each -> toString(each), {role:Array(Enum('bot', 'competitor', 'customer', 'employee', 'media', 'partner', 'prospect'))})
        AS wanted
SELECT
    leftPad(lower(hex(who)), 16, '0') AS account,
    place AS platform,
    handle,
    r.role AS role,
    posts,
    reacted / posts AS engagement,
    followed AS followers,
    ((reacted + posts) / (median + 1) + 5) / (posts + 5) AS relative,
    others,
    relative * (1 + log(1 + others)) AS influence
FROM
(
    SELECT *, quantileExactArray(0.5)(each) OVER (PARTITION BY place) AS median
    FROM
    (
        SELECT
            who, any(place) AS place, argMax(called, at) AS handle, argMax(known, at) AS followed, count() AS posts,
            sum(reactions) AS reacted, groupArray(reactions) AS each,
            uniqExactArray(arrayFilter(account -> account != who, accounts)) AS others
        FROM
        (
            SELECT
                any(o.platform) AS place, any(o.account) AS who, any(o.author_handle) AS called, any(o.known) AS known, any(o.at) AS at,
                any(o.moved) AS reactions, groupUniqArrayIf(a.account, a.account != 0) AS accounts
            FROM
            (
                SELECT xxh3(platform, if(in_reply_to != '', in_reply_to, target)) AS post, account_key AS account
                FROM interactions FINAL
                WHERE created_at >= begin AND created_at < end AND kind IN ('repost', 'comment', 'reply', 'answer')
                    AND (in_reply_to != '' OR target != '') AND direction != 'outbound' AND account_key != 0
                    AND (empty(places) OR platform IN places)
            ) AS a
            -- What is joined from the right is held in memory: few posts beside all answers.
            RIGHT JOIN
            (
                SELECT
                    xxh3(platform, id) AS post, platform, account_key AS account, author_handle, ifNull(author_followers, 0) AS known,
                    created_at AS at, greatest(ifNull(metrics_likes, 0), 0) + greatest(ifNull(metrics_shares, 0), 0)
                        + greatest(ifNull(metrics_replies, 0), 0) AS moved
                FROM interactions FINAL
                WHERE created_at >= begin AND created_at < end AND direction != 'outbound' AND author_kind != 'staff'
                    AND account_key != 0 AND kind IN ('post', 'question', 'idea', 'review', 'comment', 'reply', 'answer')
                    AND if(empty(named), notEmpty(brands), hasAny(brands, named)) AND (empty(places) OR platform IN places)
            ) AS o ON a.post = o.post
            GROUP BY o.post
        )
        GROUP BY who
    )
) AS w
LEFT JOIN
(
    SELECT q.account_key AS account, toString(argMin(q.role, (q.role_rank, -toInt64(toUnixTimestamp(q.quarter))))) AS role
    FROM account_quarters AS q FINAL
    WHERE q.quarter >= toStartOfFifteenMinutes(begin) AND q.quarter < end AND (empty(named) OR q.brand IN named)
    GROUP BY q.account_key
) AS r ON r.account = w.who
WHERE empty(wanted) OR has(wanted, r.role)
ORDER BY influence DESC, account
LIMIT {limit:UInt32}
