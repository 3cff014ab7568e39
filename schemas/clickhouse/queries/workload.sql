-- What has to be answered, and what was, by hour of the week: how many people are needed.
-- A customer who writes several words before an answer asks once. An hour that came twice when the clock changed counts twice.
--
-- parameter brand = []: of these brands; none named: of all
-- parameter platform = []: on these platforms; none named: on all
-- parameter team = []: of these teams; none named: of all
-- parameter from = 28d: from then on: whole weeks are best
-- parameter to = now: until before then
-- parameter zone = UTC: whose hours, days, weeks and months
-- parameter by = []: a row for each platform or team, too
-- parameter rate = 10: how many a person answers in an hour
-- column weekday: 1: Monday
-- column hour: 0 to 23
-- column platform: blank unless `by` has platform
-- column team: blank unless `by` has team
-- column questions: public words that begin a wait
-- column calls: calls
-- column messages: private messages and e-mails that begin a wait
-- column answers: answers of the brand
-- column hours: how often this hour came between `from` and `to`, parts of it too
-- column asked: questions, calls and messages in such an hour, on average
-- column people: who answer `rate` an hour each, for `asked`
-- plot line: hour, asked, weekday, platform, team
WITH
    {zone:String} AS place,
    arrayMap(each -> toString(each), {by:Array(Enum('platform', 'team'))}) AS split,
    weeks AS
    (
        SELECT toDayOfWeek(begins, 0, place) AS weekday, toHour(begins, place) AS hour, count() AS hours
        FROM
        (
            SELECT DISTINCT toStartOfHour(toDateTime({from:DateTime64(3, 'UTC')}, 'UTC') + 900 * number, place) AS begins
            FROM numbers(toUInt64(greatest(0, intDiv(899
                + toUnixTimestamp({to:DateTime64(3, 'UTC')}) - toUnixTimestamp({from:DateTime64(3, 'UTC')}), 900))))
        )
        GROUP BY weekday, hour
    ),
    counted AS
    (
        SELECT
            toDayOfWeek(at, 0, place) AS weekday,
            toHour(at, place) AS hour,
            if(has(split, 'platform'), channel, '') AS platform,
            if(has(split, 'team'), crew, '') AS team,
            countIf(what = 0) AS questions,
            countIf(what = 1) AS calls,
            countIf(what = 2) AS messages,
            countIf(what = 3) AS answers
        FROM
        (
            SELECT
                toString(t.platform) AS channel, toString(t.team) AS crew,
                multiIf(kind = 'call', 1, private, 2, 0) AS asks,
                arrayJoin(arrayConcat(
                    arrayMap(at -> (at, asks), arrayDistinct(arrayConcat(
                        [opened], asked_at, if(waiting = 0, [], [assumeNotNull(waiting_since)])))),
                    arrayMap(at -> (at, 3), answered_at))) AS each,
                each.1 AS at, each.2 AS what
            FROM threads AS t FINAL
            WHERE t.opened < {to:DateTime64(3, 'UTC')}
                AND greatest(last_customer, ifNull(last_ours, last_customer)) >= {from:DateTime64(3, 'UTC')}
                AND (empty({brand:Array(String)}) OR t.brand IN {brand:Array(String)})
                AND (empty({platform:Array(String)}) OR t.platform IN {platform:Array(String)})
                AND (empty({team:Array(String)}) OR t.team IN {team:Array(String)})
        )
        WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}
        GROUP BY weekday, hour, platform, team
    )
SELECT
    weekday, hour, platform, team, sum(c.questions) AS questions, sum(c.calls) AS calls, sum(c.messages) AS messages,
    sum(c.answers) AS answers, any(c.hours) AS hours,
    (questions + calls + messages) / hours AS asked, toUInt32(ceil(asked / {rate:UInt32})) AS people
FROM
(
    SELECT
        weeks.weekday AS weekday, weeks.hour AS hour, weeks.hours AS hours, parts.platform AS platform, parts.team AS team,
        n.questions AS questions, n.calls AS calls, n.messages AS messages, n.answers AS answers
    FROM weeks
    CROSS JOIN (SELECT DISTINCT platform, team FROM counted) AS parts
    LEFT JOIN counted AS n
        ON n.weekday = weeks.weekday AND n.hour = weeks.hour AND n.platform = parts.platform AND n.team = parts.team
) AS c
GROUP BY weekday, hour, platform, team
ORDER BY platform, team, weekday, hour
