"""Mistakes of a mapping that the first 1,000 events show, before any of them is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.sources.recorded.items import Mapped, Unmapped, judged
from pipeline.sources.recorded.times import is_sensible


def checked(path: Path, items: Iterable[Mapped | Unmapped], as_now: bool) -> Iterator[Mapped | Unmapped]:
    """The items as they are. Raises SettingsError before the first if all events would be dead letters by their time, or would
    be one event by their id. `as_now`: their times do not count."""
    rest = iter(items)
    first = judged(rest)
    events = [(item.line, item.event) for item in first if isinstance(item, Mapped) and isinstance(item.event, dict)]
    if events and not as_now:
        _check_times(path, [event for _, event in events])
    for kind in {str(event.get("kind")) for _, event in events}:
        _check_ids(path, kind, [(line, event) for line, event in events if event.get("kind") == kind])
    yield from chain(first, rest)


def _check_times(path: Path, events: list[dict[str, object]]) -> None:
    times = [datetime.fromisoformat(str(event["created_at"])) for event in events]
    if any(map(is_sensible, times)):
        return
    years = sorted({time.year for time in times})
    span = f"in {years[0]}" if len(years) == 1 else f"in the years {years[0]} to {years[-1]}"
    raise SettingsError(
        f"{path}: created_at of the first {_count(len(times), 'event')} lies {span}: all would be dead letters, "
        "outside 1995 to tomorrow"
    )


def _check_ids(path: Path, kind: str, events: list[tuple[int, dict[str, object]]]) -> None:
    """Different events of several rows with one id would be one event."""
    line, first = events[0]
    if any(event.get("operation", "create") != "create" for _, event in events):
        return
    if any((event["platform"], event["id"]) != (first["platform"], first["id"]) for _, event in events):
        return
    if all(each == line for each, _ in events) or all(event == first for _, event in events):
        return
    raise SettingsError(
        f"{path}: the first {_count(len(events), kind)} have the same id and would be one event: "
        "read id from a column that differs, or make it of several, hash: [...]"
    )


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}s" if number > 1 else name
