"""`earshot check`: whether table account_events has all that it should."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings

SHOWN_HOURS = 20


def check(
    context: typer.Context,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs, in those hours alone.")] = False,
) -> None:
    """Compare account_events, the way to a customer's timeline, with the stored events, by hour.

    Rows may be missing if a process died while it inserted. Rows of events that were deleted, or have another author by now,
    are harmless; --repair takes them away, too. Workers may run meanwhile.

    Exit codes: 0 nothing is missing, or all is repaired, 1 rows are missing, or ClickHouse refused, 2 wrong usage or settings,
    3 ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import console, moment, progress, table
    from pipeline.maintenance.check import check_accounts

    with on_record(settings, "repair account_events", dry_run=not repair) as act, progress("months") as advance:
        hours = check_accounts(settings.clickhouse, repair=repair, progress=advance)
        act.after = {"hours": len(hours)}
    if hours:
        rows = [(moment(each.hour), each.missing, each.stale) for each in hours[:SHOWN_HOURS]]
        console().print(table(("hour", "missing", "of deleted or changed events"), rows))
    missing, stale = sum(each.missing for each in hours), sum(each.stale for each in hours)
    more = f" in {len(hours):,} hours" if len(hours) > SHOWN_HOURS else ""
    done = "; repaired" if repair and hours else ""
    typer.echo(f"account_events: {missing:,} rows are missing, {stale:,} are of deleted or changed events{more}{done}")
    raise typer.Exit(1 if missing and not repair else 0)
