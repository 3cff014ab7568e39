"""What a slow question gave last: asked by one thread at a time however many pages want it, and never waited for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Generic, TypeVar

from pipeline.clock import Clock, wall
from pipeline.errors import EarshotError

T = TypeVar("T")
WAIT_S = 3.0


class NotYet(EarshotError):
    """There is no answer. `since`: the question that nobody has answered was asked then."""

    def __init__(self, reason: str, since: datetime) -> None:
        super().__init__(reason)
        self.since = since


class Latest(Generic[T]):
    """The answer of `ask`, which blocks; for one event loop.

    It is asked again once the last answer is older than `keep_s`. While that takes longer than `wait_s`, `get` raises NotYet,
    and the question goes on: the next page has its answer.
    """

    def __init__(
        self, what: str, ask: Callable[[], T], keep_s: float, wait_s: float = WAIT_S, clock: Clock = wall,
        threads: Executor | None = None,
    ) -> None:  # fmt: skip
        self._threads = threads
        self._what, self._ask, self._keep_s, self._wait_s, self._clock = what, ask, keep_s, wait_s, clock
        self._asking: asyncio.Task[T] | None = None
        self._asked = 0.0
        self._answer: tuple[float, T] | None = None
        self._failing: float | None = None

    async def get(self) -> T:
        """Raises NotYet: with the error of `ask`, if it is one of Earshot's, or because it takes too long."""
        if self._answer and time.monotonic() - self._answer[0] < self._keep_s:
            return self._answer[1]
        if self._asking is None or self._asking.done():
            self._asked = self._clock()
            self._asking = asyncio.create_task(self._one())
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())  # perhaps nobody waits any more
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            self._failing = self._failing or self._asked
            raise self._failed(f"{self._what} has not answered within {self._wait_s:g} s") from None
        except EarshotError as error:
            self._failing = self._failing or self._asked
            raise self._failed(str(error)) from None

    async def _one(self) -> T:
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask)
        self._answer, self._failing = (time.monotonic(), answer), None
        return answer

    def _failed(self, reason: str) -> NotYet:
        return NotYet(reason, datetime.fromtimestamp(self._failing or self._asked, UTC))
