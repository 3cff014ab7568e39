"""The evidence of CRM records: what they share with profiles, or say of them, as edges (schemas/identity.py)."""

from __future__ import annotations

import polars as pl

from schemas.evidence import SENT_COLUMNS
from schemas.identity import CRM, account_keys, value_keys

RULE = "crm"


def edges_of(records: pl.DataFrame, accounts: pl.DataFrame, basis: str, version: int) -> pl.DataFrame:
    """SENT_COLUMNS. `records`: `profile`, `at` (ms since 1970), `email_hash` and `phone_hash`, null without one. `accounts`:
    ACCOUNTS; an account by its id is a login, a handle a claim. `version`: of the rules in force."""
    keys = account_keys(*(accounts.get_column(name) for name in ("platform", "id", "handle")))
    of_accounts = accounts.select(
        pl.lit("profile").alias("kind"),
        records.select("profile", "at")[accounts.get_column("row")].to_struct("record"),
        keys.alias("b"),
        pl.when(pl.col("id").is_null()).then(pl.lit("handle")).otherwise(pl.lit("login")).alias("type"),
        pl.col("platform").alias("b_platform"),
        pl.col("handle").fill_null("").alias("claimed"),
        pl.lit("").alias("hash"),
    ).unnest("record")
    edges = pl.concat([*(_of_values(records, name) for name in ("email", "phone")), of_accounts.rename({"profile": "a"})])
    return edges.with_columns(
        a_platform=pl.lit(CRM), rule=pl.lit(RULE), rule_version=pl.lit(version), basis=pl.lit(basis), event=pl.lit(0)
    ).select(pl.col(name).cast(type_) for name, type_ in SENT_COLUMNS.items())


def _of_values(records: pl.DataFrame, type_: str) -> pl.DataFrame:
    having = records.drop_nulls(f"{type_}_hash")
    return having.select(
        pl.lit("value").alias("kind"), pl.col("profile").alias("a"), "at",
        value_keys(type_, having.get_column(f"{type_}_hash")).alias("b"), pl.lit(type_).alias("type"),
        pl.lit("").alias("b_platform"), pl.lit("").alias("claimed"), pl.col(f"{type_}_hash").alias("hash"),
    )  # fmt: skip
