"""The leader notes in ClickHouse which files are in force, by their hashes, and the panels of brands.yaml."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker
from pipeline.errors import EarshotError, reason
from pipeline.leader import Leader
from pipeline.processors.mentions.brands import BrandNames
from pipeline.sinks.in_force import Rows, changed_files, changed_panels
from schemas.times import utc_now

CHECK_EVERY_S = 1.0
log = logging.getLogger("earshot.control")


class InForce:
    """Writes what differs from the newest rows, when it begins to lead and when a file has changed.

    Restart: what is there is compared again, so the same content makes no row. An error is tried again.
    """

    def __init__(self, leader: Leader, client: Client, brands: Callable[[], BrandNames]) -> None:
        self._leader, self._client, self._brands = leader, client, brands
        self._hashes: dict[str, str] = {}

    def note(self, file: str, digest: str) -> None:
        """From now on this process goes by the content with this SHA-256."""
        self._hashes = {**self._hashes, file: digest}

    async def run(self, generation: int) -> None:
        """Looks again and again, in this generation. Raises GivenUp."""
        done: tuple[BrandNames, Mapping[str, str]] | None = None
        while True:
            now = self._brands(), self._hashes
            if done != now:
                try:
                    await self.write(*now, generation)
                    done = now
                except (EarshotError, OSError) as error:
                    log.warning("which files are in force was not written: %s; will be retried", reason(error))
            await asyncio.sleep(CHECK_EVERY_S)

    async def write(self, brands: BrandNames, hashes: Mapping[str, str], generation: int) -> None:
        """Writes what has changed. Raises GivenUp, and EarshotError with the server's reason."""
        for table, rows in await asyncio.to_thread(self._changed, brands, hashes):
            await self._leader.on_thread(partial(self._leader.inserter.insert_all, table, rows, generation))

    def _changed(self, brands: BrandNames, hashes: Mapping[str, str]) -> tuple[Rows, ...]:
        ask, now = asker(self._client), utc_now()

        def query(sql: str) -> pl.DataFrame:
            return ask(sql, {})

        return changed_files(query, hashes, now), changed_panels(query, brands.competitors, now)
