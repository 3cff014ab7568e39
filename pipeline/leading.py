"""The life of a process that leads or stands by: from its start until a signal ends it, or a part of it fails."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Protocol

import faust

from pipeline.errors import EarshotError
from pipeline.leader import Leader, Work

STOP_S = 5.0
log = logging.getLogger("earshot.leader")


class Api(Protocol):
    """An HTTP server of the process."""

    async def start(self) -> None:
        """Returns when it serves."""

    async def stop(self) -> None:
        """Returns when it serves no more."""


async def run_leading(
    leader: Leader,
    app: faust.App,
    api: Api,
    ask_kafka: Callable[[], str],
    work: Callable[[int], Work],
    close: Callable[[], None] = lambda: None,
) -> None:
    """Serves `api`, and runs `work(generation)` whenever this process leads, until SIGTERM or SIGINT; then hands over, calls
    `close` and stops the app. Raises the error that made it stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await api.start()
    watch = asyncio.create_task(leader.watch(app, ask_kafka))
    await app.start()
    lead = asyncio.create_task(leader.hold(work))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((lead, watch, stopped), return_when=asyncio.FIRST_COMPLETED)
    failure = next((task.exception() for task in (lead, watch) if task.done()), None)
    leader.lease.stop()  # first: Python 3.11's wait_for may swallow the cancellation
    lead.cancel()
    (ended,) = await asyncio.gather(lead, return_exceptions=True)
    if failure is None and isinstance(ended, Exception):
        failure = ended  # it met the signal
    await api.stop()
    watch.cancel()
    close()
    await _stop(app, failure)
    if failure is not None:
        raise failure


async def _stop(app: faust.App, failure: BaseException | None) -> None:
    stopping = asyncio.create_task(app.stop())
    await asyncio.wait((stopping,), timeout=STOP_S)
    if not stopping.done():
        # Under load Faust's consumer now and then does not end. All is written; its group learns of it by the session.
        if failure is not None:  # who would say it is ended, too
            log.error("stops: %s", failure, exc_info=None if isinstance(failure, EarshotError) else failure)
        logging.shutdown()
        os._exit(1 if failure else 0)
