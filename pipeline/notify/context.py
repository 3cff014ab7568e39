"""What the queues of all receivers share: the delivery log, the clock, the pauses, and who wants to know of an outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pipeline.clock import Clock, wall
from pipeline.http.lookups import Resolver
from pipeline.http.outgoing import DIRECT
from pipeline.http.route import Route
from pipeline.notify.delivery_log import DeliveryStore
from pipeline.notify.receivers import Outcome
from schemas.alerts import Alert


class Time:
    """How a queue measures its pauses and waits for their end. Tests have one of their own."""

    def now(self) -> float:
        """Seconds, from any start."""
        return asyncio.get_running_loop().time()

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Returns when the event is set, or after so many seconds; None: only when it is set."""
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)


@dataclass(frozen=True)
class Timing:
    """The pauses of a queue, in seconds."""

    rest: tuple[float, float] = (1.0, 300.0)
    """How long a receiver that fails is left alone: at first, and at most."""
    refused: tuple[float, float] = (300.0, 3600.0)
    """How long a refused change waits: at first, and at most."""
    resend: float = 60.0
    """How often Alertmanager gets all open alerts again."""
    resend_resolved: float = 900.0
    """For how long it gets resolved alerts again, too: it forgets them when it restarts."""
    remind: float = 1.0
    """How often the queue looks for due reminders."""


@dataclass(frozen=True)
class Context:
    """Shared by the queues of one Dispatcher."""

    store: DeliveryStore
    environ: Mapping[str, str]
    on_try: Callable[[str, Outcome], None] = lambda receiver, outcome: None
    """Called with each request's receiver and outcome, also when Alertmanager gets alerts again."""
    on_accepted: Callable[[Alert, str, float], None] = lambda alert, receiver, seconds: None
    """Called once for each change and receiver, with the seconds from `notify` until it was accepted; not for reminders."""
    leads: Callable[[], bool] = lambda: True
    """Whether this process may still notify anybody: no request begins once it may not."""
    term: int = 0
    clock: Clock = wall
    time: Time = Time()
    lookup: Resolver | None = None
    """None: the system's resolver."""
    route: Route = DIRECT
    """By which requests leave this network."""
    timing: Timing = Timing()
    jitter: Callable[[], float] = random.random
