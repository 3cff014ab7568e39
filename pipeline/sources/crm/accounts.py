"""Accounts that a CRM knows of a customer: `platform:id`, `platform:@handle`, a handle in a platform's column, or a link to a
profile. A cell may hold several, with spaces, commas, semicolons or bars between them, or a list."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pipeline.identity.profile_urls import ACCOUNTS, accounts_in
from schemas.events import ID_BYTES, NAME_BYTES
from schemas.identity import CRM, bare

MOST = 100
"""Accounts of a record at most."""
_ENTRY = r"""[^\s,;|\[\]"']+"""
_HANDLE = r"^@?[^\s/:@][^\s/:]*$"
_LINK = r"(?i)^https?://"
_ACCOUNT = r"^([a-zA-Z][a-zA-Z0-9_.-]{0,63}):(?:@([^\s/:@][^\s/:]*)|([^\s@]\S*))$"
_ENTRIES = {"row": pl.UInt32(), "field": pl.String(), "entry": pl.String()}


def accounts_of(rows: pl.DataFrame, fields: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """ACCOUNTS in these columns, each once a row; and `row`, `problem` of the rows in which something is no account.

    `row` is the number of the row. An account by id has no handle.
    """
    entries = _entries(rows, fields)
    if entries.is_empty():
        return pl.DataFrame(schema=ACCOUNTS), pl.DataFrame(schema={"row": pl.UInt32(), "problem": pl.String()})
    links = entries.filter(_is_link())
    linked = accounts_in(links.get_column("entry")).rename({"row": "number"})
    links = links.with_row_index("number").join(linked, on="number", how="left", maintain_order="left").drop("number")
    found = pl.concat([entries.filter(~_is_link()).with_columns(_named()).unnest("named"), links])
    found = found.with_columns(platform=pl.col("platform").str.to_lowercase())
    many = found.filter(pl.len().over("row") > MOST).select("row", problem=pl.lit(f"over {MOST} accounts"))
    problems = pl.concat([found.with_columns(problem=_problem()).drop_nulls("problem").select("row", "problem"), many])
    accounts = found.drop_nulls("platform").select(list(ACCOUNTS)).unique(maintain_order=True)
    return accounts, problems.unique("row", keep="first", maintain_order=True)


def _entries(rows: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    found = [
        rows.select(
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
            pl.lit(field).alias("field"),
            pl.col(field).str.extract_all(_ENTRY).alias("entry"),
        )
        .filter(pl.col("entry").list.len() > 0)
        .explode("entry")
        for field in fields
    ]
    return pl.concat(found) if found else pl.DataFrame(schema=_ENTRIES)


def _is_link() -> pl.Expr:
    entry = pl.col("entry")
    return entry.str.contains(_LINK) | ((pl.col("field") != "accounts") & entry.str.contains("/", literal=True))


def _named() -> pl.Expr:
    """The account of an entry that is no link, as `named`; its platform is null if it is none."""
    entry, of_platform = pl.col("entry"), pl.col("field") != "accounts"
    parts = entry.str.extract_groups(_ACCOUNT)
    handle = pl.when(of_platform & entry.str.contains(_HANDLE)).then(entry).when(~of_platform).then(parts.struct.field("2"))
    return pl.struct(
        platform=pl.when(~of_platform).then(parts.struct.field("1")).when(handle.is_not_null()).then("field"),
        handle=bare(handle),
        id=pl.when(~of_platform).then(parts.struct.field("3")),
    ).alias("named")


def _problem() -> pl.Expr:
    listed = pl.col("field") == "accounts"
    what = pl.when(listed).then(pl.lit("platform:id, platform:@handle")).otherwise(pl.lit("handle"))
    return (
        pl.when(pl.col("platform").is_null())
        .then(pl.format("{}: an entry is no {} or link to a profile", "field", what))
        .when(pl.col("platform") == CRM)
        .then(pl.format("{}: an entry is a record of a CRM", "field"))
        .when((pl.col("id").str.len_bytes() > ID_BYTES) | (pl.col("handle").str.len_bytes() > NAME_BYTES))
        .then(pl.format("{}: an entry is too long", "field"))
    )
