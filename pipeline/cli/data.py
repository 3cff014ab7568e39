"""`earshot send` and `query`: events in, answers out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from pipeline.cli.options import load_settings, refuse, time_of
from pipeline.errors import EarshotError, SettingsError, UnknownName
from schemas.times import rfc3339

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

SHOWN_ROWS = 200


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"


# --- send -----------------------------------------------------------------------------------------------------------
def send(
    context: typer.Context,
    event: Annotated[str | None, typer.Argument(help="The event as JSON; `-` reads one a line from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="A JSON file with one event, or a .jsonl file.")] = None,
    text: Annotated[str | None, typer.Option(help="Send a post with this text.")] = None,
    author: Annotated[str, typer.Option(help="The author of that post (a handle).")] = "somebody",
    platform: Annotated[str, typer.Option(help="Its platform.")] = "forum",
) -> None:
    """Send events to Kafka and print the partition and offset of each.

    They are sent unchecked: an invalid event becomes a dead letter with a reason.

    Exit codes: 0 all acknowledged, 1 an event was refused (too large), 2 wrong usage, 3 broker unreachable.
    """
    if [event, file, text].count(None) != 2:
        raise SettingsError("give one of: an event, `-`, --file or --text")
    if text is None:
        refuse(context, "goes with --text: an event names its own", "--author", "--platform")
    settings = load_settings(context)
    from pipeline.kafka.event_producer import EventProducer, record_of

    refused: list[str] = []

    def delivered(error: KafkaError | None, message: Message | None) -> None:
        if message is not None and error is None:
            typer.echo(f"{message.topic()} partition {message.partition()} offset {message.offset()}")
        elif error is not None:
            refused.append(error.str())

    with EventProducer(settings.kafka) as producer:
        for record in _records(event, file) if text is None else [_post(text, author, platform)]:
            producer.produce(*record_of(record), delivered)
    refused += producer.failed.elements()
    if refused:
        raise EarshotError(f"Kafka at {settings.kafka.bootstrap} refused events: {refused[0]} ({len(refused)} times)")


def _records(event: str | None, file: Path | None) -> Iterator[bytes]:
    if file is not None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise EarshotError(f"{file}: {error.strerror}") from None
        yield from _lines(content.split(b"\n")) if file.suffix == ".jsonl" else [content.strip()]
    elif event == "-":
        yield from _lines(sys.stdin.buffer)
    else:
        yield (event or "").encode(errors="surrogateescape")


def _lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line.rstrip(b"\r\n") for line in lines if line.strip())


def _post(text: str, author: str, platform: str) -> bytes:
    import orjson

    return orjson.dumps(
        {
            "id": f"sent-{uuid4().hex[:16]}",
            "platform": platform,
            "kind": "post",
            "created_at": rfc3339(datetime.now(UTC)),
            "text": text,
            "author": {"id": author, "handle": author},
            "source": {"name": "earshot send"},
        }
    )


# --- query ----------------------------------------------------------------------------------------------------------
def query(
    context: typer.Context,
    sql: Annotated[str | None, typer.Argument(metavar="SQL|NAME", help="A query, or the name of one.")] = None,
    form: Annotated[Format, typer.Option("--format", help="json: an object a line.")] = Format.table,
    names: Annotated[bool, typer.Option("--list", help="List the named queries.")] = False,
    customer: Annotated[
        str | None, typer.Option(help="timeline: an account or customer: its key, platform:id or platform:@handle.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="timeline: who was whose customer then, and events until then.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="timeline: events at most.")] = SHOWN_ROWS,
) -> None:
    """Query ClickHouse, by SQL or by a query's name.

    Read-only; each event counts once (tables are read with FINAL). A table shows 200 rows at most. In CSV a text that begins
    like a formula (= + - @) gets a ' before it; numbers stay as they are.

    `earshot query timeline --customer ID`: what all accounts of a customer did, the newest first.

    Exit codes: 0 answered, 1 ClickHouse refused the query, or nobody has that handle or key, 2 wrong usage, 3 ClickHouse
    unreachable.
    """
    if names and sql is not None:
        raise SettingsError("--list goes without a query")
    if sql == "timeline":
        _timeline(context, form, customer, as_of, limit)
        return
    refuse(context, "goes with query timeline", "--customer", "--as-of", "--limit")
    if names or sql is None:
        refuse(context, "goes with a query", "--format")
        _list_names()
        raise typer.Exit(0 if names else 2)
    _answer(context, sql, form)


def _list_names() -> None:
    from pipeline.cli.terminal import console, table
    from pipeline.queries import named

    meanings = [(name, each.meaning) for name, each in named.NAMED.items()]
    console().print(table(("name", "meaning"), [*meanings, ("timeline", named.TIMELINE)]))


def _answer(context: typer.Context, sql: str, form: Format) -> None:
    from pipeline.cli.terminal import console, table, without_formulas, write
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.query import rows, text
    from pipeline.queries import named

    statement = named.sql_of(sql)
    client = clickhouse_client(load_settings(context).clickhouse)
    if form is not Format.table:
        blocks = text(client, statement, form)
        write(without_formulas(blocks) if form is Format.csv else blocks)
        return
    answer = rows(client, statement, SHOWN_ROWS)
    console().print(table(answer.columns, answer.rows) if answer.rows else "no rows")
    if answer.cut:
        typer.echo(f"the first {SHOWN_ROWS} rows; --format csv or json gives all", err=True)


def _timeline(context: typer.Context, form: Format, customer: str | None, as_of: str | None, limit: int) -> None:
    if customer is None:
        raise SettingsError("timeline needs --customer: a key, platform:id or platform:@handle")
    moment, settings = time_of("--as-of", as_of), load_settings(context)
    from pipeline.cli import timeline as screen
    from pipeline.cli.identity_read import query_of
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.queries.identity.names import profile_key, slip
    from pipeline.queries.timeline import timeline

    profile = profile_key(query_of(settings), customer)
    try:
        found = timeline(clickhouse_client(settings.clickhouse), profile, limit, moment)
    except UnknownName as error:
        raise UnknownName(f"{customer}: {error}{slip(customer)}") from None
    {Format.table: screen.show, Format.json: screen.write_json, Format.csv: screen.write_csv}[form](found)
