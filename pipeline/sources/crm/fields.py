"""Which column of a CRM file holds what: the fields that a record may have, and the columns that the file has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from pipeline.config.document import hint
from pipeline.errors import SettingsError
from pipeline.identity.profile_urls import MASTODON, SITES
from pipeline.sources.recorded.delimited import shown
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.reader import recognise
from pipeline.sources.recorded.reading import Reading
from pipeline.sources.recorded.rows import Row
from pipeline.sources.recorded.table import column_of

FIELDS = ("id", "name", "email", "phone", "since", "accounts")
PLATFORMS = tuple(sorted({MASTODON, *(site.platform for site in SITES)}))
"""Fields, too: a column of handles on this platform."""
_JUDGED = 1_000


def parse_fields(given: Sequence[str]) -> dict[str, str]:
    """The column of each field, from `FIELD=COLUMN`. Raises SettingsError, with the nearest field."""
    columns: dict[str, str] = {}
    for each in given:
        field, equals, column = (part.strip() for part in each.partition("="))
        if not equals or not column:
            raise SettingsError(f"--map {each}: write it as FIELD=COLUMN, as email=E-Mail")
        if field not in (*FIELDS, *PLATFORMS):
            raise SettingsError(
                f"--map {each}: there is no field {field!r}{hint(field, (*FIELDS, *PLATFORMS))}: the fields are "
                f"{', '.join(FIELDS)}; for handles {', '.join(PLATFORMS)}"
            )
        if field in columns:
            raise SettingsError(f"--map {each}: {field} is column {columns[field]} already")
        columns[field] = column
    if "id" not in columns:
        raise SettingsError("--map id=COLUMN is missing: by its id a customer is known again")
    return columns


def check_columns(path: Path, columns: Iterable[str]) -> None:
    """Raises SettingsError for an empty file, and for a column that the header of a CSV lacks, with the nearest; of other
    files: nothing."""
    if path.is_file() and not path.stat().st_size:
        raise SettingsError(f"{path}: it is empty")
    if not path.is_file() or (table := recognise(path, Reading(), tuple(columns)).table) is None:
        return
    for column in columns:
        if table.columns and column_of(column, table.columns) is None:
            raise unknown(path, column, table.columns)


def with_columns(path: Path, columns: Iterable[str], rows: Iterator[Row | Unmapped]) -> Iterator[Row | Unmapped]:
    """The rows. Raises SettingsError for a column that none of the first 1,000 has: a key of JSON may be absent in some."""
    first = list(islice(rows, _JUDGED))
    keys = tuple(dict.fromkeys(key for row in first if isinstance(row, Row) for key in row.values))
    for column in columns:
        if keys and column_of(column, keys) is None:
            raise unknown(path, column, keys)
    return chain(first, rows)


def unknown(path: Path, column: str, known: Sequence[str]) -> SettingsError:
    return SettingsError(f"{path}: there is no column {column!r}{hint(column, known)}: it has {shown(known)}")
