"""Office: to lead, from taking over to handing over. It is the same for each process that has a leader."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.clickhouse.client import reason
from pipeline.clickhouse.fenced_inserter import Fenced
from pipeline.clickhouse.inserter import Inserter
from pipeline.fence import GivenUp
from pipeline.leader import OTHERS_WRITE_S, Leader, Terms
from pipeline.monitoring.health import Vitals

RELEASE_S = 2.0
log = logging.getLogger("earshot.leader")


class Office:
    """`name` is that of its terms, `working` the one that `vitals` knows its work by; the term is taken on `thread`, where all
    that writes by `inserter` has to run, too."""

    def __init__(self, leader: Leader, client: Client, vitals: Vitals, name: str, working: str, thread: Executor) -> None:
        self._leader, self._vitals, self._name, self._thread = leader, vitals, name, thread
        self._terms = Terms(client, Inserter(client, leader, vitals, working), name)
        self.inserter = Fenced(client, leader, vitals, working)
        self._task: asyncio.Task[None] | None = None

    async def hold(self, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        """Does `work(generation)` whenever this process leads, and cancels it at the end of the lease. Raises what `work` does,
        but for GivenUp."""
        while True:
            generation = await self._leader.begun()
            lead = self._task = asyncio.create_task(self._lead(generation, work))
            ended = asyncio.create_task(self._leader.ended(generation))
            try:
                await asyncio.wait((lead, ended), return_when=asyncio.FIRST_COMPLETED)
                self._vitals.hold("partitions", "not in charge any more: no heartbeat was answered, or the group changes")
            finally:
                ended.cancel()
                lead.cancel()
                await asyncio.wait((lead, ended))
            if not lead.cancelled() and (error := lead.exception()) is not None and not isinstance(error, GivenUp):
                raise error
            log.info("not in charge any more")

    async def handed_over(self, timeout_s: float) -> None:
        """Returns when nothing of what was led is under way any more, or after `timeout_s`."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=timeout_s)

    async def _lead(self, generation: int, work: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        self._vitals.hold("partitions", "it is to be in charge, and takes its term")
        take = partial(self._terms.take, partial(self._leader.check, generation))
        term = await asyncio.get_running_loop().run_in_executor(self._thread, take)
        self.inserter.begin(self._name, term.number)
        if not term.alone:
            self._vitals.hold("partitions", "what the one before may still be writing is waited for")
            await self._leader.rest(generation, OTHERS_WRITE_S)
        try:
            await work(generation)
        finally:
            await self._release(term.number)

    async def _release(self, term: int) -> None:
        """Hands over, so that the next one need not wait; not while a write may still run."""
        if self.inserter.unsettled:
            return
        try:
            await asyncio.wait_for(asyncio.to_thread(self._terms.release, term), RELEASE_S)
        except (ClickHouseError, OSError, TimeoutError) as error:
            log.warning("the next one in charge will wait for %.0f s: %s", OTHERS_WRITE_S, reason(error))
