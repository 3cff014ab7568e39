"""Persons in all tables, and what erases one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import ClickHouseSettings
from pipeline.fence import OpenFence
from pipeline.monitoring.health import Vitals
from pipeline.privacy.erase import Erasing
from pipeline.privacy.register import TABLES
from pipeline.privacy.subject import find
from schemas.erasures import Erasure, Keys
from tests.support.persons import Planted, plant

ANN, BOB = Planted("annmark"), Planted("bobmark")
HERE = [place.name for place in TABLES.values() if place.erase in ("rows", "rebuilt") and place.findable]
TEXT = """
SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{}' AND default_kind NOT IN ('ALIAS')"""


def marked(client: Client, mark: str, hidden: bool = False) -> dict[str, int]:
    """How many rows of each table hold the marker somewhere; `hidden`: of the files, whatever is hidden."""
    found = {}
    for table in HERE:
        columns = ", ".join(f"toString({name})" for (name,) in client.query(TEXT.format(table)).result_rows)
        settings = {"apply_deleted_mask": 0} if hidden else {}
        where = f"arrayExists(text -> position(text, '{mark}') > 0, [{columns}])"
        if rows := int(str(client.command(f"SELECT count() FROM {table} WHERE {where}", settings=settings))):
            found[table] = rows
    return found


class Bench(NamedTuple):
    client: Client
    inserter: Inserter
    heard: list[pl.DataFrame]

    def erasing(self, **parts: Callable[[Keys], int | None]) -> Erasing:
        @contextmanager
        def changing(rows: pl.DataFrame) -> Iterator[None]:
            self.heard.append(rows)
            yield

        return Erasing(self.client, self.inserter, changing, parts, lambda: {"social.events": "no date"})

    def begin(self, erasing: Erasing) -> Erasure:
        person = find(self.client, customer=f"twitter:{ANN.id}")
        return erasing.begin(Keys(person.keys, person.hashes, handles=person.handles), "ines", "she asked")

    def numbers(self, sql: str) -> list[tuple[object, ...]]:
        return [tuple(row) for row in self.client.query(sql).result_rows]


@contextmanager
def planted(clickhouse: ClickHouseSettings) -> Iterator[Bench]:
    """Ann and Bob, in every table."""
    with clickhouse_client(clickhouse) as client:
        plant(client, ANN, BOB)
        yield Bench(client, Inserter(client, OpenFence(), Vitals(), "test"), [])
