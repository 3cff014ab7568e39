"""`earshot rematch`: brands.yaml, applied to stored rows."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings, time_of


def rematch(
    context: typer.Context,
    brand: Annotated[list[str], typer.Option(help="A brand's name; may be given several times.")],
    since: Annotated[str | None, typer.Option(help="Only events created at or after this time (ISO 8601, UTC).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the changes without making them.")] = False,
) -> None:
    """Apply the current brands.yaml to stored rows.

    Rows that gain or lose one of the brands get a new minor version; all other columns stay, and brands that the source gave as
    well. A brand that is no longer in the file is removed from the rows that matched it. A second run changes nothing.

    Exit codes: 0 done, 1 ClickHouse refused, or workers keep writing rows that match otherwise (run it again), 2 wrong usage or
    brands.yaml, 3 broker or ClickHouse unreachable, 4 run `earshot migrate` first.
    """
    settings, start = load_settings(context), time_of("--since", since)
    from pipeline.cli.terminal import console, progress, table
    from pipeline.maintenance.rematch import rematch as run
    from pipeline.sinks.changes import Changes, unheard

    changing = unheard if dry_run else Changes(settings.kafka, "rematch").changing
    with on_record(settings, "rematch", ", ".join(brand), dry_run) as act, progress("rows") as advance:
        done = run(settings, brand, since=start, dry_run=dry_run, progress=advance, changing=changing)
        act.after = {"rows": done.rows, "since": start}
    rows = [(name, done.gained[name], done.lost[name]) for name in sorted(set(brand))]
    console().print(table(("brand", "gained", "lost"), rows))
    typer.echo(f"{done.rows:,} rows {'would change' if dry_run else 'changed'}")
