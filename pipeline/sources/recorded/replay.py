"""Sends recorded events to Kafka, all at once or at a pace.

A replay of the same file sends the same events, ids included: events that landed before are duplicates. With `as_now` the times
move and the ids stay.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
from rich.progress import Progress

from pipeline.config.settings import Settings
from pipeline.errors import SettingsError
from pipeline.kafka.event_producer import EventProducer, ctrl_c_sets, key_of, parse, record_of
from pipeline.sources.recorded.open_files import How, Line, read_files
from pipeline.sources.recorded.platform_files import ByPlatform
from pipeline.sources.recorded.report import ReplayReport
from schemas.times import rfc3339


def replay(
    settings: Settings,
    files: Sequence[Path],
    *,
    mapping: How = None,
    rate: float | None = None,
    speed: float | None = None,
    as_now: bool = False,
    progress: Progress | None = None,
) -> ReplayReport:
    """Produces the events of the files, in their order, and waits for all acknowledgements.

    `mapping`: a file, or a platform's mapper. `rate`: events a second; None: as fast as possible. `speed`: by the events' own
    times, 60 plays a minute in a second; this reads all files first and sorts their events. `as_now`: an event's times become
    the moment it is sent. Ctrl-C ends the replay early, with a report. Raises SettingsError for a mapping that is missing or
    wrong, or a platform without a mapper, UnreachableError without a broker.
    """
    if rate is not None and speed is not None:
        raise SettingsError("a replay goes by rate or by speed, not both")
    report = ReplayReport()
    events = read_files(files, mapping, report, as_now, progress)
    shift = AsNow() if as_now else None
    stop = threading.Event()
    with EventProducer(settings.kafka, stop) as producer, ctrl_c_sets(stop):
        run_at = mapping.now if isinstance(mapping, ByPlatform) else ""
        for event in _paced(events, rate, speed, run_at, producer.wait_until):
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


# --- pace -----------------------------------------------------------------------------------------------------------
def _paced(
    events: Iterator[Line], rate: float | None, speed: float | None, run_at: str, wait_until: Callable[[float], None]
) -> Iterator[Line]:
    if speed is not None:
        timed = _by_time(events, run_at)
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


def _by_time(events: Iterator[Line], run_at: str = "") -> list[tuple[float, Line]]:
    """Sorted by event time; an event without a readable time, or with that of the run, keeps its position after the event
    before it."""
    timed: list[tuple[float, Line]] = []
    moment: float | None = None
    for event in events:
        own = _moment(event, run_at)
        moment = moment if own is None else own
        timed.append((moment if moment is not None else float("-inf"), event))
    earliest = min((at for at, _ in timed if at != float("-inf")), default=0.0)
    return sorted(((max(at, earliest), event) for at, event in timed), key=lambda pair: pair[0])


def _moment(event: Line, run_at: str) -> float | None:
    fields = (event if isinstance(event, dict) else parse(event)) or {}
    time = fields.get("occurred_at") or fields.get("created_at")
    try:
        return datetime.fromisoformat(time).timestamp() if isinstance(time, str) and time != run_at else None
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
