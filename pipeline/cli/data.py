"""`earshot send`, `replay` and `query`: events in, answers out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import uuid4

import typer

from pipeline.cli.options import load_settings, refuse
from pipeline.errors import EarshotError, SettingsError
from schemas.times import rfc3339

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from pipeline.config.settings import Settings
    from pipeline.sources.recorded.report import ReplayReport

SHOWN_UNMAPPED = 20
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


# --- replay ---------------------------------------------------------------------------------------------------------
def replay(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="JSONL of events, or CSV, TSV, JSON, JSONL with a mapping.")],
    mapping: Annotated[Path | None, typer.Option(help="The mapping file. Default: by the file's name.")] = None,
    rate: Annotated[str, typer.Option(help="Events a second, or max.")] = "max",
    speed: Annotated[float | None, typer.Option(min=1e-9, help="Paced by event time, this many times as fast.")] = None,
    as_now: Annotated[bool, typer.Option("--as-now", help="Set each event's time to the moment it is sent.")] = False,
    unmapped: Annotated[Path | None, typer.Option(help="Write all rows that don't map to this file, with reasons.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: show 20 events and figures of all.")] = False,
) -> None:
    """Send recorded events to Kafka.

    A row that can't be mapped is reported with its line and reason, and the replay continues. An optional field that can't be
    read is left out and counted. Before it sends, it says how many events are stored already under another created_at, which
    stays; a dry run lists them.

    Exit codes: 0 all mapped events are in Kafka, 1 some are not acknowledged, or a file breaks off or has no event, 2 wrong
    usage or mapping, 3 broker unreachable, 130 stopped by Ctrl-C.
    """
    if dry_run:
        refuse(context, "goes without --dry-run, which sends nothing", "--rate", "--speed")
        _dry_run(load_settings(context), files, mapping, as_now, unmapped)
    settings, pace = load_settings(context), parse_rate(rate)
    from pipeline.cli.known_ids import show_known
    from pipeline.cli.terminal import progress_bars
    from pipeline.sources.recorded.replay import replay as run

    show_known(settings, files, mapping, as_now=as_now, listed=False)
    with progress_bars() as bars:
        report = run(settings, files, mapping=mapping, rate=pace, speed=speed, as_now=as_now, progress=bars)
    _report(report, unmapped)
    raise typer.Exit(130 if report.interrupted else 0 if report.complete and not report.barren else 1)


def _dry_run(settings: Settings, files: list[Path], mapping: Path | None, as_now: bool, unmapped: Path | None) -> NoReturn:
    from pipeline.cli.dry_run import print_dry_run
    from pipeline.cli.known_ids import show_known
    from pipeline.cli.terminal import progress_bars
    from pipeline.sources.recorded.dry_run import dry_run

    with progress_bars(look=True) as bars:
        run = dry_run(files, mapping, as_now, bars)
    print_dry_run(run)
    _report_rows(run.report, unmapped)
    show_known(settings, files, mapping, as_now=as_now, listed=True)
    raise typer.Exit(1 if run.report.barren or run.report.damaged else 0)


def parse_rate(text: str) -> float | None:
    """Events a second; None for max. Raises SettingsError."""
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise SettingsError(f"--rate {text}: it is a number of events a second, or max")
    return rate


def _report(report: ReplayReport, file: Path | None) -> None:
    from pipeline.cli.terminal import printable

    failed, unmapped = sum(report.failed.values()), len(report.unmapped)
    typer.echo(
        f"rows {report.rows:,}  events {report.events:,}  sent {report.produced:,}  failed {failed:,}  unmapped {unmapped:,}"
    )
    for why, count in report.failed.most_common():
        typer.echo(f"not sent, {count:,}: {printable(why)}", err=True)
    _report_rows(report, file)


def _report_rows(report: ReplayReport, file: Path | None) -> None:
    """The rows and fields that could not be read, to stderr and to the file of `--unmapped`."""
    from pipeline.cli.terminal import one_line

    for note in report.notes:
        typer.echo(one_line(note), err=True)
    unmapped = len(report.unmapped)
    for row in report.unmapped.first(SHOWN_UNMAPPED):
        typer.echo(f"unmapped {one_line(str(row))}", err=True)
    if unmapped > SHOWN_UNMAPPED and file is None:
        typer.echo(f"and {unmapped - SHOWN_UNMAPPED:,} more (--unmapped FILE has them all)", err=True)
    if file is not None:
        try:
            with file.open("w", encoding="utf-8", errors="backslashreplace") as out:
                out.writelines(f"{one_line(str(row))}\n" for row in report.unmapped)
        except OSError as error:
            raise EarshotError(f"{file}: {error.strerror}") from None
    for field, count in report.left_out.most_common():
        typer.echo(f"left out {field}, {count:,} times, first: {one_line(str(report.first_left_out[field]))}", err=True)
    for path in report.barren:
        typer.echo(f"{one_line(path)}: no row of it has an event", err=True)


# --- query ----------------------------------------------------------------------------------------------------------
def query(
    context: typer.Context,
    sql: Annotated[str | None, typer.Argument(metavar="SQL|NAME", help="A query, or the name of one.")] = None,
    form: Annotated[Format, typer.Option("--format", help="json: an object a line.")] = Format.table,
    names: Annotated[bool, typer.Option("--list", help="List the named queries.")] = False,
) -> None:
    """Query ClickHouse, by SQL or by a query's name.

    Read-only; each event counts once (tables are read with FINAL). A table shows 200 rows at most. In CSV a text that begins
    like a formula (= + - @) gets a ' before it; numbers stay as they are.

    Exit codes: 0 answered, 1 ClickHouse refused the query, 2 wrong usage, 3 ClickHouse unreachable.
    """
    if names and sql is not None:
        raise SettingsError("--list goes without a query")
    if sql is None:
        refuse(context, "goes with a query", "--format")
    from pipeline.cli.terminal import console, table, without_formulas, write
    from pipeline.clickhouse.client import clickhouse_client
    from pipeline.clickhouse.query import rows, text
    from pipeline.queries import named

    if names or sql is None:
        console().print(table(("name", "meaning"), [(name, each.meaning) for name, each in named.NAMED.items()]))
        raise typer.Exit(0 if names else 2)
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
