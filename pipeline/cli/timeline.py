"""Prints the timeline of a customer, for `earshot query timeline`."""

from __future__ import annotations

import polars as pl
from rich.table import Table
from rich.text import Text

from pipeline.cli.terminal import console, moment, printable, without_formulas, write
from pipeline.queries.timeline import Timeline

_CELLS = [
    *(pl.col(name).map_elements(lambda key: f"{key:016x}", pl.String) for name in ("account_key", "event_key")),
    pl.col("created_at").dt.strftime("%Y-%m-%d %H:%M:%S%.3f"),
]
"""As ClickHouse writes times, and keys as people give them."""


def show(found: Timeline) -> None:
    """A table for people: a line an event, as wide as the terminal."""
    accounts = f"{len(found.profiles)} accounts" if len(found.profiles) > 1 else "1 account"
    screen = Table(title=f"customer {found.customer:016x}: {accounts}", title_justify="left", title_style="bold")
    for name in ("time", "platform", "author", "direction", "sentiment"):
        screen.add_column(name, no_wrap=True)
    screen.add_column("text")
    for row in found.events.iter_rows(named=True):
        author = row["author_handle"] or row["author_name"]
        cells = (moment(row["created_at"]), row["platform"], author, row["direction"], row["sentiment_label"])
        text = Text(" ".join(printable(row["text"]).split()), no_wrap=True, overflow="ellipsis")
        screen.add_row(*(Text(printable(cell)) for cell in cells), text)
    console().print(screen if found.events.height else "no rows")


def write_json(found: Timeline) -> None:
    """An object a line."""
    write([found.events.with_columns(_CELLS).write_ndjson().encode()])


def write_csv(found: Timeline) -> None:
    """All cells in quotes; a list is joined by commas."""
    cells = found.events.with_columns(*_CELLS, pl.col("brands").list.join(", "))
    write(without_formulas([cells.write_csv(quote_style="always").encode()]))
