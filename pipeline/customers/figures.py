"""Figures: what the leader says of the customers in metrics, every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from pipeline.customers.intake import Intake
from pipeline.customers.state import State
from pipeline.leader import Leader
from pipeline.monitoring import identity_metrics as metrics
from schemas.identity import REASONS

EVERY_S = 5.0


async def measure(leader: Leader, state: State, intake: Intake, end: Callable[[], int | None]) -> None:
    """Sets the metrics while this process leads. `end`: the offset after the topic's last record, None: not known."""
    while True:
        leader.check()
        await leader.on_thread(partial(_show, state))
        waiting, last = intake.waiting(), end()
        metrics.LAG_RECORDS.set(max(0, last - waiting[0]) if waiting and last is not None else 0)
        metrics.LAG_SECONDS.set(max(0.0, time.time() - waiting[1]) if waiting else 0)
        await asyncio.sleep(EVERY_S)


def _show(state: State) -> None:
    """On the leader's thread. Raises EarshotError as `State.check`."""
    state.check()
    metrics.LEADS.set(1)
    metrics.LINKED.set(state.graph.count())
    metrics.PROFILES.set(state.graph.linked)
    metrics.EDGES.set(state.graph.edges)
    metrics.HOLDS.set(state.holds)
    for reason in REASONS:
        metrics.REFUSED.labels(reason).set(state.queue[reason])
