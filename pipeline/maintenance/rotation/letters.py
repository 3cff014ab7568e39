"""Dead letters, encrypted with the newest key. `content`, by which the letters of one offset are told apart, is a hash with the
key, and in the table's key: so a letter is written anew, and then the old row goes. Who is killed in between leaves both; the
next pass writes the same row once more, and the old one goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import LONG_SQL, asker, one_line
from pipeline.clickhouse.row_versions import quoted
from pipeline.config.keys import DataKeys, Name
from pipeline.errors import EarshotError
from pipeline.fence import OpenFence
from pipeline.maintenance.rotation.sealed import older, suppressed
from pipeline.maintenance.rotation.work import Advance, Done
from pipeline.monitoring.health import Vitals
from pipeline.privacy.hide import DELETE
from pipeline.privacy.letters import hide_letters
from pipeline.sinks.dead_letter import INSERT_BYTES
from pipeline.sinks.letter_encryption import FORM, LetterEncryption, Place
from pipeline.sinks.letter_rows import TYPES

PAGE = 5_000
"""Letters whose old rows go by one DELETE, which looks at each part."""
_KEY = "topic, partition, offset, content"
_WHICH = f"""
SELECT {_KEY}, length(raw) AS size FROM dead_letters FINAL WHERE form = {FORM} AND {{older}} AND ({_KEY}) > ({{after}})
ORDER BY {_KEY} LIMIT {{page}}"""
_ROWS = f"SELECT * FROM dead_letters FINAL WHERE form = {FORM} AND {{older}} AND ({_KEY}) IN ({{keys}})"
_FIRST = "'', 0, 0, 0"
_BYTES: dict[str, str | dict[str, str]] = {"key": "bytes", "raw": "bytes"}
Row = dict[str, Any]


class Letters:
    """The work of table dead_letters. Letters from before migration 032 are as they came, and stay so."""

    table: str = "dead_letters"
    columns: tuple[str, ...] = ("key", "raw", "content")
    key: Name = "data_key"

    def __init__(self, client: Client, keys: DataKeys) -> None:
        self._client, self._keys, self._encryption = client, keys, LetterEncryption(keys)
        self._ask = asker(client)
        self._inserter = Inserter(client, OpenFence(), Vitals(), "keys rotate")

    def left(self) -> int:
        """How many letters are of older keys. Raises EarshotError."""
        sql = f"SELECT count() AS n FROM dead_letters FINAL WHERE form = {FORM} AND {older(self._client, self._keys)}"
        return int(self._ask(sql, {}).get_column("n")[0])

    def run(self, advance: Advance) -> Done:
        """One pass, by topic, partition and offset, to the first page that is not full: what others write meanwhile can't keep
        it going. Raises EarshotError."""
        done, after, of_older, full = Done(), _FIRST, older(self._client, self._keys), True
        while full and (page := self._ask(_WHICH.format(older=of_older, after=after, page=PAGE), {})).height:
            gone: list[str] = []
            for keys in _groups(page):
                rows, why = self._anew(_ROWS.format(older=of_older, keys=", ".join(keys)))
                gone += [old for old, _ in rows]
                self._write([row for _, row in rows])
                done = Done(done.rows + len(rows), done.kept + len(keys) - len(rows), done.why or why)
                advance(len(rows))
            self._delete(gone, of_older)
            after, full = _literal(*page.drop("size").row(-1))[1:-1], page.height == PAGE
        return done

    def _anew(self, sql: str) -> tuple[list[tuple[str, Row]], str]:
        """The letters that can be decrypted, each with the key of its old row; why the first of the others can't."""
        found, why = [], ""
        with one_line(self._client):
            answer = self._client.query(sql, settings=LONG_SQL, column_formats=_BYTES, query_tz="UTC")
        for row in answer.named_results():
            place, stored = Place(row["topic"], row["partition"], row["offset"]), row["raw"]
            try:
                key = self._encryption.decrypt_key(place, row["key"])
                raw = self._encryption.decrypt(place, stored, len(stored))
            except EarshotError as error:
                why = why or str(error)
                continue
            anew = {
                "key": self._encryption.encrypt_key(place, key),
                "raw": self._encryption.encrypt(place, raw),
                "content": self._encryption.content(key, raw),
                "sealed_by": self._encryption.sealed_by,
            }
            found.append((_literal(*place, row["content"]), {**row, **anew}))
        return found, why

    def _write(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        frame = pl.DataFrame(rows, schema_overrides=TYPES, infer_schema_length=None)
        self._inserter.insert_all("dead_letters", frame, 0)
        accounts, values = ([each for row in rows for each in row[name]] for name in ("accounts", "contacts"))
        erased = suppressed(self._client, accounts, [row["event_key"] for row in rows], values)
        if erased.accounts or erased.events or erased.values:
            hide_letters(self._client, erased)

    def _delete(self, keys: Sequence[str], of_older: str) -> None:
        if keys:
            with one_line(self._client):
                condition = f"form = {FORM} AND {of_older} AND ({_KEY}) IN ({', '.join(keys)})"
                self._client.command(f"DELETE FROM dead_letters WHERE {condition}", settings={**LONG_SQL, **DELETE})


def _groups(page: pl.DataFrame) -> Iterator[list[str]]:
    """The keys of a page, in groups whose records are of about INSERT_BYTES."""
    group: list[str] = []
    size = 0
    for *key, each in page.iter_rows():
        if group and size + each > INSERT_BYTES:
            yield group
            group, size = [], 0
        group.append(_literal(*key))
        size += each
    yield group


def _literal(topic: str, partition: int, offset: int, content: int) -> str:
    return f"({quoted(topic)}, {partition}, {offset}, {content})"
