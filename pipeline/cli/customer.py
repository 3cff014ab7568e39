"""Prints a customer on a page, for `earshot query customer`."""

from __future__ import annotations

import polars as pl
import typer

from pipeline.cli.terminal import console, moment, printable, table, write
from pipeline.queries.customer import Customer

_SHOWN = {
    "brands": ("brand", "role", "role_rule", "mood", "motive", "mentions", "first_seen", "last_seen"),
    "accounts": ("brand", "platform", "handle", "account_key", "role", "role_rule", "mood", "motive", "mentions", "last_seen"),
    "orders": ("currency", "orders", "amount", "without_amount", "first", "last"),
    "influence": ("platform", "handle", "posts", "engagement", "relative", "others", "influence"),
    "threads": ("brand", "platform", "opened", "words", "answered", "waiting", "status", "last_customer"),
}
"""The parts of a customer, with the columns that a terminal has room for."""
_KEYS = ("account_key", "role_event", "motive_event")


def show(found: Customer) -> None:
    """A table for people for each part of which there is something."""
    records = f", records {', '.join(map(printable, found.records))}" if found.records else ""
    typer.echo(f"customer {found.key:016x}{records}")
    for name, columns in _SHOWN.items():
        rows = _readable(getattr(found, name)).select(columns)
        if rows.height:
            times = [pl.col(each).map_elements(moment, pl.String) for each, of in rows.schema.items() if of.is_temporal()]
            numbers = [pl.col(each).round(4) for each, of in rows.schema.items() if of.is_float()]
            console().print(table(columns, rows.with_columns(*times, *numbers).rows(), title=name))


def write_json(found: Customer) -> None:
    """One object, in one line."""
    parts = {name: [_readable(getattr(found, name)).to_struct(name).implode()] for name in _SHOWN}
    whole = pl.DataFrame(
        {"customer": [f"{found.key:016x}"], "records": [found.records]}, {"customer": pl.String, "records": pl.List(pl.String)}
    )
    write([whole.with_columns(*(series for (series,) in parts.values())).write_ndjson().encode()])


def _readable(rows: pl.DataFrame) -> pl.DataFrame:
    """Keys as people give them; of no event: blank."""
    hexed = [
        pl.when(pl.col(name) != 0)
        .then(pl.col(name).map_elements(lambda key: f"{key:016x}", pl.String))
        .otherwise(pl.lit(""))
        .alias(name)
        for name in _KEYS
        if name in rows.columns
    ]
    return rows.with_columns(hexed)
