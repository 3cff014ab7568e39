"""`earshot offsets`: the offsets of the workers' group, and how to continue after Kafka lost unread records."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.cli.prompts import confirm

app = typer.Typer(help="The offsets that the workers have committed.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list", epilog="Example:  earshot offsets list")
def list_partitions(context: typer.Context) -> None:
    """List each partition's first, committed and end offset, and lost ranges.

    `end` is the offset that the next record gets.

    Exit codes: 0 listed, 1 Kafka lost records before they were read, 2 wrong settings, 3 broker unreachable, 4 run `earshot
    migrate` first.
    """
    from pipeline.cli.terminal import console, table
    from pipeline.maintenance.group_offsets import events_states

    states = events_states(load_settings(context).kafka)
    rows = [(p.partition, p.first, "-" if p.committed is None else p.committed, p.end, p.lag) for p in states]
    console().print(table(("partition", "first", "committed", "end", "lag"), rows, title=states[0].topic))
    lost = [p.lost for p in states if p.lost]
    for loss in lost:
        typer.secho(str(loss), err=True, fg="red")
    raise typer.Exit(1 if lost else 0)


@app.command("accept-loss", epilog="Example:  earshot offsets accept-loss")
def accept(context: typer.Context, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False) -> None:
    """Continue after Kafka lost records that were never read.

    A worker holds such a partition and says so in /ready. This shows the lost ranges, asks, records them in table lost_offsets
    and commits the first offset that exists. Stop all workers first.

    Exit codes: 0 done, or nothing is lost, 1 not confirmed, or a worker runs, 2 wrong settings, 3 broker or ClickHouse
    unreachable, 4 run `earshot migrate` first.
    """
    from pipeline import migrate
    from pipeline.maintenance.group_offsets import accept_loss, check_idle, events_states

    settings = load_settings(context)
    migrate.check(settings)
    lost = [p.lost for p in events_states(settings.kafka) if p.lost]
    for loss in lost:
        typer.echo(f"{loss}; the first that exists is {loss.next}")
    if not lost:
        typer.echo("nothing is lost: Kafka has the next offset of every partition")
        return
    check_idle(settings.kafka, lost)
    if not yes:
        confirm("Record this loss and continue?")
    with on_record(settings, "accept loss", settings.kafka.topic("events")) as act:
        act.after = [str(loss) for loss in lost]
        accept_loss(settings.kafka, settings.clickhouse, lost)
    typer.echo("recorded in table lost_offsets; start the workers")
