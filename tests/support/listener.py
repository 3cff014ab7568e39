"""`earshot listen` as the tests see it: a process with its sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import yaml

from pipeline.config.listening import ListenSettings
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.listen.record import Record, read
from schemas.untyped import JsonObject
from tests.support.topics import read_topic
from tests.support.worker import Worker

COMMAND = ("-m", "pipeline.cli", "listen")


def write_sources(path: Path, sources: Sequence[Mapping[str, object]]) -> None:
    """sources.yaml, in one move. All may reach loopback."""
    moved = path.with_suffix(".new")
    moved.write_text(yaml.safe_dump({"sources": [{"allow": ["127.0.0.1"], **source} for source in sources]}))
    moved.rename(path)


def listening(settings: Settings, sources: Path) -> Settings:
    """The settings of a listener with these sources, on a port of its own."""
    return settings.model_copy(update={"sources": sources, "listen": ListenSettings(port=free_port())})


def start_listener(settings: Settings, log: Path, command: Sequence[str] = COMMAND) -> Worker:
    """`wait_ready` returns when it has its partitions."""
    return Worker(settings, log, port=settings.listen.port, command=command)


def sent(settings: Settings) -> list[JsonObject]:
    """The events of topic events, by partition and offset."""
    return [orjson.loads(message.value() or b"{}") for message in read_topic(settings.kafka, settings.kafka.topic("events"))]


def cursors(settings: Settings) -> dict[str, Record]:
    """The newest record of each source in topic cursors."""
    found: dict[str, Record] = {}
    for message in read_topic(settings.kafka, settings.kafka.topic("cursors")):
        entry = read(message.key(), message.value())
        if isinstance(entry, Record) and (entry.source not in found or entry.order > found[entry.source].order):
            found[entry.source] = entry
    return found
