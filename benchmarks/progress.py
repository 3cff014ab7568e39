"""The one progress display of a run: `bar`. Measurements report to it, the suite shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")


class Bar:
    """What is going on, how far it is, and for how long; nothing is shown before `shown`."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f}"))
        self._progress = Progress(*columns, TimeElapsedColumn(), transient=True)

    @contextmanager
    def shown(self) -> Iterator[Callable[[str], None]]:
        """Shows the display; yields what prints a line above it."""
        with self._progress:
            yield lambda line: self._progress.console.print(line, highlight=False)

    @contextmanager
    def task(self, what: str, total: float) -> Iterator[Callable[[float], None]]:
        """Yields what tells how far the task is."""
        task = self._progress.add_task(what, total=total)
        try:
            yield lambda done: self._progress.update(task, completed=done)
        finally:
            self._progress.remove_task(task)

    def track(self, items: Iterable[T], total: float, description: str) -> Iterator[T]:
        with self.task(description, total) as tell:
            for number, item in enumerate(items):
                if number % max(1, int(total) // 100) == 0:
                    tell(number)
                yield item


bar = Bar()
