"""`earshot person export`: all that is there of a person, as JSON a table and as one page of text.

It is written beside the folder and renamed when it is whole: a folder of the given name is complete. What a run left that was
killed is begun anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import IOBase
from pathlib import Path
from typing import TextIO

import orjson
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, one_line, settings_for
from pipeline.errors import EarshotError
from pipeline.privacy.held import Held, narrowed
from pipeline.privacy.opened import LETTERS, Opened, Row
from pipeline.privacy.page import entry
from pipeline.privacy.place import Place, Sets, where
from pipeline.privacy.register import TABLES
from pipeline.privacy.subject import reader

PAGE = "person.txt"
_FILES = {PAGE, *(f"{name}.json" for name in TABLES)}
_BLOCK = 1 << 16
_JSON = {
    "output_format_json_quote_64bit_integers": 1,  # most readers of JSON round a large number
    "output_format_json_validate_utf8": 1,
    "date_time_output_format": "iso",
}


def export(
    client: Client,
    sets: Sets,
    places: Sequence[Held],
    head: Sequence[str],
    folder: Path,
    opened: Opened,
    advance: Callable[[int], None],
) -> int:
    """Writes the folder: a file for each of the places, and the page, which begins with `head`. Returns how many rows.

    Raises EarshotError for a folder that is there, with the server's reason, for a full disk, and for what another key
    encrypted: then nothing is left.
    """
    done = 0
    with _whole(folder) as part, _text(part / PAGE) as page:
        page.writelines(f"{line}\n" for line in head)
        for place in (each.place for each in places if each.rows):
            for row in _written(part / f"{place.name}.json", _rows(client, place, sets, opened)):
                if place.name == "interactions":
                    page.write(f"\n{entry(row)}\n")
                advance(done := done + 1)
    return done


def _written(path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, each as it is in the file: a list, a row a line."""
    with _text(path) as file:
        for number, row in enumerate(rows):
            file.write((",\n" if number else "[\n") + orjson.dumps(row).decode())
            yield row
        file.write("\n]\n")


def _rows(client: Client, place: Place, sets: Sets, opened: Opened) -> Iterator[Row]:
    """The rows of the person as they are now, by time."""
    if place.name == LETTERS and opened.has_key:
        yield from opened.letters()
        return
    left_out = [name for name, sql in place.shown.items() if not sql]
    instead = [f"{_filled(sql, sets)} AS {name}" for name, sql in place.shown.items() if sql]
    columns = "*" + f" EXCEPT ({', '.join(left_out)})" * bool(left_out) + f" REPLACE ({', '.join(instead)})" * bool(instead)
    order = f" ORDER BY {place.time}" if place.time else ""
    found = narrowed(reader(client), place, where(place, sets))
    sql = f"SELECT {columns} FROM (SELECT * FROM {place.name} WHERE {found}{order})"
    settings = settings_for(client) | LONG_SQL | _JSON
    with one_line(client), client.raw_stream(sql, {}, settings, "JSONEachRow") as stream:
        for line in _lines(stream):
            yield opened.row(place, _row(line))


def _lines(stream: IOBase) -> Iterator[bytes]:
    held = b""
    while block := stream.read(_BLOCK):
        *lines, held = (held + block).split(b"\n")
        yield from lines
    if held:
        yield held


def _row(line: bytes) -> Row:
    try:
        row: Row = orjson.loads(line)
    except ValueError:  # the reason of the server stands where a row should
        raise EarshotError(f"ClickHouse broke off: {line.decode(errors='replace')[:300]}") from None
    return row


def _filled(sql: str, sets: Sets) -> str:
    return sql.format(accounts=sets.accounts or "NULL", events=sets.events or "NULL")


def _text(path: Path) -> TextIO:
    """A new file for its owner alone."""
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="backslashreplace"
    )


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, which gets its name at the end. If the block fails, there is neither."""
    if folder.exists():
        raise EarshotError(f"{folder} is there already: name a folder that is not")
    part = folder.with_name(f"{folder.name}.part")
    try:
        _clear(part)
        part.mkdir(mode=0o700)
        try:
            yield part
            for file in part.iterdir():
                _flush(file)
            part.rename(folder)
        except BaseException:
            _clear(part)
            raise
    except OSError as error:
        raise EarshotError(f"{folder}: {error.strerror}; nothing was exported") from None


def _flush(path: Path) -> None:
    """To the disk: else the folder might have its name, and a file be empty, when the machine stops."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear(part: Path) -> None:
    """Takes away what a run has left. Raises EarshotError for a link, and for files that are none of an export's."""
    if part.is_symlink():  # what it leads to is not ours
        raise EarshotError(f"{part} is a link, which no export made: name another folder, or take it away")
    if not part.is_dir():
        return
    files = list(part.iterdir())
    if strange := [file.name for file in files if file.name not in _FILES or file.is_dir()]:
        raise EarshotError(f"{part} holds {strange[0]!r}, which no export wrote: name another folder, or take it away")
    for file in files:
        file.unlink()
    part.rmdir()
