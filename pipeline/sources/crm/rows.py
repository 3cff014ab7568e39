"""The records of a CRM file, in chunks of columns, and the rows that are none, each with its line and the reason.

A file is read as a recorded one is (sources/recorded/reader.py): CSV, TSV, JSON, JSON Lines, packed or not, in its encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from pipeline.errors import EarshotError
from pipeline.sources.crm.accounts import accounts_of
from pipeline.sources.crm.fields import FIELDS, check_columns, with_columns
from pipeline.sources.recorded.convert import MISSING, missing_words
from pipeline.sources.recorded.files import with_file_errors
from pipeline.sources.recorded.ids import ends_in_point_zero, lost_digits
from pipeline.sources.recorded.items import Unmapped
from pipeline.sources.recorded.reader import Say, format_of, rows_of
from pipeline.sources.recorded.reading import Reading
from pipeline.sources.recorded.reasons import Unmappable, as_text, shape
from pipeline.sources.recorded.rows import Row
from pipeline.sources.recorded.times import parser
from pipeline.sources.recorded.values import Getter, reference
from schemas.contacts import EMAIL, PHONE, is_number
from schemas.identity import CRM, account_keys
from schemas.times import TIME, utc_now

CHUNK = 20_000
"""Rows that are read before some are written."""
LONGEST = 1_000
"""Bytes of an id, a name, an address or a number at most."""
_ADDRESS = r"""^[^@\s,;<>()"]+@(?:[^@\s,;<>()".]+\.)+[^@\s,;<>()".]{2,}$"""
_ENCODING = re.compile(r"\(encoding: (\S+) in the mapping may read it\)")
_ADVICE = re.compile(r" \([^()]* in the mapping [^()]*\)|: \w+: .* in the mapping .*")
"""What the reader of recorded files says of a mapping, which a CRM file has none of."""


class Chunk(NamedTuple):
    """Some rows of the file."""

    records: pl.DataFrame
    """`line`, `profile`, `id`, `name`, `email`, `phone` as the file has them, `since`; null where there is nothing."""
    accounts: pl.DataFrame
    """ACCOUNTS; `row` is the number of the record."""
    repeated: int
    """Rows that say once more what an earlier one said."""
    left_out: list[Unmapped]
    rows: int
    line: int
    """Of the last row."""


def read_chunks(path: Path, columns: Mapping[str, str], region: str, say: Say) -> Iterator[Chunk]:
    """The file, `columns` by field. `region`: setting privacy.region. `say` gets a line for what was recognised and is not
    certain.

    Raises SettingsError for a column that the file lacks, EarshotError for a file that can't be read, at once. One that breaks
    off ends with a `Damaged` in `left_out`.
    """
    try:
        check_columns(path, columns.values())
        form = format_of(path)
    except OSError as error:
        raise EarshotError(f"{error.filename or path}: {error.strerror}") from None
    needed = tuple(dict.fromkeys(columns.values()))
    rows = rows_of(path, form, Reading(), needed, lambda text: say(_plain(text)))
    if form not in ("csv", "tsv"):
        rows = with_columns(path, needed, rows)
    return _chunks(with_file_errors(path, rows), _Checks(columns, region), _First())


def _chunks(items: Iterator[Row | Unmapped], checks: _Checks, first: _First) -> Iterator[Chunk]:
    while chunk := list(islice(items, CHUNK)):
        yield first.kept(checks.chunk(chunk))


class _Checks:
    """Rows of the file become records, or say why they can't."""

    def __init__(self, columns: Mapping[str, str], region: str) -> None:
        self._getters = [(field, reference(column)) for field, column in columns.items()]
        self._accounts = [field for field in columns if field == "accounts" or field not in FIELDS]
        self._schema = {"line": pl.UInt32(), **{field: pl.String() for field in (*FIELDS[:5], *self._accounts)}}
        self._time, self._region = parser("iso", "UTC"), region

    def chunk(self, items: list[Row | Unmapped]) -> Chunk:
        left_out = list[Unmapped]()
        rows = self._filled(pl.DataFrame(self._cells(items, left_out), schema=self._schema))
        accounts, problems = accounts_of(rows, self._accounts)
        of_accounts = problems.with_columns(pl.col("row").cast(pl.UInt32))
        rows = rows.with_row_index("row").join(of_accounts, on="row", how="left", maintain_order="left")
        rows = rows.with_columns(problem=pl.coalesce(self._problem(rows), "problem"))
        left_out += [Unmapped(*each) for each in rows.drop_nulls("problem").select("line", "problem").iter_rows()]
        good = rows.filter(pl.col("problem").is_null())
        content = good.select(pl.struct(pl.all().exclude("row", "line", "problem")).hash()).to_series()
        platform, no_handle = (pl.Series([value], dtype=pl.String).new_from_index(0, good.height) for value in (CRM, None))
        records = good.select(
            "line", account_keys(platform, good.get_column("id"), no_handle).alias("profile"), *FIELDS[:4],
            pl.col("since").str.to_datetime("%+", time_unit="ms", time_zone="UTC").cast(TIME), content.alias("content"),
        )  # fmt: skip
        return Chunk(records, _of_rows(accounts, good), 0, left_out, len(items), items[-1].line)

    # --- cells --------------------------------------------------------------------------------------------------------
    def _cells(self, items: list[Row | Unmapped], left_out: list[Unmapped]) -> dict[str, list[object]]:
        cells: dict[str, list[object]] = {name: [] for name in ("line", *(field for field, _ in self._getters))}
        for item in items:
            if isinstance(item, Unmapped):
                left_out.append(item._replace(reason=_plain(item.reason)))
                continue
            try:
                texts = [_text(field, get, item.values) for field, get in self._getters]
            except Unmappable as error:
                left_out.append(Unmapped(item.line, str(error)))
                continue
            cells["line"].append(item.line)
            for (field, _), text in zip(self._getters, texts, strict=True):
                cells[field].append(text)
        return {name: cells.get(name) or [None] * len(cells["line"]) for name in self._schema}

    def _filled(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Words that stand for nothing become null: of a name they may be meant. Times become RFC 3339, what is none stays."""
        words = list(missing_words(MISSING))
        texts = pl.exclude("line", "name")
        rows = rows.with_columns(pl.when(~texts.str.to_lowercase().is_in(words)).then(texts))
        given = rows.get_column("since").drop_nulls().unique()
        times = [self._moment(text) for text in given]
        return rows.with_columns(since=pl.col("since").replace_strict(given, times, default=None, return_dtype=pl.String))

    def _moment(self, text: str) -> str:
        try:
            return max(self._time(text), "1970-01-01T00:00:00Z")
        except (ValueError, OverflowError) as error:
            return f"since: no time in {shape(text)}: {error}"

    # --- problems -----------------------------------------------------------------------------------------------------
    def _problem(self, rows: pl.DataFrame) -> pl.Series:
        """Why a row is no record: the first reason; null for a good one."""
        short = [
            pl.when(pl.col(name).str.len_bytes() > LONGEST).then(pl.lit(f"{name}: over {LONGEST:,} bytes"))
            for name in FIELDS[:4]
        ]
        now = pl.lit(f"{utc_now():%Y-%m-%dT%H:%M:%S}")
        since = pl.col("since")
        return rows.select(
            pl.coalesce(
                pl.when(pl.col("id").is_null()).then(pl.lit("id: there is none")),
                *short,
                self._wrong(rows.get_column("email"), "e-mail address"),
                self._wrong(rows.get_column("phone"), "phone number"),
                pl.when(since.str.starts_with("since: ")).then(since),
                pl.when(since > now).then(pl.lit("since: it is in the future")),
            )
        ).to_series()

    def _wrong(self, values: pl.Series, what: str) -> pl.Series:
        """The reason, where a value is none of these."""
        distinct = values.drop_nulls().unique()
        form = EMAIL if values.name == "email" else PHONE
        texts = distinct.to_frame().select(form).to_series()
        if values.name == "email":
            good = texts.str.contains(_ADDRESS)
        else:
            good = pl.Series([is_number(text, self._region) for text in texts], dtype=pl.Boolean)
        wrong = distinct.filter(~good)
        reasons = [f"{values.name}: {shape(value)} is no {what}" for value in wrong]
        return values.replace_strict(wrong, pl.Series(reasons, dtype=pl.String), default=None, return_dtype=pl.String)


def _plain(reason: str) -> str:
    return _ADVICE.sub("", _ENCODING.sub(r"(it may be \1: save the file as UTF-8)", reason))


def _text(field: str, get: Getter, row: dict[str, object]) -> str | None:
    """The cell as text. Raises Unmappable for what is none."""
    value = get(row)
    if field == "id" and lost_digits(value):
        raise Unmappable(f"id: {shape(value)} lost its last digits on its way: export it as text")
    if field == "id" and ends_in_point_zero(value):
        raise Unmappable(f"id: {shape(value)} went through a column of decimal numbers: export it as text")
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and field not in FIELDS[:5] and not any(isinstance(each, dict | list) for each in value):
        return "\n".join(as_text(each) for each in value if each is not None) or None
    if isinstance(value, dict | list | bool):
        kind = {dict: "an object", list: "a list", bool: "true or false"}[type(value)]
        raise Unmappable(f"{field}: it is {kind}")
    return as_text(value)


def _of_rows(accounts: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """The accounts of these rows, by their new numbers."""
    places = kept.select("row").with_row_index("place")
    return accounts.join(places, on="row", maintain_order="left").with_columns(row="place").drop("place")


class _First:
    """Of rows with one id the first counts. Remembers 20 bytes a record."""

    def __init__(self) -> None:
        self._known = pl.DataFrame(schema={"profile": pl.UInt64(), "content": pl.UInt64(), "line": pl.UInt32()})

    def kept(self, chunk: Chunk) -> Chunk:
        """The chunk without rows whose id an earlier row had: repeated, or left out if they say something else."""
        records = chunk.records
        first = records.select(list(self._known.columns)).unique("profile", keep="first", maintain_order=True)
        # The known ones are looked up among these few: no chunk makes a table of all that came before it.
        earlier = self._known.join(first, on="profile", how="semi")
        new = first.join(earlier, on="profile", how="anti", maintain_order="left")
        self._known = pl.concat([self._known, new])
        earlier = pl.concat([earlier, new]).rename({"content": "then", "line": "at"})
        records = records.with_row_index("row").join(earlier, on="profile", how="left", maintain_order="left")
        again = records.filter(pl.col("line") != pl.col("at"))
        other = again.filter(pl.col("content") != pl.col("then"))
        reasons = [
            Unmapped(line, f"id: line {at:,} has it, with other content") for line, at in other.select("line", "at").rows()
        ]
        kept = records.filter(pl.col("line") == pl.col("at"))
        return chunk._replace(
            records=kept.drop("row", "content", "then", "at"),
            accounts=_of_rows(chunk.accounts, kept),
            repeated=again.height - other.height,
            left_out=sorted([*chunk.left_out, *reasons]),
        )
