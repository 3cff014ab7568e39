"""What a conversation comes to, as SQL over rows of `interactions`; the columns: schemas/clickhouse/020_threads.sql.

rows of the conversations -> which word each of ours names -> once for each brand -> whose words count -> which of ours
answers each word -> one row
"""

from __future__ import annotations

from schemas.conversations import CONVERSATION_SQL, IS_WORD_SQL, NAME_SQL
from schemas.inbound import INBOUND_SQL

CLOSED = ("closed", "solved", "resolved", "done", "completed")
"""Statuses, in small letters, after which nobody waits."""

_LATEST = "9223372036854775807"


def threads(touched: str, where: str) -> str:
    """SELECT: a row for each brand of the conversations that the SELECT `touched` gives, from their rows that `where` holds
    of."""
    named = _NAMED.format(touched=touched, where=where)
    return _ONE_ROW.format(runs=_RUNS.format(answered=_ANSWERED.format(counted=_COUNTED.format(named=named))))


# The rows. `side` 0: a customer's word, 1: ours, 2: of a bot. A row names another by in_reply_to, if by any: it is there twice
# until the other is found; then `word_by` and `word_at` say whose word that is, and its time. An author without account is 1.
_NAMED = f"""
SELECT * EXCEPT (key), if(names = 0, 0, found_by) AS word_by, if(names = 0, 0, found_at) AS word_at,
    if(side = 1, word_by, author) AS person, groupUniqArrayArray(brands) OVER (PARTITION BY conversation) AS all_brands
FROM
(
    SELECT *, max(if(side = 0 AND key = event_key, author, 0)) OVER word AS found_by,
        max(if(side = 0 AND key = event_key, at, 0)) OVER word AS found_at
    FROM
    (
        SELECT {CONVERSATION_SQL} AS conversation, {NAME_SQL} AS conversation_id, platform, kind, event_key, account_key,
            toUnixTimestamp64Milli(created_at) AS at, intDiv(at, 900000) AS quarter, visibility = 'private' AS private,
            arrayMap(brand -> toString(brand), brands) AS brands, if(empty(brands_given), brands, brands_given) AS spoken_for,
            multiIf(author_kind = 'bot', 2, {INBOUND_SQL}, 0, 1) AS side, greatest(account_key, 1) AS author,
            if(in_reply_to IN ('', id), 0, xxh3(concat(platform, ':', in_reply_to))) AS names,
            arrayJoin(if(names = 0, [event_key], [event_key, names])) AS key,
            toString(thread_team) AS team, toString(thread_status) AS status, toUnixTimestamp64Milli(metrics_at) AS stated_at
        FROM interactions FINAL
        WHERE {{where}} AND {IS_WORD_SQL} AND {CONVERSATION_SQL} IN ({{touched}})
    )
    WINDOW word AS (PARTITION BY conversation, key)
)
WHERE key = if(names = 0, event_key, names)"""

# Once for each brand: our words for the brand, and the words of its customers. One of ours that is dated before the word
# that it answers is `effective` at that word. A remark is in reply to somebody else's word: who made it did not wait before.
_COUNTED = """
SELECT *,
    if(side = 1, greatest(at, word_at), at) AS effective,
    side = 0 AND word_by NOT IN (0, author) AS is_remark,
    side = 1 AND word_at > at AS is_early,
    max(if(status = '', (toInt64(0), toUInt64(0), ''), (stated_at, event_key, status)))
        OVER (PARTITION BY conversation, brand) AS last_status,
    if(lower(last_status.3) IN ({closed}), last_status.1, 0) AS closed
FROM
(
    SELECT * EXCEPT (all_brands), arrayJoin(all_brands) AS brand, has(if(side = 1, spoken_for, brands), brand) AS named,
        max(multiIf(side = 0, named OR private, side = 1, person != 0 AND (named OR empty(spoken_for)), false))
            OVER (PARTITION BY conversation, brand, person) AS is_customer
    FROM ({{named}})
)
WHERE if(side = 0, is_customer, named OR empty(spoken_for))""".format(closed="'" + "', '".join(CLOSED) + "'")

