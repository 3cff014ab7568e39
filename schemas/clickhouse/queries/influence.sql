-- Accounts whose posts about brands move others, the most influential first.
-- influence = relative * amplification. relative: the mean over its posts of (engagement + 1) / (median + 1), where the median is
-- that of all these posts of its platform, and five posts of 1 are added, so that few posts say little. amplification: 1 + the
-- natural logarithm of 1 + the number of other accounts that reposted or answered them. Posts: posts, questions, ideas, reviews,
-- comments, replies and answers, not those of brands and staff.
--
-- parameter brand = []: posts about these brands; none named: about any
-- parameter platform = []: on these platforms; none named: on all
-- parameter from = 30d: posts created then or later
-- parameter to = now: until before then
-- parameter limit = 100: accounts at most
-- column account: its key, for `earshot query timeline`
-- column platform: where
-- column handle: as last seen
-- column posts: how many
-- column engagement: likes, shares and replies of a post, in the mean
-- column followers: as last known
-- column relative: its posts beside the platform's median
-- column others: distinct accounts that reposted or answered them
-- column influence: relative * amplification
-- plot bar: handle, influence, platform
WITH
    {from:DateTime64(3, 'UTC')} AS begin,
    {to:DateTime64(3, 'UTC')} AS end,
    {brand:Array(String)} AS named,
    {platform:Array(String)} AS places,
    own AS
    (
        SELECT
            account_key AS account, platform, author_handle, author_followers, created_at, xxh3(concat(platform, '\x1f', id)) AS post,
            greatest(ifNull(metrics_likes, 0), 0) + greatest(ifNull(metrics_shares, 0), 0) + greatest(ifNull(metrics_replies, 0), 0)
                AS reactions
        FROM interactions FINAL
        WHERE created_at >= begin AND created_at < end AND direction != 'outbound' AND author_kind != 'staff' AND account_key != 0
            AND kind IN ('post', 'question', 'idea', 'review', 'comment', 'reply', 'answer')
            AND if(empty(named), notEmpty(brands), hasAny(brands, named)) AND (empty(places) OR platform IN places)
    ),
    medians AS (SELECT platform, quantileExact(0.5)(reactions) AS median FROM own GROUP BY platform),
    answers AS
    (
        SELECT xxh3(concat(platform, '\x1f', if(in_reply_to != '', in_reply_to, target))) AS post, groupUniqArray(account_key) AS accounts
        FROM interactions FINAL
        WHERE created_at >= begin AND created_at < end AND kind IN ('repost', 'comment', 'reply', 'answer') AND account_key != 0
            AND direction != 'outbound' AND (empty(places) OR platform IN places) AND post IN (SELECT post FROM own)
        GROUP BY post
    )
SELECT
    leftPad(lower(hex(account)), 16, '0') AS account,
    any(o.platform) AS platform,
    argMax(o.author_handle, o.created_at) AS handle,
    count() AS posts,
    avg(o.reactions) AS engagement,
    argMax(ifNull(o.author_followers, 0), o.created_at) AS followers,
    (sum((o.reactions + 1) / (m.median + 1)) + 5) / (posts + 5) AS relative,
    uniqExactArray(arrayFilter(each -> each != o.account, a.accounts)) AS others,
    relative * (1 + log(1 + others)) AS influence
FROM own AS o
INNER JOIN medians AS m ON m.platform = o.platform
LEFT JOIN answers AS a ON a.post = o.post
GROUP BY o.account
ORDER BY influence DESC, account
LIMIT {limit:UInt32}
