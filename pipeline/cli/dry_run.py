"""The output of `earshot replay --dry-run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pipeline.sources.recorded.dry_run import DryRun
    from pipeline.sources.recorded.open_files import How

SHOWN_REASONS = 20


def print_dry_run(run: DryRun, how: How) -> None:
    """The first events as JSON on stdout, then the figures; through a platform's mapper also the events by kind."""
    import orjson

    from pipeline.cli.terminal import console, printable, table, write

    report, screen = run.report, console()
    write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in run.first)
    typer.echo(f"rows {report.rows:,}  events {run.events:,}  unmapped {len(report.unmapped):,}  nothing is sent")
    if run.broken:
        typer.echo(f"no JSON objects, they would be dead letters: {run.broken:,}")
    if report.unmapped:
        counted = [(f"{count:,}", printable(reason)) for reason, count in run.reasons.most_common(SHOWN_REASONS)]
        screen.print(table(("unmapped", "reason"), counted))
    if how is not None and not isinstance(how, Path):
        kinds = [(kind, f"{count:,}") for kind, count in run.kinds.most_common()]
        kinds += [(f"not mapped: {kind}", f"{count:,}") for kind, count in report.not_mapped.most_common()]
        screen.print(table(("kind", "events"), kinds))
    if run.events:
        fill = [(path, f"{count:,}", f"{count / run.events:.1%}", f"{report.left_out[path]:,}") for path, count in run.fill]
        fill += [(path, "0", "0.0%", f"{count:,}") for path, count in report.left_out.items() if not run.filled[path]]
        screen.print(table(("field", "events", "fill", "left out"), fill))
    if run.earliest and run.latest:
        typer.echo(f"times {run.earliest:%Y-%m-%d %H:%M} to {run.latest:%Y-%m-%d %H:%M} UTC")
    if run.untimely:
        typer.echo(f"times outside 1995 to tomorrow, they would be dead letters: {run.untimely:,}")
    typer.echo(f"duplicates by id {run.duplicates:,}, of these with other content {run.different:,}")
