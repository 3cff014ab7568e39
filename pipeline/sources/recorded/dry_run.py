"""A look at recorded files without a replay: their events as the mapping makes them, and the figures that show its mistakes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import orjson
import xxhash
from rich.progress import Progress

from pipeline.kafka.event_producer import parse
from pipeline.sources.recorded.open_files import How, read_files
from pipeline.sources.recorded.report import ReplayReport
from pipeline.sources.recorded.times import is_sensible
from schemas.events import FIELDS

SHOWN = 20
_SHAPE = re.compile(r"'[^'B-Zb-z0-8]*'(?= |:)")
"""The form of a value in a reason (reasons.shape)."""


@dataclass(slots=True)
class DryRun:
    """The figures of a dry run."""

    report: ReplayReport = field(default_factory=ReplayReport)
    first: list[dict[str, object]] = field(default_factory=list)
    """The first events."""
    events: int = 0
    """Events that map, of JSONL of events those that are JSON."""
    broken: int = 0
    """Lines of JSONL of events that are no JSON object: dead letters."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Events by kind, and `update` and `delete`."""
    filled: Counter[str] = field(default_factory=Counter)
    """Events that have a field, by its path."""
    earliest: datetime | None = None
    latest: datetime | None = None
    untimely: int = 0
    """Events whose time is none, or outside 1995 to tomorrow: dead letters."""
    duplicates: int = 0
    """Events whose platform and id an earlier event of these files has."""
    different: int = 0
    """Of these: events that differ from the earlier one."""

    @property
    def reasons(self) -> Counter[str]:
        """Unmapped rows by reason, whatever the form of their value."""
        return Counter(_SHAPE.sub("'...'", row.reason) for row in self.report.unmapped)

    @property
    def fill(self) -> list[tuple[str, int]]:
        """Field and events that have it, in the order of the event's fields."""
        return [(each.path, self.filled[each.path]) for each in FIELDS if self.filled[each.path]]


def dry_run(files: Sequence[Path], mapping: How = None, as_now: bool = False, progress: Progress | None = None) -> DryRun:
    """Reads the files as a replay would. Raises as `replay` does, but needs no broker."""
    run = DryRun()
    seen: dict[int, int] = {}
    for line in read_files(files, mapping, run.report, as_now, progress):
        event = line if isinstance(line, dict) else parse(line)
        if event is None:
            run.broken += 1
            continue
        run.events += 1
        if len(run.first) < SHOWN:
            run.first.append(event)
        operation = event.get("operation", "create")
        run.kinds[str(event.get("kind") if operation == "create" else operation)] += 1
        run.filled.update(_paths(event))
        _count_time(run, event)
        _count_id(run, event, seen)
    return run


def _paths(event: dict[str, object]) -> list[str]:
    nested = [f"{name}.{inner}" for name, value in event.items() if isinstance(value, dict) for inner in value]
    return [*event, *nested]


def _count_time(run: DryRun, event: dict[str, object]) -> None:
    given = event.get("created_at") or event.get("occurred_at")
    try:
        time = datetime.fromisoformat(str(given))
        sensible = is_sensible(time)
    except (ValueError, TypeError):  # TypeError: a time without a zone
        run.untimely += 1
        return
    run.untimely += not sensible
    run.earliest = min(run.earliest or time, time)
    run.latest = max(run.latest or time, time)


def _count_id(run: DryRun, event: dict[str, object], seen: dict[int, int]) -> None:
    """`seen`: the hash of platform and id, with that of the content."""
    if event.get("operation", "create") != "create":
        return
    key = xxhash.xxh3_64_intdigest(f"{event.get('platform')}\0{event.get('id')}".encode("utf-8", "surrogatepass"))
    content = xxhash.xxh3_64_intdigest(orjson.dumps(event, option=orjson.OPT_SORT_KEYS))
    if key in seen:
        run.duplicates += 1
        run.different += seen[key] != content
        return
    seen[key] = content
