"""Where markers and keys of persons are: in tables, in their files, in topics, in other files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from clickhouse_connect.driver.client import Client

from pipeline.config.settings import KafkaSettings
from pipeline.privacy.register import TABLES
from tests.support.erased_world import MARK
from tests.support.topics import read_topic

SQL_MARK = "zq[0-9]{3}qz|4930990[0-9]{3}77"
_COLUMNS = """
SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND default_kind != 'ALIAS'
    AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')
ORDER BY table, position"""
_IDS = "SELECT toString(uuid), name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
_PLAIN = "default_compression_codec = 'NONE', primary_key_compression_codec = 'NONE', marks_compression_codec = 'NONE'"
_REST = np.uint64(40)
_SOON = "cleanup_delay_period = 1, max_cleanup_delay_period = 2, cleanup_delay_period_random_add = 0"


class Stays(NamedTuple):
    """What of a person the register leaves in a table."""

    columns: frozenset[str]
    where: str = "1"
    """Of which rows."""


class Found(NamedTuple):
    table: str
    column: str
    number: int
    """Whose."""


Values = dict[Found, set[int]]
"""With a hash of each value."""


def plain_files(client: Client) -> None:
    """From now on tables are written without compression, and files of replaced parts go at once."""
    for table in TABLES:
        client.command(f"ALTER TABLE {table} MODIFY SETTING {_PLAIN}, {_SOON}")


def _types(client: Client) -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    for table, name, type_ in client.query(_COLUMNS).result_rows:
        tables.setdefault(table, {})[name] = type_
    return tables


def marked(
    client: Client,
    stays: Mapping[str, Stays],
    rows: Mapping[str, str] = MappingProxyType({}),
    final: bool = False,
    hidden: bool = False,
) -> Values:
    """The values of all columns of all tables with a marker, but for those of `stays`; of a table in `rows` of these alone;
    `hidden`: also of rows that are only hidden."""
    found: Values = defaultdict(set)
    for table, types in _types(client).items():
        names = [name for name, type_ in types.items() if "String" in type_ or "Enum" in type_]
        if not names:
            continue
        rule = stays.get(table, Stays(frozenset()))
        values = ", ".join(f"('{name}', lower(ifNull(toString({name}), '')), {int(name in rule.columns)})" for name in names)
        answer = client.query(
            f"SELECT c.1 AS name, mark, groupUniqArray(sipHash64(c.2)) FROM "
            f"(SELECT arrayJoin([{values}]) AS c, {rule.where} AS may FROM {table}{' FINAL' * final} "
            f"WHERE {rows.get(table, 1)}) "
            f"ARRAY JOIN arrayDistinct(extractAll(c.2, '{SQL_MARK}')) AS mark WHERE NOT (may AND c.3) GROUP BY name, mark",
            settings={"apply_deleted_mask": int(not hidden), "max_query_size": 10_000_000},
        ).result_rows
        for name, mark, values_ in answer:
            found[Found(table, name, _number(mark.encode()))].update(values_)
    return found


def keyed(
    client: Client, keys: Mapping[int, int], stays: Mapping[str, frozenset[str]], hidden: bool = False
) -> dict[Found, int]:
    """The columns of numbers that hold one of these keys (key -> whose), but for those of `stays`; how many rows."""
    client.command("CREATE TABLE IF NOT EXISTS keys_of_test (key UInt64, number UInt32) ENGINE = Memory")
    client.command("TRUNCATE TABLE keys_of_test")
    client.insert("keys_of_test", list(keys.items()))
    found: dict[Found, int] = {}
    for table, types in _types(client).items():
        left = {name: type_ for name, type_ in types.items() if name not in stays.get(table, ())}
        numbers = [f"('{name}', [{name}])" for name, type_ in left.items() if type_ == "UInt64"]
        numbers += [f"('{name}', {name})" for name, type_ in left.items() if type_ == "Array(UInt64)"]
        if numbers:
            sql = (
                f"SELECT c.1 AS name, number, count() FROM (SELECT arrayJoin([{', '.join(numbers)}]) AS c FROM {table}) "
                "ARRAY JOIN c.2 AS key INNER JOIN keys_of_test USING key GROUP BY name, number"
            )
            rows = client.query(sql, settings={"apply_deleted_mask": int(not hidden)}).result_rows
            found |= {Found(table, name, number): count for name, number, count in rows}
    return found


def in_files(client: Client, data: Path, keys: Collection[int] = ()) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Table -> whose markers its files hold, where others do not name them; and which of these keys, 8 bytes each. Files of no
    table have their own name. Topics are left out."""
    names = {id_: name for id_, name in client.query(_IDS).result_rows}
    sought = np.sort(np.array(list(keys), dtype=np.uint64))
    likely = np.zeros(1 << 24, dtype=bool)  # by the first bits: most of what is there is none of them
    likely[sought >> _REST] = True
    marks: dict[str, set[int]] = defaultdict(set)
    numbers: dict[str, set[int]] = defaultdict(set)
    for file in sorted(path for path in data.rglob("*") if path.is_file() and not _of_topic(path, data)):
        table = next((names[part] for part in file.parts if part in names), str(file.relative_to(data)))
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # a part that was replaced
            continue
        marks[table] |= {_number(found[0]) for found in MARK.finditer(content) if not found[2]}
        for start in range(8 if len(sought) else 0):
            whole = np.frombuffer(content[start : start + (len(content) - start) // 8 * 8], dtype="<u8")
            whole = whole[likely[whole >> _REST]]
            at = np.minimum(np.searchsorted(sought, whole), len(sought) - 1)
            numbers[table].update(np.unique(whole[sought[at] == whole]).tolist())
    return {k: v for k, v in marks.items() if v}, {k: v for k, v in numbers.items() if v}


def named_in(text: bytes) -> list[int]:
    """Whose markers the text holds, each as often as it is there."""
    return [_number(found[0]) for found in MARK.finditer(text)]


def in_texts(files: Iterable[Path]) -> dict[str, set[int]]:
    """File -> whose markers it holds, however named."""
    found = {file.name: set(named_in(file.read_bytes())) for file in files if file.is_file()}
    return {name: whose for name, whose in found.items() if whose}


class Marked(NamedTuple):
    """A record of a topic that holds markers."""

    partition: int
    offset: int
    numbers: set[int]
    """Whose."""
    content: bytes
    """Key and value."""


def in_topic(kafka: KafkaSettings, topic: str, whose: set[int]) -> list[Marked]:
    """The records that hold markers of these, however named."""
    found = []
    for record in read_topic(kafka, topic):
        content = (record.key() or b"") + b" " + (record.value() or b"")
        if named := whose.intersection(named_in(content)):
            found.append(Marked(record.partition() or 0, record.offset() or 0, named, content))
    return found


def _number(mark: bytes) -> int:
    return int(mark[2:5]) if mark[:2].lower() == b"zq" else int(mark[7:10])


def _of_topic(path: Path, data: Path) -> bool:
    return bool(re.match(r"kafka", str(path.relative_to(data))))
