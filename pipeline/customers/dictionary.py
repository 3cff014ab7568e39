"""The dictionary customer_of is loaded anew after moves: for a fifth of the time at most."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.dictionary import Reloads
from pipeline.clock import Seldom
from pipeline.errors import reason

LOOK_EVERY_S = 0.1
log = logging.getLogger("earshot.customers")


async def keep_loaded(reloads: Reloads, newest: Callable[[], int]) -> None:
    """Loads it at once, and whenever `newest`, the sequence of the newest move, has changed."""
    loaded, complaint = -1, Seldom()
    while True:
        if (move := newest()) != loaded:
            loaded = move
            reloads.changed()
        try:
            if reloads.due():
                await asyncio.to_thread(reloads.reload)
        except (ClickHouseError, OSError) as error:
            if complaint.due():
                log.warning("dictionary customer_of is not loaded anew: %s; will be retried", reason(error))
        await asyncio.sleep(LOOK_EVERY_S)
