"""`earshot rates`: exchange rates of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings


def rates(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV: date,currency,rate (units of the currency for one euro).")],
) -> None:
    """Load exchange rates, by which amounts of orders are converted.

    They count before those of the European Central Bank that ship with Earshot, and at once. A day without a rate has the last
    one before it. Loading a file twice changes nothing; a line with another rate of the same day replaces it.

    Exit codes: 0 done, 1 ClickHouse refused, 2 wrong usage or settings, or the file has a bad line: nothing is loaded then, 3
    ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings = load_settings(context)
    from pipeline.maintenance.rates import load_rates

    with on_record(settings, "load rates", file.name) as act:
        found = load_rates(settings, file)
        act.after = {"rates": found.height}
    days = found["day"].sort()
    typer.echo(f"{found.height:,} rates of {found['currency'].n_unique():,} currencies, {days[0]} to {days[-1]}")
