"""Prints texts that strangers wrote: none can move the cursor, change a colour, or run as a formula in a spreadsheet."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_WIDE = "|".join("＝＋－＠").encode()
_FORMULA = re.compile(rb'(?<!")"(?=[=+\-@\t\r]|' + _WIDE + rb")")
"""The opening quote of a cell that a spreadsheet would read as a formula. A quote inside a text is doubled, and numbers have
none."""
_AHEAD = 3
"""The bytes after a quote that decide whether it opens such a cell."""


def write(blocks: Iterable[bytes]) -> None:
    """Writes UTF-8 to stdout; on a terminal with the escapes of `printable`."""
    blocks = _printable(blocks) if sys.stdout.isatty() else blocks
    for block in blocks:
        sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _printable(blocks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
    for block in blocks:
        yield printable(decoder.decode(block)).encode()
    yield printable(decoder.decode(b"", final=True)).encode()


def without_formulas(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """ClickHouse's CSV with a ' before each text that begins with = + - @ (wide ones, too), a tab or a carriage return.

    It assumes a reader that splits at commas: a ; inside a text stays, since ;-) is not a formula.
    """
    held = b""
    for block in blocks:
        text = held + block
        cut = len(text) - _AHEAD
        while cut > 0 and b'"' in text[max(cut - _AHEAD, 0) : cut + 1]:  # a cut beside a quote would change its meaning
            cut -= 1
        yield _FORMULA.sub(b"\"'", text[: max(cut, 0)])
        held = text[max(cut, 0) :]
    yield _FORMULA.sub(b"\"'", held)


def printable(value: object) -> str:
    """The value as text; unprintable characters and invalid UTF-8 as escapes (`\\x1b`)."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (list, tuple)):
        return ", ".join(printable(item) for item in value)
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def moment(at: datetime | None) -> str:
    """2026-11-29 00:01:02, as it is in `at`: UTC; blank for none."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def one_line(value: object) -> str:
    """As `printable`, line ends included: the name of a file begins no line of its own."""
    return printable(value).replace("\n", "\\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table of plain text; columns of numbers are aligned to the right."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    rows = list(rows)
    for index, column in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        shown.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(value)) for value in row))
    return shown


def console(stderr: bool = False) -> Console:
    """As wide as the terminal; in a pipe wide enough for a table."""
    screen = Console(stderr=stderr, highlight=False, emoji=False)
    return screen if screen.is_terminal else Console(stderr=stderr, highlight=False, emoji=False, width=200)


class _Name(ProgressColumn):
    """What a bar is about: the name of a file may hold anything, markup of rich, too."""

    def render(self, task: Task) -> Text:
        return Text(one_line(task.description))


def progress_bars(look: bool = False) -> Progress:
    """Progress bars on stderr, none yet: a context manager. Those of a `look` leave nothing behind, and nothing in a pipe."""
    columns = (_Name(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = console(stderr=True)
    return Progress(*columns, console=screen, transient=look, disable=look and not screen.is_terminal)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """One progress bar on stderr; yields a function of how many are done and how many there are in all; None: nobody knows."""
    with progress_bars() as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
