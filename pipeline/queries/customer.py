"""`earshot query customer`: one customer on a page: accounts, roles, mood, orders, influence, conversations.

As timeline: who belongs together is read from table assignments itself. At a time: who belonged together then, and whole
quarter-hours and events until then, in their present form, by the rules of today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, frame, one_line, settings_for
from pipeline.errors import UnknownName
from pipeline.queries.named import values_of
from pipeline.queries.timeline import EVER, members
from schemas.identity import CRM
from schemas.queries import named_queries
from schemas.times import to_ms, utc_now

SHOWN_THREADS = 20
MOOD = timedelta(days=30)
"""Of this time until now, or then, are mood and influence."""
_SCOPE = "account_key IN {profiles:Array(UInt64)}"
_UNTIL = "fromUnixTimestamp64Milli({until:Int64}, 'UTC')"
_SINCE = "fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
_MEASURES = f"""
    min(q.first_seen) AS first_seen, max(q.last_seen) AS last_seen, sum(q.mentions) AS mentions, sum(q.negative) AS negative,
    sum(q.neutral) AS neutral, sum(q.positive) AS positive,
    sumIf(q.negative + q.neutral + q.positive, q.quarter >= {_SINCE}) AS labelled,
    if(labelled > 0, sumIf(q.score, q.quarter >= {_SINCE}) / labelled, NULL) AS mood,
    argMin((q.role, q.role_rule, q.role_event), (q.role_rank, -toInt64(toUnixTimestamp(q.quarter)))) AS best,
    toString(best.1) AS role, toString(best.2) AS role_rule, best.3 AS role_event,
    argMax((q.motive, q.motive_rule, q.motive_event), (q.motive_at, q.quarter)) AS said,
    toString(said.1) AS motive, toString(said.2) AS motive_rule, said.3 AS motive_event
FROM account_quarters AS q FINAL
WHERE {_SCOPE} AND q.quarter + INTERVAL 15 MINUTE <= {_UNTIL}"""
_ACCOUNTS = f"""
SELECT toString(q.brand) AS brand, q.account_key AS account_key, toString(any(q.platform)) AS platform,
    argMax((q.handle, q.name), (q.shown_at, q.quarter)) AS shown, shown.1 AS handle, shown.2 AS name,
    argMax(tuple(q.followers), (q.profile_at, q.quarter)).1 AS followers, {_MEASURES}
GROUP BY brand, account_key ORDER BY brand, mentions DESC, account_key"""
_BRANDS = f"SELECT toString(q.brand) AS brand, {_MEASURES} GROUP BY brand ORDER BY mentions DESC, brand"
_EVENTS = f"""
SELECT toStartOfMinute(created_at), event_key FROM account_events FINAL WHERE {_SCOPE} AND created_at <= {_UNTIL}"""
_ORDERS = f"""
SELECT toString(order_currency) AS currency, uniqExactIf(order_id, order_id != '') + countIf(order_id = '') AS orders,
    sum(ifNull(order_amount, 0)) AS amount, countIf(isNull(order_amount)) AS without_amount,
    min(created_at) AS first, max(created_at) AS last
FROM interactions FINAL
WHERE kind = 'order' AND {_SCOPE} AND (toStartOfMinute(created_at), event_key) IN ({_EVENTS})
GROUP BY currency ORDER BY orders DESC, currency"""
_THREADS = f"""
SELECT toString(brand) AS brand, toString(platform) AS platform, conversation_id, opened, words, length(answers) AS answered,
    waiting, waiting_since, last_customer, if(empty(statuses), '', toString(statuses[-1])) AS status
FROM threads FINAL
WHERE customer IN {{profiles:Array(UInt64)}} AND opened <= {_UNTIL}
ORDER BY last_customer DESC, brand, conversation_id LIMIT {{most:UInt32}}"""
_RECORDS = f"""
SELECT id FROM customers FINAL WHERE profile IN {{profiles:Array(UInt64)}} AND imported_at <= {_UNTIL} ORDER BY id"""
_ROLE = pl.col("role").is_in(["", "prospect"])


class Customer(NamedTuple):
    """What is known of a customer."""

    key: int
    records: list[str]
    """Ids of its records in a CRM."""
    brands: pl.DataFrame
    """What it is to each brand: role with rule and evidence, mood, last motive. Of several accounts the first rule counts."""
    accounts: pl.DataFrame
    """The same of each account."""
    orders: pl.DataFrame
    """By currency; `amount` is its value: what it bought, less what it returned."""
    influence: pl.DataFrame
    """Of its accounts that posted in the last 30 days, as query influence of the brands that it talks about."""
    threads: pl.DataFrame
    """Conversations that it opened, the last first."""


def customer(client: Client, profile: int, most: int, as_of: datetime | None = None) -> Customer:
    """The customer to whom the profile belongs, or belonged `as_of`; up to `most` conversations.

    Raises UnknownName if nothing is known of it, EarshotError with the server's reason. Where there is a record of a CRM, who
    has no role is a customer: links change, so no table holds it.
    """
    with one_line(client):
        key, profiles = members(client, profile, as_of)
        until = as_of or utc_now()
        values = {
            "profiles": profiles,
            "until": to_ms(as_of or EVER),
            "since": to_ms(until - MOOD),
            "most": most,
        }
        read = LONG_SQL | settings_for(client)

        def ask(sql: str) -> pl.DataFrame:
            used = {name: value for name, value in values.items() if f"{{{name}:" in sql}
            return frame(client, sql, used, read)

        records = ask(_RECORDS).get_column("id").to_list()
        brands, accounts = (
            _by_record(ask(sql), records).drop("best", "said", "shown", strict=False) for sql in (_BRANDS, _ACCOUNTS)
        )
        found = Customer(
            key, records, brands, accounts, ask(_ORDERS), _influence(client, brands, profiles, until), ask(_THREADS)
        )
    if not records and accounts.is_empty() and found.orders.is_empty() and found.threads.is_empty() and profiles == [profile]:
        then = f" at {as_of:%Y-%m-%dT%H:%M:%SZ}" if as_of else ""
        raise UnknownName(f"nothing is known of account {profile:016x}{then}: no row about a brand, no order, no record")
    return found


def _by_record(rows: pl.DataFrame, records: Sequence[str]) -> pl.DataFrame:
    """A record of a CRM makes a customer of a prospect, and of who has no role."""
    if not records:
        return rows
    rule = pl.when(_ROLE).then(pl.lit(CRM)).otherwise("role_rule")
    event = pl.when(_ROLE).then(pl.lit(0, pl.UInt64)).otherwise("role_event")
    role = pl.when(_ROLE).then(pl.lit("customer")).otherwise("role")
    return rows.with_columns(role=role, role_rule=rule, role_event=event)


def _influence(client: Client, brands: pl.DataFrame, profiles: Sequence[int], until: datetime) -> pl.DataFrame:
    """Of these accounts, measured beside all others."""
    query, named = named_queries()["influence"], brands.get_column("brand").to_list()
    given: Mapping[str, Sequence[str]] = {
        "brand": named,
        "from": [(until - MOOD).isoformat()],
        "to": [until.isoformat()],
        "limit": [str(2**32 - 1)],
    }
    keys = ", ".join(f"'{key:016x}'" for key in profiles)
    sql = f"SELECT * FROM ({query.sql}) WHERE account IN ({keys})" + ("" if named else " LIMIT 0")
    return frame(client, sql, values_of(query, given, until), LONG_SQL | settings_for(client))
