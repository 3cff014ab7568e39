"""Acts that the console does itself: on record before anybody is told that they are done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from clickhouse_connect.driver.client import Client
from starlette.requests import Request

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.console.reader import as_console
from pipeline.sinks.acts import acting
from schemas.acts import Act

T = TypeVar("T")
READING_S, WRITING_S = 6, 300
"""How long one statement may take: of a look, and of what sends many records."""


def act_of(request: Request, act: str, subject: str, comment: str = "") -> Act:
    """An act of the person who asks."""
    return Act(request.state.person.name, "console", act, subject, comment)


async def doing(settings: Settings, act: Act, work: Callable[[Client], T]) -> T:
    """Does the work with the writer's client in a thread, and records the act. The work may say in `act` how it was before and
    after, and what came of it. Raises what it raises, and UnreachableError if what is done is not on record."""
    return await asyncio.to_thread(partial(_doing, settings.clickhouse, act, work))


async def looking(settings: Settings, act: Act, work: Callable[[Client], T]) -> T:
    """The same for a look, with the console's own client: what it found is passed on once the look is on record."""

    def look(writer: Client) -> T:
        with clickhouse_client(as_console(settings), READING_S) as client:
            return work(client)

    return await doing(settings, act, look)


def _doing(clickhouse: ClickHouseSettings, act: Act, work: Callable[[Client], T]) -> T:
    with clickhouse_client(clickhouse, WRITING_S) as client, acting(client, act):
        return work(client)
