"""A receiver that listens on a free port, an alert, and deliveries with short pauses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from pipeline.embedded.child import free_port
from pipeline.notify.delivery_log import Delivery, Sent
from pipeline.notify.dispatcher import Dispatcher
from pipeline.notify.receiver_queue import Context, Timing
from pipeline.notify.receivers import Outcome
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, Scope, State, alert_key

QUICK = Timing(rest=(0.02, 0.1), refused=(0.2, 0.4), beat=0.3, echo=1.0, look=0.05)
AT = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0)
"""Of today: the delivery log keeps its rows for 90 days."""


def alert(n: int = 1, state: State = State.FIRING, **fields: Any) -> Alert:
    """The first change of an alert; `n` tells it from others."""
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
    ended = {"ended_at": datetime.now(UTC)} if state is State.RESOLVED else {}
    return alert.change(datetime.now(UTC), state=state, **ended, **fields)


@dataclass
class Request:
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def told(self) -> list[tuple[str, int, str]]:
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
    def told(self) -> list[tuple[str, int, str]]:
        """All changes that were taken, in their order."""
        return [change for request in self.taken for change in request.told]

    def states(self, alert: Alert) -> list[str]:
        return [state for key, _, state in self.told if key == alert.hex]


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
            before = found.get((row.alert_key, row.receiver), Sent(0, "", 0, AT, 0))
            made = known.get((row.alert_key, row.version))
            if row.sent and made:
                before = Sent(made.version, made.state, made.severity, row.tried_at, row.attempt)
            found[row.alert_key, row.receiver] = before._replace(attempts=max(before.attempts, row.attempt))
        return found


@dataclass
class Seen:
    """What the callbacks were told."""

    tries: list[tuple[str, Outcome]] = field(default_factory=list)
    accepted: list[tuple[str, int, str, float]] = field(default_factory=list)

    def reasons(self, receiver: str) -> list[str]:
        return [outcome.reason for name, outcome in self.tries if name == receiver]


def config(*receivers: Mapping[str, Any], interval: str = "0s", **rule: Any) -> Alerts:
    given = [{"type": "webhook", "allow": ["127.0.0.1"], "timeout": "5s", **receiver} for receiver in receivers]
    rules = [{"name": "volume", "type": "spike", **rule}]
    return Alerts.model_validate({"receivers": given, "group": {"interval": interval}, "rules": rules})


@asynccontextmanager
async def deliveries(
    config: Alerts, store: Memory | None = None, seen: Seen | None = None, **fields: Any
) -> AsyncIterator[Dispatcher]:
    seen = seen or Seen()
    context = Context(
        store=store or Memory(),
        environ=fields.pop("environ", {}),
        on_try=lambda receiver, outcome: seen.tries.append((receiver, outcome)),
        on_accepted=lambda alert, receiver, seconds: seen.accepted.append((alert.hex, alert.version, receiver, seconds)),
        **{"timing": QUICK, **fields},
    )
    made = Dispatcher(config, context)
    try:
        yield made
        assert not made.dead
    finally:
        await made.close(1.0)


async def until(true: Callable[[], Any], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.01)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
