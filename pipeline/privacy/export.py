"""`earshot person export`: all that is there of a person, as JSON a table and as one page of text.

It is written beside the folder and renamed when it is whole: a folder of the given name is complete. What a run left that was
killed is begun anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from io import IOBase
from pathlib import Path
from typing import TextIO

import orjson
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, one_line, settings_for
from pipeline.errors import EarshotError
from pipeline.privacy.held import Held
from pipeline.privacy.opened import LETTERS, Opened, Row
from pipeline.privacy.page import ENTRIES
from pipeline.privacy.place import Place, Sets, where
from pipeline.privacy.register import TABLES
from pipeline.privacy.subject import reader
from pipeline.privacy.whole_folder import new_file, whole_folder

PAGE = "person.txt"
_FILES = {PAGE, *(f"{name}.json" for name in TABLES)}
_BLOCK = 1 << 16
PIECE = 10_000
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
    done, begun = 0, set[str]()
    with whole_folder(folder, _FILES, "export") as part, _text(part / PAGE) as page:
        page.writelines(f"{line}\n" for line in head)
        for place in (each.place for each in places if each.rows):
            for row in _written(part / f"{place.name}.json", _rows(client, place, sets, opened)):
                if place.name in ENTRIES:
                    page.write(_on_page(place, row, first=place.name not in begun))
                    begun.add(place.name)
                advance(done := done + 1)
    return done


def _on_page(place: Place, row: Row, first: bool) -> str:
    title, entry = ENTRIES[place.name]
    return f"\n\n{title}\n\n{entry(row)}\n" if first else f"\n{entry(row)}\n"


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
    settings = settings_for(client) | LONG_SQL | _JSON
    for found in _pieces(client, place, where(place, sets)):
        sql = f"SELECT {columns} FROM (SELECT * FROM {place.name} WHERE {found}{order})"
        with one_line(client), client.raw_stream(sql, {}, settings, "JSONEachRow") as stream:
            for line in _lines(stream):
                yield opened.row(place, _row(line))


def _pieces(client: Client, place: Place, condition: str) -> Iterator[str]:
    """Conditions that together find the same rows, each of a later time. Of interactions, whose rows are long, PIECE at a time:
    ClickHouse sorts them in memory. They name places in the table's order: for the newest versions alone the whole table
    would be read."""
    if place.name != "interactions":
        yield condition
        return
    rows = reader(client)(f"""
SELECT toUnixTimestamp(toStartOfMinute(created_at)) AS minute, event_key, min(created_at) AS first
FROM interactions WHERE {condition} GROUP BY minute, event_key ORDER BY first, minute, event_key""")
    for piece in rows.iter_slices(PIECE):
        pairs = ", ".join(f"({minute}, {key})" for minute, key, _ in piece.iter_rows())
        yield f"(toStartOfMinute(created_at), event_key) IN ({pairs}) AND ({condition})"


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
    return os.fdopen(new_file(path), "w", encoding="utf-8", errors="backslashreplace")
