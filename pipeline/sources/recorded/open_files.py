"""Opens recorded files for a replay: their mappings, the checks before the first event, the counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from rich.progress import Progress

from pipeline.sources.recorded.archives import is_packed
from pipeline.sources.recorded.checks import checked
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Damaged, Mapped, Unmapped
from pipeline.sources.recorded.lines import count_lines
from pipeline.sources.recorded.mapping import MappingFile, find_mapping, load_mapping
from pipeline.sources.recorded.platform_files import ByPlatform, read_payloads
from pipeline.sources.recorded.reader import format_of
from pipeline.sources.recorded.report import ReplayReport
from pipeline.sources.recorded.unmapped_rows import UnmappedRow

Line = dict[str, object] | bytes
How = Path | ByPlatform | None
"""A mapping file, a platform's mapper, or the mapping that belongs to the file's name."""


def read_files(
    files: Sequence[Path], mapping: How, report: ReplayReport, as_now: bool, progress: Progress | None = None
) -> Iterator[Line]:
    """The events of the files, counted in `report`.

    Opens all files first: a mapping that does not fit the last file is an error before any event is sent. Raises SettingsError.
    """
    if isinstance(mapping, ByPlatform):
        return read_payloads(files, mapping, report, progress)
    given = load_mapping(mapping) if mapping else None
    opened: list[tuple[Path, MappingFile | None, Iterator[Mapped | Unmapped]]] = []
    for path in files:
        chosen = given or find_mapping(path)
        items = read_events(path, chosen, partial(_note, report, path))
        if chosen is not None:
            items = checked(path, items, as_now)
        first = next(items, None)
        opened.append((path, chosen, items if first is None else chain((first,), items)))
    return chain.from_iterable(_counted(path, chosen, items, report, progress) for path, chosen, items in opened)


def _note(report: ReplayReport, path: Path, text: str) -> None:
    report.notes.append(f"{path}: {text}")


def _counted(
    path: Path, mapping: MappingFile | None, items: Iterable[Mapped | Unmapped], report: ReplayReport, progress: Progress | None
) -> Iterator[Line]:
    # A pipe can be read once only.
    lines = None if not path.is_file() or is_packed(path) or format_of(path, mapping) == "json" else count_lines(path)
    task = progress.add_task(path.name, total=lines) if progress else None
    line, barren = 0, True
    for item in items:
        report.rows += item.line != line
        report.events += 1
        line = item.line
        if progress and task is not None:
            progress.update(task, completed=line)
        if isinstance(item, Unmapped):
            row = UnmappedRow(path, item.line, item.reason)
            report.unmapped.append(row)
            if isinstance(item, Damaged):
                report.damaged = True
                report.notes.append(str(row))
            continue
        for field, reason in item.left_out:
            report.left_out[field] += 1
            report.first_left_out.setdefault(field, UnmappedRow(path, item.line, f"{field}: {reason}"))
        barren = False
        yield item.event
    if line and barren:
        report.barren.append(path)
    if progress and task is not None:
        progress.update(task, total=lines or line, completed=lines or line)
