"""Records of a CRM, encrypted with the newest key: a row takes the place of that with its profile and its time."""

from __future__ import annotations

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import LONG_SQL, asker, one_line
from pipeline.config.keys import DataKeys, Name
from pipeline.errors import EarshotError
from pipeline.fence import OpenFence
from pipeline.identity.encryption import ENCRYPTED, Encryption
from pipeline.maintenance.rotation.sealed import older, suppressed
from pipeline.maintenance.rotation.work import Advance, Done
from pipeline.monitoring.health import Vitals
from pipeline.privacy.hide import DELETE

PAGE = 20_000
"""Rows read at once."""
_PAGE = "SELECT * FROM customers FINAL WHERE {older} AND profile > {after} ORDER BY profile LIMIT {page}"


class Records:
    """The work of table customers. 20 µs a record, most of them decrypting and encrypting."""

    table: str = "customers"
    columns: tuple[str, ...] = ENCRYPTED
    key: Name = "data_key"

    def __init__(self, client: Client, keys: DataKeys) -> None:
        self._client, self._keys, self._encryption = client, keys, Encryption(keys)
        self._ask = asker(client)
        self._inserter = Inserter(client, OpenFence(), Vitals(), "keys rotate")

    def left(self) -> int:
        """How many records are of older keys. Raises EarshotError."""
        sql = f"SELECT count() AS n FROM customers FINAL WHERE {older(self._client, self._keys)}"
        return int(self._ask(sql, {}).get_column("n")[0])

    def run(self, advance: Advance) -> Done:
        """One pass, by profile, to the first page that is not full: what others write meanwhile can't keep it going. Raises
        EarshotError."""
        done, after, of_older, full = Done(), -1, older(self._client, self._keys), True
        while full and (page := self._ask(_PAGE.format(older=of_older, after=after, page=PAGE), {})).height:
            after, full = int(page.get_column("profile")[-1]), page.height == PAGE
            rows, why = self._anew(page)
            self._inserter.insert_all("customers", rows, 0)
            self._hide_erased(rows)
            kept = page.height - rows.height
            done = Done(done.rows + rows.height, done.kept + kept, done.why or why)
            advance(rows.height)
        return done

    def _anew(self, page: pl.DataFrame) -> tuple[pl.DataFrame, str]:
        """The rows that can be decrypted, encrypted anew; why the first of the others can't."""
        profiles, why = page.get_column("profile").to_list(), ""
        anew: dict[str, list[str | None]] = {name: [] for name in ENCRYPTED}
        for profile, *stored in zip(profiles, *(page.get_column(name).to_list() for name in ENCRYPTED), strict=True):
            try:
                texts: list[str | None] = [self._again(profile, *each) for each in zip(ENCRYPTED, stored, strict=True)]
            except EarshotError as error:
                texts, why = [None] * len(ENCRYPTED), why or str(error)
            for name, text in zip(ENCRYPTED, texts, strict=True):
                anew[name].append(text)
        columns = [pl.Series(name, texts, dtype=pl.String) for name, texts in anew.items()]
        rows = page.with_columns(*columns, sealed_by=pl.lit(self._encryption.sealed_by, pl.UInt32))
        return rows.drop_nulls(list(ENCRYPTED)), why

    def _again(self, profile: int, column: str, stored: str) -> str:
        return self._encryption.encrypt(profile, column, self._encryption.decrypt(profile, column, stored))

    def _hide_erased(self, rows: pl.DataFrame) -> None:
        if rows.height and (erased := suppressed(self._client, rows.get_column("profile")).accounts):
            with one_line(self._client):
                self._client.command(
                    f"DELETE FROM customers WHERE profile IN ({', '.join(map(str, erased))})", settings={**LONG_SQL, **DELETE}
                )
