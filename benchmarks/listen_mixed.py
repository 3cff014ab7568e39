"""A listener with a hundred sources of thirteen platforms: its cores and its memory at two hundred items a second.

The platforms' servers run in a process of their own, Kafka and ClickHouse in others. Each source knows as many items as it ever
does from the start on, as if it had run for long. Items are counted in topic events: after the measurement each one is there
once, or there is no figure.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
import orjson
import psutil
import yaml
from confluent_kafka import Producer

from benchmarks.alerts import CORES
from benchmarks.ground import Ground, ground, peak_mb
from benchmarks.mixed_platforms import PLATFORMS, SOURCES, Accounts, accounts
from benchmarks.progress import bar
from benchmarks.report import MB, Figure
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.environment import child_environment
from pipeline.config.listening import ListenSettings
from pipeline.config.settings import Settings
from pipeline.listen.ownership import partition_of
from pipeline.listen.record import Record
from pipeline.listen.sources_file import load_sources
from pipeline.sources.platforms.changes import MOST_ITEMS
from tests.support.ledger import ITEM
from tests.support.topics import end_offsets, read_topic

NAMES = ("listen.mixed_cores", "listen.mixed_mb")
EVERY_S, POLLS = 60.0, 3
"""How often each source is asked; where the measurement is shorter than POLLS of that, so much more often."""
PATIENCE_S = 180.0
_HEARD = "SELECT count() FROM source_health FINAL WHERE last_contact IS NOT NULL"


class _Use(NamedTuple):
    """Of a process of the listener."""

    name: str
    cpu_s: float
    mb: float
    """The most that it had resident."""


class _Found(NamedTuple):
    seconds: float
    items: float
    """A second, in topic events."""
    use: list[_Use]
    requests: float
    """A second."""
    ratio: float


def figures(rate: int, seconds: int) -> Iterator[Figure]:
    """`rate` items a second, of all sources together."""
    every_s = min(EVERY_S, max(1.0, seconds // POLLS))
    with ground() as stage, accounts(rate, every_s) as there:
        found = _measure(stage, there, every_s, seconds)
    each = ", ".join(f"{use.name} {use.cpu_s / found.seconds:.3f} cores, {use.mb:,.0f} MB" for use in found.use)
    conditions = (
        f"{SOURCES} sources of {len(PLATFORMS)} platforms, which know {MOST_ITEMS:,} items each, asked every {every_s:g} s "
        f"or by a stream; {found.items:,.0f} items/s in topic events for {found.seconds:,.0f} s, each once; "
        f"{found.requests:.1f} requests/s, {found.ratio:.2f} of those needed; {each}"
    )
    yield Figure(NAMES[0], sum(use.cpu_s for use in found.use) / found.seconds, CORES, conditions)
    yield Figure(NAMES[1], sum(use.mb for use in found.use), MB, conditions)


def _measure(stage: Ground, there: Accounts, every_s: float, seconds: int) -> _Found:
    with ExitStack() as stack:
        settings = _settings(stage, stack.enter_context(stage.run(stage.topic(1))), there)
        tokens = {_variable(source.keys): source.token for source in there.sources if source.token}
        _remember(settings)
        command = [sys.executable, "-m", "pipeline.cli", "listen"]
        process = subprocess.Popen(command, env={**child_environment(settings), **tokens})
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        _wait_until_all_are_heard(settings, process)
        begun = there.posted()
        time.sleep(every_s + 5)  # until each was asked twice
        started, before, items, asked = time.monotonic(), _cpu(process.pid), _events(settings), there.requests()
        for _ in bar.track(range(seconds), seconds, "sources"):
            time.sleep(1)
        passed, use = time.monotonic() - started, _used(process.pid, before)
        items, requests = _events(settings) - items, there.requests()
        _wait_until_all_are_there(settings, begun, there.stop(), every_s)
        return _Found(passed, items / passed, use, (requests.asked - asked.asked) / passed, requests.ratio)


def _settings(stage: Ground, settings: Settings, there: Accounts) -> Settings:
    path = stage.folder / "sources.yaml"
    sources = [{**each.keys, **({"token_env": _variable(each.keys)} if each.token else {})} for each in there.sources]
    path.write_text(yaml.safe_dump({"sources": sources}))
    return settings.model_copy(update={"sources": path, "listen": ListenSettings(port=0)})


def _remember(settings: Settings) -> None:
    """Each source has sent MOST_ITEMS items, which are not there any more, and is nowhere yet."""
    assert settings.sources is not None
    producer, topic, random = Producer(settings.kafka.client()), settings.kafka.topic("cursors"), np.random.default_rng(1)
    partitions = len(end_offsets(settings.kafka, topic))
    for source in load_sources(settings.sources).sources:
        items = random.integers(2, 1 << 63, (MOST_ITEMS, 5)).astype("<u8").tobytes()
        record = Record(source.name, source.what(), epoch=1, items=items)
        producer.produce(topic, record.dump(), source.name.encode(), partition_of(source.credential, partitions))
    if producer.flush(60):
        raise RuntimeError("topic cursors could not be filled")


def _variable(source: Mapping[str, object]) -> str:
    return f"TOKEN_{source['name']}"


def _wait_until_all_are_heard(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE_S
    with clickhouse_client(settings.clickhouse) as client, bar.task("sources begin", SOURCES) as advance:
        while (heard := int(str(client.command(_HEARD)))) < SOURCES:
            if process.poll() is not None:
                raise RuntimeError(f"the listener ended with exit code {process.returncode}")
            if time.monotonic() > end:
                raise RuntimeError(f"only {heard} of {SOURCES} sources answered")
            advance(heard)
            time.sleep(0.5)


def _wait_until_all_are_there(settings: Settings, begun: Mapping[str, int], posted: Mapping[str, int], every_s: float) -> None:
    """Returns when topic events has each item since the source had begun, once. Raises RuntimeError if that is never so."""
    end = time.monotonic() + PATIENCE_S + every_s
    wanted = {(name, number) for name, count in posted.items() for number in range(begun[name], count)}
    while True:
        found = Counter(_created(settings))
        twice = [item for item, times in found.items() if times > 1]
        missing = wanted - found.keys()
        if twice or (missing and time.monotonic() > end):
            raise RuntimeError(f"{len(missing):,} items are missing, {len(twice):,} are there twice: {[*missing, *twice][:3]}")
        if not missing:
            return
        time.sleep(every_s / 4)


def _created(settings: Settings) -> Iterator[tuple[str, int]]:
    """Source and number of each item that topic events has."""
    for message in read_topic(settings.kafka, settings.kafka.topic("events")):
        event = orjson.loads(message.value() or b"{}")
        if event.get("operation") == "create" and (match := ITEM.search(event.get("text", "").encode())):
            _, number, _, name = match[0].split()[:4]
            yield name.decode().rstrip("."), int(number)


def _events(settings: Settings) -> int:
    return sum(high for _, high in end_offsets(settings.kafka, settings.kafka.topic("events")).values())


def _cpu(pid: int) -> dict[int, float]:
    """Of the process and its children, by their ids."""
    listener = psutil.Process(pid)
    return {each.pid: sum(each.cpu_times()[:2]) for each in (listener, *listener.children(recursive=True))}


def _used(pid: int, before: Mapping[int, float]) -> list[_Use]:
    return [
        _Use("listener" if each == pid else "parser of feeds", used - before.get(each, 0.0), peak_mb(each))
        for each, used in _cpu(pid).items()
    ]
