-- Conversations in which a customer waits for an answer now, longest first. What was closed since does not wait.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter team = []: of these teams; none named: of all
-- parameter kind = []: whose first word is of these kinds; none named: of all
-- parameter from = 30d: who waits since then or later
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter done = listed: left-out: without those that somebody said are done, after the words that wait
-- parameter limit = 200: conversations at most
-- column since: the first word without an answer, in the zone
-- column brand: a tracked brand
-- column platform: the channel
-- column kind: of the conversation's first word
-- column team: its team, if it is known
-- column status: its last status, if the platform has one
-- column waiting: words without an answer
-- column answers: answers before
-- column seconds: how long it has waited
-- column business_seconds: the same in the brand's business hours; without hours every second counts
-- column private: whether its first word is private
-- column customer: account_key of who opened it
-- column conversation_id: as the platform names it
-- column owner: who has it; blank: nobody
-- column case_state: taken; done: they said that it needs nothing more, after the words that wait; blank: nobody has it
-- column case_since: when its owner got it, in the zone; null: nobody has it
WITH arrayMap(each -> toString(each), {kind:Array(Enum('post', 'comment', 'reply', 'repost', 'review', 'message', 'call', 'email', 'order', 'reaction', 'like', 'follow', 'vote', 'idea', 'question', 'answer', 'visit', 'profile', 'measure'))}) AS kinds,
    c.state = 'taken' OR (c.state = 'done' AND c.changed_at >= assumeNotNull(t.waiting_since)) AS theirs  -- not what waits since they were done
SELECT
    toTimeZone(assumeNotNull(t.waiting_since), {zone:String}) AS since,
    t.brand AS brand,
    t.platform AS platform,
    t.kind AS kind,
    t.team AS team,
    if(empty(t.statuses), '', t.statuses[-1]) AS status,
    t.waiting AS waiting,
    length(t.answers) AS answers,
    t.waiting_seconds AS seconds,
    t.waiting_business_seconds AS business_seconds,
    t.private AS private,
    t.customer AS customer,
    t.conversation_id AS conversation_id,
    if(theirs, c.owner, '') AS owner,
    if(theirs, c.state, '') AS case_state,
    if(theirs, toTimeZone(c.since, {zone:String}), NULL) AS case_since
FROM
(
    -- What is listed is chosen first, since who has it is looked up among all cases.
    SELECT w.brand, w.platform, w.conversation_id, w.kind, w.team, w.statuses, w.waiting, w.waiting_since, w.answers, w.private, w.customer,
        w.waiting_seconds, w.waiting_business_seconds
    FROM threads AS w FINAL
    LEFT JOIN
    (
        SELECT toString(brand) AS brand, toString(platform) AS platform, conversation_id, changed_at
        FROM cases FINAL WHERE state = 'done' AND {done:Enum('listed', 'left-out')} = 'left-out'
    ) AS d ON d.brand = w.brand AND d.platform = w.platform AND d.conversation_id = w.conversation_id
    WHERE w.waiting > 0 AND w.waiting_since >= {from:DateTime64(3, 'UTC')} AND d.changed_at < assumeNotNull(w.waiting_since)
        AND (empty({brand:Array(String)}) OR w.brand IN {brand:Array(String)})
        AND (empty({platform:Array(String)}) OR w.platform IN {platform:Array(String)})
        AND (empty({team:Array(String)}) OR w.team IN {team:Array(String)})
        AND (empty(kinds) OR has(kinds, toString(w.kind)))
    ORDER BY w.waiting_since, w.brand, w.conversation_id
    LIMIT {limit:UInt64}
) AS t
LEFT JOIN
(
    SELECT toString(brand) AS brand, toString(platform) AS platform, conversation_id, toString(state) AS state, owner, since, changed_at
    FROM cases FINAL
) AS c ON c.brand = t.brand AND c.platform = t.platform AND c.conversation_id = t.conversation_id
ORDER BY since, brand, conversation_id
