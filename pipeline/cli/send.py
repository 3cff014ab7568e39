"""`earshot send`: events into Kafka."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from pipeline.cli.options import load_settings, refuse
from pipeline.errors import EarshotError, SettingsError
from schemas.times import rfc3339

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message


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
