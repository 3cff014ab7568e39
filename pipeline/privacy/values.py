"""The addresses and numbers of a person, as hashes: by both keys while the hash key is being changed."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.clickhouse.query import Query
from pipeline.clickhouse.row_versions import quoted
from pipeline.privacy.person import Value
from schemas.identity import value_key

_VALUES = ("email", "phone")
_MINUTE = "toStartOfMinute(created_at)"


def values_of(query: Query, keys: Iterable[int]) -> tuple[Value, ...]:
    """The hashed addresses and numbers in rows and CRM records of these accounts."""
    listed, found = ", ".join(map(str, keys)), []
    for type_ in _VALUES:
        stored = query(f"""
SELECT DISTINCT author_{type_} AS hash FROM interactions
WHERE account_key IN ({listed}) AND author_{type_} != '' AND ({_MINUTE}, event_key) IN
    (SELECT {_MINUTE}, event_key FROM account_events WHERE account_key IN ({listed}))
UNION DISTINCT SELECT DISTINCT {type_}_hash AS hash FROM customers WHERE profile IN ({listed}) AND {type_}_hash != ''
ORDER BY hash""").get_column("hash")
        if stored.is_empty():
            continue
        turned = became(query, stored)
        theirs = sorted({*stored, *turned, *turned.values()})
        texts, by_key = ", ".join(map(quoted, theirs)), {value_key(type_, each): each for each in theirs}
        shared = query(f"""
SELECT DISTINCT author_{type_} AS hash, toUInt64(0) AS value FROM interactions
WHERE author_{type_} IN ({texts}) AND account_key NOT IN (0, {listed})
UNION ALL SELECT DISTINCT {type_}_hash AS hash, toUInt64(0) FROM customers
WHERE {type_}_hash IN ({texts}) AND profile NOT IN ({listed})
UNION ALL SELECT DISTINCT '' AS hash, b FROM identity_edges
WHERE kind = 'value' AND type = '{type_}' AND b IN ({", ".join(map(str, by_key))}) AND a NOT IN ({listed})""")
        others = {by_key[value] if value else digest for digest, value in shared.iter_rows()}
        others = {turned.get(digest, digest) for digest in others}
        found += [Value(type_, digest, turned.get(digest, digest) in others) for digest in theirs]
    return tuple(found)


def became(query: Query, hashes: Iterable[str]) -> dict[str, str]:
    """While the hash key is being changed: which of these became which, and which became these. Rows may have either."""
    listed = ", ".join(map(quoted, hashes))
    return dict(query(f"SELECT old, new FROM raised_hashes FINAL WHERE old IN ({listed}) OR new IN ({listed})").iter_rows())
