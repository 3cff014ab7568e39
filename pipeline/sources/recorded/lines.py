"""The lines of a file that is read in blocks, each with its number, and none longer than memory can bear."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

MAX_LINE = 32 << 20
"""An event holds 12 MB; a line with more than this is reported without being kept."""
TOO_LONG = f"the line is longer than {MAX_LINE >> 20} MB"


def split_lines(blocks: Iterable[bytes], end: bytes = b"\n") -> Iterator[bytes | None]:
    """Each line without its end; None for one longer than MAX_LINE. No line follows the last line end."""
    parts: list[bytes] = []
    size = 0
    for block in blocks:
        first, *others = block.split(end)
        size += len(first)
        parts = [*parts, first] if size <= MAX_LINE else []
        if others:
            yield b"".join(parts) if size <= MAX_LINE else None
            yield from others[:-1]
            parts, size = [others[-1]], len(others[-1])
    if size:
        yield b"".join(parts) if size <= MAX_LINE else None


class Ahead:
    """Lines that can be looked at before they are taken. `number` is that of the next one."""

    def __init__(self, lines: Iterable[bytes | None]) -> None:
        self._lines = iter(lines)
        self._waiting: deque[bytes | None] = deque()
        self.number = 1

    def __bool__(self) -> bool:
        """Whether there is another line."""
        return self.reaches(0)

    def reaches(self, index: int) -> bool:
        """Whether there is a line this many after the next one."""
        while len(self._waiting) <= index:
            try:
                self._waiting.append(next(self._lines))
            except StopIteration:
                return False
        return True

    def __getitem__(self, index: int) -> bytes | None:
        """That line; it has to be there."""
        return self._waiting[index]

    def take(self, count: int = 1) -> None:
        """Goes on by lines that were looked at."""
        for _ in range(count):
            self._waiting.popleft()
        self.number += count


def count_lines(path: Path) -> int:
    """The line ends of a file, for a progress bar."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
