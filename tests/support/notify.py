"""A receiver that listens on a free port, an alert, and a dispatcher whose time is the test's."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from pipeline.embedded.child import free_port
from pipeline.notify.context import Context, Time
from pipeline.notify.delivery_log import OUT_OF_HOURS, Delivery, Sent
from pipeline.notify.dispatcher import Dispatcher
from pipeline.notify.receivers import Outcome
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, Scope, State, alert_key

AT = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0)
"""Of today: the delivery log keeps its rows for 90 days."""


def alert(n: int = 1, state: State = State.FIRING, **fields: Any) -> Alert:
    """The first change of an alert; `n` makes it another than the rest."""
    scope = fields.pop("scope", Scope("Acme", "forum"))
    now = datetime.now(UTC).replace(microsecond=0)
    made = Alert(
        key=alert_key("volume", scope, n),
        version=1,
        rule="volume",
        type="spike",
        scope=scope,
        state=state,
        severity=7,
        since=AT,
        last_at=AT,
        changed_at=now,
        raised_at=now,
        measure="volume",
        observed=120.0,
        expected=14.5,
        lower=8.0,
        upper=22.0,
        summary="120 mentions in five minutes",
        terms=("kettle", "leaks"),
        samples=(1, 2, 3),
    )
    return replace(made, **fields)


def after(alert: Alert, state: State, **fields: Any) -> Alert:
    ended: dict[str, Any] = {"ended_at": datetime.now(UTC)} if state is State.RESOLVED else {}
    return alert.change(datetime.now(UTC), state=state, **ended, **fields)


@dataclass
class Request:
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def changes(self) -> list[tuple[str, int, str]]:
        return [(alert["key"], alert["version"], alert["state"]) for alert in self.json["alerts"]]


Answer = Callable[[Request], Awaitable[web.Response]]


async def well(request: Request) -> web.Response:
    return web.Response(status=204)


def always(status: int, **headers: str) -> Answer:
    async def answer(request: Request) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


class Hook:
    """A webhook; it can be stopped, and started again on the same port."""

    def __init__(self, answer: Answer = well) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        """Those that were answered with 2xx."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._runner: web.AppRunner | None = None

    async def _handle(self, request: web.Request) -> web.Response:
        came = Request(request.headers.copy(), await request.read())
        self.requests.append(came)
        response = await self.answer(came)
        if 200 <= response.status < 300:
            self.taken.append(came)
        return response

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def changes(self) -> list[tuple[str, int, str]]:
        """All changes that were taken, in their order."""
        return [change for request in self.taken for change in request.changes]

    def states(self, alert: Alert) -> list[str]:
        return [state for key, _, state in self.changes if key == alert.hex]


@asynccontextmanager
async def hook(answer: Answer = well) -> AsyncIterator[Hook]:
    made = Hook(answer)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


class Memory:
    """The delivery log, in memory."""

    def __init__(self) -> None:
        self.rows: list[Delivery] = []

    def record(self, rows: Sequence[Delivery]) -> None:
        self.rows += rows

    def sent(self, alerts: Sequence[Alert]) -> dict[tuple[int, str], Sent]:
        """As `last_sent` says it, where table alerts holds these changes."""
        known = {(alert.key, alert.version): alert for alert in alerts}
        found: dict[tuple[int, str], Sent] = {}
        for row in self.rows:
            if row.reason.startswith(OUT_OF_HOURS):
                continue
            before = found.get((row.alert_key, row.receiver), Sent(0, "", 0, AT, 0))
            made = known.get((row.alert_key, row.version))
            if row.sent and made:
                before = Sent(made.version, made.state, made.severity, row.tried_at, row.attempt, made.escalated_at is not None)
            found[row.alert_key, row.receiver] = before._replace(attempts=max(before.attempts, row.attempt))
        return found

    def held(self) -> dict[tuple[int, str], int]:
        """As `last_held` says it."""
        rows = (row for row in self.rows if row.reason.startswith(OUT_OF_HOURS))
        return {(row.alert_key, row.receiver): row.version for row in rows}


