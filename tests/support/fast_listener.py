"""`earshot listen` by a clock that runs fast, so that an hour of waiting takes seconds."""

from __future__ import annotations

import asyncio
import os
import time

from pipeline.config.load import load
from pipeline.listen.app import run_listen
from pipeline.listen.timer import Timer

FACTOR = "FAST_CLOCK"
BEGIN = "FAST_CLOCK_BEGIN"
"""Variables of the environment: how fast it runs, and from which time on, which is the same for all listeners of a test."""


class FastTimer(Timer):
    """Time that runs `factor` times as fast, from `begin` on."""

    def __init__(self, factor: float, begin: float) -> None:
        self._factor, self._begin = factor, begin

    def now(self) -> float:
        return self._begin + (time.time() - self._begin) * self._factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._factor)


if __name__ == "__main__":
    run_listen(load(None), FastTimer(float(os.environ[FACTOR]), float(os.environ[BEGIN])))
