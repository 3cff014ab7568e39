"""Which conversations are a person's alone: nobody else but a brand said a word in them. Where somebody took such a one, what
they said of it is about the person.

A word is the person's by its account, whichever of theirs it is, or, without an account, by a hashed address or number. Words
of others who were erased count as nobody's: of two who talked with each other the last one takes what was said of it along.
"""

from __future__ import annotations

from pipeline.clickhouse.query import Query
from pipeline.privacy.place import Sets, where
from pipeline.privacy.register import TABLES
from schemas.conversations import CONVERSATION_SQL, IS_WORD_SQL
from schemas.inbound import INBOUND_SQL

PIECE = 5_000
_TAKEN_BY = "SELECT xxh3(concat(platform, ':', conversation_id)) FROM cases"
_THEIRS = (  # a thread counts who spoke of its brand: not a bystander, nor who spoke of another
    f"SELECT conversation, max(customers) > 1 OR conversation IN ({_TAKEN_BY}) OR conversation IN (SELECT conversation "
    "FROM threads WHERE conversation IN (SELECT conversation FROM threads WHERE customer IN ({accounts})) "
    "AND customer NOT IN ({accounts})) AS doubted FROM threads FINAL WHERE (brand, opened, conversation) IN "
    "(SELECT brand, opened, conversation FROM threads WHERE customer IN ({accounts})) "  # FINAL of all takes seconds
    "AND customer IN ({accounts}) GROUP BY conversation ORDER BY conversation"
)

_MINUTE = "toStartOfMinute(created_at)"
_TAKEN = (
    f"SELECT DISTINCT {CONVERSATION_SQL} AS conversation FROM interactions "
    f"WHERE account_key IN ({{accounts}}) AND {IS_WORD_SQL} "
    f"AND ({_MINUTE}, event_key) IN (SELECT {_MINUTE}, event_key FROM account_events WHERE account_key IN ({{accounts}})) "
    f"AND {CONVERSATION_SQL} IN ({_TAKEN_BY})"
)
_ERASED = where(
    TABLES["interactions"],
    Sets(
        accounts="SELECT key FROM suppressions FINAL WHERE kind = 'account'",
        values="SELECT value FROM suppressions FINAL WHERE kind = 'value'",
    ),
)


def alone(query: Query, accounts: str, values: str = "") -> list[int]:
    """Their keys, sorted. `accounts`, `values`: what IN takes, keys of the person's accounts and hashes of addresses and
    numbers; blank: none. By values all rows are looked through."""
    own, found, doubtful = f"account_key IN ({accounts or 'NULL'}) OR {_ERASED}", set[int](), set[int]()
    if accounts:
        for conversation, doubted in query(_THEIRS.format(accounts=accounts)).iter_rows():
            (doubtful if doubted else found).add(conversation)
        doubtful |= set(query(_TAKEN.format(accounts=accounts)).get_column("conversation")) - found
    if values:
        unnamed = where(TABLES["interactions"], Sets(values=values))
        own += f" OR {unnamed}"
        rows = query(
            f"SELECT DISTINCT {CONVERSATION_SQL} AS conversation FROM interactions WHERE {unnamed} ORDER BY conversation"
        )
        doubtful |= set(rows.get_column("conversation"))
    listed = sorted(doubtful)
    for some in (listed[start : start + PIECE] for start in range(0, len(listed), PIECE)):
        theirs = f"{CONVERSATION_SQL} IN ({', '.join(map(str, some))})"
        of_others = query(  # with the keys FINAL looks at their granules alone: half the CPU time
            f"SELECT DISTINCT {CONVERSATION_SQL} AS conversation FROM interactions FINAL "
            f"WHERE ({_MINUTE}, event_key) IN (SELECT {_MINUTE}, event_key FROM interactions WHERE {theirs}) "
            f"AND {theirs} AND NOT ({own}) AND {IS_WORD_SQL} AND {INBOUND_SQL} AND author_kind != 'bot' ORDER BY conversation"
        )
        found |= set(some) - set(of_others.get_column("conversation"))
    return sorted(found)
