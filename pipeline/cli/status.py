"""`earshot status`: how all parts are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pipeline.cli import source
from pipeline.cli.options import load_settings

if TYPE_CHECKING:
    from pipeline.maintenance.status import Linked


def status(context: typer.Context) -> None:
    """Show the state of broker, tables, worker, control, customers and listener.

    Topics and lag, rows, second creates and reconciled rows of the last day by source, migrations, linked customers and what
    links nobody, and the health of worker, control and customers; where setting sources names a file also that of a listener,
    and each source that does not run.

    Exit codes: 0 all is well, 1 there are problems (a line each), 2 wrong settings.
    """
    from pipeline.cli.terminal import console, moment, printable, table
    from pipeline.maintenance.status import status as ask

    settings = load_settings(context)
    state = ask(settings)
    if settings.sources:
        source.add_sources(settings, state)
    screen = console()
    if state.events:
        rows = [
            (p.topic, p.partition, p.first, "-" if p.committed is None else p.committed, p.end, p.lag) for p in state.events
        ]
        screen.print(table(("topic", "partition", "first", "committed", "end", "lag"), rows))
        screen.print(f"lag: {sum(p.lag for p in state.events):,} records, dead-letter topic: {state.dead_letters:,}")
    if state.tables:
        screen.print(table(("table", "rows stored", "bytes"), state.tables))
    if state.second_creates:
        columns = ("source", "second creates", "events with another created_at", "rows reconciled")
        screen.print(table(columns, state.second_creates))
    lines = [f"migration: {state.migration}", f"deferred: {state.deferred:,} rows wait for their label"]
    lines += [f"table {name}: control fills it, it has all from {moment(at)} UTC on" for name, at in state.filling.items()]
    lines += _linked(state.linked) if state.linked else []
    for line in (lines if state.migration else []) + state.health:
        screen.print(line, markup=False)
    for line in state.problems:
        typer.secho(printable(line), err=True, fg="red")
    raise typer.Exit(1 if state.problems else 0)


def _linked(linked: Linked) -> list[str]:
    """How many customers are linked, and how many edges link nobody, by reason."""
    refused = ", ".join(f"{count:,} {reason}" for reason, count in linked.queue.items())
    return [
        f"customers: {linked.customers:,} of {linked.profiles:,} accounts, by {linked.edges:,} edges of evidence",
        f"review queue: {refused or 'empty'}",
    ]
