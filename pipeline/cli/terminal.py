"""What strangers wrote, on a terminal or in a spreadsheet: nothing of it can move the cursor, change a colour or run."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_WIDE = "|".join("＝＋－＠").encode()
_FORMULA = re.compile(rb'(?<!")"(?=[=+\-@\t\r]|' + _WIDE + rb")")
"""The quote before a text that a spreadsheet would take for a formula: one that opens a cell stands alone, within a text none
does, and numbers have none."""
_AHEAD = 3
"""So many bytes after a quote say whether it is one."""


def write(blocks: Iterable[bytes]) -> None:
    """Writes UTF-8 to stdout; on a terminal with escapes, as `printable` has them."""
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

    It is for a reader that splits at commas: a ; within a text stays as it is, for ;-) is no formula.
    """
    held = b""
    for block in blocks:
        text = held + block
        cut = len(text) - _AHEAD
        while cut > 0 and b'"' in text[max(cut - _AHEAD, 0) : cut + 1]:  # what is cut beside a quote means something else
            cut -= 1
        yield _FORMULA.sub(b"\"'", text[: max(cut, 0)])
        held = text[max(cut, 0) :]
    yield _FORMULA.sub(b"\"'", held)


def printable(value: object) -> str:
    """The value as text; what is no printable character, or no UTF-8, as an escape (`\\x1b`)."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (list, tuple)):
        return ", ".join(printable(item) for item in value)
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table of plain text; numbers to the right."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    rows = list(rows)
    for place, column in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[place], (int, float)) for row in rows)
        shown.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(value)) for value in row))
    return shown


def console(stderr: bool = False) -> Console:
    """As wide as the terminal; wide enough for a table where there is none, as in a pipe."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=200)


def progress_bars() -> Progress:
    """Progress bars on stderr, none yet: a context manager."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console(stderr=True))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """One progress bar on stderr; yields a function of how many are done and how many there are in all."""
    with progress_bars() as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
