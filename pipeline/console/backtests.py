"""Backtests in the background: one at a time, each in a process of its own. The last ones are kept in memory; a restart of the
console forgets them."""

from __future__ import annotations

import asyncio
import logging
import pickle
import secrets
import sys
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

from pipeline.clock import Clock, wall
from pipeline.config.settings import Settings
from pipeline.console.backtest_child import Asked
from pipeline.errors import ConflictError
from schemas.untyped import JsonObject

KEPT = 20
MOST_S = 900.0
"""After this a backtest is ended."""
LONGEST_LINE = 8 << 20
log = logging.getLogger("earshot.console")


@dataclass
class Job:
    """A backtest, and how far it is."""

    rule: str
    brand: str
    days: int
    actor: str
    began: datetime
    share: float = 0.0
    result: JsonObject | None = None
    failed: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def running(self) -> bool:
        return self.result is None and not self.failed


class Backtests:
    """For one event loop."""

    def __init__(self, settings: Settings, clock: Clock = wall) -> None:
        self._settings, self._clock = settings, clock
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def find(self, id_: str) -> Job | None:
        return self._jobs.get(id_)

    def start(self, rule: str, brand: str, days: int, actor: str) -> Job:
        """Begins one, or finds the same that is running. Raises ConflictError while another one runs."""
        running = next((job for job in self._jobs.values() if job.running), None)
        if running is not None:
            if (running.rule, running.brand, running.days) == (rule, brand, days):
                return running
            raise ConflictError(f"{running.actor} runs a backtest of {running.rule} now: one runs at a time")
        job = Job(rule, brand, days, actor, datetime.fromtimestamp(self._clock(), UTC))
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT:
            self._jobs.popitem(last=False)
        self._task = asyncio.create_task(self._run(job), name=f"backtest {job.id}")
        return job

    async def close(self) -> None:
        """Ends the one that runs."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for job in self._jobs.values():
            _end(job)

    async def _run(self, job: Job) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipeline.console.backtest_child",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(MOST_S):
                await self._listen(job, process)
        except TimeoutError:
            job.failed = f"it took more than {MOST_S / 60:.0f} minutes and was ended: choose fewer days or one brand"
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            _end(job)

    async def _listen(self, job: Job, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        with suppress(ConnectionError):  # it ended: why, its output says
            process.stdin.write(pickle.dumps(Asked(self._settings, job.rule, job.brand, job.days)))
            await process.stdin.drain()
        process.stdin.close()
        async for line in process.stdout:
            said = orjson.loads(line)
            job.share = said.get("share", job.share)
            job.failed = said.get("failed", "")
            if "raised" in said:
                job.result = said
        if job.running:
            job.failed = "it failed: the console's log says why"


def _end(job: Job) -> None:
    """What is no result yet never will be."""
    if job.running:
        job.failed = "it was ended before it was done"
