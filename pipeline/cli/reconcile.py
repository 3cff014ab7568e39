"""`earshot reconcile`: rows of one event that landed under several times become one."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings


def reconcile(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the events without changing them.")] = False,
) -> None:
    """Make each event one row, whatever landed beyond the dedup window.

    An event that came again under another created_at, or from another partition, after the worker had forgotten it has several
    rows. They become one: with the created_at that landed first, and the latest state of every field. A delete is final.

    Workers may run meanwhile. A second run changes nothing, or completes a stopped one. Before it blanks the rows that it
    moved, it waits a minute.

    Exit codes: 0 done, 1 ClickHouse refused, or workers keep landing the same events under other times (run it again), 2 wrong
    usage or settings, 3 broker or ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings = load_settings(context)
    from pipeline.cli.terminal import console, progress, table
    from pipeline.maintenance.reconcile import reconcile as run
    from pipeline.sinks.changes import Changes, unheard

    changing = unheard if dry_run else Changes(settings.kafka, "reconcile").changing
    with on_record(settings, "reconcile", dry_run=dry_run) as act, progress("ranges") as advance:
        done = run(settings.clickhouse, dry_run=dry_run, progress=advance, changing=changing)
        act.after = {"events": done.events.total(), "rows": done.rows}
    if done.events:
        console().print(table(("source", "events"), done.events.most_common(20)))
    become, moved = ("would become", "would be moved") if dry_run else ("became", "were moved")
    typer.echo(f"{done.events.total():,} events {become} one row, {done.rows:,} rows {moved}")
