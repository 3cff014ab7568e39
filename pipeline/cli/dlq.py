"""`earshot dlq`: the dead letters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.on_record import on_record
from pipeline.cli.options import load_settings
from pipeline.cli.prompts import confirm

if TYPE_CHECKING:
    from pipeline.maintenance.dead_letters import Replayed
    from pipeline.queries.letters import DeadLetter


app = typer.Typer(help="The dead letters: records that could not become events.", no_args_is_help=True, rich_markup_mode=None)

Reason = Annotated[str | None, typer.Option(help="Any part of the reason or the step.")]
Topic = Annotated[str | None, typer.Option(help="The topic they came from.")]
Partition = Annotated[int | None, typer.Option(min=0, help="The partition they came from.")]


@app.command("list", epilog="Example:  earshot dlq list")
def list_reasons(context: typer.Context) -> None:
    """List the reasons, with their counts and the time of the last rejection.

    Exit codes: 0 listed, 2 wrong settings, 3 ClickHouse unreachable.
    """
    from pipeline.cli.terminal import console, table
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.query import rows
    from schemas.queries import named_queries

    answer = rows(clickhouse_client(load_settings(context).clickhouse), named_queries()["rejects"].sql, 1_000)
    console().print(table(answer.columns, answer.rows) if answer.rows else "no dead letters")


@app.command(epilog="Example:  earshot dlq show --reason 'not one of' --newest 3")
def show(
    context: typer.Context,
    topic: Topic = None,
    partition: Partition = None,
    offset: Annotated[int | None, typer.Option(min=0, help="The record's offset.")] = None,
    reason: Reason = None,
    newest: Annotated[int, typer.Option(min=1, help="At most this many.")] = 10,
) -> None:
    """Show dead letters, the newest first.

    Origin, reason, and the first 2,000 bytes as they came. They may hold personal data: who looked at which is on record.

    Exit codes: 0 shown, 1 none matches, 2 wrong settings (as no privacy.data_key), 3 ClickHouse unreachable.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.embedded.privacy_keys import data_keys
    from pipeline.maintenance import dead_letters

    settings = load_settings(context)
    client = clickhouse_client(settings.clickhouse)
    which = dead_letters.Filter(reason, topic, partition, offset, offset)
    with on_record(settings, "look at dead letters", str(which)) as act:
        letters = dead_letters.newest(client, which, newest, data_keys(settings))
        act.after = {"seen": [f"{letter.topic} {letter.partition} {letter.offset}" for letter in letters]}
    for letter in letters:
        _print(letter)
    if not letters:
        typer.echo("no such dead letter", err=True)
        raise typer.Exit(1)


@app.command(epilog="Example:  earshot dlq replay --reason 'kind is not one of' --yes")
def replay(
    context: typer.Context,
    reason: Reason = None,
    topic: Topic = None,
    partition: Partition = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="The first offset.")] = None,
    to_offset: Annotated[int | None, typer.Option(min=0, help="The last offset.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Send dead letters to the events topic again.

    They are sent unchanged; repair the cause first. Records that are still invalid are rejected again, events that landed
    meanwhile are duplicates.

    Exit codes: 0 all acknowledged (or there were none), 1 some were not, or not confirmed, 2 wrong settings, 3 broker or
    ClickHouse unreachable.
    """
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.embedded.privacy_keys import data_keys
    from pipeline.maintenance import dead_letters

    settings = load_settings(context)
    client = clickhouse_client(settings.clickhouse)
    which = dead_letters.Filter(reason, topic, partition, from_offset, to_offset)
    count, without_bytes, _, until = dead_letters.count(client, which)
    which = replace(which, until=until)
    if without_bytes:
        typer.echo(f"left out, {without_bytes:,}: letters without bytes, of records that Kafka's client could not unpack")
    if count and not yes:
        confirm(f"Send {count:,} dead letters to {settings.kafka.topic('events')} again?")
    done = dead_letters.NOTHING
    if count:
        with on_record(settings, "replay dead letters", str(which)) as act:
            done = dead_letters.replay(client, settings.kafka, which, data_keys(settings))
            act.after = {"sent": done.produced, "failed": sum(done.failed.values())}
            act.outcome = done.outcome or act.outcome
    _tell(done)
    raise typer.Exit(1 if done.outcome else 0)


def _tell(done: Replayed) -> None:
    typer.echo(f"sent {done.produced:,}  failed {sum(done.failed.values()):,}")
    for why, times in done.failed.most_common():
        typer.echo(f"not sent, {times:,}: {why}", err=True)
    if done.broken_off:
        typer.echo(f"broken off, the rest was not sent: {done.broken_off}", err=True)


def _print(letter: DeadLetter) -> None:
    from pipeline.cli.terminal import printable

    typer.secho(f"{letter.topic} partition {letter.partition} offset {letter.offset}", bold=True)
    typer.echo(f"  rejected  {letter.rejected_at:%Y-%m-%d %H:%M:%S} UTC by {letter.step}: {printable(letter.reason)}")
    typer.echo(f"  key       {'none' if letter.key is None else printable(letter.key)}")
    more = letter.size - len(letter.raw)
    typer.echo(f"  raw       {printable(letter.raw)}" + (f" ... {more:,} bytes more" if more > 0 else ""))
