"""`earshot rollups`: the tables that control computes from the stored events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from pipeline.cli.options import load_settings, time_of
from pipeline.errors import SettingsError

app = typer.Typer(help="The tables that control computes from the stored events.", no_args_is_help=True, rich_markup_mode=None)
SHOWN_DAYS = 20

From = Annotated[str | None, typer.Option("--from", help="Only events created at or after this time (ISO 8601, UTC).")]
To = Annotated[str | None, typer.Option("--to", help="Only events created before this time.")]


@app.command(epilog="Example:  earshot rollups rebuild --from 2026-11-01 --to 2026-12-01")
def rebuild(context: typer.Context, since: From = None, until: To = None) -> None:
    """Make the rollups anew from the stored events; control does it, without a rest.

    Needed after rows changed behind Earshot's back, as by ALTER TABLE. Without times: all of it.

    Exit codes: 0 done, 1 it failed, or another rebuild is under way, 2 wrong usage, settings or token, 3 control does not
    answer.
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import progress
    from pipeline.maintenance.rollups import rebuild as run

    with progress("quarter-hours") as advance:
        run(settings, *_range(since, until), advance)
    typer.echo("the rollups are made anew")


@app.command(epilog="Example:  earshot rollups check --from 2026-11-01 --repair")
def check(
    context: typer.Context,
    since: From = None,
    until: To = None,
    repair: Annotated[bool, typer.Option("--repair", help="Make the days anew that differ; control does it.")] = False,
) -> None:
    """Compare the rollups with what the stored events give now, by day.

    The running quarter-hour is left out, and what control has not filled yet. Rows may land meanwhile: a difference counts when
    it is still there after a minute.

    Exit codes: 0 nothing differs, or all is repaired, 1 something differs, or ClickHouse refused, 2 wrong usage, settings or
    token, 3 ClickHouse or control does not answer, 4 run `earshot migrate` first.
    """
    settings, (first, end) = load_settings(context), _range(since, until)
    from pipeline.cli.terminal import console, progress, table
    from pipeline.maintenance import rollups as maintenance

    with progress("quarter-hours") as advance:
        found = maintenance.check(settings, first, end, advance)
    if found:
        rows = [(each.table, str(each.day), each.rows) for each in found[:SHOWN_DAYS]]
        console().print(table(("table", "day (UTC)", "rows that differ"), rows))
    count, days = sum(each.rows for each in found), len({each.day for each in found})
    said = f"{count:,} {'row' if count == 1 else 'rows'} of {days:,} {'day' if days == 1 else 'days'}"
    if found and repair:
        with progress("quarter-hours") as advance:
            found = maintenance.repair(settings, found, advance)
        typer.echo(f"rollups: {said} differed; {'some still do' if found else 'repaired'}")
    else:
        typer.echo(f"rollups: {said} differ")
    raise typer.Exit(1 if found else 0)


def _range(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """The times of the options. Raises SettingsError."""
    first, end = time_of("--from", since), time_of("--to", until)
    if first and end and first >= end:
        raise SettingsError(f"--from {since} is not before --to {until}")
    return first, end
