"""What an account showed of itself, and when: by it people see whether it is the one that is meant."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.clickhouse.query import Query
from pipeline.privacy.person import Account

_MINUTE = "toStartOfMinute(created_at)"


def seen(query: Query, accounts: Sequence[Account]) -> tuple[Account, ...]:
    """The accounts with the name that each showed last, and when it did how much: who erases sees whether they are the right
    ones."""
    of_keys = {key: each.key for each in accounts for key in (each.key, *each.handle_keys)}
    listed = ", ".join(map(str, of_keys))
    rows = query(f"""
SELECT account_key, uniqExact(event_key) AS events, min(created_at) AS first, max(created_at) AS last,
    argMaxIf(author_name, (author_at, version), author_name != '') AS shown
FROM interactions FINAL WHERE account_key IN ({listed}) AND ({_MINUTE}, event_key) IN
    (SELECT {_MINUTE}, event_key FROM account_events WHERE account_key IN ({listed}))
GROUP BY account_key ORDER BY last""").with_columns(
        account=pl.col("account_key").replace_strict(of_keys, return_dtype=pl.UInt64)
    )
    totals = rows.group_by("account", maintain_order=True).agg(
        pl.col("events").sum(),
        pl.col("first").min(),
        pl.col("last").max(),
        pl.col("shown").filter(pl.col("shown") != "").last(),
    )
    found = {row.pop("account"): row for row in totals.with_columns(pl.col("shown").fill_null("")).iter_rows(named=True)}
    return tuple(each._replace(**found.get(each.key, {})) for each in accounts)
