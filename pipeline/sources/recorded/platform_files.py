"""Recorded payloads through a platform's mapper: the events that a live source would have made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path

from rich.progress import Progress

from pipeline.errors import SettingsError, UnknownName
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import LeftOut, Observation, Observe, Origin, Unreadable
from pipeline.sources.platforms.registry import mapper
from pipeline.sources.recorded.archives import is_packed
from pipeline.sources.recorded.items import Damaged, Unmapped
from pipeline.sources.recorded.lines import count_lines
from pipeline.sources.recorded.payloads import Payload, payloads
from pipeline.sources.recorded.report import ReplayReport
from pipeline.sources.recorded.unmapped_rows import UnmappedRow
from schemas.times import rfc3339
from schemas.untyped import JsonObject

MOST_ITEMS = 200_000
"""Items that are known in a run, the newest: some 60 MB. An item beyond them is a create again."""


def _now() -> str:
    return rfc3339(datetime.now(UTC), short=True)


@dataclass(frozen=True, slots=True)
class ByPlatform:
    """The payloads of files go through a platform's mapper, in place of a mapping file."""

    platform: str
    host: str = ""
    """The server or feed from which they came, for platforms whose ids begin with it."""
    now: str = field(default_factory=_now)
    """The time of the run: of changes to which the platform gives none."""


def read_payloads(
    files: Sequence[Path], by: ByPlatform, report: ReplayReport, progress: Progress | None = None
) -> Iterator[JsonObject]:
    """The events of the payloads of the files, counted in `report`: of each item a create once, then its changes.

    Opens all files first. Raises SettingsError for a platform without a mapper, EarshotError for a file that can't be read.
    """
    try:
        observe = mapper(by.platform)
    except UnknownName as error:
        raise SettingsError(f"--platform: {error}") from None
    found: list[tuple[Path, Iterator[Payload | Unmapped]]] = []
    for path in files:
        items = payloads(path, by.platform, partial(_note, report, path))
        first = next(items, None)
        found.append((path, items if first is None else chain((first,), items)))
    known = Known(most=MOST_ITEMS)
    return chain.from_iterable(_File(path, by, observe, known, report).events(items, progress) for path, items in found)


def _note(report: ReplayReport, path: Path, text: str) -> None:
    report.notes.append(f"{path}: {text}")


@dataclass(slots=True)
class _File:
    """One file on its way through the mapper."""

    path: Path
    by: ByPlatform
    observe: Observe
    known: Known
    report: ReplayReport

    def events(self, items: Iterable[Payload | Unmapped], progress: Progress | None) -> Iterator[JsonObject]:
        """The events of its payloads."""
        lines = count_lines(self.path) if progress and self.path.is_file() and not is_packed(self.path) else None
        task = progress.add_task(self.path.name, total=lines) if progress else None
        line, seen = 0, 0
        for item in items:
            line = item.line
            self.report.rows += 1
            if progress and task is not None:
                progress.update(task, completed=line)
            observations = self._observations(item)
            seen += len(observations)
            sent = 0
            for event in self.known.changes(observations, self.by.now):
                sent += 1
                self.report.events += 1
                yield event
            self.report.unchanged += len(observations) - sent
        if line and not seen:
            self.report.barren.append(self.path)
        if progress and task is not None:
            progress.update(task, total=lines or line, completed=lines or line)

    def _observations(self, item: Payload | Unmapped) -> list[Observation]:
        """The items of a payload. A payload of another shape, and parts that are not mapped, are reported."""
        if isinstance(item, Unmapped):
            self._unmapped(item.line, item.reason, isinstance(item, Damaged))
            return []
        place = f"payload {item.number}: " if item.number else ""
        try:
            seen = list(self.observe(item.value, Origin(self.by.host)))
        except Unreadable as error:
            self._unmapped(item.line, f"{place}{error}")
            return []
        except Exception as error:  # of one payload: the file goes on
            self._unmapped(item.line, f"{place}unexpected {type(error).__name__}")
            return []
        for each in seen:
            if isinstance(each, LeftOut):
                self.report.not_mapped[each.kind] += 1
                self.report.first_not_mapped.setdefault(each.kind, UnmappedRow(self.path, item.line, f"{place}{each.kind}"))
        return [each for each in seen if isinstance(each, Observation)]

    def _unmapped(self, line: int, reason: str, damaged: bool = False) -> None:
        row = UnmappedRow(self.path, line, reason)
        self.report.events += 1
        self.report.unmapped.append(row)
        if damaged:
            self.report.damaged = True
            self.report.notes.append(str(row))
