"""The leader gives ClickHouse the exchange rates that ship with Earshot, and the currency to which amounts are converted."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker, one_line
from pipeline.errors import EarshotError, reason
from pipeline.leader import Leader
from pipeline.sinks.rates import LOAD, changes
from schemas.times import utc_now

AGAIN_S = 5.0
PIECE_ROWS, REST_S = 10_000, 0.2
"""Alerts are written on the same thread: all 220,000 rates at once took 5 s on a busy machine, and failed."""
log = logging.getLogger("earshot.control")


class Rates:
    """Once in each generation. Restart: what is there is compared and loaded again, since who was killed may only have written
    it. An error is tried again; until then amounts are converted as before. Only the inserts are on the leader's thread, piece
    by piece."""

    def __init__(self, leader: Leader, client: Client, currency: str) -> None:
        self._leader, self._client, self._currency = leader, client, currency

    async def run(self, generation: int) -> None:
        """Until it is done. Raises GivenUp."""
        while True:
            try:
                return await self._write(generation)
            except (EarshotError, OSError) as error:
                log.warning("exchange rates were not written: %s; will be retried", reason(error))
            await asyncio.sleep(AGAIN_S)

    async def _write(self, generation: int) -> None:
        ask = asker(self._client)
        due = await asyncio.to_thread(changes, lambda sql: ask(sql, {}), self._currency, utc_now())
        for table, rows in due:
            for piece in rows.iter_slices(PIECE_ROWS):
                await self._leader.on_thread(partial(self._leader.inserter.insert_all, table, piece, generation))
                await asyncio.sleep(REST_S)
        await asyncio.to_thread(self._load)
        if due:
            log.info("amounts are converted to %s", self._currency)

    def _load(self) -> None:
        with one_line(self._client):
            self._client.command(LOAD)
