"""Sends recorded events to Kafka, all at once or at a pace.

A replay of the same file sends the same events, ids included: events that landed before are duplicates. With `as_now` the times
move and the ids stay.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import orjson
from rich.progress import Progress

from pipeline.config.settings import Settings
from pipeline.errors import SettingsError
from pipeline.kafka.event_producer import EventProducer, ctrl_c_sets, key_of, parse, record_of
from pipeline.sources.recorded.files import Mapped, format_of, read_events
from pipeline.sources.recorded.mapping import MappingFile, find_mapping, load_mapping
from pipeline.sources.recorded.rows import Unmapped
from schemas.times import rfc3339

Line = dict[str, object] | bytes


class UnmappedRow(NamedTuple):
    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(slots=True)
class ReplayReport:
    """The counts of a replay: `events` = `produced` + the sum of `failed` + `unmapped`, also after a Ctrl-C."""

    rows: int = 0
    events: int = 0
    """Events in the rows, including those that do not map."""
    produced: int = 0
    """Acknowledged by the broker."""
    failed: Counter[str] = field(default_factory=Counter)
    """Refused by the broker or not acknowledged, by reason."""
    unmapped: list[UnmappedRow] = field(default_factory=list)
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Every event that maps is in Kafka."""
        return not self.failed and not self.interrupted


def replay(
    settings: Settings,
    files: Sequence[Path],
    *,
    mapping: Path | None = None,
    rate: float | None = None,
    speed: float | None = None,
    as_now: bool = False,
    progress: Progress | None = None,
) -> ReplayReport:
    """Produces the events of the files, in their order, and waits for all acknowledgements.

    `rate`: events a second; None: as fast as possible. `speed`: by the events' own times, 60 plays a minute in a second; this
    reads all files first and sorts their events. `as_now`: an event's times become the moment it is sent. Ctrl-C ends the
    replay early, with a report. Raises SettingsError for a mapping that is missing or wrong, UnreachableError without a broker.
    """
    if rate is not None and speed is not None:
        raise SettingsError("a replay goes by rate or by speed, not both")
    report = ReplayReport()
    events = read_files(files, mapping, report, progress)
    shift = AsNow() if as_now else None
    stop = threading.Event()
    with EventProducer(settings.kafka, stop) as producer, ctrl_c_sets(stop):
        for event in _paced(events, rate, speed, producer.wait_until):
            if stop.is_set():
                break
            producer.produce(*record_of(shift(event) if shift else event))
        producer.finish()
    report.interrupted = stop.is_set()
    report.produced, report.failed = producer.acknowledged, producer.failed
    unsent = report.events - report.produced - report.failed.total() - len(report.unmapped)
    if unsent:  # read just before the Ctrl-C
        report.failed["stopped before it was sent"] += unsent
    return report


# --- reading --------------------------------------------------------------------------------------------------------
def read_files(files: Sequence[Path], mapping: Path | None, report: ReplayReport, progress: Progress | None) -> Iterator[Line]:
    """The events of the files, counted in `report`. Opens all files first: a mapping that does not fit the last file is an
    error before any event is sent."""
    given = load_mapping(mapping) if mapping else None
    opened: list[tuple[Path, MappingFile | None, Iterator[Mapped | Unmapped]]] = []
    for path in files:
        chosen = given or find_mapping(path)
        items = read_events(path, chosen)
        first = next(items, None)
        opened.append((path, chosen, items if first is None else chain((first,), items)))
    return chain.from_iterable(_counted(path, chosen, items, report, progress) for path, chosen, items in opened)


def _counted(
    path: Path, mapping: MappingFile | None, items: Iterable[Mapped | Unmapped], report: ReplayReport, progress: Progress | None
) -> Iterator[Line]:
    # A pipe can be read once only.
    lines = None if format_of(path, mapping) == "json" or not path.is_file() else count_lines(path)
    task = progress.add_task(path.name, total=lines) if progress else None
    line = 0
    for item in items:
        report.rows += item.line != line
        report.events += 1
        line = item.line
        if progress and task is not None:
            progress.update(task, completed=line)
        if isinstance(item, Unmapped):
            report.unmapped.append(UnmappedRow(path, item.line, item.reason))
        else:
            yield item.event
    if progress and task is not None:
        progress.update(task, total=lines or line, completed=lines or line)


def count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


# --- pace -----------------------------------------------------------------------------------------------------------
def _paced(
    events: Iterator[Line], rate: float | None, speed: float | None, wait_until: Callable[[float], None]
) -> Iterator[Line]:
    if speed is not None:
        timed = _by_time(events)
        start = time.monotonic() - (timed[0][0] / speed if timed else 0)
        for moment, event in timed:
            wait_until(start + moment / speed)
            yield event
        return
    start = time.monotonic()
    for number, event in enumerate(events):
        if rate is not None:
            wait_until(start + number / rate)
        yield event


def _by_time(events: Iterator[Line]) -> list[tuple[float, Line]]:
    """Sorted by event time; an event without a readable time keeps its position after the event before it."""
    timed: list[tuple[float, Line]] = []
    moment: float | None = None
    for event in events:
        own = _moment(event)
        moment = moment if own is None else own
        timed.append((moment if moment is not None else float("-inf"), event))
    earliest = min((at for at, _ in timed if at != float("-inf")), default=0.0)
    return sorted(((max(at, earliest), event) for at, event in timed), key=lambda pair: pair[0])


def _moment(event: Line) -> float | None:
    fields = (event if isinstance(event, dict) else parse(event)) or {}
    time = fields.get("occurred_at") or fields.get("created_at")
    try:
        return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else None
    except (ValueError, OverflowError):
        return None


class AsNow:
    """Moves an event's times to the moment it is sent.

    A repeated create keeps the times of its first sending, so it stays a duplicate. An update or delete happens now, and its
    `created_at` is when its create was sent; without a create in this replay the field is left out.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._created: dict[bytes, str] = {}

    def __call__(self, event: Line) -> Line:
        fields = dict(event) if isinstance(event, dict) else parse(event)
        if fields is None:
            return event
        key = key_of(fields)
        now = rfc3339(self._now(), short=True)
        if fields.get("operation") in ("update", "delete"):
            fields.pop("created_at", None)
            if key in self._created:
                fields["created_at"] = self._created[key]
            fields["occurred_at"] = now
        else:
            created = self._created.setdefault(key, now) if key else now
            fields["created_at"] = fields["occurred_at"] = created
        return fields if isinstance(event, dict) else orjson.dumps(fields)