@dataclass
class Seen:
    """What the callbacks got."""

    tries: list[tuple[str, Outcome]] = field(default_factory=list)
    accepted: list[tuple[str, int, str, float]] = field(default_factory=list)

    def reasons(self, receiver: str) -> list[str]:
        return [outcome.reason for name, outcome in self.tries if name == receiver]


def config(*receivers: Mapping[str, Any], interval: str = "0s", **rule: Any) -> Alerts:
    given = [{"type": "webhook", "allow": ["127.0.0.1"], "timeout": "5s", **receiver} for receiver in receivers]
    rules = [{"name": "volume", "type": "spike", **rule}]
    return Alerts.model_validate({"receivers": given, "group": {"interval": interval}, "rules": rules})


class ManualTime(Time):
    """Stands still until the test moves it on."""

    def __init__(self, began: float | None = None) -> None:
        self.began = time.time() if began is None else began
        self._now = 0.0
        self._sleepers: dict[asyncio.Future[None], tuple[float, asyncio.Event]] = {}

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        """The same, as seconds since 1970."""
        return self.began + self._now

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        timer = asyncio.get_running_loop().create_future()
        self._sleepers[timer] = self._now + (math.inf if seconds is None else seconds), event
        self._ring()
        woken = asyncio.create_task(event.wait())
        try:
            await asyncio.wait((timer, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._sleepers[timer]
            timer.cancel()
            woken.cancel()

    @property
    def asleep(self) -> int:
        """How many wait for a later time or a change that has yet to come."""
        return sum(not timer.done() and not event.is_set() for timer, (_, event) in self._sleepers.items())

    def next_end(self) -> float:
        """When the first of them will wake by itself; infinite: none will."""
        return min((end for end, _ in self._sleepers.values()), default=math.inf)

    def move_to(self, now: float) -> None:
        self._now = max(now, self._now)
        self._ring()

    def _ring(self) -> None:
        for timer, (end, _) in self._sleepers.items():
            if end <= self._now and not timer.done():
                timer.set_result(None)


class TimedDispatcher(Dispatcher):
    """A dispatcher whose pauses end when the test lets time pass."""

    def __init__(self, config: Alerts, context: Context, time: ManualTime) -> None:
        super().__init__(config, context)
        self.time = time

    async def quiet(self) -> None:
        """Returns when no request is under way and none is due."""

        def asleep() -> bool:
            return self.time.asleep >= sum(not queue._task.done() for queue in self._queues.values())

        for _ in range(20):
            if asleep():
                return
            await asyncio.sleep(0)
        await until(asleep)

    async def passes(self, seconds: float) -> None:
        """Time passes, and each request that falls due is answered at its time."""
        end = self.time.now() + seconds
        await self.quiet()
        while self.time.next_end() <= end:
            self.time.move_to(self.time.next_end())
            await self.quiet()
        self.time.move_to(end)

    async def until(self, true: Callable[[], Any]) -> None:
        """Lets time pass from one due request to the next until it is true. Fails after a minute by the watch."""
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, "it never came true"
            if self.time.asleep >= len(self._queues) and self.time.next_end() < math.inf:
                self.time.move_to(self.time.next_end())
            await asyncio.sleep(0.002)


@asynccontextmanager
async def dispatching(
    config: Alerts, store: Memory | None = None, seen: Seen | None = None, began: float | None = None, **fields: Any
) -> AsyncIterator[TimedDispatcher]:
    """`began`: the time, in seconds since 1970, when it is made."""
    seen, time = seen or Seen(), ManualTime(began)
    context = Context(
        store=store or Memory(),
        environ=fields.pop("environ", {}),
        on_try=lambda receiver, outcome: seen.tries.append((receiver, outcome)),
        on_accepted=lambda alert, receiver, seconds: seen.accepted.append((alert.hex, alert.version, receiver, seconds)),
        **{"clock": time.wall, "time": time, **fields},
    )
    made = TimedDispatcher(config, context, time)
    try:
        yield made
        assert not made.dead
    finally:
        await made.close(1.0)


async def until(true: Callable[[], Any], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.002)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
