"""Acts that the console does itself: on record before anybody is told that they are done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from clickhouse_connect.driver.client import Client
from starlette.requests import Request

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import ClickHouseSettings
from pipeline.console.desk import Desk
from pipeline.sinks.acts import acting
from schemas.acts import Act

T = TypeVar("T")
WRITING_S = 300
"""How long one statement may take of what sends many records."""


def act_of(request: Request, act: str, subject: str, comment: str = "") -> Act:
    """An act of the person who asks."""
    return Act(request.state.person.name, "console", act, subject, comment)


async def doing(desk: Desk, act: Act, work: Callable[[Client], T]) -> T:
    """Does the work with the writer's client in a thread, and records the act. The work may say in `act` how it was before and
    after, and what came of it. Raises what it raises, and UnreachableError if what is done is not on record."""
    return await desk.acting(partial(_doing, desk.settings.clickhouse, act, work))


async def looking(desk: Desk, act: Act, work: Callable[[Client], T]) -> T:
    """The same for a look, as the pages read: what it found is passed on once the look is on record."""
    loop = asyncio.get_running_loop()
    return await doing(desk, act, lambda _: asyncio.run_coroutine_threadsafe(desk.reads.run(work), loop).result())


def _doing(clickhouse: ClickHouseSettings, act: Act, work: Callable[[Client], T]) -> T:
    with clickhouse_client(clickhouse, WRITING_S) as client, acting(client, act):
        return work(client)