# The first of ours at or after each word, among those for its author and those for everybody: (time, event_key). A word that
# has none is closed (run 1) or waits (run 0). A level each: ClickHouse plans an alias anew wherever it stands.
_ANSWERED = f"""
SELECT *, multiIf(side = 1, event_key, side = 2, 2, next.1 < {_LATEST}, next.2, at <= closed, 1, 0) AS run
FROM
(
    SELECT *, if(next_for_one < next_for_all, next_for_one, next_for_all) AS next
    FROM
    (
        SELECT *,
            min(if(side = 1 AND person = 0, (effective, event_key), (toInt64({_LATEST}), toUInt64(0)))) OVER everybody
                AS next_for_all,
            min(if(side = 1 AND person != 0, (effective, event_key), (toInt64({_LATEST}), toUInt64(0)))) OVER own
                AS next_for_one
        FROM ({{counted}})
        WINDOW
            everybody AS (PARTITION BY conversation, brand ORDER BY effective DESC, side DESC, event_key DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
            own AS (PARTITION BY conversation, brand, person ORDER BY effective DESC, side DESC, event_key DESC
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
)"""

# A run: words, and the one of ours that answers them all. One of ours that answers none is a run of its own. Its wait begins
# with the first word, or the last remark up to the word that is named.
_RUNS = """
SELECT conversation, brand, run, any(conversation_id) AS called, any(platform) AS channel, any(closed) AS closed_ms,
    countIf(side = 0) AS said, minIf((at, event_key, account_key, kind, private), side = 0) AS first_word,
    maxIf(at, side = 0) AS said_at, groupArrayIf(at, is_remark) AS remarks, maxIf(word_at, side = 1) AS named_at,
    groupUniqArrayIf(person, side = 0) AS people,
    countIf(side = 1) AS replied, maxIf(at, side = 1) AS replied_at, maxIf(effective, side = 1) AS ended_at,
    max(is_early) AS before,
    max((if(team = '', 0, stated_at), event_key, team)) AS last_team,
    groupArrayIf((stated_at, event_key, status), status != '') AS stated, groupUniqArray(quarter) AS at_quarters
FROM ({answered})
GROUP BY conversation, brand, run"""

_TIME = "fromUnixTimestamp64Milli({}, 'UTC')"
_MAYBE = f"if({{0}} > 0, {_TIME.format('{0}')}, NULL)"
_ONE_ROW = f"""
SELECT brand, {_TIME.format("first.1")} AS opened, conversation, conversation_id, platform, first.4 AS kind, first.5 AS private,
    team, first.3 AS customer, customers, words, ours, arrayMap(answer -> answer.2, found) AS answers,
    arrayMap(answer -> {_TIME.format("answer.3")}, found) AS asked_at,
    arrayMap(answer -> {_TIME.format("answer.1")}, found) AS answered_at,
    early, waiting, {_MAYBE.format("waits_ms")} AS waiting_since, {_TIME.format("said_ms")} AS last_customer,
    {_MAYBE.format("replied_ms")} AS last_ours, arrayMap(state -> state.3, changes) AS statuses,
    arrayMap(state -> {_TIME.format("state.1")}, changes) AS status_at, {_MAYBE.format("end_ms")} AS closed_at,
    arrayCount(since -> since > if(first_end = 0, end_ms, first_end), if(first_end + end_ms = 0, [], begun)) AS reopened,
    multiIf(end_ms > 0, closed_at, waiting = 0 AND empty(states) AND notEmpty(found), answered_at[-1], NULL) AS resolved_at,
    arraySort(all_quarters) AS quarters
FROM
(
    SELECT conversation, brand, any(called) AS conversation_id, any(channel) AS platform, any(closed_ms) AS end_ms,
        minIf(first_word, said > 0) AS first, max(last_team).3 AS team, length(groupUniqArrayArray(people)) AS customers,
        sum(said) AS words, sum(replied) AS ours, max(said_at) AS said_ms, max(replied_at) AS replied_ms,
        arraySort(groupArrayIf((replied_at, run, greatest(first_word.1, arrayMax(arrayFilter(at -> at <= named_at, remarks)))),
            said > 0 AND replied > 0 AND NOT before)) AS found,
        countIf(before) AS early, sumIf(said, run = 0) AS waiting, maxIf(first_word.1, run = 0) AS waits_ms,
        minIf(ended_at, said > 0 AND replied > 0) AS first_end, groupArrayIf(first_word.1, said > 0) AS begun,
        arraySort(groupArrayArray(stated)) AS states,
        arrayFilter((state, place) -> place = 1 OR states[place - 1].3 != state.3, states, arrayEnumerate(states)) AS changes,
        groupUniqArrayArray(at_quarters) AS all_quarters
    FROM ({{runs}})
    GROUP BY conversation, brand
    HAVING words > 0
)"""
