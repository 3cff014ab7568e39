"""Erasing: accounts of persons who were erased (table suppressions) leave the graph and its tables.

Nobody has to ask for it: whoever erases writes the table, and this process follows it. So an erasure that was begun while it
was down, or that it was killed in, is done when it runs again.
"""

from __future__ import annotations

import asyncio
import logging

from pipeline.clickhouse.query import READ, Ask
from pipeline.clock import Clock, steady
from pipeline.customers.state import State
from pipeline.errors import EarshotError
from pipeline.leader import Leader
from pipeline.sinks.erased_customers import SUPPRESSED

EVERY_S = 1.0
AGAIN_S = 300.0
"""So often the tables are looked through for all that was ever erased: an import may have been writing its records."""
_NEWS = "SELECT count() AS rows, max(sequence) AS newest FROM suppressions WHERE kind = 'account'"
log = logging.getLogger("earshot.customers")


class Erasing:
    """`ask` raises EarshotError, and is asked on a thread of its own."""

    def __init__(self, leader: Leader, state: State, ask: Ask, clock: Clock = steady) -> None:
        self._leader, self._state, self._ask, self._clock = leader, state, ask, clock

    async def run(self) -> None:
        """Follows the table while this process leads. Raises GivenUp."""
        known, looked = None, float("-inf")
        while True:
            try:
                news = (await asyncio.to_thread(self._ask, _NEWS, READ)).row(0)
                again = self._clock() - looked >= AGAIN_S
                if news != known or again:
                    await self.step(again)
                    known, looked = news, self._clock() if again else looked
            except EarshotError as error:
                log.warning("persons who were erased are not looked for: %s; will be retried", error)
            await asyncio.sleep(EVERY_S)

    async def step(self, again: bool = False) -> None:
        """Erases those that are new; `again`: what is there of any. Raises GivenUp, EarshotError."""
        keys = (await asyncio.to_thread(self._ask, SUPPRESSED, READ)).get_column("key")
        self._leader.check()
        if erased := await self._leader.on_thread(lambda: self._state.suppress(keys, again)):
            log.info("%d profiles are erased", erased)
