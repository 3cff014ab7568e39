"""The leader keeps the business hours of brands.yaml in ClickHouse: in tables, and in the dictionaries that queries read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import asker, one_line
from pipeline.config.zone import UTC
from pipeline.errors import EarshotError, reason
from pipeline.leader import Leader
from pipeline.processors.mentions.brands import BrandNames
from pipeline.processors.mentions.business_hours import Calendar
from pipeline.sinks.calendars import LOADS, Changes, changes
from schemas.times import utc_now

CHECK_EVERY_S = 1.0
log = logging.getLogger("earshot.control")


class Calendars:
    """Writes a calendar when brands.yaml says another one, and when a year has begun: calendars reach to the end of next year.

    Restart: what is there is compared and loaded again. An error is tried again; until then queries go by the hours before.
    Only the inserts are on the leader's thread: to compute a calendar takes a second, to load it some.
    """

    def __init__(self, leader: Leader, client: Client, brands: Callable[[], BrandNames]) -> None:
        self._leader, self._client, self._brands = leader, client, brands

    async def run(self, generation: int) -> None:
        """Looks again and again, in this generation. Raises GivenUp."""
        done: tuple[BrandNames, int] | None = None
        while True:
            now, brands = utc_now(), self._brands()
            if done != (brands, now.year):
                try:
                    await self.write(wanted(brands, now), now, generation)
                    done = brands, now.year
                except (EarshotError, OSError) as error:
                    log.warning("business hours were not written: %s; will be retried", reason(error))
            await asyncio.sleep(CHECK_EVERY_S)

    async def write(self, calendars: Mapping[str, Calendar], now: datetime, generation: int) -> None:
        """Writes these, and loads them. Raises GivenUp, and EarshotError with the server's reason."""
        due = await asyncio.to_thread(self._due, calendars, now)
        for table, rows in due.rows:
            await self._leader.on_thread(partial(self._leader.inserter.insert_all, table, rows, generation))
        await asyncio.to_thread(self._load)
        if due.brands:
            log.info("%d brands have other business hours", len(due.brands))

    def _due(self, calendars: Mapping[str, Calendar], now: datetime) -> Changes:
        ask = asker(self._client)
        return changes(lambda sql: ask(sql, {}), calendars, now)

    def _load(self) -> None:
        with one_line(self._client):
            for statement in LOADS:
                self._client.command(statement)


def wanted(brands: BrandNames, now: datetime) -> dict[str, Calendar]:
    """The calendars of the brands that have business hours."""
    return {name: Calendar.of(hours, brands.zones.get(name, UTC), now.year + 1) for name, hours in brands.hours.items()}
